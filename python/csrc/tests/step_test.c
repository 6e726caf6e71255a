/*
 * Kills a process at every single instruction of allocate, release, send and adopt, and recovers; of looking up and replacing
 * a name, at many. The crash build dies
 * after stores only; this shows that nothing else matters. The path through an operation is learned by stepping with
 * ptrace; then a victim for each instruction runs to a breakpoint there. On amd64 only.
 *
 * NDPOOL_LONG=1 takes every instruction of the long operations too, which else are taken in steps of a prime.
 */
#include "tests/scenarios.h"

#include <sched.h>
#include <signal.h>
#include <sys/ptrace.h>
#include <sys/user.h>

#ifdef __x86_64__

enum { MOST = 1 << 20 };

static char dir[64];

/* The operations, by name, and the stride between deaths. */
static const struct {
    const char *name;
    int stride;
} steps[] = {
    {"alloc-cached", 1}, {"release-private", 1}, {"release-last", 1}, {"release-shared", 1},
    {"send", 1},         {"adopt-sole", 1},      {"retain", 7},       {"alloc-refill", 29},
    {"names-lookup", 7}, {"names-replace", 11},
};

static const scenario *scenario_named(const char *name)
{
    for (int n = 0; n < SCENARIOS; n++) {
        if (strcmp(scenarios[n].name, name) == 0)
            return &scenarios[n];
    }
    abort();
}

/* The victim: it stops when it is ready, and again when the operation is over. */
static void victim(bystander *by, const scenario *sc)
{
    ndpool_options o = {.dir = dir};
    scene s = {0};
    ndpool_exit(by->p);
    must(ndpool_open("step", &o, &s.peer));
    must(ndpool_open("step", &o, &s.victim));
    sc->prepare(&s);
    ptrace(PTRACE_TRACEME, 0, NULL, NULL);
    raise(SIGSTOP);
    sc->op(&s);
    raise(SIGSTOP);
    _exit(0);
}

/* The addresses of the operation's instructions, in the order in which they run. A forked victim has the same ones. */
static struct {
    uintptr_t at[MOST];
    long n;
} path;

static uintptr_t instruction_pointer(pid_t pid) { return (uintptr_t)ptrace(PTRACE_PEEKUSER, pid, offsetof(struct user, regs.rip), NULL); }

/* Lets the victim go on by one of ptrace's requests; tells whether it stopped at a trap, which is inside the operation:
 * the end is a SIGSTOP. */
static bool go_on(pid_t pid, enum __ptrace_request how)
{
    int status;
    return ptrace(how, pid, NULL, NULL) == 0 && waitpid(pid, &status, 0) == pid && WIFSTOPPED(status) && WSTOPSIG(status) == SIGTRAP;
}

/* Steps through the whole operation and notes its path. */
static void learn_path(pid_t pid)
{
    path.n = 0;
    while (path.n < MOST && go_on(pid, PTRACE_SINGLESTEP))
        path.at[path.n++] = instruction_pointer(pid);
}

/* Lets the victim run to instruction n of the path: to a breakpoint at its address, as often as it is passed before. */
static bool run_to(pid_t pid, long n)
{
    void *at = (void *)path.at[n];
    long word = ptrace(PTRACE_PEEKTEXT, pid, at, NULL), trap = (word & ~0xffL) | 0xcc;
    int passes = 0;
    for (long k = 0; k < n; k++)
        passes += path.at[k] == path.at[n];
    for (;; passes--) {
        ptrace(PTRACE_POKETEXT, pid, at, trap);
        if (!go_on(pid, PTRACE_CONT))
            return false;
        ptrace(PTRACE_POKETEXT, pid, at, word);
        ptrace(PTRACE_POKEUSER, pid, offsetof(struct user, regs.rip), at);
        if (passes == 0)
            return true;
        if (!go_on(pid, PTRACE_SINGLESTEP))
            return false;
    }
}

/* One victim, killed at instruction n of the path; with n -1 it is stepped through, to learn the path. Tells whether it
 * came there. */
static bool step_case(const scenario *sc, long n, int *bad)
{
    ndpool_options o = small_pool(dir);
    bystander by = {0};
    char name[80];
    int status;
    must(ndpool_create("step", &o, &by.p));
    bystander_fill(&by);
    pid_t pid = fork();
    if (pid == 0)
        victim(&by, sc);
    waitpid(pid, &status, 0); /* it has stopped itself */
    bool there = true;
    if (n < 0)
        learn_path(pid);
    else
        there = run_to(pid, n);
    kill(pid, SIGKILL);
    waitpid(pid, &status, 0);
    snprintf(name, sizeof name, "%s, SIGKILL at instruction %ld", sc->name, n);
    *bad += bystander_settle(&by, name);
    ndpool_free(by.p);
    return there;
}

/* Learns the path that two runs in a row have taken: now and then one is longer, when the clock is read while the kernel
 * writes it. */
static void learn(const scenario *sc, int *bad)
{
    long before = -1;
    path.n = 0;
    for (int k = 0; k < 10 && path.n != before && !*bad; k++) {
        before = path.n;
        step_case(sc, -1, bad);
    }
}

/* Kills at every stride-th instruction of the path, and tells at how many, and how many were not reached. */
static int step_along(const scenario *sc, int stride, long *killed, long *missed)
{
    int bad = 0;
    *killed = *missed = 0;
    learn(sc, &bad);
    for (long n = 0; n < path.n && !bad; n += stride)
        *(step_case(sc, n, &bad) ? killed : missed) += 1;
    return bad;
}

/* Where much else runs, the path that was learned may be a rare one, with a sweep that is due or a lock that was taken: then
 * another one is learned. */
static int step_through(const scenario *sc, int stride)
{
    int bad = 0;
    long killed = 0, missed = 1;
    for (int k = 0; k < 5 && !bad && missed > killed / 50; k++)
        bad = step_along(sc, stride, &killed, &missed);
    if (missed > killed / 50) {
        fprintf(stderr, "%s: the path is another one each time: %ld of %ld instructions were not reached\n", sc->name, missed, killed);
        bad++;
    }
    printf("step: %-16s %5ld instructions, killed at %5ld, not reached %ld: %s\n", sc->name, path.n, killed, missed, bad ? "WRONG" : "clean");
    fflush(stdout);
    return bad;
}

/* On one processor a step costs a fraction of what it costs across two. */
static void stay_on_one_cpu(void)
{
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET((unsigned)sched_getcpu(), &one);
    (void)sched_setaffinity(0, sizeof one, &one);
}

int main(int argc, char **argv)
{
    int bad = 0;
    stay_on_one_cpu();
    snprintf(dir, sizeof dir, "/dev/shm/ndpool-step-XXXXXX");
    if (!mkdtemp(dir))
        return 3;
    for (size_t k = 0; k < sizeof steps / sizeof steps[0] && !bad; k++) {
        if (argc > 2 && strcmp(argv[2], steps[k].name) != 0)
            continue;
        bad = step_through(scenario_named(steps[k].name), getenv("NDPOOL_LONG") ? 1 : steps[k].stride);
    }
    rmdir(dir);
    return bad != 0;
}

#else

int main(void)
{
    printf("step: written for amd64, nothing to do\n");
    return 0;
}

#endif
