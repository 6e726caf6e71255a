/*
 * Messages and views, against the vectors that the Go package handle wrote (handle/testdata/vectors.json below the root
 * that is the argument): what is read is written back as the same bytes, what is almost right is refused.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "handle/handle.h"
#include "tests/check.h"

/* For what must be so before the program can go on. */
#define NEED(cond) (CHECK(cond) ? (void)0 : check_exit())

/* ---- a reader for JSON that is known to be right */

enum { MAX_TEXT = 1 << 17 };

static const char *at; /* what is read next */

static char peek(void)
{
    at += strspn(at, " \n\r\t");
    return *at;
}

static void expect(char c)
{
    NEED(peek() == c);
    at++;
}

/* Goes on to the next member of a list or object, whose opening was read; false at its end. */
static bool more(char close, bool *first)
{
    if (peek() == close) {
        at++;
        return false;
    }
    if (!*first)
        expect(',');
    *first = false;
    return true;
}

/* Reads one character of a string. Of escapes only quotes matter: others occur in texts that are skipped. */
static char character(void)
{
    if (*at == '\\')
        at++;
    return *at++;
}

static char *string(void)
{
    static char text[4][MAX_TEXT];
    static int turn;
    char *to = text[turn++ % 4];
    size_t n = 0;
    expect('"');
    while (*at != '"') {
        NEED(*at && n < MAX_TEXT - 1);
        to[n++] = character();
    }
    at++;
    to[n] = 0;
    return to;
}

static int64_t number(void)
{
    char *end;
    peek();
    int64_t n = (int64_t)(*at == '-' ? (uint64_t)strtoll(at, &end, 10) : strtoull(at, &end, 10));
    NEED(end != at);
    at = end;
    return n;
}

static void skip(void)
{
    bool first = true;
    char open = peek();
    if (open == '"') {
        string();
    } else if (open == '[' || open == '{') {
        for (at++; more(open == '[' ? ']' : '}', &first); skip()) {
            if (open == '{') {
                string();
                expect(':');
            }
        }
    } else {
        number();
    }
}

static const char *key(void)
{
    const char *k = string();
    expect(':');
    return k;
}

/* ---- the vectors */

/* A view as a vector tells it. */
typedef struct expected_view {
    ndpool_view v;
    bool there;
    char dtype[4096];
    int64_t low, high;
    uint8_t binary[NDPOOL_MAX_MESSAGE];
    size_t n;
} expected_view;

typedef struct expected {
    ndpool_message m;
    uint8_t binary[NDPOOL_MAX_MESSAGE];
    size_t n;
    expected_view view;
} expected;

static uint8_t packed[NDPOOL_MAX_MESSAGE + 1];

static size_t unhex(const char *text, uint8_t *to)
{
    size_t n = strlen(text) / 2;
    NEED(n <= NDPOOL_MAX_MESSAGE);
    for (size_t k = 0; k < n; k++) {
        unsigned byte;
        NEED(sscanf(text + 2 * k, "%2x", &byte) == 1);
        to[k] = (uint8_t)byte;
    }
    return n;
}

static uint32_t numbers(int64_t *to)
{
    uint32_t n = 0;
    bool first = true;
    for (expect('['); more(']', &first);) {
        NEED(n < NDPOOL_MAX_NDIM);
        to[n++] = number();
    }
    return n;
}

static void read_view(expected_view *e)
{
    bool first = true;
    uint32_t strides = 0;
    e->there = true;
    for (expect('{'); more('}', &first);) {
        const char *k = key();
        if (strcmp(k, "offset") == 0)
            e->v.offset = (uint64_t)number();
        else if (strcmp(k, "dtype") == 0)
            snprintf(e->dtype, sizeof e->dtype, "%s", string());
        else if (strcmp(k, "shape") == 0)
            e->v.ndim = numbers(e->v.shape);
        else if (strcmp(k, "strides") == 0)
            strides = numbers(e->v.strides);
        else if (strcmp(k, "low") == 0)
            e->low = number();
        else if (strcmp(k, "high") == 0)
            e->high = number();
        else if (strcmp(k, "binary") == 0)
            e->n = unhex(string(), e->binary);
        else
            skip();
    }
    NEED(strides == e->v.ndim);
}

static void read_message(expected *e)
{
    bool first = true;
    memset(e, 0, sizeof *e);
    for (expect('{'); more('}', &first);) {
        const char *k = key();
        if (strcmp(k, "segment") == 0)
            NEED(unhex(string(), e->m.segment) == 16);
        else if (strcmp(k, "handle") == 0)
            e->m.handle = strtoull(string(), NULL, 16);
        else if (strcmp(k, "ticket") == 0)
            e->m.ticket = strtoull(string(), NULL, 16);
        else if (strcmp(k, "binary") == 0)
            e->n = unhex(string(), e->binary);
        else if (strcmp(k, "view") == 0)
            read_view(&e->view);
        else
            skip();
    }
}

static void check_view(const expected_view *e, const ndpool_view *v)
{
    int64_t low, high;
    CHECK(v->offset == e->v.offset && v->ndim == e->v.ndim);
    CHECK(memcmp(v->shape, e->v.shape, v->ndim * sizeof *v->shape) == 0);
    CHECK(memcmp(v->strides, e->v.strides, v->ndim * sizeof *v->strides) == 0);
    CHECK(view_bounds(v, &low, &high) == NDPOOL_OK && low == e->low && high == e->high);
    if (e->dtype[0] == '{')
        CHECK(v->record_bytes == strlen(e->dtype) && memcmp(v->record, e->dtype, v->record_bytes) == 0);
    else
        CHECK(v->record_bytes == 0 && v->record == NULL);
    CHECK(view_binary_size(v) == e->n);
}

/* Tells whether bytes are refused, with a reason, and nothing is written. They lie in memory of just their size, so
 * that a sanitizer sees a byte too much. */
static bool is_refused(const uint8_t *bytes, size_t n)
{
    static ndpool_view view;
    ndpool_message m = {.handle = 42};
    uint8_t *copy = malloc(n ? n : 1);
    memset(&view, 0x5a, sizeof view);
    ndpool_view before = view;
    memcpy(copy, bytes, n);
    int status = ndpool_message_unpack(copy, n, &m, &view);
    free(copy);
    if (status == NDPOOL_OK)
        return false;
    CHECK(status == NDPOOL_ERR_MESSAGE && ndpool_last_error()->status == status && ndpool_last_error()->message[0]);
    CHECK(m.handle == 42 && m.view == NULL && memcmp(&view, &before, sizeof view) == 0);
    return true;
}

static void check_message(const expected *e)
{
    static ndpool_view view;
    ndpool_message m;
    size_t n;
    NEED(ndpool_message_unpack(e->binary, e->n, &m, &view) == NDPOOL_OK);
    CHECK(memcmp(m.segment, e->m.segment, 16) == 0 && m.handle == e->m.handle && m.ticket == e->m.ticket);
    CHECK(e->view.there == (m.view == &view));
    if (m.view) {
        check_view(&e->view, m.view);
        CHECK(memcmp(e->binary + NDPOOL_SHORT_MESSAGE, e->view.binary, e->view.n) == 0);
    }
    CHECK(ndpool_message_pack(&m, packed, e->n, &n) == NDPOOL_OK && n == e->n && memcmp(packed, e->binary, n) == 0);
    CHECK(ndpool_message_pack(&m, packed, e->n - 1, &n) == NDPOOL_ERR_MESSAGE);
    for (n = 0; n < e->n; n++)
        CHECK(is_refused(e->binary, n));
    CHECK(is_refused(packed, e->n + 1));
}

/* Changes each byte in turn: what is still read is written back as it was. */
static void flip_bytes(const expected *e)
{
    static ndpool_view view;
    static uint8_t again[NDPOOL_MAX_MESSAGE];
    for (size_t k = 0; k < e->n; k++) {
        for (int bit = 0; bit < 8; bit++) {
            ndpool_message m;
            size_t n;
            memcpy(packed, e->binary, e->n);
            packed[k] ^= (uint8_t)(1 << bit);
            if (is_refused(packed, e->n))
                continue;
            NEED(ndpool_message_unpack(packed, e->n, &m, &view) == NDPOOL_OK);
            CHECK(ndpool_message_pack(&m, again, sizeof again, &n) == NDPOOL_OK);
            CHECK(n == e->n && memcmp(again, packed, n) == 0);
        }
    }
}

/* A transfer is two numbers as they lie in memory. */
static void check_transfers(void)
{
    bool first = true;
    for (expect('['); more(']', &first);) {
        ndpool_transfer t = {0};
        uint8_t bytes[NDPOOL_SHORT_MESSAGE] = {0};
        bool inner = true;
        for (expect('{'); more('}', &inner);) {
            const char *k = key(), *value = string();
            if (strcmp(k, "handle") == 0)
                t.handle = strtoull(value, NULL, 16);
            else if (strcmp(k, "ticket") == 0)
                t.ticket = strtoull(value, NULL, 16);
            else if (strcmp(k, "binary") == 0)
                NEED(unhex(value, bytes) == sizeof t);
        }
        CHECK(memcmp(bytes, &t, sizeof t) == 0);
    }
}

static int check_messages(void)
{
    static expected e;
    bool first = true;
    int count = 0;
    for (expect('['); more(']', &first); count++) {
        read_message(&e);
        check_message(&e);
        flip_bytes(&e);
    }
    return count;
}

static int check_refused(void)
{
    bool first = true;
    int count = 0;
    for (expect('{'); more('}', &first);) {
        if (strcmp(key(), "binary") != 0) {
            skip();
            continue;
        }
        bool inner = true;
        for (expect('['); more(']', &inner); count++) {
            size_t n = unhex(string(), packed);
            CHECK(is_refused(packed, n));
        }
    }
    return count;
}

static char *read_file(const char *root)
{
    char path[4096];
    static char text[1 << 20];
    snprintf(path, sizeof path, "%s/handle/testdata/vectors.json", root);
    FILE *f = fopen(path, "rb");
    NEED(f != NULL);
    size_t n = fread(text, 1, sizeof text - 1, f);
    NEED(n > 0 && n < sizeof text - 1 && fclose(f) == 0);
    return text;
}

static void test_vectors(const char *root)
{
    bool first = true;
    int messages = 0, refused = 0;
    at = read_file(root);
    for (expect('{'); more('}', &first);) {
        const char *k = key();
        if (strcmp(k, "messages") == 0)
            messages = check_messages();
        else if (strcmp(k, "refused") == 0)
            refused = check_refused();
        else if (strcmp(k, "transfers") == 0)
            check_transfers();
        else
            skip();
    }
    CHECK(messages > 0 && refused > 0);
    printf("handle: %d messages, %d refused\n", messages, refused);
}

/* ---- limits of views */

#define F4 NDPOOL_FLOAT32
#define B1 NDPOOL_BOOL
#define STRUCTURED (NDPOOL_DTYPE('V', 0, 8) | UINT64_C(1) << 24)
#define MOST INT64_MAX

static const struct {
    const char *name;
    ndpool_view v;
    bool good;
} limits[] = {
    {"one element", {.dtype = F4}, true},
    {"last byte", {.offset = MOST - 1, .dtype = B1}, true},
    {"behind last byte", {.offset = MOST, .dtype = B1}, false},
    {"nothing at end", {.offset = MOST, .dtype = B1, .ndim = 1}, true},
    {"offset", {.offset = UINT64_C(1) << 63, .dtype = B1, .ndim = 1}, false},
    {"zero type", {.offset = 0}, false},
    {"negative length", {.dtype = F4, .ndim = 1, .shape = {-1}, .strides = {4}}, false},
    {"least length", {.dtype = B1, .ndim = 1, .shape = {INT64_MIN}}, false},
    {"size", {.dtype = F4, .ndim = 1, .shape = {INT64_C(1) << 61}}, false},
    {"size of all bytes", {.dtype = B1, .ndim = 1, .shape = {MOST}, .strides = {1}}, true},
    {"zero hides size", {.dtype = F4, .ndim = 3, .shape = {MOST, MOST, 0}}, false},
    {"one stride", {.dtype = F4, .ndim = 1, .shape = {1}, .strides = {INT64_MIN}}, true},
    {"far down", {.dtype = F4, .ndim = 1, .shape = {2}, .strides = {-MOST}}, true},
    {"too far down", {.dtype = F4, .ndim = 1, .shape = {2}, .strides = {INT64_MIN}}, false},
    {"too far down from top", {.offset = MOST, .dtype = F4, .ndim = 1, .shape = {2}, .strides = {INT64_MIN}}, false},
    {"far down twice", {.dtype = F4, .ndim = 2, .shape = {2, 3}, .strides = {-MOST, -1}}, false},
    {"far up", {.dtype = B1, .ndim = 1, .shape = {2}, .strides = {MOST - 1}}, true},
    {"too far up", {.dtype = B1, .ndim = 1, .shape = {2}, .strides = {MOST}}, false},
    {"stride times", {.dtype = B1, .ndim = 1, .shape = {INT64_C(1) << 32}, .strides = {INT64_C(1) << 32}}, false},
    {"dims", {.dtype = B1, .ndim = 65}, false},
    {"all dims", {.dtype = B1, .ndim = 64}, true},
    {"record beside a number", {.dtype = B1, .record = "x", .record_bytes = 1}, false},
    {"record", {.dtype = STRUCTURED, .record = "{}", .record_bytes = 2}, true},
    {"no record", {.dtype = STRUCTURED}, false},
    {"no text of record", {.dtype = STRUCTURED, .record_bytes = 2}, false},
    {"record too long", {.dtype = STRUCTURED, .record = "{}", .record_bytes = 65537}, false},
};

static void test_limits(void)
{
    for (size_t k = 0; k < sizeof limits / sizeof *limits; k++) {
        ndpool_message m = {.handle = UINT64_C(1) << 32, .view = &limits[k].v};
        size_t n;
        int want = limits[k].good ? NDPOOL_OK : NDPOOL_ERR_MESSAGE;
        int status = ndpool_message_pack(&m, packed, sizeof packed, &n);
        if (view_validate(&limits[k].v) != want || status != want)
            fprintf(stderr, "view: %s\n", limits[k].name);
        CHECK(view_validate(&limits[k].v) == want && status == want);
        CHECK(status != NDPOOL_OK || n == NDPOOL_SHORT_MESSAGE + view_binary_size(&limits[k].v));
    }
}

static void test_words(void)
{
    ndpool_message m = {.handle = 1};
    size_t n;
    CHECK(ndpool_message_pack(&m, packed, sizeof packed, &n) == NDPOOL_ERR_MESSAGE);
    m = (ndpool_message){.handle = UINT64_C(1) << 32, .ticket = 1};
    CHECK(ndpool_message_pack(&m, packed, sizeof packed, &n) == NDPOOL_ERR_MESSAGE);
    m.ticket = 0;
    CHECK(ndpool_message_pack(&m, packed, sizeof packed, &n) == NDPOOL_OK && n == NDPOOL_SHORT_MESSAGE);
}

/* The longest message: all dimensions and the longest record. */
static void test_full_size(void)
{
    static char record[65536];
    static ndpool_view v, w;
    ndpool_message m = {.handle = UINT64_MAX, .ticket = UINT64_MAX, .view = &v};
    size_t n;
    memset(record, 'r', sizeof record);
    v = (ndpool_view){.dtype = STRUCTURED, .record = record, .record_bytes = sizeof record, .ndim = NDPOOL_MAX_NDIM};
    CHECK(ndpool_message_pack(&m, packed, sizeof packed, &n) == NDPOOL_OK && n == NDPOOL_MAX_MESSAGE);
    NEED(ndpool_message_unpack(packed, n, &m, &w) == NDPOOL_OK && m.view == &w);
    CHECK(w.record_bytes == sizeof record && w.record == packed + n - sizeof record);
    NEED(ndpool_message_unpack(packed, n + 1, &m, &w) == NDPOOL_ERR_MESSAGE);
}

int main(int argc, char **argv)
{
    NEED(argc > 1);
    test_vectors(argv[1]);
    test_limits();
    test_words();
    test_full_size();
    return 0;
}
