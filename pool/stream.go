package pool

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/ndpool/ndpool/arena/layout"
	"github.com/ndpool/ndpool/ring"
)

// StreamWriter is the writer of a stream: a ring of frames, which one process writes and any number read, each for itself. A
// frame is an array that is sealed when it is published. The stream keeps its newest frames, and a reader holds what it took
// for as long as it likes, while the writer goes on.
//
// The stream has a name, which stays when the writer ends or dies; the next one goes on where that stopped. The name goes with
// the pool, if RingOptions.Persistent does not say otherwise, and by Remove.
//
// Any number of goroutines may use it. It keeps the attachment, as an array does: close it before Close of the pool has an
// effect.
type StreamWriter struct {
	ref     *ringRef
	path    string
	closing atomic.Bool
}

// StreamWriter makes this process the writer of a stream, which is made if it is not there. The caller must Close it. It fails
// with a *WriterError if a living process writes it, this one too, with ErrKind if the name is not a stream's, and with
// ErrOptions.
func (p *Pool) StreamWriter(path string, o ...RingOptions) (*StreamWriter, error) {
	opt, err := ringOptions(layout.RingStream, o)
	if err != nil {
		return nil, &NameError{Verb: "write stream", Path: path, Err: err}
	}
	w := &StreamWriter{path: path}
	if w.ref, err = p.openRing(path, layout.RingStream, &opt, &w.closing); err != nil {
		return nil, p.nameError("write stream", path, err)
	}
	if err := w.begin(); err != nil {
		w.ref.end(nil)
		return nil, err
	}
	return w, nil
}

// begin takes the writer's place, also that of a writer who is dead, which readers are told.
func (w *StreamWriter) begin() error {
	if err := w.ref.enter(); err != nil {
		return err
	}
	defer w.ref.leave()
	p, r := w.ref.pool, &w.ref.ring
	if err := p.lock(); err != nil {
		return err
	}
	defer p.unlock()
	if id := r.Writer(); id != 0 && p.arena.Alive(id) {
		return &WriterError{Path: w.path, Process: ProcessID(id), Pid: int(p.arena.Slots[id.Slot()].Pid.Load())}
	}
	r.SweepDead(p.arena.Alive)
	r.Begin(p.arena.Self())
	return nil
}

// Path returns the stream's name.
func (w *StreamWriter) Path() string { return w.path }

// Close ends the writing and tells the readers, who still get the frames that are there. Closing twice is harmless.
func (w *StreamWriter) Close() error {
	if w.closing.Swap(true) {
		return nil
	}
	w.ref.shake()
	w.ref.end(func() { w.ref.endWriter() })
	return nil
}

// endWriter ends the writing, if the lock can be had. Else the slot's sweep does when the process leaves.
func (r *ringRef) endWriter() {
	p := r.pool
	if p.lock() != nil {
		return
	}
	if r.ring.Writer() == p.arena.Self() {
		r.ring.End(false)
	}
	p.unlock()
	r.ring.News().Ring(ring.All)
}

// AwaitReaders waits until at least n readers are there that the writer of a lossless stream waits for, or ctx is done. Until a
// reader is there, frames go by it: so who must not lose the first ones waits for the readers first. It fails with ErrOptions if
// there can never be so many.
func (w *StreamWriter) AwaitReaders(ctx context.Context, n int) error {
	r := &w.ref.ring
	if n > r.Readers() {
		return &NameError{Verb: "await readers of", Path: w.path, Err: fmt.Errorf("%w: %d readers (at most %d)", ErrOptions, n, r.Readers())}
	}
	err := w.ref.until(ctx, &waiting{bell: r.RoomBell(), stamp: r.RoomStamp, idle: w.ref.bury, try: func(bool) (bool, error) {
		return r.Entered() >= n, nil
	}})
	if err != nil {
		return waitError("await readers of", w.path, fmt.Sprint(n, " readers"), err)
	}
	return nil
}

// Publish seals an array, unless it is sealed, and publishes it as the next frame. The caller keeps his reference, and must not
// write any more. It returns the frame's number, from 1, which never comes back.
//
// When the stream is full, the oldest frame goes. The writer of a lossless one waits until all readers have read it that the
// stream waits for, or ctx is done: then the array is sealed, and not published. It fails with ErrHeld if the array is not
// sealed and others hold it, and with ErrView.
func (w *StreamWriter) Publish(ctx context.Context, a *Array, attrs ...Attrs) (sequence uint64, err error) {
	p, e := w.ref.pool, ring.Entry{}
	var text Block
	err = p.mayEnter(a)
	if err == nil && len(attrs) > 0 && len(attrs[0]) > 0 {
		if text, err = p.storeAttrs(attrs[0]); err == nil {
			e.Attributes = text.Handle()
		}
	}
	if err == nil {
		err = a.sealForAll()
	}
	if err == nil {
		e.Array, e.Word, e.Sender = a.Handle(), layout.MakeEntry(layout.EntryArray, 0), p.arena.Self()
		sequence, err = w.publish(ctx, &e)
	}
	if e.Attributes != 0 {
		text.end() // by now the frame holds it, or nobody does
	}
	if err != nil {
		return 0, waitError("publish", w.path, "the readers", err)
	}
	return sequence, nil
}

// sealForAll seals an array unless it is sealed. Nobody can be in the way of one that was never shared. Of one that was, there
// may be a stale retainer, who clears his bit in a moment; so it tries for some moments.
func (a *Array) sealForAll() (err error) {
	a.mustHold()
	for range 20 {
		if a.IsSealed() {
			return nil
		}
		if err = a.Seal(false); err == nil || err == ErrSealed { // by another goroutine, just now
			return nil
		}
		if err != ErrHeld {
			break
		}
		time.Sleep(100 * time.Microsecond)
	}
	return err
}

// mayEnter tells whether an array can be put into a stream or a queue of this pool.
func (p *Pool) mayEnter(a *Array) error {
	a.mustHold()
	switch {
	case a.pool.segment != p.segment:
		return &HandleError{Handle: a.Handle(), Segment: p.segment, Err: ErrForeignHandle}
	case a.IsView():
		return fmt.Errorf("%w: a stream or a queue takes whole arrays", ErrView)
	}
	return nil
}

// publish puts a frame, whose blocks the caller holds, and waits for room if it must.
func (w *StreamWriter) publish(ctx context.Context, e *ring.Entry) (sequence uint64, err error) {
	r := &w.ref.ring
	err = w.ref.until(ctx, &waiting{bell: r.RoomBell(), stamp: r.RoomStamp, idle: w.ref.bury, try: func(bool) (bool, error) {
		var err error
		sequence, err = w.put(e)
		return sequence != 0, err
	}})
	return sequence, err
}

// put puts a frame if there is room, or if there can be, and returns its number; 0 if there is none. Precondition: the caller
// is inside a verb.
func (w *StreamWriter) put(e *ring.Entry) (sequence uint64, err error) {
	p, r := w.ref.pool, &w.ref.ring
	e.Monotonic, e.Wall = ring.Now()
	if err := p.lock(); err != nil {
		return 0, err
	}
	p.flushLocked()
	sequence, err = w.putLocked(e)
	p.unlock()
	if sequence != 0 {
		r.News().Ring(ring.All)
		p.arena.SpaceFreed()
	}
	return sequence, err
}

func (w *StreamWriter) putLocked(e *ring.Entry) (sequence uint64, err error) {
	p, r := w.ref.pool, &w.ref.ring
	if id := r.Writer(); id != p.arena.Self() {
		return 0, fmt.Errorf("%w: it is process %v's", ErrWriter, ProcessID(id)) // a scribble: nobody takes it from a living one
	}
	tail, head, err := r.Span()
	if err != nil {
		return 0, errRingTorn
	}
	if head-tail == uint64(r.Entries()) {
		if r.Lossless() && r.Blocked(tail) {
			return 0, nil
		}
		r.Drop(1, ringBlocks{p})
	}
	es := [1]ring.Entry{*e}
	r.Put(es[:], ringBlocks{p})
	return head + 1, nil
}
