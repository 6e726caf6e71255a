#include "refcount/refcount.h"

/* Tells which generation was asked for and which one is there. */
int refs_stale(const refs *r, uint32_t i, uint32_t asked)
{
    uint32_t found = gen_number(desc_gen(&r->descs[i]));
    int kind = state_kind(desc_state(&r->descs[i]));
    if (kind == NDPOOL_KIND_PRIVATE && asked == found)
        return fail(NDPOOL_ERR_PRIVATE, "retain block %u: block is private to its owner", i);
    return fail(NDPOOL_ERR_STALE, "retain block %u: stale handle: generation %u asked, %u found (%s)", i, asked, found,
                kind_name(kind));
}

/* Sets this process's bit while the block is alive in that generation. *set_bit: the bit was set, whatever became of
 * it. */
static bool hold_live(refs *r, uint32_t i, uint32_t asked, bool *set_bit)
{
    ndpool_desc *d = &r->descs[i];
    *set_bit = false;
    for (;;) {
        state s = desc_state(d);
        if (state_kind(s) != NDPOOL_KIND_LIVE || gen_number(desc_gen(d)) != asked)
            return false;
        refs_set_bit(r, i, r->word, r->bit);
        *set_bit = true;
        if (shm_cas64(&d->state, s, state_bump(s)))
            return true;
    }
}

/* Adds a reference of this process to the block if it is alive in that generation. When it fails it may find itself the
 * last to have held the block: then *freed, and all is as refs_drop_locked says.
 *
 * The bit is set before the state is known to be still the same; a death in between leaves a bit of a dead process,
 * which the sweep clears. A failed attempt clears the bit only if this process does not hold the block on purpose,
 * which here it does not: its count is zero. */
int refs_retain_locked(refs *r, uint32_t i, uint32_t asked, bool *freed)
{
    record *l = &r->local[i];
    *freed = false;
    if (l->count > 0) {
        if (gen_number(desc_gen(&r->descs[i])) != asked)
            return refs_stale(r, i, asked);
        l->count++;
        return NDPOOL_OK;
    }
    bool set_bit;
    if (hold_live(r, i, asked, &set_bit)) {
        l->count = 1;
        l->held = true;
        return NDPOOL_OK;
    }
    int status = refs_stale(r, i, asked);
    if (set_bit) {
        refs_clear_bit(r, i, r->word, r->bit);
        *freed = refs_try_free(r, i);
    }
    return status;
}

/* Adds a reference while something else keeps the block alive: a ticket or a name that goes away only after the bump.
 * */
void refs_hold_locked(refs *r, uint32_t i)
{
    record *l = &r->local[i];
    l->count++;
    if (l->held)
        return;
    l->held = true;
    if (refs_set_bit(r, i, r->word, r->bit))
        refs_bump(r, i);
}

void refs_hold(refs *r, uint32_t i)
{
    stripe *s = refs_lock(r, i);
    refs_hold_locked(r, i);
    s->live++;
    spin_unlock(&s->mutex);
}

static bool sole_holder(const refs *r, uint32_t i)
{
    const ndpool_desc *d = &r->descs[i];
    for (int w = 0; w < (int)(sizeof d->holders / sizeof *d->holders); w++) {
        if (shm_load64(&d->holders[w]) != (w == r->word ? r->bit : 0))
            return false;
    }
    return r->local[i].count == 1;
}

/* Shares and seals a PRIVATE block of this process at once. Nobody has its handle, so whose bits are set is a stale retainer, who
 * finds another generation and clears his bit. As in refs_share_locked the own bit comes first. */
static int seal_private(refs *r, uint32_t i)
{
    ndpool_desc *d = &r->descs[i];
    if (r->local[i].count != 1)
        return fail(NDPOOL_ERR_HELD, "seal block %u: this process has other references", i);
    refs_set_bit(r, i, r->word, r->bit);
    shm_publish64(&d->state, state_seal(state_to(desc_state(d), NDPOOL_KIND_LIVE, 0)));
    r->local[i].held = true;
    return NDPOOL_OK;
}

/* Makes a block immutable, and LIVE, if this process is its only holder and has one reference.
 *
 * The flag is part of the state word, so a retainer that bumped since the look makes the exchange fail, and one that
 * bumps later sees the flag. A bit of a stale retainer makes a seal fail that could have succeeded; the caller may try again. */
int refs_seal_locked(refs *r, uint32_t i)
{
    ndpool_desc *d = &r->descs[i];
    if (!r->local[i].held)
        return seal_private(r, i);
    for (;;) {
        state s = desc_state(d);
        if (state_sealed(s))
            return fail(NDPOOL_ERR_SEALED, "seal block %u: block is sealed", i);
        if (!sole_holder(r, i))
            return fail(NDPOOL_ERR_HELD, "seal block %u: block has other holders", i);
        if (shm_cas64(&d->state, s, state_seal(s)))
            return NDPOOL_OK;
    }
}
