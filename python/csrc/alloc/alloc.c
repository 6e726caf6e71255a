/*
 * Small blocks, up to NDPOOL_MAX_CLASS_SIZE bytes, come from slabs: runs of 4 to 7 pages cut into up to 256 blocks of
 * one class. Larger ones are runs of pages of exactly the length that was asked for: a run is taken from the page
 * bitmap, so there is no power of two to round up to and no tail to give back, and neighbours coalesce by lying beside
 * each other.
 *
 * All of it is derived: it follows from the extents of the descriptors. Whoever takes over the lock of a process that
 * died inside calls alloc_reset, marks every extent that is in use, and calls alloc_finish. So nothing here needs to
 * survive a death at any store.
 */
#include "alloc/alloc.h"

static void lay_pages(page_map *p, const geometry *g, shm_u64 *bits, ndpool_page_node *tree)
{
    *p = (page_map){.bits = bits, .tree = tree};
    p->words = (uint64_t)limits_chunks(&g->limits) * CHUNK_WORDS;
    p->leaves = limits_tree_leaves(&g->limits);
    p->pages = limits_pages(&g->limits);
}

/* Lays an allocator over indexes of a geometry. */
void alloc_lay(allocator *al, const geometry *g, const alloc_indexes *x)
{
    set_init(&al->descs, x->desc_set, (uint64_t)g->limits.arrays);
    set_init(&al->tickets, x->ticket_set, (uint64_t)g->limits.tickets);
    set_init(&al->names, x->name_set, (uint64_t)g->limits.names);
    lay_pages(&al->pages, g, x->page_bits, x->page_tree);
    al->slabs = x->slabs;
    al->slab_count = limits_slabs(&g->limits);
    uint64_t per = set_words((uint64_t)al->slab_count);
    al->avail[0] = (set){.n = 0};
    for (int c = 1; c <= NDPOOL_NUM_CLASSES; c++)
        set_init(&al->avail[c], x->slab_sets + (uint64_t)(c - 1) * per, (uint64_t)al->slab_count);
    al->shadow = NULL;
    al->shadow_size = 0;
}

/* Lays an allocator over the segment's indexes. */
void alloc_init(allocator *al, arena *a)
{
    alloc_lay(al, &a->geo,
              &(alloc_indexes){.page_bits = a->page_bits,
                               .page_tree = a->page_tree,
                               .slabs = a->slabs,
                               .slab_sets = a->slab_sets,
                               .desc_set = a->desc_set,
                               .ticket_set = a->ticket_set,
                               .name_set = a->name_set});
}

/* Takes a free extent of at least size bytes, which is in use from now on. */
int alloc_take(allocator *al, uint64_t size, extent *e)
{
    int c = class_of(size);
    if (c != 0)
        return alloc_take_block(al, c, e);
    if (size > (uint64_t)al->pages.pages * NDPOOL_PAGE_SIZE)
        return STATUS_NO_SPACE;
    int n = (int)pages_for(size), first;
    if (n > NDPOOL_MAX_RUN_PAGES)
        return STATUS_NO_SPACE;
    int status = pages_take(&al->pages, n, &first);
    if (status == NDPOOL_OK)
        *e = page_run(first, n);
    return status;
}

/* Returns an extent. Precondition: it is valid, was taken, and is given once. */
void alloc_give(allocator *al, extent e)
{
    if (extent_class(e) != 0)
        alloc_give_block(al, e);
    else
        pages_mark(&al->pages, extent_first(e), extent_pages(e), false);
}

/* Takes all pages of chunk c if all of them are free. */
bool alloc_take_chunk(allocator *al, int c, extent *e)
{
    int first, n;
    pages_chunk(&al->pages, c, &first, &n);
    if (shm_get32(&pages_leaf(&al->pages, c)->free) != (uint32_t)n || !pages_is_free(&al->pages, first, n))
        return false;
    pages_mark(&al->pages, first, n, true);
    *e = page_run(first, n);
    return true;
}

/* The number of free pages and the longest run of them. Of a torn tree the numbers are cut to what there can be. */
void alloc_free_pages(const allocator *al, int *free, int *largest)
{
    const ndpool_page_node *root = &al->pages.tree[1];
    uint32_t all = (uint32_t)al->pages.pages, f = shm_get32(&root->free), m = shm_get32(&root->max);
    *free = (int)(f < all ? f : all);
    *largest = (int)(m < all ? m : all);
}

static void summarize_all(allocator *al) { pages_summarize(&al->pages, 0, (int)(al->pages.words / CHUNK_WORDS) - 1); }

/* Writes the indexes of a new segment, whose memory is zero: all pages and tickets are free, no descriptor and no
 * entry of the catalog has memory. */
void alloc_format(allocator *al)
{
    pages_reset(&al->pages);
    summarize_all(al);
    set_add_range(&al->tickets, 0, al->tickets.n);
}

/* Forgets everything: no page is in use, no slab exists, no descriptor, ticket or entry of the catalog is free.
 * alloc_mark, the sets and alloc_finish follow. */
void alloc_reset(allocator *al)
{
    pages_reset(&al->pages);
    for (int i = 0; i < al->slab_count; i++) {
        if (shm_get64(&al->slabs[i].head) != 0)
            shm_put64(&al->slabs[i].head, 0);
    }
    for (int c = 1; c <= NDPOOL_NUM_CLASSES; c++)
        set_clear(&al->avail[c]);
    set_clear(&al->descs);
    set_clear(&al->tickets);
    set_clear(&al->names);
}

/* Says that a valid extent is in use. Between alloc_reset and alloc_finish only. */
void alloc_mark(allocator *al, extent e)
{
    if (extent_class(e) == 0)
        pages_set(&al->pages, extent_first(e), extent_pages(e), true);
    else
        alloc_mark_block(al, e);
}

/* Makes the summaries and the sets of slabs after the last alloc_mark. */
void alloc_finish(allocator *al)
{
    summarize_all(al);
    for (int i = 0; i < al->slab_count; i++) {
        slab_head h = shm_get64(&al->slabs[i].head);
        int c = slab_class(h);
        if (c != 0 && c <= NDPOOL_NUM_CLASSES && slab_free(h) > 0)
            set_add(&al->avail[c], (uint64_t)i);
    }
}
