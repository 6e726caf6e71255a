package handle_test

import (
	"math"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/ndpool/ndpool/dtype"
	"github.com/ndpool/ndpool/handle"
)

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

var row = must(dtype.Struct(
	dtype.Field{Name: "é<", Type: dtype.Float32.WithOrder(dtype.Big)},
	dtype.Field{Name: "s", Type: dtype.Bytes(3), Shape: []int{2}}))

func types() *rapid.Generator[dtype.Type] {
	return rapid.SampledFrom([]dtype.Type{
		dtype.Bool, dtype.Float32.WithOrder(dtype.Little), dtype.Complex128.WithOrder(dtype.Big), dtype.Bytes(0), dtype.Void(5),
		dtype.Datetime64(dtype.Millisecond, 10).WithOrder(dtype.Little), row,
	})
}

// views draws valid views, some of them with places near the end of what 63 bits can tell.
func views() *rapid.Generator[handle.View] {
	far := rapid.OneOf(rapid.IntRange(-40, 40), rapid.IntRange(math.MinInt/8, math.MaxInt/8))
	return rapid.Custom(func(t *rapid.T) handle.View {
		v := handle.View{
			Offset: rapid.OneOf(rapid.Uint64Range(0, 100), rapid.Uint64Range(0, math.MaxInt64)).Draw(t, "offset"),
			DType:  types().Draw(t, "dtype"),
		}
		for range rapid.IntRange(0, 4).Draw(t, "ndim") {
			v.Shape = append(v.Shape, rapid.IntRange(0, 5).Draw(t, "length"))
			v.Strides = append(v.Strides, far.Draw(t, "stride"))
		}
		if v.Validate() != nil {
			t.Skip("reaches too far")
		}
		return v
	})
}

func messages() *rapid.Generator[handle.Message] {
	return rapid.Custom(func(t *rapid.T) handle.Message {
		m := handle.Message{Handle: handle.New(rapid.Uint32().Draw(t, "granule"), rapid.Uint32Min(1).Draw(t, "generation"))}
		copy(m.Segment[:], rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, "segment"))
		if rapid.Bool().Draw(t, "ticket") {
			m.Ticket = handle.NewTicket(rapid.Uint32().Draw(t, "index"), rapid.Uint32Min(1).Draw(t, "nonce"))
		}
		if rapid.Bool().Draw(t, "view") {
			v := views().Draw(t, "view")
			m.View = &v
		}
		return m
	})
}

// flips changes every byte of b to another one, one at a time, and checks that each is refused or means itself.
func flips(t *rapid.T, b []byte, again func([]byte) ([]byte, error)) {
	mask := byte(rapid.IntRange(1, 255).Draw(t, "mask"))
	for i := range b {
		b[i] ^= mask
		if other, err := again(b); err == nil {
			require.Equal(t, string(b), string(other), "byte %d", i)
		}
		_, err := again(b[:i])
		require.Error(t, err, "cut at byte %d", i)
		b[i] ^= mask
	}
	_, err := again(append(b, mask))
	require.Error(t, err, "one byte more")
}
