package handle

import (
	"encoding/binary"
	"log/slog"
	"strconv"
)

// MaxFrameSize is the largest size of a message in binary, in bytes. Without a view it has 40.
const MaxFrameSize = frameHead + payloadMax

const (
	frameMagic   = "nd"
	frameVersion = 1

	frameHead  = 8                        // bytes before the length starts to count
	payloadMin = segmentSize + 2*wordSize // bytes of a message without a view, but for the head
	payloadMax = payloadMin + MaxViewSize
	shortFrame = frameHead + payloadMin // bytes; no frame is shorter

	handleAt = frameHead + segmentSize // offsets in a frame, in bytes
	ticketAt = handleAt + wordSize
	viewAt   = ticketAt + wordSize
)

// Kinds of a frame.
const (
	kindArray = 1 // a handle, with or without a ticket
	kindView  = 2 // the same and a view record
)

// Message is what processes send each other when the segment must be told: an array, as a bare handle or with the ticket of
// a transfer, and perhaps a view of it. View is nil if the whole array is meant.
type Message struct {
	Segment Segment
	Handle  Handle
	Ticket  Ticket // 0: none, the handle is bare
	View    *View
}

// Transfer returns the handle and the ticket.
func (m Message) Transfer() Transfer { return Transfer{Handle: m.Handle, Ticket: m.Ticket} }

// Equal tells whether both messages are the same, and so are their views.
func (m Message) Equal(n Message) bool {
	if m.Segment != n.Segment || m.Transfer() != n.Transfer() || (m.View == nil) != (n.View == nil) {
		return false
	}
	return m.View == nil || m.View.Equal(*n.View)
}

// Validate returns nil if the message can be encoded: the handle has a generation, the ticket, if there is one, a nonce, and
// the view, if there is one, is valid.
func (m Message) Validate() error {
	if err := m.validateWords(); err != nil || m.View == nil {
		return err
	}
	return m.View.Validate()
}

func (m Message) validateWords() error {
	if m.Handle.Generation() == 0 {
		return invalid("handle", m.Handle.String(), "a generation other than 0")
	}
	if m.Ticket != 0 && m.Ticket.Nonce() == 0 {
		return invalid("ticket", m.Ticket.String(), "a nonce other than 0")
	}
	return nil
}

// LogValue returns a group of all fields; of the view, the element type, the shape and the offset.
func (m Message) LogValue() slog.Value {
	attrs := []slog.Attr{slog.String("segment", m.Segment.String()), slog.String("handle", m.Handle.String())}
	if m.Ticket != 0 {
		attrs = append(attrs, slog.String("ticket", m.Ticket.String()))
	}
	if v := m.View; v != nil {
		attrs = append(attrs, slog.Group("view",
			slog.String("dtype", v.DType.String()), slog.Any("shape", v.Shape), slog.Uint64("offset", v.Offset)))
	}
	return slog.GroupValue(attrs...)
}

// MarshalBinary returns the message as a frame. All numbers are little-endian.
//
//	offset  bytes  what
//	0       2      "nd"
//	2       1      version, 1
//	3       1      kind: 1 an array, 2 a view of an array
//	4       4      n, the bytes that follow the first 8: 32 for kind 1, 32 and the view record for kind 2
//	8       16     segment
//	24      8      handle: bits 0-31 granule, bits 32-63 generation, not 0
//	32      8      ticket: bits 0-31 index, bits 32-63 nonce, not 0; all 0 for a bare handle
//	40      n-32   view record, see View.MarshalBinary; only for kind 2
//
// It fails for a message that Validate refuses.
func (m Message) MarshalBinary() ([]byte, error) { return m.AppendBinary(nil) }

// AppendBinary appends what MarshalBinary returns. If it fails, it returns b as it was.
func (m Message) AppendBinary(b []byte) ([]byte, error) {
	if err := m.validateWords(); err != nil {
		return b, err
	}
	start, kind, n := len(b), byte(kindArray), payloadMin
	if m.View != nil {
		kind, n = kindView, n+m.View.BinarySize()
	}
	le := binary.LittleEndian
	b = append(b, frameMagic[0], frameMagic[1], frameVersion, kind)
	b = le.AppendUint32(b, uint32(n))
	b = append(b, m.Segment[:]...)
	b = le.AppendUint64(b, uint64(m.Handle))
	b = le.AppendUint64(b, uint64(m.Ticket))
	if m.View == nil {
		return b, nil
	}
	b, err := m.View.AppendBinary(b)
	if err != nil {
		return b[:start], err
	}
	return b, nil
}

// UnmarshalBinary reads one frame and nothing else. The message does not keep b.
func (m *Message) UnmarshalBinary(b []byte) error {
	if len(b) < frameHead {
		return frameError("bytes of message", len(b), "at least "+strconv.Itoa(shortFrame))
	}
	n, err := frameSize(b)
	if err != nil {
		return err
	}
	if len(b) != n {
		return frameError("bytes of message", len(b), strconv.Itoa(n))
	}
	msg, err := decodeFrame(b)
	if err == nil {
		*m = msg
	}
	return err
}

// frameSize checks the head of a frame and returns the length of the whole. Precondition: b holds frameHead bytes.
func frameSize(b []byte) (int, error) {
	if string(b[:2]) != frameMagic {
		return 0, &Error{What: "magic of message", Got: quoted(string(b[:2])), Want: quoted(frameMagic), Err: ErrFrame}
	}
	if b[2] != frameVersion {
		return 0, frameError("version of message", int(b[2]), strconv.Itoa(frameVersion))
	}
	n := uint64(binary.LittleEndian.Uint32(b[4:]))
	least, most := uint64(payloadMin), uint64(payloadMin)
	switch b[3] {
	case kindArray:
	case kindView:
		least, most = payloadMin+viewHead, payloadMax
	default:
		return 0, frameError("kind of message", int(b[3]), "1 or 2")
	}
	if n < least || n > most {
		return 0, &Error{What: "length of message", Got: strconv.FormatUint(n, 10),
			Want: strconv.FormatUint(least, 10) + " to " + strconv.FormatUint(most, 10), Err: ErrFrame}
	}
	return frameHead + int(n), nil
}

// decodeFrame reads what follows the head. Precondition: b is one frame, whose head is checked.
func decodeFrame(b []byte) (Message, error) {
	m := Message{
		Segment: Segment(b[frameHead:]),
		Handle:  Handle(binary.LittleEndian.Uint64(b[handleAt:])),
		Ticket:  Ticket(binary.LittleEndian.Uint64(b[ticketAt:])),
	}
	if err := m.validateWords(); err != nil {
		return Message{}, err
	}
	if b[3] == kindView {
		v := new(View)
		if err := v.UnmarshalBinary(b[viewAt:]); err != nil {
			return Message{}, err
		}
		m.View = v
	}
	return m, nil
}

func frameError(what string, got int, want string) error {
	return &Error{What: what, Got: strconv.Itoa(got), Want: want, Err: ErrFrame}
}
