/*
 * Keeps the names of arrays: a tree of entries in the segment, each of which is one component of a path below its parent.
 * It knows no arrays, no holders and no free lists; what it wants of them it asks of a keeper. Twin of package catalog; the
 * file names are the same.
 *
 * Entries are truth, the links between them are derived: chains by the hash of a component, for finding it below its parent,
 * and lists of what is in a group. Whoever takes over the lock of a process that died inside calls catalog_roll and
 * catalog_rebuild.
 *
 * Preconditions of every function but those of lock.c: the caller holds the segment lock. Numbers read from entries are checked
 * before they are used as an index, and every walk is bounded; where entries contradict each other the status is
 * STATUS_TORN, and the caller rebuilds. No function calls fail: the caller knows the path and the verb.
 */
#ifndef NDPOOL_CATALOG_H
#define NDPOOL_CATALOG_H

#include "arena/arena.h"

/* What the catalog wants of others. Local. */
typedef struct catalog_keeper {
    int64_t (*next)(void *arg); /* lowest entry of those that are FREE and have memory behind them; -1: none */
    void (*add)(void *arg, uint32_t e);
    void (*remove)(void *arg, uint32_t e);
    /* Counts a value that names the block of a handle, which is NAMED from then on. The caller holds the block. */
    void (*name)(void *arg, uint64_t handle);
    /* Uncounts it, and frees the block if nobody is left. */
    void (*unname)(void *arg, uint64_t handle);
    /* Tells whether the handle leads to a LIVE block. */
    bool (*exists)(void *arg, uint64_t handle);
    /* Counts it in a rebuild, and does no more. The block exists. */
    void (*count)(void *arg, uint64_t handle);
} catalog_keeper;

/* The view of the catalog from one attachment. Local; its state is in the segment. */
typedef struct catalog {
    arena *arena;
    ndpool_name *names; /* memory is committed for the first ctl->names only */
    shm_u32 *heads;
    const catalog_keeper *keeper;
    void *arg; /* of the keeper */
} catalog;

/* What a name stands for. Local copy of an ndpool_name_value. */
typedef struct name_value {
    uint64_t version;
    uint64_t array;      /* handle; 0: a group */
    uint64_t attributes; /* handle; 0: none */
    ident owner;         /* whom it goes with; 0: nobody; NDPOOL_NAME_IMPLICIT */
} name_value;

/* The group goes with the last name in it. */
static inline bool value_implicit(const name_value *v) { return v->array == 0 && v->owner == NDPOOL_NAME_IMPLICIT; }

/* ---- catalog.c. A node is a place in the tree: entry + 1, or 0 for the root. */
void catalog_init(catalog *c, arena *a, const catalog_keeper *keeper, void *arg);
/* How many entries have memory behind them. It may be called without the lock. */
static inline uint32_t catalog_committed(const arena *a)
{
    uint32_t n = shm_load32(&a->ctl->names), all = (uint32_t)a->geo.limits.names;
    return n < all ? n : all;
}
static inline name_word catalog_word(const catalog *c, uint32_t e) { return shm_load64(&c->names[e].word); }
static inline uint32_t catalog_nonce(const catalog *c, uint32_t e) { return name_nonce(catalog_word(c, e)); }
name_value catalog_value(const catalog *c, uint32_t e);   /* what an entry stands for */
name_value catalog_pending(const catalog *c, uint32_t e); /* when the change under way is decided; it is not LEAVING */
bool catalog_named(const catalog *c, uint32_t e, name_value *v);
void catalog_write(ndpool_name_value *to, const name_value *v);
/* An entry's component and its bytes, -1 if it has none. No NUL is added. */
int catalog_text(const catalog *c, uint32_t e, char text[NDPOOL_MAX_COMPONENT]);
uint64_t text_word(const char *s, size_t n, size_t k);
shm_u32 *catalog_head(const catalog *c, uint32_t parent, uint64_t hash);
int catalog_entry(const catalog *c, uint32_t node, uint32_t *e); /* of a node that was read: STATUS_TORN if none is in use */
uint32_t catalog_first_child(const catalog *c, uint32_t node);
int catalog_child(const catalog *c, uint32_t parent, const char *s, size_t n, uint32_t *e, bool *found);

/* ---- path.c */
/* The first component's bytes; *rest is what is behind its slash, NULL if it is the last one. */
bool text_check(const char *s, size_t n); /* whether n bytes behind which a NUL is can be a component */
int path_compare(const char *a, const char *b); /* by component */
/* How many entries a path needs at most if the one before, or "", has its own: exactly as many, if they are sorted. */
uint32_t path_nodes(const char *last, const char *path);
size_t path_cut(const char *path, const char **rest);
/* Tells whether a name can be that; if not, what is wrong, in text. It needs no lock. */
bool path_check(const char *path, char *text, size_t size);
int catalog_find(const catalog *c, const char *path, uint32_t *e);         /* NDPOOL_ERR_NO_NAME. The path was checked */
int catalog_find_node(const catalog *c, const char *path, uint32_t *node); /* the root for "" */

/* ---- links.c */
int catalog_link(catalog *c, uint32_t e, uint64_t hash);
int catalog_enlist(catalog *c, uint32_t e);
int catalog_unchain(catalog *c, uint32_t e, shm_u32 *at);
int catalog_unlink(catalog *c, uint32_t e);
int catalog_in_table(const catalog *c, uint32_t node, uint32_t *e);

/* ---- walk.c */
/* Tells every entry below a node, parents first, with its depth below that node, from 1. It ends early if tell says so.
 * tell may change words and values, but no links. */
typedef bool catalog_tell(void *arg, uint32_t e, int depth);
int catalog_walk(const catalog *c, uint32_t top, catalog_tell *tell, void *arg);

/* ---- change.c, decide.c */
/* One change of the catalog under way, in one hold of the lock. Local. See catalog/change.go. */
typedef struct change {
    catalog *c;
    uint64_t version; /* of all values that it stores */
    uint64_t last;    /* entry + 1 of the entry touched last */
    uint32_t staged;  /* entries taken */
} change;
void change_begin(change *ch, catalog *c);
static inline bool change_empty(const change *ch) { return ch->last == 0; }
void change_leave(change *ch, uint32_t e);
int change_leave_tree(change *ch, uint32_t node, uint64_t *n);
void change_replace(change *ch, uint32_t e, name_value v);
/* Decides what a name that is there will stand for: v is the new value, to be changed; equal to the old one: as it was. */
typedef int change_give(void *arg, const name_value *old, name_value *v);
int change_put(change *ch, const char *path, const name_value *v, change_give *give, void *arg); /* STATUS_NO_ENTRY */
int change_commit(change *ch);  /* after an error it has happened, and the caller rebuilds */
int change_abandon(change *ch); /* after an error the caller rebuilds, which undoes the rest */
void catalog_wake(catalog *c, uint32_t e);
int catalog_prune(catalog *c, uint32_t e);
void catalog_roll(catalog *c);
name_word name_rolled(name_word w, bool decided);

/* ---- rebuild.c, sweep.c */
void catalog_rebuild(catalog *c);
void change_disown(change *ch, uint32_t slot);
/* Tells whether a segment has a name that keeps it: one that goes with nobody, or one that goes with the pool and whose array
 * wanted wants. It needs no lock if nobody is attached, and heeds a change in which the last one died. */
bool catalog_stays(const arena *a, bool (*wanted)(const arena *a, uint64_t handle));

/* ---- lock.c: the lock of a name. None of these wants the segment lock but catalog_sweep_lock. Precondition of all that
 * take or drop: no other thread of this process is at the words of the same entry. */
/* What is in a locker's way: a word of the segment, and what it was. */
typedef struct lock_wait {
    shm_u32 *word;
    uint32_t value;
} lock_wait;
/* Tells whether the entry still is the name of that nonce. */
bool catalog_stands(const arena *a, uint32_t e, uint32_t nonce);
/* Makes this process the writer, or tells what to wait for. A dead writer's word is replaced, with TORN. It has the lock
 * when lock_readers_out says so, too: before that it only keeps new readers out. Released by lock_drop_writer; a death
 * leaves the word, which the next one takes over or a sweeper clears, with TORN. */
bool lock_take_writer(arena *a, uint32_t e, lock_wait *on);
/* Tells whether no process is a reader any more, and else what to wait for and whether one of them is dead: its bit goes
 * when its slot is swept. Precondition: this process is the writer. */
bool lock_readers_out(arena *a, uint32_t e, bool *dead, lock_wait *on);
/* Lets the writer's word go and wakes who sleeps on it. keep leaves TORN where it is: who never had the lock whole has
 * repaired nothing. A word that is not this process's stays. A death before the wake-up leaves sleepers that wake up by
 * themselves. */
void lock_drop_writer(arena *a, uint32_t e, bool keep);
/* Makes this process a reader, or tells what to wait for. First the bit, then the look at the word, which a writer stores
 * before he looks at the bits: one of the two sees the other. Released by lock_drop_reader; a death leaves the bit to the
 * sweep. */
bool lock_take_reader(arena *a, uint32_t e, bool *torn, lock_wait *on);
/* Clears this process's bit. A death before the bump leaves a writer that wakes up by itself. */
void lock_drop_reader(arena *a, uint32_t e);
bool lock_torn(const arena *a, uint32_t e);    /* a writer died, and none has let go since who was told */
bool lock_written(const arena *a, uint32_t e); /* somebody is the writer or about to be */
int lock_holder(const arena *a, uint32_t e);   /* slot of somebody who has the lock or is about to; -1: nobody */
/* Ends what a slot's process has to do with an entry's lock: its reader's bit goes, its writer's word becomes TORN.
 * Idempotent. Precondition: the slot's byte is held by this process, and so is the segment lock. */
void catalog_sweep_lock(arena *a, uint32_t e, uint32_t slot);
/* Wakes who sleeps on an entry's lock: its name is gone. */
void catalog_wake_lock(arena *a, uint32_t e);

#endif
