/* Workloads of one process, over what the peer's file has defined before:
 *
 *     item                                  what the process holds: a value
 *     bool peer_alloc(size_t, item *)       false: why is in peer_why()
 *     void *peer_data(item *)
 *     void peer_free(item *)
 *     const char *peer_why(void)
 *     void peer_create(uint64_t capacity, uint64_t arrays)   dies if it cannot
 *     uint64_t peer_shared_bytes(void)      memory that is not private to this process
 *
 * They are included, not called, so that the compiler sees through them. */
#include "bench.h"

/* Rough: an array costs an eighth more than its bytes, and bookkeeping. */
static uint64_t room_for(uint64_t count, uint64_t size) { return count * (size + size / 4 + 128) + 64 * MIB; }

static void create_for(uint64_t count, uint64_t size)
{
    peer_create(opt.capacity ? opt.capacity : room_for(count, size), count + count / 8 + 8192);
}

ALWAYS_INLINE void must_alloc(size_t size, item *out)
{
    if (__builtin_expect(!peer_alloc(size, out), 0))
        die("%s", peer_why());
}

static item *new_items(uint64_t n)
{
    item *items = (item *)malloc(n * sizeof *items);
    if (!items)
        die("malloc: %s", strerror(errno));
    memset((void *)items, 1, n * sizeof *items); /* so that it is no part of what is measured */
    return items;
}

/* ---- pair */

static void pair_step(void *arg)
{
    item x;
    must_alloc(*(size_t *)arg, &x);
    escape(peer_data(&x));
    peer_free(&x);
}

static void pair(void)
{
    size_t size = opt.size;
    create_for(1, size);
    batches(pair_step, &size);
}

/* ---- churn: the random numbers are made before, and are not measured */

typedef struct churn_draw {
    uint32_t index, size;
} churn_draw;

typedef struct churner {
    item *items;
    churn_draw *draws;
    size_t at;
} churner;

enum { DRAWS = 1 << 20 };

static void churn_step(void *arg)
{
    churner *c = (churner *)arg;
    churn_draw d = c->draws[c->at++ % DRAWS];
    item *x = &c->items[d.index];
    peer_free(x);
    must_alloc(d.size, x);
    *(uint64_t *)peer_data(x) = d.size;
}

static churner new_churner(uint64_t live)
{
    uint64_t state = 1;
    churner c = {new_items(live), (churn_draw *)malloc(DRAWS * sizeof(churn_draw)), 0};
    if (!c.draws)
        die("malloc: %s", strerror(errno));
    for (uint64_t k = 0; k < live; k++)
        must_alloc(next_size(&state), &c.items[k]);
    for (size_t k = 0; k < DRAWS; k++) {
        c.draws[k].index = (uint32_t)(next_random(&state) % live);
        c.draws[k].size = next_size(&state);
    }
    return c;
}

static void churn(void)
{
    if (opt.live == 0)
        die("live=0");
    create_for(opt.live, 1024);
    churner c = new_churner(opt.live);
    batch(churn_step, &c, 1 << 17);
    batches(churn_step, &c);
    for (uint64_t k = 0; k < opt.live; k++)
        peer_free(&c.items[k]);
}

/* ---- touch: to allocate and fill 64 MiB */

enum { TOUCHES = 16 };

static void allocate_and_fill(uint64_t size, item *x)
{
    int64_t start = now();
    must_alloc(size, x);
    memset(peer_data(x), 1, size);
    escape(peer_data(x));
    sample((double)(now() - start) / 1e6);
}

/* Memory is fresh while nothing is freed. */
static void touch_fresh(uint64_t size)
{
    item x[TOUCHES];
    int n = 0;
    for (int64_t until = now() + budget(1); n < TOUCHES && more(until, 3); n++)
        allocate_and_fill(size, &x[n]);
    while (n > 0)
        peer_free(&x[--n]);
}

static void touch_warm(uint64_t size)
{
    item x;
    allocate_and_fill(size, &x);
    n_samples = 0;
    for (int64_t until = now() + budget(1); more(until, 3);) {
        peer_free(&x);
        allocate_and_fill(size, &x);
    }
    peer_free(&x);
}

static void touch(void)
{
    uint64_t size = 64 * MIB;
    create_for(TOUCHES + 1, size);
    if (what_is("fresh"))
        touch_fresh(size);
    else if (what_is("warm"))
        touch_warm(size);
    else
        die("what=fresh or what=warm");
}

/* ---- memory, many: bytes that are taken, from before there was a pool */

static uint64_t private_bytes(void)
{
    char line[256];
    unsigned long long kib = 0;
    FILE *f = fopen("/proc/self/smaps_rollup", "re");
    if (!f)
        die("open smaps_rollup: %s", strerror(errno));
    while (fgets(line, sizeof line, f) && sscanf(line, "Anonymous: %llu kB", &kib) != 1)
        continue;
    fclose(f);
    return (uint64_t)kib * 1024;
}

static uint64_t lines_of(const char *path)
{
    uint64_t n = 0;
    FILE *f = fopen(path, "re");
    if (!f)
        die("open %s: %s", path, strerror(errno));
    for (int c; (c = getc(f)) != EOF;)
        n += c == '\n';
    fclose(f);
    return n;
}

static uint64_t descriptors(void)
{
    uint64_t n = 0;
    for (int fd = 3; fd < 1 << 16; fd++) {
        struct stat s;
        n += fstat(fd, &s) == 0;
    }
    return n;
}

/* By count arrays and what holds them. Lines of /proc/self/maps, and descriptors, as the difference. */
typedef struct taken {
    uint64_t reached, private_, shared, fds, maps;
    double seconds;
    item *items;
} taken;

/* Makes a pool and count arrays in it, every byte written. */
static taken take(uint64_t count, uint64_t size)
{
    taken t = {0, 0, 0, 0, 0, 0, new_items(count)};
    uint64_t before = private_bytes(), fds = descriptors(), maps = lines_of("/proc/self/maps");
    create_for(count, size);
    int64_t start = now();
    for (; t.reached < count && peer_alloc(size, &t.items[t.reached]); t.reached++)
        memset(peer_data(&t.items[t.reached]), 1, size);
    t.seconds = (double)(now() - start) / 1e9;
    t.private_ = private_bytes() - before;
    t.shared = peer_shared_bytes();
    t.fds = descriptors() - fds;
    t.maps = lines_of("/proc/self/maps") - maps;
    return t;
}

static void give_back(taken *t)
{
    while (t->reached > 0)
        peer_free(&t->items[--t->reached]);
}

static void memory(void)
{
    taken t = take(opt.count, opt.size);
    if (t.reached < opt.count)
        die("array %llu: %s", (unsigned long long)t.reached, peer_why());
    printf("{\"value\": %.6g, \"shared_bytes\": %llu, \"private_bytes\": %llu}\n",
           (double)(t.shared + t.private_) / ((double)opt.count * (double)opt.size), (unsigned long long)t.shared,
           (unsigned long long)t.private_);
    give_back(&t);
}

static void many(void)
{
    taken t = take(opt.count, 100);
    printf("{\"value\": %.6g, \"reached\": %llu, \"seconds\": %.4g, \"fds\": %llu, \"maps\": %llu, \"shared_bytes\": %llu, "
           "\"private_bytes\": %llu",
           (double)(t.shared + t.private_) / (double)(t.reached ? t.reached : 1), (unsigned long long)t.reached, t.seconds,
           (unsigned long long)t.fds, (unsigned long long)t.maps, (unsigned long long)t.shared, (unsigned long long)t.private_);
    if (t.reached < opt.count)
        printf(", \"why\": \"%s\"", peer_why());
    printf("}\n");
    give_back(&t);
}
