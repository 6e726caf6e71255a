package handle

import (
	"encoding/binary"
	"log/slog"
)

// Ticket names one transfer in flight: the index of its record (bits 0-31) and a nonce (bits 32-63) that tells this use
// of the record from all others. No ticket in flight has nonce 0, so that the zero Ticket is none.
//
// In binary it is 8 bytes, little-endian; in text 16 hexadecimal digits in lower case, the nonce first.
type Ticket uint64

// NewTicket packs a ticket.
func NewTicket(index, nonce uint32) Ticket {
	return Ticket(index) | Ticket(nonce)<<32
}

// ParseTicket reads what String returns, and nothing else.
func ParseTicket(s string) (Ticket, error) {
	w, err := parseHex("ticket", s)
	return Ticket(w), err
}

// Index returns the index of the ticket's record.
func (t Ticket) Index() uint32 { return uint32(t) }

// Nonce returns the number of this use of the record.
func (t Ticket) Nonce() uint32 { return uint32(t >> 32) }

// IsZero tells whether t is the zero Ticket, that is, whether there is none.
func (t Ticket) IsZero() bool { return t == 0 }

// String returns 16 hexadecimal digits.
func (t Ticket) String() string { return hexString(uint64(t)) }

// LogValue returns what String returns.
func (t Ticket) LogValue() slog.Value { return slog.StringValue(t.String()) }

// AppendBinary appends 8 bytes. It never fails.
func (t Ticket) AppendBinary(b []byte) ([]byte, error) {
	return binary.LittleEndian.AppendUint64(b, uint64(t)), nil
}

// MarshalBinary returns 8 bytes. It never fails.
func (t Ticket) MarshalBinary() ([]byte, error) { return t.AppendBinary(nil) }

// UnmarshalBinary reads exactly 8 bytes.
func (t *Ticket) UnmarshalBinary(b []byte) error {
	w, err := wordOf("ticket", b)
	if err == nil {
		*t = Ticket(w)
	}
	return err
}

// AppendText appends what String returns. It never fails.
func (t Ticket) AppendText(b []byte) ([]byte, error) { return appendHex(b, uint64(t)), nil }

// MarshalText returns what String returns. It never fails.
func (t Ticket) MarshalText() ([]byte, error) { return t.AppendText(nil) }

// UnmarshalText reads what String returns, and nothing else.
func (t *Ticket) UnmarshalText(text []byte) error {
	w, err := parseHex("ticket", text)
	if err == nil {
		*t = Ticket(w)
	}
	return err
}
