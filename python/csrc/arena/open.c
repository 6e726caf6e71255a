/* Files of segments: made, named, opened and refused. Twin of arena/open_linux.go. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "arena/arena.h"

/* ---- making */

/* A file with a temporary name, where the file system cannot do without. */
static int new_temp(const location *loc, arena *a)
{
    uint64_t r[2];
    if (getrandom(r, sizeof r, 0) != sizeof r)
        return fail_errno(NDPOOL_ERR_SYSTEM, "getrandom");
    if (asprintf(&a->temp, "%s/.ndpool-%016" PRIx64 "%016" PRIx64, loc->dir, r[0], r[1]) < 0) {
        a->temp = NULL;
        return fail_errno(NDPOOL_ERR_SYSTEM, "open %s", loc->dir);
    }
    a->fd = file_raise(open(a->temp, O_CREAT | O_EXCL | O_RDWR | O_CLOEXEC | O_NOFOLLOW, 0600));
    return a->fd < 0 ? fail_errno(NDPOOL_ERR_SYSTEM, "open %s", a->temp) : NDPOOL_OK;
}

/* A file without a name, or with a temporary one. */
static int new_file(const location *loc, arena *a)
{
    if (loc->fd > 0) {
        a->fd = fcntl(loc->fd, F_DUPFD_CLOEXEC, 3);
        return a->fd < 0 ? fail_errno(NDPOOL_ERR_SYSTEM, "dup descriptor %d", loc->fd) : NDPOOL_OK;
    }
    if (loc->anonymous) {
        a->fd = file_raise(memfd_create(loc->name, MFD_CLOEXEC | MFD_ALLOW_SEALING));
        return a->fd < 0 ? fail_errno(NDPOOL_ERR_SYSTEM, "memfd_create") : NDPOOL_OK;
    }
    a->fd = file_raise(open(loc->dir, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600));
    if (a->fd >= 0)
        return NDPOOL_OK;
    if (errno == EOPNOTSUPP || errno == EISDIR)
        return new_temp(loc, a);
    return fail_errno(NDPOOL_ERR_SYSTEM, "open %s", loc->dir);
}

/* So that it never stands in for standard input, output or error. */
int file_raise(int fd)
{
    if (fd < 0 || fd > 2)
        return fd;
    int high = fcntl(fd, F_DUPFD_CLOEXEC, 3), why = errno;
    close(fd);
    errno = why;
    return high;
}

/* Which file the descriptor is of. */
static int know(arena *a, struct stat *st)
{
    if (fstat(a->fd, st))
        return fail_errno(NDPOOL_ERR_SYSTEM, "stat %s", a->path);
    a->dev = st->st_dev;
    a->ino = st->st_ino;
    return NDPOOL_OK;
}

/* File systems whose locks and mappings do not reach all machines; numbers as in linux/magic.h, the last four their
 * own. */
static const struct {
    uint32_t type;
    const char *name;
} network_filesystems[] = {
    {0x6969, "nfs"},      {0x517b, "smb"},      {0xff534d42, "cifs"}, {0xfe534d42, "smb2"},   {0x01021997, "9p"},
    {0x5346414f, "afs"},  {0x6b414653, "afs"},  {0x00c36400, "ceph"}, {0x73757245, "coda"},   {0x65735546, "fuse"},
    {0x0bd00bd0, "lustre"}, {0x47504653, "gpfs"}, {0x7461636f, "ocfs2"}, {0x01161970, "gfs2"},
};

static int refuse_network(arena *a)
{
    struct statfs st;
    if (fstatfs(a->fd, &st))
        return fail_errno(NDPOOL_ERR_SYSTEM, "statfs %s", a->path);
    for (size_t i = 0; i < sizeof network_filesystems / sizeof *network_filesystems; i++) {
        if (network_filesystems[i].type == (uint32_t)st.f_type)
            return fail(NDPOOL_ERR_FILESYSTEM,
                        "file system cannot carry a segment: %s is on %s, whose locks and mappings may not reach every "
                        "process",
                        a->path, network_filesystems[i].name);
    }
    return NDPOOL_OK;
}

/* Commits all that is not committed at creation anyway, but not the gap before the data region, which may be as large
 * as a chunk. */
static int reserve(arena *a)
{
    static const int kinds[] = {NDPOOL_REGION_DESCS, NDPOOL_REGION_DATA};
    int status = NDPOOL_OK;
    for (int i = 0; i < 2 && status == NDPOOL_OK; i++)
        status = file_commit(a, a->geo.regions[kinds[i]].offset, a->geo.regions[kinds[i]].size);
    return status;
}

/* Gives a new, empty file its size, mode and seals. */
static int shape(const location *loc, arena *a, const struct stat *st)
{
    if (st->st_size != 0)
        return fail(NDPOOL_ERR_EXIST, "segment exists: the passed file has %lld bytes already", (long long)st->st_size);
    if (ftruncate(a->fd, (off_t)a->geo.file_size))
        return fail_errno(NDPOOL_ERR_SYSTEM, "ftruncate to %" PRIu64 " bytes", a->geo.file_size);
    if (a->named && fchmod(a->fd, a->super.mode))
        return fail_errno(NDPOOL_ERR_SYSTEM, "chmod to %#o", a->super.mode);
    if (loc->anonymous && fcntl(a->fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL))
        return fail_errno(NDPOOL_ERR_SYSTEM, "seal memfd");
    return NDPOOL_OK;
}

/* Gives a new file its size, mode and memory, and maps it. */
static int prepare(const location *loc, arena *a)
{
    struct stat st;
    int status = know(a, &st);
    if (status == NDPOOL_OK)
        status = refuse_network(a);
    if (status == NDPOOL_OK)
        status = shape(loc, a, &st);
    if (status == NDPOOL_OK)
        status = file_commit(a, 0, geometry_eager(&a->geo));
    if (status == NDPOOL_OK && arena_has(a, NDPOOL_FLAG_RESERVED))
        status = reserve(a);
    return status == NDPOOL_OK ? file_map(a, loc->prefault) : status;
}

/* Gives the file its name. link fails if the name is taken, so creation is exclusive. */
static int publish(arena *a)
{
    char path[40];
    if (!a->named)
        return NDPOOL_OK;
    snprintf(path, sizeof path, "/proc/self/fd/%d", a->fd);
    if (a->temp ? link(a->temp, a->path) == 0 : linkat(AT_FDCWD, path, AT_FDCWD, a->path, AT_SYMLINK_FOLLOW) == 0)
        return NDPOOL_OK;
    if (errno == EEXIST)
        return fail(NDPOOL_ERR_EXIST, "segment exists");
    return fail_errno(NDPOOL_ERR_SYSTEM, "link %s", a->path);
}

int file_create(const location *loc, arena *a, int (*format)(arena *))
{
    int status = new_file(loc, a);
    if (status == NDPOOL_OK)
        status = prepare(loc, a);
    if (status == NDPOOL_OK)
        status = arena_start(a, format);
    if (status == NDPOOL_OK)
        status = publish(a);
    if (a->temp)
        unlink(a->temp);
    free(a->temp);
    a->temp = NULL;
    return status;
}

/* ---- opening */

int file_open_path(const char *path, int access, int *fd)
{
    *fd = file_raise(open(path, access | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK));
    if (*fd >= 0)
        return NDPOOL_OK;
    if (errno == ENOENT)
        return fail_errno(NDPOOL_ERR_NOT_EXIST, "open %s: no such segment", path);
    if (errno == ELOOP)
        return fail(NDPOOL_ERR_PERMISSION, "open %s: segment refused: it is a symlink", path);
    return fail_errno(NDPOOL_ERR_SYSTEM, "open %s", path);
}

static int open_file(const location *loc, const char *path, int *fd)
{
    if (loc->fd <= 0)
        return file_open_path(path, O_RDWR, fd);
    *fd = fcntl(loc->fd, F_DUPFD_CLOEXEC, 3);
    return *fd < 0 ? fail_errno(NDPOOL_ERR_SYSTEM, "dup descriptor %d", loc->fd) : NDPOOL_OK;
}

static int regular(arena *a, struct stat *st)
{
    int status = know(a, st);
    if (status == NDPOOL_OK && !S_ISREG(st->st_mode))
        status = fail(NDPOOL_ERR_FORMAT, "open %s: file type: got %#o, expected a regular file", a->path,
                      st->st_mode & S_IFMT);
    return status;
}

/* Refuses what is no regular file. */
int file_regular(arena *a, uint64_t *size)
{
    struct stat st;
    int status = regular(a, &st);
    if (status == NDPOOL_OK)
        *size = (uint64_t)st.st_size;
    return status;
}

static bool among(uint32_t id, const uint32_t *ids, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (ids[i] == id)
            return true;
    }
    return false;
}

/* Refuses files that are not regular, or that belong to somebody who is not allowed. */
static int check_file(const location *loc, arena *a, uint64_t *size)
{
    struct stat st;
    int status = regular(a, &st);
    if (status != NDPOOL_OK)
        return status;
    *size = (uint64_t)st.st_size;
    if (!a->named || st.st_uid == geteuid() || among(st.st_uid, loc->uids, loc->n_uids) ||
        among(st.st_gid, loc->gids, loc->n_gids))
        return NDPOOL_OK;
    return fail(NDPOOL_ERR_PERMISSION,
                "open %s: segment refused: it belongs to uid %u, gid %u, and this process is uid %u; name the uid or "
                "gid to allow it",
                a->path, st.st_uid, st.st_gid, geteuid());
}

/* Reads the superblock into private memory. */
int file_read_super(arena *a)
{
    ssize_t n = pread(a->fd, &a->super, sizeof a->super, 0);
    if (n < 0)
        return fail_errno(NDPOOL_ERR_SYSTEM, "read %s", a->path);
    if (n < (ssize_t)sizeof a->super)
        return fail(NDPOOL_ERR_FORMAT, "open %s: file size: got %zd, expected at least %zu bytes", a->path, n,
                    sizeof a->super);
    return NDPOOL_OK;
}

/* Opens the file, refuses what is not ours to open, reads and validates the superblock, and maps the file. */
int file_open(const location *loc, arena *a)
{
    uint64_t size;
    int status = open_file(loc, a->path, &a->fd);
    if (status == NDPOOL_OK)
        status = check_file(loc, a, &size);
    if (status == NDPOOL_OK)
        status = refuse_network(a);
    if (status == NDPOOL_OK)
        status = file_read_super(a);
    if (status == NDPOOL_OK)
        status = super_check(&a->super, a->path, size, &a->geo);
    return status == NDPOOL_OK ? file_map(a, loc->prefault) : status;
}

static int unlink_checked(const location *loc, arena *a)
{
    uint8_t magic[8] = {0};
    uint64_t size;
    int status = open_file(loc, a->path, &a->fd);
    if (status == NDPOOL_OK)
        status = check_file(loc, a, &size);
    if (status != NDPOOL_OK)
        return status;
    if (pread(a->fd, magic, sizeof magic, 0) != sizeof magic)
        memset(magic, 0, sizeof magic);
    status = super_check_magic(magic, a->path);
    return status == NDPOOL_OK ? arena_unlink(a) : status;
}

/* Processes that are attached go on undisturbed. */
int arena_unlink_name(const location *loc)
{
    int status = check_name(loc->name);
    if (status != NDPOOL_OK)
        return status;
    arena *a = arena_new(loc);
    if (!a)
        return fail_errno(NDPOOL_ERR_SYSTEM, "unlink %s", loc->name);
    status = unlink_checked(loc, a);
    arena_close(a);
    return status;
}

/* Parses up to 16 hexadecimal digits from *p on, and skips the dashes between them. */
static uint64_t hex16(const char **p)
{
    static const char digits[] = "0123456789abcdef";
    uint64_t v = 0;
    for (int n = 0; n < 16 && **p; (*p)++) {
        const char *digit = strchr(digits, **p);
        if (!digit && **p != '-')
            break;
        if (!digit)
            continue;
        v = v << 4 | (uint64_t)(digit - digits);
        n++;
    }
    return v;
}

/* The kernel's id of this boot; zeros if it does not tell. */
void boot_id(uint64_t id[2])
{
    char text[64] = "";
    id[0] = id[1] = 0;
    int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return;
    ssize_t n = read(fd, text, sizeof text - 1);
    close(fd);
    if (n <= 0)
        return;
    text[n] = 0;
    const char *p = text;
    id[0] = hex16(&p);
    id[1] = hex16(&p);
}
