/* Element types as numpy knows them, in their 64-bit form. Twin of dtype/code.go. */
#ifndef NDPOOL_DTYPE_CODE_H
#define NDPOOL_DTYPE_CODE_H

#include <stdbool.h>
#include <stdint.h>

/* Tells whether the code says that a record lies beside it. */
static inline bool dtype_structured(uint64_t code) { return code >> 24 & 1; }

/* Tells whether the code is that of a type, structured or not, as far as can be told without its record. */
bool dtype_valid(uint64_t code);

/* Bytes of an element: 8 for a time, whose code has a multiple in that place. Precondition: dtype_valid. */
static inline uint64_t dtype_size(uint64_t code) { return (code | 0x20) % 256 == 'm' ? 8 : code >> 32; }

#endif
