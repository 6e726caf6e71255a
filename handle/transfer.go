package handle

import (
	"encoding/binary"
	"log/slog"
)

// TransferSize is the length of a transfer in binary, in bytes.
const TransferSize = 2 * wordSize

// Transfer is what one process sends another to hand an array over, when both know the segment. It may be adopted once.
//
// In binary it is 16 bytes: the handle, then the ticket. In text it is both in digits with a colon between them.
type Transfer struct {
	Handle Handle
	Ticket Ticket
}

// ParseTransfer reads what String returns, and nothing else.
func ParseTransfer(s string) (t Transfer, err error) {
	err = t.UnmarshalText([]byte(s))
	return t, err
}

// IsZero tells whether t names nothing at all.
func (t Transfer) IsZero() bool { return t == Transfer{} }

// String returns the handle, a colon and the ticket.
func (t Transfer) String() string {
	b, _ := t.AppendText(make([]byte, 0, 2*wordDigits+1))
	return string(b)
}

// LogValue returns a group of the handle and the ticket.
func (t Transfer) LogValue() slog.Value {
	return slog.GroupValue(slog.String("handle", t.Handle.String()), slog.String("ticket", t.Ticket.String()))
}

// AppendBinary appends 16 bytes. It never fails.
func (t Transfer) AppendBinary(b []byte) ([]byte, error) {
	b = binary.LittleEndian.AppendUint64(b, uint64(t.Handle))
	return binary.LittleEndian.AppendUint64(b, uint64(t.Ticket)), nil
}

// MarshalBinary returns 16 bytes. It never fails.
func (t Transfer) MarshalBinary() ([]byte, error) { return t.AppendBinary(nil) }

// UnmarshalBinary reads exactly 16 bytes.
func (t *Transfer) UnmarshalBinary(b []byte) error {
	if len(b) != TransferSize {
		return invalidLen("bytes of transfer", len(b), TransferSize)
	}
	t.Handle = Handle(binary.LittleEndian.Uint64(b))
	t.Ticket = Ticket(binary.LittleEndian.Uint64(b[wordSize:]))
	return nil
}

// AppendText appends what String returns. It never fails.
func (t Transfer) AppendText(b []byte) ([]byte, error) {
	b = append(appendHex(b, uint64(t.Handle)), ':')
	return appendHex(b, uint64(t.Ticket)), nil
}

// MarshalText returns what String returns. It never fails.
func (t Transfer) MarshalText() ([]byte, error) { return t.AppendText(nil) }

// UnmarshalText reads what String returns, and nothing else.
func (t *Transfer) UnmarshalText(text []byte) error {
	if len(text) != 2*wordDigits+1 || text[wordDigits] != ':' {
		return invalid("transfer", quoted(string(text)), "16 digits, a colon and 16 digits")
	}
	h, err := parseHex("handle", text[:wordDigits])
	if err != nil {
		return err
	}
	n, err := parseHex("ticket", text[wordDigits+1:])
	if err != nil {
		return err
	}
	*t = Transfer{Handle: Handle(h), Ticket: Ticket(n)}
	return nil
}
