/*
 * The funnel: the only place that touches shared memory. Twin of internal/shm.
 *
 * The words of the segment are declared as shm_u64 and shm_u32, whose value no other file names, so that the compiler
 * refuses an access that goes around the funnel, and the crash build (-DNDPOOL_CRASH) sees every store: it can kill the
 * process right after the k-th one.
 *
 * There are three ways to store, from strong to weak:
 *
 *   store, cas, or, and, swap  sequentially consistent; for words that several processes change
 *   publish                    a release store; for words that only the caller may change at that moment
 *   put                        a plain (relaxed) store; for words guarded by the segment lock
 *
 * and the matching loads: load (sequentially consistent, pairs with the first two) and get (relaxed, pairs with put).
 */
#ifndef NDPOOL_INTERNAL_SHM_H
#define NDPOOL_INTERNAL_SHM_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* Words of the segment. Shared. */
typedef struct shm_u64 {
    _Atomic uint64_t only_shm_h;
} shm_u64;
typedef struct shm_u32 {
    _Atomic uint32_t only_shm_h;
} shm_u32;

_Static_assert(sizeof(shm_u64) == 8 && sizeof(shm_u32) == 4, "atomic words must be plain words");

#ifdef NDPOOL_CRASH
/* Arms the crash: die runs right after the k-th store from now, k from 1. With k 0 stores are only counted. */
void shm_arm(int k, void (*die)(void));
/* Ends the counting and returns how many stores there were since shm_arm. */
int shm_disarm(void);
/* Ends this process as SIGKILL does. */
void shm_kill(void);
/* Lets others run after each store and each exchange that failed, until shm_disarm: what other processes do at that
 * moment. Their stores do not count. They come before a death at that store. */
void shm_meanwhile(void (*others)(void *), void *arg);
void shm_point(void);
void shm_moment(void); /* after an exchange that failed */
/* Notes where the next store is, for scripts/coverage. */
void shm_at(const char *file, int line);
#else
static inline void shm_point(void) {}
static inline void shm_moment(void) {}
#endif

static inline uint64_t shm_load64(const shm_u64 *w) { return atomic_load(&w->only_shm_h); }
static inline uint32_t shm_load32(const shm_u32 *w) { return atomic_load(&w->only_shm_h); }

/* Precondition: the caller holds the lock that guards the word. */
static inline uint64_t shm_get64(const shm_u64 *w) { return atomic_load_explicit(&w->only_shm_h, memory_order_relaxed); }
static inline uint32_t shm_get32(const shm_u32 *w) { return atomic_load_explicit(&w->only_shm_h, memory_order_relaxed); }

static inline void shm_store64(shm_u64 *w, uint64_t v)
{
    atomic_store(&w->only_shm_h, v);
    shm_point();
}

static inline void shm_store32(shm_u32 *w, uint32_t v)
{
    atomic_store(&w->only_shm_h, v);
    shm_point();
}

/* Whoever loads the new value also sees all that was stored before it. Precondition: nobody else may change the word now. */
static inline void shm_publish64(shm_u64 *w, uint64_t v)
{
    atomic_store_explicit(&w->only_shm_h, v, memory_order_release);
    shm_point();
}

static inline void shm_publish32(shm_u32 *w, uint32_t v)
{
    atomic_store_explicit(&w->only_shm_h, v, memory_order_release);
    shm_point();
}

/* Precondition: the caller holds the lock that guards the word. */
static inline void shm_put64(shm_u64 *w, uint64_t v)
{
    atomic_store_explicit(&w->only_shm_h, v, memory_order_relaxed);
    shm_point();
}

static inline void shm_put32(shm_u32 *w, uint32_t v)
{
    atomic_store_explicit(&w->only_shm_h, v, memory_order_relaxed);
    shm_point();
}

/* Replaces old by new, and tells whether the word was old. */
static inline bool shm_cas64(shm_u64 *w, uint64_t old, uint64_t new_)
{
    bool ok = atomic_compare_exchange_strong(&w->only_shm_h, &old, new_);
    if (ok)
        shm_point();
    else
        shm_moment();
    return ok;
}

static inline bool shm_cas32(shm_u32 *w, uint32_t old, uint32_t new_)
{
    bool ok = atomic_compare_exchange_strong(&w->only_shm_h, &old, new_);
    if (ok)
        shm_point();
    else
        shm_moment();
    return ok;
}

/* Sets the bits of mask and returns the old word. */
static inline uint64_t shm_or64(shm_u64 *w, uint64_t mask)
{
    uint64_t old = atomic_fetch_or(&w->only_shm_h, mask);
    shm_point();
    return old;
}

static inline uint32_t shm_or32(shm_u32 *w, uint32_t mask)
{
    uint32_t old = atomic_fetch_or(&w->only_shm_h, mask);
    shm_point();
    return old;
}

/* Clears the bits that are not in mask and returns the old word. */
static inline uint64_t shm_and64(shm_u64 *w, uint64_t mask)
{
    uint64_t old = atomic_fetch_and(&w->only_shm_h, mask);
    shm_point();
    return old;
}

/* For counters only: an addition is not idempotent, so no truth rests on one. */
static inline void shm_add64(shm_u64 *w, uint64_t n)
{
    atomic_fetch_add(&w->only_shm_h, n);
    shm_point();
}

static inline void shm_add32(shm_u32 *w, uint32_t n)
{
    atomic_fetch_add(&w->only_shm_h, n);
    shm_point();
}

/* Sets the word and returns the old one. */
static inline uint32_t shm_swap32(shm_u32 *w, uint32_t v)
{
    uint32_t old = atomic_exchange(&w->only_shm_h, v);
    shm_point();
    return old;
}

/* Stores n bytes that nobody else reads yet: a superblock before the segment has a name, or a record in a block that the
 * caller owns as BUSY. It counts as one store. */
static inline void shm_copy(void *to, const void *from, size_t n)
{
    memcpy(to, from, n);
    shm_point();
}

#ifdef NDPOOL_CRASH
#define SHM_HERE(call) (shm_at(__FILE__, __LINE__), call)
#define shm_store64(w, v) SHM_HERE(shm_store64(w, v))
#define shm_store32(w, v) SHM_HERE(shm_store32(w, v))
#define shm_publish64(w, v) SHM_HERE(shm_publish64(w, v))
#define shm_publish32(w, v) SHM_HERE(shm_publish32(w, v))
#define shm_put64(w, v) SHM_HERE(shm_put64(w, v))
#define shm_put32(w, v) SHM_HERE(shm_put32(w, v))
#define shm_cas64(w, old, v) SHM_HERE(shm_cas64(w, old, v))
#define shm_cas32(w, old, v) SHM_HERE(shm_cas32(w, old, v))
#define shm_or64(w, mask) SHM_HERE(shm_or64(w, mask))
#define shm_or32(w, mask) SHM_HERE(shm_or32(w, mask))
#define shm_and64(w, mask) SHM_HERE(shm_and64(w, mask))
#define shm_add64(w, n) SHM_HERE(shm_add64(w, n))
#define shm_add32(w, n) SHM_HERE(shm_add32(w, n))
#define shm_swap32(w, v) SHM_HERE(shm_swap32(w, v))
#define shm_copy(to, from, n) SHM_HERE(shm_copy(to, from, n))
#endif

#endif
