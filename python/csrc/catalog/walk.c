/* Walks through the tree. Twin of catalog/walk.go. */
#include "catalog/catalog.h"

/* The node after an entry of that depth in a walk, 0 after the last one. */
static int next_node(const catalog *c, uint32_t top, uint32_t e, int *depth, uint32_t *node)
{
    *node = shm_get32(&c->names[e].child);
    if (*node != 0) {
        ++*depth;
        return NDPOOL_OK;
    }
    for (; *depth > 0; --*depth) {
        *node = shm_get32(&c->names[e].after);
        if (*node != 0)
            return NDPOOL_OK;
        uint32_t up = shm_load32(&c->names[e].parent);
        if (up == top)
            return NDPOOL_OK;
        int status = catalog_entry(c, up, &e);
        if (status != NDPOOL_OK)
            return status;
    }
    return STATUS_TORN;
}

int catalog_walk(const catalog *c, uint32_t top, catalog_tell *tell, void *arg)
{
    uint32_t node = catalog_first_child(c, top), e;
    int depth = 1;
    for (uint32_t left = catalog_committed(c->arena); node != 0; left--) {
        int status = catalog_entry(c, node, &e);
        if (status != NDPOOL_OK || depth > NDPOOL_MAX_NAME_DEPTH || left == 0)
            return STATUS_TORN;
        if (!tell(arg, e, depth))
            return NDPOOL_OK;
        status = next_node(c, top, e, &depth, &node);
        if (status != NDPOOL_OK)
            return status;
    }
    return NDPOOL_OK;
}
