// Package catalog keeps the names of arrays: a tree of entries in the segment, each of which is one component of a path
// below its parent. It knows no arrays; a value of a name is a handle to it, and package pool says what that is.
//
// Entries are truth, the links between them are derived: chains by the hash of a component, for finding it below its parent,
// and lists of what is in a group. Whoever takes over the lock of a process that died inside calls Roll and Rebuild.
//
// # Changes
//
// A Change makes names, gives names other values, and removes names, any number of each, all or nothing. It stages what it
// does in the entries themselves, linked over Name.Touched, so that it takes no memory of the process's own; one store
// decides, and Commit carries out. A death before that store leaves what Roll undoes, one after it what Roll finishes.
// docs/PROTOCOL.md, section 10, has the rules.
//
// Preconditions of every method but those that say otherwise: the caller holds the segment lock. Numbers read from entries
// are checked before they are used as an index, and every walk is bounded; where entries contradict each other the method
// reports ErrTorn, and the caller rebuilds.
package catalog

import (
	"errors"

	"github.com/cespare/xxhash/v2"

	"github.com/ndpool/ndpool/arena"
	"github.com/ndpool/ndpool/arena/layout"
	"github.com/ndpool/ndpool/handle"
	"github.com/ndpool/ndpool/internal/shm"
)

var (
	// ErrNoName is returned when the catalog has no such name.
	ErrNoName = errors.New("no such name")
	// ErrTaken is returned when the catalog has that name already.
	ErrTaken = errors.New("name is taken")
	// ErrGroup is returned when a name is a group and should be an array's, or the other way.
	ErrGroup = errors.New("not that kind of name")
	// ErrFull is returned when no entry that has memory is free.
	ErrFull = errors.New("no free entry")
	// ErrTorn is returned when the entries contradict each other: a scribble, since a death inside the lock is rolled and rebuilt.
	ErrTorn = errors.New("catalog is torn")
)

// Free is the set of entries that are FREE and have memory behind them. Derived, like the links.
type Free interface {
	Next(i int) (int, bool)
	Add(i int)
	Remove(i int)
}

// Blocks keeps the blocks that names stand for.
type Blocks interface {
	Name(h handle.Handle)        // counts a value that names the block, which is NAMED from then on; the caller holds the block
	Unname(h handle.Handle)      // uncounts it, and frees the block if nobody is left
	Exists(h handle.Handle) bool // tells whether the handle leads to a LIVE block
	CountName(h handle.Handle)   // counts it in a rebuild, and does no more; the block exists
}

// Table is the view of the catalog from one attachment. Local; its state is in the segment.
type Table struct {
	arena  *arena.Arena
	names  []layout.Name // memory is committed for the first Ctl.Names only
	heads  []shm.U32
	free   Free
	blocks Blocks
}

// New lays a table over the segment's catalog.
func New(a *arena.Arena, free Free, blocks Blocks) *Table {
	return &Table{arena: a, names: a.Names, heads: a.NameHeads, free: free, blocks: blocks}
}

// Value is what a name stands for. Local copy of a layout.NameValue.
type Value struct {
	Version    uint64
	Array      handle.Handle // 0: a group
	Attributes handle.Handle // 0: none
	Owner      layout.Ident  // whom it goes with; 0: nobody; Implicit
}

// Implicit is the owner of a group that is there for the sake of the names in it.
const Implicit = layout.Ident(layout.NameImplicit)

// Pool is the owner of a name that stays until it is removed, but does not keep the pool. Neither is a process.
const Pool = layout.Ident(layout.NamePool)

// IsGroup tells whether the value is a group's.
func (v Value) IsGroup() bool { return v.Array == 0 }

// isImplicit tells whether the group goes with the last name in it.
func (v Value) isImplicit() bool { return v.Array == 0 && v.Owner == Implicit }

// Committed returns how many entries have memory behind them. It may be called without the lock.
func (t *Table) Committed() int { return committed(t.arena) }

func committed(a *arena.Arena) int { return min(int(a.Ctl.Names.Load()), len(a.Names)) }

// word returns an entry's word.
func (t *Table) word(e int) layout.NameWord { return layout.NameWord(t.names[e].Word.Load()) }

// Nonce returns the number of this use of an entry.
func (t *Table) Nonce(e int) uint32 { return t.word(e).Nonce() }

// Value returns what an entry stands for.
func (t *Table) Value(e int) Value { return readValue(&t.names[e].Values[t.word(e).Current()]) }

// Named returns what an entry stands for, and whether it is a name. It may be called without the lock, to count.
func (t *Table) Named(e int) (Value, bool) {
	w := t.word(e)
	k := w.Kind()
	return readValue(&t.names[e].Values[w.Current()]), k == layout.NameLive || k == layout.NameReplacing || k == layout.NameLeaving
}

// pending returns what an entry will stand for when the change under way is decided. Precondition: it is not LEAVING.
func (t *Table) pending(e int) Value {
	w := t.word(e)
	if w.Kind() == layout.NameReplacing {
		w = w.Flip()
	}
	return readValue(&t.names[e].Values[w.Current()])
}

func readValue(v *layout.NameValue) Value {
	return Value{Version: v.Version.Load(), Array: handle.Handle(v.Array.Load()), Attributes: handle.Handle(v.Attributes.Load()),
		Owner: layout.Ident(v.Owner.Load())}
}

// write stores a value that does not count yet. A death before the word that makes it count leaves what nobody reads.
func write(to *layout.NameValue, v Value) {
	to.Version.Publish(v.Version)
	to.Array.Publish(uint64(v.Array))
	to.Attributes.Publish(uint64(v.Attributes))
	to.Owner.Publish(uint64(v.Owner))
}

// Text appends an entry's component to a buffer.
func (t *Table) Text(b []byte, e int) ([]byte, error) {
	n := int(t.names[e].Bytes.Load())
	if n < 1 || n > layout.MaxComponent {
		return b, ErrTorn
	}
	for k := 0; k < n; k += 8 {
		w := t.names[e].Text[k/8].Load()
		for i := k; i < min(n, k+8); i++ {
			b = append(b, byte(w>>(i%8*8)))
		}
	}
	return b, nil
}

// isText tells whether an entry's component is this one.
func (t *Table) isText(e int, s string) bool {
	d := &t.names[e]
	if int(d.Bytes.Load()) != len(s) {
		return false
	}
	for k := 0; k*8 < len(s); k++ {
		if d.Text[k].Load() != textWord(s, k) {
			return false
		}
	}
	return true
}

// textWord returns bytes 8*k to 8*k+7 of a component, NUL padded.
func textWord(s string, k int) (w uint64) {
	for i, at := 0, 8*k; i < 8 && at < len(s); i, at = i+1, at+1 {
		w |= uint64(s[at]) << (8 * i)
	}
	return w
}

// head returns the head of the chain that a component of a hash below parent is in.
func (t *Table) head(parent uint32, hash uint64) *shm.U32 {
	return &t.heads[t.arena.Geo.NameHead(parent, hash)]
}

// A node is a place in the tree: entry + 1, or 0 for the root. Parent, Child and the other links are nodes.

// entry returns the entry of a node that was read from the segment, which must be in use.
func (t *Table) entry(node uint32) (int, error) {
	e := int(node) - 1
	if e < 0 || e >= t.Committed() || t.word(e).Kind() == layout.NameFree || !t.word(e).Valid() {
		return 0, ErrTorn
	}
	return e, nil
}

// firstChild returns the first node below a node, 0 if there is none.
func (t *Table) firstChild(node uint32) uint32 {
	if node == 0 {
		return uint32(t.arena.Ctl.Root.Get())
	}
	return t.names[node-1].Child.Get()
}

// child returns the entry with a component below a node, and whether there is one.
func (t *Table) child(parent uint32, s string) (e int, found bool, err error) {
	next := t.head(parent, xxhash.Sum64String(s)).Get()
	for range t.Committed() + 1 {
		if next == 0 {
			return 0, false, nil
		}
		if e, err = t.entry(next); err != nil {
			return 0, false, err
		}
		if t.names[e].Parent.Load() == parent && t.isText(e, s) {
			return e, true, nil
		}
		next = t.names[e].Next.Get()
	}
	return 0, false, ErrTorn
}
