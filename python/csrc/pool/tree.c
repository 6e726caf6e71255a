/* Trees of names, published at once. Twin of pool/tree.go. */
#include <stdio.h>
#include <stdlib.h>

#include "internal/errors.h"
#include "pool/pool.h"

/* A name to publish. Local. */
typedef struct leaf {
    char *path; /* from the root */
    const ndpool_item *item;
    name_value v;
    bool holds_array, holds_attributes; /* references of this publication */
} leaf;

/* One publishing under way. Local. */
typedef struct publication {
    const char *target; /* "": the first component of each path */
    uint32_t flags;
    uint64_t expect, found;
    leaf *leaves; /* sorted by path */
    size_t n;
    size_t at; /* the name that is being staged */
} publication;

/* Writes the path of an item. */
static int join(leaf *l, const char *prefix, const ndpool_item *item)
{
    const char *path = item->path ? item->path : "";
    size_t n = strlen(prefix) + strlen(path) + 2;
    l->path = malloc(n);
    if (!l->path)
        return fail_errno(NDPOOL_ERR_SYSTEM, "publish: a path of %zu bytes", n);
    snprintf(l->path, n, "%s%s%s", prefix, *prefix && *path ? "/" : "", path);
    l->item = item;
    return pool_check_path("publish", l->path);
}

static int compare_leaves(const void *a, const void *b)
{
    return path_compare(((const leaf *)a)->path, ((const leaf *)b)->path);
}

/* Shares the array, and takes a reference for the time that the change takes. */
static int prepare_array(ndpool *p, leaf *l)
{
    uint32_t i;
    stripe *st;
    int status = pool_hold(p, l->item->array, "publish", &i, &st);
    if (status != NDPOOL_OK)
        return status;
    if (pool_is_ring(p, i)) {
        spin_unlock(&st->mutex);
        return pool_refuse_ring("publish", l->item->array);
    }
    refs_share_locked(&p->refs, i);
    refs_add_locked(&p->refs, i);
    st->live++;
    spin_unlock(&st->mutex);
    l->holds_array = true;
    l->v.array = l->item->array;
    return NDPOOL_OK;
}

static int prepare_attributes(ndpool *p, leaf *l)
{
    uint32_t i;
    int status = pool_store_attributes(p, l->item->attributes, l->item->attributes_bytes, &i);
    if (status != NDPOOL_OK)
        return fail_within("publish \"%.200s\"", l->path);
    l->holds_attributes = true;
    l->v.attributes = pool_handle_of(p, i);
    return NDPOOL_OK;
}

/* Makes what the change needs: paths, references, texts. Released by release. */
static int prepare(ndpool *p, publication *b, const ndpool_item *items)
{
    int status = NDPOOL_OK;
    for (size_t k = 0; k < b->n && status == NDPOOL_OK; k++)
        status = join(&b->leaves[k], b->target, &items[k]);
    if (status != NDPOOL_OK)
        return status;
    qsort(b->leaves, b->n, sizeof *b->leaves, compare_leaves);
    for (size_t k = 0; k < b->n && status == NDPOOL_OK; k++) {
        leaf *l = &b->leaves[k];
        l->v.owner = b->flags & NDPOOL_PERSISTENT ? 0 : atomic_load(&p->self);
        if (l->item->array)
            status = prepare_array(p, l);
        if (status == NDPOOL_OK && l->item->attributes)
            status = prepare_attributes(p, l);
    }
    return status;
}

static void release(ndpool *p, publication *b)
{
    for (size_t k = 0; k < b->n; k++) {
        leaf *l = &b->leaves[k];
        if (l->holds_array)
            (void)ndpool_release(p, l->v.array);
        if (l->holds_attributes)
            (void)ndpool_release(p, l->v.attributes);
        free(l->path);
    }
    free(b->leaves);
}

static uint32_t count_nodes(const publication *b)
{
    uint32_t n = 0;
    for (size_t k = 0; k < b->n; k++)
        n += path_nodes(k > 0 ? b->leaves[k - 1].path : "", b->leaves[k].path);
    return n;
}

/* Looks at what a target of n bytes names now: it must not be there, goes, or stays. */
static int clear(ndpool *p, change *ch, publication *b, const char *target, size_t n)
{
    char first[NDPOOL_MAX_COMPONENT + 1];
    uint64_t left = 0;
    uint32_t e;
    memcpy(first, target, n);
    first[n] = 0;
    int status = catalog_find(&p->names, b->target[0] ? b->target : first, &e);
    b->found = status == NDPOOL_OK ? catalog_value(&p->names, e).version : 0;
    if (status != NDPOOL_OK && status != NDPOOL_ERR_NO_NAME)
        return status;
    if (b->expect != 0 && b->found != b->expect)
        return NDPOOL_ERR_VERSION;
    if (status == NDPOOL_ERR_NO_NAME)
        return NDPOOL_OK;
    if (b->flags & NDPOOL_OVERWRITE)
        return change_leave_tree(ch, e + 1, &left);
    return b->flags & NDPOOL_MERGE ? NDPOOL_OK : NDPOOL_ERR_NAME_TAKEN;
}

/* Does so for each target. Without a prefix these are the first components, of which equal ones are neighbours. */
static int clear_targets(ndpool *p, change *ch, publication *b)
{
    const char *last = "", *rest;
    b->at = b->n;
    if (b->target[0])
        return clear(p, ch, b, "", 0);
    for (b->at = 0; b->at < b->n; b->at++) {
        const char *path = b->leaves[b->at].path;
        size_t n = path_cut(path, &rest);
        if (n == path_cut(last, &rest) && memcmp(path, last, n) == 0)
            continue;
        int status = clear(p, ch, b, path, n);
        if (status != NDPOOL_OK)
            return status;
        last = path;
    }
    return NDPOOL_OK;
}

/* What a name will stand for that is there and gets another value: a group stays as it is, unless it was made by the way,
 * or gets attributes. The name of a ring stays one. */
static int merge(void *arg, const name_value *old, name_value *v)
{
    ndpool *p = arg;
    uint32_t i;
    if (pool_live_block(p, old->array, &i) && pool_is_ring(p, i))
        return NDPOOL_ERR_KIND;
    if (old->array == 0 && v->array != 0)
        return STATUS_IS_GROUP;
    if (old->array != 0 && v->array == 0)
        return STATUS_IS_ARRAY;
    if (v->array == 0 && v->attributes == 0 && old->owner != NDPOOL_NAME_IMPLICIT)
        *v = *old;
    return NDPOOL_OK;
}

static int stage(ndpool *p, change *ch, void *arg)
{
    publication *b = arg;
    int status = clear_targets(p, ch, b);
    if (status != NDPOOL_OK)
        return status;
    for (b->at = 0; b->at < b->n; b->at++) {
        status = change_put(ch, b->leaves[b->at].path, &b->leaves[b->at].v, merge, p);
        if (status != NDPOOL_OK)
            return status;
    }
    return NDPOOL_OK;
}

static int publish(ndpool *p, publication *b, uint64_t *version)
{
    int status = pool_enter(p);
    if (status != NDPOOL_OK)
        return status;
    status = pool_change(p, count_nodes(b), stage, b, version);
    if (status == NDPOOL_ERR_VERSION)
        status = pool_version_error("publish", b->target, b->expect, b->found);
    else
        status = pool_name_error(p, "publish", b->at < b->n ? b->leaves[b->at].path : b->target, status);
    if (status == NDPOOL_OK)
        space_freed(p->arena);
    pool_leave(p);
    return status;
}

int ndpool_publish(ndpool *p, const char *prefix, const ndpool_item *items, size_t n, uint32_t flags, uint64_t expect,
                   uint64_t *version)
{
    publication b = {.target = prefix ? prefix : "", .flags = flags, .expect = expect, .n = n};
    uint64_t v = 0;
    int status = pool_enter(p); /* once before all the work, to be refused */
    if (status != NDPOOL_OK)
        return status;
    pool_leave(p);
    b.leaves = calloc(n + 1, sizeof *b.leaves);
    if (!b.leaves)
        return fail_errno(NDPOOL_ERR_SYSTEM, "publish: %zu names", n);
    status = prepare(p, &b, items);
    if (status == NDPOOL_OK)
        status = publish(p, &b, &v);
    ndpool_error why = *error_now();
    release(p, &b);
    *error_now() = why;
    if (status == NDPOOL_OK && version)
        *version = v;
    return status;
}
