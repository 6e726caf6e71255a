/*
 * The memory behind a segment: a file, on tmpfs or elsewhere. Its descriptor holds no locks: it asks, commits and
 * punches. Twin of arena/file_linux.go.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "arena/arena.h"

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23 /* linux/mman.h since 5.14 */
#endif

/* Tells whether a descriptor still leads to the segment. A program that closes descriptors it did not open may have
 * closed this one, and its number may be another file's now. */
int file_is_ours(arena *a, int fd)
{
    struct stat st;
    if (fstat(fd, &st))
        return errno != EBADF ? fail_errno(NDPOOL_ERR_SYSTEM, "stat %s", a->path)
                              : fail(NDPOOL_ERR_DESCRIPTOR,
                                     "%s: descriptor of the segment is lost: somebody closed the segment's descriptor %d", a->path, fd);
    if (st.st_dev == a->dev && st.st_ino == a->ino)
        return NDPOOL_OK;
    return fail(NDPOOL_ERR_DESCRIPTOR,
                "%s: descriptor of the segment is lost: somebody closed the segment's descriptor %d, and it is another "
                "file's now",
                a->path, fd);
}

/* Maps the pages of all committed chunks now. Advice: a kernel before 5.14 does not know it. */
static void prefault_all(arena *a)
{
    for (int c = 0; c < a->chunks; c++) {
        if (arena_has(a, NDPOOL_FLAG_RESERVED) || arena_is_committed(a, c)) {
            uint64_t off, size;
            arena_chunk(a, c, &off, &size);
            (void)madvise(a->mem + off, size, MADV_POPULATE_WRITE);
        }
    }
}

/* MADV_DONTDUMP: a core dump of a large segment would keep a dead process's locks for seconds per GiB, and nobody could
 * recover meanwhile. */
static int map_file(arena *a, int protection, uint8_t **mem)
{
    void *m = mmap(NULL, a->geo.file_size, protection, MAP_SHARED | MAP_NORESERVE, a->fd, 0);
    if (m == MAP_FAILED)
        return fail_errno(NDPOOL_ERR_SYSTEM, "map %s (%" PRIu64 " bytes)", a->path, a->geo.file_size);
    *mem = m;
    if (madvise(m, a->geo.file_size, MADV_DONTDUMP))
        return fail_errno(NDPOOL_ERR_SYSTEM, "madvise %s", a->path);
    return NDPOOL_OK;
}

/* Maps the whole file. Released by file_close, also if it fails. */
int file_map(arena *a, bool prefault)
{
    int status = map_file(a, PROT_READ | PROT_WRITE, &a->mem);
    if (status != NDPOOL_OK)
        return status;
    arena_lay(a);
    if (arena_has(a, NDPOOL_FLAG_HUGE_PAGES)) /* advice; kernels without shmem huge pages say EINVAL */
        (void)madvise(a->data, a->geo.limits.capacity, MADV_HUGEPAGE);
    if (prefault)
        prefault_all(a);
    return NDPOOL_OK;
}

static int commit_failed(arena *a, uint64_t n)
{
    if (errno == EOPNOTSUPP)
        return fail_errno(NDPOOL_ERR_FILESYSTEM, "file system cannot carry a segment: fallocate %s", a->path);
    if (errno != ENOSPC && errno != ENOMEM)
        return fail_errno(NDPOOL_ERR_SYSTEM, "fallocate %s", a->path);
    int why = errno;
    uint64_t unused, total;
    arena_space(a, &unused, &total);
    errno = why;
    fail_errno(NDPOOL_ERR_NO_MEMORY,
               "commit %" PRIu64 " bytes at %s: file system has %" PRIu64 " bytes free of %" PRIu64
               "; raise its size (mount -o remount,size=..., docker --shm-size) or choose another directory",
               n, a->path, unused, total);
    ndpool_error *e = error_now();
    e->asked = n;
    e->free = unused;
    e->capacity = total;
    return NDPOOL_ERR_NO_MEMORY;
}

int file_commit(arena *a, uint64_t off, uint64_t n)
{
    int status = file_is_ours(a, a->fd);
    if (status != NDPOOL_OK)
        return status;
    while (fallocate(a->fd, 0, (off_t)off, (off_t)n)) {
        if (errno != EINTR)
            return commit_failed(a, n);
    }
    return NDPOOL_OK;
}

int file_punch(arena *a, uint64_t off, uint64_t n)
{
    int status = file_is_ours(a, a->fd);
    if (status != NDPOOL_OK)
        return status;
    while (fallocate(a->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)off, (off_t)n)) {
        if (errno != EINTR)
            return fail_errno(NDPOOL_ERR_SYSTEM, "punch %s", a->path);
    }
    return NDPOOL_OK;
}

void arena_space(arena *a, uint64_t *unused, uint64_t *total)
{
    struct statfs st;
    *unused = *total = 0;
    if (fstatfs(a->fd, &st))
        return;
    *unused = (uint64_t)st.f_bavail * (uint64_t)st.f_bsize;
    *total = (uint64_t)st.f_blocks * (uint64_t)st.f_bsize;
}

/* Released by file_close, also if it fails. */
int file_map_read_only(arena *a)
{
    int status = file_is_ours(a, a->fd);
    return status != NDPOOL_OK ? status : map_file(a, PROT_READ, &a->ro);
}

bool arena_linked(arena *a)
{
    struct stat there;
    if (!a->named)
        return true;
    return lstat(a->path, &there) == 0 && there.st_dev == a->dev && there.st_ino == a->ino;
}

int arena_unlink(arena *a)
{
    if (a->named && arena_linked(a) && unlink(a->path))
        return fail_errno(NDPOOL_ERR_SYSTEM, "unlink %s", a->path);
    return NDPOOL_OK;
}

/* The locks of what it gives are nobody's: whoever opens the segment by it gets a description of his own. */
int arena_file(arena *a, int *fd)
{
    int status = file_is_ours(a, a->fd);
    if (status != NDPOOL_OK)
        return status;
    int copy = fcntl(a->fd, F_DUPFD_CLOEXEC, 3);
    if (copy < 0)
        return fail_errno(NDPOOL_ERR_SYSTEM, "dup %s", a->path);
    *fd = copy;
    return NDPOOL_OK;
}

/* A descriptor that is somebody else's by now is left alone. */
void file_close(arena *a)
{
    struct stat st;
    if (a->mem)
        munmap(a->mem, a->geo.file_size);
    if (a->ro)
        munmap(a->ro, a->geo.file_size);
    if (a->fd >= 0 && fstat(a->fd, &st) == 0 && st.st_dev == a->dev && st.st_ino == a->ino)
        close(a->fd);
    a->mem = a->ro = NULL;
    a->fd = -1;
}
