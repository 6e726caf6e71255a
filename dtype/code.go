package dtype

import (
	"fmt"
	"strconv"
)

// Places of the parts of a code. The kind is at bit 0.
const (
	orderShift = 8
	unitShift  = 16
	flagShift  = 24
	sizeShift  = 32

	structuredBit = 1 << flagShift
)

// pack makes a code of its parts, which are not checked.
func pack(k Kind, o Order, u Unit, size int) uint64 {
	return uint64(k) | uint64(o)<<orderShift | uint64(u)<<unitShift | uint64(size)<<sizeShift
}

// IsStructuredCode tells whether a code says that its type is structured, that is, that a record lies beside it. The
// code may be anything; all else about it is unchecked.
func IsStructuredCode(code uint64) bool { return code&structuredBit != 0 }

// FromCode returns the type that has the given code. The code may be anything: all that no type has is refused with
// ErrInvalid. The code of a structured type is refused with ErrRecord, see FromStored.
func FromCode(code uint64) (Type, error) {
	if err := checkCode(code); err != nil {
		return Type{}, err
	}
	if IsStructuredCode(code) {
		return Type{}, &Error{What: "code", Got: hex(code), Want: "a type without fields", Err: ErrRecord}
	}
	return Type{code: code}, nil
}

// FromStored returns the type that is stored as a code and a record, either of which may be anything. The record is
// empty if the code is not that of a structured type; else both must tell the same size.
func FromStored(code uint64, rec []byte) (Type, error) {
	if !IsStructuredCode(code) {
		if len(rec) != 0 {
			return Type{}, invalidInt("record size", len(rec), "0 bytes beside the code of a type without fields")
		}
		return FromCode(code)
	}
	t, err := FromRecord(rec)
	if err != nil {
		return Type{}, err
	}
	if t.code != code {
		return Type{}, invalid("code of a structured type", hex(code), hex(t.code)+" as its record says")
	}
	return t, nil
}

// checkCode returns nil if the code is that of a type, structured or not.
func checkCode(code uint64) error {
	k, n := Kind(code), code>>sizeShift
	if n > MaxSize {
		return invalid("size or multiple in code", strconv.FormatUint(n, 10), "at most 2147483647")
	}
	if err := checkFlags(code); err != nil {
		return err
	}
	if k.isTime() {
		return checkTime(Unit(code>>unitShift), int(n))
	}
	if u := uint8(code >> unitShift); u != 0 {
		return invalidInt("unit in code", int(u), "0 for kind "+quoted(k.String()))
	}
	return checkSize(k, int(n))
}

// checkFlags checks order and flags of a code: whether there is an order at all follows from kind and size.
func checkFlags(code uint64) error {
	k, o, f := Kind(code), Order(code>>orderShift), uint8(code>>flagShift)
	if f > 1 || f == 1 && k != KindVoid {
		return invalidInt("flags in code", int(f), "0, or 1 for kind \"V\"")
	}
	if ordered := hasOrder(k, int(code>>sizeShift)); ordered && o != Little && o != Big {
		return invalidInt("byte order in code", int(o), "1 or 2")
	} else if !ordered && o != NotApplicable {
		return invalidInt("byte order in code", int(o), "0 for single bytes")
	}
	return nil
}

// hasOrder tells whether elements of a kind and size, or multiple, have a byte order.
func hasOrder(k Kind, size int) bool {
	switch k {
	case KindFloat, KindComplex, KindDatetime, KindTimedelta, KindUnicode:
		return true
	case KindInt, KindUint:
		return size > 1
	}
	return false
}

func checkTime(u Unit, multiple int) error {
	switch {
	case u >= unitEnd:
		return invalidInt("time unit", int(u), fmt.Sprintf("0 to %d", unitEnd-1))
	case u == Generic && multiple != 1:
		return invalidInt("multiple of the generic time unit", multiple, "1")
	case multiple < 1 || multiple > MaxSize:
		return invalidInt("multiple of a time unit", multiple, "1 to 2147483647")
	}
	return nil
}

// checkSize checks the size in bytes of a kind that has no unit.
func checkSize(k Kind, n int) error {
	if k == KindBytes || k == KindUnicode || k == KindVoid {
		return checkLength(k, n)
	}
	set, want := sizesOf(k)
	switch {
	case set == 0:
		return invalid("kind", fmt.Sprintf("%q", byte(k)), "one of b i u f c M m S U V")
	case n >= 0 && n < 32 && set>>n&1 != 0:
		return nil
	case k == KindFloat && (n == 12 || n == 16) || k == KindComplex && (n == 24 || n == 32):
		return unsupported("type", string(k)+strconv.Itoa(n), longDouble)
	}
	return invalidInt("size of kind "+quoted(k.String()), n, want)
}

// sizesOf returns the sizes that a kind of numbers has, as a set of bits and as text; no bit for what is no such kind.
func sizesOf(k Kind) (set uint32, text string) {
	switch k {
	case KindBool:
		return 1 << 1, "1 byte"
	case KindInt, KindUint:
		return 1<<1 | 1<<2 | 1<<4 | 1<<8, "1, 2, 4 or 8 bytes"
	case KindFloat:
		return 1<<2 | 1<<4 | 1<<8, "2, 4 or 8 bytes"
	case KindComplex:
		return 1<<8 | 1<<16, "8 or 16 bytes"
	}
	return 0, ""
}

func checkLength(k Kind, n int) error {
	if n < 0 || n > MaxSize {
		return invalidInt("size of kind "+quoted(k.String()), n, "0 to 2147483647")
	}
	if k == KindUnicode && n%4 != 0 {
		return invalidInt("size of kind \"U\"", n, "a multiple of 4")
	}
	return nil
}

func hex(n uint64) string { return fmt.Sprintf("%#016x", n) }
