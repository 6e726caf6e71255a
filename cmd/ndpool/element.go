package main

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/ndpool/ndpool/dtype"
)

// formatter returns what writes one element of a type.
func formatter(t dtype.Type) func(b []byte) string {
	var order binary.ByteOrder = binary.LittleEndian
	if t.Order() == dtype.Big {
		order = binary.BigEndian
	}
	switch t.Kind() {
	case dtype.KindBool:
		return func(b []byte) string {
			if b[0] != 0 {
				return "True"
			}
			return "False"
		}
	case dtype.KindInt:
		return func(b []byte) string { return strconv.FormatInt(signed(b, order), 10) }
	case dtype.KindUint:
		return func(b []byte) string { return strconv.FormatUint(unsigned(b, order), 10) }
	case dtype.KindFloat:
		return func(b []byte) string { return float(b, order) }
	case dtype.KindComplex:
		return func(b []byte) string { return complexText(b, order) }
	case dtype.KindDatetime, dtype.KindTimedelta:
		return func(b []byte) string { return timeText(signed(b, order)) }
	case dtype.KindBytes:
		return func(b []byte) string { return "b" + quote(bytesText(bytes.TrimRight(b, "\x00"))) }
	case dtype.KindUnicode:
		return func(b []byte) string { return quote(unicodeText(b, order)) }
	}
	if t.IsStructured() {
		return structFormatter(t)
	}
	return func(b []byte) string {
		if len(b) > 16 {
			return fmt.Sprintf("b'%x...'", b[:16])
		}
		return fmt.Sprintf("b'%x'", b)
	}
}

// structFormatter writes the fields as a tuple.
func structFormatter(t dtype.Type) func(b []byte) string {
	fields := t.Fields()
	elements := make([]func([]byte) string, len(fields))
	for k, f := range fields {
		elements[k] = formatter(f.Type)
	}
	return func(b []byte) string {
		var s []string
		for k, f := range fields {
			s = append(s, subArray(b[f.Offset:f.Offset+f.Size()], f.Type.Size(), f.Shape, elements[k]))
		}
		if len(s) == 1 {
			return "(" + s[0] + ",)"
		}
		return "(" + strings.Join(s, ", ") + ")"
	}
}

// subArray writes the values of a field, of each dimension the first few.
func subArray(b []byte, size int, shape []int, element func([]byte) string) string {
	if len(shape) == 0 {
		return element(b)
	}
	var s []string
	for i := range shape[0] {
		if i == 2*edge {
			s = append(s, "...")
			break
		}
		step := len(b) / shape[0]
		s = append(s, subArray(b[i*step:(i+1)*step], size, shape[1:], element))
	}
	return "[" + strings.Join(s, ", ") + "]"
}

func unsigned(b []byte, o binary.ByteOrder) uint64 {
	switch len(b) {
	case 1:
		return uint64(b[0])
	case 2:
		return uint64(o.Uint16(b))
	case 4:
		return uint64(o.Uint32(b))
	}
	return o.Uint64(b)
}

func signed(b []byte, o binary.ByteOrder) int64 {
	shift := 64 - 8*len(b)
	return int64(unsigned(b, o)<<shift) >> shift
}

// float writes the shortest number that reads back as the same one of its width.
func float(b []byte, o binary.ByteOrder) string {
	switch len(b) {
	case 2:
		return half(o.Uint16(b))
	case 4:
		return floatText(float64(math.Float32frombits(o.Uint32(b))), 32)
	}
	return floatText(math.Float64frombits(o.Uint64(b)), 64)
}

func floatText(f float64, width int) string {
	switch {
	case math.IsNaN(f):
		return "nan"
	case math.IsInf(f, 1):
		return "inf"
	case math.IsInf(f, -1):
		return "-inf"
	}
	format := byte('f')
	if a := math.Abs(f); a != 0 && (a < 1e-4 || a >= 1e16) {
		format = 'e'
	}
	s := strconv.FormatFloat(f, format, -1, width)
	if !strings.ContainsAny(s, ".e") {
		s += "."
	}
	return s
}

// half writes a float16. Few digits tell one from its neighbours: the shortest that reads back is looked for.
func half(bits uint16) string {
	f := halfToFloat(bits)
	if f == 0 || math.IsInf(f, 0) || math.IsNaN(f) {
		return floatText(f, 32)
	}
	up, down := halfToFloat(bits+1), halfToFloat(bits-1)
	for digits := 1; digits < 6; digits++ {
		g, _ := strconv.ParseFloat(strconv.FormatFloat(f, 'g', digits, 64), 64)
		if d := math.Abs(g - f); d < math.Abs(up-f)/2 && d < math.Abs(down-f)/2 {
			return floatText(g, 64)
		}
	}
	return floatText(f, 64)
}

// halfToFloat returns the value of a float16: sign, 5 bits of exponent, 10 bits of fraction.
func halfToFloat(bits uint16) float64 {
	sign := 1.0
	if bits>>15 != 0 {
		sign = -1
	}
	exp, frac := int(bits>>10&0x1f), float64(bits&0x3ff)
	switch exp {
	case 0:
		return sign * math.Ldexp(frac, -24)
	case 0x1f:
		if frac != 0 {
			return math.NaN()
		}
		return math.Inf(int(sign))
	}
	return sign * math.Ldexp(1024+frac, exp-25)
}

func complexText(b []byte, o binary.ByteOrder) string {
	re, im := float(b[:len(b)/2], o), float(b[len(b)/2:], o)
	if im[0] != '-' {
		im = "+" + im
	}
	return re + im + "j"
}

// timeText writes a point or a length of time as the number of units that it is; the dtype names the unit.
func timeText(n int64) string {
	if n == math.MinInt64 {
		return "NaT"
	}
	return strconv.FormatInt(n, 10)
}

func bytesText(b []byte) string {
	var s strings.Builder
	for _, c := range b {
		if c < ' ' || c > '~' {
			fmt.Fprintf(&s, `\x%02x`, c)
		} else {
			s.WriteByte(c)
		}
	}
	return s.String()
}

func unicodeText(b []byte, o binary.ByteOrder) string {
	var s strings.Builder
	for n := len(b); n >= 4 && o.Uint32(b[n-4:]) == 0; n = len(b) {
		b = b[:n-4]
	}
	for ; len(b) >= 4; b = b[4:] {
		c := o.Uint32(b)
		if c > 0x10ffff || c >= 0xd800 && c < 0xe000 {
			fmt.Fprintf(&s, `\U%08x`, c)
			continue
		}
		s.WriteRune(rune(c))
	}
	return clean(s.String())
}

// quote puts a text between quotes, and bounds it.
func quote(s string) string {
	return "'" + cut(strings.NewReplacer("\n", `\n`, "'", `\'`).Replace(s), 60) + "'"
}
