package handle_test

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"testing"
	"testing/iotest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/ndpool/ndpool/handle"
)

// writes counts Writes.
type writes struct {
	bytes.Buffer
	n int
}

func (w *writes) Write(b []byte) (int, error) {
	w.n++
	return w.Buffer.Write(b)
}

func TestStream(t *testing.T) {
	t.Parallel()
	rapid.Check(t, stream)
}

func FuzzStream(f *testing.F) { f.Fuzz(rapid.MakeFuzz(stream)) }

// stream sends messages with other bytes behind each, through readers that give little at a time.
func stream(t *rapid.T) {
	list := rapid.SliceOfN(messages(), 0, 5).Draw(t, "messages")
	tail := rapid.SliceOfN(rapid.Byte(), 0, 50).Draw(t, "tail")
	var w writes
	enc := handle.NewEncoder(&w)
	for _, m := range list {
		require.NoError(t, enc.Encode(m))
		w.Buffer.Write(tail)
	}
	require.Equal(t, len(list), w.n)
	wrap := rapid.SampledFrom([]func(io.Reader) io.Reader{
		func(r io.Reader) io.Reader { return r }, iotest.OneByteReader, iotest.HalfReader, iotest.DataErrReader,
	}).Draw(t, "reader")
	r := wrap(&w.Buffer)
	dec := handle.NewDecoder(r)
	for _, m := range list {
		got, err := dec.Decode()
		require.NoError(t, err)
		require.True(t, m.Equal(got))
		behind := make([]byte, len(tail))
		_, err = io.ReadFull(r, behind)
		require.NoError(t, err)
		require.Equal(t, tail, behind, "the decoder reads nothing behind a message")
	}
	_, err := dec.Decode()
	require.ErrorIs(t, err, io.EOF)
}

func TestStreamEnds(t *testing.T) {
	t.Parallel()
	b := must(long.MarshalBinary())
	for n := range len(b) {
		dec := handle.NewDecoder(bytes.NewReader(b[:n]))
		_, err := dec.Decode()
		if n == 0 {
			require.Equal(t, io.EOF, err)
		} else {
			require.Equal(t, io.ErrUnexpectedEOF, err)
		}
	}
}

// TestStreamGoesOn lets a deadline pass inside of a message.
func TestStreamGoesOn(t *testing.T) {
	t.Parallel()
	b := must(long.MarshalBinary())
	for _, cut := range []int{3, 8, 20, 40, 60} {
		here, there := net.Pipe()
		dec := handle.NewDecoder(here)
		require.NoError(t, here.SetReadDeadline(time.Now().Add(time.Millisecond)))
		done := make(chan error)
		go func() {
			_, err := there.Write(b[:cut])
			done <- err
		}()
		_, err := dec.Decode()
		require.ErrorIs(t, err, os.ErrDeadlineExceeded)
		require.NoError(t, here.SetReadDeadline(time.Time{}))
		go func() {
			err := <-done
			_, err2 := there.Write(b[cut:])
			done <- errors.Join(err, err2)
		}()
		m, err := dec.Decode()
		require.NoError(t, err)
		require.NoError(t, <-done)
		assert.True(t, m.Equal(long))
	}
}

func TestStreamOutOfStep(t *testing.T) {
	t.Parallel()
	good := must(short.MarshalBinary())
	bad := bytes.Clone(good)
	copy(bad[28:32], []byte{0, 0, 0, 0}) // the generation
	dec := handle.NewDecoder(bytes.NewReader(append(append(bytes.Clone(bad), good...), "no message at all"...)))
	_, err := dec.Decode()
	require.ErrorIs(t, err, handle.ErrInvalid)
	m, err := dec.Decode()
	require.NoError(t, err, "a message that cannot be does not stop the stream")
	assert.True(t, m.Equal(short))
	_, err = dec.Decode()
	require.ErrorIs(t, err, handle.ErrFrame)
	_, again := dec.Decode()
	require.Equal(t, err, again)

	bad = bytes.Clone(good)
	copy(bad[3:8], []byte{2, 0xff, 0xff, 0xff, 0xff})
	_, err = handle.NewDecoder(bytes.NewReader(bad)).Decode()
	require.ErrorContains(t, err, "got 4294967295, expected 56 to 66616")
}

// lazy reads nothing and writes nothing.
type lazy struct{}

func (lazy) Read([]byte) (int, error)  { return 0, nil }
func (lazy) Write([]byte) (int, error) { return 0, nil }

func TestStreamIsBounded(t *testing.T) {
	t.Parallel()
	_, err := handle.NewDecoder(lazy{}).Decode()
	require.Equal(t, io.ErrNoProgress, err)
	require.Equal(t, io.ErrShortWrite, handle.NewEncoder(lazy{}).Encode(short))
	_, err = handle.NewDecoder(iotest.ErrReader(io.ErrClosedPipe)).Decode()
	require.Equal(t, io.ErrClosedPipe, err)
	var w writes
	require.ErrorIs(t, handle.NewEncoder(&w).Encode(handle.Message{}), handle.ErrInvalid)
	require.Zero(t, w.n)
}

// loop gives the same bytes again and again.
type loop struct {
	b  []byte
	at int
}

func (l *loop) Read(b []byte) (int, error) {
	n := copy(b, l.b[l.at:])
	l.at = (l.at + n) % len(l.b)
	return n, nil
}

func TestShortMessagesDoNotAllocate(t *testing.T) {
	dec := handle.NewDecoder(&loop{b: must(short.MarshalBinary())})
	enc := handle.NewEncoder(io.Discard)
	assert.Zero(t, testing.AllocsPerRun(100, func() {
		_, _ = dec.Decode()
		_ = enc.Encode(short)
	}))
}

func BenchmarkEncode(b *testing.B) {
	enc := handle.NewEncoder(io.Discard)
	for b.Loop() {
		_ = enc.Encode(short)
	}
}

func BenchmarkDecode(b *testing.B) {
	dec := handle.NewDecoder(&loop{b: must(short.MarshalBinary())})
	for b.Loop() {
		_, _ = dec.Decode()
	}
}

func BenchmarkDecodeView(b *testing.B) {
	dec := handle.NewDecoder(&loop{b: must(long.MarshalBinary())})
	for b.Loop() {
		_, _ = dec.Decode()
	}
}
