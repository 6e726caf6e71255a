package dtype

// Limits. They hold for constructors as well as for foreign bytes.
const (
	MaxSize   = 1<<31 - 1 // bytes of one element
	MaxFields = 1024      // fields of a structured type, those of nested types included
	MaxDepth  = 8         // structured types nested in each other; one without nested types has depth 1
	MaxDims   = 64        // dimensions of a sub-array
	MaxRecord = 64 << 10  // bytes of a record
)

// Type is an element type. The zero Type is invalid. Types without fields may be compared with ==; Equal compares all.
type Type struct {
	code uint64
	rec  *record // nil unless structured; never changes
}

// Field is one field of a structured type.
type Field struct {
	Name   string
	Type   Type
	Offset int   // bytes from the start of the element
	Shape  []int // of a sub-array; empty for a single value
}

// Size returns the bytes of the field: one value of its type, or all of its sub-array.
func (f Field) Size() int {
	n := f.Type.Size()
	for _, d := range f.Shape {
		n *= d
	}
	return n
}

// IsValid tells whether t is an element type at all.
func (t Type) IsValid() bool { return t.code != 0 }

// Code returns the 64-bit form, as it is stored in shared memory; 0 for the zero Type.
//
//	bits 0-7    kind, a letter
//	bits 8-15   order: 0 not applicable, 1 little, 2 big
//	bits 16-23  unit of kinds M and m, else 0
//	bits 24-31  flags: bit 24 structured
//	bits 32-63  multiple of the unit for kinds M and m, which take 8 bytes; else the size in bytes
func (t Type) Code() uint64 { return t.code }

// Kind returns the kind, 0 for the zero Type.
func (t Type) Kind() Kind { return Kind(t.code) }

// Order returns the byte order. It is NotApplicable for a structured type.
func (t Type) Order() Order { return Order(t.code >> orderShift) }

// Unit returns what a datetime64 or timedelta64 counts, Generic for all other types.
func (t Type) Unit() Unit { return Unit(t.code >> unitShift) }

// Multiple returns how many units make one step of a datetime64 or timedelta64, 0 for all other types.
func (t Type) Multiple() int {
	if t.Kind().isTime() {
		return int(t.code >> sizeShift)
	}
	return 0
}

// Size returns the bytes of one element. It may be 0, for example for Bytes(0).
func (t Type) Size() int {
	if t.Kind().isTime() {
		return 8
	}
	return int(t.code >> sizeShift)
}

// Align returns the alignment in bytes that numpy calls natural: the size of the numbers inside (a complex number is two
// of them), 1 for raw bytes, and the largest of the fields for a structured type that was made aligned, else 1.
func (t Type) Align() int {
	switch t.Kind() {
	case KindVoid:
		if t.rec != nil && t.rec.aligned {
			return t.rec.align
		}
		return 1
	case KindBytes:
		return 1
	case KindUnicode:
		return 4
	case KindComplex:
		return t.Size() / 2
	}
	return t.Size()
}

// IsStructured tells whether t has fields. Their list may be empty.
func (t Type) IsStructured() bool { return t.rec != nil }

// IsAligned tells whether t is structured and was made with aligned fields.
func (t Type) IsAligned() bool { return t.rec != nil && t.rec.aligned }

// IsNative tells whether all numbers of an element have this machine's byte order.
func (t Type) IsNative() bool {
	if t.rec != nil {
		return t.rec.native
	}
	return t.Order() == NotApplicable || t.Order() == native
}

// Fields returns a copy of the fields in their order, nil unless t is structured.
func (t Type) Fields() []Field {
	if t.rec == nil {
		return nil
	}
	return copyFields(t.rec.fields)
}

// NumFields returns the number of fields, those of nested types not included.
func (t Type) NumFields() int {
	if t.rec == nil {
		return 0
	}
	return len(t.rec.fields)
}

// Equal tells whether both are the same type as numpy's == has it: names, types, offsets and shapes of fields in
// the same order, and the same size. Whether the fields were asked to be aligned does not matter.
func (t Type) Equal(u Type) bool {
	if t.code != u.code || t.rec == u.rec {
		return t.code == u.code
	}
	if t.rec == nil || u.rec == nil || len(t.rec.fields) != len(u.rec.fields) {
		return false
	}
	for i := range t.rec.fields {
		if !t.rec.fields[i].equal(&u.rec.fields[i]) {
			return false
		}
	}
	return true
}

// WithOrder returns the type with the given byte order, in all fields if it is structured. Types without an order stay
// as they are, and so does every type for NotApplicable. It panics for an order that does not exist.
func (t Type) WithOrder(o Order) Type {
	switch {
	case o >= orderEnd:
		panic("dtype: WithOrder: order " + o.String())
	case o == NotApplicable:
		return t
	case t.rec != nil:
		return t.rec.withOrder(t.Size(), o)
	case t.Order() == NotApplicable:
		return t
	}
	return Type{code: t.code&^(0xff<<orderShift) | uint64(o)<<orderShift}
}
