package pool

import (
	"errors"
	"fmt"
	"os"

	"github.com/ndpool/ndpool/alloc"
	"github.com/ndpool/ndpool/arena"
	"github.com/ndpool/ndpool/arena/layout"
	"github.com/ndpool/ndpool/catalog"
)

// Create makes a pool and attaches to it. It fails with ErrExist if the name is taken. Close releases the attachment.
func Create(name string, o Options) (*Pool, error) {
	spec, err := o.spec()
	if err != nil {
		return nil, err
	}
	a, err := arena.Create(o.location(name), spec, format)
	if err != nil {
		return nil, fmt.Errorf("pool: %w", err)
	}
	return attach(a, o)
}

// Open attaches to an existing pool. It fails with ErrNotExist if there is none. Close releases the attachment.
func Open(name string, o Options) (*Pool, error) { return open(name, o, false) }

// OpenOrCreate attaches to the pool of that name, and creates it if there is none. A pool that is not persistent and
// that killed processes left behind counts as none, unless a persistent name keeps it: it is replaced by an empty one.
func OpenOrCreate(name string, o Options) (*Pool, error) {
	for range 100 {
		p, err := open(name, o, true)
		if !errors.Is(err, ErrNotExist) {
			return p, err
		}
		p, err = Create(name, o)
		if !errors.Is(err, ErrExist) {
			return p, err
		}
	}
	return nil, fmt.Errorf("pool: open or create %s: the name comes and goes", name)
}

// Unlink removes a pool's name. Processes that are attached go on undisturbed; the memory goes with the last of them.
func Unlink(name string, o Options) error {
	if err := arena.Unlink(o.location(name)); err != nil {
		return fmt.Errorf("pool: unlink: %w", err)
	}
	return nil
}

func open(name string, o Options, replace bool) (*Pool, error) {
	a, err := arena.Open(o.location(name), replace, orphaned)
	if err != nil {
		return nil, fmt.Errorf("pool: %w", err)
	}
	if err := o.agree(a); err != nil {
		a.Close()
		return nil, fmt.Errorf("pool: %w", err)
	}
	dirty, err := a.Claim()
	if err != nil {
		a.Close()
		return nil, fmt.Errorf("pool: %w", err)
	}
	p := newPool(a, alloc.New(a))
	p.observer = o.Observer
	p.keep = p.observer && p.alone()
	if err := p.clean(dirty); err != nil {
		p.unmap()
		return nil, fmt.Errorf("pool: %w", err)
	}
	return p.begin(o), nil
}

func attach(a *arena.Arena, o Options) (*Pool, error) { return newPool(a, alloc.New(a)).begin(o), nil }

// begin starts what the options of this attachment ask for.
func (p *Pool) begin(o Options) *Pool {
	if o.TrackLost {
		p.lost = &lostArrays{}
	}
	if o.Watch > 0 {
		p.watch(o.Watch)
	}
	return p
}

// format writes the derived indexes of a new segment.
func format(a *arena.Arena) error {
	al := alloc.New(a)
	al.Format()
	return nil
}

// alone tells whether no other living process is attached.
func (p *Pool) alone() bool {
	for slot := range p.arena.Slots {
		if id, used := p.arena.Ident(slot); used && id != p.arena.Self() && p.arena.Alive(id) {
			return false
		}
	}
	return true
}

// clean brings a segment in order at attach: the slot that this process took over from a dead one and, but for an observer,
// other dead processes.
func (p *Pool) clean(dirty bool) error {
	if dirty {
		if err := p.sweepSlot(p.arena.Self().Slot()); err != nil {
			return err
		}
		p.arena.Activate()
	}
	if p.observer {
		return nil
	}
	_, err := p.sweepDead()
	return err
}

// orphaned tells whether a segment that nobody is attached to was left behind by killed processes: it is not persistent,
// and nothing in it is wanted. Precondition: the pool's byte is held exclusively.
func orphaned(a *arena.Arena) bool {
	if a.Has(layout.FlagPersistent) || a.Has(layout.FlagAnonymous) {
		return false
	}
	killed := false
	for i := range a.Slots {
		_, used := a.Ident(i)
		killed = killed || used
	}
	return !wanted(a, killed)
}

// wanted tells whether a segment that nobody is attached to is kept for what is in it: a name that stays, a named queue that has
// something in it or, if nobody was killed, a transfer in flight.
func wanted(a *arena.Arena, killed bool) bool {
	p := Pool{arena: a, pages: a.Geo.Pages()}
	return catalog.Stays(a, p.queueWaits) || !killed && transfersWait(a)
}

// transfersWait tells whether any transfer is in flight that has not expired.
func transfersWait(a *arena.Arena) bool {
	now := uint64(arena.BootTime())
	for n := range a.Tickets {
		k := &a.Tickets[n]
		if layout.TicketWord(k.Word.Load()).Kind() != layout.TicketOpen {
			continue
		}
		if d := k.Deadline.Load(); d == 0 || d > now {
			return true
		}
	}
	return false
}

// File returns a new descriptor of the segment's file, for passing to another process, which opens it with
// Options.File. The caller closes it.
func (p *Pool) File() (*os.File, error) { return p.arena.File() }
