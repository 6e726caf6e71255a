/*
 * The verbs of a pool, two attachments of one process beside each other, and forks. "pool_test ROOT bench" measures an
 * allocation and release from the cache instead.
 */
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "pool/pool.h"
#include "tests/check.h"

static char dir[64];

static void make_dir(void)
{
    snprintf(dir, sizeof dir, "%s/ndpool-test-XXXXXX", access("/dev/shm", W_OK) ? "/tmp" : "/dev/shm");
    CHECK(mkdtemp(dir) != NULL);
}

static bool exists(void)
{
    char path[128];
    snprintf(path, sizeof path, "%s/t", dir);
    return access(path, F_OK) == 0;
}

static ndpool *create(ndpool_options o)
{
    ndpool *p;
    o.dir = dir;
    int status = ndpool_create("t", &o, &p);
    if (status != NDPOOL_OK)
        fprintf(stderr, "%s\n", ndpool_last_error()->message);
    CHECK(status == NDPOOL_OK);
    return p;
}

static ndpool *open_again(void)
{
    ndpool *p;
    CHECK(ndpool_open("t", &(ndpool_options){.dir = dir}, &p) == NDPOOL_OK);
    return p;
}

static int try_bytes(ndpool *p, int64_t n, ndpool_array *a)
{
    return ndpool_alloc(p, &(ndpool_spec){.dtype = NDPOOL_UINT8, .ndim = 1, .shape = &n}, a);
}

static ndpool_array bytes(ndpool *p, int64_t n)
{
    ndpool_array a;
    CHECK(try_bytes(p, n, &a) == NDPOOL_OK);
    return a;
}

static int fast_bytes(ndpool *p, int64_t n, ndpool_array *a)
{
    return ndpool_alloc(p, &(ndpool_spec){.dtype = NDPOOL_UINT8, .ndim = 1, .shape = &n, .flags = NDPOOL_FAST}, a);
}

static void fill(const ndpool_array *a, int v) { memset(a->data, v, a->bytes); }

static bool filled(const ndpool_array *a, int v)
{
    for (uint64_t k = 0; k < a->bytes; k++) {
        if (((const uint8_t *)a->data)[k] != v)
            return false;
    }
    return true;
}

static void print_fault(void *arg, const ndpool_fault *f)
{
    (void)arg;
    fprintf(stderr, "%s: %s: expected %s, found %s\n", f->law, f->place, f->want, f->got);
}

static void clean(ndpool *p)
{
    ndpool_report r;
    CHECK(ndpool_verify(p, NDPOOL_CONTENT, print_fault, NULL, &r) == NDPOOL_OK);
    CHECK(r.faults == 0);
}

/* Wants that nobody holds anything: all arrays are gone, all bytes free or cached. */
static void empty(ndpool *p)
{
    ndpool_stats_t s;
    clean(p);
    CHECK(ndpool_stats(p, &s) == NDPOOL_OK);
    if (s.arrays || s.transfers)
        fprintf(stderr, "%d arrays, %d transfers\n", (int)s.arrays, (int)s.transfers);
    CHECK(s.arrays == 0 && s.transfers == 0);
    CHECK(pool_steal(p) == NDPOOL_OK && ndpool_stats(p, &s) == NDPOOL_OK);
    CHECK(s.free == s.capacity);
}

/* The last attachment of a pool that is not persistent removes it. */
static void finish(ndpool *p)
{
    empty(p);
    ndpool_free(p);
    CHECK(!exists());
}

static void test_bins(void)
{
    for (int bin = 0; bin < NDPOOL_NUM_BINS; bin++) {
        uint64_t pages = (uint64_t)(bin - NDPOOL_NUM_CLASSES + 1);
        uint64_t size = bin < NDPOOL_NUM_CLASSES ? ndpool_classes[bin + 1].size : pages * NDPOOL_PAGE_SIZE;
        uint64_t n = (UINT64_C(256) << 10) / size;
        bool large = bin == NDPOOL_LARGE_BIN;
        CHECK(bin_batch(bin) == (large ? 1 : n > 32 ? 32 : (int)n));
        CHECK(cache_limit(bin) == (large ? 0 : 2 * (uint32_t)bin_batch(bin)));
        CHECK(bin_of(large ? size + 1 : size) == bin);
        CHECK(large || bin_of(size + 1) == bin + 1);
    }
    CHECK(bin_of(0) == 0 && bin_of(UINT64_MAX / 2) == NDPOOL_LARGE_BIN);
}

static void test_reuse(void)
{
    ndpool *p = create((ndpool_options){.capacity = 4 << 20});
    ndpool_array a, b;
    CHECK(fast_bytes(p, 100, &a) == NDPOOL_ERR_TIMEOUT && ndpool_last_error()->message[0] == 0);
    a = bytes(p, 100);
    CHECK(a.bytes == 100 && a.ndim == 1 && a.shape[0] == 100 && a.dtype == NDPOOL_UINT8 && a.flags == 0 &&
          a.record_bytes == 0);
    CHECK(ndpool_is_private(p, a.handle) && !ndpool_is_sealed(p, a.handle));
    fill(&a, 7);
    CHECK(ndpool_release(p, a.handle) == NDPOOL_OK);
    CHECK(ndpool_release(p, a.handle) == NDPOOL_ERR_STALE);
    CHECK(ndpool_ref(p, a.handle) == NDPOOL_ERR_STALE && ndpool_share(p, a.handle) == NDPOOL_ERR_STALE);
    CHECK(fast_bytes(p, 90, &b) == NDPOOL_OK && b.data == a.data && b.handle != a.handle);
    CHECK(ndpool_ref(p, b.handle) == NDPOOL_OK && ndpool_release(p, b.handle) == NDPOOL_OK);
    CHECK(ndpool_release(p, b.handle) == NDPOOL_OK && ndpool_release(p, b.handle) == NDPOOL_ERR_STALE);
    CHECK(ndpool_release(p, 1) == NDPOOL_ERR_FOREIGN && ndpool_release(p, UINT64_MAX) == NDPOOL_ERR_FOREIGN);
    for (int64_t size = 70000; size < 2000000; size *= 2) { /* a large run serves its own length, until the lock is taken */
        CHECK(fast_bytes(p, size, &a) == NDPOOL_ERR_TIMEOUT);
        a = bytes(p, size);
        CHECK(ndpool_release(p, a.handle) == NDPOOL_OK);
        CHECK(fast_bytes(p, size + 4096, &b) == NDPOOL_ERR_TIMEOUT && fast_bytes(p, size - 4096, &b) == NDPOOL_ERR_TIMEOUT);
        CHECK(fast_bytes(p, size + (INT64_C(1) << 44), &b) == NDPOOL_ERR_TIMEOUT); /* as many pages, in 32 bits */
        CHECK(fast_bytes(p, size, &b) == NDPOOL_OK && b.data == a.data && ndpool_release(p, b.handle) == NDPOOL_OK);
    }
    int64_t n = 64;
    CHECK(ndpool_alloc(p, &(ndpool_spec){.dtype = NDPOOL_UINT8, .ndim = 1, .shape = &n, .flags = NDPOOL_ZERO},
                       &a) == NDPOOL_OK);
    CHECK(filled(&a, 0) && ndpool_release(p, a.handle) == NDPOOL_OK);
    finish(p);
}

static void test_shapes(void)
{
    ndpool *p = create((ndpool_options){.capacity = 4 << 20});
    ndpool_array a, b;
    int64_t shape[10] = {2, 3, 4, 1, 2, 1, 2, 1, 1, 5};
    CHECK(ndpool_alloc(p, &(ndpool_spec){.dtype = NDPOOL_FLOAT32, .ndim = 3, .shape = shape, .flags = NDPOOL_FORTRAN},
                       &a) == NDPOOL_OK);
    CHECK(a.bytes == 96 && a.flags == NDPOOL_FORTRAN && a.shape[2] == 4);
    uint32_t i;
    CHECK(pool_resolve(p, a.handle, &i) == NDPOOL_OK && shm_load64(&pool_desc(p, i)->dims[2].stride) == 24);
    CHECK(ndpool_alloc(p, &(ndpool_spec){.dtype = NDPOOL_FLOAT64, .ndim = 10, .shape = shape}, &b) == NDPOOL_OK);
    CHECK(b.bytes == 8 * 480 && b.ndim == 10 && (uintptr_t)b.data % 64 == 0);
    CHECK(ndpool_share(p, b.handle) == NDPOOL_OK && ndpool_release(p, a.handle) == NDPOOL_OK);
    ndpool *q = open_again();
    CHECK(ndpool_retain(q, b.handle, 0, &a) == NDPOOL_OK && a.ndim == 10 && a.shape[9] == 5 && a.bytes == b.bytes);
    CHECK(memcmp(a.shape, shape, sizeof shape) == 0);
    CHECK(ndpool_release(q, a.handle) == NDPOOL_OK && ndpool_release(p, b.handle) == NDPOOL_OK);
    CHECK(ndpool_alloc(p, &(ndpool_spec){.dtype = NDPOOL_INT16}, &a) == NDPOOL_OK && a.ndim == 0 && a.bytes == 2);
    b = bytes(p, 0);
    CHECK(b.bytes == 0 && b.data != NULL);
    CHECK(ndpool_release(p, a.handle) == NDPOOL_OK && ndpool_release(p, b.handle) == NDPOOL_OK);
    ndpool_free(q);
    finish(p);
}

static void test_structured(void)
{
    ndpool *p = create((ndpool_options){.capacity = 4 << 20});
    ndpool *q = open_again();
    char text[] = "{\"itemsize\":8,\"fields\":[[\"x\",\"<f4\",0]]}", back[100] = "";
    uint64_t code = NDPOOL_DTYPE('V', 0, 8) | 1 << 24;
    int64_t n = 7;
    ndpool_array a, b;
    ndpool_spec s = {.dtype = code, .record = text, .record_bytes = sizeof text - 1, .ndim = 1, .shape = &n};
    CHECK(ndpool_alloc(p, &s, &a) == NDPOOL_OK && a.bytes == 56 && a.record_bytes == sizeof text - 1);
    CHECK(ndpool_record(p, a.handle, back, 10) == NDPOOL_ERR_MISMATCH);
    CHECK(ndpool_share(p, a.handle) == NDPOOL_OK && ndpool_retain(q, a.handle, 0, &b) == NDPOOL_OK);
    CHECK(b.record_bytes == a.record_bytes && b.dtype == code);
    CHECK(ndpool_record(q, b.handle, back, sizeof back) == NDPOOL_OK && strcmp(back, text) == 0);
    CHECK(ndpool_release(p, a.handle) == NDPOOL_OK && ndpool_release(q, b.handle) == NDPOOL_OK);
    s.record = NULL;
    CHECK(ndpool_alloc(p, &s, &a) == NDPOOL_ERR_SPEC);
    s.record_bytes = 0;
    CHECK(ndpool_alloc(p, &s, &a) == NDPOOL_ERR_SPEC);
    ndpool_free(q);
    finish(p);
}

static void test_bad_specs(void)
{
    ndpool *p = create((ndpool_options){.capacity = 4 << 20});
    ndpool_array a;
    int64_t negative = -1, huge[] = {INT64_C(1) << 40, INT64_C(1) << 40}, many[65] = {0},
        empty_shape[] = {0, INT64_C(1) << 62};
    CHECK(try_bytes(p, negative, &a) == NDPOOL_ERR_SPEC);
    CHECK(ndpool_alloc(p, &(ndpool_spec){.dtype = NDPOOL_UINT8, .ndim = 2, .shape = huge}, &a) == NDPOOL_ERR_SPEC);
    CHECK(ndpool_alloc(p, &(ndpool_spec){.dtype = NDPOOL_UINT8, .ndim = 65, .shape = many}, &a) == NDPOOL_ERR_SPEC);
    CHECK(ndpool_alloc(p, &(ndpool_spec){.dtype = 0, .ndim = 1, .shape = many}, &a) == NDPOOL_ERR_SPEC);
    CHECK(ndpool_alloc(p, &(ndpool_spec){.dtype = NDPOOL_DTYPE('f', 0, 4), .ndim = 1, .shape = many},
                       &a) == NDPOOL_ERR_SPEC);
    CHECK(ndpool_alloc(p, &(ndpool_spec){.dtype = NDPOOL_INT64, .ndim = 2, .shape = empty_shape}, &a) == NDPOOL_OK &&
          a.bytes == 0);
    CHECK(ndpool_release(p, a.handle) == NDPOOL_OK);
    finish(p);
}

static void test_too_large(void)
{
    ndpool *p = create((ndpool_options){.capacity = 1 << 20});
    ndpool_array a, b;
    CHECK(try_bytes(p, 2 << 20, &a) == NDPOOL_ERR_FULL);
    const ndpool_error *e = ndpool_last_error();
    CHECK(e->asked == 2 << 20 && e->capacity == 1 << 20 && e->free == 1 << 20 && e->largest == 1 << 20);
    CHECK(try_bytes(p, INT64_MAX, &a) == NDPOOL_ERR_FULL);
    int64_t n = 2 << 20;
    CHECK(ndpool_alloc(p, &(ndpool_spec){.dtype = NDPOOL_UINT8, .ndim = 1, .shape = &n, .wait = -1},
                       &a) == NDPOOL_ERR_FULL);
    a = bytes(p, 700000);
    CHECK(try_bytes(p, 700000, &b) == NDPOOL_ERR_FULL);
    e = ndpool_last_error();
    CHECK(e->pid == getpid() && e->held == 700416 && e->slot == 0);
    CHECK(ndpool_release(p, a.handle) == NDPOOL_OK);
    finish(p);
}

static void *release_later(void *arg)
{
    ndpool_array *a = arg;
    usleep(60000);
    CHECK(ndpool_release(*(ndpool **)(a + 1), a->handle) == NDPOOL_OK);
    return NULL;
}

static void test_wait(void)
{
    struct {
        ndpool_array a;
        ndpool *p;
    } x = {.p = create((ndpool_options){.capacity = 1 << 20})};
    ndpool_array b;
    pthread_t t;
    int64_t n = 700000, start = mono_time();
    x.a = bytes(x.p, n);
    ndpool_spec s = {.dtype = NDPOOL_UINT8, .ndim = 1, .shape = &n, .wait = 30000000};
    CHECK(ndpool_alloc(x.p, &s, &b) == NDPOOL_ERR_FULL && mono_time() - start >= 30000000);
    CHECK(pthread_create(&t, NULL, release_later, &x) == 0);
    s.wait = -1;
    CHECK(ndpool_alloc(x.p, &s, &b) == NDPOOL_OK);
    pthread_join(t, NULL);
    CHECK(ndpool_release(x.p, b.handle) == NDPOOL_OK);
    finish(x.p);
}

static void test_table_full(void)
{
    ndpool *p = create((ndpool_options){.capacity = 1 << 20, .arrays = 40, .tickets = 4});
    ndpool_array a[40], b;
    ndpool_transfer t[5];
    for (int k = 0; k < 40; k++)
        a[k] = bytes(p, 64);
    CHECK(try_bytes(p, 64, &b) == NDPOOL_ERR_TABLE_FULL);
    CHECK(ndpool_last_error()->limit == 40 && ndpool_last_error()->held == 40);
    for (int k = 0; k < 4; k++)
        CHECK(ndpool_send(p, a[k].handle, 0, &t[k]) == NDPOOL_OK);
    CHECK(ndpool_send(p, a[4].handle, 0, &t[4]) == NDPOOL_ERR_TABLE_FULL && ndpool_last_error()->limit == 4);
    for (int k = 0; k < 40; k++)
        CHECK(ndpool_release(p, a[k].handle) == NDPOOL_OK);
    int n;
    CHECK(ndpool_recall_older(p, 0, &n) == NDPOOL_OK && n == 4);
    finish(p);
}

static void test_growing_table(void)
{
    static ndpool_array a[3000];
    ndpool *p = create((ndpool_options){.capacity = 16 << 20, .arrays = 3000});
    for (int k = 0; k < 3000; k++)
        a[k] = bytes(p, 100);
    clean(p);
    for (int k = 0; k < 3000; k++)
        CHECK(ndpool_release(p, a[k].handle) == NDPOOL_OK);
    CHECK(p->over != 0);
    for (int k = 0; k < 50; k++) /* each hold of the lock shortens the caches a little */
        a[k] = bytes(p, 100000);
    CHECK(p->over == 0);
    for (int s = 0; s < STRIPES; s++)
        CHECK(p->caches[s].over == 0 && p->caches[s].count[bin_of(100)] <= cache_limit(bin_of(100)));
    for (int k = 1; k < 50; k++)
        CHECK(ndpool_release(p, a[k].handle) == NDPOOL_OK);
    uint64_t freed;
    CHECK(ndpool_trim(p, &freed) == NDPOOL_OK && freed > 0);
    clean(p);
    ndpool_exit(p);
    CHECK(!exists() && ndpool_closed(p));
    ndpool_free(p);
}

/* Two find at once that a table needs more memory, and one of them is first to commit the last step: the other must go on,
 * and not ask the file system for nothing. */
static void test_grow_after_another(void)
{
    ndpool *p = create((ndpool_options){.capacity = 1 << 20, .arrays = 1024, .names = 1024});
    for (int k = 0; k < 2; k++)
        CHECK(pool_grow_descs(p, 0) == NDPOOL_OK && pool_grow_names(p, 0, 1000) == NDPOOL_OK);
    CHECK(pool_descs(p) == p->arena->n_descs && catalog_committed(p->arena) == p->arena->geo.limits.names);
    CHECK(pool_grow_names(p, catalog_committed(p->arena), 1) == STATUS_NO_ENTRY);
    finish(p);
}

static void test_steal(void)
{
    ndpool *p = create((ndpool_options){.capacity = 1 << 20});
    ndpool *q = open_again();
    ndpool_array a[15], big;
    ndpool_stats_t s;
    for (int k = 0; k < 15; k++)
        a[k] = bytes(p, 60000);
    for (int k = 0; k < 15; k++)
        CHECK(ndpool_release(p, a[k].handle) == NDPOOL_OK);
    big = bytes(q, 900000);
    CHECK(ndpool_stats(q, &s) == NDPOOL_OK && s.stolen > 0);
    CHECK(ndpool_release(q, big.handle) == NDPOOL_OK);
    a[0] = bytes(p, 60000); /* whose list has only stolen blocks */
    CHECK(ndpool_release(p, a[0].handle) == NDPOOL_OK);
    ndpool_free(q);
    finish(p);
}

static void test_retain(void)
{
    ndpool *p = create((ndpool_options){.capacity = 4 << 20});
    ndpool *q = open_again();
    ndpool_array a = bytes(p, 1000), b, c;
    fill(&a, 3);
    CHECK(ndpool_retain(q, a.handle, 0, &b) == NDPOOL_ERR_PRIVATE);
    CHECK(ndpool_share(p, a.handle) == NDPOOL_OK && !ndpool_is_private(p, a.handle));
    CHECK(ndpool_retain(q, a.handle, 0, &b) == NDPOOL_OK && filled(&b, 3) && b.data != a.data);
    CHECK(ndpool_retain(q, a.handle, NDPOOL_READ_ONLY, &c) == NDPOOL_OK && c.flags == NDPOOL_READ_ONLY &&
          c.data != b.data && filled(&c, 3));
    CHECK(ndpool_release(p, a.handle) == NDPOOL_OK && ndpool_release(q, b.handle) == NDPOOL_OK);
    CHECK(filled(&c, 3));
    CHECK(ndpool_release(q, c.handle) == NDPOOL_OK);
    CHECK(ndpool_retain(p, a.handle, 0, &b) == NDPOOL_ERR_STALE);
    CHECK(ndpool_retain(p, 12345, 0, &b) == NDPOOL_ERR_FOREIGN);
    empty(q);
    ndpool_free(q);
    finish(p);
}

static void test_transfers(void)
{
    ndpool *p = create((ndpool_options){.capacity = 4 << 20});
    ndpool *q = open_again(), *r = open_again();
    ndpool_array a = bytes(p, 1000), b;
    ndpool_transfer t, u;
    int n;
    CHECK(ndpool_send(p, a.handle, 0, &t) == NDPOOL_OK && ndpool_release(p, a.handle) == NDPOOL_OK);
    u = t;
    u.ticket += UINT64_C(1) << 32;
    CHECK(ndpool_adopt(q, u, 0, &b) == NDPOOL_ERR_FORGED);
    u.ticket = t.ticket | 0xfffff;
    CHECK(ndpool_adopt(q, u, 0, &b) == NDPOOL_ERR_FORGED);
    CHECK(ndpool_recall(q, t) == NDPOOL_ERR_NOT_SENDER);
    CHECK(ndpool_adopt(q, t, 0, &b) == NDPOOL_OK && b.bytes == 1000);
    CHECK(ndpool_adopt(r, t, 0, &a) == NDPOOL_ERR_SPENT);
    CHECK(ndpool_send(q, b.handle, ndpool_self(p), &t) == NDPOOL_OK);
    CHECK(ndpool_adopt(r, t, 0, &a) == NDPOOL_ERR_NOT_RECEIVER);
    CHECK(ndpool_adopt(p, t, 0, &a) == NDPOOL_OK && ndpool_release(p, a.handle) == NDPOOL_OK);
    CHECK(ndpool_send(q, b.handle, 0, &t) == NDPOOL_OK && ndpool_recall(q, t) == NDPOOL_OK);
    CHECK(ndpool_adopt(p, t, 0, &a) == NDPOOL_ERR_RECALLED);
    CHECK(ndpool_send(q, b.handle, ndpool_self(r), &t) == NDPOOL_OK &&
          ndpool_refuse(r, ndpool_self(q), &n) == NDPOOL_OK && n == 1);
    CHECK(ndpool_adopt(r, t, 0, &a) == NDPOOL_ERR_EXPIRED);
    ndpool_process gone = ndpool_self(r);
    CHECK(ndpool_alive(p, gone));
    ndpool_free(r);
    CHECK(!ndpool_alive(p, gone) && ndpool_send(q, b.handle, gone, &t) == NDPOOL_ERR_DEAD);
    CHECK(ndpool_release(q, b.handle) == NDPOOL_OK);
    ndpool_free(q);
    finish(p);
}

/* A spent transfer is refused without a look at what its array had before the users' bytes: there may be no memory. */
static void test_spent_touches_nothing(void)
{
    ndpool *p = create((ndpool_options){.capacity = 16 << 20});
    ndpool_array stays = bytes(p, 4 << 20), a;
    ndpool_transfer t;
    struct stat before, after;
    uint64_t freed;
    const int64_t shape[11] = {5 << 20, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1}; /* more than a descriptor has room for */
    const ndpool_spec wide = {.dtype = NDPOOL_UINT8, .ndim = 11, .shape = shape};
    CHECK(ndpool_alloc(p, &wide, &a) == NDPOOL_OK && ndpool_send(p, a.handle, 0, &t) == NDPOOL_OK);
    CHECK(ndpool_release(p, a.handle) == NDPOOL_OK);
    CHECK(ndpool_adopt(p, t, 0, &a) == NDPOOL_OK && ndpool_release(p, a.handle) == NDPOOL_OK);
    CHECK(ndpool_trim(p, &freed) == NDPOOL_OK && fstat(p->arena->fd, &before) == 0);
    CHECK(ndpool_adopt(p, t, 0, &a) == NDPOOL_ERR_SPENT && fstat(p->arena->fd, &after) == 0);
    CHECK_EQ(after.st_blocks, before.st_blocks);
    CHECK(ndpool_release(p, stays.handle) == NDPOOL_OK);
    finish(p);
}

static void test_expiry(void)
{
    ndpool *p = create((ndpool_options){.capacity = 4 << 20, .grace = 1});
    ndpool *q = open_again();
    ndpool_array a = bytes(q, 1000);
    ndpool_transfer t;
    ndpool_reaped r;
    CHECK(ndpool_send(q, a.handle, 0, &t) == NDPOOL_OK && ndpool_release(q, a.handle) == NDPOOL_OK);
    ndpool_free(q);
    CHECK(ndpool_adopt(p, t, 0, &a) == NDPOOL_ERR_EXPIRED);
    CHECK(ndpool_reap(p, &r) == NDPOOL_OK && r.expired == 0 && r.processes == 0);
    finish(p);
}

static void test_seal(void)
{
    ndpool *p = create((ndpool_options){.capacity = 4 << 20});
    ndpool *q = open_again();
    ndpool_array a = bytes(p, 1000), b;
    void *data;
    fill(&a, 9);
    CHECK(ndpool_check_hash(p, a.handle) == NDPOOL_ERR_MISMATCH);
    CHECK(ndpool_share(p, a.handle) == NDPOOL_OK && ndpool_retain(q, a.handle, 0, &b) == NDPOOL_OK);
    CHECK(ndpool_seal(p, a.handle, NDPOOL_HASH, &data) == NDPOOL_ERR_HELD);
    CHECK(ndpool_release(q, b.handle) == NDPOOL_OK);
    CHECK(ndpool_seal(p, a.handle, NDPOOL_HASH, &data) == NDPOOL_OK && data != a.data &&
          memcmp(data, a.data, 1000) == 0);
    CHECK(ndpool_seal(p, a.handle, 0, &data) == NDPOOL_ERR_SEALED && ndpool_is_sealed(p, a.handle));
    CHECK(ndpool_retain(q, a.handle, 0, &b) == NDPOOL_OK && b.flags == (NDPOOL_SEALED | NDPOOL_READ_ONLY));
    CHECK(ndpool_check_hash(q, b.handle) == NDPOOL_OK);
    clean(p);
    pid_t pid = fork();
    if (pid == 0) {
        signal(SIGSEGV, SIG_DFL);
        *(volatile char *)b.data = 1;
        _exit(0);
    }
    int end;
    CHECK(waitpid(pid, &end, 0) == pid && (WIFSIGNALED(end) || WEXITSTATUS(end) != 0));
    ((char *)a.data)[5] = 1;
    CHECK(ndpool_check_hash(q, b.handle) == NDPOOL_ERR_HASH);
    CHECK(ndpool_release(p, a.handle) == NDPOOL_OK && ndpool_release(q, b.handle) == NDPOOL_OK);
    ndpool_free(q);
    ndpool_reaped r;
    CHECK(ndpool_reap(p, &r) == NDPOOL_OK && r.processes == 2); /* the child's two attachments */
    finish(p);
}

static void test_receive(void)
{
    ndpool *p = create((ndpool_options){.capacity = 4 << 20});
    ndpool *q = open_again();
    ndpool_array a = bytes(p, 1000), b;
    ndpool_transfer t;
    ndpool_view v = {.offset = 999, .dtype = NDPOOL_UINT8, .ndim = 2, .shape = {10, 10}, .strides = {-100, -1}};
    CHECK(ndpool_send(p, a.handle, 0, &t) == NDPOOL_OK);
    ndpool_message m = {.handle = t.handle, .ticket = t.ticket, .view = &v};
    ndpool_segment(p, m.segment);
    v.offset = 1000;
    CHECK(ndpool_receive(q, &m, 0, &b) == NDPOOL_ERR_MISMATCH);
    v.offset = 0;
    CHECK(ndpool_receive(q, &m, 0, &b) == NDPOOL_ERR_MISMATCH);
    v.offset = 999;
    v.strides[0] = INT64_MIN;
    CHECK(ndpool_receive(q, &m, 0, &b) == NDPOOL_ERR_MESSAGE);
    v.strides[0] = -100;
    m.segment[3] ^= 1;
    CHECK(ndpool_receive(q, &m, 0, &b) == NDPOOL_ERR_FOREIGN);
    m.segment[3] ^= 1;
    CHECK(ndpool_receive(q, &m, 0, &b) == NDPOOL_OK && b.bytes == 1000 && ndpool_release(q, b.handle) == NDPOOL_OK);
    m = (ndpool_message){.handle = t.handle};
    ndpool_segment(p, m.segment);
    CHECK(ndpool_receive(q, &m, 0, &b) == NDPOOL_OK && ndpool_release(q, b.handle) == NDPOOL_OK);
    CHECK(ndpool_release(p, a.handle) == NDPOOL_OK);
    ndpool_free(q);
    finish(p);
}

static void test_options(void)
{
    ndpool *p = create((ndpool_options){.capacity = 70000, .persistent = true, .mode = 0640}), *q;
    ndpool_options o, bad = {.dir = dir, .capacity = 1 << 20};
    ndpool_get_options(p, &o);
    CHECK(o.capacity == 73728 && o.arrays == 1024 && o.processes == 254 && o.tickets == 8192 && o.persistent &&
          o.mode == 0640);
    CHECK(ndpool_open("t", &bad, &q) == NDPOOL_ERR_OPTIONS && q == NULL);
    bad.capacity = 69000;
    CHECK(ndpool_open("t", &bad, &q) == NDPOOL_ERR_OPTIONS);
    bad.capacity = 73000;
    CHECK(ndpool_open("t", &bad, &q) == NDPOOL_OK);
    ndpool_free(q);
    CHECK(ndpool_create("t", &bad, &q) == NDPOOL_ERR_EXIST && ndpool_open("u", &bad, &q) == NDPOOL_ERR_NOT_EXIST);
    bad.tickets = -1;
    CHECK(ndpool_create("u", &bad, &q) == NDPOOL_ERR_OPTIONS && ndpool_create("a/b", &bad, &q) != NDPOOL_OK);
    ndpool_close(p);
    ndpool_close(p);
    CHECK(exists() && ndpool_closed(p) && ndpool_created(p) > 0 && strstr(ndpool_path(p), "/t"));
    int fd;
    ndpool_array a;
    CHECK(ndpool_file(p, &fd) == NDPOOL_ERR_CLOSED && try_bytes(p, 1, &a) == NDPOOL_ERR_CLOSED);
    CHECK(fast_bytes(p, 1, &a) == NDPOOL_ERR_CLOSED && ndpool_release(p, 1) == NDPOOL_ERR_FOREIGN &&
          ndpool_self(p) == 0);
    CHECK(ndpool_open_or_create("t", &(ndpool_options){.dir = dir}, &q) == NDPOOL_OK);
    CHECK(memcmp(q->segment, p->segment, 16) == 0);
    CHECK(ndpool_unlink("t", &(ndpool_options){.dir = dir}) == NDPOOL_OK && !exists());
    ndpool_free(q);
    ndpool_free(p);
}

static void test_close_under_arrays(void)
{
    ndpool *p = create((ndpool_options){.capacity = 4 << 20});
    ndpool_array a = bytes(p, 1000), b;
    CHECK(ndpool_share(p, a.handle) == NDPOOL_OK);
    ndpool_close(p);
    CHECK(exists() && try_bytes(p, 1, &b) == NDPOOL_ERR_CLOSED &&
          ndpool_retain(p, a.handle, 0, &b) == NDPOOL_ERR_CLOSED);
    fill(&a, 1);
    CHECK(ndpool_ref(p, a.handle) == NDPOOL_OK && ndpool_release(p, a.handle) == NDPOOL_OK && exists());
    CHECK(ndpool_release(p, a.handle) == NDPOOL_OK && !exists());
    CHECK(ndpool_release(p, a.handle) == NDPOOL_ERR_STALE && ndpool_share(p, a.handle) == NDPOOL_ERR_STALE);
    ndpool_free(p);
    p = create((ndpool_options){.capacity = 4 << 20});
    a = bytes(p, 1000);
    ndpool_free(p);
    CHECK(exists() && filled(&a, *(uint8_t *)a.data));
    CHECK(ndpool_release(p, a.handle) == NDPOOL_OK && !exists());
    ndpool_free(NULL);
}

/* ---- threads */

typedef struct job {
    ndpool *pool;
    ndpool_array held[50];
    _Atomic bool *stop;
    unsigned seed;
} job;

static void *release_all(void *arg)
{
    job *j = arg;
    for (int k = 0; k < 50; k++)
        CHECK(ndpool_release(j->pool, j->held[k].handle) == NDPOOL_OK);
    return NULL;
}

/* The last of many threads ends an abandoned pool. */
static void test_free_race(void)
{
    for (int round = 0; round < 20; round++) {
        static job jobs[4];
        pthread_t threads[4];
        ndpool *p = create((ndpool_options){.capacity = 4 << 20});
        for (int t = 0; t < 4; t++) {
            jobs[t].pool = p;
            for (int k = 0; k < 50; k++)
                jobs[t].held[k] = bytes(p, 100 * (k + 1));
        }
        for (int t = 0; t < 4; t++)
            CHECK(pthread_create(&threads[t], NULL, release_all, &jobs[t]) == 0);
        ndpool_free(p);
        for (int t = 0; t < 4; t++)
            pthread_join(threads[t], NULL);
        CHECK(!exists());
    }
}

static void hammer_once(job *j)
{
    ndpool_array a = bytes(j->pool, rand_r(&j->seed) % 20000), b;
    ndpool_transfer t;
    int way = rand_r(&j->seed) % 4;
    if (way == 0 && ndpool_send(j->pool, a.handle, 0, &t) == NDPOOL_OK) {
        CHECK(ndpool_release(j->pool, a.handle) == NDPOOL_OK);
        CHECK(ndpool_adopt(j->pool, t, 0, &a) == NDPOOL_OK);
    }
    if (way == 1) {
        CHECK(ndpool_share(j->pool, a.handle) == NDPOOL_OK &&
              ndpool_retain(j->pool, a.handle, NDPOOL_READ_ONLY, &b) == NDPOOL_OK);
        CHECK(ndpool_release(j->pool, b.handle) == NDPOOL_OK);
    }
    CHECK(ndpool_release(j->pool, a.handle) == NDPOOL_OK);
}

static void *hammer(void *arg)
{
    job *j = arg;
    while (!atomic_load(j->stop))
        hammer_once(j);
    return NULL;
}

/* ---- forks */

static void reap_child(pid_t pid)
{
    int end;
    CHECK(waitpid(pid, &end, 0) == pid);
    CHECK(WIFEXITED(end) && WEXITSTATUS(end) == 0);
}

static void wait_byte(int fd)
{
    char c;
    CHECK(read(fd, &c, 1) >= 0);
}

static void test_fork_keeps(void)
{
    int go[2];
    CHECK(pipe(go) == 0);
    ndpool *p = create((ndpool_options){.capacity = 4 << 20});
    ndpool_array a = bytes(p, 1000), b = bytes(p, 5000);
    ndpool_process parent = ndpool_self(p);
    fill(&a, 1);
    fill(&b, 2);
    CHECK(ndpool_ref(p, a.handle) == NDPOOL_OK && ndpool_share(p, b.handle) == NDPOOL_OK);
    pid_t pid = fork();
    if (pid == 0) {
        wait_byte(go[0]); /* the parent has released everything */
        CHECK(ndpool_self(p) != 0 && ndpool_self(p) != parent && ndpool_alive(p, parent));
        CHECK(filled(&a, 1) && filled(&b, 2) && !ndpool_is_private(p, a.handle));
        ndpool_array c = bytes(p, 1000);
        fill(&c, 3);
        clean(p);
        for (int k = 0; k < 2; k++)
            CHECK(filled(&a, 1) && ndpool_release(p, a.handle) == NDPOOL_OK);
        CHECK(ndpool_release(p, a.handle) == NDPOOL_ERR_STALE);
        CHECK(ndpool_release(p, b.handle) == NDPOOL_OK && ndpool_release(p, c.handle) == NDPOOL_OK);
        ndpool_free(p);
        CHECK(exists());
        _exit(0);
    }
    for (int k = 0; k < 2; k++)
        CHECK(ndpool_release(p, a.handle) == NDPOOL_OK);
    CHECK(ndpool_release(p, a.handle) == NDPOOL_ERR_STALE && ndpool_release(p, b.handle) == NDPOOL_OK);
    ndpool_array mine[40];
    for (int k = 0; k < 40; k++) {
        mine[k] = bytes(p, 1000);
        fill(&mine[k], 9);
    }
    CHECK(write(go[1], "x", 1) == 1);
    reap_child(pid);
    for (int k = 0; k < 40; k++)
        CHECK(filled(&mine[k], 9) && ndpool_release(p, mine[k].handle) == NDPOOL_OK);
    close(go[0]);
    close(go[1]);
    finish(p);
}

/* A process that forks and dies leaves all to its child. */
static void test_fork_orphan(void)
{
    int done[2], gone[2];
    CHECK(pipe(done) == 0 && pipe(gone) == 0);
    pid_t pid = fork();
    if (pid == 0) {
        ndpool *p = create((ndpool_options){.capacity = 4 << 20});
        ndpool_array a = bytes(p, 1000);
        fill(&a, 5);
        if (fork() != 0)
            _exit(0);
        close(gone[1]);
        wait_byte(gone[0]);
        ndpool_reaped r;
        CHECK(ndpool_reap(p, &r) == NDPOOL_OK && r.processes == 1 && filled(&a, 5));
        clean(p);
        CHECK(ndpool_release(p, a.handle) == NDPOOL_OK);
        ndpool_free(p);
        CHECK(write(done[1], "x", 1) == 1);
        _exit(0);
    }
    reap_child(pid);
    close(gone[1]);
    close(done[1]);
    char c;
    CHECK(read(done[0], &c, 1) == 1 && !exists());
    close(gone[0]);
    close(done[0]);
}

static void test_fork_killed(void)
{
    ndpool *p = create((ndpool_options){.capacity = 4 << 20, .processes = 2});
    ndpool_array a = bytes(p, 1000);
    ndpool_reaped r;
    for (int k = 0; k < 3; k++) { /* from the second on its slot is a dead one's */
        pid_t pid = fork();
        if (pid == 0) {
            CHECK(ndpool_self(p) != 0 && filled(&a, *(uint8_t *)a.data));
            bytes(p, 3000);
            kill(getpid(), SIGKILL);
        }
        CHECK(waitpid(pid, NULL, 0) == pid);
    }
    CHECK(ndpool_release(p, a.handle) == NDPOOL_OK);
    CHECK(ndpool_reap(p, &r) == NDPOOL_OK && r.processes == 1);
    finish(p);
}

/* In a process that is not attached every verb is refused, and an end is harmless. */
static void refused(ndpool *p, const ndpool_array *a)
{
    ndpool_array b;
    ndpool_transfer t;
    ndpool_reaped r;
    uint64_t n;
    CHECK(try_bytes(p, 100, &b) == NDPOOL_ERR_FORKED && fast_bytes(p, 100, &b) == NDPOOL_ERR_FORKED);
    CHECK(ndpool_release(p, a->handle) == NDPOOL_ERR_FORKED && ndpool_ref(p, a->handle) == NDPOOL_ERR_FORKED);
    CHECK(ndpool_send(p, a->handle, 0, &t) == NDPOOL_ERR_FORKED &&
          ndpool_retain(p, a->handle, 0, &b) == NDPOOL_ERR_FORKED);
    CHECK(ndpool_share(p, a->handle) == NDPOOL_ERR_FORKED && ndpool_reap(p, &r) == NDPOOL_ERR_FORKED);
    CHECK(ndpool_trim(p, &n) == NDPOOL_ERR_FORKED && ndpool_self(p) == 0 && !ndpool_alive(p, 1) &&
          !ndpool_is_sealed(p, a->handle));
    ndpool_exit(p);
    ndpool_close(p);
    CHECK(ndpool_closed(p) && exists());
    ndpool_free(p);
}

static void test_fork_full(void)
{
    ndpool *p = create((ndpool_options){.capacity = 4 << 20, .processes = 1});
    ndpool_array a = bytes(p, 1000);
    fill(&a, 4);
    pid_t pid = fork();
    if (pid == 0) {
        refused(p, &a);
        CHECK(syscall(SYS_msync, (uintptr_t)a.data & ~UINT64_C(4095), 4096, MS_ASYNC) == -1); /* there is no mapping */
        pid = fork();
        if (pid == 0)
            _exit(0);
        reap_child(pid);
        _exit(0);
    }
    reap_child(pid);
    CHECK(filled(&a, 4) && ndpool_release(p, a.handle) == NDPOOL_OK);
    finish(p);
}

static void test_raw_fork(void)
{
    ndpool *p = create((ndpool_options){.capacity = 4 << 20});
    ndpool_array a = bytes(p, 1000);
    pid_t pid = (pid_t)syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0);
    if (pid == 0) {
        refused(p, &a);
        _exit(0);
    }
    reap_child(pid);
    CHECK(ndpool_release(p, a.handle) == NDPOOL_OK);
    finish(p);
}

/* Both halves of a closed pool end by their last reference. */
static void test_fork_closed(void)
{
    ndpool *p = create((ndpool_options){.capacity = 4 << 20});
    ndpool_array a = bytes(p, 1000);
    ndpool_free(p);
    pid_t pid = fork();
    if (pid == 0) {
        CHECK(ndpool_release(p, a.handle) == NDPOOL_OK && exists());
        _exit(0);
    }
    reap_child(pid);
    CHECK(ndpool_release(p, a.handle) == NDPOOL_OK && !exists());
}

/* Grandchildren, two pools and a pool that has left. */
static void test_fork_deep(void)
{
    ndpool *p = create((ndpool_options){.capacity = 4 << 20}), *q = open_again(), *gone = open_again();
    ndpool_array a = bytes(p, 1000), b = bytes(q, 1000);
    ndpool_close(gone);
    fill(&a, 6);
    pid_t pid = fork();
    if (pid == 0) {
        pid_t grandchild = fork();
        if (grandchild == 0) {
            CHECK(filled(&a, 6) && ndpool_release(p, a.handle) == NDPOOL_OK &&
                  ndpool_release(q, b.handle) == NDPOOL_OK);
            ndpool_free(p);
            ndpool_free(q);
            _exit(0);
        }
        reap_child(grandchild);
        clean(q);
        CHECK(try_bytes(gone, 1, &b) != NDPOOL_OK);
        ndpool_free(gone);
        ndpool_exit(p);
        ndpool_exit(q);
        CHECK(ndpool_release(p, a.handle) != NDPOOL_OK && filled(&a, 6));
        _exit(0);
    }
    reap_child(pid);
    ndpool_free(gone);
    CHECK(ndpool_release(p, a.handle) == NDPOOL_OK && ndpool_release(q, b.handle) == NDPOOL_OK);
    ndpool_free(q);
    ndpool_reaped r;
    CHECK(ndpool_reap(p, &r) == NDPOOL_OK && r.processes == 0);
    finish(p);
}

static void hammered_child(ndpool *p)
{
    job j = {.pool = p, .seed = (unsigned)getpid()};
    CHECK(ndpool_self(p) != 0);
    for (int k = 0; k < 100; k++)
        hammer_once(&j);
    ndpool_exit(p);
    _exit(0);
}

static void test_fork_hammer(void)
{
    ndpool *p = create((ndpool_options){.capacity = 16 << 20});
    static job jobs[4];
    pthread_t threads[4];
    _Atomic bool stop = false;
    for (unsigned t = 0; t < 4; t++) {
        jobs[t] = (job){.pool = p, .stop = &stop, .seed = t};
        CHECK(pthread_create(&threads[t], NULL, hammer, &jobs[t]) == 0);
    }
    for (int k = 0; k < 150; k++) {
        usleep(300);
        pid_t pid = fork();
        if (pid == 0)
            hammered_child(p);
        reap_child(pid);
    }
    atomic_store(&stop, true);
    for (int t = 0; t < 4; t++)
        pthread_join(threads[t], NULL);
    finish(p);
}

/* ---- benchmark */

static double round_of_pairs(ndpool *p, int64_t n, int pairs)
{
    ndpool_array a;
    ndpool_spec s = {.dtype = NDPOOL_UINT8, .ndim = 1, .shape = &n, .flags = NDPOOL_FAST};
    int64_t start = mono_time();
    for (int k = 0; k < pairs; k++) {
        if (ndpool_alloc(p, &s, &a) != NDPOOL_OK || ndpool_release(p, a.handle) != NDPOOL_OK)
            CHECK(false);
    }
    return (double)(mono_time() - start) / pairs;
}

/* The median and the best of many short rounds: other processes disturb some of them. */
static void bench(ndpool *p, int64_t n)
{
    enum { ROUNDS = 101, PAIRS = 50000 };
    double ns[ROUNDS];
    ndpool_array a = bytes(p, n);
    CHECK(ndpool_release(p, a.handle) == NDPOOL_OK);
    for (int k = 0; k < ROUNDS; k++)
        ns[k] = round_of_pairs(p, n, PAIRS);
    for (int k = 1; k < ROUNDS; k++) {
        for (int m = k; m > 0 && ns[m] < ns[m - 1]; m--) {
            double t = ns[m];
            ns[m] = ns[m - 1];
            ns[m - 1] = t;
        }
    }
    printf("%" PRId64 " bytes: %.1f ns, best %.1f ns\n", n, ns[ROUNDS / 2], ns[0]);
}

int main(int argc, char **argv)
{
    make_dir();
    if (argc > 2 && strcmp(argv[2], "bench") == 0) {
        ndpool *p = create((ndpool_options){.capacity = 64 << 20});
        for (int k = 0; k < 3; k++) {
            bench(p, 64);
            bench(p, 4096);
        }
        ndpool_free(p);
        rmdir(dir);
        return 0;
    }
    static const struct {
        const char *name;
        void (*run)(void);
    } tests[] = {
        {"bins", test_bins}, {"reuse", test_reuse}, {"shapes", test_shapes}, {"structured", test_structured},
        {"bad specs", test_bad_specs}, {"too large", test_too_large}, {"wait", test_wait},
        {"table full", test_table_full},
        {"growing table", test_growing_table}, {"grow after another", test_grow_after_another},
        {"steal", test_steal}, {"retain", test_retain},
        {"transfers", test_transfers}, {"spent", test_spent_touches_nothing},
        {"expiry", test_expiry}, {"seal", test_seal}, {"receive", test_receive}, {"options", test_options},
        {"close under arrays", test_close_under_arrays}, {"free race", test_free_race}, {"fork keeps", test_fork_keeps},
        {"fork orphan", test_fork_orphan}, {"fork killed", test_fork_killed}, {"fork full", test_fork_full},
        {"raw fork", test_raw_fork}, {"fork closed", test_fork_closed}, {"fork deep", test_fork_deep},
        {"fork hammer", test_fork_hammer},
    };
    for (size_t k = 0; k < sizeof tests / sizeof *tests; k++) {
        if (argc > 2 && strcmp(argv[2], tests[k].name) != 0)
            continue;
        tests[k].run();
        if (getenv("VERBOSE"))
            printf("ok %s\n", tests[k].name);
    }
    CHECK(rmdir(dir) == 0);
    return 0;
}
