/* A fuzz target (libFuzzer): bytes that pretend to be a message. What is read must be written back as the same bytes. */
#include <stdlib.h>
#include <string.h>

#include "ndpool.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static ndpool_view view;
    static uint8_t back[NDPOOL_MAX_MESSAGE];
    ndpool_message m;
    size_t n;
    if (ndpool_message_unpack(data, size, &m, &view))
        return 0;
    if (ndpool_message_pack(&m, back, sizeof back, &n) || n != size || memcmp(back, data, n) != 0)
        abort();
    return 0;
}
