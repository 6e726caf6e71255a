/* This thread's error, and what the statuses are called. */
#include "internal/errors.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* Local; each thread has its own. */
static _Thread_local ndpool_error last;

ndpool_error *error_now(void) { return &last; }
const ndpool_error *ndpool_last_error(void) { return &last; }
const char *ndpool_version(void) { return "0.1.0"; }

/* What the C library says about errno; it has two ways to be asked. */
static const char *errno_text(int e, char *buffer, size_t size)
{
#ifdef __GLIBC__
    return strerror_r(e, buffer, size);
#else
    return strerror_r(e, buffer, size) == 0 ? buffer : "unknown error";
#endif
}

static void append(char *to, size_t size, const char *text)
{
    size_t used = strlen(to), n = strlen(text);
    if (n > size - used - 1)
        n = size - used - 1;
    memcpy(to + used, text, n);
    to[used + n] = 0;
}

/* The text is made apart: the arguments may lie in the last error. errno stays as it is. */
static void say(int status, int e, const char *format, va_list args)
{
    char text[sizeof last.message], buffer[128];
    int kept = errno;
    if (vsnprintf(text, sizeof text, format, args) < 0)
        text[0] = 0;
    if (e) {
        append(text, sizeof text, ": ");
        append(text, sizeof text, errno_text(e, buffer, sizeof buffer));
    }
    last = (ndpool_error){.status = status, .sys_errno = e};
    append(last.message, sizeof last.message, text);
    errno = kept;
}

int fail(int status, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    say(status, 0, format, args);
    va_end(args);
    return status;
}

int fail_errno(int status, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    say(status, errno, format, args);
    va_end(args);
    return status;
}

int fail_within(const char *format, ...)
{
    ndpool_error e = last;
    va_list args;
    va_start(args, format);
    say(e.status, 0, format, args);
    va_end(args);
    append(last.message, sizeof last.message, ": ");
    append(last.message, sizeof last.message, e.message);
    memcpy(e.message, last.message, sizeof e.message);
    last = e;
    return e.status;
}

static const char *const names[NDPOOL_ERR_END] = {
    [NDPOOL_OK] = "ok",
    [NDPOOL_ERR_CLOSED] = "closed",
    [NDPOOL_ERR_FULL] = "full",
    [NDPOOL_ERR_TABLE_FULL] = "table-full",
    [NDPOOL_ERR_FOREIGN] = "foreign",
    [NDPOOL_ERR_SPEC] = "spec",
    [NDPOOL_ERR_MISMATCH] = "mismatch",
    [NDPOOL_ERR_CORRUPT] = "corrupt",
    [NDPOOL_ERR_OPTIONS] = "options",
    [NDPOOL_ERR_DEAD] = "dead",
    [NDPOOL_ERR_HASH] = "hash",
    [NDPOOL_ERR_STALE] = "stale",
    [NDPOOL_ERR_PRIVATE] = "private",
    [NDPOOL_ERR_HELD] = "held",
    [NDPOOL_ERR_SEALED] = "sealed",
    [NDPOOL_ERR_SPENT] = "spent",
    [NDPOOL_ERR_EXPIRED] = "expired",
    [NDPOOL_ERR_RECALLED] = "recalled",
    [NDPOOL_ERR_FORGED] = "forged",
    [NDPOOL_ERR_NOT_RECEIVER] = "not-receiver",
    [NDPOOL_ERR_NOT_SENDER] = "not-sender",
    [NDPOOL_ERR_EXIST] = "exist",
    [NDPOOL_ERR_NOT_EXIST] = "not-exist",
    [NDPOOL_ERR_NAME] = "name",
    [NDPOOL_ERR_FORMAT] = "format",
    [NDPOOL_ERR_UNCLEAN] = "unclean",
    [NDPOOL_ERR_PERMISSION] = "permission",
    [NDPOOL_ERR_FILESYSTEM] = "filesystem",
    [NDPOOL_ERR_PROCESSES] = "processes",
    [NDPOOL_ERR_LOCK_TIMEOUT] = "lock-timeout",
    [NDPOOL_ERR_NO_MEMORY] = "no-memory",
    [NDPOOL_ERR_DESCRIPTOR] = "descriptor",
    [NDPOOL_ERR_FORKED] = "forked",
    [NDPOOL_ERR_MESSAGE] = "message",
    [NDPOOL_ERR_TIMEOUT] = "timeout",
    [NDPOOL_ERR_SYSTEM] = "system",
    [NDPOOL_ERR_PATH] = "path",
    [NDPOOL_ERR_NO_NAME] = "no-name",
    [NDPOOL_ERR_NAME_TAKEN] = "name-taken",
    [NDPOOL_ERR_GROUP] = "group",
    [NDPOOL_ERR_VERSION] = "version",
    [NDPOOL_ERR_ATTRIBUTES] = "attributes",
    [NDPOOL_ERR_NOT_LOCKED] = "not-locked",
    [NDPOOL_ERR_KIND] = "kind",
    [NDPOOL_ERR_WRITER] = "writer",
    [NDPOOL_ERR_ENDED] = "ended",
    [NDPOOL_ERR_WRITER_DIED] = "writer-died",
    [NDPOOL_ERR_SHUT] = "shut",
    [NDPOOL_ERR_TOO_LONG] = "too-long",
};

const char *ndpool_status_name(int status)
{
    return status >= 0 && status < NDPOOL_ERR_END && names[status] ? names[status] : "internal";
}
