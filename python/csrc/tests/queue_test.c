/* Queues: two attachments of one process beside each other, threads, forks, deaths. Twin of pool/queue_test.go. "queue_test ROOT NAME"
 * runs one test; "bench" measures a put and a get. */
#include "tests/rings.h"

static int put(ndpool_queue *b, ndpool *r, int64_t v, int64_t wait)
{
    ndpool_put e = {.array = number(r, v), .kind = NDPOOL_ITEM_ARRAY};
    int status = ndpool_queue_put(b, &e, 1, wait, NULL, NULL, NULL);
    OK(ndpool_release(r, e.array));
    return status;
}

static int64_t get(ndpool_queue *b, ndpool *r)
{
    ndpool_got g;
    size_t n;
    if (!OK(ndpool_queue_get(b, 1, &g, 1, PATIENCE, NULL, NULL, &n)))
        return -1;
    CHECK_EQ(n, 1);
    CHECK(g.kind == NDPOOL_ITEM_ARRAY && g.more == 0);
    int64_t v = value(&g.array);
    OK(ndpool_release(r, g.array.handle));
    return v;
}

static void test_order(void)
{
    ndpool_queue *a, *b;
    ndpool_queue_info info;
    both();
    OK(ndpool_queue_open(p, "jobs", &(ndpool_ring_options){.entries = 4}, &a));
    OK(ndpool_queue_open(q, "jobs", NULL, &b));
    for (int k = 0; k < 4; k++)
        OK(put(a, p, k, 0));
    STATUS(put(a, p, 9, BRIEF), NDPOOL_ERR_TIMEOUT);
    OK(ndpool_queue_look(b, &info));
    CHECK(info.items == 4 && info.entries == 4 && info.limit == 4 && !info.shut);
    verify(p);
    for (int k = 0; k < 4; k++)
        CHECK_EQ(get(b, q), k);
    OK(ndpool_queue_look(b, &info));
    CHECK(info.items == 0 && info.entries == 0);
    ndpool_queue_close(a);
    ndpool_queue_close(b);
    done();
}

static int shut_of(ndpool_queue *b)
{
    ndpool_queue_info info;
    OK(ndpool_queue_look(b, &info));
    return info.shut;
}

static uint64_t length(ndpool_queue *b)
{
    ndpool_queue_info info;
    OK(ndpool_queue_look(b, &info));
    return info.items;
}

static int get_status(ndpool_queue *b, size_t size, int64_t wait)
{
    ndpool_got g[8];
    size_t n;
    return ndpool_queue_get(b, 0, g, size, wait, NULL, NULL, &n);
}

/* An item with arrays that belong to it, numbered from v on. */
static int put_item(ndpool_queue *b, ndpool *r, int64_t v, size_t n, bool back)
{
    ndpool_put e[300];
    for (size_t k = 0; k < n; k++)
        e[k] = (ndpool_put){.array = number(r, v + (int64_t)k), .kind = k == 0 ? NDPOOL_ITEM_PICKLE : 0};
    int status = back ? ndpool_queue_put_back(b, e, n, 0, NULL, NULL) : ndpool_queue_put(b, e, n, 0, NULL, NULL, NULL);
    for (size_t k = 0; k < n; k++)
        OK(ndpool_release(r, e[k].array));
    return status;
}

static void expect_item(ndpool_queue *b, ndpool *r, int64_t v, size_t n)
{
    static ndpool_got g[300];
    size_t got = 0;
    if (!OK(ndpool_queue_get(b, 1, g, 300, 0, NULL, NULL, &got)) || !CHECK_EQ(got, n))
        return;
    CHECK(g[0].kind == NDPOOL_ITEM_PICKLE && g[0].more == n - 1);
    for (size_t k = 0; k < n; k++) {
        CHECK_EQ(value(&g[k].array), v + (int64_t)k);
        CHECK(k == 0 || (g[k].kind == 0 && g[k].more == 0));
        OK(ndpool_release(r, g[k].array.handle));
    }
}

static void test_items(void)
{
    ndpool_queue *a, *b;
    ndpool_got g[8];
    size_t n, put_n = 9;
    both();
    OK(ndpool_queue_open(p, "jobs", &(ndpool_ring_options){.entries = 6}, &a));
    OK(ndpool_queue_open(q, "jobs", NULL, &b));
    OK(put_item(a, p, 10, 3, false));
    OK(put_item(a, p, 20, 1, false));
    OK(put_item(a, p, 30, 2, false));
    CHECK_EQ(length(b), 3);
    verify(p);
    STATUS(put_item(a, p, 40, 7, false), NDPOOL_ERR_TOO_LONG);
    CHECK(ndpool_last_error()->asked == 7 && ndpool_last_error()->limit == 6);
    STATUS(get_status(b, 2, 0), NDPOOL_ERR_TOO_LONG);
    CHECK(ndpool_last_error()->asked == 3 && ndpool_last_error()->limit == 2);
    CHECK_EQ(length(b), 3);
    expect_item(b, q, 10, 3);
    OK(put_item(a, p, 50, 3, false)); /* it goes round */
    OK(ndpool_queue_get(b, 2, g, 8, 0, NULL, NULL, &n)); /* as many items */
    CHECK(n == 3 && g[0].more == 0 && g[1].more == 1);
    for (size_t k = 0; k < n; k++)
        OK(ndpool_release(q, g[k].array.handle));
    OK(put_item(a, p, 60, 3, false));
    OK(ndpool_queue_get(b, 0, g, 5, 0, NULL, NULL, &n)); /* as many entries: whole items */
    CHECK(n == 3 && value(&g[0].array) == 50);
    for (size_t k = 0; k < n; k++)
        OK(ndpool_release(q, g[k].array.handle));
    expect_item(b, q, 60, 3);

    /* Each item whole: what fits is put. */
    ndpool_put e[8];
    for (int k = 0; k < 8; k++)
        e[k] = (ndpool_put){.array = number(p, k), .kind = k % 3 == 0 ? NDPOOL_ITEM_ARRAY : 0};
    STATUS(ndpool_queue_put(a, e, 8, BRIEF, NULL, NULL, &put_n), NDPOOL_ERR_TIMEOUT);
    CHECK_EQ(put_n, 6);
    CHECK_EQ(length(b), 2);
    STATUS(ndpool_queue_put(a, e + 1, 2, 0, NULL, NULL, &put_n), NDPOOL_ERR_KIND);
    CHECK_EQ(put_n, 0);
    OK(ndpool_queue_put(a, NULL, 0, 0, NULL, NULL, &put_n));
    for (int k = 0; k < 8; k++)
        OK(ndpool_release(p, e[k].array));
    STATUS(ndpool_queue_put(a, e, 1, 0, NULL, NULL, NULL), NDPOOL_ERR_STALE);
    ndpool_queue_close(a);
    ndpool_queue_close(b);
    done();
}

static void test_shut(void)
{
    ndpool_queue *a, *b;
    both();
    OK(ndpool_queue_open(p, "jobs", NULL, &a));
    OK(ndpool_queue_open(q, "jobs", NULL, &b));
    OK(put(a, p, 1, 0));
    OK(put(a, p, 2, 0));
    OK(ndpool_queue_shut(b));
    CHECK(shut_of(a) && shut_of(b));
    STATUS(put(a, p, 3, PATIENCE), NDPOOL_ERR_SHUT);
    CHECK_EQ(get(b, q), 1);
    OK(put_item(b, q, 7, 1, true)); /* what was got may go back */
    expect_item(a, p, 7, 1);
    CHECK_EQ(get(b, q), 2);
    STATUS(get_status(b, 1, PATIENCE), NDPOOL_ERR_SHUT);
    verify(p);
    ndpool_queue_close(a);
    ndpool_queue_close(b);
    done();
}

static void test_put_back(void)
{
    ndpool_queue *a;
    both();
    OK(ndpool_queue_open(p, "jobs", &(ndpool_ring_options){.entries = 4}, &a));
    STATUS(put_item(a, p, 5, 1, true), NDPOOL_ERR_MISMATCH); /* nothing was ever got */
    OK(put_item(a, p, 10, 2, false));
    OK(put_item(a, p, 20, 2, false));
    expect_item(a, p, 10, 2);
    OK(put_item(a, p, 30, 2, true));
    STATUS(put_item(a, p, 40, 1, true), NDPOOL_ERR_MISMATCH);
    verify(p);
    expect_item(a, p, 30, 2);
    OK(put_item(a, p, 50, 1, false));
    STATUS(put_item(a, p, 60, 2, true), NDPOOL_ERR_TIMEOUT);
    expect_item(a, p, 20, 2);
    expect_item(a, p, 50, 1);
    ndpool_queue_close(a);
    done();
}

/* A queue without a name goes from process to process by its handle. */
static void test_nameless(void)
{
    ndpool_queue *a, *b, *c, *d;
    ndpool_transfer t;
    ndpool_stats_t s;
    both();
    OK(ndpool_queue_open(p, NULL, &(ndpool_ring_options){.entries = 8}, &a));
    OK(put(a, p, 1, 0));
    OK(put(a, p, 2, 0));
    OK(put(a, p, 3, 0));
    OK(ndpool_queue_retain(q, ndpool_queue_handle(a), &b));
    CHECK_EQ(get(b, q), 1);
    OK(ndpool_send(p, ndpool_queue_handle(a), 0, &t));
    ndpool_queue_close(a);
    ndpool_queue_close(b); /* it is on its way */
    OK(ndpool_queue_adopt(q, t, &c));
    CHECK_EQ(get(c, q), 2);
    STATUS(ndpool_queue_adopt(q, t, &d), NDPOOL_ERR_SPENT);
    CHECK(d == NULL);
    ndpool_handle h = ndpool_queue_handle(c);
    verify(p);
    ndpool_queue_close(c); /* the last holder: what is in it goes, too */
    STATUS(ndpool_queue_retain(q, h, &d), NDPOOL_ERR_STALE);
    OK(ndpool_stats(p, &s));
    CHECK_EQ(s.arrays, 0);
    done();
}

/* The last reference may be ended by what knows of no rings: a list of names, a release, a recall. */
static void test_last_release(void)
{
    ndpool_queue *a;
    ndpool_names *l;
    ndpool_transfer t;
    ndpool_stats_t s;
    both();
    for (int how = 0; how < 3; how++) {
        OK(ndpool_queue_open(p, "g/jobs", NULL, &a));
        for (int k = 0; k < 100; k++)
            OK(put(a, p, k, 0));
        if (how == 0) {
            OK(ndpool_list(q, "", &l));
            CHECK(l->n == 2 && l->names[1].array == ndpool_queue_handle(a) && l->names[1].flags & NDPOOL_RING);
            CHECK(l->names[1].owner == 0 && !(l->names[1].flags & NDPOOL_PERSISTENT));
        }
        if (how == 1)
            OK(ndpool_ref(p, ndpool_queue_handle(a)));
        if (how == 2)
            OK(ndpool_send(p, ndpool_queue_handle(a), 0, &t));
        ndpool_handle h = ndpool_queue_handle(a);
        ndpool_queue_close(a);
        OK(ndpool_remove(q, "g/jobs", 0, 0, NULL));
        OK(ndpool_stats(p, &s));
        CHECK_EQ(s.arrays, 101);
        if (how == 0)
            ndpool_names_free(q, l);
        if (how == 1)
            OK(ndpool_release(p, h));
        if (how == 2)
            OK(ndpool_recall(p, t));
        OK(ndpool_stats(p, &s));
        CHECK_EQ(s.arrays, 0);
        verify(p);
    }
    done();
}

/* Entries keep the arrays of processes that are gone, and a named queue with entries keeps the pool. */
static void test_last_one_out(void)
{
    ndpool_queue *a;
    both();
    OK(ndpool_queue_open(p, "jobs", NULL, &a));
    OK(put(a, p, 1, 0));
    OK(put(a, p, 2, 0));
    ndpool_queue_close(a);
    ndpool_free(q);
    ndpool_free(p);
    CHECK(exists());
    ndpool_condition_t condition;
    OK(ndpool_peek("t", &(ndpool_options){.dir = dir}, &p));
    OK(ndpool_condition(p, &condition));
    CHECK_EQ(condition, NDPOOL_COND_IDLE);
    ndpool_free(p);
    OK(ndpool_open_or_create("t", &(ndpool_options){.dir = dir}, &p));
    OK(ndpool_queue_open(p, "jobs", NULL, &a));
    CHECK_EQ(get(a, p), 1);
    CHECK_EQ(get(a, p), 2);
    ndpool_queue_close(a);
    ndpool_free(p); /* with its last entry the queue keeps nothing */
    CHECK(!exists());
    both();
    OK(ndpool_queue_open(p, "jobs", &(ndpool_ring_options){.flags = NDPOOL_PERSISTENT}, &a));
    ndpool_queue_close(a);
    ndpool_free(q);
    ndpool_free(p);
    CHECK(exists());
    p = open_again();
    q = open_again();
    done();
}

/* ---- processes */

static ndpool_queue *shared;

static void use_in_child(void)
{
    OK(put(shared, p, 100, 0)); /* a fork has the queue, and its own attachments */
    CHECK_EQ(get(shared, p), 1);
    ndpool_queue_close(shared);
    ndpool_free(q);
    ndpool_free(p);
}

static void die_holding(void)
{
    ndpool_got g[2];
    size_t n;
    OK(ndpool_queue_get(shared, 1, g, 2, 0, NULL, NULL, &n)); /* it goes with this process */
    OK(put(shared, p, 200, 0));                               /* this does not */
    kill(getpid(), SIGKILL);
}

static void test_fork(void)
{
    both();
    OK(ndpool_queue_open(p, "jobs", NULL, &shared));
    OK(put(shared, p, 1, 0));
    in_child(use_in_child);
    CHECK_EQ(get(shared, p), 100);
    OK(put(shared, p, 2, 0));
    pid_t pid = fork();
    if (pid == 0)
        die_holding();
    int status;
    CHECK(waitpid(pid, &status, 0) == pid && WIFSIGNALED(status));
    CHECK_EQ(get(shared, p), 200);
    CHECK_EQ(length(shared), 0);
    ndpool_queue_close(shared);
    done();
}

/* ---- threads */

static void *shut_late(void *arg)
{
    (void)arg;
    spin_nap(20000000);
    OK(ndpool_queue_shut(shared));
    return NULL;
}

static void *get_until_shut(void *arg)
{
    (void)arg;
    STATUS(get_status(shared, 8, PATIENCE), NDPOOL_ERR_SHUT);
    return NULL;
}

/* All who sleep are told, whatever they wait for. */
static void test_shut_wakes(void)
{
    pthread_t t[4];
    both();
    ring_max_sleep = PATIENCE;
    for (int full = 0; full < 2; full++) {
        OK(ndpool_queue_open(p, NULL, &(ndpool_ring_options){.entries = 1}, &shared));
        if (full)
            OK(put(shared, p, 1, 0));
        for (int k = 0; k < 3 && !full; k++)
            CHECK(pthread_create(&t[k], NULL, get_until_shut, NULL) == 0);
        CHECK(pthread_create(&t[3], NULL, shut_late, NULL) == 0);
        if (full)
            STATUS(put(shared, p, 2, PATIENCE), NDPOOL_ERR_SHUT);
        for (int k = full ? 3 : 0; k < 4; k++)
            pthread_join(t[k], NULL);
        ndpool_queue_close(shared);
    }
    ring_max_sleep = 50000000;
    done();
}

enum { PRODUCERS = 3, CONSUMERS = 3, EACH = 3000 };
static _Atomic int64_t total, count;

static void *produce(void *arg)
{
    ndpool *of = arg;
    for (int k = 0; k < EACH;) {
        ndpool_put e[6];
        int n = 1 + k % 3, entries = 0;
        for (int i = 0; i < n && k < EACH; i++, k++) {
            e[entries++] = (ndpool_put){.array = number(of, k), .kind = NDPOOL_ITEM_ARRAY};
            if (k % 4 == 0)
                e[entries++] = (ndpool_put){.array = number(of, -k)};
        }
        OK(ndpool_queue_put(shared, e, (size_t)entries, PATIENCE, NULL, NULL, NULL));
        for (int i = 0; i < entries; i++)
            OK(ndpool_release(of, e[i].array));
    }
    return NULL;
}

static void *consume(void *arg)
{
    ndpool *of = arg;
    for (;;) {
        ndpool_got g[8];
        size_t n;
        int status = ndpool_queue_get(shared, 0, g, 8, PATIENCE, NULL, NULL, &n);
        if (status == NDPOOL_ERR_SHUT || !OK(status))
            return NULL;
        for (size_t k = 0; k < n; k++) {
            if (g[k].kind != 0) {
                atomic_fetch_add(&total, value(&g[k].array));
                atomic_fetch_add(&count, 1);
                CHECK_EQ(g[k].more, value(&g[k].array) % 4 == 0);
            } else {
                CHECK_EQ(value(&g[k].array), -value(&g[k - 1].array));
            }
        }
        for (size_t k = 0; k < n; k++)
            OK(ndpool_release(p, g[k].array.handle));
        (void)of;
    }
}

/* Everything that was put is got, once; nobody is left asleep, though no sleep ends by itself. */
static void test_threads(void)
{
    pthread_t put_t[PRODUCERS], get_t[CONSUMERS];
    both();
    ring_max_sleep = PATIENCE;
    OK(ndpool_queue_open(p, "jobs", &(ndpool_ring_options){.entries = 8}, &shared));
    atomic_store(&total, 0);
    atomic_store(&count, 0);
    for (int k = 0; k < CONSUMERS; k++)
        CHECK(pthread_create(&get_t[k], NULL, consume, p) == 0);
    for (int k = 0; k < PRODUCERS; k++)
        CHECK(pthread_create(&put_t[k], NULL, produce, p) == 0);
    for (int k = 0; k < PRODUCERS; k++)
        pthread_join(put_t[k], NULL);
    OK(ndpool_queue_shut(shared));
    for (int k = 0; k < CONSUMERS; k++)
        pthread_join(get_t[k], NULL);
    CHECK_EQ(atomic_load(&count), PRODUCERS * EACH);
    CHECK_EQ(atomic_load(&total), (int64_t)PRODUCERS * EACH * (EACH - 1) / 2);
    ring_max_sleep = 50000000;
    ndpool_queue_close(shared);
    done();
}

/* ---- measuring */

static void bench(void)
{
    ndpool_queue *a, *b;
    enum { ITEMS = 200000 };
    both();
    OK(ndpool_queue_open(p, NULL, NULL, &a));
    OK(ndpool_queue_retain(q, ndpool_queue_handle(a), &b));
    ndpool_put e = {.array = number(p, 1), .kind = NDPOOL_ITEM_ARRAY};
    int64_t start = cpu_time();
    for (int k = 0; k < ITEMS; k++) {
        ndpool_got g;
        size_t n;
        OK(ndpool_queue_put(a, &e, 1, 0, NULL, NULL, NULL));
        OK(ndpool_queue_get(b, 1, &g, 1, 0, NULL, NULL, &n));
        OK(ndpool_release(q, g.array.handle));
    }
    printf("put, get and release of one array: %.0f ns of CPU\n", (double)(cpu_time() - start) / ITEMS);
    enum { BATCH = 64 };
    static ndpool_put es[BATCH];
    static ndpool_got gs[BATCH];
    for (int k = 0; k < BATCH; k++)
        es[k] = e;
    start = cpu_time();
    for (int k = 0; k < ITEMS / BATCH; k++) {
        size_t n;
        OK(ndpool_queue_put(a, es, BATCH, 0, NULL, NULL, NULL));
        OK(ndpool_queue_get(b, 0, gs, BATCH, 0, NULL, NULL, &n));
        for (int i = 0; i < BATCH; i++)
            OK(ndpool_release(q, gs[i].array.handle));
    }
    printf("the same in batches of %d: %.0f ns of CPU\n", BATCH, (double)(cpu_time() - start) / (ITEMS / BATCH * BATCH));
    OK(ndpool_release(p, e.array));
    ndpool_queue_close(a);
    ndpool_queue_close(b);
    done();
}

int main(int argc, char **argv)
{
    static const test tests[] = {
        {"order", test_order},       {"items", test_items},       {"shut", test_shut},   {"put back", test_put_back},
        {"nameless", test_nameless}, {"last release", test_last_release}, {"last one out", test_last_one_out},
        {"fork", test_fork},         {"shut wakes", test_shut_wakes},     {"threads", test_threads},
    };
    static const test benches[] = {{"bench", bench}};
    bool measures = argc > 2 && strcmp(argv[2], "bench") == 0;
    return measures ? run_tests(benches, 1, argc, argv) : run_tests(tests, sizeof tests / sizeof *tests, argc, argv);
}
