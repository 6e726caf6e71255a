#include "refcount/refcount.h"

/* Ends what a dead slot has to do with block i. True: the block is this process's now, BUSY, in a new generation: the
 * dead one was its last holder or its owner. Idempotent: if this process dies too, the next sweeper finds the rest.
 * Preconditions: the caller holds the slot's byte and the segment lock. */
bool refs_sweep_block(refs *r, uint32_t i, int slot)
{
    ndpool_desc *d = &r->descs[i];
    if (refs_holds(r, i, slot))
        refs_clear_bit(r, i, slot / 64, UINT64_C(1) << (slot % 64));
    /* Even if the bit was clear: the dead one may have cleared it and not come to its own try-free. */
    if (refs_try_free(r, i))
        return true;
    state s = desc_state(d);
    if (!kind_owned(state_kind(s)) || state_owner(s) != slot)
        return false;
    /* By exchange: a thief may be faster at a CACHED block. */
    if (!shm_cas64(&d->state, s, state_to(s, NDPOOL_KIND_BUSY, r->slot)))
        return false;
    if (state_kind(s) != NDPOOL_KIND_CACHED)
        refs_next_gen(r, i);
    return true;
}

/* Tells whether the slot's bit is set in block i. */
bool refs_holds(const refs *r, uint32_t i, int slot)
{
    return shm_load64(&r->descs[i].holders[slot / 64]) >> (slot % 64) & 1;
}

/* Counts an open ticket of block i in a rebuild. refs_forget_tickets makes the count zero before. */
void refs_count_ticket(refs *r, uint32_t i)
{
    ndpool_desc *d = &r->descs[i];
    shm_publish32(&d->tickets, shm_get32(&d->tickets) + 1);
}

/* Makes the number of block i's tickets zero, in a rebuild. */
void refs_forget_tickets(refs *r, uint32_t i)
{
    ndpool_desc *d = &r->descs[i];
    if (shm_get32(&d->tickets) != 0)
        shm_publish32(&d->tickets, 0);
}

/* Sets the pseudo-holder IN TRANSIT of block i if its tickets want it, in a rebuild. First all that are missing are
 * set, then refs_surplus clears those that nothing justifies: a bit that the truth backs is never clear for an instant.
 * */
void refs_back_transit(refs *r, uint32_t i)
{
    if (shm_get32(&r->descs[i].tickets) > 0 && refs_set_bit(r, i, TRANSIT_WORD, TRANSIT_BIT))
        refs_bump(r, i);
}

/* Clears the pseudo-holder bits of block i that no record justifies, and ends with try-free whether or not it cleared
 * one: a process may have died between a clearing and its try-free. True as refs_drop_locked. */
bool refs_surplus(refs *r, uint32_t i)
{
    ndpool_desc *d = &r->descs[i];
    if (shm_get32(&d->tickets) == 0 && shm_load64(&d->holders[TRANSIT_WORD]) & TRANSIT_BIT)
        refs_clear_bit(r, i, TRANSIT_WORD, TRANSIT_BIT);
    if (shm_get64(&d->names) == 0 && shm_load64(&d->holders[NAMED_WORD]) & NAMED_BIT)
        refs_clear_bit(r, i, NAMED_WORD, NAMED_BIT);
    return refs_try_free(r, i);
}
