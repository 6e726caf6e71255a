/*
 * Operations that scripts/coverage asked for: stores that none of the others reaches. Twin of pool/scenarios_gaps_test.go,
 * pool/scenarios_others_test.go and pool/attach_crash_test.go.
 *
 * It is a part of scenarios.h.
 */
#ifndef NDPOOL_TESTS_SCENARIOS_GAPS_H
#define NDPOOL_TESTS_SCENARIOS_GAPS_H

/* ---- what a scenario happens on, if not on the small pool as it is: one step more of what has memory than the bystander
 * leaves */

#define CHUNK ((int64_t)NDPOOL_CHUNK_SIZE)
enum { TABLE_STEP = NDPOOL_TABLE_STEP / NDPOOL_DESC_SIZE };

/* The second chunk is short, and the first one has no room for anything large. */
static inline void chunk_ground(ndpool_options *o) { o->capacity = (uint64_t)CHUNK + 65536; }
static inline void table_ground(ndpool_options *o)
{
    o->capacity = 1 << 20;
    o->arrays = TABLE_STEP + 48;
}

/* What the bystander holds then. The caller frees it. */
static inline ndpool_array *hold_ground(ndpool *p, void (*ground)(ndpool_options *), size_t *n)
{
    ndpool_array *held = calloc(TABLE_STEP + 1, sizeof *held);
    *n = 0;
    if (!held)
        abort();
    if (ground == chunk_ground)
        held[(*n)++] = alloc_bytes(p, CHUNK - 65536);
    while (ground == table_ground && set_next(&p->alloc.descs, 0) >= 0)
        held[(*n)++] = alloc_bytes(p, 8);
    return held;
}

static void op_alloc_60000(scene *s) { s->a = alloc_bytes(s->victim, 60000); }
static void have_chunk(scene *s)
{
    op_alloc_60000(s);
    must(ndpool_release(s->victim, s->a.handle));
}
static void op_trim_some(scene *s)
{
    uint64_t freed;
    must(ndpool_trim(s->victim, &freed));
    if (freed == 0)
        abort();
}

/* ---- waiting, and waking */

static void peer_takes_60000(scene *s) { (void)alloc_bytes(s->peer, 60000); }
static void op_alloc_waits(scene *s)
{
    ndpool_array a;
    int64_t n = 250000;
    ndpool_spec wanted = {.dtype = NDPOOL_UINT8, .ndim = 1, .shape = &n, .wait = LOCK_BRIEF};
    int status = ndpool_alloc(s->victim, &wanted, &a);
    if (status != NDPOOL_ERR_TIMEOUT && status != NDPOOL_ERR_FULL)
        abort();
}
static void have_wanted(scene *s)
{
    have_large(s);
    space_wanted(s->peer->arena);
}
static void peer_waits_to_write(scene *s)
{
    lock_wait on;
    lock_mine_reader(s);
    (void)lock_take_writer(s->peer->arena, lock_of(s->peer).entry, &on); /* which waits for the reader */
}
static inline void get_in_vain(scene *s)
{
    size_t n;
    if (ndpool_queue_get(s->q, 1, s->got, 4, LOCK_BRIEF, NULL, NULL, &n) != NDPOOL_ERR_TIMEOUT)
        abort();
}
static void has_empty_queue(scene *s) { has_queue(s, 0); }
static void op_queue_get_waits(scene *s) { get_in_vain(s); }
static void puts_into_full(scene *s)
{
    puts_arrays(s, 1);
    for (int k = 0; k < 3; k++)
        must(ndpool_queue_put(s->q, s->put, 1, 0, NULL, NULL, NULL));
}
static void op_queue_put_waits(scene *s)
{
    if (ndpool_queue_put(s->q, s->put, 1, LOCK_BRIEF, NULL, NULL, NULL) != NDPOOL_ERR_TIMEOUT)
        abort();
}

/* The ring of the victim's queue. */
static inline ring ring_of(scene *s)
{
    ring_ref f;
    must(pool_find_ring(s->victim, "scenario", "q", NDPOOL_RING_QUEUE, 0, &f, NULL));
    must(pool_drop(s->victim, f.block));
    return f.ring;
}
static void puts_beside_sleeper(scene *s)
{
    ring r = (puts_arrays(s, 1), ring_of(s));
    (void)bell_arm(ring_news(&r), false);
}
static void puts_beside_sleepers(scene *s)
{
    ring r = (puts_arrays(s, 1), ring_of(s));
    (void)bell_arm(ring_news(&r), true);
}
static void gets_beside_sleeper(scene *s)
{
    ring r = (has_queue(s, 4), ring_of(s));
    (void)bell_arm(ring_room(&r), false);
}

/* ---- ends, and what recovers from ends */

/* A block whose generations end with this one. */
static void have_last_generation(scene *s)
{
    uint32_t i;
    have_large(s);
    if (!pool_index(s->victim, s->a.handle, &i))
        abort();
    uint32_t last = refs_first_gen(&s->victim->refs, i) - 1;
    shm_store64(&pool_desc(s->victim, i)->gen, last ? last : UINT32_MAX);
    s->a.handle = pool_handle_of(s->victim, i);
}
static void op_release_trim(scene *s)
{
    op_release(s);
    op_trim(s);
}
/* A change of the catalog that is decided, by somebody who died with the lock. */
static void decided_by_the_dead(scene *s)
{
    ident i = s->peer->arena->self;
    EACH(s->peer, STAY, NULL, "x");
    shm_store32(&s->peer->arena->ctl->commit, 1);
    shm_store32(&s->peer->arena->ctl->lock, make_lock(make_ident((int)ident_slot(i), ident_incarnation(i) - 1)));
}
static void peer_gave_long_ago(scene *s)
{
    peer_gave(s);
    for (uint32_t n = 0; n < s->peer->arena->n_tickets; n++)
        shm_store64(&s->peer->arena->tickets[n].deadline, 1);
}
static void op_reap(scene *s)
{
    ndpool_reaped r;
    must(ndpool_reap(s->victim, &r));
}

/* ---- ways to a pool. They cannot die by a jump: they hold a lock of the process */

static void op_open(scene *s)
{
    ndpool *p;
    must(ndpool_open("crash", &(ndpool_options){.dir = s->dir}, &p));
}
static void op_create(scene *s)
{
    ndpool *p;
    ndpool_options o = small_pool(s->dir);
    must(ndpool_create("new", &o, &p));
}
/* A pool that a process of an earlier boot has closed, with a transfer in it. */
static void closed_in_another_boot(scene *s)
{
    ndpool *p;
    ndpool_transfer t;
    ndpool_options o = small_pool(s->dir);
    o.persistent = true;
    o.grace = LOCK_PATIENCE;
    (void)ndpool_unlink("old", &o); /* of who has learned the outcomes */
    must(ndpool_create("old", &o, &p));
    ndpool_array a = alloc_bytes(p, 1000);
    must(ndpool_send(p, a.handle, 0, &t));
    must(ndpool_release(p, a.handle));
    shm_store64(&p->arena->ctl->boot[0], 1);
    ndpool_close(p);
}
static void op_open_old(scene *s)
{
    ndpool *p;
    must(ndpool_open("old", &(ndpool_options){.dir = s->dir}, &p));
}
/* All slots but the bystander's are of the dead, and one of those has the lock. */
static void only_dead_slots(scene *s)
{
    ndpool *p[8];
    int n = 0;
    ident i = s->peer->arena->self;
    have_held_kinds(s);
    while (n < 8 && ndpool_open("crash", &(ndpool_options){.dir = s->dir}, &p[n]) == NDPOOL_OK)
        n++;
    while (n > 0)
        arena_abandon(p[--n]->arena);
    shm_store32(&s->peer->arena->ctl->lock, make_lock(i));
    arena_abandon(s->peer->arena);
    arena_abandon(s->victim->arena);
}

/* ---- others, who act in the middle of the operation. Only the crash build can have it */

#ifdef NDPOOL_CRASH

static void peer_owns_lock(scene *s) { shm_store32(&s->peer->arena->ctl->lock, make_lock(s->peer->arena->self)); }

static void let_go(void *scene_)
{
    scene *s = scene_;
    shm_u32 *lock = &s->peer->arena->ctl->lock;
    if (lock_owner(shm_load32(lock)) == ident_slot(s->peer->arena->self))
        shm_store32(lock, 0);
}
static void let_go_if_contended(void *scene_)
{
    scene *s = scene_;
    if (lock_contended(shm_load32(&s->peer->arena->ctl->lock)))
        let_go(s);
}
static inline void lock_unlock(scene *s, void (*others)(void *))
{
    shm_meanwhile(others, s);
    must(pool_lock(s->victim));
    pool_unlock(s->victim);
}
static void op_lock_comes_free(scene *s) { lock_unlock(s, let_go); }
static void op_lock_comes_free_in_sleep(scene *s) { lock_unlock(s, let_go_if_contended); }

/* Somebody who needs much comes between the two looks of who rings. */
static void comes_meanwhile(void *scene_)
{
    scene *s = scene_;
    if (!s->came && shm_load32(s->bell.seq) != s->seq) {
        s->came = true;
        (void)bell_arm(s->bell, true);
    }
}
static void op_queue_put_beside_comer(scene *s)
{
    ring r = ring_of(s);
    s->came = false;
    s->bell = ring_news(&r);
    s->seq = shm_load32(s->bell.seq);
    shm_meanwhile(comes_meanwhile, s);
    op_queue_put(s);
}

#endif

#endif
