package ring

import "unsafe"

// heapBytes returns n bytes of zero, aligned as blocks of a segment are.
func heapBytes(n uint64) []byte {
	words := make([]uint64, (n+7)/8)
	return unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(words))), n)
}
