package handle

import (
	"encoding/binary"
	"log/slog"
)

// Handle names an array of one segment: the offset of its descriptor in granules of 64 bytes (bits 0-31) and the
// generation of the descriptor (bits 32-63). No descriptor has generation 0, so that the zero Handle names nothing.
//
// In binary it is 8 bytes, little-endian; in text 16 hexadecimal digits in lower case, the generation first.
type Handle uint64

// New packs a handle. granule is the descriptor's offset in the segment in units of 64 bytes.
func New(granule, generation uint32) Handle {
	return Handle(granule) | Handle(generation)<<32
}

// ParseHandle reads what String returns, and nothing else.
func ParseHandle(s string) (Handle, error) {
	w, err := parseHex("handle", s)
	return Handle(w), err
}

// Granule returns the offset of the descriptor in the segment, in units of 64 bytes.
func (h Handle) Granule() uint32 { return uint32(h) }

// Generation returns the generation of the descriptor, 0 if the handle names nothing.
func (h Handle) Generation() uint32 { return uint32(h >> 32) }

// IsZero tells whether h is the zero Handle.
func (h Handle) IsZero() bool { return h == 0 }

// String returns 16 hexadecimal digits.
func (h Handle) String() string { return hexString(uint64(h)) }

// LogValue returns what String returns.
func (h Handle) LogValue() slog.Value { return slog.StringValue(h.String()) }

// AppendBinary appends 8 bytes. It never fails.
func (h Handle) AppendBinary(b []byte) ([]byte, error) {
	return binary.LittleEndian.AppendUint64(b, uint64(h)), nil
}

// MarshalBinary returns 8 bytes. It never fails.
func (h Handle) MarshalBinary() ([]byte, error) { return h.AppendBinary(nil) }

// UnmarshalBinary reads exactly 8 bytes.
func (h *Handle) UnmarshalBinary(b []byte) error {
	w, err := wordOf("handle", b)
	if err == nil {
		*h = Handle(w)
	}
	return err
}

// AppendText appends what String returns. It never fails.
func (h Handle) AppendText(b []byte) ([]byte, error) { return appendHex(b, uint64(h)), nil }

// MarshalText returns what String returns. It never fails.
func (h Handle) MarshalText() ([]byte, error) { return h.AppendText(nil) }

// UnmarshalText reads what String returns, and nothing else.
func (h *Handle) UnmarshalText(text []byte) error {
	w, err := parseHex("handle", text)
	if err == nil {
		*h = Handle(w)
	}
	return err
}
