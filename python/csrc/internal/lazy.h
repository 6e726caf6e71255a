/*
 * Tables that take memory as they are used: a process's private records, one per descriptor, of which most are never
 * touched. Twin of internal/lazy.
 */
#ifndef NDPOOL_INTERNAL_LAZY_H
#define NDPOOL_INTERNAL_LAZY_H

#include <stddef.h>
#include <sys/mman.h>

/* Returns n zero entries of so many bytes, NULL if there is no memory. Released by lazy_free. */
static inline void *lazy_new(size_t n, size_t size)
{
    const int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;
    void *m = mmap(NULL, n * size > 0 ? n * size : 1, PROT_READ | PROT_WRITE, flags, -1, 0);
    return m == MAP_FAILED ? NULL : m;
}

static inline void lazy_free(void *m, size_t n, size_t size)
{
    if (m)
        munmap(m, n * size > 0 ? n * size : 1);
}

#endif
