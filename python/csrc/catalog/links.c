/*
 * Links are derived, and guarded by the lock: a death between any two of these stores leaves links that the taker of the
 * lock makes anew. Twin of catalog/links.go.
 */
#include "catalog/catalog.h"
#include "internal/xxhash.h"

/* The entry of a node that was read from the segment, in use or not. */
int catalog_in_table(const catalog *c, uint32_t node, uint32_t *e)
{
    if (node == 0 || node > catalog_committed(c->arena))
        return STATUS_TORN;
    *e = node - 1;
    return NDPOOL_OK;
}

/* Makes a node the first one below a parent. */
static void set_first(catalog *c, uint32_t parent, uint32_t node)
{
    if (parent == 0)
        shm_put64(&c->arena->ctl->root, node);
    else
        shm_put32(&c->names[parent - 1].child, node);
}

/* Says what comes before a node; 0 is no node. */
static int set_before(catalog *c, uint32_t node, uint32_t before)
{
    uint32_t e;
    if (node == 0)
        return NDPOOL_OK;
    int status = catalog_in_table(c, node, &e);
    if (status == NDPOOL_OK)
        shm_put32(&c->names[e].before, before);
    return status;
}

/* Enters an entry into its chain and into the list of its group, first in both. Preconditions: it is in neither, its parent
 * is the root or an entry, and hash is its component's. */
int catalog_link(catalog *c, uint32_t e, uint64_t hash)
{
    shm_u32 *head = catalog_head(c, shm_load32(&c->names[e].parent), hash);
    shm_put32(&c->names[e].next, shm_get32(head));
    shm_put32(head, e + 1);
    shm_put32(&c->names[e].child, 0);
    return catalog_enlist(c, e);
}

/* Enters an entry into the list of its group. */
int catalog_enlist(catalog *c, uint32_t e)
{
    ndpool_name *d = &c->names[e];
    uint32_t parent = shm_load32(&d->parent), group;
    int status = parent == 0 ? NDPOOL_OK : catalog_in_table(c, parent, &group);
    if (status != NDPOOL_OK)
        return status;
    uint32_t first = catalog_first_child(c, parent);
    shm_put32(&d->before, 0);
    shm_put32(&d->after, first);
    set_first(c, parent, e + 1);
    return set_before(c, first, e + 1);
}

/* Takes an entry out of the chain that begins at a head. */
int catalog_unchain(catalog *c, uint32_t e, shm_u32 *at)
{
    for (uint32_t left = catalog_committed(c->arena) + 1; left > 0; left--) {
        uint32_t next = shm_get32(at), other;
        if (next == e + 1) {
            shm_put32(at, shm_get32(&c->names[e].next));
            return NDPOOL_OK;
        }
        int status = catalog_in_table(c, next, &other);
        if (status != NDPOOL_OK)
            return status;
        at = &c->names[other].next;
    }
    return STATUS_TORN;
}

/* Takes an entry out of the list of its group. */
static int unlist(catalog *c, uint32_t parent, uint32_t before, uint32_t after)
{
    uint32_t other;
    int status = set_before(c, after, before);
    if (status != NDPOOL_OK)
        return status;
    if (before == 0 && parent == 0) {
        set_first(c, 0, after);
        return NDPOOL_OK;
    }
    status = catalog_in_table(c, before ? before : parent, &other);
    if (status == NDPOOL_OK)
        shm_put32(before ? &c->names[other].after : &c->names[other].child, after);
    return status;
}

/* Takes an entry out of its chain and out of the list of its group. */
int catalog_unlink(catalog *c, uint32_t e)
{
    char text[NDPOOL_MAX_COMPONENT];
    const ndpool_name *d = &c->names[e];
    int n = catalog_text(c, e, text);
    if (n < 0)
        return STATUS_TORN;
    uint32_t parent = shm_load32(&d->parent), before = shm_get32(&d->before), after = shm_get32(&d->after);
    int status = catalog_unchain(c, e, catalog_head(c, parent, xxhash64(text, (size_t)n)));
    return status == NDPOOL_OK ? unlist(c, parent, before, after) : status;
}
