/* boot.pml: who comes first after the machine was started anew, to a segment that was left clean.
 *
 * Deadlines count in the boot that the segment names. Whoever opens it in another one makes them count in this one before
 * anybody has a slot: a slot in use, in a segment of another boot, says that the segment is unclean, and it is refused.
 *
 *   Open:   boot ours? Claim. Otherwise take the boot's byte, exclusively; none to be had: start again. Still not ours?
 *           A slot in use whose owner is not alive: unclean. Give the open tickets a new deadline, store the boot, and
 *           unlock the byte. Claim.
 *
 * The claim. The segment, which was clean, is never refused, whoever dies; who has claimed finds deadlines of this boot,
 * and nobody changes them afterwards but by the rules of transfers.
 *
 * Two openers, who may die, and a third who does not. Each claims a slot of his own, and leaves again or dies in it; a dead
 * one's slot is swept by who claims next. The segment has one ticket.
 */
#define NP 3
#define OLD 0
#define NEW 1
#define NOBODY 99

bit dead[NP], over[NP];
/* The kernel drops the bytes of the dead. A slot's word stays. */
#define LAST_WORDS boot_byte = (boot_byte == me -> NOBODY : boot_byte); byte_held[me] = 0; over[me] = 1
#include "step.h"

bit  boot = OLD;                /* truth: the boot that the segment names */
bit  deadline = OLD;            /* truth: the boot that the ticket's deadline counts in */
bit  used[NP];                  /* truth: the slot is not FREE */
bit  byte_held[NP];             /* the kernel: the slot's byte */
byte boot_byte = NOBODY;        /* the kernel: who holds the boot's byte */
bit  given = 0;                 /* ghost: somebody who had claimed has given the ticket a deadline of his own */

#define DEAD(s) (used[s] && !byte_held[s])

/* Refused as unclean: must not be. */
inline judge() {
  OP(assert(!DEAD(0)));
  OP(assert(!DEAD(1)))
}

inline renew() {
#ifdef BUG_BOOT_BEFORE_DEADLINES        /* dying in between, deadlines of another boot count in this one */
  OP(boot = NEW);
  OP(assert(!given); deadline = NEW)
#else
  OP(assert(!given); deadline = NEW);
  OP(boot = NEW)
#endif
}

inline claim() {
  OP(byte_held[me] = 1);
  OP(used[me] = 1)
}

proctype Opener(byte me; bit mortal) {
  bit ours, got;
#ifdef BUG_CLAIM_FIRST                  /* dying now, it makes the segment unclean */
  claim();
#endif
  do
  :: OP(ours = (boot == NEW));
     if :: ours -> break :: else fi;
#ifndef BUG_NO_BYTE                     /* one renews what another has already used */
     OP_WHEN(boot_byte == NOBODY || boot == NEW, if :: boot_byte == NOBODY -> boot_byte = me; got = 1 :: else fi);
     if :: !got -> skip :: else ->
#ifndef BUG_NO_RECHECK                  /* somebody was here meanwhile, claimed, and died */
        OP(ours = (boot == NEW));
#endif
        if :: !ours -> judge(); renew() :: else fi;
        OP(boot_byte = NOBODY);
        break
     fi
#else
     judge(); renew(); break
#endif
  od;
#ifndef BUG_CLAIM_FIRST
  claim();
#endif
  ours = 0; got = 0;
  OP(assert(boot == NEW && deadline == NEW));
  if
  :: OP(given = 1)              /* adopts the ticket, and sends it on */
  :: true
  fi;
  if :: DEAD(0) -> OP(used[0] = 0) :: else fi;
  if :: DEAD(1) -> OP(used[1] = 0) :: else fi;
  OP(used[me] = 0);
  OP(byte_held[me] = 0);
  over[me] = 1;
died:
  skip
}

/* Nothing can move: then all must be over. */
proctype End() { timeout -> assert(over[0] && over[1] && over[2] && boot == NEW) }

init { atomic { run End(); run Opener(0, 1); run Opener(1, 1); run Opener(2, 0) } }
