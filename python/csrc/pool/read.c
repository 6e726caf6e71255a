/* How a reader takes frames. Twin of pool/read.go. */
#include "pool/stream.h"

#include "internal/errors.h"

/* How often a frame is taken without the lock that goes in the same moment. */
enum { GRAB_TRIES = 8 };

/* One read under way. Local. */
typedef struct reading {
    ndpool_reader *r;
    uint32_t flags; /* NDPOOL_NEXT, NDPOOL_AGAIN */
    ndpool_frame *out;
} reading;

/* A frame whose blocks this process has a reference to each. Local. */
typedef struct grabbed {
    ring_entry e;
    uint32_t array, attributes; /* the latter if the entry has some */
} grabbed;

static void drop_grabbed(ndpool *p, const grabbed *g)
{
    (void)pool_drop(p, g->array);
    if (g->e.attributes)
        (void)pool_drop(p, g->attributes);
}

/* Retains the block of a handle, if it leads to one of that generation. */
static bool retain_handle(ndpool *p, uint64_t h, uint32_t *i)
{
    return pool_live_block(p, h, i) && !pool_is_ring(p, *i) && pool_add_reference(p, *i, (uint32_t)(h >> 32)) == NDPOOL_OK;
}

/* Retains the blocks of a position without the lock. The entry is read between two looks at its number, and a handle
 * leads to the block of that generation only. So what is retained then is what the frame named, or it was never that. */
static bool grab(ndpool_reader *r, uint64_t pos, grabbed *g)
{
    ndpool *p = r->p;
    const ring *from = &r->ref.ring;
    if (!ring_look(from, pos, &g->e) || !retain_handle(p, g->e.array, &g->array))
        return false;
    if (g->e.attributes && !retain_handle(p, g->e.attributes, &g->attributes)) {
        (void)pool_drop(p, g->array);
        return false;
    }
    if (ring_still(from, pos))
        return true;
    drop_grabbed(p, g);
    return false;
}

/* What can be said of the position that is wanted. */
typedef enum choice { NONE, SOME, UNSURE } choice;

/* Finds the position that is wanted. Without the lock the stream may be found without frames in the moment in which its
 * writer puts one for another: then it is unsure. With the lock it is not; then he has died in that moment. */
static choice choose(const reading *d, uint64_t *pos)
{
    const ndpool_reader *r = d->r;
    uint64_t tail = ring_tail(&r->ref.ring), head = ring_head(&r->ref.ring);
    if (head == 0 || (!(d->flags & NDPOOL_AGAIN) && r->next >= head))
        return NONE;
    if (tail >= head)
        return UNSURE;
    uint64_t oldest = r->next > tail ? r->next : tail;
    *pos = d->flags & NDPOOL_NEXT && !(d->flags & NDPOOL_AGAIN) ? oldest : head - 1;
    return SOME;
}

/* Says that all before a position is read. */
static void advance(ndpool_reader *r, uint64_t pos)
{
    if (pos > r->next)
        r->next = pos;
    if (!r->entered)
        return;
    ring_advance(&r->ref.ring, r->place, r->next);
    bell_ring(ring_room(&r->ref.ring), RING_ALL);
}

/* Fills in a frame whose blocks this process has a reference to each, which it ends if it fails. */
static int make_frame(const reading *d, uint64_t pos, const grabbed *g)
{
    ndpool *p = d->r->p;
    ndpool_frame *f = d->out;
    meta m;
    int64_t shape[NDPOOL_MAX_NDIM];
    const char *text = NULL;
    size_t bytes = 0;
    uint64_t skipped = pos > d->r->next ? pos - d->r->next : 0;
    advance(d->r, pos + 1);
    int status = pool_read(p, g->array, &m, shape);
    if (status == NDPOOL_OK && g->e.attributes)
        status = pool_text_at(p, g->attributes, &text, &bytes);
    if (status != NDPOOL_OK) {
        ndpool_error why = *error_now();
        drop_grabbed(p, g);
        *error_now() = why;
        return status;
    }
    status = pool_array(p, g->array, &m, shape, NDPOOL_READ_ONLY, &f->array);
    if (status != NDPOOL_OK) { /* the array's reference is gone */
        if (g->e.attributes)
            (void)pool_drop(p, g->attributes);
        return status;
    }
    f->sequence = pos + 1;
    f->skipped = skipped;
    f->monotonic = g->e.monotonic;
    f->wall = g->e.wall;
    f->attributes = g->e.attributes;
    f->text = text;
    f->text_bytes = bytes;
    return NDPOOL_OK;
}

/* Tells, once, that a writer has come to an end. */
static int told(const reading *d, uint32_t ends)
{
    ndpool_reader *r = d->r;
    if (ends == r->ends || d->flags & NDPOOL_AGAIN)
        return STATUS_NOTHING;
    r->ends = ends;
    if (ends & 1)
        return fail(NDPOOL_ERR_WRITER_DIED, "read stream \"%.200s\": the writer has died", r->path);
    return fail(NDPOOL_ERR_ENDED, "read stream \"%.200s\": the writer has ended", r->path);
}

/* Gives back what this process has cached too much of: a reader that never takes the lock is often the last to release a
 * frame, and would keep its memory. */
static void tidy(ndpool *p)
{
    if (atomic_load(&p->over) == 0 || pool_lock(p) != NDPOOL_OK)
        return;
    pool_flush_locked(p);
    pool_unlock(p);
    space_freed(p->arena);
}

/* take under the lock. A frame that is damaged is passed over, with an error. */
static int take_locked(const reading *d)
{
    ndpool *p = d->r->p;
    const ring *from = &d->r->ref.ring;
    ring_blocks b = pool_ring_blocks(p);
    uint64_t tail, head, pos = 0;
    grabbed g;
    int status = pool_lock(p);
    if (status != NDPOOL_OK)
        return status;
    uint32_t ends = ring_ends(from);
    bool whole = ring_span(from, &tail, &head), some = whole && choose(d, &pos) == SOME;
    bool sound = some && ring_sound(from, pos, &b, &g.e);
    if (sound) {
        (void)pool_index(p, g.e.array, &g.array);
        refs_hold(&p->refs, g.array);
        if (g.e.attributes) {
            (void)pool_index(p, g.e.attributes, &g.attributes);
            refs_hold(&p->refs, g.attributes);
        }
    }
    pool_unlock(p);
    if (!whole)
        return pool_torn_ring("read stream");
    if (!some)
        return told(d, ends);
    if (sound)
        return make_frame(d, pos, &g);
    advance(d->r, pos + 1);
    return pool_torn_entry("read stream");
}

/* Takes a frame if there is one that is wanted. When the writer has come to an end since the reader was told last, and
 * there is none, it tells. */
static int take(const reading *d)
{
    ndpool_reader *r = d->r;
    bool fast = d->flags & NDPOOL_FAST;
    if (fast && atomic_load(&r->p->over) != 0)
        return STATUS_NOTHING; /* it would have to tidy */
    for (int n = 0; n < GRAB_TRIES; n++) {
        uint32_t ends = ring_ends(&r->ref.ring); /* before head: what the writer published before it ended is seen then */
        uint64_t pos;
        grabbed g;
        choice c = choose(d, &pos);
        if (c == NONE)
            return told(d, ends);
        if (c == UNSURE)
            break;
        if (!grab(r, pos, &g))
            continue;
        if (!fast)
            tidy(r->p);
        return make_frame(d, pos, &g);
    }
    return fast ? STATUS_NOTHING : take_locked(d);
}

/* Sees, once in a while that nothing came, whether the writer lives, and whether the name still leads to this stream. A
 * name that is gone is nobody's stream, so the reader keeps to what it has. *moved: it has another stream now. */
static int look_around(ndpool_reader *r, bool *moved)
{
    int64_t now = mono_time();
    uint64_t had = r->ref.handle;
    *moved = false;
    if (had != 0 && now - r->looked < RING_LOOK)
        return NDPOOL_OK;
    r->looked = now;
    int status = had != 0 ? pool_bury_roles(r->p, &r->ref.ring) : NDPOOL_OK;
    if (status == NDPOOL_OK)
        status = reader_find(r, false);
    *moved = status == NDPOOL_OK && r->ref.handle != had;
    return status;
}

static int step(const reading *d, waiting *w)
{
    ndpool_reader *r = d->r;
    bool moved;
    pool_wait_at(w, &r->ref.ring);
    if (d->flags & NDPOOL_FAST)
        return r->ref.handle ? take(d) : STATUS_NOTHING;
    if (!r->ref.handle) {
        w->absent = pool_name_bell(r->p);
        w->seq = bell_arm(w->absent, false);
    }
    int status = r->ref.handle ? take(d) : STATUS_NOTHING;
    if (status != STATUS_NOTHING)
        return status;
    status = look_around(r, &moved);
    if (status != NDPOOL_OK)
        return status;
    if (!moved && r->ref.handle)
        return STATUS_NOTHING;
    pool_wait_at(w, &r->ref.ring);
    return r->ref.handle ? take(d) : STATUS_NOTHING;
}

static int read_step(waiting *w, bool slept)
{
    const reading *d = w->of;
    ndpool_reader *r = d->r;
    (void)slept;
    int status = pool_enter(r->p);
    if (status != NDPOOL_OK)
        return status;
    if (r->self != r->p->arena->self) {
        pool_leave(r->p);
        return fail(NDPOOL_ERR_FORKED, "read stream \"%.200s\": it was opened before this process was forked; open it anew",
                    r->path);
    }
    spin_lock(&r->turn);
    status = step(d, w);
    spin_unlock(&r->turn);
    pool_leave(r->p);
    return status;
}

int ndpool_reader_read(ndpool_reader *r, uint32_t flags, int64_t wait, ndpool_go_on go_on, void *arg, ndpool_frame *out)
{
    reading d = {.r = r, .flags = flags, .out = out};
    bool at_once = flags & (NDPOOL_AGAIN | NDPOOL_FAST);
    waiting w = {.wait = at_once ? 0 : wait, .go_on = go_on, .arg = arg, .bell = ring_news, .stamp = ring_news_stamp,
                 .spins = &r->spins, .try = read_step, .of = &d};
    int status = pool_wait(&w);
    if (status == STATUS_NOTHING)
        return fail(NDPOOL_ERR_TIMEOUT, "read stream \"%.200s\": timeout while waiting for a frame", r->path);
    return status;
}
