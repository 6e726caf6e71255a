/* fork.pml: fork without exec. A process becomes two, and both hold what the one held.
 *
 * The child needs a slot, and a bit for every block that it inherits, before its first instruction. So the parent does
 * all of it before the fork, with its threads outside verbs and its stripes held:
 *
 *   Reserve: a new open file description of the segment; on it the byte of a FREE slot, still FREE? store {CLAIMED,
 *            incarnation + 1}.
 *   Hand on: for every block that the parent holds: if PRIVATE, share it; set the child's bit; bump.
 *   Fork:    the byte lives as long as the description, which both have a descriptor of now. The child pins it in its
 *            address space, the parent closes its descriptor: from then on the byte lives as long as the child.
 *
 * The claim. While a living process has a local reference, nobody takes the block away: parent, child and others may
 * release, retain, sweep and die in any order. No living process is swept. When all have released, no bit is left and the
 * block is reclaimable, although parent and child live on.
 *
 * The child's bit is before the parent's in the order of the scan: a reference that moves from the parent to the child
 * moves to where the scan has been already. PARENT_FIRST is the other order.
 *
 * Slots are C, P and S. Processes:
 *   C  the child: releases what it inherited; with RETAINS it then retains the handle that was passed on, and releases
 *   P  the parent: forks, releases
 *   T  another thread of the parent: with THREAD=1 releases a reference, with THREAD=2 retains, with 3 either, 0 nobody
 *   S  a stranger, with STRANGER: holds and releases; or retains what was passed on; or is in the middle of a retain of
 *      an older array, and will set its bit and fail. It does not die: that is the matter of hold.pml
 *   D  the owner of the child's slot before, with PREDECESSOR: claims it, retains, releases, leaves
 *   Q1, Q2  sweep; Q1, with SWEEPERS=2, may die
 * The start: the block is PRIVATE to the parent, LIVE and held by it (and by S), or, with S and T, LIVE and held by
 * S alone. With CACHE it is
 * in the parent's cache, and parent and child allocate from their lists.
 */
#ifndef THREAD
#define THREAD 0
#endif
#ifndef SWEEPERS
#define SWEEPERS 1
#endif

#ifndef MORTAL_C
#define MORTAL_C 1              /* the child may die */
#endif

#ifdef PARENT_FIRST
#define P 0
#define C 1
#else
#define C 0
#define P 1
#endif
#define S  2
#define NS 3                              /* slots with a bit in the holder set; the sweepers have two more */
#define D  3
#define Q1 4
#define Q2 5
#define NP 6
#define NONE 99

#define S_FREE     0
#define S_CLAIMED  1
#define S_SWEEPING 2

bit dead[NP], over[NP];                   /* ghosts: killed; at its end */
byte count[NP];                           /* local references, the processes' own records: who counts believes */
#define LAST_WORDS over[me] = 1; count[me] = 0
#include "step.h"

/* As in step.h; and a process dies with all its threads. */
#undef OP
#undef OP_WHEN
#define GONE           atomic { dead[me] -> goto died }
#define OP(...)        if :: d_step { !dead[me] -> __VA_ARGS__ } :: GONE :: DIE fi
#define OP_WHEN(g,...) if :: d_step { (g) && !dead[me] -> __VA_ARGS__ } :: GONE :: DIE fi

byte kind = LIVE, owner = 0, epoch = 1;   /* truth: the state word */
byte gen = 2;                             /* truth: the generation */
bit  hold[NS + 2];                        /* truth: the holder set; the sweepers never set theirs */
byte lck = 0;                             /* truth: the segment lock, 0 or process + 1 */
byte phase = S_FREE, inc = 0;             /* truth: the word of slot C */
byte byte_of = NONE;                      /* the kernel: the byte of slot C is held by D or by a sweeper */
bit  ref_p = 0, ref_c = 0;                /* the kernel: it is held on the new description, which P, C keep open */

byte passed = 0;                          /* the handle that was passed on last, 0 none */
bit  stripe = 0;                          /* the parent's stripe */
bit  listed = 0;                          /* the parent's cache list has the block */
byte array = 0, given = 0;                /* inherited by the child: the array; its incarnation */
bit  born = 0;                            /* there is a child */
bit  t_over = 0;                          /* ghost: the thread T is at its end */
bit  swept[NS + 1];                       /* ghost: done with by the sweepers; slot C has its phase for that */
#ifdef BUG_NO_SLOT_GOES_ON
bit  slotless = 0;                        /* the child uses the parent's slot */
#endif

#define NOBODY_BELIEVES (!count[C] && !count[P] && !count[S] && !count[D])
/* The kernel has closed the descriptors and mappings of the dead. */
#define BYTE_FREE       ((byte_of == NONE || dead[byte_of]) && !(ref_p && !dead[P]) && !(ref_c && !dead[C]))

#if defined PREDECESSOR || SWEEPERS == 2
inline lock()   { OP_WHEN(lck == 0 || dead[lck - 1], lck = me + 1) }
inline unlock() { OP(assert(lck == me + 1); lck = 0) }
#else                                     /* who would contend? */
inline lock()   { skip }
inline unlock() { skip }
#endif

/* Only the parent has threads, and a stripe that matters: it is taken with the first operation under it. */
#define STRIPE_FREE    (me != P || !stripe)
#define TAKE_STRIPE    stripe = (me == P -> 1 : stripe)
inline unlock_stripe() { if :: me == P -> OP(assert(stripe); stripe = 0) :: else fi }

/* As in hold.pml. s is the slot of the process. */
inline try_free() {
  do
  :: OP(k = kind; e = epoch);
     if :: k != LIVE -> break :: else fi;
     i = 0; held = 0;
     do :: i < NS && !held -> OP(held = hold[i]; i++) :: else -> break od;
     if :: held -> break :: else fi;
     OP(if :: epoch == e -> assert(NOBODY_BELIEVES); TO(BUSY, s); ok = 1 :: else -> ok = 0 fi);
     if
     :: ok -> OP(gen++); OP(TO(CACHED, s)); break
     :: else
     fi
  od;
  k = 0; e = 0; i = 0; held = 0; ok = 0
}

/* A reference that is not the last is only counted. */
inline release() {
  OP_WHEN(STRIPE_FREE,
     if
     :: count[me] == 1 -> count[me] = 0; last = 1; k = kind; TAKE_STRIPE
     :: count[me] > 1 -> count[me]--
     :: else                    /* the other thread did it */
     fi);
  if
  :: last ->
     last = 0;
     if
     :: k == PRIVATE -> k = 0; OP(gen++); OP(assert(NOBODY_BELIEVES); TO(CACHED, s))
     :: else -> k = 0; OP(hold[s] = 0); try_free()
     fi;
     unlock_stripe()
  :: else
  fi
}

/* As in hold.pml, under the stripe. What the process has already it only counts. */
inline retain(h) {
  OP_WHEN(STRIPE_FREE,
     if
     :: count[me] > 0 -> count[me]++; ok = 1
     :: else -> TAKE_STRIPE
     fi);
  if
  :: ok -> ok = 0
  :: else ->
     do
     :: OP(k = kind; e = epoch; assert(kind == LIVE || gen != h || NOBODY_BELIEVES));
        if :: k != LIVE -> break :: else fi;
        OP(g = gen);
        if :: g != h -> break :: else fi;
        OP(hold[s] = 1);
        OP(if :: epoch == e -> TO(LIVE, 0); ok = 1; count[me] = 1 :: else fi);
        if :: ok -> break :: else fi
     od;
     k = 0; e = 0; g = 0;
     if
     :: ok -> ok = 0; OP(assert(kind == LIVE && gen == h))     /* looks at the array */
     :: else -> OP(hold[s] = 0); try_free()
     fi;
     unlock_stripe()
  fi
}

/* Takes the block from the own list, by CAS: a thief, or the other half of a fork, may be faster. */
inline allocate() {
  OP(k = kind; e = epoch);
  if
  :: k == CACHED ->
#ifdef BUG_TAKE_BY_STORE        /* "my own list": parent and child have the same block */
     OP(TO(BUSY, s); ok = 1)
#else
     OP(if :: epoch == e -> assert(NOBODY_BELIEVES); TO(BUSY, s); ok = 1 :: else fi)
#endif
  :: else
  fi;
  k = 0; e = 0;
  if :: ok -> ok = 0; OP(assert(kind == BUSY && owner == s); TO(PRIVATE, s); count[me] = 1) :: else fi
}

inline bump() {
#ifndef BUG_NO_BUMP             /* a scan that read the child's bit before it was set frees the block */
  ok = 0;
  do
  :: OP(k = kind; e = epoch);
     if :: k != LIVE -> break :: else fi;
     OP(if :: epoch == e -> TO(LIVE, 0); ok = 1 :: else fi);
     if :: ok -> break :: else fi
  od;
#endif
  k = 0; e = 0; ok = 0
}

inline set_childs_bit() {
#ifndef BUG_BITS_BY_CHILD       /* the parent releases before the child has set it */
  OP(hold[C] = 1);
  bump()
#else
  skip
#endif
}

/* The block, if the parent holds it: shared, then the child's bit, then the bump. The parent's reference keeps it LIVE
 * meanwhile; the bump makes every scan look again that read the child's bit before. BITS_BEFORE_LIVE shows that a PRIVATE block
 * may get both bits before it is LIVE: a scan that loads LIVE reads both. */
inline hand_on() {
  if
  :: count[P] > 0 ->
     OP(k = kind);
     if
     :: k == PRIVATE ->
#ifndef BUG_PRIVATE_STAYS       /* PRIVATE has one owner: his release, or his sweep, takes the block from the child */
# ifdef BUG_LIVE_BEFORE_BIT     /* a failing retain finds a LIVE block without holders, and frees it */
        OP(TO(LIVE, 0));
        OP(hold[P] = 1)
# else
        OP(hold[P] = 1);
#  ifdef BITS_BEFORE_LIVE
        OP(hold[C] = 1);
#  endif
        OP(TO(LIVE, 0))
# endif
#else
        skip
#endif
     :: else
     fi;
#ifdef BITS_BEFORE_LIVE
     if :: k == PRIVATE -> k = 0 :: else -> set_childs_bit() fi
#else
     k = 0;
     set_childs_bit()
#endif
  :: else
  fi
}

/* A slot for the child, as anybody claims one, but on a description that no mapping pins yet. It must be FREE: to sweep a
 * dead one's takes the segment lock, which nobody wants who holds a stripe. ok says whether there is one. */
inline reserve() {
  OP(ok = (phase == S_FREE); n = inc);
#ifdef BUG_BITS_BEFORE_CLAIM    /* another one claims the slot and leaves, and its sweep clears the bits */
  if :: ok -> hand_on(); ok = 1 :: else fi;
#endif
#ifndef BUG_BYTE_BY_CHILD       /* CLAIMED, and nobody has the byte: a sweeper takes the child for dead */
  if :: ok -> OP(if :: BYTE_FREE -> ref_p = 1 :: else -> ok = 0 fi) :: else fi;
# ifndef BUG_CLAIM_NO_RECHECK   /* claimed, left by a death in between: the child inherits a bit of somebody else's */
  if
  :: ok ->
     OP(ok = (phase == S_FREE); n = inc);
     if :: !ok -> OP(ref_p = 0) :: else fi
  :: else
  fi;
# endif
#endif
  if
  :: ok ->
#ifdef BUG_BITS_BEFORE_WORD     /* the parent dies in between: the slot is FREE, and no sweeper finds the bit */
     hand_on();
     ok = 1;
#endif
#ifndef BUG_WORD_BY_CHILD       /* the same, for longer */
     OP(phase = S_CLAIMED; inc = n + 1);
#endif
     given = n + 1
  :: else
#ifdef BUG_BITS_BEFORE_CLAIM
     -> if :: count[P] > 0 -> OP(hold[C] = 0); try_free() :: else fi
#endif
  fi;
  n = 0
}

inline fork() {
#ifndef BUG_THREADS_RUN         /* what is counted at the fork is not what was handed on */
  OP_WHEN(!stripe, stripe = 1);
#endif
  if :: reserve() :: ok = 0 fi; /* there may be no slot */
  if
  :: ok ->
     ok = 0;
#if !defined BUG_BITS_BEFORE_CLAIM && !defined BUG_BITS_BEFORE_WORD
     hand_on();
#endif
#ifdef BUG_CLOSE_BEFORE_FORK    /* the byte drops before the child has its descriptor */
     OP(ref_p = 0);
#endif
     if                         /* the fork may fail: then the slot is a dead one's */
     :: OP(born = 1; count[C] = count[P]; array = gen;
#if !defined BUG_PARENTS_DESCRIPTION && !defined BUG_BYTE_BY_CHILD && !defined BUG_CLOSE_BEFORE_FORK
           ref_c = 1
#else
           skip
#endif
          )
     ::
#ifdef BUG_FAILED_STORES_FREE   /* "nobody had it": but its bits are set, and nobody sweeps what is FREE */
        OP(phase = S_FREE)
#else
        skip
#endif
     fi;
     /* The parent closes its descriptor. */
#if defined BUG_PARENT_UNLOCKS  /* an unlock is of the description, hence of the child, too */
     OP(ref_p = 0; ref_c = 0)
#elif defined BUG_PARENTS_DESCRIPTION || defined BUG_PARENT_KEEPS
     skip                       /* what the parent has pinned drops with the parent, not with the child */
#else
     OP(ref_p = 0)
#endif
  :: else ->                    /* no slot: the child has no mapping, and is refused everything */
#ifdef BUG_NO_SLOT_GOES_ON      /* two processes with one bit */
     OP(born = 1; slotless = 1; count[C] = count[P]; array = gen)
#else
     skip
#endif
  fi;
#ifndef BUG_THREADS_RUN
  unlock_stripe()
#endif
}

proctype Parent() {
  byte me = P, s = P, i, k, e, n; bit held, ok, last, mortal = 1;
  fork();
#ifdef CACHE
  if :: listed -> allocate() :: else fi;
#endif
  do
  :: OP_WHEN(t_over || count[P] > 0, ok = (count[P] > 0));
     if :: ok -> ok = 0; release() :: else -> break fi
  od;
  over[me] = 1;
died:
  skip
}

proctype Thread() {
  byte me = P, s = P, i, k, e, g, h; bit held, ok, last, mortal = 0;
  if
  :: THREAD & 1 -> release()
  :: THREAD & 2 -> OP(h = passed); if :: h != 0 -> retain(h) :: else fi
  :: THREAD == 0
  fi;
  t_over = 1;
died:
  skip
}

proctype Child() {
  byte me = C, s = C, i, k, e, g, h; bit held, ok, last, again, mortal = MORTAL_C;
  if
  :: born
  :: !born && over[P] -> goto died
  fi;
#ifdef BUG_NO_SLOT_GOES_ON
  s = (slotless -> P : C);
#endif
#ifdef BUG_BYTE_BY_CHILD
  OP(ref_c = BYTE_FREE);
#endif
#ifdef BUG_WORD_BY_CHILD
  OP(phase = S_CLAIMED; inc = given);
#endif
  /* The child pins the description, and closes its descriptor. */
#ifdef BUG_NO_PIN               /* ... which was the last one */
  OP(ref_c = 0);
#endif
#ifdef BUG_BITS_BY_CHILD
  if :: count[C] > 0 -> OP(hold[C] = 1); bump() :: else fi;
#endif
  /* The inherited cache lists are dropped. KEEP_CACHE shows that this is tidiness: what is CACHED is taken by CAS. */
#ifdef KEEP_CACHE
  if :: listed -> allocate() :: else fi;
#endif
  again = 1;
  do
  :: OP(ok = (count[C] > 0); assert(!ok || !again || array == gen || listed));   /* looks at the array */
     if
     :: ok ->
        ok = 0;
        if
        :: again -> OP(passed = array)    /* the handle of what was PRIVATE is the child's to pass on, too */
        :: true
        fi;
        release()
#ifdef RETAINS
     :: !ok && again ->
        again = 0;
        OP(h = passed);
        if :: h != 0 -> retain(h) :: else fi;
        h = 0
     :: !ok && !again -> break
#else
     :: else -> break
#endif
     fi
  od;
  again = 0;
#ifndef BUG_NO_SLOT_GOES_ON
  OP(assert(phase == S_CLAIMED && inc == given && !hold[C]));  /* never swept, and nothing left behind */
#endif
  over[me] = 1;
died:
  skip
}

proctype Stranger() {
  byte me = S, s = S, i, k, e, g, h; bit held, ok, last, mortal = 0;
  if
  :: count[S] > 0
  :: count[S] == 0 ->
     OP(h = passed);
     if :: h != 0 -> retain(h) :: else fi;
     h = 0
  :: count[S] == 0 -> OP(hold[S] = 1); OP(hold[S] = 0); try_free()   /* the exchange between fails */
  fi;
  release();
  over[me] = 1;
died:
  skip
}

/* As in hold.pml. */
inline sweep(v) {
  OP(hold[v] = 0);
  try_free();
  OP(k = kind; e = epoch; g = owner);
  if
  :: g == v && (k == BUSY || k == PRIVATE) -> OP(gen++); OP(assert(NOBODY_BELIEVES); TO(FREE, 0))
  :: g == v && k == CACHED -> OP(if :: epoch == e -> TO(FREE, 0) :: else fi)
  :: else
  fi;
  k = 0; e = 0; g = 0
}

/* Claims and leaves as in slot.pml. */
proctype Predecessor() {
  byte me = D, s = C, i, k, e, g, h, n; bit held, ok, last, mortal = 1;
  OP(ok = (phase == S_FREE));
  if :: ok -> OP(if :: BYTE_FREE -> byte_of = me :: else -> ok = 0 fi) :: else fi;
  if
  :: ok ->
     OP(ok = (phase == S_FREE); n = inc);
     if :: !ok -> OP(byte_of = NONE) :: else fi
  :: else
  fi;
  if
  :: ok ->
     ok = 0;
     OP(assert(!hold[C]); phase = S_CLAIMED; inc = n + 1);
#ifdef CACHE
     allocate();
#else
     OP(h = passed);
     if :: h != 0 -> retain(h) :: true fi;
     h = 0;
#endif
     release();
     OP(phase = S_SWEEPING);
     lock();
     sweep(C);
     unlock();
     OP(phase = S_FREE);
     OP(byte_of = NONE)
  :: else
  fi;
  over[me] = 1;
died:
  skip
}

/* A slot is swept when its byte is not held: that of P and Q1 drops with the process. */
#ifdef BUG_PIN_INHERITED        /* without MADV_DONTFORK the child keeps the byte of its parent, and what that held */
#define TODO_P  (dead[P] && !swept[P] && !(born && !dead[C]))
#else
#define TODO_P  (dead[P] && !swept[P])
#endif
#define TODO_Q1 (dead[Q1] && !swept[NS])
#define TODO_C  (phase != S_FREE && BYTE_FREE)

proctype Sweeper(byte me; bit mortal) {
  byte s = NS + (me == Q2), v, i, k, e, g, n; bit held, ok;
  do
  :: TODO_P || TODO_Q1 || TODO_C ->
     if
     :: TODO_P  -> v = P;  ok = 1
     :: TODO_Q1 -> v = NS; ok = 1
     :: TODO_C  -> v = C;
        OP(if :: BYTE_FREE -> byte_of = me; ok = 1 :: else fi);
        if
        :: ok ->
           OP(ok = (phase != S_FREE); n = inc);
           if :: ok -> OP(phase = S_SWEEPING; inc = n + 1) :: else -> OP(byte_of = NONE) fi;
           n = 0
        :: else
        fi
     :: else                    /* another one did it */
     fi;
     if
     :: ok ->
        ok = 0;
        lock();
        sweep(v);
        OP(if :: v != C -> swept[v] = 1 :: else fi);
        unlock();
        if :: v == C -> OP(phase = S_FREE); OP(byte_of = NONE) :: else fi
     :: else
     fi;
     v = 0
  :: me == Q1 -> break
  :: me == Q2 && over[P] && (over[C] || !born) && over[S] && over[D] && over[Q1] &&
     !TODO_P && !TODO_Q1 && !TODO_C -> break
  od;
  if
  :: me == Q2 ->
     assert(!hold[C] && !hold[P] && !hold[S] && NOBODY_BELIEVES);
     assert(kind == FREE || kind == CACHED);
     if
     :: kind == FREE || owner == NS + 1
     :: kind == CACHED && owner == NS -> assert(!dead[Q1])
     :: kind == CACHED && owner == C -> assert(phase == S_CLAIMED)
     :: kind == CACHED && (owner == P || owner == S) -> assert(!dead[owner])
     fi;
     assert(phase == S_FREE || (phase == S_CLAIMED && born && !dead[C]))
  :: else -> over[me] = 1
  fi;
died:
  skip
}

init {
  atomic {
#ifdef CACHE
    kind = CACHED; owner = P; listed = 1;
#else
    if
# if THREAD != 2 || !defined STRANGER
    :: kind = PRIVATE; owner = P; count[P] = 1
    :: passed = gen; hold[P] = 1; count[P] = 1;
#  ifdef STRANGER
       if :: hold[S] = 1; count[S] = 1 :: true fi
#  endif
# endif
# if THREAD & 1
    :: passed = gen; hold[P] = 1; count[P] = 2
# endif
# if (THREAD & 2) && defined STRANGER
    :: passed = gen; hold[S] = 1; count[S] = 1
# endif
    fi;
#endif
    run Parent(); run Child(); run Thread(); run Sweeper(Q2, 0);
#ifdef STRANGER
    run Stranger();
#else
    over[S] = 1;
#endif
#ifdef PREDECESSOR
    run Predecessor();
#else
    over[D] = 1;
#endif
#if SWEEPERS == 2
    run Sweeper(Q1, 1)
#else
    over[Q1] = 1
#endif
  }
}
