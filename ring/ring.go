// Package ring knows the bytes of a ring: a stream or a queue, which lies among the users' bytes of a block. It lays a view
// over them, with every number checked, puts and drops entries, keeps who writes and who reads, and lets processes wait.
//
// It knows no blocks and no holders; an entry names a block by its handle, and package pool says what enters and leaves it.
//
// Preconditions of every method but those that say otherwise: the caller holds the segment lock, and keeps the ring's block.
// Nothing is allocated. All that a process could have left half-done by its death is decided by one store, of Head or of Tail: an
// entry counts from Tail on and before Head. docs/PROTOCOL.md, section 11, has the rules.
package ring

import (
	"errors"

	"github.com/ndpool/ndpool/arena/layout"
	"github.com/ndpool/ndpool/handle"
)

// ErrTorn is returned when the bytes of a ring cannot be one, or an entry cannot be one: a scribble.
var ErrTorn = errors.New("ring is torn")

// Blocks keeps the blocks that entries name.
type Blocks interface {
	Enter(h handle.Handle)        // counts an entry that names the block, which is IN TRANSIT from then on; the caller holds the block
	Exit(h handle.Handle)         // uncounts it, and frees the block if nobody is left
	Carried(h handle.Handle) bool // tells whether an entry may name the block: it is LIVE, and no ring
	Count(h handle.Handle)        // counts it in a rebuild, and does no more; the block is one that may be named
}

// Ring is a view of one ring's bytes from one process. Local, but for what its pointers lead to. The constants of the head
// were read and checked once.
type Ring struct {
	head    *layout.Ring
	readers []layout.RingReader
	entries []layout.RingEntry
	kind    layout.RingKind
	flags   uint32
}

// Lay lays a view over the users' bytes of a block. It fails with ErrTorn if they cannot be a ring's. It needs no lock.
func Lay(mem []byte) (Ring, error) {
	if uint64(len(mem)) < layout.RingSize {
		return Ring{}, ErrTorn
	}
	h := &overlay[layout.Ring](mem, 0, 1)[0]
	kind, flags, entries, readers := layout.RingKind(h.Kind.Load()), h.Flags.Load(), h.Entries.Load(), h.Readers.Load()
	if !kind.Valid() || flags&^layout.RingFlagsKnown != 0 || entries < 1 || entries > layout.MaxRingEntries ||
		readers > layout.MaxRingReaders || uint64(len(mem)) != layout.RingBytes(int(entries), int(readers)) {
		return Ring{}, ErrTorn
	}
	first := uint64(len(mem)) - uint64(entries)*layout.RingEntrySize
	return Ring{head: h, kind: kind, flags: flags,
		readers: overlay[layout.RingReader](mem, layout.RingSize, int(readers)),
		entries: overlay[layout.RingEntry](mem, first, int(entries))}, nil
}

// Make writes the head of a new ring into bytes that are zero, and returns its view. It needs no lock: the block is PRIVATE,
// and not known as a ring yet. A death leaves a PRIVATE block of a dead process, whose bytes nobody reads.
func Make(mem []byte, kind layout.RingKind, flags uint32, entries, readers int) (Ring, error) {
	if uint64(len(mem)) < layout.RingSize {
		return Ring{}, ErrTorn
	}
	h := &overlay[layout.Ring](mem, 0, 1)[0]
	h.Kind.Publish(uint32(kind))
	h.Flags.Publish(flags)
	h.Entries.Publish(uint32(entries))
	h.Readers.Publish(uint32(readers))
	return Lay(mem)
}

// Kind returns what the ring is. It needs no lock, as the other constants do not.
func (r *Ring) Kind() layout.RingKind { return r.kind }

// Lossless tells whether the writer waits for the readers that are entered.
func (r *Ring) Lossless() bool { return r.flags&layout.RingLossless != 0 }

// Entries returns the number of entries that the ring has at most.
func (r *Ring) Entries() int { return len(r.entries) }

// Readers returns the number of readers that can be entered.
func (r *Ring) Readers() int { return len(r.readers) }

// Head returns the position behind the newest entry. It may be asked without the lock.
func (r *Ring) Head() uint64 { return r.head.Head.Load() }

// Tail returns the position of the oldest entry. It may be asked without the lock.
func (r *Ring) Tail() uint64 { return r.head.Tail.Load() }

// Items returns how many entries there are that do not belong to the one before. It may be asked without the lock.
func (r *Ring) Items() uint64 { return r.head.Items.Load() }

// Span returns the positions that count: from tail on, before head. It fails with ErrTorn if they cannot be; then nothing counts.
func (r *Ring) Span() (tail, head uint64, err error) {
	tail, head = r.head.Tail.Load(), r.head.Head.Load()
	if head-tail > uint64(len(r.entries)) {
		return head, head, ErrTorn
	}
	return tail, head, nil
}

// Room returns how many entries can be put. A ring that is torn has none.
func (r *Ring) Room() int {
	tail, head, err := r.Span()
	if err != nil {
		return 0
	}
	return len(r.entries) - int(head-tail)
}

// IsShut tells whether nothing is put into the queue any more. It may be asked without the lock.
func (r *Ring) IsShut() bool { return r.head.State.Load() == layout.RingShut }

// Shut says that nothing is put from now on. The caller rings both bells.
func (r *Ring) Shut() { r.head.State.Store(layout.RingShut) }

// Recount counts the blocks of the entries that count, and the items, in a rebuild: nobody has counted them yet. Idempotent but for
// what b counts.
func (r *Ring) Recount(b Blocks) {
	items := uint64(0)
	tail, head, _ := r.Span()
	for pos := tail; pos != head; pos++ {
		e, ok := r.Sound(pos, b)
		if !ok {
			continue
		}
		e.each(b.Count)
		if !e.Word.IsAttached() {
			items++
		}
	}
	if r.head.Items.Load() != items {
		r.head.Items.Publish(items)
	}
}
