package pool

import (
	"errors"
	"math/bits"

	"github.com/ndpool/ndpool/alloc"
	"github.com/ndpool/ndpool/arena"
	"github.com/ndpool/ndpool/arena/layout"
	"github.com/ndpool/ndpool/refcount"
)

// take returns a new block of at least the array's size with its metadata written, PRIVATE, with one reference.
func (p *Pool) take(m *meta, shape []int) (int, error) {
	bin := binOf(m.size())
	if i, ok := p.takeFast(bin, m, shape); ok {
		return i, nil
	}
	return p.takeSlow(bin, m, shape)
}

// takeSlow takes blocks from the allocator; when there are none, it makes room once by what others have cached, and once
// by what dead processes have left.
func (p *Pool) takeSlow(bin int, m *meta, shape []int) (int, error) {
	size := m.size()
	if err := p.enter(); err != nil {
		return 0, err
	}
	defer p.leave()
	p.sweepSometimes()
	i, err := p.refill(size, bin)
	for _, relief := range []func(error) error{p.reclaim, p.reclaimDead} {
		if !retryable(err) {
			break
		}
		if cause := relief(err); cause != nil {
			return 0, cause
		}
		i, err = p.refill(size, bin)
	}
	if err != nil {
		return 0, p.explain(err, size)
	}
	st := p.refs.Lock(i)
	p.write(i, m, shape)
	p.refs.PublishLocked(i)
	st.Live++
	st.Unlock()
	return i, nil
}

// retryable tells whether making room may help.
func retryable(err error) bool {
	return errors.Is(err, alloc.ErrNoSpace) || errors.Is(err, errNoDesc) || errors.Is(err, arena.ErrNoMemory)
}

// refill takes a batch of blocks from the allocator, all BUSY of this process, commits their memory outside the lock,
// and caches all but the first, which it returns BUSY. A death leaves BUSY blocks of a dead process.
func (p *Pool) refill(size uint64, bin int) (int, error) {
	var got [32]int
	n, err := p.carve(got[:batch(bin)], size)
	if err != nil {
		return 0, err
	}
	for k, i := range got[:n] {
		if err := p.commit(i); err != nil {
			p.giveBack(got[k:n])
			if k > 0 {
				break // the caller gets the first one
			}
			return 0, err
		}
		if k > 0 {
			st := p.refs.Lock(i)
			p.parkLocked(i)
			st.Unlock()
		}
	}
	return got[0], nil
}

// commit puts memory behind a BUSY block of this process.
func (p *Pool) commit(i int) error {
	e, ok := p.extent(i)
	if !ok {
		return p.corrupt(i, "extent", uint64(e), "within the data region")
	}
	return p.arena.CommitPages(e.First(), e.Pages())
}

// carve takes up to len(got) blocks from the allocator under the segment lock, and at least one or an error.
func (p *Pool) carve(got []int, size uint64) (n int, err error) {
	for {
		if err := p.lock(); err != nil {
			return 0, err
		}
		p.flushLocked()
		n, err = p.carveLocked(got, size)
		from := p.descs()
		p.unlock()
		if !errors.Is(err, errGrow) {
			return n, err
		}
		if err := p.growDescs(from); err != nil {
			return 0, err
		}
	}
}

// carveLocked does that under the lock. Each batch has its descriptors from another stripe, if there are free ones, so that
// goroutines find blocks in stripes of their own.
func (p *Pool) carveLocked(got []int, size uint64) (n int, err error) {
	p.turn = refcount.NextStripe(p.turn)
	for torn := false; n < len(got); {
		i, ok := p.alloc.Descs.Next(p.turn)
		if !ok {
			i, ok = p.alloc.Descs.Next(0)
		}
		if !ok {
			err = p.noDesc()
			break
		}
		if i >= p.descs() || p.state(i).Kind() != layout.Free {
			err = alloc.ErrTorn
		}
		var e layout.Extent
		if err == nil {
			e, err = p.alloc.Take(size)
		}
		if errors.Is(err, alloc.ErrTorn) && !torn {
			torn, err = true, nil
			p.rebuildLocked()
			continue
		}
		if err != nil {
			break
		}
		p.beginLocked(i, e)
		got[n] = i
		n++
	}
	if n > 0 {
		return n, nil
	}
	return 0, err
}

// noDesc tells what to do when no descriptor is free: commit more of the table, or give up.
func (p *Pool) noDesc() error {
	if p.descs() < len(p.arena.Descs) {
		return errGrow
	}
	return errNoDesc
}

// beginLocked gives a FREE descriptor an extent and makes it BUSY. The extent is stored while FREE: a death before BUSY
// leaves a FREE descriptor, whose extent nobody reads.
func (p *Pool) beginLocked(i int, e layout.Extent) {
	p.alloc.Descs.Remove(i)
	p.refs.Begin(i)
	p.desc(i).Extent.Publish(uint64(e))
	p.refs.Own(i, layout.Busy)
}

// endLocked makes a BUSY block of this process FREE and gives its bytes to the allocator. The descriptor is FREE first: a death
// in between leaves bytes that only the indexes call used, and the lock's taker rebuilds those.
//
// The entries of a ring go first, and then its flag: a death in between leaves a BUSY ring of a dead process, which the sweep ends alike.
func (p *Pool) endLocked(i int) {
	if p.isRing(i) {
		p.emptyLocked(i)
	}
	e, valid := p.extent(i)
	if layout.Gen(p.desc(i).Gen.Load()).Exhausted() {
		p.refs.Disown(i, layout.Retired)
		p.arena.Ctl.Retired.Add(1)
	} else {
		p.refs.Disown(i, layout.Free)
		p.alloc.Descs.Add(i)
	}
	if valid {
		p.alloc.Give(e)
	}
}

// giveBack returns BUSY blocks of this process to the allocator, now or, if the lock cannot be had, when it is next
// held. Their memory need not be committed, so they cannot be cached.
func (p *Pool) giveBack(blocks []int) {
	p.postpone(blocks...)
	if p.lock() == nil {
		p.flushLocked()
		p.unlock()
	}
}

// postpone has BUSY blocks of this process ended by whoever of it holds the lock next. A death leaves BUSY blocks of a dead process.
func (p *Pool) postpone(blocks ...int) {
	p.pending.Lock()
	p.pending.blocks = append(p.pending.blocks, blocks...)
	p.pending.Unlock()
}

// growDescs commits the next step of the descriptor table outside the lock, then makes its descriptors free under it. from is
// how many had memory when none was free, and less than there can be: another process may have committed all since.
func (p *Pool) growDescs(from int) error {
	to, err := p.arena.CommitDescs(from, from+1)
	if err != nil {
		return err
	}
	if err := p.lock(); err != nil {
		return err
	}
	if now := p.descs(); now < to {
		p.arena.Ctl.Descs.Store(uint32(to))
		p.alloc.Descs.AddRange(now, to)
	}
	p.unlock()
	return nil
}

// flushLocked returns what the cache has too much of to the allocator, up to a bound: the lock is held anyway.
func (p *Pool) flushLocked() {
	if p.over.Load() != 0 {
		p.trimCachesLocked()
	}
	p.pending.Lock()
	for _, i := range p.pending.blocks {
		p.endLocked(i)
	}
	p.pending.blocks = p.pending.blocks[:0]
	p.pending.Unlock()
}

// trimCachesLocked frees blocks of lists that are too long until half of what they may have is left.
func (p *Pool) trimCachesLocked() {
	var got [64]int
	n := 0
	for mask := p.over.Swap(0); mask != 0; mask &= mask - 1 {
		s := bits.TrailingZeros32(mask)
		st := p.refs.Stripe(s)
		st.Lock()
		n += p.shorten(s, got[n:])
		if p.caches[s].over != 0 {
			p.over.Or(1 << s) // got is full; the rest has time
		}
		st.Unlock()
	}
	for _, i := range got[:n] {
		p.endLocked(i)
	}
}

// shorten takes blocks out of the long lists of stripe s, as many as got has room for. Precondition: stripe s is held.
func (p *Pool) shorten(s int, got []int) (n int) {
	c := &p.caches[s]
	for mask := c.over; mask != 0; mask &= mask - 1 {
		bin := bits.TrailingZeros64(mask)
		for c.count[bin] > cacheLimit[bin]/2 {
			if n == len(got) {
				return n
			}
			if i, l := p.pop(s, bin); l != nil && p.refs.Retake(i, l.state) {
				got[n] = i
				n++
			}
		}
		c.over &^= 1 << bin
	}
	return n
}

// reclaim returns everything that anybody has cached to the allocator. Memory behind it that is not needed goes back to
// the system if that was what was short.
func (p *Pool) reclaim(cause error) error {
	if err := p.steal(); err != nil {
		return err
	}
	if errors.Is(cause, arena.ErrNoMemory) {
		_, err := p.trim()
		return err
	}
	return nil
}

// reclaimDead sweeps dead processes and expired tickets, then reclaims.
func (p *Pool) reclaimDead(cause error) error {
	if _, err := p.reap(); err != nil {
		return err
	}
	return p.reclaim(cause)
}

// steal takes the cached blocks of all processes and frees them, some at a time. The lists that still name them are hints.
func (p *Pool) steal() error {
	const step = 1024
	for lo := 0; lo < p.descs(); lo += step {
		if err := p.lock(); err != nil {
			return err
		}
		for i := lo; i < min(lo+step, p.descs()); i++ {
			if owner, won := p.refs.TakeCached(i); won {
				if owner != p.arena.Self().Slot() {
					p.arena.Ctl.Stolen.Add(1)
				}
				p.endLocked(i)
			}
		}
		p.unlock()
	}
	return nil
}

// Trim gives the memory behind free chunks back to the system and returns the bytes. Arrays are not touched; what
// processes have cached is freed first.
func (p *Pool) Trim() (freed uint64, err error) {
	if err := p.enter(); err != nil {
		return 0, err
	}
	defer p.leave()
	if err := p.steal(); err != nil {
		return 0, err
	}
	return p.trim()
}

// trim punches all free chunks.
func (p *Pool) trim() (freed uint64, err error) {
	if p.arena.Has(layout.FlagReserved) {
		return 0, nil
	}
	for c := range p.arena.Geo.Chunks() {
		if !p.arena.IsCommitted(c) {
			continue
		}
		n, err := p.trimChunk(c)
		freed += n
		if err != nil {
			return freed, err
		}
	}
	return freed, nil
}

// trimChunk takes a free chunk as a BUSY block, punches it outside the lock, and frees the block.
func (p *Pool) trimChunk(c int) (freed uint64, err error) {
	if err := p.lock(); err != nil {
		return 0, err
	}
	i, ok := p.alloc.Descs.Next(0)
	if !ok {
		p.unlock()
		return 0, nil
	}
	e, ok := p.alloc.TakeChunk(c)
	if ok {
		p.beginLocked(i, e)
	}
	p.unlock()
	if !ok {
		return 0, nil
	}
	err = p.arena.PunchChunk(c)
	if err == nil {
		freed = e.Size()
		p.arena.Ctl.Trimmed.Add(1)
	}
	p.giveBack([]int{i})
	return freed, err
}
