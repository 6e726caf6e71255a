/* The life of an attachment. Twin of arena/attach.go and arena/arena.go. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "arena/arena.h"

enum {
    NAME_BYTES = 200,
    /* How often arena_open starts again while a segment is being removed, with pauses that grow to half a second in
     * all: the last one out decides without delay, but may lose its processor meanwhile. */
    RESTARTS = 32,
    RESTART_NAP = 1000000, /* nanoseconds, times the number of restarts */
};

/* ---- arena.go */

/* Precondition: super and geo are validated against the file's size. */
void arena_lay(arena *a)
{
    const geometry *g = &a->geo;
    uint8_t *at[NDPOOL_REGION_COUNT + 1];
    for (int kind = NDPOOL_REGION_CONTROL; kind <= NDPOOL_REGION_COUNT; kind++)
        at[kind] = a->mem + g->regions[kind].offset;
    a->pages = limits_pages(&g->limits);
    a->chunks = limits_chunks(&g->limits);
    a->slab_count = limits_slabs(&g->limits);
    a->n_slots = (uint32_t)g->limits.processes;
    a->n_tickets = (uint32_t)g->limits.tickets;
    a->n_descs = (uint32_t)g->limits.arrays;
    a->ctl = (ndpool_control *)at[NDPOOL_REGION_CONTROL];
    a->slots = (ndpool_slot *)at[NDPOOL_REGION_SLOTS];
    a->committed = (shm_u64 *)at[NDPOOL_REGION_COMMITTED];
    a->page_bits = (shm_u64 *)at[NDPOOL_REGION_PAGES];
    a->page_tree = (ndpool_page_node *)at[NDPOOL_REGION_PAGE_TREE];
    a->slabs = (ndpool_slab *)at[NDPOOL_REGION_SLABS];
    a->slab_sets = (shm_u64 *)at[NDPOOL_REGION_SLAB_SETS];
    a->desc_set = (shm_u64 *)at[NDPOOL_REGION_DESC_SET];
    a->ticket_set = (shm_u64 *)at[NDPOOL_REGION_TICKET_SET];
    a->name_set = (shm_u64 *)at[NDPOOL_REGION_NAME_SET];
    a->name_heads = (shm_u32 *)at[NDPOOL_REGION_NAME_HEADS];
    a->names = (ndpool_name *)at[NDPOOL_REGION_NAMES];
    a->tickets = (ndpool_ticket *)at[NDPOOL_REGION_TICKETS];
    a->descs = (ndpool_desc *)at[NDPOOL_REGION_DESCS];
    a->data = at[NDPOOL_REGION_DATA];
}

uint8_t *arena_read_only(arena *a, uint64_t off)
{
    spin_lock(&a->ro_once);
    bool ok = a->ro || file_map_read_only(a) == NDPOOL_OK;
    uint8_t *ro = a->ro;
    spin_unlock(&a->ro_once);
    if (ok)
        return ro + a->geo.regions[NDPOOL_REGION_DATA].offset + off;
    fail_within("map %s read-only", a->path);
    return NULL;
}

arena *arena_new(const location *loc)
{
    arena *a = calloc(1, sizeof *a);
    if (!a)
        return NULL;
    a->fd = -1;
    a->member = a->child = OFD_NONE;
    a->named = location_named(loc);
    a->path = location_path(loc);
    if (a->path)
        return a;
    free(a);
    errno = ENOMEM;
    return NULL;
}

/* errno stays as it is, and so does this thread's error. */
void arena_close(arena *a)
{
    int kept = errno;
    ofd_drop(&a->member);
    ofd_drop(&a->child);
    file_close(a);
    free(a->path);
    free(a->temp);
    free(a);
    errno = kept;
}

/* ---- attach.go */

char *location_path(const location *loc)
{
    char *path;
    int n;
    if (loc->fd > 0) {
        n = asprintf(&path, "<fd %d>", loc->fd);
    } else if (loc->anonymous) {
        n = asprintf(&path, "<memfd %s>", loc->name);
    } else {
        int dir = (int)strlen(loc->dir);
        while (dir > 1 && loc->dir[dir - 1] == '/')
            dir--;
        n = asprintf(&path, "%.*s%s%s", dir, loc->dir, dir > 0 && loc->dir[dir - 1] != '/' ? "/" : "", loc->name);
    }
    return n < 0 ? NULL : path;
}

int check_name(const char *name)
{
    size_t n = name ? strnlen(name, NAME_BYTES + 1) : 0;
    if (n == 0 || n > NAME_BYTES || name[0] == '.' || strchr(name, '/'))
        return fail(NDPOOL_ERR_NAME, "invalid segment name: \"%.*s\" (want 1 to %d bytes, no slash, no leading dot)",
                    NAME_BYTES, name ? name : "", NAME_BYTES);
    return NDPOOL_OK;
}

/* Nobody ever attaches to a half-made segment, and a death before the file has its name leaves nothing. */
int arena_create(const location *loc, const spec *s, int (*format)(arena *), arena **out)
{
    *out = NULL;
    int status = loc->fd > 0 ? NDPOOL_OK : check_name(loc->name);
    if (status != NDPOOL_OK)
        return status;
    arena *a = arena_new(loc);
    if (!a)
        return fail_errno(NDPOOL_ERR_SYSTEM, "create %s", loc->name ? loc->name : "segment");
    status = super_new(s, &a->super, &a->geo);
    if (status == NDPOOL_OK)
        status = file_create(loc, a, format);
    if (status != NDPOOL_OK) {
        fail_within("create %s", a->path);
        arena_close(a);
        return status;
    }
    *out = a;
    return NDPOOL_OK;
}

/* Takes the pool's byte: shared, or exclusively if first and nobody is attached. */
static int take_pool_byte(arena *a, bool first, bool *alone)
{
    bool got = true;
    int status = NDPOOL_OK;
    *alone = false;
    if (first)
        status = ofd_lock(&a->member, NDPOOL_POOL_BYTE, true, alone);
    if (status == NDPOOL_OK && !*alone)
        status = ofd_lock(&a->member, NDPOOL_POOL_BYTE, false, &got);
    if (status != NDPOOL_OK) {
        error_now()->status = NDPOOL_ERR_FILESYSTEM;
        return fail_within("lock %s: file system cannot carry a segment", a->path);
    }
    return got ? NDPOOL_OK : fail(STATUS_RESTART, "open %s: segment is being removed, start again", a->path);
}

/* Takes the pool's byte, and asks the kernel whether the lock shows, from a description that holds none: where it does
 * not, liveness cannot be known. */
static int join(arena *a, bool first, bool *alone)
{
    bool held;
    int status = ofd_open(a, &a->member);
    if (status == NDPOOL_OK)
        status = take_pool_byte(a, first, alone);
    if (status != NDPOOL_OK)
        return status;
    if (ofd_held(a, NDPOOL_POOL_BYTE, &held) != NDPOOL_OK || !held)
        return fail(NDPOOL_ERR_FILESYSTEM,
                    "lock %s: file system cannot carry a segment: a lock of this process does not show", a->path);
    return NDPOOL_OK;
}

int arena_start(arena *a, int (*format)(arena *))
{
    bool alone, dirty;
    shm_copy(a->mem, &a->super, sizeof a->super);
    arena_stamp_boot(a);
    int status = join(a, false, &alone);
    if (status == NDPOOL_OK)
        status = arena_claim(a, &dirty);
    return status == NDPOOL_OK ? format(a) : status;
}

/* Refuses the unclean image of another boot: its locks mean nothing any more. */
static int check_clean(arena *a)
{
    for (uint32_t slot = 0; slot < a->n_slots; slot++) {
        ident id;
        if (arena_ident(a, slot, &id) && !arena_alive(a, id))
            return fail(NDPOOL_ERR_UNCLEAN, "open %s: segment was left unclean by another boot: slot %u is in use",
                        a->path, slot);
    }
    return NDPOOL_OK;
}

/* Precondition: this process holds the boot's byte. */
static int renew_deadlines(arena *a)
{
    int status = arena_same_boot(a) ? NDPOOL_OK : check_clean(a);
    if (status != NDPOOL_OK || arena_same_boot(a))
        return status;
    for (uint32_t n = 0; n < a->n_tickets; n++) {
        if (ticket_kind(shm_load64(&a->tickets[n].word)) == NDPOOL_TICKET_OPEN)
            shm_store64(&a->tickets[n].deadline, (uint64_t)(boot_time() + a->super.grace));
    }
    arena_stamp_boot(a);
    return NDPOOL_OK;
}

/* Makes the deadlines of a clean segment of another boot count in this one. It comes before the claim, and one at a time:
 * nobody ever has a slot in a segment of another boot, so whoever dies, what was clean stays clean. */
static int renew_boot(arena *a)
{
    bool got;
    if (arena_same_boot(a))
        return NDPOOL_OK;
    int status = ofd_lock(&a->member, NDPOOL_BOOT_BYTE, true, &got);
    if (status != NDPOOL_OK)
        return fail_within("open %s: lock the boot", a->path);
    if (!got)
        return fail(STATUS_RESTART, "open %s: segment is being renewed, start again", a->path);
    status = renew_deadlines(a);
    ofd_unlock(&a->member, NDPOOL_BOOT_BYTE);
    return status;
}

/* Joins the segment and refuses one that must not be used. */
static int enter(arena *a, bool replace, bool (*orphaned)(arena *))
{
    bool alone, got;
    int status = join(a, replace, &alone);
    if (status != NDPOOL_OK)
        return status;
    if (alone && orphaned(a)) {
        status = arena_unlink(a);
        return status != NDPOOL_OK ? status : fail(NDPOOL_ERR_NOT_EXIST, "open %s: no such segment", a->path);
    }
    if (alone)
        status = ofd_lock(&a->member, NDPOOL_POOL_BYTE, false, &got);
    if (status == NDPOOL_OK && !arena_linked(a))
        status = fail(STATUS_RESTART, "open %s: segment is being removed, start again", a->path);
    return status == NDPOOL_OK ? renew_boot(a) : status;
}

static int open_once(const location *loc, bool replace, bool (*orphaned)(arena *), arena **out)
{
    arena *a = arena_new(loc);
    if (!a)
        return fail_errno(NDPOOL_ERR_SYSTEM, "open %s", loc->name ? loc->name : "segment");
    int status = file_open(loc, a);
    if (status == NDPOOL_OK)
        status = enter(a, replace, orphaned);
    if (status != NDPOOL_OK) {
        arena_close(a);
        return status;
    }
    *out = a;
    return NDPOOL_OK;
}

int arena_open(const location *loc, bool replace, bool (*orphaned)(arena *), arena **out)
{
    *out = NULL;
    int status = loc->fd > 0 ? NDPOOL_OK : check_name(loc->name);
    if (status != NDPOOL_OK)
        return status;
    for (int n = 0; n < RESTARTS; n++) {
        if (n > 0)
            spin_nap((long)n * RESTART_NAP);
        status = open_once(loc, replace, orphaned, out);
        if (status != STATUS_RESTART)
            return status;
    }
    error_now()->status = NDPOOL_ERR_TIMEOUT;
    return NDPOOL_ERR_TIMEOUT;
}

/* Tells whether the deadlines in the segment count in this boot. */
bool arena_same_boot(arena *a)
{
    uint64_t id[2];
    boot_id(id);
    return shm_load64(&a->ctl->boot[0]) == id[0] && shm_load64(&a->ctl->boot[1]) == id[1];
}

/* Says that they do. */
void arena_stamp_boot(arena *a)
{
    uint64_t id[2];
    boot_id(id);
    shm_store64(&a->ctl->boot[0], id[0]);
    shm_store64(&a->ctl->boot[1], id[1]);
}
