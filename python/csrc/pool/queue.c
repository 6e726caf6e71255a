/* Queues: what was put is there until a get returns it. Twin of pool/queue.go. */
#include "pool/queue.h"

#include <stdlib.h>

#include "internal/errors.h"

/* Takes over the reference, also if it fails. */
static int new_queue(ndpool *p, const ring_ref *ref, ndpool_queue **out)
{
    ndpool_queue *q = malloc(sizeof *q);
    if (!q) {
        (void)pool_drop(p, ref->block);
        return fail_errno(NDPOOL_ERR_SYSTEM, "open queue: %zu bytes", sizeof *q);
    }
    memset(q, 0, sizeof *q);
    q->p = p;
    q->ref = *ref;
    pool_open_role(p);
    *out = q;
    return NDPOOL_OK;
}

int ndpool_queue_open(ndpool *p, const char *path, const ndpool_ring_options *o, ndpool_queue **out)
{
    ring_ref ref;
    *out = NULL;
    int status = pool_open_ring(p, "open queue", path, NDPOOL_RING_QUEUE, o, &ref);
    return status == NDPOOL_OK ? new_queue(p, &ref, out) : status;
}

ndpool_handle ndpool_queue_handle(const ndpool_queue *q) { return q->ref.handle; }

static int retain_queue(ndpool *p, ndpool_handle h, ring_ref *ref)
{
    uint32_t i;
    int status = pool_resolve(p, h, &i);
    if (status == NDPOOL_OK && pool_live_block(p, h, &i) && !pool_is_ring(p, i))
        status = fail(NDPOOL_ERR_KIND, "retain %016llx: an array is no queue", (unsigned long long)h);
    if (status == NDPOOL_OK)
        status = pool_add_reference(p, i, (uint32_t)(h >> 32));
    return status == NDPOOL_OK ? pool_ring_ref(p, "retain queue", i, NDPOOL_RING_QUEUE, ref) : status;
}

int ndpool_queue_retain(ndpool *p, ndpool_handle h, ndpool_queue **out)
{
    ring_ref ref;
    *out = NULL;
    int status = pool_enter(p);
    if (status != NDPOOL_OK)
        return status;
    status = retain_queue(p, h, &ref);
    if (status == NDPOOL_OK)
        status = new_queue(p, &ref, out);
    pool_leave(p);
    return status;
}

int ndpool_queue_adopt(ndpool *p, ndpool_transfer t, ndpool_queue **out)
{
    uint32_t i;
    meta m;
    int64_t shape[NDPOOL_MAX_NDIM];
    ring_ref ref;
    *out = NULL;
    int status = pool_enter(p);
    if (status != NDPOOL_OK)
        return status;
    status = pool_adopt(p, t, true, &i, &m, shape);
    if (status == NDPOOL_OK)
        status = pool_ring_ref(p, "adopt queue", i, NDPOOL_RING_QUEUE, &ref);
    if (status == NDPOOL_OK)
        status = new_queue(p, &ref, out);
    pool_leave(p);
    return status;
}

void ndpool_queue_close(ndpool_queue *q)
{
    if (!q)
        return;
    if (!pool_forked(q->p)) {
        (void)pool_drop(q->p, q->ref.block);
        pool_close_role(q->p);
    }
    free(q);
}

void queue_pass_on(const ring *r, bool slept, bool room)
{
    uint64_t tail = ring_tail(r), head = ring_head(r);
    if (slept && room && head - tail < r->n_entries)
        bell_ring(ring_room(r), 1);
    if (slept && !room && head != tail)
        bell_ring(ring_news(r), 1);
}

int queue_too_long(const char *verb, size_t asked, size_t limit)
{
    fail(NDPOOL_ERR_TOO_LONG, "%s: an item of %zu entries (at most %zu)", verb, asked, limit);
    error_now()->asked = asked;
    error_now()->limit = limit;
    return NDPOOL_ERR_TOO_LONG;
}

int ndpool_queue_shut(ndpool_queue *q)
{
    ndpool *p = q->p;
    const ring *r = &q->ref.ring;
    int status = pool_enter(p);
    if (status != NDPOOL_OK)
        return status;
    status = pool_lock(p);
    if (status == NDPOOL_OK) {
        ring_shut(r);
        pool_unlock(p);
        bell_shake(ring_news(r)); /* also those whose flag another one's wake-up has cleared */
        bell_shake(ring_room(r));
    }
    pool_leave(p);
    return status;
}

/* Without the lock: numbers of a busy queue are of slightly different moments. */
int ndpool_queue_look(ndpool_queue *q, ndpool_queue_info *out)
{
    const ring *r = &q->ref.ring;
    int status = pool_enter(q->p);
    if (status != NDPOOL_OK)
        return status;
    uint64_t tail = ring_tail(r), head = ring_head(r), n = head - tail, items = ring_items(r);
    n = n < r->n_entries ? n : r->n_entries;
    *out = (ndpool_queue_info){.items = items < n ? items : n, .entries = n, .limit = r->n_entries, .shut = ring_is_shut(r)};
    pool_leave(q->p);
    return NDPOOL_OK;
}
