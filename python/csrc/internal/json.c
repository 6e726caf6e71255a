/* The grammar of RFC 8259, without recursion: of the objects and lists around a value only the kind is kept, one bit. */
#include "internal/json.h"

#include <stdint.h>
#include <string.h>

/* What is left to read. Local. */
typedef struct reader {
    const uint8_t *at, *end;
} reader;

/* The next byte, -1 behind the end. */
static int peek(const reader *r) { return r->at < r->end ? *(const volatile uint8_t *)r->at : -1; }

static bool take(reader *r, int c)
{
    if (peek(r) != c)
        return false;
    r->at++;
    return true;
}

static int next(reader *r)
{
    int c = peek(r);
    r->at += c >= 0;
    return c;
}

static void spaces(reader *r)
{
    for (int c = peek(r); c == ' ' || c == '\t' || c == '\n' || c == '\r'; c = peek(r))
        r->at++;
}

static bool word(reader *r, const char *s)
{
    for (; *s; s++) {
        if (!take(r, *s))
            return false;
    }
    return true;
}

/* Reads the rest of a character of UTF-8 that begins with c. Neither surrogates nor longer forms than needed are any. */
static bool character(reader *r, int c)
{
    if (c < 0x80)
        return true;
    if (c < 0xc2 || c > 0xf4)
        return false;
    int low = c == 0xe0 ? 0xa0 : c == 0xf0 ? 0x90 : 0x80, high = c == 0xed ? 0x9f : c == 0xf4 ? 0x8f : 0xbf;
    int second = next(r);
    if (second < low || second > high)
        return false;
    for (int left = c < 0xe0 ? 0 : c < 0xf0 ? 1 : 2; left > 0; left--) {
        int more = next(r);
        if (more < 0x80 || more > 0xbf)
            return false;
    }
    return true;
}

static bool is_digit(int c) { return c >= '0' && c <= '9'; }

static bool escape(reader *r)
{
    int c = next(r);
    if (c != 'u')
        return c > 0 && strchr("\"\\/bfnrt", c) != NULL;
    for (int k = 0; k < 4; k++) {
        c = next(r);
        if (!is_digit(c) && !(c >= 'a' && c <= 'f') && !(c >= 'A' && c <= 'F'))
            return false;
    }
    return true;
}

static bool string(reader *r)
{
    if (!take(r, '"'))
        return false;
    for (int c = next(r); c != '"'; c = next(r)) {
        if (c < 0x20 || (c == '\\' ? !escape(r) : !character(r, c)))
            return false;
    }
    return true;
}

static bool digits(reader *r)
{
    if (!is_digit(next(r)))
        return false;
    while (is_digit(peek(r)))
        r->at++;
    return true;
}

static bool number(reader *r)
{
    (void)take(r, '-');
    if (!take(r, '0') && !digits(r))
        return false;
    if (take(r, '.') && !digits(r))
        return false;
    if (!take(r, 'e') && !take(r, 'E'))
        return true;
    if (!take(r, '+'))
        (void)take(r, '-');
    return digits(r);
}

/* A value that is neither an object nor a list. */
static bool scalar(reader *r)
{
    switch (peek(r)) {
    case '"': return string(r);
    case 't': return word(r, "true");
    case 'f': return word(r, "false");
    case 'n': return word(r, "null");
    }
    return number(r);
}

static bool key(reader *r)
{
    spaces(r);
    if (!string(r))
        return false;
    spaces(r);
    return take(r, ':');
}

/* The objects and lists around a place. Local. */
typedef struct nest {
    uint64_t object[JSON_MAX_DEPTH / 64 + 1]; /* by depth: it is an object */
    int depth;
} nest;

static bool in_object(const nest *t) { return t->object[t->depth / 64] >> (t->depth % 64) & 1; }

/* Opens an object or a list, and reads up to its first value, or to its end if there is none. */
static bool open_nest(reader *r, nest *t, bool *empty)
{
    bool object = next(r) == '{';
    if (++t->depth > JSON_MAX_DEPTH)
        return false;
    uint64_t bit = UINT64_C(1) << (t->depth % 64), *w = &t->object[t->depth / 64];
    *w = object ? *w | bit : *w & ~bit;
    spaces(r);
    *empty = peek(r) == (object ? '}' : ']');
    return *empty || !object || key(r);
}

/* Reads what ends after a value, up to the next value. False: there is none, at the end of the text or of its sense. */
static bool next_value(reader *r, nest *t)
{
    for (; t->depth > 0; t->depth--) {
        spaces(r);
        if (take(r, ','))
            return !in_object(t) || key(r);
        if (!take(r, in_object(t) ? '}' : ']'))
            return false;
    }
    return false;
}

bool json_is_object(const void *text, size_t n)
{
    reader r = {.at = text, .end = (const uint8_t *)text + n};
    nest t = {.depth = 0};
    spaces(&r);
    if (peek(&r) != '{')
        return false;
    do {
        spaces(&r);
        int c = peek(&r);
        bool empty = false;
        if (c == '{' || c == '[') {
            if (!open_nest(&r, &t, &empty))
                return false;
            if (!empty)
                continue;
        } else if (!scalar(&r)) {
            return false;
        }
        if (!next_value(&r, &t))
            break;
    } while (true);
    spaces(&r);
    return t.depth == 0 && r.at == r.end;
}
