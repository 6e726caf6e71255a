package ring

import (
	"github.com/ndpool/ndpool/arena/layout"
	"github.com/ndpool/ndpool/handle"
)

// Entry is what a place in a ring says. Local copy of a layout.RingEntry.
type Entry struct {
	Array      handle.Handle
	Attributes handle.Handle // 0: none
	Word       layout.EntryWord
	Monotonic  uint64 // nanoseconds, CLOCK_MONOTONIC
	Wall       uint64 // nanoseconds since 1970
	Sender     layout.Ident
}

// each tells the handles of an entry.
func (e *Entry) each(do func(handle.Handle)) {
	do(e.Array)
	if e.Attributes != 0 {
		do(e.Attributes)
	}
}

// at returns the place of a position.
func (r *Ring) at(pos uint64) *layout.RingEntry { return &r.entries[pos%uint64(len(r.entries))] }

// Look returns the entry of a position, if it is there. Without the lock it may be half of one and half of another: Still tells
// after what it says was used.
func (r *Ring) Look(pos uint64) (e Entry, ok bool) {
	d := r.at(pos)
	if d.Number.Load() != pos+1 {
		return e, false
	}
	return Entry{Array: handle.Handle(d.Array.Load()), Attributes: handle.Handle(d.Attributes.Load()), Word: layout.EntryWord(d.Word.Load()),
		Monotonic: d.Monotonic.Load(), Wall: d.Wall.Load(), Sender: layout.Ident(d.Sender.Load())}, true
}

// Still tells whether a place is that position's still. If so, what Look returned before was one whole entry. It needs no lock.
func (r *Ring) Still(pos uint64) bool { return r.at(pos).Number.Load() == pos+1 }

// Sound returns the entry of a position that is from Tail on and before Head, if it counts: it is of that number, and its
// handles lead to blocks. Else it is damage.
func (r *Ring) Sound(pos uint64, b Blocks) (e Entry, ok bool) {
	e, ok = r.Look(pos)
	return e, ok && b.Carried(e.Array) && (e.Attributes == 0 || b.Carried(e.Attributes))
}

// Put appends entries, whose blocks the caller holds and are LIVE. Precondition: there is room for them. The caller rings News.
//
// Blocks are entered before Head says that the entries count: a death before that store leaves counts that nothing justifies,
// which the lock's taker makes anew; one after it leaves all of them in the ring.
func (r *Ring) Put(es []Entry, b Blocks) {
	enter(es, b)
	head := r.head.Head.Load()
	for k := range es {
		r.write(head+uint64(k), &es[k])
	}
	r.head.Head.Store(head + uint64(len(es)))
	r.head.Items.Publish(r.head.Items.Load() + items(es))
}

// PutBack puts entries before all others. Preconditions: as for Put, and no more have ever been put than positions are before
// Tail: the caller has got them from this ring. The caller rings News. Deaths are as in Put, with Tail for Head.
func (r *Ring) PutBack(es []Entry, b Blocks) {
	enter(es, b)
	tail := r.head.Tail.Load() - uint64(len(es))
	for k := range es {
		r.write(tail+uint64(k), &es[k])
	}
	r.head.Tail.Store(tail)
	r.head.Items.Publish(r.head.Items.Load() + items(es))
}

func enter(es []Entry, b Blocks) {
	for k := range es {
		es[k].each(b.Enter)
	}
}

// items counts entries that do not belong to the one before.
func items(es []Entry) (n uint64) {
	for k := range es {
		if !es[k].Word.IsAttached() {
			n++
		}
	}
	return n
}

// write stores an entry that does not count yet. Number is 0 meanwhile, so that who reads without the lock sees that what
// he has read may be half of it. A death leaves a place that does not count.
func (r *Ring) write(pos uint64, e *Entry) {
	d := r.at(pos)
	d.Number.Store(0)
	d.Array.Publish(uint64(e.Array))
	d.Attributes.Publish(uint64(e.Attributes))
	d.Word.Publish(uint64(e.Word))
	d.Monotonic.Publish(e.Monotonic)
	d.Wall.Publish(e.Wall)
	d.Sender.Publish(uint64(e.Sender))
	d.Number.Store(pos + 1)
}

// Drop takes the oldest entries out. Preconditions: there are as many, and who wants their blocks holds them already. The
// caller rings Room.
//
// Tail says that they count no more before their blocks are let go: a death after that store leaves counts that nothing
// justifies, which the lock's taker makes anew. What Tail has passed stays where it is meanwhile, so it is read after the
// store.
func (r *Ring) Drop(n int, b Blocks) {
	tail := r.head.Tail.Load()
	r.head.Tail.Store(tail + uint64(n))
	gone := uint64(0)
	for pos := tail; pos != tail+uint64(n); pos++ {
		e, ok := r.Sound(pos, b)
		if !ok {
			continue // damage: nobody has counted it
		}
		e.each(b.Exit)
		if !e.Word.IsAttached() {
			gone++
		}
	}
	r.head.Items.Publish(r.head.Items.Load() - min(gone, r.head.Items.Load()))
}

// Empty takes all entries out. Of a ring that is torn none counts.
func (r *Ring) Empty(b Blocks) {
	if tail, head, err := r.Span(); err == nil && tail != head {
		r.Drop(int(head-tail), b)
	}
}

// Item returns how many entries the item at a position has, which is before head. It fails with ErrTorn if there is no whole one;
// then n entries are damage, which Drop takes out.
func (r *Ring) Item(pos, head uint64, b Blocks) (n int, err error) {
	first, ok := r.Sound(pos, b)
	more := uint64(first.Word.More())
	if !ok || !first.Word.Valid() || first.Word.IsAttached() || more >= head-pos {
		return r.litter(pos, head), ErrTorn
	}
	for k := uint64(1); k <= more; k++ {
		if e, ok := r.Sound(pos+k, b); !ok || !e.Word.Valid() || !e.Word.IsAttached() {
			return r.litter(pos, head), ErrTorn
		}
	}
	return int(more) + 1, nil
}

// litter returns how many entries from a position on cannot be got: the first one, and those behind that do not begin an item.
func (r *Ring) litter(pos, head uint64) int {
	n := 1
	for pos++; pos != head; pos++ {
		if e, ok := r.Look(pos); ok && !e.Word.IsAttached() {
			break
		}
		n++
	}
	return n
}
