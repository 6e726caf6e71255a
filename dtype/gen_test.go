package dtype_test

import (
	"fmt"

	"pgregory.net/rapid"

	"github.com/ndpool/ndpool/dtype"
)

// plain draws types without fields, in both byte orders.
func plain() *rapid.Generator[dtype.Type] {
	return rapid.Custom(func(t *rapid.T) dtype.Type {
		fixed := []dtype.Type{
			dtype.Bool, dtype.Int8, dtype.Int16, dtype.Int32, dtype.Int64, dtype.Uint8, dtype.Uint16, dtype.Uint32, dtype.Uint64,
			dtype.Float16, dtype.Float32, dtype.Float64, dtype.Complex64, dtype.Complex128,
		}
		order := rapid.SampledFrom([]dtype.Order{dtype.Little, dtype.Big}).Draw(t, "order")
		n := rapid.IntRange(0, 9).Draw(t, "n")
		switch i := rapid.IntRange(0, len(fixed)+5).Draw(t, "which"); i {
		case 0:
			return dtype.Bytes(n)
		case 1:
			return dtype.Void(n)
		case 2:
			return dtype.Unicode(n).WithOrder(order)
		case 3:
			return dtype.Datetime64(dtype.Unit(1+n), 1+n*n).WithOrder(order)
		case 4:
			return dtype.Timedelta64(dtype.Unit(1+n), 1+n*n).WithOrder(order)
		case 5:
			return dtype.Datetime64(dtype.Generic, 1).WithOrder(order)
		default:
			return fixed[i-6].WithOrder(order)
		}
	})
}

// structured draws structured types of at most the given depth.
func structured(depth int) *rapid.Generator[dtype.Type] {
	return rapid.Custom(func(t *rapid.T) dtype.Type {
		fields := make([]dtype.Field, rapid.IntRange(0, 4).Draw(t, "fields"))
		end := 0
		for i := range fields {
			f := &fields[i]
			f.Name = fmt.Sprintf("%s%d", rapid.StringOfN(rapid.RuneFrom([]rune("ab\"\\\n\x01é<&\u2028😀")), 0, 4, -1).Draw(t, "name"), i)
			f.Type = anyType(depth-1).Draw(t, "type")
			f.Shape = rapid.SliceOfN(rapid.IntRange(0, 3), 0, 3).Draw(t, "shape")
			f.Offset = rapid.IntRange(0, 40).Draw(t, "offset")
			end = max(end, f.Offset+f.Size())
		}
		var typ dtype.Type
		var err error
		switch rapid.IntRange(0, 2).Draw(t, "how") {
		case 0:
			typ, err = dtype.Struct(fields...)
		case 1:
			typ, err = dtype.StructAligned(fields...)
		case 2:
			typ, err = dtype.StructAt(end+rapid.IntRange(0, 3).Draw(t, "tail"), fields...)
		}
		if err != nil {
			t.Fatalf("make struct: %v", err)
		}
		return typ
	})
}

func anyType(depth int) *rapid.Generator[dtype.Type] {
	if depth <= 0 {
		return plain()
	}
	return rapid.OneOf(plain(), structured(depth))
}
