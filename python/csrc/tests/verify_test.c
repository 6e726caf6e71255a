/*
 * ndpool_verify: a clean pool is found clean, each law that is broken is named, and a pool that others work in is never
 * blamed. Where the laws are broken by scribbles, each scribble is taken back afterwards.
 *
 * NDPOOL_CLI=PATH of the Go command lets that look at the same pool too.
 */
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/breach.h"

static char dir[64];

static const char record_text[] = "{\"itemsize\":8,\"fields\":[[\"x\",\"<f4\",0],[\"y\",\"<i2\",4]]}";
#define RECORD_TYPE (NDPOOL_DTYPE('V', 0, 8) | UINT64_C(1) << 24)

static ndpool_array alloc_records(ndpool *p)
{
    ndpool_array a;
    ndpool_spec s = {.dtype = RECORD_TYPE, .record = record_text, .record_bytes = sizeof record_text - 1, .ndim = 2,
                     .shape = (int64_t[]){3, 5}};
    must(ndpool_alloc(p, &s, &a));
    return a;
}

static void release(ndpool *p, ndpool_array a) { must(ndpool_release(p, a.handle)); }

/* ---- worlds */

/* A pool with something of everything. */
typedef struct world {
    ndpool *p, *q; /* two attachments; q is NULL in a pool at rest */
    ndpool_array own, records, many, live, sealed, both;
    ndpool_transfer sent, given, directed;
} world;

static const ndpool_options small = {.capacity = 4 << 20, .arrays = 1100, .tickets = 200, .processes = 10, .names = 1};

static void cache_some(ndpool *p)
{
    ndpool_array a[6];
    static const int64_t sizes[] = {10, 10, 700, 5000, 20000, 300000};
    for (int k = 0; k < 6; k++)
        a[k] = alloc_bytes(p, sizes[k]);
    for (int k = 0; k < 6; k++)
        release(p, a[k]);
}

static void fill_own(world *w)
{
    ndpool_array a;
    void *data;
    w->own = alloc_bytes(w->p, 100);
    w->records = alloc_records(w->p);
    ndpool_spec many = {.dtype = NDPOOL_INT16, .ndim = 10, .shape = (int64_t[]){1, 2, 1, 2, 1, 2, 1, 2, 1, 3},
                        .flags = NDPOOL_FORTRAN};
    must(ndpool_alloc(w->p, &many, &w->many));
    w->live = alloc_bytes(w->p, 3000);
    must(ndpool_share(w->p, w->live.handle));
    w->sealed = alloc_bytes(w->p, 9000);
    must(ndpool_seal(w->p, w->sealed.handle, NDPOOL_HASH, &data));
    a = alloc_bytes(w->p, 50);
    must(ndpool_send(w->p, a.handle, 0, &w->sent));
    a = alloc_bytes(w->p, 60000);
    must(ndpool_send(w->p, a.handle, 0, &w->given));
    release(w->p, a);
    cache_some(w->p);
}

static void fill_both(world *w)
{
    ndpool_array a = alloc_bytes(w->p, 70);
    must(ndpool_send(w->p, a.handle, ndpool_self(w->q), &w->directed));
    release(w->p, a);
    w->both = alloc_bytes(w->q, 4096);
    must(ndpool_share(w->q, w->both.handle));
    must(ndpool_retain(w->p, w->both.handle, 0, &a));
    cache_some(w->q);
}

static void world_open(world *w, const char *name, bool rest)
{
    ndpool_options o = small;
    memset(w, 0, sizeof *w);
    o.dir = dir;
    must(ndpool_create(name, &o, &w->p));
    if (!rest)
        must(ndpool_open(name, &(ndpool_options){.dir = dir}, &w->q));
    fill_own(w);
    if (!rest)
        fill_both(w);
}

static void world_leave(world *w)
{
    const ndpool_handle held[] = {w->own.handle,  w->records.handle, w->many.handle,
                                  w->live.handle, w->sealed.handle,  w->sent.handle};
    if (w->q) {
        must(ndpool_release(w->p, w->both.handle));
        must(ndpool_release(w->q, w->both.handle));
        ndpool_free(w->q);
    }
    for (size_t k = 0; k < sizeof held / sizeof *held; k++)
        must(ndpool_release(w->p, held[k]));
    ndpool_free(w->p);
}

/* A transfer in flight would keep the pool. */
static void world_close(world *w, const char *name)
{
    must(ndpool_unlink(name, &(ndpool_options){.dir = dir}));
    world_leave(w);
}

/* ---- breaches */

/* Marks an extent as in use, unless its slab is one of another class by now. */
static void mark(allocator *al, extent e)
{
    slab_head h = extent_class(e) ? shm_get64(&al->slabs[extent_first(e) / NDPOOL_MIN_SLAB_PAGES].head) : 0;
    if (h == 0 || slab_class(h) == extent_class(e))
        alloc_mark(al, e);
}

/* Makes the derived indexes anew, so that they agree with a truth that is broken. */
static void reindex(ndpool *p)
{
    must(pool_lock(p));
    alloc_reset(&p->alloc);
    for (uint32_t i = 0; i < pool_descs(p); i++) {
        int kind = state_kind(pool_state(p, i));
        extent e;
        if (kind == NDPOOL_KIND_FREE)
            set_add(&p->alloc.descs, i);
        else if ((kind_owned(kind) || kind == NDPOOL_KIND_LIVE) && pool_extent(p, i, &e))
            mark(&p->alloc, e);
    }
    for (uint32_t n = 0; n < p->arena->n_tickets; n++) {
        if (!refs_ticket_open(&p->refs, n))
            set_add(&p->alloc.tickets, n);
    }
    alloc_finish(&p->alloc);
    pool_unlock(p);
}

static ndpool_desc *desc_of(world *w, ndpool_handle h)
{
    uint32_t i;
    must(pool_resolve(w->p, h, &i));
    return pool_desc(w->p, i);
}

/* The nth descriptor of a kind. */
static ndpool_desc *nth(world *w, int kind, int n)
{
    for (uint32_t i = 0; i < pool_descs(w->p); i++) {
        if (state_kind(pool_state(w->p, i)) == kind && n-- == 0)
            return pool_desc(w->p, i);
    }
    NEED(!"no such block");
    return NULL;
}

static ndpool_ticket *ticket_of(world *w, ndpool_transfer t) { return &w->p->arena->tickets[(uint32_t)t.ticket]; }

static void break_descriptors(world *w) { poke32(&w->p->arena->ctl->descs, w->p->arena->n_descs - 1); }
static void break_descriptors_beyond(world *w) { poke32(&w->p->arena->ctl->descs, UINT32_MAX); }
static void break_slot(world *w) { flip64(&w->p->arena->slots[5].word, 1 << 8); }
static void break_committed(world *w) { flip64(&w->p->arena->committed[0], 1); }
static void break_committed_end(world *w) { flip64(&w->p->arena->committed[0], UINT64_C(1) << w->p->arena->chunks); }
static void break_state(world *w) { flip64(&nth(w, NDPOOL_KIND_FREE, 3)->state, 1 << 5); }
static void break_state_kind(world *w) { flip64(&desc_of(w, w->live.handle)->state, 8 | 2); }
static void break_owner(world *w) { flip64(&nth(w, NDPOOL_KIND_CACHED, 0)->state, 7 << 8); }
static void break_owner_beyond(world *w) { flip64(&desc_of(w, w->own.handle)->state, 0xff00); }
static void break_generation(world *w) { poke64(&desc_of(w, w->live.handle)->gen, 0); }
static void break_generation_free(world *w) { poke64(&nth(w, NDPOOL_KIND_FREE, 0)->gen, UINT64_C(1) << 40); }
static void break_extent(world *w) { poke64(&nth(w, NDPOOL_KIND_CACHED, 0)->extent, 0); }
static void break_extent_beyond(world *w) { poke64(&nth(w, NDPOOL_KIND_CACHED, 0)->extent, page_run(1023, 2)); }
static void break_overlap(world *w)
{
    poke64(&nth(w, NDPOOL_KIND_CACHED, 1)->extent, shm_get64(&nth(w, NDPOOL_KIND_CACHED, 0)->extent));
}
static void break_overlap_class(world *w)
{
    extent e = shm_get64(&desc_of(w, w->own.handle)->extent);
    int other = extent_class(e) == 2 ? 4 : 2; /* of as many pages */
    poke64(&nth(w, NDPOOL_KIND_CACHED, 0)->extent, slab_block(other, extent_first(e), 0));
}
static void break_overlap_run(world *w)
{
    poke64(&nth(w, NDPOOL_KIND_CACHED, 0)->extent, shm_get64(&desc_of(w, w->sealed.handle)->extent));
}
static void break_ndim(world *w) { flip32(&desc_of(w, w->own.handle)->ndim, 1 << 30); }
static void break_stride(world *w) { flip64(&desc_of(w, w->live.handle)->dims[0].stride, 2); }
static void break_header(world *w)
{
    extent e = shm_get64(&desc_of(w, w->records.handle)->extent);
    flip64((shm_u64 *)(void *)arena_data(w->p->arena, extent_offset(e)), UINT64_C(1) << 50);
}
static void break_holder(world *w) { flip64(&desc_of(w, w->live.handle)->holders[0], 1 << 5); }
static void break_holder_beyond(world *w) { flip64(&desc_of(w, w->live.handle)->holders[2], 1); }
static void break_alive(world *w) { poke64(&desc_of(w, w->live.handle)->holders[0], 0); }
static void break_unheld(world *w)
{
    flip64(&desc_of(w, w->own.handle)->holders[0], UINT64_C(1) << arena_slot(w->p->arena));
}
static void break_transit(world *w) { flip64(&desc_of(w, w->sent.handle)->holders[TRANSIT_WORD], TRANSIT_BIT); }
static void break_transit_of_none(world *w) { flip64(&desc_of(w, w->live.handle)->holders[TRANSIT_WORD], TRANSIT_BIT); }
static void break_ticket_count(world *w) { poke32(&desc_of(w, w->sent.handle)->tickets, 2); }
static void break_named(world *w) { flip64(&desc_of(w, w->live.handle)->holders[3], UINT64_C(1) << 63); }
static void break_ticket(world *w) { poke64(&w->p->arena->tickets[150].word, make_ticket(NDPOOL_TICKET_UNUSED, 7)); }
static void break_ticket_handle(world *w)
{
    ndpool_desc *d = desc_of(w, w->sent.handle);
    poke32(&d->tickets, 0);
    flip64(&d->holders[TRANSIT_WORD], TRANSIT_BIT);
    flip64(&ticket_of(w, w->sent)->handle, UINT64_C(1) << 63);
}
static void break_sender(world *w) { flip64(&ticket_of(w, w->sent)->sender, 1 << 20); }
static void break_receiver(world *w) { flip64(&ticket_of(w, w->directed)->receiver, UINT64_C(1) << 40); }
static void break_receiver_deadline(world *w) { poke64(&ticket_of(w, w->directed)->deadline, 9); }
static void break_deadline(world *w) { poke64(&ticket_of(w, w->given)->deadline, 5); }
static void break_pages(world *w) { flip64(&w->p->arena->page_bits[10], UINT64_C(1) << 40); }
static void break_page_tree(world *w) { flip32(&w->p->arena->page_tree[1].free, 1); }
static void break_slabs(world *w)
{
    extent e = shm_get64(&desc_of(w, w->own.handle)->extent);
    flip64(&w->p->arena->slabs[extent_first(e) / NDPOOL_MIN_SLAB_PAGES].map[0], 1);
}
static void break_slab_sets(world *w) { flip64(&w->p->arena->slab_sets[0], UINT64_C(1) << 63); }
static void break_descriptor_set(world *w) { flip64(&w->p->arena->desc_set[7], UINT64_C(1) << 63); }
static void break_ticket_set(world *w) { flip64(&w->p->arena->ticket_set[1], 1); }
static void break_set_summary(world *w)
{
    flip64(&w->p->arena->desc_set[set_words(w->p->arena->n_descs) - 1], UINT64_C(1) << 63);
}
static void break_content(world *w)
{
    extent e = shm_get64(&desc_of(w, w->sealed.handle)->extent);
    flip64((shm_u64 *)(void *)arena_data(w->p->arena, extent_offset(e) + 4096), 1);
}
static void break_hash(world *w) { flip64(&desc_of(w, w->sealed.handle)->hash, 1); }
static void break_reserved_desc(world *w) { flip64(&desc_of(w, w->live.handle)->reserved[2], UINT64_C(1) << 63); }
static void break_reserved_ticket(world *w) { poke64(&w->p->arena->tickets[199].reserved[1], 1); }
static void break_reserved_slot(world *w) { poke64(&w->p->arena->slots[9].reserved[9], 1); }
static void break_reserved_halves(world *w)
{
    ndpool_control *c = w->p->arena->ctl;
    poke32(&c->reserved0[14], 1);
    poke32(&c->reserved1[0], 1);
    poke32(&c->reserved2[2], 1);
    poke32(&c->reserved4[14], 1);
}
static void break_reserved_words(world *w)
{
    ndpool_control *c = w->p->arena->ctl;
    poke64(&c->reserved3[3], UINT64_C(1) << 63);
    poke64(&c->reserved[468], 1);
}

/* A segment that breaks one law and no other. */
static const struct {
    const char *law;
    void (*scribble)(world *w);
    bool rest;    /* in a pool at rest */
    bool reindex; /* so that no index is blamed */
    int faults;   /* 0: some */
} breaches[] = {
    {"descriptors", break_descriptors, false, true, 1},
    {"descriptors", break_descriptors_beyond, false, true, 1},
    {"slot", break_slot, false, false, 1},
    {"committed", break_committed, false, false, 0},
    {"committed-end", break_committed_end, false, false, 1},
    {"state", break_state, false, false, 1},
    {"state", break_state_kind, false, true, 1},
    {"owner", break_owner, false, false, 1},
    {"owner", break_owner_beyond, false, false, 1},
    {"generation", break_generation, false, false, 1},
    {"generation", break_generation_free, false, false, 1},
    {"extent", break_extent, false, true, 1},
    {"extent", break_extent_beyond, false, true, 1},
    {"overlap", break_overlap, false, true, 1},
    {"overlap", break_overlap_class, false, true, 0},
    {"overlap", break_overlap_run, false, true, 1},
    {"metadata", break_ndim, false, false, 1},
    {"metadata", break_stride, false, false, 1},
    {"metadata", break_header, false, false, 1},
    {"holder", break_holder, false, false, 1},
    {"holder", break_holder_beyond, false, false, 1},
    {"alive", break_alive, true, false, 1},
    {"unheld", break_unheld, true, false, 1},
    {"transit", break_transit, false, false, 1},
    {"transit", break_transit_of_none, false, false, 1},
    {"ticket-count", break_ticket_count, false, false, 1},
    {"named", break_named, false, false, 1},
    {"ticket", break_ticket, false, false, 1},
    {"ticket-handle", break_ticket_handle, false, false, 1},
    {"sender", break_sender, false, false, 1},
    {"receiver", break_receiver, false, false, 1},
    {"receiver", break_receiver_deadline, false, false, 1},
    {"deadline", break_deadline, false, false, 1},
    {"pages", break_pages, false, false, 1},
    {"page-tree", break_page_tree, false, false, 1},
    {"slabs", break_slabs, false, false, 1},
    {"slab-sets", break_slab_sets, false, false, 1},
    {"descriptor-set", break_descriptor_set, false, false, 1},
    {"ticket-set", break_ticket_set, false, false, 1},
    {"set-summary", break_set_summary, false, false, 1},
    {"content", break_content, false, false, 1},
    {"content", break_hash, false, false, 1},
    {"reserved", break_reserved_desc, false, false, 1},
    {"reserved", break_reserved_ticket, false, false, 1},
    {"reserved", break_reserved_slot, false, false, 1},
    {"reserved", break_reserved_halves, false, false, 4},
    {"reserved", break_reserved_words, false, false, 2},
};

static void test_breach(world *w, size_t k)
{
    breaches[k].scribble(w);
    if (breaches[k].reindex)
        reindex(w->p);
    verify(w->p, breaches[k].law);
    if (breaches[k].faults != 0 && told.of_law != breaches[k].faults)
        fprintf(stderr, "%s: told %d times\n", breaches[k].law, told.of_law);
    CHECK(breaches[k].faults == 0 || told.of_law == breaches[k].faults);
    take_back();
    if (breaches[k].reindex)
        reindex(w->p);
    verify(w->p, NULL);
}

static void test_breaches(bool rest)
{
    world w;
    world_open(&w, "broken", rest);
    CHECK(verify(w.p, NULL).quiet == rest);
    for (size_t k = 0; k < sizeof breaches / sizeof *breaches; k++) {
        if (breaches[k].rest == rest)
            test_breach(&w, k);
    }
    world_close(&w, "broken");
}

static void count_told(void *arg, const ndpool_fault *f)
{
    (void)f;
    ++*(int *)arg;
}

/* A report has bounds, and counts what is beyond them. The last error stays what it was. */
static void test_many_faults(void)
{
    world w;
    ndpool_report r;
    int n = 0;
    world_open(&w, "many", false);
    CHECK(ndpool_release(w.p, 0) != NDPOOL_OK);
    ndpool_error before = *ndpool_last_error();
    for (uint32_t i = 0; i < pool_descs(w.p); i++)
        shm_put64(&pool_desc(w.p, i)->reserved[0], 1);
    flip32(&desc_of(&w, w.own.handle)->ndim, 1 << 30);
    must(ndpool_verify(w.p, 0, count_told, &n, &r));
    CHECK(n == 1000 && r.faults == pool_descs(w.p) + 1);
    CHECK(memcmp(&before, ndpool_last_error(), sizeof before) == 0);
    must(ndpool_verify(w.p, 0, NULL, NULL, &r));
    take_back();
    for (uint32_t i = 0; i < pool_descs(w.p); i++)
        shm_put64(&pool_desc(w.p, i)->reserved[0], 0);
    verify(w.p, NULL);
    world_close(&w, "many");
}

/* ---- a clean pool, and what is seen of it */

static ndpool_array_info info_of(ndpool *p, ndpool_handle h)
{
    ndpool_array_info info;
    for (uint32_t cursor = 0; ndpool_next_array(p, &cursor, &info);) {
        if (info.handle == h)
            return info;
    }
    NEED(!"no such array");
    return info;
}

static int count_arrays(ndpool *p)
{
    ndpool_array_info info;
    int n = 0;
    for (uint32_t cursor = 0; ndpool_next_array(p, &cursor, &info); n++)
        CHECK(info.bytes <= info.extent);
    return n;
}

static void check_arrays(world *w, ndpool *see)
{
    uint64_t p = UINT64_C(1) << ident_slot(ndpool_self(w->p)), q = UINT64_C(1) << ident_slot(ndpool_self(w->q));
    ndpool_array_info i = info_of(see, w->own.handle);
    CHECK(i.flags == NDPOOL_PRIVATE && i.bytes == 100 && i.extent == 128 && i.holders[0] == p && !i.named);
    i = info_of(see, w->records.handle);
    CHECK(i.dtype == RECORD_TYPE && i.record_bytes == sizeof record_text - 1 && i.ndim == 2 && i.shape[1] == 5);
    CHECK(i.offset % NDPOOL_GRANULE == 0 && i.bytes == 120);
    i = info_of(see, w->many.handle);
    CHECK(i.ndim == 10 && i.shape[9] == 3 && i.flags == (NDPOOL_PRIVATE | NDPOOL_FORTRAN) && i.bytes == 96);
    i = info_of(see, w->sealed.handle);
    CHECK(i.flags == (NDPOOL_SEALED | NDPOOL_HASHED) && i.extent == 3 * 4096 && i.in_transit == 0);
    i = info_of(see, w->both.handle);
    CHECK(i.flags == 0 && i.holders[0] == (p | q));
    i = info_of(see, w->given.handle);
    CHECK(i.holders[0] == 0 && i.holders[3] == 0 && i.in_transit == 1);
}

static void check_transfers(world *w, ndpool *see)
{
    ndpool_transfer_info t;
    int n = 0;
    for (uint32_t cursor = 0; ndpool_next_transfer(see, &cursor, &t); n++) {
        CHECK(t.sender == ndpool_self(w->p) && t.expires == 0 && t.age >= 0 && t.age < INT64_C(60000000000));
        bool directed = t.transfer.ticket == w->directed.ticket;
        CHECK(t.receiver == (directed ? ndpool_self(w->q) : 0));
        CHECK(directed || t.transfer.ticket == w->sent.ticket || t.transfer.ticket == w->given.ticket);
    }
    CHECK(n == 3);
}

static void check_processes(world *w, ndpool *see)
{
    ndpool_process_info x[4];
    CHECK(ndpool_processes(see, x, 1) == 1 && ndpool_processes(see, x, 4) == 2);
    CHECK(x[0].id == ndpool_self(w->p) && x[1].id == ndpool_self(w->q));
    for (int k = 0; k < 2; k++) {
        CHECK(x[k].pid == getpid() && x[k].uid == (int32_t)getuid() && x[k].alive && x[k].attached >= 0);
        CHECK(x[k].self == (x[k].id == ndpool_self(see)) && strcmp(x[k].command, "verify_test") == 0);
        CHECK(x[k].pid_namespace != 0 && x[k].cached > 0);
    }
    CHECK(x[1].arrays >= 1 && x[1].bytes >= 4096);
}

/* What the pool says of itself and what a snapshot says agree. */
static void check_seen(world *w, ndpool *see)
{
    ndpool_stats_t s, t;
    must(ndpool_stats(w->p, &s));
    must(ndpool_stats(see, &t));
    if (memcmp(&s, &t, sizeof s) != 0) {
        for (size_t k = 0; k < sizeof s / 8; k++)
            fprintf(stderr, "stats %zu: %" PRIu64 " %" PRIu64 "\n", k, ((uint64_t *)&s)[k], ((uint64_t *)&t)[k]);
    }
    CHECK(memcmp(&s, &t, sizeof s) == 0);
    CHECK(s.arrays == 9 && s.transfers == 3 && s.processes == 2 && s.capacity == 4 << 20 && s.free < s.capacity);
    CHECK(s.array_limit == 1100 && s.transfer_limit == 200 && s.process_limit == 10 && s.cached > 0 && s.live < s.held);
    CHECK(s.largest_free <= s.free && s.largest_free % 4096 == 0 && s.committed >= s.held && s.tables > 4096);
    CHECK(count_arrays(see) == 9);
    check_arrays(w, see);
    check_transfers(w, see);
    check_processes(w, see);
}

static void run_cli(const char *name)
{
    const char *cli = getenv("NDPOOL_CLI");
    char line[1024];
    if (!cli)
        return;
    snprintf(line, sizeof line, "%s --dir %s verify --content %s", cli, dir, name);
    fflush(stdout);
    CHECK(system(line) == 0);
}

static void test_clean(void)
{
    ndpool_condition_t c;
    ndpool *s;
    world w;
    world_open(&w, "clean", false);
    CHECK(verify(w.p, NULL).arrays == 9 && verify(w.q, NULL).arrays == 9);
    must(ndpool_peek("clean", &(ndpool_options){.dir = dir}, &s));
    check_seen(&w, w.p);
    check_seen(&w, s);
    must(ndpool_condition(s, &c));
    CHECK(c == NDPOOL_COND_LIVE);
    must(ndpool_condition(w.q, &c));
    CHECK(c == NDPOOL_COND_LIVE);
    run_cli("clean");
    world_leave(&w);
    must(ndpool_condition(s, &c));
    CHECK(c == NDPOOL_COND_LEFT_BEHIND); /* by the snapshot's tables, which know who was attached */
    ndpool_close(s);
    CHECK(ndpool_condition(s, &c) == NDPOOL_ERR_CLOSED);
    ndpool_free(s);
    must(ndpool_peek("clean", &(ndpool_options){.dir = dir}, &s));
    must(ndpool_condition(s, &c));
    CHECK(c == NDPOOL_COND_IDLE); /* a transfer waits */
    ndpool_free(s);
    must(ndpool_unlink("clean", &(ndpool_options){.dir = dir}));
}

/* Reaping by name: counts the dead, ends what they held, and removes a pool that nobody keeps. */
static void test_reap_name(void)
{
    ndpool_options o = small;
    ndpool_reaped r;
    ndpool *p;
    o.dir = dir;
    CHECK(ndpool_reap_name("reaped", &o, &r) == NDPOOL_ERR_NOT_EXIST);
    pid_t child = fork();
    if (child == 0) {
        must(ndpool_create("reaped", &o, &p));
        alloc_bytes(p, 1000);
        kill(getpid(), SIGKILL);
    }
    CHECK(waitpid(child, NULL, 0) == child);
    must(ndpool_reap_name("reaped", &o, &r));
    CHECK(r.processes == 1 && r.expired == 0 && r.removed);
    CHECK(ndpool_reap_name("reaped", &o, &r) == NDPOOL_ERR_NOT_EXIST);
    must(ndpool_create("reaped", &o, &p));
    must(ndpool_reap_name("reaped", &o, &r));
    CHECK(r.processes == 0 && !r.removed);
    ndpool_free(p);
}

/* ---- a busy pool */

enum { WORK_MS = 2000, KEPT = 24 };
#define MS INT64_C(1000000)

/* What workers tell each other. */
typedef struct note {
    ndpool_transfer t;
    ndpool_handle bare; /* 0: none */
} note;

typedef struct worker {
    ndpool *p;
    ndpool_handle kept[KEPT];
    int n;
    int in, out;
    uint64_t x;
} worker;

static uint32_t draw(worker *k, uint32_t n)
{
    k->x ^= k->x << 13;
    k->x ^= k->x >> 7;
    k->x ^= k->x << 17;
    return (uint32_t)(k->x >> 32) % n;
}

static void drop_one(worker *k)
{
    if (k->n == 0)
        return;
    uint32_t at = draw(k, (uint32_t)k->n);
    must(ndpool_release(k->p, k->kept[at]));
    k->kept[at] = k->kept[--k->n];
}

static void keep(worker *k, ndpool_handle h)
{
    if (k->n == KEPT)
        drop_one(k);
    k->kept[k->n++] = h;
}

static void work_alloc(worker *k)
{
    static const uint32_t sizes[] = {1, 60, 1000, 3000, 5000, 20000, 200000};
    int64_t n = 1 + draw(k, sizes[draw(k, 7)]);
    ndpool_array a;
    int status = ndpool_alloc(k->p, &(ndpool_spec){.dtype = NDPOOL_UINT8, .ndim = 1, .shape = &n}, &a);
    if (status == NDPOOL_ERR_FULL || status == NDPOOL_ERR_TABLE_FULL) {
        drop_one(k);
        return;
    }
    must(status);
    void *data;
    keep(k, a.handle);
    if (draw(k, 4) == 0)
        must(ndpool_seal(k->p, a.handle, NDPOOL_HASH, &data));
}

static void work_send(worker *k)
{
    note m = {.bare = 0};
    if (k->n == 0)
        return;
    ndpool_handle h = k->kept[draw(k, (uint32_t)k->n)];
    int status = ndpool_send(k->p, h, 0, &m.t);
    if (status == NDPOOL_ERR_TABLE_FULL)
        return;
    must(status);
    m.bare = draw(k, 2) ? h : 0;
    if (write(k->out, &m, sizeof m) != sizeof m)
        must(ndpool_recall(k->p, m.t));
}

static void work_receive(worker *k)
{
    note m;
    ndpool_array a;
    if (read(k->in, &m, sizeof m) != sizeof m)
        return;
    int status = m.bare ? ndpool_retain(k->p, m.bare, 0, &a) : NDPOOL_ERR_STALE;
    if (status != NDPOOL_ERR_STALE) {
        must(status);
        keep(k, a.handle);
    }
    status = ndpool_adopt(k->p, m.t, 0, &a);
    if (status != NDPOOL_ERR_EXPIRED && status != NDPOOL_ERR_SPENT) { /* the sender has left long ago; the ticket may be another's */
        must(status);
        keep(k, a.handle);
    }
}

static void work_trim(worker *k)
{
    uint64_t freed;
    must(ndpool_trim(k->p, &freed));
}

/* Allocates the same cached block as another array each time, which wants no lock. */
static void work_flip(worker *k)
{
    const ndpool_spec specs[] = {
        {.dtype = NDPOOL_UINT8, .ndim = 1, .shape = (int64_t[]){60}},
        {.dtype = NDPOOL_INT32, .ndim = 3, .shape = (int64_t[]){2, 2, 3}},
        {.dtype = NDPOOL_FLOAT64, .ndim = 2, .shape = (int64_t[]){4, 2}, .flags = NDPOOL_FORTRAN},
    };
    for (int n = 0; n < 3000; n++) {
        ndpool_array a;
        if (ndpool_alloc(k->p, &specs[n % 3], &a) != NDPOOL_OK)
            return;
        if (n % 5 == 0)
            must(ndpool_share(k->p, a.handle));
        must(ndpool_release(k->p, a.handle));
    }
}

static void work(worker *k)
{
    uint32_t x = draw(k, 1000);
    if (x < 20)
        work_flip(k);
    else if (x < 350)
        work_alloc(k);
    else if (x < 600)
        drop_one(k);
    else if (x < 800)
        work_send(k);
    else if (x < 999)
        work_receive(k);
    else
        work_trim(k);
}

/* Comes and goes all the while. */
static void run_worker(int in, int out, uint64_t seed)
{
    worker k = {.in = in, .out = out, .x = seed};
    int steps = 0;
    for (int64_t end = mono_time() + WORK_MS * MS; mono_time() < end;) {
        must(ndpool_open("busy", &(ndpool_options){.dir = dir}, &k.p));
        for (uint32_t n = draw(&k, 5000); n > 0 && mono_time() < end; n--, steps++)
            work(&k);
        while (k.n > 0)
            drop_one(&k);
        ndpool_free(k.p);
    }
    CHECK(steps > 100);
    check_exit();
}

static void make_pipe(int ends[2])
{
    NEED(pipe(ends) == 0);
    NEED(fcntl(ends[0], F_SETFL, O_NONBLOCK) == 0 && fcntl(ends[1], F_SETFL, O_NONBLOCK) == 0);
}

/* Starts workers that talk to themselves, and kills each after a moment, wherever it is. */
static void run_killer(uint64_t seed)
{
    worker k = {.x = seed};
    for (int64_t end = mono_time() + WORK_MS * MS; mono_time() < end;) {
        int ends[2];
        make_pipe(ends);
        pid_t pid = fork();
        NEED(pid >= 0);
        if (pid == 0)
            run_worker(ends[0], ends[1], k.x);
        usleep(20000 + draw(&k, 50000));
        kill(pid, SIGKILL);
        CHECK(waitpid(pid, NULL, 0) == pid);
        close(ends[0]);
        close(ends[1]);
    }
    check_exit();
}

/* The pool is open here too: a child leaves the parent's attachment, which the fork gave it, and opens its own. */
static pid_t start(ndpool *p, int in, int out, uint64_t seed)
{
    pid_t pid = fork();
    NEED(pid >= 0);
    if (pid != 0)
        return pid;
    ndpool_exit(p);
    if (in >= 0)
        run_worker(in, out, seed);
    run_killer(seed);
    return 0;
}

static int verify_until(ndpool *p, int64_t end)
{
    int n = 0;
    for (; mono_time() < end; n++) {
        verify(p, NULL);
        if (n % 4 == 0)
            usleep(500); /* others want the lock too */
    }
    return n;
}

static void test_busy(void)
{
    ndpool_options o = small;
    ndpool_reaped r;
    ndpool *p;
    int to[2], fro[2], status;
    o.dir = dir;
    o.grace = 300 * MS;
    make_pipe(to);
    make_pipe(fro);
    must(ndpool_create("busy", &o, &p));
    pid_t pids[] = {start(p, to[0], fro[1], 12345), start(p, fro[0], to[1], 67890), start(p, -1, -1, 424242)};
    int n = verify_until(p, mono_time() + WORK_MS * MS);
    for (int k = 0; k < 3; k++)
        CHECK(waitpid(pids[k], &status, 0) == pids[k] && status == 0);
    must(ndpool_reap(p, &r));
    CHECK(verify(p, NULL).quiet);
    printf("verify: %d times beside workers\n", n);
    must(ndpool_unlink("busy", &o));
    ndpool_free(p);
}

int main(void)
{
    snprintf(dir, sizeof dir, "/dev/shm/ndpool-verify-XXXXXX");
    NEED(mkdtemp(dir) != NULL);
    test_clean();
    test_breaches(false);
    test_breaches(true);
    test_many_faults();
    test_reap_name();
    test_busy();
    CHECK(rmdir(dir) == 0);
    return 0;
}
