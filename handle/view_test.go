package handle_test

import (
	"math"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/ndpool/ndpool/dtype"
	"github.com/ndpool/ndpool/handle"
)

// touched walks over all elements of a small view.
func touched(v handle.View) (lo, hi int64) {
	lo, hi = math.MaxInt64, math.MinInt64
	var walk func(k int, at int64)
	walk = func(k int, at int64) {
		if k == len(v.Shape) {
			lo, hi = min(lo, at), max(hi, at+int64(v.DType.Size()))
			return
		}
		for i := range v.Shape[k] {
			walk(k+1, at+int64(i*v.Strides[k]))
		}
	}
	walk(0, int64(v.Offset))
	if lo >= hi {
		return int64(v.Offset), int64(v.Offset)
	}
	return lo, hi
}

func TestBoundsAreWhatElementsTouch(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		v := handle.View{Offset: rapid.Uint64Range(0, 50).Draw(t, "offset"), DType: types().Draw(t, "dtype")}
		for range rapid.IntRange(0, 3).Draw(t, "ndim") {
			v.Shape = append(v.Shape, rapid.IntRange(0, 4).Draw(t, "length"))
			v.Strides = append(v.Strides, rapid.IntRange(-20, 20).Draw(t, "stride"))
		}
		lo, hi, err := v.Bounds()
		require.NoError(t, err)
		wantLo, wantHi := touched(v)
		if v.DType.Size() == 0 {
			wantLo, wantHi = int64(v.Offset), int64(v.Offset)
		}
		require.Equal(t, [2]int64{wantLo, wantHi}, [2]int64{lo, hi})

		size := rapid.Uint64Range(0, 150).Draw(t, "size")
		err = v.Within(size)
		require.Equal(t, lo >= 0 && uint64(hi) <= size, err == nil)
		if err != nil {
			require.ErrorIs(t, err, handle.ErrBounds)
		}
	})
}

func TestViewLimits(t *testing.T) {
	t.Parallel()
	f4, b1 := dtype.Float32, dtype.Bool
	const huge, most = math.MaxInt, math.MaxInt64
	for name, c := range map[string]struct {
		view handle.View
		want error
	}{
		"one element":       {handle.View{DType: f4}, nil},
		"last byte":         {handle.View{Offset: most - 1, DType: b1}, nil},
		"behind last byte":  {handle.View{Offset: most, DType: b1}, handle.ErrBounds},
		"nothing at end":    {handle.View{Offset: most, DType: b1, Shape: []int{0}, Strides: []int{0}}, nil},
		"offset":            {handle.View{Offset: most + 1, DType: b1, Shape: []int{0}, Strides: []int{0}}, handle.ErrBounds},
		"zero type":         {handle.View{}, handle.ErrInvalid},
		"strides":           {handle.View{DType: f4, Shape: []int{1}}, handle.ErrInvalid},
		"negative length":   {handle.View{DType: f4, Shape: []int{-1}, Strides: []int{4}}, handle.ErrInvalid},
		"size":              {handle.View{DType: f4, Shape: []int{1 << 61}, Strides: []int{0}}, handle.ErrInvalid},
		"size of all bytes": {handle.View{DType: b1, Shape: []int{huge}, Strides: []int{1}}, nil},
		"zero hides size":   {handle.View{DType: f4, Shape: []int{huge, huge, 0}, Strides: []int{0, 0, 0}}, handle.ErrInvalid},
		"one stride":        {handle.View{DType: f4, Shape: []int{1}, Strides: []int{math.MinInt}}, nil},
		"far down":          {handle.View{DType: f4, Shape: []int{2}, Strides: []int{-huge}}, nil},
		"too far down":      {handle.View{DType: f4, Shape: []int{2}, Strides: []int{math.MinInt}}, handle.ErrBounds},
		"far down twice":    {handle.View{DType: f4, Shape: []int{2, 3}, Strides: []int{-huge, -1}}, handle.ErrBounds},
		"far up":            {handle.View{DType: b1, Shape: []int{2}, Strides: []int{huge - 1}}, nil},
		"too far up":        {handle.View{DType: b1, Shape: []int{2}, Strides: []int{huge}}, handle.ErrBounds},
		"stride times":      {handle.View{DType: b1, Shape: []int{1 << 32}, Strides: []int{1 << 32}}, handle.ErrBounds},
		"dims":              {handle.View{DType: b1, Shape: make([]int, 65), Strides: make([]int, 65)}, handle.ErrInvalid},
	} {
		err := c.view.Validate()
		_, encode := c.view.MarshalBinary()
		_, _, bounds := c.view.Bounds()
		if c.want == nil {
			require.NoError(t, err, name)
			assert.NoError(t, encode, name)
			assert.NoError(t, bounds, name)
			continue
		}
		require.ErrorIs(t, err, c.want, name)
		assert.ErrorIs(t, encode, c.want, name)
		assert.ErrorIs(t, bounds, c.want, name)
	}
}

func TestViewRoundTrips(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		v := views().Draw(t, "view")
		b := must(v.MarshalBinary())
		require.Len(t, b, v.BinarySize())
		var w handle.View
		require.NoError(t, w.UnmarshalBinary(b))
		require.Equal(t, v.String(), w.String())
		require.True(t, v.Equal(w))
		require.Equal(t, v.NDim(), w.NDim())

		js := must(v.MarshalJSON())
		require.NoError(t, w.UnmarshalJSON(js), string(js))
		require.True(t, v.Equal(w))
		clear(b)
		require.True(t, v.Equal(w), "a view shares no memory with its bytes")
	})
}

func TestHostileViews(t *testing.T) {
	t.Parallel()
	rapid.Check(t, hostileView)
}

func FuzzView(f *testing.F) { f.Fuzz(rapid.MakeFuzz(hostileView)) }

func hostileView(t *rapid.T) {
	again := func(b []byte) ([]byte, error) {
		var v handle.View
		if err := v.UnmarshalBinary(b); err != nil {
			return nil, err
		}
		return v.MarshalBinary()
	}
	flips(t, must(views().Draw(t, "view").MarshalBinary()), again)
	noise := rapid.SliceOfN(rapid.Byte(), 0, 80).Draw(t, "noise")
	if b, err := again(noise); err == nil {
		require.Equal(t, noise, b)
	}
	var v handle.View
	_ = v.UnmarshalJSON(noise)
}

func TestViewsFullSize(t *testing.T) {
	t.Parallel()
	v := handle.View{DType: dtype.Int8, Shape: make([]int, 64), Strides: make([]int, 64)}
	b := must(v.MarshalBinary())
	var w handle.View
	require.NoError(t, w.UnmarshalBinary(b))
	assert.True(t, v.Equal(w))
	require.ErrorContains(t, w.UnmarshalBinary(make([]byte, handle.MaxViewSize+1)), "66585")
	b[1] = 65
	require.ErrorContains(t, w.UnmarshalBinary(b), "got 65, expected at most 64")
}
