/* seal.pml: a block is made immutable.
 *
 * SEALED is a flag in the state word of a LIVE block. Who retains a sealed block gets it read-only. To seal, the caller
 * must be the only holder (the holder set is its own bit, the local count is 1): load the state, scan the holder set, set
 * the flag by CAS of exactly the word that was loaded.
 *
 * The claim. Nobody believes that he may write a block while another believes that it does not change any more.
 *
 * Why it holds. A retainer has set its bit before it bumps. If it bumps before the sealer loads the state, the scan sees
 * the bit. If it bumps after that and before the CAS, the CAS fails. If it bumps after the CAS, the word that it bumps, and
 * from which it must take its permission, has the flag. Bits of stale retainers may make a seal fail that could have
 * succeeded; the caller may try again.
 *
 * Process 0 holds the block writable, and has two threads: S seals, L retains locally. Processes 1 and 2 retain the
 * handle, and whoever of them may write tries to seal, too, when SEALERS is 1. All release. A sweeper follows.
 *
 * With WAS_PRIVATE S releases the block, allocates it again, and shares and seals it by one store: own bit, LIVE sealed, then the handle.
 * Nobody is asked for his bit, since nobody has the handle: process 1 comes with the old one, process 2 with the new one. L has nothing to do.
 * With NO_L there is none otherwise.
 */
#ifndef SEALERS
#define SEALERS 1
#endif
#ifndef TRIES
#define TRIES 2                           /* a refused sealer may try again */
#endif

#define NP 3                              /* processes; L, the second thread of process 0, believes under number 3 */

#define LAST_WORDS writes[me] = 0; reads[me] = 0; over[me] = 1
#include "step.h"

byte kind = LIVE, owner = 0, epoch = 0;   /* truth: the state word, with: */
bit  sealed = 0;
#ifdef WAS_PRIVATE
byte gen = 1, given = 0;                  /* truth: the generation; the one whose handle was given out */
#define END_GENERATION gen++
#else
#define END_GENERATION skip
#endif
bit  hold[NP];
byte count = 1;                           /* process 0's record; held is count > 0 here, since nothing is PRIVATE */
bit  stripe = 0;

bit  dead[NP + 1], over[NP + 1];
bit  writes[NP + 1], reads[NP + 1];       /* ghosts: believes that he may write; believes that it is immutable */

/* Two beliefs contradict each other if they are not the same one's. */
#define OTHERS_WRITE(p) ((p != 0 && writes[0]) || (p != 1 && writes[1]) || (p != 2 && writes[2]) || (p != 3 && writes[3]))
#define OTHERS_READ(p)  ((p != 0 && reads[0]) || (p != 1 && reads[1]) || (p != 2 && reads[2]) || (p != 3 && reads[3]))
#define NOBODY          (!OTHERS_WRITE(9) && !OTHERS_READ(9))

inline may_write(p)  { assert(!OTHERS_READ(p)); writes[p] = 1 }
inline may_read(p)   { assert(!OTHERS_WRITE(p)); writes[p] = 0; reads[p] = 1 }
inline permit(p, s)  { if :: s -> may_read(p) :: else -> may_write(p) fi }

/* As in hold.pml. A word that is not LIVE has no flag: the next array in the block starts writable. */
inline try_free(p) {
  do
  :: OP(k = kind; e = epoch);
     if :: k != LIVE -> break :: else fi;
     i = 0; set = 0;
     do :: i < NP && !set -> OP(set = hold[i]; i++) :: else -> break od;
     if :: set -> break :: else fi;
     OP(if :: epoch == e -> assert(NOBODY); TO(BUSY, p); sealed = 0; ok = 1 :: else -> ok = 0 fi);
     if :: ok -> OP(END_GENERATION; TO(CACHED, p)); break :: else fi
  od;
  k = 0; e = 0; i = 0; set = 0; ok = 0
}

#if defined(WAS_PRIVATE) && !defined(BUG_NO_GENERATION)
#define STALE (gen != h)
#else                           /* who comes late takes another array for his own */
#define STALE false
#endif

/* The bump keeps the flag, and the permission is that of the word which was bumped. */
inline retain() {
  ok = 0;
#ifdef BUG_FLAG_BEFORE_LOOP     /* looks at the flag once, then bumps whatever is there */
  OP(s = sealed);
#endif
  do
  ::
#ifdef BUG_FLAG_BEFORE_LOOP
     OP(k = kind; e = epoch);
#else
     OP(k = kind; e = epoch; s = sealed);
#endif
     if :: k != LIVE -> break :: else fi;
#ifdef WAS_PRIVATE
     OP(set = STALE);
     if :: set -> set = 0; break :: else fi;
#endif
     OP(hold[me] = 1);
#ifdef BUG_RETAIN_NO_BUMP       /* a seal that has scanned already does not learn of the new writer */
     OP(if :: epoch == e -> ok = 1; permit(me, s) :: else fi);
#else
# ifdef BUG_BUMP_DROPS_SEAL     /* the next retainer may write what the others take for immutable */
     OP(if :: epoch == e -> TO(LIVE, 0); sealed = 0; ok = 1; permit(me, s) :: else fi);
# else
     OP(if :: epoch == e -> TO(LIVE, 0); ok = 1; permit(me, s) :: else fi);
# endif
#endif
     if :: ok -> break :: else fi
  od;
  k = 0; e = 0
}

/* One attempt. The caller holds the block and may write, so the word is LIVE and not sealed. */
inline seal() {
  ok = 0;
  OP(k = kind; e = epoch; s = sealed; assert(k == LIVE && !s));
#ifdef BUG_SEAL_THEN_SCAN       /* immutable for an instant, while somebody writes: whoever comes in between believes it */
  OP(if :: epoch == e -> TO(LIVE, 0); sealed = 1; e = epoch; ok = 1 :: else fi);
#endif
  i = 0; set = 0;
  do :: i < NP && !set -> OP(set = (i != me && hold[i]); i++) :: else -> break od;
#ifdef BUG_SEAL_THEN_SCAN
  if
  :: ok && set -> OP(if :: epoch == e -> TO(LIVE, 0); sealed = 0 :: else fi); ok = 0
  :: ok && !set -> OP(may_read(me))
  :: else
  fi;
#else
# ifdef BUG_SEAL_NO_SCAN        /* the other holders wrote all the time */
  set = 0;
# endif
  if
  :: set
# ifdef BUG_SEAL_BY_STORE       /* a retainer that bumped since the scan goes unnoticed */
  :: !set -> OP(TO(LIVE, 0); sealed = 1; may_read(me); ok = 1)
# else
  :: !set -> OP(if :: epoch == e -> TO(LIVE, 0); sealed = 1; may_read(me); ok = 1 :: else fi)
# endif
  fi;
#endif
  k = 0; e = 0; i = 0; set = 0
}

#ifdef WAS_PRIVATE
/* The bits of who is late are no reason to refuse: he finds another generation. */
inline seal_private() {
  OP_WHEN(kind == CACHED, TO(PRIVATE, 0); count = 1; may_write(0));
#ifdef BUG_SEALED_BEFORE_BIT    /* a late one that clears its bit finds a LIVE block without holders, and frees it */
  OP(assert(kind == PRIVATE && owner == 0); TO(LIVE, 0); sealed = 1; may_read(0));
  OP(hold[0] = 1);
  OP(given = gen)
#elif defined(BUG_SEAL_AFTER_HANDLE) /* who got the handle may write, and nobody asked him */
  OP(hold[0] = 1);
  OP(assert(kind == PRIVATE && owner == 0); TO(LIVE, 0));
  OP(given = gen);
  OP(TO(LIVE, 0); sealed = 1; may_read(0))
#else
  OP(hold[0] = 1);
  OP(assert(kind == PRIVATE && owner == 0); TO(LIVE, 0); sealed = 1; may_read(0));
  OP(given = gen)
#endif
}
#endif

inline lock_stripe()   { OP_WHEN(!stripe, stripe = 1) }
inline unlock_stripe() { OP(assert(stripe); stripe = 0) }

inline release_local() {
  lock_stripe();
  OP(assert(kind == LIVE && hold[0] && count > 0); writes[me] = 0; reads[me] = 0; count--; last = (count == 0));
  if :: last -> OP(hold[0] = 0); try_free(0) :: else fi;
  unlock_stripe();
  last = 0
}

/* The sealing thread of process 0. The local count must be 1, and the stripe held until the flag is set: otherwise the
 * other writer is a thread of the very same process, which no bit tells of. */
proctype S(byte me) {
  byte i, k, e, tries = TRIES; bit s, set, ok, last, mortal = 0;
#ifdef WAS_PRIVATE
  tries = 0;
  release_local();
  if
  :: seal_private(); release_local()
  :: true                       /* or another one may have left it BUSY, and have died */
  fi;
#else
  do
  :: tries > 0 && !ok ->
     tries--;
     lock_stripe();
     OP(last = (count == 1));
#ifdef BUG_COUNT_OUTSIDE        /* the count is stale when the flag is set */
     unlock_stripe();
#endif
#ifdef BUG_SEAL_NO_COUNT        /* another thread has a writable view */
     last = 1;
#endif
     if :: last -> seal() :: else fi;
     last = 0; s = 0;
#ifndef BUG_COUNT_OUTSIDE
     unlock_stripe()
#endif
  :: else -> break
  od;
  ok = 0;
  release_local();
#endif
  over[me] = 1;
died:
  skip
}

/* Another thread of process 0: a local retain touches no bit, and takes its permission from the state word, within the
 * stripe. */
proctype L(byte me) {
  byte i, k, e; bit s, set, ok, last, mortal = 0;
  lock_stripe();
  OP(ok = (count > 0));
  if :: ok -> OP(count++); OP(s = sealed; permit(me, s)) :: else fi;
  unlock_stripe();
  s = 0;
  if :: ok -> ok = 0; release_local() :: else fi;
  over[me] = 1;
died:
  skip
}

proctype Process(byte me) {
  byte i, k, e, tries = TRIES; bit s, set, ok, mortal = 1;
#ifdef WAS_PRIVATE
  byte h = 1;
  if :: me == 2 -> OP_WHEN(given || over[0], h = given) :: else fi;
#endif
  retain();
  if
  :: ok ->
#ifdef WAS_PRIVATE
     OP(assert(kind == LIVE && gen == h && s == (h == given)));
#endif
     if
     :: SEALERS == 1 && !s -> seal()
     :: true
     fi;
     s = 0; ok = 0;
     OP(assert(kind == LIVE && hold[me]); writes[me] = 0; reads[me] = 0; hold[me] = 0)
  :: else ->
     s = 0;
     OP(hold[me] = 0)
  fi;
  try_free(me);
  over[me] = 1;
died:
  skip
}

/* The bits of the dead go, and nothing of the flag: what was sealed stays sealed for those who hold it. */
proctype Sweeper(byte me) {
  byte i, k, e; bit set, ok, mortal = 0, did[NP];
  do
  :: dead[1] && !did[1] -> did[1] = 1; OP(hold[1] = 0); try_free(me)
  :: dead[2] && !did[2] -> did[2] = 1; OP(hold[2] = 0); try_free(me)
  :: over[0] && over[1] && over[2] && over[3] && (dead[1] -> did[1] : 1) && (dead[2] -> did[2] : 1) -> break
  od;
  if
  :: kind == BUSY -> assert(dead[owner]); TO(FREE, 0) /* the winner of a try-free died: hold.pml */
  :: else
  fi;
  assert(kind == CACHED || kind == FREE);
  assert(!sealed && !hold[0] && !hold[1] && !hold[2] && count == 0 && NOBODY);
died:
  skip
}

init {
  atomic { hold[0] = 1; writes[0] = 1; run S(0); run Process(1); run Process(2); run Sweeper(4);
#if defined(WAS_PRIVATE) || defined(NO_L)
    over[3] = 1
#else
    run L(3)
#endif
  }
}
