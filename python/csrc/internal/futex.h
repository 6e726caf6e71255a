/* Futex operations between processes: never FUTEX_PRIVATE_FLAG. Twin of arena/futex_linux_unsafe.go. */
#ifndef NDPOOL_INTERNAL_FUTEX_H
#define NDPOOL_INTERNAL_FUTEX_H

#include <linux/futex.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "internal/shm.h"

/* Sleeps while the word is val, for at most ns nanoseconds. It returns for any reason; the caller looks again. */
static inline void futex_wait(shm_u32 *w, uint32_t val, int64_t ns)
{
    struct timespec ts = {.tv_sec = ns / 1000000000, .tv_nsec = ns % 1000000000};
    syscall(SYS_futex, w, FUTEX_WAIT, val, &ts, NULL, 0);
}

/* Wakes at most n sleepers. */
static inline void futex_wake(shm_u32 *w, int n) { syscall(SYS_futex, w, FUTEX_WAKE, n, NULL, NULL, 0); }

#endif
