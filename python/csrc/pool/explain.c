/* Refusals with numbers: what was asked for, what is free, who holds most. Twin of pool/explain.go. */
#include <inttypes.h>

#include "internal/errors.h"
#include "pool/pool.h"

/* What every process holds, by slot. Local. */
typedef struct holds {
    const ndpool *pool;
    uint64_t held[NDPOOL_MAX_PROCESSES];
} holds;

static uint32_t most(const ndpool *p, const holds *h)
{
    uint32_t best = 0;
    for (uint32_t slot = 0; slot < p->arena->n_slots; slot++) {
        if (h->held[slot] > h->held[best])
            best = slot;
    }
    return best;
}

/* Adds who holds most to this thread's error. */
static void name_holder(const ndpool *p, uint32_t slot, uint64_t held)
{
    ndpool_error *e = error_now();
    e->pid = (int32_t)shm_load32(&p->arena->slots[slot].pid);
    e->slot = (int32_t)slot;
    e->held = held;
}

static void add_bytes(void *arg, uint32_t i, uint32_t slot)
{
    holds *h = arg;
    extent e;
    if (pool_extent(h->pool, i, &e))
        h->held[slot] += extent_size(e);
}

static void add_one(void *arg, uint32_t i, uint32_t slot)
{
    (void)i;
    ((holds *)arg)->held[slot]++;
}

static int space_error(ndpool *p, uint64_t size)
{
    holds h = {.pool = p};
    uint64_t capacity = p->arena->geo.limits.capacity;
    int free = 0, largest = 0;
    if (pool_lock(p) == NDPOOL_OK) {
        alloc_free_pages(&p->alloc, &free, &largest);
        pool_unlock(p);
    }
    pool_each_hold(p, add_bytes, &h);
    uint32_t slot = most(p, &h);
    uint64_t free_bytes = (uint64_t)free * NDPOOL_PAGE_SIZE, largest_bytes = (uint64_t)largest * NDPOOL_PAGE_SIZE;
    int status = fail(NDPOOL_ERR_FULL,
                      "allocate %" PRIu64 " bytes: pool is full: %" PRIu64 " of %" PRIu64
                      " bytes free, largest free extent %" PRIu64 "; process %u (slot %u) holds most, %" PRIu64
                      " bytes",
                      size, free_bytes, capacity, largest_bytes, shm_load32(&p->arena->slots[slot].pid), slot,
                      h.held[slot]);
    ndpool_error *e = error_now();
    e->asked = size;
    e->free = free_bytes;
    e->largest = largest_bytes;
    e->capacity = capacity;
    name_holder(p, slot, h.held[slot]);
    return status;
}

static int table_error(ndpool *p, const char *table, uint32_t limit, const holds *h)
{
    uint32_t slot = most(p, h);
    int status = fail(NDPOOL_ERR_TABLE_FULL,
                      "%s table is full: all %u in use; process %u (slot %u) holds most, %" PRIu64
                      "; the limit was chosen at creation",
                      table, limit, shm_load32(&p->arena->slots[slot].pid), slot, h->held[slot]);
    error_now()->limit = limit;
    name_holder(p, slot, h->held[slot]);
    return status;
}

static void count_senders(const ndpool *p, holds *h)
{
    for (uint32_t n = 0; n < p->arena->n_tickets; n++) {
        int64_t slot = ident_slot(shm_load64(&p->refs.tickets[n].sender));
        if (refs_ticket_open(&p->refs, n) && slot >= 0 && slot < p->arena->n_slots)
            h->held[slot]++;
    }
}

/* Counts who owns how many names, and returns how many stay and are nobody's. */
static uint64_t count_owners(const ndpool *p, holds *h)
{
    uint64_t stay = 0;
    for (uint32_t e = 0, n = catalog_committed(p->arena); e < n; e++) {
        name_value v;
        bool named = catalog_named(&p->names, e, &v);
        int64_t slot = ident_slot(v.owner);
        stay += named && v.owner == 0;
        if (named && v.owner != NDPOOL_NAME_IMPLICIT && slot >= 0 && slot < p->arena->n_slots)
            h->held[slot]++;
    }
    return stay;
}

static int names_error(ndpool *p)
{
    holds h = {.pool = p};
    uint32_t limit = (uint32_t)p->arena->geo.limits.names;
    uint64_t stay = count_owners(p, &h);
    if (stay <= h.held[most(p, &h)])
        return table_error(p, "names", limit, &h);
    int status = fail(NDPOOL_ERR_TABLE_FULL,
                      "names table is full: all %u in use; %" PRIu64
                      " are persistent and nobody's; the limit was chosen at creation",
                      limit, stay);
    error_now()->limit = limit;
    error_now()->held = stay;
    return status;
}

int pool_explain(ndpool *p, int status, uint64_t size)
{
    holds h = {.pool = p};
    switch (status) {
    case STATUS_NO_SPACE:
        return space_error(p, size);
    case STATUS_NO_DESC:
        pool_each_hold(p, add_one, &h);
        return table_error(p, "arrays", p->arena->n_descs, &h);
    case STATUS_NO_TICKET:
        count_senders(p, &h);
        return table_error(p, "tickets", p->arena->n_tickets, &h);
    case STATUS_NO_ENTRY:
        return names_error(p);
    case STATUS_TORN:
        return fail(NDPOOL_ERR_CORRUPT,
                    "allocate %" PRIu64 " bytes: segment is corrupt: its indexes contradict themselves after a rebuild",
                    size);
    }
    return status;
}

/* Tells the slots in the holder set of block i. */
static void each_bit(ndpool *p, uint32_t i, void (*tell)(void *, uint32_t, uint32_t), void *arg)
{
    for (uint32_t w = 0; w < 4; w++) {
        for (uint64_t v = shm_load64(&pool_desc(p, i)->holders[w]); v; v &= v - 1) {
            uint32_t slot = w * 64 + (uint32_t)__builtin_ctzll(v);
            if (slot < p->arena->n_slots)
                tell(arg, i, slot);
        }
    }
}

void pool_each_hold(ndpool *p, void (*tell)(void *arg, uint32_t i, uint32_t slot), void *arg)
{
    for (uint32_t i = 0; i < pool_descs(p); i++) {
        state s = pool_state(p, i);
        int kind = state_kind(s);
        if (kind == NDPOOL_KIND_LIVE)
            each_bit(p, i, tell, arg);
        else if ((kind == NDPOOL_KIND_PRIVATE || kind == NDPOOL_KIND_BUSY) &&
                 (uint32_t)state_owner(s) < p->arena->n_slots)
            tell(arg, i, (uint32_t)state_owner(s));
    }
}
