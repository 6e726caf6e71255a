#include "alloc/alloc.h"

/* Sets of numbers below n: a bitmap, and above it one bit per word that is not zero, up to a single word. The lowest
 * member is found in as many steps as there are levels. Derived; guarded by the segment lock. */

/* Lays a set of n numbers over set_words(n) words. */
void set_init(set *s, shm_u64 *words, uint64_t n)
{
    *s = (set){.n = n};
    for (uint64_t size = n;; words += size) {
        size = (size + 63) / 64;
        s->levels[s->depth] = words;
        s->words[s->depth] = size;
        s->depth++;
        if (size <= 1 || s->depth == SET_LEVELS)
            return;
    }
}

bool set_has(const set *s, uint64_t i) { return shm_get64(&s->levels[0][i / 64]) >> (i % 64) & 1; }

void set_add(set *s, uint64_t i)
{
    for (int l = 0; l < s->depth; l++) {
        shm_u64 *w = &s->levels[l][i / 64];
        uint64_t old = shm_get64(w);
        shm_put64(w, old | UINT64_C(1) << (i % 64));
        if (old != 0)
            return;
        i /= 64;
    }
}

/* Makes the numbers from lo up to but not including hi members. */
void set_add_range(set *s, uint64_t lo, uint64_t hi)
{
    if (lo >= hi)
        return;
    for (int l = 0; l < s->depth; l++) {
        for (uint64_t i = lo; i < hi;) {
            uint64_t end = i / 64 * 64 + 64;
            if (end > hi)
                end = hi;
            uint64_t mask = UINT64_MAX << (i % 64) & UINT64_MAX >> (63 - (end - 1) % 64);
            shm_u64 *w = &s->levels[l][i / 64];
            shm_put64(w, shm_get64(w) | mask);
            i = end;
        }
        lo /= 64;
        hi = (hi + 63) / 64;
    }
}

void set_remove(set *s, uint64_t i)
{
    for (int l = 0; l < s->depth; l++) {
        shm_u64 *w = &s->levels[l][i / 64];
        uint64_t v = shm_get64(w) & ~(UINT64_C(1) << (i % 64));
        shm_put64(w, v);
        if (v != 0)
            return;
        i /= 64;
    }
}

void set_clear(set *s)
{
    for (int l = 0; l < s->depth; l++) {
        for (uint64_t i = 0; i < s->words[l]; i++) {
            if (shm_get64(&s->levels[l][i]) != 0)
                shm_put64(&s->levels[l][i], 0);
        }
    }
}

/* Follows the lowest bits from bit i of level l down to a member. */
static int64_t descend(const set *s, int l, uint64_t i)
{
    for (; l > 0; l--) {
        if (i >= s->words[l - 1])
            return -1;
        uint64_t w = shm_get64(&s->levels[l - 1][i]);
        if (w == 0)
            return -1;
        i = i * 64 + (uint64_t)low_zeros(w);
    }
    return i < s->n ? (int64_t)i : -1;
}

/* A torn summary makes it miss members, never leave its bounds. */
int64_t set_next(const set *s, uint64_t i)
{
    for (int l = 0; l < s->depth; l++) {
        if (i / 64 >= s->words[l])
            return -1;
        uint64_t w = shm_get64(&s->levels[l][i / 64]) >> (i % 64);
        if (w != 0)
            return descend(s, l, i + (uint64_t)low_zeros(w));
        i = i / 64 + 1;
    }
    return -1;
}

uint64_t set_len(const set *s)
{
    uint64_t n = 0;
    for (uint64_t i = 0; i < s->words[0]; i++)
        n += (uint64_t)__builtin_popcountll(shm_get64(&s->levels[0][i]));
    return n;
}
