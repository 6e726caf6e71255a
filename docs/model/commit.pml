/* commit.pml: physical memory. Commit, trim, and death between the system call and the committed bit.
 *
 * Memory is committed and given back in chunks. A chunk's committed bit is truth: set means that the memory is there.
 *
 *   Commit: own BUSY bytes in the chunk; bit clear? fallocate (outside the lock), then set the bit; then PRIVATE or CACHED.
 *   Trim:   under the lock take the whole chunk, all of it FREE, as BUSY; clear the bit; punch (outside the lock); FREE.
 *
 * The claim. A block that is PRIVATE, LIVE or CACHED is on memory that is there: touching it is never a SIGBUS.
 *
 * Why it holds. The bit is set only by an owner of BUSY bytes in the chunk after its fallocate, cleared only by the owner of
 * all bytes before its punch. Trim owns everything, so nobody is between looking at the bit and using the memory. The
 * only lie that a death can leave behind is memory without a bit, which costs nothing but a second fallocate.
 * A system call of a killed process is over before the kernel drops its byte, so before anybody sweeps what it owned.
 *
 * One chunk with two blocks. P0 and P1 allocate, use, give back; P2 trims. A keeper sweeps.
 */
#ifndef ROUNDS
#define ROUNDS 2
#endif
#define P2 2
#define K  3
#define NP 4

bit dead[NP], over[NP], swept[NP];
#define LAST_WORDS over[me] = 1
#include "step.h"

byte epoch = 0;
byte kinds[2], owners[2];                 /* truth: the two blocks of the chunk */
bit  committed = 0;                       /* truth: the chunk's bit */
bit  memory = 0;                          /* the kernel: the chunk's pages are there */
byte lck = 0;                             /* truth: the segment lock, as in hold.pml */

#define USABLE(b) (kinds[b] == PRIVATE || kinds[b] == CACHED || kinds[b] == LIVE)
#define SOUND     assert(memory || (!USABLE(0) && !USABLE(1)))

inline lock()   { OP_WHEN(lck == 0 || dead[lck - 1], lck = me + 1) }
inline unlock() { OP(assert(lck == me + 1); lck = 0) }

/* The memory of the block b, which is BUSY(me). */
inline commit() {
#ifndef BUG_LOOK_BEFORE_OWNING  /* the chunk was trimmed between the look and the owning */
  OP(c = committed);
#endif
  if
  :: c
  :: else ->
#ifdef BUG_BIT_BEFORE_FALLOCATE /* others believe the bit, and a death in between makes it a lie for ever */
     OP(committed = 1);
     OP(memory = 1)
#else
     OP(memory = 1);            /* fallocate: what is there stays there */
     OP(committed = 1)
#endif
  fi;
  c = 0
}

proctype Process(byte me; byte b) {
  byte r = ROUNDS; bit c, ok, mortal = 1;
  do
  :: r > 0 ->
     r--;
#ifdef BUG_LOOK_BEFORE_OWNING
     OP(c = committed);
#endif
     lock();
     OP(ok = (kinds[b] == FREE));
     if :: ok -> OP(assert(kinds[b] == FREE); kinds[b] = BUSY; owners[b] = me) :: else fi;
     unlock();
     if
     :: ok ->
        ok = 0;
        commit();
        OP(assert(kinds[b] == BUSY && owners[b] == me); kinds[b] = PRIVATE; SOUND);
        OP(assert(memory && kinds[b] == PRIVATE && owners[b] == me));  /* touches it */
        OP(kinds[b] = CACHED; SOUND);
        lock();
        OP(kinds[b] = FREE);    /* goes back under the lock; nobody steals here, which is the matter of hold.pml */
        unlock()
     :: else
     fi;
     c = 0
  :: else -> break
  od;
  over[me] = 1;
died:
  skip
}

/* One descriptor for the whole chunk becomes BUSY by one store; here that is both blocks at once. */
proctype Trimmer(byte me) {
  byte r = ROUNDS; bit ok, c, mortal = 1;
  do
  :: r > 0 ->
     r--;
     lock();
#ifdef BUG_TRIM_WITHOUT_OWNING  /* looks, and trims what somebody takes meanwhile */
     OP(ok = (kinds[0] == FREE && kinds[1] == FREE));
#else
# ifdef BUG_TRIM_OWNS_A_PART    /* the other block of the chunk is in use */
     OP(ok = (kinds[0] == FREE));
     if :: ok -> OP(kinds[0] = BUSY; owners[0] = me) :: else fi;
# else
     OP(ok = (kinds[0] == FREE && kinds[1] == FREE));
     if :: ok -> OP(kinds[0] = BUSY; owners[0] = me; kinds[1] = BUSY; owners[1] = me) :: else fi;
# endif
#endif
     unlock();
     if
     :: ok ->
        ok = 0;
#ifdef BUG_PUNCH_BEFORE_BIT     /* a death in between: the bit says that the memory is there */
        OP(memory = 0; SOUND);
        OP(committed = 0);
#else
        OP(committed = 0);
        OP(memory = 0; SOUND);
#endif
        lock();
#ifndef BUG_TRIM_WITHOUT_OWNING
# ifdef BUG_TRIM_OWNS_A_PART
        OP(assert(kinds[0] == BUSY && owners[0] == me); kinds[0] = FREE);
# else
        OP(assert(kinds[0] == BUSY && kinds[1] == BUSY && owners[0] == me && owners[1] == me); kinds[0] = FREE; kinds[1] = FREE);
# endif
#endif
        unlock()
     :: else
     fi
  :: else -> break
  od;
  over[me] = 1;
died:
  skip
}

#define TODO(p)  (dead[p] && !swept[p])
#define TODO_ANY (TODO(0) || TODO(1) || TODO(P2))

/* Frees what the dead owned, and touches neither bit nor memory. */
proctype Keeper(byte me) {
  byte v; bit mortal = 0;
  do
  :: TODO_ANY ->
     lock();
     v = 0;
     do
     :: v < K && TODO(v) ->
        OP(if :: kinds[0] != FREE && owners[0] == v -> kinds[0] = FREE :: else fi);
        OP(if :: kinds[1] != FREE && owners[1] == v -> kinds[1] = FREE :: else fi);
        swept[v] = 1; v++
     :: v < K && !TODO(v) -> v++
     :: v == K -> break
     od;
     v = 0;
     unlock()
  :: over[0] && over[1] && over[P2] && !TODO_ANY -> break
  od;
  assert(kinds[0] == FREE && kinds[1] == FREE && (committed -> memory : 1));
died:
  skip
}

init { atomic { run Process(0, 0); run Process(1, 1); run Trimmer(P2); run Keeper(K) } }
