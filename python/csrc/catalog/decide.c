/* How a change ends: carried out, undone, or rolled by whoever takes over the lock. Twin of catalog/decide.go. */
#include "catalog/catalog.h"

/* Does something to every entry of the change. act does not change touched. */
static int each(change *ch, int (*act)(catalog *c, uint32_t e))
{
    uint32_t all = catalog_committed(ch->c->arena), left = all;
    for (uint64_t node = ch->last; node != 0; left--) {
        if (node > all || left == 0)
            return STATUS_TORN;
        uint32_t e = (uint32_t)node - 1;
        int status = act(ch->c, e);
        if (status != NDPOOL_OK)
            return status;
        node = shm_get64(&ch->c->names[e].touched);
    }
    return NDPOOL_OK;
}

static void unhold(catalog *c, const name_value *v)
{
    if (v->array)
        c->keeper->unname(c->arg, v->array);
    if (v->attributes)
        c->keeper->unname(c->arg, v->attributes);
}

/* Frees an entry. */
static int free_entry(catalog *c, uint32_t e)
{
    int status = catalog_unlink(c, e);
    shm_store64(&c->names[e].word, name_to(catalog_word(c, e), NDPOOL_NAME_FREE));
    c->keeper->add(c->arg, e);
    return status;
}

/* Frees an entry, and wakes those who wait for its lock. */
static int remove_entry(catalog *c, uint32_t e)
{
    int status = free_entry(c, e);
    catalog_wake(c, e);
    return status;
}

/* Wakes who waits for the lock of a name that is gone. Who comes later finds it gone. */
void catalog_wake(catalog *c, uint32_t e)
{
    if (shm_load32(&c->names[e].lock) != 0)
        catalog_wake_lock(c->arena, e);
}

/* Does to one entry what was decided. The word comes first: what a value no longer names is let go after it. */
static int carry_out(catalog *c, uint32_t e)
{
    name_word w = catalog_word(c, e);
    name_value old = catalog_value(c, e);
    int status = NDPOOL_OK;
    switch (name_kind(w)) {
    case NDPOOL_NAME_STAGED:
        shm_store64(&c->names[e].word, name_to(w, NDPOOL_NAME_LIVE));
        break;
    case NDPOOL_NAME_REPLACING:
        shm_store64(&c->names[e].word, name_flip(w));
        unhold(c, &old);
        break;
    case NDPOOL_NAME_LEAVING:
        status = remove_entry(c, e);
        unhold(c, &old);
        break;
    }
    return status;
}

/* Removes implicit groups that no name is left in: an entry, if it is one, and then those that it was in. A death in
 * between leaves such groups to catalog_rebuild. */
int catalog_prune(catalog *c, uint32_t e)
{
    for (int left = NDPOOL_MAX_NAME_DEPTH; left > 0; left--) {
        uint32_t parent = shm_load32(&c->names[e].parent);
        int k = name_kind(catalog_word(c, e)), status = NDPOOL_OK;
        if (k != NDPOOL_NAME_FREE) {
            name_value v = catalog_value(c, e);
            if (k != NDPOOL_NAME_LIVE || !value_implicit(&v) || shm_get32(&c->names[e].child) != 0)
                return NDPOOL_OK;
            status = remove_entry(c, e);
        }
        if (status != NDPOOL_OK || parent == 0)
            return status;
        status = catalog_in_table(c, parent, &e);
        if (status != NDPOOL_OK)
            return status;
    }
    return NDPOOL_OK;
}

/* Makes the change happen, as a whole.
 *
 * Control.commit decides: a death before it leaves what catalog_roll undoes, a death after it what catalog_roll finishes. It
 * is cleared after the last word, so that an undecided change is never taken for a decided one. */
int change_commit(change *ch)
{
    ndpool_control *ctl = ch->c->arena->ctl;
    if (change_empty(ch))
        return NDPOOL_OK;
    shm_store64(&ctl->change, ch->version);
    shm_store32(&ctl->commit, 1);
    int status = each(ch, carry_out);
    if (status == NDPOOL_OK)
        status = each(ch, catalog_prune);
    if (status == NDPOOL_OK)
        shm_store32(&ctl->commit, 0);
    return status;
}

/* Does to one entry the opposite of carry_out. The links of a new one go with it. */
static int undo(catalog *c, uint32_t e)
{
    name_word w = catalog_word(c, e);
    name_value v = catalog_pending(c, e);
    int status = NDPOOL_OK;
    switch (name_kind(w)) {
    case NDPOOL_NAME_STAGED:
        status = free_entry(c, e);
        unhold(c, &v);
        break;
    case NDPOOL_NAME_REPLACING:
        shm_store64(&c->names[e].word, name_to(w, NDPOOL_NAME_LIVE));
        unhold(c, &v);
        break;
    case NDPOOL_NAME_LEAVING:
        shm_store64(&c->names[e].word, name_to(w, NDPOOL_NAME_LIVE));
        break;
    }
    return status;
}

/* Undoes what is staged. */
int change_abandon(change *ch) { return each(ch, undo); }

/* What an entry's word is once the change under way has ended. */
name_word name_rolled(name_word w, bool decided)
{
    switch (name_kind(w)) {
    case NDPOOL_NAME_FREE:
    case NDPOOL_NAME_LIVE:
        return w;
    case NDPOOL_NAME_STAGED:
        return name_to(w, decided ? NDPOOL_NAME_LIVE : NDPOOL_NAME_FREE);
    case NDPOOL_NAME_REPLACING:
        return decided ? name_flip(w) : name_to(w, NDPOOL_NAME_LIVE);
    case NDPOOL_NAME_LEAVING:
        return name_to(w, decided ? NDPOOL_NAME_FREE : NDPOOL_NAME_LIVE);
    }
    return decided ? w : name_to(w, NDPOOL_NAME_LIVE); /* a scribble, which the rebuild looks at */
}

/* Ends a change in which somebody died: it finishes one that is decided, and undoes one that is not. Only words change;
 * catalog_rebuild does the rest. If this process dies too, the next one starts again. */
void catalog_roll(catalog *c)
{
    ndpool_control *ctl = c->arena->ctl;
    bool decided = shm_load32(&ctl->commit) != 0;
    for (uint32_t e = 0, n = catalog_committed(c->arena); e < n; e++) {
        name_word w = catalog_word(c, e), to = name_rolled(w, decided);
        if (to != w)
            shm_store64(&c->names[e].word, to);
    }
    if (decided)
        shm_store32(&ctl->commit, 0);
}
