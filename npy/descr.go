package npy

import (
	"fmt"
	"strconv"
	"strings"
	"unicode"

	"github.com/ndpool/ndpool/dtype"
)

// numpy describes a type by its text, "<f4", and a structured one by the list of its fields in the order of their offsets:
//
//	[('x', '<f4'), ('', '|V4'), ('y', '<i2', (2, 3)), ('z', [('r', '|u1')])]
//
// Raw bytes without a name are a gap.

// descr reads the description of a type. depth is that of a list that may come.
func (s *scanner) descr(depth int) (dtype.Type, error) {
	if s.peek() == '[' {
		return s.fields(depth)
	}
	text, err := s.str()
	if err != nil {
		return dtype.Type{}, err
	}
	if strings.ContainsRune(text, '{') { // dtype's own text of a structured type
		return dtype.Type{}, s.fail("a plain type before it")
	}
	return dtype.Parse(text)
}

// fields reads the list of fields, as many bytes one after the other as it says.
func (s *scanner) fields(depth int) (dtype.Type, error) {
	if depth > dtype.MaxDepth {
		return dtype.Type{}, s.fail(fmt.Sprint("at most ", dtype.MaxDepth, " structured types in each other"))
	}
	s.pos++
	var fields []dtype.Field
	for n, size := 0, 0; ; n++ {
		more, err := s.next(n, ']')
		if err != nil {
			return dtype.Type{}, err
		}
		if !more {
			return dtype.StructAt(size, fields...)
		}
		f, err := s.field(depth)
		if err != nil {
			return dtype.Type{}, err
		}
		f.Offset = size
		if size, err = s.add(size, f); err != nil {
			return dtype.Type{}, err
		}
		if f.Name != "" || f.Type.Kind() != dtype.KindVoid || f.Type.IsStructured() {
			fields = append(fields, f)
		}
	}
}

// field reads ('name', type) or ('name', type, shape).
func (s *scanner) field(depth int) (f dtype.Field, err error) {
	if err = s.want('('); err != nil {
		return f, err
	}
	if s.peek() == '(' {
		return f, &Error{What: fmt.Sprint("header at byte ", s.pos), Got: quoted(s.text[s.pos:]), Want: "a name alone", Err: ErrTitle}
	}
	if f.Name, err = s.str(); err != nil {
		return f, err
	}
	if err = s.want(','); err != nil {
		return f, err
	}
	if f.Type, err = s.descr(depth + 1); err != nil {
		return f, err
	}
	if s.peek() == ',' {
		s.pos++
		if f.Shape, err = s.shape(dtype.MaxDims, dtype.MaxSize); err != nil {
			return f, err
		}
	}
	return f, s.want(')')
}

// add returns the bytes up to the end of a field. Zeros in a shape do not count for the bound, so that no product overflows.
func (s *scanner) add(size int, f dtype.Field) (int, error) {
	n := int64(max(f.Type.Size(), 1))
	for _, d := range f.Shape {
		if n *= int64(max(d, 1)); n > dtype.MaxSize {
			break
		}
	}
	if n > dtype.MaxSize || f.Size() > dtype.MaxSize-size {
		return 0, s.fail(fmt.Sprint("at most ", dtype.MaxSize, " bytes of an element before it"))
	}
	return size + f.Size(), nil
}

// appendDescr appends the description of a type.
func appendDescr(b []byte, t dtype.Type) ([]byte, error) {
	if !t.IsStructured() {
		return appendRepr(b, t.String()), nil
	}
	b = append(b, '[')
	end := 0
	var err error
	for _, f := range t.Fields() {
		if f.Offset < end {
			return nil, &Error{What: "dtype " + t.String(), Got: fmt.Sprintf("field %q at byte %d", f.Name, f.Offset),
				Want: fmt.Sprintf("byte %d or later", end), Err: ErrLayout}
		}
		b = appendGap(b, f.Offset-end)
		if b, err = appendField(b, f); err != nil {
			return nil, err
		}
		end = f.Offset + f.Size()
	}
	b = appendGap(b, t.Size()-end)
	if n := len(b); b[n-1] == ' ' {
		b = b[:n-2]
	}
	return append(b, ']'), nil
}

// appendField appends a field, and a comma and a space.
func appendField(b []byte, f dtype.Field) ([]byte, error) {
	b = append(appendRepr(append(b, '('), f.Name), ", "...)
	b, err := appendDescr(b, f.Type)
	if err != nil {
		return nil, err
	}
	if len(f.Shape) > 0 {
		b = appendTuple(append(b, ", "...), f.Shape)
	}
	return append(b, "), "...), nil
}

// appendGap appends n bytes that belong to no field, and a comma and a space.
func appendGap(b []byte, n int) []byte {
	if n == 0 {
		return b
	}
	return fmt.Appendf(b, "('', '|V%d'), ", n)
}

// appendTuple appends a shape as Python writes it.
func appendTuple(b []byte, shape []int) []byte {
	b = append(b, '(')
	for k, d := range shape {
		if k > 0 {
			b = append(b, ", "...)
		}
		b = strconv.AppendInt(b, int64(d), 10)
	}
	if len(shape) == 1 {
		b = append(b, ',')
	}
	return append(b, ')')
}

// appendRepr appends a string as Python's repr writes it.
func appendRepr(b []byte, s string) []byte {
	quote := '\''
	if strings.ContainsRune(s, '\'') && !strings.ContainsRune(s, '"') {
		quote = '"'
	}
	b = append(b, byte(quote))
	for _, r := range s {
		switch i := strings.IndexRune("\n\r\t", r); {
		case r == quote, r == '\\':
			b = append(b, '\\', byte(r))
		case i >= 0:
			b = append(b, '\\', "nrt"[i])
		case unicode.IsPrint(r):
			b = append(b, string(r)...)
		case r < 0x100:
			b = fmt.Appendf(b, `\x%02x`, r)
		case r < 0x10000:
			b = fmt.Appendf(b, `\u%04x`, r)
		default:
			b = fmt.Appendf(b, `\U%08x`, r)
		}
	}
	return append(b, byte(quote))
}
