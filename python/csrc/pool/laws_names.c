/* The laws of the catalog. The segment lock is held, so entries and links stand still; only the words of names' locks
 * go on. What the laws say is in pool/laws.go; twin of pool/laws_names.go. */
#include "internal/json.h"
#include "internal/xxhash.h"
#include "pool/verify.h"

typedef unsigned long long ull;

/* What was seen of a node. */
enum { NODE_NAME = 1, NODE_FILLED = 2, NODE_CHAINED = 4, NODE_LISTED = 8 };

enum { TEXT_BYTES = sizeof ((ndpool_name *)0)->text, MAX_PROBES = 1000, MAX_PLACE = 100 };

/* A component, whatever it is. Local. */
typedef struct component {
    char text[TEXT_BYTES + 1]; /* with a NUL behind */
    uint32_t n;                /* bytes of it, as far as there are any */
    bool ok;                   /* it can be one */
} component;

static component read_component(const checker *c, uint32_t e)
{
    const ndpool_name *d = &c->a->names[e];
    uint32_t n = shm_load32(&d->bytes);
    component t = {.n = n < TEXT_BYTES ? n : TEXT_BYTES};
    for (size_t k = 0; k < TEXT_BYTES / 8; k++) {
        uint64_t w = shm_load64(&d->text[k]);
        memcpy(t.text + 8 * k, &w, 8);
    }
    bool padded = true;
    for (size_t k = t.n; k < TEXT_BYTES; k++)
        padded = padded && t.text[k] == 0;
    t.ok = n <= NDPOOL_MAX_COMPONENT && padded && text_check(t.text, t.n);
    return t;
}

static bool is_name(const checker *c, uint32_t node)
{
    return node != 0 && node <= catalog_committed(c->a) && c->nodes[node] & NODE_NAME;
}

static uint32_t parent_of(const checker *c, uint32_t e) { return shm_load32(&c->a->names[e].parent); }

/* Names an entry for people: its number, and as much of the end of its path as leads somewhere and is not too long. */
static void place_of(const checker *c, uint32_t e, char place[FAULT_TEXT])
{
    char path[MAX_PLACE + 1] = "";
    size_t at = MAX_PLACE; /* where the path begins that was found so far; a NUL is at its end */
    uint32_t node = e + 1;
    for (int left = NDPOOL_MAX_NAME_DEPTH; left > 0 && node != 0 && node <= catalog_committed(c->a); left--) {
        component t = read_component(c, node - 1);
        if (!t.ok || t.n + 1 > at)
            break;
        at -= t.n;
        memcpy(path + at, t.text, t.n);
        path[--at] = '/';
        node = parent_of(c, node - 1);
    }
    if (at < MAX_PLACE)
        path[at] = ' ';
    verify_say(place, "name %u%s", e, path + at);
}

/* Adds a fault whose place is a name. */
static fault *blame(checker *c, const char *law, uint32_t e)
{
    char place[FAULT_TEXT];
    place_of(c, e, place);
    return verify_fault(c, law, place);
}

size_t verify_called_size(const arena *a) { return 2 * (size_t)limits_name_heads(&a->geo.limits); }

/* Checks the words of the control page. */
void verify_catalog(checker *c)
{
    uint32_t n = shm_load32(&c->a->ctl->names), all = (uint32_t)c->a->geo.limits.names;
    if (n > all || (n % NDPOOL_NAME_STEP != 0 && n != all)) {
        fault *f = verify_fault(c, "names", "control");
        verify_say(f->want, "a multiple of %d, at most %u", NDPOOL_NAME_STEP, all);
        verify_say(f->got, "%u", n);
    }
    uint32_t commit = shm_load32(&c->a->ctl->commit);
    if (commit != 0) {
        fault *f = verify_fault(c, "commit", "control");
        verify_say(f->want, "0, or 1 in a change that is under way");
        verify_say(f->got, "%u", commit);
    }
}

/* Tells whether the word of a lock names a process that is attached. While a slot is being swept the word may still
 * name who had it. */
static bool writes(const checker *c, name_lock_word w)
{
    int slot = name_lock_owner(w);
    ident id;
    return slot >= 0 && (uint32_t)slot < c->a->n_slots && arena_ident(c->a, (uint32_t)slot, &id) &&
           (name_lock_names(w, ident_incarnation(id)) || verify_sweeping(c, slot));
}

/* Checks the word of a name's lock. It is looked at twice: the writer may have let go and left in between. */
static void check_writer(checker *c, uint32_t e)
{
    const shm_u32 *word = &c->a->names[e].lock;
    name_lock_word w = shm_load32(word);
    if ((name_lock_owner(w) < 0 && w == name_lock_free(w)) || writes(c, w) || shm_load32(word) != w || writes(c, w))
        return;
    fault *f = blame(c, "name-lock", e);
    verify_say(f->want, "no writer or one that is attached");
    verify_say(f->got, "0x%x", w);
}

/* Checks one word of the readers of a name's lock, each of them twice as the holders of a block. */
static void check_readers(checker *c, uint32_t e, uint32_t w)
{
    const shm_u64 *word = &c->a->names[e].readers[w];
    for (uint64_t v = shm_load64(word); v != 0; v &= v - 1) {
        int bit = __builtin_ctzll(v);
        uint32_t slot = w * 64 + (uint32_t)bit;
        if (verify_in_use(c, slot))
            continue;
        if (slot < c->a->n_slots && ((shm_load64(word) >> bit & 1) == 0 || verify_in_use(c, slot)))
            continue;
        fault *f = blame(c, "name-lock", e);
        verify_say(f->want, "readers that are attached");
        verify_say(f->got, "slot %u", slot);
    }
}

/* Checks what is not read with other entries, and notes whether it is a name. */
static void check_entry(checker *c, uint32_t e)
{
    const ndpool_name *d = &c->a->names[e];
    name_word w = shm_load64(&d->word);
    char place[FAULT_TEXT];
    verify_say(place, "name %u", e);
    verify_zero(c, place, d->reserved, sizeof d->reserved / sizeof *d->reserved);
    if (!name_valid(w) || name_kind(w) > NDPOOL_NAME_LIVE || (name_kind(w) == NDPOOL_NAME_LIVE && name_nonce(w) == 0)) {
        fault *f = verify_fault(c, "name", place);
        verify_say(f->want, "free, or a name and a nonce");
        verify_say(f->got, "0x%llx", (ull)w);
    }
    if (name_kind(w) == NDPOOL_NAME_FREE) {
        set_add(&c->want.names, e);
        return;
    }
    if (name_kind(w) == NDPOOL_NAME_LIVE)
        c->nodes[e + 1] |= NODE_NAME;
    uint32_t parent = parent_of(c, e);
    if (parent <= catalog_committed(c->a))
        c->nodes[parent] |= NODE_FILLED;
    check_writer(c, e);
    for (uint32_t k = 0; k < sizeof d->readers / sizeof *d->readers; k++)
        check_readers(c, e, k);
}

/* Tells whether groups lead from the root to a name, not too many. */
static bool is_rooted(const checker *c, uint32_t e)
{
    for (int left = NDPOOL_MAX_NAME_DEPTH; left > 0; left--) {
        uint32_t parent = parent_of(c, e);
        if (parent == 0)
            return true;
        e = parent - 1;
        if (!is_name(c, parent) || catalog_value(&c->pool->names, e).array != 0)
            return false;
    }
    return false;
}

/* Checks that no name before has the same parent and the same component. */
static void check_unique(checker *c, uint32_t e, const component *t)
{
    size_t mask = verify_called_size(c->a) - 1;
    size_t at = xxhash64(t->text, t->n) + parent_of(c, e) * UINT64_C(0x9e3779b97f4a7c15);
    for (int k = 0; k < MAX_PROBES; k++, at++) {
        uint32_t node = c->called[at & mask];
        if (node == 0) {
            c->called[at & mask] = e + 1;
            return;
        }
        component other = read_component(c, node - 1);
        if (parent_of(c, node - 1) != parent_of(c, e) || other.n != t->n || memcmp(other.text, t->text, t->n) != 0)
            continue;
        fault *f = blame(c, "name-unique", e);
        verify_say(f->want, "a component of its own");
        verify_say(f->got, "that of name %u", node - 1);
        return;
    }
}

/* Checks a handle of a value, counts it, and gives its block. 0 is none. */
static bool check_stands(checker *c, uint32_t e, const char *what, uint64_t handle, uint32_t *i)
{
    if (handle == 0)
        return false;
    if (pool_live_block(c->pool, handle, i)) {
        c->named[*i]++;
        return true;
    }
    fault *f = blame(c, "name-value", e);
    verify_say(f->want, "the handle of a LIVE block");
    verify_say(f->got, "%s %016llx", what, (ull)handle);
    return false;
}

/* Checks a block of attributes, and their text if asked to. Nobody changes it, but who breaks the rules. */
void verify_attributes(checker *c, const char *place, uint32_t i)
{
    extent x;
    meta m;
    int64_t shape[NDPOOL_MAX_NDIM];
    if (!pool_extent(c->pool, i, &x) || pool_read(c->pool, i, &m, shape) != NDPOOL_OK)
        return; /* said with the block */
    if (m.dtype != NDPOOL_UINT8 || m.ndim != 1 || m.flags & NDPOOL_DESC_RING || m.bytes > NDPOOL_MAX_ATTRIBUTES) {
        fault *f = verify_fault(c, "attributes", place);
        verify_say(f->want, "at most %d bytes in one dimension", NDPOOL_MAX_ATTRIBUTES);
        verify_say(f->got, "%u dimensions of 0x%llx, %llu bytes", (unsigned)m.ndim, (ull)m.dtype, (ull)m.bytes);
        return;
    }
    if (!c->content || m.header + m.bytes > extent_size(x) ||
        json_is_object(arena_data(c->a, extent_offset(x) + m.header), m.bytes))
        return;
    fault *f = verify_fault(c, "attributes", place);
    verify_say(f->want, "the text of a JSON object");
    verify_say(f->got, "%llu bytes of something else", (ull)m.bytes);
}

/* Checks whom a name goes with. While a slot is being swept its names may still be there. */
static void check_owner(checker *c, uint32_t e, const name_value *v)
{
    bool filled = c->nodes[e + 1] & NODE_FILLED;
    if (v->owner == NDPOOL_NAME_IMPLICIT) {
        if (v->array == 0 && v->attributes == 0 && filled)
            return;
        fault *f = blame(c, "name-owner", e);
        verify_say(f->want, "implicit only a group with names and without attributes");
        verify_say(f->got, "array %016llx, attributes %016llx, %s", (ull)v->array, (ull)v->attributes,
                   filled ? "names" : "no names");
        return;
    }
    if (v->owner == NDPOOL_NAME_POOL) {
        uint32_t i;
        if (v->array != 0 && (!pool_live_block(c->pool, v->array, &i) || pool_is_ring(c->pool, i)))
            return;
        fault *f = blame(c, "name-owner", e);
        verify_say(f->want, "with the pool only a ring");
        verify_say(f->got, "array %016llx", (ull)v->array);
        return;
    }
    if (v->owner == 0 || verify_used(c, v->owner) || verify_sweeping(c, ident_slot(v->owner)))
        return;
    fault *f = blame(c, "name-owner", e);
    verify_say(f->want, "nobody or an attached process");
    verify_say(f->got, "%lld.%u", (long long)ident_slot(v->owner), ident_incarnation(v->owner));
}

/* Checks what a name stands for. */
static void check_value(checker *c, uint32_t e)
{
    name_value v = catalog_value(&c->pool->names, e);
    uint64_t last = shm_load64(&c->a->ctl->change);
    uint32_t i;
    (void)check_stands(c, e, "array", v.array, &i);
    if (check_stands(c, e, "attributes", v.attributes, &i)) {
        char place[FAULT_TEXT];
        place_of(c, e, place);
        verify_attributes(c, place, i);
    }
    check_owner(c, e, &v);
    if (v.version != 0 && v.version <= last)
        return;
    fault *f = blame(c, "name-version", e);
    verify_say(f->want, "that of a change, at most %llu", (ull)last);
    verify_say(f->got, "%llu", (ull)v.version);
}

/* Checks a name: what it is called, where it is, and what it stands for. */
static void check_live(checker *c, uint32_t e)
{
    component t = read_component(c, e);
    if (!t.ok) {
        fault *f = blame(c, "name-text", e);
        verify_say(f->want, "1 to 255 bytes of UTF-8, NUL padded");
        verify_say(f->got, "%u bytes of something else", shm_load32(&c->a->names[e].bytes));
    }
    if (!is_rooted(c, e)) {
        fault *f = blame(c, "name-parent", e);
        verify_say(f->want, "in the root or a group, at most %d deep", NDPOOL_MAX_NAME_DEPTH);
        verify_say(f->got, "in node %u", parent_of(c, e));
    }
    check_unique(c, e, &t);
    check_value(c, e);
}

/* The number of the chain that a name belongs to. */
static uint32_t chain_of(const checker *c, uint32_t e)
{
    component t = read_component(c, e);
    return (uint32_t)limits_name_head(&c->a->geo.limits, parent_of(c, e), xxhash64(t.text, t.n));
}

/* Tells whether a node that a link leads to is a name, which no link of that kind has led to before, and notes that one
 * has. */
static bool visit(checker *c, uint64_t node, uint8_t how)
{
    if (node > catalog_committed(c->a) || !is_name(c, (uint32_t)node) || c->nodes[node] & how)
        return false;
    c->nodes[node] |= how;
    return true;
}

static void check_chain(checker *c, uint32_t h)
{
    char place[FAULT_TEXT];
    for (uint32_t node = shm_load32(&c->a->name_heads[h]); node != 0; node = shm_load32(&c->a->names[node - 1].next)) {
        if (visit(c, node, NODE_CHAINED) && chain_of(c, node - 1) == h)
            continue;
        verify_say(place, "chain %u", h);
        fault *f = verify_fault(c, "name-chains", place);
        verify_say(f->want, "names of that hash, each once");
        verify_say(f->got, "node %u", node);
        return;
    }
}

/* Checks that the list of a node holds names in it, and leads back the same way. */
static void check_list(checker *c, uint32_t parent, uint64_t node)
{
    char place[FAULT_TEXT] = "root";
    for (uint64_t before = 0; node != 0; before = node, node = shm_load32(&c->a->names[node - 1].after)) {
        if (visit(c, node, NODE_LISTED) && parent_of(c, (uint32_t)node - 1) == parent &&
            shm_load32(&c->a->names[node - 1].before) == before)
            continue;
        if (parent != 0)
            place_of(c, parent - 1, place);
        fault *f = verify_fault(c, "name-lists", place);
        verify_say(f->want, "names in it, each once, and back");
        verify_say(f->got, "node %llu after node %llu", (ull)node, (ull)before);
        return;
    }
}

/* Checks that links have led to a name, but to one whose parent is damage, which was said. */
static void check_visited(checker *c, uint32_t e)
{
    uint32_t parent = parent_of(c, e);
    if (parent != 0 && !is_name(c, parent))
        return;
    if (!(c->nodes[e + 1] & NODE_CHAINED)) {
        fault *f = blame(c, "name-chains", e);
        verify_say(f->want, "in chain %u", chain_of(c, e));
        verify_say(f->got, "not there");
    }
    if (!(c->nodes[e + 1] & NODE_LISTED)) {
        fault *f = blame(c, "name-lists", e);
        verify_say(f->want, "in the list of node %u", parent);
        verify_say(f->got, "not there");
    }
}

/* Checks the links, which follow from the entries. */
static void check_links(checker *c, uint32_t n)
{
    for (uint32_t h = 0; h < (uint32_t)limits_name_heads(&c->a->geo.limits); h++)
        check_chain(c, h);
    check_list(c, 0, shm_load64(&c->a->ctl->root));
    for (uint32_t e = 0; e < n; e++) {
        if (is_name(c, e + 1))
            check_list(c, e + 1, shm_load32(&c->a->names[e].child));
    }
    for (uint32_t e = 0; e < n; e++) {
        if (is_name(c, e + 1))
            check_visited(c, e);
    }
}

/* Checks the catalog, and counts the values that name each block. */
void verify_names(checker *c)
{
    uint32_t n = catalog_committed(c->a);
    for (uint32_t e = 0; e < n; e++)
        check_entry(c, e);
    for (uint32_t e = 0; e < n; e++) {
        if (is_name(c, e + 1))
            check_live(c, e);
    }
    check_links(c, n);
}

/* Checks what values of the catalog have to do with a block: the pseudo-holder and the count. */
void verify_name_count(checker *c, uint32_t i, const char *place)
{
    const ndpool_desc *d = pool_desc(c->pool, i);
    bool named = shm_load64(&d->holders[NAMED_WORD]) & NAMED_BIT;
    uint64_t want = c->named[i], n = shm_load64(&d->names);
    if (named != (want > 0)) {
        fault *f = verify_fault(c, "named", place);
        verify_say(f->want, "%s", want > 0 ? "true" : "false");
        verify_say(f->got, "%s", named ? "true" : "false");
    }
    if (n != want) {
        fault *f = verify_fault(c, "name-count", place);
        verify_say(f->want, "%llu", (ull)want);
        verify_say(f->got, "%llu", (ull)n);
    }
}
