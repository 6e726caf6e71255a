/*
 * Dies after every shared store of every operation. In the crash build only; in others it says so and ends. The catalog must
 * be as if the operation had not begun, or as if it had ended.
 *
 * Jumps: the victim is an attachment of this process; its death is a jump out of the operation, after which its kernel
 * locks are dropped as the kernel would. That is fast enough to let a recoverer die too, after every store of his.
 * Kills: the victim is a process, and its death is SIGKILL.
 *
 * NDPOOL_LONG=1 takes all pairs of deaths; else one of PAIRS.
 */
#include "tests/scenarios.h"

#ifdef NDPOOL_CRASH

#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <sys/prctl.h>

static jmp_buf death;
static char dir[64];

static void jump(void) { longjmp(death, 1); }

typedef struct stage {
    bystander by;
    scene s;
} stage;

static void stage_open(stage *g, const scenario *sc)
{
    ndpool_options o = {.dir = dir};
    memset(g, 0, sizeof *g);
    bystander_create(&g->by, sc, dir);
    g->s.dir = dir;
    must(ndpool_open("crash", &o, &g->s.peer));
    must(ndpool_open("crash", &o, &g->s.victim));
    sc->prepare(&g->s);
}

/* Drops what is left of an attachment that died by a jump: its locks, as the kernel would, and its memory. */
static void bury(ndpool *p)
{
    fork_delist(p);
    if (p->arena) {
        arena_abandon(p->arena);
        pool_unmap(p);
    }
}

/* Runs op, which may die after store k; tells whether it did, and how many stores there were. */
static bool victim_run(stage *g, const scenario *sc, int k, int *stores)
{
    volatile bool died = false;
    shm_arm(k, jump);
    if (setjmp(death) == 0)
        sc->op(&g->s);
    else
        died = true;
    *stores = shm_disarm();
    return died;
}

enum { FDS = 64, PAIRS = 397 };

/* Notes which descriptors are open, and closes those that have come since: what a death does to the description that a
 * sweep had opened. */
static void note_fds(bool open_fds[FDS])
{
    for (int fd = 0; fd < FDS; fd++)
        open_fds[fd] = fcntl(fd, F_GETFD) >= 0;
}

static void close_new_fds(const bool open_fds[FDS])
{
    for (int fd = 0; fd < FDS; fd++) {
        if (!open_fds[fd])
            close(fd);
    }
}

/* Lets another attachment recover, and die after store j of it. */
static bool recoverer_dies(stage *g, int j)
{
    bool open_fds[FDS];
    ndpool_reaped r;
    volatile bool died = false;
    note_fds(open_fds);
    shm_arm(j, jump);
    if (setjmp(death) == 0)
        must(ndpool_reap(g->s.peer, &r));
    else
        died = true;
    shm_disarm();
    close_new_fds(open_fds);
    return died;
}

/* What may be left of the catalog, and of rings, when all but the bystander of a scenario have died: before the operation, after
 * it and, of some, in the middle. */
static struct {
    char before[2048], after[2048], half[2048];
} outcomes;

static int allow(const char *left, const char *name)
{
    if (strcmp(left, outcomes.before) == 0 || strcmp(left, outcomes.after) == 0 || strcmp(left, outcomes.half) == 0)
        return 0;
    fprintf(stderr, "%s: half a change: the catalog is\n%sexpected\n%sor\n%s", name, left, outcomes.before, outcomes.after);
    if (strcmp(outcomes.half, outcomes.before) != 0)
        fprintf(stderr, "or\n%s", outcomes.half);
    return 1;
}

static int learn_outcome(const scenario *sc, void (*op)(scene *), char to[2048])
{
    stage g;
    stage_open(&g, sc);
    shm_arm(0, NULL); /* others may have to act */
    if (op && !sc->forks)
        op(&g.s);
    shm_disarm();
    bury(g.s.victim);
    bury(g.s.peer);
    int bad = bystander_settle(&g.by, sc->name);
    memcpy(to, g.by.catalog, sizeof g.by.catalog);
    ndpool_free(g.by.p);
    return bad;
}

static int learn_outcomes(const scenario *sc)
{
    return learn_outcome(sc, NULL, outcomes.before) + learn_outcome(sc, sc->op, outcomes.after) + learn_outcome(sc, half_of(sc), outcomes.half);
}

/* One case. Returns whether the victim died, and whether the recoverer did. */
static bool jump_case(const scenario *sc, int k, int j, bool *both, int *bad)
{
    stage g;
    int stores;
    char name[80];
    stage_open(&g, sc);
    bool died = victim_run(&g, sc, k, &stores);
    bury(g.s.victim);
    *both = died && j > 0 && recoverer_dies(&g, j);
    bury(g.s.peer);
    snprintf(name, sizeof name, "%s, death after store %d, recoverer's after %d", sc->name, k, j);
    *bad += bystander_settle(&g.by, name) || allow(g.by.catalog, name);
    ndpool_free(g.by.p);
    return died;
}

/* The pool can be opened after somebody died who did. */
static void opens(void)
{
    ndpool *p;
    must(ndpool_open("crash", &(ndpool_options){.dir = dir}, &p));
    ndpool_close(p);
}

/* Tells whether a pool of an earlier boot can be opened after somebody died who did, and its transfer is still there. */
static bool opens_old(const char *name)
{
    ndpool *p;
    ndpool_reaped r;
    ndpool_stats_t st;
    ndpool_options o = {.dir = dir};
    must(ndpool_open("old", &o, &p));
    must(ndpool_reap(p, &r));
    must(ndpool_stats(p, &st));
    bool ok = st.transfers == 1 && arena_same_boot(p->arena);
    if (!ok)
        fprintf(stderr, "%s: %d transfers are left\n", name, (int)st.transfers);
    ndpool_close(p);
    must(ndpool_unlink("old", &o));
    return ok;
}

/* Tells whether a new pool can be had after somebody died who made it: what was half made has no name. */
static bool replaces(const char *name, bool died)
{
    ndpool *p;
    ndpool_report r;
    char path[80];
    ndpool_options o = small_pool(dir);
    snprintf(path, sizeof path, "%s/new", dir);
    bool half = died && access(path, F_OK) == 0;
    if (half)
        fprintf(stderr, "%s: the half-made pool has a name\n", name);
    must(ndpool_open_or_create("new", &o, &p));
    must(ndpool_verify(p, NDPOOL_CONTENT, print_fault, (void *)(uintptr_t)name, &r));
    ndpool_close(p);
    return !half && r.faults == 0 && access(path, F_OK) != 0;
}

/* A real process: it dies with its peer. */
static bool kill_case(const scenario *sc, int k, int *bad)
{
    bystander by;
    char name[80];
    bystander_create(&by, sc, dir);
    pid_t pid = fork();
    if (pid == 0) {
        scene s = {.dir = dir};
        ndpool_options o = {.dir = dir};
        ndpool_exit(by.p);
        must(ndpool_open("crash", &o, &s.peer));
        must(ndpool_open("crash", &o, &s.victim));
        sc->prepare(&s);
        shm_arm(k, shm_kill);
        sc->op(&s);
        _exit(0);
    }
    int status;
    waitpid(pid, &status, 0);
    while (wait(NULL) > 0) /* a child that the victim had forked */
        ;
    bool child_died = WIFEXITED(status) && WEXITSTATUS(status) == CHILD_DIED;
    if (WIFEXITED(status) && WEXITSTATUS(status) != 0 && !child_died) {
        fprintf(stderr, "%s: victim failed\n", sc->name);
        *bad += 1;
    }
    bool died = WIFSIGNALED(status) || child_died;
    snprintf(name, sizeof name, "%s, SIGKILL after store %d", sc->name, k);
    if (sc->op == op_open)
        opens();
    *bad += sc->op == op_open_old && !opens_old(name);
    *bad += sc->op == op_create && !replaces(name, died);
    *bad += bystander_settle(&by, name) || allow(by.catalog, name);
    ndpool_free(by.p);
    return died;
}

static int jumps(const scenario *sc, bool all_pairs, int *cases)
{
    int bad = 0;
    bool both;
    for (int k = 1; bad == 0 && jump_case(sc, k, 0, &both, &bad); k++) {
        *cases += 1;
        for (int j = all_pairs ? 1 : 1 + 7 * k % PAIRS; bad == 0; j += all_pairs ? 1 : PAIRS) {
            *cases += 1;
            jump_case(sc, k, j, &both, &bad);
            if (!both)
                break;
        }
    }
    return bad;
}

static int kills(const scenario *sc, int step, int *cases)
{
    int bad = 0, k = 1;
    for (; bad == 0 && kill_case(sc, k, &bad); k += step)
        *cases += 1;
    return bad;
}

/* Every so many scenarios from one on, or the one of that name. */
static int crash(int from, int step, const char *only)
{
    bool all_pairs = getenv("NDPOOL_LONG") != NULL;
    int bad = 0, cases = 0;
    snprintf(dir, sizeof dir, "/dev/shm/ndpool-crash-XXXXXX");
    if (!mkdtemp(dir) || prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0))
        return 3;
    for (int n = from; n < SCENARIOS && !bad; n += step) {
        const scenario *sc = &scenarios[n];
        if (only && strcmp(only, sc->name) != 0)
            continue;
        bad += learn_outcomes(sc);
        if (!sc->forks)
            bad += jumps(sc, all_pairs, &cases);
        bad += kills(sc, all_pairs || sc->forks ? 1 : 7, &cases);
    }
    rmdir(dir);
    if (only && !bad && cases == 0)
        fprintf(stderr, "crash: no scenario is called %s, or it stores nothing\n", only), bad++;
    printf("crash: %d deaths, %d wrong\n", cases, bad);
    return bad != 0;
}

/* Two processes at once, each with half of the scenarios. */
int main(int argc, char **argv)
{
    int status, bad = 0;
    if (argc > 2)
        return crash(0, 1, argv[2]);
    for (int half = 0; half < 2; half++) {
        if (fork() == 0)
            exit(crash(half, 2, NULL));
    }
    while (wait(&status) > 0)
        bad += status != 0;
    return bad != 0;
}

#else

int main(void)
{
    printf("crash: not the crash build, nothing to do\n");
    return 0;
}

#endif
