/*
 * Plays a trace of operations on a segment, for the twin test: pool/twin_test.go plays the same one in Go, and wants the
 * same answers and the same words. twin DIR NAME reads lines from standard input and answers each by one.
 *
 *   open K | close K | die K | reap K | trim K | stats K       K is one of several attachments of this process
 *   alloc K A dtype flags record ndim dims...                  record is "-" if there is none
 *   ref K A | release K A | share K A | retain K A B readonly | seal K A hash
 *   send K A T to | adopt K T B readonly | recall K T | recall-all K | refuse K from      to, from: an attachment or -1
 *   view K A T off code ndim dims... strides...                sends a view as a message
 *   receive K T B                                              of a view
 *   publish K prefix mode persistent version n items...        mode 0 new, 1 overwrite, 2 merge; an item is path A attributes,
 *                                                              A -1 a group; "-" is no prefix, path or attributes
 *   set-attrs K path attributes persistent version | remove K path tree | lookup K path A readonly | list K prefix
 *   streams and queues: see twin_rings.h
 *   dump FILE                                                  copies the file
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "pool/pool.h"

enum { POOLS = 8, THINGS = 4096 };

static ndpool *pools[POOLS];
static ndpool_process ids[POOLS]; /* also of those that have gone */
static uint64_t arrays[THINGS];
static ndpool_transfer transfers[THINGS];
static struct {
    uint8_t bytes[4096];
    size_t n;
} frames[THINGS];
static const char *dir, *name;

static int number(void)
{
    const char *word = strtok(NULL, " \n");
    return word ? atoi(word) : 0;
}

static uint64_t big_number(void)
{
    const char *word = strtok(NULL, " \n");
    return word ? strtoull(word, NULL, 0) : 0;
}

static void answer(int status) { printf("%s\n", status ? ndpool_status_name(status) : "ok"); }

static void answer_array(int status, const ndpool_array *a, int at)
{
    if (status) {
        answer(status);
        return;
    }
    arrays[at] = a->handle;
    printf("ok %016" PRIx64 " %" PRIu64 " %#" PRIx64 " %u", a->handle, a->bytes, a->dtype, a->ndim);
    for (uint32_t k = 0; k < a->ndim; k++)
        printf(" %" PRId64, a->shape[k]);
    printf(" %c%c\n", a->flags & NDPOOL_FORTRAN ? 'F' : 'C', a->flags & NDPOOL_READ_ONLY ? 'r' : 'w');
}

static void play_alloc(ndpool *p)
{
    int at = number();
    ndpool_spec s = {.dtype = big_number()};
    s.flags = (uint32_t)number();
    const char *text = strtok(NULL, " \n");
    if (text && strcmp(text, "-") != 0) {
        s.record = text;
        s.record_bytes = (uint32_t)strlen(text);
    }
    int64_t shape[NDPOOL_MAX_NDIM];
    s.ndim = (uint32_t)number();
    for (uint32_t k = 0; k < s.ndim; k++)
        shape[k] = (int64_t)big_number();
    s.shape = shape;
    ndpool_array a;
    answer_array(ndpool_alloc(p, &s, &a), &a, at);
}

static void play_send(ndpool *p)
{
    uint64_t handle = arrays[number()];
    int at = number(), to = number();
    ndpool_transfer t;
    int status = ndpool_send(p, handle, to < 0 ? 0 : ids[to], &t);
    if (status) {
        answer(status);
        return;
    }
    transfers[at] = t;
    printf("ok %016" PRIx64 ":%016" PRIx64 "\n", t.handle, t.ticket);
}

static void play_view(ndpool *p)
{
    uint64_t handle = arrays[number()];
    int at = number();
    ndpool_view v = {.offset = big_number()};
    v.dtype = big_number();
    v.ndim = (uint32_t)number();
    for (uint32_t k = 0; k < v.ndim; k++)
        v.shape[k] = (int64_t)big_number();
    for (uint32_t k = 0; k < v.ndim; k++)
        v.strides[k] = (int64_t)big_number();
    ndpool_message m = {.view = &v};
    ndpool_segment(p, m.segment);
    ndpool_transfer t;
    int status = ndpool_send(p, handle, 0, &t);
    if (!status) {
        m.handle = t.handle;
        m.ticket = t.ticket;
        status = ndpool_message_pack(&m, frames[at].bytes, sizeof frames[at].bytes, &frames[at].n);
    }
    if (status) {
        answer(status);
        return;
    }
    printf("ok ");
    for (size_t k = 0; k < frames[at].n; k++)
        printf("%02x", frames[at].bytes[k]);
    printf("\n");
}

static void play_receive(ndpool *p)
{
    int from = number(), at = number();
    static ndpool_view view;
    ndpool_message m;
    ndpool_array a;
    int status = ndpool_message_unpack(frames[from].bytes, frames[from].n, &m, &view);
    if (!status)
        status = ndpool_receive(p, &m, 0, &a);
    if (!status)
        arrays[at] = a.handle;
    answer(status);
}

static void play_stats(ndpool *p)
{
    ndpool_stats_t s;
    int status = ndpool_stats(p, &s);
    if (status) {
        answer(status);
        return;
    }
    const uint64_t *n = (const uint64_t *)&s;
    printf("ok");
    for (size_t k = 0; k < sizeof s / sizeof *n; k++)
        printf(" %" PRIu64, n[k]);
    printf("\n");
}

static void dump(const char *to)
{
    static char buf[1 << 16];
    snprintf(buf, sizeof buf, "%s/%s", dir, name);
    FILE *in = fopen(buf, "rb"), *out = fopen(to, "wb");
    for (size_t n; in && out && (n = fread(buf, 1, sizeof buf, in)) > 0;)
        fwrite(buf, 1, n, out);
    if (in)
        fclose(in);
    printf("%s\n", out && fclose(out) == 0 ? "ok" : "no dump");
}

static void play_retain(ndpool *p)
{
    uint64_t handle = arrays[number()];
    int at = number();
    ndpool_array a;
    answer_array(ndpool_retain(p, handle, number() ? NDPOOL_READ_ONLY : 0, &a), &a, at);
}

static void play_adopt(ndpool *p)
{
    ndpool_transfer t = transfers[number()];
    int at = number();
    ndpool_array a;
    answer_array(ndpool_adopt(p, t, number() ? NDPOOL_READ_ONLY : 0, &a), &a, at);
}

static void play_seal(ndpool *p)
{
    uint64_t handle = arrays[number()];
    void *data;
    answer(ndpool_seal(p, handle, number() ? NDPOOL_HASH : 0, &data));
}

static void play_refuse(ndpool *p)
{
    int n, status = ndpool_refuse(p, ids[number()], &n);
    if (status)
        answer(status);
    else
        printf("ok %d\n", n);
}

static void play_recall_all(ndpool *p)
{
    int n, status = ndpool_recall_older(p, 0, &n);
    if (status)
        answer(status);
    else
        printf("ok %d\n", n);
}

static void play_reap(ndpool *p)
{
    ndpool_reaped r;
    int status = ndpool_reap(p, &r);
    if (status)
        answer(status);
    else
        printf("ok %d %d\n", r.processes, r.expired);
}

static void play_trim(ndpool *p)
{
    uint64_t freed;
    int status = ndpool_trim(p, &freed);
    if (status)
        answer(status);
    else
        printf("ok %" PRIu64 "\n", freed);
}

/* The next word; "-" is none. */
static const char *word(void)
{
    const char *w = strtok(NULL, " \n");
    return w && strcmp(w, "-") != 0 ? w : NULL;
}

static void answer_number(int status, uint64_t n)
{
    if (status)
        answer(status);
    else
        printf("ok %" PRIu64 "\n", n);
}

static void play_publish(ndpool *p)
{
    static const uint32_t modes[] = {0, NDPOOL_OVERWRITE, NDPOOL_MERGE};
    static ndpool_item items[1000];
    const char *prefix = word();
    uint32_t flags = modes[number()];
    flags |= number() ? NDPOOL_PERSISTENT : 0;
    uint64_t expect = big_number(), version = 0;
    size_t n = (size_t)number();
    for (size_t k = 0; k < n; k++) {
        const char *path = word();
        int at = number();
        const char *text = word();
        items[k] = (ndpool_item){.path = path, .array = at < 0 ? 0 : arrays[at], .attributes = text};
        items[k].attributes_bytes = text ? strlen(text) : 0;
    }
    int status = ndpool_publish(p, prefix, items, n, flags, expect, &version);
    answer_number(status, version);
}

static void play_set_attributes(ndpool *p)
{
    const char *path = word(), *text = word();
    uint32_t flags = number() ? NDPOOL_PERSISTENT : 0;
    uint64_t expect = big_number(), version = 0;
    int status = ndpool_set_attributes(p, path, text, text ? strlen(text) : 0, flags, expect, &version);
    answer_number(status, version);
}

static void play_remove(ndpool *p)
{
    const char *path = word();
    uint64_t count = 0;
    int status = ndpool_remove(p, path, number() ? NDPOOL_TREE : 0, 0, &count);
    answer_number(status, count);
}

static void play_lookup(ndpool *p)
{
    const char *path = word();
    int at = number();
    ndpool_array a;
    answer_array(ndpool_lookup(p, path, number() ? NDPOOL_READ_ONLY : 0, &a, NULL), &a, at);
}

static void play_list(ndpool *p)
{
    ndpool_names *l;
    int status = ndpool_list(p, word(), &l);
    if (status) {
        answer(status);
        return;
    }
    printf("ok");
    for (size_t k = 0; k < l->n; k++) {
        const ndpool_name_info *i = &l->names[k];
        printf(" %s,%" PRIu64 ",%" PRIx64 ",%016" PRIx64 ",%d%d%d%d%d,", i->path, i->version, i->owner, i->array,
               !!(i->flags & NDPOOL_GROUP), !!(i->flags & NDPOOL_PERSISTENT), !!(i->flags & NDPOOL_IMPLICIT),
               !!(i->flags & NDPOOL_FORTRAN), !!(i->flags & NDPOOL_SEALED));
        const char *text = i->attributes ? i->attributes : "-";
        if (i->flags & NDPOOL_RING) {
            printf("ring,%s", text);
            continue;
        }
        printf("%" PRIu64 ",%s", i->bytes, text);
        for (uint32_t d = 0; d < i->ndim; d++)
            printf(",%" PRId64, i->shape[d]);
    }
    printf("\n");
    ndpool_names_free(p, l);
}

#include "twin_rings.h"

static void play_open(int k)
{
    ndpool_options o = NDPOOL_OPTIONS_INIT;
    o.dir = dir;
    int status = ndpool_open(name, &o, &pools[k]);
    if (status) {
        answer(status);
        return;
    }
    ids[k] = ndpool_self(pools[k]);
    printf("ok %" PRIu64 "\n", ids[k]);
}

static void play_close(ndpool *p)
{
    ndpool_close(p);
    answer(0);
}

static void play_die(ndpool *p)
{
    arena_abandon(p->arena);
    answer(0);
}

static void play_ref(ndpool *p) { answer(ndpool_ref(p, arrays[number()])); }
static void play_release(ndpool *p) { answer(ndpool_release(p, arrays[number()])); }
static void play_share(ndpool *p) { answer(ndpool_share(p, arrays[number()])); }
static void play_recall(ndpool *p) { answer(ndpool_recall(p, transfers[number()])); }

static const struct {
    const char *verb;
    void (*play)(ndpool *p);
} verbs[] = {
    {"close", play_close},   {"die", play_die},         {"reap", play_reap},     {"trim", play_trim},
    {"stats", play_stats},   {"alloc", play_alloc},     {"ref", play_ref},       {"release", play_release},
    {"share", play_share},   {"retain", play_retain},   {"seal", play_seal},     {"send", play_send},
    {"adopt", play_adopt},   {"recall", play_recall},   {"refuse", play_refuse}, {"recall-all", play_recall_all},
    {"view", play_view},     {"receive", play_receive}, {"publish", play_publish},
    {"remove", play_remove}, {"lookup", play_lookup},   {"list", play_list},     {"set-attrs", play_set_attributes},
    {"writer", play_writer}, {"reader", play_reader},   {"queue", play_queue},   {"queue-pass", play_queue_pass},
    {"frame", play_frame},   {"read", play_read},       {"put", play_put},       {"put-bytes", play_put_bytes},
    {"get", play_get},       {"put-back", play_put_back}, {"item-release", play_item_release},
    {"end", play_end},       {"shut", play_shut},
};

static void play(char *line)
{
    const char *verb = strtok(line, " \n");
    if (!verb)
        return;
    if (strcmp(verb, "dump") == 0) {
        dump(strtok(NULL, " \n"));
        return;
    }
    int k = number();
    if (strcmp(verb, "open") == 0) {
        play_open(k);
        return;
    }
    for (size_t v = 0; pools[k] && v < sizeof verbs / sizeof verbs[0]; v++) {
        if (strcmp(verb, verbs[v].verb) == 0) {
            verbs[v].play(pools[k]);
            return;
        }
    }
    printf("no such verb, or not attached: %s %d\n", verb, k);
}

int main(int argc, char **argv)
{
    static char line[1 << 16];
    if (argc != 3) {
        fprintf(stderr, "usage: twin DIR NAME <TRACE\n");
        return 2;
    }
    dir = argv[1];
    name = argv[2];
    setvbuf(stdout, NULL, _IOLBF, 1 << 16);
    while (fgets(line, sizeof line, stdin))
        play(line);
    return 0;
}
