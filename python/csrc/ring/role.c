/* Roles: who writes a stream, and which readers the writer of a lossless one waits for. Twin of ring/role.go. */
#include "ring/ring.h"

/* Precondition: there is no writer. Released by ring_end; a death leaves the word, which the sweep ends. */
void ring_begin(const ring *r, ident self) { shm_store64(&r->head->writer, self); }

/* Says that the writer has come to an end, by its death or by itself. The caller rings news. First the number, then the
 * word: a death in between has readers told twice, and never not at all. */
void ring_end(const ring *r, bool died)
{
    shm_store32(&r->head->ends, ((ring_ends(r) & ~UINT32_C(1)) + 2) | (uint32_t)died);
    shm_store64(&r->head->writer, 0);
}

/* Enters a reader that the writer waits for, from a position on. False: there is no place. Released by ring_leave; a
 * death leaves the place, which the sweep frees. The position comes before the word that makes it count. */
bool ring_enter(const ring *r, ident self, uint64_t pos, uint32_t *place)
{
    for (uint32_t k = 0; k < r->n_readers; k++) {
        ndpool_ring_reader *d = &r->readers[k];
        if (shm_load64(&d->reader) != 0)
            continue;
        shm_publish64(&d->position, pos);
        shm_store64(&d->reader, self);
        *place = k;
        return true;
    }
    return false;
}

/* The caller rings room. */
void ring_leave(const ring *r, uint32_t place) { shm_store64(&r->readers[place].reader, 0); }

/* Says which position the reader of a place reads next. The place is the caller's, who rings room. A death before it
 * leaves a reader that is behind, until it is swept. */
void ring_advance(const ring *r, uint32_t place, uint64_t pos) { shm_store64(&r->readers[place].position, pos); }

/* Who is entered at a place, 0 for nobody, and what it reads next. */
ident ring_reader(const ring *r, uint32_t place, uint64_t *pos)
{
    const ndpool_ring_reader *d = &r->readers[place];
    ident id = shm_load64(&d->reader);
    *pos = shm_load64(&d->position);
    return id;
}

uint32_t ring_entered(const ring *r)
{
    uint32_t n = 0;
    for (uint32_t k = 0; k < r->n_readers; k++) {
        uint64_t next;
        n += ring_reader(r, k, &next) != 0;
    }
    return n;
}

/* Tells whether a reader that is entered has not read a position. */
bool ring_blocked(const ring *r, uint64_t pos)
{
    for (uint32_t k = 0; k < r->n_readers; k++) {
        uint64_t next;
        if (ring_reader(r, k, &next) != 0 && next <= pos)
            return true;
    }
    return false;
}

/* Ends what a slot's processes have to do with the ring, whatever their incarnation, and rings the bells. Idempotent.
 * Precondition, beside the lock: the slot's process is gone, or is leaving, or dead beyond doubt. */
static void sweep(const ring *r, int64_t slot, bool died)
{
    bool left = false;
    if (ident_slot(ring_writer(r)) == slot) {
        ring_end(r, died);
        bell_ring(ring_news(r), RING_ALL);
    }
    for (uint32_t k = 0; k < r->n_readers; k++) {
        uint64_t pos;
        if (ident_slot(ring_reader(r, k, &pos)) != slot)
            continue;
        ring_leave(r, k);
        left = true;
    }
    if (left)
        bell_ring(ring_room(r), RING_ALL);
}

void ring_sweep_slot(const ring *r, uint32_t slot, bool died) { sweep(r, slot, died); }

/* The same for all who do not live: a writer, and readers. It tells whether there was any. */
bool ring_sweep_dead(const ring *r, arena *a)
{
    bool any = false;
    ident w = ring_writer(r);
    if (w != 0 && !arena_alive(a, w)) {
        sweep(r, ident_slot(w), true);
        any = true;
    }
    for (uint32_t k = 0; k < r->n_readers; k++) {
        uint64_t pos;
        ident id = ring_reader(r, k, &pos);
        if (id == 0 || arena_alive(a, id))
            continue;
        sweep(r, ident_slot(id), true);
        any = true;
    }
    return any;
}

/* Tells whether the writer and all readers that are entered live. */
bool ring_all_alive(const ring *r, arena *a)
{
    ident w = ring_writer(r);
    if (w != 0 && !arena_alive(a, w))
        return false;
    for (uint32_t k = 0; k < r->n_readers; k++) {
        uint64_t pos;
        ident id = ring_reader(r, k, &pos);
        if (id != 0 && !arena_alive(a, id))
            return false;
    }
    return true;
}
