/* What arrays are filled with, and how a reader proves that it has read all of it. */
#ifndef CONTENT_H
#define CONTENT_H

#include "bench.h"

#define CONTENT 0x9E3779B97F4A7C15u

/* Private memory to copy from: word k is k times a constant, and word 0 the number of the round. */
static inline uint64_t *new_source(uint64_t size)
{
    uint64_t *w = (uint64_t *)malloc(size);
    if (!w)
        die("malloc: %s", strerror(errno));
    for (uint64_t k = 0; k < size / 8; k++)
        w[k] = k * CONTENT;
    return w;
}

/* The sum of all words but word 0. */
static inline uint64_t sum_of_rest(uint64_t size)
{
    uint64_t n = size / 8;
    return (n % 2 ? (n - 1) / 2 * n : n / 2 * (n - 1)) * CONTENT;
}

typedef uint64_t words_x4 __attribute__((vector_size(32), aligned(8), may_alias));

/* The sum of all words of n bytes, a multiple of 64: two vectors of four at a time, so that it is memory that limits it. */
static inline uint64_t sum(const void *data, uint64_t n)
{
    const words_x4 *v = (const words_x4 *)data;
    words_x4 a = {0}, b = {0};
    for (uint64_t k = 0; k < n / 32; k += 2) {
        a += v[k];
        b += v[k + 1];
    }
    a += b;
    return a[0] + a[1] + a[2] + a[3];
}

/* Reads all, and dies if a word is not what was sent. Returns the low byte of word 0, which is the answer. */
static inline uint8_t read_all(const void *data, uint64_t size)
{
    uint64_t first = *(const uint64_t *)data;
    uint64_t got = sum(data, size) - first, want = sum_of_rest(size);
    if (got != want)
        die("content: sum %llx (want %llx)", (unsigned long long)got, (unsigned long long)want);
    return (uint8_t)first;
}

static inline uint8_t read_first(const void *data) { return (uint8_t) * (const uint64_t *)data; }

static inline void check_size(void)
{
    if (opt.size == 0 || opt.size % 64)
        die("size %llu is not a multiple of 64", (unsigned long long)opt.size);
}

#endif
