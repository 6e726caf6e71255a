/* The lock of a name: how threads of this process are kept apart, and how they wait. Twin of pool/namelock.go. */
#include <limits.h>

#include "internal/errors.h"
#include "internal/futex.h"
#include "pool/pool.h"

/* What this process has of one entry. Local; guarded by the spin. */
typedef struct name_hold {
    uint32_t nonce;   /* of the name that state and readers are about */
    uint32_t state;
    uint32_t readers; /* threads; the bit is the first's and the last's business */
    uint32_t writers; /* threads that wait */
} name_hold;

enum {
    NAME_IDLE,
    NAME_TRYING, /* the word is this process's, which waits for readers */
    NAME_WRITING /* so is the lock */
};

/* Bounds of waiting for the lock of a name, in nanoseconds. A sleeper wakes up by itself, which heals any lost wake-up. */
enum { NAME_SLEEP_MIN = 500000, NAME_SLEEP_MAX = 50000000 };

/* One thread on its way to a lock. Local. */
typedef struct attempt {
    ndpool *p;
    ndpool_name_lock l;
    bool write;
    bool mine;  /* the entry is in state NAME_TRYING for this attempt */
    bool waits; /* counted in name_hold.writers */

    /* What it waits for: a word of the segment or, if there is none, another thread. */
    lock_wait on;
    uint32_t turn;
    bool dead; /* a reader is, and keeps his bit until he is swept */
} attempt;

static int gone(const char *verb) { return fail(NDPOOL_ERR_NO_NAME, "%s name: the name was removed, and its lock with it", verb); }

/* A forked child must not find its parent's locks. */
static int make_table(name_locks *m, size_t n)
{
    void *t = lazy_new(n, sizeof(name_hold));
    if (t && madvise(t, n * sizeof(name_hold), MADV_WIPEONFORK)) {
        lazy_free(t, n, sizeof(name_hold));
        t = NULL;
    }
    m->table = t;
    return t ? NDPOOL_OK : fail_errno(NDPOOL_ERR_SYSTEM, "lock name: a table of %zu entries", n);
}

/* Takes the spin, and gives what this process has of an entry. Released by spin_unlock. */
static int hold_of(ndpool *p, uint32_t e, name_hold **h)
{
    name_locks *m = &p->name_locks;
    int status = NDPOOL_OK;
    if (e >= catalog_committed(p->arena))
        return fail(NDPOOL_ERR_NO_NAME, "lock name: entry %u: got (limit %u)", e, catalog_committed(p->arena));
    spin_lock(&m->mutex);
    if (!m->table)
        status = make_table(m, (size_t)p->arena->geo.limits.names);
    if (status != NDPOOL_OK)
        spin_unlock(&m->mutex);
    else
        *h = &m->table[e];
    return status;
}

/* Wakes all threads that wait for another one. */
static void wake_threads(name_locks *m)
{
    atomic_fetch_add(&m->turn, 1);
    if (atomic_load(&m->sleepers) > 0)
        futex_wake((shm_u32 *)(void *)&m->turn, INT_MAX);
}

/* Has the attempt wait for another thread. */
static bool wait_local(attempt *a)
{
    a->on.word = NULL;
    a->turn = atomic_load(&a->p->name_locks.turn);
    return false;
}

/* Takes the word, then waits for the readers. In between the entry is NAME_TRYING. */
static bool try_writer(attempt *a, name_hold *h, bool *torn)
{
    arena *r = a->p->arena;
    if (!a->mine) {
        if (h->state != NAME_IDLE || h->readers > 0)
            return wait_local(a);
        if (!lock_take_writer(r, a->l.entry, &a->on))
            return false;
        a->mine = true;
        h->state = NAME_TRYING;
        a->p->name_locks.trying++;
    }
    if (!lock_readers_out(r, a->l.entry, &a->dead, &a->on))
        return false;
    a->mine = false;
    h->state = NAME_WRITING;
    a->p->name_locks.trying--;
    *torn = lock_torn(r, a->l.entry);
    return true;
}

/* Joins the readers of this process, or becomes the first of them. Writers that wait come first, those of this process and,
 * since their word stands, of others. */
static bool try_reader(attempt *a, name_hold *h, bool *torn)
{
    arena *r = a->p->arena;
    uint32_t e = a->l.entry;
    if (h->state != NAME_IDLE || h->writers > 0 || (h->readers > 0 && lock_written(r, e)))
        return wait_local(a);
    if (h->readers > 0)
        *torn = lock_torn(r, e);
    else if (!lock_take_reader(r, e, torn, &a->on))
        return false;
    h->readers++;
    return true;
}

/* Says whether this attempt is a writer that waits. */
static void count_writer(attempt *a, name_hold *h, bool waits)
{
    waits = waits && a->write;
    if (waits && !a->waits)
        h->writers++;
    if (!waits && a->waits) {
        h->writers--;
        wake_threads(&a->p->name_locks);
    }
    a->waits = waits;
}

/* Gives back what the attempt has just got. */
static void drop_got(attempt *a, name_hold *h)
{
    if (a->write) {
        h->state = NAME_IDLE;
        lock_drop_writer(a->p->arena, a->l.entry, true);
    } else if (--h->readers == 0) {
        lock_drop_reader(a->p->arena, a->l.entry);
    }
}

/* Takes the word back that the attempt has, as torn as it was. */
static void retreat(attempt *a, name_hold *h)
{
    if (a->mine && h->nonce == a->l.nonce) {
        h->state = NAME_IDLE;
        a->p->name_locks.trying--;
        lock_drop_writer(a->p->arena, a->l.entry, true);
        wake_threads(&a->p->name_locks);
    }
    a->mine = false;
}

/* Makes a record about another name: what this process had was a lock of a name that is gone, and its words were cleared.
 * Attempts at that one will find it gone. */
static void reset(name_locks *m, name_hold *h, uint32_t nonce)
{
    if (h->state == NAME_TRYING)
        m->trying--;
    h->nonce = nonce;
    h->state = NAME_IDLE;
    h->readers = 0;
}

/* Tries once. If it fails, the attempt is over. Precondition: the spin is held. */
static int step_held(attempt *a, name_hold *h, bool *got, bool *torn)
{
    const arena *r = a->p->arena;
    bool there = catalog_stands(r, a->l.entry, a->l.nonce);
    if (there && h->nonce != a->l.nonce)
        reset(&a->p->name_locks, h, a->l.nonce);
    if (there) {
        *got = a->write ? try_writer(a, h, torn) : try_reader(a, h, torn);
        /* The name may have gone since the first look, and what was taken be words of the next one. */
        there = catalog_stands(r, a->l.entry, a->l.nonce);
    }
    if (*got && !there)
        drop_got(a, h);
    *got = *got && there;
    count_writer(a, h, !*got && there);
    if (there)
        return NDPOOL_OK;
    retreat(a, h);
    return gone("lock");
}

/* Ends the attempt so that nothing of it is left, and tells who has the lock; slot -1: nobody any more. If the segment was
 * left meanwhile, that was seen to. */
static int end_attempt(attempt *a, int *slot, int *pid)
{
    name_hold *h;
    ndpool *p = a->p;
    int status = pool_stay(p);
    if (status != NDPOOL_OK)
        return status;
    status = hold_of(p, a->l.entry, &h);
    if (status == NDPOOL_OK) {
        count_writer(a, h, false);
        retreat(a, h);
        spin_unlock(&p->name_locks.mutex);
        *slot = lock_holder(p->arena, a->l.entry);
        *pid = *slot < 0 ? 0 : (int)shm_load32(&p->arena->slots[*slot].pid);
    }
    pool_leave(p);
    return status;
}

static int give_up(attempt *a)
{
    int slot, pid, status = end_attempt(a, &slot, &pid);
    if (status != NDPOOL_OK)
        return status;
    if (slot < 0)
        return fail(NDPOOL_ERR_TIMEOUT, "lock name: timeout; somebody had it just now");
    fail(NDPOOL_ERR_TIMEOUT, "lock name: timeout while process %d (slot %d) has it", pid, slot);
    error_now()->pid = pid;
    error_now()->slot = slot;
    return NDPOOL_ERR_TIMEOUT;
}

/* A step is a verb of its own, so that close and fork never wait for long. */
static int step(attempt *a, bool *got, bool *torn)
{
    name_hold *h;
    ndpool *p = a->p;
    int slot, pid;
    *got = a->dead = false;
    int status = pool_enter(p);
    if (status != NDPOOL_OK) {
        if (a->mine || a->waits)
            (void)end_attempt(a, &slot, &pid); /* it says nothing, or the same */
        return status;
    }
    status = hold_of(p, a->l.entry, &h);
    if (status == NDPOOL_OK) {
        status = step_held(a, h, got, torn);
        spin_unlock(&p->name_locks.mutex);
    }
    if (a->dead)
        pool_sweep_sometimes(p);
    pool_leave(p);
    return status;
}

/* Sleeps until there may be something new, at most ns. It is a verb of its own if it sleeps on the segment. */
static void await(attempt *a, int64_t ns)
{
    name_locks *m = &a->p->name_locks;
    if (!a->on.word) {
        atomic_fetch_add(&m->sleepers, 1);
        futex_wait((shm_u32 *)(void *)&m->turn, a->turn, ns);
        atomic_fetch_sub(&m->sleepers, 1);
    } else if (pool_enter(a->p) == NDPOOL_OK) {
        futex_wait(a->on.word, a->on.value, ns);
        pool_leave(a->p);
    }
}

static int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }

int ndpool_lock(ndpool *p, ndpool_name_lock l, uint32_t flags, int64_t wait, bool *torn)
{
    return ndpool_lock_while(p, l, flags, wait, NULL, NULL, torn);
}

int ndpool_lock_while(ndpool *p, ndpool_name_lock l, uint32_t flags, int64_t wait, bool (*go_on)(void *), void *arg,
                      bool *torn)
{
    attempt a = {.p = p, .l = l, .write = !(flags & NDPOOL_READ_ONLY)};
    int64_t end = wait > 0 ? mono_time() + wait : 0, asked = mono_time();
    for (int64_t sleep = NAME_SLEEP_MIN;; sleep = least(2 * sleep, NAME_SLEEP_MAX)) {
        bool got, told = false;
        int status = step(&a, &got, &told);
        if (status != NDPOOL_OK)
            return status;
        if (got) {
            *torn = told;
            return NDPOOL_OK;
        }
        int64_t now = mono_time(), left = wait < 0 ? INT64_MAX : wait == 0 ? 0 : end - now;
        bool ask = go_on && now - asked >= NAME_SLEEP_MAX;
        if (ask)
            asked = now;
        if (left <= 0 || (ask && !go_on(arg)))
            return give_up(&a);
        await(&a, least(sleep, left));
    }
}

/* Lets go what this process has, if it has it. */
static bool let_go(ndpool *p, name_hold *h, ndpool_name_lock l, bool write)
{
    if (h->nonce != l.nonce || (write ? h->state != NAME_WRITING : h->readers == 0))
        return false;
    if (write) {
        h->state = NAME_IDLE;
        lock_drop_writer(p->arena, l.entry, false);
    } else if (--h->readers == 0) {
        lock_drop_reader(p->arena, l.entry);
    }
    wake_threads(&p->name_locks);
    return true;
}

int ndpool_unlock(ndpool *p, ndpool_name_lock l, uint32_t flags)
{
    name_hold *h;
    int status = pool_stay(p);
    if (status != NDPOOL_OK)
        return status;
    status = hold_of(p, l.entry, &h);
    if (status == NDPOOL_OK) {
        bool had = let_go(p, h, l, !(flags & NDPOOL_READ_ONLY));
        spin_unlock(&p->name_locks.mutex);
        if (!had)
            status = catalog_stands(p->arena, l.entry, l.nonce)
                         ? fail(NDPOOL_ERR_NOT_LOCKED, "unlock name: name is not locked by this process")
                         : gone("unlock");
    }
    pool_leave(p);
    return status;
}

int ndpool_lock_find(ndpool *p, const char *path, ndpool_name_lock *out)
{
    int status = pool_enter(p);
    if (status != NDPOOL_OK)
        return status;
    status = pool_find_name(p, "lock", path, &out->entry, &out->nonce);
    pool_leave(p);
    return status;
}

void pool_retreat_locks(ndpool *p)
{
    name_locks *m = &p->name_locks;
    spin_lock(&m->mutex);
    for (uint32_t e = 0, n = catalog_committed(p->arena); m->trying > 0 && e < n; e++) {
        if (m->table[e].state != NAME_TRYING)
            continue;
        m->table[e].state = NAME_IDLE;
        m->trying--;
        lock_drop_writer(p->arena, e, true);
    }
    spin_unlock(&m->mutex);
    wake_threads(m);
}

void pool_free_locks(ndpool *p)
{
    lazy_free(p->name_locks.table, (size_t)p->arena->geo.limits.names, sizeof(name_hold));
    p->name_locks.table = NULL;
}

/* The table was wiped. The threads that had the spin, or waited, are not in the child. */
void pool_forget_locks(ndpool *p)
{
    struct name_hold *table = p->name_locks.table;
    p->name_locks = (name_locks){.table = table};
}
