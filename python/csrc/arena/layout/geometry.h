/* Where everything lies in a segment. It follows from the limits alone. Twin of arena/layout/geometry.go. */
#ifndef NDPOOL_ARENA_LAYOUT_GEOMETRY_H
#define NDPOOL_ARENA_LAYOUT_GEOMETRY_H

#include "ndpool_layout.h"

/* The fixed limits of a segment, chosen at creation. Local. */
typedef struct limits {
    uint64_t capacity; /* bytes of the data region, a multiple of a page */
    int64_t arrays;
    int64_t processes;
    int64_t tickets;
    int64_t names;
} limits;

/* Local. */
typedef struct geometry {
    limits limits;
    ndpool_region regions[NDPOOL_REGION_COUNT + 1]; /* by kind */
    uint64_t file_size;
} geometry;

/* Tells whether the limits lie within what the format can express; if not, what is wrong, in text. */
bool limits_check(const limits *l, char *text, size_t size);

int limits_pages(const limits *l);
int limits_chunks(const limits *l);      /* the last chunk may be short */
int limits_slabs(const limits *l);       /* slab records */
int limits_tree_leaves(const limits *l); /* a power of two */
int limits_name_heads(const limits *l);  /* of the catalog's chains, a power of two */

/* Computes the geometry. Precondition: limits_check agreed. */
void geometry_compute(const limits *l, geometry *g);

/* Bytes from the start of the file that are committed at creation: all tables but the entries of the catalog and the
 * descriptors. */
uint64_t geometry_eager(const geometry *g);

/* Offset in granules of a descriptor, and back; -1 if none starts there. */
uint32_t geometry_desc_granule(const geometry *g, uint32_t i);
int64_t geometry_desc_index(const geometry *g, uint32_t granule);

/* The chain of a name in the group of entry + 1 parent; 0 is the root. hash is the xxhash64, seed 0, of the component. */
int limits_name_head(const limits *l, uint32_t parent, uint64_t hash);

/* 64-bit words of an index set of n members. */
uint64_t set_words(uint64_t n);

/* The slab class for a size in bytes, from 1; 0 if a slab does not serve it. */
static inline int class_of(uint64_t size)
{
    return size > NDPOOL_MAX_CLASS_SIZE ? 0 : ndpool_class_of[(size + NDPOOL_GRANULE - 1) / NDPOOL_GRANULE];
}

/* Bytes of a ring's block. */
static inline uint64_t ring_bytes(uint64_t entries, uint64_t readers)
{
    uint64_t roles = (readers * NDPOOL_RING_READER_SIZE + NDPOOL_GRANULE - 1) / NDPOOL_GRANULE * NDPOOL_GRANULE;
    return NDPOOL_RING_SIZE + roles + entries * NDPOOL_RING_ENTRY_SIZE;
}

/* Pages for a size in bytes, which is at most that of an array: INT64_MAX and a header. */
static inline int64_t pages_for(uint64_t size) { return (int64_t)((size + NDPOOL_PAGE_SIZE - 1) / NDPOOL_PAGE_SIZE); }

#endif
