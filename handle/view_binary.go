package handle

import (
	"encoding/binary"
	"fmt"
	"math"
	"strconv"

	"github.com/ndpool/ndpool/dtype"
)

const (
	viewVersion = 1
	viewHead    = 24 // bytes before the shape
	dimSize     = 16 // bytes of a length and its stride

	// MaxViewSize is the largest size of a view record in bytes.
	MaxViewSize = viewHead + MaxDims*dimSize + dtype.MaxRecord
)

// BinarySize returns the length of the binary form in bytes.
func (v View) BinarySize() int {
	return viewHead + len(v.Shape)*dimSize + v.DType.RecordSize()
}

// MarshalBinary returns the view record. All numbers are little-endian; signed ones are in two's complement.
//
//	offset   bytes  what
//	0        1      version, 1
//	1        1      n, the number of dimensions, 0 to 64
//	2        2      0
//	4        4      r, the bytes of the dtype's record; 0 unless the dtype is structured
//	8        8      offset of the first element in bytes, at most 2^63-1
//	16       8      code of the dtype, see dtype.Type.Code
//	24       8*n    lengths, in elements
//	24+8*n   8*n    strides, in bytes, signed
//	24+16*n  r      record of the dtype, see package dtype
//
// Nothing follows. It fails for a view that Validate refuses.
func (v View) MarshalBinary() ([]byte, error) { return v.AppendBinary(nil) }

// AppendBinary appends what MarshalBinary returns. If it fails, it returns b as it was.
func (v View) AppendBinary(b []byte) ([]byte, error) {
	if err := v.Validate(); err != nil {
		return b, err
	}
	le := binary.LittleEndian
	b = append(b, viewVersion, byte(len(v.Shape)), 0, 0)
	b = le.AppendUint32(b, uint32(v.DType.RecordSize()))
	b = le.AppendUint64(b, v.Offset)
	b = le.AppendUint64(b, v.DType.Code())
	for _, d := range v.Shape {
		b = le.AppendUint64(b, uint64(d))
	}
	for _, s := range v.Strides {
		b = le.AppendUint64(b, uint64(int64(s)))
	}
	return v.DType.AppendRecord(b), nil
}

// UnmarshalBinary reads one view record and nothing else. The view does not keep b.
func (v *View) UnmarshalBinary(b []byte) error {
	n, r, err := viewParts(b)
	if err != nil {
		return err
	}
	le := binary.LittleEndian
	w := View{Offset: le.Uint64(b[8:])}
	if w.Shape, err = ints("length", b[viewHead:viewHead+8*n]); err != nil {
		return err
	}
	if w.Strides, err = ints("stride", b[viewHead+8*n:viewHead+16*n]); err != nil {
		return err
	}
	if w.DType, err = dtype.FromStored(le.Uint64(b[16:]), b[len(b)-r:]); err != nil {
		return fmt.Errorf("handle: check element type of view: %w: %w", ErrInvalid, err)
	}
	if err := w.Validate(); err != nil {
		return err
	}
	*v = w
	return nil
}

// viewParts checks the head of a view record against its length, and returns the number of dimensions and the bytes of the
// record. Both fit: they are read once.
func viewParts(b []byte) (dims, rec int, err error) {
	if len(b) < viewHead || len(b) > MaxViewSize {
		return 0, 0, invalid("bytes of view", strconv.Itoa(len(b)), "24 to "+strconv.Itoa(MaxViewSize))
	}
	if b[0] != viewVersion {
		return 0, 0, invalidLen("version of view", int(b[0]), viewVersion)
	}
	dims = int(b[1])
	if err := checkDims(dims); err != nil {
		return 0, 0, err
	}
	if x := binary.LittleEndian.Uint16(b[2:]); x != 0 {
		return 0, 0, invalidLen("reserved bytes of view", int(x), 0)
	}
	r := uint64(binary.LittleEndian.Uint32(b[4:]))
	if want := viewHead + uint64(dims)*dimSize + r; uint64(len(b)) != want {
		return 0, 0, invalid("bytes of view", strconv.Itoa(len(b)), strconv.FormatUint(want, 10))
	}
	return dims, int(r), nil
}

// ints reads a list of signed numbers; nil if there are none.
func ints(what string, b []byte) ([]int, error) {
	if len(b) == 0 {
		return nil, nil
	}
	list := make([]int, len(b)/8)
	for i := range list {
		n := int64(binary.LittleEndian.Uint64(b[8*i:]))
		if n < math.MinInt || n > math.MaxInt {
			return nil, invalid(what, strconv.FormatInt(n, 10), "a number of this machine's size")
		}
		list[i] = int(n)
	}
	return list, nil
}
