/* stream.pml: a stream. One writer after the other publishes frames under the lock, readers take them without it; deaths anywhere, takeover,
 * rebuild, sweep; the ring goes with its last holder.
 *
 * The claim. Who has taken a frame has what was published at its position, whole, and holds it; positions only grow. A reader that is
 * entered in a lossless stream misses nothing. Whoever began to write is told of when he has ended or died, and not before what he
 * published was there to see. Nobody waits for ever on the dead. In the end nothing is left.
 *
 * Rules:
 *  - A frame's block is entered before Head says that the frame counts, and is let go after Tail says that it does not.
 *  - Number is 0 while an entry changes, and comes last. Who reads without the lock looks at it before and after.
 *  - A retain compares the generation, and bumps: between the looks the block may be another frame's, or nobody's.
 *  - Ends is stored before Writer 0, and is loaded before Head.
 *  - A reader that is entered stores its position after it has retained the frame.
 *
 * W0 (bit 3) and W1 (bit 4) write, one after the other, FRAMES0 and FRAMES1 frames. R0 (bit 0) and R1 (bit 1) read until no writer is
 * left. K sweeps.
 *
 *   ENTRIES   1 or 2
 *   BLOCKS    2 or 3
 *   READERS   1 or 2
 *   LOSSLESS  R0 is entered, and the writer waits for it
 *   NEWEST    readers take the newest frame that they have not read; else the oldest
 *   STRANGER  somebody else (bit 4) allocates a block, and releases it
 */
#ifndef ENTRIES
#define ENTRIES 1
#endif
#ifndef BLOCKS
#define BLOCKS 2
#endif
#ifndef READERS
#define READERS 1
#endif
#ifndef FRAMES0
#define FRAMES0 3
#endif
#ifndef FRAMES1
#define FRAMES1 0
#endif

#define LAST_WORDS believes[me] = 0; over[me] = 1
#include "ring.h"

byte writer = 0;                          /* truth: the process + 1 */
byte ends = 0;
bit  entered[2];                          /* truth: RingReader.Reader, of R0 and R1 */
byte position[2];                         /* truth: RingReader.Position */

byte published[8];                        /* ghost: the id at a position */
byte began = 0, end_head[4];              /* ghosts: writers that began; Head when the n-th one ended */

#define BEHIND(p) (entered[p] && position[p] <= tail)
#define FULL      (head - tail == ENTRIES)
#ifdef LOSSLESS
#define MUST_WAIT (FULL && (BEHIND(0) || BEHIND(1)))
#else
#define MUST_WAIT false
#endif

inline drop_oldest() {
  c = BLOCK(arr[tail % ENTRIES]);
#ifdef BUG_EXIT_BEFORE_TAIL     /* an entry counts, and its block is gone */
  exit(c);
  OP(tail++);
#else
  OP(tail++);
  exit(c);
#endif
  c = 0
}

inline publish(b) {
#ifdef BUG_OVERWRITES
  if :: FULL -> drop_oldest() :: else fi;
#else
  do
  :: OP(ok = MUST_WAIT);
     if
     :: ok -> ok = 0; unlock(); OP_WHEN(!MUST_WAIT, skip); lock()
     :: else -> break
     fi
  od;
  if :: FULL -> drop_oldest() :: else fi;
#endif
#ifdef BUG_HEAD_BEFORE_ENTER    /* a death in between, and a release that read IN TRANSIT before it was set */
  write_entry(head, b);
  OP(published[head] = content[b]; head++);
  enter(b)
#else
  enter(b);
# ifdef BUG_HEAD_BEFORE_NUMBER  /* a death in between: an entry that counts, and is none */
  OP(num[head % ENTRIES] = 0);
  OP(arr[head % ENTRIES] = HANDLE(b));
  OP(att[head % ENTRIES] = content[b]);
  OP(published[head] = content[b]; head++);
  OP(num[(head - 1) % ENTRIES] = head)
# else
  write_entry(head, b);
  OP(published[head] = content[b]; head++)
# endif
#endif
}

/* A writer ends: by himself or by a sweep. */
inline end_writer() {
#ifdef BUG_WRITER_BEFORE_ENDS   /* a death in between: nobody is told */
  OP(writer = 0);
  OP(ends++; end_head[ends] = head)
#else
  OP(ends++; end_head[ends] = head);
  OP(writer = 0)
#endif
}

proctype Writer(byte me, frames) {
  byte i, k, e, b, c, t; bit set, ok, torn, mortal = 1;
  do
  :: lock();
     OP(ok = (writer == 0));
     if
     :: ok -> ok = 0; OP(writer = me + 1; began++); unlock(); break
     :: else -> unlock(); OP_WHEN(writer == 0, skip)
     fi
  od;
  do
  :: frames > 0 ->
     frames--;
     allocate();
     lock(); publish(b); unlock();
     release(b);
     b = 0
  :: else -> break
  od;
  lock(); end_writer(); unlock();
  leave_ring();
  over[me] = 1;
died:
  skip
}

/* As in hold.pml: the bit, then a bump of the word that was looked at. ok: the block is held, in the generation of h. */
#ifdef BUG_NO_GENERATION        /* the block is a stranger's: Tail has passed the entry, its Number is still there */
#define MATCHES(b, h) true
#else
#define MATCHES(b, h) (gen[b] == GEN(h))
#endif
inline retain(b, h) {
  do
  :: OP(k = kind[b]; e = epoch[b]; ok = (k == LIVE && MATCHES(b, h)));
     if :: !ok -> break :: else fi;
     OP(H(b, me) = 1);
#ifdef BUG_RETAIN_NO_BUMP       /* a release that has read the bit already frees the block */
     break;
#endif
     OP(ok = (epoch[b] == e); if :: ok -> TO(b, LIVE, 0) :: else fi);
     if
     :: ok -> break
     :: else -> OP(H(b, me) = 0); try_free(b)
     fi
  od;
  k = 0; e = 0
}

proctype Reader(byte me) {
  byte i, k, e, b, c, t, h, a, next, known, seen; bit set, ok, torn, mortal = 1;
#ifdef LOSSLESS
  if
  :: me == 0 ->
     lock();
     OP(next = tail; position[me] = next);
     OP(entered[me] = 1);
     unlock()
  :: else
  fi;
#endif
  do
  ::
#ifndef BUG_ENDS_AFTER          /* what is published, and ended, in between is never read */
     OP(seen = ends);
#endif
#ifdef NEWEST
     OP(t = head);
     ok = (t > next); t = (ok -> t - 1 : next);
#else
     OP(t = tail);
# ifdef LOSSLESS
     assert(me != 0 || t <= next);
# endif
     t = (t > next -> t : next);
     OP(ok = (head > t));
#endif
#ifdef BUG_ENDS_AFTER
     OP(seen = ends);
#endif
     if
     :: !ok && seen != known ->
        assert(t >= end_head[seen]);
        known = seen; seen = 0; t = 0
     :: !ok && seen == known ->
        seen = 0; t = 0;
        OP_WHEN(head > next || ends != known || (over[3] && over[4] && writer == 0), ok = (head <= next && ends == known));
        if :: ok -> ok = 0; break :: else fi
     :: ok ->
        ok = 0; seen = 0;
#ifdef BUG_POSITION_EARLY       /* the writer drops the frame */
        if :: entered[me] -> OP(position[me] = t + 1) :: else fi;
#endif
#ifdef NO_FIRST_LOOK            /* half of what was there before, and the number of what comes */
        ok = 1;
#else
        OP(ok = (num[t % ENTRIES] == t + 1));
#endif
        if
        :: ok ->
           OP(h = arr[t % ENTRIES]);
           OP(a = att[t % ENTRIES]);
           b = BLOCK(h);
           retain(b, h);
           if
           :: ok ->
#ifdef BUG_NO_SECOND_LOOK       /* it was another entry already, or half of one */
              ok = 1;
#else
              OP(ok = (num[t % ENTRIES] == t + 1));
#endif
              if
              :: ok ->
                 ok = 0;
                 OP(assert(kind[b] == LIVE && H(b, me) && content[b] == published[t] && a == published[t]); believes[me] = b + 1);
                 next = t + 1;
                 if :: entered[me] -> OP(position[me] = next) :: else fi;
                 OP(assert(kind[b] == LIVE && gen[b] == GEN(h) && content[b] == a));
                 h = 0; a = 0; t = 0;
                 release(b)
              :: else -> h = 0; a = 0; t = 0; OP(H(b, me) = 0); try_free(b)
              fi
           :: else -> h = 0; a = 0; t = 0
           fi;
           b = 0
        :: else -> t = 0
        fi
     fi
  od;
  known = 0;
  if
  :: entered[me] -> lock(); OP(entered[me] = 0); unlock()
  :: else
  fi;
  next = 0;
  leave_ring();
  over[me] = 1;
died:
  skip
}

proctype Stranger(byte me) {
  byte i, k, e, b; bit set, ok, mortal = 0;
  allocate();
  release(b);
  over[me] = 1;
died:
  skip
}

proctype Keeper(byte me) {
  byte i, k, e, c, t, v; bit set, ok, torn, mortal = 0;
  do
  :: TODO_ANY ->
     lock();
     v = 0;
     do
     :: v < NB && TODO(v) ->
#ifndef BUG_SWEEP_NO_WRITER
        if :: writer == v + 1 -> end_writer() :: else fi;
#endif
#ifndef BUG_SWEEP_NO_READERS
        if :: v < 2 -> OP(entered[v] = 0) :: else fi;
#endif
        sweep_blocks(v);
        swept[v] = 1; v++
     :: v < NB && !TODO(v) -> v++
     :: v == NB -> break
     od;
     v = 0;
     unlock()
  :: ALL_OVER && !TODO_ANY -> break
  od;
  assert(NOTHING_LEFT && writer == 0 && ends >= began && ends <= began + kills && !entered[0] && !entered[1]);
died:
  skip
}

/* Nothing can move: then all is over. */
proctype End() { timeout -> assert(_nr_pr == 2) }

init {
  atomic {
    run End();
    rhold[3] = 1; run Writer(3, FRAMES0);
#ifdef STRANGER
    run Stranger(4);
#else
    if :: FRAMES1 > 0 -> rhold[4] = 1; run Writer(4, FRAMES1) :: else -> over[4] = 1 fi;
#endif
    rhold[0] = 1; run Reader(0);
    if :: READERS > 1 -> rhold[1] = 1; run Reader(1) :: else -> over[1] = 1 fi;
    run Keeper(K)
  }
}
