package dtype_test

import (
	"errors"
	"fmt"

	"github.com/ndpool/ndpool/dtype"
)

func ExampleParse() {
	t, err := dtype.Parse("<M8[10ms]")
	fmt.Println(t, t.Kind(), t.Order(), t.Multiple(), t.Unit(), t.Size(), err)

	_, err = dtype.Parse("object")
	fmt.Println(errors.Is(err, dtype.ErrUnsupported), err)
	// Output:
	// <M8[10ms] M < 10 ms 8 <nil>
	// true dtype: check type: got "object", expected a type without pointers, which mean nothing in another process
}

func ExampleStructAligned() {
	t, err := dtype.StructAligned(
		dtype.Field{Name: "id", Type: dtype.Uint8},
		dtype.Field{Name: "pos", Type: dtype.Float32.WithOrder(dtype.Little), Shape: []int{3}})
	fmt.Println(t, err)
	for _, f := range t.Fields() {
		fmt.Println(f.Name, f.Type, f.Offset, f.Size())
	}
	// Output:
	// {"itemsize":16,"aligned":true,"fields":[["id","|u1",0],["pos","<f4",4,[3]]]} <nil>
	// id |u1 0 1
	// pos <f4 4 12
}

func ExampleOf() {
	type pixel struct {
		RGB   [3]uint8 `ndpool:"rgb"`
		Alpha uint8    `ndpool:"alpha"`
	}
	t, err := dtype.Of[pixel]()
	fmt.Println(t, err)
	// Output:
	// {"itemsize":4,"aligned":true,"fields":[["rgb","|u1",0,[3]],["alpha","|u1",3]]} <nil>
}

func ExampleMatches() {
	fmt.Println(dtype.Matches[uint16](dtype.Float16)) // the raw bits
	fmt.Println(dtype.Matches[[5]byte](dtype.Bytes(5)))
	fmt.Println(dtype.Matches[float32](dtype.Int8))
	// Output:
	// <nil>
	// <nil>
	// dtype: match []float32 (4 bytes each) with |i1 (1 bytes each): go type does not match element type
}

func ExampleFromStored() {
	t := dtype.Bytes(5)
	stored, err := dtype.FromStored(t.Code(), t.Record())
	fmt.Println(stored, err)

	_, err = dtype.FromStored(t.Code()|1<<8, nil)
	fmt.Println(err)
	// Output:
	// |S5 <nil>
	// dtype: check byte order in code: got 1, expected 0 for single bytes
}
