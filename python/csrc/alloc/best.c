#include "alloc/alloc.h"

/* Large runs are placed where they leave least: in the shortest free run that is long enough, the lowest of several. In
 * a pool that is always nearly full this keeps some five more percent of it in use than the lowest place does; see
 * docs/decisions/0003-placement.md. */

/* Bounds a search: after so many chunks that are neither full nor empty the best run so far will do. */
enum { MAX_LEAVES = 4096 };

/* Walks over the free runs of a page map from low to high. Local. */
typedef struct scan {
    const page_map *pages;
    int64_t n;    /* pages wanted */
    int64_t run;  /* free pages up to here */
    int64_t at;   /* the best run so far: its first page */
    int64_t size; /* and its length */
    int left;     /* leaves that may still be looked into */
} scan;

/* Says that the page at which the run so far ends is in use. */
static void scan_end(scan *s, int64_t at)
{
    if (s->run >= s->n && s->run < s->size) {
        s->at = at - s->run;
        s->size = s->run;
    }
    s->run = 0;
}

/* Walks over the pages of a chunk. */
static void scan_chunk(scan *s, int first)
{
    if (first >= s->pages->pages) {
        scan_end(s, first); /* torn summaries lead behind the last chunk */
        return;
    }
    for (int at = first; at < first + NDPOOL_CHUNK_PAGES; at += 64) {
        uint64_t w = shm_get64(&s->pages->bits[at / 64]);
        for (int bit = 0; bit < 64;) {
            int zeros = low_zeros(w >> bit) < 64 - bit ? low_zeros(w >> bit) : 64 - bit;
            s->run += zeros;
            bit += zeros;
            if (bit < 64) {
                scan_end(s, at + bit);
                bit += low_zeros(~(w >> bit));
            }
        }
    }
}

/* Walks over the pages [first, first+span) of node i. What is all free, all used, or has no run inside that would do is
 * not looked into: its edges are enough. */
static void scan_node(scan *s, int i, int first, int span)
{
    const ndpool_page_node *t = &s->pages->tree[i];
    int64_t free = shm_get32(&t->free), start = shm_get32(&t->start);
    if (s->size == s->n)
        return;
    if (free == 0) {
        scan_end(s, first);
    } else if (free == span) {
        s->run += span;
    } else if ((int64_t)shm_get32(&t->max) < s->n || s->left == 0) {
        s->run += start;
        scan_end(s, first + start);
        s->run = shm_get32(&t->end);
    } else if (i >= s->pages->leaves) {
        s->left--;
        scan_chunk(s, first);
    } else {
        scan_node(s, 2 * i, first, span / 2);
        scan_node(s, 2 * i + 1, first + span / 2, span / 2);
    }
}

/* The first page of the shortest free run of at least n pages, -1 if there is none. The summaries may be torn: the
 * caller checks. */
int64_t pages_best(const page_map *p, int n)
{
    scan s = {.pages = p, .n = n, .size = INT64_MAX, .left = MAX_LEAVES};
    int span = p->leaves * NDPOOL_CHUNK_PAGES;
    scan_node(&s, 1, 0, span);
    scan_end(&s, span);
    return s.size != INT64_MAX ? s.at : -1;
}
