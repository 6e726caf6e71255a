/*
 * A change that is being staged: from change_begin to change_commit or change_abandon. Its entries are those that are
 * STAGED, REPLACING or LEAVING, linked over touched, the last one first. Twin of catalog/change.go.
 */
#include "catalog/catalog.h"
#include "internal/xxhash.h"

/* Begins a change. Nothing is stored before something is staged. */
void change_begin(change *ch, catalog *c)
{
    *ch = (change){.c = c, .version = shm_get64(&c->arena->ctl->change) + 1};
}

/* Gives an entry a word of the change. A death before it leaves the entry out of the change. */
static void mark(change *ch, uint32_t e, name_word w)
{
    ndpool_name *d = &ch->c->names[e];
    int k = name_kind(catalog_word(ch->c, e));
    if (k == NDPOOL_NAME_FREE || k == NDPOOL_NAME_LIVE) {
        shm_put64(&d->touched, ch->last);
        ch->last = (uint64_t)e + 1;
    }
    shm_store64(&d->word, w);
}

/* Removes the name of an entry. */
void change_leave(change *ch, uint32_t e)
{
    name_word w = catalog_word(ch->c, e);
    if (name_kind(w) == NDPOOL_NAME_LIVE)
        mark(ch, e, name_to(w, NDPOOL_NAME_LEAVING));
}

/* A change that things leave in, and how many of them are not implicit groups. Local. */
typedef struct leaving {
    change *ch;
    uint64_t n;
} leaving;

static bool leave_told(void *arg, uint32_t e, int depth)
{
    leaving *l = arg;
    name_value v = catalog_value(l->ch->c, e);
    (void)depth;
    l->n += !value_implicit(&v);
    change_leave(l->ch, e);
    return true;
}

/* Removes the name of a node and all names in it, and adds to *n how many of them are not implicit groups. */
int change_leave_tree(change *ch, uint32_t node, uint64_t *n)
{
    leaving l = {.ch = ch};
    int status = catalog_walk(ch->c, node, leave_told, &l);
    if (node != 0)
        leave_told(&l, node - 1, 0);
    *n += l.n;
    return status;
}

/* Has the blocks of a value counted before a word makes the value count. */
static void hold(change *ch, const name_value *v)
{
    if (v->array)
        ch->c->keeper->name(ch->c->arg, v->array);
    if (v->attributes)
        ch->c->keeper->name(ch->c->arg, v->attributes);
}

static void unhold(change *ch, const name_value *v)
{
    if (v->array)
        ch->c->keeper->unname(ch->c->arg, v->array);
    if (v->attributes)
        ch->c->keeper->unname(ch->c->arg, v->attributes);
}

/* Gives the name of an entry another value. */
void change_replace(change *ch, uint32_t e, name_value v)
{
    catalog *c = ch->c;
    name_word w = catalog_word(c, e);
    int k = name_kind(w), to = k == NDPOOL_NAME_STAGED ? name_current(w) : !name_current(w);
    v.version = ch->version;
    hold(ch, &v);
    if (k == NDPOOL_NAME_STAGED || k == NDPOOL_NAME_REPLACING) {
        name_value was = catalog_pending(c, e);
        unhold(ch, &was);
    }
    catalog_write(&c->names[e].values[to], &v);
    if (k != NDPOOL_NAME_STAGED)
        mark(ch, e, name_to(w, NDPOOL_NAME_REPLACING));
}

/* The number of an entry's next use, never 0. */
static uint32_t next_nonce(name_word w)
{
    uint32_t n = name_nonce(w) + 1;
    return n ? n : 1;
}

/* Writes what an entry is besides its value: who sees its word sees it. */
static void describe(ndpool_name *d, uint32_t parent, const char *s, size_t n)
{
    shm_publish32(&d->lock, 0);
    for (size_t k = 0; k < sizeof d->readers / sizeof *d->readers; k++)
        shm_publish64(&d->readers[k], 0);
    shm_publish32(&d->parent, parent);
    shm_publish32(&d->bytes, (uint32_t)n);
    for (size_t k = 0; k < sizeof d->text / sizeof *d->text; k++) {
        uint64_t w = text_word(s, n, k);
        if (w != 0 || shm_load64(&d->text[k]) != 0)
            shm_publish64(&d->text[k], w);
    }
}

/* Takes a free entry for a component below a parent. What is in the entry counts when its word is stored. */
static int stage(change *ch, uint32_t parent, const char *s, size_t n, name_value v, uint32_t *e)
{
    catalog *c = ch->c;
    int64_t next = c->keeper->next(c->arg);
    if (next < 0)
        return STATUS_NO_ENTRY;
    *e = (uint32_t)next;
    if (*e >= catalog_committed(c->arena) || name_kind(catalog_word(c, *e)) != NDPOOL_NAME_FREE)
        return STATUS_TORN;
    v.version = ch->version;
    hold(ch, &v);
    c->keeper->remove(c->arg, *e);
    describe(&c->names[*e], parent, s, n);
    catalog_write(&c->names[*e].values[0], &v);
    mark(ch, *e, make_name(NDPOOL_NAME_STAGED, 0, next_nonce(catalog_word(c, *e))));
    ch->staged++;
    return catalog_link(c, *e, xxhash64(s, n));
}

/* Makes sure that an entry on the way to another one is a group. */
static int pass(change *ch, uint32_t e)
{
    if (name_kind(catalog_word(ch->c, e)) == NDPOOL_NAME_LEAVING) {
        change_replace(ch, e, (name_value){.owner = NDPOOL_NAME_IMPLICIT});
        return NDPOOL_OK;
    }
    return catalog_pending(ch->c, e).array == 0 ? NDPOOL_OK : NDPOOL_ERR_GROUP;
}

static bool same(const name_value *a, const name_value *b)
{
    return a->version == b->version && a->array == b->array && a->attributes == b->attributes && a->owner == b->owner;
}

/* Gives an entry that is there a value: one that leaves takes any, a group that the change has made by the way takes
 * another group's, and else it is for the caller to say. */
static int give_value(change *ch, uint32_t e, name_value v, change_give *give, void *arg)
{
    int k = name_kind(catalog_word(ch->c, e));
    if (k != NDPOOL_NAME_LEAVING) {
        name_value old = catalog_pending(ch->c, e);
        if (k == NDPOOL_NAME_LIVE) {
            int status = give(arg, &old, &v);
            if (status != NDPOOL_OK || same(&v, &old))
                return status;
        } else if (!value_implicit(&old)) {
            return NDPOOL_ERR_NAME_TAKEN;
        } else if (v.array != 0) {
            return NDPOOL_ERR_GROUP;
        }
    }
    change_replace(ch, e, v);
    return NDPOOL_OK;
}

/* Stages a value for a path, and groups on the way where there are none. If the name is there, give decides: it is told what
 * the name stands for in this change, and says what it will stand for. */
int change_put(change *ch, const char *path, const name_value *v, change_give *give, void *arg)
{
    uint32_t node = 0, e = 0;
    for (const char *at = path, *rest; at; at = rest) {
        size_t n = path_cut(at, &rest);
        bool found;
        int status = catalog_child(ch->c, node, at, n, &e, &found);
        if (status == NDPOOL_OK && !found)
            status = stage(ch, node, at, n, rest ? (name_value){.owner = NDPOOL_NAME_IMPLICIT} : *v, &e);
        else if (status == NDPOOL_OK)
            status = rest ? pass(ch, e) : give_value(ch, e, *v, give, arg);
        if (status != NDPOOL_OK)
            return status;
        node = e + 1;
    }
    return NDPOOL_OK;
}
