//go:build 386 || arm || mips || mipsle

package layout

// A segment is larger than the address space of a 32-bit system, and its words are of 64 bits.
var _ = ndpool_needs_a_64_bit_system
