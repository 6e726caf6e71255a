/* wait.pml: who waits at a ring, and who wakes him. Flag, look again, sleep; wake all, or some who pass it on.
 *
 *   news, room  numbers to sleep on, each with a flag that says that somebody may sleep
 *   used        entries in use; in a stream, frames that not every reader has read
 *
 * The claim. While nobody dies, nobody needs to wake up by himself: when nothing moves any more, nobody sleeps who would find
 * something. After a death somebody may: there the sleep is bounded (TIMED), which heals it.
 *
 * A queue is changed under the segment lock, so that looking and taking, or looking and putting, is one step here. Who sleeps
 * is in the kernel from the step that compares the number. A wake-up takes any who sleep, as many as it is for.
 *
 * Rules:
 *  - Who waits loads the number, stores the flag, looks again, and sleeps with that number. Who changed the ring loads the
 *    flag after it; if it is set he exchanges it with 0, adds 1 to the number, and wakes.
 *  - A queue wakes as many as items came, or entries became free. While the flag is clear after it, others may still sleep. So
 *    who has slept stores the flag before he looks again, and wakes one more if he leaves something behind when he is done:
 *    also if he gives up, for which he looks once more.
 *  - An item may need more entries than one. Who waits for so many says MANY in the flag, and then all are woken: somebody
 *    who is woken and has not got room enough would keep it from another who had.
 *  - Who shuts a queue down wakes all, whatever the flags say.
 *
 * PUTTERS put PUTS items each, up to BATCH at once; those of putter 0 take NEED0 entries each. GETTERS get GETS times, up to MAX items at
 * once. With QUITS they may give up where they would sleep, or have slept. With SHUT somebody shuts the queue down at some time. STREAM:
 * putter 0 is a lossless stream's writer, the getters are readers of all its frames.
 */
#ifndef PUTTERS
#define PUTTERS 2
#endif
#ifndef GETTERS
#define GETTERS 2
#endif
#ifndef PUTS
#define PUTS 2
#endif
#ifndef BATCH
#define BATCH 1
#endif
#ifndef GETS
#define GETS 2
#endif
#ifndef MAX
#define MAX 1
#endif
#ifndef LIMIT
#define LIMIT 1
#endif
#ifndef NEED0
#define NEED0 1
#endif
#ifndef KILLS
#define KILLS 0
#endif
#ifdef TIMED
#define HEALS(g) (g)
#else
#define HEALS(g) false
#endif

#define NP  5                   /* putters are 0 and 1, getters 2 and 3 */
#define ALL 9

#define NEWS 0
#define ROOM 1
#define ON(w,p) on[(w) * 5 + (p)]

bit dead[NP], on[10];           /* the kernel: who sleeps on what */
#define LAST_WORDS ON(NEWS, me) = 0; ON(ROOM, me) = 0
#include "step.h"

byte flag[2];

/* Of a number it counts only whether it is the one that was loaded: a bit per process, which a bump clears. */
bit same[10];
#define SAME(w,p) same[(w) * 5 + (p)]
#define BUMP(w)   SAME(w, 0) = 0; SAME(w, 1) = 0; SAME(w, 2) = 0; SAME(w, 3) = 0
bit  shut;
byte used;

#define ANY  1                  /* in a flag: somebody waits for one item, or one entry; for more entries */
#define MANY 2
#ifdef BUG_MANY_AS_ANY
#define KIND_OF(n) ANY
#else
#define KIND_OF(n) ((n) > 1 -> MANY : ANY)
#endif
#define NEED(p) ((p) == 0 -> NEED0 : 1)

#ifdef STREAM
byte head, pos[NP];
#define ITEMS(p) (head - pos[p])
#define SLOWEST  (GETTERS == 1 || pos[2] < pos[3] -> pos[2] : pos[3])
#define FREE_FOR(p) (LIMIT - (head - SLOWEST))
#elif NEED0 == 1
#define ITEMS(p) used
#define FREE_FOR(p) (LIMIT - used)
#define PUSH(n) used++
#define POP     used--; freed++
#else
byte size[4], items;            /* the items in their order, by what they take */
#define ITEMS(p) items
#define FREE_FOR(p) (LIMIT - used)
#define PUSH(n) size[items] = n; items++; used = used + (n)
#define POP     items--; used = used - size[0]; freed = freed + size[0]; size[0] = size[1]; size[1] = size[2]; size[2] = size[3]; size[3] = 0
#endif

/* To load the flag first, and leave it alone if it is clear, is the same. */
inline wake(w, n) {
  i = n;
  do
  :: OP(f = flag[w]; flag[w] = 0);
     if :: !f -> break :: else fi;
#ifndef BUG_NO_BUMP             /* somebody has looked, and is about to sleep */
     OP(BUMP(w));
#endif
     if :: f & MANY -> i = ALL :: else fi;
     futex_wake(w);
     if :: f & MANY -> break :: else fi;
#ifdef BUG_NO_SECOND_LOOK       /* who came meanwhile and needs more than there is was woken in the place of another */
     break;
#else
     OP(f = flag[w] & MANY);
     if :: !f -> break :: else fi
#endif
  od;
  f = 0; i = 0
}
inline futex_wake(w) {
  if
  :: atomic {
       do
       :: i > 0 && ON(w, 0) -> ON(w, 0) = 0; i--
       :: i > 0 && ON(w, 1) -> ON(w, 1) = 0; i--
       :: i > 0 && ON(w, 2) -> ON(w, 2) = 0; i--
       :: i > 0 && ON(w, 3) -> ON(w, 3) = 0; i--
       :: else -> break
       od
     }
  :: DIE
  fi
}

/* Where a process would sleep, or has slept, it may give up. */
inline sleep(w, finds) {
  OP(ON(w, me) = SAME(w, me); SAME(w, me) = 0; slept = slept || ON(w, me));
end:
  if
  :: OP_WHEN(!ON(w, me) || HEALS(finds), ON(w, me) = 0)
#ifdef QUITS
  :: impatient -> OP(ON(w, me) = 0); quit = 1
#endif
  fi
#ifdef QUITS
  ;
  if :: impatient -> quit = 1 :: true fi
#endif
}

#ifdef STREAM
inline look_get() { OP(done = (ITEMS(me) > 0)); if :: done -> OP(pos[me]++) :: else fi }
inline look_put() { OP(done = (FREE_FOR(me) > 0)); if :: done -> OP(head++) :: else fi }
#define WOKEN_NEWS ALL
#define WOKEN_ROOM ALL
#define TAKEN true
#else
/* One hold of the lock. What is left behind is seen in it. */
inline look_get() {
  OP(do :: n < MAX && ITEMS(me) > 0 -> POP; n++ :: else -> break od;
     done = (n > 0 || shut); left = (ITEMS(me) > 0))
}
inline look_put() {
  OP(do :: !shut && n < BATCH && n < r && FREE_FOR(me) >= NEED(me) -> PUSH(NEED(me)); n++ :: else -> break od;
     done = (n > 0 || shut); left = (FREE_FOR(me) > 0))
}
#define WOKEN_NEWS n
#define WOKEN_ROOM freed
#endif

#define SET_FLAG(f, kind) OP(f = f | (kind))

proctype Getter(byte me) {
  byte r = GETS, n, freed, f, i; bit done, left, slept, quit, impatient, mortal = 1;
#ifdef QUITS
  if :: impatient = 1 :: true fi;
#endif
  do
  :: r > 0 ->
     r--;
     look_get();
     do
     :: done || quit -> break
     :: else ->
#ifdef BUG_FLAG_FIRST_ONLY      /* who has slept looks without the flag: others sleep, and the next putter does not know */
        if :: slept -> look_get() :: else fi;
        if :: done -> SAME(NEWS, me) = 0; break :: else fi;
#endif
#ifdef BUG_LOAD_AFTER_FLAG      /* between flag and load it was taken back, and bumped */
        SET_FLAG(flag[NEWS], ANY);
# ifndef BUG_NO_LOOK
        look_get();
# endif
        if :: done -> SAME(NEWS, me) = 0; break :: else fi;
        OP(SAME(NEWS, me) = 1);
#else
        OP(SAME(NEWS, me) = 1);
# ifdef BUG_LOOK_BEFORE_FLAG
        look_get();
        if :: done -> SAME(NEWS, me) = 0; break :: else fi;
        SET_FLAG(flag[NEWS], ANY);
# else
        SET_FLAG(flag[NEWS], ANY);
#  ifndef BUG_NO_LOOK
        look_get();
        if :: done -> SAME(NEWS, me) = 0; break :: else fi;
#  endif
# endif
#endif
        sleep(NEWS, ITEMS(me) > 0 || shut)
     od;
#ifndef STREAM
#ifndef BUG_QUIT_SILENTLY       /* the wake-up was for somebody who would have taken it */
     if
     :: quit && slept ->
        SET_FLAG(flag[NEWS], ANY);
        OP(left = (ITEMS(me) > 0))
     :: else
     fi;
#endif
#ifndef BUG_WAKE_NO_MORE        /* two items came, and the flag was clear when the second did */
     if :: slept && left -> wake(NEWS, 1) :: else fi;
#endif
     if :: freed -> wake(ROOM, WOKEN_ROOM) :: else fi;
#else
     wake(ROOM, WOKEN_ROOM);
#endif
     done = 0; left = 0; slept = 0; quit = 0; n = 0; freed = 0
  :: else -> break
  od;
died:
  skip
}

proctype Putter(byte me) {
  byte r = PUTS, n, f, i; bit done, left, slept, quit, impatient, mortal = 1;
#ifdef QUITS
  if :: impatient = 1 :: true fi;
#endif
  do
  :: r > 0 && !shut ->
     look_put();
     do
     :: done || quit -> break
     :: else ->
        OP(SAME(ROOM, me) = 1);
        SET_FLAG(flag[ROOM], KIND_OF(NEED(me)));
        look_put();
        if :: done -> SAME(ROOM, me) = 0; break :: else fi;
        sleep(ROOM, FREE_FOR(me) >= NEED(me) || shut)
     od;
#ifndef STREAM
     if
     :: quit && slept ->
        SET_FLAG(flag[ROOM], KIND_OF(NEED(me)));
        OP(left = (FREE_FOR(me) > 0))
     :: else
     fi;
     if :: slept && left -> wake(ROOM, 1) :: else fi;
     if :: n -> wake(NEWS, WOKEN_NEWS) :: else fi;
     r = (n -> r - n : r - 1);
#else
     wake(NEWS, WOKEN_NEWS);
     r--;
#endif
     done = 0; left = 0; slept = 0; quit = 0; n = 0
  :: else -> break
  od;
died:
  skip
}

proctype Shutter(byte me) {
  byte f, i; bit mortal = 1;
  OP(shut = 1);
#ifdef BUG_SHUT_BY_FLAG         /* the flag is clear, since one was woken who is not done yet; the others sleep on */
  wake(NEWS, ALL);
  wake(ROOM, ALL);
#else
  OP(BUMP(NEWS)); i = ALL; futex_wake(NEWS); i = 0;
  OP(BUMP(ROOM)); i = ALL; futex_wake(ROOM)
#endif
died:
  skip
}

/* Nothing moves any more: who sleeps has no reason to be awake. */
#define RIGHT(p) (!(ON(NEWS, p) && (ITEMS(p) > 0 || shut)) && !(ON(ROOM, p) && (FREE_FOR(p) >= NEED(p) || shut)))
proctype End() {
  timeout ->
  assert(RIGHT(0) && RIGHT(1) && RIGHT(2) && RIGHT(3))
}

init {
  atomic {
    run End();
    run Putter(0);
    if :: PUTTERS > 1 -> run Putter(1) :: else fi;
    run Getter(2);
    if :: GETTERS > 1 -> run Getter(3) :: else fi;
#ifdef SHUT
    run Shutter(4)
#endif
  }
}
