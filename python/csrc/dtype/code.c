/* Element types in their 64-bit form: what a code may be. Twin of dtype/code.go, for codes without their records. */
#include "dtype/code.h"

/* Time units: generic, then Y to as. */
enum { UNITS = 14 };

#define MAX_SIZE ((UINT64_C(1) << 31) - 1)

static uint8_t kind_of(uint64_t code) { return (uint8_t)code; }
static bool is_time(uint8_t kind) { return (kind | 0x20) == 'm'; }

/* Tells whether elements of a kind and size, or multiple, have a byte order. */
static bool has_order(uint8_t kind, uint64_t size)
{
    switch (kind) {
    case 'f':
    case 'c':
    case 'M':
    case 'm':
    case 'U':
        return true;
    case 'i':
    case 'u':
        return size > 1;
    }
    return false;
}

/* The sizes that a kind of numbers has, as a set of bits; none for what is no such kind. */
static uint32_t sizes_of(uint8_t kind)
{
    switch (kind) {
    case 'b':
        return 1u << 1;
    case 'i':
    case 'u':
        return 1u << 1 | 1u << 2 | 1u << 4 | 1u << 8;
    case 'f':
        return 1u << 2 | 1u << 4 | 1u << 8;
    case 'c':
        return 1u << 8 | 1u << 16;
    }
    return 0;
}

bool dtype_valid(uint64_t code)
{
    uint8_t kind = kind_of(code), order = (uint8_t)(code >> 8);
    uint8_t unit = (uint8_t)(code >> 16), flags = (uint8_t)(code >> 24);
    uint64_t n = code >> 32;
    if (n > MAX_SIZE || flags > 1 || (flags == 1 && kind != 'V'))
        return false;
    if (has_order(kind, n) ? order != 1 && order != 2 : order != 0)
        return false;
    if (is_time(kind))
        return unit < UNITS && n >= 1 && (unit != 0 || n == 1);
    if (unit != 0)
        return false;
    if (kind == 'S' || kind == 'U' || kind == 'V')
        return kind != 'U' || n % 4 == 0;
    return n < 32 && sizes_of(kind) >> n & 1;
}
