package handle

import (
	"encoding/binary"
	"log/slog"
)

const (
	segmentSize   = 16 // bytes
	segmentDigits = 2 * segmentSize
)

// Segment is the random id of a segment. In text it is 32 hexadecimal digits in lower case, the first byte first.
type Segment [segmentSize]byte

// ParseSegment reads what String returns, and nothing else.
func ParseSegment(s string) (id Segment, err error) {
	err = id.UnmarshalText([]byte(s))
	return id, err
}

// IsZero tells whether all bytes are 0, as in an id that was never set.
func (s Segment) IsZero() bool { return s == Segment{} }

// String returns 32 hexadecimal digits.
func (s Segment) String() string {
	b, _ := s.AppendText(make([]byte, 0, segmentDigits))
	return string(b)
}

// LogValue returns what String returns.
func (s Segment) LogValue() slog.Value { return slog.StringValue(s.String()) }

// AppendText appends what String returns. It never fails.
func (s Segment) AppendText(b []byte) ([]byte, error) {
	b = appendHex(b, binary.BigEndian.Uint64(s[:]))
	return appendHex(b, binary.BigEndian.Uint64(s[wordSize:])), nil
}

// MarshalText returns what String returns. It never fails.
func (s Segment) MarshalText() ([]byte, error) { return s.AppendText(nil) }

// UnmarshalText reads what String returns, and nothing else.
func (s *Segment) UnmarshalText(text []byte) error {
	if len(text) != segmentDigits {
		return invalidLen("digits of segment", len(text), segmentDigits)
	}
	hi, err := parseHex("segment", text[:wordDigits])
	if err != nil {
		return err
	}
	lo, err := parseHex("segment", text[wordDigits:])
	if err != nil {
		return err
	}
	binary.BigEndian.PutUint64(s[:], hi)
	binary.BigEndian.PutUint64(s[wordSize:], lo)
	return nil
}
