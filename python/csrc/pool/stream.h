/* What frame.c and read.c share: the reader of a stream. */
#ifndef NDPOOL_POOL_STREAM_H
#define NDPOOL_POOL_STREAM_H

#include "pool/pool.h"

/* Local. In a forked child it is refused, since a role in a ring is its process's. */
struct ndpool_reader {
    ndpool *p;
    ident self; /* the process that opened it */
    char *path;
    bool every, from_now;
    spin turn;    /* one thread is in a step at a time, always inside a verb, so that a fork finds it unlocked; guards the rest */
    ring_ref ref; /* handle 0: there was no such stream yet */
    bool entered;   /* the writer waits for it */
    uint32_t place; /* among the readers that the writer waits for */
    uint32_t ends;  /* of the stream when the reader was told, or when it came to the stream */
    uint64_t next;  /* position of the first frame that was not read */
    spins spins;
    int64_t looked; /* when it was asked last who lives and where the name leads, mono_time */
};

/* Takes the stream that the name leads to, if there is one and it is not the one that the reader has. first: it may
 * have been there before the reader was; else all in it is new. Preconditions: the caller is inside a verb, and has the
 * turn. */
int reader_find(ndpool_reader *r, bool first);

#endif
