/* Streams: two attachments of one process beside each other, threads, forks, deaths. Twin of pool/stream_test.go. "stream_test ROOT
 * NAME" runs one test; "bench" measures a frame that nobody waits for. */
#include "tests/rings.h"

static uint64_t publish(ndpool_writer *w, ndpool *r, int64_t v, const char *text)
{
    uint64_t sequence = 0;
    ndpool_handle h = number(r, v);
    OK(ndpool_writer_publish(w, h, text, text ? strlen(text) : 0, PATIENCE, NULL, NULL, &sequence));
    OK(ndpool_release(r, h));
    return sequence;
}

static void drop(ndpool *r, const ndpool_frame *f)
{
    OK(ndpool_release(r, f->array.handle));
    if (f->attributes)
        OK(ndpool_release(r, f->attributes));
}

/* Reads a frame and checks it; returns how many it has missed. */
static uint64_t expect(ndpool_reader *r, ndpool *of, uint32_t flags, int64_t v, uint64_t sequence)
{
    ndpool_frame f = {0};
    if (!OK(ndpool_reader_read(r, flags, PATIENCE, NULL, NULL, &f)))
        return 0;
    CHECK_EQ(value(&f.array), v);
    CHECK_EQ(f.sequence, sequence);
    CHECK(f.array.flags & NDPOOL_SEALED && f.array.flags & NDPOOL_READ_ONLY);
    CHECK(f.monotonic > 0 && f.wall > f.monotonic);
    uint64_t skipped = f.skipped;
    drop(of, &f);
    return skipped;
}

static int read_status(ndpool_reader *r, uint32_t flags, int64_t wait)
{
    ndpool_frame f;
    return ndpool_reader_read(r, flags, wait, NULL, NULL, &f);
}

static void test_latest(void)
{
    ndpool_writer *w;
    ndpool_reader *r;
    both();
    OK(ndpool_reader_open(q, "cam", 0, &r));
    STATUS(read_status(r, 0, 0), NDPOOL_ERR_TIMEOUT);
    STATUS(read_status(r, NDPOOL_AGAIN, 0), NDPOOL_ERR_TIMEOUT);
    OK(ndpool_writer_open(p, "cam", NULL, &w));
    STATUS(read_status(r, 0, BRIEF), NDPOOL_ERR_TIMEOUT);
    CHECK_EQ(publish(w, p, 10, NULL), 1);
    CHECK_EQ(expect(r, q, 0, 10, 1), 0);
    STATUS(read_status(r, 0, 0), NDPOOL_ERR_TIMEOUT);
    CHECK_EQ(expect(r, q, NDPOOL_AGAIN, 10, 1), 0);
    for (int k = 2; k <= 7; k++)
        CHECK_EQ(publish(w, p, 10 * k, NULL), k);
    CHECK_EQ(expect(r, q, 0, 70, 7), 5);
    STATUS(read_status(r, NDPOOL_NEXT, BRIEF), NDPOOL_ERR_TIMEOUT);
    ndpool_reader_close(r);
    ndpool_writer_close(w);
    done();
}

/* The oldest frame that was not read; what the ring has dropped is told as skipped. */
static void test_next(void)
{
    ndpool_writer *w;
    ndpool_reader *r, *late, *now;
    both();
    OK(ndpool_writer_open(p, "cam", &(ndpool_ring_options){.entries = 4}, &w));
    OK(ndpool_reader_open(q, "cam", 0, &r));
    for (int k = 1; k <= 3; k++)
        publish(w, p, k, NULL);
    CHECK_EQ(expect(r, q, NDPOOL_NEXT, 1, 1), 0);
    OK(ndpool_reader_open(q, "cam", 0, &late));
    OK(ndpool_reader_open(q, "cam", NDPOOL_FROM_NOW, &now));
    for (int k = 4; k <= 9; k++)
        publish(w, p, k, NULL);
    CHECK_EQ(expect(r, q, NDPOOL_NEXT, 6, 6), 4);
    CHECK_EQ(expect(r, q, NDPOOL_NEXT, 7, 7), 0);
    CHECK_EQ(expect(r, q, NDPOOL_AGAIN, 9, 9), 1);
    CHECK_EQ(expect(r, q, NDPOOL_AGAIN, 9, 9), 0);
    STATUS(read_status(r, NDPOOL_NEXT, 0), NDPOOL_ERR_TIMEOUT);
    CHECK_EQ(expect(late, q, NDPOOL_NEXT, 6, 6), 5);
    CHECK_EQ(expect(now, q, NDPOOL_NEXT, 6, 6), 2);
    CHECK_EQ(expect(now, q, 0, 9, 9), 2);
    ndpool_reader_close(r);
    ndpool_reader_close(late);
    ndpool_reader_close(now);
    ndpool_writer_close(w);
    done();
}

static void test_attributes(void)
{
    ndpool_writer *w;
    ndpool_reader *r;
    ndpool_frame f;
    both();
    OK(ndpool_writer_open(p, "cam", NULL, &w));
    OK(ndpool_reader_open(q, "cam", 0, &r));
    publish(w, p, 1, "{\"exposure\":2}");
    OK(ndpool_reader_read(r, 0, 0, NULL, NULL, &f));
    CHECK(f.attributes != 0 && f.text_bytes == 14 && memcmp(f.text, "{\"exposure\":2}", 14) == 0);
    publish(w, p, 2, NULL);
    publish(w, p, 3, NULL);
    publish(w, p, 4, NULL);
    CHECK(value(&f.array) == 1 && memcmp(f.text, "{\"exposure\":2}", 14) == 0); /* held, though the stream has dropped it */
    verify(p);
    drop(q, &f);
    OK(ndpool_reader_read(r, 0, 0, NULL, NULL, &f));
    CHECK(f.attributes == 0 && f.text == NULL && f.text_bytes == 0);
    drop(q, &f);
    ndpool_handle h = number(p, 5);
    STATUS(ndpool_writer_publish(w, h, "[1]", 3, 0, NULL, NULL, NULL), NDPOOL_ERR_ATTRIBUTES);
    CHECK(!ndpool_is_sealed(p, h));
    OK(ndpool_release(p, h));
    ndpool_reader_close(r);
    ndpool_writer_close(w);
    done();
}

/* Frames may be anything at any time: shape, dtype, structured, nothing at all. */
static void test_shapes(void)
{
    static const struct {
        uint64_t dtype;
        uint32_t ndim;
        int64_t shape[3];
    } kinds[] = {{NDPOOL_UINT8, 3, {48, 64, 3}}, {NDPOOL_FLOAT32, 2, {7, 5}}, {NDPOOL_FLOAT64, 0, {0}}, {NDPOOL_INT16, 1, {0}},
                 {NDPOOL_UINT16, 2, {400, 500}}};
    ndpool_writer *w;
    ndpool_reader *r;
    both();
    OK(ndpool_writer_open(p, "cam", NULL, &w));
    OK(ndpool_reader_open(q, "cam", 0, &r));
    for (size_t k = 0; k < 3 * sizeof kinds / sizeof *kinds; k++) {
        const ndpool_spec s = {.dtype = kinds[k % 5].dtype, .ndim = kinds[k % 5].ndim, .shape = kinds[k % 5].shape};
        ndpool_array a;
        ndpool_frame f;
        OK(ndpool_alloc(p, &s, &a));
        memset(a.data, (int)k + 1, a.bytes);
        OK(ndpool_writer_publish(w, a.handle, NULL, 0, 0, NULL, NULL, NULL));
        OK(ndpool_release(p, a.handle));
        OK(ndpool_reader_read(r, 0, 0, NULL, NULL, &f));
        CHECK(f.array.dtype == s.dtype && f.array.ndim == s.ndim && memcmp(f.array.shape, s.shape, 8 * s.ndim) == 0);
        CHECK(f.array.bytes == 0 || ((uint8_t *)f.array.data)[f.array.bytes - 1] == k + 1);
        drop(q, &f);
    }
    ndpool_reader_close(r);
    ndpool_writer_close(w);
    done();
}

/* The writer ends, and the next one goes on where it stopped. */
static void test_ended(void)
{
    ndpool_writer *w, *v;
    ndpool_reader *r, *early;
    both();
    OK(ndpool_reader_open(q, "cam", 0, &early));
    OK(ndpool_writer_open(p, "cam", NULL, &w));
    OK(ndpool_reader_open(q, "cam", 0, &r));
    publish(w, p, 1, NULL);
    STATUS(ndpool_writer_open(p, "cam", NULL, &v), NDPOOL_ERR_WRITER);
    CHECK(v == NULL);
    STATUS(ndpool_writer_open(q, "cam", NULL, &v), NDPOOL_ERR_WRITER);
    CHECK(ndpool_last_error()->pid == getpid() && ndpool_last_error()->slot == (int)arena_slot(p->arena));
    ndpool_writer_close(w);
    CHECK_EQ(expect(r, q, NDPOOL_NEXT, 1, 1), 0);
    STATUS(read_status(r, NDPOOL_NEXT, PATIENCE), NDPOOL_ERR_ENDED);
    STATUS(read_status(r, 0, BRIEF), NDPOOL_ERR_TIMEOUT);
    OK(ndpool_writer_open(q, "cam", NULL, &v));
    CHECK_EQ(publish(v, q, 2, NULL), 2);
    CHECK_EQ(expect(r, q, 0, 2, 2), 0);
    ndpool_writer_close(v);
    CHECK_EQ(expect(early, q, NDPOOL_NEXT, 1, 1), 0); /* it may not have looked in between: once is enough */
    CHECK_EQ(expect(early, q, NDPOOL_NEXT, 2, 2), 0);
    STATUS(read_status(early, 0, 0), NDPOOL_ERR_ENDED);
    STATUS(read_status(early, 0, 0), NDPOOL_ERR_TIMEOUT);
    ndpool_reader_close(r);
    ndpool_reader_close(early);
    done();
}

/* A process that begins to write, publishes, says so, and is killed. */
static pid_t doomed_writer(const char *path, int frames)
{
    int fds[2];
    char c;
    CHECK(pipe(fds) == 0);
    pid_t pid = fork();
    if (pid == 0) {
        ndpool_writer *w;
        ndpool *r = open_again();
        OK(ndpool_writer_open(r, path, NULL, &w));
        for (int k = 1; k <= frames; k++)
            publish(w, r, k, NULL);
        CHECK(write(fds[1], "x", 1) == 1);
        for (;;)
            pause();
    }
    close(fds[1]);
    CHECK(read(fds[0], &c, 1) == 1);
    close(fds[0]);
    return pid;
}

static void end_child(pid_t pid)
{
    int status;
    kill(pid, SIGKILL);
    CHECK(waitpid(pid, &status, 0) == pid);
}

static void test_died(void)
{
    ndpool_writer *w;
    ndpool_reader *r;
    both();
    OK(ndpool_reader_open(q, "cam", 0, &r));
    pid_t pid = doomed_writer("cam", 3);
    CHECK_EQ(expect(r, q, 0, 3, 3), 2);
    end_child(pid);
    STATUS(read_status(r, 0, PATIENCE), NDPOOL_ERR_WRITER_DIED); /* nobody tells: the reader asks */
    STATUS(read_status(r, 0, BRIEF), NDPOOL_ERR_TIMEOUT);
    pid = doomed_writer("cam", 1);
    CHECK_EQ(expect(r, q, 0, 1, 4), 0);
    STATUS(ndpool_writer_open(p, "cam", NULL, &w), NDPOOL_ERR_WRITER);
    CHECK_EQ(ndpool_last_error()->pid, pid);
    end_child(pid);
    OK(ndpool_writer_open(p, "cam", NULL, &w)); /* nobody has noticed before */
    CHECK_EQ(publish(w, p, 9, NULL), 5);
    CHECK_EQ(expect(r, q, 0, 9, 5), 0);
    STATUS(read_status(r, 0, BRIEF), NDPOOL_ERR_WRITER_DIED);
    ndpool_writer_close(w);
    STATUS(read_status(r, 0, 0), NDPOOL_ERR_ENDED);
    ndpool_reader_close(r);
    done();
}

/* A writer may die between the drop of a frame and the put of the next one: then a stream of one frame has none. */
static void test_gap(void)
{
    ndpool_writer *w;
    ndpool_reader *r, *s;
    both();
    OK(ndpool_writer_open(p, "cam", &(ndpool_ring_options){.entries = 1}, &w));
    OK(ndpool_reader_open(q, "cam", 0, &r));
    OK(ndpool_reader_open(q, "cam", 0, &s));
    publish(w, p, 1, NULL);
    CHECK_EQ(expect(r, q, 0, 1, 1), 0);
    ring_ref f;
    ident owner;
    ring_blocks b = pool_ring_blocks(p);
    OK(pool_enter(p));
    OK(pool_find_ring(p, "look at", "cam", NDPOOL_RING_STREAM, 0, &f, &owner));
    OK(pool_lock(p));
    ring_drop(&f.ring, 1, &b);
    pool_unlock(p);
    pool_leave(p);
    OK(pool_drop(p, f.block));
    STATUS(read_status(r, NDPOOL_AGAIN, 0), NDPOOL_ERR_TIMEOUT);
    STATUS(read_status(s, NDPOOL_NEXT, BRIEF), NDPOOL_ERR_TIMEOUT);
    ndpool_writer_close(w);
    STATUS(read_status(s, NDPOOL_NEXT, BRIEF), NDPOOL_ERR_ENDED);
    OK(ndpool_writer_open(p, "cam", NULL, &w));
    CHECK_EQ(publish(w, p, 2, NULL), 2);
    CHECK_EQ(expect(s, q, NDPOOL_NEXT, 2, 2), 1);
    ndpool_reader_close(r);
    ndpool_reader_close(s);
    ndpool_writer_close(w);
    done();
}

static int try_publish(ndpool_writer *w, ndpool *r, int64_t v, int64_t wait)
{
    ndpool_handle h = number(r, v);
    int status = ndpool_writer_publish(w, h, NULL, 0, wait, NULL, NULL, NULL);
    OK(ndpool_release(r, h));
    return status;
}

/* The writer waits for the readers that are entered, and only for them. */
static void test_lossless(void)
{
    const ndpool_ring_options o = {.entries = 3, .readers = 2, .flags = NDPOOL_LOSSLESS};
    ndpool_writer *w;
    ndpool_reader *a, *b, *c, *any;
    both();
    OK(ndpool_writer_open(p, "log", &o, &w));
    OK(ndpool_reader_open(q, "log", 0, &any));
    for (int k = 1; k <= 5; k++)
        OK(try_publish(w, p, k, 0)); /* nobody is waited for */
    OK(ndpool_reader_open(q, "log", NDPOOL_EVERY, &a));
    OK(ndpool_reader_open(q, "log", NDPOOL_EVERY | NDPOOL_FROM_NOW, &b));
    STATUS(ndpool_reader_open(q, "log", NDPOOL_EVERY, &c), NDPOOL_ERR_TABLE_FULL);
    CHECK_EQ(ndpool_last_error()->limit, 2);
    STATUS(try_publish(w, p, 6, BRIEF), NDPOOL_ERR_TIMEOUT);
    verify(p);
    CHECK_EQ(expect(a, q, NDPOOL_NEXT, 3, 3), 0);
    OK(try_publish(w, p, 6, 0));
    STATUS(try_publish(w, p, 7, 0), NDPOOL_ERR_TIMEOUT);
    CHECK_EQ(expect(a, q, 0, 6, 6), 2); /* it may skip by itself: b holds the writer up no more than that */
    OK(try_publish(w, p, 7, 0));
    OK(try_publish(w, p, 8, 0));
    STATUS(try_publish(w, p, 9, 0), NDPOOL_ERR_TIMEOUT);
    CHECK_EQ(expect(b, q, NDPOOL_NEXT, 6, 6), 0);
    OK(try_publish(w, p, 9, 0));
    ndpool_reader_close(b);
    STATUS(try_publish(w, p, 10, 0), NDPOOL_ERR_TIMEOUT);
    ndpool_reader_close(a);
    OK(try_publish(w, p, 10, 0));
    CHECK_EQ(expect(any, q, NDPOOL_NEXT, 8, 8), 7);
    ndpool_reader_close(any);
    ndpool_writer_close(w);
    done();
}

/* A reader that is killed does not hold the writer up. */
static void test_await(void)
{
    const ndpool_ring_options o = {.entries = 1, .readers = 2, .flags = NDPOOL_LOSSLESS};
    ndpool_writer *w;
    ndpool_reader *a, *b;
    both();
    OK(ndpool_reader_open(q, "log", NDPOOL_EVERY, &a)); /* before there is a stream: it is not entered */
    OK(ndpool_writer_open(p, "log", &o, &w));
    OK(ndpool_writer_await_readers(w, 0, 0, NULL, NULL));
    STATUS(ndpool_writer_await_readers(w, 1, BRIEF, NULL, NULL), NDPOOL_ERR_TIMEOUT);
    STATUS(ndpool_writer_await_readers(w, 3, 0, NULL, NULL), NDPOOL_ERR_OPTIONS);
    OK(ndpool_reader_open(q, "log", NDPOOL_EVERY, &b));
    OK(ndpool_writer_await_readers(w, 1, 0, NULL, NULL));
    ndpool_frame f;
    STATUS(ndpool_reader_read(a, 0, 0, NULL, NULL, &f), NDPOOL_ERR_TIMEOUT); /* it finds the stream */
    OK(ndpool_writer_await_readers(w, 2, 0, NULL, NULL));
    ndpool_reader_close(a);
    STATUS(ndpool_writer_await_readers(w, 2, 0, NULL, NULL), NDPOOL_ERR_TIMEOUT);
    ndpool_reader_close(b);
    ndpool_writer_close(w);
    done();
}

static void test_dead_reader(void)
{
    const ndpool_ring_options o = {.entries = 2, .flags = NDPOOL_LOSSLESS};
    ndpool_writer *w;
    int fds[2];
    char c;
    both();
    OK(ndpool_writer_open(p, "log", &o, &w));
    CHECK(pipe(fds) == 0);
    pid_t pid = fork();
    if (pid == 0) {
        ndpool_reader *r;
        ndpool *mine = open_again();
        OK(ndpool_reader_open(mine, "log", NDPOOL_EVERY, &r));
        CHECK(write(fds[1], "x", 1) == 1);
        for (;;)
            pause();
    }
    close(fds[1]);
    CHECK(read(fds[0], &c, 1) == 1);
    close(fds[0]);
    OK(try_publish(w, p, 1, 0));
    OK(try_publish(w, p, 2, 0));
    STATUS(try_publish(w, p, 3, BRIEF), NDPOOL_ERR_TIMEOUT);
    end_child(pid);
    OK(try_publish(w, p, 3, PATIENCE));
    ndpool_writer_close(w);
    done();
}

static void test_refusals(void)
{
    ndpool_writer *w;
    ndpool_reader *r;
    ndpool_queue *b;
    ndpool_array a;
    ndpool_transfer t;
    both();
    ndpool_handle h = number(p, 1);
    OK(ndpool_publish(p, "g/array", &(ndpool_item){.array = h}, 1, 0, 0, NULL));
    STATUS(ndpool_writer_open(p, "g/array", NULL, &w), NDPOOL_ERR_KIND);
    STATUS(ndpool_writer_open(p, "g", NULL, &w), NDPOOL_ERR_GROUP);
    STATUS(ndpool_writer_open(p, "g/array/x", NULL, &w), NDPOOL_ERR_GROUP);
    STATUS(ndpool_writer_open(p, "/x", NULL, &w), NDPOOL_ERR_PATH);
    STATUS(ndpool_reader_open(p, "g/array", 0, &r), NDPOOL_ERR_KIND);
    STATUS(ndpool_reader_open(p, "g", 0, &r), NDPOOL_ERR_GROUP);
    STATUS(ndpool_queue_open(p, "g/array", NULL, &b), NDPOOL_ERR_KIND);
    STATUS(ndpool_writer_open(p, "s", &(ndpool_ring_options){.entries = 65537}, &w), NDPOOL_ERR_OPTIONS);
    STATUS(ndpool_writer_open(p, "s", &(ndpool_ring_options){.readers = 1025, .flags = NDPOOL_LOSSLESS}, &w), NDPOOL_ERR_OPTIONS);
    OK(ndpool_writer_open(p, "s", &(ndpool_ring_options){.entries = 3}, &w));
    ndpool_writer_close(w);
    STATUS(ndpool_writer_open(p, "s", &(ndpool_ring_options){.entries = 4}, &w), NDPOOL_ERR_OPTIONS);
    STATUS(ndpool_writer_open(p, "s", &(ndpool_ring_options){.flags = NDPOOL_LOSSLESS}, &w), NDPOOL_ERR_OPTIONS);
    STATUS(ndpool_writer_open(p, "s", &(ndpool_ring_options){.flags = NDPOOL_PERSISTENT}, &w), NDPOOL_ERR_OPTIONS);
    STATUS(ndpool_queue_open(p, "s", NULL, &b), NDPOOL_ERR_KIND);
    STATUS(ndpool_lookup(p, "s", 0, &a, NULL), NDPOOL_ERR_KIND);
    OK(ndpool_writer_open(p, "s", &(ndpool_ring_options){.entries = 3}, &w));
    STATUS(ndpool_reader_open(p, "s/x", 0, &r), NDPOOL_OK); /* a name that cannot be now, but later */
    ndpool_reader_close(r);

    /* A ring is no array. */
    OK(ndpool_queue_open(p, NULL, NULL, &b));
    ndpool_handle self = ndpool_queue_handle(b);
    STATUS(ndpool_retain(q, self, 0, &a), NDPOOL_ERR_KIND);
    STATUS(ndpool_seal(p, self, 0, NULL), NDPOOL_ERR_KIND);
    OK(ndpool_alloc(p, &(ndpool_spec){.dtype = NDPOOL_INT64}, &a));
    STATUS(ndpool_publish(p, "s", &(ndpool_item){.array = a.handle}, 1, NDPOOL_MERGE, 0, NULL), NDPOOL_ERR_KIND);
    OK(ndpool_release(p, a.handle));
    STATUS(ndpool_publish(p, "other", &(ndpool_item){.array = self}, 1, 0, 0, NULL), NDPOOL_ERR_KIND);
    STATUS(ndpool_writer_publish(w, self, NULL, 0, 0, NULL, NULL, NULL), NDPOOL_ERR_KIND);
    STATUS(ndpool_queue_put(b, &(ndpool_put){.array = self, .kind = NDPOOL_ITEM_ARRAY}, 1, 0, NULL, NULL, NULL), NDPOOL_ERR_KIND);
    OK(ndpool_send(p, self, 0, &t));
    STATUS(ndpool_adopt(q, t, 0, &a), NDPOOL_ERR_KIND);
    STATUS(ndpool_receive(q, &(ndpool_message){.handle = t.handle, .ticket = t.ticket}, 0, &a), NDPOOL_ERR_FOREIGN);
    OK(ndpool_recall(p, t)); /* it is not spent */
    OK(ndpool_send(p, h, 0, &t));
    ndpool_queue *c;
    STATUS(ndpool_queue_adopt(q, t, &c), NDPOOL_ERR_KIND);
    STATUS(ndpool_queue_retain(q, h, &c), NDPOOL_ERR_KIND);
    OK(ndpool_recall(p, t));

    /* An array that others hold, too, may change. */
    OK(ndpool_retain(q, h, 0, &a));
    STATUS(ndpool_writer_publish(w, h, NULL, 0, 0, NULL, NULL, NULL), NDPOOL_ERR_HELD);
    OK(ndpool_release(q, h));
    STATUS(ndpool_writer_publish(w, h + 999, NULL, 0, 0, NULL, NULL, NULL), NDPOOL_ERR_FOREIGN);
    OK(ndpool_release(p, h));
    ndpool_queue_close(b);
    ndpool_writer_close(w);
    done();
}

/* The name leads to another stream: the reader goes on with that. */
static void test_another(void)
{
    ndpool_writer *w, *v;
    ndpool_reader *r;
    ndpool_handle h;
    both();
    OK(ndpool_writer_open(p, "cam", NULL, &w));
    OK(ndpool_reader_open(q, "cam", 0, &r));
    publish(w, p, 1, NULL);
    CHECK_EQ(expect(r, q, 0, 1, 1), 0);
    OK(ndpool_remove(p, "cam", 0, 0, NULL));
    publish(w, p, 2, NULL);
    CHECK_EQ(expect(r, q, 0, 2, 2), 0); /* a name that is gone is nobody's */
    OK(ndpool_writer_open(p, "cam", NULL, &v));
    publish(v, p, 3, NULL);
    CHECK_EQ(expect(r, q, 0, 3, 1), 0);
    ndpool_writer_close(w);
    ndpool_writer_close(v);
    STATUS(read_status(r, 0, PATIENCE), NDPOOL_ERR_ENDED);
    OK(ndpool_remove(p, "cam", 0, 0, NULL));
    h = number(p, 1);
    OK(ndpool_publish(p, "cam", &(ndpool_item){.array = h}, 1, 0, 0, NULL));
    OK(ndpool_release(p, h));
    STATUS(read_status(r, 0, PATIENCE), NDPOOL_ERR_KIND);
    ndpool_reader_close(r);
    done();
}

static ndpool_writer *late_writer;

static void *publish_late(void *arg)
{
    (void)arg;
    for (int k = 1; k <= 20; k++) {
        spin_nap(2000000);
        publish(late_writer, p, k, NULL);
    }
    return NULL;
}

/* Who sleeps is woken, and not by the end of his sleep. */
static void test_wake(void)
{
    pthread_t t;
    ndpool_reader *r;
    int64_t slowest = 0;
    both();
    ring_max_sleep = PATIENCE;
    OK(ndpool_writer_open(p, "cam", NULL, &late_writer));
    OK(ndpool_reader_open(q, "cam", 0, &r));
    CHECK(pthread_create(&t, NULL, publish_late, NULL) == 0);
    for (uint64_t last = 0; last < 20;) {
        ndpool_frame f;
        if (!OK(ndpool_reader_read(r, 0, PATIENCE, NULL, NULL, &f)))
            break;
        int64_t took = mono_time() - f.monotonic;
        slowest = took > slowest ? took : slowest;
        last = f.sequence;
        drop(q, &f);
    }
    CHECK(slowest < 1000000000);
    pthread_join(t, NULL);
    ring_max_sleep = 50000000;
    ndpool_reader_close(r);
    ndpool_writer_close(late_writer);
    done();
}

static bool count_down(void *arg) { return --*(int *)arg > 0; }

static void test_go_on(void)
{
    ndpool_reader *r;
    ndpool_frame f;
    int left = 2;
    both();
    OK(ndpool_reader_open(q, "cam", 0, &r));
    STATUS(ndpool_reader_read(r, 0, -1, count_down, &left, &f), NDPOOL_ERR_TIMEOUT);
    CHECK_EQ(left, 0);
    ndpool_writer *w;
    OK(ndpool_writer_open(p, "cam", NULL, &w));
    left = 2;
    STATUS(ndpool_reader_read(r, 0, -1, count_down, &left, &f), NDPOOL_ERR_TIMEOUT);
    CHECK_EQ(left, 0);
    ndpool_writer_close(w);
    ndpool_reader_close(r);
    done();
}

static ndpool_writer *parents_writer;
static ndpool_reader *parents_reader;

static void use_parents(void)
{
    ndpool_handle h = number(p, 7);
    STATUS(ndpool_writer_publish(parents_writer, h, NULL, 0, 0, NULL, NULL, NULL), NDPOOL_ERR_FORKED);
    STATUS(read_status(parents_reader, 0, 0), NDPOOL_ERR_FORKED);
    ndpool_writer_close(parents_writer);
    ndpool_reader_close(parents_reader);
    OK(ndpool_release(p, h));
    ndpool_reader *r;
    OK(ndpool_reader_open(p, "cam", NDPOOL_EVERY, &r));
    CHECK_EQ(expect(r, p, 0, 1, 1), 0);
    ndpool_reader_close(r);
    ndpool_free(q);
    ndpool_free(p);
}

/* Roles are the parent's; a child can close them, and has roles of its own. */
static void test_fork(void)
{
    both();
    OK(ndpool_writer_open(p, "cam", &(ndpool_ring_options){.entries = 2, .flags = NDPOOL_LOSSLESS}, &parents_writer));
    OK(ndpool_reader_open(p, "cam", NDPOOL_EVERY, &parents_reader));
    publish(parents_writer, p, 1, NULL);
    in_child(use_parents);
    CHECK_EQ(publish(parents_writer, p, 2, NULL), 2);
    STATUS(try_publish(parents_writer, p, 3, 0), NDPOOL_ERR_TIMEOUT);
    CHECK_EQ(expect(parents_reader, p, NDPOOL_NEXT, 1, 1), 0);
    CHECK_EQ(expect(parents_reader, p, NDPOOL_NEXT, 2, 2), 0);
    ndpool_writer_close(parents_writer);
    STATUS(read_status(parents_reader, 0, 0), NDPOOL_ERR_ENDED);
    ndpool_reader_close(parents_reader);
    done();
}

/* Roles keep the attachment; what was begun on a pool that is closed can be ended. */
static void test_close(void)
{
    ndpool_writer *w;
    ndpool_reader *r, *lazy;
    both();
    OK(ndpool_reader_open(q, "nothing", 0, &lazy));
    OK(ndpool_writer_open(q, "cam", NULL, &w));
    OK(ndpool_reader_open(p, "cam", 0, &r));
    publish(w, q, 1, NULL);
    ndpool_free(q);
    CHECK_EQ(expect(r, p, 0, 1, 1), 0);
    STATUS(read_status(r, 0, BRIEF), NDPOOL_ERR_TIMEOUT);
    STATUS(read_status(lazy, 0, PATIENCE), NDPOOL_ERR_CLOSED);
    ndpool_writer_close(w);
    STATUS(read_status(r, 0, 0), NDPOOL_ERR_ENDED);
    ndpool_reader_close(lazy);
    ndpool_reader_close(r);
    q = open_again();
    OK(ndpool_writer_open(q, "cam", NULL, &w));
    OK(ndpool_reader_open(p, "cam", 0, &r));
    static ndpool *volatile left; /* what is left stays, and is no leak */
    left = q;
    ndpool_exit(left); /* with the role, and yet not as one who died */
    STATUS(read_status(r, NDPOOL_NEXT, 0), NDPOOL_OK);
    STATUS(read_status(r, 0, 0), NDPOOL_ERR_ENDED);
    ndpool_writer_close(w);
    ndpool_reader_close(r);
    ndpool_frame f;
    OK(ndpool_reader_open(p, "cam", 0, &r));
    OK(ndpool_reader_read(r, NDPOOL_AGAIN, 0, NULL, NULL, &f));
    OK(ndpool_release(p, f.array.handle));
    OK(ndpool_release(p, f.array.handle)); /* the one that was read and not released above */
    ndpool_reader_close(r);
    q = open_again();
    done();
}

/* A stream whose name is removed, and which nobody holds, is gone; its frames are whose who holds them. */
static void test_gone(void)
{
    ndpool_writer *w;
    ndpool_reader *r;
    ndpool_frame f;
    ndpool_stats_t s;
    both();
    OK(ndpool_writer_open(p, "cam", &(ndpool_ring_options){.entries = 8}, &w));
    OK(ndpool_reader_open(q, "cam", 0, &r));
    for (int k = 1; k <= 8; k++)
        publish(w, p, k, "{}");
    OK(ndpool_reader_read(r, 0, 0, NULL, NULL, &f));
    OK(ndpool_stats(p, &s));
    CHECK_EQ(s.arrays, 17);
    OK(ndpool_remove(p, "cam", 0, 0, NULL));
    ndpool_reader_close(r);
    OK(ndpool_stats(p, &s));
    CHECK_EQ(s.arrays, 17);
    ndpool_writer_close(w); /* the last holder */
    OK(ndpool_stats(p, &s));
    CHECK_EQ(s.arrays, 2);
    CHECK_EQ(value(&f.array), 8);
    verify(p);
    drop(q, &f);
    done();
}

/* ---- readers of all kinds beside a writer that goes on */

static _Atomic bool over;
static ndpool_writer *racer;

static void *race_writer(void *arg)
{
    int frames = *(int *)arg;
    for (int k = 1; k <= frames; k++) {
        ndpool_array a;
        int64_t n = 1 + k % 50;
        OK(ndpool_alloc(p, &(ndpool_spec){.dtype = NDPOOL_INT64, .ndim = 1, .shape = &n, .wait = PATIENCE}, &a));
        for (int64_t i = 0; i < n; i++)
            ((int64_t *)a.data)[i] = k;
        OK(ndpool_writer_publish(racer, a.handle, k % 3 ? NULL : "{\"k\":3}", 7, PATIENCE, NULL, NULL, NULL));
        OK(ndpool_release(p, a.handle));
    }
    atomic_store(&over, true);
    return NULL;
}

typedef struct race {
    ndpool *of;
    uint32_t open, read;
    uint64_t last, missed, read_frames;
} race;

static void check_frame(const ndpool_frame *f)
{
    const int64_t *v = f->array.data;
    CHECK_EQ(f->array.shape[0], 1 + (int64_t)f->sequence % 50);
    for (int64_t i = 0; i < f->array.shape[0]; i++)
        CHECK_EQ(v[i], f->sequence);
    CHECK_EQ(f->text_bytes, f->sequence % 3 ? 0 : 7);
    CHECK(f->text_bytes == 0 || memcmp(f->text, "{\"k\":3}", 7) == 0);
}

static atomic_int opened; /* readers of a race */

static void *race_reader(void *arg)
{
    race *g = arg;
    ndpool_reader *r;
    OK(ndpool_reader_open(g->of, "race", g->open, &r));
    atomic_fetch_add(&opened, 1);
    for (;;) {
        ndpool_frame f;
        int status = ndpool_reader_read(r, g->read, PATIENCE, NULL, NULL, &f);
        if (status == NDPOOL_ERR_ENDED)
            break;
        if (!OK(status))
            break;
        CHECK(f.sequence > g->last);
        CHECK_EQ(f.skipped, f.sequence - 1 - g->last);
        check_frame(&f);
        g->last = f.sequence;
        g->missed += f.skipped;
        g->read_frames++;
        drop(g->of, &f);
    }
    ndpool_reader_close(r);
    return NULL;
}

static void race_with(const ndpool_ring_options *o, int frames)
{
    pthread_t t, readers[4];
    both();
    race races[4] = {{.of = q, .read = NDPOOL_NEXT, .open = NDPOOL_EVERY}, {.of = q}, {.of = p, .read = NDPOOL_NEXT, .open = NDPOOL_EVERY}, {.of = p}};
    OK(ndpool_writer_open(p, "race", o, &racer));
    atomic_store(&opened, 0);
    for (int k = 0; k < 4; k++)
        CHECK(pthread_create(&readers[k], NULL, race_reader, &races[k]) == 0);
    while (atomic_load(&opened) < 4) /* else the first frame's skipped would be that of who came late */
        spin_nap(100000);
    CHECK(pthread_create(&t, NULL, race_writer, &frames) == 0);
    pthread_join(t, NULL);
    ndpool_writer_close(racer);
    for (int k = 0; k < 4; k++) {
        pthread_join(readers[k], NULL);
        CHECK_EQ(races[k].last, frames);
        CHECK_EQ(races[k].read_frames + races[k].missed, frames);
        if (o->flags & NDPOOL_LOSSLESS && races[k].open)
            CHECK_EQ(races[k].missed, 0);
    }
    done();
}

static void test_race(void)
{
    race_with(&(ndpool_ring_options){.entries = 1}, 4000);
    race_with(&(ndpool_ring_options){.entries = 16}, 4000);
    race_with(&(ndpool_ring_options){.entries = 4, .flags = NDPOOL_LOSSLESS}, 4000);
}

/* ---- measuring */

static void bench(void)
{
    ndpool_writer *w;
    ndpool_reader *r;
    enum { FRAMES = 200000 };
    both();
    OK(ndpool_writer_open(p, "cam", NULL, &w));
    OK(ndpool_reader_open(q, "cam", 0, &r));
    int64_t start = cpu_time(), n = 8;
    for (int k = 0; k < FRAMES; k++) {
        ndpool_array a;
        ndpool_frame f;
        OK(ndpool_alloc(p, &(ndpool_spec){.dtype = NDPOOL_INT64, .ndim = 1, .shape = &n}, &a));
        OK(ndpool_writer_publish(w, a.handle, NULL, 0, 0, NULL, NULL, NULL));
        OK(ndpool_release(p, a.handle));
        OK(ndpool_reader_read(r, 0, 0, NULL, NULL, &f));
        OK(ndpool_release(q, f.array.handle));
    }
    printf("publish and read of 64 bytes: %.0f ns of CPU\n", (double)(cpu_time() - start) / FRAMES);
    ndpool_reader_close(r);
    ndpool_writer_close(w);
    done();
}

int main(int argc, char **argv)
{
    static const test tests[] = {
        {"latest", test_latest},     {"next", test_next},         {"attributes", test_attributes}, {"shapes", test_shapes},
        {"ended", test_ended},       {"died", test_died},         {"gap", test_gap},               {"lossless", test_lossless},
        {"dead reader", test_dead_reader}, {"refusals", test_refusals}, {"another", test_another}, {"wake", test_wake},
        {"go on", test_go_on},       {"fork", test_fork},         {"close", test_close},           {"gone", test_gone},
        {"race", test_race},         {"await", test_await},
    };
    static const test benches[] = {{"bench", bench}};
    bool measures = argc > 2 && strcmp(argv[2], "bench") == 0;
    return measures ? run_tests(benches, 1, argc, argv) : run_tests(tests, sizeof tests / sizeof *tests, argc, argv);
}
