/*
 * Looking inside takes no lock but where it says so, and to read what lies before an array in its block. Numbers of a busy
 * pool are of slightly different moments; each array, process and transfer is whole. Twin of pool/inspect.go.
 */
#include "pool/pool.h"

enum { LOOKS = 10 }; /* at a block that changes while it is looked at */

/* Begins looking, also at a snapshot, which no other verb may be called on; released by pool_leave. */
int pool_look(ndpool *p)
{
    if (!p->snapshot)
        return pool_enter(p);
    gate_enter(&p->verbs);
    if (!atomic_load(&p->closed))
        return NDPOOL_OK;
    gate_leave(&p->verbs);
    return fail(NDPOOL_ERR_CLOSED, "look at pool %s: snapshot is closed", p->path);
}

/* Begins to read bytes of blocks that this process need not hold: with the lock, so that there is memory behind what is
 * alive. A snapshot has all bytes that it needs. Released by pool_beside_end. */
int pool_beside(ndpool *p) { return p->snapshot ? NDPOOL_OK : pool_lock(p); }

void pool_beside_end(ndpool *p)
{
    if (!p->snapshot)
        pool_unlock(p);
}

static bool is_array(state s) { return state_kind(s) == NDPOOL_KIND_LIVE || state_kind(s) == NDPOOL_KIND_PRIVATE; }

/* Finds the free pages and the longest run of them: under the segment lock, or, of a snapshot, from the extents. */
static int find_free(ndpool *p, int *free_pages, int *largest)
{
    if (p->snapshot)
        return pool_gaps(p, free_pages, largest);
    int status = pool_lock(p);
    if (status != NDPOOL_OK)
        return status;
    alloc_free_pages(&p->alloc, free_pages, largest);
    pool_unlock(p);
    return NDPOOL_OK;
}

int ndpool_stats(ndpool *p, ndpool_stats_t *out)
{
    int free_pages, largest;
    int status = pool_look(p);
    if (status != NDPOOL_OK)
        return status;
    status = find_free(p, &free_pages, &largest);
    if (status == NDPOOL_OK)
        pool_stats(p, free_pages, largest, out);
    pool_leave(p);
    return status;
}

static void count_blocks(const ndpool *p, ndpool_stats_t *s)
{
    for (uint32_t i = 0, n = pool_descs(p); i < n; i++) {
        extent e;
        bool valid = pool_extent(p, i, &e);
        state st = pool_state(p, i);
        if (state_kind(st) == NDPOOL_KIND_RETIRED) {
            s->retired++;
        } else if (valid && state_kind(st) == NDPOOL_KIND_CACHED) {
            s->cached += extent_size(e);
        } else if (valid && is_array(st)) {
            uint64_t bytes = shm_load64(&pool_desc(p, i)->bytes);
            s->arrays++;
            s->held += extent_size(e);
            s->live += bytes < extent_size(e) ? bytes : extent_size(e);
        }
    }
}

static uint64_t committed_bytes(const arena *a)
{
    uint64_t n = 0, capacity = a->geo.limits.capacity;
    for (int c = 0; c < a->chunks; c++) {
        uint64_t rest = capacity - (uint64_t)c * NDPOOL_CHUNK_SIZE;
        if (arena_has(a, NDPOOL_FLAG_RESERVED) || arena_is_committed(a, c))
            n += rest < NDPOOL_CHUNK_SIZE ? rest : NDPOOL_CHUNK_SIZE;
    }
    return n;
}

/* Makes a summary, given the free pages and the longest run of them. */
void pool_stats(ndpool *p, int free_pages, int largest, ndpool_stats_t *out)
{
    const arena *a = p->arena;
    const ndpool_control *c = a->ctl;
    const limits *l = &a->geo.limits;
    ndpool_stats_t s = {.capacity = l->capacity, .tables = a->geo.file_size - l->capacity,
                        .array_limit = (uint64_t)l->arrays, .process_limit = (uint64_t)l->processes,
                        .transfer_limit = (uint64_t)l->tickets, .name_limit = (uint64_t)l->names, .takeovers = shm_load64(&c->takeovers),
                        .sweeps = shm_load64(&c->sweeps), .expired = shm_load64(&c->expired),
                        .stolen = shm_load64(&c->stolen), .lost = shm_load64(&c->lost),
                        .trimmed = shm_load64(&c->trimmed)};
    s.free = (uint64_t)free_pages * NDPOOL_PAGE_SIZE;
    s.largest_free = (uint64_t)largest * NDPOOL_PAGE_SIZE;
    s.committed = committed_bytes(a);
    count_blocks(p, &s);
    for (uint32_t slot = 0; slot < a->n_slots; slot++) {
        ident id;
        s.processes += arena_ident(a, slot, &id);
    }
    for (uint32_t n = 0; n < a->n_tickets; n++)
        s.transfers += refs_ticket_open(&p->refs, n);
    for (uint32_t e = 0, n = catalog_committed(a); e < n; e++) {
        name_value v;
        s.names += catalog_named(&p->names, e, &v);
    }
    *out = s;
}

void pool_find_holders(const ndpool *p, uint32_t i, state s, uint64_t holders[4])
{
    memset(holders, 0, 4 * sizeof *holders);
    for (uint32_t slot = 0; slot < p->arena->n_slots; slot++) {
        if (refs_holds(&p->refs, i, (int)slot))
            holders[slot / 64] |= UINT64_C(1) << (slot % 64);
    }
    if (state_kind(s) == NDPOOL_KIND_PRIVATE)
        holders[state_owner(s) / 64] |= UINT64_C(1) << (state_owner(s) % 64);
}

static void describe_array(const ndpool *p, uint32_t i, state s, extent e, const meta *m, ndpool_array_info *out)
{
    out->handle = pool_handle_of(p, i);
    out->dtype = m->dtype;
    out->bytes = m->bytes;
    out->extent = extent_size(e);
    out->offset = extent_offset(e) + m->header;
    out->ndim = (uint32_t)m->ndim;
    out->flags = (m->flags & NDPOOL_DESC_FORTRAN ? NDPOOL_FORTRAN : 0) |
                 (m->flags & NDPOOL_DESC_HASHED ? NDPOOL_HASHED : 0) | (state_sealed(s) ? NDPOOL_SEALED : 0) |
                 (state_kind(s) == NDPOOL_KIND_PRIVATE ? NDPOOL_PRIVATE : 0) |
                 (m->flags & NDPOOL_DESC_RING ? NDPOOL_RING : 0);
    out->in_transit = shm_load32(&pool_desc(p, i)->tickets);
    out->record_bytes = m->record_bytes;
    out->named = refs_holds(&p->refs, i, NDPOOL_NAMED);
    pool_find_holders(p, i, s, out->holders);
}

/* Looks again if the block changed hands meanwhile. Precondition: as for pool_read. */
static bool look_array(ndpool *p, uint32_t i, ndpool_array_info *out)
{
    for (int n = 0; n < LOOKS; n++) {
        state before = pool_state(p, i);
        meta m;
        extent e;
        if (!is_array(before))
            return false;
        if (pool_read(p, i, &m, out->shape) != NDPOOL_OK || !pool_extent(p, i, &e))
            continue;
        describe_array(p, i, before, e, &m, out);
        if (pool_state(p, i) == before)
            return true;
    }
    return false;
}

/* Describes block i if it is alive. */
static bool array_info(ndpool *p, uint32_t i, ndpool_array_info *out)
{
    if (shm_load32(&pool_desc(p, i)->header) == 0)
        return look_array(p, i, out);
    if (pool_beside(p) != NDPOOL_OK)
        return false;
    bool found = look_array(p, i, out);
    pool_beside_end(p);
    return found;
}

/* By descriptor. An array whose metadata cannot be read is left out; ndpool_verify names it. */
bool ndpool_next_array(ndpool *p, uint32_t *cursor, ndpool_array_info *out)
{
    if (pool_look(p) != NDPOOL_OK)
        return false;
    bool found = false;
    for (uint32_t n = pool_descs(p); !found && *cursor < n; *cursor += 1)
        found = array_info(p, *cursor, out);
    pool_leave(p);
    return found;
}

/* Copies the text of a structured type, of an array that is only looked at. */
static int info_record(ndpool *p, const ndpool_array_info *info, void *text)
{
    uint32_t i, asked = (uint32_t)(info->handle >> 32);
    int64_t shape[NDPOOL_MAX_NDIM];
    meta m;
    int status = pool_resolve(p, info->handle, &i);
    if (status != NDPOOL_OK)
        return status;
    status = pool_read(p, i, &m, shape);
    if (status == NDPOOL_OK && m.record_bytes == info->record_bytes && m.record_bytes > 0)
        status = pool_read_record(p, i, &m, text);
    /* A generation ends before the next one's text is stored: what was read is this one's if it is still the same. */
    if (pool_gen(p, i) != asked || !is_array(pool_state(p, i)) || (status == NDPOOL_OK && m.record_bytes != info->record_bytes))
        return fail(NDPOOL_ERR_STALE, "read dtype of block %u: stale handle: generation %u asked, %u found", i, asked, pool_gen(p, i));
    return status;
}

int ndpool_info_record(ndpool *p, const ndpool_array_info *info, void *text)
{
    int status = pool_look(p);
    if (status != NDPOOL_OK)
        return status;
    status = pool_beside(p);
    if (status == NDPOOL_OK) {
        status = info_record(p, info, text);
        pool_beside_end(p);
    }
    pool_leave(p);
    return status;
}

/* Bytes of the UTF-8 sequence that s starts with; 0 if it starts with none. */
static int utf8_sequence(const unsigned char *s)
{
    if (s[0] < 0x80)
        return 1;
    if (s[0] < 0xc2 || s[0] > 0xf4)
        return 0;
    int n = s[0] < 0xe0 ? 2 : s[0] < 0xf0 ? 3 : 4;
    unsigned char least = s[0] == 0xe0 ? 0xa0 : s[0] == 0xf0 ? 0x90 : 0x80; /* of the second byte */
    unsigned char most = s[0] == 0xed ? 0x9f : s[0] == 0xf4 ? 0x8f : 0xbf;
    if (s[1] < least || s[1] > most)
        return 0;
    for (int k = 2; k < n; k++) {
        if (s[k] < 0x80 || s[k] > 0xbf)
            return 0;
    }
    return n;
}

/* Copies a command's name, which anybody may have written, with a question mark for each run of bytes that is no UTF-8.
 * Precondition: text ends with a NUL. */
static void copy_command(char *to, const unsigned char *text)
{
    bool bad = false;
    while (*text) {
        int n = utf8_sequence(text);
        if (n == 0 && !bad)
            *to++ = '?';
        bad = n == 0;
        memcpy(to, text, (size_t)n);
        to += n;
        text += n ? n : 1;
    }
    *to = 0;
}

static void describe_slot(const ndpool_slot *s, uint32_t slot, ident id, ndpool_process_info *out)
{
    uint64_t comm[3] = {shm_load64(&s->comm[0]), shm_load64(&s->comm[1]), 0};
    *out = (ndpool_process_info){.id = id, .slot = (int32_t)slot, .pid = (int32_t)shm_load32(&s->pid),
                                 .uid = (int32_t)shm_load32(&s->uid), .pid_namespace = shm_load64(&s->pid_ns),
                                 .attached = boot_time() - (int64_t)shm_load64(&s->attached)};
    copy_command(out->command, (const unsigned char *)comm);
}

/* What each slot holds. Local. */
typedef struct holds {
    const ndpool *pool;
    struct {
        uint64_t arrays, bytes, cached;
    } slot[NDPOOL_MAX_PROCESSES];
} holds;

static void count_hold(void *arg, uint32_t i, uint32_t slot)
{
    holds *h = arg;
    extent e;
    if (pool_extent(h->pool, i, &e)) {
        h->slot[slot].arrays++;
        h->slot[slot].bytes += extent_size(e);
    }
}

static void count_holds(ndpool *p, holds *h)
{
    *h = (holds){.pool = p};
    pool_each_hold(p, count_hold, h);
    for (uint32_t i = 0, n = pool_descs(p); i < n; i++) {
        state s = pool_state(p, i);
        extent e;
        if (state_kind(s) != NDPOOL_KIND_CACHED || (uint32_t)state_owner(s) >= p->arena->n_slots)
            continue;
        if (pool_extent(p, i, &e))
            h->slot[state_owner(s)].cached += extent_size(e);
    }
}

/* The process table, living and dead. */
size_t ndpool_processes(ndpool *p, ndpool_process_info *out, size_t size)
{
    holds h;
    size_t found = 0;
    if (pool_look(p) != NDPOOL_OK)
        return 0;
    count_holds(p, &h);
    for (uint32_t slot = 0; slot < p->arena->n_slots && found < size; slot++) {
        ident id;
        if (!arena_ident(p->arena, slot, &id))
            continue;
        ndpool_process_info *info = &out[found++];
        describe_slot(&p->arena->slots[slot], slot, id, info);
        info->alive = arena_alive(p->arena, id);
        info->self = id == p->arena->self;
        info->arrays = h.slot[slot].arrays;
        info->bytes = h.slot[slot].bytes;
        info->cached = h.slot[slot].cached;
    }
    pool_leave(p);
    return found;
}

/* Describes ticket n if it is open. */
static bool transfer_info(const ndpool *p, uint32_t n, ndpool_transfer_info *out)
{
    const ndpool_ticket *k = &p->arena->tickets[n];
    ticket_word w = shm_load64(&k->word);
    if (ticket_kind(w) != NDPOOL_TICKET_OPEN)
        return false;
    int64_t now = boot_time();
    uint64_t ticket = n | (uint64_t)ticket_nonce(w) << 32;
    *out = (ndpool_transfer_info){.transfer = {.handle = shm_load64(&k->handle), .ticket = ticket},
                                  .sender = shm_load64(&k->sender), .receiver = shm_load64(&k->receiver),
                                  .age = (int64_t)((uint64_t)now - shm_load64(&k->birth))};
    uint64_t deadline = shm_load64(&k->deadline);
    if (deadline != 0)
        out->expires = (int64_t)(deadline - (uint64_t)now);
    return shm_load64(&k->word) == w;
}

bool ndpool_next_transfer(ndpool *p, uint32_t *cursor, ndpool_transfer_info *out)
{
    if (pool_look(p) != NDPOOL_OK)
        return false;
    bool found = false;
    for (; !found && *cursor < p->arena->n_tickets; *cursor += 1)
        found = transfer_info(p, *cursor, out);
    pool_leave(p);
    return found;
}
