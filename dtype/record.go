package dtype

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// record is what a structured type has beyond its code. Local; never changes once newStruct has returned it.
type record struct {
	fields  []Field
	sorted  []int  // indexes of fields by offset; nil if the fields are sorted
	text    string // canonical
	aligned bool
	native  bool // all numbers have this machine's byte order
	align   int  // bytes; the largest of the fields
	depth   int
	count   int // fields, those of nested types included
}

// newStruct checks the fields against each other and makes the type. It keeps the fields.
func newStruct(itemsize int, aligned bool, fields []Field) (Type, error) {
	if itemsize < 0 || itemsize > MaxSize {
		return Type{}, invalidInt("item size", itemsize, "0 to 2147483647 bytes")
	}
	if len(fields) > MaxFields {
		return Type{}, invalidInt("number of fields", len(fields), fmt.Sprintf("at most %d", MaxFields))
	}
	r := &record{fields: fields, aligned: aligned, native: true, align: 1, depth: 1}
	names := make(map[string]struct{}, len(fields))
	for i := range fields {
		f := &fields[i]
		if err := f.check(); err != nil {
			return Type{}, err
		}
		if f.Offset < 0 || f.Offset > itemsize || f.Size() > itemsize-f.Offset {
			return Type{}, invalid("place of field "+quoted(f.Name), fmt.Sprintf("bytes %d+%d", f.Offset, f.Size()),
				fmt.Sprintf("inside of %d bytes", itemsize))
		}
		if _, ok := names[f.Name]; ok {
			return Type{}, invalid("field name", quoted(f.Name)+" twice", "each name once")
		}
		names[f.Name] = struct{}{}
		r.add(f.Type)
	}
	return r.finish(itemsize)
}

// add counts in one more field of type t.
func (r *record) add(t Type) {
	r.native = r.native && t.IsNative()
	r.align = max(r.align, t.Align())
	r.count++
	if t.rec != nil {
		r.depth = max(r.depth, t.rec.depth+1)
		r.count += t.rec.count
	}
}

// finish checks what only all fields together can break, and writes the text.
func (r *record) finish(itemsize int) (Type, error) {
	if r.count > MaxFields {
		return Type{}, invalidInt("number of fields", r.count, fmt.Sprintf("at most %d", MaxFields))
	}
	if r.depth > MaxDepth {
		return Type{}, invalidInt("nesting of structured types", r.depth, fmt.Sprintf("at most %d", MaxDepth))
	}
	if err := r.checkAligned(itemsize); err != nil {
		return Type{}, err
	}
	r.sorted = byOffset(r.fields)
	r.text = string(r.appendText(nil, itemsize))
	if len(r.text) > MaxRecord {
		return Type{}, invalidInt("record size", len(r.text), fmt.Sprintf("at most %d bytes", MaxRecord))
	}
	return Type{code: pack(KindVoid, NotApplicable, 0, itemsize) | structuredBit, rec: r}, nil
}

func (r *record) checkAligned(itemsize int) error {
	if !r.aligned {
		return nil
	}
	if itemsize%r.align != 0 {
		return invalidInt("item size", itemsize, fmt.Sprintf("a multiple of %d since it is aligned", r.align))
	}
	for i := range r.fields {
		if f := &r.fields[i]; f.Offset%f.align() != 0 {
			return invalidInt("offset of field "+quoted(f.Name), f.Offset,
				fmt.Sprintf("a multiple of %d since it is aligned", f.align()))
		}
	}
	return nil
}

// byOffset returns the indexes of the fields by their offsets, nil if they are in that order already.
func byOffset(fields []Field) []int {
	compare := func(a, b Field) int { return a.Offset - b.Offset }
	if slices.IsSortedFunc(fields, compare) {
		return nil
	}
	order := make([]int, len(fields))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(i, j int) int { return compare(fields[i], fields[j]) })
	return order
}

// at returns the i-th field by offset.
func (r *record) at(i int) *Field {
	if r.sorted != nil {
		i = r.sorted[i]
	}
	return &r.fields[i]
}

// withOrder makes the same type in another byte order. What fitted once fits again: no size changes.
func (r *record) withOrder(itemsize int, o Order) Type {
	fields := copyFields(r.fields)
	for i := range fields {
		fields[i].Type = fields[i].Type.WithOrder(o)
	}
	t, err := newStruct(itemsize, r.aligned, fields)
	if err != nil {
		panic("dtype: WithOrder: " + err.Error())
	}
	return t
}

// check checks what can be wrong with a field alone.
func (f *Field) check() error {
	if f.Name == "" || !utf8.ValidString(f.Name) || strings.IndexByte(f.Name, 0) >= 0 {
		return invalid("field name", quoted(f.Name), "UTF-8, not empty, without a zero byte")
	}
	if !f.Type.IsValid() {
		return invalid("type of field "+quoted(f.Name), "the zero Type", "a valid type")
	}
	if len(f.Shape) > MaxDims {
		return invalidInt("dimensions of field "+quoted(f.Name), len(f.Shape), fmt.Sprintf("at most %d", MaxDims))
	}
	return f.checkShape()
}

// checkShape refuses what makes Size overflow. Zeros do not count, so that no product of some of the lengths is too large.
func (f *Field) checkShape() error {
	n := int64(max(f.Type.Size(), 1))
	for _, d := range f.Shape {
		if d < 0 || d > MaxSize {
			return invalidInt("shape of field "+quoted(f.Name), d, "0 to 2147483647")
		}
		if n *= int64(max(d, 1)); n > MaxSize {
			return invalid("size of field "+quoted(f.Name), strconv.FormatInt(n, 10)+" or more", "at most 2147483647 bytes")
		}
	}
	return nil
}

func (f *Field) align() int { return f.Type.Align() }

func (f *Field) equal(g *Field) bool {
	return f.Name == g.Name && f.Offset == g.Offset && slices.Equal(f.Shape, g.Shape) && f.Type.Equal(g.Type)
}

// copyFields copies the fields and their shapes, so that nobody shares memory with a type.
func copyFields(fields []Field) []Field {
	c := make([]Field, len(fields))
	for i, f := range fields {
		c[i] = f
		c[i].Shape = append([]int(nil), f.Shape...)
	}
	return c
}
