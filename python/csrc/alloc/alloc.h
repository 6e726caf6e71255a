/*
 * Knows which bytes of the data region are free: slabs over a page bitmap. It knows no handles, no owners and no
 * processes. Twin of package alloc; the file names are the same, and so are all decisions: the same calls leave the
 * same words.
 *
 * All of it is derived. Preconditions of every function: the caller holds the segment lock. Numbers read from the
 * segment are checked before they are used as an index; where they contradict each other the status is STATUS_TORN.
 */
#ifndef NDPOOL_ALLOC_H
#define NDPOOL_ALLOC_H

#include "arena/arena.h"

enum { SET_LEVELS = 5 }; /* 64^5 members */
enum { CHUNK_WORDS = NDPOOL_CHUNK_PAGES / 64, SLAB_WORDS = NDPOOL_MAX_SLAB_BLOCKS / 64 };

/* Zeros below the lowest one, and above the highest one; 64 of a word that is 0. */
static inline int low_zeros(uint64_t w) { return w ? __builtin_ctzll(w) : 64; }
static inline int high_zeros(uint64_t w) { return w ? __builtin_clzll(w) : 64; }

/* A set of numbers below n in shared memory. Local view. */
typedef struct set {
    shm_u64 *levels[SET_LEVELS];
    uint64_t words[SET_LEVELS];
    int depth;
    uint64_t n;
} set;

void set_init(set *s, shm_u64 *words, uint64_t n);
bool set_has(const set *s, uint64_t i);
void set_add(set *s, uint64_t i);
void set_add_range(set *s, uint64_t lo, uint64_t hi);
void set_remove(set *s, uint64_t i);
void set_clear(set *s);
int64_t set_next(const set *s, uint64_t i); /* the lowest member from i on, -1 if there is none */
uint64_t set_len(const set *s);

/* A bitmap of pages with a tree of summaries. Local view. */
typedef struct page_map {
    shm_u64 *bits; /* bit set: page is in use; pages behind the end are in use for ever */
    ndpool_page_node *tree;
    uint64_t words;
    int leaves;
    int pages;
} page_map;

int pages_take(page_map *p, int n, int *first);
bool pages_is_free(const page_map *p, int first, int n);
void pages_mark(page_map *p, int first, int n, bool used);
void pages_set(page_map *p, int first, int n, bool used);
void pages_reset(page_map *p);
void pages_summarize(page_map *p, int lo, int hi); /* chunks */
ndpool_page_node *pages_leaf(const page_map *p, int c);
void pages_chunk(const page_map *p, int c, int *first, int *n);
int64_t pages_best(const page_map *p, int n); /* best.c */

/* The view of the free bytes from one attachment. Local; its state is in the segment. */
typedef struct allocator {
    set descs;   /* free descriptors, of those whose table memory is committed */
    set tickets; /* free tickets */
    set names;   /* free entries of the catalog, of those that have memory */
    page_map pages;
    ndpool_slab *slabs;
    int slab_count;
    set avail[NDPOOL_NUM_CLASSES + 1]; /* by class: slabs with free blocks */
    void *shadow;                      /* private memory of a shadow, else NULL */
    size_t shadow_size;
} allocator;

/* Where the indexes lie that an allocator is laid over. Local; the pointers lead into the segment or into a shadow. */
typedef struct alloc_indexes {
    shm_u64 *page_bits;
    ndpool_page_node *page_tree;
    ndpool_slab *slabs;
    shm_u64 *slab_sets;
    shm_u64 *desc_set;
    shm_u64 *ticket_set;
    shm_u64 *name_set;
} alloc_indexes;

void alloc_init(allocator *al, arena *a);
void alloc_lay(allocator *al, const geometry *g, const alloc_indexes *x);
int alloc_take(allocator *al, uint64_t size, extent *e); /* NDPOOL_OK, STATUS_NO_SPACE, STATUS_TORN */
void alloc_give(allocator *al, extent e);
bool alloc_take_chunk(allocator *al, int c, extent *e);
void alloc_free_pages(const allocator *al, int *free, int *largest);
void alloc_format(allocator *al);
void alloc_reset(allocator *al);
void alloc_mark(allocator *al, extent e);
void alloc_finish(allocator *al);
/* slabs.c */
int alloc_take_block(allocator *al, int class_, extent *e);
void alloc_give_block(allocator *al, extent e);
void alloc_mark_block(allocator *al, extent e);
/* shadow.c: an allocator of the same geometry in private memory, for a verifier. */
int alloc_shadow(allocator *al, const geometry *g); /* released by alloc_shadow_free */
void alloc_shadow_free(allocator *al);
/* Tells every word in which al is not as want is: index by name ("pages", "page-tree", "slabs", "slab-sets",
 * "descriptor-set", "ticket-set", "name-set", "set-summary"). */
typedef void alloc_tell(void *arg, const char *index, const char *place, uint64_t got, uint64_t want);
void alloc_diff(const allocator *al, const allocator *want, alloc_tell *tell, void *arg);

#endif
