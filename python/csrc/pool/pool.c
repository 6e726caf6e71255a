/* An attachment as a whole: made, entered, locked, given back. Twin of pool/pool.go. */
#include "pool/pool.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "internal/errors.h"

/* A page that a fork makes zero. The number in it says that this process is attached. */
static int new_attached(ndpool *p)
{
    void *page = mmap(NULL, NDPOOL_PAGE_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (page == MAP_FAILED)
        return fail_errno(NDPOOL_ERR_SYSTEM, "attach: map %d bytes", NDPOOL_PAGE_SIZE);
    if (madvise(page, NDPOOL_PAGE_SIZE, MADV_WIPEONFORK)) {
        fail_errno(NDPOOL_ERR_SYSTEM, "attach: have a page wiped by fork");
        munmap(page, NDPOOL_PAGE_SIZE);
        return NDPOOL_ERR_SYSTEM;
    }
    p->attached = page;
    *p->attached = 1;
    return NDPOOL_OK;
}

/* What is asked for also when the mapping is gone. */
static int remember(ndpool *p)
{
    const arena *a = p->arena;
    options_stored(a, &p->stored);
    memcpy(p->segment, a->super.segment, sizeof p->segment);
    p->created = a->super.created;
    p->path = strdup(a->path);
    return p->path ? NDPOOL_OK : fail_errno(NDPOOL_ERR_SYSTEM, "attach: copy a path");
}

static int pool_init(ndpool *p, arena *a)
{
    p->arena = a;
    p->snapshot = a->snapshot;
    p->pages = a->pages;
    p->n_descs = a->n_descs;
    p->first_granule = geometry_desc_granule(&a->geo, 0);
    p->lock_wait = a->super.lock_wait;
    p->grace = a->super.grace;
    p->self = a->self;
    p->pins = 2; /* the user's and the attachment's */
    alloc_init(&p->alloc, a);
    catalog_init(&p->names, a, &pool_keeper, p);
    p->links = lazy_new(a->n_descs, sizeof *p->links);
    if (!p->links)
        return fail_errno(NDPOOL_ERR_SYSTEM, "attach: a table of %u entries", a->n_descs);
    int status = remember(p);
    if (status == NDPOOL_OK && !p->snapshot)
        status = new_attached(p);
    return status == NDPOOL_OK ? refs_init(&p->refs, a) : status;
}

/* Frees what does not lead into the segment. */
static void destroy(ndpool *p)
{
    if (p->attached)
        munmap((void *)p->attached, NDPOOL_PAGE_SIZE);
    free(p->path);
    free(p);
}

int pool_new(arena *a, ndpool **out)
{
    ndpool *p = aligned_alloc(_Alignof(ndpool), sizeof *p);
    if (!p) {
        arena_close(a);
        return fail_errno(NDPOOL_ERR_SYSTEM, "attach: %zu bytes", sizeof *p);
    }
    memset(p, 0, sizeof *p);
    int status = pool_init(p, a);
    if (status != NDPOOL_OK) {
        pool_unmap(p);
        destroy(p);
        return status;
    }
    *out = p;
    return NDPOOL_OK;
}

void pool_unpin(ndpool *p)
{
    if (atomic_fetch_sub(&p->pins, 1) == 1)
        destroy(p);
}

void ndpool_segment(const ndpool *p, uint8_t id[16]) { memcpy(id, p->segment, sizeof p->segment); }
const char *ndpool_path(const ndpool *p) { return p->path; }
int64_t ndpool_created(const ndpool *p) { return p->created; }
bool ndpool_closed(const ndpool *p) { return atomic_load(&p->closed); }

int pool_lock(ndpool *p)
{
    bool taken;
    int status = arena_lock(p->arena, p->lock_wait, &taken);
    if (status == NDPOOL_OK && taken)
        pool_rebuild_locked(p);
    return status;
}

void pool_unlock(ndpool *p) { arena_unlock(p->arena); }

int pool_refuse_forked(void)
{
    return fail(NDPOOL_ERR_FORKED, "use pool: this process was forked and is not attached: the process table was full, "
                                   "or the fork went around the C library; open the pool anew");
}

/* A raw fork may have copied a gate that is shut: whether this is such a child is asked first. */
int pool_enter(ndpool *p)
{
    if (p->snapshot)
        return fail(NDPOOL_ERR_CLOSED, "use pool %s: this is a snapshot of it, for looking only", p->path);
    if (pool_forked(p))
        return pool_refuse_forked();
    gate_enter(&p->verbs);
    if (!atomic_load(&p->closed))
        return NDPOOL_OK;
    gate_leave(&p->verbs);
    return fail(NDPOOL_ERR_CLOSED, "use pool %s: pool is closed", p->path);
}

void pool_leave(ndpool *p) { gate_leave(&p->verbs); }

/* Released by pool_leave. */
int pool_stay(ndpool *p)
{
    if (p->snapshot || pool_forked(p))
        return pool_enter(p); /* refuses */
    gate_enter(&p->verbs);
    if (!atomic_load(&p->finished))
        return NDPOOL_OK;
    gate_leave(&p->verbs);
    return fail(NDPOOL_ERR_CLOSED, "use pool %s: pool is closed", p->path);
}

int pool_resolve(const ndpool *p, uint64_t handle, uint32_t *i)
{
    if (pool_index(p, handle, i) && *i < pool_descs(p))
        return NDPOOL_OK;
    return fail(NDPOOL_ERR_FOREIGN, "handle %016" PRIx64 ": handle is not of this pool (%s)", handle, p->path);
}
