/* The floor: two processes that hand a word back and forth in shared memory, and nothing else. They sleep on it by futex, or spin.
 * floor sleep|spin ROUNDS PAUSE_US prints the median time from a store to the other side's having seen it, in nanoseconds. With a
 * pause both are asleep each time. It ends after a second in any case: who spins on a processor that others want takes long. */
#include <linux/futex.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define MOST 1000000000L /* nanoseconds */
#define END 0xffffffffu /* a turn: it is over */

typedef struct shared {
    _Atomic unsigned turn; /* odd: the child's */
    _Atomic long stamp;
    long took[1 << 20];
} shared;

static long now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000000000L + t.tv_nsec;
}

static void await(shared *s, unsigned value, int spin)
{
    for (unsigned v; (v = atomic_load(&s->turn)) != value && v != END;)
        if (!spin)
            syscall(SYS_futex, &s->turn, FUTEX_WAIT, v, NULL, NULL, 0);
}

static void pass(shared *s, unsigned value, int spin)
{
    atomic_store(&s->stamp, now());
    atomic_store(&s->turn, value);
    if (!spin)
        syscall(SYS_futex, &s->turn, FUTEX_WAKE, 1, NULL, NULL, 0);
}

static void child(shared *s, unsigned rounds, int spin)
{
    for (unsigned k = 0; k < rounds; k++) {
        await(s, 2 * k + 1, spin);
        if (atomic_load(&s->turn) == END)
            break;
        s->took[k] = now() - atomic_load(&s->stamp);
        pass(s, 2 * k + 2, spin);
    }
    _exit(0);
}

static int by_value(const void *a, const void *b)
{
    long x = *(const long *)a, y = *(const long *)b;
    return (x > y) - (x < y);
}

int main(int argc, char **argv)
{
    if (argc != 4)
        return 2;
    int spin = strcmp(argv[1], "spin") == 0;
    unsigned rounds = (unsigned)atoi(argv[2]);
    useconds_t pause = (useconds_t)atoi(argv[3]);
    shared *s = mmap(NULL, sizeof *s, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (s == MAP_FAILED || rounds == 0 || rounds > sizeof s->took / sizeof *s->took)
        return 1;
    if (fork() == 0)
        child(s, rounds, spin);
    unsigned done = 0;
    for (long end = now() + MOST; done < rounds && now() < end; done++) {
        if (pause)
            usleep(pause);
        pass(s, 2 * done + 1, spin);
        await(s, 2 * done + 2, spin);
    }
    pass(s, END, 0);
    wait(NULL);
    qsort(s->took, done, sizeof *s->took, by_value);
    printf("%ld\n", s->took[done / 2]);
    return 0;
}
