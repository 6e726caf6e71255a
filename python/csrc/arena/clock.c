/*
 * The clocks. That of deadlines is CLOCK_BOOTTIME: it counts while the machine sleeps, and no process can set it. Twin
 * of arena/clock_linux.go, but that it asks each time: the C library asks for both clocks without a system call.
 */
#include <time.h>

#include "arena/arena.h"

static int64_t ask(clockid_t clock)
{
    struct timespec ts = {0};
    clock_gettime(clock, &ts);
    return (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
}

int64_t boot_time(void) { return ask(CLOCK_BOOTTIME); }
int64_t mono_time(void) { return ask(CLOCK_MONOTONIC); }
int64_t wall_time(void) { return ask(CLOCK_REALTIME); }
