package pool

import (
	"cmp"
	"errors"
	"fmt"
	"iter"
	"slices"
	"time"

	"github.com/ndpool/ndpool/alloc"
	"github.com/ndpool/ndpool/arena"
	"github.com/ndpool/ndpool/arena/layout"
	"github.com/ndpool/ndpool/catalog"
	"github.com/ndpool/ndpool/handle"
)

// Snapshot is a private copy of a pool's tables, for looking at a pool without attaching to it: no slot is taken, no
// dead process is swept, no lock is waited for and nothing is written, and the pool lives and ends as if nobody looked.
// Numbers of a busy pool are of slightly different moments; each array is whole.
type Snapshot struct{ pool *Pool }

// Condition is what a pool as a whole is at the moment.
type Condition string

// Conditions of a pool.
const (
	Live       Condition = "live"        // processes are attached
	Idle       Condition = "idle"        // nobody is attached, and it waits for somebody: it is persistent, or a transfer is in flight, or a name stays
	LeftBehind Condition = "left behind" // nobody is attached, and nobody wants to keep it: removed by Reap, replaced by OpenOrCreate
)

// Peek takes a snapshot. Of the options only Dir counts: who may read the file may look. The caller must Close it.
func Peek(name string, o Options) (*Snapshot, error) {
	a, err := arena.Peek(o.location(name))
	if err != nil {
		return nil, fmt.Errorf("pool: %w", err)
	}
	p := newPool(a, alloc.New(a))
	p.peek()
	return &Snapshot{p}, nil
}

// peek copies what the tables need beside themselves.
func (p *Pool) peek() {
	for i := range p.descs() {
		switch k := p.state(i).Kind(); {
		case k != layout.Live && k != layout.Private:
		case p.isRing(i):
			p.peekBytes(i, p.desc(i).Bytes.Load())
		default:
			p.peekBytes(i, uint64(p.desc(i).Header.Load()))
		}
	}
	p.peekNames()
}

// peekNames ends the change that was under way in the copy, fetches attributes, and makes the links, which were not copied. A name
// whose attributes are gone by now leads nowhere, and is left out.
func (p *Pool) peekNames() {
	p.names.Roll()
	for e := range p.names.Committed() {
		v, ok := p.names.Named(e)
		if i, alive := p.liveBlock(v.Attributes); ok && alive {
			p.peekBytes(i, min(p.desc(i).Bytes.Load(), layout.MaxAttributes))
		}
	}
	for i := range p.descs() {
		p.refs.ForgetNames(i)
	}
	p.names.Rebuild()
}

// peekBytes copies the first n bytes of block i, which is alive. If it is another block by now, so may the bytes be: in the copy it
// becomes FREE, and is not there.
func (p *Pool) peekBytes(i int, n uint64) {
	e, ok := p.extent(i)
	if !ok || n == 0 {
		return // what has not arrived is refused when it is read
	}
	was, gen := p.state(i), p.gen(i)
	err := p.arena.Fetch(e.Offset(), min(n, e.Size()))
	if err == nil {
		err = p.arena.FetchDesc(i)
	}
	if k := p.state(i).Kind(); err != nil || p.gen(i) != gen || k != layout.Live && k != layout.Private {
		p.desc(i).State.Store(uint64(was.To(layout.Free, 0)))
	}
}

// Close gives the copy back.
func (s *Snapshot) Close() { s.pool.unmap() }

// Segment returns the id of the segment.
func (s *Snapshot) Segment() handle.Segment { return s.pool.segment }

// Path returns the path of the file.
func (s *Snapshot) Path() string { return s.pool.Path() }

// Options returns what the pool was created with.
func (s *Snapshot) Options() Options { return s.pool.Options() }

// Created returns when the pool was created.
func (s *Snapshot) Created() time.Time { return time.Unix(0, s.pool.arena.Super.Created) }

// Condition tells what the pool is at the moment.
func (s *Snapshot) Condition() (Condition, error) {
	attended, err := s.pool.arena.Attended()
	switch {
	case err != nil:
		return "", err
	case attended:
		return Live, nil
	case orphaned(s.pool.arena):
		return LeftBehind, nil
	}
	return Idle, nil
}

// Arrays iterates over all arrays that are alive, by descriptor.
func (s *Snapshot) Arrays() iter.Seq[ArrayInfo] { return s.pool.Arrays() }

// Processes iterates over the process table, living and dead.
func (s *Snapshot) Processes() iter.Seq[ProcessInfo] { return s.pool.Processes() }

// Transfers iterates over the transfers in flight.
func (s *Snapshot) Transfers() iter.Seq[TransferInfo] { return s.pool.Transfers() }

// List iterates over a name and all names in it, or over all there are: see Pool.List. A name that was changed while the snapshot
// was taken may be missing.
func (s *Snapshot) List(prefix string) iter.Seq2[NameInfo, error] {
	return func(yield func(NameInfo, error) bool) {
		h, err := s.gather(prefix)
		infos, bad := s.pool.nameInfos(&h, prefix)
		for _, info := range infos {
			if !yield(info, nil) {
				return
			}
		}
		if err = cmp.Or(err, bad); err != nil {
			yield(NameInfo{}, s.pool.nameError("list", prefix, err))
		}
	}
}

// gather finds names in the copy, which nobody changes, so that nothing is held.
func (s *Snapshot) gather(prefix string) (h harvest, err error) {
	if prefix != "" {
		if err := catalog.CheckPath(prefix); err != nil {
			return h, err
		}
	}
	for {
		if err := s.pool.gatherLocked(&h, prefix); err != nil {
			return harvest{}, err
		}
		if !h.short() {
			break
		}
	}
	for k := range h.rows {
		r := &h.rows[k]
		if i, ok := s.pool.liveBlock(r.value.Array); ok {
			r.held.array = i
		}
		if i, ok := s.pool.liveBlock(r.value.Attributes); ok {
			r.held.attrs = i
		}
	}
	return h, nil
}

// Stats returns a summary. Free space is reckoned from the arrays and caches, not from the indexes.
func (s *Snapshot) Stats() Stats { return s.pool.stats(s.pool.gaps()) }

// gaps returns the pages that no block and no slab takes, and the longest run of them.
func (p *Pool) gaps() (free, largest int) {
	var used []layout.Extent
	for i := range p.descs() {
		switch e, ok := p.extent(i); p.state(i).Kind() {
		case layout.Busy, layout.Live, layout.Cached, layout.Private:
			if ok {
				used = append(used, e)
			}
		}
	}
	slices.SortFunc(used, func(e, f layout.Extent) int { return cmp.Compare(e.First(), f.First()) })
	end := 0
	gap := func(to int) {
		free += max(0, to-end)
		largest = max(largest, to-end)
	}
	for _, e := range used {
		gap(e.First())
		end = max(end, e.First()+e.Pages())
	}
	gap(p.pages)
	return free, largest
}

// Read returns bytes [off, off+n) of an array, now and not when the snapshot was taken. It fails with ErrStale if the
// array has ended meanwhile.
func (s *Snapshot) Read(h handle.Handle, off, n int) ([]byte, error) {
	p := s.pool
	i, err := p.resolve(h)
	if err != nil {
		return nil, err
	}
	info, ok := p.arrayInfo(i)
	if !ok || info.Handle != h {
		return nil, fmt.Errorf("read array: %w", &HandleError{Handle: h, Segment: p.segment, Err: ErrStale})
	}
	if off < 0 || n < 0 || uint64(off) > info.Bytes || uint64(n) > info.Bytes-uint64(off) {
		return nil, &MismatchError{What: "range", Got: fmt.Sprintf("bytes %d+%d", off, n), Want: fmt.Sprintf("within %d bytes", info.Bytes)}
	}
	if err := p.arena.Fetch(info.Offset+uint64(off), uint64(n)); err != nil {
		return nil, err
	}
	if err := p.arena.FetchDesc(i); err != nil {
		return nil, err
	}
	if now, ok := p.arrayInfo(i); !ok || now.Handle != h {
		return nil, fmt.Errorf("read array: %w", &HandleError{Handle: h, Segment: p.segment, Err: ErrStale})
	}
	return p.arena.Data(info.Offset+uint64(off), uint64(n)), nil
}

// Freeze runs f while nobody takes a step that needs the segment lock, so that a copy of the tables agrees with itself.
// f must be short and must not use the pool.
func (p *Pool) Freeze(f func() error) error {
	if err := p.enter(); err != nil {
		return err
	}
	defer p.leave()
	if err := p.lock(); err != nil {
		return err
	}
	defer p.unlock()
	return f()
}

// Reap sweeps the dead processes and the expired transfers of a pool, and removes a pool that is not persistent and that
// nobody is left to keep.
func Reap(name string, o Options) (Reaped, error) {
	s, err := Peek(name, o)
	if err != nil {
		return Reaped{}, err
	}
	dead := 0
	for info := range s.Processes() {
		if !info.Alive {
			dead++
		}
	}
	s.Close()
	o.Observer = true // so that the sweep is not the attachment's, but counted below
	p, err := open(name, o, true)
	if err != nil {
		if errors.Is(err, ErrNotExist) {
			return Reaped{Processes: dead, Removed: true}, nil
		}
		return Reaped{}, err
	}
	r, err := p.Reap()
	p.keep = false
	p.Close()
	r.Removed = p.removed
	return r, err
}
