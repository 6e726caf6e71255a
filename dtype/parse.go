package dtype

import (
	"fmt"
	"strconv"
	"strings"
)

// names are the spellings of numpy beside dtype.str, in this machine's byte order.
var names = map[string]Type{
	"bool": Bool,
	"int8": Int8, "int16": Int16, "int32": Int32, "int64": Int64,
	"uint8": Uint8, "uint16": Uint16, "uint32": Uint32, "uint64": Uint64,
	"float16": Float16, "float32": Float32, "float64": Float64,
	"complex64": Complex64, "complex128": Complex128,
}

// refused are the names of numpy's types that cannot be shared, with the reason.
var refused = map[string]string{
	"O": pointers, "|O": pointers, "O8": pointers, "|O8": pointers, "object": pointers, "object_": pointers,
	"T": pointers, "|T16": pointers, "StringDType()": pointers,
	"g": longDouble, "G": longDouble, "longdouble": longDouble, "clongdouble": longDouble,
	"float96": longDouble, "float128": longDouble, "complex192": longDouble, "complex256": longDouble,
}

const (
	pointers   = "a type without pointers, which mean nothing in another process"
	longDouble = "no long double, whose layout differs between machines"
)

// Parse returns the type of a text: what String returns, numpy's dtype.str with or without the order ("<f4", "f4", "=f4"),
// numpy's names ("float32", "datetime64[ns]"), and the JSON object of a structured type, in which spaces and the order of
// keys do not matter. Without an order, or with "=", numbers have this machine's order.
//
// Objects and other types that cannot be shared are refused with ErrUnsupported, all else that is no type with ErrInvalid.
func Parse(s string) (Type, error) {
	if strings.HasPrefix(strings.TrimLeft(s, " \t\r\n"), "{") {
		return parseJSON(s)
	}
	return parsePlain(s)
}

// parsePlain reads all that Parse reads but JSON.
func parsePlain(s string) (Type, error) {
	if t, ok := names[s]; ok {
		return t, nil
	}
	if why, ok := refused[s]; ok {
		return Type{}, unsupported("type", quoted(s), why)
	}
	return parseSimple(s)
}

// parseSimple reads order, kind, size and unit: "<M8[10ms]".
func parseSimple(s string) (Type, error) {
	rest := s
	if r, ok := strings.CutPrefix(s, "datetime64"); ok {
		rest = "M8" + r
	} else if r, ok := strings.CutPrefix(s, "timedelta64"); ok {
		rest = "m8" + r
	}
	order, rest := cutOrder(rest)
	if rest == "" {
		return Type{}, invalid("type", quoted(s), "a type such as \"<f4\"")
	}
	k := Kind(rest[0])
	digits, unit, timed := strings.Cut(rest[1:], "[")
	n, ok := parseSize(digits)
	if !ok {
		return Type{}, invalid("type", quoted(s), "a kind and its size, such as \"<f4\"")
	}
	if k.isTime() {
		return parseTime(s, k, order, n, unit, timed)
	}
	if timed {
		return Type{}, invalid("type", quoted(s), "no unit for kind "+quoted(k.String()))
	}
	return parseSized(s, k, order, n)
}

// cutOrder splits off the order sign, '=' if there is none.
func cutOrder(s string) (byte, string) {
	if s != "" && strings.IndexByte("<>=|", s[0]) >= 0 {
		return s[0], s[1:]
	}
	return '=', s
}

// parseSize reads a number of at most MaxSize without sign and leading zeros.
func parseSize(s string) (int, bool) {
	if s == "" || len(s) > 10 || s[0] == '0' && s != "0" || strings.Trim(s, "0123456789") != "" {
		return 0, false
	}
	n, err := strconv.ParseInt(s, 10, 64)
	return int(n), err == nil && n <= MaxSize
}

// parseSized makes a type of a kind that has no unit. As in numpy, single bytes may be written with any order.
func parseSized(s string, k Kind, order byte, n int) (Type, error) {
	if k == KindUnicode {
		if n > MaxSize/4 {
			return Type{}, invalid("type", quoted(s), fmt.Sprintf("at most %d code points", MaxSize/4))
		}
		n *= 4
	}
	if err := checkSize(k, n); err != nil {
		return Type{}, fmt.Errorf("parse %s: %w", quoted(s), err)
	}
	if !hasOrder(k, n) {
		return Type{code: pack(k, NotApplicable, 0, n)}, nil
	}
	o, err := orderOf(s, order)
	return Type{code: pack(k, o, 0, n)}.orError(err)
}

// parseTime makes a type with a unit. rest is what follows the opening bracket, if there is one.
func parseTime(s string, k Kind, order byte, size int, rest string, timed bool) (Type, error) {
	o, err := orderOf(s, order)
	if err != nil {
		return Type{}, err
	}
	if size != 8 {
		return Type{}, invalid("type", quoted(s), "8 bytes for a time")
	}
	if !timed {
		return Type{code: pack(k, o, Generic, 1)}, nil
	}
	u, n, ok := parseUnit(rest)
	if !ok {
		return Type{}, invalid("type", quoted(s), "a unit such as [ns] or [10ms]")
	}
	return Type{code: pack(k, o, u, n)}, nil
}

// parseUnit reads "10ms]" or "generic]".
func parseUnit(s string) (Unit, int, bool) {
	s, closed := strings.CutSuffix(s, "]")
	name := strings.TrimLeft(s, "0123456789")
	n, ok := 1, true
	if digits := s[:len(s)-len(name)]; digits != "" {
		n, ok = parseSize(digits)
	} else if name == "generic" {
		return Generic, 1, closed
	}
	if name == "μs" {
		name = "us"
	}
	u, known := unitNamed(name)
	return u, n, closed && ok && known && n > 0
}

func orderOf(s string, sign byte) (Order, error) {
	switch sign {
	case '<':
		return Little, nil
	case '>':
		return Big, nil
	case '=':
		return native, nil
	}
	return 0, invalid("type", quoted(s), "an order of \"<\" or \">\"")
}

// orError returns the type, or the zero Type if there is an error.
func (t Type) orError(err error) (Type, error) {
	if err != nil {
		return Type{}, err
	}
	return t, nil
}
