package pool

import (
	"fmt"

	"github.com/ndpool/ndpool/arena/layout"
	"github.com/ndpool/ndpool/dtype"
	"github.com/ndpool/ndpool/handle"
	"github.com/ndpool/ndpool/internal/shm"
)

// The laws of rings. The segment lock is held, so rings stand still, but for the positions of readers, which go up, and the
// words to wait on. What these laws say of entries holds at any moment, also if somebody died in the lock: an entry is whole
// before it counts.

// ringChecker looks at one ring. Local. Words of which something depends are read once.
type ringChecker struct {
	*checker
	place      string
	words      []shm.U64 // all of it
	ring       *layout.Ring
	readers    []layout.RingReader
	entries    []layout.RingEntry
	stream     bool
	tail, head uint64
}

// rings checks all rings, and counts the blocks that their entries name.
func (c *checker) rings() {
	for i := range c.pool.descs() {
		if c.isRing(i) {
			c.ring(i)
		}
	}
}

// isRing tells whether a block is a ring whose entries count: it will be one until it is made FREE, which takes the lock.
func (c *checker) isRing(i int) bool {
	switch c.pool.state(i).Kind() {
	case layout.Busy, layout.Private, layout.Live:
		return c.pool.desc(i).Flags.Load()&layout.DescRing != 0
	}
	return false
}

// ring checks a ring. Nothing rests on what lies behind a head that is none.
func (c *checker) ring(i int) {
	r := ringChecker{checker: c, place: fmt.Sprintf("ring %d", i)}
	if !r.fits(i) || !r.positions() {
		return
	}
	r.reserved()
	r.walk()
	r.roles()
}

// fits checks the constants of the head and lays the ring over its block, which must be as large as they say, and say so.
func (r *ringChecker) fits(i int) bool {
	d := r.pool.desc(i)
	x, ok := r.pool.extent(i)
	if !ok {
		return false // said with the block
	}
	n := d.Bytes.Load()
	if d.DType.Load() != dtype.Uint8.Code() || d.NDim.Load() != 1 || d.Header.Load() != 0 || n < layout.RingSize || n > x.Size() {
		r.fault("ring", r.place, fmt.Sprintf("bytes in one dimension, from %d to %d", layout.RingSize, x.Size()),
			fmt.Sprintf("%d dimensions of %#x, %d bytes, header %d", d.NDim.Load(), d.DType.Load(), n, d.Header.Load()))
		return false
	}
	b := r.a.Data(x.Offset(), n)
	r.ring = &over[layout.Ring](b, 1)[0]
	kind, flags, entries, readers := layout.RingKind(r.ring.Kind.Load()), r.ring.Flags.Load(), r.ring.Entries.Load(), r.ring.Readers.Load()
	r.stream = kind == layout.RingStream
	lossless := flags&layout.RingLossless != 0
	ok = kind.Valid() && flags&^layout.RingFlagsKnown == 0 && (r.stream || !lossless) && lossless == (readers != 0)
	ok = ok && entries >= 1 && entries <= layout.MaxRingEntries && readers <= layout.MaxRingReaders
	if !ok || layout.RingBytes(int(entries), int(readers)) != n {
		r.fault("ring", r.place, fmt.Sprintf("a stream or a queue of %d bytes", n), fmt.Sprintf("%v, flags %#x, %d entries, %d readers", kind, flags, entries, readers))
		return false
	}
	r.words = over[shm.U64](b, int(n/8))
	r.readers = over[layout.RingReader](b[layout.RingSize:], int(readers))
	r.entries = over[layout.RingEntry](b[n-uint64(entries)*layout.RingEntrySize:], int(entries))
	return true
}

// positions checks the words of the head that change.
func (r *ringChecker) positions() bool {
	r.tail, r.head = r.ring.Tail.Load(), r.ring.Head.Load()
	writer, state := r.ring.Writer.Load(), r.ring.State.Load()
	if r.tail > r.head || r.head-r.tail > uint64(len(r.entries)) {
		r.fault("ring", r.place, fmt.Sprintf("at most %d entries from Tail to Head", len(r.entries)), fmt.Sprintf("%d to %d", r.tail, r.head))
		return false
	}
	if state > layout.RingShut || r.stream && state != 0 || !r.stream && writer != 0 {
		r.fault("ring", r.place, "only a queue that is shut down, only a stream with a writer", fmt.Sprintf("state %d, writer %v", state, ProcessID(writer)))
	}
	return true
}

// ringGaps are the words of the head that have no name.
var ringGaps = [][2]int{{2, 8}, {13, 16}, {17, 24}, {25, 32}}

func (r *ringChecker) reserved() {
	for _, gap := range ringGaps {
		r.zero(r.place, r.words[gap[0]:gap[1]])
	}
	behind := len(r.words) - len(r.entries)*int(layout.RingEntrySize/8)
	r.zero(r.place+", behind its readers", r.words[int(layout.RingSize+uint64(len(r.readers))*layout.RingReaderSize)/8:behind])
	for k := range r.entries {
		if w := r.entries[k].Reserved.Load(); w != 0 {
			r.fault("reserved", fmt.Sprintf("%s, entry %d", r.place, k), 0, fmt.Sprintf("%#x", w))
		}
	}
}

// walk checks the entries that count, and counts what they name.
func (r *ringChecker) walk() {
	items, behind := uint64(0), 0 // behind: how many more belong to the item before
	for s := r.tail; s != r.head; s++ {
		e, place := &r.entries[s%uint64(len(r.entries))], fmt.Sprintf("%s, position %d", r.place, s)
		if n := e.Number.Load(); n != s+1 {
			r.fault("ring-entry", place, s+1, n)
			continue
		}
		w := layout.EntryWord(e.Word.Load())
		if !r.entryWord(w, behind) {
			r.fault("ring-entry", place, "what an entry is, with those that belong to it", fmt.Sprintf("%#x, %d expected to belong to one before", uint64(w), behind))
		}
		carries := r.carries(e, place)
		switch {
		case w.IsAttached():
			behind = max(behind-1, 0)
		case carries:
			items++
			fallthrough
		default:
			behind = w.More()
		}
	}
	if behind > 0 {
		r.fault("ring-entry", r.place, "all that belongs to the last item", fmt.Sprintf("%d missing", behind))
	}
	if n := r.ring.Items.Load(); n != items && r.report.Indexes {
		r.fault("ring-count", r.place, items, n)
	}
}

// entryWord tells whether an entry may say that it is this.
func (r *ringChecker) entryWord(w layout.EntryWord, behind int) bool {
	if r.stream {
		return w == layout.MakeEntry(layout.EntryArray, 0)
	}
	return w.Valid() && w.IsAttached() == (behind > 0) && (!w.IsAttached() || w.Kind() == layout.EntryArray)
}

// carries checks the blocks that an entry names, and counts them, unless one of them is damage: then none counts.
func (r *ringChecker) carries(e *layout.RingEntry, place string) bool {
	array, attributes := handle.Handle(e.Array.Load()), handle.Handle(e.Attributes.Load())
	i, ok := r.leads(array, place)
	if !ok {
		return false
	}
	if r.stream && !r.pool.state(i).Sealed() {
		r.fault("ring-entry", place, "a sealed array", fmt.Sprintf("%v, which is not", array))
	}
	if attributes != 0 {
		j, ok := r.leads(attributes, place)
		if !ok {
			return false
		}
		r.attributes(j, place)
		r.tickets[j]++
	}
	r.tickets[i]++
	return true
}

// leads returns the block that a handle of an entry leads to.
func (r *ringChecker) leads(h handle.Handle, place string) (i int, ok bool) {
	if i, ok = r.pool.liveBlock(h); !ok || r.pool.desc(i).Flags.Load()&layout.DescRing != 0 {
		r.fault("ring-entry", place, "the handle of a LIVE block that is no ring", h)
		return 0, false
	}
	return i, true
}

// roles checks the writer and the readers. While a slot is being swept its process may still be named.
func (r *ringChecker) roles() {
	if id := layout.Ident(r.ring.Writer.Load()); id != 0 && !r.used(id) && !r.sweeping(id.Slot()) && r.stream {
		r.fault("ring-writer", r.place, "nobody or an attached process", ProcessID(id))
	}
	for k := range r.readers {
		id, at := layout.Ident(r.readers[k].Reader.Load()), r.readers[k].Position.Load()
		if id == 0 {
			continue
		}
		if !r.used(id) && !r.sweeping(id.Slot()) || at < r.tail || at > r.head {
			r.fault("ring-reader", fmt.Sprintf("%s, reader %d", r.place, k), fmt.Sprintf("nobody, or an attached process from %d to %d", r.tail, r.head),
				fmt.Sprintf("%v at %d", ProcessID(id), at))
		}
	}
}

// ringFlag checks that a block which has the flag RING may be a ring.
func (c *checker) ringFlag(place string, d *layout.Desc, s layout.State) {
	if d.Flags.Load()&layout.DescRing == 0 {
		return
	}
	if k := s.Kind(); k != layout.Busy && k != layout.Private && k != layout.Live || s.Sealed() {
		c.fault("ring-flag", place, "a ring that is BUSY, PRIVATE, or LIVE and not sealed", fmt.Sprintf("%#x", uint64(s)))
	}
}
