package alloc

import (
	"fmt"

	"github.com/ndpool/ndpool/arena/layout"
	"github.com/ndpool/ndpool/internal/shm"
)

// Index names one of the derived indexes, for Diff.
type Index string

// The derived indexes.
const (
	IndexPages      Index = "pages"
	IndexPageTree   Index = "page-tree"
	IndexSlabs      Index = "slabs"
	IndexSlabSets   Index = "slab-sets"
	IndexDescs      Index = "descriptor-set"
	IndexTickets    Index = "ticket-set"
	IndexNames      Index = "name-set"
	IndexSetSummary Index = "set-summary"
)

// NewShadow returns an allocator of the same geometry in private memory, where a verifier makes the indexes as they
// should be.
func NewShadow(g *layout.Geometry) *Allocator {
	words := func(kind int) []shm.U64 { return make([]shm.U64, g.Regions[kind].Size/8) }
	al := &Allocator{
		Descs:   newSet(words(layout.RegionDescSet), g.Arrays),
		Tickets: newSet(words(layout.RegionTicketSet), g.Tickets),
		Names:   newSet(words(layout.RegionNameSet), g.Limits.Names),
		pages:   pageMap{bits: words(layout.RegionPages), tree: make([]layout.PageNode, 2*g.TreeLeaves()), pages: g.Pages()},
		slabs:   make([]layout.Slab, g.Slabs()),
	}
	for c := 1; c <= layout.NumClasses; c++ {
		al.avail[c] = newSet(make([]shm.U64, layout.SetWords(g.Slabs())), g.Slabs())
	}
	return al
}

// Diff tells every word in which al is not as want is.
func (al *Allocator) Diff(want *Allocator, tell func(ix Index, place string, got, want uint64)) {
	diffWords(al.pages.bits, want.pages.bits, func(i int, g, w uint64) {
		tell(IndexPages, fmt.Sprintf("pages %d to %d", i*64, i*64+63), g, w)
	})
	for i := range al.pages.tree { // node 0 is nobody's and zero
		g, w := &al.pages.tree[i], &want.pages.tree[i]
		for k, f := range [...][2]*shm.U32{{&g.Start, &w.Start}, {&g.Max, &w.Max}, {&g.End, &w.End}, {&g.Free, &w.Free}} {
			if f[0].Get() != f[1].Get() {
				tell(IndexPageTree, fmt.Sprintf("node %d, %s", i, [...]string{"start", "max", "end", "free"}[k]), uint64(f[0].Get()), uint64(f[1].Get()))
			}
		}
	}
	for i := range al.slabs {
		g, w := &al.slabs[i], &want.slabs[i]
		if g.Head.Get() != w.Head.Get() {
			tell(IndexSlabs, fmt.Sprintf("slab %d, head", i), g.Head.Get(), w.Head.Get())
		} else if g.Head.Get() != 0 {
			diffWords(g.Map[:], w.Map[:], func(k int, g, w uint64) { tell(IndexSlabs, fmt.Sprintf("slab %d, word %d", i, k), g, w) })
		}
	}
	for c := 1; c <= layout.NumClasses; c++ {
		al.avail[c].diff(&want.avail[c], IndexSlabSets, fmt.Sprintf("class %d", c), tell)
	}
	al.Descs.diff(&want.Descs, IndexDescs, "free descriptors", tell)
	al.Tickets.diff(&want.Tickets, IndexTickets, "free tickets", tell)
	al.Names.diff(&want.Names, IndexNames, "free entries", tell)
}

// diff compares the members with those of want; the words above the bitmap must be a summary of it.
func (s *Set) diff(want *Set, ix Index, name string, tell func(ix Index, place string, got, want uint64)) {
	diffWords(s.levels[0], want.levels[0], func(i int, g, w uint64) {
		tell(ix, fmt.Sprintf("%s, word %d", name, i), g, w)
	})
	for l := 1; l < len(s.levels); l++ {
		diffWords(s.levels[l], want.levels[l], func(i int, g, w uint64) {
			tell(IndexSetSummary, fmt.Sprintf("%s, level %d, word %d", name, l, i), g, w)
		})
	}
}

func diffWords(got, want []shm.U64, tell func(i int, got, want uint64)) {
	for i := range got {
		if got[i].Get() != want[i].Get() {
			tell(i, got[i].Get(), want[i].Get())
		}
	}
}
