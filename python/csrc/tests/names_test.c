/*
 * The catalog: names published, found, replaced, removed; two attachments of one process beside each other, deaths, forks.
 * "names_test ROOT NAME" runs one test.
 */
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "pool/pool.h"
#include "tests/check.h"

static char dir[64];
static ndpool *p, *q; /* two attachments */

static bool exists(void)
{
    char path[128];
    snprintf(path, sizeof path, "%s/t", dir);
    return access(path, F_OK) == 0;
}

static void create(ndpool_options o)
{
    o.dir = dir;
    if (!CHECK(ndpool_create("t", &o, &p) == NDPOOL_OK))
        fprintf(stderr, "%s\n", ndpool_last_error()->message);
}

static ndpool *open_again(void)
{
    ndpool *r = NULL;
    CHECK(ndpool_open("t", &(ndpool_options){.dir = dir}, &r) == NDPOOL_OK);
    return r;
}

static void both(void)
{
    create((ndpool_options){.capacity = 4 << 20, .names = 600});
    q = open_again();
}

static void print_fault(void *arg, const ndpool_fault *f)
{
    (void)arg;
    fprintf(stderr, "%s: %s: expected %s, got %s\n", f->law, f->place, f->want, f->got);
}

static void verify(ndpool *r)
{
    ndpool_report report;
    CHECK(ndpool_verify(r, 0, print_fault, NULL, &report) == NDPOOL_OK);
    CHECK_EQ(report.faults, 0);
}

/* All names and arrays are gone, and with the last attachment the pool. */
static void done(void)
{
    ndpool_stats_t s;
    CHECK(ndpool_remove(p, "", NDPOOL_TREE, 0, NULL) == NDPOOL_OK);
    verify(p);
    if (q)
        ndpool_free(q);
    CHECK(ndpool_stats(p, &s) == NDPOOL_OK);
    CHECK_EQ(s.names, 0);
    CHECK_EQ(s.arrays, 0);
    verify(p);
    ndpool_free(p);
    p = q = NULL;
    CHECK(!exists());
}

static ndpool_array filled(ndpool *r, int64_t n, int v)
{
    ndpool_array a = {0};
    CHECK(ndpool_alloc(r, &(ndpool_spec){.dtype = NDPOOL_UINT8, .ndim = 1, .shape = &n}, &a) == NDPOOL_OK);
    memset(a.data, v, a.bytes);
    return a;
}

/* Publishes n new arrays of 100 bytes under paths, the k-th one filled with v + k; a path that ends with a slash is a group. */
static int publish_all(ndpool *r, const char *prefix, const char *const *paths, size_t n, int v, uint32_t flags,
                       uint64_t *version)
{
    ndpool_item items[16] = {0};
    char copies[16][64];
    for (size_t k = 0; k < n; k++) {
        size_t len = strlen(paths[k]);
        bool group = len > 0 && paths[k][len - 1] == '/';
        snprintf(copies[k], sizeof copies[k], "%.*s", (int)(len - group), paths[k]);
        items[k].path = copies[k];
        items[k].array = group ? 0 : filled(r, 100, v + (int)k).handle;
    }
    int status = ndpool_publish(r, prefix, items, n, flags, 0, version);
    for (size_t k = 0; k < n; k++) {
        if (items[k].array)
            CHECK(ndpool_release(r, items[k].array) == NDPOOL_OK);
    }
    return status;
}

#define PUBLISH(r, prefix, v, flags, version, ...)                                                                            \
    publish_all(r, prefix, (const char *const[]){__VA_ARGS__}, sizeof((const char *[]){__VA_ARGS__}) / sizeof(char *), v, \
                flags, version)

/* The first byte of a name's array, or minus its status. */
static int first_byte(ndpool *r, const char *path)
{
    ndpool_array a;
    int status = ndpool_lookup(r, path, 0, &a, NULL);
    if (status != NDPOOL_OK)
        return -status;
    int v = *(const uint8_t *)a.data;
    CHECK(ndpool_release(r, a.handle) == NDPOOL_OK);
    return v;
}

/* The paths of a list, with a space between; a group's ends with a slash. */
static const char *listed(ndpool *r, const char *prefix)
{
    static char text[4096];
    ndpool_names *l;
    text[0] = 0;
    int status = ndpool_list(r, prefix, &l);
    if (status != NDPOOL_OK)
        return ndpool_status_name(status);
    for (size_t k = 0; k < l->n; k++) {
        size_t at = strlen(text);
        snprintf(text + at, sizeof text - at, "%s%s%s", k ? " " : "", l->names[k].path,
                 l->names[k].flags & NDPOOL_GROUP ? "/" : "");
    }
    ndpool_names_free(r, l);
    return text;
}

static void check_listed(ndpool *r, const char *prefix, const char *want, int line)
{
    const char *got = listed(r, prefix);
    if (strcmp(got, want) != 0) {
        fprintf(stderr, "%s:%d: list of \"%s\": got \"%s\", expected \"%s\"\n", __FILE__, line, prefix, got, want);
        check_failed();
    }
}
#define LISTED(r, prefix, want) check_listed(r, prefix, want, __LINE__)

static void test_publish_and_lookup(void)
{
    uint64_t v1 = 0, v2 = 0, found = 0;
    ndpool_array a, b;
    both();
    CHECK_EQ(PUBLISH(p, "camera/left", 7, 0, &v1, ""), NDPOOL_OK);
    CHECK(v1 > 0);
    CHECK_EQ(first_byte(q, "camera/left"), 7);
    CHECK_EQ(PUBLISH(p, "camera/left", 8, 0, NULL, ""), NDPOOL_ERR_NAME_TAKEN);
    CHECK_HAS(ndpool_last_error()->message, "camera/left");
    CHECK(ndpool_lookup(q, "camera/left", 0, &a, &found) == NDPOOL_OK);
    CHECK_EQ(found, v1);
    CHECK_EQ(PUBLISH(p, "camera/left", 9, NDPOOL_OVERWRITE, &v2, ""), NDPOOL_OK);
    CHECK(v2 > v1);
    CHECK_EQ(*(uint8_t *)a.data, 7); /* who has the old one keeps it */
    CHECK(ndpool_lookup(q, "camera/left", NDPOOL_READ_ONLY, &b, &found) == NDPOOL_OK);
    CHECK_EQ(found, v2);
    CHECK_EQ(*(uint8_t *)b.data, 9);
    CHECK(b.flags & NDPOOL_READ_ONLY);
    CHECK(ndpool_release(q, a.handle) == NDPOOL_OK && ndpool_release(q, b.handle) == NDPOOL_OK);
    CHECK_EQ(first_byte(q, "camera"), -NDPOOL_ERR_GROUP);
    CHECK_EQ(first_byte(q, "camera/right"), -NDPOOL_ERR_NO_NAME);
    CHECK_EQ(first_byte(q, "camera/left/x"), -NDPOOL_ERR_NO_NAME);
    CHECK_EQ(PUBLISH(p, "camera/left/x", 1, 0, NULL, ""), NDPOOL_ERR_GROUP);
    CHECK_EQ(PUBLISH(p, "camera", 1, NDPOOL_MERGE, NULL, ""), NDPOOL_ERR_GROUP);
    CHECK_EQ(PUBLISH(p, "camera/left", 1, NDPOOL_MERGE, NULL, "/"), NDPOOL_ERR_GROUP);
    LISTED(q, "", "camera/ camera/left");
    verify(p);
    done();
}

static void test_trees(void)
{
    uint64_t v = 0;
    ndpool_names *l;
    both();
    CHECK_EQ(PUBLISH(p, "run", 1, 0, &v, "x", "g/y", "g/z", "empty/", "a.b"), NDPOOL_OK);
    LISTED(q, "", "run/ run/a.b run/empty/ run/g/ run/g/y run/g/z run/x");
    LISTED(q, "run/g", "run/g/ run/g/y run/g/z");
    LISTED(q, "run/x", "run/x");
    LISTED(q, "run/no", "no-name");
    CHECK(ndpool_list(q, NULL, &l) == NDPOOL_OK);
    for (size_t k = 0; k < l->n; k++)
        CHECK_EQ(l->names[k].version, v);
    ndpool_names_free(q, l);
    /* all or nothing: the second name is in the way */
    CHECK_EQ(PUBLISH(p, NULL, 1, 0, NULL, "new/x", "run/h"), NDPOOL_ERR_NAME_TAKEN);
    CHECK_EQ(PUBLISH(p, "other", 1, 0, NULL, "x", "x"), NDPOOL_ERR_NAME_TAKEN);
    CHECK_EQ(PUBLISH(p, "other", 1, 0, NULL, "x", "x/y"), NDPOOL_ERR_GROUP);
    LISTED(q, "", "run/ run/a.b run/empty/ run/g/ run/g/y run/g/z run/x");
    verify(p);
    CHECK_EQ(PUBLISH(p, "run", 11, NDPOOL_MERGE, NULL, "x", "g/w"), NDPOOL_OK);
    LISTED(q, "run", "run/ run/a.b run/empty/ run/g/ run/g/w run/g/y run/g/z run/x");
    CHECK_EQ(first_byte(q, "run/x"), 11);
    CHECK_EQ(first_byte(q, "run/g/y"), 2);
    CHECK_EQ(PUBLISH(p, "run", 11, NDPOOL_MERGE, NULL, "g"), NDPOOL_ERR_GROUP);
    CHECK_EQ(PUBLISH(p, "run", 21, NDPOOL_OVERWRITE, NULL, "g", "x/y"), NDPOOL_OK);
    LISTED(q, "run", "run/ run/g run/x/ run/x/y");
    verify(p);
    CHECK_EQ(PUBLISH(p, NULL, 31, NDPOOL_OVERWRITE, NULL, "run", "two/b", "two/a"), NDPOOL_OK);
    LISTED(q, "", "run two/ two/a two/b");
    verify(p);
    done();
}

static void test_remove(void)
{
    uint64_t n = 0, v = 0;
    both();
    CHECK_EQ(PUBLISH(p, NULL, 1, 0, &v, "a/b/c", "a/b/d", "e", "own/"), NDPOOL_OK);
    CHECK_EQ(ndpool_remove(q, "a", 0, 0, NULL), NDPOOL_ERR_GROUP);
    CHECK_EQ(ndpool_remove(q, "x", 0, 0, NULL), NDPOOL_ERR_NO_NAME);
    CHECK_EQ(ndpool_remove(q, "a//b", 0, 0, NULL), NDPOOL_ERR_PATH);
    CHECK_EQ(ndpool_remove(q, "", 0, 0, NULL), NDPOOL_ERR_PATH);
    CHECK_EQ(ndpool_remove(q, "a/b/c", 0, v + 1, NULL), NDPOOL_ERR_VERSION);
    CHECK_EQ(ndpool_remove(q, "a/b/c", 0, v, &n), NDPOOL_OK);
    CHECK_EQ(n, 1);
    LISTED(p, "", "a/ a/b/ a/b/d e own/");
    CHECK_EQ(ndpool_remove(q, "a/b/d", 0, 0, &n), NDPOOL_OK);
    LISTED(p, "", "e own/"); /* groups go with the last name in them, but for those that somebody made */
    CHECK_EQ(ndpool_remove(q, "own", 0, 0, &n), NDPOOL_OK);
    CHECK_EQ(PUBLISH(p, NULL, 1, 0, &v, "t/x", "t/u/y", "t/u/"), NDPOOL_OK);
    CHECK_EQ(ndpool_remove(q, "t", NDPOOL_TREE, 0, &n), NDPOOL_OK);
    CHECK_EQ(n, 3); /* without t itself */
    LISTED(p, "", "e");
    verify(p);
    done();
}

static void test_attributes(void)
{
    static const char text[] = "{\"unit\":\"mm\"}", more[] = "{\"unit\":\"m\", \"n\":[1,2]}";
    uint64_t v = 0, w = 0;
    ndpool_names *l;
    both();
    ndpool_array a = filled(p, 10, 1);
    ndpool_item item = {.path = "x", .array = a.handle, .attributes = text, .attributes_bytes = sizeof text - 1};
    CHECK_EQ(ndpool_publish(p, "g", &item, 1, 0, 0, &v), NDPOOL_OK);
    CHECK(ndpool_find(q, "g/x", &l) == NDPOOL_OK && l->n == 1);
    CHECK_EQ(l->names[0].attributes_bytes, sizeof text - 1);
    CHECK(strcmp(l->names[0].attributes, text) == 0);
    CHECK_EQ(l->names[0].array, a.handle);
    CHECK(l->names[0].ndim == 1 && l->names[0].shape[0] == 10 && l->names[0].dtype == NDPOOL_UINT8);
    ndpool_names_free(q, l);
    CHECK_EQ(ndpool_set_attributes(q, "g/x", more, sizeof more - 1, 0, v + 5, &w), NDPOOL_ERR_VERSION);
    CHECK_EQ(ndpool_set_attributes(q, "g/x", more, sizeof more - 1, 0, v, &w), NDPOOL_OK);
    CHECK(w > v);
    CHECK_EQ(ndpool_set_attributes(q, "g/x", "[]", 2, 0, 0, &w), NDPOOL_ERR_ATTRIBUTES);
    CHECK_EQ(ndpool_set_attributes(q, "g", text, NDPOOL_MAX_ATTRIBUTES + 1, 0, 0, &w), NDPOOL_ERR_ATTRIBUTES);
    CHECK_EQ(ndpool_set_attributes(q, "g", more, sizeof more - 1, NDPOOL_PERSISTENT, 0, NULL), NDPOOL_OK);
    CHECK(ndpool_list(p, "g", &l) == NDPOOL_OK && l->n == 2);
    CHECK(strcmp(l->names[0].attributes, more) == 0 && strcmp(l->names[1].attributes, more) == 0);
    CHECK_EQ(l->names[0].flags, NDPOOL_GROUP | NDPOOL_PERSISTENT);
    CHECK_EQ(l->names[1].owner, ndpool_self(p));
    CHECK_EQ(l->names[1].version, w);
    ndpool_names_free(p, l);
    CHECK_EQ(ndpool_set_attributes(q, "g/x", NULL, 0, 0, 0, NULL), NDPOOL_OK);
    CHECK(ndpool_find(p, "g/x", &l) == NDPOOL_OK && !l->names[0].attributes);
    ndpool_names_free(p, l);
    CHECK_EQ(ndpool_find(p, "", &l), NDPOOL_ERR_PATH);
    CHECK(ndpool_release(p, a.handle) == NDPOOL_OK);
    verify(p);
    done();
}

static void test_paths(void)
{
    char deep[NDPOOL_MAX_NAME_DEPTH * 2 + 2], wide[NDPOOL_MAX_COMPONENT + 2];
    static const char *const bad[] = {"/", "a/", "/a", "a//b", ".", "a/..", "..", "\xff", "a\xc0\xaf", "\xed\xa0\x80",
                                      "\xf4\x90\x80\x80", "\xe2\x82", ""};
    static const char *const good[] = {"a", "...", "a.b", "\xe2\x82\xac", "\xf0\x9f\x98\x80/\xc3\xa9", " ", "a\nb"};
    both();
    for (size_t k = 0; k < sizeof bad / sizeof *bad; k++) {
        if (!CHECK_EQ(PUBLISH(p, bad[k], 1, 0, NULL, ""), NDPOOL_ERR_PATH))
            fprintf(stderr, "path %zu\n", k);
    }
    for (size_t k = 0; k < sizeof good / sizeof *good; k++) {
        if (CHECK_EQ(PUBLISH(p, good[k], 1 + (int)k, NDPOOL_MERGE, NULL, ""), NDPOOL_OK))
            CHECK_EQ(first_byte(q, good[k]), 1 + (int)k);
    }
    memset(wide, 'w', sizeof wide);
    wide[NDPOOL_MAX_COMPONENT + 1] = 0;
    CHECK_EQ(PUBLISH(p, wide, 1, 0, NULL, ""), NDPOOL_ERR_PATH);
    wide[NDPOOL_MAX_COMPONENT] = 0;
    CHECK_EQ(PUBLISH(p, wide, 77, 0, NULL, ""), NDPOOL_OK);
    CHECK_EQ(first_byte(q, wide), 77);
    for (size_t k = 0; k < sizeof deep; k++)
        deep[k] = k % 2 ? '/' : 'd';
    deep[NDPOOL_MAX_NAME_DEPTH * 2 + 1] = 0;
    CHECK_EQ(PUBLISH(p, deep, 1, 0, NULL, ""), NDPOOL_ERR_PATH);
    deep[NDPOOL_MAX_NAME_DEPTH * 2 - 1] = 0;
    CHECK_EQ(PUBLISH(p, deep, 78, 0, NULL, ""), NDPOOL_OK);
    CHECK_EQ(first_byte(q, deep), 78);
    verify(p);
    done();
}

static void test_owners(void)
{
    uint64_t n;
    ndpool_reaped r;
    both();
    CHECK_EQ(PUBLISH(p, "mine", 1, 0, NULL, "x"), NDPOOL_OK);
    CHECK_EQ(PUBLISH(q, "theirs", 2, 0, NULL, "x", "g/"), NDPOOL_OK);
    CHECK_EQ(PUBLISH(q, "theirs/g/stays", 3, NDPOOL_PERSISTENT, NULL, ""), NDPOOL_OK);
    CHECK_EQ(PUBLISH(p, "theirs", 5, NDPOOL_MERGE, NULL, "mine"), NDPOOL_OK);
    ndpool_free(q);
    LISTED(p, "", "mine/ mine/x theirs/ theirs/g/ theirs/g/stays theirs/mine");
    verify(p);
    q = open_again();
    CHECK_EQ(PUBLISH(q, "dies", 6, 0, NULL, "x", "y/z"), NDPOOL_OK);
    pid_t pid = fork();
    if (pid == 0) { /* the child's own names go with it when it is killed */
        CHECK_EQ(PUBLISH(q, "child", 7, 0, NULL, "x", "g/"), NDPOOL_OK);
        kill(getpid(), SIGKILL);
    }
    CHECK(waitpid(pid, NULL, 0) == pid);
    CHECK(ndpool_reap(p, &r) == NDPOOL_OK);
    LISTED(p, "child", "no-name");
    LISTED(p, "dies", "dies/ dies/x dies/y/ dies/y/z"); /* its parent's are its parent's */
    CHECK_EQ(ndpool_remove(p, "theirs", NDPOOL_TREE, 0, &n), NDPOOL_OK);
    CHECK_EQ(n, 2);
    verify(p);
    done();
}

static void test_persistent(void)
{
    ndpool_condition_t condition;
    both();
    CHECK_EQ(PUBLISH(p, "data", 1, NDPOOL_PERSISTENT, NULL, "x", "y"), NDPOOL_OK);
    ndpool_free(q);
    ndpool_free(p);
    CHECK(exists()); /* a name that stays keeps the pool */
    CHECK(ndpool_peek("t", &(ndpool_options){.dir = dir}, &p) == NDPOOL_OK);
    CHECK(ndpool_condition(p, &condition) == NDPOOL_OK && condition == NDPOOL_COND_IDLE);
    LISTED(p, "", "data/ data/x data/y");
    ndpool_free(p);
    pid_t pid = fork();
    if (pid == 0) { /* who is killed does not take it along */
        ndpool *r = open_again();
        CHECK_EQ(PUBLISH(r, "other", 1, 0, NULL, ""), NDPOOL_OK);
        kill(getpid(), SIGKILL);
    }
    CHECK(waitpid(pid, NULL, 0) == pid);
    CHECK(ndpool_open_or_create("t", &(ndpool_options){.dir = dir}, &p) == NDPOOL_OK);
    q = NULL;
    LISTED(p, "", "data/ data/x data/y");
    CHECK_EQ(first_byte(p, "data/y"), 2);
    done();
}

static void test_growing(void)
{
    char path[32];
    both();
    for (int k = 0; k < 598; k++) { /* and the groups a, a/b */
        snprintf(path, sizeof path, "a/b/%d", k);
        if (!CHECK_EQ(PUBLISH(p, path, k & 0xff, 0, NULL, ""), NDPOOL_OK))
            break;
    }
    CHECK_EQ(first_byte(q, "a/b/0"), 0);
    CHECK_EQ(first_byte(q, "a/b/597"), 597 & 0xff);
    CHECK_EQ(PUBLISH(p, "b", 1, 0, NULL, ""), NDPOOL_ERR_TABLE_FULL);
    CHECK_EQ(ndpool_last_error()->limit, 600);
    CHECK_EQ(ndpool_last_error()->held, 598);
    CHECK_HAS(ndpool_last_error()->message, "publish \"b\": names table is full");
    CHECK_EQ(PUBLISH(p, "a/b", 1, NDPOOL_OVERWRITE, NULL, ""), NDPOOL_OK);
    LISTED(q, "", "a/ a/b");
    verify(p);
    done();
    both();
    CHECK_EQ(PUBLISH(p, "a", 1, 0, NULL, "1", "2", "3"), NDPOOL_OK); /* commits what there is to commit */
    verify(p);
    done();
}

/* A list and what it holds, and a child that inherits both. */
static void test_held_list(void)
{
    ndpool_names *l;
    ndpool_array a;
    ndpool_stats_t s;
    int status;
    both();
    CHECK_EQ(PUBLISH(p, "g", 5, 0, NULL, "x", "y"), NDPOOL_OK);
    CHECK(ndpool_list(q, "g", &l) == NDPOOL_OK);
    CHECK_EQ(ndpool_remove(p, "g", NDPOOL_TREE, 0, NULL), NDPOOL_OK);
    CHECK(ndpool_stats(p, &s) == NDPOOL_OK);
    CHECK_EQ(s.arrays, 2);
    CHECK_EQ(s.names, 0);
    pid_t pid = fork();
    if (pid == 0) {
        ndpool_free(p);
        CHECK(ndpool_retain(q, l->names[1].array, 0, &a) == NDPOOL_OK);
        ndpool_names_free(q, l);
        CHECK_EQ(*(uint8_t *)a.data, 5);
        CHECK(ndpool_release(q, a.handle) == NDPOOL_OK);
        ndpool_free(q);
        check_exit();
    }
    CHECK(waitpid(pid, &status, 0) == pid && WIFEXITED(status) && WEXITSTATUS(status) == 0);
    CHECK(ndpool_retain(q, l->names[2].array, 0, &a) == NDPOOL_OK);
    CHECK_EQ(*(uint8_t *)a.data, 6);
    ndpool_names_free(q, l);
    CHECK(ndpool_release(q, a.handle) == NDPOOL_OK);
    done();
}

static void test_refusals(void)
{
    ndpool_array a;
    ndpool_names *l;
    both();
    a = filled(p, 10, 1);
    ndpool_item item = {.path = "x", .array = a.handle};
    CHECK_EQ(ndpool_publish(q, "", &item, 1, 0, 0, NULL), NDPOOL_ERR_STALE); /* this attachment does not hold it */
    CHECK(ndpool_release(p, a.handle) == NDPOOL_OK);
    CHECK_EQ(ndpool_publish(p, "", &item, 1, 0, 0, NULL), NDPOOL_ERR_STALE);
    item.array = 12345;
    CHECK_EQ(ndpool_publish(p, "", &item, 1, 0, 0, NULL), NDPOOL_ERR_FOREIGN);
    CHECK_EQ(PUBLISH(p, "v", 1, 0, NULL, ""), NDPOOL_OK);
    a = filled(p, 10, 1);
    item = (ndpool_item){.array = a.handle};
    CHECK_EQ(ndpool_publish(p, "v", &item, 1, NDPOOL_OVERWRITE, 12345, NULL), NDPOOL_ERR_VERSION);
    CHECK_EQ(ndpool_publish(p, "w", &item, 1, NDPOOL_OVERWRITE, 12345, NULL), NDPOOL_ERR_VERSION);
    CHECK(ndpool_release(p, a.handle) == NDPOOL_OK);
    CHECK_EQ(ndpool_publish(p, "none", NULL, 0, 0, 0, NULL), NDPOOL_OK); /* nothing to do */
    verify(p);
    ndpool *s;
    CHECK(ndpool_peek("t", &(ndpool_options){.dir = dir}, &s) == NDPOOL_OK);
    CHECK_EQ(first_byte(s, "v"), -NDPOOL_ERR_CLOSED);
    CHECK_EQ(ndpool_remove(s, "v", 0, 0, NULL), NDPOOL_ERR_CLOSED);
    CHECK_EQ(ndpool_set_attributes(s, "v", "{}", 2, 0, 0, NULL), NDPOOL_ERR_CLOSED);
    CHECK_EQ(PUBLISH(p, "", 1, 0, NULL, ""), NDPOOL_ERR_PATH);
    LISTED(s, "", "v");
    CHECK(ndpool_find(s, "v", &l) == NDPOOL_OK && l->names[0].bytes == 100);
    ndpool_names_free(s, l);
    ndpool_free(s);
    done();
}

/* ---- races: a reader gets the old tree or the new one, whole */

enum { ROUNDS = 400 };
static _Atomic bool over;

static void *replace(void *arg)
{
    (void)arg;
    for (int k = 0; k < ROUNDS; k++) {
        if (!CHECK_EQ(PUBLISH(p, "t", k % 200, NDPOOL_OVERWRITE, NULL, "a", k % 2 ? "g/b" : "b", "c"), NDPOOL_OK))
            break;
    }
    atomic_store(&over, true);
    return NULL;
}

static void check_tree(const ndpool_names *l)
{
    int v = -1;
    CHECK(l->n == 4 || l->n == 5);
    for (size_t k = 0; k < l->n; k++) {
        ndpool_array a;
        CHECK_EQ(l->names[k].version, l->names[0].version);
        if (l->names[k].flags & NDPOOL_GROUP)
            continue;
        CHECK(ndpool_retain(q, l->names[k].array, 0, &a) == NDPOOL_OK);
        char last = l->names[k].path[strlen(l->names[k].path) - 1];
        int got = *(uint8_t *)a.data, nth = last - 'a';
        v = v < 0 ? got - nth : v;
        CHECK_EQ(got, v + nth);
        CHECK(ndpool_release(q, a.handle) == NDPOOL_OK);
    }
}

static void test_race(void)
{
    pthread_t t;
    both();
    atomic_store(&over, false);
    CHECK_EQ(PUBLISH(p, "t", 0, 0, NULL, "a", "b", "c"), NDPOOL_OK);
    CHECK(pthread_create(&t, NULL, replace, NULL) == 0);
    while (!atomic_load(&over)) {
        ndpool_names *l;
        CHECK(ndpool_list(q, "t", &l) == NDPOOL_OK);
        check_tree(l);
        ndpool_names_free(q, l);
        CHECK(first_byte(q, "t/a") >= 0);
    }
    pthread_join(t, NULL);
    verify(p);
    done();
}

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        void (*run)(void);
    } tests[] = {
        {"publish and lookup", test_publish_and_lookup}, {"trees", test_trees}, {"remove", test_remove},
        {"attributes", test_attributes}, {"paths", test_paths}, {"owners", test_owners}, {"persistent", test_persistent},
        {"growing", test_growing}, {"held list", test_held_list}, {"refusals", test_refusals}, {"race", test_race},
    };
    snprintf(dir, sizeof dir, "%s/ndpool-names-XXXXXX", access("/dev/shm", W_OK) ? "/tmp" : "/dev/shm");
    CHECK(mkdtemp(dir) != NULL);
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
