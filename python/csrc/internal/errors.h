/*
 * How the files of this library report errors: a function that can fail returns an int, NDPOOL_OK or an ndpool_status,
 * and has said what is wrong, with numbers, by fail. ndpool_last_error gives it to the user.
 */
#ifndef NDPOOL_INTERNAL_ERRORS_H
#define NDPOOL_INTERNAL_ERRORS_H

#include "ndpool.h"

/* Statuses that never reach a user. */
enum {
    STATUS_RESTART = 1000, /* the segment is being removed or renewed, start again */
    STATUS_GROW,           /* the descriptor table must grow */
    STATUS_NO_DESC,        /* no free descriptor */
    STATUS_NO_TICKET,      /* no free ticket */
    STATUS_NO_SPACE,       /* no free extent is large enough */
    STATUS_TORN,           /* the indexes contradict themselves */
    STATUS_NO_ENTRY,       /* no free entry of the catalog that has memory */
    STATUS_IS_GROUP,       /* a name is a group and should be an array's */
    STATUS_IS_ARRAY,       /* the other way */
    STATUS_NOT_EMPTY,      /* a group has names in it */
    STATUS_MORE,           /* a buffer that was made before the lock is too small */
    STATUS_NOTHING,        /* a ring has nothing for the caller yet */
    STATUS_NO_ROOM,        /* a ring has no room yet */
};

/* Sets this thread's error: status, message, all numbers zero. Returns the status. */
int fail(int status, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Like fail, and appends ": " and what errno means. */
int fail_errno(int status, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Puts what was being done, and ": ", in front of this thread's message; status and numbers stay. Returns the
 * status. */
int fail_within(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* This thread's error, to add numbers to, or to keep while other functions fail. */
ndpool_error *error_now(void);

#endif
