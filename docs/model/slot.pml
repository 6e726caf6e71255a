/* slot.pml: a place in the process table, its reuse, and the segment lock of a dead owner.
 *
 * A slot has a word {phase, incarnation} and a byte that the kernel locks: exclusively, and dropped by death. Records name
 * slot and incarnation.
 *
 *   Claim:  phase FREE? take the byte; still FREE? store {CLAIMED, incarnation + 1}. Leave: let go of everything, store
 *           FREE, and only then unlock the byte.
 *   Sweep:  phase not FREE? take the byte, which only works if the owner is dead and nobody else sweeps; still not FREE?
 *           store {SWEEPING, incarnation + 1}, take the segment lock, clear what the dead one held, store FREE, unlock the
 *           byte. A sweeper that dies leaves a slot that is not FREE and whose byte is: the next one begins again.
 *   Alive:  an owner is alive only if its incarnation is current, the phase is not FREE, and its byte is held.
 *   Lock:   the word is slot + incarnation, 0 when free. A dead owner's is taken by CAS of exactly the word that was judged.
 *
 * The claim. A new incarnation finds nothing of the old one; nobody clears its holds while it lives; nobody takes the lock
 * from a living owner; and nothing stays locked or unswept.
 *
 * One slot, slot 0, is fought for by CLAIMERS processes that claim it, hold a block, lock, unlock, and leave or die. Two
 * keepers sweep it under the lock; they have slots of their own that are not reused: Q1 may die, Q2 does not.
 * The kernel drops the byte some time after the last instruction: until then the process looks as if it were stopped.
 */
#ifndef CLAIMERS
#define CLAIMERS 2
#endif
#define Q1 CLAIMERS
#define Q2 (CLAIMERS + 1)
#define NP (CLAIMERS + 2)

#define S_FREE     0
#define S_CLAIMED  1
#define S_SWEEPING 2
#define NOT_LOCKED 0
#define KEEPER_WORD 100                   /* 100 + me: the lock word of a keeper; 1 + incarnation: of slot 0's owner */
#define NOBODY 99

bit  dead[NP], over[NP];
/* The kernel drops the byte of the dead. A lock word stays. */
#define LAST_WORDS byte_of = (byte_of == me -> NOBODY : byte_of); inside = (inside == me -> NOBODY : inside); \
                   holder = (holder == me -> NOBODY : holder); over[me] = 1
#include "step.h"

byte phase = S_FREE, inc = 0;             /* truth: the slot's word, read and stored together */
byte byte_of = NOBODY;                    /* the kernel: who holds the slot's byte */
bit  hold = 0;                            /* truth: slot 0's bit in some holder set */
byte lck = NOT_LOCKED;                    /* truth: the segment lock */

byte holder = NOBODY;                     /* ghost: the process that means the bit */
byte inside = NOBODY;                     /* ghost: who is in the critical section */

inline store_slot(ph, n) { phase = ph; inc = n }

#ifdef BUG_LOCK_NO_INCARNATION  /* the word of the dead and the word of the slot's new owner look alike */
#define WORD(n) 1
#else
#define WORD(n) (1 + (n))
#endif

/* What a waiter will find when it asks: it need not ask before. */
#define LOOKS_GONE (phase == S_FREE || WORD(inc) != lck || byte_of == NOBODY)

/* Takes the lock, or a dead owner's. Three loads and an exchange: whatever happens in between, the exchange is of the exact
 * word, and that word's owner was dead at some time, hence is now. Spinning is left out: who finds a living owner waits
 * until the word changes or its owner is gone. */
inline lock(word) {
  ok = 0;
  do
  :: OP_WHEN(lck == NOT_LOCKED || lck >= KEEPER_WORD || LOOKS_GONE, w = lck);
     if
     :: w == NOT_LOCKED ->
        OP(if :: lck == w -> lck = word; ok = 1 :: else fi)
     :: w >= KEEPER_WORD ->     /* a keeper's slot: its byte tells all, since it is never used again */
        OP_WHEN(lck != w || dead[w - KEEPER_WORD],
           if :: lck == w && dead[w - KEEPER_WORD] -> lck = word; ok = 1 :: else fi)
     :: else ->
        OP(n = inc; u = (phase == S_FREE || WORD(n) != w));   /* not current: dead */
        if
        :: u
        :: else -> OP(u = (byte_of == NOBODY))                /* current: alive if the byte is held */
        fi;
        if
        :: u ->
#ifdef BUG_TAKEOVER_BY_STORE    /* two see the same death, and both have the lock */
           OP(lck = word; ok = 1)
#else
           OP(if :: lck == w -> lck = word; ok = 1 :: else fi)
#endif
        :: else
        fi;
        n = 0; u = 0
     fi;
     w = 0;
     if :: ok -> break :: else fi
  od;
  ok = 0;
  OP(assert(inside == NOBODY); inside = me)    /* nobody living is inside */
}
inline unlock(word) {
  OP(assert(inside == me && lck == word); inside = NOBODY; lck = NOT_LOCKED)
}

proctype Claimer(byte me) {
  byte w, n, mine; bit u, ok, mortal = 1;
  OP(u = (phase == S_FREE); n = inc);
  if
  :: u ->
     u = 0;
     OP(if :: byte_of == NOBODY -> byte_of = me; ok = 1 :: else fi);
     if
     :: ok ->
#ifndef BUG_CLAIM_NO_RECHECK    /* between look and lock somebody may have come and died */
        OP(u = (phase == S_FREE); n = inc);
#else
        u = 1;
#endif
        ok = u; u = 0;
        if :: !ok -> OP(byte_of = NOBODY) :: else fi
     :: else
     fi
  :: else
  fi;
  if
  :: ok ->
     ok = 0;
     mine = n + 1; n = 0;
     OP(assert(!hold && byte_of == me); store_slot(S_CLAIMED, mine));
     OP(assert(!hold); hold = 1; holder = me);
     lock(WORD(mine));
     OP(assert(hold && holder == me && byte_of == me));
     unlock(WORD(mine));
     OP(assert(hold && holder == me); hold = 0; holder = NOBODY);
#ifdef BUG_FREE_AFTER_UNLOCK    /* the slot is somebody else's by then, or it is swept under its new owner */
     OP(byte_of = NOBODY);
     OP(store_slot(S_FREE, mine))
#else
     OP(assert(phase == S_CLAIMED && inc == mine); store_slot(S_FREE, mine));
     OP(byte_of = NOBODY)
#endif
  :: else
  fi;
  over[me] = 1;
died:
  skip
}

#define UNSWEPT (phase != S_FREE && byte_of == NOBODY)

inline sweep() {
  OP(u = (phase != S_FREE));
#ifdef BUG_SWEEP_NO_BYTE        /* judged dead; swept by another meanwhile, claimed anew, and then swept alive */
  if :: u -> OP(u = (byte_of == NOBODY)); ok = u :: else fi;
#else
  if :: u -> u = 0; OP(if :: byte_of == NOBODY -> byte_of = me; ok = 1 :: else fi) :: else fi;
#endif
  u = 0;
  if
  :: ok ->
     ok = 0;
     OP(u = (phase != S_FREE); n = inc);
     if
     :: u ->
        u = 0;
#ifndef BUG_SWEEP_SAME_INCARNATION /* holding the byte, the sweeper makes the dead lock owner look alive, and waits for it */
        n = n + 1;
#endif
        OP(store_slot(S_SWEEPING, n));
        mine = n; n = 0;
        lock(KEEPER_WORD + me);
        OP(assert(holder == NOBODY); hold = 0);
        unlock(KEEPER_WORD + me);
#ifdef BUG_SWEEP_FREE_AFTER_UNLOCK /* meanwhile swept by another and claimed: a living owner's slot becomes FREE */
        OP(byte_of = (byte_of == me -> NOBODY : byte_of));
        OP(store_slot(S_FREE, mine))
#else
        OP(store_slot(S_FREE, mine));
        OP(byte_of = (byte_of == me -> NOBODY : byte_of))
#endif
        ;
        mine = 0
     :: else -> n = 0; OP(byte_of = (byte_of == me -> NOBODY : byte_of))
     fi
  :: else
  fi
}

proctype Keeper(byte me; bit mortal) {
  byte w, n, mine; bit u, ok, all;
  do
  :: UNSWEPT -> sweep()
  :: me == Q1 ->                /* sweeps no more; it may still want the lock for something else */
     if :: true :: lock(KEEPER_WORD + me); unlock(KEEPER_WORD + me) fi;
     break
  :: me == Q2 && over[0] && over[1] && over[CLAIMERS - 1] && over[Q1] && !UNSWEPT -> break
  od;
  if
  :: me == Q2 ->                /* nothing stays behind, and whoever wants the lock gets it */
     lock(KEEPER_WORD + me);
     unlock(KEEPER_WORD + me);
     assert(phase == S_FREE && byte_of == NOBODY && !hold && holder == NOBODY && inside == NOBODY)
  :: else
  fi;
  over[me] = 1;
died:
  skip
}

/* Nothing can move: then all must be over. A lock that is never given up shows here. */
proctype End() { timeout -> assert(over[Q2]) }

init {
  atomic {
    run End();
    run Claimer(0); run Claimer(1);
#if CLAIMERS == 3
    run Claimer(2);
#endif
    run Keeper(Q1, 1); run Keeper(Q2, 0)
  }
}
