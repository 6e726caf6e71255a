/*
 * A mutex for critical sections of some ten instructions. Twin of internal/spin.
 *
 * A waiter cannot be woken: it spins, then yields, then sleeps for moments, until the holder is done. So never hold one
 * across anything that can block.
 */
#ifndef NDPOOL_INTERNAL_SPIN_H
#define NDPOOL_INTERNAL_SPIN_H

#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

/* Local. Zero is unlocked. */
typedef struct spin {
    _Atomic uint32_t word;
} spin;

/* Bounds of waiting. */
enum { SPIN_SPINS = 30, SPIN_YIELDS = 100, SPIN_NAP_NS = 50000 };

/* Sleeps for less than a second. A thread cannot be cancelled here, as it can in nanosleep: it may hold something. */
static inline void spin_nap(long ns) { syscall(SYS_nanosleep, &(struct timespec){.tv_nsec = ns}, NULL); }

/* Released by spin_unlock, if it says yes. */
static inline bool spin_try(spin *m)
{
    uint32_t zero = 0;
    return atomic_compare_exchange_strong_explicit(&m->word, &zero, 1, memory_order_acquire, memory_order_relaxed);
}

static inline void spin_wait(spin *m)
{
    for (int n = 0;; n++) {
        if (atomic_load_explicit(&m->word, memory_order_relaxed) == 0 && spin_try(m))
            return;
        if (n < SPIN_SPINS)
            continue;
        if (n < SPIN_SPINS + SPIN_YIELDS) {
            sched_yield();
            continue;
        }
        spin_nap(SPIN_NAP_NS);
    }
}

/* Released by spin_unlock. */
static inline void spin_lock(spin *m)
{
    if (!spin_try(m))
        spin_wait(m);
}

static inline void spin_unlock(spin *m) { atomic_store_explicit(&m->word, 0, memory_order_release); }

#endif
