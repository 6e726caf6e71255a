/* The laws of the format. What they say is in pool/laws.go, whose twin this is; the names are the same. */
#include "pool/verify.h"

#include "internal/xxhash.h"

typedef unsigned long long ull;

/* Tells the first byte that is not zero of a word at byte off of the file. */
static void tell_byte(checker *c, uint64_t off, uint64_t w)
{
    int byte = __builtin_ctzll(w) / 8;
    char place[FAULT_TEXT];
    verify_say(place, "byte %llu of the file", (ull)off + (ull)byte);
    fault *f = verify_fault(c, "reserved", place);
    verify_say(f->want, "0");
    verify_say(f->got, "%d", (int)(w >> (8 * byte) & 0xff));
}

static void zero_words(checker *c, uint64_t off, const shm_u64 *words, size_t n)
{
    for (size_t k = 0; k < n; k++) {
        uint64_t w = shm_load64(&words[k]);
        if (w != 0) {
            tell_byte(c, off + 8 * k, w);
            return;
        }
    }
}

static void zero_halves(checker *c, uint64_t off, const shm_u32 *words, size_t n)
{
    for (size_t k = 0; k < n; k++) {
        uint32_t w = shm_load32(&words[k]);
        if (w != 0) {
            tell_byte(c, off + 4 * k, w);
            return;
        }
    }
}

/* Checks what lies between the fields of the control page. */
static void check_control_gaps(checker *c)
{
    const ndpool_control *k = c->a->ctl;
    uint64_t start = c->a->geo.regions[NDPOOL_REGION_CONTROL].offset;
#define GAP(zero, field) zero(c, start + offsetof(ndpool_control, field), k->field, sizeof k->field / sizeof *k->field)
    GAP(zero_halves, reserved0);
    GAP(zero_halves, reserved1);
    GAP(zero_halves, reserved2);
    GAP(zero_words, reserved3);
    GAP(zero_halves, reserved4);
    GAP(zero_words, reserved);
#undef GAP
}

/* Tells whether the lock word names this process, which holds the lock now. */
static bool lock_is_ours(const checker *c, lock_word w)
{
    int slot = lock_owner(w);
    ident id;
    return slot >= 0 && (uint32_t)slot < c->a->n_slots && arena_ident(c->a, (uint32_t)slot, &id) &&
           lock_names(w, ident_incarnation(id)) && id == c->a->self;
}

void verify_control(checker *c)
{
    const uint32_t step = NDPOOL_TABLE_STEP / NDPOOL_DESC_SIZE, all = c->a->n_descs;
    lock_word w = shm_load32(&c->a->ctl->lock);
    if (w != 0 && !lock_is_ours(c, w)) {
        fault *f = verify_fault(c, "lock", "control");
        verify_say(f->want, "0 or a process that is attached");
        verify_say(f->got, "0x%x", w);
    }
    uint32_t n = shm_load32(&c->a->ctl->descs);
    if (n > all || (n % step != 0 && n != all)) {
        fault *f = verify_fault(c, "descriptors", "control");
        verify_say(f->want, "a multiple of %u, at most %u", step, all);
        verify_say(f->got, "%u", n);
    }
    verify_catalog(c);
    check_control_gaps(c);
}

void verify_zero(checker *c, const char *place, const shm_u64 *words, size_t n)
{
    for (size_t k = 0; k < n; k++) {
        uint64_t w = shm_load64(&words[k]);
        if (w == 0)
            continue;
        char word[FAULT_TEXT];
        verify_say(word, "%s, reserved word %zu", place, k);
        fault *f = verify_fault(c, "reserved", word);
        verify_say(f->want, "0");
        verify_say(f->got, "0x%llx", (ull)w);
    }
}

/* Checks the process table. */
void verify_slots(checker *c)
{
    for (uint32_t i = 0; i < c->a->n_slots; i++) {
        const ndpool_slot *s = &c->a->slots[i];
        slot_word w = shm_load64(&s->word);
        char place[FAULT_TEXT];
        verify_say(place, "slot %u", i);
        if (!slot_valid(w)) {
            fault *f = verify_fault(c, "slot", place);
            verify_say(f->want, "a phase and an incarnation");
            verify_say(f->got, "0x%llx", (ull)w);
        }
        verify_zero(c, place, s->reserved, sizeof s->reserved / sizeof *s->reserved);
    }
}

/* Checks that no bit is set behind the last chunk. */
void verify_committed(checker *c)
{
    int end = (int)(c->a->geo.regions[NDPOOL_REGION_COMMITTED].size / 8 * 64);
    for (int k = c->a->chunks; k < end; k++) {
        if (!arena_is_committed(c->a, k))
            continue;
        char place[FAULT_TEXT];
        verify_say(place, "chunk %d", k);
        fault *f = verify_fault(c, "committed-end", place);
        verify_say(f->want, "%d chunks", c->a->chunks);
        verify_say(f->got, "a bit");
    }
}

bool verify_sweeping(const checker *c, int64_t slot)
{
    return slot >= 0 && slot < c->a->n_slots &&
           slot_phase(shm_load64(&c->a->slots[slot].word)) == NDPOOL_SLOT_SWEEPING;
}

/* Tells whether a process is attached or was. */
static bool has_been(const checker *c, ident id)
{
    int64_t slot = ident_slot(id);
    return slot >= 0 && slot < c->a->n_slots &&
           ident_incarnation(id) <= slot_incarnation(shm_load64(&c->a->slots[slot].word));
}

/* Checks the receiver and the deadline of an open ticket. While a slot is being swept its tickets may be either way. */
static void check_end(checker *c, const char *place, ident sender, ident receiver, uint64_t deadline)
{
    ident who = receiver != 0 ? receiver : sender;
    long long slot = ident_slot(who);
    uint32_t incarnation = ident_incarnation(who);
    bool used = verify_used(c, who), sweeping = verify_sweeping(c, slot);
    if (receiver != 0 && ((!used && !sweeping) || deadline != 0)) {
        fault *f = verify_fault(c, "receiver", place);
        verify_say(f->want, "an attached process and no deadline");
        verify_say(f->got, "%lld.%u, %llu", slot, incarnation, (ull)deadline);
    }
    if (receiver == 0 && used != (deadline == 0) && !sweeping) {
        fault *f = verify_fault(c, "deadline", place);
        verify_say(f->want, "a deadline only if sender %lld.%u is gone", slot, incarnation);
        verify_say(f->got, "%llu", (ull)deadline);
    }
}

/* Checks the sender, the receiver and the deadline of an open ticket. */
static void check_parties(checker *c, const ndpool_ticket *k, const char *place)
{
    ident sender = shm_load64(&k->sender), receiver = shm_load64(&k->receiver);
    uint64_t deadline = shm_load64(&k->deadline);
    if (has_been(c, sender)) {
        check_end(c, place, sender, receiver, deadline);
        return;
    }
    fault *f = verify_fault(c, "sender", place);
    verify_say(f->want, "a process that has been");
    verify_say(f->got, "%lld.%u", (long long)ident_slot(sender), ident_incarnation(sender));
}

/* Checks a ticket, and counts it if it is open. The lock is held, so tickets stand still. */
void verify_ticket(checker *c, uint32_t n)
{
    const ndpool_ticket *k = &c->a->tickets[n];
    ticket_word w = shm_load64(&k->word);
    char place[FAULT_TEXT];
    verify_say(place, "ticket %u", n);
    if (!ticket_valid(w) || (ticket_kind(w) == NDPOOL_TICKET_UNUSED) != (ticket_nonce(w) == 0)) {
        fault *f = verify_fault(c, "ticket", place);
        verify_say(f->want, "a kind and a nonce");
        verify_say(f->got, "0x%llx", (ull)w);
    }
    verify_zero(c, place, k->reserved, sizeof k->reserved / sizeof *k->reserved);
    if (ticket_kind(w) != NDPOOL_TICKET_OPEN) {
        set_add(&c->want.tickets, n);
        return;
    }
    uint64_t handle = shm_load64(&k->handle);
    uint32_t i;
    if (pool_ticket_block(c->pool, n, &i)) {
        c->tickets[i]++;
    } else {
        fault *f = verify_fault(c, "ticket-handle", place);
        verify_say(f->want, "the handle of a LIVE block");
        verify_say(f->got, "%016llx", (ull)handle);
    }
    check_parties(c, k, place);
}

/* Adds the fault that a block has bytes of another one. */
static fault *overlap(checker *c, const char *place)
{
    fault *f = verify_fault(c, "overlap", place);
    verify_say(f->want, "bytes of its own");
    return f;
}

/* Enters a block into the slab that was seen at its first page. False: its bytes are another block's. */
static bool claim_slab_block(checker *c, extent e, slab_seen *s, const char *place)
{
    uint64_t *word = &s->blocks[extent_block(e) / 64], bit = UINT64_C(1) << (extent_block(e) % 64);
    if (s->class_ != (uint32_t)extent_class(e) || *word & bit) {
        uint32_t owner = c->pages[extent_first(e)] - 1;
        verify_say(overlap(c, place)->got, "extent 0x%llx in the slab of descriptor %u", (ull)e, owner);
        return false;
    }
    *word |= bit;
    return true;
}

/* Enters an extent into the map of owners and tells whether its bytes were nobody's. */
static bool claim(checker *c, uint32_t i, extent e, const char *place)
{
    int first = extent_first(e), end = first + extent_pages(e);
    slab_seen *s = &c->slabs[first / NDPOOL_MIN_SLAB_PAGES];
    if (extent_class(e) != 0 && s->class_ != 0 && s->first == (uint32_t)first)
        return claim_slab_block(c, e, s, place);
    for (int page = first; page < end; page++) {
        if (c->pages[page] != 0) {
            verify_say(overlap(c, place)->got, "page %d of descriptor %u", page, c->pages[page] - 1);
            return false;
        }
    }
    for (int page = first; page < end; page++)
        c->pages[page] = i + 1;
    if (extent_class(e) == 0)
        return true;
    *s = (slab_seen){.class_ = (uint32_t)extent_class(e), .first = (uint32_t)first};
    return claim_slab_block(c, e, s, place);
}

/* Checks the pseudo-holder IN TRANSIT and the count of tickets. */
static void check_tickets(checker *c, uint32_t i, const char *place)
{
    const ndpool_desc *d = pool_desc(c->pool, i);
    uint32_t want = c->tickets[i], n = shm_load32(&d->tickets);
    bool in_transit = shm_load64(&d->holders[TRANSIT_WORD]) & TRANSIT_BIT;
    if (in_transit != (want > 0)) {
        fault *f = verify_fault(c, "transit", place);
        verify_say(f->want, "%s", want > 0 ? "true" : "false");
        verify_say(f->got, "%s", in_transit ? "true" : "false");
    }
    if (n != want) {
        fault *f = verify_fault(c, "ticket-count", place);
        verify_say(f->want, "%u", want);
        verify_say(f->got, "%u", n);
    }
}

/* Enters a block into the indexes as they should be, and checks what only the lock's holder changes: extents, ticket
 * counts, pseudo-holders. */
void verify_count(checker *c, uint32_t i)
{
    int kind = state_kind(pool_state(c->pool, i));
    char place[FAULT_TEXT];
    extent e;
    verify_say(place, "descriptor %u", i);
    check_tickets(c, i, place);
    verify_name_count(c, i, place);
    if (kind == NDPOOL_KIND_FREE) {
        set_add(&c->want.descs, i);
        return;
    }
    if (!kind_owned(kind) && kind != NDPOOL_KIND_LIVE)
        return;
    if (pool_extent(c->pool, i, &e)) {
        if (claim(c, i, e, place))
            alloc_mark(&c->want, e);
        return;
    }
    fault *f = verify_fault(c, "extent", place);
    verify_say(f->want, "within %d pages", c->a->pages);
    verify_say(f->got, "0x%llx", (ull)e);
}

bool verify_in_use(const checker *c, uint32_t slot)
{
    ident id;
    return slot < c->a->n_slots && arena_ident(c->a, slot, &id);
}

static void check_generation(checker *c, uint32_t i, const char *place, state s, gen g)
{
    int kind = state_kind(s);
    bool ok = gen_valid(g) && (gen_number(g) != 0 || (g == 0 && kind == NDPOOL_KIND_FREE));
    ok = ok && (!gen_exhausted(g) || gen_number(g) == first_gen(c->a->super.segment, i));
    if (kind == NDPOOL_KIND_RETIRED)
        ok = ok && gen_exhausted(g);
    if (kind == NDPOOL_KIND_FREE || kind == NDPOOL_KIND_LIVE || kind == NDPOOL_KIND_PRIVATE)
        ok = ok && !gen_exhausted(g);
    if (ok)
        return;
    fault *f = verify_fault(c, "generation", place);
    verify_say(f->want, "one that fits %s", kind_name(kind));
    verify_say(f->got, "0x%llx", (ull)g);
}

/* Checks one word of the holder set. A bit of a slot that is free is looked at twice: its process may have left in
 * between. */
static void check_holder_word(checker *c, const char *place, const ndpool_desc *d, int w, uint64_t v)
{
    for (; v != 0; v &= v - 1) {
        int bit = __builtin_ctzll(v);
        uint32_t slot = (uint32_t)(w * 64 + bit);
        if (slot == NDPOOL_IN_TRANSIT || slot == NDPOOL_NAMED || verify_in_use(c, slot))
            continue;
        if (slot < c->a->n_slots && ((shm_load64(&d->holders[w]) >> bit & 1) == 0 || verify_in_use(c, slot)))
            continue;
        fault *f = verify_fault(c, "holder", place);
        verify_say(f->want, "slots in use");
        verify_say(f->got, "slot %u", slot);
    }
}

static void check_holders(checker *c, const char *place, const ndpool_desc *d, state s)
{
    bool any = false, live = state_kind(s) == NDPOOL_KIND_LIVE;
    for (int w = 0; w < 4; w++) {
        uint64_t v = shm_load64(&d->holders[w]);
        any = any || v != 0;
        check_holder_word(c, place, d, w, v);
    }
    if (!c->report.quiet)
        return;
    if (live && !any) {
        fault *f = verify_fault(c, "alive", place);
        verify_say(f->want, "a holder");
        verify_say(f->got, "none");
    }
    if (!live && any) {
        fault *f = verify_fault(c, "unheld", place);
        verify_say(f->want, "no holder while %s", kind_name(state_kind(s)));
        verify_say(f->got, "a holder");
    }
}

/* Checks that a block's chunks have memory. */
static void check_backed(checker *c, uint32_t i, const char *place)
{
    extent e;
    if (!pool_extent(c->pool, i, &e) || arena_has(c->a, NDPOOL_FLAG_RESERVED))
        return;
    int last = (extent_first(e) + extent_pages(e) - 1) / NDPOOL_CHUNK_PAGES;
    for (int k = extent_first(e) / NDPOOL_CHUNK_PAGES; k <= last; k++) {
        if (arena_is_committed(c->a, k))
            continue;
        fault *f = verify_fault(c, "committed", place);
        verify_say(f->want, "memory behind chunk %d", k);
        verify_say(f->got, "none recorded");
    }
}

/* Checks the content of a sealed array. */
static void check_hash(checker *c, uint32_t i, const char *place, const meta *m)
{
    extent e;
    if (!pool_extent(c->pool, i, &e) || m->header + m->bytes > extent_size(e))
        return; /* another one than a moment ago; said already, or looked at again */
    uint64_t got = xxhash64(arena_data(c->a, extent_offset(e) + m->header), m->bytes);
    uint64_t want = shm_load64(&pool_desc(c->pool, i)->hash);
    if (got == want)
        return;
    fault *f = verify_fault(c, "content", place);
    verify_say(f->want, "0x%llx", (ull)want);
    verify_say(f->got, "0x%llx", (ull)got);
}

/* Checks the metadata, and the content if asked to. */
static void check_array(checker *c, uint32_t i, const char *place, state s)
{
    extent e;
    meta m;
    int64_t shape[NDPOOL_MAX_NDIM];
    if (!pool_extent(c->pool, i, &e))
        return; /* said already */
    if (pool_read(c->pool, i, &m, shape) != NDPOOL_OK) {
        fault *f = verify_fault(c, "metadata", place);
        verify_say(f->want, "an array");
        verify_say(f->got, "%s", error_now()->message);
        return;
    }
    if (c->content && state_sealed(s) && m.flags & NDPOOL_DESC_HASHED)
        check_hash(c, i, place, &m);
}

/* Checks what may change without the lock. */
void verify_block(checker *c, uint32_t i, state s)
{
    const ndpool_desc *d = pool_desc(c->pool, i);
    int kind = state_kind(s);
    char place[FAULT_TEXT];
    verify_say(place, "descriptor %u", i);
    if (!state_valid(s)) {
        fault *f = verify_fault(c, "state", place);
        verify_say(f->want, "a state");
        verify_say(f->got, "0x%llx", (ull)s);
        return;
    }
    verify_zero(c, place, d->reserved, sizeof d->reserved / sizeof *d->reserved);
    if (kind_owned(kind) && !verify_in_use(c, (uint32_t)state_owner(s))) {
        fault *f = verify_fault(c, "owner", place);
        verify_say(f->want, "a slot in use");
        verify_say(f->got, "%d", state_owner(s));
    }
    check_generation(c, i, place, s, desc_gen(d));
    verify_ring_flag(c, i, place, s);
    check_holders(c, place, d, s);
    bool array = kind == NDPOOL_KIND_LIVE || kind == NDPOOL_KIND_PRIVATE;
    if (array || kind == NDPOOL_KIND_CACHED)
        check_backed(c, i, place);
    c->report.arrays += array;
    if (array)
        check_array(c, i, place, s);
}
