/* Floors: a general allocator on private memory, through malloc and free. One program each for glibc, mimalloc and
 * jemalloc, which take the place of the C library's by being linked first, as their documents say. */
#include <dlfcn.h>
#include <gnu/libc-version.h>

#include "bench.h"

typedef void *item;

static inline bool peer_alloc(size_t size, item *out) { return (*out = malloc(size)) != NULL; }
static inline void *peer_data(item *x) { return *x; }
static inline void peer_free(item *x) { free(*x); }
static const char *peer_why(void) { return strerror(errno); }
static uint64_t peer_shared_bytes(void) { return 0; }
static void peer_create(uint64_t capacity, uint64_t arrays)
{
    (void)capacity;
    (void)arrays;
}

#include "alone.h"

/* dlsym gives no function pointer that ISO C would accept. */
typedef union symbol {
    void *data;
    int (*mi_version)(void);
    int (*mallctl)(const char *, void *, size_t *, void *, size_t);
} symbol;

static void version(void)
{
    symbol s;
    const char *jemalloc = "?";
    size_t n = sizeof jemalloc;
    if ((s.data = dlsym(RTLD_DEFAULT, "mi_version")))
        printf("mimalloc %d.%d.%d\n", s.mi_version() / 100, s.mi_version() / 10 % 10, s.mi_version() % 10);
    else if ((s.data = dlsym(RTLD_DEFAULT, "mallctl")) && s.mallctl("version", &jemalloc, &n, NULL, 0) == 0)
        printf("jemalloc %.5s\n", jemalloc);
    else
        printf("glibc %s\n", gnu_get_libc_version());
}

static const workload workloads[] = {
    {"pair", pair}, {"churn", churn}, {"touch", touch}, {"many", many}, {"memory", memory}, {NULL, NULL},
};

int main(int argc, char **argv) { return bench_main(argc, argv, workloads, version); }
