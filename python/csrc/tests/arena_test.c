/*
 * Tests of arena/ and what it rests on. The first argument is the root of the repository, where the vectors are that
 * the Go twin makes: arena/layout/testdata.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "arena/arena.h"
#include "internal/gate.h"
#include "internal/lazy.h"
#include "internal/xxhash.h"
#include "tests/check.h"

#define DIR_PATH "/dev/shm"
#define SECOND INT64_C(1000000000)

/* ---- vectors: JSON as Go's MarshalIndent writes it, one key or bracket on a line */

enum { MAX_FIELDS = 16, MAX_DEPTH = 8 };

/* One object of the file. */
typedef struct record {
    struct {
        char key[24], value[80];
    } fields[MAX_FIELDS];
    int n;
} record;

static const char *text_of(const record *r, const char *key)
{
    for (int i = 0; i < r->n; i++) {
        if (strcmp(r->fields[i].key, key) == 0)
            return r->fields[i].value;
    }
    fprintf(stderr, "vectors: no field %s\n", key);
    exit(2);
}

static uint64_t number_of(const record *r, const char *key)
{
    const char *s = text_of(r, key);
    return strcmp(s, "true") == 0 ? 1 : strcmp(s, "false") == 0 ? 0 : strtoull(s, NULL, 0);
}

typedef void (*on_record)(const char *list, const record *r, void *arg);

/* Reads "key": value, or "key": "value", into the record. */
static void read_field(record *r, const char *line)
{
    if (r->n < MAX_FIELDS &&
        (sscanf(line, " \"%23[^\"]\": \"%79[^\"]\"", r->fields[r->n].key, r->fields[r->n].value) == 2 ||
         sscanf(line, " \"%23[^\"]\": %79[^,\n]", r->fields[r->n].key, r->fields[r->n].value) == 2))
        r->n++;
}

/* Calls on for each object of a file, the inner ones first, with the name of the list that it is in. Returns how
 * many. */
static int each_record(const char *root, const char *name, on_record on, void *arg)
{
    static record open[MAX_DEPTH];
    char path[1024], line[256], list[MAX_DEPTH][24] = {""}, key[24];
    int depth = 0, lists = 0, count = 0;
    snprintf(path, sizeof path, "%s/arena/layout/testdata/%s", root, name);
    FILE *f = fopen(path, "r");
    if (!CHECK(f != NULL))
        return 0;
    while (fgets(line, sizeof line, f)) {
        char *at = line + strspn(line, "\t");
        size_t n = strcspn(at, ",\n");
        char last = n > 0 ? at[n - 1] : ' ';
        if (last == '[' && lists < MAX_DEPTH - 1)
            snprintf(list[++lists], sizeof *list, "%s", sscanf(at, "\"%23[^\"]\": [", key) == 1 ? key : "");
        else if (last == ']')
            lists--;
        else if (last == '{' && depth < MAX_DEPTH - 1)
            open[++depth].n = 0;
        else if (last == '}' && n == 1) {
            on(list[lists], &open[depth--], arg);
            count++;
        } else
            read_field(&open[depth], line);
    }
    fclose(f);
    return count;
}

/* ---- words.json */

static void check_state(const record *r)
{
    state from = number_of(r, "From"), to = state_to(from, (int)number_of(r, "Kind"), (int)number_of(r, "Owner"));
    CHECK_EQ(to, number_of(r, "To"));
    CHECK_EQ(state_bump(to), number_of(r, "Bumped"));
    CHECK_EQ(state_seal(to), number_of(r, "Sealed"));
    CHECK_EQ(state_kind(to), number_of(r, "Kind"));
    CHECK_EQ(state_owner(to), number_of(r, "Owner"));
    CHECK_EQ(to >> NDPOOL_STATE_EPOCH_SHIFT, number_of(r, "Epoch"));
    CHECK_EQ(state_valid(to), number_of(r, "Valid"));
    CHECK(!state_sealed(to) && state_sealed(state_seal(to)) && !state_valid(to | 0x20) && !state_valid(to | 6));
}

static void check_extent(const record *r, bool run)
{
    int class_ = (int)number_of(r, "Class"), first = (int)number_of(r, "First"), number = (int)number_of(r, "Number");
    int from = (int)number_of(r, "ValidFrom");
    extent e = run ? page_run(first, number) : slab_block(class_, first, number);
    CHECK_EQ(e, number_of(r, "Word"));
    CHECK_EQ(extent_offset(e), number_of(r, "Offset"));
    CHECK_EQ(extent_size(e), number_of(r, "Size"));
    CHECK_EQ(extent_bin(e), number_of(r, "Bin"));
    CHECK_EQ(extent_class(e), class_);
    CHECK_EQ(extent_first(e), first);
    CHECK_EQ(extent_valid(e, from), from > 0);
    CHECK(from == 0 || !extent_valid(e, from - 1));
    if (!run)
        CHECK_EQ(extent_block(e), number & 0xff);
}

static void check_first(const record *r)
{
    uint8_t segment[16];
    const char *hex = text_of(r, "Segment");
    for (int i = 0; i < 16; i++) {
        unsigned byte;
        CHECK(sscanf(hex + 2 * i, "%2x", &byte) == 1);
        segment[i] = (uint8_t)byte;
    }
    CHECK_EQ(first_gen(segment, (uint32_t)number_of(r, "Desc")), number_of(r, "First"));
}

static void check_pair(const char *list, uint32_t x, uint32_t y, uint64_t word)
{
    if (strcmp(list, "Slot") == 0) {
        CHECK_EQ(make_slot((int)x, y), word);
        CHECK(slot_phase(word) == (int)x && slot_incarnation(word) == y);
        CHECK(slot_valid(word) && !slot_valid(word | 0x300));
    } else if (strcmp(list, "Ident") == 0) {
        CHECK_EQ(make_ident((int)x, y), word);
        CHECK(ident_slot(word) == x && ident_incarnation(word) == y);
    } else if (strcmp(list, "Lock") == 0) {
        CHECK_EQ(make_lock(make_ident((int)x, y)), word);
        CHECK(lock_owner((lock_word)word) == (int)x && lock_names((lock_word)word, y));
        CHECK(!lock_contended((lock_word)word) && lock_contended(lock_with_waiters((lock_word)word)));
    } else {
        CHECK_EQ(make_ticket((int)x, y), word);
        CHECK(ticket_kind(word) == (int)x && ticket_nonce(word) == y && ticket_valid(word));
    }
}

static void check_slab(const record *r)
{
    slab_head h = make_slab((int)number_of(r, "Class"), (int)number_of(r, "Free"), (int)number_of(r, "First"));
    CHECK_EQ(h, number_of(r, "Word"));
    CHECK_EQ(slab_class(h), number_of(r, "Class"));
    CHECK_EQ(slab_free(h), number_of(r, "Free"));
    CHECK_EQ(slab_first(h), number_of(r, "First"));
}

static void check_entry(const record *r)
{
    name_word w = make_name((int)number_of(r, "Kind"), (int)number_of(r, "Current"), (uint32_t)number_of(r, "Nonce"));
    CHECK_EQ(w, number_of(r, "Entry"));
    CHECK_EQ(name_to(w, NDPOOL_NAME_LEAVING), number_of(r, "Left"));
    CHECK_EQ(name_flip(w), number_of(r, "Flipped"));
    CHECK_EQ(name_valid(w), number_of(r, "Valid"));
    CHECK_EQ(name_kind(w), number_of(r, "Kind"));
    CHECK_EQ(name_current(w), number_of(r, "Current"));
    CHECK_EQ(name_nonce(w), number_of(r, "Nonce"));
    CHECK(!name_valid(w | 0x200));
}

static void check_name_lock(const record *r)
{
    uint32_t inc = (uint32_t)number_of(r, "Incarnation"), slot = (uint32_t)number_of(r, "Holder");
    name_lock_word w = make_name_lock(make_ident((int)slot, inc)), torn = (name_lock_word)number_of(r, "Torn");
    CHECK_EQ(w, number_of(r, "Writer"));
    CHECK_EQ(name_lock_with_waiters(w), number_of(r, "Waited"));
    CHECK_EQ(name_lock_with_torn(name_lock_with_waiters(w)), torn);
    CHECK_EQ(name_lock_free(torn), number_of(r, "Freed"));
    CHECK(name_lock_owner(torn) == (int)slot && name_lock_names(torn, inc) && !name_lock_names(torn, inc + 1));
    CHECK(name_lock_torn(torn) && name_lock_contended(torn) && !name_lock_torn(w) && !name_lock_contended(w));
    CHECK(name_lock_owner(name_lock_free(torn)) == -1 && name_lock_free(w) == 0);
}

static void on_word(const char *list, const record *r, void *arg)
{
    (void)arg;
    if (strcmp(list, "State") == 0)
        check_state(r);
    else if (strcmp(list, "Gen") == 0)
        CHECK_EQ(gen_next(number_of(r, "Word"), (uint32_t)number_of(r, "First")), number_of(r, "Next"));
    else if (strcmp(list, "Run") == 0 || strcmp(list, "Block") == 0)
        check_extent(r, list[0] == 'R');
    else if (strcmp(list, "Slab") == 0)
        check_slab(r);
    else if (strcmp(list, "First") == 0)
        check_first(r);
    else if (strcmp(list, "Name") == 0)
        check_entry(r);
    else if (strcmp(list, "NameLock") == 0)
        check_name_lock(r);
    else if (list[0])
        check_pair(list, (uint32_t)number_of(r, "A"), (uint32_t)number_of(r, "B"), number_of(r, "Word"));
}

/* ---- geometry.json */

typedef struct regions {
    ndpool_region r[NDPOOL_REGION_COUNT];
    int n;
} regions;

static void check_geometry(const record *r, const regions *want)
{
    limits l = {.capacity = number_of(r, "Capacity"), .arrays = (int64_t)number_of(r, "Arrays"),
                .processes = (int64_t)number_of(r, "Processes"), .tickets = (int64_t)number_of(r, "Tickets"),
                .names = (int64_t)number_of(r, "Names")};
    geometry g;
    char text[160] = "";
    CHECK(limits_check(&l, text, sizeof text));
    geometry_compute(&l, &g);
    CHECK_EQ(limits_pages(&l), number_of(r, "Pages"));
    CHECK_EQ(limits_chunks(&l), number_of(r, "Chunks"));
    CHECK_EQ(limits_slabs(&l), number_of(r, "Slabs"));
    CHECK_EQ(limits_tree_leaves(&l), number_of(r, "Leaves"));
    CHECK_EQ(g.file_size, number_of(r, "FileSize"));
    CHECK_EQ(geometry_eager(&g), number_of(r, "Eager"));
    uint32_t last = (uint32_t)l.arrays - 1, granule = geometry_desc_granule(&g, last);
    CHECK_EQ(granule, number_of(r, "LastDesc"));
    CHECK_EQ(geometry_desc_index(&g, granule), last);
    CHECK(geometry_desc_index(&g, granule + 1) == -1 && geometry_desc_index(&g, 0) == -1);
    CHECK(geometry_desc_index(&g, granule + NDPOOL_DESC_SIZE / NDPOOL_GRANULE) == -1);
    CHECK_EQ(want->n, NDPOOL_REGION_COUNT);
    for (int i = 0; i < NDPOOL_REGION_COUNT; i++) {
        const ndpool_region *x = &g.regions[i + 1], *y = &want->r[i];
        CHECK(x->kind == y->kind && x->version == y->version && x->offset == y->offset && x->size == y->size);
    }
}

static void on_geometry(const char *list, const record *r, void *arg)
{
    regions *seen = arg;
    if (strcmp(list, "Regions") != 0) {
        check_geometry(r, seen);
        seen->n = 0;
    } else if (CHECK(seen->n < NDPOOL_REGION_COUNT)) {
        seen->r[seen->n++] = (ndpool_region){
            .kind = (uint32_t)number_of(r, "Kind"), .version = (uint32_t)number_of(r, "Version"),
            .offset = number_of(r, "Offset"), .size = number_of(r, "Size")};
    }
}

static void vectors(const char *root)
{
    regions seen = {.n = 0};
    CHECK(each_record(root, "words.json", on_word, NULL) > 300);
    CHECK_EQ(each_record(root, "geometry.json", on_geometry, &seen), 7 * (NDPOOL_REGION_COUNT + 1));
}

static void bad_limits(void)
{
    const limits good = {.capacity = 1 << 20, .arrays = 1, .processes = 1, .tickets = 1, .names = 1};
    struct {
        limits l;
        const char *text;
    } cases[] = {
        {good, "capacity 4096: must be a multiple of 4096 from 65536 to 2199023255552"},
        {good, "capacity 65537: "},
        {good, "arrays 0: must be from 1 to 16777216"},
        {good, "processes 255: "},
        {good, "tickets -1: "},
        {good, "names 1048577: "},
    };
    cases[0].l.capacity = 4096;
    cases[1].l.capacity = 65537;
    cases[2].l.arrays = 0;
    cases[3].l.processes = 255;
    cases[4].l.tickets = -1;
    cases[5].l.names = 1048577;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char text[160] = "";
        CHECK(!limits_check(&cases[i].l, text, sizeof text));
        CHECK_HAS(text, cases[i].text);
    }
    CHECK(class_of(1) == 1 && class_of(65) == 2 && class_of(NDPOOL_MAX_CLASS_SIZE + 1) == 0);
}

/* ---- internal/ */

enum { BIG = (1 << 20) + 13 };

/* Of the first n bytes of a pattern, as the Go twin's xxhash gives it. */
static const struct {
    size_t n;
    uint64_t want;
} known_hashes[] = {
    {1, UINT64_C(0x22545933f06bf0d)},
    {3, UINT64_C(0x8df8be3658d3d95)},
    {4, UINT64_C(0x66ffdb81913d4b3c)},
    {7, UINT64_C(0x3a7521b97b54a753)},
    {8, UINT64_C(0x30390231aefd6920)},
    {31, UINT64_C(0xbba9bb8f08be8004)},
    {32, UINT64_C(0x6731790492a9ab1d)},
    {33, UINT64_C(0x2b0818f11e757ca4)},
    {63, UINT64_C(0x24e278e001a2a067)},
    {64, UINT64_C(0x42b3282701cfbc28)},
    {100, UINT64_C(0x32136076cca5109e)},
    {4096, UINT64_C(0x707c4903cf49218a)},
    {BIG, UINT64_C(0xd9272fd584174472)},
};

static void hashes(void)
{
    static uint8_t b[BIG + 1];
    uint32_t x = 1;
    for (size_t i = 0; i < BIG; i++) {
        x = x * 1664525 + 1013904223;
        b[i] = (uint8_t)(x >> 24);
    }
    CHECK_EQ(xxhash64("", 0), UINT64_C(0xef46db3751d8e999));
    CHECK_EQ(xxhash64(NULL, 0), UINT64_C(0xef46db3751d8e999));
    CHECK_EQ(xxhash64("a", 1), UINT64_C(0xd24ec4f1a98c6e5b));
    CHECK_EQ(xxhash64("abc", 3), UINT64_C(0x44bc2cf5ad770999));
    uint64_t all = 0;
    for (size_t n = 0; n <= 100; n++)
        all = all * 31 + xxhash64(b, n);
    CHECK_EQ(all, UINT64_C(0x5d9d1724a7e5cee2)); /* of all lengths from 0 to 100 */
    const size_t n_known = sizeof known_hashes / sizeof *known_hashes;
    for (size_t i = 0; i < n_known; i++)
        CHECK_EQ(xxhash64(b, known_hashes[i].n), known_hashes[i].want);
    memmove(b + 1, b, BIG);
    CHECK_EQ(xxhash64(b + 1, BIG), known_hashes[n_known - 1].want); /* not aligned */
}

static void *other_thread(void *arg)
{
    (void)arg;
    CHECK_EQ(ndpool_last_error()->status, NDPOOL_OK);
    fail(NDPOOL_ERR_HELD, "of another thread");
    return NULL;
}

static void errors(void)
{
    errno = ENOSPC;
    CHECK_EQ(fail_errno(NDPOOL_ERR_SYSTEM, "write %s", "x"), NDPOOL_ERR_SYSTEM);
    CHECK_EQ(errno, ENOSPC);
    CHECK(strcmp(ndpool_last_error()->message, "write x: No space left on device") == 0);
    error_now()->pid = 7;
    CHECK_EQ(fail_within("create %s", "y"), NDPOOL_ERR_SYSTEM);
    CHECK(strcmp(ndpool_last_error()->message, "create y: write x: No space left on device") == 0);
    CHECK(ndpool_last_error()->pid == 7 && ndpool_last_error()->sys_errno == ENOSPC);
    fail(NDPOOL_ERR_STALE, "again: %s", error_now()->message);
    CHECK(strcmp(ndpool_last_error()->message, "again: create y: write x: No space left on device") == 0);
    CHECK(ndpool_last_error()->pid == 0 && ndpool_last_error()->sys_errno == 0);
    char much[2000];
    memset(much, 'x', sizeof much - 1);
    much[sizeof much - 1] = 0;
    fail(NDPOOL_ERR_STALE, "%s", much);
    fail_within("%s", much);
    CHECK_EQ(strlen(ndpool_last_error()->message), sizeof ndpool_last_error()->message - 1);
    pthread_t t;
    CHECK(pthread_create(&t, NULL, other_thread, NULL) == 0 && pthread_join(t, NULL) == 0);
    CHECK_EQ(ndpool_last_error()->status, NDPOOL_ERR_STALE);
    for (int s = 0; s < NDPOOL_ERR_END; s++)
        CHECK(strcmp(ndpool_status_name(s), "internal") != 0);
    CHECK(strcmp(ndpool_status_name(NDPOOL_ERR_LOCK_TIMEOUT), "lock-timeout") == 0);
    CHECK(strcmp(ndpool_status_name(STATUS_RESTART), "internal") == 0);
    CHECK(strcmp(ndpool_status_name(-1), "internal") == 0);
    CHECK(strcmp(ndpool_version(), "0.1.0") == 0);
}

/* Four threads count under a spin, inside a gate that the main thread shuts again and again. */
static struct {
    spin mutex;
    gate gate;
    int count;
    bool shut;
} shared;

static void *count_up(void *arg)
{
    (void)arg;
    for (int n = 0; n < 20000; n++) {
        gate_enter(&shared.gate);
        spin_lock(&shared.mutex);
        CHECK(!shared.shut);
        shared.count++;
        spin_unlock(&shared.mutex);
        gate_leave(&shared.gate);
    }
    return NULL;
}

static void threads(void)
{
    pthread_t t[4];
    for (int i = 0; i < 4; i++)
        CHECK(pthread_create(&t[i], NULL, count_up, NULL) == 0);
    for (int n = 0; n < 50; n++) {
        gate_shut(&shared.gate);
        shared.shut = true;
        int before = shared.count;
        sched_yield();
        CHECK_EQ(shared.count, before);
        shared.shut = false;
        gate_open(&shared.gate);
    }
    for (int i = 0; i < 4; i++)
        pthread_join(t[i], NULL);
    CHECK_EQ(shared.count, 80000);
    CHECK(spin_try(&shared.mutex) && !spin_try(&shared.mutex));
    uint32_t *table = lazy_new(5000, sizeof *table);
    CHECK(table && table[4999] == 0);
    lazy_free(table, 5000, sizeof *table);
}

/* ---- segments */

static char name_buffer[64];

static location place(const char *what)
{
    snprintf(name_buffer, sizeof name_buffer, "ndpool-arena-test-%d-%s", (int)getpid(), what);
    return (location){.dir = DIR_PATH, .name = name_buffer};
}

static const spec small = {.limits = {.capacity = 4 << 20, .arrays = 2000, .processes = 4, .tickets = 8, .names = 1},
                           .mode = 0600, .grace = 600 * SECOND, .lock_wait = 10 * SECOND};

static int no_indexes(arena *a)
{
    (void)a;
    return NDPOOL_OK;
}

static bool never(arena *a)
{
    (void)a;
    return false;
}

static bool always(arena *a)
{
    (void)a;
    return true;
}

/* Somebody else removes the name between open and lock. */
static bool vanishes(arena *a)
{
    unlink(a->path);
    return false;
}

static void note(void *arg) { *(bool *)arg = true; }

/* The steps must work for the rest to make sense. */
static void must(int status)
{
    if (status != NDPOOL_OK) {
        fprintf(stderr, "%s: %s\n", ndpool_status_name(status), ndpool_last_error()->message);
        exit(1);
    }
}

static arena *created(const location *loc)
{
    arena *a;
    must(arena_create(loc, &small, no_indexes, &a));
    return a;
}

static arena *joined(const location *loc)
{
    arena *a;
    bool dirty;
    must(arena_open(loc, false, never, &a));
    must(arena_claim(a, &dirty));
    CHECK(!dirty);
    return a;
}

/* Leaves and removes the name. */
static void gone(arena *a)
{
    bool last = false;
    arena_depart(a);
    arena_leave(a, note, &last);
    CHECK(last);
    CHECK_EQ(arena_unlink(a), NDPOOL_OK);
    CHECK(!arena_linked(a));
    arena_close(a);
}

/* A channel between parent and child, and back: one byte at a time. */
typedef struct channel {
    int fd[2];
} channel;

static channel new_channel(void)
{
    channel c;
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, c.fd))
        exit(2);
    return c;
}

static void tell(channel c, int side)
{
    if (write(c.fd[side], "x", 1) != 1)
        _exit(3);
}

static void await(channel c, int side)
{
    char b;
    if (read(c.fd[side], &b, 1) != 1)
        _exit(3);
}

static void finish(pid_t child)
{
    int status = -1;
    CHECK(waitpid(child, &status, 0) == child);
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

static void killed(pid_t child)
{
    kill(child, SIGKILL);
    CHECK(waitpid(child, NULL, 0) == child);
}

static void two_attached(arena *a, arena *b)
{
    CHECK_EQ(arena_slot(a), 0);
    CHECK_EQ(arena_slot(b), 1);
    CHECK_EQ(ident_incarnation(a->self), 1);
    CHECK(arena_alive(a, a->self) && arena_alive(a, b->self) && arena_alive(b, a->self) && arena_receives(a, b->self));
    CHECK(!arena_alive(a, make_ident(2, 1)) && !arena_alive(a, make_ident(1, 2)) && !arena_alive(a, 0));
    CHECK(!arena_alive(a, make_ident(1 << 20, 1)));
    CHECK_EQ(shm_load32(&b->slots[0].pid), getpid());
    CHECK_EQ(shm_load64(&b->slots[0].comm[0]) & 0xff, program_invocation_short_name[0]);
    CHECK(memcmp(&a->super, &b->super, sizeof a->super) == 0);
    CHECK(a->n_descs == 2000 && a->pages == 1024 && a->chunks == 2);
    CHECK(arena_same_boot(a) && a->member.fd == -1 && a->member.page);
    memset(arena_data(a, 8192), 7, 16);
    CHECK_EQ(arena_data(b, 8192)[15], 7);
    uint8_t *ro = arena_read_only(b, 8192);
    CHECK(ro && ro[15] == 7 && ro == arena_read_only(b, 8192));
}

static void life(void)
{
    location loc = place("life");
    arena *a = created(&loc), *b, *c;
    struct stat st;
    CHECK(stat(a->path, &st) == 0 && (st.st_mode & 0777) == 0600 && (uint64_t)st.st_size == a->geo.file_size);
    CHECK_EQ(arena_create(&loc, &small, no_indexes, &b), NDPOOL_ERR_EXIST);
    CHECK_HAS(ndpool_last_error()->message, "life: segment exists");
    b = joined(&loc);
    two_attached(a, b);
    bool last = false;
    ident was = b->self;
    arena_depart(b);
    CHECK(arena_alive(a, was) && !arena_receives(a, was));
    arena_leave(b, note, &last);
    CHECK(!last && !arena_alive(a, was));
    arena_close(b);
    must(arena_open(&loc, true, always, &c)); /* somebody is attached: nothing is replaced */
    arena_close(c);
    gone(a);
    CHECK_EQ(arena_open(&loc, false, never, &a), NDPOOL_ERR_NOT_EXIST);
    CHECK_HAS(ndpool_last_error()->message, "no such segment");
    CHECK(a == NULL);
}

/* What the file has of memory, in bytes. */
static uint64_t taken_by(const arena *a)
{
    struct stat st;
    CHECK(fstat(a->fd, &st) == 0);
    return (uint64_t)st.st_blocks * 512;
}

static void memory(void)
{
    location loc = place("memory");
    arena *a = created(&loc);
    uint32_t to;
    uint64_t before = taken_by(a);
    CHECK(!arena_is_committed(a, 0) && !arena_is_committed(a, 1));
    must(arena_commit_pages(a, 511, 2));
    CHECK(arena_is_committed(a, 0) && arena_is_committed(a, 1));
    CHECK_EQ(taken_by(a) - before, 2 * NDPOOL_CHUNK_SIZE);
    must(arena_punch_chunk(a, 1));
    CHECK(arena_is_committed(a, 0) && !arena_is_committed(a, 1));
    CHECK_EQ(taken_by(a) - before, NDPOOL_CHUNK_SIZE);
    must(arena_commit_descs(a, 0, 1, &to));
    CHECK_EQ(to, 1024);
    must(arena_commit_descs(a, to, to + 1, &to));
    CHECK_EQ(to, 2000);
    gone(a);
}

static void space(void)
{
    location loc = place("space");
    arena *a = created(&loc);
    uint64_t unused, total;
    arena_space(a, &unused, &total);
    CHECK(total > 0 && unused <= total);
    CHECK_EQ(file_commit(a, 0, total * 4), NDPOOL_ERR_NO_MEMORY);
    const ndpool_error *e = ndpool_last_error();
    CHECK(e->asked == total * 4 && e->capacity == total && e->free <= total && e->sys_errno == ENOSPC);
    CHECK_HAS(e->message, "; raise its size (mount -o remount,size=..., docker --shm-size) or choose another");
    uint32_t seq = space_wanted(a);
    CHECK_EQ(shm_load32(&a->ctl->space_flag), 1);
    space_freed(a);
    space_await(a, seq, 60 * SECOND); /* returns at once */
    CHECK(shm_load32(&a->ctl->space_flag) == 0 && shm_load32(&a->ctl->space_seq) == seq + 1);
    gone(a);
}

static void write_file(const char *path, const void *b, size_t n, off_t size)
{
    int fd = open(path, O_CREAT | O_RDWR | O_TRUNC | O_CLOEXEC, 0600);
    CHECK(fd >= 0 && write(fd, b, n) == (ssize_t)n && ftruncate(fd, size) == 0);
    close(fd);
}

static void refused(const location *loc, int status, const char *why)
{
    arena *a;
    CHECK_EQ(arena_open(loc, false, never, &a), status);
    CHECK_HAS(ndpool_last_error()->message, why);
    CHECK(a == NULL);
}

/* Changes of a superblock, with or without the right checksum. */
#define FIELD(name) offsetof(ndpool_superblock, name)
static const struct {
    size_t at;
    uint32_t value;
    bool sum;
    const char *why;
} scribbles[] = {
    {FIELD(magic), 0x78787878, true, "magic: got \"xxxxol\\x1a\\x0a\", expected \"ndpool\\x1a\\x0a\""},
    {FIELD(byte_order), 0x4030201, true, "byte order: got 67305985, expected 16909060"},
    {FIELD(version), 0, true, "older ndpool): got 0, expected 1"},
    {FIELD(version), 2, true, "newer ndpool): got 2, expected 1"},
    {FIELD(fingerprint), 2, true, "fingerprint"},
    {FIELD(grace), 2, false, "checksum"},
    {FIELD(flags), 64, true, "flags: got 64, expected 15"},
    {FIELD(processes), 300, true, "limits: got processes 300: must be from 1 to 254"},
    {FIELD(arrays), 9000, true, "region directory: got {"},
    {FIELD(regions) + 15 * sizeof(ndpool_region), 1, true, "expected {0 0 0 0}"},
    {FIELD(file_size), 1 << 20, true, "file size"},
};

/* Opens files that are nearly segments. */
static void scribbled(const location *loc, const char *path)
{
    arena *a;
    location other = {.name = "ndpool-arena-test", .anonymous = true};
    must(arena_create(&other, &small, no_indexes, &a));
    CHECK_HAS(a->path, "<memfd ndpool-arena-test>");
    for (size_t i = 0; i < sizeof scribbles / sizeof *scribbles; i++) {
        ndpool_superblock sb = a->super;
        memcpy((uint8_t *)&sb + scribbles[i].at, &scribbles[i].value, sizeof scribbles[i].value);
        if (scribbles[i].sum)
            sb.checksum = super_checksum(&sb);
        write_file(path, &sb, sizeof sb, (off_t)a->geo.file_size);
        refused(loc, NDPOOL_ERR_FORMAT, scribbles[i].why);
    }
    write_file(path, &a->super, sizeof a->super, (off_t)a->geo.file_size - 4096);
    refused(loc, NDPOOL_ERR_FORMAT, "file size: got 6287360, expected 6291456");
    bool last = false;
    arena_leave(a, note, &last);
    CHECK(last);
    arena_close(a);
}

/* Opens a file that is somebody else's. Only root can make one. */
static void owned(const location *loc, const char *path)
{
    const uint32_t ids[] = {2, 1};
    location allowed = *loc;
    if (geteuid() != 0 || chown(path, 1, 1) != 0)
        return;
    refused(loc, NDPOOL_ERR_PERMISSION, "it belongs to uid 1, gid 1, and this process is uid 0; name the uid or");
    allowed.uids = ids;
    allowed.n_uids = 2;
    refused(&allowed, NDPOOL_ERR_FORMAT, "magic");
    allowed = *loc;
    allowed.gids = ids;
    allowed.n_gids = 1;
    refused(&allowed, NDPOOL_ERR_PERMISSION, "segment refused");
    allowed.n_gids = 2;
    refused(&allowed, NDPOOL_ERR_FORMAT, "magic");
    unlink(path);
}

static void refusals(void)
{
    location loc = place("refused");
    char path[128], target[140];
    snprintf(path, sizeof path, "%s/%s", DIR_PATH, loc.name);
    snprintf(target, sizeof target, "%s-target", path);
    write_file(path, "short", 5, 5);
    refused(&loc, NDPOOL_ERR_FORMAT, "file size: got 5, expected at least 4096 bytes");
    write_file(path, "foreign", 7, 8192);
    refused(&loc, NDPOOL_ERR_FORMAT, "magic: got \"foreign\\x00\"");
    CHECK_EQ(arena_unlink_name(&loc), NDPOOL_ERR_FORMAT);
    CHECK(access(path, F_OK) == 0);
    owned(&loc, path);
    scribbled(&loc, path);
    CHECK(rename(path, target) == 0 && symlink(target, path) == 0);
    refused(&loc, NDPOOL_ERR_PERMISSION, "it is a symlink");
    unlink(target);
    unlink(path);
    CHECK(mkfifo(path, 0600) == 0);
    refused(&loc, NDPOOL_ERR_FORMAT, "file type: got 010000, expected a regular file");
    unlink(path);
}

static void names(void)
{
    char longest[202];
    memset(longest, 'x', sizeof longest);
    longest[201] = 0;
    const char *const bad_names[] = {"", ".hidden", "a/b", longest, NULL};
    for (size_t i = 0; i < sizeof bad_names / sizeof *bad_names; i++) {
        location bad = {.dir = DIR_PATH, .name = bad_names[i]};
        refused(&bad, NDPOOL_ERR_NAME, "(want 1 to 200 bytes, no slash, no leading dot)");
    }
    CHECK_EQ(check_name(longest + 1), NDPOOL_OK);
    location nowhere = {.dir = "/no/such/directory//", .name = "x"};
    refused(&nowhere, NDPOOL_ERR_NOT_EXIST, "open /no/such/directory/x");
    arena *a;
    CHECK_EQ(arena_create(&nowhere, &small, no_indexes, &a), NDPOOL_ERR_SYSTEM);
    CHECK_EQ(ndpool_last_error()->sys_errno, ENOENT);
    CHECK_HAS(ndpool_last_error()->message, "create /no/such/directory/x: open /no/such/directory//: ");
}

static void passed_files(void)
{
    location loc = {.name = "passed", .anonymous = true};
    arena *a = created(&loc), *b, *c;
    int fd;
    bool dirty, last = false;
    must(arena_file(a, &fd));
    CHECK(ftruncate(fd, 0) != 0); /* sealed */
    location passed = {.fd = fd};
    must(arena_open(&passed, false, never, &b));
    must(arena_claim(b, &dirty));
    CHECK(arena_alive(a, b->self) && arena_linked(b));
    CHECK_EQ(arena_create(&passed, &small, no_indexes, &c), NDPOOL_ERR_EXIST);
    CHECK_HAS(ndpool_last_error()->message, ">: segment exists: the passed file has 6291456 bytes already");
    close(fd);
    arena_leave(b, note, &last);
    CHECK(!last);
    arena_close(b);
    /* Somebody closes the asking descriptor, and its number is another file's. */
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    dup2(null, a->fd);
    CHECK_EQ(arena_commit_pages(a, 0, 1), NDPOOL_ERR_DESCRIPTOR);
    CHECK_HAS(ndpool_last_error()->message, "it is another file's now");
    CHECK_EQ(arena_file(a, &fd), NDPOOL_ERR_DESCRIPTOR);
    int stays = a->fd;
    arena_close(a);
    CHECK(fcntl(stays, F_GETFD) >= 0);
    close(stays);
    close(null);
}

/* Takes the lock, and takes it over if its owner died. */
static void locked(arena *a, bool want_taken)
{
    bool taken;
    must(arena_lock(a, 10 * SECOND, &taken));
    CHECK_EQ(taken, want_taken);
    arena_unlock(a);
    CHECK_EQ(shm_load32(&a->ctl->lock), 0);
}

/* A child that claims a slot of its own and takes the lock, until it is killed. */
static pid_t lock_holder(const location *loc)
{
    channel c = new_channel();
    pid_t child = fork();
    if (child == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        arena *a = joined(loc);
        bool taken;
        must(arena_lock(a, SECOND, &taken));
        tell(c, 1);
        for (;;)
            pause();
    }
    await(c, 0);
    close(c.fd[0]);
    close(c.fd[1]);
    return child;
}

/* Slot 1 is a dead one's, 2 is free, 0 is this process's. */
static void graves(arena *a)
{
    grave g;
    bool got;
    must(arena_bury(a, 0, &g, &got));
    CHECK(!got);
    must(arena_bury(a, 2, &g, &got));
    CHECK(!got);
    must(arena_bury(a, 1, &g, &got));
    CHECK(got && g.slot == 1 && g.incarnation == 2);
    CHECK_EQ(shm_load64(&a->slots[1].word), make_slot(NDPOOL_SLOT_SWEEPING, 2));
    CHECK(arena_alive(a, make_ident(1, 2)) && !arena_receives(a, make_ident(1, 2)));
    grave_close(&g);
    CHECK(!arena_alive(a, make_ident(1, 2)));
    must(arena_bury(a, 1, &g, &got));
    CHECK(got && g.incarnation == 3);
    grave_done(a, &g);
    CHECK_EQ(shm_load64(&a->slots[1].word), make_slot(NDPOOL_SLOT_FREE, 3));
    CHECK_EQ(shm_load64(&a->ctl->sweeps), 1);
}

static void takeover(void)
{
    location loc = place("lock");
    arena *a = created(&loc);
    bool taken;
    locked(a, false);
    pid_t child = lock_holder(&loc);
    int64_t start = mono_time();
    CHECK_EQ(arena_lock(a, SECOND / 20, &taken), NDPOOL_ERR_LOCK_TIMEOUT); /* a living owner is never robbed */
    CHECK(mono_time() - start >= SECOND / 20);
    CHECK(ndpool_last_error()->pid == child && ndpool_last_error()->slot == 1);
    kill(child, SIGSTOP);
    CHECK_EQ(arena_lock(a, SECOND / 20, &taken), NDPOOL_ERR_LOCK_TIMEOUT);
    char want[80];
    snprintf(want, sizeof want, "lock segment: process %d (slot 1) has kept the lock for 0.", (int)child);
    CHECK_HAS(ndpool_last_error()->message, want);
    killed(child);
    locked(a, true);
    CHECK_EQ(shm_load64(&a->ctl->takeovers), 1);
    locked(a, false);
    /* A word that names nobody, and one that names this process, are damage. */
    shm_store32(&a->ctl->lock, 0xfe);
    locked(a, true);
    shm_store32(&a->ctl->lock, make_lock(a->self));
    locked(a, true);
    graves(a);
    gone(a);
}

/* Threads of one process wait in front of the lock, and all of them give up while the owner is stopped. */
static void *wait_for_lock(void *arg)
{
    bool taken;
    CHECK_EQ(arena_lock(arg, SECOND / 10, &taken), NDPOOL_ERR_LOCK_TIMEOUT);
    return NULL;
}

static void front(void)
{
    location loc = place("front");
    arena *a = created(&loc);
    bool taken;
    pid_t child = lock_holder(&loc);
    kill(child, SIGSTOP);
    pthread_t t[3];
    for (int i = 0; i < 3; i++)
        CHECK(pthread_create(&t[i], NULL, wait_for_lock, a) == 0);
    for (int i = 0; i < 3; i++)
        pthread_join(t[i], NULL);
    spin_lock(&a->front); /* a thread that does not come out */
    CHECK_EQ(arena_lock(a, SECOND / 20, &taken), NDPOOL_ERR_LOCK_TIMEOUT);
    CHECK(ndpool_last_error()->pid == child && ndpool_last_error()->slot == 1);
    spin_unlock(&a->front);
    kill(child, SIGCONT);
    killed(child);
    must(arena_lock(a, SECOND, &taken));
    CHECK(taken);
    arena_unlock(a);
    gone(a);
}

/* Two processes and their threads add under the lock; a word that is not atomic in all tells whether it excludes. */
static void *add(void *arg)
{
    arena *a = arg;
    for (int n = 0; n < 2000; n++) {
        bool taken;
        must(arena_lock(a, 10 * SECOND, &taken));
        CHECK(!taken);
        shm_put32(&a->ctl->next, shm_get32(&a->ctl->next) + 1);
        arena_unlock(a);
    }
    return NULL;
}

static void add_twice(arena *a)
{
    pthread_t t;
    CHECK(pthread_create(&t, NULL, add, a) == 0);
    add(a);
    pthread_join(t, NULL);
}

static void exclusion(void)
{
    location loc = place("exclusion");
    arena *a = created(&loc);
    pid_t child = fork();
    if (child == 0) {
        add_twice(joined(&loc));
        check_exit();
    }
    add_twice(a);
    finish(child);
    CHECK_EQ(shm_load32(&a->ctl->next), 8000);
    arena_leave(a, note, &(bool){false});
    CHECK_EQ(arena_unlink(a), NDPOOL_OK);
    arena_close(a);
}

static void full_table(void)
{
    location loc = place("full");
    arena *a = created(&loc), *b[3], *c;
    bool dirty;
    for (int i = 0; i < 3; i++)
        b[i] = joined(&loc);
    must(arena_open(&loc, false, never, &c));
    CHECK_EQ(arena_claim(c, &dirty), NDPOOL_ERR_PROCESSES);
    CHECK_HAS(ndpool_last_error()->message, "all 4 slots belong to living processes");
    CHECK_EQ(arena_fork_reserve(a), NDPOOL_ERR_PROCESSES);
    CHECK(a->child.fd == -1 && a->child_self == 0);
    arena_abandon(b[1]); /* dies */
    CHECK_EQ(arena_fork_reserve(a), NDPOOL_ERR_PROCESSES); /* takes no dead one's */
    must(arena_claim(c, &dirty));
    CHECK(dirty && arena_slot(c) == 2 && ident_incarnation(c->self) == 2);
    CHECK(arena_alive(a, c->self) && !arena_receives(a, c->self) && !arena_alive(a, b[1]->self));
    arena_activate(c);
    CHECK(arena_receives(a, c->self));
    shm_store32(&a->ctl->lock, make_lock(b[1]->self)); /* the dead one's, whose slot somebody else has now */
    locked(a, true);
    arena_close(c);
    for (int i = 0; i < 3; i++)
        arena_close(b[i]);
    gone(a);
}

static void orphans(void)
{
    location loc = place("orphan");
    arena *a = created(&loc), *b;
    arena_abandon(a);
    arena_close(a);
    must(arena_open(&loc, true, never, &b)); /* wanted: the byte is shared again */
    must(arena_open(&loc, true, always, &a));
    arena_close(a);
    arena_close(b);
    CHECK_EQ(arena_open(&loc, true, always, &a), NDPOOL_ERR_NOT_EXIST);
    CHECK_EQ(arena_open(&loc, false, never, &a), NDPOOL_ERR_NOT_EXIST);
    a = created(&loc);
    arena_close(a);
    CHECK_EQ(arena_open(&loc, true, vanishes, &a), NDPOOL_ERR_NOT_EXIST);
}

static void unclean(void)
{
    location loc = place("unclean");
    arena *a = created(&loc), *b;
    shm_store64(&a->ctl->boot[0], 1);
    CHECK(!arena_same_boot(a));
    must(arena_open(&loc, false, never, &b)); /* he lives: it is this boot's after all */
    CHECK(arena_same_boot(a));
    arena_close(b);
    shm_store64(&a->ctl->boot[0], 1);
    arena_close(a);
    refused(&loc, NDPOOL_ERR_UNCLEAN, "segment was left unclean by another boot: slot 0 is in use");
    CHECK_EQ(arena_unlink_name(&loc), NDPOOL_OK);
    CHECK_EQ(arena_unlink_name(&loc), NDPOOL_ERR_NOT_EXIST);
}

/* While the last one out decides nobody gets in. */
static void removal(void)
{
    location loc = place("removal");
    arena *a = created(&loc);
    ofd d;
    bool got;
    must(ofd_open(a, &d));
    ofd_drop(&a->member);
    must(ofd_lock(&d, NDPOOL_POOL_BYTE, true, &got));
    CHECK(got);
    refused(&loc, NDPOOL_ERR_TIMEOUT, "segment is being removed, start again");
    ofd_drop(&d);
    unlink(a->path);
    arena_close(a);
}

/* ---- fork */

static void fork_child(arena *a, ident parent, ident stranger, channel c)
{
    must(arena_fork_child(a));
    CHECK_EQ(arena_slot(a), 2);
    CHECK(a->member.page && a->member.fd == -1 && a->child.fd == -1);
    CHECK(arena_alive(a, parent) && arena_alive(a, stranger) && arena_alive(a, a->self) && arena_receives(a, a->self));
    CHECK_EQ(shm_load32(&a->slots[2].pid), getpid());
    arena_data(a, 0)[0] = 2;
    tell(c, 1);
    await(c, 1); /* the parent has left */
    CHECK(!arena_alive(a, parent));
    locked(a, false);
    bool taken;
    must(arena_lock(a, SECOND, &taken));
    CHECK_EQ(shm_load32(&a->ctl->lock), make_lock(make_ident(2, 1)));
    arena_unlock(a);
    must(arena_commit_pages(a, 0, 1)); /* the inherited descriptor still leads there */
    arena_data(a, 0)[1] = check_failures ? 2 : 1; /* nobody waits for this process */
    tell(c, 1);
    await(c, 1);
    check_exit(); /* without leaving */
}

/* The middle process forks, tells who the child is, and dies. */
static void fork_parent(const location *loc, channel c, channel d)
{
    arena *a = joined(loc);
    ident self = a->self;
    must(arena_fork_reserve(a));
    CHECK(a->child.fd > 2 && a->child_self == make_ident(2, 1) && !a->child.page);
    CHECK(arena_alive(a, a->child_self));
    spin_lock(&a->front); /* as if another thread had it */
    pid_t child = fork();
    if (child == 0)
        fork_child(a, self, make_ident(0, 1), d);
    spin_unlock(&a->front);
    arena_fork_parent(a);
    CHECK(a->child.fd == -1 && a->child_self == 0);
    CHECK(arena_alive(a, make_ident(2, 1)));
    tell(c, 1);
    await(c, 1);
    check_exit();
}

static void buried(arena *a, uint32_t slot, bool want)
{
    grave g;
    bool got;
    must(arena_bury(a, slot, &g, &got));
    CHECK_EQ(got, want);
    if (got)
        grave_done(a, &g);
}

/* The child lives on when its parent has died and this process has left. */
static void outlived(arena *a, channel d)
{
    ident parent = make_ident(1, 1), child = make_ident(2, 1);
    bool last = false;
    CHECK(!arena_alive(a, parent));
    CHECK(arena_alive(a, child)); /* its slot does not go with the parent's */
    tell(d, 0);
    await(d, 0);
    CHECK_EQ(arena_data(a, 0)[1], 1);
    arena_leave(a, note, &last); /* and neither does the pool's byte */
    CHECK(!last && arena_alive(a, child));
    buried(a, 2, false);
    buried(a, 1, true);
    close(d.fd[1]);
    tell(d, 0);
    char b;
    CHECK(read(d.fd[0], &b, 1) <= 0); /* its end is closed: it dies */
    for (int n = 0; n < 1000 && arena_alive(a, child); n++)
        spin_nap(1000000);
    buried(a, 2, true);
}

static void forks(void)
{
    location loc = place("fork");
    arena *a = created(&loc);
    channel c = new_channel(), d = new_channel();
    pid_t middle = fork();
    if (middle == 0)
        fork_parent(&loc, c, d);
    await(c, 0);
    await(d, 0);
    CHECK(arena_alive(a, make_ident(1, 1)) && arena_alive(a, make_ident(2, 1)));
    CHECK_EQ(arena_data(a, 0)[0], 2);
    tell(c, 0);
    finish(middle);
    outlived(a, d);
    close(c.fd[0]);
    close(c.fd[1]);
    close(d.fd[0]);
    CHECK_EQ(arena_unlink(a), NDPOOL_OK);
    arena_close(a);
}

/* A fork that fails leaves a dead one's slot. */
static void failed_fork(void)
{
    location loc = place("failed");
    arena *a = created(&loc);
    must(arena_fork_reserve(a));
    ident child_self = a->child_self;
    CHECK(arena_alive(a, child_self));
    arena_fork_parent(a);
    CHECK(!arena_alive(a, child_self));
    buried(a, 1, true);
    gone(a);
}

static bool is_mapped(void *mem)
{
    unsigned char in;
    return mincore(mem, 4096, &in) == 0;
}

/* A child that got no slot has no mapping, and leaves alone what is at its address. */
static void hidden_child(arena *a)
{
    CHECK(!is_mapped(a->mem) && !is_mapped(a->ro) && !is_mapped(a->member.page));
    void *elsewhere = mmap(a->mem, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
    arena_fork_lost(a);
    arena_close(a);
    CHECK(is_mapped(elsewhere));
    check_exit();
}

static void hidden(void)
{
    location loc = place("hidden");
    arena *a = created(&loc);
    CHECK(arena_read_only(a, 0) != NULL);
    must(arena_fork_hide(a, true));
    pid_t child = fork();
    if (child == 0)
        hidden_child(a);
    finish(child);
    must(arena_fork_hide(a, false));
    child = fork();
    if (child == 0) {
        CHECK(is_mapped(a->mem) && a->mem[0] == 'n' && is_mapped(a->ro) && a->ro[0] == 'n');
        CHECK(!is_mapped(a->member.page));
        check_exit();
    }
    finish(child);
    CHECK(arena_alive(a, a->self));
    gone(a);
}

/* ---- looking on */

static void peeks(void)
{
    location loc = place("peek");
    arena *a = created(&loc), *p;
    uint32_t to;
    bool attended;
    must(arena_commit_descs(a, 0, 1, &to));
    shm_store32(&a->ctl->descs, to);
    shm_store64(&a->descs[5].state, 0x10002);
    shm_store64(&a->descs[5].gen, 77);
    memset(arena_data(a, 4096), 9, 100);
    must(arena_lock(a, SECOND, &(bool){false}));
    must(arena_peek(&loc, &p));
    arena_unlock(a);
    CHECK(p->snapshot && p->self == make_ident(0, 0) && shm_load32(&p->ctl->lock) == 0 && p->fd > 2);
    CHECK(shm_load64(&p->descs[5].state) == 0x10002 && shm_load64(&p->descs[5].gen) == 77);
    CHECK_EQ(shm_load64(&p->slots[0].word), make_slot(NDPOOL_SLOT_CLAIMED, 1));
    CHECK_EQ(arena_data(p, 4096)[99], 0);
    must(arena_fetch(p, 4096, 100));
    CHECK_EQ(arena_data(p, 4096)[99], 9);
    shm_store64(&a->descs[5].gen, 78);
    CHECK_EQ(shm_load64(&p->descs[5].gen), 77);
    must(arena_fetch_desc(p, 5));
    CHECK_EQ(shm_load64(&p->descs[5].gen), 78);
    must(arena_attended(p, &attended));
    CHECK(attended && arena_alive(p, a->self));
    gone(a);
    must(arena_attended(p, &attended));
    CHECK(!attended);
    arena_close(p);
    CHECK_EQ(arena_peek(&loc, &p), NDPOOL_ERR_NOT_EXIST);
}

static void clocks(void)
{
    int64_t t = boot_time(), m = mono_time();
    for (int n = 0; n < 1000; n++) {
        int64_t u = boot_time();
        CHECK(u >= t);
        t = u;
    }
    CHECK(mono_time() >= m && m > 0 && boot_time() >= m);
}

/* Makes a segment and waits for a line, so that another program can look at it. */
static int keep(const char *name)
{
    location loc = {.dir = DIR_PATH, .name = name};
    arena *a = created(&loc);
    printf("%s\n", a->path);
    fflush(stdout);
    (void)getchar();
    gone(a);
    return 0;
}

int main(int argc, char **argv)
{
    if (argc > 2)
        return keep(argv[2]);
    if (argc < 2) {
        fprintf(stderr, "usage: %s ROOT [NAME]\n", argv[0]);
        return 2;
    }
    vectors(argv[1]);
    bad_limits();
    hashes();
    errors();
    threads();
    clocks();
    life();
    memory();
    space();
    refusals();
    names();
    passed_files();
    takeover();
    front();
    exclusion();
    full_table();
    orphans();
    unclean();
    removal();
    forks();
    failed_fork();
    hidden();
    peeks();
    return check_failures != 0;
}
