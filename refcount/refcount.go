// Package refcount knows who holds which block: holder sets, local counts, tickets, sweep. It knows no sizes and no
// free lists; when it answers "that was the last", package pool gives the bytes back.
//
// A block is alive while it is PRIVATE to a living process, or LIVE with any bit of its holder set. There is one bit per
// process, however many arrays and views the process has of the block: that number is counted in private memory, and only the first
// and the last of them touch the shared bit. Setting and clearing a bit is idempotent, so recovery from a death is to
// clear the dead slot's bits.
//
// # Stripes
//
// Local counts are guarded by stripes: mutexes in private memory, one for many descriptors. Methods whose name ends in
// Locked want the stripe of their descriptor. A goroutine that holds a stripe never takes the segment lock; one that
// holds the segment lock may take a stripe.
//
// # The one rule of last releases
//
// Every clearing of a bit is followed by tryFree, and whoever sets a bit that was clear bumps the epoch before the
// bit, ticket or name that kept the block alive until then may go away. So a last releaser that has read the holder words too
// early loses its compare-and-swap and looks again. docs/PROTOCOL.md tells the rules and docs/model proves them.
package refcount

import (
	"fmt"

	"github.com/ndpool/ndpool/arena"
	"github.com/ndpool/ndpool/arena/layout"
	"github.com/ndpool/ndpool/internal/invariants"
	"github.com/ndpool/ndpool/internal/lazy"
	"github.com/ndpool/ndpool/internal/spin"
)

// Stripes is the number of stripes. Descriptors that lie beside each other share one.
const Stripes = 16

// stripeRun is how many descriptors that lie beside each other share a stripe.
const stripeRun = 64

// Table is one attachment's view of who holds what.
type Table struct {
	arena   *arena.Arena
	descs   []layout.Desc
	tickets []layout.Ticket
	slot    int
	word    int    // of the holder set that has this slot's bit
	bit     uint64 // this slot's bit in it
	local   lazy.Table[record]
	stripes [Stripes]Stripe
}

// record counts this process's references to one block. Local, guarded by the stripe.
type record struct {
	count uint32 // arrays and views of this process
	first uint32 // the descriptor's first generation, 0 before it was asked for
	held  bool   // this process's bit is set on purpose: the block is LIVE and count is not zero
}

// Stripe guards the local counts, and the caches in package pool, of the descriptors that map to it.
type Stripe struct {
	spin.Mutex
	Live int       // references that this process has to blocks of this stripe; guarded by the mutex
	_    [112]byte // a pair of cache lines each
}

// New returns the table of an attachment. Precondition: the arena has a slot.
func New(a *arena.Arena) *Table {
	slot := a.Self().Slot()
	return &Table{arena: a, descs: a.Descs, tickets: a.Tickets, slot: slot, word: slot / 64, bit: 1 << (slot % 64),
		local: lazy.New[record](len(a.Descs))}
}

// Free gives the private memory back. The table must not be used afterwards.
func (t *Table) Free() { t.local.Free() }

// StripeOf returns the number of a descriptor's stripe.
func StripeOf(i int) int { return i / stripeRun % Stripes }

// NextStripe returns the first descriptor of the next run of one stripe behind that of descriptor i, going round among
// the lowest runs of all stripes.
func NextStripe(i int) int { return (i/stripeRun + 1) % Stripes * stripeRun }

// Stripe returns a stripe by its number.
func (t *Table) Stripe(n int) *Stripe { return &t.stripes[n] }

// Lock takes the stripe of a descriptor and returns it for the Unlock.
func (t *Table) Lock(i int) *Stripe {
	s := &t.stripes[StripeOf(i)]
	s.Lock()
	return s
}

// CountLocked returns how many references this process has to the block.
func (t *Table) CountLocked(i int) int { return int(t.local.At(i).count) }

// gen returns the descriptor's generation word.
func (t *Table) gen(i int) layout.Gen { return layout.Gen(t.descs[i].Gen.Load()) }

// state returns the descriptor's state word.
func (t *Table) state(i int) layout.State { return layout.State(t.descs[i].State.Load()) }

// nextGen ends a generation. Precondition: this process owns the block.
// A death right after it leaves the block owned by a dead process; the sweep ends one more generation, which is harmless.
func (t *Table) nextGen(i int) {
	d := &t.descs[i]
	d.Gen.Publish(uint64(layout.Gen(d.Gen.Load()).Next(t.FirstGen(i))))
}

// FirstGen returns the first generation of a descriptor, from private memory after the first time. It may be called
// without the stripe: whoever owns the block, or holds the segment lock over a FREE one, is alone with its record.
func (t *Table) FirstGen(i int) uint32 {
	r := t.local.At(i)
	if r.first == 0 {
		r.first = layout.FirstGen(t.arena.Super.Segment, uint32(i))
	}
	return r.first
}

// Begin gives a descriptor that was never used its first generation. Precondition: the descriptor is FREE, and the
// caller holds the segment lock.
func (t *Table) Begin(i int) {
	if t.gen(i).Number() == 0 {
		t.descs[i].Gen.Publish(uint64(t.FirstGen(i)))
	}
}

// Own moves a FREE, BUSY or PRIVATE descriptor of this process to a kind that it owns: BUSY, CACHED or PRIVATE.
// Precondition: nobody else may change the word, because it is FREE and the caller holds the segment lock, or because
// this process owns it. It returns the new word.
func (t *Table) Own(i int, k layout.Kind) layout.State {
	d := &t.descs[i]
	now := layout.State(d.State.Load())
	if invariants.Enabled {
		t.mustOwn(i, now)
	}
	s := now.To(k, t.slot)
	d.State.Publish(uint64(s))
	return s
}

// mustOwn panics if somebody else may change the word too: a defect of this module.
func (t *Table) mustOwn(i int, s layout.State) {
	if k := s.Kind(); k != layout.Free && (!k.Owned() || k == layout.Cached || s.Owner() != t.slot) {
		panic(fmt.Sprintf("refcount: block %d is %v of slot %d, not slot %d's to change", i, k, s.Owner(), t.slot))
	}
}

// Disown moves a descriptor of this process to FREE or RETIRED. Preconditions: as for Own, and the segment lock is held.
func (t *Table) Disown(i int, k layout.Kind) {
	d := &t.descs[i]
	d.State.Publish(uint64(layout.State(d.State.Load()).To(k, 0)))
}

// TakeCached makes a CACHED block BUSY of this process, whoever cached it. It reports false if the block is not CACHED,
// or somebody was faster.
func (t *Table) TakeCached(i int) (owner int, ok bool) {
	s := t.state(i)
	if s.Kind() != layout.Cached {
		return 0, false
	}
	return s.Owner(), t.descs[i].State.CAS(uint64(s), uint64(s.To(layout.Busy, t.slot)))
}

// Retake is TakeCached of a block that this process cached itself with the word s: if the word is still the same, nothing
// else about the block has changed either.
func (t *Table) Retake(i int, s layout.State) bool {
	return t.descs[i].State.CAS(uint64(s), uint64(s.To(layout.Busy, t.slot)))
}

// PublishLocked makes a BUSY block of this process a PRIVATE one with one reference. Private blocks have no bit in
// their holder set; only their owner may change them. A death right after it leaves a PRIVATE block of a dead process,
// which the sweep frees.
func (t *Table) PublishLocked(i int) {
	t.Own(i, layout.Private)
	r := t.local.At(i)
	r.count++ // from 0, unless a scribble made us give away a block that this process holds: then both references count
	r.held = false
}

// AddLocked counts one more reference of this process. Precondition: it has one already.
func (t *Table) AddLocked(i int) { t.local.At(i).count++ }

// ShareLocked makes a PRIVATE block of this process LIVE, so that others can be given its handle.
// Precondition: this process has a reference. The bit comes first: a death after it leaves the block PRIVATE.
func (t *Table) ShareLocked(i int) {
	r := t.local.At(i)
	if r.held {
		return
	}
	t.set(i, t.word, t.bit)
	d := &t.descs[i]
	d.State.Publish(uint64(layout.State(d.State.Load()).To(layout.Live, 0)))
	r.held = true
}

// DropLocked ends one reference of this process, which must have one. It reports true when that was the last reference of all: the block is
// this process's now, BUSY or PRIVATE, in a new generation, and the caller gives its bytes back.
func (t *Table) DropLocked(i int) (last bool) {
	r := t.local.At(i)
	if r.count--; r.count > 0 {
		return false
	}
	if !r.held {
		t.nextGen(i)
		return true
	}
	r.held = false
	t.clear(i, t.word, t.bit)
	return t.TryFree(i)
}

// TryFree follows every clearing of a bit. The state is loaded before the holder words are read; the epoch tells whether
// anybody set a bit meanwhile. It reports true when the block had no holder left and is now BUSY of this process, in a
// new generation.
func (t *Table) TryFree(i int) bool {
	d := &t.descs[i]
	for {
		s := layout.State(d.State.Load())
		if s.Kind() != layout.Live || t.heldByAny(d) {
			return false
		}
		if d.State.CAS(uint64(s), uint64(s.To(layout.Busy, t.slot))) {
			t.nextGen(i)
			return true
		}
	}
}

func (t *Table) heldByAny(d *layout.Desc) bool {
	for w := range d.Holders {
		if d.Holders[w].Load() != 0 {
			return true
		}
	}
	return false
}

// Bump makes a last releaser look again. Precondition: a bit was set before. It retries while the block is LIVE.
func (t *Table) Bump(i int) {
	d := &t.descs[i]
	for {
		s := layout.State(d.State.Load())
		if s.Kind() != layout.Live || d.State.CAS(uint64(s), uint64(s.Bump())) {
			return
		}
	}
}

// set sets a bit of the holder set and tells whether it was clear.
func (t *Table) set(i, word int, bit uint64) bool { return t.descs[i].Holders[word].Or(bit)&bit == 0 }

// clear clears a bit of the holder set. TryFree follows.
func (t *Table) clear(i, word int, bit uint64) { t.descs[i].Holders[word].And(^bit) }
