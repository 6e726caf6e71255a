/*
 * Operations on names that a process may die in: the twin of pool/scenarios_names_test.go. The names stay when their process
 * dies, but where it says so: what is left of the catalog shows whether a change happened as a whole.
 *
 * It is a part of scenarios.h.
 */
#ifndef NDPOOL_TESTS_SCENARIOS_NAMES_H
#define NDPOOL_TESTS_SCENARIOS_NAMES_H

enum { STAY = NDPOOL_PERSISTENT, REPLACE = NDPOOL_PERSISTENT | NDPOOL_OVERWRITE, ADD = NDPOOL_PERSISTENT | NDPOOL_MERGE };

/* An array of bytes that are all v. */
static inline ndpool_array marked(ndpool *p, int v)
{
    ndpool_array a = alloc_bytes(p, 100);
    memset(a.data, v, a.bytes);
    return a;
}

static inline int publish_one(ndpool *p, const char *path, ndpool_handle h, uint32_t flags, const char *text)
{
    ndpool_item item = {.array = h, .attributes = text, .attributes_bytes = text ? strlen(text) : 0};
    return ndpool_publish(p, path, &item, 1, flags, 0, NULL);
}

/* Publishes a new array under each path, and releases them. */
static inline void publish_each(ndpool *p, uint32_t flags, const char *text, const char *const *paths)
{
    for (int k = 0; paths[k]; k++) {
        ndpool_array a = marked(p, k + 1);
        must(publish_one(p, paths[k], a.handle, flags, text));
        must(ndpool_release(p, a.handle));
    }
}

#define EACH(p, flags, text, ...) publish_each(p, flags, text, (const char *const[]){__VA_ARGS__, NULL})

static inline void set_text(ndpool *p, const char *path, const char *text, uint32_t flags)
{
    must(ndpool_set_attributes(p, path, text, strlen(text), flags, 0, NULL));
}

/* The victim has an array, after the peer has published names that stay. */
#define PEER_HAS(name, ...)                      \
    static void name(scene *s)                   \
    {                                            \
        EACH(s->peer, STAY, NULL, __VA_ARGS__);  \
        s->a = marked(s->victim, 99);            \
    }

static void have_marked(scene *s) { s->a = marked(s->victim, 99); }
PEER_HAS(names_x, "x")
PEER_HAS(names_in_group, "g/h/x", "y")
PEER_HAS(names_gx, "g/x")
PEER_HAS(names_tree, "t/a", "t/b/c", "t/b/d", "t/e/f")
PEER_HAS(names_to_merge, "t/a", "t/b/c")
PEER_HAS(names_in_the_way, "t/a", "t/z")
static void names_itself(scene *s)
{
    s->a = marked(s->victim, 9);
    must(publish_one(s->victim, "x", s->a.handle, STAY, NULL));
}
static void names_two(scene *s) { EACH(s->peer, STAY, NULL, "g/x", "g/y"); }
static void names_last(scene *s) { EACH(s->peer, STAY, NULL, "a/b/c", "x"); }
static void names_subtree(scene *s) { EACH(s->peer, STAY, NULL, "p/t/a", "p/t/b/c", "p/t/b/d"); }
static void names_with_text(scene *s) { EACH(s->peer, STAY, "{\"old\":1}", "g/x"); }
static void names_plain(scene *s) { EACH(s->peer, STAY, NULL, "g/x"); }
static void names_three(scene *s) { EACH(s->peer, STAY, NULL, "g/x", "g/y", "z"); }
static void names_owned(scene *s)
{
    EACH(s->victim, 0, "{\"k\":1}", "g/x", "own/y");
    set_text(s->victim, "g", "{\"k\":2}", 0);
    set_text(s->victim, "own", "{\"k\":2}", 0);
    EACH(s->peer, STAY, NULL, "g/y", "z");
}

/* Publishes the victim's array, and releases it. */
static inline void publish_release(scene *s, const char *path, uint32_t flags, const char *text)
{
    must(publish_one(s->victim, path, s->a.handle, flags, text));
    must(ndpool_release(s->victim, s->a.handle));
}

/* The same for names below a prefix; one that begins with a slash is a group. want: the status. */
static inline void tree_release(scene *s, const char *prefix, uint32_t flags, const char *const *paths, const char *text,
                                int want)
{
    ndpool_item items[20] = {{.path = ""}};
    size_t n = text != NULL;
    items[0].attributes = text;
    items[0].attributes_bytes = text ? strlen(text) : 0;
    for (; *paths; paths++, n++)
        items[n] = (ndpool_item){.path = *paths + (**paths == '/'), .array = **paths == '/' ? 0 : s->a.handle};
    if (ndpool_publish(s->victim, prefix, items, n, flags, 0, NULL) != want)
        abort();
    must(ndpool_release(s->victim, s->a.handle));
}

#define TREE_RELEASE(s, prefix, flags, text, want, ...) \
    tree_release(s, prefix, flags, (const char *const[]){__VA_ARGS__, NULL}, text, want)

static void op_publish(scene *s) { publish_release(s, "a/b", STAY, NULL); }
static void op_publish_owned(scene *s) { publish_release(s, "a/b", 0, NULL); }
static void op_publish_in_group(scene *s) { publish_release(s, "g/h/z", STAY, NULL); }
static void op_publish_attributes(scene *s) { publish_release(s, "g/x", STAY, "{\"k\":[1,2]}"); }
static void op_publish_tree(scene *s) { TREE_RELEASE(s, "t", STAY, NULL, NDPOOL_OK, "a", "b/c", "b/d", "/e"); }
static void op_load(scene *s)
{
    ndpool_array b = alloc_bytes(s->victim, 3000), c = alloc_bytes(s->victim, 9000);
    *(char *)b.data = *(char *)c.data = 1;
    const ndpool_item items[] = {{.path = "b", .array = b.handle, .attributes = "{\"k\":1}", .attributes_bytes = 7},
                                 {.path = "g/c", .array = c.handle}};
    must(ndpool_publish(s->victim, "set", items, 2, STAY, 0, NULL));
    must(ndpool_release(s->victim, b.handle));
    must(ndpool_release(s->victim, c.handle));
}
static void op_replace(scene *s) { publish_release(s, "g/x", REPLACE, NULL); }
static void op_replace_itself(scene *s) { must(publish_one(s->victim, "x", s->a.handle, REPLACE, NULL)); }
static void op_overwrite_tree(scene *s) { TREE_RELEASE(s, "t", REPLACE, "{\"k\":1}", NDPOOL_OK, "b/c", "b/g", "a/h", "e"); }
static void op_merge(scene *s) { TREE_RELEASE(s, "t", ADD, NULL, NDPOOL_OK, "b/c", "b/d"); }
static void op_names_refused(scene *s) { TREE_RELEASE(s, "", ADD, NULL, NDPOOL_ERR_GROUP, "n/o", "t/a", "t/z/y"); }
static void op_names_full(scene *s)
{
    TREE_RELEASE(s, "", REPLACE, NULL, NDPOOL_ERR_TABLE_FULL, "x", "0", "1", "2", "3", "4", "5", "6", "7", "8", "9", "10", "11");
}
static void op_remove(scene *s) { must(ndpool_remove(s->victim, "g/x", 0, 0, NULL)); }
static void op_remove_last(scene *s) { must(ndpool_remove(s->victim, "a/b/c", 0, 0, NULL)); }
static void op_remove_tree(scene *s) { must(ndpool_remove(s->victim, "p/t", NDPOOL_TREE, 0, NULL)); }
static void op_set_attributes(scene *s) { set_text(s->victim, "g/x", "{\"new\":2}", 0); }
static void op_set_group_attributes(scene *s) { set_text(s->victim, "g", "{\"new\":2}", STAY); }
static void op_names_lookup(scene *s)
{
    ndpool_array a;
    must(ndpool_lookup(s->victim, "g/x", 0, &a, NULL));
}
static void op_names_find(scene *s)
{
    ndpool_names *l;
    must(ndpool_find(s->victim, "g/x", &l));
}
static void op_names_list(scene *s)
{
    ndpool_names *l;
    must(ndpool_list(s->victim, "", &l));
}

/* Tells all of a name that a crash must leave whole, but for the entries of a ring. */
static inline void tell_name(ndpool *p, const ndpool_name_info *i, char *to, size_t size)
{
    ndpool_array a = {0};
    if (i->flags & NDPOOL_IMPLICIT) {
        snprintf(to, size, "%s implicit", i->path);
        return;
    }
    bool array = i->array && !(i->flags & NDPOOL_RING);
    if (array)
        must(ndpool_retain(p, i->array, 0, &a));
    snprintf(to, size, "%s %d version %d persistent %d %s", i->path, a.data ? *(uint8_t *)a.data : -1, (int)i->version,
             !!(i->flags & NDPOOL_PERSISTENT), i->attributes ? i->attributes : "");
    if (array)
        must(ndpool_release(p, i->array));
}

#endif
