package ring

import (
	"fmt"
	"unsafe"
)

// overlay lays n values of T over mem, from byte off on. It is the only pointer arithmetic of this package. T holds no
// pointers (layout_test.go proves it for the layout's structs). Panics if they do not fit: Lay has checked the numbers.
func overlay[T any](mem []byte, off uint64, n int) []T {
	size := uint64(unsafe.Sizeof(*new(T)))
	if off%8 != 0 || off+uint64(n)*size > uint64(len(mem)) || uintptr(unsafe.Pointer(unsafe.SliceData(mem)))%8 != 0 {
		panic(fmt.Sprintf("ring: overlay of %d bytes at %d does not fit %d", uint64(n)*size, off, len(mem)))
	}
	return unsafe.Slice((*T)(unsafe.Add(unsafe.Pointer(unsafe.SliceData(mem)), off)), n)
}
