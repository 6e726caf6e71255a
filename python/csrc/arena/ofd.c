/*
 * Open file descriptions of their own, for the kernel's open-file-description locks (F_OFD_SETLK, l_pid 0). They belong
 * to the description, not to the process: two of them in one process exclude each other, closing another descriptor of
 * the file does not drop them, and they work across PID namespaces and on unlinked files. Twin of arena/ofd_linux.go.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#include "arena/arena.h"

static struct flock one_byte(uint64_t byte, int type)
{
    return (struct flock){.l_type = (short)type, .l_whence = SEEK_SET, .l_start = (off_t)byte, .l_len = 1};
}

static size_t page_size(void) { return (size_t)sysconf(_SC_PAGESIZE); }

/* Opens the file anew through /proc, which works without a name and gives a passed descriptor a description of its
 * own. */
int ofd_open(arena *a, ofd *d)
{
    char path[40];
    *d = OFD_NONE;
    snprintf(path, sizeof path, "/proc/self/fd/%d", a->fd);
    int fd = file_raise(open(path, O_RDWR | O_CLOEXEC));
    if (fd < 0)
        return fail_errno(NDPOOL_ERR_SYSTEM, "open again %s", a->path);
    int status = file_is_ours(a, fd);
    if (status != NDPOOL_OK) {
        close(fd);
        return status;
    }
    d->fd = fd;
    return NDPOOL_OK;
}

/* Asks from the descriptor that holds no locks. Somebody may have closed it, and opened another file under its number,
 * in which nobody holds anything: before a no is believed the descriptor is looked at. A yes is one system call. */
int ofd_held(arena *a, uint64_t byte, bool *held)
{
    struct flock lk = one_byte(byte, F_WRLCK);
    if (fcntl(a->fd, F_OFD_GETLK, &lk))
        return fail_errno(NDPOOL_ERR_SYSTEM, "query lock %s", a->path);
    *held = lk.l_type != F_UNLCK;
    return *held ? NDPOOL_OK : file_is_ours(a, a->fd);
}

/* Precondition: the description is not pinned yet. */
int ofd_lock(ofd *d, uint64_t byte, bool exclusive, bool *got)
{
    struct flock lk = one_byte(byte, exclusive ? F_WRLCK : F_RDLCK);
    *got = fcntl(d->fd, F_OFD_SETLK, &lk) == 0;
    if (*got || errno == EAGAIN || errno == EACCES)
        return NDPOOL_OK;
    return fail_errno(NDPOOL_ERR_SYSTEM, "lock segment: byte %#llx", (unsigned long long)byte);
}

void ofd_unlock(ofd *d, uint64_t byte)
{
    struct flock lk = one_byte(byte, F_UNLCK);
    (void)fcntl(d->fd, F_OFD_SETLK, &lk);
}

/* Maps one page that nobody can touch through the description, and closes the descriptor. The locks now live exactly as
 * long as the address space: a stray close cannot drop them, a fork does not inherit them, and exec, unmapping and
 * death end them. */
int ofd_pin(ofd *d)
{
    void *page = mmap(NULL, page_size(), PROT_NONE, MAP_SHARED, d->fd, 0);
    if (page == MAP_FAILED)
        return fail_errno(NDPOOL_ERR_SYSTEM, "pin lock");
    if (madvise(page, page_size(), MADV_DONTFORK)) {
        int status = fail_errno(NDPOOL_ERR_SYSTEM, "pin lock");
        munmap(page, page_size());
        return status;
    }
    d->page = page;
    close(d->fd);
    d->fd = -1;
    return NDPOOL_OK;
}

void ofd_drop(ofd *d)
{
    if (d->page)
        munmap(d->page, page_size());
    if (d->fd >= 0)
        close(d->fd);
    *d = OFD_NONE;
}
