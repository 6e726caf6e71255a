package handle_test

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/ndpool/ndpool/dtype"
	"github.com/ndpool/ndpool/handle"
)

func TestMessageRoundTrips(t *testing.T) {
	t.Parallel()
	rapid.Check(t, roundTrip)
}

func FuzzMessageRoundTrips(f *testing.F) { f.Fuzz(rapid.MakeFuzz(roundTrip)) }

func roundTrip(t *rapid.T) {
	m := messages().Draw(t, "message")
	require.NoError(t, m.Validate())
	var fromBinary, fromJSON handle.Message
	b := must(m.MarshalBinary())
	require.NoError(t, fromBinary.UnmarshalBinary(b))
	require.True(t, m.Equal(fromBinary))
	require.Equal(t, m.View == nil, len(b) == 40)

	fromText, err := handle.ParseMessage(m.String())
	require.NoError(t, err)
	require.True(t, m.Equal(fromText))

	js := must(json.Marshal(m)) // escapes
	require.NoError(t, json.Unmarshal(js, &fromJSON), string(js))
	require.True(t, m.Equal(fromJSON))
	own := must(m.MarshalJSON()) // does not
	require.NoError(t, fromJSON.UnmarshalJSON(own), string(own))
	require.True(t, m.Equal(fromJSON))
	require.True(t, json.Valid(own))
}

func TestHostileMessages(t *testing.T) {
	t.Parallel()
	rapid.Check(t, hostileMessage)
}

func FuzzMessage(f *testing.F) { f.Fuzz(rapid.MakeFuzz(hostileMessage)) }

func hostileMessage(t *rapid.T) {
	again := func(b []byte) ([]byte, error) {
		var m handle.Message
		if err := m.UnmarshalBinary(b); err != nil {
			return nil, err
		}
		return m.MarshalBinary()
	}
	flips(t, must(messages().Draw(t, "message").MarshalBinary()), again)
	noise := rapid.SliceOfN(rapid.Byte(), 0, 80).Draw(t, "noise")
	var m handle.Message
	require.Error(t, m.UnmarshalBinary(noise[:min(len(noise), 39)]))
	_, _ = again(append([]byte("nd\x01\x02\x30\x00\x00\x00"), noise...))
	_ = m.UnmarshalJSON(noise)
	_ = m.UnmarshalText(noise)
}

// TestHostileText flips every character. A text that is cut at a colon is another message, and means itself.
func TestHostileText(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		b := must(messages().Draw(t, "message").MarshalText())
		mask := byte(rapid.IntRange(1, 255).Draw(t, "mask"))
		for i := range b {
			for _, text := range [][]byte{b[:i], flipped(b, i, mask)} {
				if m, err := handle.ParseMessage(string(text)); err == nil {
					require.Equal(t, string(text), m.String())
				}
			}
		}
	})
}

// TestHostileJSON flips every character: what is still a message is one for good.
func TestHostileJSON(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		b := must(messages().Draw(t, "message").MarshalJSON())
		mask := byte(rapid.IntRange(1, 255).Draw(t, "mask"))
		for i := range b {
			var m, n handle.Message
			require.Error(t, m.UnmarshalJSON(b[:i]))
			if m.UnmarshalJSON(flipped(b, i, mask)) == nil {
				require.NoError(t, n.UnmarshalJSON(must(m.MarshalJSON())))
				require.True(t, m.Equal(n))
			}
		}
	})
}

func flipped(b []byte, i int, mask byte) []byte {
	b = bytes.Clone(b)
	b[i] ^= mask
	return b
}

var (
	short = handle.Message{Segment: handle.Segment{1, 2, 3, 15: 16}, Handle: handle.New(0x10, 0x20), Ticket: handle.NewTicket(3, 4)}
	long  = withView(short)
)

func withView(m handle.Message) handle.Message {
	m.View = &handle.View{Offset: 8, DType: dtype.Float32.WithOrder(dtype.Little), Shape: []int{2, 3}, Strides: []int{-4, 8}}
	return m
}

func TestMessageText(t *testing.T) {
	t.Parallel()
	bare := short
	bare.Ticket = 0
	const head = "ndpool1:01020300000000000000000000000010:0000002000000010"
	const view = "AQIAAAAAAAAIAAAAAAAAAGYBAAAEAAAAAgAAAAAAAAADAAAAAAAAAPz_________CAAAAAAAAAA"
	assert.Equal(t, head, bare.String())
	assert.Equal(t, head+":0000000400000003", short.String())
	assert.Equal(t, head+":0000000400000003:"+view, long.String())
	assert.Equal(t, head+":-:"+view, withView(bare).String())
	for _, bad := range []string{
		"", "ndpool1", "ndpool1::", "ndpool2" + head[7:], " " + head, head + "\n", head + ":", head + ":-", head + "::" + view,
		head + ":0000000000000000", head + ":0000000000000001", head + ":-:", head + ":-:" + view + "=", head + ":-:" + view + "\n",
		head + ":-:" + view[:10] + "\n" + view[10:], head + ":-:" + view + ":", head + ":-:" + strings.Replace(view, "_", "/", 1),
		strings.Replace(head, "0000002000000010", "0000000000000010", 1), strings.Repeat(":", handle.MaxTextSize+1),
	} {
		_, err := handle.ParseMessage(bad)
		assert.ErrorIs(t, err, handle.ErrInvalid, "%q", bad)
	}
}

func TestMessageJSON(t *testing.T) {
	t.Parallel()
	const want = `{"segment":"01020300000000000000000000000010","handle":"0000002000000010","ticket":"0000000400000003",` +
		`"view":{"offset":8,"dtype":"<f4","shape":[2,3],"strides":[-4,8]}}`
	assert.Equal(t, want, string(must(long.MarshalJSON())))
	var m handle.Message
	require.NoError(t, m.UnmarshalJSON([]byte(" { \"handle\" : \"0000002000000010\" , \"segment\":\"01020300000000000000000000000010\" } ")))
	assert.Equal(t, short.Handle, m.Handle)
	for _, change := range [][2]string{
		{`{"segment"`, `{"Segment"`}, {`{"segment"`, `{"x":1,"segment"`}, {`"ticket"`, `"handle"`}, {`"0000000400000003"`, `null`},
		{`"0000000400000003"`, `"0000000000000000"`}, {`"0000000400000003"`, `17179869187`}, {`"0000002000000010"`, `""`},
		{`"handle":"0000002000000010",`, ``}, {`"shape"`, `"shapes"`}, {`,"strides":[-4,8]`, ``}, {`[2,3]`, `[2]`}, {`[2,3]`, `[2,null]`},
		{`[2,3]`, `[2,"3"]`}, {`[2,3]`, `[2,3.0]`}, {`[2,3]`, `[[2,3]]`}, {`[2,3]`, `null`}, {`[2,3]`, `{}`}, {`[2,3]`, `[2,-3]`}, {`8,"dtype"`, `-8,"dtype"`},
		{`8,"dtype"`, `"8","dtype"`}, {`"<f4"`, `"O"`}, {`"<f4"`, `{}`}, {`"<f4"`, `4`}, {`8]}}`, `8]}}}`}, {`8]}}`, `8]}} {}`}, {`8]}}`, `8]}`},
		{`{"segment"`, `[{"segment"`}, {`"view":{`, `"view":[{`}, {`"view":{`, `"view":1,"v":{`}, {`8,"dtype"`, `9223372036854775808,"dtype"`},
		{`{"segment"`, strings.Repeat(" ", 1<<19) + `{"segment"`},
	} {
		require.Contains(t, want, change[0])
		bad := strings.Replace(want, change[0], change[1], 1)
		assert.ErrorIs(t, m.UnmarshalJSON([]byte(bad)), handle.ErrInvalid, bad[:min(len(bad), 300)])
	}
	assert.ErrorIs(t, m.UnmarshalJSON([]byte("null")), handle.ErrInvalid)
}

func TestMessageRefuses(t *testing.T) {
	t.Parallel()
	noGeneration, noNonce, badView := short, short, short
	noGeneration.Handle, noNonce.Ticket, badView.View = 5, 7, &handle.View{}
	for _, m := range []handle.Message{{}, noGeneration, noNonce, badView} {
		b, err := m.AppendBinary([]byte("x"))
		assert.ErrorIs(t, err, handle.ErrInvalid)
		assert.Equal(t, "x", string(b), "nothing is appended")
		_, err = m.MarshalText()
		assert.ErrorIs(t, err, handle.ErrInvalid)
		_, err = m.MarshalJSON()
		assert.ErrorIs(t, err, handle.ErrInvalid)
		assert.Contains(t, m.String(), "invalid(")
	}
	var m handle.Message
	for i, c := range map[int]struct {
		b    byte
		want string
	}{
		0: {'N', "magic"}, 2: {2, "version of message: got 2, expected 1"}, 3: {3, "kind of message: got 3, expected 1 or 2"},
		4: {33, "length of message: got 33, expected 32 to 32"}, 7: {1, "length of message: got 16777248"},
	} {
		b := must(short.MarshalBinary())
		b[i] = c.b
		err := m.UnmarshalBinary(b)
		assert.ErrorIs(t, err, handle.ErrFrame)
		assert.ErrorContains(t, err, c.want)
	}
}

func TestMessageLogs(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	log := slog.New(slog.NewTextHandler(&out, nil))
	log.Info("got", "msg", long, "transfer", long.Transfer())
	assert.Contains(t, out.String(), `msg.segment=01020300000000000000000000000010 msg.handle=0000002000000010 msg.ticket=0000000400000003 `+
		`msg.view.dtype=<f4 msg.view.shape="[2 3]" msg.view.offset=8 transfer.handle=0000002000000010 transfer.ticket=0000000400000003`)
}
