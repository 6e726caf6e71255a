/* Memory behind the segment's pages and tables. Twin of arena/memory.go. */
#include "arena/arena.h"

/* A death between fallocate and the committed bit leaves memory behind a chunk that is not recorded; the next one
 * commits it again, which is harmless. */
int arena_commit_pages(arena *a, int first, int n)
{
    for (int c = first / NDPOOL_CHUNK_PAGES; c <= (first + n - 1) / NDPOOL_CHUNK_PAGES; c++) {
        if (arena_is_committed(a, c))
            continue;
        uint64_t off, size;
        arena_chunk(a, c, &off, &size);
        int status = file_commit(a, off, size);
        if (status != NDPOOL_OK)
            return status;
        shm_or64(&a->committed[c / 64], UINT64_C(1) << (c % 64));
    }
    return NDPOOL_OK;
}

/* The bit goes first: a death in between leaves memory that is not recorded, and the next owner commits it again.
 * Preconditions: the caller owns all pages of the chunk as BUSY, and does not hold the segment lock. */
int arena_punch_chunk(arena *a, int c)
{
    uint64_t off, size;
    shm_and64(&a->committed[c / 64], ~(UINT64_C(1) << (c % 64)));
    arena_chunk(a, c, &off, &size);
    return file_punch(a, off, size);
}

/* The caller then raises ctl->descs under the lock. Precondition: it does not hold the segment lock now. */
int arena_commit_descs(arena *a, uint32_t from, uint32_t n, uint32_t *to)
{
    const ndpool_region *r = &a->geo.regions[NDPOOL_REGION_DESCS];
    uint64_t start = (uint64_t)from * NDPOOL_DESC_SIZE;
    uint64_t end = ((uint64_t)n * NDPOOL_DESC_SIZE + NDPOOL_TABLE_STEP - 1) / NDPOOL_TABLE_STEP * NDPOOL_TABLE_STEP;
    if (end > r->size)
        end = r->size;
    int status = file_commit(a, r->offset + start, end - start);
    if (status == NDPOOL_OK)
        *to = (uint32_t)(end / NDPOOL_DESC_SIZE);
    return status;
}

/* The caller then raises ctl->names under the lock. Precondition: it does not hold the segment lock now. */
int arena_commit_names(arena *a, uint32_t from, uint32_t n, uint32_t *to)
{
    const ndpool_region *r = &a->geo.regions[NDPOOL_REGION_NAMES];
    uint32_t end = (n + NDPOOL_NAME_STEP - 1) / NDPOOL_NAME_STEP * NDPOOL_NAME_STEP, all = (uint32_t)a->geo.limits.names;
    if (end > all)
        end = all;
    int status = file_commit(a, r->offset + from * NDPOOL_NAME_SIZE, (uint64_t)(end - from) * NDPOOL_NAME_SIZE);
    if (status == NDPOOL_OK)
        *to = end;
    return status;
}

void arena_chunk(const arena *a, int c, uint64_t *off, uint64_t *size)
{
    uint64_t start = (uint64_t)c * NDPOOL_CHUNK_SIZE, left = a->geo.limits.capacity - start;
    *off = a->geo.regions[NDPOOL_REGION_DATA].offset + start;
    *size = left < NDPOOL_CHUNK_SIZE ? left : NDPOOL_CHUNK_SIZE;
}
