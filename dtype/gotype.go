package dtype

import (
	"fmt"
	"math/bits"
	"reflect"
	"slices"
	"sync"
)

// Int and uint have the size of this machine's words.
var (
	wordInt  = scalar(KindInt, bits.UintSize/8)
	wordUint = scalar(KindUint, bits.UintSize/8)
)

// Of returns the element type of a Go type, in this machine's byte order:
//
//   - bool, integers, floats and complex numbers, and types made of them, are themselves; int and uint have 64 bits where
//     this machine has;
//   - a struct is a structured type with the offsets that Go gives its fields. A field has the name that its tag
//     `ndpool:"name"` or else Go gives it. Fields named _, or with the tag "-", are padding;
//   - an array is a sub-array, and so must be inside of a struct.
//
// Whatever holds pointers is refused with ErrUnsupported, and so is uintptr, which means nothing in another process.
// All else that makes no type, such as two fields of one name, is refused with ErrInvalid.
//
// After the first call for a type, Of takes one look-up, and for the basic types not even that.
func Of[T any]() (Type, error) {
	if t := basic[T](); t.IsValid() {
		return t, nil
	}
	g := goTypeOf(reflect.TypeFor[T]())
	if g.err != nil {
		return Type{}, g.err
	}
	if len(g.shape) > 0 {
		return Type{}, unsupported("go type", g.name, "no array outside of a struct: more dimensions, or Bytes, are meant")
	}
	return g.typ, nil
}

// basic returns the type of Go's own types, the zero Type for all others. The nil pointer makes no allocation.
func basic[T any]() Type {
	switch any((*T)(nil)).(type) {
	case *bool:
		return Bool
	case *int8:
		return Int8
	case *int16:
		return Int16
	case *int32:
		return Int32
	case *int64:
		return Int64
	case *int:
		return wordInt
	case *uint8:
		return Uint8
	case *uint16:
		return Uint16
	case *uint32:
		return Uint32
	case *uint64:
		return Uint64
	case *uint:
		return wordUint
	case *float32:
		return Float32
	case *float64:
		return Float64
	case *complex64:
		return Complex64
	case *complex128:
		return Complex128
	}
	return Type{}
}

// goType is what is known of a Go type: an element type, the shape of an array of them, or why there is none.
type goType struct {
	name  string
	typ   Type
	shape []int // nil unless the Go type is an array
	err   error
}

// goTypes caches by reflect.Type. It is bounded by the types that the program has.
var goTypes sync.Map

func goTypeOf(rt reflect.Type) *goType {
	if g, ok := goTypes.Load(rt); ok {
		return g.(*goType)
	}
	g, _ := goTypes.LoadOrStore(rt, newGoType(rt))
	return g.(*goType)
}

func newGoType(rt reflect.Type) *goType {
	g := &goType{name: rt.String()}
	for ; rt.Kind() == reflect.Array; rt = rt.Elem() {
		g.shape = append(g.shape, rt.Len())
	}
	if len(g.shape) > MaxDims {
		g.err = invalidInt("dimensions of go type "+g.name, len(g.shape), fmt.Sprintf("at most %d", MaxDims))
		return g
	}
	if rt.Kind() == reflect.Struct {
		g.typ, g.err = structOf(rt)
		return g
	}
	if g.typ = basicOf(rt.Kind()); !g.typ.IsValid() {
		g.err = unsupported("go type", rt.String(), "a type without pointers, of numbers and structs of numbers")
	}
	return g
}

var basics = map[reflect.Kind]Type{
	reflect.Bool: Bool,
	reflect.Int:  wordInt, reflect.Int8: Int8, reflect.Int16: Int16, reflect.Int32: Int32, reflect.Int64: Int64,
	reflect.Uint: wordUint, reflect.Uint8: Uint8, reflect.Uint16: Uint16, reflect.Uint32: Uint32, reflect.Uint64: Uint64,
	reflect.Float32: Float32, reflect.Float64: Float64,
	reflect.Complex64: Complex64, reflect.Complex128: Complex128,
}

func basicOf(k reflect.Kind) Type { return basics[k] }

// structOf makes the type of a Go struct. It counts as aligned where Go's alignment is numpy's, which 32-bit machines
// break for 8-byte numbers.
func structOf(rt reflect.Type) (Type, error) {
	if rt.Size() > MaxSize {
		return Type{}, invalid("size of go type "+rt.String(), fmt.Sprint(rt.Size()), "at most 2147483647 bytes")
	}
	var fields []Field
	for i := range rt.NumField() {
		sf := rt.Field(i)
		g := goTypeOf(sf.Type)
		if g.err != nil {
			return Type{}, fmt.Errorf("field %s.%s: %w", rt, sf.Name, g.err)
		}
		if name := fieldName(sf); name != "" {
			fields = append(fields, Field{Name: name, Type: g.typ, Offset: int(sf.Offset), Shape: slices.Clone(g.shape)})
		}
	}
	t, err := newStruct(int(rt.Size()), true, fields)
	if err != nil {
		t, err = newStruct(int(rt.Size()), false, fields)
	}
	if err != nil {
		return Type{}, fmt.Errorf("go type %s: %w", rt, err)
	}
	return t, nil
}

// fieldName returns the name of a field, "" for padding.
func fieldName(sf reflect.StructField) string {
	tag, ok := sf.Tag.Lookup("ndpool")
	switch {
	case sf.Name == "_" || tag == "-":
		return ""
	case ok && tag != "":
		return tag
	}
	return sf.Name
}
