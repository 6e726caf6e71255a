/* The bytes of a ring: a stream or a queue, which lies among the users' bytes of a block. Twin of package ring; the
 * file names are the same. It lays a view over them, with every number checked, puts and drops entries, keeps who
 * writes and who reads, and lets processes wait.
 *
 * It knows no blocks and no holders; an entry names a block by its handle, and pool/ says what enters and leaves it.
 *
 * Preconditions of every function but those that say otherwise: the caller holds the segment lock, and keeps the ring's
 * block. Nothing is allocated. All that a process could have left half-done by its death is decided by one store, of
 * head or of tail: an entry counts from tail on and before head. docs/PROTOCOL.md, section 11, has the rules. No
 * function calls fail. */
#ifndef NDPOOL_RING_H
#define NDPOOL_RING_H

#include "arena/arena.h"

/* Keeps the blocks that entries name. Local. */
typedef struct ring_blocks {
    /* Counts an entry that names the block, which is IN TRANSIT from then on; the caller holds the block. */
    void (*enter)(void *arg, uint64_t handle);
    /* Uncounts it, and frees the block if nobody is left. */
    void (*exit)(void *arg, uint64_t handle);
    /* Tells whether an entry may name the block: it is LIVE, and no ring. */
    bool (*carried)(void *arg, uint64_t handle);
    /* Counts it in a rebuild, and does no more; the block is one that may be named. */
    void (*count)(void *arg, uint64_t handle);
    void *arg;
} ring_blocks;

/* A view of one ring's bytes from one process. Local, but for what its pointers lead to. The constants of the head were
 * read and checked once. */
typedef struct ring {
    ndpool_ring *head;
    ndpool_ring_reader *readers;
    ndpool_ring_entry *entries;
    uint32_t n_readers, n_entries;
    uint32_t kind, flags; /* NDPOOL_RING_* */
} ring;

/* What a place in a ring says. Local copy of an ndpool_ring_entry. */
typedef struct ring_entry {
    uint64_t array;      /* handle */
    uint64_t attributes; /* handle; 0: none */
    entry_word word;
    int64_t monotonic; /* nanoseconds, CLOCK_MONOTONIC */
    int64_t wall;      /* nanoseconds since 1970 */
    ident sender;
} ring_entry;

/* ---- ring.c */
/* Lays a view over the users' bytes of a block; false: they cannot be a ring's. It needs no lock. */
bool ring_lay(ring *r, uint8_t *mem, uint64_t n);
/* Writes the head of a new ring into bytes that are zero, and gives its view. It needs no lock: the block is PRIVATE,
 * and not known as a ring yet. A death leaves a PRIVATE block of a dead process, whose bytes nobody reads. */
bool ring_make(ring *r, uint8_t *mem, uint64_t n, uint32_t kind, uint32_t flags, uint32_t entries, uint32_t readers);
/* These need no lock. */
static inline bool ring_lossless(const ring *r) { return r->flags & NDPOOL_RING_LOSSLESS; }
static inline uint64_t ring_head(const ring *r) { return shm_load64(&r->head->head); }
static inline uint64_t ring_tail(const ring *r) { return shm_load64(&r->head->tail); }
static inline uint64_t ring_items(const ring *r) { return shm_load64(&r->head->items); }
static inline bool ring_is_shut(const ring *r) { return shm_load32(&r->head->state) == NDPOOL_RING_SHUT; }
/* The positions that count: from tail on, before head. False: they cannot be; then nothing counts. */
bool ring_span(const ring *r, uint64_t *tail, uint64_t *head);
uint32_t ring_free(const ring *r); /* how many entries can be put; a ring that is torn has no room */
void ring_shut(const ring *r);     /* nothing is put from now on. The caller rings both bells */
/* Counts the blocks of the entries that count, and the items, in a rebuild: nobody has counted them yet. */
void ring_recount(const ring *r, const ring_blocks *b);

/* ---- entry.c */
/* Gives the entry of a position, if it is there. Without the lock it may be half of one and half of another: ring_still
 * tells after what it says was used. */
bool ring_look(const ring *r, uint64_t pos, ring_entry *e);
/* Tells whether a place is that position's still. If so, what ring_look gave before was one whole entry. It needs no
 * lock. */
bool ring_still(const ring *r, uint64_t pos);
/* Gives the entry of a position that is from tail on and before head, if it counts: it is of that number, and its handles
 * lead to blocks. Else it is damage. */
bool ring_sound(const ring *r, uint64_t pos, const ring_blocks *b, ring_entry *e);
/* Appends entries, whose blocks the caller holds and are LIVE. Precondition: there is room for them. The caller rings
 * news. */
void ring_put(const ring *r, const ring_entry *es, uint32_t n, const ring_blocks *b);
/* Puts entries before all others. Preconditions: as for ring_put, and no more have ever been put than positions are
 * before tail: the caller has got them from this ring. The caller rings news. */
void ring_put_back(const ring *r, const ring_entry *es, uint32_t n, const ring_blocks *b);
/* Takes the n oldest entries out. Preconditions: there are as many, and who wants their blocks holds them already. The
 * caller rings room. */
void ring_drop(const ring *r, uint64_t n, const ring_blocks *b);
void ring_empty(const ring *r, const ring_blocks *b); /* takes all out; of a ring that is torn none counts */
/* Says how many entries the item at a position has, which is before head. False: there is no whole one; then so many
 * entries are damage, which ring_drop takes out. */
bool ring_item(const ring *r, uint64_t pos, uint64_t head, const ring_blocks *b, uint64_t *n);

/* ---- role.c */
static inline ident ring_writer(const ring *r) { return shm_load64(&r->head->writer); } /* 0: none. No lock */
static inline uint32_t ring_ends(const ring *r) { return shm_load32(&r->head->ends); }  /* No lock */
void ring_begin(const ring *r, ident self);
void ring_end(const ring *r, bool died);
bool ring_enter(const ring *r, ident self, uint64_t pos, uint32_t *place);
void ring_leave(const ring *r, uint32_t place);
void ring_advance(const ring *r, uint32_t place, uint64_t pos); /* no lock */
ident ring_reader(const ring *r, uint32_t place, uint64_t *pos); /* no lock */
uint32_t ring_entered(const ring *r);                            /* how many readers are; no lock */
bool ring_blocked(const ring *r, uint64_t pos);                  /* no lock */
void ring_sweep_slot(const ring *r, uint32_t slot, bool died);
bool ring_sweep_dead(const ring *r, arena *a);
bool ring_all_alive(const ring *r, arena *a); /* no lock */

/* ---- wait.c: needs no lock. */
/* Where processes wait: a futex sequence, and a flag that says that somebody does. */
typedef struct bell {
    shm_u32 *seq, *flag;
} bell;
enum { RING_ALL = INT32_MAX }; /* how many a bell wakes that is for everybody */
extern int64_t ring_max_sleep; /* nanoseconds; see wait.c */
static inline bell ring_news(const ring *r) { return (bell){&r->head->news, &r->head->news_flag}; }
static inline bell ring_room(const ring *r) { return (bell){&r->head->room, &r->head->room_flag}; }
uint32_t bell_arm(bell b, bool much);
bool bell_sleep(bell b, uint32_t seq, int64_t ns);
void bell_ring(bell b, int n);
void bell_shake(bell b); /* wakes all, whatever the flag says */
uint64_t ring_news_stamp(const ring *r); /* a number that changes when something comes */
uint64_t ring_room_stamp(const ring *r); /* likewise room */
/* How it went with the spinning of one writer, reader or queue. Local; what threads count at once may be lost. */
typedef struct spins {
    _Atomic uint32_t n, vain; /* all, and those in vain since one was not */
} spins;
bool ring_spin(const ring *r, uint64_t (*stamp)(const ring *), uint64_t was, int64_t ns, spins *s);

#endif
