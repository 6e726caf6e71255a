/*
 * Waiting for space. Who waits raises the flag, tries again, and sleeps on the sequence; who frees looks at the flag.
 * The flag may be missed by a hair's breadth, and whoever raised it may die: the sleep is short and the flag is lowered
 * by the first who wakes, so that neither hurts for long. Twin of arena/space.go.
 */
#include <limits.h>

#include "arena/arena.h"
#include "internal/futex.h"

/* Raises the flag and returns the sequence to wait on. The caller tries once more before it waits. */
uint32_t space_wanted(arena *a)
{
    uint32_t seq = shm_load32(&a->ctl->space_seq);
    shm_store32(&a->ctl->space_flag, 1);
    return seq;
}

/* Sleeps until space was freed since the sequence was read, at most ns nanoseconds. */
void space_await(arena *a, uint32_t seq, int64_t ns) { futex_wait(&a->ctl->space_seq, seq, ns); }

void space_wake(arena *a)
{
    shm_store32(&a->ctl->space_flag, 0);
    shm_add32(&a->ctl->space_seq, 1);
    futex_wake(&a->ctl->space_seq, INT_MAX);
}
