/* How a pool is created and opened. Twin of pool/options.go. */
#include <inttypes.h>

#include "internal/errors.h"
#include "pool/pool.h"

/* Defaults of a pool. */
#define DEFAULT_DIR "/dev/shm"
#define DEFAULT_CAPACITY (UINT64_C(1) << 30)
#define DEFAULT_PROCESSES NDPOOL_MAX_PROCESSES
#define DEFAULT_TICKETS 8192
#define DEFAULT_NAMES 16384
#define DEFAULT_MODE 0600u
#define DEFAULT_GRACE (INT64_C(600) * 1000000000)
#define DEFAULT_LOCK_WAIT (INT64_C(10) * 1000000000)
#define BYTES_PER_ARRAY (UINT64_C(16) << 10)
#define MODE_MASK 0777u

void options_location(const char *name, const ndpool_options *o, location *l)
{
    *l = (location){.dir = o->dir && *o->dir ? o->dir : DEFAULT_DIR, .name = name ? name : "",
                    .fd = o->fd > 0 ? o->fd : 0,
                    .uids = o->uids, .n_uids = o->n_uids, .gids = o->gids, .n_gids = o->n_gids,
                    .anonymous = o->anonymous, .prefault = o->prefault};
}

static int64_t or_default(int64_t v, int64_t def) { return v ? v : def; }

/* The capacity that a pool of these options has: whole pages, and at least the format's smallest. */
static uint64_t round_capacity(uint64_t n)
{
    if (n < NDPOOL_MIN_CAPACITY)
        n = NDPOOL_MIN_CAPACITY;
    return (n + NDPOOL_PAGE_SIZE - 1) / NDPOOL_PAGE_SIZE * NDPOOL_PAGE_SIZE;
}

static int64_t default_arrays(uint64_t capacity)
{
    uint64_t n = capacity / BYTES_PER_ARRAY;
    return n < 1024 ? 1024 : n > NDPOOL_MAX_ARRAYS ? NDPOOL_MAX_ARRAYS : (int64_t)n;
}

static uint32_t options_flags(const ndpool_options *o)
{
    return (o->persistent ? NDPOOL_FLAG_PERSISTENT : 0u) | (o->reserve ? NDPOOL_FLAG_RESERVED : 0u) |
           (o->huge_pages ? NDPOOL_FLAG_HUGE_PAGES : 0u) | (o->anonymous ? NDPOOL_FLAG_ANONYMOUS : 0u);
}

/* What is stored in the segment, with the defaults filled in. */
int options_spec(const ndpool_options *o, spec *s)
{
    if (o->capacity > NDPOOL_MAX_CAPACITY || o->arrays < 0 || o->processes < 0 || o->tickets < 0 || o->names < 0 ||
        o->grace < 0 || o->lock_wait < 0)
        return fail(NDPOOL_ERR_OPTIONS,
                    "create pool: negative or beyond the format: capacity %" PRIu64 ", arrays %" PRId64
                    ", processes %" PRId64 ", tickets %" PRId64 ", names %" PRId64 ", grace %" PRId64
                    ", lock wait %" PRId64,
                    o->capacity, o->arrays, o->processes, o->tickets, o->names, o->grace, o->lock_wait);
    *s = (spec){.flags = options_flags(o), .mode = (uint32_t)or_default(o->mode & MODE_MASK, DEFAULT_MODE),
                .grace = or_default(o->grace, DEFAULT_GRACE), .lock_wait = or_default(o->lock_wait, DEFAULT_LOCK_WAIT)};
    s->limits.capacity = round_capacity(o->capacity ? o->capacity : DEFAULT_CAPACITY);
    s->limits.arrays = or_default(o->arrays, default_arrays(s->limits.capacity));
    s->limits.processes = or_default(o->processes, DEFAULT_PROCESSES);
    s->limits.tickets = or_default(o->tickets, DEFAULT_TICKETS);
    s->limits.names = or_default(o->names, DEFAULT_NAMES);
    return NDPOOL_OK;
}

void options_stored(const arena *a, ndpool_options *o)
{
    const ndpool_superblock *s = &a->super;
    *o = (ndpool_options){.capacity = s->capacity, .arrays = s->arrays, .processes = s->processes,
                          .tickets = s->tickets, .names = s->names, .mode = s->mode, .grace = s->grace,
                          .lock_wait = s->lock_wait,
                          .persistent = arena_has(a, NDPOOL_FLAG_PERSISTENT),
                          .reserve = arena_has(a, NDPOOL_FLAG_RESERVED),
                          .huge_pages = arena_has(a, NDPOOL_FLAG_HUGE_PAGES),
                          .anonymous = arena_has(a, NDPOOL_FLAG_ANONYMOUS)};
}

void ndpool_get_options(const ndpool *p, ndpool_options *o) { *o = p->stored; }

/* Tells whether what an opener asks for is what the pool was created with. */
int options_agree(const ndpool_options *o, const arena *a)
{
    ndpool_options has;
    options_stored(a, &has);
    const struct {
        const char *what;
        uint64_t got, want; /* want 0: whatever is there */
    } checks[] = {
        {"capacity", has.capacity, o->capacity ? round_capacity(o->capacity) : 0},
        {"arrays", (uint64_t)has.arrays, (uint64_t)o->arrays},
        {"processes", (uint64_t)has.processes, (uint64_t)o->processes},
        {"tickets", (uint64_t)has.tickets, (uint64_t)o->tickets},
        {"names", (uint64_t)has.names, (uint64_t)o->names},
        {"mode", has.mode, o->mode ? o->mode & MODE_MASK : 0},
        {"grace", (uint64_t)has.grace, (uint64_t)o->grace},
        {"lock wait", (uint64_t)has.lock_wait, (uint64_t)o->lock_wait},
        {"persistent", has.persistent, o->persistent},
        {"reserve", has.reserve, o->reserve},
        {"huge pages", has.huge_pages, o->huge_pages},
    };
    for (size_t k = 0; k < sizeof checks / sizeof *checks; k++) {
        if (checks[k].want && checks[k].want != checks[k].got)
            return fail(NDPOOL_ERR_OPTIONS, "open %s: pool has other options: %s: got %" PRId64 ", expected %" PRId64,
                        a->path, checks[k].what, (int64_t)checks[k].got, (int64_t)checks[k].want);
    }
    return NDPOOL_OK;
}
