package alloc

import (
	"errors"
	"maps"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/ndpool/ndpool/arena"
	"github.com/ndpool/ndpool/arena/layout"
)

// newArena returns a segment on the heap with an allocator that has everything free.
func newArena(t fataler, pages int) (*arena.Arena, *Allocator) {
	t.Helper()
	spec := arena.Spec{Limits: layout.Limits{Capacity: uint64(pages) * layout.PageSize, Arrays: 100, Processes: 2, Tickets: 10, Names: 1}}
	var al *Allocator
	_, a, err := arena.CreateHeap(spec, func(a *arena.Arena) error {
		al = New(a)
		al.Reset()
		al.Finish()
		return nil
	})
	if err != nil {
		t.Fatalf("create: %v", err)
	}
	return a, al
}

// oracle knows what the allocator must answer: it keeps a bool per page and a map of slabs, and searches them all.
type oracle struct {
	used  []bool
	slabs map[int]*oracleSlab // by first page
	taken map[layout.Extent]bool
}

type oracleSlab struct {
	class  int
	blocks []bool
	free   int
}

// take predicts the extent that Take returns; false: there is no space.
func (o *oracle) take(size uint64) (layout.Extent, bool) {
	c := layout.ClassOf(size)
	if c == 0 {
		n := int((size + layout.PageSize - 1) / layout.PageSize)
		first, ok := placeOf(o.used, n)
		if ok {
			fill(o.used, first, n, true)
		}
		return layout.PageRun(first, n), ok
	}
	for _, first := range slices.Sorted(maps.Keys(o.slabs)) {
		if s := o.slabs[first]; s.class == c && s.free > 0 {
			return s.take(first), true
		}
	}
	class := layout.Classes[c]
	first, ok := lowestRun(o.used, int(class.Pages))
	if !ok {
		return 0, false
	}
	fill(o.used, first, int(class.Pages), true)
	o.slabs[first] = &oracleSlab{class: c, blocks: make([]bool, class.Blocks), free: int(class.Blocks)}
	return o.slabs[first].take(first), true
}

func (s *oracleSlab) take(first int) layout.Extent {
	block := slices.Index(s.blocks, false)
	s.blocks[block] = true
	s.free--
	return layout.SlabBlock(s.class, first, block)
}

func (o *oracle) give(e layout.Extent) {
	delete(o.taken, e)
	if e.Class() == 0 {
		fill(o.used, e.First(), e.Pages(), false)
		return
	}
	s := o.slabs[e.First()]
	s.blocks[e.Block()] = false
	if s.free++; s.free == len(s.blocks) {
		delete(o.slabs, e.First())
		fill(o.used, e.First(), e.Pages(), false)
	}
}

// machine runs an allocator beside the oracle.
type machine struct {
	a  *arena.Arena
	al *Allocator
	o  oracle
}

func newMachine(t fataler, pages int) *machine {
	a, al := newArena(t, pages)
	return &machine{a: a, al: al, o: oracle{used: make([]bool, pages), slabs: map[int]*oracleSlab{}, taken: map[layout.Extent]bool{}}}
}

func (m *machine) take(t *rapid.T, size uint64) {
	got, err := m.al.Take(size)
	want, ok := m.o.take(size)
	if !ok {
		if !errors.Is(err, ErrNoSpace) {
			t.Fatalf("Take(%d): got %v %v, want ErrNoSpace", size, got, err)
		}
		return
	}
	if err != nil || got != want {
		t.Fatalf("Take(%d): got %#x (page %d) %v, want %#x (page %d)", size, uint64(got), got.First(), err, uint64(want), want.First())
	}
	m.took(t, got, size)
}

// took checks what a caller relies on: the extent is new, inside, aligned, and of the length of its class or of its pages.
func (m *machine) took(t *rapid.T, e layout.Extent, size uint64) {
	if !e.Valid(len(m.o.used)) || e.Offset()%layout.Granule != 0 || m.o.taken[e] {
		t.Fatalf("extent %#x: valid %v, offset %d, taken %v", uint64(e), e.Valid(len(m.o.used)), e.Offset(), m.o.taken[e])
	}
	want := (size + layout.PageSize - 1) / layout.PageSize * layout.PageSize
	if c := layout.ClassOf(size); c != 0 {
		want = uint64(layout.Classes[c].Size)
	}
	if e.Size() != want || e.Size() < size {
		t.Fatalf("extent %#x has %d bytes, want %d", uint64(e), e.Size(), want)
	}
	m.o.taken[e] = true
}

func (m *machine) takeChunk(t *rapid.T, c int) {
	first := c * layout.ChunkPages
	n := min(layout.ChunkPages, len(m.o.used)-first)
	got, ok := m.al.TakeChunk(c)
	if want := !slices.Contains(m.o.used[first:first+n], true); ok != want {
		t.Fatalf("TakeChunk(%d): got %v, want %v", c, ok, want)
	}
	if !ok {
		return
	}
	if got != layout.PageRun(first, n) {
		t.Fatalf("TakeChunk(%d): got %#x, want pages %d+%d", c, uint64(got), first, n)
	}
	fill(m.o.used, first, n, true)
	m.took(t, got, got.Size())
}

func (m *machine) give(t *rapid.T) {
	if len(m.o.taken) == 0 {
		return
	}
	e := rapid.SampledFrom(slices.Sorted(maps.Keys(m.o.taken))).Draw(t, "extent")
	m.al.Give(e)
	m.o.give(e)
}

// rebuild makes everything anew from the extents in use, in any order, and compares with what the steps have made.
func (m *machine) rebuild(t *rapid.T) {
	before := snap(m.a)
	extents := slices.Sorted(maps.Keys(m.o.taken))
	if len(extents) > 1 {
		extents = rapid.Permutation(extents).Draw(t, "order")
	}
	m.al.Reset()
	for _, e := range extents {
		m.al.Mark(e)
	}
	m.al.Finish()
	if diff := before.diff(snap(m.a)); diff != "" {
		t.Fatalf("rebuild differs: %s", diff)
	}
	shadow := NewShadow(&m.a.Geo)
	shadow.Reset()
	for _, e := range extents {
		shadow.Mark(e)
	}
	shadow.Finish()
	m.al.Diff(shadow, func(ix Index, place string, got, want uint64) {
		t.Fatalf("shadow differs: %s, %s: got %#x, want %#x", ix, place, got, want)
	})
}

// check compares the indexes with the oracle.
func (m *machine) check(t *rapid.T) {
	checkTree(t, &m.al.pages, m.o.used)
	free, _ := m.al.FreePages()
	if want := len(m.o.used) - count(m.o.used); free != want {
		t.Fatalf("FreePages: got %d, want %d", free, want)
	}
	for i := range m.a.Slabs {
		h := layout.SlabHead(m.a.Slabs[i].Head.Get())
		if h.Class() == 0 {
			continue
		}
		s := m.o.slabs[h.First()]
		if s == nil || s.class != h.Class() || s.free != h.Free() || h.First()/layout.MinSlabPages != i {
			t.Fatalf("slab %d: got %+v, oracle has %+v", i, h, s)
		}
		if has := m.al.avail[h.Class()].Has(i); has != (s.free > 0) {
			t.Fatalf("slab %d has %d free blocks; in the set: %v", i, s.free, has)
		}
	}
}

func count(bools []bool) (n int) {
	for _, b := range bools {
		if b {
			n++
		}
	}
	return n
}

// sizes draws sizes that meet: many of few classes, and runs from one page to more than there is.
func sizes(pages int) *rapid.Generator[uint64] {
	return rapid.OneOf(
		rapid.Uint64Range(0, layout.MaxClassSize),
		rapid.SampledFrom([]uint64{1, 64, 65, 2048, 3072, 3584}),
		rapid.Uint64Range(layout.MaxClassSize+1, 20*layout.PageSize),
		rapid.Uint64Range(1, uint64(pages+1)*layout.PageSize),
	)
}

func allocatorProperty(t *rapid.T) {
	pages := rapid.SampledFrom([]int{16, 17, 511, 512, 513, 700, 1024, 1537, 2600}).Draw(t, "pages")
	m := newMachine(t, pages)
	size := sizes(pages)
	take := func(t *rapid.T) { m.take(t, size.Draw(t, "size")) }
	t.Repeat(map[string]func(*rapid.T){
		"Take":  take,
		"Take2": take,
		"TakeMany": func(t *rapid.T) {
			n, s := rapid.IntRange(1, 70).Draw(t, "times"), rapid.Uint64Range(1, layout.MaxClassSize).Draw(t, "size")
			for range n {
				m.take(t, s)
			}
		},
		"TakeChunk": func(t *rapid.T) { m.takeChunk(t, rapid.IntRange(0, m.a.Geo.Chunks()-1).Draw(t, "chunk")) },
		"Give":      m.give,
		"Give2":     m.give,
		"Rebuild":   m.rebuild,
		"":          m.check,
	})
	for e := range m.o.taken {
		m.al.Give(e)
		m.o.give(e)
	}
	m.check(t)
}

func TestAllocator(t *testing.T) { rapid.Check(t, allocatorProperty) }

func FuzzAllocator(f *testing.F) { f.Fuzz(rapid.MakeFuzz(allocatorProperty)) }

// TestTakeTooMuch asks for more than any segment has.
func TestTakeTooMuch(t *testing.T) {
	_, al := newArena(t, 16)
	for _, size := range []uint64{17 * layout.PageSize, layout.MaxCapacity, layout.MaxCapacity + 1, 1 << 62, 1 << 63, ^uint64(0) - layout.PageSize, ^uint64(0)} {
		if e, err := al.Take(size); !errors.Is(err, ErrNoSpace) {
			t.Errorf("Take(%d): got %#x %v, want ErrNoSpace", size, uint64(e), err)
		}
	}
	if e, err := al.Take(16 * layout.PageSize); err != nil || e != layout.PageRun(0, 16) {
		t.Errorf("Take of everything: got %#x %v", uint64(e), err)
	}
}
