/* The view of a ring. Twin of ring/ring.go. */
#include "ring/ring.h"

bool ring_lay(ring *r, uint8_t *mem, uint64_t n)
{
    ndpool_ring *h = (ndpool_ring *)mem;
    *r = (ring){0};
    if (n < NDPOOL_RING_SIZE)
        return false;
    uint32_t kind = shm_load32(&h->kind), flags = shm_load32(&h->flags);
    uint32_t entries = shm_load32(&h->entries), readers = shm_load32(&h->readers);
    bool known = kind == NDPOOL_RING_STREAM || kind == NDPOOL_RING_QUEUE;
    if (!known || flags & ~(uint32_t)NDPOOL_RING_FLAGS_KNOWN || entries < 1 || entries > NDPOOL_MAX_RING_ENTRIES ||
        readers > NDPOOL_MAX_RING_READERS || n != ring_bytes(entries, readers))
        return false;
    *r = (ring){.head = h, .n_readers = readers, .n_entries = entries, .kind = kind, .flags = flags};
    r->readers = (ndpool_ring_reader *)(mem + NDPOOL_RING_SIZE);
    r->entries = (ndpool_ring_entry *)(mem + ring_bytes(0, readers));
    return true;
}

bool ring_make(ring *r, uint8_t *mem, uint64_t n, uint32_t kind, uint32_t flags, uint32_t entries, uint32_t readers)
{
    if (n < NDPOOL_RING_SIZE)
        return false;
    ndpool_ring *h = (ndpool_ring *)mem;
    shm_publish32(&h->kind, kind);
    shm_publish32(&h->flags, flags);
    shm_publish32(&h->entries, entries);
    shm_publish32(&h->readers, readers);
    return ring_lay(r, mem, n);
}

bool ring_span(const ring *r, uint64_t *tail, uint64_t *head)
{
    *tail = ring_tail(r);
    *head = ring_head(r);
    if (*head - *tail <= r->n_entries)
        return true;
    *tail = *head;
    return false;
}

uint32_t ring_free(const ring *r)
{
    uint64_t tail, head;
    return ring_span(r, &tail, &head) ? r->n_entries - (uint32_t)(head - tail) : 0;
}

void ring_shut(const ring *r) { shm_store32(&r->head->state, NDPOOL_RING_SHUT); }

/* Idempotent but for what b counts. */
void ring_recount(const ring *r, const ring_blocks *b)
{
    uint64_t items = 0, tail, head;
    (void)ring_span(r, &tail, &head);
    for (uint64_t pos = tail; pos != head; pos++) {
        ring_entry e;
        if (!ring_sound(r, pos, b, &e))
            continue;
        b->count(b->arg, e.array);
        if (e.attributes)
            b->count(b->arg, e.attributes);
        items += !entry_is_attached(e.word);
    }
    if (ring_items(r) != items)
        shm_publish64(&r->head->items, items);
}
