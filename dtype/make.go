package dtype

import "fmt"

// Types of fixed size. Their numbers have this machine's byte order; see WithOrder for the other one.
var (
	Bool       = scalar(KindBool, 1)
	Int8       = scalar(KindInt, 1)
	Int16      = scalar(KindInt, 2)
	Int32      = scalar(KindInt, 4)
	Int64      = scalar(KindInt, 8)
	Uint8      = scalar(KindUint, 1)
	Uint16     = scalar(KindUint, 2)
	Uint32     = scalar(KindUint, 4)
	Uint64     = scalar(KindUint, 8)
	Float16    = scalar(KindFloat, 2)
	Float32    = scalar(KindFloat, 4)
	Float64    = scalar(KindFloat, 8)
	Complex64  = scalar(KindComplex, 8)
	Complex128 = scalar(KindComplex, 16)
)

// scalar makes a type without a unit in this machine's byte order, if it has one. The size is not checked.
func scalar(k Kind, size int) Type {
	o := NotApplicable
	if hasOrder(k, size) {
		o = native
	}
	return Type{code: pack(k, o, 0, size)}
}

// Bytes returns the type of byte strings of n bytes, numpy's S. It panics unless n is 0 to MaxSize.
func Bytes(n int) Type { return sized("Bytes", KindBytes, n, 1) }

// Unicode returns the type of strings of n code points in 4 bytes each, numpy's U. It panics unless n is 0 to MaxSize/4.
func Unicode(n int) Type { return sized("Unicode", KindUnicode, n, 4) }

// Void returns the type of n raw bytes, numpy's V. It panics unless n is 0 to MaxSize.
func Void(n int) Type { return sized("Void", KindVoid, n, 1) }

func sized(name string, k Kind, n, unit int) Type {
	if n < 0 || n > MaxSize/unit {
		panic(fmt.Sprintf("dtype: %s: length %d (0 to %d)", name, n, MaxSize/unit))
	}
	return scalar(k, n*unit)
}

// Datetime64 returns the type of points in time, counted from 1970 in steps of multiple units. It panics for a unit that
// does not exist and unless multiple is 1 to MaxSize, and 1 for Generic.
func Datetime64(u Unit, multiple int) Type { return timed("Datetime64", KindDatetime, u, multiple) }

// Timedelta64 returns the type of lengths of time in steps of multiple units. It panics as Datetime64 does.
func Timedelta64(u Unit, multiple int) Type { return timed("Timedelta64", KindTimedelta, u, multiple) }

func timed(name string, k Kind, u Unit, multiple int) Type {
	if err := checkTime(u, multiple); err != nil {
		panic(fmt.Sprintf("dtype: %s(%d, %d): %v", name, u, multiple, err))
	}
	return Type{code: pack(k, native, u, multiple)}
}

// Struct returns the structured type of the fields one after the other without gaps, as numpy makes it with align=False.
// Offsets in the fields are not read. The fields are copied.
func Struct(fields ...Field) (Type, error) {
	return lay(fields, false)
}

// StructAligned returns the structured type of the fields one after the other, each at a multiple of its alignment, as
// numpy makes it with align=True and as C compilers do. Offsets in the fields are not read. The fields are copied.
func StructAligned(fields ...Field) (Type, error) {
	return lay(fields, true)
}

// StructAt returns the structured type of itemsize bytes with each field at its offset. Fields may overlap, as in numpy,
// but must lie inside of the item. The fields are copied.
func StructAt(itemsize int, fields ...Field) (Type, error) {
	return newStruct(itemsize, false, copyFields(fields))
}

// lay gives the fields their offsets. Offsets never overflow: each field is checked before it is added, and its size is
// at most MaxSize, as is the sum so far.
func lay(fields []Field, aligned bool) (Type, error) {
	fields = copyFields(fields)
	off, align := 0, 1
	for i := range fields {
		f := &fields[i]
		if err := f.check(); err != nil {
			return Type{}, err
		}
		if aligned {
			align = max(align, f.align())
			off = roundUp(off, f.align())
		}
		f.Offset = off
		if f.Size() > MaxSize-off {
			return Type{}, invalid("item size", "more", "at most 2147483647 bytes")
		}
		off += f.Size()
	}
	return newStruct(roundUp(off, align), aligned, fields)
}

// roundUp returns the next multiple of align, a power of two.
func roundUp(n, align int) int { return (n + align - 1) &^ (align - 1) }
