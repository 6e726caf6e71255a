#include <stdarg.h>
#include <stdio.h>

#include "alloc/alloc.h"
#include "internal/lazy.h"

/* Takes the bytes of a region from *at on. */
static void *carve(char **at, const geometry *g, int kind)
{
    void *here = *at;
    *at += g->regions[kind].size;
    return here;
}

/* Makes an allocator of the same geometry in private memory, where a verifier makes the indexes as they should be.
 * Released by alloc_shadow_free. */
int alloc_shadow(allocator *al, const geometry *g)
{
    static const int kinds[] = {NDPOOL_REGION_PAGES,     NDPOOL_REGION_PAGE_TREE, NDPOOL_REGION_SLABS,
                                NDPOOL_REGION_SLAB_SETS, NDPOOL_REGION_DESC_SET,  NDPOOL_REGION_TICKET_SET,
                                NDPOOL_REGION_NAME_SET};
    size_t size = 0;
    for (size_t k = 0; k < sizeof kinds / sizeof *kinds; k++)
        size += g->regions[kinds[k]].size;
    char *at = lazy_new(size, 1);
    if (at == NULL)
        return fail_errno(NDPOOL_ERR_SYSTEM, "allocate shadow indexes: %zu bytes", size);
    void *memory = at;
    alloc_indexes x = {.page_bits = carve(&at, g, NDPOOL_REGION_PAGES)};
    x.page_tree = carve(&at, g, NDPOOL_REGION_PAGE_TREE);
    x.slabs = carve(&at, g, NDPOOL_REGION_SLABS);
    x.slab_sets = carve(&at, g, NDPOOL_REGION_SLAB_SETS);
    x.desc_set = carve(&at, g, NDPOOL_REGION_DESC_SET);
    x.ticket_set = carve(&at, g, NDPOOL_REGION_TICKET_SET);
    x.name_set = carve(&at, g, NDPOOL_REGION_NAME_SET);
    alloc_lay(al, g, &x);
    al->shadow = memory;
    al->shadow_size = size;
    return NDPOOL_OK;
}

void alloc_shadow_free(allocator *al)
{
    lazy_free(al->shadow, al->shadow_size, 1);
    *al = (allocator){.shadow = NULL};
}

/* Where differences go, and what is compared at the moment. Local. */
typedef struct differ {
    alloc_tell *tell;
    void *arg;
    const char *index;
} differ;

static void __attribute__((format(printf, 4, 5)))
differs(const differ *d, uint64_t got, uint64_t want, const char *format, ...)
{
    char place[96];
    va_list args;
    va_start(args, format);
    vsnprintf(place, sizeof place, format, args);
    va_end(args);
    d->tell(d->arg, d->index, place, got, want);
}

static void diff_pages(const page_map *al, const page_map *want, const differ *d)
{
    for (uint64_t i = 0; i < al->words; i++) {
        uint64_t g = shm_get64(&al->bits[i]), w = shm_get64(&want->bits[i]);
        if (g != w)
            differs(d, g, w, "pages %llu to %llu", (unsigned long long)i * 64, (unsigned long long)i * 64 + 63);
    }
}

static void diff_tree(const page_map *al, const page_map *want, const differ *d)
{
    static const char *const names[] = {"start", "max", "end", "free"};
    for (int i = 0; i < 2 * al->leaves; i++) { /* node 0 is nobody's and zero */
        const ndpool_page_node *g = &al->tree[i], *w = &want->tree[i];
        const shm_u32 *fields[4][2] = {
            {&g->start, &w->start}, {&g->max, &w->max}, {&g->end, &w->end}, {&g->free, &w->free}};
        for (int k = 0; k < 4; k++) {
            uint32_t got = shm_get32(fields[k][0]), should = shm_get32(fields[k][1]);
            if (got != should)
                differs(d, got, should, "node %d, %s", i, names[k]);
        }
    }
}

static void diff_slabs(const allocator *al, const allocator *want, const differ *d)
{
    for (int i = 0; i < al->slab_count; i++) {
        const ndpool_slab *g = &al->slabs[i], *w = &want->slabs[i];
        uint64_t got = shm_get64(&g->head), should = shm_get64(&w->head);
        if (got != should)
            differs(d, got, should, "slab %d, head", i);
        for (int k = 0; got == should && got != 0 && k < SLAB_WORDS; k++) {
            uint64_t a = shm_get64(&g->map[k]), b = shm_get64(&w->map[k]);
            if (a != b)
                differs(d, a, b, "slab %d, word %d", i, k);
        }
    }
}

/* Compares the members with those of want; the words above the bitmap must be a summary of it. */
static void diff_set(const set *s, const set *want, const differ *d, const char *name)
{
    differ summary = {d->tell, d->arg, "set-summary"};
    for (int l = 0; l < s->depth; l++) {
        for (uint64_t i = 0; i < s->words[l]; i++) {
            uint64_t g = shm_get64(&s->levels[l][i]), w = shm_get64(&want->levels[l][i]);
            if (g == w)
                continue;
            if (l == 0)
                differs(d, g, w, "%s, word %llu", name, (unsigned long long)i);
            else
                differs(&summary, g, w, "%s, level %d, word %llu", name, l, (unsigned long long)i);
        }
    }
}

/* Precondition: both have the same geometry. */
void alloc_diff(const allocator *al, const allocator *want, alloc_tell *tell, void *arg)
{
    diff_pages(&al->pages, &want->pages, &(differ){tell, arg, "pages"});
    diff_tree(&al->pages, &want->pages, &(differ){tell, arg, "page-tree"});
    diff_slabs(al, want, &(differ){tell, arg, "slabs"});
    for (int c = 1; c <= NDPOOL_NUM_CLASSES; c++) {
        char name[32];
        snprintf(name, sizeof name, "class %d", c);
        diff_set(&al->avail[c], &want->avail[c], &(differ){tell, arg, "slab-sets"}, name);
    }
    diff_set(&al->descs, &want->descs, &(differ){tell, arg, "descriptor-set"}, "free descriptors");
    diff_set(&al->tickets, &want->tickets, &(differ){tell, arg, "ticket-set"}, "free tickets");
    diff_set(&al->names, &want->names, &(differ){tell, arg, "name-set"}, "free entries");
}
