/* The catalog's indexes made anew from its entries. Twin of catalog/rebuild.go. */
#include "catalog/catalog.h"
#include "internal/xxhash.h"

static bool in_use(const catalog *c, uint32_t e) { return name_kind(catalog_word(c, e)) != NDPOOL_NAME_FREE; }

static void unset(shm_u32 *link)
{
    if (shm_get32(link) != 0)
        shm_put32(link, 0);
}

/* Frees an entry that is damage, and that has no links. */
static void discard(catalog *c, uint32_t e)
{
    shm_store64(&c->names[e].word, make_name(NDPOOL_NAME_FREE, 0, catalog_nonce(c, e)));
    catalog_wake(c, e);
}

/* Tells whether only zero bytes come behind the n bytes of a component. */
static bool padded(const catalog *c, uint32_t e, size_t n)
{
    const ndpool_name *d = &c->names[e];
    if (n % 8 != 0 && shm_load64(&d->text[n / 8]) >> (n % 8 * 8) != 0)
        return false;
    for (size_t k = (n + 7) / 8; k < sizeof d->text / sizeof *d->text; k++) {
        if (shm_load64(&d->text[k]) != 0)
            return false;
    }
    return true;
}

static bool leads(const catalog *c, uint64_t handle) { return handle == 0 || c->keeper->exists(c->arg, handle); }

/* Tells whether an entry's component can be one, and its handles lead to blocks. */
static bool sound(const catalog *c, uint32_t e)
{
    char text[NDPOOL_MAX_COMPONENT + 1];
    int n = catalog_text(c, e, text);
    if (n < 0)
        return false;
    text[n] = 0;
    if (!text_check(text, (size_t)n) || !padded(c, e, (size_t)n))
        return false;
    name_value v = catalog_value(c, e);
    if (v.owner == NDPOOL_NAME_IMPLICIT && (v.array != 0 || v.attributes != 0))
        return false;
    return leads(c, v.array) && leads(c, v.attributes);
}

/* Takes an entry out of everything, and frees it if it cannot be a name whatever the others are. */
static void isolate(catalog *c, uint32_t e)
{
    ndpool_name *d = &c->names[e];
    unset(&d->next);
    unset(&d->child);
    unset(&d->after);
    unset(&d->before);
    if (!name_valid(catalog_word(c, e)) || (in_use(c, e) && !sound(c, e)))
        discard(c, e);
}

/* Tells whether two entries have the same parent and the same component. */
static bool same_name(const catalog *c, uint32_t e, uint32_t f)
{
    const ndpool_name *a = &c->names[e], *b = &c->names[f];
    if (shm_load32(&a->parent) != shm_load32(&b->parent) || shm_load32(&a->bytes) != shm_load32(&b->bytes))
        return false;
    for (size_t k = 0; k < sizeof a->text / sizeof *a->text; k++) {
        if (shm_load64(&a->text[k]) != shm_load64(&b->text[k]))
            return false;
    }
    return true;
}

/* The head of the chain of an entry. A scribbler may have changed it since it was sound: then it is that of no text. */
static shm_u32 *head_of(const catalog *c, uint32_t e)
{
    char text[NDPOOL_MAX_COMPONENT];
    int n = catalog_text(c, e, text);
    return catalog_head(c, shm_load32(&c->names[e].parent), xxhash64(text, n < 0 ? 0 : (size_t)n));
}

/* Enters a name into its chain, or frees it if another one of its group is called the same. */
static void chain(catalog *c, uint32_t e)
{
    if (!in_use(c, e))
        return;
    shm_u32 *head = head_of(c, e);
    uint32_t node = shm_get32(head), other;
    for (uint32_t left = catalog_committed(c->arena); node != 0; left--) {
        if (catalog_in_table(c, node, &other) != NDPOOL_OK || left == 0 || same_name(c, e, other)) {
            discard(c, e);
            return;
        }
        node = shm_get32(&c->names[other].next);
    }
    shm_put32(&c->names[e].next, shm_get32(head));
    shm_put32(head, e + 1);
}

/* Tells whether groups lead from the root to an entry, not too many. */
static bool rooted(const catalog *c, uint32_t e)
{
    for (int left = NDPOOL_MAX_NAME_DEPTH; left > 0; left--) {
        uint32_t parent = shm_load32(&c->names[e].parent);
        if (parent == 0)
            return true;
        if (catalog_entry(c, parent, &e) != NDPOOL_OK || catalog_value(c, e).array != 0)
            return false;
    }
    return false;
}

/* Enters a name into the list of its group, or frees it if no groups lead from the root to it. What is freed here is on
 * nobody's way: names in it fail alike. */
static void enlist(catalog *c, uint32_t e)
{
    if (!in_use(c, e))
        return;
    if (rooted(c, e)) {
        (void)catalog_enlist(c, e);
        return;
    }
    (void)catalog_unchain(c, e, head_of(c, e));
    discard(c, e);
}

/* Counts the blocks of a name, or makes the entry a free one. */
static void count(catalog *c, uint32_t e)
{
    if (!in_use(c, e)) {
        c->keeper->add(c->arg, e);
        return;
    }
    name_value v = catalog_value(c, e);
    if (v.array && c->keeper->exists(c->arg, v.array))
        c->keeper->count(c->arg, v.array);
    if (v.attributes && c->keeper->exists(c->arg, v.attributes))
        c->keeper->count(c->arg, v.attributes);
}

static void prune(catalog *c, uint32_t e) { (void)catalog_prune(c, e); }

/* Makes all links, the set of free entries and the blocks' counts anew, after catalog_roll. Preconditions, beside the lock:
 * the set is empty, and no block counts a name. An entry that cannot be a name is damage, and becomes FREE. Idempotent:
 * if this process dies too, the next one starts again. */
void catalog_rebuild(catalog *c)
{
    static void (*const steps[])(catalog *, uint32_t) = {isolate, chain, enlist, prune, count};
    uint32_t n = catalog_committed(c->arena);
    for (int h = 0, heads = limits_name_heads(&c->arena->geo.limits); h < heads; h++)
        unset(&c->heads[h]);
    shm_put64(&c->arena->ctl->root, 0);
    for (size_t k = 0; k < sizeof steps / sizeof *steps; k++) {
        for (uint32_t e = 0; e < n; e++)
            steps[k](c, e);
    }
}
