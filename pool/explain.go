package pool

import (
	"errors"
	"fmt"
	"math/bits"

	"github.com/ndpool/ndpool/alloc"
	"github.com/ndpool/ndpool/arena/layout"
	"github.com/ndpool/ndpool/catalog"
)

var errNoTicket = errors.New("no free ticket")

// explain turns a refusal of the tables below into an error with numbers: what was asked for, what is free, who holds most.
func (p *Pool) explain(err error, size uint64) error {
	switch {
	case errors.Is(err, alloc.ErrNoSpace):
		return p.spaceError(size)
	case errors.Is(err, errNoDesc):
		slot, n := p.mostArrays()
		return &TableError{Table: "arrays", Limit: len(p.arena.Descs), Holder: p.slotName(slot), Held: n}
	case errors.Is(err, errNoTicket):
		slot, n := p.mostTickets()
		return &TableError{Table: "tickets", Limit: len(p.arena.Tickets), Holder: p.slotName(slot), Held: n}
	case errors.Is(err, errNoEntry):
		holder, n := p.mostNames()
		return &TableError{Table: "names", Limit: len(p.arena.Names), Holder: holder, Held: n}
	case errors.Is(err, alloc.ErrTorn), errors.Is(err, catalog.ErrTorn):
		return fmt.Errorf("%w: %w, also after a rebuild", ErrCorrupt, err)
	}
	return err
}

func (p *Pool) spaceError(size uint64) error {
	e := &SpaceError{Asked: size, Capacity: p.arena.Geo.Capacity}
	if p.lock() == nil {
		free, largest := p.alloc.FreePages()
		p.unlock()
		e.Free, e.Largest = uint64(free)*layout.PageSize, uint64(largest)*layout.PageSize
	}
	held := make([]uint64, len(p.arena.Slots))
	p.eachHold(func(i, slot int) {
		if x, ok := p.extent(i); ok {
			held[slot] += x.Size()
		}
	})
	slot := most(held)
	e.Holder, e.Held = p.slotName(slot), held[slot]
	return e
}

func (p *Pool) mostArrays() (slot, n int) {
	held := make([]uint64, len(p.arena.Slots))
	p.eachHold(func(_, slot int) { held[slot]++ })
	slot = most(held)
	return slot, int(held[slot])
}

func (p *Pool) mostTickets() (slot, n int) {
	held := make([]uint64, len(p.arena.Slots))
	for t := range p.arena.Tickets {
		if s := layout.Ident(p.arena.Tickets[t].Sender.Load()).Slot(); p.ticketOpen(t) && s >= 0 && s < len(held) {
			held[s]++
		}
	}
	slot = most(held)
	return slot, int(held[slot])
}

// mostNames tells who owns most names; those that stay are nobody's.
func (p *Pool) mostNames() (holder string, n int) {
	held, stay := make([]uint64, len(p.arena.Slots)), 0
	for e := range p.names.Committed() {
		v, ok := p.names.Named(e)
		switch slot := v.Owner.Slot(); {
		case ok && (v.Owner == 0 || v.Owner == catalog.Pool):
			stay++
		case ok && slot < len(held):
			held[slot]++
		}
	}
	slot := most(held)
	if stay > int(held[slot]) {
		return "nobody (names that stay)", stay
	}
	return p.slotName(slot), int(held[slot])
}

// eachHold tells every hold of every process: the bits of LIVE blocks, and the owners of private ones.
func (p *Pool) eachHold(tell func(i, slot int)) {
	for i := range p.descs() {
		s := p.state(i)
		switch s.Kind() {
		case layout.Private, layout.Busy:
			if s.Owner() < len(p.arena.Slots) {
				tell(i, s.Owner())
			}
		case layout.Live:
			p.eachBit(i, func(slot int) { tell(i, slot) })
		}
	}
}

// eachBit tells the slots in the holder set of block i.
func (p *Pool) eachBit(i int, tell func(slot int)) {
	d := p.desc(i)
	for w := range d.Holders {
		for v := d.Holders[w].Load(); v != 0; v &= v - 1 {
			if slot := w*64 + bits.TrailingZeros64(v); slot < len(p.arena.Slots) {
				tell(slot)
			}
		}
	}
}

func most(n []uint64) int {
	best := 0
	for i := range n {
		if n[i] > n[best] {
			best = i
		}
	}
	return best
}

// slotName names the process that has a slot.
func (p *Pool) slotName(slot int) string {
	return fmt.Sprintf("process %d (slot %d)", p.arena.Slots[slot].Pid.Load(), slot)
}
