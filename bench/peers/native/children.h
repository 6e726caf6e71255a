/* Other processes: the program itself, started anew with a role, that reads its tokens from descriptor 3 and answers on 4. */
#ifndef CHILDREN_H
#define CHILDREN_H

#include <fcntl.h>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include "bench.h"

extern char **environ;

enum { MOST_CHILDREN = 64, IN = 3, OUT = 4 };

typedef struct child {
    pid_t pid;
    int to, from;
} child;

/* Descriptors above those that a child gets, so that dup2 does not overwrite one of them. */
static void make_pipe(int ends[2])
{
    int low[2];
    if (pipe2(low, O_CLOEXEC) != 0)
        die("pipe: %s", strerror(errno));
    for (int k = 0; k < 2; k++) {
        ends[k] = fcntl(low[k], F_DUPFD_CLOEXEC, 16);
        if (ends[k] < 0)
            die("dup: %s", strerror(errno));
        close(low[k]);
    }
}

/* What a child is started with: its role, the workload, and the options as they are now. */
static char **arguments_of(const char *role)
{
    static char words[12][PATH_MAX];
    static char *argv[13];
    int n = 0;
#define WORD(...) snprintf(words[n++], PATH_MAX, __VA_ARGS__)
    WORD("%s", opt.program);
    WORD("child:%s", role);
    WORD("%s", opt.workload);
    WORD("size=%llu", (unsigned long long)opt.size);
    WORD("producers=%llu", (unsigned long long)opt.producers);
    WORD("consumers=%llu", (unsigned long long)opt.consumers);
    WORD("holds=%llu", (unsigned long long)opt.holds);
    WORD("place=%s", opt.place);
#undef WORD
    for (int k = 0; k < n; k++)
        argv[k] = words[k];
    argv[n] = NULL;
    return argv;
}

/* posix_spawn and not fork: a child begins with nothing of the parent's. */
static child start(const char *role)
{
    int down[2], up[2];
    child c;
    make_pipe(down);
    make_pipe(up);
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, down[0], IN);
    posix_spawn_file_actions_adddup2(&actions, up[1], OUT);
    int err = posix_spawn(&c.pid, "/proc/self/exe", &actions, NULL, arguments_of(role), environ);
    if (err)
        die("start a child: %s", strerror(err));
    posix_spawn_file_actions_destroy(&actions);
    close(down[0]);
    close(up[1]);
    c.to = down[1];
    c.from = up[0];
    return c;
}

ALWAYS_INLINE void send_bytes(int fd, const void *data, size_t n)
{
    if (write(fd, data, n) != (ssize_t)n)
        die("write to the other process: %s", strerror(errno));
}

/* False at the end. */
ALWAYS_INLINE bool get_bytes(int fd, void *data, size_t n)
{
    for (size_t k = 0; k < n;) {
        ssize_t got = read(fd, (char *)data + k, n - k);
        if (got == 0 && k == 0)
            return false;
        if (got <= 0)
            die("read from the other process: %s", got ? strerror(errno) : "it ended");
        k += (size_t)got;
    }
    return true;
}

static inline uint8_t answer_of(child *c)
{
    uint8_t b = 0;
    if (!get_bytes(c->from, &b, 1))
        die("a child has ended");
    return b;
}

static inline void answer(uint8_t b) { send_bytes(OUT, &b, 1); }

/* A child that is told nothing more ends by itself. */
static inline void finish(child *c)
{
    int status;
    if (c->to >= 0)
        close(c->to);
    close(c->from);
    if (waitpid(c->pid, &status, 0) != c->pid || status != 0)
        die("a child failed: status %x", status);
}

static inline void start_all(child *c, size_t n, const char *role)
{
    if (n == 0 || n > MOST_CHILDREN)
        die("%zu children (1 to %d)", n, MOST_CHILDREN);
    for (size_t k = 0; k < n; k++)
        c[k] = start(role);
    for (size_t k = 0; k < n; k++)
        answer_of(&c[k]); /* it is ready */
}

/* ---- a page that all processes see: a file in place */

typedef struct counter {
    uint64_t n;
    char line[56]; /* each has a cache line */
} counter;

typedef struct control {
    uint32_t stop;
    char line[60];
    counter made[MOST_CHILDREN], got[MOST_CHILDREN];
} control;

static inline control *open_control(void)
{
    char path[PATH_MAX];
    snprintf(path, sizeof path, "%s/control", opt.place);
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0 || ftruncate(fd, sizeof(control)) != 0)
        die("make %s: %s", path, strerror(errno));
    remove_at_end(path);
    void *p = mmap(NULL, sizeof(control), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (p == MAP_FAILED)
        die("map %s: %s", path, strerror(errno));
    close(fd);
    return (control *)p;
}

ALWAYS_INLINE void count_one(counter *c) { __atomic_store_n(&c->n, c->n + 1, __ATOMIC_RELAXED); }

static inline uint64_t total(const counter *c, size_t n)
{
    uint64_t t = 0;
    for (size_t k = 0; k < n; k++)
        t += __atomic_load_n(&c[k].n, __ATOMIC_RELAXED);
    return t;
}

/* ---- main of programs that have children */

typedef struct role {
    const char *name;
    void (*run)(void);
} role;

/* It dies with its parent, however that ends. */
static int child_main(int argc, char **argv, const role *roles)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() == 1)
        return 1;
    opt.program = argv[0];
    opt.workload = argv[2];
    parse(argc - 3, argv + 3);
    signal(SIGINT, SIG_IGN); /* the parent's to answer */
    signal(SIGPIPE, SIG_IGN);
    for (; roles->name; roles++) {
        if (strcmp(roles->name, argv[1] + strlen("child:")) == 0) {
            roles->run();
            return 0;
        }
    }
    die("%s: no such role", argv[1]);
}

static int parent_and_child_main(int argc, char **argv, const workload *table, const role *roles, void (*version)(void))
{
    if (argc > 2 && strncmp(argv[1], "child:", 6) == 0)
        return child_main(argc, argv, roles);
    return bench_main(argc, argv, table, version);
}

#endif
