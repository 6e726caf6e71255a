/* lock.pml: the lock of a name. One writer or any number of readers; death, takeover, sweep; the name goes and its entry is
 * used again.
 *
 *   word     truth: the writer (his number + 1), waiters, TORN; changed by exchange only
 *   readers  truth: a bit per process
 *   turn     a number to sleep on, bumped when a reader leaves and the word names a writer
 *   nonce    of the entry's use; the name is there, or the entry is FREE
 *
 * The claim. Of one nonce there are never two writers, nor a writer beside a reader. After a writer died within, everybody
 * who gets the lock is told, until a writer has let go who was told. Nobody is told without a death. Nobody waits for
 * ever on those who are gone, and who gives up leaves nothing behind.
 *
 * Each of PROCESSES processes has a role: WRITER, READER, or BOTH, who chooses each time. It looks the name up, takes the
 * lock, may give up whenever it would sleep if it is impatient, and lets go; ROUNDS times. If the name is gone meanwhile it
 * may let go late, when it has the lock of the next name already: what another thread of the same process does.
 *
 * Sleeping. A sleeper wakes up by itself, so it waits here until looking again would find something else. With WAKES nobody
 * wakes up by himself: then wake-ups alone must do, as long as nobody dies. The processes' slots are not reused, see slot.pml.
 */
#ifndef PROCESSES
#define PROCESSES 2
#endif
#ifndef ROUNDS
#define ROUNDS 1
#endif
#ifndef REMOVALS
#define REMOVALS 0
#endif
#define WRITER 1
#define READER 2
#define BOTH   3
#ifndef ROLE0
#define ROLE0 BOTH
#endif
#ifndef ROLE1
#define ROLE1 BOTH
#endif
#ifndef ROLE2
#define ROLE2 BOTH
#endif

#define OWNER(w) ((w) & 3)
#define TORN     4
#define WAITERS  8

bit  dead[PROCESSES], over[PROCESSES];
bit  broken = 0;                        /* ghost: a writer of this nonce died within, and nobody has repaired it */
byte has[PROCESSES], whose[PROCESSES];     /* ghost: WRITER or READER, and of which nonce */
#define LAST_WORDS broken = (has[me] == WRITER && whose[me] == nonce -> 1 : broken); has[me] = 0; over[me] = 1
#include "step.h"

byte word = 0;
bit  readers[PROCESSES];
byte turn = 0;
byte nonce = 1;
bit  there = 1;
bit  seg = 0;                           /* the segment lock: of changes of the catalog and of the sweep */
bit  on_word[PROCESSES], on_turn[PROCESSES];  /* the kernel: who sleeps on what; with WAKES only */

#if PROCESSES == 2
#define OTHERS_READ(p) readers[1 - (p)]
#define EACH(f)  f(0); f(1)
#else
#define OTHERS_READ(p) ((p != 0 && readers[0]) || (p != 1 && readers[1]) || (p != 2 && readers[2]))
#define EACH(f)  f(0); f(1); f(2)
#endif
#define STANDS(n) (there && nonce == (n))

#define RISE_W(p) on_word[p] = 0
#define RISE_T(p) on_turn[p] = 0
#define WAKE_WORD EACH(RISE_W)
#define WAKE_TURN EACH(RISE_T)

/* Nobody living has what excludes what p got of nonce n. */
#define BESIDE(p, q, n, how) assert(p == q || has[q] == 0 || whose[q] != (n) || (has[q] == READER && how == READER))
#define CHECK0(q) BESIDE(me, q, n, WRITER)
#define CHECK1(q) BESIDE(me, q, n, READER)

/* Sleeps until the word is not w any more, or its writer is gone. Where a process would sleep it may give up. */
inline sleep_on_word() {
  if
#ifdef WAKES
  :: OP(on_word[me] = (word == w)); OP_WHEN(!on_word[me], skip)
#else
  :: OP_WHEN(word != w || dead[OWNER(w) - 1] || !STANDS(n), skip)
#endif
  :: impatient -> quit = 1
  fi
}

inline sleep_on_turn() {
  if
#ifdef WAKES
  :: OP(on_turn[me] = (turn == t)); OP_WHEN(!on_turn[me], skip)
#else
  :: OP_WHEN(!OTHERS_READ(me) || !STANDS(n), skip)
#endif
  :: impatient -> quit = 1
  fi
}

/* Who finds a writer marks the word, sleeps on it, or replaces a dead one by to. ok: replaced, the word was w. */
inline stand_in_line(to) {
  if
  :: OP(u = dead[OWNER(w) - 1]);
     if
     :: u ->
#ifdef BUG_TAKEOVER_BY_STORE    /* two see the same death, and both have the lock */
        OP(word = (to); ok = 1)
#else
        OP(if :: word == w -> word = (to); ok = 1 :: else fi)
#endif
     :: else ->
#ifdef WAKES
        if
        :: !(w & WAITERS) -> OP(if :: word == w -> word = w | WAITERS; u = 1 :: else fi); w = w | WAITERS
        :: else -> u = 1
        fi;
        if :: u -> u = 0; sleep_on_word() :: else fi
#else
        sleep_on_word()
#endif
     fi
  fi;
  u = 0
}

/* The word goes from mine to no writer. */
inline drop_word(keep) {
  do
  :: OP(w = word);
     if :: OWNER(w) != me + 1 -> break :: else fi;
     OP(if :: word == w -> word = (keep); ok = 1 :: else fi);
     if
     :: ok && (w & WAITERS) -> ok = 0;
#ifndef BUG_NO_WAKE
        OP(WAKE_WORD);
#endif
        break
     :: ok && !(w & WAITERS) -> ok = 0; break
     :: else
     fi
  od;
  w = 0
}

inline drop_bit() {
  OP(readers[me] = 0);
  OP(u = (OWNER(word) != 0));
  if
  :: u -> u = 0;
#ifdef WAKES
#ifndef BUG_NO_BUMP             /* the writer has read turn and the bits, and is about to sleep */
     OP(assert(turn < 255); turn++);
#endif
     OP(WAKE_TURN)
#endif
  :: else
  fi
}

inline lock_writer() {
  quit = 0;
  do
  :: ok -> ok = 0; break
  :: !ok && (quit || gone) -> break
  :: !ok && !quit && !gone ->
     OP(w = word);
     if
     :: OWNER(w) == 0 ->
#ifdef BUG_CAS_DROPS_TORN
        OP(if :: word == w -> word = me + 1; ok = 1 :: else fi)
#else
        OP(if :: word == w -> word = (me + 1) | (w & TORN); ok = 1 :: else fi)
#endif
#ifdef BUG_TAKEOVER_NO_TORN
     :: OWNER(w) != 0 -> stand_in_line((me + 1) | (w & TORN) | (w & WAITERS))
#else
     :: OWNER(w) != 0 -> stand_in_line((me + 1) | TORN | (w & WAITERS))
#endif
     fi;
     w = 0;
     if :: !ok -> OP(gone = !STANDS(n)) :: else fi
  od;
  if
  :: !quit && !gone ->
#ifndef BUG_WRITER_NO_WAIT
     do
     :: 
#ifdef WAKES
#ifdef BUG_TURN_AFTER           /* a reader leaves between bits and turn */
        OP(u = OTHERS_READ(me)); OP(t = turn);
#else
        OP(t = turn); OP(u = OTHERS_READ(me));
#endif
#else
        OP(u = OTHERS_READ(me));
#endif
        if :: !u -> break :: else u = 0 fi;
        sleep_on_turn();
        t = 0;
        if :: !quit -> OP(gone = !STANDS(n)) :: else fi;
        if :: quit || gone -> break :: else fi
     od;
     t = 0; u = 0;
#endif
     if
     :: !quit && !gone ->
        OP(told = ((word & TORN) != 0));
#ifdef BUG_NONCE_BEFORE         /* the words were cleared for the next name, and are taken for the last one */
        OP(EACH(CHECK0); has[me] = WRITER; whose[me] = n; ok = 1)
#else
        OP(gone = !STANDS(n);
           if :: !gone -> EACH(CHECK0); assert(!broken || told); assert(!told || kills > 0);
                          has[me] = WRITER; whose[me] = n; ok = 1
              :: else fi)
#endif
     :: else
     fi;
     if
     :: !ok ->
#ifdef BUG_GIVE_UP_KEEPS_WORD
        skip
#else
#ifdef BUG_GIVE_UP_DROPS_TORN
        drop_word(0)
#else
        drop_word(w & TORN)
#endif
#endif
     :: else
     fi
  :: else
  fi
}

inline lock_reader() {
  quit = 0;
  do
  :: ok -> break
  :: !ok && (quit || gone) -> break
  :: !ok && !quit && !gone ->
#ifdef BUG_LOOK_BEFORE_BIT      /* a writer comes and looks at the bits in between */
     OP(w = word);
     if :: OWNER(w) == 0 -> OP(readers[me] = 1); ok = 1 :: else fi;
#else
     OP(readers[me] = 1);
     OP(w = word);
     if :: OWNER(w) == 0 -> ok = 1 :: else fi;
#endif
     if
     :: ok ->
        told = ((w & TORN) != 0); w = 0;
        OP(gone = !STANDS(n);
           if :: !gone -> EACH(CHECK1); assert(!broken || told); assert(!told || kills > 0);
                          has[me] = READER; whose[me] = n
              :: else -> ok = 0 fi);
        if :: !ok -> drop_bit() :: else fi
     :: else ->
#ifndef BUG_FAILED_KEEPS_BIT
        drop_bit();
#endif
        stand_in_line(TORN);
        w = 0;
        if :: ok -> ok = 0;
              OP(WAKE_WORD)
           :: else fi;
        OP(gone = !STANDS(n))
     fi
  od
}

/* Lets go of what was got with nonce m. The process remembers of which nonce it has the lock: another one's words stay. */
inline unlock(m) {
#ifdef BUG_UNLOCK_ANY_NONCE
  if :: true ->
#else
  if :: rec == m ->
#endif
     rec = 0;
     if
     :: as == WRITER ->
        ok = 0;
        OP(broken = ((told && whose[me] == nonce) -> 0 : broken); has[me] = 0;
           w = word; if :: OWNER(w) == me + 1 -> word = 0 :: else w = 0 fi);
        if
        :: w & WAITERS ->
#ifndef BUG_NO_WAKE
           OP(WAKE_WORD)
#endif
        :: else
        fi;
        w = 0
     :: else -> OP(has[me] = 0); drop_bit()
     fi
  :: else
  fi
}

proctype Proc(byte me, role) {
  byte w, t, n, rec, late, as, r = ROUNDS; bit u, ok, told, gone, quit, impatient, mortal = 1;
#ifdef PATIENT
  impatient = 0;
#else
  if :: impatient = 0 :: impatient = 1 fi;
#endif
  do
  :: r > 0 ->
     r--;
     OP(ok = there; n = nonce);
     if
     :: !ok || n == late
     :: ok && n != late ->
        ok = 0; gone = 0; rec = 0;
        if
        :: role & WRITER -> as = WRITER; lock_writer()
        :: role & READER -> as = READER; lock_reader()
        fi;
        if
        :: ok ->
           ok = 0; rec = n;
           if :: late -> unlock(late); late = 0 :: else fi;
           OP(u = !STANDS(n));
           if
           :: u && r > 0 -> late = n
           :: u -> u = 0; unlock(n)
           :: !u -> OP(assert(has[me] == as && (!STANDS(n) || (as == WRITER -> OWNER(word) == me + 1 : readers[me]))));
              unlock(n)
           fi;
           u = 0
        :: else
        fi;
        told = 0; gone = 0; quit = 0; n = 0
     fi
  :: else -> break
  od;
  if :: late -> unlock(late) :: else fi;
  over[me] = 1;
died:
  skip
}

/* The name goes, and the entry is used again, under the segment lock. The catalog's own deaths are ticket.pml's kind of matter. */
proctype Catalog() {
  byte k = REMOVALS;
  do
  :: k > 0 ->
     k--;
     atomic { !seg -> seg = 1 };
     there = 0;
     seg = 0;
     atomic { !seg -> seg = 1 };
#ifdef BUG_CLEAR_AFTER_NONCE    /* the lock of the next name is taken already */
     d_step { nonce++; there = 1; broken = 0 };
#endif
#ifndef BUG_NO_CLEAR            /* who held the last name leaves the words alone, and they stay */
     word = 0;
     d_step { readers[0] = 0; readers[1] = 0;
#if PROCESSES == 3
              readers[2] = 0
#endif
     };
#endif
#ifndef BUG_CLEAR_AFTER_NONCE
     d_step { nonce++; there = 1; broken = 0 };
#endif
     seg = 0
  :: else -> break
  od
}

/* Sweeps the dead, each once. It lives: if it died the next one would start again. */
#define SWEPT(p) (over[p] && dead[p] == done[p])
proctype Sweeper() {
  byte p = 0, w; bit done[PROCESSES];
  do
  :: dead[0] && !done[0] -> p = 0; goto sweep
  :: dead[1] && !done[1] -> p = 1; goto sweep
#if PROCESSES == 3
  :: dead[2] && !done[2] -> p = 2; goto sweep
#endif
  :: SWEPT(0) && SWEPT(1) && SWEPT(PROCESSES - 1) -> break;
sweep:
     done[p] = 1;
     atomic { !seg -> seg = 1 };
#ifndef BUG_SWEEP_NO_BITS
     readers[p] = 0;
     d_step { turn = (OWNER(word) && turn < 255 -> turn + 1 : turn); WAKE_TURN };
#endif
     do
     :: w = word;
        if :: OWNER(w) != p + 1 -> break :: else fi;
#ifdef BUG_SWEEP_NO_TORN
        d_step { if :: word == w -> word = w & TORN; WAKE_WORD :: else fi }
#else
        d_step { if :: word == w -> word = TORN; WAKE_WORD :: else fi }
#endif
     od;
     w = 0;
     seg = 0
  od
}

/* Nothing can move: then all is over, and nothing is left behind but what a death has left to tell. */
proctype End() {
  timeout ->
  assert(_nr_pr == 2);
  assert(OWNER(word) == 0 && !readers[0] && !readers[1] && !readers[PROCESSES - 1]);
  assert(!broken || (word & TORN))
}

init {
  atomic {
    run End();
    run Proc(0, ROLE0); run Proc(1, ROLE1);
#if PROCESSES == 3
    run Proc(2, ROLE2);
#endif
#if REMOVALS > 0
    run Catalog();
#endif
    run Sweeper()
  }
}
