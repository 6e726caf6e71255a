/* Getting from queues. Twin of pool/get.go. */
#include "pool/queue.h"

#include "internal/errors.h"

/* Items on their way. Local. */
typedef struct getting {
    ndpool_queue *q;
    ndpool_got *out;
    size_t items, size; /* at most */
    size_t n;           /* entries got */
    uint64_t asked;     /* entries of the first item, if they are more than size */
} getting;

/* Holds the blocks of an item, and notes what they are. */
static void hold_item(getting *g, const ring *r, uint64_t pos, uint64_t length)
{
    ndpool *p = g->q->p;
    for (uint64_t k = 0; k < length; k++) {
        ndpool_got *to = &g->out[g->n++];
        ring_entry e = {0};
        uint32_t i = 0;
        (void)ring_look(r, pos + k, &e);
        (void)pool_index(p, e.array, &i);
        refs_hold(&p->refs, i);
        to->array.handle = e.array;
        to->kind = k == 0 ? (uint32_t)entry_kind(e.word) : 0;
        to->more = (uint32_t)(k == 0 ? length - 1 : 0);
    }
}

/* Gets what there is. The getter's references come before tail: a death before that leaves the items in the queue, and
 * after it they are the dead one's. *bad: so many entries were damage, and are gone. */
static int get_locked(getting *g, uint64_t *bad)
{
    const ring *r = &g->q->ref.ring;
    ring_blocks b = pool_ring_blocks(g->q->p);
    uint64_t tail, head;
    if (!ring_span(r, &tail, &head))
        return pool_torn_ring("get");
    for (size_t items = 0; tail != head && (g->items == 0 || items < g->items); items++) {
        uint64_t length;
        bool whole = ring_item(r, tail, head, &b, &length), fits = length <= g->size - g->n;
        if (g->n == 0 && !whole)
            *bad = length;
        else if (g->n == 0 && !fits)
            g->asked = length;
        if (!whole || !fits || (g->n > 0 && g->n + length > QUEUE_BATCH))
            break;
        hold_item(g, r, tail, length);
        tail += length;
    }
    if (*bad + g->n > 0)
        ring_drop(r, *bad + g->n, &b);
    if (*bad > 0)
        return pool_torn_entry("get");
    if (g->asked > 0)
        return NDPOOL_ERR_TOO_LONG;
    return g->n > 0 ? NDPOOL_OK : ring_is_shut(r) ? NDPOOL_ERR_SHUT : STATUS_NOTHING;
}

static int get_step(waiting *w, bool slept)
{
    getting *g = w->of;
    ndpool *p = g->q->p;
    uint64_t bad = 0;
    int status = pool_enter(p);
    if (status != NDPOOL_OK)
        return status;
    pool_wait_at(w, &g->q->ref.ring);
    if (ring_head(&w->at) == ring_tail(&w->at) && !ring_is_shut(&w->at)) {
        pool_leave(p);
        return STATUS_NOTHING;
    }
    status = pool_lock(p);
    if (status == NDPOOL_OK) {
        pool_flush_locked(p);
        status = get_locked(g, &bad);
        pool_unlock(p);
    }
    if (g->n + bad > 0)
        bell_ring(ring_room(&w->at), (int)(g->n + bad));
    if (status == NDPOOL_OK)
        queue_pass_on(&w->at, slept, false);
    pool_leave(p);
    return status;
}

/* Fills in the array of an entry that was got; the reference ends if it fails. */
static int fill_array(ndpool *p, ndpool_got *g)
{
    uint32_t i = 0;
    meta m;
    int64_t shape[NDPOOL_MAX_NDIM];
    (void)pool_index(p, g->array.handle, &i);
    int status = pool_read(p, i, &m, shape);
    if (status == NDPOOL_OK)
        return pool_array(p, i, &m, shape, 0, &g->array);
    ndpool_error why = *error_now();
    (void)pool_drop(p, i);
    *error_now() = why;
    return status;
}

/* Fills in the arrays of the item at a place, all or none. */
static int fill_item(ndpool *p, ndpool_got *g, size_t length)
{
    int status = NDPOOL_OK;
    size_t k = 0, bad = length;
    for (; k < length; k++) {
        int s = fill_array(p, &g[k]);
        if (s == NDPOOL_OK)
            continue;
        status = s;
        bad = k;
        break;
    }
    if (status == NDPOOL_OK)
        return status;
    ndpool_error why = *error_now();
    for (k = 0; k < length; k++) {
        if (k != bad)
            (void)ndpool_release(p, g[k].array.handle);
    }
    *error_now() = why;
    return status;
}

/* Fills in what was got. An item that cannot be read is gone; the status is OK if any is left. */
static int fill(getting *g)
{
    int status = NDPOOL_OK;
    size_t n = 0;
    for (size_t at = 0, length; at < g->n; at += length) {
        length = g->out[at].more + (size_t)1;
        int s = fill_item(g->q->p, &g->out[at], length);
        if (s != NDPOOL_OK) {
            status = s;
            continue;
        }
        if (n != at)
            memmove(&g->out[n], &g->out[at], length * sizeof *g->out);
        n += length;
    }
    g->n = n;
    return n > 0 ? NDPOOL_OK : status;
}

int ndpool_queue_get(ndpool_queue *q, size_t items, ndpool_got *out, size_t size, int64_t wait, ndpool_go_on go_on, void *arg,
                     size_t *n)
{
    getting g = {.q = q, .out = out, .items = items, .size = size};
    waiting w = {.wait = wait, .go_on = go_on, .arg = arg, .bell = ring_news, .stamp = ring_news_stamp, .spins = &q->get_spins,
                 .one = true, .try = get_step, .of = &g};
    int status = pool_wait(&w);
    if (status == STATUS_NOTHING)
        return fail(NDPOOL_ERR_TIMEOUT, "get: timeout while waiting for an item");
    if (status == NDPOOL_ERR_SHUT)
        return fail(status, "get: the queue was shut down, and is empty");
    if (status == NDPOOL_ERR_TOO_LONG)
        return queue_too_long("get", (size_t)g.asked, size);
    if (status == NDPOOL_OK)
        status = fill(&g);
    if (status == NDPOOL_OK)
        *n = g.n;
    return status;
}
