package pool

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ndpool/ndpool/dtype"
)

// TestRuns wants the bytes of any view in C order, in runs as long as can be.
func TestRuns(t *testing.T) {
	p, _ := newTestPool(t, Options{Capacity: 1 << 20})
	a := must(p.Alloc(dtype.Uint8, 3, 4))
	defer a.Release()
	xs := must(Slice[uint8](a))
	for i := range xs {
		xs[i] = uint8(i)
	}
	runs := func(a *Array) (all [][]byte) {
		for run := range a.Runs() {
			all = append(all, append([]byte{}, run...))
			require.Equal(t, len(run), cap(run))
		}
		return all
	}
	require.Equal(t, [][]byte{xs}, runs(a))
	for _, c := range []struct {
		ranges []Range
		want   [][]byte
	}{
		{[]Range{{1, 3, 1}}, [][]byte{xs[4:12]}},
		{[]Range{All, {1, 3, 1}}, [][]byte{{1, 2}, {5, 6}, {9, 10}}},
		{[]Range{{2, -maxInt, -2}, {3, 0, -2}}, [][]byte{{11}, {9}, {3}, {1}}},
		{[]Range{All, At(1)}, [][]byte{{1}, {5}, {9}}},
		{[]Range{{0, 0, 1}}, nil},
	} {
		v := must(a.View(c.ranges...))
		require.Equal(t, c.want, runs(v), c.ranges)
		v.Release()
	}
	v := must(a.Transpose())
	defer v.Release()
	require.Len(t, runs(v), 12)
	for range v.Runs() {
		break // and no more
	}
}
