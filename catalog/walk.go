package catalog

import "github.com/ndpool/ndpool/arena/layout"

// Walk tells every entry below a node, parents first, with its depth below that node, from 1. It ends early if tell says
// so. tell may change words and values, but no links.
func (t *Table) Walk(top uint32, tell func(e, depth int) (more bool)) error {
	node, parent, depth := t.firstChild(top), top, 1
	for range t.Committed() {
		if node == 0 {
			return nil
		}
		e, err := t.entry(node)
		if err != nil || t.names[e].Parent.Load() != parent || depth > layout.MaxNameDepth {
			return ErrTorn
		}
		if !tell(e, depth) {
			return nil
		}
		if node, parent, depth, err = t.next(top, e, depth); err != nil {
			return err
		}
	}
	if node != 0 {
		return ErrTorn
	}
	return nil
}

// next returns the node after an entry of that depth in a walk, 0 after the last one, and what its parent and depth must be.
func (t *Table) next(top uint32, e, depth int) (node, parent uint32, down int, err error) {
	if child := t.names[e].Child.Get(); child != 0 {
		return child, uint32(e) + 1, depth + 1, nil
	}
	for ; depth > 0; depth-- {
		parent = t.names[e].Parent.Load()
		if after := t.names[e].After.Get(); after != 0 {
			return after, parent, depth, nil
		}
		if parent == top {
			return 0, 0, 0, nil
		}
		if e, err = t.entry(parent); err != nil {
			return 0, 0, 0, err
		}
	}
	return 0, 0, 0, ErrTorn
}

// FindNode returns the node of a path, the root for the empty one.
func (t *Table) FindNode(path string) (uint32, error) {
	if path == "" {
		return 0, nil
	}
	e, err := t.Find(path)
	return uint32(e) + 1, err
}

// IsEmpty tells whether no name is in an entry.
func (t *Table) IsEmpty(e int) bool { return t.names[e].Child.Get() == 0 }
