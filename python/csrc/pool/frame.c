/* Readers of streams, as they come and go. Twin of pool/frame.go. */
#include "pool/stream.h"

#include <stdlib.h>

#include "internal/errors.h"

/* Enters the reader among those that the writer waits for, of whom the dead make room. */
static int admit(ndpool_reader *r, const ring *g, uint64_t next, uint32_t *place)
{
    ndpool *p = r->p;
    uint64_t tail, head;
    bool sound, got = false;
    int status = pool_bury_roles(p, g);
    if (status == NDPOOL_OK)
        status = pool_lock(p);
    if (status != NDPOOL_OK)
        return status;
    sound = ring_span(g, &tail, &head);
    next = next > tail ? next : tail;
    if (sound)
        got = ring_enter(g, p->arena->self, next < head ? next : head, place);
    pool_unlock(p);
    if (!sound)
        return pool_torn_ring("read stream");
    if (got) {
        bell_ring(ring_room(g), RING_ALL); /* a writer may wait for readers */
        return NDPOOL_OK;
    }
    fail(NDPOOL_ERR_TABLE_FULL, "read stream \"%.200s\": the writer waits for %u readers already", r->path, g->n_readers);
    error_now()->limit = g->n_readers;
    return NDPOOL_ERR_TABLE_FULL;
}

/* Ends what the reader is to the stream that it has. If the lock cannot be had, its place is free when the process
 * leaves. */
static void part(ndpool_reader *r)
{
    ndpool *p = r->p;
    const ring *g = &r->ref.ring;
    uint64_t pos;
    if (!r->entered || pool_lock(p) != NDPOOL_OK)
        return;
    if (ring_reader(g, r->place, &pos) == r->self)
        ring_leave(g, r->place);
    pool_unlock(p);
    bell_ring(ring_room(g), RING_ALL);
}

int reader_find(ndpool_reader *r, bool first)
{
    ndpool *p = r->p;
    ring_ref ref;
    uint32_t ends = 0, place = 0;
    uint64_t next = 0;
    int status = pool_find_ring(p, "read stream", r->path, NDPOOL_RING_STREAM, r->ref.handle, &ref, NULL);
    if (status != NDPOOL_OK || ref.handle == 0)
        return status == NDPOOL_ERR_NO_NAME ? NDPOOL_OK : status;
    if (first) {
        ends = ring_ends(&ref.ring); /* before the positions: a writer that ends after this is told of */
        next = r->from_now ? ring_head(&ref.ring) : ring_tail(&ref.ring);
    }
    bool entered = r->every && ring_lossless(&ref.ring);
    if (entered)
        status = admit(r, &ref.ring, next, &place);
    if (status != NDPOOL_OK) {
        ndpool_error why = *error_now();
        (void)pool_drop(p, ref.block);
        *error_now() = why;
        return status;
    }
    if (r->ref.handle) {
        part(r);
        (void)pool_drop(p, r->ref.block);
    }
    r->ref = ref;
    r->entered = entered;
    r->place = place;
    r->ends = ends;
    r->next = next;
    return NDPOOL_OK;
}

static void reader_free(ndpool_reader *r)
{
    free(r->path);
    free(r);
}

int ndpool_reader_open(ndpool *p, const char *path, uint32_t flags, ndpool_reader **out)
{
    *out = NULL;
    int status = pool_enter(p);
    if (status != NDPOOL_OK)
        return status;
    ndpool_reader *r = calloc(1, sizeof *r);
    if (!r || !(r->path = strdup(path))) {
        free(r);
        status = fail_errno(NDPOOL_ERR_SYSTEM, "read stream: %zu bytes", sizeof *r);
        pool_leave(p);
        return status;
    }
    r->p = p;
    r->self = p->arena->self;
    r->every = flags & NDPOOL_EVERY;
    r->from_now = flags & NDPOOL_FROM_NOW;
    status = reader_find(r, true);
    if (status == NDPOOL_OK) {
        pool_open_role(p);
        *out = r;
    } else {
        reader_free(r);
    }
    pool_leave(p);
    return status;
}

/* In a forked child the place is the parent's. */
void ndpool_reader_close(ndpool_reader *r)
{
    if (!r)
        return;
    ndpool *p = r->p;
    if (!pool_forked(p)) {
        if (r->ref.handle && r->self == atomic_load(&p->self) && pool_stay(p) == NDPOOL_OK) {
            part(r);
            pool_leave(p);
        }
        if (r->ref.handle)
            (void)pool_drop(p, r->ref.block);
        pool_close_role(p);
    }
    reader_free(r);
}
