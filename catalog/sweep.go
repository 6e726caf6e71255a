package catalog

import (
	"github.com/ndpool/ndpool/arena"
	"github.com/ndpool/ndpool/arena/layout"
)

// Disown removes the names that a slot's processes own, whatever their incarnation, in the change: their groups become
// implicit, so that those go in which no other names are.
func (c *Change) Disown(slot int) {
	t := c.table
	for e := range t.Committed() {
		if t.word(e).Kind() != layout.NameLive {
			continue
		}
		switch v := t.Value(e); {
		case v.Owner.Slot() != slot || v.Owner == Implicit:
		case v.IsGroup():
			c.Replace(e, Value{Owner: Implicit})
		default:
			c.Leave(e)
		}
	}
}

// SweepLocks ends what a slot's process has to do with the locks of names: see SweepLock.
func (t *Table) SweepLocks(slot int) {
	for e := range t.Committed() {
		t.SweepLock(e, slot)
	}
}

// Stays tells whether a segment has a name that goes with nobody. It needs no lock if nobody is attached, and heeds a
// change in which the last one died.
func Stays(a *arena.Arena) bool {
	decided := a.Ctl.Commit.Load() != 0
	for e := range committed(a) {
		w, _ := rolled(layout.NameWord(a.Names[e].Word.Load()), decided)
		if w.Kind() == layout.NameLive && a.Names[e].Values[w.Current()].Owner.Load() == 0 {
			return true
		}
	}
	return false
}
