/*
 * Messages and views in binary: what processes send each other when the segment must be told. Twin of package handle;
 * the forms of message.c and view_binary.c are in docs/FORMAT.md. It knows no pool and no memory but the caller's.
 *
 * All functions that can fail return NDPOOL_OK or NDPOOL_ERR_MESSAGE, and have called fail.
 */
#ifndef NDPOOL_HANDLE_HANDLE_H
#define NDPOOL_HANDLE_HANDLE_H

#include <endian.h>
#include <string.h>

#include "internal/errors.h"

enum {
    VIEW_VERSION = 1,
    VIEW_HEAD = 24,          /* bytes before the shape */
    VIEW_DIM = 16,           /* bytes of a length and its stride */
    VIEW_MAX_RECORD = 65536, /* bytes */
    VIEW_MAX = VIEW_HEAD + NDPOOL_MAX_NDIM * VIEW_DIM + VIEW_MAX_RECORD,
};

/* Numbers in bytes are little-endian and lie anywhere. */
static inline uint32_t bytes_get32(const uint8_t *b)
{
    uint32_t n;
    memcpy(&n, b, sizeof n);
    return le32toh(n);
}
static inline uint64_t bytes_get64(const uint8_t *b)
{
    uint64_t n;
    memcpy(&n, b, sizeof n);
    return le64toh(n);
}
static inline void bytes_put32(uint8_t *b, uint32_t n)
{
    n = htole32(n);
    memcpy(b, &n, sizeof n);
}
static inline void bytes_put64(uint8_t *b, uint64_t n)
{
    n = htole64(n);
    memcpy(b, &n, sizeof n);
}

/* ---- view.c */
/* Tells whether the view can be encoded: the element type is valid, there are at most NDPOOL_MAX_NDIM dimensions, no
 * length is negative, and neither the size nor the place of any byte overflows 63 bits. */
int view_validate(const ndpool_view *v);
/* The bytes that the view touches, from *lo to just before *hi, counted from the block's first byte. *lo may be
 * negative, which no array allows. An empty view touches none: both are its offset. */
int view_bounds(const ndpool_view *v, int64_t *lo, int64_t *hi);

/* ---- view_binary.c */
/* Bytes of the view record. */
static inline size_t view_binary_size(const ndpool_view *v)
{
    return VIEW_HEAD + (size_t)v->ndim * VIEW_DIM + v->record_bytes;
}
/* Writes the view record. Precondition: view_validate agreed, and there is room for view_binary_size. */
void view_marshal(const ndpool_view *v, uint8_t *to);
/* Reads one view record and nothing else. v->record leads into from. */
int view_unmarshal(const uint8_t *from, size_t n, ndpool_view *v);

#endif
