/* References of this process to arrays: made, counted, ended. Twin of pool/array.go. */
#include <inttypes.h>

#include "handle/handle.h"
#include "internal/errors.h"
#include "pool/pool.h"

/* How long a waiter sleeps at most: a wake-up may be missed by a hair. */
#define SPACE_NAP INT64_C(20000000)

/* Tells whether this process holds block i in that generation. What has no local count is not looked at: it may lie
 * beyond the mapping. Precondition: the stripe is held. */
static inline bool held_locked(const ndpool *p, const stripe *st, uint32_t i, uint32_t generation)
{
    return st->live > 0 && p->refs.local[i].count > 0 && pool_gen(p, i) == generation;
}

static int RARELY refuse_stale(ndpool_handle h, const char *verb)
{
    return fail(NDPOOL_ERR_STALE, "%s %016" PRIx64 ": stale handle: this process does not hold that block", verb, h);
}

static int RARELY refuse_foreign(const ndpool *p, ndpool_handle h)
{
    return fail(NDPOOL_ERR_FOREIGN, "handle %016" PRIx64 ": handle is not of this pool (%s)", h, p->path);
}

int pool_hold(ndpool *p, ndpool_handle h, const char *verb, uint32_t *i, stripe **st)
{
    if (pool_forked(p))
        return pool_refuse_forked();
    if (!pool_index(p, h, i))
        return refuse_foreign(p, h);
    *st = refs_stripe(&p->refs, *i);
    spin_lock(&(*st)->mutex);
    if (held_locked(p, *st, *i, (uint32_t)(h >> 32)))
        return NDPOOL_OK;
    spin_unlock(&(*st)->mutex);
    return refuse_stale(h, verb);
}

/* Tells whether there may be room later. */
static bool may_come(const ndpool *p, int status, const meta *m)
{
    bool is_short = status == NDPOOL_ERR_FULL || status == NDPOOL_ERR_TABLE_FULL || status == NDPOOL_ERR_NO_MEMORY;
    return is_short && m->header + m->bytes <= p->stored.capacity;
}

/* Each is a verb of its own, so that a close never waits for long. */
static int want_space(ndpool *p, uint32_t *seq)
{
    int status = pool_enter(p);
    if (status != NDPOOL_OK)
        return status;
    *seq = space_wanted(p->arena);
    pool_leave(p);
    return NDPOOL_OK;
}

static int await_space(ndpool *p, uint32_t seq, int64_t ns)
{
    int status = pool_enter(p);
    if (status != NDPOOL_OK)
        return status;
    space_await(p->arena, seq, ns);
    pool_leave(p);
    return NDPOOL_OK;
}

/* Tries again until there is room or wait is over; negative: for ever. The error is that of the last attempt. */
static int RARELY take_waiting(ndpool *p, const meta *m, const int64_t *shape, int64_t wait, uint32_t *i)
{
    int64_t start = mono_time();
    for (;;) {
        uint32_t seq = 0;
        int status = want_space(p, &seq);
        if (status == NDPOOL_OK)
            status = pool_take(p, m, shape, false, i);
        if (!may_come(p, status, m))
            return status;
        int64_t left = wait < 0 ? SPACE_NAP : wait - (mono_time() - start);
        if (left <= 0)
            return status;
        status = await_space(p, seq, left < SPACE_NAP ? left : SPACE_NAP);
        if (status != NDPOOL_OK)
            return status;
    }
}

static int take(ndpool *p, const meta *m, const ndpool_spec *s, uint32_t *i)
{
    bool fast = s->flags & NDPOOL_FAST;
    int status = pool_take(p, m, s->shape, fast, i);
    if (__builtin_expect(status == NDPOOL_OK, 1) || fast || s->wait == 0 || !may_come(p, status, m))
        return status;
    return take_waiting(p, m, s->shape, s->wait, i);
}

/* All but the memory. */
static inline void describe(ndpool *p, uint32_t i, const meta *m, const int64_t *shape, ndpool_array *out)
{
    out->handle = pool_handle_of(p, i);
    out->bytes = m->bytes;
    out->dtype = m->dtype;
    out->ndim = (uint32_t)m->ndim;
    out->flags = m->flags & NDPOOL_DESC_FORTRAN ? NDPOOL_FORTRAN : 0;
    out->record_bytes = m->record_bytes;
    for (int k = 0; k < m->ndim; k++)
        out->shape[k] = shape[k];
}

static int RARELY bad_extent(ndpool *p, uint32_t i, const meta *m, extent e)
{
    pool_drop(p, i);
    return pool_corrupt(i, "extent", "got %#" PRIx64 ", expected one of %" PRIu64 " bytes", e, m->header + m->bytes);
}

/* A new block: PRIVATE, hence not sealed. It ends the reference if it fails. */
static int new_array(ndpool *p, uint32_t i, const meta *m, const int64_t *shape, ndpool_array *out)
{
    extent e = shm_load64(&pool_desc(p, i)->extent);
    /* What was valid when it was cached is so still if it is the same. */
    bool valid = (e != 0 && e == p->links[i].extent) || extent_valid(e, p->pages);
    if (!valid || m->header + m->bytes > extent_size(e))
        return bad_extent(p, i, m, e);
    out->data = arena_data(p->arena, extent_offset(e) + m->header);
    describe(p, i, m, shape, out);
    return NDPOOL_OK;
}

int pool_array(ndpool *p, uint32_t i, const meta *m, const int64_t *shape, uint32_t flags, ndpool_array *out)
{
    bool sealed = refs_sealed(&p->refs, i);
    ndpool_array a; /* so that out is not set on failure */
    int status = new_array(p, i, m, shape, &a);
    if (status != NDPOOL_OK)
        return status;
    if (sealed || flags & NDPOOL_READ_ONLY) {
        a.data = arena_read_only(p->arena, (uint64_t)((uint8_t *)a.data - p->arena->data));
        if (!a.data) {
            status = error_now()->status;
            pool_drop(p, i);
            return status;
        }
    }
    a.flags |= sealed ? NDPOOL_SEALED | NDPOOL_READ_ONLY : flags & NDPOOL_READ_ONLY;
    memcpy(out, &a, offsetof(ndpool_array, shape) + sizeof *a.shape * a.ndim);
    return NDPOOL_OK;
}

int ndpool_alloc(ndpool *p, const ndpool_spec *s, ndpool_array *out)
{
    meta m;
    uint32_t i;
    if (pool_forked(p))
        return pool_refuse_forked();
    int ndim = s->ndim > NDPOOL_MAX_DIMS ? NDPOOL_MAX_DIMS + 1 : (int)s->ndim;
    int status = meta_make(s->dtype, s->record, s->record_bytes, ndim, s->shape, s->flags & NDPOOL_FORTRAN, &m);
    if (status == NDPOOL_OK && s->record_bytes && !s->record)
        status = fail(NDPOOL_ERR_SPEC, "allocate array: a record of %u bytes without its text", s->record_bytes);
    if (status == NDPOOL_OK)
        status = take(p, &m, s, &i);
    if (status == NDPOOL_OK)
        status = new_array(p, i, &m, s->shape, out);
    if (status == NDPOOL_OK && s->flags & NDPOOL_ZERO)
        memset(out->data, 0, out->bytes);
    return status;
}

int ndpool_ref(ndpool *p, ndpool_handle h)
{
    uint32_t i;
    stripe *st;
    int status = pool_hold(p, h, "add reference to", &i, &st);
    if (status != NDPOOL_OK)
        return status;
    refs_add_locked(&p->refs, i);
    st->live++;
    spin_unlock(&st->mutex);
    return NDPOOL_OK;
}

int ndpool_release(ndpool *p, ndpool_handle h)
{
    uint32_t i;
    stripe *st;
    int status = pool_hold(p, h, "release", &i, &st);
    if (status == NDPOOL_OK)
        pool_drop_locked(p, i, st);
    return status;
}

int ndpool_record(ndpool *p, ndpool_handle h, void *text, size_t size)
{
    uint32_t i;
    stripe *st;
    meta m;
    int64_t shape[NDPOOL_MAX_NDIM];
    int status = pool_hold(p, h, "read dtype of", &i, &st);
    if (status != NDPOOL_OK)
        return status;
    spin_unlock(&st->mutex);
    status = pool_read(p, i, &m, shape);
    if (status != NDPOOL_OK)
        return status;
    if (m.record_bytes > size)
        return fail(NDPOOL_ERR_MISMATCH, "array: record: got room for %zu bytes, expected %u", size, m.record_bytes);
    return m.record_bytes ? pool_read_record(p, i, &m, text) : NDPOOL_OK;
}

int ndpool_share(ndpool *p, ndpool_handle h)
{
    uint32_t i;
    stripe *st;
    int status = pool_hold(p, h, "share", &i, &st);
    if (status != NDPOOL_OK)
        return status;
    refs_share_locked(&p->refs, i);
    spin_unlock(&st->mutex);
    return NDPOOL_OK;
}

/* The state of a block that this process holds, 0 if it does not. */
static state state_of(ndpool *p, ndpool_handle h)
{
    uint32_t i;
    stripe *st;
    if (pool_hold(p, h, "look at", &i, &st) != NDPOOL_OK)
        return 0;
    state s = pool_state(p, i);
    spin_unlock(&st->mutex);
    return s;
}

bool ndpool_is_sealed(ndpool *p, ndpool_handle h) { return state_sealed(state_of(p, h)); }
bool ndpool_is_private(ndpool *p, ndpool_handle h) { return state_kind(state_of(p, h)) == NDPOOL_KIND_PRIVATE; }

/* Tells whether a view fits the block that a handle names, as far as can be told without holding it. */
static int check_view(ndpool *p, ndpool_handle h, const ndpool_view *v)
{
    uint32_t i;
    int status = pool_resolve(p, h, &i);
    if (status != NDPOOL_OK)
        return status;
    uint64_t n = shm_load64(&pool_desc(p, i)->bytes);
    if (pool_gen(p, i) != (uint32_t)(h >> 32))
        return NDPOOL_OK; /* adopt and retain tell better what is wrong */
    return view_fits(v, n);
}

static int check_message(ndpool *p, const ndpool_message *m)
{
    if (memcmp(m->segment, p->segment, sizeof p->segment) != 0)
        return fail(NDPOOL_ERR_FOREIGN,
                    "handle %016" PRIx64 ": handle is not of this pool (%s): the message is of another segment",
                    m->handle, p->path);
    if (!m->view)
        return NDPOOL_OK;
    int status = pool_enter(p);
    if (status != NDPOOL_OK)
        return status;
    status = check_view(p, m->handle, m->view);
    pool_leave(p);
    return status;
}

int ndpool_receive(ndpool *p, const ndpool_message *m, uint32_t flags, ndpool_array *out)
{
    ndpool_array a;
    if (pool_forked(p))
        return pool_refuse_forked();
    int status = check_message(p, m);
    if (status != NDPOOL_OK)
        return status;
    if (m->ticket)
        status = ndpool_adopt(p, (ndpool_transfer){m->handle, m->ticket}, flags, &a);
    else
        status = ndpool_retain(p, m->handle, flags, &a);
    if (status != NDPOOL_OK)
        return status;
    status = m->view ? view_fits(m->view, a.bytes) : NDPOOL_OK;
    if (status != NDPOOL_OK) {
        ndpool_release(p, a.handle);
        return status;
    }
    memcpy(out, &a, offsetof(ndpool_array, shape) + sizeof *a.shape * a.ndim);
    return NDPOOL_OK;
}

int view_fits(const ndpool_view *v, uint64_t n)
{
    int64_t lo, hi;
    int status = view_bounds(v, &lo, &hi);
    if (status != NDPOOL_OK)
        return status;
    if (lo < 0 || n > INT64_MAX || hi > (int64_t)n)
        return fail(NDPOOL_ERR_MISMATCH, "array: view: got bytes %" PRId64 " to %" PRId64 ", expected within %" PRIu64,
                    lo, hi, n);
    return NDPOOL_OK;
}
