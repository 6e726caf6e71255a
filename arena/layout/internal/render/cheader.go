package render

import (
	"fmt"
	"math"
	"reflect"
	"strings"

	"github.com/ndpool/ndpool/arena/layout"
	"github.com/ndpool/ndpool/internal/shm"
)

const cTop = `/*
 * Code generated from the Go package arena/layout by gen/format; DO NOT EDIT.
 *
 * The format of an ndpool segment: every byte of it. What the fields mean is in docs/FORMAT.md, the rules by which they
 * change in docs/PROTOCOL.md. Words of the segment are shm_u64 and shm_u32, which only the functions of internal/shm.h reach;
 * all numbers are little-endian.
 */
#ifndef NDPOOL_LAYOUT_H
#define NDPOOL_LAYOUT_H

#include <assert.h>
#include <stddef.h>
#include <stdint.h>

#include "internal/shm.h"
`

// Header returns the C11 header.
func (m *Model) Header() []byte {
	var b strings.Builder
	b.WriteString(cTop)
	fmt.Fprintf(&b, "\n/* xxhash64 of the format's description; a segment of another one is refused */\n")
	fmt.Fprintf(&b, "#define NDPOOL_FINGERPRINT UINT64_C(0x%016x)\n", m.Fingerprint())
	fmt.Fprintf(&b, "\n/* first eight bytes of a segment */\n#define NDPOOL_MAGIC \"%s\"\n", cString(layout.Magic[:]))
	for _, g := range m.Consts {
		g.define(&b)
	}
	for i, w := range m.Words {
		w.define(&b, m.Words[:i])
	}
	for _, s := range m.Structs {
		s.define(&b)
	}
	classTable(&b)
	b.WriteString("\n#endif /* NDPOOL_LAYOUT_H */\n")
	return []byte(b.String())
}

func (g ConstGroup) define(b *strings.Builder) {
	b.WriteByte('\n')
	if g.Doc != "" {
		b.WriteString(block(g.Doc))
	}
	for _, c := range g.Consts {
		fmt.Fprintf(b, "#define %-30s %s%s\n", c.C, cNumber(c.Value), trailing(c.Doc))
	}
}

// define writes the places of a word's parts. The two forms of an extent share some; those are written once.
func (w Word) define(b *strings.Builder, before []Word) {
	fmt.Fprintf(b, "\n/* %s (%s) */\n", w.Name, w.Where)
	for _, p := range w.Parts {
		name := w.cName(p)
		if defined(before, name) {
			continue
		}
		fmt.Fprintf(b, "#define %-34s %d%s\n", name+"_SHIFT", p.Shift, trailing(p.Doc))
		fmt.Fprintf(b, "#define %-34s %s\n", name+"_MASK", cMask(p.Mask(), w.Width))
	}
}

func defined(words []Word, name string) bool {
	for _, w := range words {
		for _, p := range w.Parts {
			if w.cName(p) == name {
				return true
			}
		}
	}
	return false
}

// define writes a struct and asserts all of its places.
func (s Struct) define(b *strings.Builder) {
	fmt.Fprintf(b, "\n%stypedef struct ndpool_%s {\n", block(s.Doc), s.C)
	for _, f := range s.Fields {
		fmt.Fprintf(b, "    %s;%s\n", declare(f), trailing(f.Doc))
	}
	fmt.Fprintf(b, "} ndpool_%s;\n", s.C)
	fmt.Fprintf(b, "_Static_assert(sizeof(ndpool_%s) == %d, \"size of %s\");\n", s.C, s.Size, s.C)
	for _, f := range s.Fields {
		fmt.Fprintf(b, "_Static_assert(offsetof(ndpool_%s, %s) == %d, \"offset of %s.%s\");\n", s.C, f.C, f.Offset, s.C, f.C)
	}
}

// declare returns the C declaration of a field.
func declare(f Field) string {
	if f.Type.Kind() == reflect.Array {
		return fmt.Sprintf("%s %s[%d]", cType(f.Type.Elem()), f.C, f.Type.Len())
	}
	return cType(f.Type) + " " + f.C
}

var cTypes = map[reflect.Type]string{
	reflect.TypeFor[shm.U64](): "shm_u64", reflect.TypeFor[shm.U32](): "shm_u32",
	reflect.TypeFor[uint64](): "uint64_t", reflect.TypeFor[uint32](): "uint32_t", reflect.TypeFor[uint16](): "uint16_t",
	reflect.TypeFor[uint8](): "uint8_t", reflect.TypeFor[int64](): "int64_t", reflect.TypeFor[layout.Region](): "ndpool_region",
	reflect.TypeFor[layout.Dim](): "ndpool_dim", reflect.TypeFor[layout.NameValue](): "ndpool_name_value",
}

func cType(t reflect.Type) string {
	c, ok := cTypes[t]
	if !ok {
		panic(fmt.Sprintf("render: no C type for %v", t))
	}
	return c
}

// typeName returns the type as the tables and the canonical text show it.
func typeName(t reflect.Type) string {
	if t.Kind() == reflect.Array {
		return fmt.Sprintf("%s[%d]", typeName(t.Elem()), t.Len())
	}
	return strings.Replace(strings.TrimSuffix(cType(t), "_t"), "shm_u", "uint", 1)
}

func classTable(b *strings.Builder) {
	b.WriteString("\n/* Size classes of the slabs, by class; class 0 is none. */\n")
	b.WriteString("typedef struct ndpool_class {\n    uint16_t size;   /* bytes of a block */\n    uint16_t pages;  /* of a slab */\n    uint16_t blocks; /* in a slab */\n} ndpool_class;\n")
	b.WriteString("static const ndpool_class ndpool_classes[NDPOOL_NUM_CLASSES + 1] = {\n")
	for _, c := range layout.Classes {
		fmt.Fprintf(b, "    {%d, %d, %d},\n", c.Size, c.Pages, c.Blocks)
	}
	b.WriteString("};\n\n/* The class by size in granules, rounded up. */\n")
	b.WriteString("static const uint8_t ndpool_class_of[NDPOOL_MAX_CLASS_SIZE / NDPOOL_GRANULE + 1] = {")
	for g := 0; g <= layout.MaxClassSize/layout.Granule; g++ {
		if g%16 == 0 {
			b.WriteString("\n   ")
		}
		fmt.Fprintf(b, " %d,", layout.ClassOf(uint64(g)*layout.Granule))
	}
	b.WriteString("\n};\n")
}

func cNumber(v uint64) string {
	switch {
	case v > math.MaxInt32:
		return fmt.Sprintf("UINT64_C(%#x)", v)
	case v == layout.ByteOrder:
		return fmt.Sprintf("%#x", v)
	}
	return fmt.Sprint(v)
}

func cMask(v uint64, width int) string {
	if width == 32 {
		return fmt.Sprintf("UINT32_C(%#x)", v)
	}
	return fmt.Sprintf("UINT64_C(%#x)", v)
}

// cString writes every byte that is no letter as an octal escape, which ends after three digits.
func cString(bytes []byte) string {
	var b strings.Builder
	for _, c := range bytes {
		if c >= 'a' && c <= 'z' {
			b.WriteByte(c)
		} else {
			fmt.Fprintf(&b, "\\%03o", c)
		}
	}
	return b.String()
}

// block returns a comment of its own lines, wrapped.
func block(doc string) string {
	const width = 112
	var b strings.Builder
	b.WriteString("/*")
	at := 2
	for w := range strings.FieldsSeq(doc) {
		if at+1+len(w) > width {
			b.WriteString("\n *")
			at = 2
		}
		b.WriteString(" " + w)
		at += 1 + len(w)
	}
	return b.String() + " */\n"
}

func trailing(doc string) string {
	if doc == "" {
		return ""
	}
	return " /* " + doc + " */"
}
