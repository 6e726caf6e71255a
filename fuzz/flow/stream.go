package main

import (
	"context"
	"errors"
	"math"
	"reflect"
	"time"

	"github.com/ndpool/ndpool/pool"
)

// writer publishes frames until it is told to end, or leaves by itself.
func (w *worker) writer() error {
	s, err := w.becomeWriter()
	if err != nil {
		return err
	}
	w.ready()
	kept := []*pool.Array{}
	for left := w.rng.IntN(4000); left > 0 && !w.ended.Load(); left-- {
		a, err := w.publish(s)
		if err != nil && !w.ended.Load() {
			return err
		}
		if a != nil {
			kept = append(kept, a)
		}
		if len(kept) > w.rng.IntN(holdMax) {
			if err := w.again(kept[0]); err != nil {
				return err
			}
			kept[0].Release()
			kept = kept[1:]
		}
		w.pause(2 * time.Millisecond)
	}
	for _, a := range kept {
		a.Release()
	}
	return s.Close()
}

// becomeWriter opens the stream; somebody else may have it for a moment.
func (w *worker) becomeWriter() (s *pool.StreamWriter, err error) {
	for range 1000 {
		if s, err = w.p.StreamWriter(w.Ring, ringOptions[w.Ring]); !errors.Is(err, pool.ErrWriter) {
			return s, err
		}
		time.Sleep(10 * time.Millisecond)
	}
	return nil, found("stream %s: still another writer: %v", w.Ring, err)
}

// structure is a frame that is a Go structure.
type structure struct {
	Head message
	Body [56]uint64
}

// publish publishes a frame, and returns it if it is an array.
func (w *worker) publish(s *pool.StreamWriter) (*pool.Array, error) {
	m := w.message()
	if w.rng.IntN(8) == 0 {
		x := structured(m)
		w.did(1)
		return nil, w.unstuck("publish", func(ctx context.Context) error {
			_, err := pool.PublishValue(ctx, s, x)
			return err
		})
	}
	with := w.rng.IntN(2) == 0
	if with {
		m.Flags |= flagAttributed
	}
	a, hash, err := w.alloc(m)
	if err != nil {
		return nil, err
	}
	b, _ := a.Bytes()
	attrs := []pool.Attrs{}
	if with {
		attrs = append(attrs, w.attributes(m, a, hash))
	}
	err = w.unstuck("publish", func(ctx context.Context) error {
		_, err := s.Publish(ctx, a, attrs...)
		return err
	})
	if err == nil && w.sings(canaryTorn, 20) {
		b[len(b)-1] ^= 1
	}
	w.did(1)
	return a, err
}

func (w *worker) attributes(m message, a *pool.Array, hash uint64) pool.Attrs {
	if w.sings(canarySwap, 20) {
		m.Number--
	}
	shape := []any{}
	for _, n := range a.Shape() {
		shape = append(shape, int64(n))
	}
	return pool.Attrs{"who": int64(m.Who), "number": int64(m.Number), "hash": int64(hash), "shape": shape}
}

// structured returns a structure with a message.
func structured(m message) *structure {
	b := make([]byte, reflect.TypeFor[structure]().Size())
	m.write(b)
	x := &structure{}
	decode(b, x)
	return x
}

// again checks a frame that the writer still holds.
func (w *worker) again(a *pool.Array) error {
	b, err := a.Bytes()
	if err == nil {
		_, err = read(b, w.Ring)
	}
	return err
}

// Modes of a reader.
const (
	modeLatest = "latest"
	modeEvery  = "every"
	modeNext   = "next"
)

// clockSlack is how far the clocks of two processes may be apart: Go's is the system's, counted from another zero.
const clockSlack = 100 * time.Microsecond

// reader takes frames of a stream, checks them, holds some, and checks them again.
type reader struct {
	*worker
	s     *pool.StreamReader
	last  uint64           // sequence of the last frame; 0: none yet
	clock time.Duration    // of the last frame
	base  map[uint64]int64 // of each writer: sequence minus its own number
	held  []*pool.Frame
}

func (w *worker) reader() (err error) {
	r := &reader{worker: w, base: map[uint64]int64{}}
	r.s, err = w.p.StreamReader(w.Ring, pool.ReadOptions{Every: w.Mode == modeEvery})
	if err != nil {
		return err
	}
	w.ready()
	for left := w.rng.IntN(8000); left > 0 && !w.ended.Load(); left-- {
		if err := r.step(); err != nil {
			return err
		}
	}
	for len(r.held) > 0 {
		if err := r.drop(0); err != nil {
			return err
		}
	}
	return r.s.Close()
}

func (r *reader) step() error {
	if r.Mode == modeLatest && r.rng.IntN(10) == 0 {
		return r.newest()
	}
	f, err := r.take()
	switch {
	case errors.Is(err, pool.ErrWriterDied):
		r.say(lineTold, "died")
		return nil
	case errors.Is(err, pool.ErrEnded):
		r.say(lineTold, "ended")
		return nil
	case errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled):
		return nil
	case err != nil:
		return err
	}
	return r.got(f)
}

// take waits for a frame, for a short time, so that the worker can end.
func (r *reader) take() (f *pool.Frame, err error) {
	err = r.within(200*time.Millisecond, func(ctx context.Context) error {
		if r.Mode == modeLatest {
			f, err = r.s.Latest(ctx)
		} else {
			f, err = r.s.Next(ctx)
		}
		return err
	})
	return f, err
}

// newest looks at the newest frame, which may have been read already, and has been after that.
func (r *reader) newest() error {
	f, err := r.s.Newest()
	if errors.Is(err, pool.ErrNoFrame) {
		return nil
	}
	if err != nil {
		return err
	}
	if r.last == 0 || f.Sequence != r.last {
		return r.got(f)
	}
	defer f.Release()
	if f.Skipped != 0 {
		return found("stream %s: sequence %d once more: told that it skipped %d", r.Ring, f.Sequence, f.Skipped)
	}
	_, err = r.check(f)
	return err
}

// got checks a frame that is new to this reader, and holds it for a while.
func (r *reader) got(f *pool.Frame) error {
	if r.last > 0 && f.Sequence <= r.last {
		return found("stream %s: sequence %d after %d", r.Ring, f.Sequence, r.last)
	}
	if r.last > 0 && f.Skipped != f.Sequence-r.last-1 {
		return found("stream %s: sequence %d after %d: told that it skipped %d", r.Ring, f.Sequence, r.last, f.Skipped)
	}
	if r.last > 0 && f.Skipped > 0 && r.Mode == modeEvery {
		return found("lossless stream %s: sequence %d after %d", r.Ring, f.Sequence, r.last)
	}
	if f.Monotonic < r.clock-clockSlack {
		return found("stream %s: sequence %d is of an earlier time than %d", r.Ring, f.Sequence, r.last)
	}
	m, err := r.check(f)
	if err != nil {
		return err
	}
	if base, ok := r.base[m.Who]; ok && base != int64(f.Sequence-m.Number) {
		return found("stream %s: frame %d of process %d has the sequence %d, an earlier one %d more than its number",
			r.Ring, m.Number, m.Who, f.Sequence, base)
	}
	r.base[m.Who], r.last, r.clock = int64(f.Sequence-m.Number), f.Sequence, f.Monotonic
	r.did(1)
	r.held = append(r.held, f)
	r.pause(3 * time.Millisecond)
	for len(r.held) > r.rng.IntN(holdMax+1) {
		if err := r.drop(r.rng.IntN(len(r.held))); err != nil {
			return err
		}
	}
	return nil
}

// drop checks that a frame that was held is what it was, and releases it.
func (r *reader) drop(k int) error {
	_, err := r.check(r.held[k])
	r.held[k].Release()
	r.held = append(r.held[:k], r.held[k+1:]...)
	return err
}

// check compares a frame with its hash, its times and its attributes.
func (r *reader) check(f *pool.Frame) (m message, err error) {
	b, err := f.Array.Bytes()
	if err != nil {
		return m, err
	}
	if m, err = read(b, r.Ring); err != nil {
		return m, err
	}
	if !f.Array.IsReadOnly() {
		return m, found("stream %s: a frame that can be written to", r.Ring)
	}
	if made := time.Duration(m.Stamp); f.Monotonic < made-clockSlack || f.Monotonic > time.Duration(now())+clockSlack {
		return m, found("stream %s: a frame made at %d was published at %d, and it is %d", r.Ring, made, f.Monotonic, now())
	}
	if math.Abs(time.Since(f.Wall).Seconds()) > 3600 {
		return m, found("stream %s: a frame of %v", r.Ring, f.Wall)
	}
	return m, r.checkAttrs(f, m)
}

func (r *reader) checkAttrs(f *pool.Frame, m message) error {
	if m.Flags&flagAttributed == 0 {
		if len(f.Attrs) != 0 {
			return found("stream %s: attributes of a frame that has none: %v", r.Ring, f.Attrs)
		}
		return nil
	}
	want := r.attributes(m, f.Array, m.Hash)
	if !reflect.DeepEqual(f.Attrs, want) {
		return found("stream %s: attributes %v, expected %v", r.Ring, f.Attrs, want)
	}
	return nil
}
