/*
 * Checks every word of a segment against the laws of the format. It holds the segment lock and all stripes, so that
 * others wait at their slow steps, and goes on beside those that need no lock: what changes while it looks is looked at
 * again, and never reported. Laws that hold only at rest are checked when no other process is attached. Twin of
 * pool/verify.go.
 */
#include "pool/verify.h"

#include <stdarg.h>
#include <stdio.h>

void verify_say(char to[FAULT_TEXT], const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(to, FAULT_TEXT, format, args);
    va_end(args);
}

fault *verify_fault(checker *c, const char *law, const char *place)
{
    fault *f = &c->faults[c->found];
    if (c->found < MAX_FAULTS)
        c->found++;
    else
        c->more++;
    f->law = law;
    verify_say(f->place, "%s", place);
    return f;
}

bool verify_used(const checker *c, ident id)
{
    int64_t slot = ident_slot(id);
    ident now;
    return slot >= 0 && slot < c->a->n_slots && arena_ident(c->a, (uint32_t)slot, &now) && now == id;
}

static void checker_free(checker *c)
{
    const arena *a = c->a;
    lazy_free(c->tickets, a->n_descs, sizeof *c->tickets);
    lazy_free(c->named, a->n_descs, sizeof *c->named);
    lazy_free(c->nodes, (size_t)a->geo.limits.names + 1, sizeof *c->nodes);
    lazy_free(c->called, verify_called_size(a), sizeof *c->called);
    lazy_free(c->pages, (size_t)a->pages, sizeof *c->pages);
    lazy_free(c->slabs, (size_t)a->slab_count, sizeof *c->slabs);
    alloc_shadow_free(&c->want);
}

/* Released by checker_free, and the faults by lazy_free. */
static int checker_init(checker *c, ndpool *p, uint32_t flags)
{
    arena *a = p->arena;
    *c = (checker){.pool = p, .a = a, .content = flags & NDPOOL_CONTENT, .report = {.indexes = true}};
    c->faults = lazy_new(MAX_FAULTS + 1, sizeof *c->faults);
    c->tickets = lazy_new(a->n_descs, sizeof *c->tickets);
    c->named = lazy_new(a->n_descs, sizeof *c->named);
    c->nodes = lazy_new((size_t)a->geo.limits.names + 1, sizeof *c->nodes);
    c->called = lazy_new(verify_called_size(a), sizeof *c->called);
    c->pages = lazy_new((size_t)a->pages, sizeof *c->pages);
    c->slabs = lazy_new((size_t)a->slab_count, sizeof *c->slabs);
    if (!c->faults || !c->tickets || !c->named || !c->nodes || !c->called || !c->pages || !c->slabs)
        return fail_errno(NDPOOL_ERR_SYSTEM, "verify: tables of %u descriptors, %d pages", a->n_descs, a->pages);
    return alloc_shadow(&c->want, &a->geo);
}

/* Tells whether no process is attached but this one. */
static bool is_quiet(const checker *c)
{
    for (uint32_t slot = 0; slot < c->a->n_slots; slot++) {
        ident id;
        if (arena_ident(c->a, slot, &id) && id != c->a->self)
            return false;
    }
    return true;
}

static void note_slots(checker *c)
{
    for (uint32_t slot = 0; slot < c->a->n_slots; slot++)
        c->attached[slot] = shm_load64(&c->a->slots[slot].word);
}

static bool slots_changed(const checker *c)
{
    for (uint32_t slot = 0; slot < c->a->n_slots; slot++) {
        if (c->attached[slot] != shm_load64(&c->a->slots[slot].word))
            return true;
    }
    return false;
}

/* Takes back what was found by the laws of a pool at rest: it was not at rest. */
static void forget_rest(checker *c)
{
    uint32_t kept = 0;
    c->report.quiet = false;
    for (uint32_t k = 0; k < c->found; k++) {
        const char *law = c->faults[k].law;
        if (strcmp(law, "alive") == 0 || strcmp(law, "unheld") == 0)
            continue;
        if (kept != k)
            c->faults[kept] = c->faults[k];
        kept++;
    }
    c->found = kept;
}

/* Checks a descriptor. Others go on with lock-free steps: faults count only if the state word stayed the same while
 * they were found; otherwise the block is looked at again, and after many changes left alone. */
static void check_block(checker *c, uint32_t i)
{
    verify_count(c, i);
    for (int n = 0; n < BLOCK_LOOKS; n++) {
        state before = pool_state(c->pool, i);
        uint32_t found = c->found;
        uint64_t more = c->more, arrays = c->report.arrays;
        verify_block(c, i, before);
        if (pool_state(c->pool, i) == before)
            return;
        c->found = found;
        c->more = more;
        c->report.arrays = arrays;
    }
}

static void tell_index(void *arg, const char *index, const char *place, uint64_t got, uint64_t want)
{
    fault *f = verify_fault(arg, index, place);
    verify_say(f->want, "0x%llx", (unsigned long long)want);
    verify_say(f->got, "0x%llx", (unsigned long long)got);
}

/* Compares the derived indexes with what follows from the truth. */
static void check_indexes(checker *c)
{
    alloc_finish(&c->want);
    alloc_diff(&c->pool->alloc, &c->want, tell_index, c);
}

/* Preconditions: the segment lock and all stripes are held. */
static void check(checker *c)
{
    note_slots(c);
    c->report.quiet = is_quiet(c);
    verify_control(c);
    verify_slots(c);
    verify_committed(c);
    alloc_reset(&c->want);
    for (uint32_t n = 0; n < c->a->n_tickets; n++)
        verify_ticket(c, n);
    verify_names(c);
    verify_rings(c);
    for (uint32_t i = 0, n = pool_descs(c->pool); i < n; i++)
        check_block(c, i);
    check_indexes(c);
    if (c->report.quiet && slots_changed(c))
        forget_rest(c); /* somebody came meanwhile; to retain an array he needs no lock */
}

/* Walks the segment while nobody takes a step that needs the lock. */
static int walk(checker *c)
{
    ndpool_error before = *error_now(); /* reading metadata that is wrong sets it */
    int status = pool_lock(c->pool);
    if (status != NDPOOL_OK)
        return status;
    pool_lock_stripes(c->pool);
    check(c);
    pool_unlock_stripes(c->pool);
    pool_unlock(c->pool);
    *error_now() = before;
    return NDPOOL_OK;
}

/* Fills the checker's report and faults. Everything else is released. */
static int inspect(checker *c, ndpool *p, uint32_t flags)
{
    int status = pool_enter(p);
    if (status != NDPOOL_OK)
        return status;
    int64_t start = mono_time();
    status = checker_init(c, p, flags);
    if (status == NDPOOL_OK)
        status = walk(c);
    checker_free(c);
    pool_leave(p);
    c->report.took = mono_time() - start;
    return status;
}

int ndpool_verify(ndpool *p, uint32_t flags, void (*tell)(void *, const ndpool_fault *), void *arg, ndpool_report *out)
{
    checker c = {.faults = NULL};
    int status = inspect(&c, p, flags);
    for (uint32_t k = 0; status == NDPOOL_OK && tell && k < c.found; k++) {
        const fault *f = &c.faults[k];
        tell(arg, &(ndpool_fault){.law = f->law, .place = f->place, .want = f->want, .got = f->got});
    }
    lazy_free(c.faults, MAX_FAULTS + 1, sizeof *c.faults);
    if (status != NDPOOL_OK)
        return status;
    c.report.faults = c.found + c.more;
    *out = c.report;
    return NDPOOL_OK;
}
