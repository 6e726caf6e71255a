/* Ways to an attachment. Twin of pool/open.go. */
#include "internal/errors.h"
#include "pool/pool.h"

static const ndpool_options no_options = NDPOOL_OPTIONS_INIT;

/* Writes the derived indexes of a new segment. */
static int format(arena *a)
{
    allocator al;
    alloc_init(&al, a);
    alloc_format(&al);
    return NDPOOL_OK;
}

static int create(const char *name, const ndpool_options *o, ndpool **out)
{
    spec s;
    location l;
    arena *a;
    int status = options_spec(o, &s);
    if (status != NDPOOL_OK)
        return status;
    options_location(name, o, &l);
    status = arena_create(&l, &s, format, &a);
    if (status == NDPOOL_OK)
        status = pool_new(a, out);
    if (status == NDPOOL_OK)
        fork_enlist(*out);
    return status;
}

int ndpool_create(const char *name, const ndpool_options *o, ndpool **out)
{
    *out = NULL;
    fork_hold();
    int status = create(name, o ? o : &no_options, out);
    fork_release();
    return status;
}

int ndpool_open(const char *name, const ndpool_options *o, ndpool **out) { return pool_open(name, o, false, out); }

int ndpool_open_or_create(const char *name, const ndpool_options *o, ndpool **out)
{
    for (int n = 0; n < 100; n++) {
        int status = pool_open(name, o, true, out);
        if (status != NDPOOL_ERR_NOT_EXIST)
            return status;
        status = ndpool_create(name, o, out);
        if (status != NDPOOL_ERR_EXIST)
            return status;
    }
    return fail(NDPOOL_ERR_NOT_EXIST, "open or create %s: the name comes and goes", name);
}

int ndpool_unlink(const char *name, const ndpool_options *o)
{
    location l;
    options_location(name, o ? o : &no_options, &l);
    return arena_unlink_name(&l);
}

/* Tells whether no other living process is attached. */
static bool alone(const ndpool *p)
{
    arena *a = p->arena;
    for (uint32_t slot = 0; slot < a->n_slots; slot++) {
        ident id;
        if (arena_ident(a, slot, &id) && id != a->self && arena_alive(a, id))
            return false;
    }
    return true;
}

/* Brings a segment in order at attach: the slot that this process took over from a dead one and, but for an observer, other
 * dead processes. */
static int clean(ndpool *p, bool dirty)
{
    int dead;
    if (dirty) {
        int status = pool_sweep_slot(p, arena_slot(p->arena), true);
        if (status != NDPOOL_OK)
            return status;
        arena_activate(p->arena);
    }
    return p->observer ? NDPOOL_OK : pool_sweep_dead(p, &dead);
}

static int begin(arena *a, const ndpool_options *o, bool dirty, ndpool **out)
{
    ndpool *p;
    int status = pool_new(a, &p);
    if (status != NDPOOL_OK)
        return status;
    p->observer = o->observer;
    p->keep = p->observer && alone(p);
    status = clean(p, dirty);
    if (status != NDPOOL_OK) {
        pool_unmap(p); /* as death does */
        pool_unpin(p);
        pool_unpin(p);
        return status;
    }
    fork_enlist(p);
    *out = p;
    return NDPOOL_OK;
}

static int open_segment(const char *name, const ndpool_options *o, bool replace, ndpool **out)
{
    location l;
    arena *a;
    bool dirty = false;
    options_location(name, o, &l);
    int status = arena_open(&l, replace, pool_orphaned, &a);
    if (status != NDPOOL_OK)
        return status;
    status = options_agree(o, a);
    if (status == NDPOOL_OK)
        status = arena_claim(a, &dirty);
    if (status != NDPOOL_OK) {
        arena_close(a);
        return status;
    }
    return begin(a, o, dirty, out);
}

int pool_open(const char *name, const ndpool_options *o, bool replace, ndpool **out)
{
    *out = NULL;
    fork_hold();
    int status = open_segment(name, o ? o : &no_options, replace, out);
    fork_release();
    return status;
}

/* Tells whether a segment that nobody is attached to was left behind by killed processes: it is not persistent, and
 * nothing in it is wanted. Precondition: the pool's byte is held exclusively. */
bool pool_orphaned(arena *a)
{
    if (arena_has(a, NDPOOL_FLAG_PERSISTENT) || arena_has(a, NDPOOL_FLAG_ANONYMOUS))
        return false;
    bool killed = false;
    for (uint32_t slot = 0; slot < a->n_slots; slot++) {
        ident id;
        killed |= arena_ident(a, slot, &id);
    }
    return !pool_wanted(a, killed);
}

/* Tells whether a segment that nobody is attached to is kept for what is in it: a name that stays, a named queue with entries
 * or, if nobody was killed, a transfer in flight. */
bool pool_wanted(arena *a, bool killed)
{
    return pool_names_stay(a) || (!killed && pool_transfers_wait(a));
}

/* Tells whether any transfer is in flight that has not expired. */
bool pool_transfers_wait(arena *a)
{
    uint64_t now = (uint64_t)boot_time();
    for (uint32_t n = 0; n < a->n_tickets; n++) {
        const ndpool_ticket *k = &a->tickets[n]; /* the struct of the segment */
        if (ticket_kind(shm_load64(&k->word)) != NDPOOL_TICKET_OPEN)
            continue;
        uint64_t d = shm_load64(&k->deadline);
        if (d == 0 || d > now)
            return true;
    }
    return false;
}

int ndpool_file(ndpool *p, int *fd)
{
    int status = pool_enter(p);
    if (status != NDPOOL_OK)
        return status;
    status = arena_file(p->arena, fd);
    pool_leave(p);
    return status;
}
