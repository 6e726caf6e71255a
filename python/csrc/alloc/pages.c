#include "alloc/alloc.h"

/* A bitmap of pages with a tree of summaries over the chunks, after the Go runtime's mpagealloc.go: each node tells the
 * free pages at its start and end and its longest free run, so that the lowest run that is long enough is found from
 * the root in one descent. The tree is binary and lies in one array; runs across chunks of any length are found. */

/* Numbers of a torn tree can be anything that 32 bits hold, so sums of them are made in 64. */

ndpool_page_node *pages_leaf(const page_map *p, int c) { return &p->tree[p->leaves + c]; }

/* The pages of chunk c; the last one may be short. */
void pages_chunk(const page_map *p, int c, int *first, int *n)
{
    *first = c * NDPOOL_CHUNK_PAGES;
    *n = p->pages - *first < NDPOOL_CHUNK_PAGES ? p->pages - *first : NDPOOL_CHUNK_PAGES;
}

/* The lowest place of n ones in a row within a word, -1 if there is none. */
static int lowest_ones(uint64_t ones, int n)
{
    if (n > 64)
        return -1;
    for (int left = n - 1, step = 1; left > 0; step *= 2) {
        int k = step < left ? step : left;
        ones &= ones >> k;
        left -= k;
    }
    return ones != 0 ? low_zeros(ones) : -1;
}

/* The lowest free run of n pages that starts before or in the chunk of page first and ends in it; -1 if there is none.
 * */
static int64_t find_in_chunk(const page_map *p, int first, int n)
{
    if (first >= p->pages)
        return -1; /* torn summaries lead behind the last chunk */
    int run = 0;   /* free pages before this word */
    for (int at = first; at < first + NDPOOL_CHUNK_PAGES; at += 64) {
        uint64_t w = shm_get64(&p->bits[at / 64]);
        if (run + low_zeros(w) >= n)
            return at - run;
        if (w == 0) {
            run += 64;
            continue;
        }
        int i = lowest_ones(~w, n);
        if (i >= 0)
            return at + i;
        run = high_zeros(w);
    }
    return -1;
}

/* Descends from the root to the lowest run of n pages. The summaries may be torn: the caller checks the answer. */
static int64_t find(const page_map *p, int n)
{
    int node = 1, first = 0, span = p->leaves * NDPOOL_CHUNK_PAGES;
    while (node < p->leaves) {
        const ndpool_page_node *left = &p->tree[2 * node], *right = &p->tree[2 * node + 1];
        span /= 2;
        if ((int64_t)shm_get32(&left->max) >= n) {
            node = 2 * node;
            continue;
        }
        int64_t end = shm_get32(&left->end);
        if (end + shm_get32(&right->start) >= n)
            return first + span - end;
        node = 2 * node + 1;
        first += span;
    }
    return find_in_chunk(p, first, n);
}

/* Takes a free run of n pages, which is in use from now on: a short one is the lowest there is, a long one lies where
 * it leaves least. */
int pages_take(page_map *p, int n, int *first)
{
    if ((int64_t)shm_get32(&p->tree[1].max) < n)
        return STATUS_NO_SPACE;
    int64_t at = n <= NDPOOL_RUN_BINS ? find(p, n) : pages_best(p, n);
    if (at < 0 || at + n > p->pages || !pages_is_free(p, (int)at, n))
        return STATUS_TORN;
    pages_mark(p, (int)at, n, true);
    *first = (int)at;
    return NDPOOL_OK;
}

/* The bits of pages i up to hi that lie in the word of page i; *end is the page after them. */
static uint64_t word_mask(int i, int hi, int *end)
{
    *end = i / 64 * 64 + 64 < hi ? i / 64 * 64 + 64 : hi;
    return UINT64_MAX << (i % 64) & UINT64_MAX >> (63 - (*end - 1) % 64);
}

bool pages_is_free(const page_map *p, int first, int n)
{
    for (int i = first, end; i < first + n; i = end) {
        uint64_t mask = word_mask(i, first + n, &end);
        if (shm_get64(&p->bits[i / 64]) & mask)
            return false;
    }
    return true;
}

/* Sets or clears the bits of n pages and makes the summaries over them. */
void pages_mark(page_map *p, int first, int n, bool used)
{
    pages_set(p, first, n, used);
    pages_summarize(p, first / NDPOOL_CHUNK_PAGES, (first + n - 1) / NDPOOL_CHUNK_PAGES);
}

/* Sets or clears the bits of n pages. */
void pages_set(page_map *p, int first, int n, bool used)
{
    for (int i = first, end; i < first + n; i = end) {
        uint64_t mask = word_mask(i, first + n, &end);
        shm_u64 *w = &p->bits[i / 64];
        if (used)
            shm_put64(w, shm_get64(w) | mask);
        else
            shm_put64(w, shm_get64(w) & ~mask);
    }
}

static void put_node(ndpool_page_node *n, uint32_t start, uint32_t longest, uint32_t end, uint32_t free)
{
    shm_put32(&n->start, start);
    shm_put32(&n->max, longest);
    shm_put32(&n->end, end);
    shm_put32(&n->free, free);
}

/* Makes all pages free, those behind the end in use, and all summaries zero; pages_summarize follows. It does not leave
 * out the nodes behind the last chunk, which nothing else ever stores to. */
void pages_reset(page_map *p)
{
    for (uint64_t i = 0; i < p->words; i++) {
        if (shm_get64(&p->bits[i]) != 0)
            shm_put64(&p->bits[i], 0);
    }
    int end = (int)(p->words * 64);
    if (end > p->pages)
        pages_set(p, p->pages, end - p->pages, true);
    for (int i = 0; i < 2 * p->leaves; i++) {
        ndpool_page_node *n = &p->tree[i];
        if (shm_get32(&n->start) | shm_get32(&n->max) | shm_get32(&n->end) | shm_get32(&n->free))
            put_node(n, 0, 0, 0, 0);
    }
}

static uint32_t larger(uint32_t a, uint32_t b) { return a > b ? a : b; }

/* How many zeros a word has. Most are all free or all used, and counting is a call where the processor is not known. */
static uint32_t zeros_in(uint64_t w)
{
    if (w == 0)
        return 64;
    return w == UINT64_MAX ? 0 : (uint32_t)(64 - __builtin_popcountll(w));
}

/* The longest run of zeros within a word if it is longer than least. */
static uint32_t inner(uint64_t w, uint32_t least)
{
    uint64_t zeros = ~w;
    if (zeros_in(w) <= least)
        return 0;
    uint32_t n = 0;
    for (; zeros != 0; n++)
        zeros &= zeros << 1;
    return n;
}

/* Makes the leaf of a chunk from its words. */
static void summary(ndpool_page_node *leaf, const shm_u64 *words)
{
    uint32_t start = 0, longest = 0, free = 0;
    uint32_t run = 0;  /* free pages up to here */
    bool whole = true; /* whether all were free */
    for (int i = 0; i < CHUNK_WORDS; i++) {
        uint64_t w = shm_get64(&words[i]);
        free += zeros_in(w);
        if (w == 0) {
            run += 64;
            continue;
        }
        run += (uint32_t)low_zeros(w);
        if (whole) {
            start = run;
            whole = false;
        }
        longest = larger(larger(longest, run), inner(w, longest));
        run = (uint32_t)high_zeros(w);
    }
    put_node(leaf, whole ? run : start, larger(longest, run), run, free);
}

/* Makes node i from its children, which span so many pages each. */
static void join(page_map *p, int i, uint32_t span)
{
    const ndpool_page_node *l = &p->tree[2 * i], *r = &p->tree[2 * i + 1];
    uint32_t l_end = shm_get32(&l->end), r_start = shm_get32(&r->start);
    uint32_t start = shm_get32(&l->start), end = shm_get32(&r->end);
    if (start == span)
        start += r_start;
    if (end == span)
        end += l_end;
    uint32_t longest = larger(larger(shm_get32(&l->max), shm_get32(&r->max)), l_end + r_start);
    put_node(&p->tree[i], start, longest, end, shm_get32(&l->free) + shm_get32(&r->free));
}

/* Makes the leaves of chunks lo to hi and all nodes above them. */
void pages_summarize(page_map *p, int lo, int hi)
{
    for (int c = lo; c <= hi; c++)
        summary(pages_leaf(p, c), &p->bits[c * CHUNK_WORDS]);
    uint32_t span = NDPOOL_CHUNK_PAGES;
    lo = (p->leaves + lo) / 2;
    hi = (p->leaves + hi) / 2;
    for (; hi >= 1; lo /= 2, hi /= 2, span *= 2) {
        for (int i = lo; i <= hi; i++)
            join(p, i, span);
    }
}
