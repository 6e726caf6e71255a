/*
 * A block is alive while it is PRIVATE to a living process, or LIVE with any bit of its holder set. There is one bit
 * per process, however many arrays and views the process has of the block: that number is counted in private memory,
 * and only the first and the last of them touch the shared bit. Setting and clearing a bit is idempotent, so recovery
 * from a death is to clear the dead slot's bits.
 *
 * The one rule of last releases: every clearing of a bit is followed by refs_try_free, and whoever sets a bit that was
 * clear bumps the epoch before the bit, ticket or name that kept the block alive until then may go away. So a last
 * releaser that has read the holder words too early loses its compare-and-swap and looks again. docs/PROTOCOL.md tells
 * the rules and docs/model proves them.
 */
#include "refcount/refcount.h"

#include "internal/lazy.h"

/* A snapshot has no slot: its bit is no bit. */
static void take_slot(refs *r, ident self)
{
    int slot = (int)ident_slot(self);
    r->slot = slot;
    r->word = slot < 0 ? 0 : slot / 64;
    r->bit = slot < 0 ? 0 : UINT64_C(1) << (slot % 64);
}

/* Makes the view of an attachment. Released by refs_free. */
int refs_init(refs *r, arena *a)
{
    *r = (refs){.arena = a, .descs = a->descs, .tickets = a->tickets};
    take_slot(r, a->self);
    r->local = lazy_new(a->n_descs, sizeof *r->local);
    if (r->local == NULL)
        return fail_errno(NDPOOL_ERR_SYSTEM, "allocate reference counts: %u entries of %zu bytes", a->n_descs,
                          sizeof *r->local);
    return NDPOOL_OK;
}

/* Gives the private memory back. r must not be used afterwards. */
void refs_free(refs *r)
{
    lazy_free(r->local, r->arena->n_descs, sizeof *r->local);
    r->local = NULL;
}

/* Before the fork the parent has shared every block that it holds, and set the new slot's bit: so all that is counted
 * here is held by the new bit. Precondition: the stripes are held, or this is the only thread. */
void refs_become(refs *r, ident self)
{
    take_slot(r, self);
    uint32_t n = shm_load32(&r->arena->ctl->descs);
    if (n > r->arena->n_descs)
        n = r->arena->n_descs;
    for (uint32_t i = 0; i < n; i++) {
        if (r->local[i].count > 0)
            r->local[i].held = true;
    }
}

/* Gives a descriptor that was never used its first generation. Precondition: the descriptor is FREE, and the caller
 * holds the segment lock. */
void refs_begin(refs *r, uint32_t i)
{
    ndpool_desc *d = &r->descs[i];
    if (gen_number(desc_gen(d)) == 0)
        shm_publish64(&d->gen, refs_first_gen(r, i));
}

/* Moves a descriptor of this process to FREE or RETIRED. Preconditions: as for refs_own, and the segment lock is held.
 * */
void refs_disown(refs *r, uint32_t i, int kind)
{
    ndpool_desc *d = &r->descs[i];
    shm_publish64(&d->state, state_to(desc_state(d), kind, 0));
}

/* Makes a CACHED block BUSY of this process, whoever cached it. False: the block is not CACHED, or somebody was faster.
 * */
bool refs_take_cached(refs *r, uint32_t i, int *owner)
{
    ndpool_desc *d = &r->descs[i];
    state s = desc_state(d);
    if (state_kind(s) != NDPOOL_KIND_CACHED)
        return false;
    *owner = state_owner(s);
    return shm_cas64(&d->state, s, state_to(s, NDPOOL_KIND_BUSY, r->slot));
}

/* Makes a PRIVATE block of this process LIVE, so that others can be given its handle. Precondition: this process has a
 * reference. The bit comes first: a death after it leaves the block PRIVATE. */
void refs_share_locked(refs *r, uint32_t i)
{
    record *l = &r->local[i];
    if (l->held)
        return;
    refs_set_bit(r, i, r->word, r->bit);
    ndpool_desc *d = &r->descs[i];
    shm_publish64(&d->state, state_to(desc_state(d), NDPOOL_KIND_LIVE, 0));
    l->held = true;
}

/* The rest of refs_drop_locked, for a block whose bit is this process's. A death after the clearing leaves the try-free
 * to the sweep, which does it whether or not the bit is clear. */
bool refs_drop_held_locked(refs *r, uint32_t i)
{
    r->local[i].held = false;
    refs_clear_bit(r, i, r->word, r->bit);
    return refs_try_free(r, i);
}

static bool held_by_any(const ndpool_desc *d)
{
    for (size_t w = 0; w < sizeof d->holders / sizeof *d->holders; w++) {
        if (shm_load64(&d->holders[w]) != 0)
            return true;
    }
    return false;
}

/* Follows every clearing of a bit. The state is loaded before the holder words are read; the epoch tells whether
 * anybody set a bit meanwhile. True: the block had no holder left and is now BUSY of this process, in a new generation.
 * */
bool refs_try_free(refs *r, uint32_t i)
{
    ndpool_desc *d = &r->descs[i];
    for (;;) {
        state s = desc_state(d);
        if (state_kind(s) != NDPOOL_KIND_LIVE || held_by_any(d))
            return false;
        if (shm_cas64(&d->state, s, state_to(s, NDPOOL_KIND_BUSY, r->slot))) {
            refs_next_gen(r, i);
            return true;
        }
    }
}

/* Makes a last releaser look again. Precondition: a bit was set before. It retries while the block is LIVE. */
void refs_bump(refs *r, uint32_t i)
{
    ndpool_desc *d = &r->descs[i];
    for (;;) {
        state s = desc_state(d);
        if (state_kind(s) != NDPOOL_KIND_LIVE || shm_cas64(&d->state, s, state_bump(s)))
            return;
    }
}

/* Shares block i and gives the child's slot a bit in it: the block is LIVE before the bit, and bumped before the fork,
 * so before the parent's own bit may go away. A death, or a fork that fails, leaves the bit of a dead slot, which the
 * sweep clears. Preconditions: the stripes are held, and this process has a reference. */
void refs_fork_block(refs *r, uint32_t i, int child_slot)
{
    refs_share_locked(r, i);
    refs_set_bit(r, i, child_slot / 64, UINT64_C(1) << (child_slot % 64));
    refs_bump(r, i);
}
