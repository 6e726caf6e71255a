/* XXH64, the hash of superblocks and of sealed arrays. */
#ifndef NDPOOL_INTERNAL_XXHASH_H
#define NDPOOL_INTERNAL_XXHASH_H

#include <stddef.h>
#include <stdint.h>

/* The XXH64 of n bytes, with seed 0. */
uint64_t xxhash64(const void *p, size_t n);

#endif
