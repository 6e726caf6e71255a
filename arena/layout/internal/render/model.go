// Package render writes down the format of package layout for others: the C header, the tables of docs/FORMAT.md and the
// fingerprint.
//
// It reads the format twice. Sizes, offsets and types come from the compiled structs by reflection, so they are what a
// running program uses. Comments, tags and constants come from the source, which reflection cannot see. The bits of the
// packed words are found by asking the accessors about each bit. So nothing of the format is written a second time here.
//
// The command is gen/format; a test of package layout renders again and compares with the committed files.
package render

import (
	"fmt"
	"reflect"
	"strings"
	"unicode"

	"github.com/ndpool/ndpool/arena/layout"
)

// Model is all that there is to say about the format's bytes.
type Model struct {
	Structs []Struct
	Consts  []ConstGroup
	Words   []Word
}

// Struct is one struct of the format.
type Struct struct {
	Name, C string
	Doc     string // the first paragraph of the Go comment
	Role    string // of fields that do not say otherwise: truth, derived, or empty
	Size    uintptr
	Fields  []Field
}

// Field is a member of a struct. Members without a Go name are reserved, and have a C name all the same.
type Field struct {
	Name, C string // Name is "_" for reserved words
	Type    reflect.Type
	Offset  uintptr
	Role    string // truth, derived, free or reserved
	Doc     string
	Free    string // why a change cannot be noticed, from the struct tag
}

// ConstGroup is a const declaration.
type ConstGroup struct {
	Doc    string
	Consts []Const
}

// Const is a constant of the format.
type Const struct {
	Name, C string
	Value   uint64
	Doc     string
}

// structs are the layout's structs, in the order of the file.
var structs = []any{layout.Region{}, layout.Superblock{}, layout.Control{}, layout.Slot{}, layout.Dim{}, layout.Desc{},
	layout.Ticket{}, layout.PageNode{}, layout.Slab{}, layout.NameValue{}, layout.Name{},
	layout.Ring{}, layout.RingReader{}, layout.RingEntry{}}

// Load builds the model from the compiled package and from its source in dir.
func Load(dir string) (*Model, error) {
	src, err := parse(dir)
	if err != nil {
		return nil, err
	}
	m := &Model{Words: words()}
	for _, s := range structs {
		st, err := describe(reflect.TypeOf(s), src)
		if err != nil {
			return nil, err
		}
		m.Structs = append(m.Structs, st)
	}
	m.Consts, err = src.constants(dir)
	return m, err
}

// describe joins what the compiler and the source say about a struct.
func describe(t reflect.Type, src *source) (Struct, error) {
	ast, ok := src.structs[t.Name()]
	if !ok || len(ast.fields) != t.NumField() {
		return Struct{}, fmt.Errorf("render: struct %s is not in the source as compiled", t.Name())
	}
	s := Struct{Name: t.Name(), C: snake(t.Name()), Doc: ast.doc, Role: roleOf(ast.doc), Size: t.Size()}
	reserved := 0
	for i := range t.NumField() {
		f := t.Field(i)
		m := Field{Name: f.Name, C: snake(f.Name), Type: f.Type, Offset: f.Offset, Doc: ast.fields[i], Free: f.Tag.Get("free")}
		if f.Name == "_" {
			m.C = fmt.Sprintf("reserved%d", reserved)
			reserved++
		}
		m.Role, m.Doc = fieldRole(s.Role, m)
		s.Fields = append(s.Fields, m)
	}
	return s, nil
}

// roleOf finds what a struct's comment says about all of its fields.
func roleOf(doc string) string {
	switch {
	case strings.Contains(doc, "Shared, truth"):
		return "truth"
	case strings.Contains(doc, "Shared, derived"):
		return "derived"
	}
	return ""
}

// fieldRole returns what a field is, and its comment without the word that says so. A field with a free tag is free
// unless its comment says that it is something else at times.
func fieldRole(all string, f Field) (role, doc string) {
	if f.Name == "_" || f.Name == "Reserved" {
		return "reserved", "zero"
	}
	for _, r := range []string{"truth", "derived"} {
		if rest, ok := strings.CutPrefix(f.Doc, r+": "); ok {
			return r, rest
		}
	}
	if f.Free != "" {
		return "free", f.Doc
	}
	return all, f.Doc
}

// cNames are the C names that the rule would make ugly, and those that would be too general in C.
var cNames = map[string]string{"DType": "dtype", "NDim": "ndim", "PidNS": "pid_ns", "Version": "version"}

// snake returns a Go name in lower case with underscores.
func snake(name string) string {
	if c, ok := cNames[name]; ok {
		return c
	}
	var b strings.Builder
	for i, r := range name {
		if unicode.IsUpper(r) && i > 0 {
			b.WriteByte('_')
		}
		b.WriteRune(unicode.ToLower(r))
	}
	return b.String()
}

// macro returns the C macro of a Go constant.
func macro(name string) string {
	if name == "Version" {
		name = "FormatVersion" // libraries have versions of their own
	}
	return "NDPOOL_" + strings.ToUpper(snake(name))
}
