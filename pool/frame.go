package pool

import (
	"context"
	"errors"
	"iter"
	"sync/atomic"
	"time"

	"github.com/ndpool/ndpool/arena/layout"
	"github.com/ndpool/ndpool/handle"
	"github.com/ndpool/ndpool/ring"
)

// ReadOptions say how a stream is read.
type ReadOptions struct {
	Every   bool // the writer of a lossless stream waits for this reader; of others it does not
	FromNow bool // only frames that are published from now on; default: those that the stream keeps, too
}

// Frame is one frame of a stream, and a reference to its array, which is read-only. Release it once.
type Frame struct {
	Array     *Array
	Sequence  uint64        // from 1; goes on with the next writer
	Skipped   uint64        // frames that this reader has missed since its last one
	Monotonic time.Duration // when it was published, CLOCK_MONOTONIC: of this boot, and the same for all processes
	Wall      time.Time     // when it was published
	Attrs     Attrs         // nil: none
}

// Release ends the reference to the frame's array.
func (f *Frame) Release() { f.Array.Release() }

// StreamReader reads a stream, beside any number of others. It may be there before the stream is, and before the writer. When
// the name is another stream's meanwhile, the reader goes on with that.
//
// One goroutine reads at a time, others wait for their turn; any may Close it. It keeps the attachment while it has found its
// stream: see StreamWriter.
type StreamReader struct {
	pool *Pool
	path string
	ReadOptions
	turn    chan struct{}           // has a value while somebody reads; guards the rest, but for what is atomic
	current atomic.Pointer[ringRef] // nil: there was no such stream yet
	reading
	closing atomic.Bool
	closed  chan struct{}
}

// reading is how far a reader has come with one stream. Local.
type reading struct {
	next  uint64 // position of the first frame that was not read
	ends  uint32 // Ends of the stream when it was told, or when it came to the stream
	place int    // among the readers that the writer waits for; -1: none
}

// errMoved says that the name leads to another stream now.
var errMoved = errors.New("stream is another one")

// StreamReader opens a reader of a stream, which need not be there yet. The caller must Close it. It fails with ErrKind if the
// name is not a stream's, and with a *TableError if the writer waits for as many readers as it can.
func (p *Pool) StreamReader(path string, o ...ReadOptions) (*StreamReader, error) {
	r := &StreamReader{pool: p, path: path, turn: make(chan struct{}, 1), closed: make(chan struct{}), reading: reading{place: -1}}
	if len(o) > 0 {
		r.ReadOptions = o[0]
	}
	if err := r.find(true); err != nil {
		return nil, p.nameError("read stream", path, err)
	}
	return r, nil
}

// Path returns the stream's name.
func (r *StreamReader) Path() string { return r.path }

// Close ends the reading. The frames that were got stay. Closing twice is harmless.
func (r *StreamReader) Close() error {
	if r.closing.Swap(true) {
		return nil
	}
	close(r.closed)
	if ref := r.current.Load(); ref != nil {
		ref.shake()
	} else {
		r.shakeNames()
	}
	r.turn <- struct{}{} // never taken out
	r.part()
	return nil
}

// find takes the stream that the name leads to, if there is one and it is not the one that the reader has. first tells that it may
// have been there before the reader was; else all in it is new. Precondition: the caller has the turn, and is in no verb.
func (r *StreamReader) find(first bool) error {
	known := handle.Handle(0)
	if ref := r.current.Load(); ref != nil {
		known = ref.handle
	}
	ref, _, err := r.pool.lookupRing(r.path, layout.RingStream, known, &r.closing)
	if err != nil || ref == nil {
		if errors.Is(err, ErrNoName) {
			return nil
		}
		return err
	}
	now, err := r.join(ref, first)
	if err != nil {
		ref.end(nil)
		return err
	}
	r.part()
	r.reading = now
	r.current.Store(ref)
	return nil
}

// join begins to read a stream. The number of ends is looked at first: a writer that ends after that is told of.
func (r *StreamReader) join(ref *ringRef, first bool) (now reading, err error) {
	now.place = -1
	if err := ref.enter(); err != nil {
		return now, err
	}
	defer ref.leave()
	if first {
		now.ends = ref.ring.Ends()
		now.next = ref.ring.Tail()
		if r.FromNow {
			now.next = ref.ring.Head()
		}
	}
	if r.Every && ref.ring.Lossless() {
		if err = r.admit(ref, &now); err == nil {
			ref.ring.RoomBell().Ring(ring.All) // a writer may wait for readers: see AwaitReaders
		}
	}
	return now, err
}

// admit enters the reader among those that the writer waits for.
func (r *StreamReader) admit(ref *ringRef, now *reading) error {
	p := ref.pool
	if err := ref.bury(); err != nil {
		return err
	}
	if err := p.lock(); err != nil {
		return err
	}
	defer p.unlock()
	tail, head, err := ref.ring.Span()
	if err != nil {
		return errRingTorn
	}
	place, ok := ref.ring.Enter(p.arena.Self(), min(max(now.next, tail), head))
	if !ok {
		return &TableError{Table: "readers", Limit: ref.ring.Readers()}
	}
	now.place = place
	return nil
}

// part ends what the reader is to the stream that it has, if there is one. The place of one that cannot have the lock is freed
// when the process leaves.
func (r *StreamReader) part() {
	ref, place := r.current.Load(), r.place
	if ref == nil {
		return
	}
	ref.end(func() {
		if place < 0 || ref.pool.lock() != nil {
			return
		}
		if id, _ := ref.ring.Reader(place); id == ref.pool.arena.Self() {
			ref.ring.Leave(place)
		}
		ref.pool.unlock()
		ref.ring.RoomBell().Ring(ring.All)
	})
}

// Latest returns the newest frame that this reader has not read yet, and waits for one until ctx is done. The caller must
// Release it. When there is none and the writer has come to an end it fails, once, with ErrEnded or ErrWriterDied; the next call
// waits for the next writer.
func (r *StreamReader) Latest(ctx context.Context) (*Frame, error) {
	f, err := r.read(ctx, unreadNewest)
	return f, r.readError(err)
}

// Next returns the oldest frame that this reader has not read yet; else it is like Latest.
func (r *StreamReader) Next(ctx context.Context) (*Frame, error) {
	f, err := r.read(ctx, unreadOldest)
	return f, r.readError(err)
}

// Newest returns the newest frame at once, read or not. The caller must Release it. It fails with ErrNoFrame if there is none.
func (r *StreamReader) Newest() (*Frame, error) {
	f, err := r.newest()
	return f, r.readError(err)
}

// All iterates over the frames as Next returns them, until the writer ends. The body owns each frame, and must Release it. If
// something went wrong the error comes last, once: ErrWriterDied, or ctx's.
func (r *StreamReader) All(ctx context.Context) iter.Seq2[*Frame, error] {
	return func(yield func(*Frame, error) bool) {
		for {
			f, err := r.Next(ctx)
			if errors.Is(err, ErrEnded) && !errors.Is(err, ErrWriterDied) {
				return
			}
			if !yield(f, err) || err != nil {
				return
			}
		}
	}
}

func (r *StreamReader) readError(err error) error {
	if err == nil {
		return nil
	}
	return waitError("read stream", r.path, "a frame", err)
}

// takeTurn waits until no other goroutine reads. Released by a receive from turn.
func (r *StreamReader) takeTurn(ctx context.Context) error {
	if r.closing.Load() {
		return ErrClosed
	}
	select {
	case r.turn <- struct{}{}:
		return nil
	default:
	}
	select {
	case r.turn <- struct{}{}:
		return nil
	case <-r.closed:
		return ErrClosed
	case <-ctx.Done():
		return ctx.Err()
	}
}
