// Package pool keeps n-dimensional arrays in one shared-memory segment that many processes map at once.
//
// A process allocates an array in the pool, fills it, and sends another process 16 bytes over whatever channel they
// already have. The other process adopts the transfer and has the same array: no copy, no serialisation, no system call
// per array. The memory is reused when the last holder lets go, also when holders are killed.
//
//	p, err := pool.OpenOrCreate("frames", pool.Options{})
//	a, err := p.Alloc(dtype.Float32, 480, 640)
//	xs, err := pool.Slice[float32](a)   // fill it
//	t, err := a.Send()                  // 16 bytes, to be adopted once
//	a.Release()                         // the transfer keeps the block alive
//
//	b, err := p.Adopt(t)                // in another process
//	defer b.Release()
//
// Arrays can have names, by which any process finds them: see Publish, Lookup and List. A name keeps its array alive.
//
// # Ownership
//
// Who got an *Array from Alloc, Adopt, Retain, Lookup or a view owns one reference and must Release it, once. Slices made from it must
// not be used afterwards: the block may be another array's then. Nothing is released by the garbage collector.
//
// # Goroutines and processes
//
// A Pool may be used by any number of goroutines; so may an Array, but Release must come after all uses. Start worker
// processes by exec (os/exec); a Go program cannot fork. A process may open several pools, and one pool several times.
//
// # What the package relies on
//
// Package arena maps the segment and keeps its processes apart, package alloc knows the free bytes, package refcount
// knows the holders, package catalog knows the names. This package alone knows them all; it takes the segment lock, and
// gives the bytes back when refcount says that a release was the last. docs/PROTOCOL.md tells the rules.
package pool

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/ndpool/ndpool/alloc"
	"github.com/ndpool/ndpool/arena"
	"github.com/ndpool/ndpool/arena/layout"
	"github.com/ndpool/ndpool/catalog"
	"github.com/ndpool/ndpool/handle"
	"github.com/ndpool/ndpool/internal/lazy"
	"github.com/ndpool/ndpool/refcount"
)

// Pool is one attachment to a pool of arrays. Close it when done.
type Pool struct {
	arena    *arena.Arena
	alloc    *alloc.Allocator // guarded by the segment lock
	pages    int              // of the data region
	turn     int              // descriptor from which on the next batch is taken; guarded by the segment lock
	refs     *refcount.Table
	names    *catalog.Table // guarded by the segment lock
	segment  handle.Segment
	lockWait time.Duration
	grace    time.Duration

	caches [refcount.Stripes]cache       // each guarded by the stripe of its number
	links  lazy.Table[link]              // by descriptor
	avail  [layout.NumBins]atomic.Uint32 // by bin: stripes whose cache has a block
	over   atomic.Uint32                 // stripes whose cache has too much of something

	pending struct { // blocks that wait for the lock
		sync.Mutex
		blocks []int // BUSY
	}

	nameLocks nameLocks // what this process has of the locks of names

	verbs    sync.RWMutex // held shared inside every verb but the fast ones, exclusively by Close
	closed   atomic.Bool  // set under verbs and all stripes
	finished atomic.Bool
	observer bool // see Options.Observer
	keep     bool // this attachment's leaving does not remove the pool: an observer's, who found nobody there
	removed  bool // this attachment's leaving removed the pool; set before Close returns

	lastSweep atomic.Int64 // nanoseconds, CLOCK_BOOTTIME
	lost      *lostArrays  // nil unless asked for
	stopWatch chan struct{}
}

// newPool makes the pool of an arena that has a slot.
func newPool(a *arena.Arena, al *alloc.Allocator) *Pool {
	p := &Pool{arena: a, alloc: al, pages: a.Geo.Pages(), refs: refcount.New(a), segment: a.Super.Segment,
		lockWait: time.Duration(a.Super.LockWait), grace: time.Duration(a.Super.Grace),
		links: lazy.New[link](len(a.Descs))}
	p.names = catalog.New(a, &al.Names, namedBlocks{p})
	return p
}

// Segment returns the id of the segment: random, made at creation.
func (p *Pool) Segment() handle.Segment { return p.segment }

// Path returns the path of the segment's file, or a word in angle brackets if it has none.
func (p *Pool) Path() string { return p.arena.Path() }

// lock takes the segment lock, and rebuilds the indexes if its last owner died inside. unlock releases it.
func (p *Pool) lock() error {
	taken, err := p.arena.Lock(p.lockWait)
	if err != nil {
		return err
	}
	if taken {
		p.rebuildLocked()
	}
	return nil
}

func (p *Pool) unlock() { p.arena.Unlock() }

// enter begins a verb that is not a fast one; leave ends it. Close waits for it.
func (p *Pool) enter() error {
	p.verbs.RLock()
	if p.closed.Load() {
		p.verbs.RUnlock()
		return ErrClosed
	}
	return nil
}

func (p *Pool) leave() { p.verbs.RUnlock() }

// descs returns how many descriptors have memory behind them.
func (p *Pool) descs() int { return min(int(p.arena.Ctl.Descs.Load()), len(p.arena.Descs)) }

// desc returns a descriptor.
func (p *Pool) desc(i int) *layout.Desc { return &p.arena.Descs[i] }

// extent returns a block's extent, and whether it lies within the data region.
func (p *Pool) extent(i int) (layout.Extent, bool) {
	e := layout.Extent(p.desc(i).Extent.Load())
	return e, e.Valid(p.pages)
}

// state returns a block's state word.
func (p *Pool) state(i int) layout.State { return layout.State(p.desc(i).State.Load()) }

// gen returns a block's generation.
func (p *Pool) gen(i int) uint32 { return layout.Gen(p.desc(i).Gen.Load()).Number() }

// resolve returns the descriptor that a handle names.
func (p *Pool) resolve(h handle.Handle) (int, error) {
	i, ok := p.arena.Geo.DescIndex(h.Granule())
	if !ok || i >= p.descs() {
		return 0, &HandleError{Handle: h, Segment: p.segment, Err: ErrForeignHandle}
	}
	return i, nil
}

// handleOf returns the handle of a block in its present generation.
func (p *Pool) handleOf(i int) handle.Handle {
	return handle.New(p.arena.Geo.DescGranule(i), p.gen(i))
}
