/* Processes that died and this one's own end. Twin of pool/process.go. */
#include "internal/errors.h"
#include "pool/pool.h"

/* How often, at most, a process that refills its cache asks whether others died. */
#define SWEEP_INTERVAL INT64_C(100000000)

/* How long a process at its end waits for its other threads. */
#define EXIT_WAIT INT64_C(1000000000)

/* How many descriptors are swept in one hold of the lock. */
enum { SWEEP_BATCH = 1024 };

/* Ends transfer n, and its block if that kept it alive. A ticket whose handle leads nowhere is a scribble. */
void pool_expire_locked(ndpool *p, uint32_t n)
{
    uint32_t i;
    if (!pool_ticket_block(p, n, &i))
        refs_drop_ticket(&p->refs, n);
    else if (refs_expire(&p->refs, n, i))
        pool_end_locked(p, i);
    set_add(&p->alloc.tickets, n);
}

bool pool_expired_at(const ndpool *p, uint32_t n, uint64_t now)
{
    uint64_t d = shm_load64(&p->refs.tickets[n].deadline);
    return refs_ticket_open(&p->refs, n) && d != 0 && d <= now;
}

static bool any_expired(const ndpool *p)
{
    uint64_t now = (uint64_t)boot_time();
    for (uint32_t n = 0; n < p->arena->n_tickets; n++) {
        if (pool_expired_at(p, n, now))
            return true;
    }
    return false;
}

/* Ends the transfers whose deadline has passed. */
static int expire(ndpool *p, int *count)
{
    *count = 0;
    if (!any_expired(p))
        return NDPOOL_OK;
    int status = pool_lock(p);
    if (status != NDPOOL_OK)
        return status;
    uint64_t now = (uint64_t)boot_time();
    for (uint32_t n = 0; n < p->arena->n_tickets; n++) {
        if (pool_expired_at(p, n, now)) {
            pool_expire_locked(p, n);
            ++*count;
        }
    }
    pool_unlock(p);
    return NDPOOL_OK;
}

/* Drops the transfers that are directed at a slot whose process is gone, and gives those it sent their deadline. */
static void sweep_tickets_locked(ndpool *p, uint32_t slot)
{
    int64_t now = boot_time();
    for (uint32_t n = 0; n < p->arena->n_tickets; n++) {
        if (!refs_ticket_open(&p->refs, n))
            continue;
        const struct ndpool_ticket *k = &p->refs.tickets[n];
        ident receiver = shm_load64(&k->receiver);
        if (receiver != 0 && ident_slot(receiver) == slot)
            pool_expire_locked(p, n);
        else if (receiver == 0 && ident_slot(shm_load64(&k->sender)) == slot && shm_load64(&k->deadline) == 0)
            refs_orphan(&p->refs, n, now, p->grace);
    }
}

/* Ends what a slot whose process is gone has to do with anything: first its transfers, then its names, then its roles in rings
 * and its blocks. Idempotent: if this process dies too, the next sweeper starts again. Precondition: the slot's byte is held by
 * this process. */
int pool_sweep_slot(ndpool *p, uint32_t slot, bool died)
{
    int status = pool_lock(p);
    if (status != NDPOOL_OK)
        return status;
    sweep_tickets_locked(p, slot);
    for (uint32_t e = 0, n = catalog_committed(p->arena); e < n; e++)
        catalog_sweep_lock(p->arena, e, slot);
    status = pool_disown_locked(p, slot);
    pool_unlock(p);
    if (status != NDPOOL_OK)
        return fail(NDPOOL_ERR_CORRUPT, "sweep slot %u: the catalog is torn", slot);
    for (uint32_t lo = 0; lo < pool_descs(p); lo += SWEEP_BATCH) {
        status = pool_lock(p);
        if (status != NDPOOL_OK)
            return status;
        for (uint32_t i = lo; i < lo + SWEEP_BATCH && i < pool_descs(p); i++) {
            if (pool_is_ring(p, i))
                pool_sweep_ring_locked(p, i, slot, died);
            if (refs_sweep_block(&p->refs, i, (int)slot))
                pool_end_locked(p, i);
        }
        pool_unlock(p);
    }
    space_freed(p->arena);
    return NDPOOL_OK;
}

/* Sweeps the slots of all dead processes and says how many there were. */
int pool_sweep_dead(ndpool *p, int *n)
{
    *n = 0;
    for (uint32_t slot = 0; slot < p->arena->n_slots; slot++) {
        grave g;
        bool got;
        if (slot == arena_slot(p->arena))
            continue; /* nobody asks about himself */
        int status = arena_bury(p->arena, slot, &g, &got);
        if (status != NDPOOL_OK)
            return status;
        if (!got)
            continue;
        status = pool_sweep_slot(p, slot, true);
        if (status != NDPOOL_OK) {
            grave_close(&g);
            return status;
        }
        grave_done(p->arena, &g);
        ++*n;
    }
    return NDPOOL_OK;
}

int pool_reap(ndpool *p, ndpool_reaped *r)
{
    *r = (ndpool_reaped){0};
    int status = pool_sweep_dead(p, &r->processes);
    return status == NDPOOL_OK ? expire(p, &r->expired) : status;
}

int ndpool_reap(ndpool *p, ndpool_reaped *out)
{
    ndpool_reaped r;
    int status = pool_enter(p);
    if (status != NDPOOL_OK)
        return status;
    status = pool_reap(p, &r);
    pool_leave(p);
    if (status == NDPOOL_OK)
        *out = r;
    return status;
}

/* Sweeps if the last time is long enough ago. Errors can wait: the next one will meet them again. */
void pool_sweep_sometimes(ndpool *p)
{
    ndpool_reaped r;
    int64_t now = boot_time(), last = atomic_load(&p->last_sweep);
    if (now - last > SWEEP_INTERVAL && atomic_compare_exchange_strong(&p->last_sweep, &last, now))
        (void)pool_reap(p, &r);
}

/* Everything of blocks that a rebuild knows before the tickets. */
static void mark_blocks_locked(ndpool *p)
{
    for (uint32_t i = 0; i < pool_descs(p); i++) {
        extent e;
        refs_forget_tickets(&p->refs, i);
        refs_forget_names(&p->refs, i);
        bool ok = pool_extent(p, i, &e);
        int kind = state_kind(pool_state(p, i));
        if (kind == NDPOOL_KIND_FREE)
            set_add(&p->alloc.descs, i);
        else if (ok && (kind == NDPOOL_KIND_LIVE || kind_owned(kind)))
            alloc_mark(&p->alloc, e);
    }
}

static void count_tickets_locked(ndpool *p)
{
    for (uint32_t n = 0; n < p->arena->n_tickets; n++) {
        uint32_t i;
        bool ok = pool_ticket_block(p, n, &i), open = refs_ticket_open(&p->refs, n);
        if (open && ok) {
            refs_count_ticket(&p->refs, i);
            continue;
        }
        if (open)
            refs_drop_ticket(&p->refs, n);
        set_add(&p->alloc.tickets, n);
    }
}

/* Makes all indexes anew from the truth, beside other processes that go on with steps that need no lock. It is what
 * the taker of a dead owner's lock does first; if it dies too, the next one starts again.
 *
 * First a change of the catalog is ended that somebody died in. Of the pseudo-holder bits it first sets what is missing, and
 * only then clears what nothing justifies, so that a bit that a ticket or a name backs is never clear for an instant. */
void pool_rebuild_locked(ndpool *p)
{
    catalog_roll(&p->names);
    alloc_reset(&p->alloc);
    mark_blocks_locked(p);
    count_tickets_locked(p);
    for (uint32_t i = 0; i < pool_descs(p); i++) {
        if (pool_is_ring(p, i))
            pool_recount_locked(p, i);
    }
    catalog_rebuild(&p->names);
    alloc_finish(&p->alloc);
    for (uint32_t i = 0; i < pool_descs(p); i++) {
        refs_back_transit(&p->refs, i);
        refs_back_named(&p->refs, i);
    }
    for (uint32_t i = 0; i < pool_descs(p); i++) {
        if (refs_surplus(&p->refs, i))
            pool_end_locked(p, i);
    }
}

void pool_lock_stripes(ndpool *p)
{
    for (int s = 0; s < STRIPES; s++)
        spin_lock(&p->refs.stripes[s].mutex);
}

void pool_unlock_stripes(ndpool *p)
{
    for (int s = 0; s < STRIPES; s++)
        spin_unlock(&p->refs.stripes[s].mutex);
}

/* It waits until no thread is inside a verb; then no new work begins. The names that this process published go
 * with the attachment, but for persistent ones. The last process to leave a pool that is not persistent removes it, unless a
 * transfer is still on its way or a persistent name is left. A forked process that is not attached has nothing to
 * end. */
void ndpool_close(ndpool *p)
{
    if (pool_forked(p)) {
        atomic_store(&p->closed, true);
        return;
    }
    gate_shut(&p->verbs);
    pool_lock_stripes(p);
    atomic_store(&p->closed, true);
    pool_unlock_stripes(p);
    gate_open(&p->verbs);
    pool_finish(p);
}

/* In a forked process that is not attached the struct stays, since nobody knows its last reference. */
void ndpool_free(ndpool *p)
{
    if (!p)
        return;
    atomic_store(&p->abandoned, true);
    ndpool_close(p);
    if (!pool_forked(p))
        pool_unpin(p);
}

/* Runs while nobody can attach, if this process was the last one. */
static void last_one_out(void *arg)
{
    ndpool *p = arg;
    arena *a = p->arena;
    if (!p->keep && !arena_has(a, NDPOOL_FLAG_PERSISTENT) && !pool_wanted(a, false))
        p->removed = arena_unlink(a) == NDPOOL_OK;
}

/* Leaves the segment. It fails if a stopped process keeps the lock: then the kernel's locks are to be dropped as death
 * would, and others sweep what this one leaves. */
static bool leave(ndpool *p)
{
    arena *a = p->arena;
    pool_retreat_locks(p);
    arena_depart(a);
    if (pool_sweep_slot(p, arena_slot(a), false) != NDPOOL_OK)
        return false;
    arena_leave(a, last_one_out, p);
    return true;
}

/* Decides once that the attachment ends. Precondition: the gate is shut. */
static bool is_over(ndpool *p)
{
    int64_t live = 0;
    pool_lock_stripes(p);
    for (int s = 0; s < STRIPES; s++)
        live += p->refs.stripes[s].live;
    bool over = live == 0 && !atomic_exchange(&p->finished, true);
    pool_unlock_stripes(p);
    return over;
}

void pool_finish(ndpool *p)
{
    gate_shut(&p->verbs);
    bool over = is_over(p);
    if (over) {
        atomic_store(&p->self, 0);
        if (!p->snapshot)
            (void)leave(p);
        pool_unmap(p);
    }
    gate_open(&p->verbs);
    if (over) {
        fork_delist(p);
        pool_unpin(p);
    }
}

/* Gives mapping and private tables back. Precondition: nobody uses them any more. */
void pool_unmap(ndpool *p)
{
    if (p->refs.local)
        refs_free(&p->refs);
    pool_free_locks(p);
    arena_close(p->arena);
    lazy_free(p->links, p->n_descs, sizeof *p->links);
    p->arena = NULL;
    p->links = NULL;
}

/* Shuts a gate if the threads inside come out in time. Released by gate_open. */
static bool shut_within(gate *g, int64_t ns)
{
    int64_t end = mono_time() + ns;
    while (atomic_fetch_or(&g->word, GATE_SHUT) & GATE_SHUT) {
        if (mono_time() > end)
            return false;
        gate_nap();
    }
    while (atomic_load(&g->word) != GATE_SHUT) {
        if (mono_time() > end) {
            gate_open(g);
            return false;
        }
        gate_nap();
    }
    return true;
}

/* From now on no thread of this process touches the segment by a verb: what it still has it does not have any more. */
static bool give_up_all(ndpool *p)
{
    pool_lock_stripes(p);
    atomic_store(&p->closed, true);
    bool first = !atomic_exchange(&p->finished, true);
    for (int s = 0; s < STRIPES; s++)
        p->refs.stripes[s].live = 0;
    pool_unlock_stripes(p);
    return first;
}

/* The mapping stays, since somebody may still read, and so does the struct. */
void ndpool_exit(ndpool *p)
{
    if (p->snapshot || pool_forked(p) || !shut_within(&p->verbs, EXIT_WAIT))
        return;
    bool first = give_up_all(p);
    if (first) {
        atomic_store(&p->self, 0);
        if (!leave(p))
            arena_abandon(p->arena);
    }
    gate_open(&p->verbs);
    if (first)
        fork_delist(p);
}
