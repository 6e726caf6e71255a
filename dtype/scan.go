package dtype

import (
	"strconv"
	"strings"
	"unicode/utf8"
)

// scanner reads the JSON of structured types, and no other JSON: strings, natural numbers, and arrays and objects whose
// members are known. It allows spaces wherever JSON does. Local.
type scanner struct {
	text string
	pos  int
}

// peek skips spaces and returns the next byte, 0 at the end.
func (s *scanner) peek() byte {
	for s.pos < len(s.text) && strings.IndexByte(" \t\r\n", s.text[s.pos]) >= 0 {
		s.pos++
	}
	if s.pos == len(s.text) {
		return 0
	}
	return s.text[s.pos]
}

// fail tells what was expected here.
func (s *scanner) fail(want string) error {
	got := "the end"
	if s.pos < len(s.text) {
		got = quoted(s.text[s.pos:])
	}
	return invalid("structured type at byte "+strconv.Itoa(s.pos), got, want)
}

// want reads the byte c.
func (s *scanner) want(c byte) error {
	if s.peek() != c || c == 0 {
		return s.fail(strconv.Quote(string(rune(c))))
	}
	s.pos++
	return nil
}

// next reads what comes before the i-th member of a list that ends with end: nothing or a comma, or the end itself.
func (s *scanner) next(i int, end byte) (more bool, err error) {
	if s.peek() == end {
		s.pos++
		return false, nil
	}
	if i == 0 {
		return true, nil
	}
	return true, s.want(',')
}

// number reads a number from 0 to MaxSize.
func (s *scanner) number() (int, error) {
	s.peek()
	end := s.pos
	for end < len(s.text) && s.text[end]-'0' <= 9 {
		end++
	}
	n, ok := parseSize(s.text[s.pos:end])
	if !ok {
		return 0, s.fail("a number from 0 to 2147483647")
	}
	s.pos = end
	return n, nil
}

// word reads exactly w.
func (s *scanner) word(w string) error {
	s.peek()
	if !strings.HasPrefix(s.text[s.pos:], w) {
		return s.fail(w)
	}
	s.pos += len(w)
	return nil
}

// str reads a string.
func (s *scanner) str() (string, error) {
	if err := s.want('"'); err != nil {
		return "", err
	}
	var b []byte
	for start := s.pos; s.pos < len(s.text); {
		switch c := s.text[s.pos]; {
		case c == '"':
			b = append(b, s.text[start:s.pos]...)
			s.pos++
			return s.valid(b)
		case c < ' ':
			return "", s.fail("no bare control characters in a string")
		case c != '\\':
			s.pos++
		default:
			b = append(b, s.text[start:s.pos]...)
			r, err := s.escape()
			if err != nil {
				return "", err
			}
			b, start = utf8.AppendRune(b, r), s.pos
		}
	}
	return "", s.fail("the end of a string")
}

func (s *scanner) valid(b []byte) (string, error) {
	if !utf8.Valid(b) {
		return "", invalid("string in a structured type", quoted(string(b)), "valid UTF-8")
	}
	return string(b), nil
}

// escape reads a backslash and what follows it.
func (s *scanner) escape() (rune, error) {
	if s.pos+1 == len(s.text) {
		return 0, s.fail("an escape")
	}
	i := strings.IndexByte(`"\/bfnrt`, s.text[s.pos+1])
	if i >= 0 {
		s.pos += 2
		return rune("\"\\/\b\f\n\r\t"[i]), nil
	}
	return s.codePoint()
}

// codePoint reads \uXXXX, and two of them for a code point beyond the first 65536.
func (s *scanner) codePoint() (rune, error) {
	hi, ok := s.unit(0)
	if !ok || hi >= 0xdc00 && hi < 0xe000 {
		return 0, s.fail("an escape")
	}
	if hi < 0xd800 || hi >= 0xe000 {
		s.pos += 6
		return hi, nil
	}
	lo, ok := s.unit(6)
	if !ok || lo < 0xdc00 || lo >= 0xe000 {
		return 0, s.fail("two escapes that make one code point")
	}
	s.pos += 12
	return (hi-0xd800)<<10 | (lo - 0xdc00) + 0x10000, nil
}

// unit returns the number of the \uXXXX that lies off bytes ahead.
func (s *scanner) unit(off int) (rune, bool) {
	at := s.pos + off
	if at+6 > len(s.text) || s.text[at:at+2] != `\u` {
		return 0, false
	}
	n, err := strconv.ParseUint(s.text[at+2:at+6], 16, 16)
	return rune(n), err == nil
}

// end checks that nothing but spaces follows.
func (s *scanner) end() error {
	if s.peek(); s.pos != len(s.text) {
		return s.fail("the end")
	}
	return nil
}
