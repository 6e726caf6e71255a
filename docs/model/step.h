/* What every model shares: a step, and death between steps.
 *
 * OP(...) is one atomic memory operation of the real program: a load, a store, an exchange, a compare-and-swap. What is
 * written with it in one OP is either on locals or on ghosts (variables that the program does not have and the check needs).
 * Instead of the operation the process may die, if it is mortal and kills are left: so a process can be killed
 * between any two operations, at the cost of no state of its own.
 *
 * OP_WHEN(guard, ...) is an OP that waits for the guard: a lock, or a system call that blocks.
 *
 * Each model defines LAST_WORDS, the ghosts that die with a process, before it includes this file, and has in every mortal
 * proctype a byte `me`, a bit `mortal` and a label `died` at its end.
 */
#ifndef KILLS
#define KILLS 1
#endif

byte kills = 0;                 /* ghost: how many were killed so far */

#define DIE            atomic { (mortal && kills < KILLS) -> kills++; dead[me] = 1; LAST_WORDS; goto died }
#define OP(...)        if :: d_step { __VA_ARGS__ } :: DIE fi
#define OP_WHEN(g,...) if :: d_step { (g) -> __VA_ARGS__ } :: DIE fi

/* The state word of a descriptor is kind, owner and epoch, read and changed together. Every change goes through TO, which
 * bumps the epoch: comparing the epoch is then comparing the word. The real epoch has 48 bits; here it must not wrap. */
#define FREE    0
#define BUSY    1
#define LIVE    2
#define CACHED  3
#define PRIVATE 4
#define TO(knd, own)   assert(epoch < 255); epoch++; kind = knd; owner = own
