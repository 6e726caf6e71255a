/* Names listed: all of one moment. Twin of pool/list.go. */
#include <stdlib.h>

#include "internal/errors.h"
#include "pool/pool.h"

/* The dimensions of a name that is left out. */
#define NOT_TOLD UINT32_MAX

/* A name that a walk brought in. Local. */
typedef struct row {
    int64_t up;    /* row of its group, -1: what the walk began at */
    size_t from;   /* of its component in the text */
    uint32_t bytes;
    uint32_t length; /* of its path */
    name_value v;
    held_value held;
} row;

/* What one walk brought in, in memory that was there before: rows of what was found, their components one behind another.
 * Local. */
typedef struct harvest {
    const char *prefix;
    bool alone; /* the name of the prefix, not those in it */
    row *rows;
    char *text;
    size_t n, size, used, room; /* rows: had, could be had; likewise bytes of text */
    size_t lack_rows, lack_bytes; /* what is needed for all */
    int64_t path[NDPOOL_MAX_NAME_DEPTH + 1]; /* the row of each depth */
    const catalog *names;
    int status;
} harvest;

/* Notes a name. A catalog that is torn ends the walk. */
static bool add(void *arg, uint32_t e, int depth)
{
    harvest *h = arg;
    char text[NDPOOL_MAX_COMPONENT + 1];
    int bytes = catalog_text(h->names, e, text);
    if (bytes >= 0)
        text[bytes] = 0;
    if (bytes < 0 || !text_check(text, (size_t)bytes)) { /* a scribble; paths are made of it, also those of files */
        h->status = STATUS_TORN;
        return false;
    }
    h->lack_rows++;
    h->lack_bytes += (size_t)bytes;
    if (h->n == h->size || h->room - h->used < (size_t)bytes || h->lack_rows > h->n + 1)
        return true;
    row *r = &h->rows[h->n];
    *r = (row){.up = depth > 0 ? h->path[depth - 1] : -1, .from = h->used, .bytes = (uint32_t)bytes};
    r->v = catalog_value(h->names, e);
    memcpy(h->text + h->used, text, (size_t)bytes);
    h->used += (size_t)bytes;
    h->path[depth] = (int64_t)h->n++;
    return true;
}

static void drop_all(ndpool *p, const harvest *h)
{
    for (size_t k = 0; k < h->n && !p->snapshot; k++)
        pool_drop_value(p, &h->rows[k].held);
}

/* Holds what the rows stand for: none of it if it fails. */
static int hold_all(ndpool *p, harvest *h)
{
    for (size_t k = 0; k < h->n && !p->snapshot; k++) {
        if (pool_hold_value(p, &h->rows[k].v, true, &h->rows[k].held) == NDPOOL_OK)
            continue;
        h->n = k;
        drop_all(p, h);
        return STATUS_TORN;
    }
    return NDPOOL_OK;
}

/* One walk into the room that there is. It holds nothing if there is too little, or if it fails. */
static int gather_locked(ndpool *p, void *arg)
{
    harvest *h = arg;
    uint32_t top;
    h->n = h->used = h->lack_rows = h->lack_bytes = 0;
    h->path[0] = -1;
    h->names = &p->names;
    h->status = NDPOOL_OK;
    int status = catalog_find_node(h->names, h->prefix, &top);
    if (status != NDPOOL_OK)
        return status;
    if (top != 0)
        add(h, top - 1, 0);
    if (!h->alone && h->status == NDPOOL_OK)
        status = catalog_walk(h->names, top, add, h);
    if (status == NDPOOL_OK)
        status = h->status;
    if (status != NDPOOL_OK)
        return status;
    return h->lack_rows > h->n ? STATUS_MORE : hold_all(p, h);
}

/* Makes room for n rows and so many bytes, and some more. */
static int make_room(harvest *h, size_t n, size_t bytes)
{
    free(h->rows);
    free(h->text);
    h->size = n + n / 4;
    h->room = bytes + bytes / 4;
    h->rows = calloc(h->size, sizeof *h->rows);
    h->text = malloc(h->room);
    if (h->rows && h->text)
        return NDPOOL_OK;
    h->n = 0;
    return fail_errno(NDPOOL_ERR_SYSTEM, "list names: %zu rows", h->size);
}

/* The room at least doubles each time, up to that of the whole table. */
static int gather(ndpool *p, harvest *h)
{
    int status = make_room(h, 64, 64 * 32);
    while (status == NDPOOL_OK) {
        status = p->snapshot ? gather_locked(p, h) : pool_with_names(p, gather_locked, h);
        if (status != STATUS_MORE)
            break;
        size_t n = h->lack_rows > 2 * h->size ? h->lack_rows : 2 * h->size;
        size_t bytes = h->lack_bytes > 2 * h->room ? h->lack_bytes : 2 * h->room;
        status = make_room(h, n, bytes);
    }
    if (status != NDPOOL_OK)
        h->n = 0;
    return status;
}

/* ---- what the caller gets */

/* A list with its memory. Local. */
typedef struct list {
    ndpool_names names; /* what the caller sees */
    ndpool_name_info *infos; /* size of them */
    size_t size;
    bool snapshot; /* holds nothing */
    char *paths;
    int64_t *shapes;
} list;

/* The bytes of all paths with a NUL behind each. Groups come before what is in them. */
static size_t measure(harvest *h)
{
    const char *slash = strrchr(h->prefix, '/');
    size_t above = slash ? (size_t)(slash - h->prefix) + 1 : 0, all = 0;
    for (size_t k = 0; k < h->n; k++) {
        row *r = &h->rows[k];
        r->length = r->bytes + (uint32_t)(r->up >= 0 ? h->rows[r->up].length + 1 : above);
        all += r->length + 1;
    }
    return all;
}

/* Writes the path of a row. Returns what is behind it. */
static char *write_path(const harvest *h, const row *r, const list *l, char *to)
{
    size_t above = r->length - r->bytes;
    const char *from = r->up >= 0 ? l->infos[r->up].path : h->prefix;
    memcpy(to, from, above);
    if (r->up >= 0)
        to[above - 1] = '/';
    memcpy(to + above, h->text + r->from, r->bytes);
    to[r->length] = 0;
    return to + r->length + 1;
}

static void describe(const row *r, ndpool_name_info *out)
{
    const name_value *v = &r->v;
    bool implicit = v->owner == NDPOOL_NAME_IMPLICIT;
    out->version = v->version;
    out->owner = implicit || v->owner == NDPOOL_NAME_POOL ? 0 : v->owner;
    out->array = v->array;
    out->flags = (v->array == 0 ? NDPOOL_GROUP : 0) | (v->owner == 0 ? NDPOOL_PERSISTENT : 0) |
                 (implicit ? NDPOOL_IMPLICIT : 0);
}

/* Room for the shapes of a list. Local. */
typedef struct shapes {
    int64_t *at, *end;
} shapes;

/* Reads what the array of a name is, or the ring: that is bytes in one dimension. */
static int describe_array(ndpool *p, uint32_t i, ndpool_name_info *out, shapes *room)
{
    meta m;
    int64_t dims[NDPOOL_MAX_NDIM];
    int status = pool_read(p, i, &m, dims);
    if (status != NDPOOL_OK)
        return status;
    if (m.ndim > room->end - room->at)
        return pool_corrupt(i, "dimensions", "got %d, which were fewer a moment ago", m.ndim);
    memcpy(room->at, dims, sizeof *dims * (size_t)m.ndim);
    out->dtype = m.dtype;
    out->bytes = m.bytes;
    out->ndim = (uint32_t)m.ndim;
    out->record_bytes = m.record_bytes;
    out->shape = room->at;
    out->flags |= (m.flags & NDPOOL_DESC_FORTRAN ? NDPOOL_FORTRAN : 0) |
                  (state_sealed(pool_state(p, i)) ? NDPOOL_SEALED : 0) | (m.flags & NDPOOL_DESC_RING ? NDPOOL_RING : 0);
    room->at += m.ndim;
    return NDPOOL_OK;
}

/* Copies the attributes of a name. In a snapshot the text may be another generation's by now, and then it is none. */
static int describe_attributes(ndpool *p, uint32_t i, uint64_t handle, ndpool_name_info *out)
{
    char *text;
    size_t bytes;
    int status = pool_copy_attributes(p, i, &text, &bytes);
    if (status != NDPOOL_OK)
        return status;
    out->attributes = text;
    out->attributes_bytes = bytes;
    if (p->snapshot)
        status = arena_fetch_desc(p->arena, i);
    if (status == NDPOOL_OK && pool_gen(p, i) != (uint32_t)(handle >> 32))
        status = fail(NDPOOL_ERR_STALE, "list names: attributes in block %u are gone", i);
    return status;
}

static int describe_blocks(ndpool *p, const name_value *v, ndpool_name_info *out, shapes *room)
{
    uint32_t i;
    int status = NDPOOL_OK;
    if (v->array)
        status = pool_live_block(p, v->array, &i) ? describe_array(p, i, out, room) : STATUS_TORN;
    if (status == NDPOOL_OK && v->attributes)
        status = pool_live_block(p, v->attributes, &i) ? describe_attributes(p, i, v->attributes, out) : STATUS_TORN;
    return status;
}

static int compare_infos(const void *a, const void *b)
{
    return strcmp(((const ndpool_name_info *)a)->path, ((const ndpool_name_info *)b)->path);
}

static void list_free(list *l)
{
    for (size_t k = 0; k < l->size; k++)
        free((char *)(uintptr_t)l->infos[k].attributes);
    free(l->infos);
    free(l->paths);
    free(l->shapes);
    free(l);
}

static list *list_new(size_t n, size_t path_bytes, size_t dims)
{
    list *l = calloc(1, sizeof *l);
    if (!l)
        return NULL;
    l->infos = calloc(n + 1, sizeof *l->infos);
    l->paths = malloc(path_bytes + 1);
    l->shapes = malloc((dims + 1) * sizeof *l->shapes);
    l->size = l->infos ? n : 0;
    if (l->infos && l->paths && l->shapes)
        return l;
    list_free(l);
    return NULL;
}

/* The dimensions of all arrays at most. */
static size_t count_dims(ndpool *p, const harvest *h)
{
    size_t n = 0;
    for (size_t k = 0; k < h->n; k++) {
        uint32_t i;
        if (h->rows[k].v.array && pool_index(p, h->rows[k].v.array, &i) && i < pool_descs(p)) {
            uint32_t ndim = shm_load32(&pool_desc(p, i)->ndim);
            n += ndim < NDPOOL_MAX_NDIM ? ndim : NDPOOL_MAX_NDIM;
        }
    }
    return n;
}

/* Fills the list. In a snapshot, names that cannot be told about are left out. */
static int fill(ndpool *p, const harvest *h, list *l, size_t dims)
{
    shapes room = {.at = l->shapes, .end = l->shapes + dims};
    char *at = l->paths;
    for (size_t k = 0; k < h->n; k++) {
        ndpool_name_info *info = &l->infos[k];
        info->path = at;
        at = write_path(h, &h->rows[k], l, at);
        describe(&h->rows[k], info);
        int status = describe_blocks(p, &h->rows[k].v, info, &room);
        if (status != NDPOOL_OK && !p->snapshot)
            return pool_name_error(p, "list", info->path, status);
        if (status != NDPOOL_OK)
            info->ndim = NOT_TOLD;
    }
    return NDPOOL_OK;
}

/* Puts the names that can be told about first, in the order of their paths. */
static void order(list *l)
{
    size_t n = 0;
    for (size_t k = 0; k < l->size; k++) {
        if (l->infos[k].ndim == NOT_TOLD)
            continue;
        ndpool_name_info swap = l->infos[n];
        l->infos[n++] = l->infos[k];
        if (n - 1 != k)
            l->infos[k] = swap;
    }
    qsort(l->infos, n, sizeof *l->infos, compare_infos);
    l->names = (ndpool_names){.n = n, .names = l->infos};
}

static int make_list(ndpool *p, harvest *h, list **out)
{
    size_t bytes = measure(h), dims = count_dims(p, h);
    list *l = list_new(h->n, bytes, dims);
    if (!l)
        return fail_errno(NDPOOL_ERR_SYSTEM, "list names: %zu names", h->n);
    int status = fill(p, h, l, dims);
    if (status != NDPOOL_OK) {
        list_free(l);
        return status;
    }
    order(l);
    l->snapshot = p->snapshot;
    *out = l;
    return NDPOOL_OK;
}

/* What the list holds from now on are the arrays. */
static void keep_arrays(ndpool *p, const harvest *h)
{
    for (size_t k = 0; k < h->n && !p->snapshot; k++) {
        if (h->rows[k].held.has_attributes)
            pool_drop(p, h->rows[k].held.attributes);
    }
}

static int list_names(ndpool *p, const char *prefix, bool alone, list **out)
{
    harvest h = {.prefix = prefix, .alone = alone};
    int status = alone || *prefix ? pool_check_path("list", prefix) : NDPOOL_OK;
    if (status != NDPOOL_OK)
        return status;
    status = pool_name_error(p, "list", prefix, gather(p, &h));
    if (status == NDPOOL_OK) {
        status = make_list(p, &h, out);
        if (status == NDPOOL_OK)
            keep_arrays(p, &h);
        else
            drop_all(p, &h);
    }
    free(h.rows);
    free(h.text);
    return status;
}

static int look(ndpool *p, const char *prefix, bool alone, ndpool_names **out)
{
    list *l;
    *out = NULL;
    int status = pool_look(p);
    if (status != NDPOOL_OK)
        return status;
    status = list_names(p, prefix ? prefix : "", alone, &l);
    if (status == NDPOOL_OK)
        *out = &l->names;
    pool_leave(p);
    return status;
}

int ndpool_list(ndpool *p, const char *prefix, ndpool_names **out) { return look(p, prefix, false, out); }
int ndpool_find(ndpool *p, const char *path, ndpool_names **out) { return look(p, path, true, out); }

/* In a forked child the references are the child's, and so is this copy of the list. */
void ndpool_names_free(ndpool *p, ndpool_names *names)
{
    if (!names)
        return;
    for (size_t k = 0; k < names->n; k++) {
        if (names->names[k].array && !((list *)names)->snapshot)
            (void)ndpool_release(p, names->names[k].array);
    }
    list_free((list *)names);
}
