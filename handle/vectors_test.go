package handle_test

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"flag"
	"math"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ndpool/ndpool/dtype"
	"github.com/ndpool/ndpool/handle"
)

var update = flag.Bool("update", false, "write testdata/vectors.json instead of comparing with it")

const vectorsPath = "testdata/vectors.json"

// vectors is the file that other implementations read too. Binary forms are hexadecimal.
type vectors struct {
	Words     []wordVector     `json:"words"`
	Transfers []transferVector `json:"transfers"`
	Messages  []messageVector  `json:"messages"`
	Refused   refusedVector    `json:"refused"`
}

// wordVector is a handle (granule, generation) or a ticket (index, nonce).
type wordVector struct {
	Low    uint32 `json:"low"`
	High   uint32 `json:"high"`
	Text   string `json:"text"`
	Binary string `json:"binary"`
}

type transferVector struct {
	Handle handle.Handle `json:"handle"`
	Ticket handle.Ticket `json:"ticket"`
	Text   string        `json:"text"`
	Binary string        `json:"binary"`
}

type messageVector struct {
	Segment handle.Segment `json:"segment"`
	Handle  handle.Handle  `json:"handle"`
	Ticket  handle.Ticket  `json:"ticket"` // all zeros: none
	View    *viewVector    `json:"view,omitempty"`
	Text    string         `json:"text"`
	JSON    string         `json:"json"`
	Binary  string         `json:"binary"`
}

type viewVector struct {
	Offset  uint64 `json:"offset"`
	DType   string `json:"dtype"` // its text form, a record if structured
	Shape   []int  `json:"shape"`
	Strides []int  `json:"strides"`
	Low     int64  `json:"low"` // bounds
	High    int64  `json:"high"`
	Binary  string `json:"binary"`
}

type refusedVector struct {
	Binary []string `json:"binary"`
	Text   []string `json:"text"`
	JSON   []string `json:"json"`
}

func typ(text string) dtype.Type { return must(dtype.Parse(text)) }

var viewList = []handle.View{
	{DType: typ("<f4")},
	{Offset: 8, DType: typ("<f4"), Shape: []int{2, 3}, Strides: []int{-4, 8}},
	{Offset: 4096, DType: typ(">c16"), Shape: []int{0, 5}, Strides: []int{80, 16}},
	{Offset: 3, DType: typ("|S5"), Shape: []int{1000000}, Strides: []int{0}},
	{Offset: math.MaxInt64 - 1, DType: typ("|b1"), Shape: []int{1}, Strides: []int{math.MinInt64}},
	{DType: typ("<M8[10ms]"), Shape: []int{1, 2, 3, 4, 5, 6, 7, 8, 9}, Strides: []int{2903040, 1451520, 483840, 120960, 24192, 4032, 576, 72, 8}},
	{Offset: 32, DType: typ(`{"itemsize":16,"fields":[["x","<f4",0],["é\"","<i2",4,[2,3]]]}`), Shape: []int{3}, Strides: []int{-16}},
	{DType: typ("|i1"), Shape: make([]int, 64), Strides: make([]int, 64)},
}

func messageList() []handle.Message {
	bare := short
	bare.Ticket = 0
	list := []handle.Message{
		bare, short,
		{Handle: handle.New(0, 1)},
		{Segment: [16]byte(bytes.Repeat([]byte{255}, 16)), Handle: math.MaxUint64, Ticket: math.MaxUint64},
	}
	for i := range viewList {
		m := []handle.Message{bare, short}[i%2]
		m.View = &viewList[i]
		list = append(list, m)
	}
	return list
}

func vectorOf(m handle.Message) messageVector {
	v := messageVector{Segment: m.Segment, Handle: m.Handle, Ticket: m.Ticket, Text: m.String(),
		JSON: string(must(m.MarshalJSON())), Binary: hex.EncodeToString(must(m.MarshalBinary()))}
	if m.View != nil {
		w := &viewVector{Offset: m.View.Offset, DType: m.View.DType.String(), Shape: append([]int{}, m.View.Shape...),
			Strides: append([]int{}, m.View.Strides...), Binary: hex.EncodeToString(must(m.View.MarshalBinary()))}
		w.Low, w.High, _ = m.View.Bounds()
		v.View = w
	}
	return v
}

func makeVectors() vectors {
	v := vectors{Refused: refuse()}
	for _, h := range []handle.Handle{0, 1, handle.New(0, 1), handle.New(0x04030201, 0x08070605), math.MaxUint64} {
		v.Words = append(v.Words, wordVector{h.Granule(), h.Generation(), h.String(), hex.EncodeToString(must(h.MarshalBinary()))})
		tr := handle.Transfer{Handle: h, Ticket: handle.NewTicket(h.Generation(), h.Granule())}
		v.Transfers = append(v.Transfers, transferVector{tr.Handle, tr.Ticket, tr.String(), hex.EncodeToString(must(tr.MarshalBinary()))})
	}
	for _, m := range messageList() {
		v.Messages = append(v.Messages, vectorOf(m))
	}
	return v
}

// refuse makes messages that are almost right: each changes one thing of a good one.
func refuse() (r refusedVector) {
	plain, view := must(short.MarshalBinary()), must(long.MarshalBinary())
	for _, at := range []int{0, 1, 2, 3, 4, 7, 31} {
		b := flipped(plain, at, 0x22)
		if at == 31 {
			copy(b[28:], make([]byte, 4)) // no generation
		}
		r.Binary = append(r.Binary, hex.EncodeToString(b))
	}
	for _, at := range []int{3, 4, 40, 41, 42, 44, 55, 56, 57, 60, 71, 79} {
		r.Binary = append(r.Binary, hex.EncodeToString(flipped(view, at, 0xc1)))
	}
	r.Binary = append(r.Binary, "", hex.EncodeToString(plain[:39]), hex.EncodeToString(view)+"00")
	for _, bad := range []string{"", "ndpool2", " ", "NDPOOL1"} {
		r.Text = append(r.Text, strings.Replace(short.String(), "ndpool1", bad, 1))
	}
	text := long.String()
	r.Text = append(r.Text, text+"=", text+":", text+"\n", text[:len(text)-1], short.String()+":", strings.ToUpper(text),
		short.String()[:66]+"-", short.String()[:66]+"0000000000000000", "ndpool1")
	js := string(must(long.MarshalJSON()))
	for _, change := range [][2]string{
		{`"segment"`, `"Segment"`}, {`"ticket"`, `"handle"`}, {`8,`, `-8,`}, {`[2,3]`, `[2]`}, {`[2,3]`, `[2,null]`}, {`"<f4"`, `"O"`}, {`}}`, `}}}`},
	} {
		r.JSON = append(r.JSON, strings.Replace(js, change[0], change[1], 1))
	}
	return r
}

func TestVectors(t *testing.T) { // not parallel, so that it writes before the others read
	var want bytes.Buffer
	enc := json.NewEncoder(&want)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", " ")
	require.NoError(t, enc.Encode(makeVectors()))
	if *update {
		require.NoError(t, os.MkdirAll("testdata", 0o755))
		require.NoError(t, os.WriteFile(vectorsPath, want.Bytes(), 0o644))
	}
	got, err := os.ReadFile(vectorsPath)
	require.NoError(t, err)
	require.Equal(t, want.String(), string(got), "run go test ./handle -update")
}

// TestReadVectors goes the other way: from the file to values.
func TestReadVectors(t *testing.T) {
	t.Parallel()
	var v vectors
	require.NoError(t, json.Unmarshal(must(os.ReadFile(vectorsPath)), &v))
	for _, w := range v.Words {
		require.Equal(t, handle.New(w.Low, w.High), must(handle.ParseHandle(w.Text)))
		require.Equal(t, handle.NewTicket(w.Low, w.High), must(handle.ParseTicket(w.Text)))
	}
	for _, tr := range v.Transfers {
		require.Equal(t, handle.Transfer{Handle: tr.Handle, Ticket: tr.Ticket}, must(handle.ParseTransfer(tr.Text)))
	}
	for _, want := range v.Messages {
		var fromBinary, fromJSON handle.Message
		require.NoError(t, fromBinary.UnmarshalBinary(must(hex.DecodeString(want.Binary))))
		require.Equal(t, want, vectorOf(fromBinary))
		require.NoError(t, fromJSON.UnmarshalJSON([]byte(want.JSON)))
		require.Equal(t, want, vectorOf(fromJSON))
		require.Equal(t, want, vectorOf(must(handle.ParseMessage(want.Text))))
	}
	for _, b := range v.Refused.Binary {
		var m handle.Message
		require.Error(t, m.UnmarshalBinary(must(hex.DecodeString(b))), b)
	}
	for _, text := range v.Refused.Text {
		_, err := handle.ParseMessage(text)
		require.Error(t, err, text)
	}
	for _, js := range v.Refused.JSON {
		var m handle.Message
		require.Error(t, m.UnmarshalJSON([]byte(js)), js)
	}
}
