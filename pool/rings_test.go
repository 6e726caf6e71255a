package pool

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ndpool/ndpool/dtype"
)

// ringsOfTest makes a lossless stream with three frames, of which one reader has read one, and a queue with an item of two arrays.
func ringsOfTest(t *testing.T, p *Pool) {
	t.Helper()
	ctx := context.Background()
	w, err := p.StreamWriter("run/live", RingOptions{Entries: 4, Lossless: true})
	require.NoError(t, err)
	t.Cleanup(func() { w.Close() })
	r, err := p.StreamReader("run/live", ReadOptions{Every: true})
	require.NoError(t, err)
	t.Cleanup(func() { r.Close() })
	q, err := p.Queue("jobs")
	require.NoError(t, err)
	t.Cleanup(func() { q.Close() })
	for range 3 {
		a, err := p.Zeros(dtype.Uint8, 100)
		require.NoError(t, err)
		_, err = w.Publish(ctx, a)
		require.NoError(t, err)
		a.Release()
	}
	f, err := r.Next(ctx)
	require.NoError(t, err)
	f.Release()
	a, err := p.Zeros(dtype.Float32, 10)
	require.NoError(t, err)
	require.NoError(t, q.Put(ctx, a, a))
	a.Release()
	x, err := p.Zeros(dtype.Int16, 2)
	require.NoError(t, err)
	_, err = p.Publish("run/x", x)
	require.NoError(t, err)
	x.Release()
}

func TestRings(t *testing.T) {
	p, dir := newTestPool(t, Options{Capacity: 8 << 20})
	ringsOfTest(t, p)
	found, err := p.Rings()
	require.NoError(t, err)
	require.Len(t, found, 2)
	slices.SortFunc(found, func(a, b RingInfo) int { return len(a.Kind) - len(b.Kind) })
	queue, stream := found[0], found[1]
	self := p.Self()
	require.WithinDuration(t, time.Now(), stream.Newest, time.Minute)
	require.Equal(t, RingInfo{Handle: stream.Handle, Kind: StreamRing, Names: []string{"run/live"}, Lossless: true, Limit: 4, ReaderLimit: 64, Head: 3, Items: 3,
		Bytes: 300, Writer: self, Entered: 1, Behind: 2, Newest: stream.Newest, Holders: []int{0}}, stream)
	require.Equal(t, RingInfo{Handle: queue.Handle, Kind: QueueRing, Names: []string{"jobs"}, Limit: 16384, Head: 2, Items: 1, Bytes: 80,
		Newest: queue.Newest, Holders: []int{0}}, queue)

	s, err := Peek("test", Options{Dir: dir})
	require.NoError(t, err)
	defer s.Close()
	peeked, err := s.Rings()
	require.NoError(t, err)
	require.ElementsMatch(t, found, peeked)
	require.Equal(t, slices.Collect(p.Arrays()), slices.Collect(s.Arrays()))
	for a := range p.Arrays() {
		switch a.Handle {
		case stream.Handle:
			require.Equal(t, StreamRing, a.Ring)
		case queue.Handle:
			require.Equal(t, QueueRing, a.Ring)
		default:
			require.Empty(t, a.Ring)
		}
	}
}

// TestRingsAreNotListedAsArrays wants that names tell what they stand for, and that trees have arrays alone.
func TestRingsAreNotListedAsArrays(t *testing.T) {
	p, dir := newTestPool(t, Options{Capacity: 8 << 20})
	ringsOfTest(t, p)
	s, err := Peek("test", Options{Dir: dir})
	require.NoError(t, err)
	defer s.Close()
	kinds := map[string]RingKind{}
	for n, err := range p.List("") {
		require.NoError(t, err)
		if kinds[n.Path] = n.Ring; n.Ring != "" {
			require.Equal(t, []any{ProcessID(0), false, false, false}, []any{n.Owner, n.Persistent, n.Implicit, n.Group}, "it goes with the pool")
			require.Equal(t, []any{dtype.Type{}, []int(nil), false}, []any{n.DType, n.Shape, n.Sealed})
		}
	}
	require.Equal(t, map[string]RingKind{"run": "", "run/live": StreamRing, "run/x": "", "jobs": QueueRing}, kinds)
	for n, err := range s.List("") {
		require.NoError(t, err)
		require.Equal(t, kinds[n.Path], n.Ring)
	}

	tree, err := p.LookupTree("")
	require.NoError(t, err)
	require.Len(t, tree, 1)
	require.Len(t, tree["run"], 1)
	require.Equal(t, []int{2}, tree["run"].(Tree)["x"].(*Array).Shape())
	tree.Release()
	for _, path := range []string{"run/live", "jobs"} {
		_, err = p.LookupTree(path)
		require.ErrorIs(t, err, ErrKind)
		_, err = p.Lookup(path)
		require.ErrorIs(t, err, ErrKind)
	}
}
