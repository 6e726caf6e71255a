package pool

import (
	"context"
	"errors"
	"time"

	"github.com/ndpool/ndpool/handle"
	"github.com/ndpool/ndpool/ring"
)

// readMode is which frame is wanted.
type readMode int

const (
	unreadNewest readMode = iota
	unreadOldest
	newest // read or not
)

func (r *StreamReader) read(ctx context.Context, mode readMode) (f *Frame, err error) {
	if err := r.takeTurn(ctx); err != nil {
		return nil, err
	}
	defer func() { <-r.turn }()
	for {
		ref, err := r.await(ctx)
		if err != nil {
			return nil, err
		}
		w := waiting{bell: ref.ring.News(), stamp: ref.ring.NewsStamp, idle: r.idle, try: func(bool) (bool, error) {
			var err error
			f, err = r.take(ref, mode)
			return f != nil, err
		}}
		if err = ref.until(ctx, &w); err != errMoved {
			return f, err
		}
		if err := r.find(false); err != nil {
			return nil, err
		}
	}
}

// await waits until there is such a stream: who publishes a name rings.
func (r *StreamReader) await(ctx context.Context) (*ringRef, error) {
	if ref := r.current.Load(); ref != nil {
		return ref, nil
	}
	defer context.AfterFunc(ctx, r.shakeNames)()
	for {
		seq, err := r.armNames()
		if err != nil {
			return nil, err
		}
		if err := r.find(false); err != nil || r.current.Load() != nil {
			return r.current.Load(), err
		}
		switch {
		case ctx.Err() != nil:
			return nil, ctx.Err()
		case r.closing.Load():
			return nil, ErrClosed
		}
		r.pool.inside(func() { r.pool.nameBell().Sleep(seq, sleepTime(ctx)) })
	}
}

// armNames says that somebody is about to wait for a name: see ring.Bell.
func (r *StreamReader) armNames() (seq uint32, err error) {
	if err := r.pool.enter(); err != nil {
		return 0, err
	}
	defer r.pool.leave()
	return r.pool.nameBell().Arm(false), nil
}

// shakeNames wakes all who wait for a name, for the sake of this reader: it is to be asked whether to go on.
func (r *StreamReader) shakeNames() {
	r.pool.inside(func() { r.pool.nameBell().Shake(ring.All) })
}

// idle sees, after a while in which nothing came, whether the writer lives, and whether the name still leads to this stream:
// else it returns errMoved. A name that is gone is nobody's stream, so the reader keeps to what it has. Precondition: the
// caller is in a step, and has the turn.
func (r *StreamReader) idle() error {
	p, ref := r.pool, r.current.Load()
	if err := ref.bury(); err != nil {
		return err
	}
	moved := false
	err := p.withNames(func() error {
		e, err := p.names.Find(r.path)
		if err == nil {
			v := p.names.Value(e)
			moved = !v.IsGroup() && v.Array != ref.handle
		}
		return err
	})
	switch {
	case errors.Is(err, ErrNoName):
		return nil
	case moved:
		return errMoved
	}
	return err
}

func (r *StreamReader) newest() (f *Frame, err error) {
	if err := r.takeTurn(context.Background()); err != nil {
		return nil, err
	}
	defer func() { <-r.turn }()
	ref := r.current.Load()
	if ref == nil || ref.isIdle() {
		if err := r.find(false); err != nil {
			return nil, err
		}
		ref = r.current.Load()
	}
	if ref == nil {
		return nil, ErrNoFrame
	}
	if err := ref.enter(); err != nil {
		return nil, err
	}
	defer ref.leave()
	if f, err = r.take(ref, newest); f == nil && err == nil {
		err = ErrNoFrame
	}
	return f, err
}

// grabTries is how often a frame is taken without the lock that goes in the same moment.
const grabTries = 8

// take returns a frame if there is one that is wanted, and nil if there is none. When the writer has come to an end since the
// reader was told last, and there is none, it tells. Precondition: the caller is in a step, and has the turn.
func (r *StreamReader) take(ref *ringRef, mode readMode) (*Frame, error) {
	for range grabTries {
		ends := ref.ring.Ends() // before Head: what the writer published before it ended is seen then
		pos, ok := r.choose(&ref.ring, mode)
		if !ok {
			return nil, r.told(ends, mode)
		}
		if e, i, attrs, ok := r.grab(ref, pos); ok {
			r.tidy()
			return r.frame(ref, pos, &e, i, attrs)
		}
	}
	return r.takeLocked(ref, mode)
}

// choose returns the position that is wanted, if there is one. Without the lock it may be one that goes in this moment, even
// the only one there is, since a full stream drops a frame before it puts one.
func (r *StreamReader) choose(g *ring.Ring, mode readMode) (pos uint64, ok bool) {
	head := g.Head()
	switch {
	case head == 0 || mode != newest && r.next >= head:
		return 0, false
	case mode == unreadOldest:
		return min(max(r.next, g.Tail()), head-1), true
	}
	return head - 1, true
}

// told tells, once, that a writer has come to an end.
func (r *StreamReader) told(ends uint32, mode readMode) error {
	switch {
	case ends == r.ends || mode == newest:
		return nil
	case ends&1 != 0:
		r.ends = ends
		return ErrWriterDied
	}
	r.ends = ends
	return ErrEnded
}

// grab retains the blocks of a position without the lock. The entry is read between two looks at its number, and a handle leads
// to the block of that generation only. So what is retained then is what the frame named, or it was never that. -1 is no
// attributes.
func (r *StreamReader) grab(ref *ringRef, pos uint64) (e ring.Entry, i, attrs int, ok bool) {
	p := ref.pool
	if e, ok = ref.ring.Look(pos); !ok {
		return e, 0, 0, false
	}
	attrs = -1
	if i, ok = p.retainHandle(e.Array); !ok {
		return e, 0, 0, false
	}
	if e.Attributes != 0 {
		if attrs, ok = p.retainHandle(e.Attributes); !ok {
			p.drop(i)
			return e, 0, 0, false
		}
	}
	if !ref.ring.Still(pos) {
		p.dropHeld(heldBlocks{i, attrs})
		return e, 0, 0, false
	}
	return e, i, attrs, true
}

// retainHandle is retain of a handle, if it leads to a block of that generation.
func (p *Pool) retainHandle(h handle.Handle) (i int, ok bool) {
	if i, ok = p.liveBlock(h); ok {
		ok = p.retain(i, h.Generation()) == nil
	}
	return i, ok
}

// takeLocked is take under the lock. A frame that is damaged is passed over, with an error. There may be none behind those that
// the reader has read or missed, if a writer died after it had dropped the last one.
func (r *StreamReader) takeLocked(ref *ringRef, mode readMode) (*Frame, error) {
	p := ref.pool
	if err := p.lock(); err != nil {
		return nil, err
	}
	ends := ref.ring.Ends()
	tail, head, torn := ref.ring.Span()
	pos, ok := r.choose(&ref.ring, mode)
	i, attrs, sound := -1, -1, false
	var e ring.Entry
	if ok = ok && tail != head; ok {
		if e, sound = ref.ring.Sound(pos, ringBlocks{p}); sound {
			i = p.holdEntered(e.Array)
		}
		if sound && e.Attributes != 0 {
			attrs = p.holdEntered(e.Attributes)
		}
	}
	p.unlock()
	switch {
	case torn != nil:
		return nil, errRingTorn
	case !ok:
		return nil, r.told(ends, mode)
	case !sound:
		r.advance(ref, pos+1)
		return nil, errEntryTorn
	}
	return r.frame(ref, pos, &e, i, attrs)
}

// holdEntered adds a reference to a block that an entry names, under the lock. Precondition: the handle leads to it.
func (p *Pool) holdEntered(h handle.Handle) int {
	i, _ := p.arena.Geo.DescIndex(h.Granule())
	p.refs.Hold(i)
	return i
}

// frame returns the value of a frame whose blocks this process has a reference to each, which it ends if it fails.
func (r *StreamReader) frame(ref *ringRef, pos uint64, e *ring.Entry, i, attrs int) (*Frame, error) {
	f := &Frame{Sequence: pos + 1, Monotonic: time.Duration(e.Monotonic), Wall: time.Unix(0, int64(e.Wall))}
	if pos > r.next {
		f.Skipped = pos - r.next
	}
	r.advance(ref, pos+1)
	var err error
	f.Attrs, err = ref.pool.takeAttrs(attrs)
	if err != nil {
		ref.pool.drop(i)
		return nil, err
	}
	if f.Array, err = ref.pool.heldArray(i, true); err != nil {
		return nil, err
	}
	return f, nil
}

// advance says that all before a position is read.
func (r *StreamReader) advance(ref *ringRef, pos uint64) {
	r.next = max(r.next, pos)
	if r.place >= 0 {
		ref.ring.Advance(r.place, r.next)
		ref.ring.RoomBell().Ring(ring.All)
	}
}

// tidy gives back what this process has cached too much of: a reader that never takes the lock is often the last to release
// a frame, and would keep its memory.
func (r *StreamReader) tidy() {
	if p := r.pool; p.over.Load() != 0 && p.lock() == nil {
		p.flushLocked()
		p.unlock()
	}
}
