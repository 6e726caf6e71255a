//go:build linux && !race

package lazy

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// newTable maps anonymous memory, which the kernel fills with zeros page by page when it is touched.
func newTable[T any](n int) Table[T] {
	size := n * int(unsafe.Sizeof(*new(T)))
	mem, err := unix.Mmap(-1, 0, max(size, 1), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS|unix.MAP_NORESERVE)
	if err != nil {
		return Table[T]{entries: make([]T, n)}
	}
	return Table[T]{entries: unsafe.Slice((*T)(unsafe.Pointer(&mem[0])), n), mem: mem}
}

// Free gives the memory back. The table must not be used afterwards.
func (t *Table[T]) Free() {
	if t.mem != nil {
		_ = unix.Munmap(t.mem)
	}
	t.entries, t.mem = nil, nil
}
