/* Putting into queues, and putting back. Twin of pool/put.go. */
#include "pool/queue.h"

#include <stdlib.h>

#include "internal/errors.h"

/* Entries on their way. Local. */
typedef struct putting {
    ndpool_queue *q;
    const ndpool_put *entries;
    size_t n, done;
    bool back;
} putting;

/* How many entries the item at a place has. */
static size_t item_length(const ndpool_put *e, size_t n)
{
    size_t k = 1;
    while (k < n && e[k].kind == 0)
        k++;
    return k;
}

/* Tells whether the queue can ever take the entries. */
static int check_items(const putting *b, const char *verb)
{
    size_t limit = b->q->ref.ring.n_entries;
    if (b->back && b->n > limit)
        return queue_too_long(verb, b->n, limit);
    for (size_t at = 0, length; at < b->n; at += length) {
        const ndpool_put *e = &b->entries[at];
        if (e->kind < NDPOOL_ITEM_ARRAY || e->kind > NDPOOL_ITEM_PICKLE)
            return fail(NDPOOL_ERR_KIND, "%s: entry %zu: got kind %u, which no item's first entry has", verb, at, e->kind);
        length = item_length(e, b->n - at);
        if (length > limit)
            return queue_too_long(verb, length, limit);
    }
    return NDPOOL_OK;
}

/* Shares what is put, which the caller holds: arrays only. */
static int share_arrays(const putting *b, const char *verb)
{
    ndpool *p = b->q->p;
    for (size_t k = 0; k < b->n; k++) {
        uint32_t i;
        stripe *st;
        int status = pool_hold(p, b->entries[k].array, verb, &i, &st);
        if (status != NDPOOL_OK)
            return status;
        bool is_ring = pool_is_ring(p, i);
        if (!is_ring)
            refs_share_locked(&p->refs, i);
        spin_unlock(&st->mutex);
        if (is_ring)
            return pool_refuse_ring(verb, b->entries[k].array);
    }
    return NDPOOL_OK;
}

/* Makes the entries of an item. */
static void describe_item(const ndpool *p, const ndpool_put *from, size_t n, ring_entry *to)
{
    int64_t monotonic = mono_time(), wall = wall_time();
    for (size_t k = 0; k < n; k++) {
        entry_word w = entry_attached(make_entry(NDPOOL_ENTRY_ARRAY, 0));
        if (k == 0)
            w = make_entry((int)from->kind, (uint32_t)(n - 1));
        to[k] = (ring_entry){.array = from[k].array, .word = w, .monotonic = monotonic, .wall = wall, .sender = p->arena->self};
    }
}

/* How many entries of whole items fit into so much room, up to a batch. */
static size_t fitting(const putting *b, size_t room)
{
    size_t n = 0;
    while (b->done + n < b->n) {
        size_t length = item_length(&b->entries[b->done + n], b->n - b->done - n);
        if (n + length > room || (n > 0 && n + length > QUEUE_BATCH))
            break;
        n += length;
    }
    return n;
}

static int put_locked(putting *b, ring_entry *es, uint32_t *items)
{
    const ring *r = &b->q->ref.ring;
    ring_blocks blocks = pool_ring_blocks(b->q->p);
    uint64_t tail, head;
    if (ring_is_shut(r))
        return NDPOOL_ERR_SHUT;
    if (!ring_span(r, &tail, &head))
        return pool_torn_ring("put");
    size_t n = fitting(b, r->n_entries - (size_t)(head - tail));
    *items = 0;
    for (size_t at = 0, length; at < n; at += length, ++*items) {
        const ndpool_put *from = &b->entries[b->done + at];
        length = item_length(from, n - at);
        describe_item(b->q->p, from, length, es + at);
    }
    if (n > 0)
        ring_put(r, es, (uint32_t)n, &blocks);
    b->done += n;
    return NDPOOL_OK;
}

static int put_back_locked(putting *b, ring_entry *es, uint32_t *items)
{
    const ring *r = &b->q->ref.ring;
    ring_blocks blocks = pool_ring_blocks(b->q->p);
    uint64_t tail, head;
    if (!ring_span(r, &tail, &head))
        return pool_torn_ring("put back");
    if (tail < b->n)
        return fail(NDPOOL_ERR_MISMATCH, "put back: got %zu entries, and only %llu were ever got", b->n,
                    (unsigned long long)tail);
    *items = 0;
    if (r->n_entries - (head - tail) < b->n)
        return NDPOOL_OK;
    for (size_t at = 0, length; at < b->n; at += length, ++*items) {
        length = item_length(&b->entries[at], b->n - at);
        describe_item(b->q->p, &b->entries[at], length, es + at);
    }
    ring_put_back(r, es, (uint32_t)b->n, &blocks);
    b->done = b->n;
    return NDPOOL_OK;
}

/* Puts what there is room for. */
static int put_some(putting *b, ring_entry *es, bool slept)
{
    ndpool *p = b->q->p;
    const ring *r = &b->q->ref.ring;
    uint32_t items = 0;
    int status = pool_lock(p);
    if (status != NDPOOL_OK)
        return status;
    pool_flush_locked(p);
    status = b->back ? put_back_locked(b, es, &items) : put_locked(b, es, &items);
    pool_unlock(p);
    if (items > 0)
        bell_ring(ring_news(r), (int)items);
    if (status != NDPOOL_OK || b->done < b->n)
        return status == NDPOOL_OK ? STATUS_NOTHING : status;
    queue_pass_on(r, slept, true);
    return NDPOOL_OK;
}

/* A put under way, with memory for the entries of one hold of the lock. Local. */
typedef struct put_wait {
    putting b;
    ring_entry *es;
} put_wait;

static int put_step(waiting *w, bool slept)
{
    put_wait *m = w->of;
    putting *b = &m->b;
    size_t had;
    int status = pool_enter(b->q->p);
    if (status != NDPOOL_OK)
        return status;
    do {
        pool_wait_at(w, &b->q->ref.ring);
        had = b->done;
        status = put_some(b, m->es, slept);
    } while (status == STATUS_NOTHING && b->done > had);
    pool_leave(b->q->p);
    w->much = b->back || (b->done < b->n && item_length(&b->entries[b->done], b->n - b->done) > 1);
    return status;
}

/* The most entries that one hold of the lock may put. */
static size_t most_at_once(const putting *b)
{
    size_t most = b->back || b->n < QUEUE_BATCH ? b->n : QUEUE_BATCH;
    for (size_t at = 0, length; at < b->n; at += length) {
        length = item_length(&b->entries[at], b->n - at);
        most = length > most ? length : most;
    }
    return most;
}

static int put_waiting(putting *b, ring_entry *es, const char *verb, int64_t wait, ndpool_go_on go_on, void *arg)
{
    put_wait m = {.b = *b, .es = es};
    waiting w = {.wait = wait, .go_on = go_on, .arg = arg, .bell = ring_room, .stamp = ring_room_stamp, .spins = &b->q->put_spins,
                 .one = true, .try = put_step, .of = &m};
    int status = pool_wait(&w);
    b->done = m.b.done;
    if (status == STATUS_NOTHING)
        return fail(NDPOOL_ERR_TIMEOUT, "%s: timeout while waiting for room: %zu of %zu entries are in the queue", verb,
                    b->done, b->n);
    return status == NDPOOL_ERR_SHUT ? fail(status, "%s: the queue was shut down", verb) : status;
}

/* Puts all, or says how many. */
static int put_all(putting *b, const char *verb, int64_t wait, ndpool_go_on go_on, void *arg)
{
    ring_entry few[16], *es = few;
    if (b->n == 0)
        return NDPOOL_OK;
    int status = pool_enter(b->q->p);
    if (status != NDPOOL_OK)
        return status;
    status = check_items(b, verb);
    if (status == NDPOOL_OK)
        status = share_arrays(b, verb);
    pool_leave(b->q->p);
    if (status != NDPOOL_OK)
        return status;
    size_t most = most_at_once(b);
    if (most > sizeof few / sizeof *few) {
        es = malloc(most * sizeof *es);
        if (!es)
            return fail_errno(NDPOOL_ERR_SYSTEM, "%s: %zu entries", verb, most);
    }
    status = put_waiting(b, es, verb, wait, go_on, arg);
    if (es != few)
        free(es);
    return status;
}

int ndpool_queue_put(ndpool_queue *q, const ndpool_put *entries, size_t n, int64_t wait, ndpool_go_on go_on, void *arg,
                     size_t *done)
{
    putting b = {.q = q, .entries = entries, .n = n};
    int status = put_all(&b, "put", wait, go_on, arg);
    if (done)
        *done = b.done;
    return status;
}

int ndpool_queue_put_back(ndpool_queue *q, const ndpool_put *entries, size_t n, int64_t wait, ndpool_go_on go_on, void *arg)
{
    putting b = {.q = q, .entries = entries, .n = n, .back = true};
    return put_all(&b, "put back", wait, go_on, arg);
}
