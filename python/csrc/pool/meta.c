/* What an array is, beside its bytes: checked, stored, read back. Twin of pool/meta.go. */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

#include "dtype/code.h"
#include "internal/errors.h"
#include "pool/pool.h"

/* What lies before the users' bytes if the descriptor has no room: dimensions and bytes of the record (32 bits each),
 * shape, strides (64 bits each), record. */
typedef struct head {
    uint32_t ndim, record_bytes;
    int64_t words[2 * NDPOOL_MAX_DIMS];
} head;

static uint64_t head_size(int ndim) { return 8 + 16 * (uint64_t)ndim; }

/* The dimension whose elements lie n-th closest together. */
static inline int axis(int n, int ndim, bool fortran) { return fortran ? n : ndim - 1 - n; }

/* The stride of the next dimension. It may overflow where another length is 0: what is stored is the low 64 bits. */
static inline uint64_t next_stride(uint64_t stride, int64_t len) { return len > 1 ? stride * (uint64_t)len : stride; }

static void shape_text(int ndim, const int64_t *shape, char *text, size_t size)
{
    size_t at = 0;
    *text = 0;
    for (int k = 0; k < ndim && at < size; k++)
        at += (size_t)snprintf(text + at, size - at, "%s%" PRId64, k ? " " : "", shape[k]);
}

static int RARELY spec_error(uint64_t dtype, uint32_t record_bytes, int ndim, const int64_t *shape)
{
    char text[256] = "";
    if (ndim <= NDPOOL_MAX_DIMS)
        shape_text(ndim, shape, text, sizeof text);
    return fail(NDPOOL_ERR_SPEC,
                "allocate array: dtype %#018" PRIx64 " with a record of %u bytes, %d dimensions [%s] (dimensions are "
                "not negative, at most %d, all bytes at most %" PRId64 ", a record is a structured type's and at most "
                "%d bytes)",
                dtype, record_bytes, ndim, text, NDPOOL_MAX_DIMS, INT64_MAX, NDPOOL_MAX_RECORD);
}

/* Bytes before the users' ones. The users' bytes stay aligned: to a granule, and to a page where the block is large. */
static uint64_t RARELY header_size(const meta *m)
{
    uint64_t n = head_size(m->ndim) + m->record_bytes;
    uint64_t unit = n + m->bytes > NDPOOL_MAX_CLASS_SIZE ? NDPOOL_PAGE_SIZE : NDPOOL_GRANULE;
    return (n + unit - 1) / unit * unit;
}

/* Checks a dtype and a shape and tells what an array of them is. The record's text is opaque here. */
int meta_make(uint64_t dtype, const void *text, uint32_t record_bytes, int ndim, const int64_t *shape, bool fortran,
              meta *m)
{
    bool structured = dtype_structured(dtype);
    if (!dtype_valid(dtype) || ndim > NDPOOL_MAX_DIMS || record_bytes > NDPOOL_MAX_RECORD ||
        (record_bytes > 0) != structured)
        return spec_error(dtype, record_bytes, ndim, shape);
    uint64_t n = dtype_size(dtype);
    for (int k = 0; k < ndim; k++) {
        if (shape[k] < 0 || __builtin_mul_overflow(n, (uint64_t)shape[k], &n) || n > INT64_MAX)
            return spec_error(dtype, record_bytes, ndim, shape);
    }
    m->dtype = dtype;
    m->record = text;
    m->record_bytes = record_bytes;
    m->ndim = ndim;
    m->bytes = n;
    m->flags = fortran ? NDPOOL_DESC_FORTRAN : 0;
    m->header = ndim <= NDPOOL_INLINE_DIMS && !structured ? 0 : header_size(m);
    return NDPOOL_OK;
}

/* Stores what does not fit the descriptor before the users' bytes. */
static void RARELY write_header(ndpool *p, uint32_t i, const meta *m, const int64_t *shape)
{
    extent e;
    if (!pool_extent(p, i, &e) || m->header > extent_size(e))
        return; /* a scribble; reading the array will say so */
    head h = {.ndim = (uint32_t)m->ndim, .record_bytes = m->record_bytes};
    uint64_t stride = dtype_size(m->dtype);
    for (int n = 0; n < m->ndim; n++) {
        int k = axis(n, m->ndim, m->flags & NDPOOL_DESC_FORTRAN);
        h.words[k] = shape[k];
        h.words[m->ndim + k] = (int64_t)stride;
        stride = next_stride(stride, shape[k]);
    }
    uint8_t *to = arena_data(p->arena, extent_offset(e));
    shm_copy(to, &h, head_size(m->ndim));
    if (m->record_bytes)
        shm_copy(to + head_size(m->ndim), m->record, m->record_bytes);
}

/* Stores the metadata of a BUSY block of this process. Publishing the state comes later, so a death in between leaves
 * metadata that nobody reads. */
void pool_write(ndpool *p, uint32_t i, const meta *m, const int64_t *shape)
{
    ndpool_desc *d = pool_desc(p, i);
    shm_publish32(&d->header, (uint32_t)m->header);
    shm_publish64(&d->dtype, m->dtype);
    shm_publish64(&d->bytes, m->bytes);
    shm_publish32(&d->ndim, (uint32_t)m->ndim);
    shm_publish32(&d->flags, m->flags);
    if (m->header) {
        write_header(p, i, m, shape);
        return;
    }
    uint64_t stride = dtype_size(m->dtype);
    for (int n = 0; n < m->ndim; n++) {
        int k = axis(n, m->ndim, m->flags & NDPOOL_DESC_FORTRAN);
        shm_publish64(&d->dims[k].len, (uint64_t)shape[k]);
        shm_publish64(&d->dims[k].stride, stride);
        stride = next_stride(stride, shape[k]);
    }
}

int pool_corrupt(uint32_t i, const char *what, const char *format, ...)
{
    char text[512];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    return fail(NDPOOL_ERR_CORRUPT, "descriptor %u: %s: %s: segment is corrupt, run ndpool verify", i, what, text);
}

/* Copies bytes that others may be writing. The compiler must not read them again instead of the copy. */
static void copy_in(void *to, const void *from, size_t n)
{
    memcpy(to, from, n);
    __asm__ volatile("" ::: "memory");
}

/* Tells whether shape and strides are those of an array without gaps that fills the users' bytes. */
static int check_shape(uint32_t i, const meta *m, const int64_t *shape, const int64_t *strides)
{
    meta want;
    bool fortran = m->flags & NDPOOL_DESC_FORTRAN;
    int status = meta_make(m->dtype, NULL, m->record_bytes, m->ndim, shape, fortran, &want);
    if (status != NDPOOL_OK || want.bytes != m->bytes || want.header != m->header) {
        char text[256];
        shape_text(m->ndim, shape, text, sizeof text);
        return pool_corrupt(i, "shape",
                            "got %#018" PRIx64 " [%s] in %" PRIu64 " bytes, header %" PRIu64
                            ", expected an array of so many bytes",
                            m->dtype, text, m->bytes, m->header);
    }
    uint64_t stride = dtype_size(m->dtype);
    for (int n = 0; n < m->ndim; n++) {
        int k = axis(n, m->ndim, fortran);
        if ((uint64_t)strides[k] != stride)
            return pool_corrupt(i, "stride", "got %" PRId64 " in dimension %d, expected %" PRIu64, strides[k], k,
                                stride);
        stride = next_stride(stride, shape[k]);
    }
    return NDPOOL_OK;
}

static int bad_dtype(uint32_t i, const meta *m)
{
    return pool_corrupt(i, "dtype", "got %#018" PRIx64 " with a record of %u bytes, expected the code of a type",
                        m->dtype, m->record_bytes);
}

/* Reads what lies before the users' bytes, from a private copy. */
static int read_header(ndpool *p, uint32_t i, extent e, meta *m, int64_t *shape)
{
    head h;
    uint64_t at = head_size(m->ndim);
    if (at > m->header)
        return pool_corrupt(i, "header", "got %" PRIu64 " bytes, expected at least %" PRIu64, m->header, at);
    copy_in(&h, arena_data(p->arena, extent_offset(e)), at);
    if (h.ndim != (uint32_t)m->ndim)
        return pool_corrupt(i, "dimensions in the header", "got %u, expected %d", h.ndim, m->ndim);
    if (h.record_bytes > m->header - at || h.record_bytes > NDPOOL_MAX_RECORD)
        return pool_corrupt(i, "bytes of the record", "got %u, expected at most %" PRIu64, h.record_bytes,
                            m->header - at);
    m->record_bytes = h.record_bytes;
    if (!dtype_valid(m->dtype) || dtype_structured(m->dtype) != (m->record_bytes > 0))
        return bad_dtype(i, m);
    memcpy(shape, h.words, 8 * (size_t)m->ndim);
    return check_shape(i, m, shape, h.words + m->ndim);
}

static int read_inline(ndpool *p, uint32_t i, meta *m, int64_t *shape)
{
    const ndpool_desc *d = pool_desc(p, i);
    int64_t strides[NDPOOL_INLINE_DIMS];
    if (!dtype_valid(m->dtype) || dtype_structured(m->dtype))
        return bad_dtype(i, m);
    for (int k = 0; k < m->ndim; k++) {
        shape[k] = (int64_t)shm_load64(&d->dims[k].len);
        strides[k] = (int64_t)shm_load64(&d->dims[k].stride);
    }
    return check_shape(i, m, shape, strides);
}

int pool_read(ndpool *p, uint32_t i, meta *m, int64_t shape[NDPOOL_MAX_NDIM])
{
    const ndpool_desc *d = pool_desc(p, i);
    extent e;
    if (!pool_extent(p, i, &e))
        return pool_corrupt(i, "extent", "got %#" PRIx64 ", expected one within the data region", e);
    uint64_t dtype = shm_load64(&d->dtype);
    uint32_t ndim = shm_load32(&d->ndim), flags = shm_load32(&d->flags);
    uint64_t header = shm_load32(&d->header), n = shm_load64(&d->bytes), size = extent_size(e);
    if (flags & ~(uint32_t)NDPOOL_DESC_FLAGS_KNOWN)
        return pool_corrupt(i, "flags", "got %#x, expected %#x", flags, NDPOOL_DESC_FLAGS_KNOWN);
    if (ndim > NDPOOL_MAX_DIMS)
        return pool_corrupt(i, "dimensions", "got %u, expected at most %d", ndim, NDPOOL_MAX_DIMS);
    if (header % NDPOOL_GRANULE || header > size || n > size - header)
        return pool_corrupt(i, "header and bytes", "got %" PRIu64 "+%" PRIu64 ", expected within %" PRIu64, header, n,
                            size);
    if (header == 0 && ndim > NDPOOL_INLINE_DIMS)
        return pool_corrupt(i, "dimensions without a header", "got %u, expected at most %d", ndim, NDPOOL_INLINE_DIMS);
    *m = (meta){.dtype = dtype, .ndim = (int)ndim, .bytes = n, .header = header, .flags = flags};
    return header ? read_header(p, i, e, m, shape) : read_inline(p, i, m, shape);
}

int pool_read_record(ndpool *p, uint32_t i, const meta *m, void *text)
{
    extent e;
    if (!pool_extent(p, i, &e) || head_size(m->ndim) + m->record_bytes > extent_size(e))
        return pool_corrupt(i, "extent", "got %#" PRIx64 ", expected one with room for a record of %u bytes", e,
                            m->record_bytes);
    copy_in(text, arena_data(p->arena, extent_offset(e)) + head_size(m->ndim), m->record_bytes);
    return NDPOOL_OK;
}
