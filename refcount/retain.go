package refcount

import (
	"errors"
	"fmt"

	"github.com/ndpool/ndpool/arena/layout"
)

var (
	// ErrStale is returned for a handle whose block was freed meanwhile, or that was never given out.
	ErrStale = errors.New("stale handle")
	// ErrPrivate is returned for a handle to a block that its owner has not shared.
	ErrPrivate = errors.New("block is private to its owner")
	// ErrHeld is returned by Seal when somebody else holds the block too.
	ErrHeld = errors.New("block has other holders")
	// ErrSealed is returned by Seal for a block that is sealed already.
	ErrSealed = errors.New("block is sealed")
)

// StaleError tells which generation was asked for and which one is there. It wraps ErrStale or ErrPrivate.
type StaleError struct {
	Desc  int
	Asked uint32
	Found uint32
	Kind  layout.Kind
}

func (e *StaleError) Error() string {
	if e.Kind == layout.Private && e.Asked == e.Found {
		return fmt.Sprintf("retain block %d: %v", e.Desc, ErrPrivate)
	}
	return fmt.Sprintf("retain block %d: stale handle: generation %d asked, %d found (%v)", e.Desc, e.Asked, e.Found, e.Kind)
}

func (e *StaleError) Unwrap() error {
	if e.Kind == layout.Private && e.Asked == e.Found {
		return ErrPrivate
	}
	return ErrStale
}

// RetainLocked adds a reference of this process to the block if it is alive in that generation. When it fails it may
// find itself the last to have held the block: then it reports freed, as DropLocked does.
//
// The bit is set before the state is known to be still the same; a death in between leaves a bit of a dead process,
// which the sweep clears. A failed attempt clears the bit only if this process does not hold the block on purpose, which
// here it does not: its count is zero.
func (t *Table) RetainLocked(i int, gen uint32) (freed bool, err error) {
	r := t.local.At(i)
	if r.count > 0 {
		if t.gen(i).Number() != gen {
			return false, t.stale(i, gen)
		}
		r.count++
		return false, nil
	}
	d, set := &t.descs[i], false
	for {
		s := layout.State(d.State.Load())
		if s.Kind() != layout.Live || t.gen(i).Number() != gen {
			break
		}
		t.set(i, t.word, t.bit)
		set = true
		if d.State.CAS(uint64(s), uint64(s.Bump())) {
			r.count, r.held = 1, true
			return false, nil
		}
	}
	err = t.stale(i, gen)
	if set {
		t.clear(i, t.word, t.bit)
		freed = t.TryFree(i)
	}
	return freed, err
}

func (t *Table) stale(i int, gen uint32) error {
	return &StaleError{Desc: i, Asked: gen, Found: t.gen(i).Number(), Kind: t.state(i).Kind()}
}

// Hold adds a reference of this process to block i, which a ticket, a value of the catalog or an entry of a ring keeps. The bit
// and the bump come before the segment lock is let go, so before that may go. Preconditions: the segment lock is held, the
// block is LIVE, and no stripe is held.
func (t *Table) Hold(i int) {
	s := t.Lock(i)
	t.holdLocked(i)
	s.Live++
	s.Unlock()
}

// holdLocked adds a reference while something else keeps the block alive: a ticket or a name that goes away only after
// the bump.
func (t *Table) holdLocked(i int) {
	r := t.local.At(i)
	if r.count++; r.held {
		return
	}
	r.held = true
	if t.set(i, t.word, t.bit) {
		t.Bump(i)
	}
}

// SealLocked makes a block immutable, and LIVE, if this process is its only holder and has one reference.
//
// The flag is part of the state word, so a retainer that bumped since the look makes the exchange fail, and one that
// bumps later sees the flag. A bit of a stale retainer makes a seal fail that could have succeeded; the caller may try again.
func (t *Table) SealLocked(i int) error {
	if !t.local.At(i).held {
		return t.sealPrivate(i)
	}
	d := &t.descs[i]
	for {
		s := layout.State(d.State.Load())
		if s.Sealed() {
			return ErrSealed
		}
		for w := range d.Holders {
			mine := uint64(0)
			if w == t.word {
				mine = t.bit
			}
			if d.Holders[w].Load() != mine {
				return ErrHeld
			}
		}
		if t.local.At(i).count != 1 {
			return ErrHeld
		}
		if d.State.CAS(uint64(s), uint64(s.Seal())) {
			return nil
		}
	}
}

// sealPrivate shares and seals a PRIVATE block of this process at once. Nobody has its handle, so whose bits are set is a stale
// retainer, who finds another generation and clears his bit. As in ShareLocked the own bit comes first.
func (t *Table) sealPrivate(i int) error {
	r := t.local.At(i)
	if r.count != 1 {
		return ErrHeld
	}
	t.set(i, t.word, t.bit)
	d := &t.descs[i]
	d.State.Publish(uint64(layout.State(d.State.Load()).To(layout.Live, 0).Seal()))
	r.held = true
	return nil
}

// Sealed tells whether the block is immutable. Precondition: the caller holds it.
func (t *Table) Sealed(i int) bool { return t.state(i).Sealed() }
