/*
 * Operations on the lock of a name that a process may die in: the twin of pool/scenarios_locks_test.go. The name stays.
 *
 * It is a part of scenarios.h.
 */
#ifndef NDPOOL_TESTS_SCENARIOS_LOCKS_H
#define NDPOOL_TESTS_SCENARIOS_LOCKS_H

#define LOCK_PATIENCE INT64_C(60000000000)
#define LOCK_BRIEF INT64_C(1000000)

static inline ndpool_name_lock lock_of(ndpool *p)
{
    ndpool_name_lock l;
    must(ndpool_lock_find(p, "x", &l));
    return l;
}

static inline int lock_wait_for(ndpool *p, uint32_t flags, int64_t wait)
{
    bool torn;
    return ndpool_lock(p, lock_of(p), flags, wait, &torn);
}

static inline void lock_times_out(ndpool *p, uint32_t flags)
{
    if (lock_wait_for(p, flags, LOCK_BRIEF) != NDPOOL_ERR_TIMEOUT)
        abort();
}

static void lock_free(scene *s) { EACH(s->peer, STAY, NULL, "x"); }
static void lock_mine(scene *s)
{
    lock_free(s);
    must(lock_wait_for(s->victim, 0, 0));
}
static void lock_mine_reader(scene *s)
{
    lock_free(s);
    must(lock_wait_for(s->victim, NDPOOL_READ_ONLY, 0));
}
static void lock_peers(scene *s)
{
    lock_free(s);
    must(lock_wait_for(s->peer, 0, 0));
}
static void lock_peer_reads(scene *s)
{
    lock_free(s);
    must(lock_wait_for(s->peer, NDPOOL_READ_ONLY, 0));
}
/* The word of a process that is gone, on which others sleep. */
static void lock_of_the_dead(scene *s)
{
    lock_free(s);
    ident i = s->peer->arena->self;
    name_lock_word gone = make_name_lock(make_ident((int)ident_slot(i), ident_incarnation(i) - 1));
    shm_store32(&s->peer->arena->names[lock_of(s->peer).entry].lock, name_lock_with_waiters(gone));
}

static void op_lock(scene *s) { must(lock_wait_for(s->victim, 0, LOCK_PATIENCE)); }
static void op_unlock(scene *s) { must(ndpool_unlock(s->victim, lock_of(s->victim), 0)); }
static void op_rlock(scene *s) { must(lock_wait_for(s->victim, NDPOOL_READ_ONLY, LOCK_PATIENCE)); }
static void op_runlock(scene *s) { must(ndpool_unlock(s->victim, lock_of(s->victim), NDPOOL_READ_ONLY)); }
static void op_lock_unlock(scene *s) { op_lock(s), op_unlock(s); }
static void op_rlock_runlock(scene *s) { op_rlock(s), op_runlock(s); }
static void op_lock_give_up(scene *s) { lock_times_out(s->victim, 0); }
static void op_rlock_give_up(scene *s) { lock_times_out(s->victim, NDPOOL_READ_ONLY); }

#endif
