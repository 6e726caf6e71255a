/* The laws of rings. The segment lock is held, so rings stand still, but for the positions of readers, which go up, and
 * the words to wait on. What the laws say is in pool/laws.go; twin of pool/laws_ring.go. */
#include "pool/verify.h"

typedef unsigned long long ull;

/* One ring that is looked at. Local. Words of which something depends are read once. */
typedef struct ring_check {
    checker *c;
    uint32_t block;
    ring r;
    uint64_t tail, head;
} ring_check;

static fault *blame(const ring_check *k, const char *law)
{
    char place[FAULT_TEXT];
    verify_say(place, "ring %u", k->block);
    return verify_fault(k->c, law, place);
}

static fault *blame_entry(const ring_check *k, uint64_t pos)
{
    char place[FAULT_TEXT];
    verify_say(place, "ring %u, position %llu", k->block, (ull)pos);
    return verify_fault(k->c, "ring-entry", place);
}

/* Tells whether the head is one that ring_lay took, and that there can be. */
static bool head_valid(const ring *r)
{
    bool stream = r->kind == NDPOOL_RING_STREAM;
    return r->head && (stream || !ring_lossless(r)) && ring_lossless(r) == (r->n_readers != 0);
}

static void blame_head(const ring_check *k, const ndpool_ring *h, uint64_t n)
{
    fault *f = blame(k, "ring");
    verify_say(f->want, "a stream or a queue of %llu bytes", (ull)n);
    verify_say(f->got, "kind %u, flags 0x%x, %u entries, %u readers", shm_load32(&h->kind), shm_load32(&h->flags),
               shm_load32(&h->entries), shm_load32(&h->readers));
}

/* Checks the constants of the head and lays the ring over its block, which must be as large as they say, and say so. */
static bool check_fits(ring_check *k)
{
    const ndpool_desc *d = pool_desc(k->c->pool, k->block);
    uint64_t dtype = shm_load64(&d->dtype), n = shm_load64(&d->bytes);
    uint32_t ndim = shm_load32(&d->ndim), header = shm_load32(&d->header);
    extent x;
    if (!pool_extent(k->c->pool, k->block, &x))
        return false; /* said with the block */
    if (dtype != NDPOOL_UINT8 || ndim != 1 || header != 0 || n < NDPOOL_RING_SIZE || n > extent_size(x)) {
        fault *f = blame(k, "ring");
        verify_say(f->want, "bytes in one dimension, from %d to %llu", NDPOOL_RING_SIZE, (ull)extent_size(x));
        verify_say(f->got, "%u dimensions of 0x%llx, %llu bytes, header %u", ndim, (ull)dtype, (ull)n, header);
        return false;
    }
    uint8_t *mem = arena_data(k->c->a, extent_offset(x));
    if (ring_lay(&k->r, mem, n) && head_valid(&k->r))
        return true;
    blame_head(k, (const ndpool_ring *)mem, n);
    return false;
}

/* Checks the words of the head that change. */
static bool check_positions(ring_check *k)
{
    const ndpool_ring *h = k->r.head;
    k->tail = ring_tail(&k->r);
    k->head = ring_head(&k->r);
    if (k->tail > k->head || k->head - k->tail > k->r.n_entries) {
        fault *f = blame(k, "ring");
        verify_say(f->want, "at most %u entries from Tail to Head", k->r.n_entries);
        verify_say(f->got, "%llu to %llu", (ull)k->tail, (ull)k->head);
        return false;
    }
    bool stream = k->r.kind == NDPOOL_RING_STREAM;
    uint32_t shut = shm_load32(&h->state);
    ident writer = ring_writer(&k->r);
    if (shut > NDPOOL_RING_SHUT || (stream && shut != 0) || (!stream && writer != 0)) {
        fault *f = blame(k, "ring");
        verify_say(f->want, "only a queue that is shut down, only a stream with a writer");
        verify_say(f->got, "state %u, writer %lld.%u", shut, (long long)ident_slot(writer), ident_incarnation(writer));
    }
    return true;
}

/* Checks what lies between the fields of the head, behind the readers, and in the entries. */
static void check_reserved(ring_check *k)
{
    const ndpool_ring *h = k->r.head;
    char place[FAULT_TEXT];
    verify_say(place, "ring %u", k->block);
#define GAP(field) verify_zero(k->c, place, h->field, sizeof h->field / sizeof *h->field)
    GAP(reserved0);
    GAP(reserved1);
    GAP(reserved2);
    GAP(reserved3);
#undef GAP
    const shm_u64 *behind = (const shm_u64 *)(k->r.readers + k->r.n_readers), *end = (const shm_u64 *)k->r.entries;
    verify_say(place, "ring %u, behind its readers", k->block);
    verify_zero(k->c, place, behind, (size_t)(end - behind));
    for (uint32_t n = 0; n < k->r.n_entries; n++) {
        uint64_t w = shm_load64(&k->r.entries[n].reserved);
        if (w == 0)
            continue;
        verify_say(place, "ring %u, entry %u", k->block, n);
        fault *f = verify_fault(k->c, "reserved", place);
        verify_say(f->want, "0");
        verify_say(f->got, "0x%llx", (ull)w);
    }
}

/* Gives the block that a handle of an entry leads to. */
static bool leads(const ring_check *k, uint64_t pos, uint64_t handle, uint32_t *i)
{
    if (pool_live_block(k->c->pool, handle, i) && !pool_is_ring(k->c->pool, *i))
        return true;
    fault *f = blame_entry(k, pos);
    verify_say(f->want, "the handle of a LIVE block that is no ring");
    verify_say(f->got, "%016llx", (ull)handle);
    return false;
}

/* Checks the blocks that an entry names, and counts them, unless one of them is damage: then none counts. */
static bool carries(ring_check *k, uint64_t pos, const ring_entry *e)
{
    uint32_t i, j;
    if (!leads(k, pos, e->array, &i))
        return false;
    if (k->r.kind == NDPOOL_RING_STREAM && !state_sealed(pool_state(k->c->pool, i))) {
        fault *f = blame_entry(k, pos);
        verify_say(f->want, "a sealed array");
        verify_say(f->got, "%016llx, which is not", (ull)e->array);
    }
    if (e->attributes != 0) {
        if (!leads(k, pos, e->attributes, &j))
            return false;
        char place[FAULT_TEXT];
        verify_say(place, "ring %u, position %llu", k->block, (ull)pos);
        verify_attributes(k->c, place, j);
        k->c->tickets[j]++;
    }
    k->c->tickets[i]++;
    return true;
}

/* Tells whether an entry may say that it is this. behind: how many more belong to the item before. */
static bool word_fits(const ring_check *k, entry_word w, uint32_t behind)
{
    if (k->r.kind == NDPOOL_RING_STREAM)
        return w == make_entry(NDPOOL_ENTRY_ARRAY, 0);
    return entry_valid(w) && entry_is_attached(w) == (behind > 0) &&
           (!entry_is_attached(w) || entry_kind(w) == NDPOOL_ENTRY_ARRAY);
}

/* Checks an entry that counts. */
static void check_entry(ring_check *k, uint64_t pos, uint32_t *behind, uint64_t *items)
{
    ring_entry e;
    if (!ring_look(&k->r, pos, &e)) {
        fault *f = blame_entry(k, pos);
        verify_say(f->want, "%llu", (ull)pos + 1);
        verify_say(f->got, "%llu", (ull)shm_load64(&k->r.entries[pos % k->r.n_entries].number));
        return;
    }
    if (!word_fits(k, e.word, *behind)) {
        fault *f = blame_entry(k, pos);
        verify_say(f->want, "what an entry is, with those that belong to it");
        verify_say(f->got, "0x%llx, %u expected to belong to one before", (ull)e.word, *behind);
    }
    bool counts = carries(k, pos, &e);
    if (entry_is_attached(e.word)) {
        *behind -= *behind > 0;
        return;
    }
    *items += counts;
    *behind = entry_more(e.word);
}

/* Checks the entries that count, and counts what they name. */
static void check_entries(ring_check *k)
{
    uint64_t items = 0;
    uint32_t behind = 0;
    for (uint64_t pos = k->tail; pos != k->head; pos++)
        check_entry(k, pos, &behind, &items);
    if (behind > 0) {
        fault *f = blame(k, "ring-entry");
        verify_say(f->want, "all that belongs to the last item");
        verify_say(f->got, "%u missing", behind);
    }
    uint64_t n = ring_items(&k->r);
    if (n != items && k->c->report.indexes) {
        fault *f = blame(k, "ring-count");
        verify_say(f->want, "%llu", (ull)items);
        verify_say(f->got, "%llu", (ull)n);
    }
}

/* Tells whether a process is attached. While a slot is being swept its process may still be named. */
static bool is_there(const ring_check *k, ident id) { return verify_used(k->c, id) || verify_sweeping(k->c, ident_slot(id)); }

/* Checks the writer and the readers. */
static void check_roles(ring_check *k)
{
    ident w = ring_writer(&k->r);
    if (k->r.kind == NDPOOL_RING_STREAM && w != 0 && !is_there(k, w)) {
        fault *f = blame(k, "ring-writer");
        verify_say(f->want, "nobody or an attached process");
        verify_say(f->got, "%lld.%u", (long long)ident_slot(w), ident_incarnation(w));
    }
    for (uint32_t n = 0; n < k->r.n_readers; n++) {
        uint64_t pos;
        ident id = ring_reader(&k->r, n, &pos);
        if (id == 0 || (is_there(k, id) && pos >= k->tail && pos <= k->head))
            continue;
        char place[FAULT_TEXT];
        verify_say(place, "ring %u, reader %u", k->block, n);
        fault *f = verify_fault(k->c, "ring-reader", place);
        verify_say(f->want, "nobody, or an attached process from %llu to %llu", (ull)k->tail, (ull)k->head);
        verify_say(f->got, "%lld.%u at %llu", (long long)ident_slot(id), ident_incarnation(id), (ull)pos);
    }
}

/* Checks a ring. Nothing rests on what lies behind a head that is none. */
static void check_ring(checker *c, uint32_t i)
{
    ring_check k = {.c = c, .block = i};
    if (!check_fits(&k) || !check_positions(&k))
        return;
    check_reserved(&k);
    check_entries(&k);
    check_roles(&k);
}

/* Tells whether a block of that state may be a ring, whose entries count: it will be one until it is made FREE, which
 * takes the lock. */
static bool may_be_ring(state s)
{
    int kind = state_kind(s);
    return kind == NDPOOL_KIND_BUSY || kind == NDPOOL_KIND_PRIVATE || kind == NDPOOL_KIND_LIVE;
}

/* Checks all rings, and counts the blocks that their entries name. */
void verify_rings(checker *c)
{
    for (uint32_t i = 0, n = pool_descs(c->pool); i < n; i++) {
        if (pool_is_ring(c->pool, i) && may_be_ring(pool_state(c->pool, i)))
            check_ring(c, i);
    }
}

/* Checks that a block which has the flag RING may be a ring. */
void verify_ring_flag(checker *c, uint32_t i, const char *place, state s)
{
    if (!pool_is_ring(c->pool, i) || (may_be_ring(s) && !state_sealed(s)))
        return;
    fault *f = verify_fault(c, "ring-flag", place);
    verify_say(f->want, "a ring that is BUSY, PRIVATE, or LIVE and not sealed");
    verify_say(f->got, "0x%llx", (ull)s);
}
