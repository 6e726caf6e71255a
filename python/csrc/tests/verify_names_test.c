/*
 * The laws of the catalog: each is broken by a scribble that no other law notices, and taken back. NDPOOL_CLI=PATH of
 * the Go command lets that look at the unbroken pool, too.
 */
#include <stdlib.h>

#include "internal/json.h"
#include "internal/xxhash.h"
#include "tests/breach.h"

static char dir[64];
static ndpool *p, *q; /* two attachments */

static void publish(ndpool *r, const char *path, ndpool_handle array, const char *attributes, uint32_t flags)
{
    ndpool_item item = {.path = path, .array = array, .attributes = attributes,
                        .attributes_bytes = attributes ? strlen(attributes) : 0};
    must(ndpool_publish(r, NULL, &item, 1, flags, 0, NULL));
}

/* Names of every kind: with and without attributes, of one's own and that stay, groups that were made for others and
 * groups of their own, a block with two names, names that were replaced and removed, and locks in every state. */
static void fill(void)
{
    ndpool_array a = alloc_bytes(p, 100), b, kept = alloc_bytes(p, 5000);
    publish(p, "camera/left", a.handle, "{\"gain\": 1.5}", 0);
    must(ndpool_retain(q, a.handle, 0, &b));
    publish(q, "camera/right", b.handle, NULL, NDPOOL_MERGE);
    publish(p, "gone", a.handle, NULL, 0);
    must(ndpool_remove(p, "gone", 0, 0, NULL));
    must(ndpool_set_attributes(p, "camera/left", "{\"gain\": 2}", 11, 0, 0, NULL));
    publish(p, "kept", 0, "{\"unit\": \"m\"}", NDPOOL_PERSISTENT);
    publish(p, "kept/a", kept.handle, NULL, NDPOOL_PERSISTENT | NDPOOL_MERGE);
    publish(p, "kept/empty", 0, NULL, NDPOOL_PERSISTENT | NDPOOL_MERGE);
    must(ndpool_release(p, kept.handle));
    must(ndpool_release(p, a.handle));
    must(ndpool_release(q, b.handle));
}

static const char *text_of(const ndpool_name *d)
{
    static char text[sizeof d->text + 1];
    for (size_t k = 0; k < sizeof d->text / 8; k++) {
        uint64_t w = shm_load64(&d->text[k]);
        memcpy(text + 8 * k, &w, 8);
    }
    return text;
}

/* The name with a component, of which there is one. */
static uint32_t entry_of(const char *text)
{
    for (uint32_t e = 0; e < catalog_committed(p->arena); e++) {
        bool live = name_kind(catalog_word(&p->names, e)) == NDPOOL_NAME_LIVE;
        if (live && strcmp(text_of(&p->arena->names[e]), text) == 0)
            return e;
    }
    NEED(!"no such name");
    return 0;
}

static ndpool_name *name_of(const char *text) { return &p->arena->names[entry_of(text)]; }

static ndpool_name_value *value_of(const char *text)
{
    ndpool_name *d = name_of(text);
    return &d->values[name_current(shm_load64(&d->word))];
}

static ndpool_desc *block_of(uint64_t handle)
{
    uint32_t i;
    NEED(pool_live_block(p, handle, &i));
    return pool_desc(p, i);
}

static void set_text(ndpool_name *d, const char *s)
{
    uint64_t words[32] = {0};
    memcpy(words, s, strlen(s));
    poke64(&d->text[0], words[0]);
    poke32(&d->bytes, (uint32_t)strlen(s));
}

static uint32_t chain_of(uint32_t e)
{
    uint32_t n = shm_load32(&p->arena->names[e].bytes);
    const char *text = text_of(&p->arena->names[e]);
    uint64_t hash = xxhash64(text, n < 256 ? n : 256);
    return (uint32_t)limits_name_head(&p->arena->geo.limits, shm_load32(&p->arena->names[e].parent), hash);
}

/* Enters an entry first into its chain and into the list of its parent, if it has one. */
static void link_first(uint32_t e)
{
    ndpool_name *d = &p->arena->names[e];
    uint32_t parent = shm_load32(&d->parent), first;
    if (parent > catalog_committed(p->arena))
        return;
    shm_u32 *head = &p->arena->name_heads[chain_of(e)];
    shm_put32(&d->next, shm_get32(head));
    shm_put32(head, e + 1);
    if (parent == 0) {
        first = (uint32_t)shm_get64(&p->arena->ctl->root);
        shm_put64(&p->arena->ctl->root, e + 1);
    } else {
        first = shm_get32(&p->arena->names[parent - 1].child);
        shm_put32(&p->arena->names[parent - 1].child, e + 1);
    }
    shm_put32(&d->before, 0);
    shm_put32(&d->after, first);
    if (first != 0)
        shm_put32(&p->arena->names[first - 1].before, e + 1);
}

/* Makes the links and the set of free entries anew, so that they agree with a truth that is broken. */
static void relink(void)
{
    uint32_t n = catalog_committed(p->arena);
    must(pool_lock(p));
    for (int h = 0; h < limits_name_heads(&p->arena->geo.limits); h++)
        shm_put32(&p->arena->name_heads[h], 0);
    shm_put64(&p->arena->ctl->root, 0);
    for (uint32_t e = 0; e < n; e++)
        shm_put32(&p->arena->names[e].child, 0);
    set_clear(&p->alloc.names);
    for (uint32_t e = 0; e < n; e++) {
        if (name_kind(catalog_word(&p->names, e)) == NDPOOL_NAME_FREE)
            set_add(&p->alloc.names, e);
        else
            link_first(e);
    }
    pool_unlock(p);
}

/* Takes a handle from what its block is said to be named by. */
static void forget_named(uint64_t handle)
{
    ndpool_desc *d = block_of(handle);
    poke64(&d->names, shm_load64(&d->names) - 1);
    if (shm_load64(&d->names) == 0)
        flip64(&d->holders[NAMED_WORD], NAMED_BIT);
}

static shm_u64 *attributes_text(const char *name)
{
    extent x = shm_load64(&block_of(shm_load64(&value_of(name)->attributes))->extent);
    return (shm_u64 *)(void *)arena_data(p->arena, extent_offset(x));
}

static void break_names(void) { poke32(&p->arena->ctl->names, 511); }
static void break_names_beyond(void) { poke32(&p->arena->ctl->names, UINT32_C(1) << 31); }
static void break_commit(void) { poke32(&p->arena->ctl->commit, 1); }
static void break_name(void) { flip64(&name_of("left")->word, 1 << 9); }
static void break_name_nonce(void) { poke64(&name_of("empty")->word, shm_load64(&name_of("empty")->word) & 0x1ff); }
static void break_text(void) { set_text(name_of("empty"), "em/ty"); }
static void break_text_dots(void) { set_text(name_of("empty"), ".."); }
static void break_text_utf8(void) { set_text(name_of("empty"), "a\xff"); }
static void break_text_bytes(void) { poke32(&name_of("empty")->bytes, UINT32_MAX); }
static void break_text_none(void) { set_text(name_of("empty"), ""); }
static void break_text_padding(void) { flip64(&name_of("empty")->text[31], UINT64_C(1) << 63); }
static void break_parent(void) { poke32(&name_of("a")->parent, entry_of("left") + 1); }
static void break_parent_circle(void) { poke32(&name_of("empty")->parent, entry_of("empty") + 1); }
static void break_parent_beyond(void) { poke32(&name_of("empty")->parent, UINT32_C(1) << 31); }
static void break_parent_free(void) { poke32(&name_of("empty")->parent, 500); }
static void break_unique(void) { set_text(name_of("empty"), "a"); }
static void break_value(void)
{
    forget_named(shm_load64(&value_of("a")->array));
    flip64(&value_of("a")->array, UINT64_C(1) << 63);
}
static void break_value_foreign(void) { poke64(&value_of("empty")->array, 77); }
static void break_version(void) { poke64(&value_of("left")->version, shm_load64(&p->arena->ctl->change) + 1); }
static void break_version_none(void) { poke64(&value_of("a")->version, 0); }
static void break_owner(void) { flip64(&value_of("left")->owner, UINT64_C(1) << 63); }
static void break_owner_slot(void) { poke64(&value_of("left")->owner, make_ident(200, 1)); }
static void break_implicit(void) { poke64(&value_of("empty")->owner, NDPOOL_NAME_IMPLICIT); }
static void break_implicit_array(void) { poke64(&value_of("a")->owner, NDPOOL_NAME_IMPLICIT); }
static void break_implicit_attributes(void) { poke64(&value_of("kept")->owner, NDPOOL_NAME_IMPLICIT); }
static void break_attributes(void) { flip64(attributes_text("kept"), '{' ^ '['); }
static void break_attributes_utf8(void) { flip64(attributes_text("kept"), UINT64_C(0x80) << 16); }
static void break_attributes_type(void)
{
    poke64(&block_of(shm_load64(&value_of("kept")->attributes))->dtype, NDPOOL_INT8);
}
static void break_attributes_ndim(void)
{
    ndpool_desc *d = block_of(shm_load64(&value_of("kept")->attributes));
    poke32(&d->ndim, 2);
    poke64(&d->dims[1].len, 1);
    poke64(&d->dims[1].stride, 1);
}
static void break_lock(void) { poke32(&name_of("left")->lock, make_name_lock(make_ident(5, 1))); }
static void break_lock_beyond(void) { poke32(&name_of("left")->lock, 200); }
static void break_lock_waiters(void) { poke32(&name_of("left")->lock, NDPOOL_NAME_LOCK_WAITERS_MASK); }
static void break_lock_incarnation(void)
{
    poke32(&name_of("left")->lock, make_name_lock(p->arena->self) ^ UINT32_C(1) << 31);
}
static void break_readers(void) { flip64(&name_of("left")->readers[0], 1 << 5); }
static void break_readers_beyond(void) { flip64(&name_of("left")->readers[3], 1); }
static void break_named(void) { flip64(&block_of(shm_load64(&value_of("a")->array))->holders[NAMED_WORD], NAMED_BIT); }
static void break_name_count(void) { poke64(&block_of(shm_load64(&value_of("a")->array))->names, 2); }
static void break_set(void) { flip64(&p->arena->name_set[1], 1); }
static void break_chains(void) { poke32(&p->arena->name_heads[chain_of(entry_of("kept"))], 0); }
static void break_chains_circle(void) { poke32(&name_of("left")->next, entry_of("left") + 1); }
static void break_chains_beyond(void) { poke32(&name_of("left")->next, UINT32_MAX); }
static void break_chains_free(void)
{
    ndpool_name *d = name_of("empty"), *other = &p->arena->names[500];
    shm_u32 *head = &p->arena->name_heads[chain_of(entry_of("empty"))];
    poke32(&other->parent, shm_load32(&d->parent));
    set_text(other, "empty");
    poke32(&other->next, shm_load32(head));
    poke32(head, 501);
}
static void break_lists_exchanged(void)
{
    ndpool_name *d = name_of("camera"), *other = name_of("kept");
    uint32_t first = shm_load32(&d->child);
    poke32(&d->child, shm_load32(&other->child));
    poke32(&other->child, first);
}
static void break_lists(void) { poke32(&name_of("left")->before, 17); }
static void break_lists_circle(void) { poke32(&name_of("left")->after, entry_of("right") + 1); }
static void break_lists_array(void) { poke32(&name_of("left")->child, entry_of("a") + 1); }
static void break_lists_root(void) { poke64(&p->arena->ctl->root, 0); }
static void break_lists_beyond(void) { flip64(&p->arena->ctl->root, UINT64_C(1) << 40); }
static void break_reserved(void) { flip64(&p->arena->names[500].reserved[5], 1); }

/* A scribble that breaks one law and no other. */
static const struct {
    const char *law;
    void (*scribble)(void);
    bool relink; /* so that no link is blamed */
} breaches[] = {
    {"names", break_names, true},
    {"names", break_names_beyond, true},
    {"commit", break_commit, false},
    {"name", break_name, false},
    {"name", break_name_nonce, false},
    {"name-text", break_text, true},
    {"name-text", break_text_dots, true},
    {"name-text", break_text_utf8, true},
    {"name-text", break_text_bytes, true},
    {"name-text", break_text_none, true},
    {"name-text", break_text_padding, false},
    {"name-parent", break_parent, true},
    {"name-parent", break_parent_circle, true},
    {"name-parent", break_parent_beyond, true},
    {"name-parent", break_parent_free, true},
    {"name-unique", break_unique, true},
    {"name-value", break_value, false},
    {"name-value", break_value_foreign, false},
    {"name-version", break_version, false},
    {"name-version", break_version_none, false},
    {"name-owner", break_owner, false},
    {"name-owner", break_owner_slot, false},
    {"name-owner", break_implicit, false},
    {"name-owner", break_implicit_array, false},
    {"name-owner", break_implicit_attributes, false},
    {"attributes", break_attributes, false},
    {"attributes", break_attributes_utf8, false},
    {"attributes", break_attributes_type, false},
    {"attributes", break_attributes_ndim, false},
    {"name-lock", break_lock, false},
    {"name-lock", break_lock_beyond, false},
    {"name-lock", break_lock_waiters, false},
    {"name-lock", break_lock_incarnation, false},
    {"name-lock", break_readers, false},
    {"name-lock", break_readers_beyond, false},
    {"named", break_named, false},
    {"name-count", break_name_count, false},
    {"name-set", break_set, false},
    {"name-chains", break_chains, false},
    {"name-chains", break_chains_circle, false},
    {"name-chains", break_chains_beyond, false},
    {"name-chains", break_chains_free, false},
    {"name-lists", break_lists, false},
    {"name-lists", break_lists_exchanged, false},
    {"name-lists", break_lists_circle, false},
    {"name-lists", break_lists_array, false},
    {"name-lists", break_lists_root, false},
    {"name-lists", break_lists_beyond, false},
    {"reserved", break_reserved, false},
};

static void test_breaches(void)
{
    for (size_t k = 0; k < sizeof breaches / sizeof *breaches; k++) {
        breaches[k].scribble();
        if (breaches[k].relink)
            relink();
        verify(p, breaches[k].law);
        take_back();
        if (breaches[k].relink)
            relink();
        verify(p, NULL);
    }
}

/* What may be: locks of names that are taken, and that a writer died with. */
static void test_locks(void)
{
    poke32(&name_of("left")->lock, make_name_lock(p->arena->self) | NDPOOL_NAME_LOCK_WAITERS_MASK);
    poke32(&name_of("right")->lock, NDPOOL_NAME_LOCK_TORN_MASK);
    flip64(&name_of("a")->readers[0], 3);
    verify(p, NULL);
    take_back();
}

static char place[256];

static void note_place(void *arg, const ndpool_fault *f)
{
    (void)arg;
    snprintf(place, sizeof place, "%s", f->place);
}

static void test_place(void)
{
    ndpool_report r;
    char want[64];
    snprintf(want, sizeof want, "name %u camera/left", entry_of("left"));
    break_version();
    must(ndpool_verify(p, 0, note_place, NULL, &r));
    CHECK(r.faults == 1 && strcmp(place, want) == 0);
    take_back();
}

static void test_json(void)
{
    static const char *const objects[] = {"{}", " {\"a\" : [1, -0.5e+3, true, null, {\"\": \"\\u00e9\xc3\xa9\"}]}\n"};
    static const char *const others[] = {"",      "[]",       "{",         "{}}",        "{\"a\"}",       "{\"a\":01}",
                                         "{,}",   "{\"a\":}", "{\"a\":1,}", "{\"a\":1.}", "{\"a\":[1,]}", "{\"a\":[1}",
                                         "{1:2}", "{} x",     "{\"\\x\":1}", "{\"\n\":1}", "{\"\xc3\":1}",
                                         "{\"\xed\xa0\x80\":1}"};
    for (size_t k = 0; k < sizeof objects / sizeof *objects; k++)
        CHECK(json_is_object(objects[k], strlen(objects[k])));
    for (size_t k = 0; k < sizeof others / sizeof *others; k++) {
        if (!CHECK(!json_is_object(others[k], strlen(others[k]))))
            fprintf(stderr, "%s\n", others[k]);
    }
}

static void run_cli(void)
{
    const char *cli = getenv("NDPOOL_CLI");
    char line[1024];
    if (!cli)
        return;
    snprintf(line, sizeof line, "%s --dir %s verify --content names", cli, dir);
    fflush(stdout);
    CHECK(system(line) == 0);
}

int main(void)
{
    snprintf(dir, sizeof dir, "/dev/shm/ndpool-verify-XXXXXX");
    NEED(mkdtemp(dir) != NULL);
    ndpool_options o = {.capacity = 4 << 20, .arrays = 1100, .processes = 10, .names = 600, .dir = dir};
    must(ndpool_create("names", &o, &p));
    must(ndpool_open("names", &(ndpool_options){.dir = dir}, &q));
    fill();
    verify(p, NULL);
    verify(q, NULL);
    run_cli();
    test_breaches();
    test_locks();
    test_place();
    test_json();
    ndpool_free(q);
    verify(p, NULL);
    must(ndpool_remove(p, NULL, NDPOOL_TREE, 0, NULL));
    CHECK(verify(p, NULL).arrays == 0);
    ndpool_free(p);
    CHECK(rmdir(dir) == 0);
    return 0;
}
