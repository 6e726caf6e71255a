package dtype

import "encoding/binary"

// Kind is the letter that numpy calls dtype.kind.
type Kind byte

// Kinds of an element type.
const (
	KindBool      Kind = 'b'
	KindInt       Kind = 'i'
	KindUint      Kind = 'u'
	KindFloat     Kind = 'f'
	KindComplex   Kind = 'c'
	KindDatetime  Kind = 'M'
	KindTimedelta Kind = 'm'
	KindBytes     Kind = 'S' // text of single bytes, padded with zero bytes
	KindUnicode   Kind = 'U' // text of 4-byte code points, padded with zeros
	KindVoid      Kind = 'V' // raw bytes, or a structured type
)

// String returns the letter.
func (k Kind) String() string {
	if k == 0 {
		return "invalid"
	}
	return string(rune(k))
}

// isTime tells whether the kind has a unit. The two letters differ in one bit only, and no other kind shares the rest.
func (k Kind) isTime() bool { return k|0x20 == 'm' }

// Order is the byte order of the numbers in an element.
type Order uint8

// Orders. NotApplicable is the order of single bytes, of raw bytes and of structured types, whose fields have their own.
const (
	NotApplicable Order = iota
	Little
	Big
	orderEnd
)

var native = hostOrder()

func hostOrder() Order {
	if binary.NativeEndian.Uint16([]byte{1, 0}) == 1 {
		return Little
	}
	return Big
}

// Native returns the byte order of this machine.
func Native() Order { return native }

// String returns numpy's sign: "|", "<" or ">".
func (o Order) String() string {
	if o >= orderEnd {
		return "invalid"
	}
	return "|<>"[o : o+1]
}

// Unit is what a datetime64 or timedelta64 counts.
type Unit uint8

// Units, coarse to fine. Generic is a time without a unit, which takes one from what it is combined with.
const (
	Generic Unit = iota
	Year
	Month
	Week
	Day
	Hour
	Minute
	Second
	Millisecond
	Microsecond
	Nanosecond
	Picosecond
	Femtosecond
	Attosecond
	unitEnd
)

var unitNames = [unitEnd]string{"generic", "Y", "M", "W", "D", "h", "m", "s", "ms", "us", "ns", "ps", "fs", "as"}

// String returns numpy's name of the unit.
func (u Unit) String() string {
	if u >= unitEnd {
		return "invalid"
	}
	return unitNames[u]
}

// unitNamed returns the unit with that name; Generic has none that could be written between brackets.
func unitNamed(name string) (Unit, bool) {
	for u := Year; u < unitEnd; u++ {
		if unitNames[u] == name {
			return u, true
		}
	}
	return 0, false
}
