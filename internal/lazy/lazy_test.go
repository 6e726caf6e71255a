package lazy

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestEntriesStayWhereTheyAre(t *testing.T) {
	tab := New[struct{ a, b uint32 }](5000)
	first := tab.At(4321)
	for i := range 5000 {
		require.Zero(t, *tab.At(i))
		tab.At(i).b = uint32(i)
	}
	require.Same(t, first, tab.At(4321))
	require.EqualValues(t, 4321, first.b)
	require.Panics(t, func() { tab.At(6000) })
	tab.Free()
	require.Panics(t, func() { tab.At(0) })
}
