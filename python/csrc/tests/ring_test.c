/* The bytes of a ring, alone: what cannot be a ring, what does not count, what a rebuild makes of it. Twin of ring/ring_test.go. */
#include "tests/rings.h"

static ring_ref made; /* of p */
static ring_blocks blocks;

static void make(uint32_t kind, uint32_t entries)
{
    both();
    ndpool_ring_options o = {.entries = entries};
    OK(pool_open_ring(p, "test", NULL, kind, &o, &made));
    blocks = pool_ring_blocks(p);
}

static void unmake(void)
{
    OK(pool_drop(p, made.block));
    done();
}

static void test_lay(void)
{
    static uint64_t bytes[1024];
    uint8_t *mem = (uint8_t *)bytes;
    ring r;
    uint64_t n = ring_bytes(4, 3);
    CHECK_EQ(n, 256 + 64 + 4 * 64);
    CHECK(!ring_lay(&r, mem, n) && !r.head);
    CHECK(ring_make(&r, mem, n, NDPOOL_RING_STREAM, NDPOOL_RING_LOSSLESS, 4, 3));
    CHECK(r.n_entries == 4 && r.n_readers == 3 && ring_lossless(&r) && (uint8_t *)r.entries == mem + 320);
    CHECK(ring_lay(&r, mem, n) && !ring_lay(&r, mem, n - 8) && !ring_lay(&r, mem, n + 8) && !ring_lay(&r, mem, 255));
    CHECK(!ring_make(&r, mem, n, 3, 0, 4, 3) && !ring_make(&r, mem, n, 1, 2, 4, 3) && !ring_make(&r, mem, n, 1, 0, 0, 3));
    CHECK(!ring_make(&r, mem, n, 1, 0, NDPOOL_MAX_RING_ENTRIES + 1, 3) && !ring_make(&r, mem, n, 1, 0, UINT32_MAX, UINT32_MAX));
}

static ring_entry entry_of(ndpool_handle h, entry_word w) { return (ring_entry){.array = h, .word = w, .monotonic = 1, .wall = 2, .sender = 3}; }

static uint32_t tickets(ndpool_handle h)
{
    uint32_t i;
    CHECK(pool_index(p, h, &i));
    return shm_load32(&pool_desc(p, i)->tickets);
}

static void test_entries(void)
{
    ring_entry e, es[3];
    uint64_t tail, head, n;
    make(NDPOOL_RING_QUEUE, 4);
    const ring *r = &made.ring;
    ndpool_handle h = number(p, 1);
    OK(ndpool_share(p, h));
    OK(pool_lock(p));
    es[0] = entry_of(h, make_entry(NDPOOL_ENTRY_ARRAY, 1));
    es[1] = entry_of(h, entry_attached(make_entry(NDPOOL_ENTRY_ARRAY, 0)));
    es[2] = entry_of(h, make_entry(NDPOOL_ENTRY_BYTES, 0));
    ring_put(r, es, 3, &blocks);
    CHECK(ring_items(r) == 2 && ring_free(r) == 1 && tickets(h) == 3 && ring_span(r, &tail, &head) && tail == 0 && head == 3);
    CHECK(ring_item(r, 0, head, &blocks, &n) && n == 2);
    CHECK(!ring_item(r, 0, 1, &blocks, &n)); /* cut short */
    CHECK(!ring_item(r, 1, head, &blocks, &n) && n == 1);
    CHECK(ring_item(r, 2, head, &blocks, &n) && n == 1);
    CHECK(ring_look(r, 2, &e) && e.array == h && e.monotonic == 1 && e.wall == 2 && e.sender == 3 && ring_still(r, 2) && !ring_still(r, 6));
    ring_drop(r, 2, &blocks);
    CHECK(ring_items(r) == 1 && tickets(h) == 1);
    ring_put_back(r, es, 2, &blocks);
    CHECK(ring_items(r) == 2 && tickets(h) == 3 && ring_tail(r) == 0);
    ring_empty(r, &blocks);
    CHECK(ring_items(r) == 0 && tickets(h) == 0 && ring_free(r) == 4 && ring_tail(r) == 3);
    pool_unlock(p);
    OK(ndpool_release(p, h));
    unmake();
}

/* What is damage counts neither in a rebuild nor when it is dropped. */
static void test_damage(void)
{
    ring_entry es[4];
    uint64_t n;
    make(NDPOOL_RING_QUEUE, 4);
    const ring *r = &made.ring;
    ndpool_handle h = number(p, 1);
    OK(ndpool_share(p, h));
    OK(pool_lock(p));
    for (int k = 0; k < 4; k++)
        es[k] = entry_of(h, make_entry(NDPOOL_ENTRY_ARRAY, 0));
    ring_put(r, es, 4, &blocks);
    shm_store64(&r->entries[0].number, 77);
    shm_store64(&r->entries[1].array, made.handle); /* a ring */
    shm_store64(&r->entries[2].attributes, h + 1);
    shm_store64(&r->head->items, 99);
    CHECK(!ring_item(r, 0, 4, &blocks, &n) && n == 1);
    CHECK(!ring_item(r, 1, 4, &blocks, &n) && !ring_item(r, 2, 4, &blocks, &n) && ring_item(r, 3, 4, &blocks, &n));
    pool_rebuild_locked(p);
    CHECK(ring_items(r) == 1 && tickets(h) == 1);
    shm_store64(&r->head->tail, UINT64_MAX);
    uint64_t tail, head;
    CHECK(!ring_span(r, &tail, &head) && tail == head && ring_free(r) == 0);
    pool_rebuild_locked(p);
    CHECK(ring_items(r) == 0 && tickets(h) == 0);
    shm_store64(&r->head->tail, 0);
    pool_rebuild_locked(p);
    CHECK(ring_items(r) == 1 && tickets(h) == 1);
    ring_empty(r, &blocks);
    CHECK(ring_items(r) == 0 && tickets(h) == 0);
    shm_store64(&r->entries[2].attributes, 0);
    pool_unlock(p);
    OK(ndpool_release(p, h));
    unmake();
}

static void test_roles(void)
{
    const ident self = make_ident(0, 1), other = make_ident(1, 1);
    uint32_t a, b, c;
    uint64_t pos;
    static uint64_t bytes[1024];
    ring r;
    CHECK(ring_make(&r, (uint8_t *)bytes, ring_bytes(1, 2), NDPOOL_RING_STREAM, NDPOOL_RING_LOSSLESS, 1, 2));
    ring_begin(&r, self);
    ring_sweep_slot(&r, 1, true);
    CHECK(ring_writer(&r) == self && ring_ends(&r) == 0);
    ring_sweep_slot(&r, 0, true);
    CHECK(ring_writer(&r) == 0 && ring_ends(&r) == 3);
    ring_begin(&r, other);
    ring_end(&r, false);
    CHECK(ring_writer(&r) == 0 && ring_ends(&r) == 4);
    CHECK(ring_enter(&r, self, 5, &a) && ring_enter(&r, other, 7, &b) && !ring_enter(&r, other, 9, &c));
    CHECK(!ring_blocked(&r, 4) && ring_blocked(&r, 5));
    ring_advance(&r, a, 8);
    CHECK(!ring_blocked(&r, 6) && ring_blocked(&r, 7) && ring_reader(&r, a, &pos) == self && pos == 8);
    ring_sweep_slot(&r, 1, false);
    CHECK(!ring_blocked(&r, 7) && ring_reader(&r, b, &pos) == 0);
    ring_leave(&r, a);
    CHECK(!ring_blocked(&r, UINT64_MAX));
}

/* A bell rings if somebody waits; for all if one of them waits for much. */
static void test_bells(void)
{
    static uint64_t bytes[1024];
    ring r;
    spins s = {0};
    CHECK(ring_make(&r, (uint8_t *)bytes, ring_bytes(1, 0), NDPOOL_RING_QUEUE, 0, 1, 0));
    bell b = ring_room(&r);
    uint32_t seq = shm_load32(b.seq);
    bell_ring(b, 1);
    CHECK_EQ(shm_load32(b.seq), seq);
    CHECK(bell_arm(b, false) == seq && shm_load32(b.flag) == 1);
    CHECK(bell_arm(b, true) == seq && shm_load32(b.flag) == 3);
    bell_ring(b, 1);
    CHECK(shm_load32(b.seq) == seq + 1 && shm_load32(b.flag) == 0);
    CHECK(!bell_sleep(b, seq, PATIENCE) && bell_sleep(b, seq + 1, 1000));
    uint64_t was = ring_news_stamp(&r);
    for (int k = 0; k < 40; k++)
        CHECK(!ring_spin(&r, ring_news_stamp, was, 1000, &s));
    CHECK(atomic_load(&s.vain) >= 3 && atomic_load(&s.vain) < 10); /* it has given up, but for now and then */
    ring_shut(&r);
    CHECK(ring_is_shut(&r) && ring_spin(&r, ring_news_stamp, was, 1000, &s));
}

int main(int argc, char **argv)
{
    static const test tests[] = {
        {"lay", test_lay}, {"entries", test_entries}, {"damage", test_damage}, {"roles", test_roles}, {"bells", test_bells},
    };
    return run_tests(tests, sizeof tests / sizeof *tests, argc, argv);
}
