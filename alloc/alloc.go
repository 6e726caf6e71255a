// Package alloc knows which bytes of the data region are free: slabs over a page bitmap. It knows no handles, no owners
// and no processes.
//
// Small blocks, up to layout.MaxClassSize bytes, come from slabs: runs of 4 to 7 pages cut into up to 256 blocks of one
// class. Larger ones are runs of pages of exactly the length that was asked for: a run is taken from the page bitmap, so
// there is no power of two to round up to and no tail to give back, and neighbours coalesce by lying beside each other.
//
// All of it is derived: it follows from the extents of the descriptors. Whoever takes over the lock of a process that
// died inside calls Reset, marks every extent that is in use, and calls Finish. So nothing here needs to survive a death at any store.
//
// Preconditions of every method: the caller holds the segment lock. Numbers read from the segment are checked before
// they are used as an index; where they contradict each other the method reports ErrTorn, and the caller rebuilds.
package alloc

import (
	"errors"

	"github.com/ndpool/ndpool/arena"
	"github.com/ndpool/ndpool/arena/layout"
)

var (
	// ErrNoSpace is returned when no free run of pages is long enough.
	ErrNoSpace = errors.New("no free extent is large enough")
	// ErrTorn is returned when the indexes contradict themselves: a scribble, since a death inside the lock is rebuilt.
	ErrTorn = errors.New("indexes are torn")
)

// Allocator is the view of the free bytes from one attachment. Local; its state is in the segment.
type Allocator struct {
	Descs   Set // free descriptors, of those whose table memory is committed
	Tickets Set // free tickets
	Names   Set // free entries of the catalog, of those that have memory

	pages pageMap
	slabs []layout.Slab
	avail [layout.NumClasses + 1]Set // by class: slabs with free blocks
}

// New lays an allocator over the segment's indexes.
func New(a *arena.Arena) *Allocator {
	al := &Allocator{
		Descs:   newSet(a.DescSet, a.Geo.Arrays),
		Tickets: newSet(a.TicketSet, a.Geo.Tickets),
		Names:   newSet(a.NameSet, a.Geo.Limits.Names),
		pages:   newPageMap(a),
		slabs:   a.Slabs,
	}
	per := int(layout.SetWords(len(a.Slabs)))
	for c := 1; c <= layout.NumClasses; c++ {
		al.avail[c] = newSet(a.SlabSets[(c-1)*per:c*per], len(a.Slabs))
	}
	return al
}

// Take returns a free extent of at least size bytes, which is in use from now on.
func (al *Allocator) Take(size uint64) (layout.Extent, error) {
	if c := layout.ClassOf(size); c != 0 {
		return al.takeBlock(c)
	}
	if size > uint64(al.pages.pages)*layout.PageSize {
		return 0, ErrNoSpace
	}
	n := layout.PagesFor(size)
	if n > layout.MaxRunPages {
		return 0, ErrNoSpace
	}
	first, err := al.pages.take(n)
	if err != nil {
		return 0, err
	}
	return layout.PageRun(first, n), nil
}

// Give returns an extent. Precondition: it was taken and is given once.
func (al *Allocator) Give(e layout.Extent) {
	if e.Class() != 0 {
		al.giveBlock(e)
		return
	}
	al.pages.mark(e.First(), e.Pages(), false)
}

// TakeChunk takes all pages of chunk c if all of them are free.
func (al *Allocator) TakeChunk(c int) (layout.Extent, bool) {
	first, n := al.pages.chunk(c)
	if al.pages.leaf(c).Free.Get() != uint32(n) || !al.pages.isFree(first, n) {
		return 0, false
	}
	al.pages.mark(first, n, true)
	return layout.PageRun(first, n), true
}

// FreePages returns the number of free pages and the longest run of them.
func (al *Allocator) FreePages() (free, largest int) {
	root := &al.pages.tree[1]
	return int(root.Free.Get()), int(root.Max.Get())
}

// Format writes the indexes of a new segment, whose memory is zero: all pages and tickets are free, no descriptor and
// no entry of the catalog has memory.
func (al *Allocator) Format() {
	al.pages.reset()
	al.pages.summarize(0, len(al.pages.bits)/chunkWords-1)
	al.Tickets.AddRange(0, al.Tickets.n)
}

// Reset forgets everything: no page is in use, no slab exists, no descriptor, ticket or entry of the catalog is free. Mark,
// the sets and Finish follow.
func (al *Allocator) Reset() {
	al.pages.reset()
	for i := range al.slabs {
		if al.slabs[i].Head.Get() != 0 {
			al.slabs[i].Head.Put(0)
		}
	}
	for c := 1; c <= layout.NumClasses; c++ {
		al.avail[c].Clear()
	}
	al.Descs.Clear()
	al.Tickets.Clear()
	al.Names.Clear()
}

// Mark says that an extent is in use. Between Reset and Finish only.
func (al *Allocator) Mark(e layout.Extent) {
	if e.Class() == 0 {
		al.pages.set(e.First(), e.Pages(), true)
		return
	}
	al.markBlock(e)
}

// Finish makes the summaries and the sets of slabs after the last Mark.
func (al *Allocator) Finish() {
	al.pages.summarize(0, len(al.pages.bits)/chunkWords-1)
	for i := range al.slabs {
		h := layout.SlabHead(al.slabs[i].Head.Get())
		if c := h.Class(); c != 0 && c <= layout.NumClasses && h.Free() > 0 {
			al.avail[c].Add(i)
		}
	}
}
