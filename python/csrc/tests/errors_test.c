/*
 * Every status of ndpool.h is provoked, through functions of ndpool.h where they can. A status without a case fails.
 */
#include "tests/check.h"
#include "tests/scenarios.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mount.h>
#include <sys/stat.h>

static char dir[64], path[128];

static ndpool_options small(void) { return small_pool(dir); }

/* Opens the pool of the case a second time, or another one. */
static ndpool *again(void)
{
    ndpool *p;
    must(ndpool_open("errors", &(ndpool_options){.dir = dir}, &p));
    return p;
}

static int open_status(const char *name, const char *in, uint64_t capacity)
{
    ndpool *p;
    return ndpool_open(name, &(ndpool_options){.dir = in, .capacity = capacity}, &p);
}

static const char *in_dir(const char *name)
{
    snprintf(path, sizeof path, "%s/%s", dir, name);
    return path;
}

static ndpool_array shared(ndpool *p)
{
    ndpool_array a = alloc_bytes(p, 100);
    must(ndpool_share(p, a.handle));
    return a;
}

static ndpool_transfer sent(ndpool *p, ndpool_process to)
{
    ndpool_transfer t;
    must(ndpool_send(p, alloc_bytes(p, 100).handle, to, &t));
    return t;
}

static int adopt(ndpool *p, ndpool_transfer t)
{
    ndpool_array b;
    return ndpool_adopt(p, t, 0, &b);
}

static int retain(ndpool *p, ndpool_handle h)
{
    ndpool_array b;
    return ndpool_retain(p, h, 0, &b);
}

static int publish(ndpool *p, const char *name, const char *text, uint32_t flags, uint64_t expect)
{
    ndpool_item item = {.array = alloc_bytes(p, 100).handle, .attributes = text, .attributes_bytes = text ? strlen(text) : 0};
    return ndpool_publish(p, name, &item, 1, flags, expect, NULL);
}

static int look_up(ndpool *p, const char *name)
{
    ndpool_array a;
    return ndpool_lookup(p, name, 0, &a, NULL);
}

static ndpool_queue *queue_of_4(ndpool *p)
{
    ndpool_queue *q;
    must(ndpool_queue_open(p, "q", &(ndpool_ring_options){.entries = 4}, &q));
    return q;
}

static int put(ndpool_queue *q, ndpool *p, size_t n)
{
    ndpool_put entries[9] = {0};
    for (size_t k = 0; k < n; k++)
        entries[k] = (ndpool_put){alloc_bytes(p, 100).handle, k ? 0 : NDPOOL_ITEM_ARRAY};
    return ndpool_queue_put(q, entries, n, 0, NULL, NULL, NULL);
}

/* Reads a stream after its writer is gone. */
static int read_after(ndpool *p, ndpool *writers, bool dies)
{
    ndpool_writer *w;
    ndpool_reader *r;
    ndpool_frame f;
    must(ndpool_writer_open(writers, "s", NULL, &w));
    must(ndpool_reader_open(p, "s", 0, &r));
    if (dies)
        arena_abandon(writers->arena);
    else
        ndpool_writer_close(w);
    int status = ndpool_reader_read(r, 0, INT64_C(10000000000), NULL, NULL, &f);
    ndpool_reader_close(r);
    return status;
}

/* Tries to create a pool on a file system of its own; -1: it cannot be mounted. */
static int create_on(const char *kind, const char *options, bool reserve)
{
    ndpool *p;
    ndpool_options o = {.dir = in_dir("mounted"), .capacity = 1 << 20, .reserve = reserve};
    mkdir(path, 0700);
    int status = -1;
    if (mount(kind, path, kind, 0, options) == 0) {
        status = ndpool_create("errors", &o, &p);
        umount2(path, MNT_DETACH);
    } else {
        fprintf(stderr, "SKIPPED: CANNOT MOUNT %s: an error is not provoked\n", kind);
    }
    rmdir(path);
    return status;
}

static int closed(ndpool *p, ndpool *q)
{
    (void)p;
    ndpool_close(q);
    return try_alloc(q, 1);
}
static int full(ndpool *p, ndpool *q) { return (void)q, try_alloc(p, 300000); }
static int table_full(ndpool *p, ndpool *q)
{
    int status = 0;
    ndpool_transfer t;
    ndpool_array a = alloc_bytes(p, 100);
    for (int n = 0; n < 9 && !status; n++)
        status = ndpool_send(p, a.handle, 0, &t);
    return (void)q, status;
}
static int foreign(ndpool *p, ndpool *q) { return (void)q, retain(p, UINT64_C(0xfffffffffffffff0)); }
static int bad_spec(ndpool *p, ndpool *q) { return (void)q, try_alloc(p, -3); }
static int mismatch(ndpool *p, ndpool *q)
{
    ndpool_array b;
    ndpool_transfer t = sent(p, 0);
    ndpool_view v = {.offset = 90, .dtype = NDPOOL_UINT8, .ndim = 1, .shape = {60}, .strides = {1}};
    ndpool_message m = {.handle = t.handle, .ticket = t.ticket, .view = &v};
    ndpool_segment(p, m.segment);
    return ndpool_receive(q, &m, 0, &b);
}
static int corrupt(ndpool *p, ndpool *q)
{
    uint32_t i;
    ndpool_array a = shared(p);
    CHECK(pool_live_block(p, a.handle, &i));
    shm_u32 *ndim = &p->arena->descs[i].ndim;
    shm_store32(ndim, 200);
    int status = retain(q, a.handle);
    shm_store32(ndim, 1);
    return status;
}
static int options(ndpool *p, ndpool *q) { return (void)p, (void)q, open_status("errors", dir, 99 << 20); }
static int dead(ndpool *p, ndpool *q)
{
    ndpool_transfer t;
    return (void)q, ndpool_send(p, alloc_bytes(p, 100).handle, ndpool_self(p) + (UINT64_C(1) << 32), &t);
}
static int hash(ndpool *p, ndpool *q)
{
    void *data;
    ndpool_array a = alloc_bytes(p, 100);
    memset(a.data, 7, 100);
    must(ndpool_seal(p, a.handle, NDPOOL_HASH, &data));
    ((uint8_t *)a.data)[9]++; /* who keeps the old memory can do that */
    int status = ndpool_check_hash(p, a.handle);
    ((uint8_t *)a.data)[9]--;
    return (void)q, status;
}
static int stale(ndpool *p, ndpool *q)
{
    ndpool_array a = shared(p);
    must(ndpool_release(p, a.handle));
    return retain(q, a.handle);
}
static int is_private(ndpool *p, ndpool *q) { return retain(q, alloc_bytes(p, 100).handle); }
static int held(ndpool *p, ndpool *q)
{
    void *data;
    ndpool_array a = shared(p);
    must(retain(q, a.handle));
    return ndpool_seal(p, a.handle, 0, &data);
}
static int sealed(ndpool *p, ndpool *q)
{
    void *data;
    ndpool_array a = alloc_bytes(p, 100);
    must(ndpool_seal(p, a.handle, 0, &data));
    return (void)q, ndpool_seal(p, a.handle, 0, &data);
}
static int spent(ndpool *p, ndpool *q)
{
    ndpool_transfer t = sent(p, 0);
    must(adopt(q, t));
    return adopt(q, t);
}
static int expired(ndpool *p, ndpool *q)
{
    ndpool_reaped r;
    ndpool_transfer t = sent(q, 0);
    arena_abandon(q->arena);
    must(ndpool_reap(p, &r));
    usleep(1);
    must(ndpool_reap(p, &r));
    return adopt(p, t);
}
static int recalled(ndpool *p, ndpool *q)
{
    ndpool_transfer t = sent(p, 0);
    must(ndpool_recall(p, t));
    return adopt(q, t);
}
static int forged(ndpool *p, ndpool *q)
{
    ndpool_transfer t = sent(p, 0);
    t.ticket += UINT64_C(1) << 40;
    return adopt(q, t);
}
static int not_receiver(ndpool *p, ndpool *q) { return adopt(q, sent(p, ndpool_self(p))); }
static int not_sender(ndpool *p, ndpool *q) { return ndpool_recall(q, sent(p, 0)); }
static int exist(ndpool *p, ndpool *q)
{
    ndpool *r;
    ndpool_options o = small();
    return (void)p, (void)q, ndpool_create("errors", &o, &r);
}
static int not_exist(ndpool *p, ndpool *q) { return (void)p, (void)q, open_status("none", dir, 0); }
static int name(ndpool *p, ndpool *q) { return (void)p, (void)q, open_status("a/b", dir, 0); }
static int format(ndpool *p, ndpool *q)
{
    int fd = open(in_dir("junk"), O_RDWR | O_CREAT, 0600);
    CHECK(ftruncate(fd, 100000) == 0);
    close(fd);
    int status = open_status("junk", dir, 0);
    unlink(path);
    return (void)p, (void)q, status;
}
static int unclean(ndpool *p, ndpool *q)
{
    uint64_t boot = shm_load64(&p->arena->ctl->boot[0]);
    shm_store64(&p->arena->ctl->boot[0], boot + 1);
    arena_abandon(p->arena);
    arena_abandon(q->arena);
    return open_status("errors", dir, 0);
}
static int permission(ndpool *p, ndpool *q)
{
    CHECK(symlink("errors", in_dir("link")) == 0);
    int status = open_status("link", dir, 0);
    unlink(path);
    return (void)p, (void)q, status;
}
static int filesystem(ndpool *p, ndpool *q) { return (void)p, (void)q, create_on("ramfs", "", false); } /* has no fallocate */
static int no_memory(ndpool *p, ndpool *q) { return (void)p, (void)q, create_on("tmpfs", "size=64k", true); }
static int processes(ndpool *p, ndpool *q)
{
    ndpool *more[6];
    int n = 0, status = 0;
    while (n < 6 && (status = ndpool_open("errors", &(ndpool_options){.dir = dir}, &more[n])) == NDPOOL_OK)
        n++;
    ndpool_error e = *ndpool_last_error();
    while (n > 0)
        ndpool_free(more[--n]);
    *error_now() = e;
    return (void)p, (void)q, status;
}
static int lock_timeout(ndpool *p, ndpool *q)
{
    ndpool_transfer t;
    ndpool_array a = alloc_bytes(p, 100);
    must(pool_lock(q));
    p->lock_wait = 20000000;
    int status = ndpool_send(p, a.handle, 0, &t);
    pool_unlock(q);
    return status;
}
static int descriptor(ndpool *p, ndpool *q)
{
    int fd, kept = q->arena->fd;
    q->arena->fd = 1 << 20; /* closed */
    int status = ndpool_file(q, &fd);
    q->arena->fd = kept;
    return (void)p, status;
}
/* The child of a process that has the only place. */
static int forked(ndpool *p, ndpool *q)
{
    ndpool *one;
    must(ndpool_create("one", &(ndpool_options){.dir = dir, .capacity = 1 << 20, .processes = 1}, &one));
    pid_t child = fork();
    if (child == 0)
        _exit(try_alloc(one, 1));
    int status;
    waitpid(child, &status, 0);
    ndpool_free(one);
    fail(NDPOOL_ERR_FORKED, "said by the child");
    return (void)p, (void)q, WEXITSTATUS(status);
}
static int message(ndpool *p, ndpool *q)
{
    ndpool_message m;
    ndpool_view v;
    return (void)p, (void)q, ndpool_message_unpack("xyz", 3, &m, &v);
}
static int timeout(ndpool *p, ndpool *q)
{
    ndpool_queue *queue = queue_of_4(p);
    ndpool_got got;
    size_t n;
    int status = ndpool_queue_get(queue, 1, &got, 1, 1000000, NULL, NULL, &n);
    ndpool_queue_close(queue);
    return (void)q, status;
}
static int sys(ndpool *p, ndpool *q)
{
    ndpool *r;
    int status = ndpool_create("x", &(ndpool_options){.dir = in_dir("errors")}, &r); /* which is a file */
    CHECK_EQ(ndpool_last_error()->sys_errno, ENOTDIR);
    return (void)p, (void)q, status;
}
static int bad_path(ndpool *p, ndpool *q) { return (void)q, look_up(p, "a/../b"); }
static int no_name(ndpool *p, ndpool *q) { return (void)q, look_up(p, "none"); }
static int name_taken(ndpool *p, ndpool *q)
{
    must(publish(p, "x", NULL, 0, 0));
    return publish(q, "x", NULL, 0, 0);
}
static int group(ndpool *p, ndpool *q)
{
    must(publish(p, "g/x", NULL, 0, 0));
    return look_up(q, "g");
}
static int version(ndpool *p, ndpool *q)
{
    must(publish(p, "x", NULL, 0, 0));
    return publish(q, "x", NULL, NDPOOL_OVERWRITE, 7);
}
static int attributes(ndpool *p, ndpool *q)
{
    size_t n = (1 << 20) + 1;
    char *text = malloc(n);
    ndpool_item item = {.array = alloc_bytes(p, 100).handle, .attributes = text, .attributes_bytes = n};
    memset(text, ' ', n);
    int status = ndpool_publish(p, "x", &item, 1, 0, 0, NULL);
    free(text);
    return (void)q, status;
}
static int not_locked(ndpool *p, ndpool *q)
{
    ndpool_name_lock l;
    must(publish(p, "x", NULL, 0, 0));
    must(ndpool_lock_find(q, "x", &l));
    return ndpool_unlock(q, l, 0);
}
static int kind(ndpool *p, ndpool *q)
{
    ndpool_queue *queue = queue_of_4(p);
    int status = look_up(q, "q");
    ndpool_queue_close(queue);
    return status;
}
static int writer(ndpool *p, ndpool *q)
{
    ndpool_writer *w, *v;
    must(ndpool_writer_open(p, "s", NULL, &w));
    int status = ndpool_writer_open(q, "s", NULL, &v);
    CHECK(ndpool_last_error()->pid == getpid() && ndpool_last_error()->slot == 0);
    ndpool_writer_close(w);
    return status;
}
static int ended(ndpool *p, ndpool *q) { return read_after(p, q, false); }
static int writer_died(ndpool *p, ndpool *q) { return read_after(p, q, true); }
static int shut(ndpool *p, ndpool *q)
{
    ndpool_queue *queue = queue_of_4(p);
    must(ndpool_queue_shut(queue));
    int status = put(queue, p, 1);
    ndpool_queue_close(queue);
    return (void)q, status;
}
static int too_long(ndpool *p, ndpool *q)
{
    ndpool_queue *queue = queue_of_4(p);
    int status = put(queue, p, 6);
    CHECK(ndpool_last_error()->asked == 6 && ndpool_last_error()->limit == 4);
    ndpool_queue_close(queue);
    return (void)q, status;
}

/* What provokes each status, by status, and a part of what is said. p has the pool, and q is attached, too. */
static const struct {
    int (*provoke)(ndpool *p, ndpool *q);
    const char *says;
} cases[NDPOOL_ERR_END] = {
    [NDPOOL_ERR_CLOSED] = {closed, "closed"},
    [NDPOOL_ERR_FULL] = {full, "allocate 300000 bytes"},
    [NDPOOL_ERR_TABLE_FULL] = {table_full, "all 8 in use"},
    [NDPOOL_ERR_FOREIGN] = {foreign, "not of this pool"},
    [NDPOOL_ERR_SPEC] = {bad_spec, "-3"},
    [NDPOOL_ERR_MISMATCH] = {mismatch, "100"},
    [NDPOOL_ERR_CORRUPT] = {corrupt, "200"},
    [NDPOOL_ERR_OPTIONS] = {options, "capacity"},
    [NDPOOL_ERR_DEAD] = {dead, "not attached"},
    [NDPOOL_ERR_HASH] = {hash, "hash"},
    [NDPOOL_ERR_STALE] = {stale, "generation"},
    [NDPOOL_ERR_PRIVATE] = {is_private, "private"},
    [NDPOOL_ERR_HELD] = {held, "holders"},
    [NDPOOL_ERR_SEALED] = {sealed, "sealed"},
    [NDPOOL_ERR_SPENT] = {spent, "nonce"},
    [NDPOOL_ERR_EXPIRED] = {expired, "nonce"},
    [NDPOOL_ERR_RECALLED] = {recalled, "nonce"},
    [NDPOOL_ERR_FORGED] = {forged, "nonce"},
    [NDPOOL_ERR_NOT_RECEIVER] = {not_receiver, "another process"},
    [NDPOOL_ERR_NOT_SENDER] = {not_sender, "another process"},
    [NDPOOL_ERR_EXIST] = {exist, "errors"},
    [NDPOOL_ERR_NOT_EXIST] = {not_exist, "none"},
    [NDPOOL_ERR_NAME] = {name, "a/b"},
    [NDPOOL_ERR_FORMAT] = {format, "expected"},
    [NDPOOL_ERR_UNCLEAN] = {unclean, "slot"},
    [NDPOOL_ERR_PERMISSION] = {permission, "link"},
    [NDPOOL_ERR_FILESYSTEM] = {filesystem, "fallocate"},
    [NDPOOL_ERR_PROCESSES] = {processes, "6"},
    [NDPOOL_ERR_LOCK_TIMEOUT] = {lock_timeout, "(slot 1) has kept the lock"},
    [NDPOOL_ERR_NO_MEMORY] = {no_memory, "65536"},
    [NDPOOL_ERR_DESCRIPTOR] = {descriptor, "descriptor 1048576"},
    [NDPOOL_ERR_FORKED] = {forked, ""},
    [NDPOOL_ERR_MESSAGE] = {message, "3"},
    [NDPOOL_ERR_TIMEOUT] = {timeout, "timeout"},
    [NDPOOL_ERR_SYSTEM] = {sys, "Not a directory"},
    [NDPOOL_ERR_PATH] = {bad_path, ".."},
    [NDPOOL_ERR_NO_NAME] = {no_name, "none"},
    [NDPOOL_ERR_NAME_TAKEN] = {name_taken, "x"},
    [NDPOOL_ERR_GROUP] = {group, "g"},
    [NDPOOL_ERR_VERSION] = {version, "7"},
    [NDPOOL_ERR_ATTRIBUTES] = {attributes, "1048577"},
    [NDPOOL_ERR_NOT_LOCKED] = {not_locked, "lock"},
    [NDPOOL_ERR_KIND] = {kind, "q"},
    [NDPOOL_ERR_WRITER] = {writer, "slot 0"},
    [NDPOOL_ERR_ENDED] = {ended, "ended"},
    [NDPOOL_ERR_WRITER_DIED] = {writer_died, "died"},
    [NDPOOL_ERR_SHUT] = {shut, "shut"},
    [NDPOOL_ERR_TOO_LONG] = {too_long, "6"},
};

/* Provokes a status in a process of its own, which may leave anything behind. */
static void provoke(int status)
{
    const char *as = ndpool_status_name(status);
    if (!CHECK(cases[status].provoke != NULL) || !CHECK(strcmp(as, "internal") != 0)) {
        fprintf(stderr, "status %d (%s): no case provokes it\n", status, as);
        return;
    }
    pid_t child = fork();
    if (child == 0) {
        ndpool *p;
        ndpool_options o = small();
        must(ndpool_create("errors", &o, &p));
        int got = cases[status].provoke(p, again());
        if (got != -1) {
            if (!CHECK_EQ(got, status) || !CHECK_EQ(ndpool_last_error()->status, status) ||
                !CHECK_HAS(ndpool_last_error()->message, cases[status].says))
                fprintf(stderr, "status %d (%s): %s\n", status, as, ndpool_last_error()->message);
        }
        check_exit();
    }
    int ends;
    waitpid(child, &ends, 0);
    CHECK_EQ(ends, 0);
    unlink(in_dir("errors"));
    unlink(in_dir("one"));
}

int main(void)
{
    snprintf(dir, sizeof dir, "/dev/shm/ndpool-errors-XXXXXX");
    if (!mkdtemp(dir))
        return 3;
    for (int status = 1; status < NDPOOL_ERR_END; status++)
        provoke(status);
    CHECK(rmdir(dir) == 0);
    check_exit();
}
