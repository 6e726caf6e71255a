/*
 * Operations on streams and queues that a process may die in: the twin of pool/scenarios_rings_test.go. What is left of a ring
 * shows whether an item was put or got as a whole. All rings here have names that go with the pool, but where they say so.
 *
 * It is a part of scenarios.h.
 */
#ifndef NDPOOL_TESTS_SCENARIOS_RINGS_H
#define NDPOOL_TESTS_SCENARIOS_RINGS_H

static const ndpool_ring_options LOSSLESS_3 = {.entries = 3, .readers = 2, .flags = NDPOOL_LOSSLESS};
static const ndpool_ring_options LOSSLESS_1 = {.entries = 1, .readers = 2, .flags = NDPOOL_LOSSLESS};
static const ndpool_ring_options ONE = {.entries = 1};
static const ndpool_ring_options TWO = {.entries = 2};
static const ndpool_ring_options FOUR = {.entries = 4};

/* Has blocks of a size cached, so that the operation has few stores. A second size would steal those of the first one: the pool
 * is small. */
static inline void warm(ndpool *p, int64_t bytes) { must(ndpool_release(p, alloc_bytes(p, bytes).handle)); }
static void is_warm(scene *s)
{
    EACH(s->peer, STAY, NULL, "x");
    warm(s->victim, (int64_t)ring_bytes(4, 0));
}

static inline void publish_marked(ndpool *p, ndpool_writer *w, int v)
{
    ndpool_array a = marked(p, v);
    must(ndpool_writer_publish(w, a.handle, NULL, 0, 0, NULL, NULL, NULL));
    must(ndpool_release(p, a.handle));
}

/* Has a process make the stream and publish so many frames, and end. */
static inline void make_stream(ndpool *p, const ndpool_ring_options *o, int frames)
{
    ndpool_writer *w;
    must(ndpool_writer_open(p, "s", o, &w));
    for (int k = 1; k <= frames; k++)
        publish_marked(p, w, k);
    ndpool_writer_close(w);
}

/* Makes a queue of four entries with so many items. */
static inline ndpool_queue *make_queue(ndpool *p, const char *path, int items)
{
    ndpool_queue *q;
    must(ndpool_queue_open(p, path, &FOUR, &q));
    for (int k = 1; k <= items; k++) {
        ndpool_put e = {.array = marked(p, k).handle, .kind = NDPOOL_ITEM_ARRAY};
        must(ndpool_queue_put(q, &e, 1, 0, NULL, NULL, NULL));
        must(ndpool_release(p, e.array));
    }
    return q;
}

/* The victim writes a stream of the peer's. */
static inline void writes(scene *s, const ndpool_ring_options *o, int frames)
{
    make_stream(s->peer, o, frames);
    must(ndpool_writer_open(s->victim, "s", NULL, &s->w));
    s->a = marked(s->victim, 99);
}
static void writes_two(scene *s) { writes(s, &TWO, 1); }
static void writes_empty(scene *s)
{
    writes(s, &TWO, 0);
    warm(s->victim, 7);
}
static void writes_full(scene *s) { writes(s, &ONE, 1); }
static void writes_lossless(scene *s)
{
    ndpool_reader *r;
    ndpool_frame f;
    must(ndpool_writer_open(s->victim, "s", &LOSSLESS_1, &s->w));
    must(ndpool_reader_open(s->peer, "s", NDPOOL_EVERY, &r));
    publish_marked(s->victim, s->w, 1);
    must(ndpool_reader_read(r, NDPOOL_NEXT, 0, NULL, NULL, &f));
    must(ndpool_release(s->peer, f.array.handle));
    s->a = marked(s->victim, 99);
}
static void stream_of_one(scene *s) { make_stream(s->peer, &TWO, 1); }
static void stream_of_two(scene *s) { make_stream(s->peer, &TWO, 2); }
static void stream_to_enter(scene *s) { make_stream(s->peer, &LOSSLESS_3, 1); }
static void is_writer(scene *s)
{
    stream_of_one(s);
    must(ndpool_writer_open(s->victim, "s", NULL, &s->w));
}
/* A writer that is gone, and whom nobody has swept. */
static void dead_writer(scene *s)
{
    ring_ref f;
    stream_of_one(s);
    must(pool_find_ring(s->peer, "scenario", "s", NDPOOL_RING_STREAM, 0, &f, NULL));
    ident i = s->peer->arena->self;
    ring_begin(&f.ring, make_ident((int)ident_slot(i), ident_incarnation(i) - 1));
    must(pool_drop(s->peer, f.block));
}
static void reads_every(scene *s)
{
    make_stream(s->peer, &LOSSLESS_3, 2);
    must(ndpool_reader_open(s->victim, "s", NDPOOL_EVERY, &s->r));
}
static void reads_latest(scene *s)
{
    stream_of_two(s);
    must(ndpool_reader_open(s->victim, "s", 0, &s->r));
}

static void op_stream_make(scene *s) { must(ndpool_writer_open(s->victim, "g/s", &LOSSLESS_3, &s->w)); }
static void op_stream_begin(scene *s) { must(ndpool_writer_open(s->victim, "s", NULL, &s->w)); }
static void op_stream_end(scene *s) { ndpool_writer_close(s->w); }
static inline void publish_with(scene *s, const char *text)
{
    must(ndpool_writer_publish(s->w, s->a.handle, text, text ? strlen(text) : 0, 0, NULL, NULL, NULL));
    must(ndpool_release(s->victim, s->a.handle));
}
static void op_stream_publish(scene *s) { publish_with(s, NULL); }
static void op_stream_publish_attributes(scene *s) { publish_with(s, "{\"k\":1}"); }
static void op_stream_enter(scene *s) { must(ndpool_reader_open(s->victim, "s", NDPOOL_EVERY, &s->r)); }
static void op_stream_next(scene *s)
{
    ndpool_frame f;
    must(ndpool_reader_read(s->r, NDPOOL_NEXT, 0, NULL, NULL, &f));
}
static void op_stream_latest(scene *s)
{
    ndpool_frame f;
    must(ndpool_reader_read(s->r, 0, 0, NULL, NULL, &f));
    must(ndpool_release(s->victim, f.array.handle));
}
static void op_stream_leave(scene *s) { ndpool_reader_close(s->r); }
static void op_stream_remove(scene *s) { must(ndpool_remove(s->victim, "s", 0, 0, NULL)); }

/* The victim has arrays to put into a queue of the peer's. */
static inline void puts_arrays(scene *s, size_t n)
{
    ndpool_queue_close(make_queue(s->peer, "q", 1));
    must(ndpool_queue_open(s->victim, "q", NULL, &s->q));
    for (size_t k = 0; k < n; k++)
        s->put[k] = (ndpool_put){.array = marked(s->victim, 90 + (int)k).handle, .kind = NDPOOL_ITEM_ARRAY};
}
static void puts_one(scene *s) { puts_arrays(s, 1); }
static void puts_three(scene *s) { puts_arrays(s, 3); }
static inline void has_queue(scene *s, int items)
{
    ndpool_queue_close(make_queue(s->peer, "q", items));
    must(ndpool_queue_open(s->victim, "q", NULL, &s->q));
}
static void has_queue_of_one(scene *s) { has_queue(s, 1); }
static void has_queue_of_two(scene *s) { has_queue(s, 2); }
static void has_queue_of_three(scene *s) { has_queue(s, 3); }
static void has_attached(scene *s)
{
    ndpool_queue *q = make_queue(s->peer, "q", 0);
    ndpool_handle a = marked(s->peer, 1).handle, b = marked(s->peer, 2).handle;
    ndpool_put e[3] = {{.array = a, .kind = NDPOOL_ITEM_PICKLE}, {.array = b}, {.array = b}};
    must(ndpool_queue_put(q, e, 3, 0, NULL, NULL, NULL));
    must(ndpool_release(s->peer, a));
    must(ndpool_release(s->peer, b));
    ndpool_queue_close(q);
    must(ndpool_queue_open(s->victim, "q", NULL, &s->q));
}
static inline void get_at_most(scene *s, size_t items)
{
    size_t n;
    must(ndpool_queue_get(s->q, items, s->got, 4, 0, NULL, NULL, &n));
}
static void has_got(scene *s)
{
    has_queue_of_two(s);
    get_at_most(s, 1);
}
static void holds_queue(scene *s) { s->q = make_queue(s->victim, NULL, 3); }
static void peer_sent_queue(scene *s)
{
    ndpool_queue *q = make_queue(s->peer, NULL, 2);
    must(ndpool_send(s->peer, ndpool_queue_handle(q), 0, &s->t));
    ndpool_queue_close(q);
}
static void has_roles(scene *s)
{
    must(ndpool_writer_open(s->victim, "s", &LOSSLESS_3, &s->w));
    publish_marked(s->victim, s->w, 1);
    must(ndpool_reader_open(s->victim, "s", NDPOOL_EVERY, &s->r));
    s->q = make_queue(s->victim, "q", 2);
}

static inline void put_release(scene *s, size_t n)
{
    must(ndpool_queue_put(s->q, s->put, n, 0, NULL, NULL, NULL));
    for (size_t k = 0; k < n; k++)
        must(ndpool_release(s->victim, s->put[k].array));
}
static void op_queue_make(scene *s)
{
    must(ndpool_queue_open(s->victim, "g/q", &(ndpool_ring_options){.entries = 4, .flags = NDPOOL_PERSISTENT}, &s->q));
}
static void op_queue_make_without_name(scene *s) { must(ndpool_queue_open(s->victim, NULL, &FOUR, &s->q)); }
static void op_queue_refused(scene *s)
{
    if (ndpool_queue_open(s->victim, "q", NULL, &s->q) != NDPOOL_ERR_FULL)
        abort();
}
static void op_queue_put(scene *s) { put_release(s, 1); }
static void op_queue_put_attached(scene *s)
{
    s->put[1].kind = s->put[2].kind = 0;
    put_release(s, 3);
}
static void op_queue_put_batch(scene *s) { put_release(s, 3); }
static void op_queue_get(scene *s) { get_at_most(s, 1); }
static void op_queue_get_release(scene *s)
{
    get_at_most(s, 1);
    must(ndpool_release(s->victim, s->got[0].array.handle));
}
static void op_queue_get_batch(scene *s) { get_at_most(s, 2); }
static void op_queue_put_back(scene *s)
{
    ndpool_put e = {.array = s->got[0].array.handle, .kind = s->got[0].kind};
    must(ndpool_queue_put_back(s->q, &e, 1, 0, NULL, NULL));
    must(ndpool_release(s->victim, e.array));
}
static void op_queue_shut(scene *s) { must(ndpool_queue_shut(s->q)); }
static void op_queue_remove(scene *s)
{
    ndpool_queue_close(s->q);
    must(ndpool_remove(s->victim, "q", 0, 0, NULL));
}
static void op_queue_close(scene *s) { ndpool_queue_close(s->q); }
static void op_queue_adopt(scene *s) { must(ndpool_queue_adopt(s->victim, s->t, &s->q)); }

/* Ends all roles, and then the attachment. */
static void op_rings_close(scene *s)
{
    ndpool_writer_close(s->w);
    ndpool_reader_close(s->r);
    ndpool_queue_close(s->q);
    ndpool_close(s->victim);
}

/* Leaves the stream as a death does between the drop of the oldest frame and the put of the next one. */
static void op_stream_drop(scene *s)
{
    ring_ref f;
    ring_blocks b = pool_ring_blocks(s->victim);
    must(pool_find_ring(s->victim, "scenario", "s", NDPOOL_RING_STREAM, 0, &f, NULL));
    must(pool_lock(s->victim));
    ring_drop(&f.ring, 1, &b);
    pool_unlock(s->victim);
    must(pool_drop(s->victim, f.block));
}

/* What an array is in the text of a ring: the byte of which all its bytes are. */
static inline int byte_of(ndpool *p, uint64_t h)
{
    uint32_t i;
    extent e;
    if (!pool_live_block(p, h, &i) || !pool_extent(p, i, &e))
        return -1;
    const uint8_t *b = arena_data(p->arena, extent_offset(e));
    for (uint64_t k = 0; k < shm_load64(&pool_desc(p, i)->bytes); k++) {
        if (b[k] != b[0])
            return -2;
    }
    return b[0];
}

/* Tells all of a ring that a crash must leave whole. */
static inline void tell_ring(ndpool *p, uint64_t h, char *to, size_t size)
{
    uint32_t i;
    ring r;
    uint64_t tail, head;
    must(pool_lock(p));
    if (!pool_live_block(p, h, &i) || !pool_ring_at(p->arena, i, &r) || !ring_span(&r, &tail, &head)) {
        pool_unlock(p);
        snprintf(to, size, "is no ring");
        return;
    }
    snprintf(to, size, "ring %u of %u, shut %d, from %d:", r.kind, r.n_entries, ring_is_shut(&r), (int)tail);
    for (; tail != head; tail++) {
        ring_entry e = {0};
        size_t at = strlen(to);
        bool there = ring_look(&r, tail, &e);
        snprintf(to + at, size - at, " %d %#llx:%d%s", there, (unsigned long long)e.word, byte_of(p, e.array), e.attributes ? "+text" : "");
    }
    pool_unlock(p);
}

#endif
