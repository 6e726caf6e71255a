package pool

import (
	"errors"
	"time"

	"github.com/ndpool/ndpool/arena"
	"github.com/ndpool/ndpool/arena/layout"
	"github.com/ndpool/ndpool/catalog"
	"github.com/ndpool/ndpool/refcount"
)

// sweepInterval is how often, at most, a process that refills its cache asks whether others died.
const sweepInterval = 100 * time.Millisecond

// sweepBatch is how many descriptors are swept in one hold of the lock.
const sweepBatch = 1024

// Reaped tells what a reap found.
type Reaped struct {
	Processes int  // dead processes swept
	Expired   int  // transfers that nobody adopted in time
	Removed   bool // the pool, since nobody was left to keep it; set by Reap with a name only
}

// Reap sweeps dead processes and expired transfers now. Blocks that nobody holds any more are free afterwards.
func (p *Pool) Reap() (Reaped, error) {
	if err := p.enter(); err != nil {
		return Reaped{}, err
	}
	defer p.leave()
	return p.reap()
}

func (p *Pool) reap() (r Reaped, err error) {
	if r.Processes, err = p.sweepDead(); err != nil {
		return r, err
	}
	r.Expired, err = p.expire()
	return r, err
}

// sweepSometimes sweeps if the last time is long enough ago. Errors can wait: the next one will meet them again.
func (p *Pool) sweepSometimes() {
	now := arena.BootTime()
	last := p.lastSweep.Load()
	if now-last > int64(sweepInterval) && p.lastSweep.CompareAndSwap(last, now) {
		_, _ = p.reap()
	}
}

// sweepDead sweeps the slots of all dead processes and returns how many there were.
func (p *Pool) sweepDead() (n int, err error) {
	self := p.arena.Self().Slot()
	for slot := range p.arena.Slots {
		if slot == self {
			continue // nobody asks about himself
		}
		g, err := p.arena.Bury(slot)
		if err != nil {
			return n, err
		}
		if g == nil {
			continue
		}
		if err := p.sweepSlot(slot); err != nil {
			g.Close()
			return n, err
		}
		g.Done()
		n++
	}
	return n, nil
}

// sweepSlot ends what a dead slot has to do with anything: first its transfers, then its names, then its blocks. Idempotent: if this
// process dies too, the next sweeper starts again. Precondition: the slot's byte is held by this process.
func (p *Pool) sweepSlot(slot int) error {
	c := new(catalog.Change) // nothing is allocated under the lock
	if err := p.lock(); err != nil {
		return err
	}
	p.sweepTicketsLocked(slot)
	p.names.SweepLocks(slot)
	err := p.disownLocked(c, slot)
	p.unlock()
	if err != nil {
		return err
	}
	for lo := 0; lo < p.descs(); lo += sweepBatch {
		if err := p.lock(); err != nil {
			return err
		}
		for i := lo; i < min(lo+sweepBatch, p.descs()); i++ {
			if canary == "sweep" && p.state(i).Kind() == layout.Busy {
				continue
			}
			if p.isRing(i) {
				p.sweepRingLocked(i, slot)
			}
			if p.refs.SweepBlock(i, slot) {
				p.endLocked(i)
			}
		}
		p.unlock()
	}
	p.arena.SpaceFreed()
	return nil
}

// sweepTicketsLocked drops the transfers that are directed at a slot whose process is gone, and gives those that it
// sent their deadline.
func (p *Pool) sweepTicketsLocked(slot int) {
	now := arena.BootTime()
	for n := range p.arena.Tickets {
		if !p.ticketOpen(n) {
			continue
		}
		k := &p.arena.Tickets[n]
		receiver := layout.Ident(k.Receiver.Load())
		switch {
		case receiver != 0 && receiver.Slot() == slot:
			p.expireLocked(n)
		case receiver == 0 && layout.Ident(k.Sender.Load()).Slot() == slot && k.Deadline.Load() == 0:
			p.refs.Orphan(n, now, p.grace)
		}
	}
}

// expire ends the transfers whose deadline has passed and returns how many there were.
func (p *Pool) expire() (int, error) {
	if !p.anyExpired() {
		return 0, nil
	}
	if err := p.lock(); err != nil {
		return 0, err
	}
	defer p.unlock()
	n, now := 0, uint64(arena.BootTime())
	for t := range p.arena.Tickets {
		if p.expiredAt(t, now) {
			p.expireLocked(t)
			n++
		}
	}
	return n, nil
}

func (p *Pool) anyExpired() bool {
	now := uint64(arena.BootTime())
	for n := range p.arena.Tickets {
		if p.expiredAt(n, now) {
			return true
		}
	}
	return false
}

func (p *Pool) expiredAt(n int, now uint64) bool {
	d := p.arena.Tickets[n].Deadline.Load()
	return p.ticketOpen(n) && d != 0 && d <= now
}

func (p *Pool) ticketOpen(n int) bool {
	return layout.TicketWord(p.arena.Tickets[n].Word.Load()).Kind() == layout.TicketOpen
}

// expireLocked ends transfer n, and its block if that kept it alive. A ticket whose handle leads nowhere is a scribble.
func (p *Pool) expireLocked(n int) {
	i, ok := p.ticketBlock(n)
	switch {
	case !ok:
		p.refs.DropTicket(n)
	case p.refs.Expire(n, i):
		p.endLocked(i)
	}
	p.alloc.Tickets.Add(n)
}

// rebuildLocked makes all indexes anew from the truth, beside other processes that go on with steps that need no lock.
// It is what the taker of a dead owner's lock does first; if it dies too, the next one starts again.
//
// First a change of the catalog is ended that somebody died in. Of the pseudo-holder bits it first sets what is missing, and
// only then clears what nothing justifies, so that a bit that a ticket or a name backs is never clear for an instant.
func (p *Pool) rebuildLocked() {
	if canary == "rebuild" {
		return
	}
	if canary != "names" {
		p.names.Roll()
	}
	p.alloc.Reset()
	for i := range p.descs() {
		p.refs.ForgetTickets(i)
		p.refs.ForgetNames(i)
		switch e, ok := p.extent(i); p.state(i).Kind() {
		case layout.Free:
			p.alloc.Descs.Add(i)
		case layout.Busy, layout.Live, layout.Cached, layout.Private:
			if ok {
				p.alloc.Mark(e)
			}
		}
	}
	for n := range p.arena.Tickets {
		i, ok := p.ticketBlock(n)
		switch {
		case !p.ticketOpen(n):
			p.alloc.Tickets.Add(n)
		case ok:
			p.refs.CountTicket(i)
		default:
			p.refs.DropTicket(n)
			p.alloc.Tickets.Add(n)
		}
	}
	for i := range p.descs() {
		if p.isRing(i) && canary != "rings" {
			p.recountLocked(i)
		}
	}
	p.names.Rebuild()
	p.alloc.Finish()
	for i := range p.descs() {
		p.refs.BackTransit(i)
		p.refs.BackNamed(i)
	}
	for i := range p.descs() {
		if canary != "transit" && p.refs.Surplus(i) {
			p.endLocked(i)
		}
	}
}

// Close ends this attachment. It waits until no goroutine is inside a verb; then no new work begins. The mapping, the slot
// and all holds stay until the last array and view of this process is released, and go with it; without any they go now.
// Closing twice is harmless.
//
// The names that this process published go with the attachment, but for persistent ones. The last process to leave a pool
// that is not persistent removes it, unless a transfer is still on its way, or a persistent name or a named queue with entries is left.
func (p *Pool) Close() error {
	p.verbs.Lock()
	p.lockStripes()
	first := !p.closed.Swap(true)
	p.unlockStripes()
	p.verbs.Unlock()
	if first && p.stopWatch != nil {
		close(p.stopWatch)
	}
	p.finish()
	return nil
}

func (p *Pool) lockStripes() {
	for s := range refcount.Stripes {
		p.refs.Stripe(s).Lock()
	}
}

func (p *Pool) unlockStripes() {
	for s := range refcount.Stripes {
		p.refs.Stripe(s).Unlock()
	}
}

// finish leaves the segment if the pool is closed and this process has no reference left.
func (p *Pool) finish() {
	p.verbs.Lock()
	defer p.verbs.Unlock()
	p.lockStripes()
	live := 0
	for s := range refcount.Stripes {
		live += p.refs.Stripe(s).Live
	}
	p.unlockStripes()
	if live != 0 || p.finished.Swap(true) {
		return
	}
	p.nameLocks.retreat(p)
	p.arena.Depart()
	if err := p.sweepSlot(p.arena.Self().Slot()); err != nil {
		// A stopped process keeps the lock. Ours is dropped as death would; others sweep what we leave.
		p.unmap()
		return
	}
	p.arena.Leave(func() {
		if !p.keep && !p.arena.Has(layout.FlagPersistent) && !wanted(p.arena, false) {
			p.removed = p.arena.Unlink() == nil
		}
	})
	p.unmap()
}

// unmap gives the mapping and the private tables back. Precondition: nobody uses them any more.
func (p *Pool) unmap() {
	p.arena.Close()
	p.refs.Free()
	p.links.Free()
	p.nameLocks.free()
}

// watch sweeps in the background until Close.
func (p *Pool) watch(every time.Duration) {
	p.stopWatch = make(chan struct{})
	go func() {
		t := time.NewTicker(every)
		defer t.Stop()
		for {
			select {
			case <-p.stopWatch:
				return
			case <-t.C:
				if _, err := p.Reap(); errors.Is(err, ErrClosed) {
					return
				}
			}
		}
	}()
}
