package pool

import (
	"errors"
	"fmt"
	"sync/atomic"

	"github.com/ndpool/ndpool/arena"
	"github.com/ndpool/ndpool/arena/layout"
	"github.com/ndpool/ndpool/catalog"
	"github.com/ndpool/ndpool/dtype"
	"github.com/ndpool/ndpool/handle"
	"github.com/ndpool/ndpool/ring"
)

// A ring, of a stream or a queue, is a block whose descriptor has the flag RING: docs/PROTOCOL.md, section 11. It is held, named
// and sent as any block, and is no array: every verb that wants one refuses it. Package ring knows its bytes; this file knows how
// a ring begins and ends, and what its entries do to the blocks that they name.

// RingOptions say how a stream or a queue is made. One that is there is taken as it is if all is zero, and refused with ErrOptions
// if it is another than asked for. A stream of one frame loses it if its writer is killed while it publishes the next; one of two keeps
// the newest, whatever happens.
type RingOptions struct {
	Entries    int  // frames that a stream keeps: 2; entries of a queue: 16384. At most 65536
	Readers    int  // of a lossless stream that the writer waits for: 64. At most 1024
	Lossless   bool // a stream whose writer waits for the readers that were opened with ReadOptions.Every
	Persistent bool // the name keeps the pool
}

// Defaults of streams and queues.
const (
	DefaultFrames  = 2
	DefaultReaders = 64
	DefaultQueue   = 16384
)

var (
	errRing      = fmt.Errorf("%w: it is a stream or a queue, and no array", ErrKind)
	errNoRing    = fmt.Errorf("%w: it is an array", ErrKind)
	errIsStream  = fmt.Errorf("%w: it is a stream", ErrKind)
	errIsQueue   = fmt.Errorf("%w: it is a queue", ErrKind)
	errRingTorn  = fmt.Errorf("%w: the bytes of a stream or a queue cannot be one", ErrCorrupt)
	errEntryTorn = fmt.Errorf("%w: an entry of a stream or a queue was damaged, and is gone", ErrCorrupt)
)

func ringOptions(kind layout.RingKind, o []RingOptions) (opt RingOptions, err error) {
	if len(o) > 0 {
		opt = o[0]
	}
	switch {
	case opt.Entries < 0 || opt.Entries > layout.MaxRingEntries:
		err = fmt.Errorf("%w: %d entries (at most %d)", ErrOptions, opt.Entries, layout.MaxRingEntries)
	case opt.Readers < 0 || opt.Readers > layout.MaxRingReaders:
		err = fmt.Errorf("%w: %d readers (at most %d)", ErrOptions, opt.Readers, layout.MaxRingReaders)
	case kind == layout.RingQueue && (opt.Lossless || opt.Readers != 0):
		err = fmt.Errorf("%w: a queue has no readers to wait for", ErrOptions)
	}
	return opt, err
}

// size returns how many entries and readers a new ring has.
func (o *RingOptions) size(kind layout.RingKind) (entries, readers int) {
	if kind == layout.RingQueue {
		return orDefault(o.Entries, DefaultQueue), 0
	}
	if o.Lossless {
		readers = orDefault(o.Readers, DefaultReaders)
	}
	return orDefault(o.Entries, DefaultFrames), readers
}

// agree tells whether a ring that is there is what was asked for. owner is its name's.
func (o *RingOptions) agree(r *ring.Ring, owner layout.Ident) error {
	switch {
	case o.Entries != 0 && o.Entries != r.Entries():
		return fmt.Errorf("%w: it has %d entries (%d expected)", ErrOptions, r.Entries(), o.Entries)
	case o.Lossless && !r.Lossless():
		return fmt.Errorf("%w: it is not lossless", ErrOptions)
	case o.Readers != 0 && o.Readers != r.Readers():
		return fmt.Errorf("%w: it has room for %d readers (%d expected)", ErrOptions, r.Readers(), o.Readers)
	case o.Persistent && owner != 0:
		return fmt.Errorf("%w: its name is not persistent", ErrOptions)
	}
	return nil
}

// isRing tells whether a block is a ring, or what is left of one.
func (p *Pool) isRing(i int) bool { return p.desc(i).Flags.Load()&layout.DescRing != 0 }

// ringAt lays a view over the bytes of a block. Precondition: the caller holds it, or the segment lock.
func (p *Pool) ringAt(i int) (ring.Ring, error) {
	d := p.desc(i)
	e, ok := p.extent(i)
	n := d.Bytes.Load()
	if !ok || d.Header.Load() != 0 || n > e.Size() || !p.isRing(i) {
		return ring.Ring{}, ring.ErrTorn
	}
	return ring.Lay(p.arena.Data(e.Offset(), n))
}

// ringBlocks is what package ring needs to know of blocks. A handle that leads nowhere is a scribble, and nobody's; so is one that
// leads to a ring, which an honest entry never names.
type ringBlocks struct{ p *Pool }

func (b ringBlocks) find(h handle.Handle) (int, bool) {
	i, ok := b.p.liveBlock(h)
	return i, ok && !b.p.isRing(i)
}

func (b ringBlocks) Carried(h handle.Handle) bool {
	_, ok := b.find(h)
	return ok
}

func (b ringBlocks) Enter(h handle.Handle) {
	if i, ok := b.find(h); ok {
		b.p.refs.Enter(i)
	}
}

// Exit parks a block that nobody is left to hold: who puts frames has use for the memory of those that he drops. Who leaves has
// not, and nobody would sweep it after him.
func (b ringBlocks) Exit(h handle.Handle) {
	i, ok := b.find(h)
	switch {
	case !ok || !b.p.refs.Exit(i):
	case b.p.finished.Load():
		b.p.endLocked(i)
	default:
		st := b.p.refs.Lock(i)
		b.p.parkLocked(i)
		st.Unlock()
	}
}

func (b ringBlocks) Count(h handle.Handle) {
	if i, ok := b.find(h); ok {
		b.p.refs.CountTicket(i)
	}
}

// emptyLocked drops the entries of a BUSY ring of this process and clears its flag. One that is torn has none that count.
func (p *Pool) emptyLocked(i int) {
	if r, err := p.ringAt(i); err == nil {
		r.Empty(ringBlocks{p})
	}
	d := p.desc(i)
	d.Flags.Publish(d.Flags.Load() &^ layout.DescRing)
}

// recountLocked counts, in a rebuild, what the entries of a ring name.
func (p *Pool) recountLocked(i int) {
	switch p.state(i).Kind() {
	case layout.Busy, layout.Private, layout.Live:
		if r, err := p.ringAt(i); err == nil {
			r.Recount(ringBlocks{p})
		}
	}
}

// sweepRingLocked ends what a slot's process has to do with a ring: that of this slot leaves, unless it was another one that this
// process has taken the slot over from; all others are dead.
func (p *Pool) sweepRingLocked(i, slot int) {
	switch p.state(i).Kind() {
	case layout.Busy, layout.Private, layout.Live:
		if r, err := p.ringAt(i); err == nil {
			r.SweepSlot(slot, slot != p.arena.Self().Slot() || !p.finished.Load())
		}
	}
}

// endRings ends the rings that wait for the lock, if it can be had. On a closed pool that is left just now, leaving sees to them.
func (p *Pool) endRings() {
	if !p.verbs.TryRLock() {
		return
	}
	defer p.verbs.RUnlock()
	if !p.finished.Load() && p.lock() == nil {
		p.flushLocked()
		p.unlock()
	}
}

// queueWaits tells whether a handle leads to a queue that has something in it. It needs no lock if nobody is attached.
func (p *Pool) queueWaits(h handle.Handle) bool {
	i, ok := p.liveBlock(h)
	if !ok || !p.isRing(i) {
		return false
	}
	r, err := p.ringAt(i)
	if err != nil || r.Kind() != layout.RingQueue {
		return false
	}
	tail, head, err := r.Span()
	return err == nil && tail != head
}

// makeRing makes a ring, which this process holds. Precondition: the caller is in no verb.
//
// The flag comes last, while the block is PRIVATE: who sees it sees a ring. A death before leaves a PRIVATE block, and nothing
// more.
func (p *Pool) makeRing(kind layout.RingKind, o *RingOptions) (i int, err error) {
	entries, readers := o.size(kind)
	n := layout.RingBytes(entries, readers)
	m := meta{dt: dtype.Uint8, bytes: n, ndim: 1}
	if i, err = p.take(&m, []int{int(n)}); err != nil {
		return 0, err
	}
	e, ok := p.extent(i)
	if !ok || n > e.Size() {
		p.drop(i)
		return 0, p.corrupt(i, "extent", uint64(e), n)
	}
	mem := p.arena.Data(e.Offset(), n)
	clear(mem)
	flags := uint32(0)
	if o.Lossless {
		flags = layout.RingLossless
	}
	if _, err = ring.Make(mem, kind, flags, entries, readers); err != nil {
		p.drop(i)
		return 0, fmt.Errorf("%w: %w", ErrCorrupt, err)
	}
	d := p.desc(i)
	d.Flags.Publish(d.Flags.Load() | layout.DescRing)
	return i, nil
}

// ref returns a reference to the ring in a block that this process has a reference to, which it ends if that is no ring of the
// kind.
func (p *Pool) ref(i int, kind layout.RingKind, closing *atomic.Bool) (ref *ringRef, err error) {
	r, err := p.ringAt(i)
	switch {
	case !p.isRing(i):
		err = errNoRing
	case err != nil:
		err = errRingTorn
	case r.Kind() != kind && kind == layout.RingQueue:
		err = errIsStream
	case r.Kind() != kind:
		err = errIsQueue
	}
	if err != nil {
		p.drop(i)
		return nil, err
	}
	ref = &ringRef{pool: p, ring: r, desc: i, handle: p.share(i), closing: closing}
	ref.looked.Store(arena.BootTime())
	return ref, nil
}

// openRing returns a reference to the ring of a name, which is made if it is not there; without a path it is made, and has none.
// Precondition: the caller is in no verb.
func (p *Pool) openRing(path string, kind layout.RingKind, o *RingOptions, closing *atomic.Bool) (*ringRef, error) {
	const comesAndGoes = 100
	for range comesAndGoes {
		if path != "" {
			ref, owner, err := p.lookupRing(path, kind, 0, closing)
			if err == nil {
				if err = o.agree(&ref.ring, owner); err != nil {
					ref.end(nil)
				}
			}
			if !errors.Is(err, ErrNoName) {
				return ref, err
			}
		}
		i, err := p.makeRing(kind, o)
		if err != nil {
			return nil, err
		}
		ref, err := p.ref(i, kind, closing)
		if err == nil && path != "" {
			if err = p.nameRing(path, ref.handle, o.Persistent); err != nil {
				ref.end(nil)
			}
		}
		if !errors.Is(err, ErrNameTaken) {
			return ref, err
		}
	}
	return nil, fmt.Errorf("%w: it comes and goes", ErrNameTaken)
}

// nameRing gives a ring its name, which goes with the pool, or with nobody.
func (p *Pool) nameRing(path string, h handle.Handle, persistent bool) error {
	v := catalog.Value{Array: h, Owner: catalog.Pool}
	if persistent {
		v.Owner = 0
	}
	_, err := p.changeNames(&publication{target: path, paths: []string{path}, values: []catalog.Value{v}})
	return err
}

// lookupRing is findRing as a verb.
func (p *Pool) lookupRing(path string, kind layout.RingKind, known handle.Handle, closing *atomic.Bool) (*ringRef, layout.Ident, error) {
	if err := p.enter(); err != nil {
		return nil, 0, err
	}
	defer p.leave()
	return p.findRing(path, kind, known, closing)
}

// findRing returns a reference to the ring of a name, and the name's owner; or none if it is the one that is known.
// Precondition: the caller is inside a verb.
func (p *Pool) findRing(path string, kind layout.RingKind, known handle.Handle,
	closing *atomic.Bool) (ref *ringRef, owner layout.Ident, err error) {
	if err := catalog.CheckPath(path); err != nil {
		return nil, 0, err
	}
	held := heldBlocks{-1, -1}
	err = p.withNames(func() error {
		e, err := p.names.Find(path)
		if err != nil {
			return err
		}
		v := p.names.Value(e)
		owner = v.Owner
		switch {
		case v.IsGroup():
			return errIsGroup
		case v.Array == known:
			return nil
		}
		held, err = p.holdLocked(v, false)
		return err
	})
	if err != nil || held.array < 0 {
		return nil, owner, err
	}
	ref, err = p.ref(held.array, kind, closing)
	return ref, owner, err
}
