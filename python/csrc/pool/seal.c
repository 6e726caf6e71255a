/* Arrays that nobody changes any more. Twin of pool/seal.go. */
#include <inttypes.h>

#include "internal/errors.h"
#include "internal/xxhash.h"
#include "pool/pool.h"

/* Where a block's users' bytes are in the data region, and how many. */
static int place_of(ndpool *p, uint32_t i, uint64_t *off, uint64_t *n)
{
    extent e;
    uint64_t header = shm_load32(&pool_desc(p, i)->header);
    bool ok = pool_extent(p, i, &e);
    *n = shm_load64(&pool_desc(p, i)->bytes);
    if (!ok || header > extent_size(e) || *n > extent_size(e) - header)
        return pool_corrupt(i, "extent", "got %#" PRIx64 ", expected one of %" PRIu64 "+%" PRIu64 " bytes", e, header,
                            *n);
    *off = extent_offset(e) + header;
    return NDPOOL_OK;
}

static int refuse_sealed(uint32_t i) { return fail(NDPOOL_ERR_SEALED, "seal block %u: block is sealed", i); }

/* The hash is stored before the seal: who sees the flag sees the hash. A death in between leaves a hash of an array
 * that lives on unsealed. */
static int seal_locked(ndpool *p, uint32_t i, bool hashed, uint64_t hash)
{
    ndpool_desc *d = pool_desc(p, i);
    if (refs_sealed(&p->refs, i))
        return refuse_sealed(i);
    uint32_t desc_flags = shm_load32(&d->flags) & ~(uint32_t)NDPOOL_DESC_HASHED;
    if (hashed) {
        shm_publish64(&d->hash, hash);
        desc_flags |= NDPOOL_DESC_HASHED;
    }
    shm_publish32(&d->flags, desc_flags);
    return refs_seal_locked(&p->refs, i);
}

/* The read-only mapping and the hash take time, and the stripe is free meanwhile. */
int pool_seal(ndpool *p, ndpool_handle h, bool hashed, void **data)
{
    uint32_t i;
    stripe *st;
    uint64_t off, n;
    int status = pool_hold(p, h, "seal", &i, &st);
    if (status != NDPOOL_OK)
        return status;
    if (pool_is_ring(p, i)) {
        spin_unlock(&st->mutex);
        return pool_refuse_ring("seal", h);
    }
    bool sealed = refs_sealed(&p->refs, i);
    spin_unlock(&st->mutex);
    status = sealed ? refuse_sealed(i) : place_of(p, i, &off, &n);
    if (status != NDPOOL_OK)
        return status;
    uint8_t *mem = arena_read_only(p->arena, off);
    if (!mem)
        return error_now()->status;
    uint64_t hash = hashed ? xxhash64(arena_data(p->arena, off), n) : 0;
    status = pool_hold(p, h, "seal", &i, &st);
    if (status != NDPOOL_OK)
        return status;
    status = seal_locked(p, i, hashed, hash);
    spin_unlock(&st->mutex);
    if (status == NDPOOL_OK && data)
        *data = mem;
    return status;
}

int ndpool_seal(ndpool *p, ndpool_handle h, uint32_t flags, void **data)
{
    int status = pool_enter(p);
    if (status != NDPOOL_OK)
        return status;
    status = pool_seal(p, h, flags & NDPOOL_HASH, data);
    pool_leave(p);
    return status;
}

int ndpool_check_hash(ndpool *p, ndpool_handle h)
{
    uint32_t i;
    stripe *st;
    uint64_t off, n;
    int status = pool_hold(p, h, "check hash of", &i, &st);
    if (status != NDPOOL_OK)
        return status;
    spin_unlock(&st->mutex);
    const ndpool_desc *d = pool_desc(p, i);
    if (!refs_sealed(&p->refs, i) || !(shm_load32(&d->flags) & NDPOOL_DESC_HASHED))
        return fail(NDPOOL_ERR_MISMATCH, "array: hash: got none, expected a sealed array with a hash");
    status = place_of(p, i, &off, &n);
    if (status != NDPOOL_OK)
        return status;
    uint64_t want = shm_load64(&d->hash), got = xxhash64(arena_data(p->arena, off), n);
    if (got != want)
        return fail(NDPOOL_ERR_HASH,
                    "check hash of %016" PRIx64 ": content does not match its hash: got %016" PRIx64
                    ", expected %016" PRIx64,
                    h, got, want);
    return NDPOOL_OK;
}
