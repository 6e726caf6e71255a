package dtype

import (
	"reflect"
	"slices"
)

// Matches returns nil if a []T may be laid over elements of type t: each T takes as many bytes, and every number in it
// has the same place, size, kind and byte order, which must be this machine's. Names do not matter. Beyond equal types,
// these fit each other, also as fields:
//
//	t                          T
//	Float16                    uint16, the raw bits
//	Datetime64, Timedelta64    int64, the count; the smallest one is "not a time"
//	Bytes(n), Void(n)          [n]byte
//	Unicode(n)                 [n]uint32, [n]int32, [n]rune
//
// Where the slice starts is not Matches's to know: the caller must check that the address is aligned for T.
// The error wraps ErrMismatch and tells both sides. Matches does not allocate if there is none.
func Matches[T any](t Type) error {
	if g := basic[T](); g.IsValid() {
		if g.code == t.code || fits(g, nil, t, nil) {
			return nil
		}
		return &MismatchError{Go: reflect.TypeFor[T](), DType: t}
	}
	rt := reflect.TypeFor[T]()
	g := goTypeOf(rt)
	if g.err == nil && fits(g.typ, g.shape, t, nil) {
		return nil
	}
	return &MismatchError{Go: rt, DType: t, Err: g.err}
}

// fits tells whether an array of the Go side's element type g lies as one of t does. An array without shape is one value.
func fits(g Type, gshape []int, t Type, tshape []int) bool {
	switch {
	case t.rec != nil:
		return g.rec != nil && slices.Equal(gshape, tshape) && fitsFields(g, t)
	case g.code == t.code:
		return slices.Equal(gshape, tshape)
	case !t.IsNative():
		return false
	}
	switch t.Kind() {
	case KindFloat:
		return t == Float16 && g == Uint16 && slices.Equal(gshape, tshape)
	case KindDatetime, KindTimedelta:
		return g == Int64 && slices.Equal(gshape, tshape)
	case KindBytes, KindVoid:
		return g == Uint8 && extends(gshape, tshape, t.Size())
	case KindUnicode:
		return (g == Uint32 || g == Int32) && extends(gshape, tshape, t.Size()/4)
	}
	return false
}

// fitsFields compares the fields in the order of their offsets. The depth of a type bounds the recursion.
func fitsFields(g, t Type) bool {
	if g.code != t.code || len(g.rec.fields) != len(t.rec.fields) {
		return false
	}
	for i := range g.rec.fields {
		gf, tf := g.rec.at(i), t.rec.at(i)
		if gf.Offset != tf.Offset || !fits(gf.Type, gf.Shape, tf.Type, tf.Shape) {
			return false
		}
	}
	return true
}

// extends tells whether a shape is another one with one more dimension of length n behind.
func extends(shape, outer []int, n int) bool {
	k := len(shape) - 1
	return k == len(outer) && shape[k] == n && slices.Equal(shape[:k], outer)
}
