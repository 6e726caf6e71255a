/* Where everything lies in a segment. Twin of arena/layout/geometry.go. */
#include "arena/layout/geometry.h"

#include <inttypes.h>
#include <stdio.h>

static uint64_t words(uint64_t bits) { return (bits + 63) / 64; }

static uint64_t round_up(uint64_t n, uint64_t to) { return (n + to - 1) / to * to; }

bool limits_check(const limits *l, char *text, size_t size)
{
    if (l->capacity < NDPOOL_MIN_CAPACITY || l->capacity > NDPOOL_MAX_CAPACITY || l->capacity % NDPOOL_PAGE_SIZE != 0) {
        snprintf(text, size, "capacity %" PRIu64 ": must be a multiple of %d from %d to %" PRIu64, l->capacity,
                 NDPOOL_PAGE_SIZE, NDPOOL_MIN_CAPACITY, (uint64_t)NDPOOL_MAX_CAPACITY);
        return false;
    }
    const struct {
        const char *what;
        int64_t n, limit;
    } counts[] = {{"arrays", l->arrays, NDPOOL_MAX_ARRAYS}, {"processes", l->processes, NDPOOL_MAX_PROCESSES},
                  {"tickets", l->tickets, NDPOOL_MAX_TICKETS}, {"names", l->names, NDPOOL_MAX_NAMES}};
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
        if (counts[i].n < 1 || counts[i].n > counts[i].limit) {
            snprintf(text, size, "%s %" PRId64 ": must be from 1 to %" PRId64, counts[i].what, counts[i].n,
                     counts[i].limit);
            return false;
        }
    }
    return true;
}

int limits_pages(const limits *l) { return (int)(l->capacity / NDPOOL_PAGE_SIZE); }
int limits_chunks(const limits *l) { return (limits_pages(l) + NDPOOL_CHUNK_PAGES - 1) / NDPOOL_CHUNK_PAGES; }
int limits_slabs(const limits *l) { return (limits_pages(l) + NDPOOL_MIN_SLAB_PAGES - 1) / NDPOOL_MIN_SLAB_PAGES; }

int limits_tree_leaves(const limits *l)
{
    int n = 1;
    while (n < limits_chunks(l))
        n *= 2;
    return n;
}

int limits_name_heads(const limits *l)
{
    int n = 2;
    while (n < l->names)
        n *= 2;
    return n;
}

void geometry_compute(const limits *l, geometry *g)
{
    *g = (geometry){.limits = *l};
    const uint64_t chunks = (uint64_t)limits_chunks(l), slabs = (uint64_t)limits_slabs(l);
    const uint64_t sizes[NDPOOL_REGION_COUNT + 1] = {
        [NDPOOL_REGION_CONTROL] = NDPOOL_CONTROL_SIZE,
        [NDPOOL_REGION_SLOTS] = (uint64_t)l->processes * NDPOOL_SLOT_SIZE,
        [NDPOOL_REGION_COMMITTED] = words(chunks) * 8,
        [NDPOOL_REGION_PAGES] = chunks * NDPOOL_CHUNK_PAGES / 8,
        [NDPOOL_REGION_PAGE_TREE] = (uint64_t)limits_tree_leaves(l) * 2 * NDPOOL_PAGE_NODE_SIZE,
        [NDPOOL_REGION_SLABS] = slabs * NDPOOL_SLAB_SIZE,
        [NDPOOL_REGION_SLAB_SETS] = NDPOOL_NUM_CLASSES * set_words(slabs) * 8,
        [NDPOOL_REGION_DESC_SET] = set_words((uint64_t)l->arrays) * 8,
        [NDPOOL_REGION_TICKET_SET] = set_words((uint64_t)l->tickets) * 8,
        [NDPOOL_REGION_TICKETS] = (uint64_t)l->tickets * NDPOOL_TICKET_SIZE,
        [NDPOOL_REGION_NAME_SET] = set_words((uint64_t)l->names) * 8,
        [NDPOOL_REGION_NAME_HEADS] = (uint64_t)limits_name_heads(l) * 4,
        [NDPOOL_REGION_NAMES] = (uint64_t)l->names * NDPOOL_NAME_SIZE,
        [NDPOOL_REGION_DESCS] = (uint64_t)l->arrays * NDPOOL_DESC_SIZE,
        [NDPOOL_REGION_DATA] = l->capacity,
    };
    uint64_t at = NDPOOL_SUPERBLOCK_SIZE;
    for (uint32_t kind = NDPOOL_REGION_CONTROL; kind <= NDPOOL_REGION_COUNT; kind++) {
        if (kind == NDPOOL_REGION_DATA)
            at = round_up(at, NDPOOL_CHUNK_SIZE);
        g->regions[kind] = (ndpool_region){.kind = kind, .version = 1, .offset = at, .size = sizes[kind]};
        at = round_up(at + sizes[kind], NDPOOL_PAGE_SIZE);
    }
    g->file_size = at;
}

uint64_t geometry_eager(const geometry *g) { return g->regions[NDPOOL_REGION_NAMES].offset; }

uint32_t geometry_desc_granule(const geometry *g, uint32_t i)
{
    return (uint32_t)((g->regions[NDPOOL_REGION_DESCS].offset + (uint64_t)i * NDPOOL_DESC_SIZE) / NDPOOL_GRANULE);
}

int64_t geometry_desc_index(const geometry *g, uint32_t granule)
{
    uint64_t off = (uint64_t)granule * NDPOOL_GRANULE, start = g->regions[NDPOOL_REGION_DESCS].offset;
    if (off < start || (off - start) % NDPOOL_DESC_SIZE != 0)
        return -1;
    uint64_t i = (off - start) / NDPOOL_DESC_SIZE;
    return i < (uint64_t)g->limits.arrays ? (int64_t)i : -1;
}

int limits_name_head(const limits *l, uint32_t parent, uint64_t hash)
{
    uint64_t h = hash + parent * UINT64_C(0x9e3779b97f4a7c15);
    return (int)((h ^ h >> 32) & (uint64_t)(limits_name_heads(l) - 1));
}

uint64_t set_words(uint64_t n)
{
    uint64_t total = 0;
    for (uint64_t w = words(n);; w = words(w)) {
        total += w;
        if (w <= 1)
            return total;
    }
}
