/*
 * The blocks that a process released and keeps, to allocate them again without the segment lock. Twin of
 * pool/cache.go.
 *
 * Such a block is CACHED with its owner in the state word, and anybody short of memory may steal it; so an entry of
 * these lists is only a hint, and the exchange CACHED to BUSY decides.
 *
 * The lists of a stripe hold the blocks whose descriptors map to that stripe, so that one mutex guards both the list
 * and the local count: an allocation and a release lock one mutex each.
 */
#include "internal/errors.h"
#include "pool/pool.h"

/* How many stripes should have blocks of a bin before threads wait for each other. */
enum { SPREAD = 4 };

/* How many blocks of a bin are taken from the allocator at once: up to 32, up to 256 KiB, and one of the large ones. */
static const uint8_t batches[NDPOOL_NUM_BINS] = {
    32, 32, 32, 32, 32, 32, 32, 32, 32, 32, 32, 32, 32, 32, 32, 32, 32, 32, 32, /* the slab classes */
    32, 32, 21, 16, 12, 10, 9,  8,  7,  6,  5,  5,  4,  4,  4,  4,              /* 1 to 16 pages */
    1,                                                                          /* large */
};

int bin_batch(int bin) { return batches[bin]; }

/* How many blocks of a bin a stripe may keep: two batches. A large one stays only until this process takes the segment lock
 * for something else: kept for longer, it would be in the way of others' arrays. */
uint32_t cache_limit(int bin) { return bin == NDPOOL_LARGE_BIN ? 0 : 2u * batches[bin]; }

static void RARELY mark_over(ndpool *p, int s, int bin)
{
    if (p->caches[s].over >> bin & 1)
        return;
    p->caches[s].over |= UINT64_C(1) << bin;
    atomic_fetch_or(&p->over, 1u << s);
}

/* Puts a block at the head of its list. A block that was stolen and came back may still be listed; that entry will do.
 * Precondition: the stripe of descriptor i is held. */
static void push(ndpool *p, uint32_t i, list_entry *l)
{
    if (l->listed)
        return;
    int s = stripe_of(i), bin = l->bin;
    cache *c = &p->caches[s];
    l->next = c->head[bin];
    l->listed = true;
    c->head[bin] = i + 1;
    if (++c->count[bin] == 1)
        atomic_fetch_or(&p->avail[bin], 1u << s);
    if (c->count[bin] > cache_limit(bin))
        mark_over(p, s, bin);
}

/* Takes the block at the head of a list, NULL if there is none. Precondition: stripe s is held. */
list_entry *pool_pop(ndpool *p, int s, int bin, uint32_t *i)
{
    cache *c = &p->caches[s];
    if (c->head[bin] == 0)
        return NULL;
    *i = c->head[bin] - 1;
    list_entry *l = &p->links[*i];
    c->head[bin] = l->next;
    l->listed = false;
    if (--c->count[bin] == 0)
        atomic_fetch_and(&p->avail[bin], ~(1u << s));
    return l;
}

/* Pops blocks until one is won that is still what its list says. Large ones are of different lengths: one of another length
 * than is asked for stays, and nothing is won. Precondition: stripe s is held. */
static bool take_locked(ndpool *p, int s, int bin, const meta *m, uint32_t *i)
{
    for (;;) {
        list_entry *l = pool_pop(p, s, bin, i);
        if (!l)
            return false;
        if (bin == NDPOOL_LARGE_BIN && extent_pages(l->extent) != pages_for(m->header + m->bytes)) {
            push(p, *i, l);
            return false;
        }
        if (!refs_retake(&p->refs, *i, l->state))
            continue; /* stolen */
        if (l->bin == bin)
            return true;
        pool_park_locked(p, *i);
    }
}

/* Notes an extent and its bin: none and the large one, whose blocks go back to the allocator, if the extent is a scribble. */
static void RARELY learn(list_entry *l, extent e, int pages)
{
    bool valid = extent_valid(e, pages);
    l->extent = valid ? e : 0;
    l->bin = (uint8_t)(valid ? extent_bin(e) : NDPOOL_LARGE_BIN);
}

/* Makes a block of this process CACHED and lists it under its bin. Precondition: the stripe of i is held. */
void pool_park_locked(ndpool *p, uint32_t i)
{
    ndpool_desc *d = pool_desc(p, i);
    list_entry *l = &p->links[i];
    extent e = shm_load64(&d->extent);
    if (e != l->extent || l->bin == NDPOOL_LARGE_BIN)
        learn(l, e, p->pages);
    if (gen_exhausted(desc_gen(d))) { /* it serves nobody again */
        l->extent = 0;
        l->bin = NDPOOL_LARGE_BIN;
    }
    l->state = refs_own(&p->refs, i, NDPOOL_KIND_CACHED);
    push(p, i, l);
}

/* Allocates a block of stripe s, which the caller holds. */
static bool take_from(ndpool *p, int s, int bin, const meta *m, const int64_t *shape, uint32_t *i)
{
    if (atomic_load(&p->closed) || !take_locked(p, s, bin, m, i))
        return false;
    pool_write(p, *i, m, shape);
    refs_publish_locked(&p->refs, *i);
    p->refs.stripes[s].live++;
    return true;
}

/* Takes the mutex of the last of these stripes, if there are enough of them. */
static bool RARELY wait_for(uint32_t stripes, spin *mutex)
{
    if (__builtin_popcount(stripes) < SPREAD)
        return false;
    spin_lock(mutex);
    return true;
}

/* Allocates from the cache: without the segment lock or a system call. It reports false if the cache has no block of
 * this bin, or few blocks and other threads are at them: then a new batch goes to another stripe. */
bool pool_take_fast(ndpool *p, int bin, const meta *m, const int64_t *shape, uint32_t *i)
{
    uint32_t all = atomic_load(&p->avail[bin]);
    for (uint32_t mask = all; mask; mask &= mask - 1) {
        int s = __builtin_ctz(mask);
        spin *mutex = &p->refs.stripes[s].mutex;
        if (!spin_try(mutex)) {
            if (mask & (mask - 1))
                continue;
            if (!wait_for(all, mutex))
                return false;
        }
        bool ok = take_from(p, s, bin, m, shape, i);
        spin_unlock(mutex);
        if (ok)
            return true;
    }
    return false;
}

static void RARELY end_pinned(ndpool *p, bool pended, bool closed)
{
    if (pended)
        pool_end_rings(p);
    if (closed)
        pool_finish(p);
    pool_unpin(p);
}

/* A ring may have entries, whose blocks are to be let go under the lock: so it is BUSY from its last release to its end, and never
 * CACHED. A death in between leaves BUSY, which the sweep ends alike. */
static bool RARELY pend_ring(ndpool *p, uint32_t i)
{
    (void)refs_own(&p->refs, i, NDPOOL_KIND_BUSY);
    pool_pend(p, i);
    return true;
}

bool pool_shelve_locked(ndpool *p, uint32_t i)
{
    if (__builtin_expect(pool_is_ring(p, i), 0))
        return pend_ring(p, i);
    pool_park_locked(p, i);
    return false;
}

/* The last reference of all parks the block and wakes who waits for space, which does not block; of a ring it ends it; the
 * last one of a closed pool ends the attachment. Another thread may end it as soon as the stripe is free, so the pin comes
 * before. */
void pool_drop_locked(ndpool *p, uint32_t i, stripe *st)
{
    bool last = refs_drop_locked(&p->refs, i), pended = false;
    st->live--;
    if (last) {
        pended = pool_shelve_locked(p, i);
        space_freed(p->arena);
    }
    bool closed = atomic_load(&p->closed);
    if (closed || pended)
        atomic_fetch_add(&p->pins, 1);
    spin_unlock(&st->mutex);
    if (closed || pended)
        end_pinned(p, pended, closed);
}

int pool_drop(ndpool *p, uint32_t i)
{
    stripe *st = refs_stripe(&p->refs, i);
    spin_lock(&st->mutex);
    if (st->live > 0 && p->refs.local[i].count > 0) {
        pool_drop_locked(p, i, st);
        return NDPOOL_OK;
    }
    spin_unlock(&st->mutex);
    return fail(NDPOOL_ERR_STALE, "release block %u: this process does not hold it", i);
}
