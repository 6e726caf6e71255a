/* The superblock: made and validated. Twin of arena/super.go. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#include "arena/arena.h"
#include "internal/xxhash.h"

static int64_t unix_time(void)
{
    struct timespec ts = {0};
    clock_gettime(CLOCK_REALTIME, &ts);
    return (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
}

int super_new(const spec *s, ndpool_superblock *sb, geometry *g)
{
    char text[160];
    if (!limits_check(&s->limits, text, sizeof text))
        return fail(NDPOOL_ERR_OPTIONS, "%s", text);
    geometry_compute(&s->limits, g);
    *sb = (ndpool_superblock){
        .version = NDPOOL_FORMAT_VERSION, .byte_order = NDPOOL_BYTE_ORDER, .fingerprint = NDPOOL_FINGERPRINT,
        .created = unix_time(), .file_size = g->file_size, .capacity = s->limits.capacity,
        .arrays = (uint32_t)s->limits.arrays, .processes = (uint32_t)s->limits.processes,
        .tickets = (uint32_t)s->limits.tickets, .names = (uint32_t)s->limits.names,
        .flags = s->flags, .mode = s->mode, .grace = s->grace, .lock_wait = s->lock_wait,
    };
    memcpy(sb->magic, NDPOOL_MAGIC, sizeof sb->magic);
    memcpy(sb->regions, &g->regions[1], NDPOOL_REGION_COUNT * sizeof *sb->regions);
    if (getrandom(sb->segment, sizeof sb->segment, 0) != sizeof sb->segment)
        return fail_errno(NDPOOL_ERR_SYSTEM, "getrandom");
    sb->checksum = super_checksum(sb);
    return NDPOOL_OK;
}

/* The xxhash of the superblock with its checksum zero. */
uint64_t super_checksum(const ndpool_superblock *sb)
{
    ndpool_superblock copy = *sb;
    copy.checksum = 0;
    return xxhash64(&copy, sizeof copy);
}

/* Writes a magic so that it can be shown. */
static void show_magic(const uint8_t magic[8], char text[40])
{
    int n = 0;
    for (int i = 0; i < 8; i++) {
        bool plain = magic[i] >= ' ' && magic[i] < 0x7f && magic[i] != '\\' && magic[i] != '"';
        n += snprintf(text + n, 40 - (size_t)n, plain ? "%c" : "\\x%02x", magic[i]);
    }
}

int super_check_magic(const uint8_t magic[8], const char *path)
{
    char got[40], want[40];
    if (memcmp(magic, NDPOOL_MAGIC, 8) == 0)
        return NDPOOL_OK;
    show_magic(magic, got);
    show_magic((const uint8_t *)NDPOOL_MAGIC, want);
    return fail(NDPOOL_ERR_FORMAT, "open %s: magic: got \"%s\", expected \"%s\"", path, got, want);
}

static int bad(const char *path, const char *what, uint64_t got, uint64_t want)
{
    return fail(NDPOOL_ERR_FORMAT, "open %s: %s: got %" PRIu64 ", expected %" PRIu64, path, what, got, want);
}

static int check_head(const ndpool_superblock *sb, const char *path)
{
    int status = super_check_magic(sb->magic, path);
    if (status != NDPOOL_OK)
        return status;
    if (sb->byte_order != NDPOOL_BYTE_ORDER)
        return bad(path, "byte order", sb->byte_order, NDPOOL_BYTE_ORDER);
    if (sb->version < NDPOOL_FORMAT_VERSION)
        return bad(path, "version (made by an older ndpool)", sb->version, NDPOOL_FORMAT_VERSION);
    if (sb->version > NDPOOL_FORMAT_VERSION)
        return bad(path, "version (made by a newer ndpool)", sb->version, NDPOOL_FORMAT_VERSION);
    if (sb->fingerprint != NDPOOL_FINGERPRINT)
        return bad(path, "fingerprint of the layout", sb->fingerprint, NDPOOL_FINGERPRINT);
    if (sb->checksum != super_checksum(sb))
        return bad(path, "checksum of the superblock", sb->checksum, super_checksum(sb));
    if (sb->flags & ~(uint32_t)NDPOOL_FLAGS_KNOWN)
        return bad(path, "flags", sb->flags, NDPOOL_FLAGS_KNOWN);
    return NDPOOL_OK;
}

static bool same_region(const ndpool_region *x, const ndpool_region *y)
{
    return x->kind == y->kind && x->version == y->version && x->offset == y->offset && x->size == y->size;
}

static int check_directory(const ndpool_superblock *sb, const char *path, const geometry *g)
{
    static const ndpool_region none;
    for (size_t i = 0; i < sizeof sb->regions / sizeof *sb->regions; i++) {
        const ndpool_region *r = &sb->regions[i], *want = i < NDPOOL_REGION_COUNT ? &g->regions[i + 1] : &none;
        if (!same_region(r, want))
            return fail(NDPOOL_ERR_FORMAT,
                        "open %s: region directory: got {%u %u %" PRIu64 " %" PRIu64 "}, expected {%u %u %" PRIu64
                        " %" PRIu64 "}",
                        path, r->kind, r->version, r->offset, r->size, want->kind, want->version, want->offset,
                        want->size);
    }
    return NDPOOL_OK;
}

/* Every number that is used later comes from this copy. */
int super_check(const ndpool_superblock *sb, const char *path, uint64_t file_size, geometry *g)
{
    char text[160];
    const limits l = {.capacity = sb->capacity, .arrays = sb->arrays, .processes = sb->processes,
                      .tickets = sb->tickets, .names = sb->names};
    int status = check_head(sb, path);
    if (status != NDPOOL_OK)
        return status;
    if (!limits_check(&l, text, sizeof text))
        return fail(NDPOOL_ERR_FORMAT, "open %s: limits: got %s, expected limits of the format", path, text);
    geometry_compute(&l, g);
    status = check_directory(sb, path, g);
    if (status != NDPOOL_OK)
        return status;
    if (sb->file_size != g->file_size || file_size != g->file_size)
        return bad(path, "file size", file_size, g->file_size);
    return NDPOOL_OK;
}
