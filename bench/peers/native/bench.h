/* What all native peers share: arguments, the clock, random numbers, samples, and an end that leaves nothing. C and C++.
 *
 *     PROG WORKLOAD key=value...   measures; one line of JSON per sample
 *     PROG list | version | --help
 *
 * Exit code 0, or 1 and one line on stderr. */
#ifndef BENCH_H
#define BENCH_H

#include <errno.h>
#include <limits.h>
#include <math.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define ALWAYS_INLINE static inline __attribute__((always_inline))
#define MIB ((uint64_t)1 << 20)

/* ---- options */

typedef struct options {
    const char *program, *workload;
    uint64_t size, live, readers, producers, consumers, holds, count, capacity; /* capacity 0: what the workload needs */
    const char *what, *place;                                                   /* place: an empty directory on tmpfs */
    double seconds;
} options;

static options opt;

static void die(const char *format, ...) __attribute__((format(printf, 1, 2), noreturn));

/* One line, and exit; what was made goes by atexit. */
static void die(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    fprintf(stderr, "%s: %s: ", opt.program, opt.workload ? opt.workload : "-");
    vfprintf(stderr, format, args);
    fputc('\n', stderr);
    va_end(args);
    exit(1);
}

static uint64_t number(const char *key, const char *text)
{
    char *end;
    errno = 0;
    uint64_t v = strtoull(text, &end, 10);
    if (errno || end == text || *end || *text == '-')
        die("%s=%s: not a number", key, text);
    return v;
}

static void option(char *arg)
{
    static const struct {
        const char *key;
        uint64_t *value;
    } numbers[] = {{"size", &opt.size},           {"live", &opt.live},           {"readers", &opt.readers},
                   {"producers", &opt.producers}, {"consumers", &opt.consumers}, {"holds", &opt.holds},
                   {"count", &opt.count},         {"capacity", &opt.capacity}};
    char *value = strchr(arg, '=');
    if (!value)
        die("%s: not key=value", arg);
    *value++ = 0;
    for (size_t k = 0; k < sizeof numbers / sizeof *numbers; k++) {
        if (strcmp(arg, numbers[k].key) == 0) {
            *numbers[k].value = number(arg, value);
            return;
        }
    }
    if (strcmp(arg, "what") == 0)
        opt.what = value;
    else if (strcmp(arg, "place") == 0)
        opt.place = value;
    else if (strcmp(arg, "seconds") == 0)
        opt.seconds = atof(value);
    else
        die("%s: no such key", arg);
}

static inline bool what_is(const char *word) { return opt.what && strcmp(opt.what, word) == 0; }

/* ---- what has to go in the end, also by Ctrl-C: at most some paths, and the directory that was made for them */

static char doomed[8][PATH_MAX];
static pid_t doomed_by; /* the parent: a child removes nothing */

static inline void remove_at_end(const char *path)
{
    for (size_t k = 0; k < sizeof doomed / sizeof *doomed; k++) {
        if (strcmp(doomed[k], path) == 0)
            return;
        if (!*doomed[k]) {
            snprintf(doomed[k], sizeof doomed[k], "%s", path);
            return;
        }
    }
    die("too many files");
}

/* In reverse: a directory comes before what is in it. Safe in a signal handler. */
static void remove_doomed(void)
{
    if (getpid() != doomed_by)
        return;
    for (size_t k = sizeof doomed / sizeof *doomed; k-- > 0;)
        if (*doomed[k] && unlink(doomed[k]) != 0)
            rmdir(doomed[k]);
}

static void interrupted(int sig)
{
    remove_doomed();
    _exit(128 + sig);
}

static void clean_end(void)
{
    doomed_by = getpid();
    atexit(remove_doomed);
    signal(SIGINT, interrupted);
    signal(SIGTERM, interrupted);
    signal(SIGHUP, interrupted);
    signal(SIGPIPE, SIG_IGN); /* a child that died is told as such */
}

static inline void find_place(void)
{
    static char made[] = "/dev/shm/peers-XXXXXX";
    if (opt.place)
        return;
    if (!mkdtemp(made))
        die("make %s: %s", made, strerror(errno));
    opt.place = made;
    remove_at_end(made);
}

/* ---- time */

ALWAYS_INLINE int64_t now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static int64_t budget(double share) { return (int64_t)(opt.seconds * share * 1e9); }

/* ---- samples, printed when all is measured */

enum { MOST_SAMPLES = 20000 };

static double samples[MOST_SAMPLES];
static size_t n_samples;

static inline void sample(double v)
{
    if (n_samples < MOST_SAMPLES)
        samples[n_samples++] = v;
}

/* Whether to go on: the time is not up and there is room, or there are too few. */
static inline bool more(int64_t until, size_t at_least)
{
    return n_samples < at_least || (now() < until && n_samples < MOST_SAMPLES);
}

static void print_samples(void)
{
    for (size_t k = 0; k < n_samples; k++)
        printf("{\"value\": %.6g}\n", samples[k]);
    if (fflush(stdout) != 0)
        die("write: %s", strerror(errno));
}

typedef void (*step_fn)(void *);

ALWAYS_INLINE int64_t batch(step_fn step, void *arg, size_t n)
{
    int64_t start = now();
    for (size_t k = 0; k < n; k++)
        step(arg);
    return now() - start;
}

/* The best of three: another process may have disturbed one of them. */
ALWAYS_INLINE int64_t best_batch(step_fn step, void *arg, size_t n)
{
    int64_t best = INT64_MAX;
    for (int k = 0; k < 3; k++) {
        int64_t t = batch(step, arg, n);
        best = t < best ? t : best;
    }
    return best;
}

/* Samples of ns per step, each the mean of a batch that takes a hundredth of the time. Finding its length is the warm-up.
 * It is inlined with a step that is known, so that nothing but the step is measured. */
ALWAYS_INLINE void batches(step_fn step, void *arg)
{
    size_t n = 1;
    while (best_batch(step, arg, n) < budget(0.01))
        n *= 2;
    for (int64_t until = now() + budget(1); more(until, 5);)
        sample((double)batch(step, arg, n) / (double)n);
}

/* ---- random numbers: xorshift64*, the same in all languages */

static inline uint64_t next_random(uint64_t *state)
{
    uint64_t x = *state;
    x ^= x >> 12;
    x ^= x << 25;
    x ^= x >> 27;
    *state = x;
    return x * 0x2545F4914F6CDD1Du;
}

/* Bytes from 64 to 4 KiB, log-uniform. */
static inline uint32_t next_size(uint64_t *state)
{
    return (uint32_t)(64 * exp2(6 * ((double)(next_random(state) >> 11) * 0x1p-53)));
}

/* The compiler must take it that somebody uses p. */
ALWAYS_INLINE void escape(void *p) { __asm__ volatile("" : : "r"(p) : "memory"); }

/* ---- main */

typedef struct workload {
    const char *name;
    void (*run)(void);
} workload;

static void usage(FILE *to, const workload *table)
{
    fprintf(to, "usage: %s WORKLOAD [key=value...] | list | version\nworkloads:", opt.program);
    for (; table->name; table++)
        fprintf(to, " %s", table->name);
    fprintf(to, "\nkeys: size live readers producers consumers holds count capacity what place seconds\n"
                "Prints one line of JSON per sample. place is an empty directory on tmpfs; without it one is made.\n");
}

static int list(const workload *table)
{
    for (; table->name; table++)
        puts(table->name);
    return 0;
}

static void run(const workload *table)
{
    for (; table->name; table++) {
        if (strcmp(table->name, opt.workload) == 0) {
            table->run();
            return;
        }
    }
    die("no such workload");
}

static void parse(int argc, char **argv)
{
    opt.size = 4096;
    opt.live = 10000;
    opt.readers = opt.producers = opt.consumers = 1;
    opt.holds = 100;
    opt.count = 100000;
    opt.seconds = 0.3;
    for (int k = 0; k < argc; k++)
        option(argv[k]);
}

static int bench_main(int argc, char **argv, const workload *table, void (*version)(void))
{
    opt.program = strrchr(argv[0], '/') ? strrchr(argv[0], '/') + 1 : argv[0];
    if (argc < 2) {
        usage(stderr, table);
        return 2;
    }
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0) {
        usage(stdout, table);
        return 0;
    }
    if (strcmp(argv[1], "list") == 0)
        return list(table);
    if (strcmp(argv[1], "version") == 0) {
        version();
        return 0;
    }
    opt.workload = argv[1];
    parse(argc - 2, argv + 2);
    clean_end();
    run(table);
    print_samples();
    return 0;
}

#endif
