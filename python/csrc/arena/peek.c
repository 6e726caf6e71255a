/*
 * Looking at a segment without attaching: nothing of it is written, mapped or given memory, no slot is taken, and
 * whoever may read the file may look. Twin of arena/peek_linux.go.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "arena/arena.h"

enum {
    PEEK_BATCH = 1024, /* descriptors */
    PEEK_LOOKS = 4,
    DESC_WORDS = NDPOOL_DESC_SIZE / 8,
    DESC_HEAD = 24, /* bytes: state, generation, extent */
};

/* Reads n bytes of the file from off on. A read, unlike a mapping, puts no memory behind a hole. */
static int copy_in(arena *a, void *to, uint64_t n, uint64_t off)
{
    for (uint8_t *at = to; n > 0;) {
        ssize_t got = pread(a->fd, at, n, (off_t)off);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return fail_errno(NDPOOL_ERR_SYSTEM, "read %s", a->path);
        if (got == 0)
            return fail(NDPOOL_ERR_SYSTEM, "read %s: unexpected end of file", a->path);
        at += got;
        off += (uint64_t)got;
        n -= (uint64_t)got;
    }
    return NDPOOL_OK;
}

static uint64_t desc_offset(const arena *a, uint32_t i)
{
    return a->geo.regions[NDPOOL_REGION_DESCS].offset + (uint64_t)i * NDPOOL_DESC_SIZE;
}

/* Takes over the second look at what changed since the first, and tells whether anything did. */
static bool compare(arena *a, uint32_t lo, uint32_t hi, const uint64_t *again, bool *whole)
{
    bool changed = false;
    for (uint32_t k = 0; k < hi - lo; k++) {
        const uint64_t *second = again + (size_t)k * DESC_WORDS;
        whole[k] = whole[k] || shm_load64(&a->descs[lo + k].state) == *second;
        if (whole[k])
            continue;
        shm_copy(&a->descs[lo + k], second, NDPOOL_DESC_SIZE);
        changed = true;
    }
    return changed;
}

/* Copies descriptors [lo, hi). A state word never comes back, so what lies between two looks at the same one is whole.
 * The others are looked at again, a few times. */
static int copy_descs(arena *a, uint32_t lo, uint32_t hi, uint64_t *again)
{
    bool whole[PEEK_BATCH] = {false};
    uint64_t off = desc_offset(a, lo), n = (uint64_t)(hi - lo) * NDPOOL_DESC_SIZE;
    int status = copy_in(a, a->mem + off, n, off);
    for (int looks = 0; looks < PEEK_LOOKS && status == NDPOOL_OK; looks++) {
        status = copy_in(a, again, n, off);
        if (status == NDPOOL_OK && !compare(a, lo, hi, again, whole))
            break;
    }
    return status;
}

static int copy_all_descs(arena *a)
{
    uint64_t *again = malloc((size_t)PEEK_BATCH * NDPOOL_DESC_SIZE);
    if (!again)
        return fail_errno(NDPOOL_ERR_SYSTEM, "peek %s", a->path);
    uint32_t n = shm_load32(&a->ctl->descs);
    if (n > a->n_descs)
        n = a->n_descs;
    int status = NDPOOL_OK;
    for (uint32_t lo = 0; lo < n && status == NDPOOL_OK; lo += PEEK_BATCH)
        status = copy_descs(a, lo, n - lo < PEEK_BATCH ? n : lo + PEEK_BATCH, again);
    free(again);
    return status;
}

/* Copies the tables that are truth, of the descriptors those that have memory. The derived indexes are left zero, and
 * the lock is nobody's. Each descriptor is whole; the whole is of slightly different moments. */
static int copy_truth(arena *a)
{
    static const int kinds[] = {NDPOOL_REGION_CONTROL, NDPOOL_REGION_SLOTS, NDPOOL_REGION_COMMITTED,
                                NDPOOL_REGION_TICKETS};
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        const ndpool_region *r = &a->geo.regions[kinds[i]];
        int status = copy_in(a, a->mem + r->offset, r->size, r->offset);
        if (status != NDPOOL_OK)
            return status;
    }
    uint64_t names = a->geo.regions[NDPOOL_REGION_NAMES].offset;
    uint32_t n = shm_load32(&a->ctl->names);
    if (n > (uint64_t)a->geo.limits.names)
        n = (uint32_t)a->geo.limits.names;
    int status = copy_in(a, a->mem + names, (uint64_t)n * NDPOOL_NAME_SIZE, names);
    if (status != NDPOOL_OK)
        return status;
    shm_store32(&a->ctl->lock, 0);
    return copy_all_descs(a);
}

/* Opens the file and copies it. What it leaves open at an error is the arena's. */
static int peek(arena *a)
{
    uint64_t size;
    int status = file_open_path(a->path, O_RDONLY, &a->fd);
    if (status == NDPOOL_OK)
        status = file_regular(a, &size);
    if (status == NDPOOL_OK)
        status = file_read_super(a);
    if (status == NDPOOL_OK)
        status = super_check(&a->super, a->path, size, &a->geo);
    if (status != NDPOOL_OK)
        return status;
    void *m = mmap(NULL, a->geo.file_size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (m == MAP_FAILED)
        return fail_errno(NDPOOL_ERR_SYSTEM, "peek %s: map %" PRIu64 " bytes", a->path, a->geo.file_size);
    a->mem = m;
    arena_lay(a);
    return copy_truth(a);
}

/* Released by arena_close. */
int arena_peek(const location *loc, arena **out)
{
    *out = NULL;
    int status = check_name(loc->name);
    if (status != NDPOOL_OK)
        return status;
    arena *a = arena_new(loc);
    if (!a)
        return fail_errno(NDPOOL_ERR_SYSTEM, "peek %s", loc->name);
    a->snapshot = true;
    a->self = make_ident(0, 0); /* a process that never was: incarnations count from 1 */
    status = peek(a);
    if (status != NDPOOL_OK) {
        arena_close(a);
        return status;
    }
    *out = a;
    return NDPOOL_OK;
}

/* Preconditions: the arena is that of a peek; the bytes lie within the data region. */
int arena_fetch(arena *a, uint64_t off, uint64_t n)
{
    return copy_in(a, arena_data(a, off), n, a->geo.regions[NDPOOL_REGION_DATA].offset + off);
}

/* Preconditions: the arena is that of a peek; i lies within the table. */
int arena_fetch_desc(arena *a, uint32_t i)
{
    uint64_t off = desc_offset(a, i);
    return copy_in(a, a->mem + off, DESC_HEAD, off);
}

int arena_attended(arena *a, bool *yes) { return ofd_held(a, NDPOOL_POOL_BYTE, yes); }
