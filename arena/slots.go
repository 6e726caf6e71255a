package arena

import (
	"fmt"

	"github.com/ndpool/ndpool/arena/layout"
)

// Self returns this attachment's ident, 0 before Claim.
func (a *Arena) Self() layout.Ident { return a.self }

// Claim takes a slot and ties it to the life of this address space. It reports dirty when the only slot to be had
// belonged to a dead process: the slot is SWEEPING then, and the caller must sweep that slot and call Activate.
//
// Whoever takes a slot's byte first stores the next incarnation, so that every record of the last owner is recognised
// as a dead one's; a process that dies inside leaves a slot whose byte is free, which is a dead one's again.
func (a *Arena) Claim() (dirty bool, err error) {
	if ok, err := a.claim(func(p layout.Phase) bool { return p == layout.SlotFree }, layout.SlotClaimed); ok || err != nil {
		return false, err
	}
	ok, err := a.claim(func(p layout.Phase) bool { return p != layout.SlotFree }, layout.SlotSweeping)
	if err == nil && !ok {
		err = fmt.Errorf("claim slot: %w: all %d slots belong to living processes", ErrProcesses, len(a.Slots))
	}
	return true, err
}

// claim takes the first slot whose phase is wanted and whose byte can be had, and stores the phase to.
func (a *Arena) claim(wanted func(layout.Phase) bool, to layout.Phase) (bool, error) {
	for i := range a.Slots {
		s := &a.Slots[i]
		if !wanted(layout.SlotWord(s.Word.Load()).Phase()) {
			continue
		}
		ok, err := a.member.lock(layout.SlotByte+int64(i), true)
		if err != nil {
			return false, err
		}
		if !ok {
			continue
		}
		// Only now is the word ours: between the look and the lock somebody may have come and died.
		w := layout.SlotWord(s.Word.Load())
		if !wanted(w.Phase()) {
			a.member.unlock(layout.SlotByte + int64(i))
			continue
		}
		describe(s)
		inc := w.Incarnation() + 1
		s.Word.Store(uint64(layout.MakeSlot(to, inc)))
		a.self = layout.MakeIdent(i, inc)
		a.word = layout.MakeLock(a.self)
		return true, a.member.pin()
	}
	return false, nil
}

// Activate makes a dirty slot an ordinary one, after its last owner's holds are swept.
func (a *Arena) Activate() {
	a.Slots[a.self.Slot()].Word.Store(uint64(layout.MakeSlot(layout.SlotClaimed, a.self.Incarnation())))
}

// Depart says that this process is about to leave: nothing may be directed at it any more. It sweeps its own slot next,
// then calls Leave. If it dies in between, the slot is a dead one's, like any other.
func (a *Arena) Depart() {
	a.Slots[a.self.Slot()].Word.Store(uint64(layout.MakeSlot(layout.SlotSweeping, a.self.Incarnation())))
}

// Receives tells whether transfers may be directed at the process: it lives and is not about to leave. While the caller
// holds the segment lock a yes stays true until the process dies or has taken the lock itself for its sweep.
func (a *Arena) Receives(i layout.Ident) bool {
	return a.Alive(i) && layout.SlotWord(a.Slots[i.Slot()].Word.Load()).Phase() == layout.SlotClaimed
}

// Leave gives the slot back. Precondition: this process holds nothing any more. The slot is FREE before its byte is
// unlocked: a death in between drops the byte, and the slot is as free as it should be.
//
// Afterwards it reports whether this was the last process: then nobody is attached, and while decide runs nobody can be.
func (a *Arena) Leave(decide func()) {
	a.Slots[a.self.Slot()].Word.Store(uint64(layout.MakeSlot(layout.SlotFree, a.self.Incarnation())))
	a.self = 0
	a.member.drop()
	a.member = nil
	a.ifAlone(decide)
}

// ifAlone runs f while it holds the pool's byte exclusively, if it can be had.
func (a *Arena) ifAlone(f func()) {
	d, err := a.back.description()
	if err != nil {
		return
	}
	defer d.drop()
	if ok, err := d.lock(layout.PoolByte, true); ok && err == nil {
		f()
	}
}

// Abandon drops the kernel's locks without a store, as death does: for tests within one process.
func (a *Arena) Abandon() {
	a.member.drop()
	a.member = nil
	if b, ok := a.back.(*heapBacking); ok {
		b.abandon()
	}
}

// Alive tells whether the process still lives: its incarnation is current, and its byte is held. This process lives.
// So does everybody of whom the kernel cannot be asked: a living process must never be taken for a dead one.
func (a *Arena) Alive(i layout.Ident) bool {
	if i != 0 && i == a.self {
		return true
	}
	slot := i.Slot()
	if slot < 0 || slot >= len(a.Slots) {
		return false
	}
	w := layout.SlotWord(a.Slots[slot].Word.Load())
	if w.Phase() == layout.SlotFree || w.Incarnation() != i.Incarnation() {
		return false
	}
	held, err := a.back.held(layout.SlotByte + int64(slot))
	return held || err != nil
}

// Ident returns who has the slot now, and whether it is anybody.
func (a *Arena) Ident(slot int) (layout.Ident, bool) {
	w := layout.SlotWord(a.Slots[slot].Word.Load())
	return layout.MakeIdent(slot, w.Incarnation()), w.Phase() != layout.SlotFree
}

// Grave is a dead process's slot while it is swept. Its holder is the only one who sweeps it; if the holder dies, the
// byte is free again and the next one starts from the beginning.
type Grave struct {
	Slot  int
	arena *Arena
	desc  description
	inc   uint32
}

// Bury takes the slot of a dead process for sweeping. It returns nil if the slot is free, or its owner or another
// sweeper lives. The caller must call Done, or Close to leave the rest to the next sweeper.
func (a *Arena) Bury(slot int) (*Grave, error) {
	id, used := a.Ident(slot)
	if !used || a.Alive(id) {
		return nil, nil
	}
	d, err := a.back.description()
	if err != nil {
		return nil, err
	}
	ok, err := d.lock(layout.SlotByte+int64(slot), true)
	if !ok || err != nil {
		d.drop()
		return nil, err
	}
	w := layout.SlotWord(a.Slots[slot].Word.Load())
	if w.Phase() == layout.SlotFree {
		d.drop()
		return nil, nil
	}
	g := &Grave{Slot: slot, arena: a, desc: d, inc: w.Incarnation() + 1}
	a.Slots[slot].Word.Store(uint64(layout.MakeSlot(layout.SlotSweeping, g.inc)))
	return g, nil
}

// Done frees the swept slot: first the word, then the byte.
func (g *Grave) Done() {
	g.arena.Slots[g.Slot].Word.Store(uint64(layout.MakeSlot(layout.SlotFree, g.inc)))
	g.arena.Ctl.Sweeps.Add(1)
	g.desc.drop()
}

// Close gives the grave up unfinished.
func (g *Grave) Close() { g.desc.drop() }
