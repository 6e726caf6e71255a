package dtype

import "fmt"

// FromRecord returns the structured type that has the given record, which may be anything: all that Record does not
// return for some type is refused with ErrInvalid. The bytes are copied before they are looked at, so that nobody can
// change them in between.
func FromRecord(rec []byte) (Type, error) {
	if len(rec) > MaxRecord {
		return Type{}, invalidInt("record size", len(rec), fmt.Sprintf("at most %d bytes", MaxRecord))
	}
	s := scanner{text: string(rec)}
	t, err := s.structured(1)
	if err != nil {
		return Type{}, err
	}
	if t.rec.text != s.text {
		return Type{}, invalid("record", quoted(s.text), "the one way to write it: "+quoted(t.rec.text))
	}
	return t, nil
}

// maxJSON bounds JSON that is not canonical: escapes make six bytes of one.
const maxJSON = 6 * MaxRecord

// parseJSON reads a JSON string with a text that Parse reads, or the object of a structured type.
func parseJSON(text string) (Type, error) {
	if len(text) > maxJSON {
		return Type{}, invalidInt("text size", len(text), fmt.Sprintf("at most %d bytes", maxJSON))
	}
	s := scanner{text: text}
	t, err := s.typ(1)
	if err != nil {
		return Type{}, err
	}
	return t.orError(s.end())
}

// typ reads a type: a string or an object. depth is that of the object. The string of a field may not hold
// JSON again, so that depth counts all there is.
func (s *scanner) typ(depth int) (Type, error) {
	if s.peek() == '{' {
		return s.structured(depth)
	}
	text, err := s.str()
	if err != nil {
		return Type{}, err
	}
	if depth == 1 {
		return Parse(text)
	}
	return parsePlain(text)
}

// structured reads an object with the keys itemsize, aligned and fields, of which aligned may be missing.
func (s *scanner) structured(depth int) (Type, error) {
	if depth > MaxDepth {
		return Type{}, invalidInt("nesting of structured types", depth, fmt.Sprintf("at most %d", MaxDepth))
	}
	itemsize, aligned, fields := -1, false, []Field(nil)
	seen := map[string]bool{}
	if err := s.want('{'); err != nil {
		return Type{}, err
	}
	for i := 0; ; i++ {
		key, err := s.key(i)
		if err != nil {
			return Type{}, err
		}
		if key != "" && seen[key] {
			return Type{}, s.fail("no key twice")
		}
		seen[key] = true
		switch key {
		case "itemsize":
			itemsize, err = s.number()
		case "aligned":
			aligned, err = s.boolean()
		case "fields":
			fields, err = s.fields(depth)
		case "":
			if !seen["itemsize"] || !seen["fields"] {
				return Type{}, s.fail("itemsize and fields")
			}
			return newStruct(itemsize, aligned, fields)
		default:
			err = s.fail("a value of itemsize, aligned or fields")
		}
		if err != nil {
			return Type{}, err
		}
	}
}

// key reads the i-th key of an object and its colon, "" at the end of the object. No known key is empty.
func (s *scanner) key(i int) (string, error) {
	more, err := s.next(i, '}')
	if !more || err != nil {
		return "", err
	}
	key, err := s.str()
	if err != nil {
		return "", err
	}
	if key == "" {
		return "", s.fail("a key")
	}
	return key, s.want(':')
}

func (s *scanner) boolean() (bool, error) {
	if s.peek() == 't' {
		return true, s.word("true")
	}
	return false, s.word("false")
}

// fields reads the list of fields. There may be more than MaxFields; newStruct refuses them.
func (s *scanner) fields(depth int) ([]Field, error) {
	if err := s.want('['); err != nil {
		return nil, err
	}
	var fields []Field
	for {
		more, err := s.next(len(fields), ']')
		if !more || err != nil {
			return fields, err
		}
		f, err := s.field(depth)
		if err != nil {
			return nil, err
		}
		fields = append(fields, f)
	}
}

// field reads ["name", type, offset] or ["name", type, offset, [shape]].
func (s *scanner) field(depth int) (f Field, err error) {
	if err = s.want('['); err != nil {
		return f, err
	}
	if f.Name, err = s.str(); err != nil {
		return f, err
	}
	if err = s.want(','); err != nil {
		return f, err
	}
	if f.Type, err = s.typ(depth + 1); err != nil {
		return f, err
	}
	if err = s.want(','); err != nil {
		return f, err
	}
	if f.Offset, err = s.number(); err != nil {
		return f, err
	}
	if s.peek() == ',' {
		s.pos++
		if f.Shape, err = s.shape(); err != nil {
			return f, err
		}
	}
	return f, s.want(']')
}

func (s *scanner) shape() ([]int, error) {
	if err := s.want('['); err != nil {
		return nil, err
	}
	var shape []int
	for {
		more, err := s.next(len(shape), ']')
		if !more || err != nil {
			return shape, err
		}
		d, err := s.number()
		if err != nil {
			return nil, err
		}
		shape = append(shape, d)
	}
}
