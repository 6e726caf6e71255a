package pool

import (
	"fmt"
	"iter"
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

// Rows iterates over parts of the array as slices of T without a copy, in C order: each part spans the last dims
// dimensions, which must lie without gaps in C order. Between parts there may be gaps, so it works on views: the rows of a tile of a
// picture with channels are Rows(tile, 2). It fails as Slice does.
func Rows[T any](a *Array, dims int) (iter.Seq[[]T], error) {
	a.mustHold()
	if err := dtype.Matches[T](a.dt); err != nil {
		return nil, &MismatchError{What: "dtype", Got: a.dt, Want: err}
	}
	if dims < 0 || dims > a.NDim() {
		return nil, &MismatchError{What: "dimensions of a row", Got: dims, Want: fmt.Sprintf("0 to %d", a.NDim())}
	}
	shape, st := a.Shape(), a.Strides()
	n, outer := 1, len(shape)-dims
	for k := len(shape) - 1; k >= outer; k-- {
		if shape[k] > 1 && st[k] != n*a.dt.Size() {
			return nil, &MismatchError{What: fmt.Sprint("stride of dimension ", k), Got: st[k], Want: n * a.dt.Size()}
		}
		n *= shape[k]
	}
	shape, st = shape[:outer], st[:outer]
	if a.Len() == 0 || a.dt.Size() == 0 {
		return func(func([]T) bool) {}, nil
	}
	var zero T
	first := int(uintptr(unsafe.Pointer(unsafe.SliceData(a.mem)))) + a.offset()
	for _, s := range append(st, first) {
		if s%int(unsafe.Alignof(zero)) != 0 {
			return nil, &MismatchError{What: "address or stride modulo alignment", Got: s % int(unsafe.Alignof(zero)), Want: 0}
		}
	}
	return func(yield func([]T) bool) {
		eachIndex(shape, st, a.offset(), func(off int) bool {
			row := a.mem[off : off+n*a.dt.Size()]
			return yield(unsafe.Slice((*T)(unsafe.Pointer(unsafe.SliceData(row))), n))
		})
	}, nil
}

// eachIndex tells the offset of every index of a shape, in C order, until it is told to stop.
func eachIndex(shape, strides []int, off int, tell func(off int) bool) bool {
	if len(shape) == 0 {
		return tell(off)
	}
	for i := range shape[0] {
		if !eachIndex(shape[1:], strides[1:], off+i*strides[0], tell) {
			return false
		}
	}
	return true
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

// over lays n values of T over bytes of the segment that are aligned to 8. Preconditions: T has words of internal/shm and nothing
// else, and the bytes are enough. Panics otherwise.
func over[T any](b []byte, n int) []T {
	if size := unsafe.Sizeof(*new(T)); uintptr(n)*size > uintptr(len(b)) || uintptr(unsafe.Pointer(unsafe.SliceData(b)))%8 != 0 {
		panic(fmt.Sprintf("pool: %d values of %d bytes do not fit %d", n, size, len(b)))
	}
	return unsafe.Slice((*T)(unsafe.Pointer(unsafe.SliceData(b))), n)
}
