/*
 * The operations on streams and queues of the twin test: see twin.c, which includes this, and pool/twin_rings_test.go.
 *
 *   writer K R path entries readers lossless persistent | reader K R path every from-now
 *   queue K R path entries persistent | queue-pass K R from Q adopt     R, Q: a writer, a reader, a queue or an item
 *   frame K R A attributes | read K R how A                             how: 0 latest, 1 next, 2 newest
 *   put K Q batch n A... | put-bytes K Q bytes | get K Q items R...     the items got are R, R + 1, ...
 *   item-release K R | put-back K Q R | end K R | shut K Q
 */
#ifndef NDPOOL_TWIN_RINGS_H
#define NDPOOL_TWIN_RINGS_H

enum { ITEM_ENTRIES = 16, MOMENT = 1000000 };

/* What an attachment has of rings: one of these. */
static struct {
    ndpool_writer *writer;
    ndpool_reader *reader;
    ndpool_queue *queue;
    ndpool_put item[ITEM_ENTRIES];
    size_t entries;
} roles[THINGS];

static ndpool_ring_options ring_options(void)
{
    ndpool_ring_options o = {.entries = (uint32_t)number()};
    return o;
}

static void play_writer(ndpool *p)
{
    int at = number();
    const char *path = word();
    ndpool_ring_options o = ring_options();
    o.readers = (uint32_t)number();
    o.flags = number() ? NDPOOL_LOSSLESS : 0;
    o.flags |= number() ? NDPOOL_PERSISTENT : 0;
    answer(ndpool_writer_open(p, path, &o, &roles[at].writer));
}

static void play_reader(ndpool *p)
{
    int at = number();
    const char *path = word();
    uint32_t flags = number() ? NDPOOL_EVERY : 0;
    flags |= number() ? NDPOOL_FROM_NOW : 0;
    answer(ndpool_reader_open(p, path, flags, &roles[at].reader));
}

static void play_queue(ndpool *p)
{
    int at = number();
    const char *path = word();
    ndpool_ring_options o = ring_options();
    o.flags = number() ? NDPOOL_PERSISTENT : 0;
    answer(ndpool_queue_open(p, path, &o, &roles[at].queue));
}

static void play_queue_pass(ndpool *p)
{
    int at = number(), from = number();
    ndpool_queue *q = roles[number()].queue;
    if (!number()) {
        answer(ndpool_queue_retain(p, ndpool_queue_handle(q), &roles[at].queue));
        return;
    }
    ndpool_transfer t;
    int status = ndpool_send(pools[from], ndpool_queue_handle(q), 0, &t);
    answer(status ? status : ndpool_queue_adopt(p, t, &roles[at].queue));
}

static void play_frame(ndpool *p)
{
    (void)p;
    ndpool_writer *w = roles[number()].writer;
    uint64_t array = arrays[number()], sequence = 0;
    const char *text = word();
    int status = ndpool_writer_publish(w, array, text, text ? strlen(text) : 0, MOMENT, NULL, NULL, &sequence);
    answer_number(status, sequence);
}

static void play_read(ndpool *p)
{
    static const uint32_t how[] = {0, NDPOOL_NEXT, NDPOOL_AGAIN};
    ndpool_reader *r = roles[number()].reader;
    uint32_t flags = how[number()];
    int at = number();
    ndpool_frame f;
    int status = ndpool_reader_read(r, flags, MOMENT, NULL, NULL, &f);
    if (status) {
        answer(status);
        return;
    }
    arrays[at] = f.array.handle;
    printf("ok %" PRIu64 " %" PRIu64 " %.*s %016" PRIx64 " %" PRIu64 "\n", f.sequence, f.skipped, f.attributes ? (int)f.text_bytes : 1,
           f.attributes ? f.text : "-", f.array.handle, f.array.bytes);
    if (f.attributes)
        ndpool_release(p, f.attributes);
}

static void play_put(ndpool *p)
{
    (void)p;
    ndpool_queue *q = roles[number()].queue;
    int batch = number();
    ndpool_put entries[ITEM_ENTRIES];
    size_t n = (size_t)number(), done = 0;
    for (size_t k = 0; k < n; k++)
        entries[k] = (ndpool_put){.array = arrays[number()], .kind = k == 0 || batch ? NDPOOL_ITEM_ARRAY : 0};
    int status = ndpool_queue_put(q, entries, n, MOMENT, NULL, NULL, &done);
    if (batch)
        answer_number(status, done);
    else
        answer(status);
}

static void play_put_bytes(ndpool *p)
{
    ndpool_queue *q = roles[number()].queue;
    int64_t n = number();
    ndpool_spec s = {.dtype = NDPOOL_UINT8, .ndim = 1, .shape = &n, .wait = MOMENT};
    ndpool_array a;
    int status = ndpool_alloc(p, &s, &a);
    if (status) {
        answer(status);
        return;
    }
    memset(a.data, 'm', (size_t)n);
    ndpool_put entry = {.array = a.handle, .kind = NDPOOL_ITEM_BYTES};
    answer(ndpool_queue_put(q, &entry, 1, MOMENT, NULL, NULL, NULL));
    ndpool_release(p, a.handle);
}

static void play_get(ndpool *p)
{
    (void)p;
    static ndpool_got got[4 * ITEM_ENTRIES];
    ndpool_queue *q = roles[number()].queue;
    size_t most = (size_t)number(), n = 0;
    int at = number(), status = ndpool_queue_get(q, most, got, 4 * ITEM_ENTRIES, MOMENT, NULL, NULL, &n);
    if (status) {
        answer(status);
        return;
    }
    printf("ok");
    for (size_t k = 0; k < n; k++) {
        if (got[k].kind) {
            printf(" %u,%u", got[k].kind, got[k].more);
            roles[at++].entries = 0;
        }
        printf(" %016" PRIx64 " %" PRIu64, got[k].array.handle, got[k].array.bytes);
        roles[at - 1].item[roles[at - 1].entries++] = (ndpool_put){got[k].array.handle, got[k].kind};
    }
    printf("\n");
}

/* Ends the references of an item. */
static void end_item(ndpool *p, int at)
{
    for (size_t k = 0; k < roles[at].entries; k++)
        ndpool_release(p, roles[at].item[k].array);
}

static void play_item_release(ndpool *p)
{
    end_item(p, number());
    answer(0);
}

static void play_put_back(ndpool *p)
{
    ndpool_queue *q = roles[number()].queue;
    int at = number(), status = ndpool_queue_put_back(q, roles[at].item, roles[at].entries, MOMENT, NULL, NULL);
    if (!status)
        end_item(p, at);
    answer(status);
}

static void play_end(ndpool *p)
{
    (void)p;
    int at = number();
    ndpool_writer_close(roles[at].writer);
    ndpool_reader_close(roles[at].reader);
    ndpool_queue_close(roles[at].queue);
    answer(0);
}

static void play_shut(ndpool *p)
{
    (void)p;
    answer(ndpool_queue_shut(roles[number()].queue));
}

#endif
