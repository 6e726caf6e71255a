/*
 * Checks of the test programs. A failed one says where and what, and the program goes on and ends with status 1; after
 * CHECK_LIMIT of them it ends at once. A forked child ends by check_exit.
 */
#ifndef NDPOOL_TESTS_CHECK_H
#define NDPOOL_TESTS_CHECK_H

#include <inttypes.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { CHECK_LIMIT = 20 };

/* Local: of this process. */
static int check_failures;

#ifdef NDPOOL_COVERAGE
void __gcov_dump(void); /* else done by a handler */
#endif

/* Ends this process without the handlers that it may have inherited. */
_Noreturn static inline void check_exit(void)
{
    fflush(NULL);
#ifdef NDPOOL_COVERAGE
    __gcov_dump();
#endif
    _exit(check_failures ? 1 : 0);
}

static inline void check_failed(void)
{
    if (++check_failures == 1)
        atexit(check_exit);
    if (check_failures == CHECK_LIMIT) {
        fprintf(stderr, "%d checks failed, no more are made\n", check_failures);
        check_exit();
    }
}

static inline bool check_true(bool ok, const char *file, int line, const char *what)
{
    if (!ok) {
        fprintf(stderr, "%s:%d: not so: %s\n", file, line, what);
        check_failed();
    }
    return ok;
}

static inline bool check_equal(uint64_t got, uint64_t want, const char *file, int line, const char *what)
{
    if (got != want) {
        fprintf(stderr, "%s:%d: %s: got %" PRIu64 " (%#" PRIx64 "), expected %" PRIu64 " (%#" PRIx64 ")\n", file, line,
                what, got, got, want, want);
        check_failed();
    }
    return got == want;
}

static inline bool check_text(const char *got, const char *part, const char *file, int line, const char *what)
{
    bool ok = got && strstr(got, part);
    if (!ok) {
        fprintf(stderr, "%s:%d: %s: got \"%s\", expected \"%s\" in it\n", file, line, what, got ? got : "(null)", part);
        check_failed();
    }
    return ok;
}

/* Each says whether it is so. */
#define CHECK(cond) check_true(cond, __FILE__, __LINE__, #cond)
#define CHECK_EQ(got, want) check_equal((uint64_t)(got), (uint64_t)(want), __FILE__, __LINE__, #got)
#define CHECK_HAS(got, part) check_text(got, part, __FILE__, __LINE__, #got)

#endif
