package catalog

import (
	"github.com/cespare/xxhash/v2"

	"github.com/ndpool/ndpool/arena/layout"
	"github.com/ndpool/ndpool/internal/shm"
)

// Links are derived, and guarded by the lock: a death between any two of these stores leaves links that the taker of the
// lock makes anew.

// link enters an entry into its chain and into the list of its group, first in both. Preconditions: it is in neither, its
// parent is the root or an entry, and hash is its component's.
func (t *Table) link(e int, hash uint64) error {
	head := t.head(t.names[e].Parent.Load(), hash)
	t.names[e].Next.Put(head.Get())
	head.Put(uint32(e) + 1)
	t.names[e].Child.Put(0)
	return t.list(e)
}

// list enters an entry into the list of its group.
func (t *Table) list(e int) error {
	d, node := &t.names[e], uint32(e)+1
	parent := d.Parent.Load()
	if parent != 0 {
		if _, err := t.inTable(parent); err != nil {
			return err
		}
	}
	first := t.firstChild(parent)
	d.Before.Put(0)
	d.After.Put(first)
	t.setFirst(parent, node)
	return t.setBefore(first, node)
}

// setFirst makes a node the first one below a parent.
func (t *Table) setFirst(parent, node uint32) {
	if parent == 0 {
		t.arena.Ctl.Root.Put(uint64(node))
		return
	}
	t.names[parent-1].Child.Put(node)
}

// setBefore says what comes before a node; 0 is no node.
func (t *Table) setBefore(node, before uint32) error {
	if node == 0 {
		return nil
	}
	e, err := t.inTable(node)
	if err == nil {
		t.names[e].Before.Put(before)
	}
	return err
}

// inTable returns the entry of a node that was read from the segment, in use or not.
func (t *Table) inTable(node uint32) (int, error) {
	if e := int(node) - 1; e >= 0 && e < t.Committed() {
		return e, nil
	}
	return 0, ErrTorn
}

// unlink takes an entry out of its chain and out of the list of its group.
func (t *Table) unlink(e int) error {
	var buf [layout.MaxComponent + 1]byte
	text, err := t.Text(buf[:0], e)
	if err != nil {
		return err
	}
	d := &t.names[e]
	parent, before, after := d.Parent.Load(), d.Before.Get(), d.After.Get()
	if err := t.unchain(e, t.head(parent, xxhash.Sum64(text))); err != nil {
		return err
	}
	if err := t.setBefore(after, before); err != nil {
		return err
	}
	if before != 0 {
		last, err := t.inTable(before)
		if err == nil {
			t.names[last].After.Put(after)
		}
		return err
	}
	if parent != 0 {
		if _, err := t.inTable(parent); err != nil {
			return err
		}
	}
	t.setFirst(parent, after)
	return nil
}

// unchain takes an entry out of the chain that begins at head.
func (t *Table) unchain(e int, at *shm.U32) error {
	node := uint32(e) + 1
	for range t.Committed() + 1 {
		next := at.Get()
		if next == node {
			at.Put(t.names[e].Next.Get())
			return nil
		}
		other, err := t.inTable(next)
		if err != nil {
			return err
		}
		at = &t.names[other].Next
	}
	return ErrTorn
}
