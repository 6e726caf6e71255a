/* What queue.c, put.c and get.c share. */
#ifndef NDPOOL_POOL_QUEUE_H
#define NDPOOL_POOL_QUEUE_H

#include "pool/pool.h"

/* How many entries are put or got in one hold of the lock, but for an item that is longer. */
enum { QUEUE_BATCH = 256 };

/* Any number of threads may use it: nothing in it changes but how it went with the spinning. A forked child has it,
 * too, as it has its parent's references. Local. */
struct ndpool_queue {
    ndpool *p;
    ring_ref ref;
    spins put_spins, get_spins;
};

/* Who has been woken, and leaves something behind, wakes one more: who woke him has woken no others. */
void queue_pass_on(const ring *r, bool slept, bool room);
int queue_too_long(const char *verb, size_t asked, size_t limit); /* NDPOOL_ERR_TOO_LONG */

#endif
