package alloc

import (
	"math/bits"

	"github.com/ndpool/ndpool/arena"
	"github.com/ndpool/ndpool/arena/layout"
	"github.com/ndpool/ndpool/internal/shm"
)

// pageMap is a bitmap of pages with a tree of summaries over the chunks, after the Go runtime's mpagealloc.go: each node
// tells the free pages at its start and end and its longest free run, so that the lowest run that is long enough is found from the
// root in one descent. Here the tree is binary and lies in one array; runs across chunks of any length are found.
type pageMap struct {
	bits  []shm.U64 // bit set: page is in use; pages behind the end are in use for ever
	tree  []layout.PageNode
	pages int
}

const chunkWords = layout.ChunkPages / 64

func newPageMap(a *arena.Arena) pageMap {
	return pageMap{bits: a.PageBits, tree: a.PageTree, pages: a.Geo.Pages()}
}

func (p *pageMap) leaves() int { return len(p.tree) / 2 }

func (p *pageMap) leaf(c int) *layout.PageNode { return &p.tree[p.leaves()+c] }

// chunk returns the pages of chunk c; the last one may be short.
func (p *pageMap) chunk(c int) (first, n int) {
	first = c * layout.ChunkPages
	return first, min(layout.ChunkPages, p.pages-first)
}

// take returns the first page of a free run of n pages, which is in use from now on: a short one is the lowest there is,
// a long one lies where it leaves least.
func (p *pageMap) take(n int) (int, error) {
	if int(p.tree[1].Max.Get()) < n {
		return 0, ErrNoSpace
	}
	first, ok := 0, false
	if n <= layout.RunBins {
		first, ok = p.find(n)
	} else {
		first, ok = p.best(n)
	}
	if !ok || first < 0 || first+n > p.pages || !p.isFree(first, n) {
		return 0, ErrTorn
	}
	p.mark(first, n, true)
	return first, nil
}

// find descends from the root to the lowest run of n pages. The summaries may be torn: the caller checks the answer.
func (p *pageMap) find(n int) (int, bool) {
	node, first, span := 1, 0, p.leaves()*layout.ChunkPages
	for node < p.leaves() {
		left, right := &p.tree[2*node], &p.tree[2*node+1]
		span /= 2
		switch {
		case int(left.Max.Get()) >= n:
			node = 2 * node
		case int(left.End.Get())+int(right.Start.Get()) >= n:
			return first + span - int(left.End.Get()), true
		default:
			node, first = 2*node+1, first+span
		}
	}
	return p.findInChunk(first, n)
}

// findInChunk returns the lowest free run of n pages within the chunk that starts at page first.
func (p *pageMap) findInChunk(first, n int) (int, bool) {
	if first >= p.pages {
		return 0, false // torn summaries lead behind the last chunk
	}
	run := 0 // free pages before this word
	for at := first; at < first+layout.ChunkPages; at += 64 {
		w := p.bits[at/64].Get()
		if run+bits.TrailingZeros64(w) >= n {
			return at - run, true
		}
		if w == 0 {
			run += 64
			continue
		}
		if i, ok := lowestOnes(^w, n); ok {
			return at + i, true
		}
		run = bits.LeadingZeros64(w)
	}
	return 0, false
}

// lowestOnes returns the lowest place of n ones in a row within a word.
func lowestOnes(ones uint64, n int) (int, bool) {
	if n > 64 {
		return 0, false
	}
	for left, step := n-1, 1; left > 0; step *= 2 {
		k := min(step, left)
		ones &= ones >> k
		left -= k
	}
	return bits.TrailingZeros64(ones), ones != 0
}

// isFree tells whether n pages from first on are free.
func (p *pageMap) isFree(first, n int) bool {
	for i := first; i < first+n; {
		end, mask := wordMask(i, first+n)
		if p.bits[i/64].Get()&mask != 0 {
			return false
		}
		i = end
	}
	return true
}

// mark sets or clears the bits of n pages and makes the summaries over them.
func (p *pageMap) mark(first, n int, used bool) {
	p.set(first, n, used)
	p.summarize(first/layout.ChunkPages, (first+n-1)/layout.ChunkPages)
}

// set sets or clears the bits of n pages.
func (p *pageMap) set(first, n int, used bool) {
	for i := first; i < first+n; {
		end, mask := wordMask(i, first+n)
		w := &p.bits[i/64]
		if used {
			w.Put(w.Get() | mask)
		} else {
			w.Put(w.Get() &^ mask)
		}
		i = end
	}
}

// wordMask returns the bits of pages i up to hi that lie in the word of page i, and the page after them.
func wordMask(i, hi int) (end int, mask uint64) {
	end = min(hi, i/64*64+64)
	return end, ^uint64(0) << (i % 64) & (^uint64(0) >> (63 - (end-1)%64))
}

// reset makes all pages free, those behind the end in use, and all summaries zero; summarize follows. It does not leave
// out the nodes behind the last chunk, which nothing else ever stores to.
func (p *pageMap) reset() {
	for i := range p.bits {
		if p.bits[i].Get() != 0 {
			p.bits[i].Put(0)
		}
	}
	if end := len(p.bits) * 64; end > p.pages {
		p.set(p.pages, end-p.pages, true)
	}
	for i := range p.tree {
		if n := &p.tree[i]; n.Start.Get()|n.Max.Get()|n.End.Get()|n.Free.Get() != 0 {
			put(n, 0, 0, 0, 0)
		}
	}
}

// summarize makes the leaves of chunks lo to hi and all nodes above them.
func (p *pageMap) summarize(lo, hi int) {
	for c := lo; c <= hi; c++ {
		start, longest, end, free := summary(p.bits[c*chunkWords : (c+1)*chunkWords])
		put(p.leaf(c), start, longest, end, free)
	}
	span := uint32(layout.ChunkPages)
	for lo, hi = (p.leaves()+lo)/2, (p.leaves()+hi)/2; hi >= 1; lo, hi = lo/2, hi/2 {
		for i := lo; i <= hi; i++ {
			p.join(i, span)
		}
		span *= 2
	}
}

// join makes node i from its children, which span so many pages each.
func (p *pageMap) join(i int, span uint32) {
	l, r := &p.tree[2*i], &p.tree[2*i+1]
	start, end := l.Start.Get(), r.End.Get()
	if start == span {
		start += r.Start.Get()
	}
	if end == span {
		end += l.End.Get()
	}
	longest := max(l.Max.Get(), r.Max.Get(), l.End.Get()+r.Start.Get())
	put(&p.tree[i], start, longest, end, l.Free.Get()+r.Free.Get())
}

func put(n *layout.PageNode, start, longest, end, free uint32) {
	n.Start.Put(start)
	n.Max.Put(longest)
	n.End.Put(end)
	n.Free.Put(free)
}

// summary returns the free pages at the start, the longest free run, the free pages at the end, and all free pages.
func summary(words []shm.U64) (start, longest, end, free uint32) {
	run, whole := uint32(0), true // of free pages up to here; whether all were free
	for i := range words {
		w := words[i].Get()
		free += uint32(64 - bits.OnesCount64(w))
		if w == 0 {
			run += 64
			continue
		}
		run += uint32(bits.TrailingZeros64(w))
		if whole {
			start, whole = run, false
		}
		longest = max(longest, run, inner(w, longest))
		run = uint32(bits.LeadingZeros64(w))
	}
	if whole {
		start = run
	}
	return start, max(longest, run), run, free
}

// inner returns the longest run of zeros within a word if it is longer than least.
func inner(w uint64, least uint32) uint32 {
	zeros := ^w
	if uint32(bits.OnesCount64(zeros)) <= least {
		return 0
	}
	n := uint32(0)
	for zeros != 0 {
		zeros &= zeros << 1
		n++
	}
	return n
}
