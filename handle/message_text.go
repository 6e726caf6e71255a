package handle

import (
	"bytes"
	"encoding/base64"
	"strconv"
	"strings"
)

const (
	textScheme = "ndpool1"
	noTicket   = "-" // stands where a ticket would, when a view follows

	// MaxTextSize is the largest size of a message as text, in bytes.
	MaxTextSize = len(textScheme) + 1 + segmentDigits + 2*(1+wordDigits) + 1 + (MaxViewSize*4+2)/3
)

// viewText is base64 for URLs, without padding. Strict refuses bits that mean nothing, but line ends must be refused apart.
var viewText = base64.RawURLEncoding.Strict()

// ParseMessage reads what String returns, and nothing else.
func ParseMessage(s string) (m Message, err error) {
	err = m.UnmarshalText([]byte(s))
	return m, err
}

// String returns what MarshalText returns, or the reason why it fails, between brackets.
func (m Message) String() string {
	b, err := m.MarshalText()
	if err != nil {
		return "invalid(" + err.Error() + ")"
	}
	return string(b)
}

// MarshalText returns the message in one line without spaces: parts with a colon between them.
//
//	ndpool1:<segment>:<handle>                   a bare handle
//	ndpool1:<segment>:<handle>:<ticket>          a transfer
//	ndpool1:<segment>:<handle>:<ticket>:<view>   a transfer with a view
//	ndpool1:<segment>:<handle>:-:<view>          a bare handle with a view
//
// Segment, handle and ticket are 32, 16 and 16 hexadecimal digits in lower case. The view is its binary form in base64 for
// URLs without padding. It fails for a message that Validate refuses.
func (m Message) MarshalText() ([]byte, error) { return m.AppendText(nil) }

// AppendText appends what MarshalText returns. If it fails, it returns b as it was.
func (m Message) AppendText(b []byte) ([]byte, error) {
	if err := m.Validate(); err != nil {
		return b, err
	}
	b = append(append(b, textScheme...), ':')
	b, _ = m.Segment.AppendText(b)
	b = appendHex(append(b, ':'), uint64(m.Handle))
	if m.Ticket != 0 {
		b = appendHex(append(b, ':'), uint64(m.Ticket))
	}
	if m.View == nil {
		return b, nil
	}
	if m.Ticket == 0 {
		b = append(append(b, ':'), noTicket...)
	}
	view, err := m.View.MarshalBinary()
	return viewText.AppendEncode(append(b, ':'), view), err
}

// UnmarshalText reads what MarshalText returns, and nothing else.
func (m *Message) UnmarshalText(text []byte) error {
	if len(text) > MaxTextSize {
		return invalid("characters of message", strconv.Itoa(len(text)), "at most "+strconv.Itoa(MaxTextSize))
	}
	parts := strings.Split(string(text), ":")
	if len(parts) < 3 || len(parts) > 5 || parts[0] != textScheme {
		return invalid("message", quoted(string(text)), textScheme+" and 2 to 4 parts after colons")
	}
	msg, err := parseParts(parts[1:])
	if err == nil {
		err = msg.validateWords()
	}
	if err == nil {
		*m = msg
	}
	return err
}

// parseParts reads segment, handle, ticket and view. Precondition: there are at least two.
func parseParts(parts []string) (m Message, err error) {
	if m.Segment, err = ParseSegment(parts[0]); err != nil {
		return m, err
	}
	if m.Handle, err = ParseHandle(parts[1]); err != nil {
		return m, err
	}
	if len(parts) == 4 {
		if m.View, err = parseView(parts[3]); err != nil {
			return m, err
		}
	}
	if len(parts) == 2 || len(parts) == 4 && parts[2] == noTicket {
		return m, nil
	}
	if m.Ticket, err = ParseTicket(parts[2]); err == nil && m.Ticket == 0 {
		err = invalid("ticket", m.Ticket.String(), "none, or one that is not zero")
	}
	return m, err
}

func parseView(s string) (*View, error) {
	b := []byte(s)
	if bytes.ContainsAny(b, "\r\n") {
		return nil, invalid("view", quoted(s), "base64 in one line")
	}
	b, err := viewText.AppendDecode(nil, b)
	if err != nil {
		return nil, invalid("view", quoted(s), "base64 for URLs without padding")
	}
	v := new(View)
	return v, v.UnmarshalBinary(b)
}
