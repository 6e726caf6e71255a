/* What the tests of streams and queues share: a pool with two attachments of this process, arrays with a number in them. */
#ifndef NDPOOL_TESTS_RINGS_H
#define NDPOOL_TESTS_RINGS_H

#include <pthread.h>
#include <signal.h>
#include <sys/wait.h>

#include "pool/pool.h"
#include "tests/check.h"

#define PATIENCE INT64_C(30000000000) /* how long the tests wait for what must come */
#define BRIEF INT64_C(20000000)       /* a wait that is meant to fail */

static char dir[64];
static ndpool *p, *q; /* two attachments */

static inline void print_fault(void *arg, const ndpool_fault *f)
{
    (void)arg;
    fprintf(stderr, "%s: %s: expected %s, got %s\n", f->law, f->place, f->want, f->got);
}

static inline void verify(ndpool *r)
{
    ndpool_report report;
    CHECK(ndpool_verify(r, 0, print_fault, NULL, &report) == NDPOOL_OK);
    CHECK_EQ(report.faults, 0);
}

/* Says what went wrong if a status is not what it should be. */
static inline bool check_status(int got, int want, const char *file, int line, const char *what)
{
    if (got != want)
        fprintf(stderr, "%s:%d: %s: got %s, expected %s: %s\n", file, line, what, ndpool_status_name(got),
                ndpool_status_name(want), ndpool_last_error()->message);
    return check_true(got == want, file, line, what);
}
#define STATUS(got, want) check_status(got, want, __FILE__, __LINE__, #got)
#define OK(got) STATUS(got, NDPOOL_OK)

static inline ndpool *open_again(void)
{
    ndpool *r = NULL;
    OK(ndpool_open("t", &(ndpool_options){.dir = dir}, &r));
    return r;
}

static inline void both(void)
{
    OK(ndpool_create("t", &(ndpool_options){.dir = dir, .capacity = 16 << 20, .names = 64}, &p));
    q = open_again();
}

static inline bool exists(void)
{
    char path[128];
    snprintf(path, sizeof path, "%s/t", dir);
    return access(path, F_OK) == 0;
}

/* All that the test made is gone: with the names no array is left. */
static inline void done(void)
{
    ndpool_stats_t s;
    ndpool_reaped reaped;
    verify(p);
    OK(ndpool_reap(p, &reaped)); /* children that were killed */
    OK(ndpool_remove(p, "", NDPOOL_TREE, 0, NULL));
    verify(p);
    ndpool_free(q);
    OK(ndpool_stats(p, &s));
    CHECK_EQ(s.names, 0);
    CHECK_EQ(s.arrays, 0);
    verify(p);
    ndpool_free(p);
    p = q = NULL;
    CHECK(!exists());
}

/* An array of one number. */
static inline ndpool_handle number(ndpool *r, int64_t v)
{
    ndpool_array a = {0};
    int64_t n = 1;
    OK(ndpool_alloc(r, &(ndpool_spec){.dtype = NDPOOL_INT64, .ndim = 1, .shape = &n, .wait = PATIENCE}, &a));
    *(int64_t *)a.data = v;
    return a.handle;
}

static inline int64_t value(const ndpool_array *a) { return a->data ? *(int64_t *)a->data : -1; }

/* A process that runs f and ends without leaving. */
static inline void in_child(void (*f)(void))
{
    pid_t pid = fork();
    if (pid == 0) {
        f();
        check_exit();
    }
    int status;
    CHECK(waitpid(pid, &status, 0) == pid && WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

/* Nanoseconds of this process: what is measured does not wait, and others may be busy. */
static inline int64_t cpu_time(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

typedef struct test {
    const char *name;
    void (*run)(void);
} test;

static inline int run_tests(const test *tests, size_t n, int argc, char **argv)
{
    snprintf(dir, sizeof dir, "%s/ndpool-rings-XXXXXX", access("/dev/shm", W_OK) ? "/tmp" : "/dev/shm");
    CHECK(mkdtemp(dir) != NULL);
    for (size_t k = 0; k < n; k++) {
        if (argc > 2 && strcmp(argv[2], tests[k].name) != 0)
            continue;
        tests[k].run();
        if (getenv("VERBOSE"))
            printf("ok %s\n", tests[k].name);
    }
    CHECK(rmdir(dir) == 0);
    return 0;
}

#endif
