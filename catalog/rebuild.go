package catalog

import (
	"github.com/cespare/xxhash/v2"

	"github.com/ndpool/ndpool/arena/layout"
	"github.com/ndpool/ndpool/internal/shm"
)

// Rebuild makes all links, the set of free entries and the blocks' counts anew, after Roll. Preconditions, beside the lock:
// the set is empty, and no block counts a name. An entry that cannot be a name is damage, and becomes FREE. Idempotent: if
// this process dies too, the next one starts again.
func (t *Table) Rebuild() {
	n := t.Committed()
	for h := range t.heads {
		unset(&t.heads[h])
	}
	t.arena.Ctl.Root.Put(0)
	for e := range n {
		t.isolate(e)
	}
	for e := range n {
		t.chain(e)
	}
	for e := range n {
		t.enlist(e)
	}
	for e := range n {
		_ = t.prune(e) // cannot fail: the links were made a moment ago
	}
	for e := range n {
		if t.inUse(e) {
			eachHandle(t.Value(e), t.blocks.CountName)
		} else {
			t.free.Add(e)
		}
	}
}

func (t *Table) inUse(e int) bool { return t.word(e).Kind() != layout.NameFree }

func unset(link *shm.U32) {
	if link.Get() != 0 {
		link.Put(0)
	}
}

// isolate takes an entry out of everything, and frees it if it cannot be a name whatever the others are.
func (t *Table) isolate(e int) {
	d := &t.names[e]
	unset(&d.Next)
	unset(&d.Child)
	unset(&d.After)
	unset(&d.Before)
	if !t.word(e).Valid() || t.inUse(e) && !t.sound(e) {
		t.discard(e)
	}
}

// discard frees an entry that is damage, and that has no links.
func (t *Table) discard(e int) {
	t.names[e].Word.Store(uint64(layout.MakeName(layout.NameFree, 0, t.Nonce(e))))
	t.wake(e)
}

// sound tells whether an entry's component can be one, and its handles lead to blocks.
func (t *Table) sound(e int) bool {
	var buf [layout.MaxComponent + 1]byte
	text, err := t.Text(buf[:0], e)
	if err != nil || !IsComponent(text) || !t.padded(e, len(text)) {
		return false
	}
	v := t.Value(e)
	if v.Owner == Implicit && (v.Array != 0 || v.Attributes != 0) {
		return false
	}
	return (v.Array == 0 || t.blocks.Exists(v.Array)) && (v.Attributes == 0 || t.blocks.Exists(v.Attributes))
}

// padded tells whether only zero bytes come behind the n bytes of a component.
func (t *Table) padded(e, n int) bool {
	d := &t.names[e]
	if n%8 != 0 && d.Text[n/8].Load()>>(n%8*8) != 0 {
		return false
	}
	for k := (n + 7) / 8; k < len(d.Text); k++ {
		if d.Text[k].Load() != 0 {
			return false
		}
	}
	return true
}

// chain enters a name into its chain, or frees it if another one of its group is called the same.
func (t *Table) chain(e int) {
	if !t.inUse(e) {
		return
	}
	var buf [layout.MaxComponent + 1]byte
	text, _ := t.Text(buf[:0], e) // sound
	head := t.head(t.names[e].Parent.Load(), xxhash.Sum64(text))
	for node, n := head.Get(), t.Committed(); node != 0; n-- {
		other, err := t.inTable(node)
		if err != nil || n == 0 || t.sameName(e, other) {
			t.discard(e)
			return
		}
		node = t.names[other].Next.Get()
	}
	t.names[e].Next.Put(head.Get())
	head.Put(uint32(e) + 1)
}

// sameName tells whether two entries have the same parent and the same component.
func (t *Table) sameName(e, f int) bool {
	a, b := &t.names[e], &t.names[f]
	if a.Parent.Load() != b.Parent.Load() || a.Bytes.Load() != b.Bytes.Load() {
		return false
	}
	for k := range a.Text {
		if a.Text[k].Load() != b.Text[k].Load() {
			return false
		}
	}
	return true
}

// enlist enters a name into the list of its group, or frees it if no groups lead from the root to it. What is freed here is
// on nobody's way: names in it fail alike.
func (t *Table) enlist(e int) {
	if !t.inUse(e) {
		return
	}
	if t.rooted(e) {
		_ = t.list(e)
		return
	}
	var buf [layout.MaxComponent + 1]byte
	text, _ := t.Text(buf[:0], e)
	_ = t.unchain(e, t.head(t.names[e].Parent.Load(), xxhash.Sum64(text)))
	t.discard(e)
}

// rooted tells whether groups lead from the root to an entry, not too many.
func (t *Table) rooted(e int) bool {
	for range layout.MaxNameDepth {
		parent := t.names[e].Parent.Load()
		if parent == 0 {
			return true
		}
		var err error
		if e, err = t.entry(parent); err != nil || !t.Value(e).IsGroup() {
			return false
		}
	}
	return false
}
