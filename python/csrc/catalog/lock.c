/* The lock of a name: what processes do to its words in the segment. Twin of catalog/lock.go. docs/model/lock.pml proves the
 * rules. */
#include <limits.h>

#include "catalog/catalog.h"
#include "internal/futex.h"

/* Bounds the exchanges of one step. An honest word changes a few times at most while somebody looks. */
enum { LOCK_TRIES = 100 };

static void wake(shm_u32 *w) { futex_wake(w, INT_MAX); }

bool catalog_stands(const arena *a, uint32_t e, uint32_t nonce)
{
    name_word w = shm_load64(&a->names[e].word);
    int k = name_kind(w);
    return name_nonce(w) == nonce && (k == NDPOOL_NAME_LIVE || k == NDPOOL_NAME_REPLACING || k == NDPOOL_NAME_LEAVING);
}

/* Tells whether the process that the word names still has that incarnation of its slot. A word that names no slot is
 * damage, and nobody's; so is one that names this process, which would know. */
static bool writer_lives(arena *a, name_lock_word w)
{
    int slot = name_lock_owner(w);
    ident id;
    if (slot < 0 || slot >= (int)a->n_slots || slot == ident_slot(a->self))
        return false;
    return arena_ident(a, (uint32_t)slot, &id) && name_lock_names(w, ident_incarnation(id)) && arena_alive(a, id);
}

/* Sets the waiters bit, and tells whether the word is what w says now. */
static bool stand_in_line(shm_u32 *word, name_lock_word *w)
{
    name_lock_word was = *w;
    *w = name_lock_with_waiters(was);
    return name_lock_contended(was) || shm_cas32(word, was, *w);
}

bool lock_take_writer(arena *a, uint32_t e, lock_wait *on)
{
    shm_u32 *word = &a->names[e].lock;
    name_lock_word w = 0;
    for (int n = 0; n < LOCK_TRIES; n++) {
        name_lock_word to = make_name_lock(a->self);
        w = shm_load32(word);
        if (name_lock_owner(w) < 0) {
            to |= name_lock_free(w);
        } else if (!writer_lives(a, w)) {
            to = name_lock_with_torn(name_lock_contended(w) ? name_lock_with_waiters(to) : to);
        } else {
            if (stand_in_line(word, &w))
                break;
            continue;
        }
        /* From the exact word: whoever else saw the same one loses this exchange. */
        if (shm_cas32(word, w, to))
            return true;
    }
    *on = (lock_wait){word, w};
    return false;
}

bool lock_readers_out(arena *a, uint32_t e, bool *dead, lock_wait *on)
{
    ndpool_name *n = &a->names[e];
    bool out = true;
    *on = (lock_wait){&n->turn, shm_load32(&n->turn)}; /* before the bits: who leaves bumps it after his bit is clear */
    *dead = false;
    for (uint32_t i = 0; i < 4; i++) {
        for (uint64_t set = shm_load64(&n->readers[i]); set; set &= set - 1) {
            uint32_t slot = 64 * i + (uint32_t)__builtin_ctzll(set);
            ident id;
            if (slot >= a->n_slots)
                continue; /* a scribble: nobody's */
            out = false;
            *dead = *dead || !arena_ident(a, slot, &id) || !arena_alive(a, id);
        }
    }
    return out;
}

bool lock_torn(const arena *a, uint32_t e) { return name_lock_torn(shm_load32(&a->names[e].lock)); }
bool lock_written(const arena *a, uint32_t e) { return name_lock_owner(shm_load32(&a->names[e].lock)) >= 0; }

int lock_holder(const arena *a, uint32_t e)
{
    int owner = name_lock_owner(shm_load32(&a->names[e].lock));
    if (owner >= 0 && owner < (int)a->n_slots)
        return owner;
    for (uint32_t i = 0; i < 4; i++) {
        uint64_t set = shm_load64(&a->names[e].readers[i]);
        uint32_t slot = set ? 64 * i + (uint32_t)__builtin_ctzll(set) : a->n_slots;
        if (slot < a->n_slots)
            return (int)slot;
    }
    return -1;
}

void lock_drop_writer(arena *a, uint32_t e, bool keep)
{
    shm_u32 *word = &a->names[e].lock;
    for (int n = 0; n < LOCK_TRIES; n++) {
        name_lock_word w = shm_load32(word);
        int owner = name_lock_owner(w);
        if (owner < 0 || owner != ident_slot(a->self) || !name_lock_names(w, ident_incarnation(a->self)))
            return;
        if (shm_cas32(word, w, keep ? name_lock_free(w) : 0)) {
            if (name_lock_contended(w))
                wake(word);
            return;
        }
    }
}

static void clear_reader(arena *a, uint32_t e, uint32_t slot)
{
    ndpool_name *n = &a->names[e];
    shm_and64(&n->readers[slot / 64], ~(UINT64_C(1) << (slot % 64)));
    if (lock_written(a, e)) {
        shm_add32(&n->turn, 1);
        wake(&n->turn);
    }
}

void lock_drop_reader(arena *a, uint32_t e) { clear_reader(a, e, arena_slot(a)); }

/* Replaces the exact word of a writer who is gone by no writer, with TORN, and wakes. */
static bool tear(shm_u32 *word, name_lock_word w)
{
    if (!shm_cas32(word, w, name_lock_with_torn(name_lock_free(w))))
        return false;
    if (name_lock_contended(w))
        wake(word);
    return true;
}

bool lock_take_reader(arena *a, uint32_t e, bool *torn, lock_wait *on)
{
    ndpool_name *n = &a->names[e];
    uint32_t slot = arena_slot(a);
    name_lock_word w = 0;
    for (int k = 0; k < LOCK_TRIES; k++) {
        w = shm_load32(&n->lock);
        if (name_lock_owner(w) < 0) {
            shm_or64(&n->readers[slot / 64], UINT64_C(1) << (slot % 64));
            w = shm_load32(&n->lock);
            *torn = name_lock_torn(w);
            if (name_lock_owner(w) < 0)
                return true;
            clear_reader(a, e, slot);
        } else if (!writer_lives(a, w)) {
            (void)tear(&n->lock, w);
        } else if (stand_in_line(&n->lock, &w)) {
            break;
        }
    }
    *on = (lock_wait){&n->lock, w};
    return false;
}

void catalog_sweep_lock(arena *a, uint32_t e, uint32_t slot)
{
    ndpool_name *n = &a->names[e];
    if (shm_load64(&n->readers[slot / 64]) >> (slot % 64) & 1)
        clear_reader(a, e, slot);
    for (int k = 0; k < LOCK_TRIES; k++) {
        name_lock_word w = shm_load32(&n->lock);
        if (name_lock_owner(w) != (int)slot || tear(&n->lock, w))
            return;
    }
}

void catalog_wake_lock(arena *a, uint32_t e)
{
    wake(&a->names[e].lock);
    wake(&a->names[e].turn);
}
