/* Floor: two processes that hand 16 bytes back and forth in shared memory, and nothing else. As "futex" they sleep on a
 * word, as "futex-spin" they look at it without a pause, which wants a processor for each. */
#include <linux/futex.h>
#include <sched.h>
#include <sys/syscall.h>

#include "children.h"

typedef struct hand {
    uint32_t turn; /* odd: the child's */
    char line[60];
    uint64_t word[2];
} hand;

static const uint32_t END = UINT32_MAX; /* a turn */

static bool spins(void) { return strstr(opt.program, "spin") != NULL; }

static hand *open_hand(void)
{
    char path[PATH_MAX];
    find_place();
    snprintf(path, sizeof path, "%s/hand", opt.place);
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0 || ftruncate(fd, 4096) != 0)
        die("make %s: %s", path, strerror(errno));
    remove_at_end(path);
    void *p = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (p == MAP_FAILED)
        die("map %s: %s", path, strerror(errno));
    close(fd);
    return (hand *)p;
}

/* Whoever spins for long lets the other on the processor that they may share. */
static uint32_t await(hand *h, uint32_t not, bool spin)
{
    uint32_t v;
    for (unsigned k = 1; (v = __atomic_load_n(&h->turn, __ATOMIC_ACQUIRE)) == not; k++) {
        if (!spin)
            syscall(SYS_futex, &h->turn, FUTEX_WAIT, v, NULL, NULL, 0);
        else if (k % 10000 == 0)
            sched_yield();
    }
    return v;
}

static void turn(hand *h, uint32_t v, bool spin)
{
    __atomic_store_n(&h->turn, v, __ATOMIC_RELEASE);
    if (!spin)
        syscall(SYS_futex, &h->turn, FUTEX_WAKE, 1, NULL, NULL, 0);
}

static void round_(hand *h, uint32_t *v, bool spin)
{
    int64_t began = now();
    h->word[0] = *v;
    turn(h, *v + 1, spin);
    *v = await(h, *v + 1, spin);
    sample((double)(now() - began) / 1e3);
    if (h->word[1] != h->word[0])
        die("answer %llu (want %llu)", (unsigned long long)h->word[1], (unsigned long long)h->word[0]);
}

static void pass(void)
{
    child c;
    uint32_t v = 0;
    bool spin = spins();
    hand *h = open_hand();
    start_all(&c, 1, "looker");
    for (int64_t until = now() + budget(0.2); more(until, 10);)
        round_(h, &v, spin);
    n_samples = 0;
    for (int64_t until = now() + budget(1); more(until, 10);)
        round_(h, &v, spin);
    turn(h, END, spin);
    finish(&c);
}

static void looker(void)
{
    bool spin = spins();
    hand *h = open_hand();
    answer(0);
    for (uint32_t v = 0; (v = await(h, v, spin)) != END;) {
        h->word[1] = h->word[0];
        turn(h, ++v, spin);
    }
}

static void version(void) { puts("kernel's"); }

static const role roles[] = {{"looker", looker}, {NULL, NULL}};
static const workload workloads[] = {{"pass", pass}, {NULL, NULL}};

int main(int argc, char **argv) { return parent_and_child_main(argc, argv, workloads, roles, version); }
