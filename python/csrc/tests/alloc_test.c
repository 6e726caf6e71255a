/*
 * The allocator in private memory: a random walk beside a map of who owns which granule, sets beside plain bitmaps,
 * torn indexes, and a trace that the Go twin can run too.
 *
 * The trace. x = SplitMix64 with a seed (the state grows by 0x9e3779b97f4a7c15, then the finalizer). Indexes as after
 * alloc_format, with 100 arrays, 2 processes, 10 tickets, 1 name. For operation k from 0:
 *
 *   p = x % 1000
 *   p < 5        take chunk x % chunks; result the extent, or 0 if the chunk is not free
 *   p < t        t is 700 while k / 16384 is even, 300 while it is odd: e = x % 22, size = 2^e + x % (2^e + 1), which
 *                is 1 byte to 4 MiB; take size; result the extent, or 0 if there is no space
 *   else         give the live extent number x % live and put the last one in its place; result the extent, or 0 if
 *                none is live
 *
 * Extents that were taken are appended to the live ones. Every result goes into an FNV-1a hash of 64 bits, byte by
 * byte, lowest first; after the last operation all words of the indexes do: page bits, page tree, slabs, slab sets, in
 * the order of their memory. alloc_test ROOT FILE also writes the results to FILE, a decimal number per line.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "alloc/alloc.h"
#include "internal/lazy.h"
#include "tests/check.h"

static uint64_t mix(uint64_t *x)
{
    uint64_t z = *x += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

static geometry geometry_of(uint64_t capacity)
{
    geometry g;
    geometry_compute(&(limits){.capacity = capacity, .arrays = 100, .processes = 2, .tickets = 10, .names = 1}, &g);
    return g;
}

static uint64_t any_size(uint64_t *x)
{
    uint64_t octave = UINT64_C(1) << mix(x) % 22;
    return octave + mix(x) % (octave + 1);
}

/* The extents that are in use. */
typedef struct live {
    extent *e;
    size_t n, size;
} live;

static void live_add(live *l, extent e)
{
    if (l->n == l->size) {
        l->size = l->size ? 2 * l->size : 1024;
        l->e = realloc(l->e, l->size * sizeof *l->e);
        CHECK(l->e != NULL);
    }
    l->e[l->n++] = e;
}

static extent live_pick(live *l, uint64_t *x)
{
    if (l->n == 0)
        return 0;
    size_t i = mix(x) % l->n;
    extent e = l->e[i];
    l->e[i] = l->e[--l->n];
    return e;
}

/* ---- the walk */

/* Sets the owner of all granules of an extent, who must have been from. */
static void own(uint32_t *owners, extent e, uint32_t from, uint32_t to)
{
    uint64_t at = extent_offset(e) / NDPOOL_GRANULE, n = extent_size(e) / NDPOOL_GRANULE;
    for (uint64_t i = at; i < at + n; i++) {
        CHECK(owners[i] == from);
        owners[i] = to;
    }
}

static void tell(void *arg, const char *index, const char *place, uint64_t got, uint64_t want)
{
    fprintf(stderr, "%s, %s: got %#" PRIx64 ", want %#" PRIx64 "\n", index, place, got, want);
    ++*(int *)arg;
}

/* The indexes must be as they are when made anew from the extents in use. */
static void compare(const allocator *al, const geometry *g, const live *l)
{
    allocator want;
    CHECK(alloc_shadow(&want, g) == NDPOOL_OK);
    alloc_reset(&want);
    for (size_t i = 0; i < l->n; i++)
        alloc_mark(&want, l->e[i]);
    set_add_range(&want.tickets, 0, want.tickets.n);
    alloc_finish(&want);
    int differences = 0;
    alloc_diff(al, &want, tell, &differences);
    CHECK(differences == 0);
    alloc_shadow_free(&want);
}

static void walk_take(allocator *al, live *l, uint32_t *owners, uint64_t size, int pages)
{
    extent e;
    int status = alloc_take(al, size, &e);
    if (status != NDPOOL_OK) {
        CHECK(status == STATUS_NO_SPACE);
        return;
    }
    CHECK(extent_valid(e, pages) && extent_size(e) >= size && extent_offset(e) % NDPOOL_GRANULE == 0);
    CHECK(extent_class(e) == class_of(size) && (extent_class(e) != 0 || extent_size(e) - size < NDPOOL_PAGE_SIZE));
    own(owners, e, 0, (uint32_t)e | 1);
    live_add(l, e);
}

static void walk_give(allocator *al, live *l, uint32_t *owners, uint64_t *x)
{
    if (l->n == 0)
        return;
    extent e = live_pick(l, x);
    own(owners, e, (uint32_t)e | 1, 0);
    alloc_give(al, e);
}

static void walk(uint64_t capacity, int operations, uint64_t seed)
{
    geometry g = geometry_of(capacity);
    int pages = limits_pages(&g.limits);
    uint32_t *owners = calloc(capacity / NDPOOL_GRANULE, sizeof *owners);
    allocator al;
    CHECK(owners != NULL && alloc_shadow(&al, &g) == NDPOOL_OK);
    alloc_format(&al);
    live l = {.n = 0};
    for (int k = 0; k < operations; k++) {
        if (mix(&seed) % 1000 < (k / 500 % 2 ? 350u : 650u))
            walk_take(&al, &l, owners, any_size(&seed), pages);
        else
            walk_give(&al, &l, owners, &seed);
        if (k % 1000 == 0)
            compare(&al, &g, &l);
    }
    compare(&al, &g, &l);
    while (l.n > 0)
        walk_give(&al, &l, owners, &seed);
    compare(&al, &g, &l);
    int free_pages, largest;
    alloc_free_pages(&al, &free_pages, &largest);
    CHECK(free_pages == pages && largest == pages);
    alloc_shadow_free(&al);
    free(l.e);
    free(owners);
}

static void too_much(void)
{
    geometry g = geometry_of(16 * NDPOOL_PAGE_SIZE);
    allocator al;
    CHECK(alloc_shadow(&al, &g) == NDPOOL_OK);
    alloc_format(&al);
    static const uint64_t sizes[] = {17 * NDPOOL_PAGE_SIZE,       NDPOOL_MAX_CAPACITY, NDPOOL_MAX_CAPACITY + 1,
                                     UINT64_C(1) << 62,           UINT64_C(1) << 63,   UINT64_MAX - NDPOOL_PAGE_SIZE,
                                     UINT64_MAX};
    extent e;
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        CHECK(alloc_take(&al, sizes[i], &e) == STATUS_NO_SPACE);
    CHECK(alloc_take(&al, 16 * NDPOOL_PAGE_SIZE, &e) == NDPOOL_OK && e == page_run(0, 16));
    CHECK(alloc_take(&al, 0, &e) == STATUS_NO_SPACE);
    alloc_shadow_free(&al);
}

static void note(void *arg, const char *index, const char *place, uint64_t got, uint64_t want)
{
    CHECK(place[0] != 0 && got != want);
    *(const char **)arg = index;
}

/* Every index tells of a word that is not as it should be. */
static void diff_tells(void)
{
    geometry g = geometry_of(UINT64_C(4) << 20);
    allocator al, want;
    extent e;
    CHECK(alloc_shadow(&al, &g) == NDPOOL_OK && alloc_shadow(&want, &g) == NDPOOL_OK);
    alloc_format(&al);
    alloc_format(&want);
    CHECK(alloc_take(&al, 1, &e) == NDPOOL_OK && alloc_take(&want, 1, &e) == NDPOOL_OK);
    const struct {
        shm_u64 *word;
        const char *index;
    } cases[] = {{&al.pages.bits[1], "pages"},          {&al.slabs[0].head, "slabs"},
                 {&al.slabs[0].map[3], "slabs"},        {&al.avail[2].levels[0][1], "slab-sets"},
                 {al.descs.levels[0], "descriptor-set"}, {al.tickets.levels[0], "ticket-set"},
                 {al.avail[1].levels[1], "set-summary"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const char *told = "";
        alloc_diff(&al, &want, note, &told);
        CHECK(told[0] == 0);
        shm_put64(cases[i].word, shm_get64(cases[i].word) ^ 1);
        alloc_diff(&al, &want, note, &told);
        CHECK(strcmp(told, cases[i].index) == 0);
        shm_put64(cases[i].word, shm_get64(cases[i].word) ^ 1);
    }
    const char *told = "";
    shm_put32(&al.pages.tree[1].free, 1);
    alloc_diff(&al, &want, note, &told);
    CHECK(strcmp(told, "page-tree") == 0);
    alloc_shadow_free(&al);
    alloc_shadow_free(&want);
}

/* ---- torn indexes: whatever they hold, nothing outside of them is touched (which the sanitizers see, as each index
 * lies in memory of its own), and an extent that is given out lies in the data region. */

static void scribble(uint64_t *x, void *memory, uint64_t size)
{
    shm_u32 *words = memory;
    for (uint64_t n = mix(x) % 8; n > 0; n--) {
        uint64_t v = mix(x);
        shm_put32(&words[mix(x) % (size / 4)], (uint32_t)(mix(x) % 3 ? v % 2000 : v));
    }
}

static void torn_round(allocator *al, uint64_t *x, int pages, int chunks)
{
    live l = {.n = 0};
    extent e;
    for (int k = 0; k < 200; k++) {
        if (mix(x) % 3 == 0 && l.n > 0)
            alloc_give(al, live_pick(&l, x));
        else if (mix(x) % 20 == 0 && alloc_take_chunk(al, (int)(mix(x) % (uint64_t)chunks), &e))
            live_add(&l, e);
        else if (alloc_take(al, any_size(x), &e) == NDPOOL_OK)
            live_add(&l, e);
        CHECK(l.n == 0 || extent_valid(l.e[l.n - 1], pages));
        int free_pages, largest;
        alloc_free_pages(al, &free_pages, &largest);
        CHECK(free_pages >= 0 && free_pages <= pages && largest >= 0 && largest <= pages);
    }
    free(l.e);
}

static void torn(int pages, int rounds, uint64_t x)
{
    static const int kinds[] = {NDPOOL_REGION_PAGES,     NDPOOL_REGION_PAGE_TREE, NDPOOL_REGION_SLABS,
                                NDPOOL_REGION_SLAB_SETS, NDPOOL_REGION_DESC_SET,  NDPOOL_REGION_TICKET_SET,
                                NDPOOL_REGION_NAME_SET};
    enum { KINDS = sizeof kinds / sizeof *kinds };
    geometry g = geometry_of((uint64_t)pages * NDPOOL_PAGE_SIZE);
    void *memory[KINDS];
    for (int i = 0; i < KINDS; i++) {
        memory[i] = calloc(1, g.regions[kinds[i]].size);
        CHECK(memory[i] != NULL);
    }
    allocator al;
    alloc_lay(&al, &g, &(alloc_indexes){memory[0], memory[1], memory[2], memory[3], memory[4], memory[5],
                                        memory[6]});
    for (int r = 0; r < rounds; r++) {
        alloc_reset(&al);
        alloc_finish(&al);
        for (int warm = 0; warm < 30; warm++)
            alloc_take(&al, any_size(&x), &(extent){0});
        for (int i = 0; i < KINDS; i++)
            scribble(&x, memory[i], g.regions[kinds[i]].size);
        torn_round(&al, &x, pages, limits_chunks(&g.limits));
    }
    for (int i = 0; i < KINDS; i++)
        free(memory[i]);
}

/* ---- sets */

static int64_t naive_next(const bool *in, uint64_t n, uint64_t i)
{
    for (; i < n; i++) {
        if (in[i])
            return (int64_t)i;
    }
    return -1;
}

static void sets_step(set *s, bool *in, uint64_t n, uint64_t *x)
{
    uint64_t i = mix(x) % n, hi = i + mix(x) % (n - i < 5000 ? n - i + 1 : 5000);
    switch (mix(x) % 16) {
    case 0:
        set_add_range(s, i, hi);
        for (uint64_t k = i; k < hi; k++)
            in[k] = true;
        return;
    case 1: /* what a range has filled */
        for (uint64_t k = i; k < hi; k++) {
            set_remove(s, k);
            in[k] = false;
        }
        return;
    case 2: case 3: case 4: case 5: case 6: case 7:
        set_add(s, i);
        in[i] = true;
        return;
    case 8: case 9: case 10: case 11: case 12: case 13:
        set_remove(s, i);
        in[i] = false;
        return;
    default:
        CHECK(set_has(s, i) == in[i]);
        CHECK(set_next(s, i) == naive_next(in, n, i));
        CHECK(set_next(s, 0) == naive_next(in, n, 0));
    }
}

static void sets(uint64_t n, int steps, uint64_t x)
{
    shm_u64 *words = calloc(set_words(n), sizeof *words);
    bool *in = calloc(n, sizeof *in);
    CHECK(words != NULL && in != NULL);
    set s;
    set_init(&s, words, n);
    for (int k = 0; k < steps; k++)
        sets_step(&s, in, n, &x);
    uint64_t members = 0;
    for (uint64_t i = 0; i < n; i++)
        members += in[i];
    CHECK(set_len(&s) == members && set_next(&s, n) == -1);
    for (uint64_t i = 0; i < n; i++)
        set_remove(&s, i);
    for (uint64_t i = 0; i < set_words(n); i++)
        CHECK(shm_get64(&words[i]) == 0);
    set_add_range(&s, 0, n);
    CHECK(set_len(&s) == n && set_next(&s, n - 1) == (int64_t)n - 1);
    set_clear(&s);
    CHECK(set_next(&s, 0) == -1);
    free(in);
    free(words);
}

/* The set of the largest segment: slabs of 2^29 pages. */
static void large_set(void)
{
    uint64_t n = NDPOOL_MAX_CAPACITY / NDPOOL_PAGE_SIZE / NDPOOL_MIN_SLAB_PAGES, words = set_words(n);
    shm_u64 *memory = lazy_new(words, sizeof *memory);
    CHECK(n == UINT64_C(1) << 27 && memory != NULL);
    set s;
    set_init(&s, memory, n);
    CHECK(s.depth == SET_LEVELS && s.words[SET_LEVELS - 1] == 1);
    CHECK(s.levels[SET_LEVELS - 1] == memory + words - 1);
    static const uint64_t places[] = {0, 63, 64, 4095, 4096, UINT64_C(1) << 24, (UINT64_C(1) << 27) - 1};
    for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
        CHECK(set_next(&s, 0) == -1);
        set_add(&s, places[i]);
        CHECK(set_next(&s, 0) == (int64_t)places[i] && set_next(&s, places[i]) == (int64_t)places[i]);
        CHECK(set_next(&s, places[i] + 1) == -1);
        set_remove(&s, places[i]);
    }
    lazy_free(memory, words, sizeof *memory);
}

/* ---- the trace */

typedef struct trace {
    allocator al;
    geometry g;
    live live;
    uint64_t x;
    uint64_t hash;
} trace;

static void hash_word(uint64_t *hash, uint64_t v, int bytes)
{
    for (int i = 0; i < bytes; i++)
        *hash = (*hash ^ (v >> (8 * i) & 0xff)) * UINT64_C(0x100000001b3);
}

static uint64_t trace_step(trace *t, int k)
{
    extent e = 0;
    uint64_t p = mix(&t->x) % 1000;
    if (p < 5) {
        int c = (int)(mix(&t->x) % (uint64_t)limits_chunks(&t->g.limits));
        if (!alloc_take_chunk(&t->al, c, &e))
            return 0;
    } else if (p < (k / 16384 % 2 ? 300u : 700u)) {
        int status = alloc_take(&t->al, any_size(&t->x), &e);
        CHECK(status == NDPOOL_OK || status == STATUS_NO_SPACE);
        if (status != NDPOOL_OK)
            return 0;
    } else {
        if (t->live.n == 0)
            return 0;
        e = live_pick(&t->live, &t->x);
        alloc_give(&t->al, e);
        return e;
    }
    live_add(&t->live, e);
    return e;
}

static void hash_indexes(trace *t)
{
    for (uint64_t i = 0; i < t->al.pages.words; i++)
        hash_word(&t->hash, shm_get64(&t->al.pages.bits[i]), 8);
    for (int i = 0; i < 2 * t->al.pages.leaves; i++) {
        const ndpool_page_node *n = &t->al.pages.tree[i];
        hash_word(&t->hash, shm_get32(&n->start), 4);
        hash_word(&t->hash, shm_get32(&n->max), 4);
        hash_word(&t->hash, shm_get32(&n->end), 4);
        hash_word(&t->hash, shm_get32(&n->free), 4);
    }
    for (int i = 0; i < t->al.slab_count; i++) {
        hash_word(&t->hash, shm_get64(&t->al.slabs[i].head), 8);
        for (int w = 0; w < SLAB_WORDS; w++)
            hash_word(&t->hash, shm_get64(&t->al.slabs[i].map[w]), 8);
    }
    for (int c = 1; c <= NDPOOL_NUM_CLASSES; c++) {
        const set *s = &t->al.avail[c];
        for (int l = 0; l < s->depth; l++) {
            for (uint64_t i = 0; i < s->words[l]; i++)
                hash_word(&t->hash, shm_get64(&s->levels[l][i]), 8);
        }
    }
}

static void run_trace(uint64_t capacity, int operations, uint64_t seed, uint64_t want, FILE *out)
{
    trace t = {.g = geometry_of(capacity), .x = seed, .hash = UINT64_C(0xcbf29ce484222325)};
    CHECK(alloc_shadow(&t.al, &t.g) == NDPOOL_OK);
    alloc_format(&t.al);
    for (int k = 0; k < operations; k++) {
        uint64_t result = trace_step(&t, k);
        hash_word(&t.hash, result, 8);
        if (out)
            fprintf(out, "%" PRIu64 "\n", result);
    }
    compare(&t.al, &t.g, &t.live);
    hash_indexes(&t);
    printf("trace of %d operations in %" PRIu64 " MiB, seed %" PRIu64 ": %016" PRIx64 "\n", operations, capacity >> 20,
           seed, t.hash);
    CHECK(t.hash == want);
    alloc_shadow_free(&t.al);
    free(t.live.e);
}

int main(int argc, char **argv)
{
    FILE *out = argc > 2 ? fopen(argv[2], "w") : NULL;
    CHECK(argc <= 2 || out != NULL);
    static const uint64_t members[] = {1, 2, 63, 64, 65, 4095, 4096, 4097, 262144, 262145};
    for (size_t i = 0; i < sizeof members / sizeof *members; i++)
        sets(members[i], 4000, members[i]);
    large_set();
    too_much();
    diff_tells();
    static const int pages[] = {16, 17, 511, 512, 513, 700, 1024, 1537, 2600};
    for (size_t i = 0; i < sizeof pages / sizeof *pages; i++) {
        walk((uint64_t)pages[i] * NDPOOL_PAGE_SIZE, 6000, (uint64_t)pages[i]);
        torn(pages[i], 100, (uint64_t)pages[i]);
    }
    walk(UINT64_C(64) << 20, 20000, 1);
    /* The Go twin gives the same results and leaves the same words. */
    run_trace(UINT64_C(64) << 20, 150000, 64, UINT64_C(0x9a1944a44ab2b80d), out);
    run_trace(UINT64_C(1) << 30, 150000, 1024, UINT64_C(0x437caf9643d0de26), out);
    if (out)
        fclose(out);
    return 0;
}
