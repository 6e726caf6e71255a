package arena

import (
	"errors"
	"sync"
	"testing"

	"github.com/ndpool/ndpool/arena/layout"
)

func slotWord(a *Arena, slot int) layout.SlotWord {
	return layout.SlotWord(a.Slots[slot].Word.Load())
}

// TestClaimLeave follows one slot through its uses.
func TestClaimLeave(t *testing.T) {
	worlds(t, testSpec(), func(t *testing.T, w world) {
		a := w.first
		if a.Self() != layout.MakeIdent(0, 1) || slotWord(a, 0) != layout.MakeSlot(layout.SlotClaimed, 1) {
			t.Fatalf("the creator is %#x, its slot %#x", a.Self(), slotWord(a, 0))
		}
		b := w.open(t)
		if b.Alive(0) || b.Self() != 0 {
			t.Error("nobody is alive")
		}
		second := claim(t, b)
		if second != layout.MakeIdent(1, 1) || !a.Alive(second) || !b.Alive(second) || !b.Alive(a.Self()) {
			t.Fatalf("the second process: %#x, alive %v", second, a.Alive(second))
		}
		if id, used := a.Ident(1); id != second || !used {
			t.Errorf("Ident(1): got %#x %v", id, used)
		}
		if a.Alive(layout.MakeIdent(1, 2)) || a.Alive(layout.MakeIdent(9, 1)) || a.Alive(layout.MakeIdent(2, 0)) {
			t.Error("somebody who never was is alive")
		}
		b.Leave(func() { t.Error("b was not the last one") })
		b.Close()
		if a.Alive(second) || slotWord(a, 1) != layout.MakeSlot(layout.SlotFree, 1) {
			t.Errorf("after Leave: alive %v, slot %#x", a.Alive(second), slotWord(a, 1))
		}
		c := w.open(t)
		if third := claim(t, c); third != layout.MakeIdent(1, 2) || !a.Alive(third) || a.Alive(second) {
			t.Errorf("the next user of the slot is %#x", third)
		}
		c.Leave(func() { t.Error("c was not the last one") })
		c.Close()
		decided := false
		a.Leave(func() { decided = true })
		a.Close()
		if !decided {
			t.Error("the last one out did not decide")
		}
	})
}

func TestTableFull(t *testing.T) {
	spec := testSpec()
	spec.Limits.Processes = 2
	worlds(t, spec, func(t *testing.T, w world) {
		b, c := w.open(t), w.open(t)
		defer c.Close()
		claim(t, b)
		if _, err := c.Claim(); !errors.Is(err, ErrProcesses) {
			t.Fatalf("the third of two: %v", err)
		}
		b.Leave(func() { t.Error("not the last one") })
		b.Close()
		claim(t, c)
		c.Leave(func() { t.Error("not the last one") })
	})
}

// TestDirtySlot lets a process die, and the table has room only in its slot.
func TestDirtySlot(t *testing.T) {
	spec := testSpec()
	spec.Limits.Processes = 2
	worlds(t, spec, func(t *testing.T, w world) {
		a, b, c := w.first, w.open(t), w.open(t)
		defer c.Close()
		dead := claim(t, b)
		b.Abandon()
		defer b.Close()
		if a.Alive(dead) {
			t.Fatal("the dead one is alive")
		}
		dirty, err := c.Claim()
		if err != nil || !dirty || c.Self() != layout.MakeIdent(1, 2) {
			t.Fatalf("Claim: dirty %v, self %#x, %v", dirty, c.Self(), err)
		}
		if slotWord(a, 1) != layout.MakeSlot(layout.SlotSweeping, 2) || a.Alive(dead) || !a.Alive(c.Self()) {
			t.Errorf("slot %#x, dead one alive %v, sweeper alive %v", slotWord(a, 1), a.Alive(dead), a.Alive(c.Self()))
		}
		if g, err := a.Bury(1); g != nil || err != nil {
			t.Errorf("Bury of a living sweeper: %v %v", g, err)
		}
		c.Activate()
		if slotWord(a, 1) != layout.MakeSlot(layout.SlotClaimed, 2) || !a.Alive(c.Self()) {
			t.Errorf("after Activate: slot %#x", slotWord(a, 1))
		}
		c.Leave(func() {})
	})
}

// TestBury sweeps only the dead, and one at a time.
func TestBury(t *testing.T) {
	worlds(t, testSpec(), func(t *testing.T, w world) {
		a, b, c := w.first, w.open(t), w.open(t)
		defer b.Close()
		defer c.Close()
		claim(t, b)
		claim(t, c)
		for slot := range 4 { // a, b and c live; slot 3 is free
			if g, err := a.Bury(slot); g != nil || err != nil {
				t.Fatalf("Bury(%d): %v %v", slot, g, err)
			}
		}
		b.Abandon()
		g, err := a.Bury(1)
		if err != nil || g == nil || g.Slot != 1 || slotWord(a, 1) != layout.MakeSlot(layout.SlotSweeping, 2) {
			t.Fatalf("Bury of the dead: %+v %v, slot %#x", g, err, slotWord(a, 1))
		}
		for _, other := range []*Arena{a, c} {
			if again, err := other.Bury(1); again != nil || err != nil {
				t.Fatalf("a second sweeper: %v %v", again, err)
			}
		}
		g.Close() // the sweeper dies
		if g, err = c.Bury(1); err != nil || g == nil || slotWord(a, 1) != layout.MakeSlot(layout.SlotSweeping, 3) {
			t.Fatalf("the next sweeper: %v %v, slot %#x", g, err, slotWord(a, 1))
		}
		g.Done()
		if slotWord(a, 1) != layout.MakeSlot(layout.SlotFree, 3) || a.Ctl.Sweeps.Load() != 1 {
			t.Errorf("after Done: slot %#x, sweeps %d", slotWord(a, 1), a.Ctl.Sweeps.Load())
		}
		if g, err := a.Bury(1); g != nil || err != nil {
			t.Errorf("Bury of a free slot: %v %v", g, err)
		}
		c.Leave(func() {})
	})
}

// TestClaimRace claims from many arenas at once: each gets a slot of its own, and those beyond the table an error.
func TestClaimRace(t *testing.T) {
	spec := testSpec()
	spec.Limits.Processes = 9
	worlds(t, spec, func(t *testing.T, w world) {
		var wg sync.WaitGroup
		idents, full := make(chan layout.Ident, 16), make(chan error, 16)
		for range 12 {
			x := w.open(t)
			defer x.Close()
			wg.Go(func() {
				if _, err := x.Claim(); err != nil {
					full <- err
				} else {
					idents <- x.Self()
				}
			})
		}
		wg.Wait()
		close(idents)
		close(full)
		seen := map[int]bool{0: true}
		for id := range idents {
			if seen[id.Slot()] || !w.first.Alive(id) {
				t.Errorf("slot %d twice, or dead", id.Slot())
			}
			seen[id.Slot()] = true
		}
		for err := range full {
			if !errors.Is(err, ErrProcesses) {
				t.Error(err)
			}
		}
		if len(seen) != 9 {
			t.Errorf("%d slots are in use, want 9", len(seen))
		}
	})
}

// TestScribbledSlot finds phases that do not exist: the slot is a dead one's.
func TestScribbledSlot(t *testing.T) {
	spec := testSpec()
	spec.Limits.Processes = 2
	worlds(t, spec, func(t *testing.T, w world) {
		w.first.Slots[1].Word.Store(0xffff_ffff_ffff_ffff)
		b := w.open(t)
		defer b.Close()
		if dirty, err := b.Claim(); err != nil || !dirty || b.Self() != layout.MakeIdent(1, 0) {
			t.Errorf("Claim: dirty %v, self %#x, %v", dirty, b.Self(), err)
		}
		b.Leave(func() {})
	})
}
