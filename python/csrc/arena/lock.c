/*
 * The segment lock. Twin of arena/lock.go.
 *
 * A thread that waits here cannot be cancelled, since it has the front spin, which nobody would unlock.
 */
#include <sched.h>

#include "arena/arena.h"
#include "internal/futex.h"

/* Bounds of waiting, in nanoseconds. A sleeper wakes up by itself, which heals any lost wake-up, and then asks whether
 * the owner lives. */
enum {
    LOCK_SPINS = 100,
    LOCK_SLEEP_MIN = 500000,
    LOCK_SLEEP_MAX = 50000000,
    QUEUE_SPINS = 20000, /* naps shorter than this only yield */
    QUEUE_NAP_STEP = 1000,
    QUEUE_NAP_MAX = 200000,
};

static int pid_of(const arena *a, int slot)
{
    return slot >= 0 && slot < (int)a->n_slots ? (int)shm_load32(&a->slots[slot].pid) : 0;
}

/* Names the process that keeps the lock. */
static int lock_error(const arena *a, lock_word w, int64_t waited)
{
    int slot = lock_owner(w), pid = pid_of(a, slot);
    fail(NDPOOL_ERR_LOCK_TIMEOUT,
         "lock segment: process %d (slot %d) has kept the lock for %.3f s and lives; is it stopped?", pid, slot,
         (double)waited / 1e9);
    error_now()->pid = pid;
    error_now()->slot = slot;
    return NDPOOL_ERR_LOCK_TIMEOUT;
}

/* Waits for the spin that stands before the lock. Its owner is a thread of this process, which may itself wait for a
 * stopped process; so this wait is bounded too. */
static int queue(arena *a, int64_t wait)
{
    int64_t start = mono_time();
    for (int nap = 0;; nap = nap + QUEUE_NAP_STEP < QUEUE_NAP_MAX ? nap + QUEUE_NAP_STEP : QUEUE_NAP_MAX) {
        if (nap < QUEUE_SPINS)
            sched_yield();
        else
            spin_nap(nap);
        if (spin_try(&a->front))
            return NDPOOL_OK;
        int64_t waited = mono_time() - start;
        if (waited >= wait)
            return lock_error(a, shm_load32(&a->ctl->lock), waited);
    }
}

/* Tells whether the process that the word names still has that incarnation of its slot. A word that names no slot is
 * damage, and nobody's; so is one that names this process, whose front spin the caller holds. */
static bool lock_owner_lives(arena *a, lock_word w)
{
    int slot = lock_owner(w);
    if (slot < 0 || slot >= (int)a->n_slots || slot == ident_slot(a->self))
        return false;
    uint32_t inc = slot_incarnation(shm_load64(&a->slots[slot].word));
    return lock_names(w, inc) && arena_alive(a, make_ident(slot, inc));
}

/* One look at the word, and a sleep if it is somebody's. *got: the lock is the caller's; *taken: from a dead owner.
 * Else *w is what was there, 0 if it is worth another look at once. */
static void lock_look(arena *a, int64_t sleep, bool *got, bool *taken, lock_word *w)
{
    shm_u32 *lock = &a->ctl->lock;
    *got = *taken = false;
    *w = shm_load32(lock);
    if (*w == 0) {
        /* Others may sleep on the word; the bit stays, so that our unlock wakes the next one. */
        *got = shm_cas32(lock, 0, lock_with_waiters(a->word));
        return;
    }
    if (!lock_contended(*w) && !shm_cas32(lock, *w, lock_with_waiters(*w))) {
        *w = 0;
        return;
    }
    futex_wait(lock, lock_with_waiters(*w), sleep);
    *w = shm_load32(lock);
    if (*w == 0 || lock_owner_lives(a, *w))
        return;
    /* From the exact dead word: whoever else saw the same death loses this exchange. */
    if (shm_cas32(lock, *w, lock_with_waiters(a->word))) {
        shm_add64(&a->ctl->takeovers, 1);
        *got = *taken = true;
    }
    *w = 0;
}

static int lock_slow(arena *a, int64_t wait, bool *taken)
{
    for (int n = 0; n < LOCK_SPINS; n++) {
        if (shm_load32(&a->ctl->lock) == 0 && shm_cas32(&a->ctl->lock, 0, a->word))
            return NDPOOL_OK;
    }
    int64_t start = mono_time();
    for (int64_t sleep = LOCK_SLEEP_MIN;; sleep = 2 * sleep < LOCK_SLEEP_MAX ? 2 * sleep : LOCK_SLEEP_MAX) {
        bool got;
        lock_word w;
        lock_look(a, sleep, &got, taken, &w);
        if (got)
            return NDPOOL_OK;
        if (w == 0)
            continue;
        int64_t waited = mono_time() - start;
        if (waited >= wait)
            return lock_error(a, w, waited);
    }
}

/* If the caller dies while it rebuilds, the next one is told the same. */
int arena_lock(arena *a, int64_t wait, bool *taken)
{
    *taken = false;
    if (!spin_try(&a->front)) {
        int status = queue(a, wait);
        if (status != NDPOOL_OK)
            return status;
    }
    if (shm_cas32(&a->ctl->lock, 0, a->word))
        return NDPOOL_OK;
    int status = lock_slow(a, wait, taken);
    if (status != NDPOOL_OK)
        spin_unlock(&a->front);
    return status;
}

/* Wakes one sleeper. A process that dies before the wake-up leaves a sleeper that wakes up by itself. */
void arena_unlock(arena *a)
{
    lock_word old = shm_swap32(&a->ctl->lock, 0);
    spin_unlock(&a->front);
    if (lock_contended(old))
        futex_wake(&a->ctl->lock, 1);
}
