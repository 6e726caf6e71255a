/* Streams and queues listed. They are looked at without the lock, so that numbers of a busy one are of slightly different
 * moments. Twin of pool/rings.go. */
#include "pool/pool.h"

/* How often a ring is looked at that changes hands meanwhile. */
enum { LOOKS = 10 };

/* How far one position is beyond another one. */
static uint64_t since(uint64_t a, uint64_t b) { return a < b ? 0 : a - b; }

static uint64_t least(uint64_t a, uint64_t b) { return a < b ? a : b; }

/* Adds up what is in a ring. Of an array that came after a snapshot was taken the size is that of the one before it in
 * the same block, which is mostly the same. */
static void sum_entries(const ndpool *p, const ring *r, ndpool_ring_info *out)
{
    uint64_t n = least(since(out->head, out->tail), out->entries);
    for (uint64_t pos = out->head - n; pos != out->head; pos++) {
        ring_entry e;
        uint32_t i;
        extent x;
        if (!ring_look(r, pos, &e))
            continue; /* it went meanwhile */
        if (pos == out->head - 1)
            out->newest = e.wall;
        if (pool_index(p, e.array, &i) && i < pool_descs(p) && pool_extent(p, i, &x))
            out->bytes += least(shm_load64(&pool_desc(p, i)->bytes), extent_size(x));
    }
}

static void describe(const ndpool *p, uint32_t i, state s, const ring *r, ndpool_ring_info *out)
{
    uint32_t ends = ring_ends(r);
    *out = (ndpool_ring_info){.handle = pool_handle_of(p, i), .kind = r->kind, .flags = ring_lossless(r) ? NDPOOL_LOSSLESS : 0,
                              .entries = r->n_entries, .readers = r->n_readers, .tail = ring_tail(r),
                              .items = ring_items(r), .writer = ring_writer(r), .ended = ends / 2, .died = ends % 2 != 0,
                              .shut = ring_is_shut(r)};
    out->head = ring_head(r);
    for (uint32_t k = 0; k < r->n_readers; k++) {
        uint64_t next;
        if (ring_reader(r, k, &next) == 0)
            continue;
        uint64_t behind = least(since(out->head, next), out->entries);
        out->entered++;
        out->behind = behind > out->behind ? behind : out->behind;
    }
    sum_entries(p, r, out);
    pool_find_holders(p, i, s, out->holders);
}

/* Looks again if the block changed hands meanwhile. Precondition: as for pool_read. */
static bool look_ring(const ndpool *p, uint32_t i, ndpool_ring_info *out)
{
    for (int n = 0; n < LOOKS; n++) {
        state before = pool_state(p, i);
        int kind = state_kind(before);
        ring r;
        if ((kind != NDPOOL_KIND_LIVE && kind != NDPOOL_KIND_PRIVATE) || !pool_is_ring(p, i))
            return false;
        if (!pool_ring_at(p->arena, i, &r))
            continue;
        describe(p, i, before, &r, out);
        if (pool_state(p, i) == before)
            return true;
    }
    return false;
}

/* Describes block i if it is a ring that is alive. */
static bool ring_info(ndpool *p, uint32_t i, ndpool_ring_info *out)
{
    if (!pool_is_ring(p, i) || pool_beside(p) != NDPOOL_OK)
        return false;
    bool found = look_ring(p, i, out);
    pool_beside_end(p);
    return found;
}

/* By descriptor. A ring that cannot be read is left out; ndpool_verify names it. */
bool ndpool_next_ring(ndpool *p, uint32_t *cursor, ndpool_ring_info *out)
{
    if (pool_look(p) != NDPOOL_OK)
        return false;
    bool found = false;
    for (uint32_t n = pool_descs(p); !found && *cursor < n; *cursor += 1)
        found = ring_info(p, *cursor, out);
    pool_leave(p);
    return found;
}
