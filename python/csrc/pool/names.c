/*
 * Names are looked up under the segment lock: in one hold the entry is found and what it stands for is held, so that a
 * reader gets the old value or the new one, whole, and a tree of one moment. Metadata and attributes are read afterwards.
 * Twin of pool/names.go.
 */
#include "internal/errors.h"
#include "pool/pool.h"

/* ---- what the catalog needs to know. A handle that leads nowhere is a scribble, and nobody's. */

static int64_t next_entry(void *arg) { return set_next(&((ndpool *)arg)->alloc.names, 0); }
static void add_entry(void *arg, uint32_t e) { set_add(&((ndpool *)arg)->alloc.names, e); }
static void remove_entry(void *arg, uint32_t e) { set_remove(&((ndpool *)arg)->alloc.names, e); }

static bool block_exists(void *arg, uint64_t handle)
{
    uint32_t i;
    return pool_live_block(arg, handle, &i);
}

static void name_block(void *arg, uint64_t handle)
{
    ndpool *p = arg;
    uint32_t i;
    if (pool_live_block(p, handle, &i))
        refs_name(&p->refs, i);
}

static void unname_block(void *arg, uint64_t handle)
{
    ndpool *p = arg;
    uint32_t i;
    if (pool_live_block(p, handle, &i) && refs_unname(&p->refs, i))
        pool_end_locked(p, i);
}

static void count_block(void *arg, uint64_t handle)
{
    ndpool *p = arg;
    uint32_t i;
    if (pool_live_block(p, handle, &i))
        refs_count_name(&p->refs, i);
}

const catalog_keeper pool_keeper = {.next = next_entry,
                                    .add = add_entry,
                                    .remove = remove_entry,
                                    .name = name_block,
                                    .unname = unname_block,
                                    .exists = block_exists,
                                    .count = count_block};

/* ---- refusals */

int pool_check_path(const char *verb, const char *path)
{
    char why[120];
    if (path_check(path, why, sizeof why))
        return NDPOOL_OK;
    return fail(NDPOOL_ERR_PATH, "%s \"%.200s\": not a name of the catalog: %s", verb, path, why);
}

int pool_name_error(ndpool *p, const char *verb, const char *path, int status)
{
    static const struct {
        int status, final;
        const char *why;
    } whys[] = {
        {NDPOOL_ERR_NO_NAME, NDPOOL_ERR_NO_NAME, "no such name"},
        {NDPOOL_ERR_NAME_TAKEN, NDPOOL_ERR_NAME_TAKEN, "name is taken"},
        {NDPOOL_ERR_GROUP, NDPOOL_ERR_GROUP, "an array's name is on the way, or a group has it already"},
        {STATUS_IS_GROUP, NDPOOL_ERR_GROUP, "a group is no array"},
        {STATUS_IS_ARRAY, NDPOOL_ERR_GROUP, "an array is no group"},
        {STATUS_NOT_EMPTY, NDPOOL_ERR_GROUP, "the group has names in it"},
        {NDPOOL_ERR_KIND, NDPOOL_ERR_KIND, "a stream or a queue is no array"},
        {STATUS_TORN, NDPOOL_ERR_CORRUPT, "catalog is torn"},
    };
    if (status == STATUS_NO_ENTRY) {
        (void)pool_explain(p, status, 0);
        return fail_within("%s \"%.200s\"", verb, path);
    }
    for (size_t k = 0; k < sizeof whys / sizeof *whys; k++) {
        if (whys[k].status == status)
            return fail(whys[k].final, "%s \"%.200s\": %s", verb, path, whys[k].why);
    }
    return status;
}

/* ---- looking up */

int pool_with_names(ndpool *p, int (*look)(ndpool *p, void *arg), void *arg)
{
    int status = pool_lock(p);
    if (status != NDPOOL_OK)
        return status;
    pool_flush_locked(p);
    status = look(p, arg);
    if (status == STATUS_TORN) {
        pool_rebuild_locked(p);
        status = look(p, arg);
    }
    pool_unlock(p);
    return status;
}

/* Holds the blocks of a value, the attributes only if asked to. While the value counts they are NAMED, and the lock keeps it. */
int pool_hold_value(ndpool *p, const name_value *v, bool attributes, held_value *h)
{
    *h = (held_value){0};
    bool wants_array = v->array != 0, wants_attributes = attributes && v->attributes != 0;
    if ((wants_array && !pool_live_block(p, v->array, &h->array)) ||
        (wants_attributes && !pool_live_block(p, v->attributes, &h->attributes)))
        return STATUS_TORN;
    if (wants_array)
        refs_hold(&p->refs, h->array);
    if (wants_attributes)
        refs_hold(&p->refs, h->attributes);
    h->has_array = wants_array;
    h->has_attributes = wants_attributes;
    return NDPOOL_OK;
}

/* Ends what pool_hold_value began. */
void pool_drop_value(ndpool *p, const held_value *h)
{
    if (h->has_array)
        pool_drop(p, h->array);
    if (h->has_attributes)
        pool_drop(p, h->attributes);
}

/* A name that is looked up. Local. */
typedef struct look {
    const char *path;
    uint32_t entry, nonce;
    name_value v;
    held_value held;
} look;

static int find_locked(ndpool *p, void *arg)
{
    look *l = arg;
    int status = catalog_find(&p->names, l->path, &l->entry);
    if (status == NDPOOL_OK)
        l->nonce = catalog_nonce(&p->names, l->entry);
    return status;
}

static int lookup_locked(ndpool *p, void *arg)
{
    look *l = arg;
    int status = find_locked(p, l);
    if (status != NDPOOL_OK)
        return status;
    uint32_t i;
    l->v = catalog_value(&p->names, l->entry);
    if (l->v.array && pool_live_block(p, l->v.array, &i) && pool_is_ring(p, i))
        return NDPOOL_ERR_KIND;
    return l->v.array ? pool_hold_value(p, &l->v, false, &l->held) : STATUS_IS_GROUP;
}

int pool_find_name(ndpool *p, const char *verb, const char *path, uint32_t *entry, uint32_t *nonce)
{
    look l = {.path = path};
    int status = pool_check_path(verb, path);
    if (status == NDPOOL_OK)
        status = pool_name_error(p, verb, path, pool_with_names(p, find_locked, &l));
    if (status != NDPOOL_OK)
        return status;
    *entry = l.entry;
    *nonce = l.nonce;
    return NDPOOL_OK;
}

static int lookup(ndpool *p, const char *path, uint32_t flags, ndpool_array *out, uint64_t *version)
{
    look l = {.path = path};
    meta m;
    int64_t shape[NDPOOL_MAX_NDIM];
    int status = pool_check_path("lookup", path);
    if (status == NDPOOL_OK)
        status = pool_name_error(p, "lookup", path, pool_with_names(p, lookup_locked, &l));
    if (status != NDPOOL_OK)
        return status;
    status = pool_read(p, l.held.array, &m, shape);
    if (status != NDPOOL_OK) {
        pool_drop(p, l.held.array);
        return status;
    }
    status = pool_array(p, l.held.array, &m, shape, flags & NDPOOL_READ_ONLY, out);
    if (status == NDPOOL_OK && version)
        *version = l.v.version;
    return status;
}

int ndpool_lookup(ndpool *p, const char *path, uint32_t flags, ndpool_array *out, uint64_t *version)
{
    int status = pool_enter(p);
    if (status != NDPOOL_OK)
        return status;
    status = lookup(p, path, flags, out, version);
    pool_leave(p);
    return status;
}
