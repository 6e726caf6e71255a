/*
 * A gate counts the threads inside the verbs of a pool. Who shuts it waits until all are outside and keeps others out:
 * Close and fork. It stands where the Go twin has a sync.RWMutex, because a child must be able to set it back.
 */
#ifndef NDPOOL_INTERNAL_GATE_H
#define NDPOOL_INTERNAL_GATE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "internal/spin.h"

/* Local. Bit 31: shut; the rest: threads inside. Zero is open. */
typedef struct gate {
    _Atomic uint32_t word;
} gate;

#define GATE_SHUT UINT32_C(0x80000000)
enum { GATE_NAP_NS = 50000 };

static inline void gate_nap(void) { spin_nap(GATE_NAP_NS); }

/* Released by gate_leave. */
static inline void gate_enter(gate *g)
{
    while (atomic_fetch_add(&g->word, 1) & GATE_SHUT) {
        atomic_fetch_sub(&g->word, 1);
        while (atomic_load(&g->word) & GATE_SHUT)
            gate_nap();
    }
}

/* The same if nobody has shut it, or is about to. */
static inline bool gate_try_enter(gate *g)
{
    if (!(atomic_fetch_add(&g->word, 1) & GATE_SHUT))
        return true;
    atomic_fetch_sub(&g->word, 1);
    return false;
}

static inline void gate_leave(gate *g) { atomic_fetch_sub(&g->word, 1); }

/* Waits until nobody is inside. Released by gate_open. Precondition: the caller is not inside. */
static inline void gate_shut(gate *g)
{
    while (atomic_fetch_or(&g->word, GATE_SHUT) & GATE_SHUT)
        gate_nap();
    while (atomic_load(&g->word) != GATE_SHUT)
        gate_nap();
}

static inline void gate_open(gate *g) { atomic_fetch_and(&g->word, ~GATE_SHUT); }

/* Makes the gate open and empty: in a forked child, whose other threads are gone. */
static inline void gate_reset(gate *g) { atomic_store(&g->word, 0); }

#endif
