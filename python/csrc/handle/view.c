#include "handle/handle.h"

#include <inttypes.h>

#include "dtype/code.h"

/* Checks a code, and that a record lies beside it if it says so. The record is opaque text here: whoever reads fields
 * reads it with care. */
static int check_dtype(const ndpool_view *v)
{
    if (!dtype_valid(v->dtype))
        return fail(NDPOOL_ERR_MESSAGE, "check element type of view: code %#" PRIx64 " is none", v->dtype);
    bool structured = dtype_structured(v->dtype);
    uint32_t least = structured ? 1 : 0, most = structured ? VIEW_MAX_RECORD : 0;
    if (v->record_bytes < least || v->record_bytes > most)
        return fail(NDPOOL_ERR_MESSAGE, "check record of view: got %u bytes (%u to %u)", v->record_bytes, least, most);
    if (structured && v->record == NULL)
        return fail(NDPOOL_ERR_MESSAGE, "check record of view: got none (%u bytes)", v->record_bytes);
    return NDPOOL_OK;
}

/* Checks the size of all elements together. Lengths of 0 count as 1, so that no product of some of them overflows. */
static int check_bytes(const ndpool_view *v)
{
    int64_t n = (int64_t)dtype_size(v->dtype);
    if (n == 0)
        n = 1;
    for (uint32_t k = 0; k < v->ndim; k++) {
        int64_t d = v->shape[k], before = n;
        if (d < 0)
            return fail(NDPOOL_ERR_MESSAGE, "check length %u of view: got %" PRId64 " (at least 0)", k, d);
        if (__builtin_mul_overflow(n, d ? d : 1, &n))
            return fail(NDPOOL_ERR_MESSAGE, "check size of view: got %" PRId64 " times %" PRId64 " bytes "
                        "(at most %" PRId64 ")", d, before, INT64_MAX);
    }
    return NDPOOL_OK;
}

/* Moves one end by n strides, the lower end if they are negative. False if that is further than 63 bits tell. */
static bool stretch(int64_t *lo, int64_t *hi, int64_t n, int64_t stride)
{
    int64_t far, *end = stride < 0 ? lo : hi;
    return !__builtin_mul_overflow(n, stride, &far) && far != INT64_MIN && !__builtin_add_overflow(*end, far, end);
}

static bool is_empty(const ndpool_view *v)
{
    for (uint32_t k = 0; k < v->ndim; k++) {
        if (v->shape[k] == 0)
            return true;
    }
    return dtype_size(v->dtype) == 0;
}

/* Finds the bounds. Preconditions: the element type is valid, and no length is negative. */
static int span(const ndpool_view *v, int64_t *lo, int64_t *hi)
{
    if (v->offset > INT64_MAX)
        return fail(NDPOOL_ERR_MESSAGE, "check offset of view: got %" PRIu64 " (a place within 63 bits)", v->offset);
    *lo = *hi = (int64_t)v->offset;
    if (is_empty(v))
        return NDPOOL_OK;
    for (uint32_t k = 0; k < v->ndim; k++) {
        if (!stretch(lo, hi, v->shape[k] - 1, v->strides[k]))
            return fail(NDPOOL_ERR_MESSAGE, "check reach of view: got %" PRId64 " strides of %" PRId64 " bytes "
                        "(a place within 63 bits)", v->shape[k] - 1, v->strides[k]);
    }
    int64_t size = (int64_t)dtype_size(v->dtype);
    if (*hi > INT64_MAX - size)
        return fail(NDPOOL_ERR_MESSAGE, "check end of view: got %" PRId64 "+%" PRId64 " (63 bits)", *hi, size);
    *hi += size;
    return NDPOOL_OK;
}

int view_validate(const ndpool_view *v)
{
    int64_t lo, hi;
    return view_bounds(v, &lo, &hi);
}

int view_bounds(const ndpool_view *v, int64_t *lo, int64_t *hi)
{
    int status = check_dtype(v);
    if (status == NDPOOL_OK && v->ndim > NDPOOL_MAX_NDIM)
        status = fail(NDPOOL_ERR_MESSAGE, "check dimensions of view: got %u (at most %d)", v->ndim, NDPOOL_MAX_NDIM);
    if (status == NDPOOL_OK)
        status = check_bytes(v);
    return status == NDPOOL_OK ? span(v, lo, hi) : status;
}
