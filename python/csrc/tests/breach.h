/* What the tests of laws share: scribbles that are taken back, and a verification that wants one law to be blamed. */
#ifndef NDPOOL_TESTS_BREACH_H
#define NDPOOL_TESTS_BREACH_H

#include <stdio.h>
#include <string.h>

#include "pool/pool.h"
#include "tests/check.h"

/* For what must be so before the program can go on. */
#define NEED(cond) (CHECK(cond) ? (void)0 : check_exit())

static inline void must(int status)
{
    if (status)
        fprintf(stderr, "verify: %s\n", ndpool_last_error()->message);
    NEED(status == NDPOOL_OK);
}

static inline ndpool_array alloc_bytes(ndpool *p, int64_t n)
{
    ndpool_array a;
    must(ndpool_alloc(p, &(ndpool_spec){.dtype = NDPOOL_UINT8, .ndim = 1, .shape = &n, .flags = NDPOOL_ZERO}, &a));
    return a;
}

static struct told {
    const char *law; /* expected */
    int of_law;
    int others;
} told;

static inline void tell(void *arg, const ndpool_fault *f)
{
    (void)arg;
    CHECK(f->place[0] && f->want[0] && f->got[0]);
    if (told.law && strcmp(f->law, told.law) == 0) {
        told.of_law++;
        return;
    }
    told.others++;
    fprintf(stderr, "fault: %s: %s: expected %s, found %s\n", f->law, f->place, f->want, f->got);
}

/* Verifies, and wants faults of that law and no other; of none if law is NULL. */
static inline ndpool_report verify(ndpool *p, const char *law)
{
    ndpool_report r;
    told.law = law;
    told.of_law = told.others = 0;
    must(ndpool_verify(p, NDPOOL_CONTENT, tell, NULL, &r));
    if (law && told.of_law == 0)
        fprintf(stderr, "nobody noticed: %s\n", law);
    CHECK(told.others == 0 && (told.of_law > 0) == (law != NULL));
    CHECK(r.faults == (uint64_t)told.of_law && r.indexes && r.took >= 0);
    return r;
}

static struct {
    shm_u64 *word64;
    shm_u32 *word32;
    uint64_t old;
} undo[16];
static int undos;

static inline void poke64(shm_u64 *w, uint64_t v)
{
    NEED(undos < 16);
    undo[undos].word64 = w;
    undo[undos].word32 = NULL;
    undo[undos++].old = shm_get64(w);
    shm_put64(w, v);
}

static inline void poke32(shm_u32 *w, uint32_t v)
{
    NEED(undos < 16);
    undo[undos].word64 = NULL;
    undo[undos].word32 = w;
    undo[undos++].old = shm_get32(w);
    shm_put32(w, v);
}

static inline void flip64(shm_u64 *w, uint64_t bits) { poke64(w, shm_get64(w) ^ bits); }
static inline void flip32(shm_u32 *w, uint32_t bits) { poke32(w, shm_get32(w) ^ bits); }

static inline void take_back(void)
{
    while (undos > 0) {
        undos--;
        if (undo[undos].word64)
            shm_put64(undo[undos].word64, undo[undos].old);
        else
            shm_put32(undo[undos].word32, (uint32_t)undo[undos].old);
    }
}

#endif
