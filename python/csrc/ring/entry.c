/* The entries of a ring. Twin of ring/entry.go. */
#include "ring/ring.h"

/* The place of a position. */
static ndpool_ring_entry *at(const ring *r, uint64_t pos) { return &r->entries[pos % r->n_entries]; }

bool ring_look(const ring *r, uint64_t pos, ring_entry *e)
{
    const ndpool_ring_entry *d = at(r, pos);
    if (shm_load64(&d->number) != pos + 1)
        return false;
    e->array = shm_load64(&d->array);
    e->attributes = shm_load64(&d->attributes);
    e->word = shm_load64(&d->word);
    e->monotonic = (int64_t)shm_load64(&d->monotonic);
    e->wall = (int64_t)shm_load64(&d->wall);
    e->sender = shm_load64(&d->sender);
    return true;
}

bool ring_still(const ring *r, uint64_t pos) { return shm_load64(&at(r, pos)->number) == pos + 1; }

bool ring_sound(const ring *r, uint64_t pos, const ring_blocks *b, ring_entry *e)
{
    return ring_look(r, pos, e) && b->carried(b->arg, e->array) &&
           (e->attributes == 0 || b->carried(b->arg, e->attributes));
}

static void enter(const ring_entry *es, uint32_t n, const ring_blocks *b)
{
    for (uint32_t k = 0; k < n; k++) {
        b->enter(b->arg, es[k].array);
        if (es[k].attributes)
            b->enter(b->arg, es[k].attributes);
    }
}

/* Counts entries that do not belong to the one before. */
static uint64_t items_of(const ring_entry *es, uint32_t n)
{
    uint64_t items = 0;
    for (uint32_t k = 0; k < n; k++)
        items += !entry_is_attached(es[k].word);
    return items;
}

/* Stores an entry that does not count yet. number is 0 meanwhile, so that who reads without the lock sees that what he
 * has read may be half of it. A death leaves a place that does not count. */
static void write_entry(const ring *r, uint64_t pos, const ring_entry *e)
{
    ndpool_ring_entry *d = at(r, pos);
    shm_store64(&d->number, 0);
    shm_publish64(&d->array, e->array);
    shm_publish64(&d->attributes, e->attributes);
    shm_publish64(&d->word, e->word);
    shm_publish64(&d->monotonic, (uint64_t)e->monotonic);
    shm_publish64(&d->wall, (uint64_t)e->wall);
    shm_publish64(&d->sender, e->sender);
    shm_store64(&d->number, pos + 1);
}

/* Blocks are entered before head says that the entries count: a death before that store leaves counts that nothing
 * justifies, which the lock's taker makes anew; one after it leaves all of them in the ring. */
void ring_put(const ring *r, const ring_entry *es, uint32_t n, const ring_blocks *b)
{
    enter(es, n, b);
    uint64_t head = ring_head(r);
    for (uint32_t k = 0; k < n; k++)
        write_entry(r, head + k, &es[k]);
    shm_store64(&r->head->head, head + n);
    shm_publish64(&r->head->items, ring_items(r) + items_of(es, n));
}

/* Deaths are as in ring_put, with tail for head. */
void ring_put_back(const ring *r, const ring_entry *es, uint32_t n, const ring_blocks *b)
{
    enter(es, n, b);
    uint64_t tail = ring_tail(r) - n;
    for (uint32_t k = 0; k < n; k++)
        write_entry(r, tail + k, &es[k]);
    shm_store64(&r->head->tail, tail);
    shm_publish64(&r->head->items, ring_items(r) + items_of(es, n));
}

/* Lets the blocks of an entry go that counts no more, and tells how many items it was. Damage nobody has counted. */
static uint64_t let_go(const ring *r, uint64_t pos, const ring_blocks *b)
{
    ring_entry e;
    if (!ring_sound(r, pos, b, &e))
        return 0;
    b->exit(b->arg, e.array);
    if (e.attributes)
        b->exit(b->arg, e.attributes);
    return !entry_is_attached(e.word);
}

/* tail says that they count no more before their blocks are let go: a death after that store leaves counts that nothing
 * justifies, which the lock's taker makes anew. What tail has passed stays where it is meanwhile, so it is read after the
 * store. */
void ring_drop(const ring *r, uint64_t n, const ring_blocks *b)
{
    uint64_t tail = ring_tail(r), gone = 0;
    shm_store64(&r->head->tail, tail + n);
    for (uint64_t pos = tail; pos != tail + n; pos++)
        gone += let_go(r, pos, b);
    uint64_t items = ring_items(r);
    shm_publish64(&r->head->items, items > gone ? items - gone : 0);
}

void ring_empty(const ring *r, const ring_blocks *b)
{
    uint64_t tail, head;
    if (ring_span(r, &tail, &head) && tail != head)
        ring_drop(r, head - tail, b);
}

/* How many entries from a position on cannot be got: the first one, and those behind that do not begin an item. */
static uint64_t litter(const ring *r, uint64_t pos, uint64_t head)
{
    uint64_t n = 1;
    ring_entry e;
    for (pos++; pos != head; pos++, n++) {
        if (ring_look(r, pos, &e) && !entry_is_attached(e.word))
            break;
    }
    return n;
}

bool ring_item(const ring *r, uint64_t pos, uint64_t head, const ring_blocks *b, uint64_t *n)
{
    ring_entry e;
    bool ok = ring_sound(r, pos, b, &e) && entry_valid(e.word) && !entry_is_attached(e.word);
    uint64_t more = ok ? entry_more(e.word) : 0;
    ok = ok && more < head - pos;
    for (uint64_t k = 1; ok && k <= more; k++)
        ok = ring_sound(r, pos + k, b, &e) && entry_valid(e.word) && entry_is_attached(e.word);
    *n = ok ? more + 1 : litter(r, pos, head);
    return ok;
}
