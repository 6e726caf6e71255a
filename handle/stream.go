package handle

import (
	"io"
	"slices"
)

// Encoder writes messages to a pipe, a socket or whatever else carries bytes. Each message is one Write; on a pipe, those of
// up to PIPE_BUF bytes (4096 on Linux) are atomic, so that several writers may share it. Local; one goroutine at a time.
type Encoder struct {
	w   io.Writer
	buf []byte
}

// NewEncoder returns an encoder that writes to w.
func NewEncoder(w io.Writer) *Encoder {
	return &Encoder{w: w, buf: make([]byte, 0, shortFrame)}
}

// Encode writes one message with exactly one Write. Nothing is written if Validate refuses the message. After an error of
// the writer nobody knows how much the other side has got: the stream is of no more use.
func (e *Encoder) Encode(m Message) error {
	b, err := m.AppendBinary(e.buf[:0])
	if err != nil {
		return err
	}
	e.buf = b[:0]
	n, err := e.w.Write(b)
	if err == nil && n < len(b) {
		return io.ErrShortWrite
	}
	return err
}

// Decoder reads messages. It never reads beyond the message that it returns, so that other bytes may follow on the same
// stream. Local; one goroutine at a time.
type Decoder struct {
	r    io.Reader
	buf  []byte
	have int   // bytes of the frame that are in buf
	err  error // once the stream is out of step
}

// NewDecoder returns a decoder that reads from r. r needs no buffer: a message without a view takes one Read if the other
// side has sent it as a whole.
func NewDecoder(r io.Reader) *Decoder {
	return &Decoder{r: r, buf: make([]byte, shortFrame)}
}

// Decode reads one message. Errors are:
//
//   - io.EOF if the stream ends before the message, io.ErrUnexpectedEOF if it ends inside of it;
//   - ErrFrame if this is no message. The stream is out of step, and every later call returns the same;
//   - ErrInvalid, ErrBounds if the message is one, but what it says cannot be. The next call reads the next message;
//   - whatever the reader returns, for example that a deadline has passed. The next call goes on where this one stopped.
func (d *Decoder) Decode() (Message, error) {
	if d.err != nil {
		return Message{}, d.err
	}
	n, err := d.frame()
	if err != nil {
		return Message{}, err
	}
	d.have = 0
	return decodeFrame(d.buf[:n])
}

// frame reads until the buffer holds one frame, and returns its length.
func (d *Decoder) frame() (int, error) {
	if err := d.fill(frameHead, shortFrame); err != nil {
		return 0, err
	}
	n, err := frameSize(d.buf)
	if err != nil {
		d.err = err
		return 0, err
	}
	d.buf = slices.Grow(d.buf[:d.have], n-d.have)[:n]
	return n, d.fill(n, n)
}

const maxEmptyReads = 100 // in a row, before the reader counts as broken

// fill reads until the buffer holds at least so many bytes of the frame, and never reads more than most.
func (d *Decoder) fill(least, most int) error {
	for empty := 0; d.have < least; {
		n, err := d.r.Read(d.buf[d.have:most])
		d.have += n
		switch {
		case d.have >= least:
			return nil
		case err == io.EOF && d.have > 0:
			return io.ErrUnexpectedEOF
		case err != nil:
			return err
		case n > 0:
			empty = 0
		default:
			if empty++; empty == maxEmptyReads {
				return io.ErrNoProgress
			}
		}
	}
	return nil
}
