/* How blocks come from the allocator and go back to it. Twin of pool/take.go. */
#include "internal/errors.h"
#include "pool/pool.h"

/* Bounds of one hold of the segment lock. */
enum { MAX_BATCH = 32, TRIM_BATCH = 64, STEAL_STEP = 1024 };

/* Puts memory behind a BUSY block of this process. */
static int commit(ndpool *p, uint32_t i)
{
    extent e;
    if (!pool_extent(p, i, &e))
        return pool_corrupt(i, "extent", "got %#llx, expected one within the data region", (unsigned long long)e);
    return arena_commit_pages(p->arena, extent_first(e), extent_pages(e));
}

/* Gives a FREE descriptor an extent and makes it BUSY. The extent is stored while FREE: a death before BUSY leaves a
 * FREE descriptor, whose extent nobody reads. */
void pool_begin_locked(ndpool *p, uint32_t i, extent e)
{
    set_remove(&p->alloc.descs, i);
    refs_begin(&p->refs, i);
    shm_publish64(&pool_desc(p, i)->extent, e);
    refs_own(&p->refs, i, NDPOOL_KIND_BUSY);
}

/* Makes a BUSY block of this process FREE and gives its bytes to the allocator. The descriptor is FREE first: a death
 * in between leaves bytes that only the indexes call used, and the lock's taker rebuilds those.
 *
 * The entries of a ring go first, and then its flag: a death in between leaves a BUSY ring of a dead process, which the sweep
 * ends alike. */
void pool_end_locked(ndpool *p, uint32_t i)
{
    if (pool_is_ring(p, i))
        pool_empty_locked(p, i);
    extent e;
    bool valid = pool_extent(p, i, &e);
    if (gen_exhausted(desc_gen(pool_desc(p, i)))) {
        refs_disown(&p->refs, i, NDPOOL_KIND_RETIRED);
        shm_add64(&p->arena->ctl->retired, 1);
    } else {
        refs_disown(&p->refs, i, NDPOOL_KIND_FREE);
        set_add(&p->alloc.descs, i);
    }
    if (valid)
        alloc_give(&p->alloc, e);
}

/* Has a BUSY block of this process ended by whoever of it holds the lock next. A death leaves BUSY blocks of a dead process. */
void pool_pend(ndpool *p, uint32_t i)
{
    spin_lock(&p->pending_mutex);
    p->links[i].later = atomic_load(&p->pending);
    atomic_store(&p->pending, i + 1);
    spin_unlock(&p->pending_mutex);
}

/* Returns BUSY blocks of this process to the allocator, now or, if the lock cannot be had, when it is next held. Their
 * memory need not be committed, so they cannot be cached. */
static void give_back(ndpool *p, const uint32_t *blocks, int n)
{
    while (n-- > 0)
        pool_pend(p, blocks[n]);
    if (pool_lock(p) == NDPOOL_OK) {
        pool_flush_locked(p);
        pool_unlock(p);
    }
}

/* Takes blocks out of the long lists of stripe s, at most size. Precondition: stripe s is held. */
static int shorten(ndpool *p, int s, uint32_t *got, int size)
{
    cache *c = &p->caches[s];
    int n = 0;
    for (uint64_t mask = c->over; mask; mask &= mask - 1) {
        int bin = __builtin_ctzll(mask);
        while (c->count[bin] > cache_limit(bin) / 2) {
            uint32_t i;
            if (n == size)
                return n;
            list_entry *l = pool_pop(p, s, bin, &i);
            if (l && refs_retake(&p->refs, i, l->state))
                got[n++] = i;
        }
        c->over &= ~(UINT64_C(1) << bin);
    }
    return n;
}

/* Frees blocks of lists that are too long until half of what they may have is left. */
static void trim_caches_locked(ndpool *p)
{
    uint32_t got[TRIM_BATCH];
    int n = 0;
    for (uint32_t mask = atomic_exchange(&p->over, 0); mask; mask &= mask - 1) {
        int s = __builtin_ctz(mask);
        spin_lock(&p->refs.stripes[s].mutex);
        n += shorten(p, s, got + n, TRIM_BATCH - n);
        if (p->caches[s].over)
            atomic_fetch_or(&p->over, 1u << s); /* got is full; the rest has time */
        spin_unlock(&p->refs.stripes[s].mutex);
    }
    for (int k = 0; k < n; k++)
        pool_end_locked(p, got[k]);
}

/* Returns what the cache has too much of to the allocator, up to a bound: the lock is held anyway. */
void pool_flush_locked(ndpool *p)
{
    if (atomic_load(&p->over))
        trim_caches_locked(p);
    if (atomic_load(&p->pending) == 0)
        return;
    spin_lock(&p->pending_mutex);
    uint32_t list = atomic_exchange(&p->pending, 0);
    spin_unlock(&p->pending_mutex);
    while (list) {
        uint32_t i = list - 1;
        list = p->links[i].later; /* nobody lists it again before it has ended */
        pool_end_locked(p, i);
    }
}

/* A free descriptor and an extent for it, not yet taken from the set of free ones. */
static int choose_locked(ndpool *p, uint64_t size, uint32_t *i, extent *e)
{
    int64_t next = set_next(&p->alloc.descs, p->turn);
    if (next < 0)
        next = set_next(&p->alloc.descs, 0);
    if (next < 0)
        return pool_descs(p) < p->arena->n_descs ? STATUS_GROW : STATUS_NO_DESC;
    *i = (uint32_t)next;
    if (next >= pool_descs(p) || state_kind(pool_state(p, *i)) != NDPOOL_KIND_FREE)
        return STATUS_TORN;
    return size > p->arena->geo.limits.capacity ? STATUS_NO_SPACE : alloc_take(&p->alloc, size, e);
}

/* Takes up to size blocks from the allocator, and at least one or an error. Each batch has its descriptors from another
 * stripe, if there are free ones, so that threads find blocks in stripes of their own. */
static int carve_locked(ndpool *p, uint32_t *got, int size, uint64_t bytes, int *n)
{
    int status = NDPOOL_OK;
    bool torn = false;
    p->turn = next_stripe(p->turn);
    for (*n = 0; *n < size;) {
        uint32_t i;
        extent e;
        status = choose_locked(p, bytes, &i, &e);
        if (status == STATUS_TORN && !torn) {
            torn = true;
            pool_rebuild_locked(p);
            continue;
        }
        if (status != NDPOOL_OK)
            break;
        pool_begin_locked(p, i, e);
        got[(*n)++] = i;
    }
    return *n > 0 ? NDPOOL_OK : status;
}

/* Commits the next step of the descriptor table outside the lock, then makes its descriptors free under it. from is how many
 * had memory when none was free, and less than there can be: another process may have committed all since. */
int pool_grow_descs(ndpool *p, uint32_t from)
{
    uint32_t to;
    int status = arena_commit_descs(p->arena, from, from + 1, &to);
    if (status == NDPOOL_OK)
        status = pool_lock(p);
    if (status != NDPOOL_OK)
        return status;
    uint32_t now = pool_descs(p);
    if (now < to) {
        shm_store32(&p->arena->ctl->descs, to);
        set_add_range(&p->alloc.descs, now, to);
    }
    pool_unlock(p);
    return NDPOOL_OK;
}

/* The same under the segment lock, with a larger table if need be. */
static int carve(ndpool *p, uint32_t *got, int size, uint64_t bytes, int *n)
{
    for (;;) {
        int status = pool_lock(p);
        if (status != NDPOOL_OK)
            return status;
        pool_flush_locked(p);
        status = carve_locked(p, got, size, bytes, n);
        uint32_t from = pool_descs(p);
        pool_unlock(p);
        if (status != STATUS_GROW)
            return status;
        status = pool_grow_descs(p, from);
        if (status != NDPOOL_OK)
            return status;
    }
}

static void park(ndpool *p, uint32_t i)
{
    stripe *st = refs_stripe(&p->refs, i);
    spin_lock(&st->mutex);
    pool_park_locked(p, i);
    spin_unlock(&st->mutex);
}

/* Takes a batch of blocks from the allocator, all BUSY of this process, commits their memory outside the lock, and
 * caches all but the first, which it returns BUSY. A death leaves BUSY blocks of a dead process. */
static int refill(ndpool *p, uint64_t bytes, int bin, uint32_t *first)
{
    uint32_t got[MAX_BATCH];
    int n, status = carve(p, got, bin_batch(bin), bytes, &n);
    if (status != NDPOOL_OK)
        return status;
    for (int k = 0; k < n; k++) {
        status = commit(p, got[k]);
        if (status != NDPOOL_OK) {
            give_back(p, got + k, n - k);
            if (k > 0)
                break; /* the caller gets the first one */
            return status;
        }
        if (k > 0)
            park(p, got[k]);
    }
    *first = got[0];
    return NDPOOL_OK;
}

/* Takes a free chunk as a BUSY block, punches it outside the lock, and frees the block. */
static int trim_chunk(ndpool *p, int c, uint64_t *freed)
{
    int status = pool_lock(p);
    if (status != NDPOOL_OK)
        return status;
    extent e;
    int64_t next = set_next(&p->alloc.descs, 0);
    uint32_t i = (uint32_t)next;
    bool ok = next >= 0 && next < pool_descs(p) && alloc_take_chunk(&p->alloc, c, &e);
    if (ok)
        pool_begin_locked(p, i, e);
    pool_unlock(p);
    if (!ok)
        return NDPOOL_OK;
    status = arena_punch_chunk(p->arena, c);
    if (status == NDPOOL_OK) {
        *freed += extent_size(e);
        shm_add64(&p->arena->ctl->trimmed, 1);
    }
    give_back(p, &i, 1);
    return status;
}

/* Punches all free chunks. */
int pool_trim(ndpool *p, uint64_t *freed)
{
    *freed = 0;
    if (arena_has(p->arena, NDPOOL_FLAG_RESERVED))
        return NDPOOL_OK;
    for (int c = 0; c < p->arena->chunks; c++) {
        int status = arena_is_committed(p->arena, c) ? trim_chunk(p, c, freed) : NDPOOL_OK;
        if (status != NDPOOL_OK)
            return status;
    }
    return NDPOOL_OK;
}

static void steal_locked(ndpool *p, uint32_t i)
{
    int owner;
    if (!refs_take_cached(&p->refs, i, &owner))
        return;
    if (owner != (int)arena_slot(p->arena))
        shm_add64(&p->arena->ctl->stolen, 1);
    pool_end_locked(p, i);
}

/* Takes the cached blocks of all processes and frees them, some at a time. The lists that still name them are hints. */
int pool_steal(ndpool *p)
{
    for (uint32_t lo = 0; lo < pool_descs(p); lo += STEAL_STEP) {
        int status = pool_lock(p);
        if (status != NDPOOL_OK)
            return status;
        for (uint32_t i = lo; i < lo + STEAL_STEP && i < pool_descs(p); i++)
            steal_locked(p, i);
        pool_unlock(p);
    }
    return NDPOOL_OK;
}

/* Returns everything that anybody has cached to the allocator. Memory behind it that is not needed goes back to the
 * system if that was what was short. */
static int reclaim(ndpool *p, int cause)
{
    uint64_t freed;
    int status = pool_steal(p);
    return status == NDPOOL_OK && cause == NDPOOL_ERR_NO_MEMORY ? pool_trim(p, &freed) : status;
}

/* Sweeps dead processes and expired tickets, then reclaims. */
static int reclaim_dead(ndpool *p, int cause)
{
    ndpool_reaped r;
    int status = pool_reap(p, &r);
    return status == NDPOOL_OK ? reclaim(p, cause) : status;
}

/* Tells whether making room may help. */
static bool retryable(int status)
{
    return status == STATUS_NO_SPACE || status == STATUS_NO_DESC || status == NDPOOL_ERR_NO_MEMORY;
}

/* Makes room once by what others have cached, and once by what dead processes have left. */
static int refill_somehow(ndpool *p, uint64_t bytes, int bin, uint32_t *i)
{
    int (*const reliefs[])(ndpool *, int) = {reclaim, reclaim_dead};
    int status = refill(p, bytes, bin, i);
    for (int k = 0; k < 2 && retryable(status); k++) {
        int failed = reliefs[k](p, status);
        if (failed != NDPOOL_OK)
            return failed;
        status = refill(p, bytes, bin, i);
    }
    return status;
}

/* Takes blocks from the allocator. */
static int RARELY take_slow(ndpool *p, uint64_t bytes, int bin, const meta *m, const int64_t *shape, uint32_t *i)
{
    int status = pool_enter(p);
    if (status != NDPOOL_OK)
        return status;
    pool_sweep_sometimes(p);
    status = refill_somehow(p, bytes, bin, i);
    if (status == NDPOOL_OK) {
        stripe *st = refs_stripe(&p->refs, *i);
        spin_lock(&st->mutex);
        pool_write(p, *i, m, shape);
        refs_publish_locked(&p->refs, *i);
        st->live++;
        spin_unlock(&st->mutex);
    } else {
        status = pool_explain(p, status, bytes);
    }
    pool_leave(p);
    return status;
}

/* Who asks for the fast path only asks often: no words are put together. */
static int RARELY refuse_slow(const ndpool *p)
{
    ndpool_error *e = error_now();
    memset(e, 0, offsetof(ndpool_error, message) + 1);
    e->status = atomic_load(&p->closed) ? NDPOOL_ERR_CLOSED : NDPOOL_ERR_TIMEOUT;
    return e->status;
}

/* Gives a new block of at least the array's size with its metadata written, PRIVATE, with one reference. */
int pool_take(ndpool *p, const meta *m, const int64_t *shape, bool fast, uint32_t *i)
{
    uint64_t bytes = m->header + m->bytes;
    int bin = bin_of(bytes);
    if (pool_take_fast(p, bin, m, shape, i))
        return NDPOOL_OK;
    return fast ? refuse_slow(p) : take_slow(p, bytes, bin, m, shape, i);
}

int ndpool_trim(ndpool *p, uint64_t *freed)
{
    int status = pool_enter(p);
    if (status != NDPOOL_OK)
        return status;
    uint64_t n;
    status = pool_steal(p);
    if (status == NDPOOL_OK)
        status = pool_trim(p, &n);
    if (status == NDPOOL_OK)
        *freed = n;
    pool_leave(p);
    return status;
}
