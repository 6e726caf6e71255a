#include "handle/handle.h"

#include <inttypes.h>

/*
 *	offset   bytes  what
 *	0        1      version, 1
 *	1        1      n, the number of dimensions, 0 to 64
 *	2        2      0
 *	4        4      r, the bytes of the dtype's record; 0 unless the dtype is structured
 *	8        8      offset of the first element in bytes, at most 2^63-1
 *	16       8      code of the dtype
 *	24       8*n    lengths, in elements
 *	24+8*n   8*n    strides, in bytes, signed
 *	24+16*n  r      record of the dtype
 */
void view_marshal(const ndpool_view *v, uint8_t *to)
{
    to[0] = VIEW_VERSION;
    to[1] = (uint8_t)v->ndim;
    to[2] = to[3] = 0;
    bytes_put32(to + 4, v->record_bytes);
    bytes_put64(to + 8, v->offset);
    bytes_put64(to + 16, v->dtype);
    to += VIEW_HEAD;
    for (uint32_t k = 0; k < v->ndim; k++, to += 8)
        bytes_put64(to, (uint64_t)v->shape[k]);
    for (uint32_t k = 0; k < v->ndim; k++, to += 8)
        bytes_put64(to, (uint64_t)v->strides[k]);
    if (v->record_bytes)
        memcpy(to, v->record, v->record_bytes);
}

/* Checks the head of a view record against its length. */
static int view_parts(const uint8_t *b, size_t n, uint32_t *dims, uint32_t *record)
{
    if (n < VIEW_HEAD || n > VIEW_MAX)
        return fail(NDPOOL_ERR_MESSAGE, "check bytes of view: got %zu (%d to %d)", n, VIEW_HEAD, VIEW_MAX);
    if (b[0] != VIEW_VERSION)
        return fail(NDPOOL_ERR_MESSAGE, "check version of view: got %d (%d)", b[0], VIEW_VERSION);
    *dims = b[1];
    if (*dims > NDPOOL_MAX_NDIM)
        return fail(NDPOOL_ERR_MESSAGE, "check dimensions of view: got %u (at most %d)", *dims, NDPOOL_MAX_NDIM);
    if (b[2] | b[3])
        return fail(NDPOOL_ERR_MESSAGE, "check reserved bytes of view: got %d (0)", b[2] | b[3] << 8);
    *record = bytes_get32(b + 4);
    uint64_t want = VIEW_HEAD + (uint64_t)*dims * VIEW_DIM + *record;
    if (n != want)
        return fail(NDPOOL_ERR_MESSAGE, "check bytes of view: got %zu (%" PRIu64 ")", n, want);
    return NDPOOL_OK;
}

int view_unmarshal(const uint8_t *from, size_t n, ndpool_view *v)
{
    uint32_t dims = 0, record = 0;
    int status = view_parts(from, n, &dims, &record);
    if (status != NDPOOL_OK)
        return status;
    v->offset = bytes_get64(from + 8);
    v->dtype = bytes_get64(from + 16);
    v->ndim = dims;
    v->record_bytes = record;
    const uint8_t *at = from + VIEW_HEAD;
    for (uint32_t k = 0; k < dims; k++, at += 8)
        v->shape[k] = (int64_t)bytes_get64(at);
    for (uint32_t k = 0; k < dims; k++, at += 8)
        v->strides[k] = (int64_t)bytes_get64(at);
    v->record = record ? at : NULL;
    return view_validate(v);
}
