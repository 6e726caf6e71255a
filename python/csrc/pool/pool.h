/*
 * The verbs of ndpool.h, and what they share. Only this folder knows both alloc/ and refcount/; it takes the segment
 * lock, and gives the bytes back when refcount/ says that a release was the last. Twin of package pool.
 */
#ifndef NDPOOL_POOL_H
#define NDPOOL_POOL_H

#include "alloc/alloc.h"
#include "catalog/catalog.h"
#include "internal/gate.h"
#include "internal/lazy.h"
#include "refcount/refcount.h"
#include "ring/ring.h"

/* The blocks that a process keeps for reuse, of one stripe, by bin. Local; guarded by the stripe. Entries are
 * descriptor numbers plus one. */
typedef struct cache {
    _Alignas(64) uint32_t head[NDPOOL_NUM_BINS];
    uint32_t count[NDPOOL_NUM_BINS];
    uint64_t over; /* bins whose list was longer than it should be */
} cache;

/* A descriptor's place in a list, and what its block was when this process cached it. Local; guarded by the
 * descriptor's stripe, but for later. */
typedef struct list_entry {
    state state;    /* while it is this, the block is as it was */
    extent extent;  /* the one that bin follows from, or 0 */
    uint32_t next;  /* descriptor number plus one */
    uint32_t later; /* likewise, in the list of pending blocks, which may be listed still; guarded by its mutex */
    uint8_t bin;    /* where the block can be allocated from */
    bool listed;    /* in some list; the entry of a stolen block stays until it is popped */
} list_entry;

/* What this process has to do with the locks of names. Local. The spin is held for no longer than some exchanges and, if
 * somebody else has the lock, the question whether he lives; it also keeps threads apart at the words of the segment. */
typedef struct name_locks {
    spin mutex;
    struct name_hold *table;   /* by entry; made when it is first wanted; a fork wipes it */
    uint32_t trying;           /* entries in state NAME_TRYING */
    _Atomic uint32_t sleepers; /* threads that wait for another one */
    _Atomic uint32_t turn;     /* bumped when somebody lets go */
} name_locks;

/* One attachment. Local. */
struct ndpool {
    /* A page of its own that a fork wipes: not 0 in the process that attached, and in children that joined by fork.c. A
     * child of a fork that skipped the handlers reads 0, and is refused. NULL for a snapshot. */
    volatile uint32_t *attached;
    bool snapshot; /* see ndpool_peek */
    bool observer; /* see ndpool_options */
    bool keep;     /* this attachment's leaving does not remove the pool */
    bool removed;  /* this attachment's leaving removed the pool */

    int pages;              /* of the data region */
    uint32_t first_granule; /* of the descriptors, and how many there can be: they outlive the mapping */
    uint32_t n_descs;
    arena *arena; /* NULL once unmapped */
    list_entry *links;  /* by descriptor */
    refs refs;
    catalog names; /* guarded by the segment lock */

    cache caches[STRIPES]; /* each guarded by the stripe of its number */
    _Atomic uint32_t avail[NDPOOL_NUM_BINS]; /* by bin: stripes whose cache has a block */
    _Atomic uint32_t over;                   /* stripes whose cache has too much of something */

    spin pending_mutex;
    _Atomic uint32_t pending; /* BUSY blocks that wait for the lock: a list through links, number plus one */

    name_locks name_locks;

    gate verbs;             /* inside every verb but the fast ones; shut by close and fork */
    _Atomic bool closed;    /* set with the gate shut and all stripes held */
    _Atomic bool finished;  /* the segment was left; set likewise */
    _Atomic bool abandoned; /* ndpool_free was called */
    _Atomic uint32_t pins;  /* the user's, the attachment's, those of roles, and releases that may end it: the last frees p */
    _Atomic uint32_t roles; /* writers, readers and queues that are open: each has a pin */

    _Atomic int64_t last_sweep; /* nanoseconds, CLOCK_BOOTTIME */
    _Atomic uint64_t self;      /* ident, 0 once the segment was left */

    allocator alloc; /* guarded by the segment lock */
    uint32_t turn;   /* descriptor from which on the next batch is taken; guarded by the segment lock */
    int64_t lock_wait;
    int64_t grace;

    /* What the superblock says, and where: they outlive the mapping. */
    ndpool_options stored;
    uint8_t segment[16];
    int64_t created;
    char *path;

    ndpool *next; /* of all attachments of this process, and what a fork does with it; guarded by fork.c's list */
    int forking;
};

/* What an array is beside its shape: a private copy, checked, of what a descriptor says. Local. */
typedef struct meta {
    uint64_t dtype;
    const void *record; /* of a structured type, to be written */
    uint32_t record_bytes;
    int ndim;
    uint64_t bytes;  /* users' bytes */
    uint64_t header; /* bytes of the extent before them */
    uint32_t flags;  /* NDPOOL_DESC_* */
} meta;

/* Keeps what is rare out of the way of what is not: a caller of it needs no frame. */
#define RARELY __attribute__((noinline, cold))

/* ---- pool.c: the lock, and small readings */
int pool_lock(ndpool *p);    /* rebuilds if the last owner died inside; released by pool_unlock */
void pool_unlock(ndpool *p);
int pool_enter(ndpool *p);   /* begins a verb that is not a fast one; released by pool_leave */
void pool_leave(ndpool *p);
int pool_stay(ndpool *p);    /* the same for what gives something back: also on a closed pool, if its segment was not left */
static inline bool pool_forked(const ndpool *p) { return !p->snapshot && *p->attached == 0; }
int pool_refuse_forked(void);
static inline uint32_t pool_descs(const ndpool *p)
{
    uint32_t n = shm_load32(&p->arena->ctl->descs);
    return n < p->arena->n_descs ? n : p->arena->n_descs;
}
static inline ndpool_desc *pool_desc(const ndpool *p, uint32_t i) { return &p->arena->descs[i]; }
static inline bool pool_extent(const ndpool *p, uint32_t i, extent *e)
{
    *e = shm_load64(&pool_desc(p, i)->extent);
    return extent_valid(*e, p->pages);
}
static inline state pool_state(const ndpool *p, uint32_t i) { return desc_state(pool_desc(p, i)); }
static inline bool pool_is_ring(const ndpool *p, uint32_t i) { return shm_load32(&pool_desc(p, i)->flags) & NDPOOL_DESC_RING; }
static inline uint32_t pool_gen(const ndpool *p, uint32_t i) { return gen_number(desc_gen(pool_desc(p, i))); }
static inline uint64_t pool_handle_of(const ndpool *p, uint32_t i)
{
    return (uint32_t)(p->first_granule + i * (NDPOOL_DESC_SIZE / NDPOOL_GRANULE)) | (uint64_t)pool_gen(p, i) << 32;
}
/* The descriptor that a handle names, whether there is memory behind it or not. It wants no mapping. */
static inline bool pool_index(const ndpool *p, uint64_t handle, uint32_t *i)
{
    const uint32_t step = NDPOOL_DESC_SIZE / NDPOOL_GRANULE;
    uint32_t g = (uint32_t)handle - p->first_granule;
    *i = g / step;
    return g % step == 0 && *i < p->n_descs;
}
int pool_resolve(const ndpool *p, uint64_t handle, uint32_t *i); /* NDPOOL_ERR_FOREIGN */
int pool_corrupt(uint32_t i, const char *what, const char *format, ...) __attribute__((format(printf, 3, 4)));
/* Makes the pool of an arena that has a slot, or of a snapshot. Takes the arena over, also if it fails. */
int pool_new(arena *a, ndpool **out);
void pool_unmap(ndpool *p); /* gives mapping and private tables back */
void pool_unpin(ndpool *p); /* frees p if it was the last pin */

/* ---- options.c, open.c */
int options_spec(const ndpool_options *o, spec *s);
void options_stored(const arena *a, ndpool_options *o);
void options_location(const char *name, const ndpool_options *o, location *l);
int options_agree(const ndpool_options *o, const arena *a);
int pool_open(const char *name, const ndpool_options *o, bool replace, ndpool **out);
bool pool_orphaned(arena *a);
bool pool_transfers_wait(arena *a);

/* ---- cache.c */
/* The bin that serves a size. */
static inline int bin_of(uint64_t size)
{
    int c = class_of(size);
    if (c)
        return c - 1;
    return size <= NDPOOL_RUN_BINS * NDPOOL_PAGE_SIZE ? NDPOOL_NUM_CLASSES + (int)pages_for(size) - 1 : NDPOOL_LARGE_BIN;
}
int bin_batch(int bin);
bool pool_take_fast(ndpool *p, int bin, const meta *m, const int64_t *shape, uint32_t *i);
void pool_park_locked(ndpool *p, uint32_t i);
/* What becomes of a block of this process whose last reference of all has ended: it is cached, but a ring waits for the lock.
 * True: it waits. Precondition: the stripe of i is held. */
bool pool_shelve_locked(ndpool *p, uint32_t i);
list_entry *pool_pop(ndpool *p, int s, int bin, uint32_t *i);
uint32_t cache_limit(int bin);
int pool_drop(ndpool *p, uint32_t i); /* ends a reference; NDPOOL_ERR_STALE if there is none */
/* The same under the stripe, which it unlocks. Precondition: this process has a reference. p may be gone afterwards. */
void pool_drop_locked(ndpool *p, uint32_t i, stripe *st);

/* ---- take.c */
int pool_take(ndpool *p, const meta *m, const int64_t *shape, bool fast, uint32_t *i);
int pool_grow_descs(ndpool *p, uint32_t from);
void pool_flush_locked(ndpool *p);
void pool_end_locked(ndpool *p, uint32_t i);
void pool_pend(ndpool *p, uint32_t i); /* has a BUSY block of this process ended when the lock is next held */
void pool_begin_locked(ndpool *p, uint32_t i, extent e);
int pool_steal(ndpool *p);
int pool_trim(ndpool *p, uint64_t *freed);

/* ---- meta.c */
int meta_make(uint64_t dtype, const void *text, uint32_t record_bytes, int ndim, const int64_t *shape, bool fortran,
              meta *m);
void pool_write(ndpool *p, uint32_t i, const meta *m, const int64_t *shape);
/* Reads what block i is, with every number checked. m->record is not set. Precondition: the caller holds the block, or
 * looks again at its generation afterwards. */
int pool_read(ndpool *p, uint32_t i, meta *m, int64_t shape[NDPOOL_MAX_NDIM]);
/* Copies the text of a structured type. */
int pool_read_record(ndpool *p, uint32_t i, const meta *m, void *text);

/* ---- array.c, transfer.c */
/* Takes the stripe of the block that h names, if this process holds it in that generation: NDPOOL_ERR_STALE if not.
 * Released by spin_unlock of its mutex. It wants no gate: a held block keeps the mapping. */
int pool_hold(ndpool *p, ndpool_handle h, const char *verb, uint32_t *i, stripe **st);
/* Fills in a reference that this process has. It ends the reference if it fails. */
int pool_array(ndpool *p, uint32_t i, const meta *m, const int64_t *shape, uint32_t flags, ndpool_array *out);
uint64_t pool_share(ndpool *p, uint32_t i);
int pool_refuse_ring(const char *verb, ndpool_handle h); /* NDPOOL_ERR_KIND */
/* Adds a reference to a block in that generation. */
int pool_add_reference(ndpool *p, uint32_t i, uint32_t generation);
/* Adopts a transfer, of a ring or of an array: NDPOOL_ERR_KIND if it is of the other. */
int pool_adopt(ndpool *p, ndpool_transfer t, bool wants_ring, uint32_t *i, meta *m, int64_t shape[NDPOOL_MAX_NDIM]);
int pool_seal(ndpool *p, ndpool_handle h, bool hashed, void **data);
bool pool_ticket_block(const ndpool *p, uint32_t n, uint32_t *i);
bool pool_expired_at(const ndpool *p, uint32_t n, uint64_t now);
/* Tells whether all elements of a view lie within n bytes. */
int view_fits(const ndpool_view *v, uint64_t n);

/* The block of a handle, if it is alive in that generation and not private. */
bool pool_live_block(const ndpool *p, uint64_t handle, uint32_t *i);

/* ---- names.c: the catalog looked up */
extern const catalog_keeper pool_keeper;
/* Has look called under the lock, and once more after a rebuild if it finds the catalog torn. look allocates nothing. */
int pool_with_names(ndpool *p, int (*look)(ndpool *p, void *arg), void *arg);
/* The entry of a path and the number of its use. Precondition: the caller is inside a verb. */
int pool_find_name(ndpool *p, const char *verb, const char *path, uint32_t *entry, uint32_t *nonce);
int pool_check_path(const char *verb, const char *path); /* NDPOOL_ERR_PATH */
/* Says which name a status of the catalog is about; one that was told already stays. Returns the final status. */
int pool_name_error(ndpool *p, const char *verb, const char *path, int status);
/* The blocks of a value that this process has a reference to each. Local. */
typedef struct held_value {
    bool has_array, has_attributes;
    uint32_t array, attributes;
} held_value;
int pool_hold_value(ndpool *p, const name_value *v, bool attributes, held_value *h); /* precondition: the lock is held */
void pool_drop_value(ndpool *p, const held_value *h);

/* ---- change.c: the catalog changed */
/* What to stage is called under the lock, allocates nothing, and may be called again from the start. */
typedef int stage_names(ndpool *p, change *ch, void *arg);
/* Makes one change, all or nothing. need is how many entries it may take at most. */
int pool_change(ndpool *p, uint32_t need, stage_names *stage, void *arg, uint64_t *version);
int pool_grow_names(ndpool *p, uint32_t from, uint32_t n);
int pool_disown_locked(ndpool *p, uint32_t slot);
bool pool_wanted(arena *a, bool killed);
int pool_version_error(const char *verb, const char *path, uint64_t expect, uint64_t found);

/* ---- lock.c */
/* Takes back the words of all attempts, which will find the pool closed. Precondition: the gate is shut for good. */
void pool_retreat_locks(ndpool *p);
void pool_free_locks(ndpool *p);
void pool_forget_locks(ndpool *p); /* in a forked child, which has none of them */

/* ---- attributes.c */
/* Stores the text in a block of its own, LIVE, to which this process has a reference. */
int pool_store_attributes(ndpool *p, const void *text, size_t bytes, uint32_t *i);
/* Copies the text of block i, with a NUL behind, which the caller frees. Precondition: the caller holds the block, or looks
 * again at its generation afterwards. */
int pool_copy_attributes(ndpool *p, uint32_t i, char **text, size_t *bytes);
int pool_text_at(ndpool *p, uint32_t i, const char **text, size_t *bytes); /* where it lies, of a block that the caller holds */

/* ---- ring.c */
/* What a block is to a ring; see ring/ring.h. */
ring_blocks pool_ring_blocks(ndpool *p);
/* Lays a view over the ring in block i, if that is one. Precondition: the caller holds the block, or the segment lock, or looks
 * only. */
bool pool_ring_at(const arena *a, uint32_t i, ring *r);
void pool_empty_locked(ndpool *p, uint32_t i); /* before a ring's block is freed */
void pool_recount_locked(ndpool *p, uint32_t i); /* in a rebuild */
void pool_sweep_ring_locked(ndpool *p, uint32_t i, uint32_t slot, bool died);
bool pool_names_stay(const arena *a); /* see catalog_stays: of rings, queues that have entries */
void pool_end_rings(ndpool *p); /* ends what waits for the lock, if that can be had soon. p has a pin */
/* The reference of a writer, a reader or a queue to a ring. Local. */
typedef struct ring_ref {
    ring ring;
    uint64_t handle; /* 0: none */
    uint32_t block;
} ring_ref;
/* Gives a reference to the ring of a name, which is made as o says if it is not there; without a path it is made, and has
 * none. Precondition: the caller is not inside a verb. */
int pool_open_ring(ndpool *p, const char *verb, const char *path, uint32_t kind, const ndpool_ring_options *o, ring_ref *out);
/* Gives a reference to the ring of a name; none if it is the one that is known. owner, which may be NULL, is the name's.
 * Precondition: the caller is inside a verb. */
int pool_find_ring(ndpool *p, const char *verb, const char *path, uint32_t kind, uint64_t known, ring_ref *out, ident *owner);
/* Makes a reference to the ring in a block of which this process has a reference; it ends that if it is no ring of the kind. */
int pool_ring_ref(ndpool *p, const char *verb, uint32_t i, uint32_t kind, ring_ref *out);
int pool_torn_ring(const char *verb);       /* NDPOOL_ERR_CORRUPT: the bytes of a ring cannot be one */
int pool_torn_entry(const char *verb);      /* the same of an entry */
/* Ends the roles of the dead in a ring, and sweeps. Precondition: the caller is inside a verb. */
int pool_bury_roles(ndpool *p, const ring *r);
/* A writer, a reader or a queue that is open keeps the struct. */
void pool_open_role(ndpool *p);
void pool_close_role(ndpool *p);
/* Where processes wait for a name. */
static inline bell pool_name_bell(const ndpool *p) { return (bell){&p->arena->ctl->names_seq, &p->arena->ctl->names_flag}; }
/* What a thread waits for in a ring. Local. */
typedef struct waiting {
    int64_t wait; /* as for ndpool_lock */
    ndpool_go_on go_on;
    void *arg;
    bell (*bell)(const ring *r);
    spins *spins;
    bool one;  /* a wake-up is for one who waits, and is passed on by who has no use for it */
    bool much; /* waits for room for several entries */
    uint64_t (*stamp)(const ring *r); /* changes when what it waits for comes */
    /* A step, which begins with pool_enter: takes it, or says STATUS_NOTHING. slept: it may have been woken for it. */
    int (*try)(struct waiting *w, bool slept);
    void *of; /* the caller's */
    ring at;  /* what it waits at, and the stamp that it had: see pool_wait_at */
    uint64_t was;
    bell absent; /* if there is no ring yet: what the step has armed, and the sequence to sleep on */
    uint32_t seq;
} waiting;
/* Says what is waited at, before it is looked at. Each step calls it. */
static inline void pool_wait_at(waiting *w, const ring *r)
{
    w->at = *r;
    w->was = r->head ? w->stamp(r) : 0;
}
int pool_wait(waiting *w); /* until try says something else; STATUS_NOTHING: the time is up */
#define RING_LOOK INT64_C(50000000) /* nanoseconds; how often somebody who waits asks who lives, and whether to go on */

/* ---- process.c */
void pool_rebuild_locked(ndpool *p);
int pool_sweep_slot(ndpool *p, uint32_t slot, bool died); /* not died: it leaves by itself */
int pool_sweep_dead(ndpool *p, int *n);
int pool_reap(ndpool *p, ndpool_reaped *r);
void pool_sweep_sometimes(ndpool *p);
void pool_expire_locked(ndpool *p, uint32_t n);
/* Leaves the segment if the pool is closed and no reference is left. Precondition: the caller has a pin. */
void pool_finish(ndpool *p);
void pool_lock_stripes(ndpool *p);
void pool_unlock_stripes(ndpool *p);

/* ---- fork.c */
void fork_enlist(ndpool *p); /* from now on a fork takes the pool along */
void fork_delist(ndpool *p); /* precondition: the caller has not shut the pool's gate */
/* No fork happens in between: around an open and a create, whose descriptors a child must not inherit. */
void fork_hold(void);
void fork_release(void);

/* ---- explain.c */
/* Turns a refusal of the tables below into an error with numbers. Returns the final status. */
int pool_explain(ndpool *p, int status, uint64_t size);
/* Tells every hold of every process: the bits of LIVE blocks, and the owners of private ones. */
void pool_each_hold(ndpool *p, void (*tell)(void *arg, uint32_t i, uint32_t slot), void *arg);

/* ---- inspect.c, peek.c */
int pool_look(ndpool *p); /* pool_enter, also for a snapshot; released by pool_leave */
int pool_beside(ndpool *p); /* the lock, but for a snapshot; released by pool_beside_end */
void pool_beside_end(ndpool *p);
void pool_find_holders(const ndpool *p, uint32_t i, state s, uint64_t holders[4]); /* the slots that hold a block */
void pool_stats(ndpool *p, int free_pages, int largest, ndpool_stats_t *out);
int pool_gaps(const ndpool *p, int *free_pages, int *largest); /* reckoned from the extents of a snapshot */

#endif
