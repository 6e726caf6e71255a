#include "handle/handle.h"

#include <inttypes.h>

/*
 *	offset  bytes  what
 *	0       2      "nd"
 *	2       1      version, 1
 *	3       1      kind: 1 an array, 2 a view of an array
 *	4       4      n, the bytes that follow the first 8: 32 for kind 1, 32 and the view record for kind 2
 *	8       16     segment
 *	24      8      handle: bits 0-31 granule, bits 32-63 generation, not 0
 *	32      8      ticket: bits 0-31 index, bits 32-63 nonce, not 0; all 0 for a bare handle
 *	40      n-32   view record; only for kind 2
 */
enum {
    FRAME_VERSION = 1,
    FRAME_HEAD = 8, /* bytes before the length starts to count */
    SEGMENT_AT = FRAME_HEAD,
    HANDLE_AT = SEGMENT_AT + 16,
    TICKET_AT = HANDLE_AT + 8,
    VIEW_AT = TICKET_AT + 8,
    PAYLOAD_MIN = VIEW_AT - FRAME_HEAD,
    PAYLOAD_MAX = PAYLOAD_MIN + VIEW_MAX,
    KIND_ARRAY = 1,
    KIND_VIEW = 2,
};

_Static_assert(VIEW_AT == NDPOOL_SHORT_MESSAGE, "size of a message without a view");
_Static_assert(FRAME_HEAD + PAYLOAD_MAX == NDPOOL_MAX_MESSAGE, "size of the longest message");

static int validate_words(const ndpool_message *m)
{
    if (m->handle >> 32 == 0)
        return fail(NDPOOL_ERR_MESSAGE, "check handle: got %016" PRIx64 " (a generation other than 0)", m->handle);
    if (m->ticket != 0 && m->ticket >> 32 == 0)
        return fail(NDPOOL_ERR_MESSAGE, "check ticket: got %016" PRIx64 " (a nonce other than 0)", m->ticket);
    return NDPOOL_OK;
}

int ndpool_message_pack(const ndpool_message *m, void *to, size_t size, size_t *n)
{
    int status = validate_words(m);
    if (status == NDPOOL_OK && m->view)
        status = view_validate(m->view);
    if (status != NDPOOL_OK)
        return status;
    size_t all = VIEW_AT + (m->view ? view_binary_size(m->view) : 0);
    if (size < all)
        return fail(NDPOOL_ERR_MESSAGE, "pack message: room for %zu bytes (at least %zu)", size, all);
    uint8_t *b = to;
    memcpy(b, "nd", 2);
    b[2] = FRAME_VERSION;
    b[3] = m->view ? KIND_VIEW : KIND_ARRAY;
    bytes_put32(b + 4, (uint32_t)(all - FRAME_HEAD));
    memcpy(b + SEGMENT_AT, m->segment, sizeof m->segment);
    bytes_put64(b + HANDLE_AT, m->handle);
    bytes_put64(b + TICKET_AT, m->ticket);
    if (m->view)
        view_marshal(m->view, b + VIEW_AT);
    *n = all;
    return NDPOOL_OK;
}

/* Checks the head of a frame and that n is the length of the whole. */
static int check_frame(const uint8_t *b, size_t n)
{
    if (n < FRAME_HEAD)
        return fail(NDPOOL_ERR_MESSAGE, "check bytes of message: got %zu (at least %d)", n, NDPOOL_SHORT_MESSAGE);
    if (memcmp(b, "nd", 2) != 0)
        return fail(NDPOOL_ERR_MESSAGE, "check magic of message: got %#x %#x (\"nd\")", b[0], b[1]);
    if (b[2] != FRAME_VERSION)
        return fail(NDPOOL_ERR_MESSAGE, "check version of message: got %d (%d)", b[2], FRAME_VERSION);
    if (b[3] != KIND_ARRAY && b[3] != KIND_VIEW)
        return fail(NDPOOL_ERR_MESSAGE, "check kind of message: got %d (1 or 2)", b[3]);
    uint32_t payload = bytes_get32(b + 4);
    uint32_t least = b[3] == KIND_VIEW ? PAYLOAD_MIN + VIEW_HEAD : PAYLOAD_MIN;
    uint32_t most = b[3] == KIND_VIEW ? PAYLOAD_MAX : PAYLOAD_MIN;
    if (payload < least || payload > most)
        return fail(NDPOOL_ERR_MESSAGE, "check length of message: got %u (%u to %u)", payload, least, most);
    if (n != FRAME_HEAD + (size_t)payload)
        return fail(NDPOOL_ERR_MESSAGE, "check bytes of message: got %zu (%zu)", n, FRAME_HEAD + (size_t)payload);
    return NDPOOL_OK;
}

int ndpool_message_unpack(const void *from, size_t n, ndpool_message *m, ndpool_view *view)
{
    const uint8_t *b = from;
    int status = check_frame(b, n);
    if (status != NDPOOL_OK)
        return status;
    ndpool_message msg = {.handle = bytes_get64(b + HANDLE_AT), .ticket = bytes_get64(b + TICKET_AT)};
    memcpy(msg.segment, b + SEGMENT_AT, sizeof msg.segment);
    status = validate_words(&msg);
    if (status != NDPOOL_OK)
        return status;
    if (b[3] == KIND_VIEW) {
        ndpool_view v;
        status = view_unmarshal(b + VIEW_AT, n - VIEW_AT, &v);
        if (status != NDPOOL_OK)
            return status;
        *view = v;
        msg.view = view;
    }
    *m = msg;
    return NDPOOL_OK;
}
