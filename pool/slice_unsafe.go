package pool

import (
	"unsafe"

	"github.com/ndpool/ndpool/dtype"
)

// This file alone turns bytes of the segment into typed memory.

// Slice returns the array's elements as a []T, without a copy, in memory order. It is checked: the dtype must match T
// (dtype.Matches), be of native byte order and aligned, and the elements must lie without gaps. The slice must not be
// used after Release; a store to a read-only array's slice faults.
func Slice[T any](a *Array) ([]T, error) {
	a.mustHold()
	if err := dtype.Matches[T](a.dt); err != nil {
		return nil, &MismatchError{What: "dtype", Got: a.dt, Want: err}
	}
	b, err := a.Bytes()
	if err != nil {
		return nil, err
	}
	var zero T
	n := a.Len()
	if n == 0 || unsafe.Sizeof(zero) == 0 {
		return []T{}, nil
	}
	at := unsafe.Pointer(unsafe.SliceData(b))
	if uintptr(at)%unsafe.Alignof(zero) != 0 {
		return nil, &MismatchError{What: "address modulo alignment", Got: uintptr(at) % unsafe.Alignof(zero), Want: 0}
	}
	return unsafe.Slice((*T)(at), n), nil
}

// Element returns a pointer to one element, without a copy; it works on views with gaps too. It panics if an index is out
// of range, and fails as Slice does.
func Element[T any](a *Array, index ...int) (*T, error) {
	a.mustHold()
	if err := dtype.Matches[T](a.dt); err != nil {
		return nil, &MismatchError{What: "dtype", Got: a.dt, Want: err}
	}
	off := a.Index(index...)
	var zero T
	at := unsafe.Pointer(unsafe.SliceData(a.mem[off : off+int(unsafe.Sizeof(zero))]))
	if uintptr(at)%unsafe.Alignof(zero) != 0 {
		return nil, &MismatchError{What: "address modulo alignment", Got: uintptr(at) % unsafe.Alignof(zero), Want: 0}
	}
	return (*T)(at), nil
}
