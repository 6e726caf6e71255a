package catalog

import (
	"math/bits"

	"github.com/ndpool/ndpool/arena"
	"github.com/ndpool/ndpool/arena/layout"
	"github.com/ndpool/ndpool/internal/shm"
)

// The lock of a name: what processes do to its words in the segment. How threads of one process are kept apart, and how
// they wait, is package pool's matter. See "The lock of a name" in docs/PROTOCOL.md and docs/model/lock.pml.
//
// They want no segment lock, but for SweepLock. Precondition of all that takes or drops: no other thread of this process is at
// the words of the same entry.

// lockTries bounds the exchanges of one step. An honest word changes a few times at most while somebody looks.
const lockTries = 100

// Wait is what stands in a locker's way: a word of the segment, and what it was.
type Wait struct {
	Word  *shm.U32
	Value uint32
}

// Stands tells whether the entry still is the name of that nonce.
func (t *Table) Stands(entry int, nonce uint32) bool {
	w := layout.NameWord(t.names[entry].Word.Load())
	k := w.Kind()
	return w.Nonce() == nonce && (k == layout.NameLive || k == layout.NameReplacing || k == layout.NameLeaving)
}

// TakeWriter makes this process the writer, or tells what to wait for. A dead writer's word is replaced, with TORN. It has the
// lock when ReadersOut says so, too: before that it only keeps new readers out. Released by DropWriter; a death leaves
// the word, which the next one takes over or a sweeper clears, with TORN.
func (t *Table) TakeWriter(entry int) (ok bool, on Wait) {
	word := &t.names[entry].Lock
	var w layout.NameLockWord
	for range lockTries {
		w = layout.NameLockWord(word.Load())
		to := layout.MakeNameLock(t.arena.Self())
		switch {
		case w.Owner() < 0:
			to |= w.Free()
		case !t.writerLives(w):
			if to = to.WithTorn(); w.Contended() {
				to = to.WithWaiters()
			}
		case t.sleeper(word, &w):
			return false, Wait{word, uint32(w)}
		default:
			continue
		}
		// From the exact word: whoever else saw the same one loses this exchange.
		if word.CAS(uint32(w), uint32(to)) {
			return true, Wait{}
		}
	}
	return false, Wait{word, uint32(w)}
}

// sleeper sets the waiters bit, and reports whether the word is what w says now.
func (t *Table) sleeper(word *shm.U32, w *layout.NameLockWord) bool {
	if w.Contended() {
		return true
	}
	was := *w
	*w = was.WithWaiters()
	return word.CAS(uint32(was), uint32(*w))
}

// ReadersOut tells whether no process is a reader any more, and else what to wait for and whether one of them is dead:
// its bit goes when its slot is swept. Precondition: this process is the writer.
func (t *Table) ReadersOut(entry int) (out, dead bool, on Wait) {
	n := &t.names[entry]
	on = Wait{&n.Turn, n.Turn.Load()} // before the bits: who leaves bumps it after his bit is clear
	out = true
	for i := range n.Readers {
		for set := n.Readers[i].Load(); set != 0; set &= set - 1 {
			slot := 64*i + bits.TrailingZeros64(set)
			if slot >= len(t.arena.Slots) {
				continue // a scribble: nobody's
			}
			out = false
			id, _ := t.arena.Ident(slot)
			dead = dead || !t.arena.Alive(id)
		}
	}
	return out, dead, on
}

// Torn tells whether a writer died, and none has let go since who was told. Precondition: this process has the lock.
func (t *Table) Torn(entry int) bool { return layout.NameLockWord(t.names[entry].Lock.Load()).Torn() }

// DropWriter lets the writer's word go and wakes who sleeps on it. keep leaves TORN where it is: who never had the lock
// whole has repaired nothing. A word that is not this process's stays: the entry was used again. A death before the wake-up
// leaves sleepers that wake up by themselves.
func (t *Table) DropWriter(entry int, keep bool) {
	word, self := &t.names[entry].Lock, t.arena.Self()
	for range lockTries {
		w := layout.NameLockWord(word.Load())
		if w.Owner() < 0 || w.Owner() != self.Slot() || !w.Names(self.Incarnation()) {
			return
		}
		to := layout.NameLockWord(0)
		if keep {
			to = w.Free()
		}
		if word.CAS(uint32(w), uint32(to)) {
			if w.Contended() {
				arena.Wake(word)
			}
			return
		}
	}
}

// TakeReader makes this process a reader, or tells what to wait for. First the bit, then the look at the word, which a
// writer stores before he looks at the bits: one of the two sees the other. Released by DropReader; a death leaves the
// bit to the sweep.
func (t *Table) TakeReader(entry int) (ok, torn bool, on Wait) {
	n := &t.names[entry]
	var w layout.NameLockWord
	for range lockTries {
		w = layout.NameLockWord(n.Lock.Load())
		switch {
		case w.Owner() < 0:
			i, bit := readerBit(t.arena.Self().Slot())
			n.Readers[i].Or(bit)
			if w = layout.NameLockWord(n.Lock.Load()); w.Owner() < 0 {
				return true, w.Torn(), Wait{}
			}
			t.DropReader(entry)
		case !t.writerLives(w):
			t.tear(entry, w)
		case t.sleeper(&n.Lock, &w):
			return false, false, Wait{&n.Lock, uint32(w)}
		}
	}
	return false, false, Wait{&n.Lock, uint32(w)}
}

// Written tells whether a process is the writer or about to be: new readers keep out, also beside others of their process.
func (t *Table) Written(entry int) bool {
	return layout.NameLockWord(t.names[entry].Lock.Load()).Owner() >= 0
}

// Holder returns the slot of a process that has the lock or is about to, -1 if there is none.
func (t *Table) Holder(entry int) int {
	n := &t.names[entry]
	if slot := layout.NameLockWord(n.Lock.Load()).Owner(); slot >= 0 && slot < len(t.arena.Slots) {
		return slot
	}
	for i := range n.Readers {
		slot := 64*i + bits.TrailingZeros64(n.Readers[i].Load())
		if slot < 64*(i+1) && slot < len(t.arena.Slots) {
			return slot
		}
	}
	return -1
}

// DropReader clears this process's bit. A death before the bump leaves a writer that wakes up by itself.
func (t *Table) DropReader(entry int) { t.clearReader(entry, t.arena.Self().Slot()) }

func (t *Table) clearReader(entry, slot int) {
	n := &t.names[entry]
	i, bit := readerBit(slot)
	n.Readers[i].And(^bit)
	if t.Written(entry) {
		n.Turn.Add(1)
		arena.Wake(&n.Turn)
	}
}

// tear replaces the exact word of a writer who is gone by no writer, with TORN, and wakes.
func (t *Table) tear(entry int, w layout.NameLockWord) bool {
	word := &t.names[entry].Lock
	if !word.CAS(uint32(w), uint32(w.Free().WithTorn())) {
		return false
	}
	if w.Contended() {
		arena.Wake(word)
	}
	return true
}

// SweepLock ends what a slot's process has to do with an entry's lock: its reader's bit goes, its writer's word becomes
// TORN. Idempotent. Precondition: the slot's byte is held by this process, and so is the segment lock.
func (t *Table) SweepLock(entry, slot int) {
	n := &t.names[entry]
	if i, bit := readerBit(slot); n.Readers[i].Load()&bit != 0 {
		t.clearReader(entry, slot)
	}
	for range lockTries {
		w := layout.NameLockWord(n.Lock.Load())
		if w.Owner() != slot || t.tear(entry, w) {
			return
		}
	}
}

// WakeLock wakes who sleeps on an entry's lock: its name is gone.
func (t *Table) WakeLock(entry int) {
	arena.Wake(&t.names[entry].Lock)
	arena.Wake(&t.names[entry].Turn)
}

// writerLives tells whether the process that the word names still has that incarnation of its slot. A word that names no
// slot is damage, and nobody's; so is one that names this process, which would know.
func (t *Table) writerLives(w layout.NameLockWord) bool {
	slot := w.Owner()
	if slot < 0 || slot >= len(t.arena.Slots) || slot == t.arena.Self().Slot() {
		return false
	}
	id, _ := t.arena.Ident(slot)
	return w.Names(id.Incarnation()) && t.arena.Alive(id)
}

func readerBit(slot int) (word int, bit uint64) { return slot / 64, 1 << (slot % 64) }
