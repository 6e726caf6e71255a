package pool

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ndpool/ndpool/alloc"
	"github.com/ndpool/ndpool/arena"
	"github.com/ndpool/ndpool/arena/layout"
	"github.com/ndpool/ndpool/dtype"
)

// worldOptions have tables of more than one word and chunks whose number is not a power of two.
var worldOptions = Options{Capacity: 5 << 20, Arrays: 512, Processes: 6, Tickets: 70, Names: 70, Persistent: true, Grace: time.Hour,
	LockWait: time.Second}

// structured is a dtype whose record lies in the extent.
var structured = must(dtype.Parse(`{"itemsize":16,"fields":[["x","<f4",0],["y","<i2",4,[2,3]]]}`))

// tenDims is a shape that does not fit the descriptor.
var tenDims = []int{1, 2, 1, 2, 1, 2, 1, 2, 1, 3}

// world is a small pool that contains every kind of thing, on the Go heap: blocks of every state, metadata of every form,
// tickets of every end, names, rings, slabs, and runs of pages within and across chunks.
type world struct {
	heap    *arena.Heap
	p, q, r *Pool // in the slots 0, 1 and 2; slot 3 was used, 4 and 5 never
	arrays  []*Array
	hand    []handRing
}

func newWorld(t testing.TB) *world { return newWorldOf(t, worldOptions) }

func newWorldOf(t testing.TB, o Options) *world {
	w := &world{}
	w.heap, w.p = createHeap(t, o)
	w.q, w.r = must(openHeap(w.heap)), must(openHeap(w.heap))
	w.retire()
	w.privates()
	w.shared()
	w.tickets()
	w.names()
	w.rings()
	w.cached()
	return w
}

// keep notes an array of the world that its owner holds.
func (w *world) keep(a *Array) *Array {
	w.arrays = append(w.arrays, a)
	return a
}

func (w *world) privates() {
	for _, s := range []Spec{
		{DType: dtype.Int32, Shape: []int{3, 4}},
		{DType: dtype.Int16, Shape: []int{5, 6}, Fortran: true},
		{DType: dtype.Float64},
		{DType: dtype.Uint32, Shape: []int{1}},
		{DType: dtype.Uint8, Shape: []int{4, 0, 2}},
		{DType: dtype.Uint8, Shape: []int{600 * layout.PageSize}},
		{DType: dtype.Float32, Shape: tenDims},
		{DType: structured, Shape: []int{7}},
	} {
		w.keep(must(w.p.New(s)))
	}
}

func (w *world) shared() {
	for _, s := range []Spec{{DType: dtype.Int16, Shape: []int{5, 6}}, {DType: structured, Shape: tenDims}} {
		a := w.keep(must(w.p.New(s)))
		w.keep(must(w.q.Retain(a.Handle())))
	}
	for _, hash := range []bool{true, false} {
		a := w.keep(must(w.q.Zeros(dtype.Uint8, 100)))
		if err := a.Seal(hash); err != nil {
			panic(err)
		}
	}
}

// retire lets a descriptor use its last generation.
func (w *world) retire() {
	a := must(w.p.Alloc(dtype.Uint8, 20*layout.PageSize))
	i := int(a.desc)
	w.p.desc(i).Gen.Store(uint64(w.p.refs.FirstGen(i) - 1))
	a.Release()
	if err := w.p.steal(); err != nil {
		panic(err)
	}
}

func (w *world) tickets() {
	send := func(from *Pool) *Array { return must(from.Alloc(dtype.Int16, 5, 6)) }
	must(w.keep(send(w.p)).Send())
	must(w.keep(send(w.p)).SendTo(w.q.Self()))
	w.keep(must(w.q.Adopt(must(w.keep(send(w.p)).Send())))) // spent
	if err := w.p.Recall(must(w.keep(send(w.p)).Send())); err != nil {
		panic(err)
	}
	gone := must(openHeap(w.heap))
	must(w.keep(send(w.p)).SendTo(gone.Self())) // expires
	a := send(gone)
	must(a.Send()) // waits for its deadline
	a.Release()
	gone.Close()
}

// cached leaves CACHED blocks of p and q, and a BUSY one of r.
func (w *world) cached() {
	for _, p := range []*Pool{w.p, w.q, w.r} {
		for _, n := range []int{30, 15 * layout.PageSize} {
			must(p.Alloc(dtype.Uint8, n)).Release()
		}
	}
	for i := range w.r.descs() {
		if s := w.r.state(i); s.Kind() == layout.Cached && s.Owner() == w.r.Self().ident().Slot() {
			w.r.refs.TakeCached(i)
			return
		}
	}
	panic("r has nothing cached")
}

// newWorldAtRest is a world whose processes have left: what lives lives by transfers that wait for their deadline,
// by names that stay, and by rings that these name.
func newWorldAtRest(t testing.TB) *arena.Heap {
	w := newWorld(t)
	for _, a := range w.arrays {
		must(a.Message())
		a.Release()
	}
	for _, r := range w.hand {
		r.array.Release()
	}
	w.p.Close()
	w.q.Close()
	w.r.Close()
	return w.heap
}

// imageOf writes a copy of a segment to a file and returns its path.
func imageOf(t testing.TB, segment []byte) string {
	path := filepath.Join(testDir(t), "image")
	require.NoError(t, os.WriteFile(path, segment, 0o600))
	return path
}

// openImage lays an arena over a private copy of a segment.
func openImage(t testing.TB, segment []byte) *arena.Arena {
	a, err := arena.OpenImage(imageOf(t, bytes.Clone(segment)))
	require.NoError(t, err)
	return a
}

// reindex makes the derived indexes of an image anew, as a rebuild does, and leaves the truth alone.
func reindex(a *arena.Arena) {
	c := newChecker(a, VerifyOptions{})
	al := alloc.New(a)
	al.Reset()
	for i := range c.pool.descs() {
		switch e, ok := c.pool.extent(i); c.pool.state(i).Kind() {
		case layout.Free:
			al.Descs.Add(i)
		case layout.Busy, layout.Live, layout.Cached, layout.Private:
			if ok {
				al.Mark(e)
			}
		}
	}
	for n := range a.Tickets {
		if !c.pool.ticketOpen(n) {
			al.Tickets.Add(n)
		}
	}
	relink(a, &al.Names)
	al.Finish()
}

// findBlock returns the first descriptor that fits. It panics if there is none: the world lacks something.
func findBlock(a *arena.Arena, fits func(s layout.State, d *layout.Desc) bool) int {
	for i := range a.Descs {
		if fits(layout.State(a.Descs[i].State.Load()), &a.Descs[i]) {
			return i
		}
	}
	panic("no such block")
}

func ofKind(k layout.Kind) func(layout.State, *layout.Desc) bool {
	return func(s layout.State, _ *layout.Desc) bool { return s.Kind() == k }
}

// findTicket returns the first ticket that fits.
func findTicket(a *arena.Arena, fits func(k layout.TicketKind, t *layout.Ticket) bool) int {
	for n := range a.Tickets {
		if fits(layout.TicketWord(a.Tickets[n].Word.Load()).Kind(), &a.Tickets[n]) {
			return n
		}
	}
	panic("no such ticket")
}

// TestWorldIsClean is the ground that the tests of faults stand on.
func TestWorldIsClean(t *testing.T) {
	w := newWorld(t)
	for _, k := range []layout.Kind{layout.Free, layout.Busy, layout.Live, layout.Cached, layout.Private, layout.Retired} {
		findBlock(w.p.arena, ofKind(k))
	}
	for k := layout.TicketUnused; k <= layout.TicketExpired; k++ {
		findTicket(w.p.arena, func(found layout.TicketKind, _ *layout.Ticket) bool { return found == k })
	}
	requireClean(t, w.q)
	for _, segment := range [][]byte{w.heap.Bytes(), newWorldAtRest(t).Bytes()} {
		r, err := VerifyImage(imageOf(t, segment), VerifyOptions{Content: true})
		require.NoError(t, err)
		require.Empty(t, r.Faults)
		require.True(t, r.Indexes)
	}
}
