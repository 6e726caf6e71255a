package pool

import (
	"fmt"
	"math/bits"

	"github.com/ndpool/ndpool/arena/layout"
	"github.com/ndpool/ndpool/refcount"
)

// A process keeps the blocks it released, to allocate them again without the segment lock. Such a block is CACHED with
// its owner in the state word, and anybody short of memory may steal it; so an entry of these lists is only a hint, and
// the exchange CACHED to BUSY decides.
//
// The lists of a stripe hold the blocks whose descriptors map to that stripe, so that one mutex guards both the list and the
// local count: an allocation and a release lock one mutex each.

// cache is the blocks of one stripe, by bin. Local; guarded by the stripe. Entries are descriptor numbers plus one.
type cache struct {
	head  [layout.NumBins]uint32
	count [layout.NumBins]uint32
	over  uint64 // bins whose list was longer than it should be
}

// link is a descriptor's place in a list, and what its block was when this process cached it. Local; guarded by the
// descriptor's stripe.
type link struct {
	state  layout.State  // while it is this, the block is as it was
	extent layout.Extent // the one that bin follows from, or 0
	next   uint32        // descriptor number plus one
	bin    uint8         // where the block can be allocated from
	listed bool          // in some list; the entry of a stolen block stays until it is popped
}

// push puts a block at the head of its list. A block that was stolen and came back may still be listed; that entry will
// do. Precondition: the stripe of descriptor i is held.
func (p *Pool) push(i int, l *link) {
	if l.listed {
		return
	}
	s, bin := refcount.StripeOf(i), int(l.bin)
	c := &p.caches[s]
	l.next, l.listed = c.head[bin], true
	c.head[bin] = uint32(i) + 1
	if c.count[bin]++; c.count[bin] == 1 {
		p.avail[bin].Or(1 << s)
	}
	if c.count[bin] > cacheLimit[bin] && c.over&(1<<bin) == 0 {
		c.over |= 1 << bin
		p.over.Or(1 << s)
	}
}

// pop takes the block at the head of a list, if there is one. Precondition: stripe s is held.
func (p *Pool) pop(s, bin int) (i int, l *link) {
	c := &p.caches[s]
	if c.head[bin] == 0 {
		return 0, nil
	}
	i = int(c.head[bin]) - 1
	l = p.links.At(i)
	c.head[bin], l.listed = l.next, false
	if c.count[bin]--; c.count[bin] == 0 {
		p.avail[bin].And(^uint32(1 << s))
	}
	return i, l
}

// takeLocked pops blocks until one is won that is still what its list says. Large ones are of different lengths: one of another
// length than is asked for stays, and nothing is won. Precondition: stripe s is held.
func (p *Pool) takeLocked(s, bin int, m *meta) (int, bool) {
	for {
		i, l := p.pop(s, bin)
		if l == nil {
			return 0, false
		}
		if bin == layout.LargeBin && l.extent.Pages() != layout.PagesFor(m.size()) {
			p.push(i, l)
			return 0, false
		}
		if !p.refs.Retake(i, l.state) {
			continue // stolen
		}
		if int(l.bin) == bin {
			return i, true
		}
		p.parkLocked(i)
	}
}

// parkLocked makes a block of this process CACHED and lists it under its bin. Precondition: the stripe of i is held.
func (p *Pool) parkLocked(i int) {
	d, l := p.desc(i), p.links.At(i)
	if e := layout.Extent(d.Extent.Load()); e != l.extent || l.bin == layout.LargeBin {
		l.learn(e, p.pages)
	}
	if layout.Gen(d.Gen.Load()).Exhausted() {
		l.extent, l.bin = 0, layout.LargeBin // it serves nobody again
	}
	l.state = p.refs.Own(i, layout.Cached)
	p.push(i, l)
}

// learn notes an extent and its bin: none and LargeBin, whose blocks go back to the allocator, if the extent is a scribble.
func (l *link) learn(e layout.Extent, pages int) {
	l.extent, l.bin = 0, layout.LargeBin
	if e.Valid(pages) {
		l.extent, l.bin = e, uint8(e.Bin())
	}
}

// spread is how many stripes should have blocks of a bin before goroutines wait for each other.
const spread = 4

// takeFast allocates from the cache: without the segment lock, a system call or the heap. It reports false if the cache
// has no block of this bin, or few blocks and other goroutines are at them: then a new batch goes to another stripe.
func (p *Pool) takeFast(bin int, m *meta, shape []int) (int, bool) {
	all := p.avail[bin].Load()
	for mask := all; mask != 0; mask &= mask - 1 {
		s := bits.TrailingZeros32(mask)
		st := p.refs.Stripe(s)
		if !st.TryLock() {
			if mask&(mask-1) != 0 {
				continue
			}
			if bits.OnesCount32(all) < spread {
				return 0, false
			}
			st.Lock()
		}
		i, ok := p.takeFrom(s, bin, m, shape)
		st.Unlock()
		if ok {
			return i, true
		}
	}
	return 0, false
}

// takeFrom allocates a block of stripe s, which the caller holds.
func (p *Pool) takeFrom(s, bin int, m *meta, shape []int) (int, bool) {
	if p.closed.Load() {
		return 0, false
	}
	i, ok := p.takeLocked(s, bin, m)
	if ok {
		p.write(i, m, shape)
		p.refs.PublishLocked(i)
		p.refs.Stripe(s).Live++
	}
	return i, ok
}

// drop ends one reference of this process; the last of all parks the block. Release never waits for the segment lock, but for that
// of a ring.
func (p *Pool) drop(i int) {
	if p.dropRef(i) {
		p.endRings()
	}
	if p.closed.Load() {
		p.finish()
	}
}

// dropRef is drop for who may hold the segment lock: a ring of which it was the last reference waits among the pending blocks until
// somebody takes the lock. It tells whether one does.
func (p *Pool) dropRef(i int) (ended bool) {
	st := p.refs.Lock(i)
	if p.refs.CountLocked(i) == 0 {
		st.Unlock()
		panic(fmt.Sprintf("pool: release of block %d, which this process does not hold", i))
	}
	last := p.refs.DropLocked(i)
	st.Live--
	if last {
		ended = p.lastLocked(i)
		p.arena.SpaceFreed() // as long as the stripe is held nobody unmaps the segment
	}
	st.Unlock()
	if ended {
		p.postpone(i)
	}
	return ended
}

// lastLocked sees to a block of which this process has ended the last reference of all: it is parked, unless it is a ring, which is never
// CACHED. A ring becomes BUSY, and the caller postpones it; a death before that is ended leaves BUSY of a dead process.
// Precondition: the stripe of i is held.
func (p *Pool) lastLocked(i int) (ring bool) {
	if p.isRing(i) {
		p.refs.Own(i, layout.Busy)
		return true
	}
	p.parkLocked(i)
	return false
}

// batch is how many blocks of a bin are taken from the allocator at once: up to 32, up to 256 KiB, and one of the large ones.
func batch(bin int) int {
	if bin == layout.LargeBin {
		return 1
	}
	return int(max(1, min(32, 256<<10/binSize(bin))))
}

// cacheLimit is how many blocks of each bin a stripe may keep: two batches. A large one stays only until this process takes the
// segment lock for something else: kept for longer, it would be in the way of others' arrays.
var cacheLimit = func() (limit [layout.NumBins]uint32) {
	for bin := range layout.LargeBin {
		limit[bin] = uint32(2 * batch(bin))
	}
	return limit
}()

// binSize returns the bytes of a block of a bin.
func binSize(bin int) uint64 {
	if bin < layout.NumClasses {
		return uint64(layout.Classes[bin+1].Size)
	}
	return uint64(bin-layout.NumClasses+1) * layout.PageSize
}

// binOf returns the bin that serves a size.
func binOf(size uint64) int {
	if c := layout.ClassOf(size); c != 0 {
		return c - 1
	}
	if n := layout.PagesFor(size); n <= layout.RunBins {
		return layout.NumClasses + n - 1
	}
	return layout.LargeBin
}
