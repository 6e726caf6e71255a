/* hold.pml: the life of one block. Allocate, private, share, retain, release, caches, stealing, refill, sweep.
 *
 * The claim. A process that believes it holds the block does hold it: nobody takes the block away meanwhile, nobody else
 * gets it as a new array, and a handle never leads to another array than the one it was made for. When all is over and the
 * dead are swept, the block is reclaimable, and no holder bit is left.
 *
 * The block is alive while it is PRIVATE, or LIVE with any bit of the holder set. Two races carry the whole design:
 *
 *  - The last release reads the holder set bit by bit while a retainer sets one. Therefore the releaser loads the state
 *    first, and the retainer bumps the epoch after its bit is set: either the scan sees the bit, or the exchange fails.
 *  - A retainer with a stale handle sets its bit on a block that is by now somebody else's. Therefore the bit alone means
 *    nothing before the bump succeeded, and whoever clears a bit tries to free, since the scan of the true last holder
 *    may have met the wrong bit and gone away.
 *
 * Processes 0 and 1 and 2 have roles, ROLE0 to ROLE2; process NP, and NP+1 with SWEEPERS=2, sweep.
 *   ALLOCATOR   ROUNDS times: allocate, then give it back unshared or share it, pass the handle on, release
 *   RETAINER    RETAINS times: retain the handle that was passed on last, release
 *
 * Mutations: see the #ifdef BUG_ lines; each says what it breaks.
 */
#define ALLOCATOR 0
#define RETAINER  1
#define NOBODY    2
#ifndef ROLE0
#define ROLE0 ALLOCATOR
#endif
#ifndef ROLE1
#define ROLE1 RETAINER
#endif
#ifndef ROLE2
#define ROLE2 RETAINER
#endif
#ifndef ROUNDS
#define ROUNDS 2
#endif
#ifndef RETAINS
#define RETAINS 1
#endif
#ifndef SWEEPERS
#define SWEEPERS 1
#endif

#define NP   3                  /* processes with a bit in the holder set */
#define ALL  (NP + SWEEPERS)
#define LAST (ALL - 1)          /* the sweeper that never dies */

#define LAST_WORDS believes[me] = 0; over[me] = 1
#include "step.h"

byte kind = FREE, owner = 0, epoch = 0;   /* truth: the state word */
byte gen = 1;                             /* truth: the generation */
bit  hold[ALL];                           /* truth: the holder set; sweepers have bits and never set them */
byte lck = 0;                             /* truth: the segment lock, 0 or owner + 1 */

byte passed = 0;                          /* the handle that was passed on last: its generation, 0 none */
bit  dead[ALL], over[ALL], swept[ALL];    /* ghosts: killed, at its end, done with by the sweepers */
bit  believes[ALL];                       /* ghost: thinks the block is its to read and write */

#define NOBODY_BELIEVES (!believes[0] && !believes[1] && !believes[2])

/* The segment lock. That a dead owner's is taken over, and how, is the matter of slot.pml and ticket.pml. */
inline lock()   { OP_WHEN(lck == 0 || dead[lck - 1], lck = me + 1) }
inline unlock() { OP(assert(lck == me + 1); lck = 0) }

/* Follows every clearing of a bit. The state is loaded BEFORE the holders are read: a holder that appears after its bit was
 * read has bumped the epoch, and the exchange fails. The winner is alone with the block: generation first, then CACHED,
 * so that no old handle fits when the next array is made here. */
inline try_free() {
  do
  ::
#ifndef BUG_SCAN_FIRST
     OP(k = kind; e = epoch);
     if :: k != LIVE -> break :: else fi;
#endif
     i = 0; held = 0;
     do :: i < NP && !held -> OP(held = hold[i]; i++) :: else -> break od;
     if :: held -> break :: else fi;
#ifdef BUG_SCAN_FIRST           /* a holder may come between its bit's reading and the load: the exchange then succeeds */
     OP(k = kind; e = epoch);
     if :: k != LIVE -> break :: else fi;
#endif
     OP(if :: epoch == e -> assert(NOBODY_BELIEVES); TO(BUSY, me); ok = 1 :: else -> ok = 0 fi);
     if
     :: ok ->
#ifndef BUG_NO_GENERATION       /* handles of the last array fit the next one */
        OP(gen++);
#endif
        OP(TO(CACHED, me));
        break
     :: else
     fi
  od;
  k = 0; e = 0; i = 0; held = 0; ok = 0
}

/* Takes the block for a new array: by CAS if it is CACHED, whose-ever it is (a thief may be faster), or from FREE under the
 * lock. Then PRIVATE by a plain store: BUSY is the owner's alone, and a sweep of the owner means that he is dead. */
inline allocate() {
  ok = 0;
  OP(k = kind; e = epoch);
  if
  :: k == CACHED ->
#ifdef BUG_STEAL_BY_STORE       /* two thieves, or thief and owner, or thief and sweeper, have one block */
     OP(TO(BUSY, me); ok = 1)
#else
     OP(if :: epoch == e -> assert(NOBODY_BELIEVES); TO(BUSY, me); ok = 1 :: else fi)
#endif
  :: k == FREE ->
#ifndef BUG_REFILL_WITHOUT_LOCK /* two refills have one block */
     lock();
#endif
     OP(k = kind);
     if :: k == FREE -> OP(assert(NOBODY_BELIEVES); TO(BUSY, me); ok = 1) :: else fi;
#ifndef BUG_REFILL_WITHOUT_LOCK
     unlock()
#endif
#ifdef BUG_STEAL_PRIVATE        /* a thief takes what is allocated: PRIVATE must mean hands off */
  :: k == PRIVATE -> OP(if :: epoch == e -> assert(NOBODY_BELIEVES); TO(BUSY, me); ok = 1 :: else fi)
#endif
  :: else
  fi;
  k = 0; e = 0;
  if :: ok -> OP(assert(kind == BUSY && owner == me); TO(PRIVATE, me); believes[me] = 1) :: else fi
}

/* Before a handle is given out: the own bit, then LIVE, both before the handle. The LIVE store is plain: PRIVATE is the
 * owner's alone. The ghost: a generation is passed on once. */
inline share() {
#ifdef BUG_HANDLE_BEFORE_LIVE   /* the receiver is told that the array is gone, while it is there */
  OP(assert(gen > passed); passed = gen);
#endif
#ifdef BUG_LIVE_BEFORE_BIT      /* a stale retainer that clears its bit finds a LIVE block without holders, and frees it */
  OP(assert(kind == PRIVATE && owner == me); TO(LIVE, 0));
  OP(hold[me] = 1);
#else
  OP(hold[me] = 1);
  OP(assert(kind == PRIVATE && owner == me); TO(LIVE, 0));
#endif
#ifndef BUG_HANDLE_BEFORE_LIVE
  OP(assert(gen > passed); passed = gen);
#endif
}

/* Nobody else may change a PRIVATE block, so nothing is exchanged. Bits that stale retainers set here for an instant do not
 * matter: nothing scans for them, and they clear them. KEEP_GENERATION shows that the step of the generation is a matter
 * of tidiness here: no handle of it was ever given out. */
inline release_private() {
#ifdef BUG_PRIVATE_BY_TRY_FREE  /* try-free looks for LIVE blocks only: the block stays PRIVATE for ever */
  OP(believes[me] = 0);
  try_free()
#else
# ifndef KEEP_GENERATION
  OP(assert(kind == PRIVATE && owner == me); gen++);
# endif
  OP(assert(kind == PRIVATE && owner == me); believes[me] = 0; TO(CACHED, me))
#endif
}

inline release() {
  OP(assert(kind == LIVE && hold[me]); believes[me] = 0; hold[me] = 0);
#ifndef BUG_RELEASE_NO_TRY_FREE /* the last one leaves the block behind */
  try_free()
#endif
}

/* Retains the generation h. The bit first, then the bump of exactly the word that was looked at: it says that the block was
 * this generation and LIVE while the bit was already set, and makes every release that did not see the bit look again.
 * Who fails must clear the bit and try to free: it may have been the only reason why the last release went away. */
inline retain(h) {
  ok = 0;
  do
  :: OP(k = kind; e = epoch; assert(kind == LIVE || gen != h || NOBODY_BELIEVES));
     if :: k != LIVE -> break :: else fi;
     OP(g = gen);
     if :: g != h -> break :: else fi;
     OP(hold[me] = 1);
#ifdef BUG_RETAIN_NO_BUMP       /* a release that read the bit before it was set frees a block that is held */
     OP(if :: epoch == e -> ok = 1; believes[me] = 1 :: else fi);
#else
# ifdef BUG_RETAIN_BY_KIND      /* the word may have been away and come back: bump only what was looked at */
     OP(if :: kind == k -> TO(LIVE, 0); ok = 1; believes[me] = 1 :: else fi);
# else
     OP(if :: epoch == e -> TO(LIVE, 0); ok = 1; believes[me] = 1 :: else fi);
# endif
#endif
     if :: ok -> break :: else fi
  od;
  k = 0; e = 0; g = 0;
  if
  :: ok ->
     ok = 0;
     OP(assert(kind == LIVE && gen == h));     /* looks at the array */
     release()
  :: else ->
#ifndef BUG_FAILED_KEEPS_BIT    /* a bit for nothing: the block is never free again */
     OP(hold[me] = 0);
#endif
#ifndef BUG_FAILED_NO_TRY_FREE  /* the last release met this bit and left the freeing to us */
     try_free()
#endif
  fi
}

proctype Process(byte me; byte role; byte rounds) {
  byte i, k, e, g, h; bit held, ok, mortal = 1;
  do
  :: rounds > 0 && role == ALLOCATOR ->
     rounds--;
     allocate();
     if
     :: ok ->
        ok = 0;
        if
        :: release_private()
        :: share(); release()
        fi
     :: else
     fi
  :: rounds > 0 && role == RETAINER ->
     rounds--;
     OP(h = passed);
     if :: h != 0 -> retain(h); h = 0 :: else fi
  :: else -> break
  od;
#ifdef GIVE_BACK                /* a leaver gives its cached blocks back under the lock; a thief may be faster */
  lock();
  OP(k = kind; e = epoch; held = (owner == me));
  if
  :: k == CACHED && held -> OP(if :: epoch == e -> TO(FREE, 0) :: else fi)
  :: else
  fi;
  k = 0; e = 0; held = 0;
  unlock();
#endif
  over[me] = 1;
died:
  skip
}

/* Under the lock: what the dead process v left behind. Everything may be repeated: a sweeper that dies leaves the slot to the
 * next one, who starts from the beginning. The bit goes first, by the rule of every bit. Then what v owned: nobody else
 * may touch BUSY and PRIVATE, so plain stores will do; CACHED is anybody's. */
inline sweep(v) {
#ifdef BUG_SWEEP_IF_SET         /* v cleared its bit, and died before its try-free: "nothing to do here" */
  OP(ok = hold[v]; hold[v] = 0);
  if :: ok -> try_free() :: else fi;
#else
  OP(hold[v] = 0);
# ifndef BUG_SWEEP_NO_TRY_FREE  /* v was the last holder */
  try_free();
# endif
#endif
  OP(k = kind; e = epoch; g = owner);
  if
  :: g == v && (k == BUSY
#ifndef BUG_SWEEP_FORGETS_PRIVATE /* allocated and never shared, by somebody who is dead: lost for ever */
                || k == PRIVATE
#endif
               ) ->
#ifndef BUG_SWEEP_NO_GENERATION /* v died between winning the try-free and stepping the generation */
     OP(gen++);
#endif
     OP(TO(FREE, 0))
  :: g == v && k == CACHED ->
#ifdef BUG_SWEEP_CACHED_BY_STORE /* a thief took it in between, and has it as an array */
     OP(TO(FREE, 0))
#else
     OP(if :: epoch == e -> TO(FREE, 0) :: else fi)
#endif
  :: else
  fi;
  k = 0; e = 0; g = 0; ok = 0
}

#define TODO(p)   (dead[p] && !swept[p])
#if SWEEPERS == 2
#define TODO_ANY  (TODO(0) || TODO(1) || TODO(2) || TODO(3))
#define ALL_OVER  (over[0] && over[1] && over[2] && over[3])
#else
#define TODO_ANY  (TODO(0) || TODO(1) || TODO(2))
#define ALL_OVER  (over[0] && over[1] && over[2])
#endif

proctype Sweeper(byte me; bit mortal) {
  byte v, i, k, e, g; bit held, ok;
  do
  :: TODO_ANY ->
     lock();
     v = 0;
     do
     :: v < ALL && TODO(v) -> sweep(v); OP(swept[v] = 1); v++
     :: v < ALL && !TODO(v) -> v++
     :: v == ALL -> break
     od;
     v = 0;
     unlock()
  :: ALL_OVER && !TODO_ANY && me == LAST -> break
  :: me != LAST -> break        /* the first sweeper may have come too early; the last one waits */
  od;
  if
  :: me == LAST ->
     assert(kind == FREE || (kind == CACHED && !dead[owner]));
     assert(!hold[0] && !hold[1] && !hold[2] && NOBODY_BELIEVES)
  :: else -> over[me] = 1
  fi;
died:
  skip
}

init {
  atomic {
    run Process(0, ROLE0, (ROLE0 == ALLOCATOR -> ROUNDS : RETAINS));
    run Process(1, ROLE1, (ROLE1 == ALLOCATOR -> ROUNDS : RETAINS));
    if
    :: ROLE2 == NOBODY -> over[2] = 1
    :: else -> run Process(2, ROLE2, (ROLE2 == ALLOCATOR -> ROUNDS : RETAINS))
    fi;
#if SWEEPERS == 2
    run Sweeper(NP, 1);
#endif
    run Sweeper(LAST, 0)
  }
}
