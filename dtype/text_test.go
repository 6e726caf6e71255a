package dtype_test

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/ndpool/ndpool/dtype"
)

func TestParse(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		text, str   string
		size, align int
	}{
		{"|b1", "|b1", 1, 1},
		{"bool", "|b1", 1, 1},
		{"i1", "|i1", 1, 1},
		{"<i1", "|i1", 1, 1},
		{">u1", "|u1", 1, 1},
		{"<i2", "<i2", 2, 2},
		{">u4", ">u4", 4, 4},
		{"=f8", dtype.Float64.String(), 8, 8},
		{"f4", dtype.Float32.String(), 4, 4},
		{"float16", dtype.Float16.String(), 2, 2},
		{"complex64", dtype.Complex64.String(), 8, 4},
		{">c16", ">c16", 16, 8},
		{"|S5", "|S5", 5, 1},
		{"S0", "|S0", 0, 1},
		{"<S5", "|S5", 5, 1},
		{"<U7", "<U7", 28, 4},
		{">U0", ">U0", 0, 4},
		{"V16", "|V16", 16, 1},
		{"<M8", "<M8", 8, 8},
		{"<M8[generic]", "<M8", 8, 8},
		{"<M8[10ms]", "<M8[10ms]", 8, 8},
		{"<M8[1ms]", "<M8[ms]", 8, 8},
		{">m8[μs]", ">m8[us]", 8, 8},
		{"datetime64", dtype.Datetime64(dtype.Generic, 1).String(), 8, 8},
		{"datetime64[ns]", dtype.Datetime64(dtype.Nanosecond, 1).String(), 8, 8},
		{"timedelta64[25s]", dtype.Timedelta64(dtype.Second, 25).String(), 8, 8},
		{"|V2147483647", "|V2147483647", 1<<31 - 1, 1},
	} {
		typ, err := dtype.Parse(c.text)
		require.NoError(t, err, c.text)
		assert.Equal(t, c.str, typ.String())
		assert.Equal(t, c.size, typ.Size(), c.text)
		assert.Equal(t, c.align, typ.Align(), c.text)
	}
}

func TestParseRefuses(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		"", "<", "f", "f3", "<f04", "f4 ", " f4", "<<f4", "|f4", "|M8[ns]", "f4[ns]", "M4[ns]", "M8[]", "M8[ns", "M8[0s]",
		"M8[2147483648s]", "M8[xs]", "M8[5]", "M8[2generic]", "U536870912", "S2147483648", "S99999999999", "S-1", "S+1",
		"x4", "datetime64[ns]]", "float", "float 32", "[]", "\"f4\"", "\x00", "f4\n",
	} {
		_, err := dtype.Parse(text)
		assert.ErrorIs(t, err, dtype.ErrInvalid, "%q", text)
	}
	for _, text := range []string{"O", "|O", "object", "f16", "<c32", "float128", "g", "|O8"} {
		_, err := dtype.Parse(text)
		assert.ErrorIs(t, err, dtype.ErrUnsupported, "%q", text)
	}
	_, err := dtype.Parse("object")
	assert.ErrorContains(t, err, "pointers")
}

func TestTextRoundTrips(t *testing.T) {
	t.Parallel()
	rapid.Check(t, roundTrip)
}

func FuzzTextRoundTrips(f *testing.F) { f.Fuzz(rapid.MakeFuzz(roundTrip)) }

func roundTrip(t *rapid.T) {
	typ := anyType(4).Draw(t, "type")
	text, err := typ.MarshalText()
	require.NoError(t, err)
	var fromText, fromJSON dtype.Type
	require.NoError(t, fromText.UnmarshalText(text))
	require.Equal(t, typ.String(), fromText.String())
	require.True(t, typ.Equal(fromText))

	js, err := json.Marshal(typ)
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(js, &fromJSON), string(js))
	require.Equal(t, typ.String(), fromJSON.String())

	stored, err := dtype.FromStored(typ.Code(), typ.Record())
	require.NoError(t, err)
	require.Equal(t, typ.String(), stored.String())
	require.Equal(t, typ.Align(), stored.Align())
}

func TestParseNeverPanics(t *testing.T) {
	t.Parallel()
	rapid.Check(t, parseHostile)
}

func FuzzParse(f *testing.F) { f.Fuzz(rapid.MakeFuzz(parseHostile)) }

func parseHostile(t *rapid.T) {
	text := rapid.OneOf(
		rapid.StringOf(rapid.RuneFrom([]rune("<>|=biufcMmSUV0123456789[]{}\":,\\ genicstru"))),
		rapid.Map(rapid.SliceOf(rapid.Byte()), func(b []byte) string { return string(b) }),
	).Draw(t, "text")
	typ, err := dtype.Parse(text)
	if err != nil {
		return
	}
	again, err := dtype.Parse(typ.String())
	require.NoError(t, err)
	require.Equal(t, typ.String(), again.String())
}

func TestZeroType(t *testing.T) {
	t.Parallel()
	var typ dtype.Type
	assert.False(t, typ.IsValid())
	assert.Equal(t, "invalid", typ.String())
	assert.Zero(t, typ.Size())
	assert.Zero(t, typ.Code())
	assert.Equal(t, "invalid", typ.Kind().String())
	_, err := typ.MarshalText()
	assert.ErrorIs(t, err, dtype.ErrInvalid)
	_, err = typ.MarshalJSON()
	assert.ErrorIs(t, err, dtype.ErrInvalid)
}

func TestWithOrder(t *testing.T) {
	t.Parallel()
	assert.Equal(t, ">f4", dtype.Float32.WithOrder(dtype.Big).String())
	assert.Equal(t, "<f4", dtype.Float32.WithOrder(dtype.Big).WithOrder(dtype.Little).String())
	assert.Equal(t, dtype.Int8, dtype.Int8.WithOrder(dtype.Big))
	assert.Equal(t, dtype.Float32, dtype.Float32.WithOrder(dtype.NotApplicable))
	assert.Panics(t, func() { dtype.Float32.WithOrder(3) })

	typ := point(t).WithOrder(dtype.Big)
	assert.Equal(t, `{"itemsize":8,"aligned":true,"fields":[["x",">f4",0],["y",">f4",4]]}`, typ.String())
	assert.Equal(t, dtype.Native() == dtype.Big, typ.IsNative())
	assert.True(t, point(t).WithOrder(dtype.Native()).Equal(point(t)))
}

func TestConstructorsPanic(t *testing.T) {
	t.Parallel()
	assert.PanicsWithValue(t, "dtype: Bytes: length -1 (0 to 2147483647)", func() { dtype.Bytes(-1) })
	assert.PanicsWithValue(t, "dtype: Unicode: length 536870912 (0 to 536870911)", func() { dtype.Unicode(1 << 29) })
	assert.Panics(t, func() { dtype.Datetime64(dtype.Second, 0) })
	assert.Panics(t, func() { dtype.Datetime64(dtype.Generic, 2) })
	assert.Panics(t, func() { dtype.Timedelta64(14, 1) })
}
