/* thread.pml: the threads of one process on one block. Local records, stripes, and stale retains within a process.
 *
 * The holder set has one bit for a whole process. How many references the process has is its own business: a record
 * {count, held} per descriptor in private memory, guarded by a stripe (a mutex that several descriptors share).
 *
 *   count  local references
 *   held   this process's bit is set on purpose: the block is LIVE and ours. A PRIVATE block has count > 0 and held = 0.
 *
 * The claim. What a thread believes to hold is there, and the process's bit is set for it once the block is shared; the
 * threads never undo each other's bit.
 *
 * Why stripes. A retain that fails clears the bit that it set, and this bit may be, by now, the one that another thread of
 * the same process set for a new array in the same block. So the steps that set or clear the process's bit must not
 * overlap: retain's whole attempt, share from set-bit to held = 1, release's 1-to-0 step. And the failed retain clears only if
 * nobody in the process means the bit: if not held.
 *
 * Process 0 has two threads, process 1 is a stranger with one. A process dies with all its threads, which is the matter of
 * hold.pml: here nobody dies.
 *   T1  ROUNDS times: allocate, then give back, or share, pass the handle on, release
 *   T2  RETAINS times: retain the first handle (of an array of process 1, soon stale) or the one passed on last, release
 *   O   holds the first array and releases it; then it allocates, shares, passes on, releases once
 */
#ifndef ROUNDS
#define ROUNDS 2
#endif
#ifndef RETAINS
#define RETAINS 1
#endif
#define KILLS 0

bit dead[3];                              /* step.h wants it */
#define LAST_WORDS skip
#include "step.h"

byte kind = LIVE, owner = 0, epoch = 0, gen = 1;
bit  hold[2];
byte passed = 1;                          /* the handle that was passed on last */

byte count = 0;                           /* process 0's record of the descriptor */
bit  held = 0;
bit  stripe = 0;                          /* process 0's stripe */
bit  believes[3];                         /* ghost, by thread: T1, T2, O */

#define NOBODY_BELIEVES (!believes[0] && !believes[1] && !believes[2])
#define P0 0
#define P1 1

/* Local memory needs no OP; that it is not changed by two threads at once is for the stripe to see to. */
inline lock_stripe()   { OP_WHEN(!stripe, stripe = 1) }
inline unlock_stripe() { OP(assert(stripe); stripe = 0) }

/* As in hold.pml. */
inline try_free(p) {
  do
  :: OP(k = kind; e = epoch);
     if :: k != LIVE -> break :: else fi;
     i = 0; set = 0;
     do :: i < 2 && !set -> OP(set = hold[i]; i++) :: else -> break od;
     if :: set -> break :: else fi;
     OP(if :: epoch == e -> assert(NOBODY_BELIEVES); TO(BUSY, p); ok = 1 :: else -> ok = 0 fi);
     if :: ok -> OP(gen++); OP(TO(CACHED, p)); break :: else fi
  od;
  k = 0; e = 0; i = 0; set = 0; ok = 0
}

/* The block is popped, won and made PRIVATE, and the record says so, before the stripe is left.
 *
 * ALLOCATE_OUTSIDE: without the stripe it is still right, provided that release writes the record before the block can be
 * taken again. Within the stripe it is right in either order (RECORD_LAST); with neither, the releasing thread
 * overwrites the record of the allocating one. */
inline allocate_local() {
#ifndef ALLOCATE_OUTSIDE
  lock_stripe();
#endif
  ok = 0;
  OP(k = kind; e = epoch);
  if
  :: k == CACHED -> OP(if :: epoch == e -> assert(NOBODY_BELIEVES); TO(BUSY, P0); ok = 1 :: else fi)
  :: else
  fi;
  k = 0; e = 0;
  if
  :: ok ->
     OP(assert(kind == BUSY && owner == P0); TO(PRIVATE, P0); believes[me] = 1);
     OP(assert(count == 0 && !held); count = 1)
  :: else
  fi;
#ifndef ALLOCATE_OUTSIDE
  unlock_stripe()
#endif
}

inline share_local() {
#ifndef BUG_SHARE_OUTSIDE       /* a failing retain of another thread clears the bit between set-bit and held = 1 */
  lock_stripe();
#endif
  OP(hold[P0] = 1);
  OP(assert(kind == PRIVATE && owner == P0 && hold[P0]); TO(LIVE, 0));
  OP(held = 1);
#ifndef BUG_SHARE_OUTSIDE
  unlock_stripe();
#endif
  OP(assert(gen > passed); passed = gen)
}

/* The last local reference goes: the record, the shared bit and the try-free in one stripe. A reference that is not the
 * last is no business of the others'. */
inline release_local() {
  lock_stripe();
  OP(assert(count > 0 && (held -> (kind == LIVE && hold[P0]) : (kind == PRIVATE && owner == P0))); believes[me] = 0;
     last = (count == 1); was = held;
#ifdef RECORD_LAST
     count = (last -> count : count - 1));
#else
     count--; held = (last -> 0 : held));
#endif
#ifdef BUG_RELEASE_OUTSIDE      /* a retain of another thread counts 1, and then its bit is cleared */
  unlock_stripe();
#endif
  if
  :: last && was  -> OP(hold[P0] = 0); try_free(P0)
  :: last && !was -> OP(assert(kind == PRIVATE && owner == P0); gen++); OP(TO(CACHED, P0))
  :: else
  fi;
#ifdef RECORD_LAST
  if :: last -> OP(count = 0; held = 0) :: else fi;
#endif
  last = 0; was = 0;
#ifndef BUG_RELEASE_OUTSIDE
  unlock_stripe()
#endif
}

/* Retains in process 0. Who finds the block held compares the generation, which cannot change then, and counts. Else the
 * whole shared attempt, within the stripe. A PRIVATE block of this very process is refused by its kind before any bit is
 * set: no handle of it was given out. */
inline retain_local(h) {
#ifndef BUG_RETAIN_OUTSIDE      /* the attempt overlaps with another thread's share */
  lock_stripe();
#endif
  ok = 0;
  OP(was = held; g = gen);
  if
  :: was && g == h -> OP(count++; believes[me] = 1); ok = 1
  :: else ->
     do
     :: OP(k = kind; e = epoch; assert(kind == LIVE || gen != h || NOBODY_BELIEVES));
        if :: k != LIVE -> break :: else fi;
        OP(g = gen);
        if :: g != h -> break :: else fi;
        OP(hold[P0] = 1);
        OP(if :: epoch == e -> TO(LIVE, 0); ok = 1; believes[me] = 1 :: else fi);
        if :: ok -> break :: else fi
     od;
     k = 0; e = 0;
     if
     :: ok -> OP(count = 1; held = 1)
     :: else ->
#ifdef BUG_FAILED_ALWAYS_CLEARS /* the bit may be set on purpose: for another generation, which this process holds */
        OP(hold[P0] = 0); try_free(P0)
#else
        OP(was = held);
        if :: !was -> OP(hold[P0] = 0); try_free(P0) :: else fi
#endif
     fi
  fi;
  g = 0; was = 0;
#ifndef BUG_RETAIN_OUTSIDE
  unlock_stripe()
#endif
}

proctype T1(byte me) {
  byte i, k, e, r = ROUNDS; bit set, ok, last, was, mortal = 0;
  do
  :: r > 0 ->
     r--;
     allocate_local();
     if
     :: ok -> ok = 0; if :: skip :: share_local() fi; release_local()
     :: else
     fi
  :: else -> break
  od;
died:
  skip
}

proctype T2(byte me) {
  byte i, k, e, g, h, r = RETAINS; bit set, ok, last, was, mortal = 0;
  do
  :: r > 0 ->
     r--;
     if :: h = 1 :: OP(h = passed) fi;
     retain_local(h);
     if :: ok -> ok = 0; OP(assert(kind == LIVE && gen == h && hold[P0])); release_local() :: else fi;
     h = 0
  :: else -> break
  od;
died:
  skip
}

/* The stranger. It has one thread, so that it needs neither record nor stripe. */
proctype O(byte me) {
  byte i, k, e; bit set, ok, mortal = 0;
  OP(assert(kind == LIVE && gen == 1 && hold[P1]); believes[me] = 0; hold[P1] = 0);
  try_free(P1);
  ok = 0;
  OP(k = kind; e = epoch);
  if
  :: k == CACHED -> OP(if :: epoch == e -> assert(NOBODY_BELIEVES); TO(BUSY, P1); ok = 1 :: else fi)
  :: else
  fi;
  k = 0; e = 0;
  if
  :: ok ->
     ok = 0;
     OP(TO(PRIVATE, P1); believes[me] = 1);
     OP(hold[P1] = 1);
     OP(assert(kind == PRIVATE && owner == P1); TO(LIVE, 0));
     OP(assert(gen > passed); passed = gen);
     OP(assert(kind == LIVE && hold[P1]); believes[me] = 0; hold[P1] = 0);
     try_free(P1)
  :: else
  fi;
died:
  skip
}

/* When nothing can move any more: the block is reclaimable, no bit is set, the record is empty. */
proctype End() {
  timeout ->
  assert(_nr_pr == 2);
  assert(kind == CACHED && !hold[0] && !hold[1] && count == 0 && !held && !stripe && NOBODY_BELIEVES)
}

init { atomic { hold[P1] = 1; believes[2] = 1; run End(); run T1(0); run T2(1); run O(2) } }
