package dtype_test

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ndpool/ndpool/dtype"
)

var update = flag.Bool("update", false, "write testdata/vectors.json instead of comparing with it")

const vectorsPath = "testdata/vectors.json"

// vectors is the file that other implementations read too. Codes are hexadecimal, since not all readers of JSON have 64-bit
// numbers.
type vectors struct {
	Types   []typeVector  `json:"types"`   // each text is its own canonical form
	Parsed  []parseVector `json:"parsed"`  // other ways to write a type
	Refused refusedVector `json:"refused"` // what is no type
}

type typeVector struct {
	Text       string        `json:"text"` // the record, if structured
	Code       string        `json:"code"`
	Kind       string        `json:"kind"`
	Order      string        `json:"order"`
	Unit       string        `json:"unit"`
	Multiple   int           `json:"multiple"`
	Size       int           `json:"size"`
	Align      int           `json:"align"`
	Structured bool          `json:"structured"`
	Fields     []fieldVector `json:"fields,omitempty"`
}

type fieldVector struct {
	Name   string `json:"name"`
	Type   string `json:"type"`
	Offset int    `json:"offset"`
	Shape  []int  `json:"shape,omitempty"`
}

type parseVector struct {
	Text   string `json:"text"`
	Little string `json:"little"` // what a little-endian machine makes of it
	Big    string `json:"big"`
}

type refusedVector struct {
	Codes       []string `json:"codes"`
	Texts       []string `json:"texts"`
	Unsupported []string `json:"unsupported"` // texts of types that cannot be shared
	Records     []string `json:"records"`     // hexadecimal, since some are not UTF-8
}

var canonical = []string{
	"|b1", "|i1", "<i2", ">i2", "<i4", ">i4", "<i8", ">i8", "|u1", "<u2", ">u2", "<u4", ">u4", "<u8", ">u8",
	"<f2", ">f2", "<f4", ">f4", "<f8", ">f8", "<c8", ">c8", "<c16", ">c16",
	"|S0", "|S5", "|S2147483647", "<U0", "<U7", ">U7", "<U536870911", "|V0", "|V16",
	"<M8", ">m8", "<M8[Y]", "<M8[M]", "<M8[W]", "<M8[D]", "<M8[h]", "<M8[m]", "<M8[s]", "<M8[ms]", "<M8[us]", "<M8[ns]", "<M8[ps]",
	"<M8[fs]", "<M8[as]", ">m8[25s]", "<m8[2147483647as]",
	`{"itemsize":0,"fields":[]}`,
	`{"itemsize":16,"fields":[["x","<f4",0],["y","<i2",4,[2,3]]]}`,
	`{"itemsize":16,"aligned":true,"fields":[["a","|u1",0],["b",">f8",8]]}`,
	`{"itemsize":4,"fields":[["whole","<u4",0],["low","<u2",0],["high","<u2",2]]}`,
	`{"itemsize":10,"fields":[["p",{"itemsize":4,"fields":[["q","|S4",0]]},2,[2]],["r","|b1",0]]}`,
	`{"itemsize":3,"fields":[["quote\" back\\ tab\t bell\u0007 del` + "\x7f" + ` é 😀 </&` + "\u2028" + `","|V3",0]]}`,
}

var parsed = []string{
	"bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64", "float16", "float32", "float64",
	"complex64", "complex128", "f4", "=f4", "i8", ">i1", "<S5", "U7", "V3", "datetime64", "datetime64[ns]", "timedelta64[25s]",
	"<M8[1ms]", "<M8[generic]", "<m8[μs]",
	` { "fields" : [ [ "\u00e9" , "f4" , 0 , [ ] ] ] , "aligned" : false , "itemsize" : 4 } `,
}

var refused = refusedVector{
	Texts: []string{
		"", "f", "f3", "<f04", " f4", "f4 ", "|f4", "f4[ns]", "M4[ns]", "M8[]", "M8[0s]", "M8[2147483648s]", "M8[xs]", "M8[2generic]",
		"U536870912", "S2147483648", "S-1", "x4", `{`, `{}`, `{"itemsize":1}`, `{"itemsize":1,"fields":[]}x`,
		`{"itemsize":1,"fields":[],"x":1}`, `{"itemsize":1,"itemsize":1,"fields":[]}`, `{"itemsize":1,"fields":[["a","u1",1]]}`,
		`{"itemsize":1,"fields":[["","u1",0]]}`, `{"itemsize":1,"fields":[["\u0000","u1",0]]}`, `{"itemsize":1,"fields":[["\ud800","u1",0]]}`,
		`{"itemsize":2,"fields":[["a","u1",0],["a","u1",1]]}`, `{"itemsize":6,"aligned":true,"fields":[["a","<f4",0]]}`,
		`{"itemsize":0,"fields":[["a","u1",0,[1073741824,2,0]]]}`,
	},
	Unsupported: []string{"O", "|O", "object", "g", "f16", "<c32", "float128"},
	Records: hexed(
		"", "<f4", `{"itemsize":1,"fields":[]} `, `{"itemsize":1, "fields":[]}`, `{"fields":[],"itemsize":1}`,
		`{"itemsize":1,"aligned":false,"fields":[]}`, `{"itemsize":1,"fields":[["a","u1",0]]}`, `{"itemsize":1,"fields":[["\u0061","|u1",0]]}`,
		`{"itemsize":1,"fields":[["a","|u1",0,[]]]}`, "{\"itemsize\":1,\"fields\":[[\"\xff\",\"|u1\",0]]}",
		"{\"itemsize\":1,\"fields\":[[\"\xed\xa0\x80\",\"|u1\",0]]}", `{"itemsize":01,"fields":[]}`, `{"itemsize":2147483648,"fields":[]}`,
		strings.Repeat(`{"itemsize":0,"fields":[["a",`, 8)+`{"itemsize":0,"fields":[]}`+strings.Repeat(`,0]]}`, 8),
	),
	Codes: coded(
		0, 'i'|1<<8|3<<32, 'i'|4<<32, 'i'|3<<8|4<<32, 'i'|1<<8|1<<32, 'b'|2<<32, 'U'|1<<8|6<<32, 'U'|8<<32, 'M'|1<<8, 'M'|1<<32,
		'M'|1<<8|2<<32, 'm'|1<<8|14<<16|1<<32, 'm'|1<<8|1<<16, 'S'|1<<63, 'f'|1<<8|16<<32, 'b'|1<<24|1<<32, 'b'|1<<16|1<<32, 'O'|8<<32,
		'V'|2<<24|8<<32, 'V'|1<<24|8<<32, 'V'|1<<8|8<<32,
	),
}

func hexed(list ...string) []string {
	for i, s := range list {
		list[i] = hex.EncodeToString([]byte(s))
	}
	return list
}

func coded(list ...uint64) (texts []string) {
	for _, c := range list {
		texts = append(texts, fmt.Sprintf("0x%016x", c))
	}
	return texts
}

func vectorOf(typ dtype.Type) typeVector {
	v := typeVector{
		Text: typ.String(), Code: coded(typ.Code())[0], Kind: typ.Kind().String(), Order: typ.Order().String(), Unit: typ.Unit().String(),
		Multiple: typ.Multiple(), Size: typ.Size(), Align: typ.Align(), Structured: typ.IsStructured(),
	}
	for _, f := range typ.Fields() {
		v.Fields = append(v.Fields, fieldVector{f.Name, f.Type.String(), f.Offset, f.Shape})
	}
	return v
}

func makeVectors(t *testing.T) vectors {
	v := vectors{Refused: refused}
	for _, text := range canonical {
		typ, err := dtype.Parse(text)
		require.NoError(t, err, text)
		require.Equal(t, text, typ.String())
		v.Types = append(v.Types, vectorOf(typ))
	}
	for _, text := range parsed {
		typ, err := dtype.Parse(text)
		require.NoError(t, err, text)
		p := parseVector{Text: text, Little: typ.String(), Big: typ.String()}
		if strings.Trim(text, "<>") == text { // without an order of its own, all of these have only native numbers
			p.Little, p.Big = typ.WithOrder(dtype.Little).String(), typ.WithOrder(dtype.Big).String()
		}
		v.Parsed = append(v.Parsed, p)
	}
	return v
}

func TestVectors(t *testing.T) { // not parallel, so that it writes before the others read
	var want bytes.Buffer
	enc := json.NewEncoder(&want)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", " ")
	require.NoError(t, enc.Encode(makeVectors(t)))
	if *update {
		require.NoError(t, os.MkdirAll("testdata", 0o755))
		require.NoError(t, os.WriteFile(vectorsPath, want.Bytes(), 0o644))
	}
	got, err := os.ReadFile(vectorsPath)
	require.NoError(t, err)
	require.Equal(t, want.String(), string(got), "run go test ./dtype -update")
}

// TestReadVectors goes the other way: from the file to types.
func TestReadVectors(t *testing.T) {
	t.Parallel()
	var v vectors
	data, err := os.ReadFile(vectorsPath)
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(data, &v))
	for _, want := range v.Types {
		var rec []byte
		if want.Structured {
			rec = []byte(want.Text)
		}
		typ, err := dtype.FromStored(number(t, want.Code), rec)
		require.NoError(t, err, want.Text)
		require.Equal(t, want, vectorOf(typ))
	}
	for _, c := range v.Refused.Codes {
		_, err := dtype.FromCode(number(t, c))
		require.Error(t, err, c)
	}
	for _, text := range v.Refused.Texts {
		_, err := dtype.Parse(text)
		require.ErrorIs(t, err, dtype.ErrInvalid, text)
	}
	for _, text := range v.Refused.Unsupported {
		_, err := dtype.Parse(text)
		require.ErrorIs(t, err, dtype.ErrUnsupported, text)
	}
	for _, rec := range v.Refused.Records {
		b, err := hex.DecodeString(rec)
		require.NoError(t, err)
		_, err = dtype.FromRecord(b)
		require.ErrorIs(t, err, dtype.ErrInvalid, string(b))
	}
}

func number(t *testing.T, s string) uint64 {
	n, err := strconv.ParseUint(s, 0, 64)
	require.NoError(t, err)
	return n
}
