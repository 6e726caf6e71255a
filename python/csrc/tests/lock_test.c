/* The locks of names: threads, attachments of one process beside each other, forked processes, and their deaths. Twin of
 * pool/namelock_test.go. "lock_test ROOT bench" measures a lock that nobody else wants instead. */
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "pool/pool.h"
#include "tests/check.h"

#define PATIENCE INT64_C(30000000000) /* how long the tests wait for what must come */
#define BRIEF INT64_C(20000000)       /* a wait that is meant to fail */

static char dir[64];

static void make_dir(void)
{
    snprintf(dir, sizeof dir, "%s/ndpool-test-XXXXXX", access("/dev/shm", W_OK) ? "/tmp" : "/dev/shm");
    CHECK(mkdtemp(dir) != NULL);
}

static ndpool *open_again(void)
{
    ndpool *p;
    CHECK(ndpool_open("t", &(ndpool_options){.dir = dir}, &p) == NDPOOL_OK);
    return p;
}

static void publish(ndpool *p, uint32_t flags)
{
    ndpool_array a;
    int64_t n = 4;
    CHECK(ndpool_alloc(p, &(ndpool_spec){.dtype = NDPOOL_INT64, .ndim = 1, .shape = &n, .flags = NDPOOL_ZERO}, &a) == NDPOOL_OK);
    CHECK(ndpool_publish(p, "x", &(ndpool_item){.array = a.handle}, 1, flags, 0, NULL) == NDPOOL_OK);
    CHECK(ndpool_release(p, a.handle) == NDPOOL_OK);
}

static ndpool *create(void)
{
    ndpool *p;
    CHECK(ndpool_create("t", &(ndpool_options){.dir = dir, .capacity = 1 << 20, .names = 8}, &p) == NDPOOL_OK);
    publish(p, 0);
    return p;
}

static ndpool_name_lock find(ndpool *p)
{
    ndpool_name_lock l;
    CHECK(ndpool_lock_find(p, "x", &l) == NDPOOL_OK);
    return l;
}

/* The lock is what its word and its readers say. */
static name_lock_word word(ndpool *p, ndpool_name_lock l) { return shm_load32(&p->arena->names[l.entry].lock); }
static bool any_reader(ndpool *p, ndpool_name_lock l)
{
    for (int i = 0; i < 4; i++) {
        if (shm_load64(&p->arena->names[l.entry].readers[i]))
            return true;
    }
    return false;
}
static bool is_free(ndpool *p, ndpool_name_lock l) { return word(p, l) == 0 && !any_reader(p, l); }

static bool torn; /* what the last lock said */
static int take(ndpool *p, ndpool_name_lock l, uint32_t flags, int64_t wait) { return ndpool_lock(p, l, flags, wait, &torn); }
static bool can(ndpool *p, ndpool_name_lock l, uint32_t flags)
{
    int status = take(p, l, flags, 0);
    if (status == NDPOOL_OK)
        CHECK(ndpool_unlock(p, l, flags) == NDPOOL_OK);
    else
        CHECK(status == NDPOOL_ERR_TIMEOUT);
    return status == NDPOOL_OK;
}

static void test_share(void)
{
    ndpool *p = create(), *q = open_again();
    ndpool_name_lock l = find(p);
    CHECK(take(p, l, 0, 0) == NDPOOL_OK && !torn);
    CHECK(!can(p, l, 0) && !can(q, l, 0) && !can(p, l, NDPOOL_READ_ONLY) && !can(q, l, NDPOOL_READ_ONLY));
    CHECK(ndpool_unlock(p, l, 0) == NDPOOL_OK && is_free(p, l));
    CHECK(take(p, l, NDPOOL_READ_ONLY, 0) == NDPOOL_OK);
    CHECK(!can(p, l, 0) && !can(q, l, 0) && can(p, l, NDPOOL_READ_ONLY) && can(q, l, NDPOOL_READ_ONLY));
    CHECK(any_reader(p, l));
    CHECK(ndpool_unlock(p, l, NDPOOL_READ_ONLY) == NDPOOL_OK && is_free(p, l));
    ndpool_free(q);
    ndpool_free(p);
}

static void test_not_locked(void)
{
    ndpool *p = create(), *q = open_again();
    ndpool_name_lock l = find(p);
    CHECK(ndpool_unlock(p, l, 0) == NDPOOL_ERR_NOT_LOCKED);
    CHECK(ndpool_unlock(p, l, NDPOOL_READ_ONLY) == NDPOOL_ERR_NOT_LOCKED);
    CHECK(take(q, l, 0, -1) == NDPOOL_OK);
    CHECK(ndpool_unlock(p, l, 0) == NDPOOL_ERR_NOT_LOCKED);
    CHECK(ndpool_unlock(q, l, NDPOOL_READ_ONLY) == NDPOOL_ERR_NOT_LOCKED);
    CHECK(name_lock_owner(word(p, l)) == (int)arena_slot(q->arena));
    CHECK(ndpool_unlock(q, l, 0) == NDPOOL_OK && is_free(p, l));
    CHECK(ndpool_unlock(p, (ndpool_name_lock){.entry = 4000000}, 0) == NDPOOL_ERR_NO_NAME);
    CHECK(ndpool_lock_find(p, "y", &l) == NDPOOL_ERR_NO_NAME);
    ndpool_free(q);
    ndpool_free(p);
}

/* A wait that ends leaves nothing behind, and TORN where it was. */
static void test_give_up(void)
{
    ndpool *p = create(), *q = open_again();
    ndpool_name_lock l = find(p);
    shm_store32(&p->arena->names[l.entry].lock, NDPOOL_NAME_LOCK_TORN_MASK);
    CHECK(take(q, l, NDPOOL_READ_ONLY, 0) == NDPOOL_OK && torn);
    CHECK(take(p, l, 0, BRIEF) == NDPOOL_ERR_TIMEOUT);
    CHECK(ndpool_last_error()->pid == getpid() && ndpool_last_error()->slot == (int)arena_slot(q->arena));
    CHECK(word(p, l) == NDPOOL_NAME_LOCK_TORN_MASK && any_reader(p, l));
    CHECK(ndpool_unlock(q, l, NDPOOL_READ_ONLY) == NDPOOL_OK);
    CHECK(take(q, l, 0, 0) == NDPOOL_OK && torn);
    CHECK(take(p, l, NDPOOL_READ_ONLY, BRIEF) == NDPOOL_ERR_TIMEOUT && take(p, l, 0, BRIEF) == NDPOOL_ERR_TIMEOUT);
    CHECK(take(q, l, 0, BRIEF) == NDPOOL_ERR_TIMEOUT && take(q, l, NDPOOL_READ_ONLY, BRIEF) == NDPOOL_ERR_TIMEOUT);
    CHECK(ndpool_unlock(q, l, 0) == NDPOOL_OK && is_free(p, l));
    ndpool_free(q);
    ndpool_free(p);
}

static bool asked_twice(void *arg) { return ++*(int *)arg < 2; }

/* Who waits is asked whether to go on, keeps his place meanwhile, and leaves nothing behind when he is told to stop. */
static void test_while(void)
{
    ndpool *p = create(), *q = open_again();
    ndpool_name_lock l = find(p);
    int asked = 0;
    CHECK(take(q, l, 0, 0) == NDPOOL_OK);
    CHECK(ndpool_lock_while(p, l, 0, PATIENCE, asked_twice, &asked, &torn) == NDPOOL_ERR_TIMEOUT && asked == 2);
    CHECK(ndpool_unlock(q, l, 0) == NDPOOL_OK && is_free(p, l));
    asked = 0;
    CHECK(ndpool_lock_while(p, l, 0, PATIENCE, asked_twice, &asked, &torn) == NDPOOL_OK && asked == 0);
    CHECK(ndpool_unlock(p, l, 0) == NDPOOL_OK && is_free(p, l));
    ndpool_free(q);
    ndpool_free(p);
}

/* A thread that takes the lock and lets it go at once. */
typedef struct taker {
    ndpool *p;
    ndpool_name_lock l;
    uint32_t flags;
    int status;
    bool torn;
} taker;

static void *run_taker(void *arg)
{
    taker *t = arg;
    t->status = ndpool_lock(t->p, t->l, t->flags, PATIENCE, &t->torn);
    if (t->status == NDPOOL_OK)
        t->status = ndpool_unlock(t->p, t->l, t->flags);
    return NULL;
}

static pthread_t start(taker *t)
{
    pthread_t id;
    CHECK(pthread_create(&id, NULL, run_taker, t) == 0);
    return id;
}

/* A writer that waits keeps new readers out, those of the readers' process, too. */
static void test_writer_first(void)
{
    ndpool *p = create(), *q = open_again();
    ndpool_name_lock l = find(p);
    ndpool *readers[] = {q, p};
    for (int k = 0; k < 2; k++) {
        taker t = {.p = p, .l = l};
        CHECK(take(readers[k], l, NDPOOL_READ_ONLY, 0) == NDPOOL_OK);
        pthread_t id = start(&t);
        int64_t end = mono_time() + PATIENCE;
        while (can(readers[k], l, NDPOOL_READ_ONLY) && mono_time() < end)
            spin_nap(100000);
        CHECK(!can(readers[k], l, NDPOOL_READ_ONLY));
        CHECK(ndpool_unlock(readers[k], l, NDPOOL_READ_ONLY) == NDPOOL_OK);
        pthread_join(id, NULL);
        CHECK(t.status == NDPOOL_OK && !t.torn && is_free(p, l));
    }
    ndpool_free(q);
    ndpool_free(p);
}

static void test_removed(void)
{
    ndpool *p = create(), *q = open_again();
    ndpool_name_lock l = find(p);
    taker w = {.p = q, .l = l}, r = {.p = q, .l = l, .flags = NDPOOL_READ_ONLY};
    CHECK(take(p, l, 0, 0) == NDPOOL_OK);
    pthread_t a = start(&w), b = start(&r);
    spin_nap(BRIEF);
    CHECK(ndpool_remove(p, "x", 0, 0, NULL) == NDPOOL_OK);
    pthread_join(a, NULL);
    pthread_join(b, NULL);
    CHECK(w.status == NDPOOL_ERR_NO_NAME && r.status == NDPOOL_ERR_NO_NAME);

    publish(p, 0); /* takes the same entry */
    ndpool_name_lock next = find(q);
    CHECK(next.entry == l.entry && next.nonce != l.nonce && is_free(p, next));
    CHECK(take(q, next, 0, 0) == NDPOOL_OK && !torn);
    CHECK(ndpool_unlock(p, l, 0) == NDPOOL_OK); /* what was locked is gone */
    CHECK(take(p, l, 0, 0) == NDPOOL_ERR_NO_NAME && ndpool_unlock(p, l, 0) == NDPOOL_ERR_NO_NAME);
    CHECK(name_lock_owner(word(p, next)) == (int)arena_slot(q->arena));
    CHECK(ndpool_unlock(q, next, 0) == NDPOOL_OK);

    CHECK(take(q, next, NDPOOL_READ_ONLY, 0) == NDPOOL_OK);
    CHECK(ndpool_remove(p, "x", 0, 0, NULL) == NDPOOL_OK);
    publish(p, 0);
    ndpool_name_lock last = find(q);
    CHECK(take(q, last, NDPOOL_READ_ONLY, 0) == NDPOOL_OK);
    CHECK(ndpool_unlock(q, next, NDPOOL_READ_ONLY) == NDPOOL_ERR_NO_NAME); /* by now it has the next name's lock */
    CHECK(any_reader(p, last));
    CHECK(ndpool_unlock(q, last, NDPOOL_READ_ONLY) == NDPOOL_OK && is_free(p, last));
    ndpool_free(q);
    ndpool_free(p);
}

/* Threads that wait are told, and tear nothing; who leaves with the lock counts as dead. */
static void test_close(void)
{
    ndpool *p = create();
    ndpool_name_lock l = find(p);
    for (int k = 0; k < 2; k++) {
        ndpool *q = open_again();
        uint32_t mine = k ? 0 : NDPOOL_READ_ONLY;
        taker t = {.p = q, .l = l, .flags = k ? NDPOOL_READ_ONLY : 0};
        CHECK(take(p, l, mine, 0) == NDPOOL_OK);
        pthread_t id = start(&t);
        spin_nap(BRIEF);
        ndpool_close(q);
        pthread_join(id, NULL);
        CHECK(t.status == NDPOOL_ERR_CLOSED && ndpool_unlock(q, l, t.flags) == NDPOOL_ERR_CLOSED);
        CHECK(ndpool_unlock(p, l, mine) == NDPOOL_OK && is_free(p, l));
        ndpool_free(q);
    }
    ndpool *q = open_again();
    CHECK(take(q, l, 0, 0) == NDPOOL_OK);
    ndpool_free(q);
    CHECK(take(p, l, 0, 0) == NDPOOL_OK && torn);
    CHECK(ndpool_unlock(p, l, 0) == NDPOOL_OK && is_free(p, l));
    ndpool_free(p);
}

static int wait_for(pid_t pid)
{
    int status;
    CHECK(waitpid(pid, &status, 0) == pid);
    return status;
}

/* A child has none of its parent's locks, and may have its own. */
static void test_fork(void)
{
    ndpool *p = create();
    ndpool_name_lock l = find(p);
    for (int k = 0; k < 2; k++) {
        uint32_t flags = k ? NDPOOL_READ_ONLY : 0;
        CHECK(take(p, l, flags, 0) == NDPOOL_OK);
        pid_t pid = fork();
        if (pid == 0) {
            CHECK(ndpool_unlock(p, l, flags) == NDPOOL_ERR_NOT_LOCKED);
            CHECK(!can(p, l, 0) && can(p, l, NDPOOL_READ_ONLY) == (k == 1));
            if (k == 1)
                CHECK(take(p, l, NDPOOL_READ_ONLY, 0) == NDPOOL_OK);
            check_exit();
        }
        CHECK(wait_for(pid) == 0);
        CHECK(ndpool_unlock(p, l, flags) == NDPOOL_OK);
        CHECK(take(p, l, 0, PATIENCE) == NDPOOL_OK && !torn); /* the dead child's bit was swept */
        CHECK(ndpool_unlock(p, l, 0) == NDPOOL_OK && is_free(p, l));
    }
    ndpool_free(p);
}

/* Forks happen while threads lock: no child finds the spin taken. */
static atomic_bool enough;

static void *churn(void *arg)
{
    taker *t = arg;
    while (!atomic_load(&enough)) {
        CHECK(ndpool_lock(t->p, t->l, t->flags, PATIENCE, &t->torn) == NDPOOL_OK);
        CHECK(ndpool_unlock(t->p, t->l, t->flags) == NDPOOL_OK);
    }
    return NULL;
}

static void test_fork_among_threads(void)
{
    ndpool *p = create();
    taker t[2] = {{.p = p, .l = find(p)}, {.p = p, .l = find(p), .flags = NDPOOL_READ_ONLY}};
    pthread_t id[2];
    for (int k = 0; k < 2; k++)
        CHECK(pthread_create(&id[k], NULL, churn, &t[k]) == 0);
    for (int k = 0; k < 20; k++) {
        pid_t pid = fork();
        if (pid == 0) {
            CHECK(take(p, t[0].l, 0, PATIENCE) == NDPOOL_OK && ndpool_unlock(p, t[0].l, 0) == NDPOOL_OK);
            check_exit();
        }
        CHECK(wait_for(pid) == 0);
    }
    atomic_store(&enough, true);
    for (int k = 0; k < 2; k++)
        pthread_join(id[k], NULL);
    CHECK(is_free(p, t[0].l));
    ndpool_free(p);
}

enum { PROCESSES = 3, THREADS = 3, ROUNDS = 100 };

static void *count(void *arg)
{
    taker *t = arg;
    ndpool_array a;
    CHECK(ndpool_lookup(t->p, "x", 0, &a, NULL) == NDPOOL_OK);
    volatile int64_t *v = a.data;
    for (int k = 0; k < ROUNDS; k++) {
        CHECK(ndpool_lock(t->p, t->l, 0, -1, &t->torn) == NDPOOL_OK);
        int64_t was = v[0];
        spin_nap(1000);
        v[0] = was + 1;
        v[1] = was + 1;
        CHECK(ndpool_unlock(t->p, t->l, 0) == NDPOOL_OK);
        if (k % 4)
            continue;
        CHECK(ndpool_lock(t->p, t->l, NDPOOL_READ_ONLY, -1, &t->torn) == NDPOOL_OK);
        CHECK(v[0] == v[1]);
        CHECK(ndpool_unlock(t->p, t->l, NDPOOL_READ_ONLY) == NDPOOL_OK);
    }
    CHECK(ndpool_release(t->p, a.handle) == NDPOOL_OK);
    return NULL;
}

static void count_in_threads(ndpool *p)
{
    taker t[THREADS];
    pthread_t id[THREADS];
    for (int k = 0; k < THREADS; k++) {
        t[k] = (taker){.p = p, .l = find(p)};
        CHECK(pthread_create(&id[k], NULL, count, &t[k]) == 0);
    }
    for (int k = 0; k < THREADS; k++)
        pthread_join(id[k], NULL);
}

static void test_count(void)
{
    ndpool *p = create();
    pid_t pids[PROCESSES];
    for (int k = 0; k < PROCESSES; k++) {
        pids[k] = fork();
        if (pids[k] == 0) {
            count_in_threads(p);
            check_exit();
        }
    }
    for (int k = 0; k < PROCESSES; k++)
        CHECK(wait_for(pids[k]) == 0);
    ndpool_array a;
    CHECK(ndpool_lookup(p, "x", 0, &a, NULL) == NDPOOL_OK);
    CHECK_EQ(((int64_t *)a.data)[0], PROCESSES * THREADS * ROUNDS);
    CHECK(ndpool_release(p, a.handle) == NDPOOL_OK && is_free(p, find(p)));
    ndpool_free(p);
}

/* A child that has the lock, and keeps it until it is killed. */
static pid_t holder(ndpool *p, uint32_t flags)
{
    int ready[2];
    char c;
    CHECK(pipe(ready) == 0);
    pid_t pid = fork();
    if (pid == 0) {
        c = take(p, find(p), flags, PATIENCE) == NDPOOL_OK ? 'y' : 'n';
        if (write(ready[1], &c, 1) == 1)
            for (;;)
                pause();
        _exit(1);
    }
    CHECK(read(ready[0], &c, 1) == 1 && c == 'y');
    close(ready[0]);
    close(ready[1]);
    return pid;
}

static void end(pid_t pid)
{
    CHECK(kill(pid, SIGKILL) == 0);
    wait_for(pid);
}

static void test_killed(void)
{
    ndpool *p = create();
    ndpool_name_lock l = find(p);
    end(holder(p, 0));
    for (int k = 0; k < 2; k++) { /* the first one is told; a reader repairs nothing */
        CHECK(take(p, l, NDPOOL_READ_ONLY, PATIENCE) == NDPOOL_OK && torn);
        CHECK(ndpool_unlock(p, l, NDPOOL_READ_ONLY) == NDPOOL_OK);
    }
    end(holder(p, 0)); /* was told, and died */
    CHECK(take(p, l, 0, PATIENCE) == NDPOOL_OK && torn);
    CHECK(ndpool_unlock(p, l, 0) == NDPOOL_OK);
    CHECK(take(p, l, 0, PATIENCE) == NDPOOL_OK && !torn);
    CHECK(ndpool_unlock(p, l, 0) == NDPOOL_OK && is_free(p, l));
    end(holder(p, NDPOOL_READ_ONLY));
    CHECK(take(p, l, 0, PATIENCE) == NDPOOL_OK && !torn);
    CHECK(ndpool_unlock(p, l, 0) == NDPOOL_OK && is_free(p, l));
    ndpool_free(p);
}

static void test_stopped(void)
{
    ndpool *p = create();
    ndpool_name_lock l = find(p);
    for (int k = 0; k < 2; k++) {
        pid_t pid = holder(p, k ? NDPOOL_READ_ONLY : 0);
        CHECK(kill(pid, SIGSTOP) == 0);
        CHECK(take(p, l, 0, 5 * BRIEF) == NDPOOL_ERR_TIMEOUT && ndpool_last_error()->pid == pid);
        CHECK(can(p, l, NDPOOL_READ_ONLY) == (k == 1));
        end(pid);
        CHECK(take(p, l, 0, PATIENCE) == NDPOOL_OK && torn == (k == 0));
        CHECK(ndpool_unlock(p, l, 0) == NDPOOL_OK && is_free(p, l));
    }
    ndpool_free(p);
}

static void bench(uint32_t flags, const char *what)
{
    enum { TIMES = 2000000 };
    ndpool *p = create();
    ndpool_name_lock l = find(p);
    int64_t start = mono_time();
    for (int k = 0; k < TIMES; k++)
        CHECK(take(p, l, flags, -1) == NDPOOL_OK && ndpool_unlock(p, l, flags) == NDPOOL_OK);
    printf("lock and unlock as a %s: %.1f ns\n", what, (double)(mono_time() - start) / TIMES);
    ndpool_free(p);
}

int main(int argc, char **argv)
{
    make_dir();
    if (argc > 2 && strcmp(argv[2], "bench") == 0) {
        bench(0, "writer");
        bench(NDPOOL_READ_ONLY, "reader");
        return rmdir(dir) != 0;
    }
    test_share();
    test_not_locked();
    test_give_up();
    test_while();
    test_writer_first();
    test_removed();
    test_close();
    test_fork();
    test_fork_among_threads();
    test_count();
    test_killed();
    test_stopped();
    CHECK(rmdir(dir) == 0);
    return check_failures != 0;
}
