/* names.pml: a change of the catalog. Hold, stage, decide, carry out, beside readers and lock-free releases; death under the
 * lock, roll forward or back, rebuild.
 *
 * The catalog changes and is read under the segment lock only. While a value that counts names a block, the pseudo-holder
 * NAMED is set in its holder set: that bit, not the entry, is what a lock-free release sees.
 *
 * The claim. Whoever looks sees all of a change or nothing of it, also when it was killed in the middle; it has happened if
 * and only if it was decided. A block that a counting value names is never freed, and whoever looked it up holds it. When
 * all is over, the words are LIVE or FREE, NAMED is set where a name counts and nowhere else, the counts are
 * right, and every block without a name is reclaimable.
 *
 * Rules:
 *  - NAMED is set and bumped before the decide word, because a release that has read the bit already would free the block.
 *  - Entries are staged in values that do not count; one word decides; only then the words change, and only then the old
 *    values are dropped. The decide word goes after the last word.
 *  - Who takes the lock from a dead owner first finishes what was decided, or undoes what was not, then rebuilds what is
 *    derived: sets NAMED where it is missing, and bumps; then clears it where no value counts; then tries to free.
 *
 * Name 0 stands for block X; the change gives it Y. Name 1 is new, and stands for Y. With NAMES=3 there is name 2: it stands for
 * X, and the change removes it, or leaves it alone with STAYS. P (bit 3) holds Y, makes the change, lets go of Y. O (bit 2)
 * is another holder of Y, or of X with HELD=1, that lets go at some time. R (bit 0) looks all names up in one hold of the lock, takes the block
 * of name 0, and releases it. K, the keeper, sweeps. NAMED is bit 1: the scan meets it after the reader's and before the
 * holders', which is the worst.
 *
 *   NAMES    2 or 3
 *   STAYS    the change leaves name 2 alone
 *   REFUSED  the change may be refused after it was staged
 *   OWNED    what P published goes with P: P removes it when it leaves, K when P is dead
 *   HELD     the block that O holds
 *   MORTAL_O O may be killed, too
 */
#ifndef NAMES
#define NAMES 2
#endif
#ifndef STAYS
#define STAYS 0
#endif
#ifndef HELD
#define HELD Y
#endif
#ifndef MORTAL_O
#define MORTAL_O 0
#endif

#define R  0
#define N  1                    /* NAMED */
#define O  2
#define P  3
#define K  4
#define NB 4                    /* bits */
#define NP 5

#define X  1                    /* the blocks, as values name them; 0: nothing */
#define Y  2

#define UNUSED    0             /* kinds of an entry */
#define NAME      1
#define STAGED    2
#define REPLACING 3
#define LEAVING   4

#define LAST_WORDS believes[me] = 0; over[me] = 1
#include "step.h"
#undef TO
#define TO(b, knd, own) assert(epoch[b] < 255); epoch[b]++; kind[b] = knd; owner[b] = own

byte kind[3] = LIVE, owner[3], epoch[3], gen[3] = 1;   /* truth: the blocks; number 0 is not used */
bit  hold[12];                            /* truth: the holder sets, NB bits each */
byte count[3];                            /* derived: values that name the block */
byte lck = 0;                             /* truth: the segment lock, 0 or owner + 1 */

byte nkind[3];                            /* truth: the entry's word, kind and which value counts, stored last */
bit  cur[3];
byte val[6];                              /* truth: two values each */
bit  commit = 0;                          /* truth: the decide word */

bit  dead[NP], over[NP], swept[NP];
byte believes[NP];                        /* ghost: the block that it thinks it holds */
bit  decided, gone;                       /* ghosts: the change is decided; so is the removal of what P owned */

#define H(b,p)   hold[(b) * 4 + (p)]
#define V(n,c)   val[(n) * 2 + (c)]

/* What a name stands for, as anybody would find it who takes the lock: what is decided counts. */
#define OTHER(n) (commit && nkind[n] == REPLACING)
#define THERE(n) (nkind[n] == NAME || nkind[n] == REPLACING || (nkind[n] == STAGED && commit) || (nkind[n] == LEAVING && !commit))
#define MEANS(n) (THERE(n) -> (OTHER(n) -> V(n, 1 - cur[n]) : V(n, cur[n])) : 0)
#define NAMED(b) (MEANS(0) == b || MEANS(1) == b || MEANS(2) == b)

/* With the lock, and no change under way, a reader's view. */
#define READ(n)  (nkind[n] == NAME -> V(n, cur[n]) : 0)
#define COUNT(b) ((READ(0) == b) + (READ(1) == b) + (READ(2) == b))
#define REST     (nkind[0] <= NAME && nkind[1] <= NAME && nkind[2] <= NAME && !commit)
#define THIRD    (NAMES == 3 -> X : 0)
#define OLD      (READ(0) == X && READ(1) == 0 && READ(2) == THIRD)
#define NEW      (READ(0) == Y && READ(1) == Y && READ(2) == (STAYS -> THIRD : 0))
#define AWAY     (READ(0) == 0 && READ(1) == 0 && READ(2) == (STAYS -> THIRD : 0))
#define WHOLE    (REST && (gone -> AWAY : (decided -> NEW : OLD)))

#define BELIEVED(b) (believes[R] == b || believes[O] == b || believes[P] == b)

inline bump(b) {
  ok = 0;
  do
  :: OP(k = kind[b]; e = epoch[b]);
     if :: k != LIVE -> break :: else fi;
     OP(if :: epoch[b] == e -> TO(b, LIVE, 0); ok = 1 :: else fi);
     if :: ok -> break :: else fi
  od;
  k = 0; e = 0; ok = 0
}

/* As in hold.pml; besides, what a name stands for is nobody's to free. */
inline try_free(b) {
  do
  :: OP(k = kind[b]; e = epoch[b]);
     if :: k != LIVE -> break :: else fi;
     i = 0; set = 0;
     do :: i < NB && !set -> OP(set = H(b, i); i++) :: else -> break od;
     if :: set -> break :: else fi;
     OP(if
        :: epoch[b] == e -> assert(!BELIEVED(b) && !NAMED(b)); TO(b, BUSY, me); ok = 1
        :: else -> ok = 0
        fi);
     if :: ok -> OP(gen[b]++); OP(TO(b, CACHED, me)); break :: else fi
  od;
  k = 0; e = 0; i = 0; set = 0; ok = 0
}

/* The words as they must be after a death: forward if it was decided, else back. Words and decide word are changed under the
 * lock only, so that loading and storing one is a single step. */
#if defined(BUG_ALWAYS_BACK)
#define FORWARD 0
#elif defined(BUG_ALWAYS_FORWARD)
#define FORWARD 1
#elif defined(BUG_ROLL_DONE_FIRST)
#define FORWARD set
#else
#define FORWARD commit
#endif
inline roll() {
  i = 0;
#ifdef BUG_ROLL_DONE_FIRST      /* the taker dies, too, and the next one undoes the rest */
  OP(set = commit; commit = 0);
#endif
  do
  :: i < NAMES ->
     OP(if
        :: nkind[i] == STAGED -> nkind[i] = (FORWARD -> NAME : UNUSED)
        :: nkind[i] == REPLACING -> nkind[i] = NAME; cur[i] = (FORWARD -> 1 - cur[i] : cur[i])
        :: nkind[i] == LEAVING -> nkind[i] = (FORWARD -> UNUSED : NAME)
        :: else
        fi; i++)
  :: else -> break
  od;
  i = 0; set = 0;
  OP(commit = 0)
}

/* Others release without the lock meanwhile: a bit that a name justifies is never clear for an instant, and what is set after
 * having been missing is followed by a bump. NAMED and count change under the lock only. */
inline rebuild() {
  b = X;
  do
  :: b <= Y ->
#ifdef BUG_REBUILD_CLEARS_FIRST /* "start from nothing": a release meanwhile finds no holder */
     OP(H(b, N) = 0);
#endif
     ok = 0;
#ifndef REBUILD_SETS_NOTHING
     OP(ok = (COUNT(b) > 0 && !H(b, N)); H(b, N) = H(b, N) || ok);
#endif
#ifdef REBUILD_ALWAYS_BUMPS     /* see HOLD_AFTER_DECIDE */
     ok = (COUNT(b) > 0);
#endif
#ifndef BUG_REBUILD_NO_BUMP     /* a release that has read the bit already frees the block */
     if :: ok -> bump(b) :: else fi;
#endif
     ok = 0; b++
  :: else -> break
  od;
  b = X;
  do
  :: b <= Y ->
#ifndef BUG_REBUILD_NO_COUNT    /* the last name is not recognised as the last, or one too early is */
     OP(count[b] = COUNT(b));
#endif
#ifndef BUG_REBUILD_CLEARS_NOTHING /* a publisher died between bit and decide word: the block is named for ever */
     OP(if :: COUNT(b) == 0 -> H(b, N) = 0 :: else fi);
#endif
#ifndef REBUILD_NO_TRY_FREE
     try_free(b);
#endif
     b++
  :: else -> break
  od;
  b = 0
}

/* If the last owner died inside, what he left is put in order first; who dies in that leaves the same task to the next. */
inline lock() {
  OP_WHEN(lck == 0 || dead[lck - 1], torn = (lck != 0); lck = me + 1);
  if
  :: torn ->
     torn = 0;
#ifdef BUG_REBUILD_BEFORE_ROLL  /* what is counted is not what will count */
     rebuild(); roll()
#else
     roll(); rebuild()
#endif
  :: else
  fi
}
inline unlock() { OP(assert(lck == me + 1 && REST); lck = 0) }

/* A value more, or less, names block b. Its holder keeps it alive until the bump. */
inline take(b) {
  OP(assert(kind[b] == LIVE && gen[b] == 1 && H(b, me)); set = H(b, N));
  OP(H(b, N) = 1);
#ifndef BUG_NO_BUMP             /* a release that read NAMED before frees the block when the publisher lets go */
  if :: !set -> bump(b) :: else fi;
#endif
  set = 0;
  OP(count[b]++)
}
inline drop(b) {
  OP(count[b]--; set = (count[b] == 0));
#ifdef BUG_CLEARS_ALWAYS        /* other names stand for the block */
  set = 1;
#endif
  if :: set -> OP(H(b, N) = 0) :: else fi;
  set = 0;
#ifndef BUG_DROP_NO_TRY_FREE    /* it was the last bit */
  try_free(b)
#endif
}

#define REMOVES (NAMES == 3 && !STAYS)

/* What is staged does not count: name 0 in its other value, name 1 in an entry that is no name yet. */
inline stage() {
#ifdef BUG_IN_PLACE             /* what was is gone when the change is undone */
  OP(V(0, cur[0]) = Y; nkind[0] = NAME);
#elif defined(VALUE_AFTER_WORD)
  OP(nkind[0] = REPLACING);
  OP(V(0, 1 - cur[0]) = Y);
#else
  OP(V(0, 1 - cur[0]) = Y);
  OP(nkind[0] = REPLACING);
#endif
  OP(V(1, 0) = Y);
  OP(cur[1] = 0; nkind[1] = STAGED);
  if :: REMOVES -> OP(nkind[2] = LEAVING) :: else fi
}

/* Refused: the way back. Nothing has counted. */
inline back() {
  OP(nkind[0] = NAME);
  OP(nkind[1] = UNUSED);
  if :: REMOVES -> OP(nkind[2] = NAME) :: else fi;
  drop(Y); drop(Y)
}

/* HOLD_AFTER_DECIDE: a publisher that dies between bit and bump leaves names whose bit is set, and was not when a release
 * read it. Nothing is missing, so the rebuild does not bump, and that release frees the block when the publisher's bit is
 * swept. In the right order nothing is decided yet. */
inline change() {
#if !defined(HOLD_AFTER_STAGE) && !defined(HOLD_AFTER_DECIDE)
  take(Y); take(Y);
#endif
#ifdef BUG_NO_DECIDE            /* each word decides for itself: a death in between leaves a mixture */
  OP(V(0, 1 - cur[0]) = Y);
  OP(cur[0] = 1 - cur[0]; decided = 1);
  OP(V(1, 0) = Y);
  OP(cur[1] = 0; nkind[1] = NAME);
  if :: REMOVES -> OP(nkind[2] = UNUSED) :: else fi;
#else
  stage();
# ifdef HOLD_AFTER_STAGE
  take(Y); take(Y);
# endif
# ifdef BUG_DROP_BEFORE_DECIDE  /* the old value still counts */
  drop(X);
# endif
# ifdef REFUSED
  if :: ok = 1 :: true fi;
# endif
  if
  :: ok -> ok = 0; back(); goto refused
  :: else
  fi;
  OP(commit = 1; decided = 1);
# ifdef HOLD_AFTER_DECIDE
  take(Y); take(Y);
# endif
# ifdef DROP_BEFORE_WORD
  drop(X);
# endif
# ifndef BUG_IN_PLACE
  OP(cur[0] = 1 - cur[0]; nkind[0] = NAME);
# endif
# ifdef BUG_DONE_BEFORE_WORD    /* a death after it undoes the rest */
  OP(commit = 0);
# endif
  OP(nkind[1] = NAME);
  if :: REMOVES -> OP(nkind[2] = UNUSED) :: else fi;
#endif
#ifdef DONE_BEFORE_DROP
  OP(commit = 0);
#endif
#if !defined(BUG_DROP_BEFORE_DECIDE) && !defined(DROP_BEFORE_WORD)
  drop(X);
#endif
  if :: REMOVES -> drop(X) :: else fi;
  OP(commit = 0);
refused:
  skip
}

/* What P owns goes, in one change. */
inline remove_owned() {
  OP(nkind[0] = LEAVING);
  OP(nkind[1] = LEAVING);
  OP(commit = 1; gone = 1);
  OP(nkind[0] = UNUSED);
  OP(nkind[1] = UNUSED);
  drop(Y); drop(Y);
  OP(commit = 0)
}

proctype Publisher(byte me) {
  byte i, k, e, b; bit set, ok, torn, mortal = 1;
  lock();
  change();
  unlock();
  OP(assert(kind[Y] == LIVE && gen[Y] == 1); believes[me] = 0; H(Y, me) = 0);
  try_free(Y);
#ifdef OWNED
  lock();
  if :: NEW && !OLD -> remove_owned() :: else fi;
  unlock();
#endif
  over[me] = 1;
died:
  skip
}

proctype Reader(byte me) {
  byte i, k, e, b, v; bit set, ok, torn, mortal = 1;
  lock();
  OP(assert(WHOLE); v = READ(0));
  if
  :: v != 0 ->
#ifdef BUG_LOOK_AND_LEAVE       /* the name is given another value, and the block is gone */
     unlock();
#endif
     OP(assert(kind[v] == LIVE && gen[v] == 1); H(v, me) = 1);
#ifndef BUG_READ_NO_BUMP        /* a release that read my bit before, and then finds NAMED clear, frees the block */
     bump(v);
#endif
     OP(believes[me] = v);
#ifndef BUG_LOOK_AND_LEAVE
     unlock();
#endif
     OP(assert(kind[v] == LIVE && gen[v] == 1 && H(v, me)); believes[me] = 0; H(v, me) = 0);
     try_free(v)
  :: else -> unlock()
  fi;
  over[me] = 1;
died:
  skip
}

proctype Other(byte me) {
  byte i, k, e; bit set, ok, mortal = MORTAL_O;
  OP(assert(kind[HELD] == LIVE && gen[HELD] == 1 && H(HELD, me)); believes[me] = 0; H(HELD, me) = 0);
  try_free(HELD);
  over[me] = 1;
died:
  skip
}

#define TODO(p)  (dead[p] && !swept[p])
#define TODO_ANY (TODO(R) || TODO(O) || TODO(P))
#define ALL_OVER (over[R] && over[O] && over[P])
#define SETTLED(b) (count[b] == COUNT(b) && H(b, N) == (COUNT(b) > 0) && !H(b, R) && !H(b, O) && !H(b, P) && \
  (COUNT(b) > 0 -> kind[b] == LIVE && gen[b] == 1 : kind[b] == FREE || kind[b] == CACHED))

proctype Keeper(byte me) {
  byte i, k, e, b, v; bit set, ok, torn, mortal = 0;
  do
  :: TODO_ANY ->
     lock();
     OP(assert(WHOLE));
     v = 0;
     do
     :: v < NB && TODO(v) ->
#ifdef OWNED
        if :: v == P && NEW && !OLD -> remove_owned() :: else fi;
#endif
        b = X;
        do
        :: b <= Y ->
           OP(H(b, v) = 0);
           try_free(b);
           OP(if :: kind[b] == BUSY && owner[b] == v -> gen[b]++; TO(b, FREE, 0) :: else fi);
           b++
        :: else -> break
        od;
        b = 0;
        swept[v] = 1; v++
     :: v < NB && !TODO(v) -> v++
     :: v == NB -> break
     od;
     v = 0;
     unlock()
  :: ALL_OVER && !TODO_ANY -> break
  od;
  assert(lck == 0 && WHOLE && SETTLED(X) && SETTLED(Y));
died:
  skip
}

init {
  atomic {
    nkind[0] = NAME; V(0, 0) = X; H(X, N) = 1; count[X] = 1;
    if
    :: NAMES == 3 -> nkind[2] = NAME; V(2, 0) = X; count[X] = 2
    :: else
    fi;
    H(Y, P) = 1; believes[P] = Y;
    H(HELD, O) = 1; believes[O] = HELD;
    run Publisher(P); run Reader(R); run Other(O); run Keeper(K)
  }
}
