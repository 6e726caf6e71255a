/* Workloads of several processes, over what the peer's file has defined beside that of alone.h:
 *
 *     token                                 what goes through a pipe from one process to the other: a value
 *     void peer_attach(void)                the pool that the parent has created
 *     void peer_leave(void)                 ends what peer_create or peer_attach began
 *     void peer_give(item *, token *)       for one process, which takes it once
 *     void peer_take(token *, item *)
 *     void peer_drop(item *)                the process that took it lets go
 *     void peer_share(item *, token *)      for any number of processes, while the giver holds it
 *     void peer_look(token *, item *)
 *     void peer_unlook(item *)
 *     void peer_make_queue(size_t entries), peer_open_queue(void)
 *     void peer_put(item *)                 hands over, and lets go
 *     bool peer_get(item *)                 false: it is shut, and empty
 *     void peer_shut(size_t consumers)
 *     void peer_visit(void), peer_unvisit(void)   open the pool once more, and close it again
 *     PEER_HELD_BYTES                       of each array that is held in recovery
 *     bool peer_recover(child *holder)      kills it, measures and buries it; false: once is enough
 *
 * Tokens go through pipes, for each peer alike: a round differs by what the peer does and not by who wakes a process. */
#include "children.h"
#include "content.h"

/* The parent's: two arrays, since one may be cached while the next is made, and what workloads of small arrays need. */
static void create_with_room(uint64_t arrays, uint64_t size)
{
    uint64_t need = (arrays + 1) * (size + size / 8) + 64 * MIB;
    find_place();
    peer_create(opt.capacity ? opt.capacity : need, arrays + 4096);
}

static void ready(void)
{
    peer_attach();
    answer(0);
}

/* ---- handover: allocate, copy in, hand over; the other reads all of it, lets go, answers; free */

static void handover_round(child *reader, uint64_t *source, uint64_t round)
{
    item x;
    token t;
    int64_t began = now();
    must_alloc(opt.size, &x);
    source[0] = round;
    memcpy(peer_data(&x), source, opt.size);
    peer_give(&x, &t);
    send_bytes(reader->to, &t, sizeof t);
    uint8_t b = answer_of(reader);
    peer_free(&x);
    sample((double)(now() - began) / 1e3);
    if (b != (uint8_t)round)
        die("answer %d (want %d)", b, (uint8_t)round);
}

/* Warms up for a fifth of the time, one round at least. */
static void handover(void)
{
    child reader;
    uint64_t round = 0;
    check_size();
    create_with_room(1, opt.size);
    uint64_t *source = new_source(opt.size);
    start_all(&reader, 1, "reader");
    for (int64_t until = now() + budget(0.2); more(until, 1);)
        handover_round(&reader, source, ++round);
    n_samples = 0;
    for (int64_t until = now() + budget(1); more(until, 3);)
        handover_round(&reader, source, ++round);
    finish(&reader);
    peer_leave();
}

static void reader(void)
{
    token t;
    item x;
    ready();
    while (get_bytes(IN, &t, sizeof t)) {
        peer_take(&t, &x);
        uint8_t b = read_all(peer_data(&x), opt.size);
        peer_drop(&x);
        answer(b);
    }
    peer_leave();
}

/* ---- pass: the array is there already; the other reads the first 8 bytes */

static void pass_round(child *looker, item *x)
{
    token t;
    int64_t began = now();
    peer_give(x, &t);
    send_bytes(looker->to, &t, sizeof t);
    uint8_t b = answer_of(looker);
    sample((double)(now() - began) / 1e3);
    if (b != 77)
        die("answer %d (want 77)", b);
}

static void pass(void)
{
    child looker;
    item x;
    check_size();
    create_with_room(1, opt.size);
    must_alloc(opt.size, &x);
    memset(peer_data(&x), 77, opt.size);
    start_all(&looker, 1, "looker");
    for (int64_t until = now() + budget(0.2); more(until, 10);)
        pass_round(&looker, &x);
    n_samples = 0;
    for (int64_t until = now() + budget(1); more(until, 10);)
        pass_round(&looker, &x);
    finish(&looker);
    peer_free(&x);
    peer_leave();
}

static void looker(void)
{
    token t;
    item x;
    ready();
    while (get_bytes(IN, &t, sizeof t)) {
        peer_take(&t, &x);
        uint8_t b = read_first(peer_data(&x));
        peer_drop(&x);
        answer(b);
    }
    peer_leave();
}

/* ---- fanout: as handover, to several readers at once */

static void fanout_round(child *readers, uint64_t *source, uint64_t round)
{
    item x;
    token t;
    int64_t began = now();
    must_alloc(opt.size, &x);
    source[0] = round;
    memcpy(peer_data(&x), source, opt.size);
    peer_share(&x, &t);
    for (size_t k = 0; k < opt.readers; k++)
        send_bytes(readers[k].to, &t, sizeof t);
    for (size_t k = 0; k < opt.readers; k++)
        if (answer_of(&readers[k]) != (uint8_t)round)
            die("wrong answer");
    peer_free(&x);
    sample((double)(now() - began) / 1e3);
}

static void fanout(void)
{
    child readers[MOST_CHILDREN];
    uint64_t round = 0;
    check_size();
    create_with_room(1, opt.size);
    uint64_t *source = new_source(opt.size);
    start_all(readers, opt.readers, "sharer");
    for (int64_t until = now() + budget(0.2); more(until, 1);)
        fanout_round(readers, source, ++round);
    n_samples = 0;
    for (int64_t until = now() + budget(1); more(until, 3);)
        fanout_round(readers, source, ++round);
    for (size_t k = 0; k < opt.readers; k++)
        finish(&readers[k]);
    peer_leave();
}

static void sharer(void)
{
    token t;
    item x;
    ready();
    while (get_bytes(IN, &t, sizeof t)) {
        peer_look(&t, &x);
        uint8_t b = read_all(peer_data(&x), opt.size);
        peer_unlook(&x);
        answer(b);
    }
    peer_leave();
}

/* ---- crowd: producers allocate, copy in and put into the peer's queue, consumers get, read all and let go */

enum { UNREAD = 8, WINDOWS = 10 }; /* per producer */

/* Which child of its kind it is. */
static uint8_t my_number(void)
{
    uint8_t k = 0;
    if (!get_bytes(IN, &k, 1))
        die("the parent has ended");
    return k;
}

static void producer(void)
{
    item x;
    ready();
    peer_open_queue();
    control *c = open_control();
    uint64_t *source = new_source(opt.size);
    uint8_t me = my_number();
    for (uint64_t n = 1; !__atomic_load_n(&c->stop, __ATOMIC_RELAXED); n++) {
        must_alloc(opt.size, &x);
        source[0] = n;
        memcpy(peer_data(&x), source, opt.size);
        peer_put(&x);
        count_one(&c->made[me]);
    }
    peer_leave();
}

static void consumer(void)
{
    item x;
    ready();
    peer_open_queue();
    control *c = open_control();
    for (uint8_t me = my_number(); peer_get(&x); count_one(&c->got[me])) {
        read_all(peer_data(&x), opt.size);
        peer_drop(&x);
    }
    peer_leave();
}

/* Sleeps in short pieces, and dies if a child does. */
static void watch(int64_t until)
{
    int status;
    while (now() < until) {
        struct timespec t = {0, 2000000};
        nanosleep(&t, NULL);
        if (waitpid(-1, &status, WNOHANG) > 0)
            die("a child failed: status %x", status);
    }
}

static void windows(control *c)
{
    watch(now() + budget(0.2));
    for (int k = 0; k < WINDOWS; k++) {
        int64_t began = now();
        uint64_t before = total(c->got, opt.consumers);
        watch(began + budget(1.0 / WINDOWS));
        sample((double)(total(c->got, opt.consumers) - before) / (double)(now() - began) * 1e9);
    }
}

static void crowd(void)
{
    child producers[MOST_CHILDREN], consumers[MOST_CHILDREN];
    check_size();
    create_with_room((UNREAD + 2) * opt.producers + 2 * opt.consumers, opt.size);
    peer_make_queue(UNREAD * opt.producers);
    control *c = open_control();
    start_all(consumers, opt.consumers, "consumer");
    start_all(producers, opt.producers, "producer");
    for (uint8_t k = 0; k < opt.consumers; k++)
        send_bytes(consumers[k].to, &k, 1);
    for (uint8_t k = 0; k < opt.producers; k++)
        send_bytes(producers[k].to, &k, 1);
    windows(c);
    __atomic_store_n(&c->stop, 1, __ATOMIC_RELAXED);
    for (size_t k = 0; k < opt.producers; k++)
        finish(&producers[k]);
    peer_shut(opt.consumers);
    for (size_t k = 0; k < opt.consumers; k++)
        finish(&consumers[k]);
    if (total(c->made, opt.producers) != total(c->got, opt.consumers))
        die("%llu messages made, %llu got", (unsigned long long)total(c->made, opt.producers),
            (unsigned long long)total(c->got, opt.consumers));
    peer_leave();
}

/* ---- open */

static void open_create(uint64_t capacity)
{
    for (int64_t until = now() + budget(1); more(until, 3);) {
        int64_t began = now();
        peer_create(capacity, 0);
        sample((double)(now() - began) / 1e3);
        peer_leave();
    }
}

static void open_attach(uint64_t capacity)
{
    peer_create(capacity, 0);
    for (int64_t until = now() + budget(1); more(until, 3);) {
        int64_t began = now();
        peer_visit();
        sample((double)(now() - began) / 1e3);
        peer_unvisit();
    }
    peer_leave();
}

static void open_pool(void)
{
    uint64_t capacity = opt.capacity ? opt.capacity : 1024 * MIB;
    find_place();
    if (what_is("create"))
        open_create(capacity);
    else if (what_is("attach"))
        open_attach(capacity);
    else
        die("what=create or what=attach");
}

/* ---- recovery: a child holds arrays and is killed */

static void holder(void)
{
    item x;
    peer_attach();
    for (uint64_t k = 0; k < opt.holds; k++)
        must_alloc(opt.size, &x);
    answer(0);
    my_number(); /* which never comes */
}

static bool peer_recover(child *holder);

static void kill_child(child *c)
{
    if (kill(c->pid, SIGKILL) != 0)
        die("kill: %s", strerror(errno));
}

static void bury(child *c)
{
    waitpid(c->pid, NULL, 0);
    close(c->to);
    close(c->from);
}

static void recovery(void)
{
    child c;
    bool again = true;
    opt.size = PEER_HELD_BYTES;
    create_with_room(opt.holds, 2 * opt.size);
    for (int64_t until = now() + budget(1); again && more(until, 3);) {
        start_all(&c, 1, "holder");
        again = peer_recover(&c);
    }
    peer_leave();
}

static const role roles[] = {
    {"reader", reader},     {"looker", looker}, {"sharer", sharer}, {"producer", producer},
    {"consumer", consumer}, {"holder", holder}, {NULL, NULL},
};

static const workload workloads[] = {
    {"pair", pair},       {"churn", churn},       {"handover", handover}, {"pass", pass},
    {"fanout", fanout},   {"crowd", crowd},       {"many", many},         {"open", open_pool},
    {"touch", touch},     {"recovery", recovery}, {"memory", memory},     {NULL, NULL},
};
