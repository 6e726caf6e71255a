package ring

import "github.com/ndpool/ndpool/arena/layout"

// Roles: who writes a stream, and which readers the writer of a lossless one waits for.

// Writer returns the process that writes the stream, 0 if there is none. It may be asked without the lock.
func (r *Ring) Writer() layout.Ident { return layout.Ident(r.head.Writer.Load()) }

// Ends returns twice the number of writers that have come to an end, plus 1 if the last one died. It may be asked without the lock.
func (r *Ring) Ends() uint32 { return r.head.Ends.Load() }

// Begin makes a process the writer. Precondition: there is none. Released by End; a death leaves the word, which the sweep ends.
func (r *Ring) Begin(self layout.Ident) { r.head.Writer.Store(uint64(self)) }

// End says that the writer has come to an end, by its death or by itself. The caller rings News. First the number, then the word: a
// death in between has readers told twice, and never not at all.
func (r *Ring) End(died bool) {
	ends := r.head.Ends.Load()&^1 + 2
	if died {
		ends |= 1
	}
	r.head.Ends.Store(ends)
	r.head.Writer.Store(0)
}

// Enter enters a reader that the writer waits for, from a position on, and returns its place. It reports false if there is none.
// The caller rings Room. Released by Leave; a death leaves the place, which the sweep frees. The position comes before the word
// that makes it count.
func (r *Ring) Enter(self layout.Ident, pos uint64) (place int, ok bool) {
	for k := range r.readers {
		if d := &r.readers[k]; d.Reader.Load() == 0 {
			d.Position.Publish(pos)
			d.Reader.Store(uint64(self))
			return k, true
		}
	}
	return 0, false
}

// Leave frees the place of a reader. The caller rings Room.
func (r *Ring) Leave(place int) { r.readers[place].Reader.Store(0) }

// Advance says which position the reader of a place reads next. It needs no lock: the place is the caller's. The caller rings
// Room. A death before it leaves a reader that is behind, until it is swept.
func (r *Ring) Advance(place int, pos uint64) { r.readers[place].Position.Store(pos) }

// Reader returns who is entered at a place, 0 for nobody, and what it reads next. It may be asked without the lock.
func (r *Ring) Reader(place int) (id layout.Ident, pos uint64) {
	d := &r.readers[place]
	return layout.Ident(d.Reader.Load()), d.Position.Load()
}

// Entered returns how many readers are entered. It may be asked without the lock.
func (r *Ring) Entered() (n int) {
	for k := range r.readers {
		if id, _ := r.Reader(k); id != 0 {
			n++
		}
	}
	return n
}

// Blocked tells whether a reader that is entered has not read a position.
func (r *Ring) Blocked(pos uint64) bool {
	for k := range r.readers {
		if id, next := r.Reader(k); id != 0 && next <= pos {
			return true
		}
	}
	return false
}

// SweepSlot ends what a slot's processes have to do with the ring, whatever their incarnation, and rings the bells. Idempotent.
// Precondition, beside the lock: the slot's process is gone, or is leaving, or dead beyond doubt.
func (r *Ring) SweepSlot(slot int, died bool) {
	if w := r.Writer(); w != 0 && w.Slot() == slot {
		r.End(died)
		r.News().Ring(All)
	}
	left := false
	for k := range r.readers {
		if id, _ := r.Reader(k); id != 0 && id.Slot() == slot {
			r.Leave(k)
			left = true
		}
	}
	if left {
		r.RoomBell().Ring(All)
	}
}

// SweepDead is SweepSlot for all whom alive does not know as living: a writer, and readers. It tells whether there was any.
func (r *Ring) SweepDead(alive func(layout.Ident) bool) (any bool) {
	if w := r.Writer(); w != 0 && !alive(w) {
		r.SweepSlot(w.Slot(), true)
		any = true
	}
	for k := range r.readers {
		if id, _ := r.Reader(k); id != 0 && !alive(id) {
			r.SweepSlot(id.Slot(), true)
			any = true
		}
	}
	return any
}

// AllAlive tells whether the writer and all readers that are entered live. It needs no lock.
func (r *Ring) AllAlive(alive func(layout.Ident) bool) bool {
	if w := r.Writer(); w != 0 && !alive(w) {
		return false
	}
	for k := range r.readers {
		if id, _ := r.Reader(k); id != 0 && !alive(id) {
			return false
		}
	}
	return true
}
