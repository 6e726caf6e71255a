/* Streams and their writers. Twin of pool/stream.go. */
#include "pool/pool.h"

#include <stdlib.h>

#include "internal/errors.h"

/* Local. */
struct ndpool_writer {
    ndpool *p;
    ident self; /* the process that is the writer */
    char *path;
    ring_ref ref;
    spins spins;
};

static int refuse_fork(const char *verb, const char *path)
{
    return fail(NDPOOL_ERR_FORKED, "%s \"%.200s\": it was opened before this process was forked; open it anew", verb, path);
}

/* Takes the writer's place, also that of a writer who is dead, which readers are told. */
static int begin_locked(ndpool_writer *w, ident *other)
{
    ndpool *p = w->p;
    const ring *r = &w->ref.ring;
    *other = ring_writer(r);
    if (*other != 0 && arena_alive(p->arena, *other))
        return NDPOOL_ERR_WRITER;
    (void)ring_sweep_dead(r, p->arena);
    ring_begin(r, p->arena->self);
    return NDPOOL_OK;
}

/* Tells who is the writer. */
static int writer_error(const ndpool_writer *w, ident other)
{
    int64_t slot = ident_slot(other);
    int pid = slot >= 0 && slot < w->p->arena->n_slots ? (int)shm_load32(&w->p->arena->slots[slot].pid) : 0;
    fail(NDPOOL_ERR_WRITER, "write stream \"%.200s\": process %d (slot %d) writes it", w->path, pid, (int)slot);
    error_now()->pid = pid;
    error_now()->slot = (int32_t)slot;
    return NDPOOL_ERR_WRITER;
}

static int begin(ndpool_writer *w)
{
    ident other = 0;
    int status = pool_enter(w->p);
    if (status != NDPOOL_OK)
        return status;
    status = pool_lock(w->p);
    if (status == NDPOOL_OK) {
        status = begin_locked(w, &other);
        pool_unlock(w->p);
    }
    if (status == NDPOOL_OK)
        w->self = w->p->arena->self; /* before that, closing ends no role */
    if (status == NDPOOL_ERR_WRITER)
        writer_error(w, other);
    pool_leave(w->p);
    return status;
}

/* Ends the writing. If the lock cannot be had the slot's sweep does it when the process leaves. */
static void end(ndpool_writer *w)
{
    const ring *r = &w->ref.ring;
    if (pool_stay(w->p) != NDPOOL_OK)
        return;
    if (pool_lock(w->p) == NDPOOL_OK) {
        if (ring_writer(r) == w->self)
            ring_end(r, false);
        pool_unlock(w->p);
        bell_ring(ring_news(r), RING_ALL);
    }
    pool_leave(w->p);
}

static void writer_free(ndpool_writer *w)
{
    free(w->path);
    free(w);
}

int ndpool_writer_open(ndpool *p, const char *path, const ndpool_ring_options *o, ndpool_writer **out)
{
    ndpool_writer *w = calloc(1, sizeof *w);
    *out = NULL;
    if (!w || !(w->path = strdup(path))) {
        free(w);
        return fail_errno(NDPOOL_ERR_SYSTEM, "write stream: %zu bytes", sizeof *w);
    }
    w->p = p;
    int status = pool_open_ring(p, "write stream", path, NDPOOL_RING_STREAM, o, &w->ref);
    if (status != NDPOOL_OK) {
        writer_free(w);
        return status;
    }
    pool_open_role(p);
    status = begin(w);
    if (status == NDPOOL_OK) {
        *out = w;
        return status;
    }
    ndpool_error why = *error_now();
    ndpool_writer_close(w);
    *error_now() = why;
    return status;
}

/* In a forked child the role is the parent's; the child has a reference of its own to the ring. */
void ndpool_writer_close(ndpool_writer *w)
{
    if (!w)
        return;
    ndpool *p = w->p;
    if (!pool_forked(p)) {
        if (w->self != 0 && w->self == atomic_load(&p->self))
            end(w);
        (void)pool_drop(p, w->ref.block);
        pool_close_role(p);
    }
    writer_free(w);
}

/* ---- publishing */

/* One frame on its way. Local. */
typedef struct publication {
    ndpool_writer *w;
    ring_entry e;
    uint64_t sequence;
} publication;

/* Puts the frame if there is room, or if there can be. */
static int put_locked(publication *b)
{
    ndpool *p = b->w->p;
    const ring *r = &b->w->ref.ring;
    ring_blocks blocks = pool_ring_blocks(p);
    uint64_t tail, head;
    ident writer = ring_writer(r);
    if (writer != b->w->self)
        return writer_error(b->w, writer); /* a scribble: nobody takes it from a living one */
    if (!ring_span(r, &tail, &head))
        return pool_torn_ring("publish");
    if (head - tail == r->n_entries) {
        if (ring_lossless(r) && ring_blocked(r, tail))
            return STATUS_NOTHING;
        ring_drop(r, 1, &blocks);
    }
    ring_put(r, &b->e, 1, &blocks);
    b->sequence = head + 1;
    return NDPOOL_OK;
}

/* Sees, once in a while that the writer waits, whether the readers live. */
static int put_step(waiting *w, bool slept)
{
    publication *b = w->of;
    ndpool *p = b->w->p;
    int status = pool_enter(p);
    (void)slept;
    if (status != NDPOOL_OK)
        return status;
    pool_wait_at(w, &b->w->ref.ring);
    b->e.monotonic = mono_time();
    b->e.wall = wall_time();
    status = pool_lock(p);
    if (status == NDPOOL_OK) {
        pool_flush_locked(p);
        status = put_locked(b);
        pool_unlock(p);
    }
    if (status == NDPOOL_OK) {
        bell_ring(ring_news(&w->at), RING_ALL);
        space_freed(p->arena);
    }
    if (status == STATUS_NOTHING && slept && pool_bury_roles(p, &w->at) != NDPOOL_OK)
        status = error_now()->status;
    pool_leave(p);
    return status;
}

/* How often a seal is tried that others are in the way of, and how long between, in nanoseconds. */
enum { SEAL_TRIES = 20, SEAL_NAP = 100000 };

/* Seals an array unless it is sealed. Nobody can be in the way of one that was never shared. Of one that was, there may
 * be a stale retainer, who clears his bit in a moment; so it tries for some moments. */
static int seal(ndpool *p, ndpool_handle h)
{
    int status = NDPOOL_ERR_HELD;
    for (int n = 0; n < SEAL_TRIES && status == NDPOOL_ERR_HELD; n++) {
        if (n > 0)
            spin_nap(SEAL_NAP);
        status = pool_enter(p);
        if (status != NDPOOL_OK)
            return status;
        status = pool_seal(p, h, false, NULL);
        pool_leave(p);
    }
    return status == NDPOOL_ERR_SEALED ? NDPOOL_OK : status; /* by another thread, just now */
}

static int put_waiting(ndpool_writer *w, publication *b, int64_t wait, ndpool_go_on go_on, void *arg)
{
    waiting waits = {.wait = wait, .go_on = go_on, .arg = arg, .bell = ring_room, .stamp = ring_room_stamp, .spins = &w->spins,
                     .try = put_step, .of = b};
    int status = pool_wait(&waits);
    if (status != STATUS_NOTHING)
        return status;
    return fail(NDPOOL_ERR_TIMEOUT, "publish \"%.200s\": timeout while a reader has not read the oldest frame", w->path);
}

/* Refuses a writer that is not this process's: it was forked since. */
static int refuse_other(const ndpool_writer *w, const char *verb)
{
    const ndpool *p = w->p;
    if (pool_forked(p))
        return pool_refuse_forked();
    if (w->self != atomic_load(&p->self) && atomic_load(&p->self) != 0)
        return refuse_fork(verb, w->path);
    return NDPOOL_OK;
}

int ndpool_writer_publish(ndpool_writer *w, ndpool_handle array, const void *attributes, size_t bytes, int64_t wait,
                          ndpool_go_on go_on, void *arg, uint64_t *sequence)
{
    ndpool *p = w->p;
    uint32_t text;
    int status = refuse_other(w, "publish");
    if (status != NDPOOL_OK)
        return status;
    publication b = {.w = w, .e = {.array = array, .word = make_entry(NDPOOL_ENTRY_ARRAY, 0), .sender = w->self}};
    if (attributes) {
        status = pool_store_attributes(p, attributes, bytes, &text);
        if (status == NDPOOL_OK)
            b.e.attributes = pool_handle_of(p, text);
    }
    if (status == NDPOOL_OK && !ndpool_is_sealed(p, array))
        status = seal(p, array);
    if (status == NDPOOL_OK)
        status = put_waiting(w, &b, wait, go_on, arg);
    if (b.e.attributes) {
        ndpool_error why = *error_now();
        (void)ndpool_release(p, b.e.attributes); /* by now the frame holds it, or nobody does */
        *error_now() = why;
    }
    if (status == NDPOOL_OK && sequence)
        *sequence = b.sequence;
    return status;
}

/* ---- waiting for readers */

/* Local. */
typedef struct roll_call {
    ndpool_writer *w;
    uint32_t n;
} roll_call;

static int roll_step(waiting *w, bool slept)
{
    const roll_call *c = w->of;
    int status = pool_enter(c->w->p);
    if (status != NDPOOL_OK)
        return status;
    pool_wait_at(w, &c->w->ref.ring);
    if (ring_entered(&w->at) < c->n)
        status = STATUS_NOTHING;
    if (status == STATUS_NOTHING && slept && pool_bury_roles(c->w->p, &w->at) != NDPOOL_OK)
        status = error_now()->status;
    pool_leave(c->w->p);
    return status;
}

int ndpool_writer_await_readers(ndpool_writer *w, uint32_t n, int64_t wait, ndpool_go_on go_on, void *arg)
{
    int status = refuse_other(w, "await readers of");
    if (status != NDPOOL_OK)
        return status;
    if (n > w->ref.ring.n_readers)
        return fail(NDPOOL_ERR_OPTIONS, "await readers of \"%.200s\": got %u (at most %u)", w->path, n, w->ref.ring.n_readers);
    roll_call call = {.w = w, .n = n};
    waiting waits = {.wait = wait, .go_on = go_on, .arg = arg, .bell = ring_room, .stamp = ring_room_stamp, .spins = &w->spins,
                     .try = roll_step, .of = &call};
    status = pool_wait(&waits);
    if (status != STATUS_NOTHING)
        return status;
    return fail(NDPOOL_ERR_TIMEOUT, "await readers of \"%.200s\": timeout with %u of %u", w->path, ring_entered(&w->ref.ring), n);
}
