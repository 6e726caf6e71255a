/*
 * A fuzz target (libFuzzer): scribbles over a segment that is in use, then uses it by every verb. Whatever comes of it must
 * be a status: no fault, no access out of bounds, no undefined behaviour, no endless loop.
 *
 * Input: one byte of flags, then scribbles of 12 bytes each: where (4 bytes, modulo the size of the tables and of two rings), and
 * the new word.
 */
#include "tests/scenarios.h"

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { ARRAYS = 6, SCRIBBLES = 32 };

static char dir[64];

static void remove_dir(void) { rmdir(dir); }

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc;
    (void)argv;
    snprintf(dir, sizeof dir, "/dev/shm/ndpool-fuzz-XXXXXX");
    if (!mkdtemp(dir))
        abort();
    atexit(remove_dir);
    return 0;
}

/* What was there before the scribbles. */
typedef struct world {
    ndpool *p, *q;
    ndpool_array a[ARRAYS];
    ndpool_transfer t[2];
    ndpool_message m;
    ndpool_view view;
    ndpool_writer *writer;
    ndpool_reader *reader, *next;
    ndpool_queue *put, *get;
} world;

static const char *const paths[] = {"g", "g/x", "g/y", "g/h/z", "own", "new", "new/er", ""};
enum { PATHS = sizeof paths / sizeof *paths };

static const char *const texts[] = {"{\"k\":1}", "{}", NULL};

static void publish(ndpool *p, int path, const ndpool_array *a, uint32_t flags)
{
    const char *text = texts[path % 3];
    ndpool_item items[] = {{.path = "x", .array = a->handle, .attributes = text},
                           {.path = "y/z", .array = a->handle},
                           {.path = "e"}};
    items[0].attributes_bytes = text ? strlen(text) : 0;
    (void)ndpool_publish(p, paths[path], items, 3, flags, 0, NULL);
}

enum { FRAMES = 3, ITEMS = 5, STREAM_READERS = 2 };

static void publish_frame(ndpool_writer *w, const ndpool_array *a, const char *text)
{
    (void)ndpool_writer_publish(w, a->handle, text, text ? strlen(text) : 0, 0, NULL, NULL, NULL);
}

static void put_item(ndpool_queue *q, const ndpool_array *a, const ndpool_array *b)
{
    const ndpool_put e[] = {{.array = a->handle, .kind = NDPOOL_ITEM_BYTES}, {.array = b->handle}};
    (void)ndpool_queue_put(q, e, 2, 0, NULL, NULL, NULL);
}

static void open_rings(world *w)
{
    const ndpool_ring_options stream = {.entries = FRAMES, .readers = STREAM_READERS, .flags = NDPOOL_LOSSLESS};
    must(ndpool_writer_open(w->p, "stream", &stream, &w->writer));
    must(ndpool_reader_open(w->q, "stream", NDPOOL_EVERY, &w->reader));
    must(ndpool_reader_open(w->q, "stream", 0, &w->next));
    must(ndpool_queue_open(w->p, "queue", &(ndpool_ring_options){.entries = ITEMS}, &w->put));
    must(ndpool_queue_open(w->q, "queue", NULL, &w->get));
    for (int k = 0; k < 2; k++) {
        ndpool_array a = alloc_bytes(w->p, 50);
        publish_frame(w->writer, &a, texts[k]);
        must(ndpool_release(w->p, a.handle));
        put_item(w->put, &w->a[2], &w->a[3]);
    }
}

static void world_open(world *w)
{
    ndpool_options o = small_pool(dir);
    o.lock_wait = 1000000;
    must(ndpool_create("fuzz", &o, &w->p));
    must(ndpool_open("fuzz", &(ndpool_options){.dir = dir}, &w->q));
    static const int64_t sizes[ARRAYS] = {10, 500, 3000, 5000, 20000, 1};
    for (int n = 0; n < ARRAYS; n++)
        w->a[n] = alloc_bytes(w->p, sizes[n]);
    must(ndpool_send(w->p, w->a[0].handle, 0, &w->t[0]));
    must(ndpool_send(w->p, w->a[1].handle, ndpool_self(w->q), &w->t[1]));
    must(ndpool_share(w->p, w->a[2].handle));
    must(ndpool_release(w->p, w->a[5].handle));
    w->view = (ndpool_view){.offset = 1, .dtype = NDPOOL_UINT8, .ndim = 1, .shape = {9}, .strides = {1}};
    w->m = (ndpool_message){.handle = w->t[0].handle, .ticket = w->t[0].ticket, .view = &w->view};
    ndpool_segment(w->p, w->m.segment);
    publish(w->p, 0, &w->a[2], NDPOOL_PERSISTENT);
    publish(w->p, 4, &w->a[3], 0);
    open_rings(w);
}

/* The words of a ring, by the path of its name. */
static uint64_t ring_words(ndpool *p, const char *path, uint32_t kind, shm_u64 **words)
{
    ring_ref f;
    must(pool_find_ring(p, "fuzz", path, kind, 0, &f, NULL));
    must(pool_drop(p, f.block));
    *words = (shm_u64 *)f.ring.head;
    return ring_bytes(f.ring.n_entries, f.ring.n_readers) / 8;
}

static void scribble(ndpool *p, const uint8_t *data, size_t size)
{
    shm_u64 *stream, *queue;
    uint64_t tables = p->arena->geo.regions[NDPOOL_REGION_DATA].offset / 8;
    uint64_t in_stream = ring_words(p, "stream", NDPOOL_RING_STREAM, &stream);
    uint64_t in_queue = ring_words(p, "queue", NDPOOL_RING_QUEUE, &queue), rings = in_stream + in_queue;
    for (size_t n = 0; n + 12 <= size && n < 12 * SCRIBBLES; n += 12) {
        uint32_t at;
        uint64_t word;
        memcpy(&at, data + n, sizeof at);
        memcpy(&word, data + n + 4, sizeof word);
        shm_u64 *w = (shm_u64 *)(void *)(p->arena->mem + 8 * (at / 2 % tables));
        if (at % 2) /* as often as all the tables, since what they do is done there */
            w = at / 2 % rings < in_stream ? stream + at / 2 % rings : queue + (at / 2 % rings - in_stream);
        shm_store64(w, word);
    }
}

static void ignore_fault(void *arg, const ndpool_fault *f)
{
    (void)arg;
    (void)f;
}

static void look(ndpool *p)
{
    static ndpool_array_info a;
    static ndpool_process_info processes[8];
    ndpool_transfer_info t;
    ndpool_ring_info info;
    ndpool_stats_t st;
    ndpool_report r;
    for (uint32_t at = 0; ndpool_next_ring(p, &at, &info);)
        ;
    (void)ndpool_stats(p, &st);
    for (uint32_t at = 0; ndpool_next_array(p, &at, &a);)
        ;
    for (uint32_t at = 0; ndpool_next_transfer(p, &at, &t);)
        ;
    (void)ndpool_processes(p, processes, 8);
    for (int n = 0; n < PATHS; n++) {
        ndpool_names *l = NULL;
        if ((n % 2 ? ndpool_find(p, paths[n], &l) : ndpool_list(p, paths[n], &l)) == 0)
            ndpool_names_free(p, l);
    }
    (void)ndpool_verify(p, NDPOOL_CONTENT, ignore_fault, NULL, &r);
}

static void use_names(world *w)
{
    static const uint32_t flags[] = {NDPOOL_MERGE, NDPOOL_OVERWRITE | NDPOOL_PERSISTENT, 0};
    uint64_t n;
    ndpool_array b;
    for (int k = 0; k < PATHS; k++) {
        if (ndpool_lookup(w->q, paths[k], NDPOOL_READ_ONLY, &b, NULL) == 0)
            (void)ndpool_release(w->q, b.handle);
        publish(w->p, k, &w->a[k % ARRAYS], flags[k % 3]);
        (void)ndpool_set_attributes(w->q, paths[k], texts[0], strlen(texts[0]), 0, 0, NULL);
    }
    look(w->q);
    for (int k = 0; k < PATHS; k++)
        (void)ndpool_remove(k % 2 ? w->p : w->q, paths[k], k % 4 ? NDPOOL_TREE : 0, 0, &n);
}

static void read_frames(ndpool *p, ndpool_reader *r, uint32_t flags)
{
    ndpool_frame f;
    for (int k = 0; k < 2 * FRAMES && ndpool_reader_read(r, flags, 0, NULL, NULL, &f) == 0; k++) {
        (void)ndpool_release(p, f.array.handle);
        if (f.attributes)
            (void)ndpool_release(p, f.attributes);
    }
}

static void use_queue(world *w)
{
    ndpool_queue_info info;
    ndpool_got g[ITEMS];
    size_t n = 0;
    (void)ndpool_queue_look(w->get, &info);
    put_item(w->put, &w->a[0], &w->a[1]);
    for (int k = 0; k < 2 * ITEMS; k++) {
        if (ndpool_queue_get(w->get, (size_t)(k % 3), g, (size_t)(1 + k % ITEMS), 0, NULL, NULL, &n) != 0)
            continue;
        if (k == 1 && n > 0)
            (void)ndpool_queue_put_back(w->get, &(ndpool_put){.array = g[0].array.handle, .kind = NDPOOL_ITEM_ARRAY}, 1, 0, NULL, NULL);
        for (size_t i = 0; i < n; i++)
            (void)ndpool_release(w->q, g[i].array.handle);
    }
    put_item(w->put, &w->a[0], &w->a[1]);
    (void)ndpool_queue_shut(w->put);
}

static void use_rings(world *w)
{
    ndpool_writer *second;
    ndpool_reader *late;
    read_frames(w->q, w->next, 0);
    read_frames(w->q, w->reader, NDPOOL_NEXT);
    for (int k = 0; k < 2 * FRAMES; k++) {
        ndpool_array a;
        int64_t n = 50;
        if (ndpool_alloc(w->p, &(ndpool_spec){.dtype = NDPOOL_UINT8, .ndim = 1, .shape = &n}, &a) != 0)
            break;
        publish_frame(w->writer, &a, texts[k % 3]);
        (void)ndpool_release(w->p, a.handle);
        read_frames(w->q, k % 2 ? w->next : w->reader, k % 3 ? NDPOOL_AGAIN : NDPOOL_NEXT);
    }
    if (ndpool_writer_open(w->q, "stream", NULL, &second) == 0)
        ndpool_writer_close(second);
    if (ndpool_reader_open(w->p, "stream", NDPOOL_EVERY, &late) == 0) {
        read_frames(w->p, late, NDPOOL_NEXT);
        ndpool_reader_close(late);
    }
    use_queue(w);
}

static void close_rings(world *w)
{
    ndpool_queue_close(w->put);
    ndpool_queue_close(w->get);
    ndpool_writer_close(w->writer);
    ndpool_reader_close(w->reader);
    ndpool_reader_close(w->next);
}

static void use(world *w)
{
    ndpool_array b;
    ndpool_transfer t;
    ndpool_reaped r;
    uint64_t freed;
    void *bytes;
    int n;
    for (int64_t size = 1; size < 300000; size *= 5) {
        if (ndpool_alloc(w->q, &(ndpool_spec){.dtype = NDPOOL_UINT8, .ndim = 1, .shape = &size, .flags = NDPOOL_ZERO}, &b) == 0)
            (void)ndpool_release(w->q, b.handle);
    }
    (void)ndpool_retain(w->q, w->a[2].handle, 0, &b);
    (void)ndpool_retain(w->q, w->a[3].handle, NDPOOL_READ_ONLY, &b);
    (void)ndpool_receive(w->q, &w->m, 0, &b);
    (void)ndpool_adopt(w->q, w->t[1], 0, &b);
    use_rings(w);
    use_names(w);
    close_rings(w);
    (void)ndpool_seal(w->p, w->a[4].handle, NDPOOL_HASH, &bytes);
    (void)ndpool_send(w->p, w->a[3].handle, 0, &t);
    (void)ndpool_recall(w->p, t);
    (void)ndpool_recall_older(w->p, 0, &n);
    (void)ndpool_refuse(w->q, ndpool_self(w->p), &n);
    for (int k = 0; k < ARRAYS; k++)
        (void)ndpool_release(w->p, w->a[k].handle);
    (void)ndpool_trim(w->q, &freed);
    (void)ndpool_reap(w->q, &r);
}

/* Death, without the words that a leaver stores: they may be anything by now. */
static void end(ndpool *p)
{
    fork_delist(p);
    arena_abandon(p->arena);
    pool_unmap(p);
    pool_unpin(p); /* the attachment's */
    pool_unpin(p); /* and the user's */
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    world w = {0};
    if (size < 1)
        return 0;
    world_open(&w);
    scribble(w.p, data + 1, size - 1);
    if (data[0] & 1)
        look(w.p);
    use(&w);
    look(w.q);
    if (data[0] & 2) {
        ndpool *late = NULL;
        if (ndpool_open("fuzz", &(ndpool_options){.dir = dir}, &late) == 0) {
            look(late);
            end(late);
        }
    }
    end(w.q);
    end(w.p);
    char path[96];
    snprintf(path, sizeof path, "%s/fuzz", dir);
    unlink(path);
    return 0;
}
