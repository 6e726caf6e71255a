/* A ring, of a stream or a queue, is a block whose descriptor has the flag RING: docs/PROTOCOL.md, section 11. It is
 * held, named and sent as any block, and is no array: every verb that wants one refuses it. ring/ knows its bytes; this
 * file knows how a ring begins and ends, and what its entries do to the blocks that they name. Twin of pool/ring.go. */
#include "pool/pool.h"

#include <inttypes.h>

#include "internal/errors.h"

enum { DEFAULT_FRAMES = 2, DEFAULT_READERS = 64, DEFAULT_QUEUE = 16384, COMES_AND_GOES = 100 };

/* ---- options */

static const char *kind_word(uint32_t kind) { return kind == NDPOOL_RING_QUEUE ? "queue" : "stream"; }

static int check_options(const char *verb, uint32_t kind, const ndpool_ring_options *o)
{
    if (o->entries > NDPOOL_MAX_RING_ENTRIES)
        return fail(NDPOOL_ERR_OPTIONS, "%s: got %u entries (at most %d)", verb, o->entries, NDPOOL_MAX_RING_ENTRIES);
    if (o->readers > NDPOOL_MAX_RING_READERS)
        return fail(NDPOOL_ERR_OPTIONS, "%s: got %u readers (at most %d)", verb, o->readers, NDPOOL_MAX_RING_READERS);
    if (kind == NDPOOL_RING_QUEUE && (o->readers || o->flags & NDPOOL_LOSSLESS))
        return fail(NDPOOL_ERR_OPTIONS, "%s: a queue has no readers to wait for", verb);
    return NDPOOL_OK;
}

/* How many entries and readers a new ring has. */
static void size_of(uint32_t kind, const ndpool_ring_options *o, uint32_t *entries, uint32_t *readers)
{
    bool lossless = o->flags & NDPOOL_LOSSLESS;
    *entries = o->entries ? o->entries : kind == NDPOOL_RING_QUEUE ? DEFAULT_QUEUE : DEFAULT_FRAMES;
    *readers = !lossless ? 0 : o->readers ? o->readers : DEFAULT_READERS;
}

/* Tells whether a ring that is there is what was asked for. owner is its name's. */
static int agree(const char *verb, const char *path, const ring *r, ident owner, const ndpool_ring_options *o)
{
    if (o->entries && o->entries != r->n_entries)
        return fail(NDPOOL_ERR_OPTIONS, "%s \"%.200s\": it has %u entries (%u expected)", verb, path, r->n_entries, o->entries);
    if (o->flags & NDPOOL_LOSSLESS && !ring_lossless(r))
        return fail(NDPOOL_ERR_OPTIONS, "%s \"%.200s\": it is not lossless", verb, path);
    if (o->readers && o->readers != r->n_readers)
        return fail(NDPOOL_ERR_OPTIONS, "%s \"%.200s\": it has room for %u readers (%u expected)", verb, path,
                    r->n_readers, o->readers);
    if (o->flags & NDPOOL_PERSISTENT && owner != 0)
        return fail(NDPOOL_ERR_OPTIONS, "%s \"%.200s\": its name is not persistent", verb, path);
    return NDPOOL_OK;
}

/* ---- what a ring is among blocks */

bool pool_ring_at(const arena *a, uint32_t i, ring *r)
{
    const ndpool_desc *d = &a->descs[i];
    extent e = shm_load64(&d->extent);
    uint64_t n = shm_load64(&d->bytes);
    *r = (ring){0};
    if (!(shm_load32(&d->flags) & NDPOOL_DESC_RING) || !extent_valid(e, a->pages))
        return false;
    if (shm_load32(&d->header) != 0 || n > extent_size(e))
        return false;
    return ring_lay(r, arena_data(a, extent_offset(e)), n);
}

/* A handle that leads nowhere is a scribble, and nobody's; so is one that leads to a ring, which an honest entry never
 * names. */
static bool find_block(ndpool *p, uint64_t h, uint32_t *i) { return pool_live_block(p, h, i) && !pool_is_ring(p, *i); }

static bool carried(void *arg, uint64_t h)
{
    uint32_t i;
    return find_block(arg, h, &i);
}

static void enter_block(void *arg, uint64_t h)
{
    ndpool *p = arg;
    uint32_t i;
    if (find_block(p, h, &i))
        refs_enter(&p->refs, i);
}

/* Parks a block that nobody is left to hold: who puts frames has use for the memory of those that he drops. Who leaves
 * has not, and his caches are nobody's any more. */
static void exit_block(void *arg, uint64_t h)
{
    ndpool *p = arg;
    uint32_t i;
    if (!find_block(p, h, &i) || !refs_exit(&p->refs, i))
        return;
    if (atomic_load(&p->finished)) {
        pool_end_locked(p, i);
        return;
    }
    stripe *st = refs_lock(&p->refs, i);
    pool_park_locked(p, i);
    spin_unlock(&st->mutex);
}

static void count_block(void *arg, uint64_t h)
{
    ndpool *p = arg;
    uint32_t i;
    if (find_block(p, h, &i))
        refs_count_ticket(&p->refs, i);
}

ring_blocks pool_ring_blocks(ndpool *p)
{
    return (ring_blocks){.enter = enter_block, .exit = exit_block, .carried = carried, .count = count_block, .arg = p};
}

/* Drops the entries of a BUSY ring of this process and clears its flag. One that is torn has none that count. */
void pool_empty_locked(ndpool *p, uint32_t i)
{
    ndpool_desc *d = pool_desc(p, i);
    ring_blocks b = pool_ring_blocks(p);
    ring r;
    if (pool_ring_at(p->arena, i, &r))
        ring_empty(&r, &b);
    shm_publish32(&d->flags, shm_load32(&d->flags) & ~(uint32_t)NDPOOL_DESC_RING);
}

/* Tells whether block i is one whose entries count, if it is a ring. */
static bool is_kept(const ndpool *p, uint32_t i)
{
    int kind = state_kind(pool_state(p, i));
    return kind == NDPOOL_KIND_BUSY || kind == NDPOOL_KIND_PRIVATE || kind == NDPOOL_KIND_LIVE;
}

/* Counts what the entries of a ring name. */
void pool_recount_locked(ndpool *p, uint32_t i)
{
    ring_blocks b = pool_ring_blocks(p);
    ring r;
    if (is_kept(p, i) && pool_ring_at(p->arena, i, &r))
        ring_recount(&r, &b);
}

/* Ends what a slot's process has to do with a ring. */
void pool_sweep_ring_locked(ndpool *p, uint32_t i, uint32_t slot, bool died)
{
    ring r;
    if (is_kept(p, i) && pool_ring_at(p->arena, i, &r))
        ring_sweep_slot(&r, slot, died);
}

/* How long a release waits for the lock, in nanoseconds. If it cannot be had by then, what is pending waits until this
 * process holds it for another reason. */
#define END_WAIT INT64_C(50000000)

/* Who shuts the gate, to close or to fork, is not waited for: the caller may be inside already. On a closed pool that
 * is left just now, leaving sees to them. */
void pool_end_rings(ndpool *p)
{
    bool taken;
    if (pool_forked(p) || !gate_try_enter(&p->verbs))
        return;
    if (!atomic_load(&p->finished) && arena_lock(p->arena, END_WAIT, &taken) == NDPOOL_OK) {
        if (taken)
            pool_rebuild_locked(p);
        pool_flush_locked(p);
        pool_unlock(p);
        space_freed(p->arena);
    }
    pool_leave(p);
}

/* Tells whether a handle leads to a queue that has something in it. */
static bool queue_waits(const arena *a, uint64_t h)
{
    int64_t n = geometry_desc_index(&a->geo, (uint32_t)h);
    uint64_t tail, head;
    ring r;
    if (n < 0 || n >= shm_load32(&a->ctl->descs) || n >= a->n_descs)
        return false;
    const ndpool_desc *d = &a->descs[n];
    if (state_kind(shm_load64(&d->state)) != NDPOOL_KIND_LIVE || gen_number(shm_load64(&d->gen)) != (uint32_t)(h >> 32))
        return false;
    return pool_ring_at(a, (uint32_t)n, &r) && r.kind == NDPOOL_RING_QUEUE && ring_span(&r, &tail, &head) && tail != head;
}

bool pool_names_stay(const arena *a) { return catalog_stays(a, queue_waits); }

/* ---- references */

int pool_torn_ring(const char *verb)
{
    return fail(NDPOOL_ERR_CORRUPT, "%s: the bytes of a stream or a queue cannot be one: segment is corrupt, run ndpool verify",
                verb);
}

int pool_torn_entry(const char *verb)
{
    return fail(NDPOOL_ERR_CORRUPT, "%s: an entry of a stream or a queue was damaged, and is gone", verb);
}

int pool_ring_ref(ndpool *p, const char *verb, uint32_t i, uint32_t kind, ring_ref *out)
{
    ring r;
    int status = NDPOOL_OK;
    bool ok = pool_ring_at(p->arena, i, &r);
    if (!pool_is_ring(p, i))
        status = fail(NDPOOL_ERR_KIND, "%s: it is an array, and no %s", verb, kind_word(kind));
    else if (!ok)
        status = pool_torn_ring(verb);
    else if (r.kind != kind)
        status = fail(NDPOOL_ERR_KIND, "%s: it is a %s, and no %s", verb, kind_word(r.kind), kind_word(kind));
    if (status != NDPOOL_OK) {
        ndpool_error why = *error_now();
        pool_drop(p, i);
        *error_now() = why;
        return status;
    }
    *out = (ring_ref){.ring = r, .block = i, .handle = pool_share(p, i)};
    return NDPOOL_OK;
}

/* A ring that is looked up. Local. */
typedef struct ring_search {
    const char *path;
    uint64_t known;
    ident owner;
    held_value held;
} ring_search;

static int find_locked(ndpool *p, void *arg)
{
    ring_search *l = arg;
    uint32_t e;
    int status = catalog_find(&p->names, l->path, &e);
    if (status != NDPOOL_OK)
        return status;
    name_value v = catalog_value(&p->names, e);
    l->owner = v.owner;
    if (v.array == 0)
        return STATUS_IS_GROUP;
    return v.array == l->known ? NDPOOL_OK : pool_hold_value(p, &v, false, &l->held);
}

int pool_find_ring(ndpool *p, const char *verb, const char *path, uint32_t kind, uint64_t known, ring_ref *out, ident *owner)
{
    ring_search l = {.path = path, .known = known};
    *out = (ring_ref){0};
    int status = pool_check_path(verb, path);
    if (status == NDPOOL_OK)
        status = pool_name_error(p, verb, path, pool_with_names(p, find_locked, &l));
    if (status != NDPOOL_OK)
        return status;
    if (owner)
        *owner = l.owner;
    if (!l.held.has_array)
        return NDPOOL_OK;
    status = pool_ring_ref(p, verb, l.held.array, kind, out);
    return status == NDPOOL_OK ? status : fail_within("\"%.200s\"", path);
}

/* Makes a ring, which this process holds. Precondition: the caller is not inside a verb.
 *
 * The flag comes last, while the block is PRIVATE: who sees it sees a ring. A death before leaves a PRIVATE block, and
 * nothing more. */
static int make_ring(ndpool *p, uint32_t kind, const ndpool_ring_options *o, uint32_t *i)
{
    uint32_t entries, readers, flags = o->flags & NDPOOL_LOSSLESS ? NDPOOL_RING_LOSSLESS : 0;
    ndpool_array a;
    ring r;
    size_of(kind, o, &entries, &readers);
    int64_t n = (int64_t)ring_bytes(entries, readers);
    ndpool_spec s = {.dtype = NDPOOL_UINT8, .ndim = 1, .shape = &n, .flags = NDPOOL_ZERO};
    int status = ndpool_alloc(p, &s, &a);
    if (status != NDPOOL_OK)
        return status;
    (void)ring_make(&r, a.data, (uint64_t)n, kind, flags, entries, readers);
    (void)pool_index(p, a.handle, i);
    ndpool_desc *d = pool_desc(p, *i);
    shm_publish32(&d->flags, shm_load32(&d->flags) | NDPOOL_DESC_RING);
    return NDPOOL_OK;
}

/* The name of a new ring. Local. */
typedef struct ring_naming {
    const char *path;
    name_value v;
} ring_naming;

static int is_taken(void *arg, const name_value *old, name_value *v)
{
    (void)arg, (void)old, (void)v;
    return NDPOOL_ERR_NAME_TAKEN;
}

static int stage_ring(ndpool *p, change *ch, void *arg)
{
    ring_naming *n = arg;
    (void)p;
    return change_put(ch, n->path, &n->v, is_taken, NULL);
}

/* Gives a ring its name, which goes with the pool, or with nobody. */
static int name_ring(ndpool *p, const char *verb, const char *path, uint64_t h, bool persistent)
{
    ring_naming n = {.path = path, .v = {.array = h, .owner = persistent ? 0 : NDPOOL_NAME_POOL}};
    uint64_t version;
    int status = pool_enter(p);
    if (status != NDPOOL_OK)
        return status;
    status = pool_change(p, path_nodes("", path), stage_ring, &n, &version);
    status = pool_name_error(p, verb, path, status);
    pool_leave(p);
    return status;
}

/* Ends a reference; this thread's error stays. */
static void end_ref(ndpool *p, const ring_ref *f)
{
    ndpool_error why = *error_now();
    pool_drop(p, f->block);
    *error_now() = why;
}

static int lookup_ring(ndpool *p, const char *verb, const char *path, uint32_t kind, const ndpool_ring_options *o, ring_ref *out)
{
    ident owner;
    int status = pool_enter(p);
    if (status != NDPOOL_OK)
        return status;
    status = pool_find_ring(p, verb, path, kind, 0, out, &owner);
    pool_leave(p);
    if (status != NDPOOL_OK)
        return status;
    status = agree(verb, path, &out->ring, owner, o);
    if (status != NDPOOL_OK)
        end_ref(p, out);
    return status;
}

static int create_ring(ndpool *p, const char *verb, const char *path, uint32_t kind, const ndpool_ring_options *o, ring_ref *out)
{
    uint32_t i;
    int status = make_ring(p, kind, o, &i);
    if (status == NDPOOL_OK)
        status = pool_ring_ref(p, verb, i, kind, out);
    if (status != NDPOOL_OK || !path)
        return status;
    status = name_ring(p, verb, path, out->handle, o->flags & NDPOOL_PERSISTENT);
    if (status != NDPOOL_OK)
        end_ref(p, out);
    return status;
}

int pool_open_ring(ndpool *p, const char *verb, const char *path, uint32_t kind, const ndpool_ring_options *o, ring_ref *out)
{
    static const ndpool_ring_options none = {0};
    o = o ? o : &none;
    int status = check_options(verb, kind, o);
    for (int n = 0; n < COMES_AND_GOES && status == NDPOOL_OK; n++) {
        if (path) {
            status = lookup_ring(p, verb, path, kind, o, out);
            if (status != NDPOOL_ERR_NO_NAME)
                return status;
        }
        status = create_ring(p, verb, path, kind, o, out);
        if (status != NDPOOL_ERR_NAME_TAKEN)
            return status;
        status = NDPOOL_OK;
    }
    return status == NDPOOL_OK ? fail(NDPOOL_ERR_NAME_TAKEN, "%s \"%.200s\": the name comes and goes", verb, path) : status;
}
