#include "refcount/refcount.h"

/* The pseudo-holder NAMED says that values of the catalog name a block, as IN TRANSIT says that tickets carry it. All of
 * this file wants the segment lock. */

/* Counts a value that is about to name block i. Precondition: the caller has a reference to the block, which is LIVE.
 *
 * The bit and the bump come before the record that justifies them, so that the block outlives the caller's own release
 * from the moment the value counts. A death before that leaves a bit without a record, which the taker of the lock
 * clears. */
void refs_name(refs *r, uint32_t i)
{
    if (refs_set_bit(r, i, NAMED_WORD, NAMED_BIT))
        refs_bump(r, i);
    refs_count_name(r, i);
}

/* Uncounts a value that names block i no more. First the record, then the bit if it was the last, then try-free: a death in
 * between leaves a bit without a record. */
bool refs_unname(refs *r, uint32_t i)
{
    ndpool_desc *d = &r->descs[i];
    uint64_t left = shm_get64(&d->names);
    if (left > 1) {
        shm_publish64(&d->names, left - 1);
        return false;
    }
    shm_publish64(&d->names, 0);
    refs_clear_bit(r, i, NAMED_WORD, NAMED_BIT);
    return refs_try_free(r, i);
}

/* Counts a value that names block i, in a rebuild without more. refs_forget_names makes the count zero before. */
void refs_count_name(refs *r, uint32_t i)
{
    ndpool_desc *d = &r->descs[i];
    shm_publish64(&d->names, shm_get64(&d->names) + 1);
}

/* Makes the number of values that name block i zero, in a rebuild. */
void refs_forget_names(refs *r, uint32_t i)
{
    ndpool_desc *d = &r->descs[i];
    if (shm_get64(&d->names) != 0)
        shm_publish64(&d->names, 0);
}

/* Sets the pseudo-holder NAMED of block i if its values want it, in a rebuild: see refs_back_transit. */
void refs_back_named(refs *r, uint32_t i)
{
    if (shm_get64(&r->descs[i].names) > 0 && refs_set_bit(r, i, NAMED_WORD, NAMED_BIT))
        refs_bump(r, i);
}
