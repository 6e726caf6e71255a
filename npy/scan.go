package npy

import (
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"
)

// scanner reads the Python literals of a header, and no others: strings, natural numbers, True and False, tuples of numbers,
// and what is made of these. Local.
type scanner struct {
	text string // valid UTF-8
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
	return &Error{What: fmt.Sprint("header at byte ", s.pos), Got: got, Want: want, Err: ErrFormat}
}

// want reads the byte c.
func (s *scanner) want(c byte) error {
	if s.peek() != c {
		return s.fail(strconv.Quote(string(rune(c))))
	}
	s.pos++
	return nil
}

// next reads what comes before the i-th member of something that ends with end: nothing or a comma, or the end itself,
// before which there may be a comma.
func (s *scanner) next(i int, end byte) (more bool, err error) {
	if i > 0 && s.peek() != end {
		if err := s.want(','); err != nil {
			return false, err
		}
	}
	if s.peek() == end {
		s.pos++
		return false, nil
	}
	return true, nil
}

// word reads one of two words, and tells whether it was the first.
func (s *scanner) word(yes, no string) (bool, error) {
	s.peek()
	for _, w := range []string{yes, no} {
		if strings.HasPrefix(s.text[s.pos:], w) {
			s.pos += len(w)
			return w == yes, nil
		}
	}
	return false, s.fail(yes + " or " + no)
}

// number reads a number from 0 to most. Python 2 wrote an L after it at times.
func (s *scanner) number(most int) (int, error) {
	s.peek()
	end := s.pos
	for end < len(s.text) && s.text[end]-'0' <= 9 {
		end++
	}
	n, err := strconv.ParseUint(s.text[s.pos:end], 10, 64)
	if err != nil || n > uint64(most) {
		return 0, s.fail(fmt.Sprint("a number from 0 to ", most))
	}
	if s.pos = end; strings.HasPrefix(s.text[end:], "L") {
		s.pos++
	}
	return int(n), nil
}

// shape reads a tuple of at most dims numbers, each at most most. Behind the first one is always a comma: (3,) is a tuple, (3) is none.
func (s *scanner) shape(dims, most int) ([]int, error) {
	if err := s.want('('); err != nil {
		return nil, err
	}
	shape := []int{}
	for {
		more, err := s.next(len(shape), ')')
		if err != nil {
			return nil, err
		}
		if !more {
			return shape, nil
		}
		if len(shape) == dims {
			return nil, s.fail(fmt.Sprint("at most ", dims, " dimensions"))
		}
		d, err := s.number(most)
		if err != nil {
			return nil, err
		}
		shape = append(shape, d)
		if len(shape) == 1 && s.peek() != ',' {
			return nil, s.fail("a comma")
		}
	}
}

// str reads a string between single or double quotes. Python 2 wrote a u before it at times.
func (s *scanner) str() (string, error) {
	quote := s.peek()
	if quote == 'u' && s.pos+1 < len(s.text) {
		s.pos++
		quote = s.text[s.pos]
	}
	if quote != '\'' && quote != '"' {
		return "", s.fail("a string")
	}
	s.pos++
	var b []byte
	for s.pos < len(s.text) {
		switch c := s.text[s.pos]; {
		case c == quote:
			s.pos++
			return string(b), nil
		case c == '\n':
			return "", s.fail("no newline in a string")
		case c != '\\':
			b = append(b, c)
			s.pos++
		default:
			r, err := s.escape()
			if err != nil {
				return "", err
			}
			b = utf8.AppendRune(b, r)
		}
	}
	return "", s.fail("the end of a string")
}

// escape reads a backslash and what follows it, as Python's repr writes it.
func (s *scanner) escape() (rune, error) {
	if s.pos+1 == len(s.text) {
		return 0, s.fail("an escape")
	}
	c := s.text[s.pos+1]
	if i := strings.IndexByte(`\'"nrt`, c); i >= 0 {
		s.pos += 2
		return rune("\\'\"\n\r\t"[i]), nil
	}
	digits := map[byte]int{'x': 2, 'u': 4, 'U': 8}[c]
	end := s.pos + 2 + digits
	if digits == 0 || end > len(s.text) {
		return 0, s.fail("an escape")
	}
	n, err := strconv.ParseUint(s.text[s.pos+2:end], 16, 32)
	if r := rune(n); err == nil && n <= utf8.MaxRune && utf8.ValidRune(r) {
		s.pos = end
		return r, nil
	}
	return 0, s.fail("an escape of a code point")
}

// end checks that nothing but spaces follows.
func (s *scanner) end() error {
	if s.peek(); s.pos != len(s.text) {
		return s.fail("the end")
	}
	return nil
}
