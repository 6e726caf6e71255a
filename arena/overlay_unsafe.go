package arena

import (
	"fmt"
	"unsafe"

	"github.com/ndpool/ndpool/arena/layout"
)

// overlay lays n values of T over mem, from byte off on. It is the only pointer arithmetic of this package.
// T holds no pointers (layout_test.go proves it for the layout's structs). Panics if they do not fit: offsets come from
// the validated geometry.
func overlay[T any](mem []byte, off uint64, n int) []T {
	size := uint64(unsafe.Sizeof(*new(T)))
	if off%8 != 0 || off+uint64(n)*size > uint64(len(mem)) {
		panic(fmt.Sprintf("arena: overlay of %d bytes at %d does not fit %d", uint64(n)*size, off, len(mem)))
	}
	return unsafe.Slice((*T)(unsafe.Pointer(&mem[off])), n)
}

// heapBytes returns the bytes of words, for segments on the Go heap, which must be aligned like a mapping's.
func heapBytes(words []uint64) []byte {
	return unsafe.Slice((*byte)(unsafe.Pointer(&words[0])), len(words)*8)
}

// A superblock is a page, neither less nor more: superBytes relies on it.
var (
	_ [layout.SuperblockSize - unsafe.Sizeof(layout.Superblock{})]byte
	_ [unsafe.Sizeof(layout.Superblock{}) - layout.SuperblockSize]byte
)

// superBytes returns the bytes of a private superblock.
func superBytes(s *layout.Superblock) []byte {
	return unsafe.Slice((*byte)(unsafe.Pointer(s)), layout.SuperblockSize)
}
