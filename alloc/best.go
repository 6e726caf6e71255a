package alloc

import (
	"math"
	"math/bits"

	"github.com/ndpool/ndpool/arena/layout"
)

// Large runs are placed where they leave least: in the shortest free run that is long enough, the lowest of several. In a
// pool that is always nearly full this keeps some five more percent of it in use than the lowest place does; see
// docs/decisions/0003-placement.md.

// maxLeaves bounds a search: after so many chunks that are neither full nor empty the best run so far will do.
const maxLeaves = 4096

// scan walks over the free runs of a page map from low to high. Local.
type scan struct {
	pages *pageMap
	n     int // pages wanted
	run   int // free pages up to here
	at    int // the best run so far: its first page
	size  int // and its length
	left  int // leaves that may still be looked into
}

// best returns the first page of the shortest free run of at least n pages. The summaries may be torn: the caller checks.
func (p *pageMap) best(n int) (int, bool) {
	s := scan{pages: p, n: n, size: math.MaxInt, left: maxLeaves}
	span := p.leaves() * layout.ChunkPages
	s.node(1, 0, span)
	s.end(span)
	return s.at, s.size != math.MaxInt
}

// end says that the page at which the run so far ends is in use.
func (s *scan) end(at int) {
	if s.run >= s.n && s.run < s.size {
		s.at, s.size = at-s.run, s.run
	}
	s.run = 0
}

// node walks over the pages [first, first+span) of a node. What is all free, all used, or has no run inside that would do
// is not looked into: its edges are enough.
func (s *scan) node(i, first, span int) {
	t := &s.pages.tree[i]
	free, start := int(t.Free.Get()), int(t.Start.Get())
	switch {
	case s.size == s.n:
	case free == 0:
		s.end(first)
	case free == span:
		s.run += span
	case int(t.Max.Get()) < s.n || s.left == 0:
		s.run += start
		s.end(first + start)
		s.run = int(t.End.Get())
	case i >= s.pages.leaves():
		s.left--
		s.chunk(first)
	default:
		s.node(2*i, first, span/2)
		s.node(2*i+1, first+span/2, span/2)
	}
}

// chunk walks over the pages of a chunk.
func (s *scan) chunk(first int) {
	if first >= s.pages.pages {
		s.end(first) // torn summaries lead behind the last chunk
		return
	}
	for at := first; at < first+layout.ChunkPages; at += 64 {
		w := s.pages.bits[at/64].Get()
		for bit := 0; bit < 64; {
			zeros := min(bits.TrailingZeros64(w>>bit), 64-bit)
			s.run += zeros
			if bit += zeros; bit < 64 {
				s.end(at + bit)
				bit += bits.TrailingZeros64(^(w >> bit))
			}
		}
	}
}
