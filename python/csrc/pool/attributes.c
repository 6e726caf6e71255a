/* The attributes of names: text in blocks of their own, which nobody changes. Twin of pool/attributes.go. */
#include <stdlib.h>

#include "internal/errors.h"
#include "internal/json.h"
#include "pool/pool.h"

/* Where the text of block i lies in the data region; only an array of bytes in one dimension is text. */
static int place_of(ndpool *p, uint32_t i, uint64_t *off, uint64_t *n)
{
    meta m;
    int64_t shape[NDPOOL_MAX_NDIM];
    extent e;
    int status = pool_read(p, i, &m, shape);
    if (status != NDPOOL_OK)
        return status;
    if (m.dtype != NDPOOL_UINT8 || m.ndim != 1 || m.bytes > NDPOOL_MAX_ATTRIBUTES || !pool_extent(p, i, &e) ||
        m.bytes > extent_size(e) || m.header > extent_size(e) - m.bytes)
        return fail(NDPOOL_ERR_ATTRIBUTES, "read attributes of block %u: got an array of dtype %#llx and %llu bytes", i,
                    (unsigned long long)m.dtype, (unsigned long long)m.bytes);
    *off = extent_offset(e) + m.header;
    *n = m.bytes;
    return NDPOOL_OK;
}

int pool_copy_attributes(ndpool *p, uint32_t i, char **text, size_t *bytes)
{
    uint64_t off, n;
    int status = place_of(p, i, &off, &n);
    if (status == NDPOOL_OK && p->snapshot)
        status = arena_fetch(p->arena, off, n);
    if (status != NDPOOL_OK)
        return status;
    char *copy = malloc(n + 1);
    if (!copy)
        return fail_errno(NDPOOL_ERR_SYSTEM, "copy attributes: %llu bytes", (unsigned long long)n);
    memcpy(copy, arena_data(p->arena, off), n);
    copy[n] = 0;
    *text = copy;
    *bytes = n;
    return NDPOOL_OK;
}

int pool_text_at(ndpool *p, uint32_t i, const char **text, size_t *bytes)
{
    uint64_t off, n;
    int status = place_of(p, i, &off, &n);
    if (status != NDPOOL_OK)
        return status;
    *text = (const char *)arena_data(p->arena, off);
    *bytes = n;
    return NDPOOL_OK;
}

static int check_text(const void *text, size_t bytes)
{
    if (bytes > NDPOOL_MAX_ATTRIBUTES)
        return fail(NDPOOL_ERR_ATTRIBUTES, "attributes: got %zu bytes (at most %d)", bytes, NDPOOL_MAX_ATTRIBUTES);
    if (!json_is_object(text, bytes))
        return fail(NDPOOL_ERR_ATTRIBUTES, "attributes: got %zu bytes (the text of a JSON object)", bytes);
    return NDPOOL_OK;
}

/* Precondition: the caller is not inside a verb. */
int pool_store_attributes(ndpool *p, const void *text, size_t bytes, uint32_t *i)
{
    int64_t n = (int64_t)bytes;
    ndpool_array a;
    int status = check_text(text, bytes);
    if (status == NDPOOL_OK)
        status = ndpool_alloc(p, &(ndpool_spec){.dtype = NDPOOL_UINT8, .ndim = 1, .shape = &n}, &a);
    if (status != NDPOOL_OK)
        return status;
    memcpy(a.data, text, bytes);
    (void)pool_index(p, a.handle, i);
    return ndpool_share(p, a.handle);
}

/* What gets other attributes. Local. */
typedef struct setting {
    const char *path;
    uint64_t handle; /* of the text; 0: none */
    ident owner;     /* of a group that had none */
    uint64_t expect, found;
} setting;

/* A group that was made for the sake of others has no attributes: it becomes one that stays. */
static int stage_setting(ndpool *p, change *ch, void *arg)
{
    setting *s = arg;
    uint32_t e;
    s->found = 0;
    int status = catalog_find(&p->names, s->path, &e);
    if (status != NDPOOL_OK)
        return status;
    name_value v = catalog_value(&p->names, e);
    s->found = v.version;
    if (s->expect != 0 && s->found != s->expect)
        return NDPOOL_ERR_VERSION;
    v.attributes = s->handle;
    if (v.owner == NDPOOL_NAME_IMPLICIT)
        v.owner = s->owner;
    change_replace(ch, e, v);
    return NDPOOL_OK;
}

static int set_attributes(ndpool *p, setting *s, uint64_t *version)
{
    int status = pool_enter(p);
    if (status != NDPOOL_OK)
        return status;
    status = pool_change(p, 0, stage_setting, s, version);
    if (status == NDPOOL_ERR_VERSION)
        status = pool_version_error("set attributes of", s->path, s->expect, s->found);
    else
        status = pool_name_error(p, "set attributes of", s->path, status);
    if (status == NDPOOL_OK)
        space_freed(p->arena);
    pool_leave(p);
    return status;
}

int ndpool_set_attributes(ndpool *p, const char *path, const void *text, size_t bytes, uint32_t flags,
                          uint64_t expect, uint64_t *version)
{
    setting s = {.path = path, .expect = expect, .owner = flags & NDPOOL_PERSISTENT ? 0 : atomic_load(&p->self)};
    uint32_t i = 0;
    uint64_t v;
    int status = pool_enter(p); /* once before all the work, to be refused */
    if (status != NDPOOL_OK)
        return status;
    pool_leave(p);
    status = pool_check_path("set attributes of", path);
    if (status == NDPOOL_OK && text)
        status = pool_store_attributes(p, text, bytes, &i);
    if (status != NDPOOL_OK)
        return status;
    s.handle = text ? pool_handle_of(p, i) : 0;
    status = set_attributes(p, &s, &v);
    if (text)
        (void)ndpool_release(p, s.handle);
    if (status == NDPOOL_OK && version)
        *version = v;
    return status;
}
