/* Names of processes that are gone, and names that stay. Twin of catalog/sweep.go. */
#include "catalog/catalog.h"

/* Removes the names that a slot's processes own, whatever their incarnation, in the change: their groups become implicit,
 * so that those go in which no other names are. */
void change_disown(change *ch, uint32_t slot)
{
    catalog *c = ch->c;
    for (uint32_t e = 0, n = catalog_committed(c->arena); e < n; e++) {
        if (name_kind(catalog_word(c, e)) != NDPOOL_NAME_LIVE)
            continue;
        name_value v = catalog_value(c, e);
        if (v.owner == NDPOOL_NAME_IMPLICIT || ident_slot(v.owner) != slot)
            continue;
        if (v.array == 0)
            change_replace(ch, e, (name_value){.owner = NDPOOL_NAME_IMPLICIT});
        else
            change_leave(ch, e);
    }
}

bool catalog_stays(const arena *a, bool (*wanted)(const arena *a, uint64_t handle))
{
    bool decided = shm_load32(&a->ctl->commit) != 0;
    for (uint32_t e = 0, n = catalog_committed(a); e < n; e++) {
        name_word w = name_rolled(shm_load64(&a->names[e].word), decided);
        const ndpool_name_value *v = &a->names[e].values[name_current(w)];
        ident owner = shm_load64(&v->owner);
        if (name_kind(w) != NDPOOL_NAME_LIVE)
            continue;
        if (owner == 0 || (owner == NDPOOL_NAME_POOL && wanted(a, shm_load64(&v->array))))
            return true;
    }
    return false;
}
