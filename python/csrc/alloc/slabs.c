#include "alloc/alloc.h"

/* A word with the n lowest bits set, for any n. */
static uint64_t low_bits(int n)
{
    if (n <= 0)
        return 0;
    return n >= 64 ? UINT64_MAX : (UINT64_C(1) << n) - 1;
}

/* Writes a slab's record with its first free blocks free. */
static void fill(allocator *al, int i, int class_, int first, int free)
{
    ndpool_slab *s = &al->slabs[i];
    for (int w = 0; w < SLAB_WORDS; w++)
        shm_put64(&s->map[w], low_bits(free - w * 64));
    shm_put64(&s->head, make_slab(class_, free, first));
}

/* Cuts a run of pages into blocks of a class; *i is the slab's number. */
static int new_slab(allocator *al, int class_, int64_t *i)
{
    const ndpool_class *c = &ndpool_classes[class_];
    int first;
    int status = pages_take(&al->pages, c->pages, &first);
    if (status != NDPOOL_OK)
        return status;
    *i = first / NDPOOL_MIN_SLAB_PAGES;
    fill(al, (int)*i, class_, first, c->blocks);
    set_add(&al->avail[class_], (uint64_t)*i);
    return NDPOOL_OK;
}

/* Takes the lowest free block of slab i, whose head was h and has been checked. */
static int take_from(allocator *al, int class_, int i, slab_head h, extent *e)
{
    ndpool_slab *s = &al->slabs[i];
    for (int w = 0; w < SLAB_WORDS; w++) {
        uint64_t v = shm_get64(&s->map[w]);
        if (v == 0)
            continue;
        int block = w * 64 + low_zeros(v);
        if (block >= ndpool_classes[class_].blocks)
            return STATUS_TORN;
        shm_put64(&s->map[w], v & (v - 1));
        shm_put64(&s->head, make_slab(class_, slab_free(h) - 1, (int)slab_first(h)));
        if (slab_free(h) == 1)
            set_remove(&al->avail[class_], (uint64_t)i);
        *e = slab_block(class_, (int)slab_first(h), block);
        return NDPOOL_OK;
    }
    return STATUS_TORN;
}

/* Takes a block of a class from the lowest slab that has one, or from a new slab. */
int alloc_take_block(allocator *al, int class_, extent *e)
{
    int64_t i = set_next(&al->avail[class_], 0);
    if (i < 0) {
        int status = new_slab(al, class_, &i);
        if (status != NDPOOL_OK)
            return status;
    }
    slab_head h = shm_get64(&al->slabs[i].head);
    if (slab_class(h) != class_ || slab_first(h) / NDPOOL_MIN_SLAB_PAGES != i || slab_free(h) == 0 ||
        slab_first(h) + ndpool_classes[class_].pages > al->pages.pages)
        return STATUS_TORN;
    return take_from(al, class_, (int)i, h, e);
}

/* Returns a block to its slab, and an empty slab's pages to the page map. */
void alloc_give_block(allocator *al, extent e)
{
    int first = extent_first(e), i = first / NDPOOL_MIN_SLAB_PAGES, class_ = extent_class(e), block = extent_block(e);
    ndpool_slab *s = &al->slabs[i];
    slab_head h = shm_get64(&s->head);
    if (slab_class(h) != class_ || slab_first(h) != first)
        return; /* torn by a scribble; a rebuild finds the block free */
    shm_u64 *w = &s->map[block / 64];
    shm_put64(w, shm_get64(w) | UINT64_C(1) << (block % 64));
    int free = slab_free(h) + 1;
    shm_put64(&s->head, make_slab(class_, free, first));
    if (free >= ndpool_classes[class_].blocks) {
        set_remove(&al->avail[class_], (uint64_t)i);
        shm_put64(&s->head, 0);
        pages_mark(&al->pages, first, ndpool_classes[class_].pages, false);
        return;
    }
    if (free == 1)
        set_add(&al->avail[class_], (uint64_t)i);
}

/* Says that a block is in use, and with the first one of its slab that the slab exists. */
void alloc_mark_block(allocator *al, extent e)
{
    int first = extent_first(e), i = first / NDPOOL_MIN_SLAB_PAGES, class_ = extent_class(e), block = extent_block(e);
    ndpool_slab *s = &al->slabs[i];
    if (shm_get64(&s->head) == 0) {
        fill(al, i, class_, first, ndpool_classes[class_].blocks);
        pages_set(&al->pages, first, ndpool_classes[class_].pages, true);
    }
    slab_head h = shm_get64(&s->head);
    shm_u64 *w = &s->map[block / 64];
    uint64_t v = shm_get64(w), bit = UINT64_C(1) << (block % 64);
    if (v & bit) {
        shm_put64(w, v & ~bit);
        shm_put64(&s->head, make_slab(class_, slab_free(h) - 1, (int)slab_first(h)));
    }
}
