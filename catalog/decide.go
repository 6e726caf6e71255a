package catalog

import "github.com/ndpool/ndpool/arena/layout"

// Commit makes the change happen, as a whole. After an error it has happened, and the caller rebuilds.
//
// Control.Commit decides: a death before it leaves what Roll undoes, a death after it what Roll finishes. It is cleared after the
// last word, so that an undecided change is never taken for a decided one.
func (c *Change) Commit() error {
	if c.IsEmpty() {
		return nil
	}
	ctl := c.table.arena.Ctl
	ctl.Change.Store(c.version)
	ctl.Commit.Store(1)
	err := c.each(c.carryOut)
	if err == nil {
		err = c.each(c.table.prune)
	}
	if err == nil {
		ctl.Commit.Store(0)
	}
	return err
}

// Abandon undoes what is staged. After an error the caller rebuilds, which undoes the rest.
func (c *Change) Abandon() error { return c.each(c.undo) }

// each does something to every entry of the change. do does not change Touched.
func (c *Change) each(do func(e int) error) error {
	for node, n := c.last, c.table.Committed(); node != 0; n-- {
		e := int(node) - 1
		if e < 0 || e >= c.table.Committed() || n <= 0 {
			return ErrTorn
		}
		if err := do(e); err != nil {
			return err
		}
		node = c.table.names[e].Touched.Get()
	}
	return nil
}

// carryOut does to one entry what was decided. The word comes first: what a value no longer names is let go after it.
func (c *Change) carryOut(e int) error {
	t, w := c.table, c.table.word(e)
	switch w.Kind() {
	case layout.NameStaged:
		t.names[e].Word.Store(uint64(w.To(layout.NameLive)))
	case layout.NameReplacing:
		old := t.Value(e)
		t.names[e].Word.Store(uint64(w.Flip()))
		c.unhold(old)
	case layout.NameLeaving:
		old := t.Value(e)
		err := t.remove(e)
		c.unhold(old)
		return err
	}
	return nil
}

// remove frees an entry, and wakes those who wait for its lock.
func (t *Table) remove(e int) error {
	w := t.word(e)
	err := t.unlink(e)
	t.names[e].Word.Store(uint64(w.To(layout.NameFree)))
	t.free.Add(e)
	t.wake(e)
	return err
}

// wake wakes who waits for the lock of a name that is gone. Who comes later finds it gone.
func (t *Table) wake(e int) {
	if t.names[e].Lock.Load() != 0 {
		t.WakeLock(e)
	}
}

// prune removes implicit groups that no name is left in: an entry, if it is one, and then those that it was in. A death in
// between leaves such groups to Rebuild.
func (t *Table) prune(e int) error {
	for range layout.MaxNameDepth {
		parent := t.names[e].Parent.Load()
		switch w := t.word(e); {
		case w.Kind() == layout.NameFree:
		case w.Kind() != layout.NameLive || !t.Value(e).isImplicit() || t.names[e].Child.Get() != 0:
			return nil
		default:
			if err := t.remove(e); err != nil {
				return err
			}
		}
		if parent == 0 {
			return nil
		}
		var err error
		if e, err = t.inTable(parent); err != nil {
			return err
		}
	}
	return nil
}

// undo does to one entry the opposite of carryOut. The links of a new one go with it.
func (c *Change) undo(e int) error {
	t, w := c.table, c.table.word(e)
	switch w.Kind() {
	case layout.NameStaged:
		v := t.pending(e)
		err := t.unlink(e)
		t.names[e].Word.Store(uint64(w.To(layout.NameFree)))
		t.free.Add(e)
		c.unhold(v)
		return err
	case layout.NameReplacing:
		v := t.pending(e)
		t.names[e].Word.Store(uint64(w.To(layout.NameLive)))
		c.unhold(v)
	case layout.NameLeaving:
		t.names[e].Word.Store(uint64(w.To(layout.NameLive)))
	}
	return nil
}

// Roll ends a change in which somebody died: it finishes one that is decided, and undoes one that is not. Only words change;
// Rebuild does the rest. If this process dies too, the next one starts again.
func (t *Table) Roll() {
	ctl := t.arena.Ctl
	decided := ctl.Commit.Load() != 0
	for e := range t.Committed() {
		w := t.word(e)
		if to, changed := rolled(w, decided); changed {
			t.names[e].Word.Store(uint64(to))
		}
	}
	if decided {
		ctl.Commit.Store(0)
	}
}

// rolled returns what an entry's word is once the change under way has ended, and whether that is another one.
func rolled(w layout.NameWord, decided bool) (to layout.NameWord, changed bool) {
	switch k := w.Kind(); {
	case k == layout.NameReplacing && decided:
		return w.Flip(), true
	case k == layout.NameStaged && decided, (k == layout.NameReplacing || k == layout.NameLeaving) && !decided:
		return w.To(layout.NameLive), true
	case k == layout.NameStaged, k == layout.NameLeaving:
		return w.To(layout.NameFree), true
	}
	return w, false
}
