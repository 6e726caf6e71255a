package handle

import (
	"fmt"
	"math"
	"math/bits"
	"slices"
	"strconv"

	"github.com/ndpool/ndpool/dtype"
)

// MaxDims is the largest number of dimensions of a view.
const MaxDims = 64

// View tells which part of an array is meant and how it is to be seen. The element with the indexes i has its first byte
// at Offset + the sum of i[k]*Strides[k], counted from the array's first byte. Strides are in bytes; they may be negative,
// and 0 to repeat an element. There are as many strides as lengths; none for a single element.
//
// A view says nothing about the size of its array: see Within.
type View struct {
	Offset  uint64 // bytes
	DType   dtype.Type
	Shape   []int // elements
	Strides []int // bytes
}

// NDim returns the number of dimensions.
func (v View) NDim() int { return len(v.Shape) }

// String returns the element type, the lengths, the strides and the offset, for people to read.
func (v View) String() string {
	return fmt.Sprintf("%v%v strides %v at %d", v.DType, v.Shape, v.Strides, v.Offset)
}

// Equal tells whether both views are the same, strides that lead nowhere included.
func (v View) Equal(w View) bool {
	return v.Offset == w.Offset && v.DType.Equal(w.DType) && slices.Equal(v.Shape, w.Shape) && slices.Equal(v.Strides, w.Strides)
}

// Validate returns nil if the view can be encoded: the element type is valid, there are at most MaxDims dimensions, no length
// is negative, and neither the size nor the place of any byte overflows 63 bits. Errors wrap ErrInvalid or ErrBounds.
func (v View) Validate() error {
	if !v.DType.IsValid() {
		return invalid("element type of view", "the zero Type", "a valid type")
	}
	if err := checkDims(len(v.Shape)); err != nil {
		return err
	}
	if len(v.Strides) != len(v.Shape) {
		return invalidLen("number of strides", len(v.Strides), len(v.Shape))
	}
	if _, err := v.bytes(); err != nil {
		return err
	}
	_, _, err := v.span()
	return err
}

// Bounds returns the bytes that the view touches, from lo to just before hi, counted from the array's first byte. lo may be
// negative, which no array allows. An empty view touches none: lo and hi are its offset. Errors are those of Validate.
func (v View) Bounds() (lo, hi int64, err error) {
	if err := v.Validate(); err != nil {
		return 0, 0, err
	}
	return v.span()
}

// Within returns nil if the view touches no byte outside of an array of size bytes, and does not start beyond its end.
// Errors are those of Validate, and ErrBounds.
func (v View) Within(size uint64) error {
	lo, hi, err := v.Bounds()
	if err != nil {
		return err
	}
	if lo < 0 || uint64(hi) > size {
		return &Error{What: "bytes of view", Got: fmt.Sprintf("%d to %d", lo, hi), Want: fmt.Sprintf("0 to %d", size), Err: ErrBounds}
	}
	return nil
}

// bytes returns the size of all elements together. Lengths of 0 count as 1, so that no product of some of them overflows.
func (v View) bytes() (uint64, error) {
	n := uint64(max(v.DType.Size(), 1))
	for _, d := range v.Shape {
		if d < 0 {
			return 0, invalid("length of a dimension", strconv.Itoa(d), "at least 0")
		}
		hi, lo := bits.Mul64(n, uint64(max(d, 1)))
		if hi != 0 || lo > math.MaxInt64 {
			return 0, invalid("size of view", fmt.Sprintf("%d times %d bytes", d, n), "at most 9223372036854775807 bytes")
		}
		n = lo
	}
	return n, nil
}

// span returns the bounds. Preconditions: as many strides as lengths, and no negative length.
func (v View) span() (lo, hi int64, err error) {
	if v.Offset > math.MaxInt64 {
		return 0, 0, outOf63("offset of view", strconv.FormatUint(v.Offset, 10))
	}
	lo = int64(v.Offset)
	hi = lo
	if v.DType.Size() == 0 || slices.Contains(v.Shape, 0) {
		return lo, hi, nil
	}
	ok := true
	for k, d := range v.Shape {
		if lo, hi, ok = stretch(lo, hi, int64(d-1), int64(v.Strides[k])); !ok {
			return 0, 0, outOf63("reach of view", fmt.Sprintf("%d strides of %d bytes", d-1, v.Strides[k]))
		}
	}
	if hi > math.MaxInt64-int64(v.DType.Size()) {
		return 0, 0, outOf63("end of view", fmt.Sprintf("%d+%d", hi, v.DType.Size()))
	}
	return lo, hi + int64(v.DType.Size()), nil
}

// stretch moves one end by n strides, the lower end if they are negative.
func stretch(lo, hi, n, stride int64) (int64, int64, bool) {
	step := uint64(stride)
	if stride < 0 {
		step = -step
	}
	over, far := bits.Mul64(uint64(n), step)
	if over != 0 || far > math.MaxInt64 {
		return 0, 0, false
	}
	if stride < 0 {
		return lo - int64(far), hi, lo >= math.MinInt64+int64(far)
	}
	return lo, hi + int64(far), hi <= math.MaxInt64-int64(far)
}

func outOf63(what, got string) error {
	return &Error{What: what, Got: got, Want: "a place within 63 bits", Err: ErrBounds}
}

func checkDims(n int) error {
	if n > MaxDims {
		return invalid("number of dimensions", strconv.Itoa(n), "at most "+strconv.Itoa(MaxDims))
	}
	return nil
}
