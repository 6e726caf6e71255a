package catalog

import (
	"github.com/ndpool/ndpool/arena"
	"github.com/ndpool/ndpool/arena/layout"
	"github.com/ndpool/ndpool/handle"
)

// Disown removes the names that a slot's processes own, whatever their incarnation, in the change: their groups become
// implicit, so that those go in which no other names are. Implicit and Pool are no slot's.
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

// Stays tells whether a segment has a name that keeps it: one that goes with nobody, or one that goes with the pool and whose value
// wanted wants. It needs no lock if nobody is attached, and heeds a change in which the last one died.
func Stays(a *arena.Arena, wanted func(handle.Handle) bool) bool {
	decided := a.Ctl.Commit.Load() != 0
	for e := range committed(a) {
		w, _ := rolled(layout.NameWord(a.Names[e].Word.Load()), decided)
		v := readValue(&a.Names[e].Values[w.Current()])
		if w.Kind() == layout.NameLive && (v.Owner == 0 || v.Owner == Pool && wanted(v.Array)) {
			return true
		}
	}
	return false
}
