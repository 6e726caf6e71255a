/* ticket.pml: transfers. Send, adopt, recall, expiry, beside lock-free releases; death under the lock, takeover, rebuild.
 *
 * A ticket is the record of one transfer in flight. Tickets change under the segment lock only. While a block has an open
 * ticket, the pseudo-holder IN TRANSIT is set in its holder set: that bit, not the ticket, is what a lock-free release sees.
 *
 * The claim. From send to adopt the block is alive, whatever the sender does or suffers; a ticket is adopted once, and
 * refused only for a reason (adopted, recalled, expired after its grace, dropped with its receiver); when all is over, no
 * ticket is open, no bit is set, and the block is reclaimable.
 *
 * Rules:
 *  - The bit that will keep the block comes first, is followed by a bump, and only then may that go away which kept it
 *    before. Send: IN TRANSIT, bump, ticket; the sender's own hold may go after that. Adopt: my bit, bump, ticket SPENT, then
 *    IN TRANSIT if it was the last ticket.
 *  - Who takes the lock from a dead owner rebuilds what is derived: sets IN TRANSIT where a ticket justifies it and it is
 *    missing, and bumps; then clears it where none does; then tries to free. Never clear it first: others release
 *    without the lock meanwhile.
 *  - A ticket may be directed at somebody who lives and is not about to leave, and the sender looks under the lock. Who
 *    leaves says so first (SWEEPING), and then drops what is directed at him, under the lock; who died is swept. So after
 *    the pass that belongs to his end nothing new is directed at him.
 *
 * A (bit 3) holds the block and sends WIRES wires. B0 and B1 (bits 0, 1) receive: wire 0 and wire 1, or both wire 0 with
 * DUPLICATE. C (bit 4) is another holder that releases at some time. K, the keeper, sweeps, passes over the table, lets
 * grace run out. IN TRANSIT is bit 2: the scan meets it before the sender's and after the receivers', which is the worst.
 *
 *   TICKETS   size of the table: 1 forces reuse of the entry when WIRES is 2
 *   DIRECTED  wire 1 is directed at B1
 *   RECALL    A may take wire 0 back
 *   MORTAL_C  C may be killed, too
 *   NO_C      there is no C
 *   NO_B0     there is no B0: wire 0 is never received
 */
#ifndef TICKETS
#define TICKETS 2
#endif
#ifndef WIRES
#define WIRES 1
#endif
#ifndef DIRECTED
#define DIRECTED 0
#endif
#ifndef RECALL
#define RECALL 0
#endif
#ifndef DUPLICATE
#define DUPLICATE 0
#endif
#ifndef MORTAL_C
#define MORTAL_C 0
#endif

#define B0 0
#define B1 1
#define T  2                    /* IN TRANSIT */
#define A  3
#define C  4
#define K  5
#define NB 5                    /* bits */
#define NP 6

#define UNUSED   0              /* kinds of a ticket; all but OPEN are free for reuse */
#define OPEN     1
#define SPENT    2
#define RECALLED 3
#define EXPIRED  4

#define LAST_WORDS believes[me] = 0; over[me] = 1
#include "step.h"

byte kind = LIVE, owner = 0, epoch = 0, gen = 1;
bit  hold[NB];
byte lck = 0;

byte tkind[TICKETS], tnonce[TICKETS];     /* truth: the ticket's word, stored last */
byte tto[TICKETS];                        /* truth: receiver + 1, 0 undirected; the sender is A */
bit  tdeadline[TICKETS];                  /* truth: grace has begun to run */
byte tickets = 0;                         /* derived: open tickets of the block */

byte wentry[2];                           /* a wire: the ticket's index; its nonce is the wire's number + 1 */
bit  sent[2];                             /* the wire has left the sender */

bit  dead[NP], over[NP], swept[NP];
bit  departs[NP];                         /* truth: the slot is SWEEPING, by its owner who is about to leave */
bit  slotfree[NP];                            /* truth: the slot is FREE again; dead or left is "not alive" */
bit  believes[NP];                        /* ghost: holds the block */
bit  ended[2];                            /* ghost: there is a reason to refuse the wire */
bit  adopted[2];                          /* ghost */

#define GONE(p)    (dead[p] || slotfree[p])
#define IN_FLIGHT(t) (tkind[t] == OPEN)
#define NOBODY_HOLDS (!believes[B0] && !believes[B1] && !believes[A] && !believes[C])
#define ENDED(t)   ended[tnonce[t] - 1] = 1

inline bump() {
  ok = 0;
  do
  :: OP(k = kind; e = epoch);
     if :: k != LIVE -> break :: else fi;
     OP(if :: epoch == e -> TO(LIVE, 0); ok = 1 :: else fi);
     if :: ok -> break :: else fi
  od;
  k = 0; e = 0; ok = 0
}

/* As in hold.pml; besides, nobody may be deprived of what is in flight. */
inline try_free() {
  do
  :: OP(k = kind; e = epoch);
     if :: k != LIVE -> break :: else fi;
     i = 0; set = 0;
     do :: i < NB && !set -> OP(set = hold[i]; i++) :: else -> break od;
     if :: set -> break :: else fi;
     OP(if
        :: epoch == e ->
           assert(NOBODY_HOLDS);
           i = 0; do :: i < TICKETS -> assert(!IN_FLIGHT(i)); i++ :: else -> break od;
           TO(BUSY, me); ok = 1
        :: else -> ok = 0
        fi);
     if :: ok -> OP(gen++); OP(TO(CACHED, me)); break :: else fi
  od;
  k = 0; e = 0; i = 0; set = 0; ok = 0
}

/* The taker of a dead owner's lock computes privately, then corrects. The bit of a block with an open ticket is never
 * clear for an instant, and what is set after having been missing is followed by a bump. */
inline rebuild() {
  c = 0; i = 0;
  do :: i < TICKETS -> OP(c = (IN_FLIGHT(i) -> c + 1 : c); i++) :: else -> break od;
  i = 0;
#ifdef BUG_REBUILD_CLEARS_FIRST /* "start from nothing": a release meanwhile finds no holder */
  OP(hold[T] = 0);
#endif
  OP(set = hold[T]);
  if
  :: c > 0 && !set ->
#ifndef REBUILD_SETS_NOTHING
     OP(assert(kind == LIVE && gen == 1); hold[T] = 1);
# ifndef BUG_REBUILD_NO_BUMP    /* a release that has read the bit already frees the block */
     bump()
# endif
#endif
#ifdef REBUILD_ALWAYS_BUMPS     /* see RECORD_BEFORE_BIT */
  :: c > 0 && set -> bump()
#endif
  :: c == 0 && set ->
#ifndef BUG_REBUILD_CLEARS_NOTHING /* a sender died between bit and ticket: the block is in transit for ever */
     OP(hold[T] = 0)
#endif
  :: else
  fi;
  set = 0;
#ifndef BUG_REBUILD_NO_COUNT    /* the last ticket is not recognised as the last, or one too early is */
  OP(tickets = c);
#endif
  c = 0;
#ifndef REBUILD_NO_TRY_FREE
  try_free()
#endif
}

/* If the last owner died inside, the lock is taken from him by CAS of his exact word (slot.pml), and what he left is rebuilt
 * first; who dies while he rebuilds leaves the same task to the next one. */
inline lock() {
  OP_WHEN(lck == 0 || dead[lck - 1], torn = (lck != 0); lck = me + 1);
  if :: torn -> torn = 0; rebuild() :: else fi
}
inline unlock() { OP(assert(lck == me + 1); lck = 0) }

/* One open ticket less, under the lock. The word first: a death in between leaves a bit too much, never one too few. */
inline close_ticket(t, how) {
#ifdef BUG_BIT_BEFORE_WORD      /* a release, or a death, in between: an open ticket of a block that is gone */
  OP(tickets--; set = (tickets == 0));
  if :: set -> OP(hold[T] = 0) :: else fi;
  OP(tkind[t] = how; ENDED(t));
#else
  OP(tkind[t] = how; ENDED(t));
  OP(tickets--; set = (tickets == 0));
# ifdef BUG_CLEARS_ALWAYS       /* other tickets of the block are in flight */
  OP(hold[T] = 0);
# else
  if :: set -> OP(hold[T] = 0) :: else fi;
# endif
#endif
  set = 0;
#ifndef BUG_CLOSE_NO_TRY_FREE   /* it was the last bit */
  try_free()
#endif
}

/* RECORD_BEFORE_BIT: a sender that dies between bit and bump leaves a ticket whose bit is set, and was not when a release
 * read it. Nothing is missing, so the rebuild does not bump, and that release frees the block when the sender's bit is
 * swept. With REBUILD_ALWAYS_BUMPS it would be safe in this order, too. In the right order there is no ticket yet. */
inline send(w, to) {
  lock();
  t = 0;
#ifdef BUG_SEND_TO_THE_GONE     /* whose slot was swept before: nobody drops it, ever */
  OP(ok = 1);
#else
# ifdef BUG_SEND_TO_THE_LEAVING /* who has dropped what was directed at him, and is still alive for an instant */
  OP(ok = (to == 0 || !GONE(to - 1)));
# else
  OP(ok = (to == 0 || !(GONE(to - 1) || departs[to - 1])));
# endif
#endif
  do :: ok && t < TICKETS && IN_FLIGHT(t) -> t++ :: else -> break od;
  if :: !ok -> t = TICKETS :: else -> ok = 0 fi;
  if
  :: t < TICKETS ->
     OP(assert(kind == LIVE && gen == 1 && hold[A]); tto[t] = to; tdeadline[t] = 0);
#ifdef RECORD_BEFORE_BIT
     OP(tkind[t] = OPEN; tnonce[t] = w + 1);
#endif
     OP(hold[T] = 1);
#ifndef BUG_SEND_NO_BUMP        /* a release that read IN TRANSIT before frees the block when the sender lets go */
     bump();
#endif
     OP(tickets++);
#ifndef RECORD_BEFORE_BIT
     OP(tkind[t] = OPEN; tnonce[t] = w + 1);
#endif
     unlock();
     OP(wentry[w] = t; sent[w] = 1)
  :: else -> unlock()           /* the table is full, or the receiver gone: an error, nothing written */
  fi;
  t = 0
}

inline adopt(w) {
  lock();
  t = wentry[w];
#ifdef BUG_NO_NONCE             /* the entry was used again: a duplicate of the old wire takes the new transfer */
  OP(ok = IN_FLIGHT(t));
#else
  OP(ok = (IN_FLIGHT(t) && tnonce[t] == w + 1));
#endif
  if
  :: ok ->
     ok = 0;
     OP(assert(kind == LIVE && gen == 1 && tnonce[t] == w + 1));
#ifdef BUG_ADOPT_CLEARS_FIRST   /* nothing holds the block for an instant */
     OP(tickets--; set = (tickets == 0));
     if :: set -> OP(hold[T] = 0) :: else fi;
     set = 0;
     OP(hold[me] = 1);
     bump();
     OP(tkind[t] = SPENT; believes[me] = 1; ENDED(t));
#else
     OP(hold[me] = 1);
# ifndef BUG_ADOPT_NO_BUMP      /* a release that read my bit before, and then finds IN TRANSIT clear, frees the block */
     bump();
# endif
     OP(believes[me] = 1);
# ifndef BUG_ADOPT_NOT_SPENT    /* the same wire is adopted twice */
     close_ticket(t, SPENT);
# endif
#endif
     /* A receiver that dies before SPENT has not adopted: the ticket is still there for others, or for its grace. */
     OP(assert(!adopted[w]); adopted[w] = 1);
     unlock()
  :: else ->
     OP(assert(ended[w]));      /* refused, and there is a reason */
     unlock()
  fi;
  t = 0
}

inline recall(w) {
  lock();
  t = wentry[w];
  OP(ok = (IN_FLIGHT(t) && tnonce[t] == w + 1));
  if :: ok -> ok = 0; close_ticket(t, RECALLED) :: else fi;
  t = 0;
  unlock()
}

#define PARTY_GONE(p) (sweeping == (p) + 1)

/* Under the lock, every ticket: directed at whose slot is swept: dropped; from whose slot is swept, and undirected: its
 * grace begins; grace is over, which may be at any time: expired. */
inline pass() {
  t = 0;
  do
  :: t < TICKETS ->
     if
     :: IN_FLIGHT(t) && tto[t] != 0 && PARTY_GONE(tto[t] - 1) -> close_ticket(t, EXPIRED)
     :: IN_FLIGHT(t) && tto[t] == 0 && !tdeadline[t] && PARTY_GONE(A) ->
#ifdef BUG_NO_GRACE             /* a worker that exits right after sending its result loses it */
        OP(tkind[t] = EXPIRED); OP(tickets--; set = (tickets == 0)); if :: set -> OP(hold[T] = 0) :: else fi; set = 0; try_free()
#else
# ifndef BUG_NO_DEADLINE        /* never adopted, never expired */
        OP(tdeadline[t] = 1)
# else
        skip
# endif
#endif
     :: IN_FLIGHT(t) && tdeadline[t] -> if :: true :: close_ticket(t, EXPIRED); tdeadline[t] = 0 fi
     :: else
     fi;
     t++
  :: else -> break
  od;
  t = 0
}
proctype Sender(byte me) {
  byte i, k, e, c, t; bit set, ok, torn, mortal = 1;
  send(0, 0);
  if
  :: WIRES == 2 -> send(1, (DIRECTED -> B1 + 1 : 0))
  :: else
  fi;
  if
  :: RECALL && sent[0] -> recall(0)
  :: true
  fi;
  OP(assert(kind == LIVE && gen == 1 && hold[me]); believes[me] = 0; hold[me] = 0);
  try_free();
#ifndef LEAVES_SILENTLY
  lock();
  t = 0;
  do                            /* the grace of what is still in flight begins */
  :: t < TICKETS -> if :: IN_FLIGHT(t) && tto[t] == 0 -> OP(tdeadline[t] = 1) :: else fi; t++
  :: else -> break
  od;
  t = 0;
  unlock();
#endif
  OP(slotfree[me] = 1);
  over[me] = 1;
died:
  skip
}

proctype Receiver(byte me; byte w) {
  byte i, k, e, c, t; bit set, ok, torn, mortal = 1;
  if
  :: OP_WHEN(sent[w], skip);
     adopt(w);
     if
     :: believes[me] ->
        OP(assert(kind == LIVE && gen == 1 && hold[me]); believes[me] = 0; hold[me] = 0);
        try_free()
     :: else
     fi
  :: over[A] && !sent[w]
  :: me == B1                   /* leaves without waiting */
  fi;
  OP(departs[me] = 1);
#ifndef BUG_LEAVE_DROPS_NOTHING /* nobody sweeps the slot of who left by himself */
  lock();
  t = 0;
  do
  :: t < TICKETS -> if :: IN_FLIGHT(t) && tto[t] == me + 1 -> close_ticket(t, EXPIRED) :: else fi; t++
  :: else -> break
  od;
  t = 0;
  unlock();
#endif
  OP(slotfree[me] = 1);
  over[me] = 1;
died:
  skip
}

proctype Other(byte me) {
  byte i, k, e; bit set, ok, mortal = MORTAL_C;
  OP(assert(kind == LIVE && gen == 1 && hold[me]); believes[me] = 0; hold[me] = 0);
  try_free();
  over[me] = 1;
died:
  skip
}

#define TODO(p)  (dead[p] && !swept[p])
#define TODO_ANY (TODO(B0) || TODO(B1) || TODO(A) || TODO(C))
#define ALL_OVER (over[B0] && over[B1] && over[A] && over[C])
#define STALE(t) (IN_FLIGHT(t) && tdeadline[t])
#if TICKETS == 2
#define STALE_ANY (STALE(0) || STALE(1))
#else
#define STALE_ANY STALE(0)
#endif

proctype Keeper(byte me) {
  byte i, k, e, c, t, v, sweeping; bit set, ok, torn, mortal = 0;
  do
  :: TODO_ANY ->
     lock();
     v = 0;
     do
     :: v < NB && TODO(v) ->
        sweeping = v + 1;
        pass();
        sweeping = 0;
        OP(hold[v] = 0);
        try_free();
        OP(if :: kind == BUSY && owner == v -> gen++; TO(FREE, 0) :: else fi);
        swept[v] = 1; v++
     :: v < NB && !TODO(v) -> v++
     :: v == NB -> break
     od;
     v = 0;
     unlock()
  :: STALE_ANY && !TODO_ANY -> lock(); pass(); unlock()
  :: ALL_OVER && !TODO_ANY && !STALE_ANY -> break
  od;
  assert(tkind[0] != OPEN && tkind[TICKETS - 1] != OPEN && tickets == 0);
  assert(kind == FREE || kind == CACHED);
  assert(!hold[B0] && !hold[B1] && !hold[T] && !hold[A] && !hold[C] && NOBODY_HOLDS);
died:
  skip
}

init {
  atomic {
    hold[A] = 1; believes[A] = 1;
    run Sender(A); run Keeper(K);
#ifdef NO_C
    over[C] = 1;
#else
    hold[C] = 1; believes[C] = 1; run Other(C);
#endif
#ifdef NO_B0
    over[B0] = 1;
#else
    run Receiver(B0, 0);
#endif
    if
    :: WIRES == 2 || DUPLICATE -> run Receiver(B1, (DUPLICATE -> 0 : 1))
    :: else -> over[B1] = 1
    fi
  }
}
