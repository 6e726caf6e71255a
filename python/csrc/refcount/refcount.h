/*
 * Knows who holds which block: holder sets, local counts, tickets, sweep. It knows no sizes and no free lists; when it
 * answers "that was the last", pool/ gives the bytes back. Twin of package refcount; see its package comment for the
 * stripes and for the one rule of last releases.
 *
 * Functions whose name ends in _locked want the stripe of their descriptor. A thread that holds a stripe never takes
 * the segment lock; one that holds the segment lock may take a stripe.
 */
#ifndef NDPOOL_REFCOUNT_H
#define NDPOOL_REFCOUNT_H

#include "arena/arena.h"

enum { STRIPES = 16, STRIPE_RUN = 64 };

/* The pseudo-holder IN TRANSIT. */
enum { TRANSIT_WORD = NDPOOL_IN_TRANSIT / 64 };
#define TRANSIT_BIT (UINT64_C(1) << (NDPOOL_IN_TRANSIT % 64))

/* The pseudo-holder NAMED. */
enum { NAMED_WORD = NDPOOL_NAMED / 64 };
#define NAMED_BIT (UINT64_C(1) << (NDPOOL_NAMED % 64))

/* Counts this process's references to one block. Local, guarded by the stripe. */
typedef struct record {
    uint32_t count; /* arrays and views of this process */
    uint32_t first; /* the descriptor's first generation, 0 before it was asked for */
    bool held;      /* this process's bit is set on purpose: the block is LIVE and count is not zero */
} record;

/* Guards the local counts, and the caches in pool/, of the descriptors that map to it. Local. */
typedef struct stripe {
    _Alignas(128) spin mutex;
    int64_t live; /* references that this process has to blocks of this stripe; guarded by the mutex */
} stripe;

/* One attachment's view of who holds what. Local. */
typedef struct refs {
    arena *arena;
    ndpool_desc *descs;
    ndpool_ticket *tickets;
    int slot;
    int word;     /* of the holder set that has this slot's bit */
    uint64_t bit; /* this slot's bit in it */
    record *local;
    stripe stripes[STRIPES];
} refs;

static inline int stripe_of(uint32_t i) { return i / STRIPE_RUN % STRIPES; }
/* The first descriptor of the next run of one stripe behind that of descriptor i, going round. */
static inline uint32_t next_stripe(uint32_t i) { return (i / STRIPE_RUN + 1) % STRIPES * STRIPE_RUN; }
static inline stripe *refs_stripe(refs *r, uint32_t i) { return &r->stripes[stripe_of(i)]; }
/* Takes the stripe of a descriptor and returns it, to be released by spin_unlock of its mutex. */
static inline stripe *refs_lock(refs *r, uint32_t i)
{
    stripe *s = refs_stripe(r, i);
    spin_lock(&s->mutex);
    return s;
}
/* How many references this process has to the block. */
static inline uint32_t refs_count_locked(const refs *r, uint32_t i) { return r->local[i].count; }

int refs_init(refs *r, arena *a); /* released by refs_free. Precondition: the arena has a slot, or is a snapshot */
void refs_free(refs *r);
void refs_become(refs *r, ident self); /* in a forked child: the own slot is another one now */

static inline state desc_state(const ndpool_desc *d) { return shm_load64(&d->state); }
static inline gen desc_gen(const ndpool_desc *d) { return shm_load64(&d->gen); }

/* The first generation of a descriptor, from private memory after the first time. It may be called without the stripe:
 * whoever owns the block, or holds the segment lock over a FREE one, is alone with its record. */
static inline uint32_t refs_first_gen(refs *r, uint32_t i)
{
    record *l = &r->local[i];
    if (l->first == 0)
        l->first = first_gen(r->arena->super.segment, i);
    return l->first;
}

/* Ends a generation. Precondition: this process owns the block.
 * A death right after it leaves the block owned by a dead process; the sweep ends one more generation, which is
 * harmless. */
static inline void refs_next_gen(refs *r, uint32_t i)
{
    ndpool_desc *d = &r->descs[i];
    shm_publish64(&d->gen, gen_next(desc_gen(d), refs_first_gen(r, i)));
}

/* Moves a FREE, BUSY or PRIVATE descriptor of this process to a kind that it owns: BUSY, CACHED or PRIVATE. Returns the
 * new word. Precondition: nobody else may change the word, because it is FREE and the caller holds the segment lock, or
 * because this process owns it. */
static inline state refs_own(refs *r, uint32_t i, int kind)
{
    ndpool_desc *d = &r->descs[i];
    state s = state_to(desc_state(d), kind, r->slot);
    shm_publish64(&d->state, s);
    return s;
}

/* Makes a CACHED block that this process cached itself with the word s BUSY again: if the word is still the same,
 * nothing else about the block has changed either. False: somebody took it. */
static inline bool refs_retake(refs *r, uint32_t i, state s)
{
    return shm_cas64(&r->descs[i].state, s, state_to(s, NDPOOL_KIND_BUSY, r->slot));
}

/* Makes a BUSY block of this process a PRIVATE one with one reference. Private blocks have no bit in their holder set;
 * only their owner may change them. A death right after it leaves a PRIVATE block of a dead process, which the sweep
 * frees. */
static inline void refs_publish_locked(refs *r, uint32_t i)
{
    refs_own(r, i, NDPOOL_KIND_PRIVATE);
    record *l = &r->local[i];
    l->count++; /* from 0, unless a scribble made us give away a block that this process holds: then both count */
    l->held = false;
}

/* Counts one more reference of this process. Precondition: it has one already. */
static inline void refs_add_locked(refs *r, uint32_t i) { r->local[i].count++; }

bool refs_drop_held_locked(refs *r, uint32_t i);

/* Ends one reference of this process, which must have one. True: that was the last reference of all; the block is this
 * process's now, BUSY or PRIVATE, in a new generation, and the caller gives its bytes back. */
static inline bool refs_drop_locked(refs *r, uint32_t i)
{
    record *l = &r->local[i];
    if (--l->count > 0)
        return false;
    if (l->held)
        return refs_drop_held_locked(r, i);
    refs_next_gen(r, i);
    return true;
}

void refs_begin(refs *r, uint32_t i);
void refs_disown(refs *r, uint32_t i, int kind);
bool refs_take_cached(refs *r, uint32_t i, int *owner);
void refs_share_locked(refs *r, uint32_t i);
bool refs_try_free(refs *r, uint32_t i);
void refs_bump(refs *r, uint32_t i);
static inline bool refs_set_bit(refs *r, uint32_t i, int word, uint64_t bit) /* true: it was clear */
{
    return (shm_or64(&r->descs[i].holders[word], bit) & bit) == 0;
}
static inline void refs_clear_bit(refs *r, uint32_t i, int word, uint64_t bit) /* refs_try_free follows */
{
    shm_and64(&r->descs[i].holders[word], ~bit);
}
/* In a fork: shares block i and gives the child's slot a bit in it. Precondition: this process has a reference. */
void refs_fork_block(refs *r, uint32_t i, int child_slot);

/* retain.c */
int refs_retain_locked(refs *r, uint32_t i, uint32_t asked, bool *freed); /* NDPOOL_ERR_STALE, NDPOOL_ERR_PRIVATE */
void refs_hold_locked(refs *r, uint32_t i);
/* Adds a reference of this process to block i, which a ticket, a value of the catalog or an entry of a ring keeps. The bit and
 * the bump come before the segment lock is let go, so before that may go. Preconditions: the segment lock is held, the
 * block is LIVE, and no stripe is held. */
void refs_hold(refs *r, uint32_t i);
int refs_seal_locked(refs *r, uint32_t i); /* NDPOOL_ERR_SEALED, NDPOOL_ERR_HELD */
static inline bool refs_sealed(const refs *r, uint32_t i) { return state_sealed(desc_state(&r->descs[i])); }
int refs_stale(const refs *r, uint32_t i, uint32_t asked); /* reports it */

/* tickets.c: all of it wants the segment lock */
uint32_t refs_send(refs *r, uint32_t n, uint32_t i, uint64_t handle, ident receiver); /* returns the nonce */
int refs_look(const refs *r, uint32_t n, uint32_t nonce, uint64_t handle);
int refs_adopt(refs *r, uint32_t n, uint32_t i, uint32_t asked, bool *freed);
int refs_recall(refs *r, uint32_t n, uint32_t i, bool *freed);
bool refs_expire(refs *r, uint32_t n, uint32_t i);
void refs_drop_ticket(refs *r, uint32_t n);
void refs_enter(refs *r, uint32_t i); /* a ticket or an entry of a ring is about to carry the block */
bool refs_exit(refs *r, uint32_t i);  /* it carries it no more: true as refs_drop_locked */
void refs_orphan(refs *r, uint32_t n, int64_t now, int64_t grace);
static inline bool refs_ticket_open(const refs *r, uint32_t n)
{
    return ticket_kind(shm_load64(&r->tickets[n].word)) == NDPOOL_TICKET_OPEN;
}

/* names.c: all of it wants the segment lock */
void refs_name(refs *r, uint32_t i);
bool refs_unname(refs *r, uint32_t i); /* true as refs_drop_locked */
void refs_count_name(refs *r, uint32_t i);
void refs_forget_names(refs *r, uint32_t i);
void refs_back_named(refs *r, uint32_t i);

/* sweep.c */
bool refs_sweep_block(refs *r, uint32_t i, int slot);
bool refs_holds(const refs *r, uint32_t i, int slot);
void refs_count_ticket(refs *r, uint32_t i);
void refs_forget_tickets(refs *r, uint32_t i);
void refs_back_transit(refs *r, uint32_t i);
bool refs_surplus(refs *r, uint32_t i);

#endif
