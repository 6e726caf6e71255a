package handle_test

import (
	"encoding"
	"encoding/json"
	"log/slog"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/ndpool/ndpool/handle"
)

// word is what Handle, Ticket, Transfer and Segment have in common.
type word interface {
	comparable
	encoding.TextMarshaler
	slog.LogValuer
	String() string
	IsZero() bool
}

func TestHandleParts(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		lo, hi := rapid.Uint32().Draw(t, "low"), rapid.Uint32().Draw(t, "high")
		h, k := handle.New(lo, hi), handle.NewTicket(lo, hi)
		require.Equal(t, [4]uint32{lo, hi, lo, hi}, [4]uint32{h.Granule(), h.Generation(), k.Index(), k.Nonce()})
		require.Equal(t, lo == 0 && hi == 0, h.IsZero())
		require.Equal(t, lo == 0 && hi == 0, k.IsZero())

		require.Equal(t, h, must(handle.ParseHandle(h.String())))
		require.Equal(t, k, must(handle.ParseTicket(k.String())))
		tr := handle.Transfer{Handle: h, Ticket: k}
		require.Equal(t, tr, must(handle.ParseTransfer(tr.String())))
		require.Equal(t, tr.String(), h.String()+":"+k.String())
	})
}

func TestWordsAreBytes(t *testing.T) {
	t.Parallel()
	h, k := handle.New(0x04030201, 0x08070605), handle.NewTicket(0x14131211, 0x18171615)
	assert.Equal(t, "\x01\x02\x03\x04\x05\x06\x07\x08", string(must(h.MarshalBinary())))
	assert.Equal(t, "0807060504030201", h.String())
	assert.Equal(t, "\x11\x12\x13\x14\x15\x16\x17\x18", string(must(k.MarshalBinary())))
	tr := handle.Transfer{Handle: h, Ticket: k}
	b := must(tr.MarshalBinary())
	assert.Equal(t, "\x01\x02\x03\x04\x05\x06\x07\x08\x11\x12\x13\x14\x15\x16\x17\x18", string(b))
	assert.Len(t, b, handle.TransferSize)

	var h2 handle.Handle
	var k2 handle.Ticket
	var tr2 handle.Transfer
	require.NoError(t, h2.UnmarshalBinary(b[:8]))
	require.NoError(t, k2.UnmarshalBinary(b[8:]))
	require.NoError(t, tr2.UnmarshalBinary(b))
	assert.Equal(t, tr, handle.Transfer{Handle: h2, Ticket: k2})
	assert.Equal(t, tr, tr2)
	for n := range 20 {
		b := make([]byte, n)
		assert.Equal(t, n == 8, h2.UnmarshalBinary(b) == nil)
		assert.Equal(t, n == 8, k2.UnmarshalBinary(b) == nil)
		assert.Equal(t, n == 16, tr2.UnmarshalBinary(b) == nil)
	}
	assert.ErrorIs(t, h2.UnmarshalBinary(nil), handle.ErrInvalid)
}

func words[T word](t *testing.T, zero T, set T, parse func(string) (T, error)) {
	t.Helper()
	assert.True(t, zero.IsZero())
	assert.False(t, set.IsZero())
	assert.Equal(t, set, must(parse(set.String())))
	text := set.String()
	assert.Equal(t, text, string(must(set.MarshalText())))
	js := must(json.Marshal(set))
	assert.Equal(t, `"`+text+`"`, string(js))
	var again T
	require.NoError(t, json.Unmarshal(js, &again))
	assert.Equal(t, set, again)
	assert.NotEqual(t, slog.KindLogValuer, set.LogValue().Kind())
	for _, bad := range []string{
		"", text[1:], text + "0", strings.ToUpper(text), "g" + text[1:], text[:len(text)-1] + " ", "+" + text[1:], "0x" + text[2:],
		strings.Replace(text, ":", ".", 1) + strings.Repeat("x", 1-strings.Count(text, ":")),
	} {
		_, err := parse(bad)
		assert.ErrorIs(t, err, handle.ErrInvalid, "%q", bad)
	}
}

func TestWordsAreText(t *testing.T) {
	t.Parallel()
	words(t, 0, handle.Handle(0xfedcba9876543210), handle.ParseHandle)
	words(t, 0, handle.Ticket(0xfedcba9876543210), handle.ParseTicket)
	words(t, handle.Transfer{}, handle.Transfer{Handle: 0xa, Ticket: 0xb}, handle.ParseTransfer)
	words(t, handle.Segment{}, handle.Segment{0xab, 15: 0xcd}, handle.ParseSegment)
	assert.Equal(t, "ab0000000000000000000000000000cd", handle.Segment{0xab, 15: 0xcd}.String())
}

func BenchmarkHandleString(b *testing.B) {
	for b.Loop() {
		_ = handle.Handle(0xfedcba9876543210).String()
	}
}
