/* ndpool through its C interface: arrays of bytes. A hand-over is a transfer (ndpool_send, ndpool_adopt), fan-out a
 * shared handle that readers retain while the sender holds it, and a crowd's channel the pool's own queue. */
#include "children.h"
#include "ndpool.h"

typedef struct item {
    ndpool_handle handle;
    void *data;
} item;

typedef ndpool_transfer token;

static ndpool *pool, *visitor;
static ndpool_queue *queue;

static const char *peer_why(void) { return ndpool_last_error()->message; }

static void ok(int status, const char *what)
{
    if (__builtin_expect(status != NDPOOL_OK, 0))
        die("%s: %s", what, peer_why());
}

static inline bool peer_alloc(size_t size, item *out)
{
    ndpool_array a;
    int64_t n = (int64_t)size;
    ndpool_spec s = {.dtype = NDPOOL_UINT8, .ndim = 1, .shape = &n};
    if (ndpool_alloc(pool, &s, &a) != NDPOOL_OK)
        return false;
    *out = (item){a.handle, a.data};
    return true;
}

static inline void *peer_data(item *x) { return x->data; }
static inline void peer_free(item *x) { ok(ndpool_release(pool, x->handle), "release"); }

static void peer_create(uint64_t capacity, uint64_t arrays)
{
    char path[PATH_MAX];
    find_place();
    uint64_t usual = capacity >> 14; /* one per 16 KiB, the default */
    ndpool_options o = {.capacity = capacity, .arrays = arrays > usual ? (int64_t)arrays : 0, .dir = opt.place};
    ok(ndpool_create("peers", &o, &pool), "create");
    snprintf(path, sizeof path, "%s/peers", opt.place);
    remove_at_end(path);
}

static void peer_attach(void)
{
    ndpool_options o = {.dir = opt.place};
    ok(ndpool_open("peers", &o, &pool), "open");
}

static uint64_t arrays_alive(void)
{
    ndpool_stats_t s;
    ok(ndpool_stats(pool, &s), "stats");
    return s.arrays - s.names; /* the one name is the queue's, which is a block as well */
}

/* The parent leaves last: everybody has let go of everything. */
static void peer_leave(void)
{
    if (getpid() == doomed_by && arrays_alive() != 0)
        die("%llu arrays are left", (unsigned long long)arrays_alive());
    ndpool_queue_close(queue);
    ndpool_free(pool);
}

static void peer_visit(void)
{
    ndpool_options o = {.dir = opt.place};
    ok(ndpool_open("peers", &o, &visitor), "open");
}

static void peer_unvisit(void) { ndpool_free(visitor); }

static uint64_t peer_shared_bytes(void)
{
    struct stat s;
    if (stat(ndpool_path(pool), &s) != 0)
        die("stat %s: %s", ndpool_path(pool), strerror(errno));
    return (uint64_t)s.st_blocks * 512;
}

static inline void peer_give(item *x, token *t) { ok(ndpool_send(pool, x->handle, 0, t), "send"); }

static inline void peer_take(token *t, item *out)
{
    ndpool_array a;
    ok(ndpool_adopt(pool, *t, NDPOOL_READ_ONLY, &a), "adopt");
    *out = (item){a.handle, a.data};
}

static inline void peer_drop(item *x) { peer_free(x); }

static inline void peer_share(item *x, token *t)
{
    ok(ndpool_share(pool, x->handle), "share");
    *t = (token){x->handle, 0};
}

static inline void peer_look(token *t, item *out)
{
    ndpool_array a;
    ok(ndpool_retain(pool, t->handle, NDPOOL_READ_ONLY, &a), "retain");
    *out = (item){a.handle, a.data};
}

static inline void peer_unlook(item *x) { peer_free(x); }

static void peer_make_queue(size_t entries)
{
    ndpool_ring_options o = {.entries = (uint32_t)entries};
    ok(ndpool_queue_open(pool, "crowd", &o, &queue), "make a queue");
}

static void peer_open_queue(void) { ok(ndpool_queue_open(pool, "crowd", NULL, &queue), "open a queue"); }

static void peer_put(item *x)
{
    ndpool_put e = {x->handle, NDPOOL_ITEM_ARRAY};
    ok(ndpool_queue_put(queue, &e, 1, -1, NULL, NULL, NULL), "put");
    peer_free(x);
}

static bool peer_get(item *out)
{
    ndpool_got e;
    size_t n;
    int status = ndpool_queue_get(queue, 1, &e, 1, -1, NULL, NULL, &n);
    if (status == NDPOOL_ERR_SHUT)
        return false;
    ok(status, "get");
    *out = (item){e.array.handle, e.array.data};
    return true;
}

static void peer_shut(size_t consumers)
{
    (void)consumers;
    ok(ndpool_queue_shut(queue), "shut");
}

enum { PEER_HELD_BYTES = 64 };

#include "alone.h"
#include "together.h"

/* From the kill until the dead process is swept; that its arrays are gone then is checked behind the clock. */
static bool peer_recover(child *c)
{
    ndpool_reaped r = {0};
    if (arrays_alive() < opt.holds)
        die("%llu arrays held (want %llu)", (unsigned long long)arrays_alive(), (unsigned long long)opt.holds);
    int64_t began = now();
    kill_child(c);
    while (r.processes == 0 && now() - began < 60000000000)
        ok(ndpool_reap(pool, &r), "reap");
    sample((double)(now() - began) / 1e6);
    if (arrays_alive() != 0)
        die("%llu arrays left", (unsigned long long)arrays_alive());
    bury(c);
    return true;
}

static void version(void) { printf("ndpool %s\n", ndpool_version()); }

int main(int argc, char **argv) { return parent_and_child_main(argc, argv, workloads, roles, version); }
