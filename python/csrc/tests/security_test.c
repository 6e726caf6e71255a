/*
 * What a hostile peer that can write to a segment cannot do: lead this process out of bounds, into an endless loop, or to a
 * path that it made up. docs/SECURITY.md says what it can do.
 *
 * The world, the scribbles and the verbs are those of the fuzz target; here the inputs are random numbers of a seed, which
 * is printed, and NDPOOL_SEED repeats one.
 */
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <time.h>

#include "tests/check.h"
#include "tests/segment_fuzz.c"

/* For what must be so before the program can go on. */
#define NEED(cond) (CHECK(cond) ? (void)0 : check_exit())

const char *__asan_default_options(void);

/* A process that leaves a segment that is damaged may keep what it cannot find its way to any more. */
const char *__asan_default_options(void) { return "detect_leaks=0"; }

static uint64_t random_state;

/* xorshift64*: the same numbers everywhere. */
static uint64_t random_next(void)
{
    random_state ^= random_state >> 12;
    random_state ^= random_state << 25;
    random_state ^= random_state >> 27;
    return random_state * UINT64_C(0x2545f4914f6cdd1d);
}

/* Numbers that are wrong in a way that hurts. */
static uint64_t nasty(void)
{
    static const uint64_t words[] = {0, 1, 2, 3, 63, 64, 255, 256, 511, 512, 4096, 1 << 29, UINT32_MAX, UINT64_C(1) << 32,
                                     UINT64_C(1) << 63, INT64_MAX, UINT64_MAX, UINT64_MAX - 1};
    uint64_t r = random_next();
    switch (r % 3) {
    case 0: return words[r / 3 % (sizeof words / sizeof *words)];
    case 1: return r / 3 % 8192;
    }
    return random_next();
}

/* An input of the fuzz target. Half of the scribbles are in the rings, the others mostly where records are in use. */
static size_t make_input(uint8_t *data)
{
    size_t n = 1 + random_next() % 6;
    data[0] = (uint8_t)random_next();
    for (size_t k = 0; k < n; k++) {
        uint32_t at = (uint32_t)random_next();
        uint64_t word = nasty();
        memcpy(data + 1 + 12 * k, &at, sizeof at);
        memcpy(data + 5 + 12 * k, &word, sizeof word);
    }
    return 1 + 12 * n;
}

static void alarm_text(int signal)
{
    (void)signal;
    static const char text[] = "hang: a verb does not come back from a segment that was scribbled over\n";
    (void)!write(2, text, sizeof text - 1);
    _exit(3);
}

static void watch(const char *what, uint64_t seed)
{
    fprintf(stderr, "%s: seed %#" PRIx64 "\n", what, seed);
    alarm(120);
}

static uint64_t choose_seed(void)
{
    const char *given = getenv("NDPOOL_SEED");
    return given ? strtoull(given, NULL, 0) : (uint64_t)time(NULL) << 20 | (uint64_t)getpid() << 1 | 1;
}

/* Every verb after scribbles, those of rings and names among them. */
static void scribbled_verbs(int rounds)
{
    uint8_t data[1 + 12 * SCRIBBLES];
    uint64_t seed = choose_seed();
    watch("scribbled_verbs", seed);
    random_state = seed;
    for (int k = 0; k < rounds; k++)
        CHECK_EQ(LLVMFuzzerTestOneInput(data, make_input(data)), 0);
}

static void remove_pool(const char *name)
{
    char path[96];
    snprintf(path, sizeof path, "%s/%s", dir, name);
    unlink(path);
}

/* ---- while others look */

#ifndef __SANITIZE_THREAD__
/* The words that may be scribbled over: the tables', and those of the two rings. */
typedef struct words {
    shm_u64 *at[3];
    uint64_t n[3];
} words;

static void find_words(const world *w, words *found)
{
    found->at[0] = (shm_u64 *)(void *)w->p->arena->mem;
    found->n[0] = w->p->arena->geo.regions[NDPOOL_REGION_DATA].offset / 8;
    found->n[1] = ring_words(w->p, "stream", NDPOOL_RING_STREAM, &found->at[1]);
    found->n[2] = ring_words(w->p, "queue", NDPOOL_RING_QUEUE, &found->at[2]);
}

static atomic_bool stop;

static void *scribble_on(void *arg)
{
    const words *all = arg;
    while (!atomic_load(&stop)) {
        int k = (int)(random_next() % 3);
        shm_store64(all->at[k] + random_next() % all->n[k], nasty());
        if (random_next() % 16 == 0)
            sched_yield();
    }
    return NULL;
}

static void end_world(world *w)
{
    end(w->q);
    end(w->p);
    remove_pool("fuzz");
}

/* A value that is another one at each look: what is checked must be what is used. */
static void scribbles_meanwhile(int rounds)
{
    uint64_t seed = choose_seed();
    watch("scribbles_meanwhile", seed);
    random_state = seed;
    for (int k = 0; k < rounds; k++) {
        world w = {0};
        words all;
        pthread_t t;
        world_open(&w);
        find_words(&w, &all);
        atomic_store(&stop, false);
        NEED(pthread_create(&t, NULL, scribble_on, &all) == 0);
        look(w.p);
        use(&w);
        look(w.q);
        atomic_store(&stop, true);
        pthread_join(t, NULL);
        end_world(&w);
    }
}

/* ---- by themselves */

/* A look from outside copies the tables, and finds in them whatever was written there. The superblock is left alone, or it
 * would be refused at once. */
static void scribbled_peeks(int rounds)
{
    enum { SUPER_WORDS = NDPOOL_SUPERBLOCK_SIZE / 8 };
    uint64_t seed = choose_seed();
    watch("scribbled_peeks", seed);
    random_state = seed;
    for (int k = 0; k < rounds; k++) {
        world w = {0};
        words all;
        world_open(&w);
        find_words(&w, &all);
        all.at[0] += SUPER_WORDS;
        all.n[0] -= SUPER_WORDS;
        for (int looks = 0; looks < 10; looks++) {
            ndpool *looker = NULL;
            for (int n = 0; n < 3; n++) {
                int which = (int)(random_next() % 3);
                shm_store64(all.at[which] + random_next() % all.n[which], nasty());
            }
            if (ndpool_peek("fuzz", &(ndpool_options){.dir = dir}, &looker) == 0) {
                look(looker);
                ndpool_free(looker);
            }
        }
        close_rings(&w);
        end_world(&w);
    }
}
#endif

static bool lies_in(const arena *a, const uint8_t *mem, extent e, const ndpool_array *x)
{
    const uint8_t *from = x->data, *block = mem + a->geo.regions[NDPOOL_REGION_DATA].offset + extent_offset(e);
    return mem && from >= block && x->bytes <= extent_size(e) && from + x->bytes <= block + extent_size(e);
}

/* An array that a verb gave must lie in its block, in either mapping: the caller may touch all of it. */
static void need_within(const ndpool *p, const ndpool_array *a, int word, uint64_t value)
{
    extent e;
    uint32_t i;
    NEED(pool_index(p, a->handle, &i) && pool_extent(p, i, &e));
    if (a->bytes > 0 && !lies_in(p->arena, p->arena->mem, e, a) && !lies_in(p->arena, p->arena->ro, e, a)) {
        fprintf(stderr, "word %d, value %#" PRIx64 ": %" PRIu64 " bytes out of an extent of %" PRIu64 "\n", word, value,
                (uint64_t)a->bytes, extent_size(e));
        CHECK(!"the array lies in its block");
    }
}

/* A length and a number of bytes that agree with each other, and not with the block. */
static void forge_lengths(ndpool *p, const ndpool_array *a, ndpool_desc *d)
{
    uint64_t len = shm_get64(&d->dims[0].len), bytes = shm_get64(&d->bytes);
    for (uint64_t n = 1; n < UINT64_C(1) << 62; n *= 2) {
        ndpool_array b;
        shm_put64(&d->dims[0].len, n);
        shm_put64(&d->bytes, n);
        if (ndpool_retain(p, a->handle, 0, &b) == NDPOOL_OK)
            need_within(p, &b, -1, n);
    }
    shm_put64(&d->dims[0].len, len);
    shm_put64(&d->bytes, bytes);
}

/* Each word of a descriptor is replaced by each wrong number; whatever a verb gives lies in its block. */
static void forged_descriptors(void)
{
    static const uint64_t wrong[] = {0, 1, 63, 64, 65, 4096, 1 << 20, 100 << 20, UINT32_MAX, UINT64_C(1) << 32,
                                     UINT64_C(1) << 63, (UINT64_C(1) << 63) + 64, INT64_MAX, UINT64_MAX - 63, UINT64_MAX};
    enum { WRONG = sizeof wrong / sizeof *wrong, HALVES = NDPOOL_DESC_SIZE / 4 };
    ndpool *p;
    ndpool_options o = small_pool(dir);
    must(ndpool_create("forged", &o, &p));
    int64_t shape[10] = {2, 1, 2, 1, 1, 1, 1, 1, 3, 2};
    for (int ndim = 1; ndim <= 10; ndim += 9) {
        ndpool_array a, b;
        uint32_t i;
        must(ndpool_alloc(p, &(ndpool_spec){.dtype = NDPOOL_UINT8, .ndim = (uint32_t)ndim, .shape = shape, .flags = NDPOOL_ZERO}, &a));
        must(ndpool_share(p, a.handle));
        must(ndpool_publish(p, ndim > 1 ? "many" : "one", &(ndpool_item){.path = "", .array = a.handle}, 1, 0, 0, NULL));
        NEED(pool_index(p, a.handle, &i));
        uint8_t honest[NDPOOL_DESC_SIZE], *desc = (uint8_t *)pool_desc(p, i);
        memcpy(honest, desc, sizeof honest);
        for (int at = 0; at < HALVES - 1; at++) {
            for (int k = 0; k < WRONG; k++) {
                memcpy(desc, honest, sizeof honest);
                memcpy(desc + 4 * at, &wrong[k], 8);
                if (ndpool_retain(p, a.handle, 0, &b) == NDPOOL_OK)
                    need_within(p, &b, at, wrong[k]);
                if (ndpool_lookup(p, ndim > 1 ? "many" : "one", 0, &b, NULL) == NDPOOL_OK)
                    need_within(p, &b, at, wrong[k]);
            }
        }
        memcpy(desc, honest, sizeof honest);
        if (ndim == 1)
            forge_lengths(p, &a, pool_desc(p, i));
    }
    end(p);
    remove_pool("forged");
}

static void count_fault(void *arg, const ndpool_fault *f)
{
    fprintf(stderr, "fault: %s: %s: expected %s, found %s\n", f->law, f->place, f->want, f->got);
    *(int *)arg += 1;
}

/* The entry of the catalog with that component, which is to be another one now. */
static void forge(ndpool *p, const char *old, const char *text, uint32_t n)
{
    size_t len = strlen(old);
    for (uint32_t e = 0; e < shm_load32(&p->arena->ctl->names); e++) {
        ndpool_name *d = &p->arena->names[e];
        if (shm_load32(&d->bytes) != len || shm_load64(&d->text[0]) != text_word(old, len, 0))
            continue;
        for (size_t k = 0; k <= n / 8; k++)
            shm_store64(&d->text[k], text_word(text, n, k));
        shm_store32(&d->bytes, n);
        return;
    }
    CHECK(!"there is such a name");
}

/* Components that lead out of a group, or are no text, are damage: they are in no list, and are taken out. */
static void forged_names(void)
{
    static const struct {
        const char *text;
        uint32_t n;
    } forged[] = {{"..", 2}, {".", 1}, {"a/b", 3}, {"/etc", 4}, {"\xff\xfe", 2}, {"a\0b", 3}, {"\xed\xa0\x80", 3}};
    for (size_t k = 0; k < sizeof forged / sizeof *forged; k++) {
        ndpool *p;
        ndpool_options o = small_pool(dir);
        must(ndpool_create("forged", &o, &p));
        ndpool_array a = alloc_bytes(p, 100);
        must(ndpool_publish(p, "group/victim", &(ndpool_item){.path = "", .array = a.handle}, 1, 0, 0, NULL));
        must(ndpool_publish(p, "other", &(ndpool_item){.path = "", .array = a.handle}, 1, 0, 0, NULL));
        forge(p, "victim", forged[k].text, forged[k].n);
        ndpool_names *l;
        must(ndpool_list(p, "", &l));
        for (size_t i = 0; i < l->n; i++)
            CHECK(strcmp(l->names[i].path, "group") == 0 || strcmp(l->names[i].path, "other") == 0);
        ndpool_names_free(p, l);
        must(ndpool_release(p, a.handle));
        ndpool_report r;
        int faults = 0;
        must(ndpool_verify(p, NDPOOL_CONTENT, count_fault, &faults, &r));
        CHECK_EQ(faults, 0);
        ndpool_free(p);
    }
}

int main(int argc, char **argv)
{
    (void)LLVMFuzzerInitialize(&argc, &argv);
    struct sigaction act = {.sa_handler = alarm_text};
    sigaction(SIGALRM, &act, NULL);
    int rounds = getenv("NDPOOL_LONG") ? 5000 : 150;
    scribbled_verbs(rounds);
#ifndef __SANITIZE_THREAD__
    scribbles_meanwhile(rounds / 3);
    scribbled_peeks(rounds / 5);
#endif
    forged_names();
    forged_descriptors();
    alarm(0);
    remove_dir(); /* a failed check ends the program before the handlers of its exit */
    return check_failures ? 1 : 0;
}
