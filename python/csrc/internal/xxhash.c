/*
 * XXH64 as its specification says (Yann Collet, "xxHash fast digest algorithm",
 * https://github.com/Cyan4973/xxHash/blob/dev/doc/xxhash_spec.md), with seed 0. The steps have the specification's
 * numbers.
 */
#include "internal/xxhash.h"

#include <string.h>

#define PRIME1 UINT64_C(0x9e3779b185ebca87)
#define PRIME2 UINT64_C(0xc2b2ae3d27d4eb4f)
#define PRIME3 UINT64_C(0x165667b19e3779f9)
#define PRIME4 UINT64_C(0x85ebca77c2b2ae63)
#define PRIME5 UINT64_C(0x27d4eb2f165667c5)

enum { STRIPE_BYTES = 32 };

static inline uint64_t rotate(uint64_t x, int bits) { return x << bits | x >> (64 - bits); }

static inline uint64_t read64(const uint8_t *p)
{
    uint64_t v;
    memcpy(&v, p, sizeof v);
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    v = __builtin_bswap64(v);
#endif
    return v;
}

static inline uint32_t read32(const uint8_t *p)
{
    uint32_t v;
    memcpy(&v, p, sizeof v);
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    v = __builtin_bswap32(v);
#endif
    return v;
}

static inline uint64_t round64(uint64_t acc, uint64_t lane) { return rotate(acc + lane * PRIME2, 31) * PRIME1; }

static inline uint64_t merge(uint64_t acc, uint64_t lane) { return (acc ^ round64(0, lane)) * PRIME1 + PRIME4; }

/* Steps 1 to 3: four accumulators that do not wait for each other. */
static uint64_t stripes(const uint8_t *p, const uint8_t *end)
{
    uint64_t a = PRIME1 + PRIME2, b = PRIME2, c = 0, d = 0 - PRIME1;
    for (; p < end; p += STRIPE_BYTES) {
        a = round64(a, read64(p));
        b = round64(b, read64(p + 8));
        c = round64(c, read64(p + 16));
        d = round64(d, read64(p + 24));
    }
    uint64_t acc = rotate(a, 1) + rotate(b, 7) + rotate(c, 12) + rotate(d, 18);
    return merge(merge(merge(merge(acc, a), b), c), d);
}

/* Step 5: what does not fill a stripe. */
static uint64_t rest(uint64_t acc, const uint8_t *p, size_t n)
{
    for (; n >= 8; p += 8, n -= 8)
        acc = rotate(acc ^ round64(0, read64(p)), 27) * PRIME1 + PRIME4;
    if (n >= 4) {
        acc = rotate(acc ^ read32(p) * PRIME1, 23) * PRIME2 + PRIME3;
        p += 4;
        n -= 4;
    }
    for (; n > 0; p++, n--)
        acc = rotate(acc ^ *p * PRIME5, 11) * PRIME1;
    return acc;
}

uint64_t xxhash64(const void *p, size_t n)
{
    const uint8_t *at = p;
    size_t whole = n / STRIPE_BYTES * STRIPE_BYTES;
    uint64_t acc = PRIME5;
    if (whole > 0) {
        acc = stripes(at, at + whole);
        at += whole;
    }
    acc = rest(acc + n, at, n - whole); /* step 4 adds the length */
    acc = (acc ^ acc >> 33) * PRIME2;   /* step 6 */
    acc = (acc ^ acc >> 29) * PRIME3;
    return acc ^ acc >> 32;
}
