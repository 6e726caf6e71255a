package dtype

import (
	"strconv"
	"unicode/utf8"
)

// String returns numpy's dtype.str, such as "<f4" or "|S5", and the record of a structured type. Parse reads it back.
func (t Type) String() string {
	switch {
	case !t.IsValid():
		return "invalid"
	case t.rec != nil:
		return t.rec.text
	}
	return string(t.appendText(nil))
}

// Record returns the record of a structured type, as it is stored in a block, and nil for all other types.
func (t Type) Record() []byte {
	if t.rec == nil {
		return nil
	}
	return []byte(t.rec.text)
}

// RecordSize returns the length of the record in bytes, 0 for types without fields.
func (t Type) RecordSize() int {
	if t.rec == nil {
		return 0
	}
	return len(t.rec.text)
}

// AppendRecord appends what Record returns.
func (t Type) AppendRecord(b []byte) []byte {
	if t.rec == nil {
		return b
	}
	return append(b, t.rec.text...)
}

// AppendText appends what String returns. It fails for the zero Type.
func (t Type) AppendText(b []byte) ([]byte, error) {
	if !t.IsValid() {
		return b, invalid("type", "the zero Type", "a valid type")
	}
	return t.appendText(b), nil
}

// MarshalText returns what String returns. It fails for the zero Type.
func (t Type) MarshalText() ([]byte, error) { return t.AppendText(nil) }

// UnmarshalText reads what Parse reads.
func (t *Type) UnmarshalText(text []byte) error {
	u, err := Parse(string(text))
	if err == nil {
		*t = u
	}
	return err
}

// MarshalJSON returns a JSON string, or the record, which is a JSON object, of a structured type. It fails for the zero Type.
func (t Type) MarshalJSON() ([]byte, error) {
	if !t.IsValid() || t.rec != nil {
		return t.AppendText(nil)
	}
	return append(t.appendText([]byte{'"'}), '"'), nil
}

// UnmarshalJSON reads a JSON string with a text that Parse reads, or the object of a structured type.
func (t *Type) UnmarshalJSON(data []byte) error {
	u, err := parseJSON(string(data))
	if err == nil {
		*t = u
	}
	return err
}

func (t Type) appendText(b []byte) []byte {
	if t.rec != nil {
		return append(b, t.rec.text...)
	}
	b = append(b, t.Order().String()...)
	b = append(b, byte(t.Kind()))
	if t.Kind() == KindUnicode {
		return strconv.AppendInt(b, int64(t.Size()/4), 10)
	}
	b = strconv.AppendInt(b, int64(t.Size()), 10)
	if t.Unit() == Generic {
		return b
	}
	b = append(b, '[')
	if t.Multiple() != 1 {
		b = strconv.AppendInt(b, int64(t.Multiple()), 10)
	}
	b = append(b, t.Unit().String()...)
	return append(b, ']')
}

// appendText writes the record as the package documentation tells.
func (r *record) appendText(b []byte, itemsize int) []byte {
	b = append(b, `{"itemsize":`...)
	b = strconv.AppendInt(b, int64(itemsize), 10)
	if r.aligned {
		b = append(b, `,"aligned":true`...)
	}
	b = append(b, `,"fields":[`...)
	for i := range r.fields {
		if i > 0 {
			b = append(b, ',')
		}
		b = r.fields[i].appendText(b)
	}
	return append(b, "]}"...)
}

func (f *Field) appendText(b []byte) []byte {
	b = append(b, '[')
	b = appendString(b, f.Name)
	b = append(b, ',')
	if f.Type.rec != nil {
		b = append(b, f.Type.rec.text...)
	} else {
		b = append(f.Type.appendText(append(b, '"')), '"')
	}
	b = append(b, ',')
	b = strconv.AppendInt(b, int64(f.Offset), 10)
	if len(f.Shape) > 0 {
		b = appendShape(append(b, ','), f.Shape)
	}
	return append(b, ']')
}

func appendShape(b []byte, shape []int) []byte {
	for i, d := range shape {
		b = append(b, "[,"[min(i, 1)])
		b = strconv.AppendInt(b, int64(d), 10)
	}
	return append(b, ']')
}

// escapes are the bytes that have an escape of one letter. Other bytes below 0x20 are written as \u00xx.
var escapes = [utf8.RuneSelf]byte{'"': '"', '\\': '\\', '\b': 'b', '\f': 'f', '\n': 'n', '\r': 'r', '\t': 't'}

// appendString writes a JSON string with the fewest escapes. Precondition: s is valid UTF-8.
func appendString(b []byte, s string) []byte {
	const digits = "0123456789abcdef"
	b = append(b, '"')
	for i := range len(s) {
		switch c := s[i]; {
		case c < utf8.RuneSelf && escapes[c] != 0:
			b = append(b, '\\', escapes[c])
		case c < ' ':
			b = append(b, '\\', 'u', '0', '0', digits[c>>4], digits[c&15])
		default:
			b = append(b, c)
		}
	}
	return append(b, '"')
}
