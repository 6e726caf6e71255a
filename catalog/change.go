package catalog

import (
	"fmt"
	"strings"

	"github.com/cespare/xxhash/v2"

	"github.com/ndpool/ndpool/arena/layout"
	"github.com/ndpool/ndpool/handle"
)

// Change is one change of the catalog under way: from Begin to Commit or Abandon, in one hold of the lock. Local.
//
// Its entries are those that are STAGED, REPLACING or LEAVING, linked over Touched, the last one first; an entry enters the
// list when its word first becomes one of these. One of them may be touched again: what leaves may be given a value after all, and keeps
// its entry then, and so its lock; a group made for the sake of others may be given a value of its own.
type Change struct {
	table   *Table
	version uint64 // of all values that it stores
	last    uint64 // entry + 1 of the entry touched last
	Staged  int    // entries taken
}

// Begin begins a change. Nothing is stored before something is staged.
func (t *Table) Begin() Change {
	return Change{table: t, version: t.arena.Ctl.Change.Get() + 1}
}

// Version returns the number that the change will have.
func (c *Change) Version() uint64 { return c.version }

// IsEmpty tells whether nothing is staged.
func (c *Change) IsEmpty() bool { return c.last == 0 }

// mark gives an entry a word of the change. A death before it leaves the entry out of the change.
func (c *Change) mark(e int, w layout.NameWord) {
	d := &c.table.names[e]
	if k := c.table.word(e).Kind(); k == layout.NameFree || k == layout.NameLive {
		d.Touched.Put(c.last)
		c.last = uint64(e) + 1
	}
	d.Word.Store(uint64(w))
}

// Leave removes the name of an entry.
func (c *Change) Leave(e int) {
	if w := c.table.word(e); w.Kind() == layout.NameLive {
		c.mark(e, w.To(layout.NameLeaving))
	}
}

// LeaveTree removes the name of an entry and all names in it, and returns how many of them are not implicit groups.
func (c *Change) LeaveTree(e int) (n int, err error) {
	n, err = c.leaveBelow(uint32(e) + 1)
	return n + c.leave(e), err
}

// LeaveAll removes all names, and counts them alike.
func (c *Change) LeaveAll() (int, error) { return c.leaveBelow(0) }

func (c *Change) leaveBelow(node uint32) (n int, err error) {
	err = c.table.Walk(node, func(e, _ int) bool {
		n += c.leave(e)
		return true
	})
	return n, err
}

// leave removes the name of an entry, and returns 0 for an implicit group, else 1.
func (c *Change) leave(e int) int {
	counts := 1
	if c.table.Value(e).isImplicit() {
		counts = 0
	}
	c.Leave(e)
	return counts
}

// Replace gives the name of an entry another value.
func (c *Change) Replace(e int, v Value) {
	t, w := c.table, c.table.word(e)
	v.Version = c.version
	c.hold(v)
	to := w.Current() ^ 1
	if w.Kind() == layout.NameStaged {
		to = w.Current()
	}
	if w.Kind() == layout.NameStaged || w.Kind() == layout.NameReplacing {
		c.unhold(t.pending(e))
	}
	write(&t.names[e].Values[to], v)
	if w.Kind() != layout.NameStaged {
		c.mark(e, w.To(layout.NameReplacing))
	}
}

// hold has the blocks of a value counted before a word makes the value count.
func (c *Change) hold(v Value) { eachHandle(v, c.table.blocks.Name) }

func (c *Change) unhold(v Value) { eachHandle(v, c.table.blocks.Unname) }

func eachHandle(v Value, do func(handle.Handle)) {
	if v.Array != 0 {
		do(v.Array)
	}
	if v.Attributes != 0 {
		do(v.Attributes)
	}
}

// stage takes a free entry for a component below a parent. What is in the entry counts when its word is stored.
func (c *Change) stage(parent uint32, s string, v Value) (e int, err error) {
	t := c.table
	e, ok := t.free.Next(0)
	if !ok {
		return 0, ErrFull
	}
	if e >= t.Committed() || t.word(e).Kind() != layout.NameFree {
		return 0, ErrTorn
	}
	v.Version = c.version
	c.hold(v)
	t.free.Remove(e)
	d := &t.names[e]
	d.Lock.Publish(0)
	for k := range d.Readers {
		d.Readers[k].Publish(0)
	}
	d.Parent.Publish(parent)
	d.Bytes.Publish(uint32(len(s)))
	for k := range d.Text {
		if w := textWord(s, k); w != 0 || d.Text[k].Load() != 0 {
			d.Text[k].Publish(w)
		}
	}
	write(&d.Values[0], v)
	c.mark(e, layout.MakeName(layout.NameStaged, 0, nextNonce(t.word(e))))
	c.Staged++
	return e, t.link(e, xxhash.Sum64String(s))
}

// nextNonce returns the number of an entry's next use, never 0.
func nextNonce(w layout.NameWord) uint32 { return max(w.Nonce()+1, 1) }

// Put stages a value for a path, and groups on the way where there are none. If the name is there, give decides: it is
// told what the name stands for in this change, and returns what it will stand for.
func (c *Change) Put(path string, v Value, give func(old, new Value) (Value, error)) error {
	node := uint32(0)
	for s, rest, more := "", path, true; more; {
		s, rest, more = strings.Cut(rest, "/")
		e, found, err := c.table.child(node, s)
		switch {
		case err != nil:
		case !found && more:
			e, err = c.stage(node, s, Value{Owner: Implicit})
		case !found:
			e, err = c.stage(node, s, v)
		case more:
			err = c.pass(e)
		default:
			err = c.give(e, v, give)
		}
		if err != nil {
			return err
		}
		node = uint32(e) + 1
	}
	return nil
}

// pass makes sure that an entry on the way to another one is a group.
func (c *Change) pass(e int) error {
	switch {
	case c.table.word(e).Kind() == layout.NameLeaving:
		c.Replace(e, Value{Owner: Implicit})
	case !c.table.pending(e).IsGroup():
		return errOnTheWay
	}
	return nil
}

var (
	errOnTheWay = fmt.Errorf("%w: an array's name has none in it", ErrGroup)
	errBothKind = fmt.Errorf("%w: the same change has names in it", ErrGroup)
)

// give gives an entry that is there a value: one that leaves takes any, a group that the change has made by the way takes
// another group's, and else it is for the caller to say.
func (c *Change) give(e int, v Value, give func(old, new Value) (Value, error)) (err error) {
	k := c.table.word(e).Kind()
	if k == layout.NameLeaving {
		c.Replace(e, v)
		return nil
	}
	old := c.table.pending(e)
	switch {
	case k == layout.NameLive:
		if v, err = give(old, v); err != nil || v == old {
			return err
		}
	case !old.isImplicit():
		return ErrTaken
	case !v.IsGroup():
		return errBothKind
	}
	c.Replace(e, v)
	return nil
}
