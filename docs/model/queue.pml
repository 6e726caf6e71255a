/* queue.pml: a queue. Putters put arrays and let go of them, getters get each once, and may put it back; all under the lock, beside
 * releases without it; deaths anywhere, takeover, rebuild, sweep; the ring goes with its last holder.
 *
 * The claim. What was put is got once, in order, or still there when the ring goes; it is lost only with a getter who had it: who died
 * after the store of Tail. Who got it holds it. In the end nothing is left.
 *
 * Rules:
 *  - Put: enter, that is, IN TRANSIT and a bump, then the entry, then Head. Get: own bit and a bump, Tail, then exit. Put
 *    back: enter, the entry before Tail, then Tail.
 *  - Who takes the lock from a dead owner counts the entries that count, and corrects IN TRANSIT by that.
 *  - The ring goes: BUSY, then, under the lock, its entries are dropped, the flag is cleared, and it is FREE.
 *
 * P0 (bit 3) and P1 (bit 4) put PUTS items each; with TWICE P0 puts the same block as often. G0 (bit 0) and G1 (bit 1) get until nobody puts any
 * more and the queue is empty, or leave before. K sweeps. Waiting is in wait.pml: here who waits sees by himself when to go on.
 *
 *   ENTRIES   1 or 2
 *   BLOCKS    2 or 3
 *   PUTTERS   1 or 2
 *   GETTERS   1 or 2
 *   BACK      how many times a getter may put an item back
 *   T_FIRST   the scan of the holders begins with IN TRANSIT
 */
#ifndef ENTRIES
#define ENTRIES 1
#endif
#ifndef BLOCKS
#define BLOCKS 2
#endif
#ifndef PUTTERS
#define PUTTERS 1
#endif
#ifndef GETTERS
#define GETTERS 1
#endif
#ifndef PUTS
#define PUTS 2
#endif
#ifndef BACK
#define BACK 0
#endif

#define LAST_WORDS believes[me] = 0; over[me] = 1
#include "ring.h"

byte order[ENTRIES];                      /* ghost: the ids in the queue, oldest first; how many */
byte n_order;
byte backs = 0;

#if ENTRIES == 1
#define PUSH(id)  assert(n_order == 0); order[0] = id; n_order = 1
#define POP(id)   assert(n_order == 1 && order[0] == id); order[0] = 0; n_order = 0
#define UNPOP(id) PUSH(id)
#else
#define PUSH(id)  assert(n_order < 2); order[n_order] = id; n_order++
#define POP(id)   assert(n_order > 0 && order[0] == id); order[0] = order[1]; order[1] = 0; n_order--
#define UNPOP(id) assert(n_order < 2); order[1] = order[0]; order[0] = id; n_order++
#endif
#define ROOM  (head - tail < ENTRIES)

/* What is in the ring is what was put and not got, in order. */
#define RIGHT (!rflag || rkind != LIVE || (n_order == head - tail && (n_order == 0 || content[BLOCK(arr[SLOT(0)])] == order[0]) && \
  (n_order < 2 || content[BLOCK(arr[SLOT(1)])] == order[ENTRIES - 1])))

#define GETTERS_LEFT (rhold[0] || rhold[1])
#define NOBODY_PUTS  (!rhold[3] && !rhold[4])

inline put(b) {
#ifdef BUG_HEAD_BEFORE_ENTER    /* as RECORD_BEFORE_BIT in ticket.pml */
  write_entry(head, b);
  OP(PUSH(content[b]); head++);
  enter(b)
#else
  enter(b);
# ifdef BUG_HEAD_BEFORE_ENTRY   /* a death in between: an entry that counts, and is none */
  OP(PUSH(content[b]); head++);
  write_entry(head - 1, b)
# else
  write_entry(head, b);
  OP(PUSH(content[b]); head++)
# endif
#endif
}

inline hold_it(b) {
  OP(assert(kind[b] == LIVE && gen[b] == GEN(arr[SLOT(0)])); H(b, me) = 1);
#ifndef BUG_GET_NO_BUMP         /* a release that read my bit before, and then finds IN TRANSIT clear, frees the block */
  bump(b)
#endif
}

/* Of the order of own bit, Tail and exit it counts only that the bit is set before the exit: what exit clears too early the rebuild
 * sets again, while the dead one's bit is there. */
inline get(b) {
#ifdef EXIT_BEFORE_TAIL         /* a death in between: the item counts, and is in transit no more */
  hold_it(b);
  OP(believes[me] = b + 1);
  exit(b);
  OP(POP(content[b]); tail++)
#elif defined(BUG_HOLD_AFTER_EXIT) /* nothing holds the block for an instant */
  OP(POP(content[b]); tail++);
  exit(b);
  OP(assert(kind[b] == LIVE); H(b, me) = 1);
  bump(b);
  OP(believes[me] = b + 1)
#elif defined(HOLD_AFTER_TAIL)
  OP(POP(content[b]); tail++);
  OP(assert(kind[b] == LIVE); H(b, me) = 1);
  bump(b);
  OP(believes[me] = b + 1);
  exit(b)
#elif defined(BUG_GET_IN_TWO)   /* another one gets it, too */
  hold_it(b);
  unlock();
  lock();
  OP(POP(content[b]); tail++; believes[me] = b + 1);
  exit(b)
#else
  hold_it(b);
  OP(POP(content[b]); tail++; believes[me] = b + 1);
  exit(b)
#endif
}

inline put_back(b) {
#ifdef BUG_TAIL_BEFORE_ENTRY    /* as with Head */
  enter(b);
  OP(UNPOP(content[b]); tail--);
  write_entry(tail, b)
#elif defined(BUG_BACK_AT_HEAD) /* what was put later is got before it */
  enter(b);
  write_entry(head, b);
  OP(UNPOP(content[b]); head++)
#elif defined(BUG_TAIL_BEFORE_ENTER) /* as HEAD_BEFORE_ENTER, if the scan begins with IN TRANSIT */
  write_entry(tail - 1, b);
  OP(UNPOP(content[b]); tail--);
  enter(b)
#else
  enter(b);
  write_entry(tail - 1, b);
  OP(UNPOP(content[b]); tail--)
#endif
}

proctype Putter(byte me) {
  byte i, k, e, b, c, t, n = PUTS; bit set, ok, torn, mortal = 1;
  do
  :: n > 0 ->
     n--;
#ifdef TWICE
     if :: n + 1 == PUTS -> allocate() :: else fi;
#else
     allocate();
#endif
     do
     :: lock();
        OP(ok = ROOM);
        if
        :: ok -> ok = 0; put(b); unlock(); break
        :: else -> unlock(); OP_WHEN(ROOM || !GETTERS_LEFT, ok = !ROOM); if :: ok -> ok = 0; n = 0; break :: else fi
        fi
     od;
#ifdef TWICE
     if :: n == 0 -> release(b); b = 0 :: else fi
#else
     release(b);
     b = 0
#endif
  :: else -> break
  od;
  leave_ring();
  over[me] = 1;
died:
  skip
}

proctype Getter(byte me) {
  byte i, k, e, b, c, t; bit set, ok, torn, mortal = 1;
  do
  :: OP_WHEN(head != tail || NOBODY_PUTS, ok = (head == tail));
     if :: ok -> ok = 0; break :: else fi;
     lock();
     OP(assert(RIGHT); ok = (head != tail));
     if
     :: ok ->
        ok = 0;
        b = BLOCK(arr[SLOT(0)]);
        get(b);
        unlock();
        OP(assert(kind[b] == LIVE && H(b, me)));
        if
        :: backs < BACK ->
           backs++;
           lock();
           OP(ok = ROOM);
           if :: ok -> ok = 0; put_back(b) :: else fi;
           unlock()
        :: true
        fi;
        release(b);
        b = 0
     :: else -> unlock()
     fi
  :: true -> break
  od;
  leave_ring();
  over[me] = 1;
died:
  skip
}

proctype Keeper(byte me) {
  byte i, k, e, c, t, v; bit set, ok, torn, mortal = 0;
  do
  :: TODO_ANY ->
     lock();
     OP(assert(RIGHT));
     v = 0;
     do
     :: v < NB && TODO(v) -> sweep_blocks(v); swept[v] = 1; v++
     :: v < NB && !TODO(v) -> v++
     :: v == NB -> break
     od;
     v = 0;
     unlock()
  :: ALL_OVER && !TODO_ANY -> break
  od;
  assert(NOTHING_LEFT);
died:
  skip
}

/* Nothing can move: then all is over. */
proctype End() { timeout -> assert(_nr_pr == 2) }

init {
  atomic {
    run End();
    rhold[3] = 1; run Putter(3);
    if :: PUTTERS > 1 -> rhold[4] = 1; run Putter(4) :: else -> over[4] = 1 fi;
    rhold[0] = 1; run Getter(0);
    if :: GETTERS > 1 -> rhold[1] = 1; run Getter(1) :: else -> over[1] = 1 fi;
    run Keeper(K)
  }
}
