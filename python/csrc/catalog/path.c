/* Paths: what a name can be, and the entry that one leads to. Twin of catalog/path.go. */
#include "catalog/catalog.h"

#include <stdio.h>
#include <string.h>

size_t path_cut(const char *path, const char **rest)
{
    size_t n = strcspn(path, "/");
    *rest = path[n] ? path + n + 1 : NULL;
    return n;
}

/* Bytes of the character of UTF-8 that s, which a NUL ends, begins with; 0 if it is none. Neither surrogates nor longer
 * forms than needed are characters. */
static size_t character(const uint8_t *s)
{
    static const struct {
        uint8_t first, last, low, high; /* of the first byte, and of the second one */
        size_t n;
    } forms[] = {{0xc2, 0xdf, 0x80, 0xbf, 2}, {0xe0, 0xe0, 0xa0, 0xbf, 3}, {0xe1, 0xec, 0x80, 0xbf, 3},
                 {0xed, 0xed, 0x80, 0x9f, 3}, {0xee, 0xef, 0x80, 0xbf, 3}, {0xf0, 0xf0, 0x90, 0xbf, 4},
                 {0xf1, 0xf3, 0x80, 0xbf, 4}, {0xf4, 0xf4, 0x80, 0x8f, 4}};
    if (*s < 0x80)
        return 1;
    for (size_t k = 0; k < sizeof forms / sizeof *forms; k++) {
        if (*s < forms[k].first || *s > forms[k].last)
            continue;
        if (s[1] < forms[k].low || s[1] > forms[k].high)
            return 0;
        for (size_t i = 2; i < forms[k].n; i++) {
            if ((s[i] & 0xc0) != 0x80)
                return 0;
        }
        return forms[k].n;
    }
    return 0;
}

static bool is_utf8(const char *s, size_t n)
{
    for (size_t at = 0; at < n;) {
        size_t len = character((const uint8_t *)s + at);
        if (len == 0)
            return false;
        at += len;
    }
    return true;
}

static bool component_check(const char *s, size_t n, char *text, size_t size)
{
    if (n == 0)
        snprintf(text, size, "an empty component");
    else if (s[0] == '.' && (n == 1 || (n == 2 && s[1] == '.')))
        snprintf(text, size, "component \"%.*s\"", (int)n, s);
    else if (n > NDPOOL_MAX_COMPONENT)
        snprintf(text, size, "component of %zu bytes (at most %d)", n, NDPOOL_MAX_COMPONENT);
    else if (!is_utf8(s, n))
        snprintf(text, size, "a component of %zu bytes is not UTF-8", n);
    else
        return true;
    return false;
}

bool text_check(const char *s, size_t n)
{
    char text[80];
    return !memchr(s, 0, n) && !memchr(s, '/', n) && component_check(s, n, text, sizeof text);
}

bool path_check(const char *path, char *text, size_t size)
{
    int depth = 0;
    for (const char *at = path, *rest; at; at = rest) {
        size_t n = path_cut(at, &rest);
        if (!component_check(at, n, text, size))
            return false;
        if (++depth > NDPOOL_MAX_NAME_DEPTH) {
            snprintf(text, size, "more than %d components", NDPOOL_MAX_NAME_DEPTH);
            return false;
        }
    }
    return true;
}

/* The end comes before the slash, and the slash before everything else. */
static int rank(char c) { return c == 0 ? -2 : c == '/' ? -1 : (uint8_t)c; }

int path_compare(const char *a, const char *b)
{
    for (; *a == *b && *a; a++, b++)
        ;
    return rank(*a) - rank(*b);
}

/* How many of a path's leading components two paths share, and how many the second one has. */
static uint32_t shared(const char *a, const char *b, uint32_t *all)
{
    uint32_t n = 0;
    *all = 0;
    for (bool equal = true; b; ++*all) {
        const char *a_rest = NULL, *b_rest;
        size_t an = a ? path_cut(a, &a_rest) : 0, bn = path_cut(b, &b_rest);
        equal = equal && an == bn && an > 0 && memcmp(a, b, an) == 0;
        n += equal;
        a = a_rest;
        b = b_rest;
    }
    return n;
}

uint32_t path_nodes(const char *last, const char *path)
{
    uint32_t all, same = shared(last, path, &all);
    return all - same;
}

int catalog_find(const catalog *c, const char *path, uint32_t *e)
{
    uint32_t node = 0;
    for (const char *at = path, *rest; at; at = rest) {
        size_t n = path_cut(at, &rest);
        bool found;
        int status = catalog_child(c, node, at, n, e, &found);
        if (status != NDPOOL_OK)
            return status;
        if (!found)
            return NDPOOL_ERR_NO_NAME;
        node = *e + 1;
    }
    return NDPOOL_OK;
}

int catalog_find_node(const catalog *c, const char *path, uint32_t *node)
{
    uint32_t e;
    *node = 0;
    if (*path == 0)
        return NDPOOL_OK;
    int status = catalog_find(c, path, &e);
    if (status == NDPOOL_OK)
        *node = e + 1;
    return status;
}
