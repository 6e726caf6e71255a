/* Entries and what they stand for. Twin of catalog/catalog.go. */
#include "catalog/catalog.h"

#include "internal/xxhash.h"

/* Lays a table over the segment's catalog. */
void catalog_init(catalog *c, arena *a, const catalog_keeper *keeper, void *arg)
{
    *c = (catalog){.arena = a, .names = a->names, .heads = a->name_heads, .keeper = keeper, .arg = arg};
}

static name_value read_value(const ndpool_name_value *v)
{
    return (name_value){.version = shm_load64(&v->version),
                        .array = shm_load64(&v->array),
                        .attributes = shm_load64(&v->attributes),
                        .owner = shm_load64(&v->owner)};
}

name_value catalog_value(const catalog *c, uint32_t e)
{
    return read_value(&c->names[e].values[name_current(catalog_word(c, e))]);
}

/* Tells whether an entry is a name now, and what it stands for. It may be called without the lock. */
bool catalog_named(const catalog *c, uint32_t e, name_value *v)
{
    name_word w = catalog_word(c, e);
    int k = name_kind(w);
    *v = read_value(&c->names[e].values[name_current(w)]);
    return k == NDPOOL_NAME_LIVE || k == NDPOOL_NAME_REPLACING || k == NDPOOL_NAME_LEAVING;
}

name_value catalog_pending(const catalog *c, uint32_t e)
{
    name_word w = catalog_word(c, e);
    if (name_kind(w) == NDPOOL_NAME_REPLACING)
        w = name_flip(w);
    return read_value(&c->names[e].values[name_current(w)]);
}

/* Stores a value that does not count yet. A death before the word that makes it count leaves what nobody reads. */
void catalog_write(ndpool_name_value *to, const name_value *v)
{
    shm_publish64(&to->version, v->version);
    shm_publish64(&to->array, v->array);
    shm_publish64(&to->attributes, v->attributes);
    shm_publish64(&to->owner, v->owner);
}

int catalog_text(const catalog *c, uint32_t e, char text[NDPOOL_MAX_COMPONENT])
{
    uint32_t n = shm_load32(&c->names[e].bytes);
    if (n < 1 || n > NDPOOL_MAX_COMPONENT)
        return -1;
    for (uint32_t k = 0; k < n; k += 8) {
        uint64_t w = shm_load64(&c->names[e].text[k / 8]);
        for (uint32_t i = k; i < n && i < k + 8; i++)
            text[i] = (char)(w >> (i % 8 * 8));
    }
    return (int)n;
}

/* Bytes 8*k to 8*k+7 of a component of n bytes, NUL padded. */
uint64_t text_word(const char *s, size_t n, size_t k)
{
    uint64_t w = 0;
    for (size_t i = 0; i < 8 && 8 * k + i < n; i++)
        w |= (uint64_t)(uint8_t)s[8 * k + i] << (8 * i);
    return w;
}

/* Tells whether an entry's component is this one. */
static bool is_text(const catalog *c, uint32_t e, const char *s, size_t n)
{
    const ndpool_name *d = &c->names[e];
    if (shm_load32(&d->bytes) != n)
        return false;
    for (size_t k = 0; k * 8 < n; k++) {
        if (shm_load64(&d->text[k]) != text_word(s, n, k))
            return false;
    }
    return true;
}

/* The head of the chain that a component of a hash below parent is in. */
shm_u32 *catalog_head(const catalog *c, uint32_t parent, uint64_t hash)
{
    return &c->heads[limits_name_head(&c->arena->geo.limits, parent, hash)];
}

int catalog_entry(const catalog *c, uint32_t node, uint32_t *e)
{
    if (node == 0 || node > catalog_committed(c->arena))
        return STATUS_TORN;
    name_word w = catalog_word(c, node - 1);
    if (name_kind(w) == NDPOOL_NAME_FREE || !name_valid(w))
        return STATUS_TORN;
    *e = node - 1;
    return NDPOOL_OK;
}

/* The first node below a node, 0 if there is none. */
uint32_t catalog_first_child(const catalog *c, uint32_t node)
{
    return node == 0 ? (uint32_t)shm_get64(&c->arena->ctl->root) : shm_get32(&c->names[node - 1].child);
}

/* Finds the entry with a component of n bytes below a node. */
int catalog_child(const catalog *c, uint32_t parent, const char *s, size_t n, uint32_t *e, bool *found)
{
    uint32_t next = shm_get32(catalog_head(c, parent, xxhash64(s, n)));
    *found = false;
    for (uint32_t left = catalog_committed(c->arena) + 1; left > 0; left--) {
        if (next == 0)
            return NDPOOL_OK;
        int status = catalog_entry(c, next, e);
        if (status != NDPOOL_OK)
            return status;
        if (shm_load32(&c->names[*e].parent) == parent && is_text(c, *e, s, n)) {
            *found = true;
            return NDPOOL_OK;
        }
        next = shm_get32(&c->names[*e].next);
    }
    return STATUS_TORN;
}
