/*
 * Takes attachments along into a forked child. It has no twin: a Go program cannot fork. docs/model/fork.pml proves the
 * order.
 *
 * The parent does what needs the segment, before the fork and while none of its threads is inside: it claims a slot for
 * the child, and gives the child's slot a bit in every block that it holds itself. Only then there is a child, attached
 * from its first instruction. If the parent dies in between, or the fork fails, the slot is a dead process's, like any
 * other: nobody has its byte.
 */
#include <pthread.h>

#include "internal/errors.h"
#include "pool/pool.h"

/* What a fork does with a pool. */
enum {
    FORK_SKIPS, /* the segment was left already */
    FORK_JOINS, /* the child has a slot */
    FORK_HIDES, /* the child has no mapping: there was no slot, or nothing to take along */
};

/* The attachments of this process. Opens and creates are inside the gate; the mutex guards the list and is held during
 * a fork. */
static struct {
    gate opens;
    spin mutex;
    ndpool *first;
} all;

void fork_hold(void) { gate_enter(&all.opens); }
void fork_release(void) { gate_leave(&all.opens); }

/* Shares every block that this process has a reference to with the child. All stripes are held, so that nobody can come
 * between the count and the bit. */
static void hand_on(ndpool *p)
{
    refs *r = &p->refs;
    int slot = (int)ident_slot(p->arena->child_self);
    for (uint32_t lo = 0, n = pool_descs(p); lo < n; lo += STRIPE_RUN) {
        if (r->stripes[stripe_of(lo)].live == 0)
            continue;
        for (uint32_t i = lo; i < lo + STRIPE_RUN && i < n; i++) {
            if (r->local[i].count > 0)
                refs_fork_block(r, i, slot);
        }
    }
}

/* Claims a slot for the child, that of a dead process if need be. */
static bool reserve(ndpool *p)
{
    int status = arena_fork_reserve(p->arena), dead;
    if (status == NDPOOL_ERR_PROCESSES && pool_sweep_dead(p, &dead) == NDPOOL_OK)
        status = arena_fork_reserve(p->arena);
    return status == NDPOOL_OK;
}

/* Tells whether a closed pool has nothing more to take along: the thread that released the last reference is about to
 * leave the segment. */
static bool is_leaving(ndpool *p)
{
    int64_t live = 0;
    if (!atomic_load(&p->closed))
        return false;
    pool_lock_stripes(p);
    for (int s = 0; s < STRIPES; s++)
        live += p->refs.stripes[s].live;
    pool_unlock_stripes(p);
    return live == 0;
}

static void prepare_pool(ndpool *p)
{
    gate_shut(&p->verbs);
    p->forking = FORK_SKIPS;
    if (atomic_load(&p->finished))
        return;
    p->forking = !is_leaving(p) && reserve(p) ? FORK_JOINS : FORK_HIDES;
    if (p->forking == FORK_HIDES)
        (void)arena_fork_hide(p->arena, true); /* if not, the child is refused all the same */
    spin_lock(&p->arena->front);
    spin_lock(&p->name_locks.mutex);
    pool_lock_stripes(p);
    spin_lock(&p->pending_mutex); /* taken by releases that have a stripe */
    if (p->forking == FORK_JOINS)
        hand_on(p);
}

static void prepare(void)
{
    gate_shut(&all.opens);
    spin_lock(&all.mutex);
    for (ndpool *p = all.first; p; p = p->next)
        prepare_pool(p);
}

static void parent_pool(ndpool *p)
{
    if (p->forking != FORK_SKIPS) {
        spin_unlock(&p->pending_mutex);
        pool_unlock_stripes(p);
        spin_unlock(&p->name_locks.mutex);
        spin_unlock(&p->arena->front);
    }
    if (p->forking == FORK_JOINS)
        arena_fork_parent(p->arena);
    if (p->forking == FORK_HIDES)
        (void)arena_fork_hide(p->arena, false);
    gate_open(&p->verbs);
}

static void parent(void)
{
    for (ndpool *p = all.first; p; p = p->next)
        parent_pool(p);
    spin_unlock(&all.mutex);
    gate_open(&all.opens);
}

/* What is CACHED, and what waits for the lock, stays the parent's. */
static void forget_cache(ndpool *p)
{
    for (int s = 0; s < STRIPES; s++) {
        for (int bin = 0; bin < NDPOOL_NUM_BINS; bin++) {
            uint32_t i;
            while (pool_pop(p, s, bin, &i))
                ;
        }
        p->caches[s].over = 0;
    }
    atomic_store(&p->over, 0);
    atomic_store(&p->pending, 0);
}

/* The threads that would unlock them are not in the child. */
static void unlock_all(ndpool *p)
{
    for (int s = 0; s < STRIPES; s++)
        p->refs.stripes[s].mutex = (spin){0};
    p->pending_mutex = (spin){0};
    pool_forget_locks(p);
    p->arena->front = (spin){0};
    p->arena->ro_once = (spin){0};
    gate_reset(&p->verbs);
}

/* Releases that were about to end a closed pool are not in the child, and neither are their pins. */
static bool child_joins(ndpool *p)
{
    if (p->forking != FORK_JOINS || arena_fork_child(p->arena) != NDPOOL_OK)
        return false;
    refs_become(&p->refs, p->arena->self);
    forget_cache(p);
    unlock_all(p);
    atomic_store(&p->self, p->arena->self);
    atomic_store(&p->pins, (atomic_load(&p->abandoned) ? 1 : 2) + atomic_load(&p->roles));
    *p->attached = 1;
    return true;
}

/* What was hidden is not in the child's address space: something else may be there. */
static void forget(ndpool *p)
{
    p->arena->mem = p->arena->ro = NULL;
    p->arena->member = OFD_NONE;
    pool_unmap(p);
}

/* The child's list has the pools that it is attached to. The page of the others was wiped: they are refused everything,
 * and their structs stay. */
static void child(void)
{
    ndpool **link_to = &all.first;
    for (ndpool *p = all.first, *next; p; p = next) {
        next = p->next;
        if (child_joins(p)) {
            *link_to = p;
            link_to = &p->next;
        } else if (p->forking == FORK_HIDES) {
            forget(p);
        }
    }
    *link_to = NULL;
    all.mutex = (spin){0};
    gate_reset(&all.opens);
}

/* Without room for the handlers a child is not attached, and is told so. */
static void enlist_handlers(void) { (void)pthread_atfork(prepare, parent, child); }

void fork_enlist(ndpool *p)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, enlist_handlers);
    spin_lock(&all.mutex);
    p->next = all.first;
    all.first = p;
    spin_unlock(&all.mutex);
}

void fork_delist(ndpool *p)
{
    spin_lock(&all.mutex);
    for (ndpool **q = &all.first; *q; q = &(*q)->next) {
        if (*q == p) {
            *q = p->next;
            break;
        }
    }
    spin_unlock(&all.mutex);
}
