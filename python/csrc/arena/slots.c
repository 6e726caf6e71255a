/* The process table. Twin of arena/slots.go. */
#include "arena/arena.h"

static uint64_t slot_byte(uint32_t slot) { return NDPOOL_SLOT_BYTE + slot; }

static slot_word slot_load(const arena *a, uint32_t slot) { return shm_load64(&a->slots[slot].word); }

/* Stores the phase of this process's own slot. */
static void set_phase(arena *a, int phase)
{
    shm_store64(&a->slots[arena_slot(a)].word, make_slot(phase, ident_incarnation(a->self)));
}

/* Whoever takes a slot's byte first stores the next incarnation, so that every record of the last owner is recognised
 * as a dead one's; a process that dies inside leaves a slot whose byte is free, which is a dead one's again. */
int arena_claim(arena *a, bool *dirty)
{
    bool got;
    *dirty = false;
    int status = slots_take(a, &a->member, true, NDPOOL_SLOT_CLAIMED, &a->self, &got);
    if (status == NDPOOL_OK && !got) {
        *dirty = true;
        status = slots_take(a, &a->member, false, NDPOOL_SLOT_SWEEPING, &a->self, &got);
    }
    if (status != NDPOOL_OK)
        return status;
    if (!got)
        return fail(NDPOOL_ERR_PROCESSES, "claim slot: process table is full: all %u slots belong to living processes",
                    a->n_slots);
    a->word = make_lock(a->self);
    return ofd_pin(&a->member);
}

/* Only with the byte is the word the caller's: between the look and the lock somebody may have come and died. */
static bool take_word(arena *a, uint32_t slot, bool is_free, int phase, ident *id)
{
    ndpool_slot *s = &a->slots[slot];
    slot_word w = shm_load64(&s->word);
    if ((slot_phase(w) == NDPOOL_SLOT_FREE) != is_free)
        return false;
    slot_describe(s);
    *id = make_ident((int)slot, slot_incarnation(w) + 1);
    shm_store64(&s->word, make_slot(phase, ident_incarnation(*id)));
    return true;
}

int slots_take(arena *a, ofd *d, bool is_free, int phase, ident *id, bool *got)
{
    *got = false;
    for (uint32_t slot = 0; slot < a->n_slots && !*got; slot++) {
        if ((slot_phase(slot_load(a, slot)) == NDPOOL_SLOT_FREE) != is_free)
            continue;
        bool locked;
        int status = ofd_lock(d, slot_byte(slot), true, &locked);
        if (status != NDPOOL_OK)
            return status;
        if (!locked)
            continue;
        *got = take_word(a, slot, is_free, phase, id);
        if (!*got)
            ofd_unlock(d, slot_byte(slot));
    }
    return NDPOOL_OK;
}

/* Makes a dirty slot an ordinary one, after its last owner's holds are swept. */
void arena_activate(arena *a) { set_phase(a, NDPOOL_SLOT_CLAIMED); }

/* Says that this process is about to leave: nothing may be directed at it any more. It sweeps its own slot next, then
 * calls arena_leave. If it dies in between, the slot is a dead one's, like any other. */
void arena_depart(arena *a) { set_phase(a, NDPOOL_SLOT_SWEEPING); }

/* Tells whether transfers may be directed at the process: it lives and is not about to leave. While the caller holds
 * the segment lock a yes stays true until the process dies or has taken the lock itself for its sweep. */
bool arena_receives(arena *a, ident i)
{
    if (!arena_alive(a, i))
        return false;
    return slot_phase(slot_load(a, (uint32_t)ident_slot(i))) == NDPOOL_SLOT_CLAIMED;
}

/* Runs decide while it holds the pool's byte exclusively, if it can be had. */
static void if_alone(arena *a, void (*decide)(void *), void *arg)
{
    ofd d;
    bool got;
    if (ofd_open(a, &d) != NDPOOL_OK)
        return;
    if (ofd_lock(&d, NDPOOL_POOL_BYTE, true, &got) == NDPOOL_OK && got)
        decide(arg);
    ofd_drop(&d);
}

/* The slot is FREE before its byte is unlocked: a death in between drops the byte, and the slot is as free as it should
 * be. Precondition: this process holds nothing any more. */
void arena_leave(arena *a, void (*decide)(void *), void *arg)
{
    set_phase(a, NDPOOL_SLOT_FREE);
    a->self = 0;
    ofd_drop(&a->member);
    if_alone(a, decide, arg);
}

void arena_abandon(arena *a) { ofd_drop(&a->member); }

/* Tells whether the process still lives: its incarnation is current, and its byte is held. This process lives. So does
 * everybody of whom the kernel cannot be asked: a living process must never be taken for a dead one. */
bool arena_alive(arena *a, ident i)
{
    if (i != 0 && i == a->self)
        return true;
    int64_t slot = ident_slot(i);
    if (slot < 0 || slot >= a->n_slots)
        return false;
    slot_word w = slot_load(a, (uint32_t)slot);
    if (slot_phase(w) == NDPOOL_SLOT_FREE || slot_incarnation(w) != ident_incarnation(i))
        return false;
    bool held;
    return ofd_held(a, slot_byte((uint32_t)slot), &held) != NDPOOL_OK || held;
}

bool arena_ident(const arena *a, uint32_t slot, ident *id)
{
    slot_word w = slot_load(a, slot);
    *id = make_ident((int)slot, slot_incarnation(w));
    return slot_phase(w) != NDPOOL_SLOT_FREE;
}

/* The holder of a grave is the only one who sweeps the slot; if the holder dies, the byte is free again and the next
 * one starts from the beginning. */
int arena_bury(arena *a, uint32_t slot, grave *g, bool *got)
{
    ident id;
    *got = false;
    if (!arena_ident(a, slot, &id) || arena_alive(a, id))
        return NDPOOL_OK;
    *g = (grave){.slot = slot};
    int status = ofd_open(a, &g->desc);
    if (status != NDPOOL_OK)
        return status;
    status = ofd_lock(&g->desc, slot_byte(slot), true, got);
    slot_word w = slot_load(a, slot);
    if (status != NDPOOL_OK || !*got || slot_phase(w) == NDPOOL_SLOT_FREE) {
        ofd_drop(&g->desc);
        *got = false;
        return status;
    }
    g->incarnation = slot_incarnation(w) + 1;
    shm_store64(&a->slots[slot].word, make_slot(NDPOOL_SLOT_SWEEPING, g->incarnation));
    return NDPOOL_OK;
}

/* Frees the swept slot: first the word, then the byte. */
void grave_done(arena *a, grave *g)
{
    shm_store64(&a->slots[g->slot].word, make_slot(NDPOOL_SLOT_FREE, g->incarnation));
    shm_add64(&a->ctl->sweeps, 1);
    ofd_drop(&g->desc);
}

/* Leaves the rest to the next sweeper. */
void grave_close(grave *g) { ofd_drop(&g->desc); }
