/* The packed words of a segment: made, split and stepped. No behaviour. Twin of arena/layout/words.go. */
#ifndef NDPOOL_ARENA_LAYOUT_WORDS_H
#define NDPOOL_ARENA_LAYOUT_WORDS_H

#include <stdbool.h>

#include "ndpool_layout.h"

/* A descriptor's state word: kind, sealed, owner, epoch. */
typedef uint64_t state;

#define STATE_EPOCH_UNIT (UINT64_C(1) << NDPOOL_STATE_EPOCH_SHIFT)

static inline int state_kind(state s) { return (int)(s & NDPOOL_STATE_KIND_MASK); }
static inline bool state_sealed(state s) { return s & NDPOOL_STATE_SEALED_MASK; }
static inline int state_owner(state s) { return (int)((s & NDPOOL_STATE_OWNER_MASK) >> NDPOOL_STATE_OWNER_SHIFT); }
static inline bool kind_owned(int k) { return k == NDPOOL_KIND_BUSY || k == NDPOOL_KIND_CACHED || k == NDPOOL_KIND_PRIVATE; }

/* The word of the next epoch with the given kind and owner, not sealed. */
static inline state state_to(state s, int kind, int owner)
{
    return ((s & NDPOOL_STATE_EPOCH_MASK) + STATE_EPOCH_UNIT) | (state)kind | (state)owner << NDPOOL_STATE_OWNER_SHIFT;
}

/* The same word in the next epoch, and sealed. */
static inline state state_bump(state s) { return s + STATE_EPOCH_UNIT; }
static inline state state_seal(state s) { return state_bump(s) | NDPOOL_STATE_SEALED_MASK; }

/* Tells whether every bit of the word has a meaning. */
static inline bool state_valid(state s)
{
    return state_kind(s) <= NDPOOL_KIND_RETIRED && (s & 0xe0) == 0 && (!state_sealed(s) || state_kind(s) == NDPOOL_KIND_LIVE) &&
           (kind_owned(state_kind(s)) || state_owner(s) == 0);
}

static inline const char *kind_name(int k)
{
    static const char *const names[] = {"free", "busy", "live", "cached", "private", "retired"};
    return k >= 0 && k <= NDPOOL_KIND_RETIRED ? names[k] : "invalid";
}

/* A descriptor's generation word: the generation, 0 before its first use, and whether all are used up. */
typedef uint64_t gen;

static inline uint32_t gen_number(gen g) { return (uint32_t)g; }
static inline bool gen_exhausted(gen g) { return g & NDPOOL_GEN_EXHAUSTED_MASK; }
static inline bool gen_valid(gen g) { return g >> 33 == 0; }

/* The word after g for a descriptor whose first generation is first. 0 is skipped. When the generations have gone round
 * the word is exhausted, and stays so: a sweeper may end a generation twice. */
static inline gen gen_next(gen g, uint32_t first)
{
    if (gen_exhausted(g))
        return g;
    if (gen_number(g) == 0)
        return first;
    uint32_t n = gen_number(g) + 1;
    if (n == 0)
        n = 1;
    return n == first ? n | NDPOOL_GEN_EXHAUSTED_MASK : n;
}

/* The first generation of a descriptor: random per segment and descriptor, never 0. The mixing is the finalizer of
 * SplitMix64 (Steele, Lea, Flood, OOPSLA 2014). */
static inline uint32_t first_gen(const uint8_t segment[16], uint32_t desc)
{
    uint64_t seed = 0;
    for (int i = 0; i < 8; i++)
        seed |= (uint64_t)(segment[i] ^ segment[i + 8]) << (8 * i);
    uint64_t z = seed + (uint64_t)(uint32_t)(desc + 1) * UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    uint32_t g = (uint32_t)(z ^ z >> 31);
    return g ? g : 1;
}

/* A slot's word: phase and incarnation. */
typedef uint64_t slot_word;

static inline slot_word make_slot(int phase, uint32_t incarnation) { return (slot_word)phase | (slot_word)incarnation << 32; }
static inline int slot_phase(slot_word w) { return (int)(w & NDPOOL_SLOT_WORD_PHASE_MASK); }
static inline uint32_t slot_incarnation(slot_word w) { return (uint32_t)(w >> 32); }
static inline bool slot_valid(slot_word w) { return slot_phase(w) <= NDPOOL_SLOT_SWEEPING && (uint32_t)w >> 8 == 0; }

/* Names a process for as long as records may speak of it: slot+1 and incarnation; 0 is nobody. */
typedef uint64_t ident;

static inline ident make_ident(int slot, uint32_t incarnation) { return (ident)(uint32_t)(slot + 1) | (ident)incarnation << 32; }
static inline int64_t ident_slot(ident i) { return (int64_t)(uint32_t)i - 1; } /* -1: nobody; may be beyond the table */
static inline uint32_t ident_incarnation(ident i) { return (uint32_t)(i >> 32); }

/* The segment lock: owner, waiters, low bits of the owner's incarnation. */
typedef uint32_t lock_word;

#define LOCK_INCARNATIONS ((UINT32_C(1) << 23) - 1)

static inline lock_word make_lock(ident i)
{
    return (lock_word)(ident_slot(i) + 1) | (ident_incarnation(i) & LOCK_INCARNATIONS) << NDPOOL_LOCK_INCARNATION_SHIFT;
}
static inline int lock_owner(lock_word l) { return (int)(l & NDPOOL_LOCK_OWNER_MASK) - 1; }
static inline bool lock_contended(lock_word l) { return l & NDPOOL_LOCK_WAITERS_MASK; }
static inline lock_word lock_with_waiters(lock_word l) { return l | NDPOOL_LOCK_WAITERS_MASK; }
static inline bool lock_names(lock_word l, uint32_t incarnation)
{
    return l >> NDPOOL_LOCK_INCARNATION_SHIFT == (incarnation & LOCK_INCARNATIONS);
}

/* A ticket's word: kind and nonce. */
typedef uint64_t ticket_word;

static inline ticket_word make_ticket(int kind, uint32_t nonce) { return (ticket_word)kind | (ticket_word)nonce << 32; }
static inline int ticket_kind(ticket_word w) { return (int)(w & NDPOOL_TICKET_WORD_KIND_MASK); }
static inline uint32_t ticket_nonce(ticket_word w) { return (uint32_t)(w >> 32); }
static inline bool ticket_valid(ticket_word w) { return ticket_kind(w) <= NDPOOL_TICKET_EXPIRED && (uint32_t)w >> 8 == 0; }

static inline const char *ticket_kind_name(int k)
{
    static const char *const names[] = {"unused", "open", "spent", "recalled", "expired"};
    return k >= 0 && k <= NDPOOL_TICKET_EXPIRED ? names[k] : "invalid";
}

/* The word of an entry of the catalog: kind, which of the two values counts, nonce. */
typedef uint64_t name_word;

static inline name_word make_name(int kind, int current, uint32_t nonce)
{
    return (name_word)kind | (name_word)(current & 1) << NDPOOL_NAME_WORD_CURRENT_SHIFT | (name_word)nonce << 32;
}
static inline int name_kind(name_word w) { return (int)(w & NDPOOL_NAME_WORD_KIND_MASK); }
static inline int name_current(name_word w) { return (w & NDPOOL_NAME_WORD_CURRENT_MASK) != 0; }
static inline uint32_t name_nonce(name_word w) { return (uint32_t)(w >> 32); }
static inline bool name_valid(name_word w) { return name_kind(w) <= NDPOOL_NAME_LEAVING && (uint32_t)w >> 9 == 0; }

/* The word of the same use with another kind; the same, LIVE, with the other value. */
static inline name_word name_to(name_word w, int kind) { return (w & ~(name_word)0xff) | (name_word)kind; }
static inline name_word name_flip(name_word w) { return name_to(w, NDPOOL_NAME_LIVE) ^ NDPOOL_NAME_WORD_CURRENT_MASK; }

static inline const char *name_kind_name(int k)
{
    static const char *const names[] = {"free", "live", "staged", "replacing", "leaving"};
    return k >= 0 && k <= NDPOOL_NAME_LEAVING ? names[k] : "invalid";
}

/* The lock of a name: writer, waiters, torn, low bits of the writer's incarnation. */
typedef uint32_t name_lock_word;

#define NAME_LOCK_INCARNATIONS ((UINT32_C(1) << 22) - 1)

static inline name_lock_word make_name_lock(ident i)
{
    return (name_lock_word)(ident_slot(i) + 1) |
           (ident_incarnation(i) & NAME_LOCK_INCARNATIONS) << NDPOOL_NAME_LOCK_INCARNATION_SHIFT;
}
static inline int name_lock_owner(name_lock_word l) { return (int)(l & NDPOOL_NAME_LOCK_OWNER_MASK) - 1; }
static inline bool name_lock_contended(name_lock_word l) { return l & NDPOOL_NAME_LOCK_WAITERS_MASK; }
static inline name_lock_word name_lock_with_waiters(name_lock_word l) { return l | NDPOOL_NAME_LOCK_WAITERS_MASK; }
static inline bool name_lock_torn(name_lock_word l) { return l & NDPOOL_NAME_LOCK_TORN_MASK; }
static inline name_lock_word name_lock_with_torn(name_lock_word l) { return l | NDPOOL_NAME_LOCK_TORN_MASK; }
static inline name_lock_word name_lock_free(name_lock_word l) { return l & NDPOOL_NAME_LOCK_TORN_MASK; }
static inline bool name_lock_names(name_lock_word l, uint32_t incarnation)
{
    return l >> NDPOOL_NAME_LOCK_INCARNATION_SHIFT == (incarnation & NAME_LOCK_INCARNATIONS);
}

/* The word of an entry of a ring: kind, whether it belongs to the one before, how many behind it belong to it. */
typedef uint64_t entry_word;

static inline entry_word make_entry(int kind, uint32_t more) { return (entry_word)kind | (entry_word)more << NDPOOL_ENTRY_WORD_MORE_SHIFT; }
static inline entry_word entry_attached(entry_word w) { return w | NDPOOL_ENTRY_WORD_ATTACHED_MASK; }
static inline int entry_kind(entry_word w) { return (int)(w & NDPOOL_ENTRY_WORD_KIND_MASK); }
static inline bool entry_is_attached(entry_word w) { return w & NDPOOL_ENTRY_WORD_ATTACHED_MASK; }
static inline uint32_t entry_more(entry_word w) { return (uint32_t)(w >> NDPOOL_ENTRY_WORD_MORE_SHIFT); }

/* Tells whether every bit of the word has a meaning. */
static inline bool entry_valid(entry_word w)
{
    return entry_kind(w) >= NDPOOL_ENTRY_ARRAY && entry_kind(w) <= NDPOOL_ENTRY_PICKLE && (uint32_t)w >> 9 == 0 &&
           entry_more(w) < NDPOOL_MAX_RING_ENTRIES && !(entry_is_attached(w) && entry_more(w) != 0);
}

/* Says where a block's bytes are: a run of pages, or a block of a slab. Pages count from the start of the data region. */
typedef uint64_t extent;

static inline extent page_run(int first, int pages) { return (extent)first | (extent)pages << NDPOOL_EXTENT_PAGES_SHIFT; }
static inline extent slab_block(int class_, int first, int block)
{
    return (extent)first | (extent)block << NDPOOL_EXTENT_BLOCK_SHIFT | (extent)class_ << NDPOOL_EXTENT_CLASS_SHIFT;
}
static inline int extent_class(extent e) { return (int)(e >> NDPOOL_EXTENT_CLASS_SHIFT); } /* 0: a run of pages */
static inline int extent_first(extent e) { return (int)(e & NDPOOL_EXTENT_FIRST_MASK); }
static inline int extent_block(extent e) { return (int)(e >> NDPOOL_EXTENT_BLOCK_SHIFT & 0xff); }

/* Pages of a run, and of the whole slab for a slab's block. Precondition of this and the next three: the class is one. */
static inline int extent_pages(extent e)
{
    int c = extent_class(e);
    return c ? ndpool_classes[c].pages : (int)(e >> NDPOOL_EXTENT_PAGES_SHIFT & NDPOOL_MAX_RUN_PAGES);
}

/* First byte, counted from the start of the data region, and length in bytes. */
static inline uint64_t extent_offset(extent e)
{
    int c = extent_class(e);
    uint64_t off = (uint64_t)extent_first(e) * NDPOOL_PAGE_SIZE;
    return c ? off + (uint64_t)extent_block(e) * ndpool_classes[c].size : off;
}
static inline uint64_t extent_size(extent e)
{
    int c = extent_class(e);
    return c ? ndpool_classes[c].size : (uint64_t)extent_pages(e) * NDPOOL_PAGE_SIZE;
}

/* The cache list for blocks of this extent's size; NDPOOL_LARGE_BIN for those that are not cached. */
static inline int extent_bin(extent e)
{
    int c = extent_class(e);
    if (c)
        return c - 1;
    int n = extent_pages(e);
    return n <= NDPOOL_RUN_BINS ? NDPOOL_NUM_CLASSES + n - 1 : NDPOOL_LARGE_BIN;
}

/* Tells whether the extent lies within a data region of that many pages, and is made as slab_block or page_run make it. */
static inline bool extent_valid(extent e, int pages)
{
    int c = extent_class(e);
    if (c > NDPOOL_NUM_CLASSES)
        return false;
    if (c && ((e >> 37 & ((1u << 21) - 1)) != 0 || extent_block(e) >= ndpool_classes[c].blocks))
        return false;
    return extent_pages(e) > 0 && (int64_t)extent_first(e) + extent_pages(e) <= pages;
}

/* The head of a slab's record: class, free blocks, first page. */
typedef uint64_t slab_head;

static inline slab_head make_slab(int class_, int free, int first)
{
    return (slab_head)class_ | (slab_head)free << NDPOOL_SLAB_FREE_SHIFT | (slab_head)first << NDPOOL_SLAB_FIRST_SHIFT;
}
static inline int slab_class(slab_head h) { return (int)(h & NDPOOL_SLAB_CLASS_MASK); }
static inline int slab_free(slab_head h) { return (int)(uint16_t)(h >> NDPOOL_SLAB_FREE_SHIFT); }
static inline int64_t slab_first(slab_head h) { return (int64_t)(h >> NDPOOL_SLAB_FIRST_SHIFT); }

#endif
