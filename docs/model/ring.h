/* What stream.pml and queue.pml share: blocks, the segment lock, a ring of ENTRIES entries, who enters and exits blocks, the end of the
 * ring, rebuild and sweep. It needs step.h's definitions, and LAST_WORDS before it.
 *
 * Bits 0 and 1 of a block's holders are who takes from the ring, 3 and 4 who puts into it, 5 is the keeper, who sweeps and has none. The
 * pseudo-holder IN TRANSIT is bit 2. The scan meets it after the takers' and before the putters', which is the worst when something goes from
 * a putter to a taker; with T_FIRST it meets it first, which is the worst when a taker puts back. The ring is a block, too, but taking and
 * releasing it is one step here, see hold.pml.
 */
#define T  2                    /* IN TRANSIT */
#define K  5
#define NB 5                    /* bits */
#define NP 6
#ifdef T_FIRST
#define SCANNED(i) ((i) == 0 -> T : ((i) <= T -> (i) - 1 : (i)))
#else
#define SCANNED(i) (i)
#endif

#include "step.h"
#undef TO
#define TO(b, knd, own) assert(epoch[b] < 255); epoch[b]++; kind[b] = knd; owner[b] = own

byte kind[BLOCKS], owner[BLOCKS], epoch[BLOCKS], gen[BLOCKS] = 1;     /* truth: the blocks, FREE at first */
bit  hold[BLOCKS * NB];                   /* truth: the holder sets */
byte count[BLOCKS];                       /* derived: Desc.Tickets */
byte content[BLOCKS];                     /* the users' bytes: an id, different each time */
byte lck = 0;                             /* truth: the segment lock, 0 or owner + 1 */

byte head, tail;                          /* truth: one store of either decides */
byte num[ENTRIES], arr[ENTRIES], att[ENTRIES]; /* truth: Number, handle, and an attribute, which is the id */
byte rkind = LIVE, rowner;                /* truth: the ring's own block */
bit  rflag = 1;                           /* truth: RING */
bit  rhold[NP];

bit  dead[NP], over[NP], swept[NP];
byte believes[NP];                        /* ghost: the block that it thinks it holds, plus 1 */
byte ids = 0;                             /* ghost */

#define H(b,p)    hold[(b) * 5 + (p)]
#define HANDLE(b) (gen[b] * 4 + (b))
#define BLOCK(h)  ((h) & 3)
#define GEN(h)    ((h) >> 2)

/* Entry k from Tail on counts, and is sound; how many entries name a block. */
#define SLOT(k)   ((tail + (k)) % ENTRIES)
#define SOUND(k)  (num[SLOT(k)] == tail + (k) + 1 && kind[BLOCK(arr[SLOT(k)])] == LIVE && gen[BLOCK(arr[SLOT(k)])] == GEN(arr[SLOT(k)]))
#define NAMES(k,b) (head - tail > (k) && num[SLOT(k)] == tail + (k) + 1 && arr[SLOT(k)] == HANDLE(b))
#define IS_RING   (rflag && (rkind == LIVE || rkind == BUSY))
#define COUNT(b)  (IS_RING -> NAMES(0, b) + (ENTRIES > 1 && NAMES(1, b)) : 0)

/* With the lock, and nothing under way. */
#define SETTLED(b) (count[b] == COUNT(b) && H(b, T) == (COUNT(b) > 0))
#if BLOCKS == 3
#define EACH_SETTLED (SETTLED(0) && SETTLED(1) && SETTLED(2))
#elif BLOCKS == 2
#define EACH_SETTLED (SETTLED(0) && SETTLED(1))
#else
#define EACH_SETTLED SETTLED(0)
#endif
#define REST ((!IS_RING || (head - tail <= ENTRIES && (head == tail || SOUND(0)) && (head - tail < 2 || SOUND(1)))) && EACH_SETTLED)

#define BELIEVED(b) (believes[0] == b + 1 || believes[1] == b + 1 || believes[3] == b + 1 || believes[4] == b + 1)

inline bump(b) {
  ok = 0;
  do
  :: OP(k = kind[b]; e = epoch[b]);
     if :: k != LIVE -> break :: else fi;
     OP(if :: epoch[b] == e -> TO(b, LIVE, 0); ok = 1 :: else fi);
     if :: ok -> break :: else fi
  od;
  k = 0; e = 0; ok = 0
}

/* As in hold.pml; besides, what an entry names is nobody's to free. */
inline try_free(b) {
  do
  :: OP(k = kind[b]; e = epoch[b]);
     if :: k != LIVE -> break :: else fi;
     i = 0; set = 0;
     do :: i < NB && !set -> OP(set = H(b, SCANNED(i)); i++) :: else -> break od;
     if :: set -> break :: else fi;
     OP(if
        :: epoch[b] == e -> assert(!BELIEVED(b) && COUNT(b) == 0); TO(b, BUSY, me); ok = 1
        :: else -> ok = 0
        fi);
     if :: ok -> OP(gen[b]++); OP(TO(b, CACHED, me)); break :: else fi
  od;
  k = 0; e = 0; i = 0; set = 0; ok = 0
}

/* As for tickets: what is missing is set, then what is surplus is cleared. */
inline rebuild() {
#ifndef REBUILD_SETS_NOTHING
  c = 0;
  do
  :: c < BLOCKS ->
     OP(ok = (COUNT(c) > 0 && !H(c, T)); H(c, T) = H(c, T) || ok);
     if :: ok -> bump(c) :: else fi;
     c++
  :: else -> break
  od;
#endif
  c = 0;
  do
  :: c < BLOCKS ->
#ifndef BUG_REBUILD_NO_COUNT    /* the last entry is not recognised as the last, or one too early is */
     OP(count[c] = COUNT(c));
#endif
#ifndef BUG_REBUILD_CLEARS_NOTHING /* a putter died before the store of Head, or a getter after that of Tail */
     OP(if :: COUNT(c) == 0 -> H(c, T) = 0 :: else fi);
#endif
     try_free(c);
     c++
  :: else -> break
  od;
  c = 0
}

/* If the last owner died inside, what he left is put in order first; who dies in that leaves the same task to the next. */
inline lock() {
  OP_WHEN(lck == 0 || dead[lck - 1], torn = (lck != 0); lck = me + 1);
  if
  :: torn -> torn = 0; rebuild(); OP(assert(REST && (rkind != FREE || !rflag)))
  :: else
  fi
}
inline unlock() { OP(assert(lck == me + 1 && REST && (rkind != FREE || !rflag)); lck = 0) }

/* Takes a block, writes it, shares it: see hold.pml. */
#define GETTABLE(b) (kind[b] == FREE || kind[b] == CACHED)
#if BLOCKS == 3
#define ANY_GETTABLE (GETTABLE(0) || GETTABLE(1) || GETTABLE(2))
#elif BLOCKS == 2
#define ANY_GETTABLE (GETTABLE(0) || GETTABLE(1))
#else
#define ANY_GETTABLE GETTABLE(0)
#endif
inline allocate() {
  OP_WHEN(ANY_GETTABLE,
          b = (GETTABLE(0) -> 0 : (BLOCKS == 2 || GETTABLE(1) -> BLOCKS > 1 : BLOCKS - 1));
          TO(b, LIVE, 0); H(b, me) = 1; ids++; content[b] = ids; believes[me] = b + 1)
}

/* Lets go of what me believes to hold. */
inline release(b) {
  OP(assert(kind[b] == LIVE && H(b, me) && believes[me] == b + 1); believes[me] = 0; H(b, me) = 0);
  try_free(b)
}

/* An entry more, or less, names the block. Its holder keeps it alive until the bump. */
inline enter(b) {
  OP(assert(kind[b] == LIVE && H(b, me)); set = H(b, T); H(b, T) = 1);
#ifndef BUG_ENTER_NO_BUMP       /* a release that read IN TRANSIT before frees the block when the putter lets go */
  if :: !set -> bump(b) :: else fi;
#endif
  set = 0;
  OP(count[b]++)
}
inline exit(b) {
#ifdef BUG_EXIT_CLEARS_ALWAYS   /* another entry names the block */
  OP(count[b]--; set = 1);
#else
  OP(count[b]--; set = (count[b] == 0));
#endif
  if :: set -> OP(H(b, T) = 0) :: else fi;
  set = 0;
#ifndef BUG_EXIT_NO_TRY_FREE    /* it was the last bit */
  try_free(b)
#endif
}

/* Writes the entry of position x. It does not count yet. */
inline write_entry(x, b) {
#ifdef NUMBER_FIRST             /* nobody looks for it before Head says so */
  OP(num[(x) % ENTRIES] = 0);
  OP(num[(x) % ENTRIES] = (x) + 1);
  OP(arr[(x) % ENTRIES] = HANDLE(b));
  OP(att[(x) % ENTRIES] = content[b])
#else
# ifndef BUG_NO_ZERO            /* who reads without the lock finds the number of the last entry, and half of the next one */
  OP(num[(x) % ENTRIES] = 0);
# endif
  OP(arr[(x) % ENTRIES] = HANDLE(b));
  OP(att[(x) % ENTRIES] = content[b]);
  OP(num[(x) % ENTRIES] = (x) + 1)
#endif
}

/* The ring is me's, BUSY: its entries go, its flag, itself. Under the lock. Without the flag it is none, and has no entries. */
inline end_ring() {
#ifndef BUG_NO_DRAIN            /* what is in it is in transit for ever */
  OP(t = (rflag -> tail : head));
# ifdef FLAG_BEFORE_DRAIN
  OP(rflag = 0);
# endif
# ifndef BUG_DRAIN_BEFORE_TAIL  /* an entry counts, and its block is gone */
  OP(tail = head);
# endif
  do
  :: t != head ->
     c = BLOCK(arr[t % ENTRIES]);
     exit(c);
     c = 0; t++
  :: else -> break
  od;
# ifdef BUG_DRAIN_BEFORE_TAIL
  OP(tail = head);
# endif
  t = 0;
#endif
#ifdef BUG_FREE_BEFORE_FLAG     /* who allocates the block next has a ring of garbage */
  OP(rkind = FREE; rowner = 0);
  OP(rflag = 0)
#else
# ifndef FLAG_BEFORE_DRAIN
  OP(rflag = 0);
# endif
  OP(rkind = FREE; rowner = 0)
#endif
}

#define RING_HELD (rhold[0] || rhold[1] || rhold[3] || rhold[4])
inline leave_ring() {
  OP(assert(rkind == LIVE); rhold[me] = 0; ok = !RING_HELD; if :: ok -> rkind = BUSY; rowner = me :: else fi);
  if
  :: ok -> ok = 0; lock(); end_ring(); unlock()
  :: else
  fi
}

#define TODO(p)  (dead[p] && !swept[p])
#define TODO_ANY (TODO(0) || TODO(1) || TODO(3) || TODO(4))
#define ALL_OVER (over[0] && over[1] && over[3] && over[4])

/* Of the dead v, with the lock: bits and blocks, then the ring, if it was the last holder's or is his whom death met in its end. */
inline sweep_blocks(v) {
  c = 0;
  do
  :: c < BLOCKS ->
     OP(H(c, v) = 0);
     try_free(c);
     OP(if :: kind[c] == BUSY && owner[c] == v -> gen[c]++; TO(c, FREE, 0) :: else fi);
     c++
  :: else -> break
  od;
  c = 0;
  OP(rhold[v] = 0;
     ok = (rkind == LIVE && !RING_HELD || rkind == BUSY && rowner == v);
     if :: ok -> rkind = BUSY; rowner = me :: else fi);
#ifndef BUG_SWEEP_NO_DRAIN
  if :: ok -> ok = 0; end_ring() :: else fi
#else
  if :: ok -> ok = 0; OP(rflag = 0); OP(rkind = FREE; rowner = 0) :: else fi
#endif
}

#define GONE(b)  (GETTABLE(b) && !H(b, 0) && !H(b, 1) && !H(b, 2) && !H(b, 3) && !H(b, 4) && count[b] == 0)
#if BLOCKS == 3
#define ALL_GONE (GONE(0) && GONE(1) && GONE(2))
#elif BLOCKS == 2
#define ALL_GONE (GONE(0) && GONE(1))
#else
#define ALL_GONE GONE(0)
#endif
#define NOTHING_LEFT (lck == 0 && rkind == FREE && !rflag && ALL_GONE)
