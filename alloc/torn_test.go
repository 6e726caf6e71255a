package alloc

import (
	"errors"
	"fmt"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/ndpool/ndpool/arena"
	"github.com/ndpool/ndpool/arena/layout"
	"github.com/ndpool/ndpool/internal/shm"
)

// snapshot is a private copy of the indexes.
type snapshot struct {
	bits, sets []uint64
	tree       [][4]uint32
	slabs      [][]uint64
}

func snap(a *arena.Arena) snapshot {
	s := snapshot{bits: loads(a.PageBits), sets: loads(a.SlabSets)}
	for i := range a.PageTree {
		n := &a.PageTree[i]
		s.tree = append(s.tree, [4]uint32{n.Start.Get(), n.Max.Get(), n.End.Get(), n.Free.Get()})
	}
	for i := range a.Slabs {
		rec := []uint64{a.Slabs[i].Head.Get()}
		if rec[0] != 0 { // else the map means nothing
			rec = append(rec, loads(a.Slabs[i].Map[:])...)
		}
		s.slabs = append(s.slabs, rec)
	}
	return s
}

func loads(words []shm.U64) []uint64 {
	out := make([]uint64, len(words))
	for i := range words {
		out[i] = words[i].Get()
	}
	return out
}

func (s snapshot) diff(o snapshot) string {
	for i := range s.bits {
		if s.bits[i] != o.bits[i] {
			return fmt.Sprintf("page bits %d: %#x and %#x", i, s.bits[i], o.bits[i])
		}
	}
	for i := range s.tree {
		if s.tree[i] != o.tree[i] {
			return fmt.Sprintf("node %d: %v and %v", i, s.tree[i], o.tree[i])
		}
	}
	for i := range s.slabs {
		if !slices.Equal(s.slabs[i], o.slabs[i]) {
			return fmt.Sprintf("slab %d: %#x and %#x", i, s.slabs[i], o.slabs[i])
		}
	}
	for i := range s.sets {
		if s.sets[i] != o.sets[i] {
			return fmt.Sprintf("slab sets, word %d: %#x and %#x", i, s.sets[i], o.sets[i])
		}
	}
	return ""
}

// scribble overwrites one word of an index with anything, or with what almost makes sense.
func scribble(t *rapid.T, a *arena.Arena) {
	any64 := rapid.OneOf(rapid.Uint64(), rapid.SampledFrom([]uint64{0, 1, ^uint64(0), 1 << 63}))
	any32 := rapid.OneOf(rapid.Uint32(), rapid.Uint32Range(0, 2000), rapid.SampledFrom([]uint32{^uint32(0), 1 << 31}))
	switch rapid.IntRange(0, 4).Draw(t, "index") {
	case 0:
		a.PageBits[rapid.IntRange(0, len(a.PageBits)-1).Draw(t, "word")].Put(any64.Draw(t, "bits"))
	case 1:
		last := len(a.PageTree) - 1
		node := rapid.OneOf(rapid.IntRange(0, last), rapid.IntRange(1, min(7, last))).Draw(t, "node")
		put(&a.PageTree[node],
			any32.Draw(t, "start"), any32.Draw(t, "max"), any32.Draw(t, "end"), any32.Draw(t, "free"))
	case 2:
		s := &a.Slabs[rapid.IntRange(0, len(a.Slabs)-1).Draw(t, "slab")]
		s.Map[rapid.IntRange(0, len(s.Map)-1).Draw(t, "word")].Put(any64.Draw(t, "map"))
	case 3:
		a.SlabSets[rapid.IntRange(0, len(a.SlabSets)-1).Draw(t, "word")].Put(any64.Draw(t, "set"))
	case 4:
		i := rapid.IntRange(0, len(a.Slabs)-1).Draw(t, "slab")
		h := layout.SlabHead(any64.Draw(t, "head"))
		if rapid.Bool().Draw(t, "plausible") { // a slab of the right place, in its set, that may reach beyond the end
			c := rapid.IntRange(1, layout.NumClasses).Draw(t, "class")
			h = layout.MakeSlab(c, rapid.IntRange(0, 300).Draw(t, "free"), i*layout.MinSlabPages+rapid.IntRange(0, 3).Draw(t, "offset"))
			set := New(a).avail[c]
			set.Add(i)
		}
		a.Slabs[i].Head.Put(uint64(h))
	}
}

// TestTornIndexes damages the indexes and goes on: nothing panics, nothing outside the data region is handed out, and a
// rebuild makes the indexes as if nothing had happened.
func TestTornIndexes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		pages := rapid.SampledFrom([]int{16, 18, 513, 1100, 2600}).Draw(t, "pages")
		a, al := newArena(t, pages)
		size := sizes(pages)
		var taken []layout.Extent
		for range rapid.IntRange(0, 20).Draw(t, "before") {
			if e, err := al.Take(size.Draw(t, "size")); err == nil {
				taken = append(taken, e)
			}
		}
		whole := snap(a)
		torn := slices.Clone(taken)
		for range rapid.IntRange(1, 20).Draw(t, "rounds") {
			scribble(t, a)
			torn = useTorn(t, al, pages, torn, size)
		}
		al.Reset()
		for _, e := range taken {
			al.Mark(e)
		}
		al.Finish()
		if diff := whole.diff(snap(a)); diff != "" {
			t.Fatalf("rebuild after scribbles differs: %s", diff)
		}
	})
}

// TestTornTreeLeadsOutside lets summaries lead to a leaf behind the last chunk.
func TestTornTreeLeadsOutside(t *testing.T) {
	_, al := newArena(t, 1100) // three chunks, four leaves
	for i := range al.pages.tree {
		put(&al.pages.tree[i], 0, 0, 0, 0)
	}
	put(&al.pages.tree[1], 0, 100, 0, 100)
	if e, err := al.Take(8192); !errors.Is(err, ErrTorn) {
		t.Errorf("got %#x %v, want ErrTorn", uint64(e), err)
	}
	al.pages.tree[2].End.Put(5000) // a run that starts before the first page
	al.pages.tree[3].Start.Put(1)
	if e, err := al.Take(8192); !errors.Is(err, ErrTorn) {
		t.Errorf("got %#x %v, want ErrTorn", uint64(e), err)
	}
}

// TestTornSlabReachesOutside puts a slab so near to the end that its pages reach beyond.
func TestTornSlabReachesOutside(t *testing.T) {
	a, al := newArena(t, 16)
	al.fill(3, 1, 13, 256)
	al.avail[1].Add(3)
	if e, err := al.Take(64); !errors.Is(err, ErrTorn) {
		t.Errorf("got %#x %v, want ErrTorn", uint64(e), err)
	}
	for _, h := range []layout.SlabHead{0, layout.MakeSlab(2, 1, 12), layout.MakeSlab(1, 0, 12), layout.MakeSlab(1, 1, 8), layout.MakeSlab(200, 1, 12)} {
		a.Slabs[3].Head.Put(uint64(h))
		if e, err := al.Take(64); !errors.Is(err, ErrTorn) {
			t.Errorf("head %#x: got %#x %v, want ErrTorn", uint64(h), uint64(e), err)
		}
	}
}

// useTorn does one thing with damaged indexes.
func useTorn(t *rapid.T, al *Allocator, pages int, taken []layout.Extent, size *rapid.Generator[uint64]) []layout.Extent {
	var e layout.Extent
	ok := false
	switch rapid.IntRange(0, 3).Draw(t, "use") {
	case 0, 1:
		n := size.Draw(t, "size")
		var err error
		if e, err = al.Take(n); err != nil && !errors.Is(err, ErrNoSpace) && !errors.Is(err, ErrTorn) {
			t.Fatalf("Take(%d): %v", n, err)
		}
		if ok = err == nil; ok && e.Size() < n {
			t.Fatalf("Take(%d): got %d bytes", n, e.Size())
		}
	case 2:
		e, ok = al.TakeChunk(rapid.IntRange(0, (pages-1)/layout.ChunkPages).Draw(t, "chunk"))
	case 3:
		if len(taken) > 0 {
			al.Give(rapid.SampledFrom(taken).Draw(t, "extent"))
		}
	}
	al.FreePages()
	if !ok {
		return taken
	}
	if !e.Valid(pages) {
		t.Fatalf("extent %#x: page %d+%d of %d, class %d", uint64(e), e.First(), e.Pages(), pages, e.Class())
	}
	return append(taken, e)
}
