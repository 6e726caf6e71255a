package pool

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ndpool/ndpool/alloc"
	"github.com/ndpool/ndpool/arena"
)

// The same-process twin: pools over a segment on the Go heap, where the race detector sees every word, and where death
// is to drop the kernel's locks.

func createHeap(t testing.TB, o Options) (*arena.Heap, *Pool) {
	t.Helper()
	spec, err := o.spec()
	require.NoError(t, err)
	h, a, err := arena.CreateHeap(spec, format)
	require.NoError(t, err)
	return h, newPool(a, alloc.New(a)).begin(o)
}

func openHeap(h *arena.Heap) (*Pool, error) {
	a, err := arena.OpenHeap(h)
	if err != nil {
		return nil, err
	}
	dirty, err := a.Claim()
	if err != nil {
		return nil, err
	}
	p := newPool(a, alloc.New(a))
	return p, p.clean(dirty)
}
