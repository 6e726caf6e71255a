/*
 * A private copy of a pool's tables, for looking at a pool without attaching to it: no slot is taken, no dead process
 * is swept, no lock is waited for and nothing is written, and the pool lives and ends as if nobody looked. Numbers of a
 * busy pool are of slightly different moments; each array is whole. Twin of pool/peek.go.
 */
#include "pool/pool.h"

#include <stdlib.h>

static bool peekable(const ndpool *p, uint32_t i)
{
    int kind = state_kind(pool_state(p, i));
    return kind == NDPOOL_KIND_LIVE || kind == NDPOOL_KIND_PRIVATE;
}

/* Fetches the first n bytes of block i, which is alive. If it is another block by now, so may the bytes be: in the copy it
 * becomes FREE, and is not there. */
static void fetch_bytes(const ndpool *p, uint32_t i, uint64_t n)
{
    extent e;
    if (!pool_extent(p, i, &e) || n == 0)
        return; /* what has not arrived is refused when it is read */
    state was = pool_state(p, i);
    uint32_t asked = pool_gen(p, i);
    int status = arena_fetch(p->arena, extent_offset(e), n < extent_size(e) ? n : extent_size(e));
    if (status == NDPOOL_OK)
        status = arena_fetch_desc(p->arena, i);
    if (status != NDPOOL_OK || pool_gen(p, i) != asked || !peekable(p, i))
        shm_store64(&pool_desc(p, i)->state, state_to(was, NDPOOL_KIND_FREE, 0)); /* of the copy */
}

/* Fetches rings, and what lies before the users' bytes of each other array. */
static void fetch_blocks(const ndpool *p)
{
    for (uint32_t i = 0, n = pool_descs(p); i < n; i++) {
        const ndpool_desc *d = pool_desc(p, i);
        if (peekable(p, i))
            fetch_bytes(p, i, pool_is_ring(p, i) ? shm_load64(&d->bytes) : shm_load32(&d->header));
    }
}

int ndpool_peek(const char *name, const ndpool_options *o, ndpool **out)
{
    const ndpool_options none = NDPOOL_OPTIONS_INIT;
    location l;
    arena *a;
    ndpool *p;
    options_location(name, o ? o : &none, &l);
    int status = arena_peek(&l, &a);
    if (status != NDPOOL_OK)
        return status;
    status = pool_new(a, &p);
    if (status != NDPOOL_OK)
        return status;
    fetch_blocks(p);
    catalog_roll(&p->names); /* of the copy: entries that were copied half are left out */
    catalog_rebuild(&p->names);
    *out = p;
    return NDPOOL_OK;
}

int ndpool_condition(ndpool *p, ndpool_condition_t *out)
{
    bool attended;
    int status = pool_look(p);
    if (status != NDPOOL_OK)
        return status;
    status = arena_attended(p->arena, &attended);
    if (status == NDPOOL_OK)
        *out = attended ? NDPOOL_COND_LIVE : pool_orphaned(p->arena) ? NDPOOL_COND_LEFT_BEHIND : NDPOOL_COND_IDLE;
    pool_leave(p);
    return status;
}

static int compare_first(const void *a, const void *b)
{
    int x = extent_first(*(const extent *)a), y = extent_first(*(const extent *)b);
    return (x > y) - (x < y);
}

/* Collects the valid extents of blocks in use into used, which has room for n, and returns how many there are. */
static size_t collect_used(const ndpool *p, extent *used, uint32_t n)
{
    size_t count = 0;
    for (uint32_t i = 0; i < n; i++) {
        int kind = state_kind(pool_state(p, i));
        if ((kind_owned(kind) || kind == NDPOOL_KIND_LIVE) && pool_extent(p, i, &used[count]))
            count++;
    }
    return count;
}

static void count_gap(int from, int to, int *free_pages, int *largest)
{
    if (to > from)
        *free_pages += to - from;
    if (to - from > *largest)
        *largest = to - from;
}

/* Finds the pages that no block and no slab takes, and the longest run of them. */
int pool_gaps(const ndpool *p, int *free_pages, int *largest)
{
    uint32_t n = pool_descs(p);
    extent *used = malloc(((size_t)n + 1) * sizeof *used); /* one more, where an extent lies that is not valid */
    if (used == NULL)
        return fail_errno(NDPOOL_ERR_SYSTEM, "count free pages: allocate %u extents", n);
    size_t count = collect_used(p, used, n);
    qsort(used, count, sizeof *used, compare_first);
    int end = 0;
    *free_pages = *largest = 0;
    for (size_t k = 0; k < count; k++) {
        int first = extent_first(used[k]), behind = first + extent_pages(used[k]);
        count_gap(end, first, free_pages, largest);
        end = behind > end ? behind : end;
    }
    count_gap(end, p->pages, free_pages, largest);
    free(used);
    return NDPOOL_OK;
}

/* Counts the dead processes that were not swept yet. */
static int count_dead(const char *name, const ndpool_options *o, int *dead)
{
    ndpool_process_info found[NDPOOL_MAX_PROCESSES];
    ndpool *s;
    int status = ndpool_peek(name, o, &s);
    if (status != NDPOOL_OK)
        return status;
    size_t n = ndpool_processes(s, found, NDPOOL_MAX_PROCESSES);
    ndpool_free(s);
    *dead = 0;
    for (size_t k = 0; k < n; k++)
        *dead += !found[k].alive;
    return NDPOOL_OK;
}

/* Sweeps by an attachment of its own, and leaves as one that keeps nothing. */
static int reap_attached(ndpool *p, ndpool_reaped *out)
{
    ndpool_reaped r = {0};
    int status = ndpool_reap(p, &r);
    ndpool_error why = *error_now();
    p->keep = false;
    ndpool_close(p);
    r.removed = p->removed;
    ndpool_free(p);
    if (status != NDPOOL_OK)
        *error_now() = why;
    else
        *out = r;
    return status;
}

int ndpool_reap_name(const char *name, const ndpool_options *o, ndpool_reaped *out)
{
    ndpool_options look = o ? *o : (ndpool_options)NDPOOL_OPTIONS_INIT;
    ndpool *p;
    int dead;
    int status = count_dead(name, &look, &dead);
    if (status != NDPOOL_OK)
        return status;
    look.observer = true; /* so that the sweep is not the attachment's, but counted below */
    status = pool_open(name, &look, true, &p);
    if (status == NDPOOL_OK)
        return reap_attached(p, out);
    if (status != NDPOOL_ERR_NOT_EXIST)
        return status;
    *out = (ndpool_reaped){.processes = dead, .removed = true};
    return NDPOOL_OK;
}
