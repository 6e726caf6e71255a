package main

import (
	"encoding/binary"
	"math"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ndpool/ndpool/dtype"
	"github.com/ndpool/ndpool/pool"
)

func previewOf(t *testing.T, dt dtype.Type, content []byte, shape ...int) string {
	t.Helper()
	s, err := preview(pool.ArrayInfo{DType: dt, Shape: shape}, func(off, n int) ([]byte, error) { return content[off : off+n], nil })
	require.NoError(t, err)
	return s
}

func le[T any](t *testing.T, v T) []byte {
	b, err := binary.Append(nil, binary.LittleEndian, v)
	require.NoError(t, err)
	return b
}

func TestPreview(t *testing.T) {
	parse := func(s string) dtype.Type {
		dt, err := dtype.Parse(s)
		require.NoError(t, err)
		return dt
	}
	rec, err := dtype.Struct(dtype.Field{Name: "x", Type: parse("<f4")}, dtype.Field{Name: "s", Type: parse("|S3")},
		dtype.Field{Name: "v", Type: parse("<i2"), Shape: []int{2}})
	require.NoError(t, err)
	item := append(append(le(t, float32(1.5)), "ab\x00"...), le(t, []int16{7, -8})...)
	for _, c := range []struct {
		dt      dtype.Type
		content []byte
		shape   []int
		want    string
	}{
		{parse("|b1"), []byte{1, 0}, []int{2}, "[ True False]"},
		{parse("<i4"), le(t, int32(-5)), nil, "-5"},
		{parse(">u2"), []byte{1, 2}, []int{1}, "[258]"},
		{parse("<u8"), le(t, uint64(math.MaxUint64)), []int{1}, "[18446744073709551615]"},
		{parse("|i1"), []byte{0x80, 1}, []int{2}, "[-128    1]"},
		{parse("<f8"), le(t, []float64{0.1, 2, 1e-9, math.Inf(-1), math.NaN()}), []int{5}, "[  0.1    2. 1e-09  -inf   nan]"},
		{parse("<f4"), le(t, float32(0.1)), []int{1}, "[0.1]"},
		{parse("<c8"), le(t, []float32{1, -2.5}), []int{1}, "[1.-2.5j]"},
		{parse("<M8[s]"), le(t, []int64{5, math.MinInt64}), []int{2}, "[  5 NaT]"},
		{parse("|S3"), []byte("a\x00\x00\x01'b"), []int{2}, `[b'a' b'\x01\'b']`},
		{parse("<U2"), le(t, []uint32{'h', 0xe9, 0x1b, 0x110000}), []int{2}, `['hé' '\x1b\\U00110000']`},
		{parse("|V2"), []byte{1, 255}, []int{1}, "[b'01ff']"},
		{rec, append(item, item...), []int{2}, "[(1.5, b'ab', [7, -8])\n (1.5, b'ab', [7, -8])]"},
		{parse("<i4"), nil, []int{0, 3}, "[] (no elements)"},
		{parse("|u1"), []byte{1, 2, 3, 4, 5, 6, 7, 8}, []int{2, 2, 2}, "[[[1 2]\n  [3 4]]\n\n [[5 6]\n  [7 8]]]"},
		{parse("|u1"), make([]byte, 2000), []int{2000}, "[0 0 0 ... 0 0 0]"},
	} {
		require.Equal(t, c.want, previewOf(t, c.dt, c.content, c.shape...), c.dt)
	}
}

func TestPreviewIsBounded(t *testing.T) {
	shape := make([]int, 14)
	n := 1
	for k := range shape {
		shape[k] = 2
		n *= 2
	}
	s := previewOf(t, dtype.Uint8, make([]byte, n), shape...)
	require.Equal(t, budget, strings.Count(s, "0"))
	require.Contains(t, s, "...")
	require.Equal(t, strings.Count(s, "["), strings.Count(s, "]"))
}

// TestHalf compares every float16 with its neighbours: what is written reads back as the same one.
func TestHalf(t *testing.T) {
	for bits := range 0x7c00 {
		f, err := strconv.ParseFloat(half(uint16(bits)), 64)
		require.NoError(t, err)
		got, want := math.Abs(f-halfToFloat(uint16(bits))), halfToFloat(uint16(bits)+1)-halfToFloat(uint16(bits))
		if bits == 0x7bff {
			want = 32
		}
		require.LessOrEqual(t, got, want/2, bits)
	}
	require.Equal(t, "0.1", half(0x2e66))
	require.Equal(t, "-2.", half(0xc000))
	require.Equal(t, "nan", half(0x7e00))
}
