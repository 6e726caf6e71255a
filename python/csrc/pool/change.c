/* Changes of the catalog, all or nothing. Twin of pool/change.go. */
#include "internal/errors.h"
#include "pool/pool.h"

/* One change with the entries that there are. A catalog that is torn is made anew, once. */
static int change_locked(ndpool *p, change *ch, stage_names *stage, void *arg)
{
    int status = STATUS_TORN;
    for (int tries = 0; tries < 2 && status == STATUS_TORN; tries++) {
        change_begin(ch, &p->names);
        status = stage(p, ch, arg);
        if (status == NDPOOL_OK) {
            if (change_commit(ch) != NDPOOL_OK)
                pool_rebuild_locked(p); /* it is decided, and so the rebuild carries it out */
            return NDPOOL_OK;
        }
        if (change_abandon(ch) != NDPOOL_OK || status == STATUS_TORN)
            pool_rebuild_locked(p);
    }
    return status;
}

/* Commits memory for n more entries of the catalog outside the lock, then makes them free under it. from is how many had
 * memory when none was free. It fails if those were as many as there can be; another process may have committed all since. */
int pool_grow_names(ndpool *p, uint32_t from, uint32_t n)
{
    uint32_t limit = (uint32_t)p->arena->geo.limits.names, to;
    if (from == limit)
        return STATUS_NO_ENTRY;
    n = n < 1 ? 1 : n < limit - from ? n : limit - from;
    int status = arena_commit_names(p->arena, from, from + n, &to);
    if (status == NDPOOL_OK)
        status = pool_lock(p);
    if (status != NDPOOL_OK)
        return status;
    uint32_t now = catalog_committed(p->arena);
    if (now < to) {
        shm_store32(&p->arena->ctl->names, to);
        set_add_range(&p->alloc.names, now, to);
    }
    pool_unlock(p);
    return NDPOOL_OK;
}

int pool_change(ndpool *p, uint32_t need, stage_names *stage, void *arg, uint64_t *version)
{
    for (;;) {
        change ch;
        int status = pool_lock(p);
        if (status != NDPOOL_OK)
            return status;
        pool_flush_locked(p);
        status = change_locked(p, &ch, stage, arg);
        uint32_t from = catalog_committed(p->arena);
        pool_unlock(p);
        if (status == NDPOOL_OK) {
            *version = ch.version;
            bell_ring(pool_name_bell(p), RING_ALL);
        }
        if (status != STATUS_NO_ENTRY)
            return status;
        status = pool_grow_names(p, from, need > ch.staged ? need - ch.staged : 0);
        if (status != NDPOOL_OK)
            return status;
    }
}

/* Removes the names of a slot whose process is gone, in one change. It takes no entries. */
static int disown(ndpool *p, change *ch, void *slot)
{
    (void)p;
    change_disown(ch, *(uint32_t *)slot);
    return NDPOOL_OK;
}

int pool_disown_locked(ndpool *p, uint32_t slot)
{
    change ch;
    return change_locked(p, &ch, disown, &slot);
}

/* What is removed. Local. */
typedef struct removal {
    const char *path;
    bool tree;
    uint64_t expect, found;
    uint64_t n;
} removal;

static int leave_one(ndpool *p, change *ch, uint32_t node)
{
    if (catalog_first_child(&p->names, node) != 0)
        return STATUS_NOT_EMPTY;
    change_leave(ch, node - 1);
    return NDPOOL_OK;
}

static int stage_removal(ndpool *p, change *ch, void *arg)
{
    removal *r = arg;
    uint32_t node;
    r->n = 0;
    r->found = 0;
    int status = catalog_find_node(&p->names, r->path, &node);
    if (status != NDPOOL_OK)
        return status;
    if (node != 0)
        r->found = catalog_value(&p->names, node - 1).version;
    if (r->expect != 0 && r->found != r->expect)
        return NDPOOL_ERR_VERSION;
    if (r->tree)
        return change_leave_tree(ch, node, &r->n);
    r->n = 1;
    return leave_one(p, ch, node);
}

int pool_version_error(const char *verb, const char *path, uint64_t expect, uint64_t found)
{
    return fail(NDPOOL_ERR_VERSION, "%s \"%.200s\": name has another version: %llu found (%llu expected)", verb, path,
                (unsigned long long)found, (unsigned long long)expect);
}

static int remove_names(ndpool *p, removal *r)
{
    uint64_t version;
    int status = r->tree && *r->path == 0 ? NDPOOL_OK : pool_check_path("remove", r->path);
    if (status != NDPOOL_OK)
        return status;
    status = pool_change(p, 0, stage_removal, r, &version);
    if (status == NDPOOL_ERR_VERSION)
        return pool_version_error("remove", r->path, r->expect, r->found);
    return pool_name_error(p, "remove", r->path, status);
}

int ndpool_remove(ndpool *p, const char *path, uint32_t flags, uint64_t expect, uint64_t *count)
{
    removal r = {.path = path ? path : "", .tree = flags & NDPOOL_TREE, .expect = expect};
    int status = pool_enter(p);
    if (status != NDPOOL_OK)
        return status;
    status = remove_names(p, &r);
    if (status == NDPOOL_OK)
        space_freed(p->arena);
    pool_leave(p);
    if (status == NDPOOL_OK && count)
        *count = r.n;
    return status;
}
