package refcount

import (
	"github.com/ndpool/ndpool/arena/layout"
)

// SweepBlock ends what a dead slot has to do with block i. It reports true when the block is this process's now, BUSY,
// in a new generation: the dead one was its last holder or its owner. Idempotent: if this process dies too, the next sweeper
// finds the rest. Preconditions: the caller holds the slot's byte and the segment lock.
func (t *Table) SweepBlock(i, slot int) (mine bool) {
	d, word, bit := &t.descs[i], slot/64, uint64(1)<<(slot%64)
	if d.Holders[word].Load()&bit != 0 {
		t.clear(i, word, bit)
	}
	// Even if the bit was clear: the dead one may have cleared it and not come to its own tryFree.
	if t.TryFree(i) {
		return true
	}
	s := layout.State(d.State.Load())
	if !s.Kind().Owned() || s.Owner() != slot {
		return false
	}
	// By exchange: a thief may be faster at a CACHED block.
	if !d.State.CAS(uint64(s), uint64(s.To(layout.Busy, t.slot))) {
		return false
	}
	if s.Kind() != layout.Cached {
		t.nextGen(i)
	}
	return true
}

// Holds tells whether the slot's bit is set in block i.
func (t *Table) Holds(i, slot int) bool {
	return t.descs[i].Holders[slot/64].Load()&(1<<(slot%64)) != 0
}

// CountTicket counts an open ticket of block i in a rebuild, and ForgetTickets makes the count zero before.
func (t *Table) CountTicket(i int) { t.descs[i].Tickets.Publish(t.descs[i].Tickets.Get() + 1) }

// ForgetTickets makes the number of block i's tickets zero, in a rebuild.
func (t *Table) ForgetTickets(i int) {
	if t.descs[i].Tickets.Get() != 0 {
		t.descs[i].Tickets.Publish(0)
	}
}

// BackTransit sets the pseudo-holder IN TRANSIT of block i if its tickets want it, in a rebuild. First all that are
// missing are set, then Surplus clears those that nothing justifies: a bit that the truth backs is never clear for an instant.
func (t *Table) BackTransit(i int) {
	if t.descs[i].Tickets.Get() > 0 && t.set(i, transitWord, transitBit) {
		t.Bump(i)
	}
}

// Surplus clears the pseudo-holder bits of block i that no record justifies, and ends with tryFree whether or not it
// cleared one: a process may have died between a clearing and its tryFree. It reports freed as DropLocked does.
func (t *Table) Surplus(i int) (freed bool) {
	d := &t.descs[i]
	if d.Tickets.Get() == 0 && d.Holders[transitWord].Load()&transitBit != 0 {
		t.clear(i, transitWord, transitBit)
	}
	if d.Names.Get() == 0 && d.Holders[namedWord].Load()&namedBit != 0 {
		t.clear(i, namedWord, namedBit)
	}
	return t.TryFree(i)
}
