package dtype_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/ndpool/ndpool/dtype"
)

func point(t require.TestingT) dtype.Type {
	typ, err := dtype.StructAligned(
		dtype.Field{Name: "x", Type: dtype.Float32.WithOrder(dtype.Little)},
		dtype.Field{Name: "y", Type: dtype.Float32.WithOrder(dtype.Little)})
	require.NoError(t, err)
	return typ
}

func TestStructLayouts(t *testing.T) {
	t.Parallel()
	fields := []dtype.Field{
		{Name: "a", Type: dtype.Uint8},
		{Name: "b", Type: dtype.Float64.WithOrder(dtype.Little)},
		{Name: "c", Type: dtype.Int16.WithOrder(dtype.Big), Shape: []int{2, 3}},
	}
	packed, err := dtype.Struct(fields...)
	require.NoError(t, err)
	assert.Equal(t, `{"itemsize":21,"fields":[["a","|u1",0],["b","<f8",1],["c",">i2",9,[2,3]]]}`, packed.String())
	assert.Equal(t, 1, packed.Align())
	assert.False(t, packed.IsAligned())

	aligned, err := dtype.StructAligned(fields...)
	require.NoError(t, err)
	assert.Equal(t, `{"itemsize":32,"aligned":true,"fields":[["a","|u1",0],["b","<f8",8],["c",">i2",16,[2,3]]]}`, aligned.String())
	assert.Equal(t, 8, aligned.Align())
	assert.Equal(t, 32, aligned.Size())
	assert.False(t, aligned.Equal(packed))

	at, err := dtype.StructAt(32, aligned.Fields()...)
	require.NoError(t, err)
	assert.True(t, at.Equal(aligned), "alignment is not part of equality")
	assert.Equal(t, 1, at.Align())

	nested, err := dtype.StructAligned(dtype.Field{Name: "n", Type: dtype.Uint8}, dtype.Field{Name: "p", Type: packed})
	require.NoError(t, err)
	assert.Equal(t, 22, nested.Size(), "a packed type has alignment 1")
	assert.Equal(t, 12, fields[2].Size())
}

func TestEqualComparesFields(t *testing.T) {
	t.Parallel()
	same := func(change func(f *dtype.Field)) bool {
		inner := dtype.Field{Name: "a", Type: dtype.Int32, Shape: []int{2}}
		other := inner
		change(&other)
		make := func(f dtype.Field) dtype.Type {
			typ, err := dtype.StructAt(16, f)
			require.NoError(t, err)
			typ, err = dtype.StructAt(16, dtype.Field{Name: "nested", Type: typ})
			require.NoError(t, err)
			return typ
		}
		return make(inner).Equal(make(other))
	}
	assert.True(t, same(func(*dtype.Field) {}))
	assert.False(t, same(func(f *dtype.Field) { f.Name = "b" }))
	assert.False(t, same(func(f *dtype.Field) { f.Type = dtype.Uint32 }))
	assert.False(t, same(func(f *dtype.Field) { f.Offset = 4 }))
	assert.False(t, same(func(f *dtype.Field) { f.Shape = []int{2, 1} }))

	one, err := dtype.StructAt(8, dtype.Field{Name: "a", Type: dtype.Int8})
	require.NoError(t, err)
	two, err := dtype.StructAt(8, dtype.Field{Name: "a", Type: dtype.Int8}, dtype.Field{Name: "b", Type: dtype.Int8})
	require.NoError(t, err)
	assert.False(t, one.Equal(two))
	assert.False(t, one.Equal(dtype.Void(8)))
	assert.Equal(t, 2, two.NumFields())
	assert.Zero(t, dtype.Void(8).NumFields())
	assert.False(t, dtype.Void(8).IsStructured())
	assert.Equal(t, two.Record(), two.AppendRecord(nil))
	assert.Empty(t, dtype.Int8.AppendRecord(nil))
}

// TestFieldsAreCopies changes what went in and what came out.
func TestFieldsAreCopies(t *testing.T) {
	t.Parallel()
	in := []dtype.Field{{Name: "a", Type: dtype.Uint8, Shape: []int{3}}}
	typ, err := dtype.Struct(in...)
	require.NoError(t, err)
	in[0].Name, in[0].Shape[0] = "b", 9
	out := typ.Fields()
	assert.Equal(t, []dtype.Field{{Name: "a", Type: dtype.Uint8, Shape: []int{3}}}, out)
	out[0].Shape[0] = 9
	assert.Equal(t, 3, typ.Fields()[0].Shape[0])
	assert.Equal(t, 1, typ.NumFields())
	assert.Nil(t, dtype.Float32.Fields())
	rec := typ.Record()
	rec[0] = 'x'
	assert.Equal(t, byte('{'), typ.Record()[0])
	assert.Equal(t, len(rec), typ.RecordSize())
}

func TestStructRefuses(t *testing.T) {
	t.Parallel()
	u1 := func(name string) dtype.Field { return dtype.Field{Name: name, Type: dtype.Uint8} }
	many := make([]dtype.Field, dtype.MaxFields+1)
	for i := range many {
		many[i] = u1(fmt.Sprint(i))
	}
	half, err := dtype.Struct(many[:513]...)
	require.NoError(t, err)
	for name, fields := range map[string][]dtype.Field{
		"name twice":    {u1("a"), u1("a")},
		"empty name":    {u1("")},
		"zero byte":     {u1("a\x00")},
		"UTF-8":         {u1("\xff")},
		"zero type":     {{Name: "a"}},
		"negative dim":  {{Name: "a", Type: dtype.Uint8, Shape: []int{-1}}},
		"large dims":    {{Name: "a", Type: dtype.Uint8, Shape: []int{1 << 20, 1 << 20}}},
		"zeros hide it": {{Name: "a", Type: dtype.Uint8, Shape: []int{1 << 30, 1 << 30, 1 << 30, 0}}},
		"many dims":     {{Name: "a", Type: dtype.Uint8, Shape: make([]int, dtype.MaxDims+1)}},
		"large sum":     {{Name: "a", Type: dtype.Void(1 << 30)}, {Name: "b", Type: dtype.Void(1 << 30)}},
		"many fields":   many,
		"many nested":   {{Name: "a", Type: half}, {Name: "b", Type: half}},
		"long text":     {u1(strings.Repeat("x", dtype.MaxRecord))},
	} {
		_, err := dtype.Struct(fields...)
		assert.ErrorIs(t, err, dtype.ErrInvalid, name)
	}
	for _, f := range []dtype.Field{{Offset: -1}, {Offset: 8}, {Offset: 5}, {Offset: 1 << 62}, {Shape: []int{3}}} {
		f.Name, f.Type = "a", dtype.Float32
		_, err := dtype.StructAt(8, f)
		assert.ErrorIs(t, err, dtype.ErrInvalid, "%+v", f)
	}
	_, err = dtype.StructAt(-1)
	assert.ErrorIs(t, err, dtype.ErrInvalid)
}

func TestDepthIsBounded(t *testing.T) {
	t.Parallel()
	typ, err := dtype.Struct(dtype.Field{Name: "a", Type: dtype.Uint8})
	require.NoError(t, err)
	for range dtype.MaxDepth - 1 {
		typ, err = dtype.Struct(dtype.Field{Name: "a", Type: typ})
		require.NoError(t, err)
	}
	_, err = dtype.FromRecord(typ.Record())
	require.NoError(t, err)
	_, err = dtype.Struct(dtype.Field{Name: "a", Type: typ})
	require.ErrorIs(t, err, dtype.ErrInvalid)

	deep := fmt.Sprintf(`{"itemsize":1,"fields":[["a",%s,0]]}`, typ)
	_, err = dtype.FromRecord([]byte(deep))
	require.ErrorIs(t, err, dtype.ErrInvalid)
	_, err = dtype.FromRecord([]byte(strings.Repeat(`{"fields":[["a",`, 4000)))
	require.ErrorContains(t, err, "nesting")
}

func TestParseStructured(t *testing.T) {
	t.Parallel()
	const want = `{"itemsize":6,"fields":[["é\"","<f4",0],["o","|u1",4,[2]]]}`
	for _, text := range []string{
		want,
		` { "fields" : [ [ "\u00e9\u0022" , "<f4" , 0 , [ ] ] , ["o","u1",4,[ 2 ]] ] , "itemsize" : 6 , "aligned" : false } `,
		`{"itemsize":6,"fields":[["é\"","<f4",0],["\u006f","uint8",4,[2]]]}`,
		`{"itemsize":6,"fields":[["é\"","<f4",0],["o","\u007cu1",4,[2]]]}`,
	} {
		typ, err := dtype.Parse(text)
		require.NoError(t, err, text)
		assert.Equal(t, want, typ.String())
		_, err = dtype.FromRecord([]byte(text))
		assert.Equal(t, text == want, err == nil, "records have one text only: %s", text)
	}
}

func TestParseStructuredRefuses(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		`{`, `{}`, `{"itemsize":1}`, `{"fields":[]}`, `{"itemsize":1,"fields":[]}x`, `{"itemsize":1,"fields":[],}`,
		`{"itemsize":1,"itemsize":1,"fields":[]}`, `{"itemsize":1,"fields":[],"x":1}`, `{"Itemsize":1,"fields":[]}`,
		`{"itemsize":01,"fields":[]}`, `{"itemsize":-1,"fields":[]}`, `{"itemsize":1.0,"fields":[]}`, `{"itemsize":1,"":1,"fields":[]}`,
		`{"itemsize":9999999999,"fields":[]}`, `{"itemsize":4,"aligned":1,"fields":[]}`, `{"itemsize":null,"fields":[]}`,
		`{"itemsize":1,"fields":[["a","u1"]]}`, `{"itemsize":1,"fields":[["a","u1",0,[],1]]}`, `{"itemsize":1,"fields":[["a","u1",0,]]}`,
		`{"itemsize":1,"fields":[["a","u1",1]]}`, `{"itemsize":1,"fields":[[1,"u1",0]]}`, `{"itemsize":8,"fields":[["a","O",0]]}`,
		`{"itemsize":1,"fields":[["a","u1",0],]}`, `{"itemsize":1,"fields":[,["a","u1",0]]}`, `{"itemsize":1,"fields":[["a" "u1",0]]}`,
		`{"itemsize":1,"fields":[["\ud800","u1",0]]}`, `{"itemsize":1,"fields":[["\udc00","u1",0]]}`, `{"itemsize":1,"fields":[["\x","u1",0]]}`,
		"{\"itemsize\":1,\"fields\":[[\"\xff\",\"u1\",0]]}", "{\"itemsize\":1,\"fields\":[[\"\n\",\"u1\",0]]}", `{"itemsize":1,"fields":[["a`, `{"itemsize":1,"fields":[["\`,
		`{"itemsize":1,"fields":[["a","{\"itemsize\":1,\"fields\":[]}",0]]}`, `{"itemsize":1,"fields":[["a"," {}",0]]}`,
		`{"itemsize":6,"aligned":true,"fields":[["a","<f4",0]]}`, `{"itemsize":8,"aligned":true,"fields":[["a","<f4",2]]}`,
	} {
		_, err := dtype.Parse(text)
		require.Error(t, err, text)
		_, err = dtype.FromRecord([]byte(text))
		require.Error(t, err, text)
	}
	_, err := dtype.FromRecord(make([]byte, dtype.MaxRecord+1))
	require.ErrorContains(t, err, "65537")
	_, err = dtype.Parse("{" + strings.Repeat(" ", 6*dtype.MaxRecord))
	require.ErrorContains(t, err, "393217")
}

// TestHostileRecords flips every byte of a record to a random other one.
func TestHostileRecords(t *testing.T) {
	t.Parallel()
	rapid.Check(t, flipRecord)
}

func FuzzRecord(f *testing.F) { f.Fuzz(rapid.MakeFuzz(flipRecord)) }

func flipRecord(t *rapid.T) {
	rec := structured(2).Draw(t, "type").Record()
	mask := byte(rapid.IntRange(1, 255).Draw(t, "mask"))
	for i := range rec {
		rec[i] ^= mask
		typ, err := dtype.FromRecord(rec)
		if err == nil {
			require.Equal(t, string(rec), string(typ.Record()))
		}
		_, _ = dtype.Parse(string(rec))
		rec[i] ^= mask
	}
	_, err := dtype.FromRecord(rec[:rapid.IntRange(0, len(rec)-1).Draw(t, "cut")])
	require.Error(t, err, "a cut record")
}

// TestLargeRecordThroughJSON makes the longest record there is: encoding/json escapes its signs, so that it gets longer.
func TestLargeRecordThroughJSON(t *testing.T) {
	t.Parallel()
	fields := make([]dtype.Field, dtype.MaxFields)
	for i := range fields {
		fields[i] = dtype.Field{Name: fmt.Sprintf("%s%d", strings.Repeat("<", 45), i), Type: dtype.Float32}
	}
	typ, err := dtype.Struct(fields...)
	require.NoError(t, err)
	require.Greater(t, typ.RecordSize(), dtype.MaxRecord-2048)
	js, err := json.Marshal(typ)
	require.NoError(t, err)
	require.Greater(t, len(js), dtype.MaxRecord)
	var again dtype.Type
	require.NoError(t, json.Unmarshal(js, &again))
	require.True(t, typ.Equal(again))
}

func TestEscapesBeyond16Bits(t *testing.T) {
	t.Parallel()
	typ, err := dtype.Parse(`{"itemsize":1,"fields":[["\ud83d\ude00\/","u1",0]]}`)
	require.NoError(t, err)
	assert.Equal(t, "😀/", typ.Fields()[0].Name)
	for _, bad := range []string{`\ud83d`, `\ud83dx`, `\ud83d\u0041`, `\ude00`, `\u12`, `\u+123`, `\`} {
		_, err := dtype.Parse(`{"itemsize":1,"fields":[["` + bad + `","u1",0]]}`)
		assert.ErrorIs(t, err, dtype.ErrInvalid, bad)
	}
}
