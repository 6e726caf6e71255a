/* What verify.c and laws.c share: a walk over a segment that compares every word with the laws of the format. */
#ifndef NDPOOL_POOL_VERIFY_H
#define NDPOOL_POOL_VERIFY_H

#include "pool/pool.h"

enum { MAX_FAULTS = 1000, FAULT_TEXT = 160, BLOCK_LOOKS = 100 };

/* A law that the segment breaks. Local; the texts may be cut short. */
typedef struct fault {
    const char *law; /* a constant */
    char place[FAULT_TEXT];
    char want[FAULT_TEXT];
    char got[FAULT_TEXT];
} fault;

/* The blocks that were seen of the slab that starts in a group of NDPOOL_MIN_SLAB_PAGES pages. Local. Slabs that do not
 * overlap start in different groups. */
typedef struct slab_seen {
    uint32_t class_; /* 0: no slab was seen */
    uint32_t first;  /* page */
    uint64_t blocks[SLAB_WORDS];
} slab_seen;

/* Walks a segment. Local. It reads each word once into a local, and decides on that. All its memory is taken before the
 * lock is, and nobody is told anything before the lock is released. */
typedef struct checker {
    ndpool *pool;
    arena *a;
    allocator want;    /* indexes as they should be */
    uint32_t *tickets; /* by descriptor: open tickets, and entries of rings */
    uint64_t *named;   /* by descriptor: values of the catalog that name it */
    uint8_t *nodes;    /* by node of the catalog, entry + 1 or 0 for the root: what was seen of it */
    uint32_t *called;  /* a hash table of names by parent and component: nodes; 0: none */
    uint32_t *pages;   /* by page: descriptor plus one of the run, or of the slab's first block seen */
    slab_seen *slabs;  /* by group of pages */
    fault *faults;     /* MAX_FAULTS, and one more where those go that are only counted */
    uint32_t found;    /* faults that are kept */
    uint64_t more;     /* faults beyond those */
    uint64_t attached[NDPOOL_MAX_PROCESSES]; /* words of the process table before the walk */
    bool content;
    ndpool_report report;
} checker;

/* Adds a fault, whose texts the caller sets. law is a constant. */
fault *verify_fault(checker *c, const char *law, const char *place);

/* Prints, cut short if need be. */
void verify_say(char to[FAULT_TEXT], const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Tells whether a slot is in use by this incarnation; by anybody; by somebody who leaves or sweeps it. */
bool verify_used(const checker *c, ident id);
bool verify_in_use(const checker *c, uint32_t slot);
bool verify_sweeping(const checker *c, int64_t slot);

/* Tells each reserved word that is not zero. */
void verify_zero(checker *c, const char *place, const shm_u64 *words, size_t n);

/* ---- laws.c: the laws, in this order */
void verify_control(checker *c);
void verify_slots(checker *c);
void verify_committed(checker *c);
void verify_ticket(checker *c, uint32_t n);
void verify_count(checker *c, uint32_t i);
void verify_block(checker *c, uint32_t i, state s);

/* ---- laws_names.c: those of the catalog */
size_t verify_called_size(const arena *a); /* entries of the hash table, a power of two */
void verify_catalog(checker *c);
void verify_names(checker *c);
void verify_name_count(checker *c, uint32_t i, const char *place);
void verify_attributes(checker *c, const char *place, uint32_t i); /* of a name, or of an entry of a ring */

/* ---- laws_ring.c: those of rings */
void verify_rings(checker *c);
void verify_ring_flag(checker *c, uint32_t i, const char *place, state s);

#endif
