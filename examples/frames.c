/*
 * Every frame of a stream, from one process to another, in C: frames write POOL STREAM FRAMES, and frames read POOL STREAM,
 * in any order. examples/frames in Go and frames.py speak of the same stream, so that each can read what another one writes.
 *
 *     make lib
 *     cc -I build/c/plain examples/frames.c -L build/c/plain -Wl,-rpath,$PWD/build/c/plain -lndpool -o frames
 */
#include <ndpool.h>

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { COLUMNS = 640 };

static _Noreturn void die(const char *what)
{
    fprintf(stderr, "frames: %s: %s\n", what, ndpool_last_error()->message);
    exit(1);
}

/* Publishes one frame: an array whose elements are all n. Its shape changes all the time. */
static uint64_t publish(ndpool *p, ndpool_writer *w, uint32_t n)
{
    ndpool_array a;
    ndpool_spec spec = {.dtype = NDPOOL_UINT32, .ndim = 2, .shape = (int64_t[]){400 + n % 7, COLUMNS}};
    if (ndpool_alloc(p, &spec, &a))
        die("alloc");
    uint32_t *elements = a.data;
    for (int64_t i = 0; i < a.shape[0] * a.shape[1]; i++)
        elements[i] = n;
    char attributes[32];
    int bytes = snprintf(attributes, sizeof attributes, "{\"n\": %" PRIu32 "}", n);
    uint64_t sequence;
    if (ndpool_writer_publish(w, a.handle, attributes, (size_t)bytes, -1, NULL, NULL, &sequence))
        die("publish");
    ndpool_release(p, a.handle); /* the stream holds it */
    return sequence;
}

static int write_frames(ndpool *p, const char *stream, uint32_t frames)
{
    ndpool_ring_options o = {.entries = 4, .flags = NDPOOL_LOSSLESS};
    ndpool_writer *w;
    if (ndpool_writer_open(p, stream, &o, &w))
        die("writer");
    uint64_t sequence = 0;
    for (uint32_t n = 1; n <= frames; n++)
        sequence = publish(p, w, n);
    ndpool_writer_close(w);
    printf("wrote %" PRIu32 " frames, the last one is %" PRIu64 "\n", frames, sequence);
    return 0;
}

/* Tells whether all elements of a frame are the number that its attributes have, and ends the references. */
static bool check(ndpool *p, const ndpool_frame *f)
{
    const uint32_t *elements = f->array.data;
    char text[32] = "";
    if (f->text_bytes < sizeof text)
        memcpy(text, f->text ? f->text : "", f->text_bytes);
    uint32_t n = 0;
    bool whole = f->array.dtype == NDPOOL_UINT32 && f->array.ndim == 2 && sscanf(text, "{\"n\":%" SCNu32, &n) == 1;
    for (int64_t i = 0; whole && i < f->array.shape[0] * f->array.shape[1]; i++)
        whole = elements[i] == n;
    ndpool_release(p, f->array.handle);
    if (f->attributes)
        ndpool_release(p, f->attributes);
    return whole;
}

static int read_frames(ndpool *p, const char *stream)
{
    ndpool_reader *r;
    if (ndpool_reader_open(p, stream, NDPOOL_EVERY, &r))
        die("reader");
    printf("waiting for %s in %s\n", stream, ndpool_path(p));
    fflush(stdout);
    uint64_t count = 0, skipped = 0, mixed = 0, last = 0;
    ndpool_frame f;
    int status;
    while ((status = ndpool_reader_read(r, NDPOOL_NEXT, -1, NULL, NULL, &f)) == 0) {
        count++, skipped += f.skipped, last = f.sequence;
        mixed += !check(p, &f);
    }
    ndpool_reader_close(r);
    if (status != NDPOOL_ERR_ENDED && status != NDPOOL_ERR_WRITER_DIED)
        die("read");
    printf("read %" PRIu64 " frames, skipped %" PRIu64 ", mixed %" PRIu64 ", the last one is %" PRIu64 "; the writer %s\n", count,
           skipped, mixed, last, status == NDPOOL_ERR_ENDED ? "ended" : "was killed");
    return mixed > 0;
}

int main(int argc, char **argv)
{
    bool writes = argc == 5 && strcmp(argv[1], "write") == 0;
    if (!writes && !(argc == 4 && strcmp(argv[1], "read") == 0)) {
        fprintf(stderr, "usage: frames write POOL STREAM FRAMES | frames read POOL STREAM\n");
        return 2;
    }
    ndpool *p;
    ndpool_options o = NDPOOL_OPTIONS_INIT;
    if (ndpool_open_or_create(argv[2], &o, &p))
        die("open");
    int code = writes ? write_frames(p, argv[3], (uint32_t)strtoul(argv[4], NULL, 10)) : read_frames(p, argv[3]);
    ndpool_free(p);
    return code;
}
