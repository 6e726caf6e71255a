/* Whether bytes are the text of a JSON object in UTF-8. It needs no memory and stays within the text, also while somebody
 * else changes it. */
#ifndef NDPOOL_INTERNAL_JSON_H
#define NDPOOL_INTERNAL_JSON_H

#include <stdbool.h>
#include <stddef.h>

enum { JSON_MAX_DEPTH = 10000 };

bool json_is_object(const void *text, size_t n);

#endif
