/* Arrays from process to process. Twin of pool/transfer.go. */
#include <inttypes.h>

#include "internal/errors.h"
#include "pool/pool.h"

static uint32_t ticket_index(ndpool_ticket_t t) { return (uint32_t)t; }
static uint32_t ticket_asked(ndpool_ticket_t t) { return (uint32_t)(t >> 32); }

ndpool_process ndpool_self(const ndpool *p) { return !p->snapshot && !pool_forked(p) ? atomic_load(&p->self) : 0; }

/* Makes a private block of this process one that others can be told about, and returns its handle. Precondition: the
 * caller has a reference. */
uint64_t pool_share(ndpool *p, uint32_t i)
{
    stripe *st = refs_stripe(&p->refs, i);
    spin_lock(&st->mutex);
    refs_share_locked(&p->refs, i);
    spin_unlock(&st->mutex);
    return pool_handle_of(p, i);
}

/* The next free ticket after the last one used, so that a spent ticket stays recognisable for as long as possible; -1
 * if there is none. A set that has an open one is torn, and made anew. */
static int64_t free_ticket_locked(ndpool *p)
{
    for (int k = 0; k < 2; k++) {
        int64_t n = set_next(&p->alloc.tickets, shm_get32(&p->arena->ctl->next) % p->arena->n_tickets);
        if (n < 0)
            n = set_next(&p->alloc.tickets, 0);
        if (n < 0 || !refs_ticket_open(&p->refs, (uint32_t)n))
            return n;
        pool_rebuild_locked(p);
    }
    return -1;
}

static int mint_locked(ndpool *p, uint32_t i, ndpool_handle h, ident to, ndpool_transfer *out)
{
    pool_flush_locked(p);
    if (to != 0 && !arena_receives(p->arena, to))
        return NDPOOL_ERR_DEAD;
    int64_t n = free_ticket_locked(p);
    if (n < 0)
        return STATUS_NO_TICKET;
    set_remove(&p->alloc.tickets, (uint64_t)n);
    shm_put32(&p->arena->ctl->next, (uint32_t)n + 1);
    uint32_t nonce = refs_send(&p->refs, (uint32_t)n, i, h, to);
    *out = (ndpool_transfer){h, (uint64_t)n | (uint64_t)nonce << 32};
    return NDPOOL_OK;
}

/* Takes a free ticket and opens it. */
static int mint(ndpool *p, uint32_t i, ndpool_handle h, ident to, ndpool_transfer *out)
{
    int status = pool_lock(p);
    if (status != NDPOOL_OK)
        return status;
    status = mint_locked(p, i, h, to, out);
    pool_unlock(p);
    if (status == NDPOOL_ERR_DEAD)
        return fail(status, "send to process %" PRId64 ".%u: process is not attached", ident_slot(to),
                    ident_incarnation(to));
    return status == NDPOOL_OK ? status : pool_explain(p, status, 0);
}

int ndpool_send(ndpool *p, ndpool_handle h, ndpool_process to, ndpool_transfer *out)
{
    uint32_t i;
    stripe *st;
    int status = pool_enter(p);
    if (status != NDPOOL_OK)
        return status;
    status = pool_hold(p, h, "send", &i, &st);
    if (status == NDPOOL_OK) {
        refs_share_locked(&p->refs, i);
        spin_unlock(&st->mutex);
        status = mint(p, i, h, to, out);
    }
    pool_leave(p);
    return status;
}

static int check_ticket(const ndpool *p, ndpool_transfer t, uint32_t *i)
{
    int status = pool_resolve(p, t.handle, i);
    if (status == NDPOOL_OK && ticket_index(t.ticket) >= p->arena->n_tickets)
        status = fail(NDPOOL_ERR_FORGED, "ticket %u: no such ticket: nonce %u asked, there are %u tickets",
                      ticket_index(t.ticket), ticket_asked(t.ticket), p->arena->n_tickets);
    return status;
}

/* Tells whether block i, which its ticket keeps alive, is of the kind that is wanted. */
static int check_kind(const ndpool *p, ndpool_transfer t, uint32_t i, bool wants_ring)
{
    if (pool_is_ring(p, i) == wants_ring)
        return NDPOOL_OK;
    return wants_ring ? fail(NDPOOL_ERR_KIND, "adopt %016" PRIx64 ": an array is no queue", t.handle)
                      : pool_refuse_ring("adopt", t.handle);
}

static int adopt_locked(ndpool *p, ndpool_transfer t, uint32_t i, bool wants_ring)
{
    uint32_t n = ticket_index(t.ticket);
    pool_flush_locked(p);
    int status = refs_look(&p->refs, n, ticket_asked(t.ticket), t.handle);
    if (status != NDPOOL_OK)
        return status;
    if (pool_expired_at(p, n, (uint64_t)boot_time())) {
        pool_expire_locked(p, n);
        return refs_look(&p->refs, n, ticket_asked(t.ticket), t.handle);
    }
    bool freed;
    status = check_kind(p, t, i, wants_ring);
    if (status == NDPOOL_OK)
        status = refs_adopt(&p->refs, n, i, (uint32_t)(t.handle >> 32), &freed);
    if (status != NDPOOL_OK)
        return status;
    set_add(&p->alloc.tickets, n);
    if (freed)
        pool_end_locked(p, i); /* cannot be: this process holds it */
    return NDPOOL_OK;
}

/* Reads the array's metadata when this process holds the block: before, nobody may hold it any more, and there may be no
 * memory behind its bytes. A transfer of what the segment's damage makes unreadable is spent. */
int pool_adopt(ndpool *p, ndpool_transfer t, bool wants_ring, uint32_t *i, meta *m, int64_t shape[NDPOOL_MAX_NDIM])
{
    int status = check_ticket(p, t, i);
    if (status == NDPOOL_OK)
        status = pool_lock(p);
    if (status != NDPOOL_OK)
        return status;
    status = adopt_locked(p, t, *i, wants_ring);
    pool_unlock(p);
    if (status != NDPOOL_OK)
        return status;
    status = pool_read(p, *i, m, shape);
    if (status != NDPOOL_OK)
        pool_drop(p, *i);
    return status;
}

static int adopt(ndpool *p, ndpool_transfer t, uint32_t flags, ndpool_array *out)
{
    uint32_t i;
    meta m;
    int64_t shape[NDPOOL_MAX_NDIM];
    int status = pool_adopt(p, t, false, &i, &m, shape);
    return status == NDPOOL_OK ? pool_array(p, i, &m, shape, flags, out) : status;
}

int ndpool_adopt(ndpool *p, ndpool_transfer t, uint32_t flags, ndpool_array *out)
{
    int status = pool_enter(p);
    if (status != NDPOOL_OK)
        return status;
    status = adopt(p, t, flags, out);
    pool_leave(p);
    return status;
}

int pool_refuse_ring(const char *verb, ndpool_handle h)
{
    return fail(NDPOOL_ERR_KIND, "%s %016" PRIx64 ": a stream or a queue is no array", verb, h);
}

/* A failed attempt may have been the last to hold the block. */
int pool_add_reference(ndpool *p, uint32_t i, uint32_t generation)
{
    bool freed = false;
    stripe *st = refs_stripe(&p->refs, i);
    spin_lock(&st->mutex);
    int status = refs_retain_locked(&p->refs, i, generation, &freed);
    if (status == NDPOOL_OK)
        st->live++;
    if (freed)
        (void)pool_shelve_locked(p, i); /* a ring waits: the caller is inside a verb, and so may the lock */
    spin_unlock(&st->mutex);
    if (freed)
        space_freed(p->arena);
    return status;
}

static int retain(ndpool *p, ndpool_handle h, uint32_t flags, ndpool_array *out)
{
    uint32_t i;
    meta m;
    int64_t shape[NDPOOL_MAX_NDIM];
    int status = pool_resolve(p, h, &i);
    if (status == NDPOOL_OK && pool_live_block(p, h, &i) && pool_is_ring(p, i))
        status = pool_refuse_ring("retain", h);
    if (status == NDPOOL_OK)
        status = pool_add_reference(p, i, (uint32_t)(h >> 32));
    if (status != NDPOOL_OK)
        return status;
    status = pool_read(p, i, &m, shape);
    if (status == NDPOOL_OK && m.flags & NDPOOL_DESC_RING)
        status = pool_refuse_ring("retain", h); /* it is one since the first look */
    if (status == NDPOOL_OK)
        return pool_array(p, i, &m, shape, flags, out);
    pool_drop(p, i);
    return status;
}

int ndpool_retain(ndpool *p, ndpool_handle h, uint32_t flags, ndpool_array *out)
{
    int status = pool_enter(p);
    if (status != NDPOOL_OK)
        return status;
    status = retain(p, h, flags, out);
    pool_leave(p);
    return status;
}

static int recall_locked(ndpool *p, uint32_t n, uint32_t i)
{
    bool freed;
    int status = refs_recall(&p->refs, n, i, &freed);
    if (status != NDPOOL_OK)
        return status;
    set_add(&p->alloc.tickets, n);
    if (freed)
        pool_end_locked(p, i);
    return NDPOOL_OK;
}

static int recall(ndpool *p, ndpool_transfer t)
{
    uint32_t i, n = ticket_index(t.ticket);
    int status = check_ticket(p, t, &i);
    if (status == NDPOOL_OK)
        status = pool_lock(p);
    if (status != NDPOOL_OK)
        return status;
    status = refs_look(&p->refs, n, ticket_asked(t.ticket), t.handle);
    if (status == NDPOOL_OK)
        status = recall_locked(p, n, i);
    pool_unlock(p);
    return status;
}

int ndpool_recall(ndpool *p, ndpool_transfer t)
{
    int status = pool_enter(p);
    if (status != NDPOOL_OK)
        return status;
    status = recall(p, t);
    pool_leave(p);
    return status;
}

static bool is_ours_since(const ndpool *p, uint32_t n, uint64_t before)
{
    return refs_ticket_open(&p->refs, n) && shm_load64(&p->refs.tickets[n].sender) == p->arena->self &&
           shm_load64(&p->refs.tickets[n].birth) <= before;
}

static int recall_older(ndpool *p, int64_t age, int *count)
{
    int n = 0, status = pool_lock(p);
    if (status != NDPOOL_OK)
        return status;
    uint64_t before = (uint64_t)(boot_time() - age);
    for (uint32_t t = 0; t < p->arena->n_tickets; t++) {
        uint32_t i;
        if (is_ours_since(p, t, before) && pool_ticket_block(p, t, &i) && recall_locked(p, t, i) == NDPOOL_OK)
            n++;
    }
    pool_unlock(p);
    *count = n;
    return NDPOOL_OK;
}

int ndpool_recall_older(ndpool *p, int64_t age, int *count)
{
    int status = pool_enter(p);
    if (status != NDPOOL_OK)
        return status;
    status = recall_older(p, age, count);
    pool_leave(p);
    return status;
}

static bool is_for_us_from(const ndpool *p, uint32_t n, ident sender)
{
    return refs_ticket_open(&p->refs, n) && shm_load64(&p->refs.tickets[n].sender) == sender &&
           shm_load64(&p->refs.tickets[n].receiver) == p->arena->self;
}

static int refuse(ndpool *p, ident sender, int *count)
{
    int n = 0, status = pool_lock(p);
    if (status != NDPOOL_OK)
        return status;
    for (uint32_t t = 0; t < p->arena->n_tickets; t++) {
        if (is_for_us_from(p, t, sender)) {
            pool_expire_locked(p, t);
            n++;
        }
    }
    pool_unlock(p);
    *count = n;
    return NDPOOL_OK;
}

int ndpool_refuse(ndpool *p, ndpool_process sender, int *count)
{
    int status = pool_enter(p);
    if (status != NDPOOL_OK)
        return status;
    status = refuse(p, sender, count);
    pool_leave(p);
    return status;
}

bool ndpool_alive(ndpool *p, ndpool_process id)
{
    if (pool_enter(p) != NDPOOL_OK)
        return false;
    bool alive = arena_alive(p->arena, id);
    pool_leave(p);
    return alive;
}

/* The block that ticket n carries, if it is alive in that generation. */
bool pool_ticket_block(const ndpool *p, uint32_t n, uint32_t *i)
{
    return pool_live_block(p, shm_load64(&p->refs.tickets[n].handle), i);
}

bool pool_live_block(const ndpool *p, uint64_t h, uint32_t *i)
{
    return pool_index(p, h, i) && *i < pool_descs(p) && pool_gen(p, *i) == (uint32_t)(h >> 32) &&
           state_kind(pool_state(p, *i)) == NDPOOL_KIND_LIVE;
}
