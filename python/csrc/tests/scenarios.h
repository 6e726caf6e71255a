/*
 * Operations that a process may die in, for crash_test.c and step_test.c: the twin of pool/scenarios_test.go. prepare runs
 * before; op is what the victim dies in. The peer is another attachment, which the operation may need.
 */
#ifndef NDPOOL_TESTS_SCENARIOS_H
#define NDPOOL_TESTS_SCENARIOS_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "pool/pool.h"
#include "ring/ring.h"

/* What an operation works on. */
typedef struct scene {
    ndpool *victim;
    ndpool *peer;
    ndpool_array a;
    ndpool_transfer t;
    ndpool_message m;
    ndpool_view view;
    ndpool_writer *w;
    ndpool_reader *r;
    ndpool_queue *q;
    ndpool_put put[3];
    ndpool_got got[4];
    const char *dir; /* of the pool */
    bell bell;       /* of the queue, what it said, and whether somebody has come since */
    uint32_t seq;
    bool came;
} scene;

typedef struct scenario {
    const char *name;
    void (*prepare)(scene *s);
    void (*op)(scene *s);
    bool forks; /* cannot die by a jump: locks of the process are held, by a fork's handlers or by who attaches */
} scenario;

/* A pool whose tables are small, so that a recovery has few stores. */
static inline ndpool_options small_pool(const char *dir)
{
    return (ndpool_options){.capacity = 256 << 10, .arrays = 48, .tickets = 8, .names = 12, .processes = 6, .grace = 1,
                            .lock_wait = INT64_C(5000000000), .dir = dir};
}

static inline void must(int status)
{
    if (status) {
        fprintf(stderr, "scenario: %s\n", ndpool_last_error()->message);
        exit(3);
    }
}

static inline ndpool_array alloc_bytes(ndpool *p, int64_t n)
{
    ndpool_array a;
    must(ndpool_alloc(p, &(ndpool_spec){.dtype = NDPOOL_UINT8, .ndim = 1, .shape = &n}, &a));
    return a;
}

static inline int try_alloc(ndpool *p, int64_t n)
{
    ndpool_array a;
    return ndpool_alloc(p, &(ndpool_spec){.dtype = NDPOOL_UINT8, .ndim = 1, .shape = &n}, &a);
}

static void nothing(scene *s) { (void)s; }
static void have_1000(scene *s) { s->a = alloc_bytes(s->victim, 1000); }
static void have_shared(scene *s)
{
    have_1000(s);
    must(ndpool_share(s->victim, s->a.handle));
}
static void have_cached(scene *s)
{
    have_1000(s);
    must(ndpool_release(s->victim, s->a.handle));
}
static void have_two_holders(scene *s)
{
    ndpool_array b;
    have_shared(s);
    must(ndpool_retain(s->peer, s->a.handle, 0, &b));
}
static void have_large(scene *s) { s->a = alloc_bytes(s->victim, 100000); }
static void have_sent(scene *s)
{
    have_1000(s);
    must(ndpool_send(s->victim, s->a.handle, 0, &s->t));
}
static void have_given(scene *s)
{
    have_sent(s);
    must(ndpool_release(s->victim, s->a.handle));
}
static void have_three_sent(scene *s)
{
    for (int n = 0; n < 3; n++)
        have_sent(s);
}
static void peer_has_cached(scene *s)
{
    ndpool_array a[3];
    for (int n = 0; n < 3; n++)
        a[n] = alloc_bytes(s->peer, 60000);
    for (int n = 0; n < 3; n++)
        must(ndpool_release(s->peer, a[n].handle));
}
static void peer_has_shared(scene *s)
{
    s->a = alloc_bytes(s->peer, 1000);
    must(ndpool_share(s->peer, s->a.handle));
}
static void peer_sent(scene *s)
{
    s->a = alloc_bytes(s->peer, 1000);
    must(ndpool_send(s->peer, s->a.handle, 0, &s->t));
}
static void peer_gave(scene *s)
{
    peer_sent(s);
    must(ndpool_release(s->peer, s->a.handle));
}
static void peer_gave_directed(scene *s)
{
    s->a = alloc_bytes(s->peer, 1000);
    must(ndpool_send(s->peer, s->a.handle, ndpool_self(s->victim), &s->t));
    must(ndpool_release(s->peer, s->a.handle));
}
static void peer_sent_view(scene *s)
{
    peer_sent(s);
    s->view = (ndpool_view){.offset = 200, .dtype = NDPOOL_UINT8, .ndim = 2, .shape = {3, 100}, .strides = {200, 1}};
    s->m = (ndpool_message){.handle = s->t.handle, .ticket = s->t.ticket, .view = &s->view};
    ndpool_segment(s->peer, s->m.segment);
}
static void have_all_kinds(scene *s)
{
    have_given(s);
    have_large(s);
    must(ndpool_release(s->victim, s->a.handle));
    have_1000(s);
    must(ndpool_release(s->victim, s->a.handle));
}
static void have_held_kinds(scene *s)
{
    have_cached(s);
    have_shared(s);
    have_1000(s);
}

static void op_alloc(scene *s) { (void)try_alloc(s->victim, 1000); }
static void op_alloc_900(scene *s) { (void)try_alloc(s->victim, 900); }
static void op_alloc_pages(scene *s) { (void)try_alloc(s->victim, 9000); }
static void op_alloc_large(scene *s) { (void)try_alloc(s->victim, 100000); }
static void op_alloc_150000(scene *s) { (void)try_alloc(s->victim, 150000); }
static void op_alloc_refused(scene *s)
{
    if (try_alloc(s->victim, 300000) != NDPOOL_ERR_FULL)
        abort();
}
static void op_alloc_many_dims(scene *s)
{
    ndpool_array a;
    int64_t shape[] = {1, 2, 1, 2, 1, 2, 1, 2, 1, 3};
    must(ndpool_alloc(s->victim, &(ndpool_spec){.dtype = NDPOOL_INT16, .ndim = 10, .shape = shape}, &a));
}
static void op_alloc_structured(scene *s)
{
    static const char text[] = "{\"itemsize\":8,\"fields\":[[\"x\",\"<f4\",0],[\"y\",\"<i2\",4]]}";
    ndpool_array a;
    int64_t n = 7;
    must(ndpool_alloc(s->victim, &(ndpool_spec){.dtype = NDPOOL_DTYPE('V', 0, 8) | 1 << 24, .record = text, .record_bytes = sizeof text - 1, .ndim = 1, .shape = &n}, &a));
}
static void op_release(scene *s) { must(ndpool_release(s->victim, s->a.handle)); }
static void op_release_then_alloc(scene *s)
{
    op_release(s);
    (void)try_alloc(s->victim, 110000);
}
static void op_share(scene *s) { must(ndpool_share(s->victim, s->a.handle)); }
static void op_retain(scene *s)
{
    ndpool_array b;
    must(ndpool_retain(s->victim, s->a.handle, 0, &b));
}
static void op_send(scene *s) { must(ndpool_send(s->victim, s->a.handle, 0, &s->t)); }
static void op_send_release(scene *s)
{
    op_send(s);
    op_release(s);
}
static void op_send_to_release(scene *s)
{
    must(ndpool_send(s->victim, s->a.handle, ndpool_self(s->peer), &s->t));
    op_release(s);
}
static void op_adopt(scene *s)
{
    ndpool_array b;
    must(ndpool_adopt(s->victim, s->t, 0, &b));
}
static void op_adopt_release(scene *s)
{
    ndpool_array b;
    must(ndpool_adopt(s->victim, s->t, 0, &b));
    must(ndpool_release(s->victim, b.handle));
}
static void op_recall(scene *s) { must(ndpool_recall(s->victim, s->t)); }
static void op_recall_older(scene *s)
{
    int n;
    must(ndpool_recall_older(s->victim, 0, &n));
}
static void op_seal(scene *s)
{
    void *data;
    must(ndpool_seal(s->victim, s->a.handle, NDPOOL_HASH, &data));
}
static void op_trim(scene *s)
{
    uint64_t freed;
    must(ndpool_trim(s->victim, &freed));
}
static void op_close(scene *s) { ndpool_close(s->victim); }
static void op_exit(scene *s) { ndpool_exit(s->victim); }
static void op_receive_view(scene *s)
{
    ndpool_array b;
    must(ndpool_receive(s->victim, &s->m, 0, &b));
}

#include "tests/scenarios_names.h"
#include "tests/scenarios_locks.h"
#include "tests/scenarios_rings.h"
#include "tests/scenarios_gaps.h"

/* Tells all of a catalog that a crash must leave whole. */
static inline void tell_catalog(ndpool *p, char *to, size_t size)
{
    ndpool_names *l;
    to[0] = 0;
    must(ndpool_list(p, "", &l));
    for (size_t k = 0; k < l->n; k++) {
        size_t at = strlen(to);
        tell_name(p, &l->names[k], to + at, size - at);
        at = strlen(to);
        if (l->names[k].flags & NDPOOL_RING)
            tell_ring(p, l->names[k].array, to + at, size - at);
        strncat(to, "\n", size - strlen(to) - 1);
    }
    ndpool_names_free(p, l);
}

/* The exit code of a victim whose forked child died in the operation. */
enum { CHILD_DIED = 9 };

/* The count of stores goes on in the child, which thus may be the one to die. */
static void op_fork(scene *s)
{
    pid_t child = fork();
    if (child == 0) {
        op_release(s);
        _exit(0);
    }
    int status;
    waitpid(child, &status, 0);
    if (WIFSIGNALED(status))
        _exit(CHILD_DIED);
}

static const scenario scenarios[] = {
    {"alloc-refill", nothing, op_alloc, false},
    {"alloc-pages", nothing, op_alloc_pages, false},
    {"alloc-large", nothing, op_alloc_large, false},
    {"alloc-many-dims", nothing, op_alloc_many_dims, false},
    {"alloc-structured", nothing, op_alloc_structured, false},
    {"alloc-cached", have_cached, op_alloc_900, false},
    {"alloc-steal", peer_has_cached, op_alloc_150000, false},
    {"alloc-refused", nothing, op_alloc_refused, false},
    {"release-private", have_1000, op_release, false},
    {"release-last", have_shared, op_release, false},
    {"release-shared", have_two_holders, op_release, false},
    {"release-large-then-alloc", have_large, op_release_then_alloc, false},
    {"share", have_1000, op_share, false},
    {"retain", peer_has_shared, op_retain, false},
    {"send", have_1000, op_send, false},
    {"send-again-release", have_sent, op_send_release, false},
    {"send-to", have_1000, op_send_to_release, false},
    {"adopt", peer_sent, op_adopt, false},
    {"adopt-sole", peer_gave, op_adopt, false},
    {"adopt-directed-release", peer_gave_directed, op_adopt_release, false},
    {"recall", have_given, op_recall, false},
    {"recall-older", have_three_sent, op_recall_older, false},
    {"seal", have_1000, op_seal, false},
    {"trim", have_all_kinds, op_trim, false},
    {"close", have_all_kinds, op_close, false},
    {"exit", have_held_kinds, op_exit, false},
    {"receive-view", peer_sent_view, op_receive_view, false},
    {"fork", have_held_kinds, op_fork, true},
    {"names-grow-publish", have_marked, op_publish, false},
    {"names-publish-owned", names_x, op_publish_owned, false},
    {"names-publish-in-group", names_in_group, op_publish_in_group, false},
    {"names-publish-attributes", names_x, op_publish_attributes, false},
    {"names-publish-tree", names_x, op_publish_tree, false},
    {"names-load", names_x, op_load, false},
    {"names-replace", names_gx, op_replace, false},
    {"names-replace-by-itself", names_itself, op_replace_itself, false},
    {"names-overwrite-tree", names_tree, op_overwrite_tree, false},
    {"names-merge", names_to_merge, op_merge, false},
    {"names-refused", names_in_the_way, op_names_refused, false},
    {"names-full", names_x, op_names_full, false},
    {"names-remove", names_two, op_remove, false},
    {"names-remove-last", names_last, op_remove_last, false},
    {"names-remove-tree", names_subtree, op_remove_tree, false},
    {"names-set-attributes", names_with_text, op_set_attributes, false},
    {"names-set-attributes-of-group", names_plain, op_set_group_attributes, false},
    {"names-lookup", names_with_text, op_names_lookup, false},
    {"names-find", names_with_text, op_names_find, false},
    {"names-list", names_three, op_names_list, false},
    {"names-close", names_owned, op_close, false},
    {"lock", lock_free, op_lock, false},
    {"unlock", lock_mine, op_unlock, false},
    {"rlock", lock_free, op_rlock, false},
    {"runlock", lock_mine_reader, op_runlock, false},
    {"lock-contended-takeover", lock_of_the_dead, op_lock_unlock, false},
    {"rlock-takeover", lock_of_the_dead, op_rlock_runlock, false},
    {"lock-give-up", lock_peer_reads, op_lock_give_up, false},
    {"rlock-give-up", lock_peers, op_rlock_give_up, false},
    {"stream-make", nothing, op_stream_make, false},
    {"stream-begin", stream_of_one, op_stream_begin, false},
    {"stream-begin-after-death", dead_writer, op_stream_begin, false},
    {"stream-end", is_writer, op_stream_end, false},
    {"stream-publish", writes_two, op_stream_publish, false},
    {"stream-publish-attributes", writes_empty, op_stream_publish_attributes, false},
    {"stream-publish-evict", writes_full, op_stream_publish, false},
    {"stream-publish-lossless", writes_lossless, op_stream_publish, false},
    {"stream-enter", stream_to_enter, op_stream_enter, false},
    {"stream-next", reads_every, op_stream_next, false},
    {"stream-latest", reads_latest, op_stream_latest, false},
    {"stream-leave", reads_every, op_stream_leave, false},
    {"stream-remove", stream_of_two, op_stream_remove, false},
    {"queue-make", is_warm, op_queue_make, false},
    {"queue-make-without-name", is_warm, op_queue_make_without_name, false},
    {"queue-refused", nothing, op_queue_refused, false},
    {"queue-put", puts_one, op_queue_put, false},
    {"queue-put-attached", puts_three, op_queue_put_attached, false},
    {"queue-put-batch", puts_three, op_queue_put_batch, false},
    {"queue-get", has_queue_of_two, op_queue_get, false},
    {"queue-get-release", has_queue_of_one, op_queue_get_release, false},
    {"queue-get-batch", has_queue_of_three, op_queue_get_batch, false},
    {"queue-get-attached", has_attached, op_queue_get, false},
    {"queue-put-back", has_got, op_queue_put_back, false},
    {"queue-shut", has_queue_of_one, op_queue_shut, false},
    {"queue-remove", has_queue_of_two, op_queue_remove, false},
    {"queue-drain", holds_queue, op_queue_close, false},
    {"queue-adopt", peer_sent_queue, op_queue_adopt, false},
    {"rings-close", has_roles, op_rings_close, false},
    {"rings-exit", has_roles, op_exit, false},
    {"alloc-chunk", nothing, op_alloc_60000, false},
    {"trim-chunk", have_chunk, op_trim_some, false},
    {"alloc-grows-table", nothing, op_alloc_60000, false},
    {"alloc-wait", peer_takes_60000, op_alloc_waits, false},
    {"release-wakes", have_wanted, op_release, false},
    {"release-last-generation", have_last_generation, op_release_trim, false},
    {"seal-shared", have_shared, op_seal, false},
    {"runlock-before-writer", peer_waits_to_write, op_runlock, false},
    {"queue-get-waits", has_empty_queue, op_queue_get_waits, false},
    {"queue-put-waits", puts_into_full, op_queue_put_waits, false},
    {"queue-put-wakes", puts_beside_sleeper, op_queue_put, false},
    {"queue-put-wakes-all", puts_beside_sleepers, op_queue_put, false},
    {"queue-get-wakes", gets_beside_sleeper, op_queue_get, false},
    {"names-roll", decided_by_the_dead, op_alloc_60000, false},
    {"reap-expired", peer_gave_long_ago, op_reap, false},
    {"open", nothing, op_open, true},
    {"open-dead-slot", only_dead_slots, op_open, true},
    {"open-in-another-boot", closed_in_another_boot, op_open_old, true},
    {"create", nothing, op_create, true},
#ifdef NDPOOL_CRASH
    {"lock-comes-free", peer_owns_lock, op_lock_comes_free, false},
    {"lock-comes-free-in-sleep", peer_owns_lock, op_lock_comes_free_in_sleep, false},
    {"queue-put-wakes-who-came-meanwhile", puts_beside_sleeper, op_queue_put_beside_comer, false},
#endif
};
enum { SCENARIOS = sizeof scenarios / sizeof scenarios[0] };

/* Leaves what a death may leave in the middle of an operation that is not all or nothing; NULL: it is. */
static inline void (*half_of(const scenario *sc))(scene *)
{
    return sc->prepare == writes_full || sc->prepare == writes_lossless ? op_stream_drop : NULL;
}

/* Changes the options of the pool that a scenario happens on; NULL: nothing to change. */
static inline void (*ground_of(const scenario *sc))(ndpool_options *)
{
    if (strcmp(sc->name, "alloc-chunk") == 0 || strcmp(sc->name, "trim-chunk") == 0)
        return chunk_ground;
    return strcmp(sc->name, "alloc-grows-table") == 0 ? table_ground : NULL;
}

/* ---- what a survivor asks for */

/* Arrays that must keep their bytes, one private and one shared. */
typedef struct bystander {
    ndpool *p;
    ndpool_array kept[2];
    ndpool_array *held; /* what the ground wants, n_held of them; NULL: nothing */
    size_t n_held;
    char catalog[2048]; /* what was left of it; set by bystander_settle */
} bystander;

static inline void bystander_fill(bystander *b)
{
    b->kept[0] = alloc_bytes(b->p, 500);
    b->kept[1] = alloc_bytes(b->p, 5000);
    must(ndpool_share(b->p, b->kept[0].handle));
    for (int n = 0; n < 2; n++)
        memset(b->kept[n].data, n + 1, b->kept[n].bytes);
}

static inline void print_fault(void *arg, const ndpool_fault *f)
{
    fprintf(stderr, "%s: %s: %s: expected %s, found %s\n", (const char *)arg, f->law, f->place, f->want, f->got);
}

/* Creates the pool of a scenario. */
static inline void bystander_create(bystander *b, const scenario *sc, const char *dir)
{
    ndpool_options o = small_pool(dir);
    void (*ground)(ndpool_options *) = ground_of(sc);
    if (ground)
        ground(&o);
    must(ndpool_create("crash", &o, &b->p));
    bystander_fill(b);
    b->held = NULL;
    b->n_held = 0;
    if (ground)
        b->held = hold_ground(b->p, ground, &b->n_held);
}

/* Sweeps the dead, and tells what is wrong then; 0 if nothing is. The bystander's arrays are released. */
static inline int bystander_settle(bystander *b, const char *name)
{
    ndpool_reaped r;
    ndpool_report report;
    ndpool_stats_t st;
    int bad = 0;
    must(ndpool_reap(b->p, &r));
    usleep(1);
    must(ndpool_reap(b->p, &r)); /* transfers of the dead expire at once */
    for (int n = 0; n < 2; n++) {
        for (uint64_t k = 0; k < b->kept[n].bytes; k++)
            bad |= ((uint8_t *)b->kept[n].data)[k] != n + 1;
    }
    if (bad)
        fprintf(stderr, "%s: bytes of a survivor's array changed\n", name);
    must(ndpool_verify(b->p, NDPOOL_CONTENT, print_fault, (void *)(uintptr_t)name, &report));
    bad |= report.faults != 0;
    for (int n = 0; n < 2; n++)
        must(ndpool_release(b->p, b->kept[n].handle));
    for (size_t n = 0; n < b->n_held; n++)
        must(ndpool_release(b->p, b->held[n].handle));
    free(b->held);
    b->held = NULL;
    b->n_held = 0;
    tell_catalog(b->p, b->catalog, sizeof b->catalog);
    must(ndpool_remove(b->p, "", NDPOOL_TREE, 0, NULL));
    must(pool_steal(b->p));
    must(ndpool_stats(b->p, &st));
    if (st.arrays || st.transfers || st.names || st.free != st.capacity) {
        fprintf(stderr, "%s: leaked %d arrays, %d transfers, %d names, %d bytes\n", name, (int)st.arrays, (int)st.transfers,
                (int)st.names, (int)(st.capacity - st.free));
        bad = 1;
    }
    return bad;
}

#endif
