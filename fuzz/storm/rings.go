package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/ndpool/ndpool/dtype"
	"github.com/ndpool/ndpool/pool"
)

// Streams and queues of the storm. Workers in Python do the same with them.
//
//	r/sK   streams; the second one is lossless. Whoever may writes them for a while. A frame's attribute "handle" is its handle
//	r/qK   queues of held arrays. In the second one items have more arrays, or are pickles of some; at times it is shut down, and
//	       removed by who finds it so
const (
	streams = 2
	queues  = 2
)

// ringWait is how long a worker waits for a frame, an item or room: some others are stopped.
const ringWait = 20 * time.Millisecond

// ends are a worker's ends of streams and queues.
type ends struct {
	writers [streams]*pool.StreamWriter
	readers [streams]*pool.StreamReader
	last    [streams]uint64 // frame that was read
	queues  [queues]*pool.Queue
}

// ring does one operation with streams and queues.
func (w *worker) ring() error {
	w.rings++
	ctx, cancel := context.WithTimeout(context.Background(), ringWait)
	defer cancel()
	k := w.rng.IntN(streams)
	switch w.rng.IntN(20) {
	case 0:
		return w.endOf(k)
	case 1, 2, 3, 4, 5:
		return w.publishFrame(ctx, k)
	case 6, 7, 8, 9, 10:
		return w.readFrame(ctx, k)
	case 11, 12, 13, 14:
		return w.put(ctx, k)
	case 15:
		if k == 1 && w.rng.IntN(20) == 0 && w.ends.queues[k] != nil {
			return w.ends.queues[k].Shut()
		}
	}
	return w.get(ctx, k)
}

// endOf closes what a worker has of a stream or a queue.
func (w *worker) endOf(k int) (err error) {
	switch w.rng.IntN(3) {
	case 0:
		if x := w.ends.writers[k]; x != nil {
			w.ends.writers[k], err = nil, x.Close()
		}
	case 1:
		if x := w.ends.readers[k]; x != nil {
			w.ends.readers[k], err = nil, x.Close()
		}
	default:
		if x := w.ends.queues[k]; x != nil {
			w.ends.queues[k], err = nil, x.Close()
		}
	}
	return err
}

func (w *worker) publishFrame(ctx context.Context, k int) (err error) {
	if w.ends.writers[k] == nil {
		o := pool.RingOptions{Entries: 3, Lossless: k == 1}
		if w.ends.writers[k], err = w.p.StreamWriter(fmt.Sprintf("r/s%d", k), o); err != nil {
			w.ends.writers[k] = nil
			return err
		}
	}
	a, err := w.p.Alloc(dtype.Uint64, 1+w.rng.IntN(1<<w.rng.IntN(13)))
	if err != nil {
		return err
	}
	defer a.Release()
	fill(a)
	_, err = w.ends.writers[k].Publish(ctx, a, pool.Attrs{"handle": a.Handle().String()})
	return err
}

// readFrame wants that frames are whole and come in their order.
func (w *worker) readFrame(ctx context.Context, k int) (err error) {
	r := w.ends.readers[k]
	if r == nil {
		r, err = w.p.StreamReader(fmt.Sprintf("r/s%d", k), pool.ReadOptions{Every: w.rng.IntN(2) == 0, FromNow: w.rng.IntN(2) == 0})
		if err != nil {
			return err
		}
		w.ends.readers[k], w.ends.last[k] = r, 0
	}
	read := []func(context.Context) (*pool.Frame, error){r.Latest, r.Next, func(context.Context) (*pool.Frame, error) { return r.Newest() }}
	how := w.rng.IntN(len(read))
	f, err := read[how](ctx)
	if err != nil {
		return err
	}
	if h := f.Array.Handle().String(); f.Attrs["handle"] != h {
		return fmt.Errorf("stream %d: frame %d: array %s, attributes %v", k, f.Sequence, h, f.Attrs)
	}
	if last := w.ends.last[k]; f.Sequence < last || f.Sequence == last && how < 2 {
		return fmt.Errorf("stream %d: frame %d came after frame %d", k, f.Sequence, last)
	}
	w.ends.last[k] = f.Sequence
	return w.hold(f.Array)
}

// queue returns the worker's end of a queue.
func (w *worker) queue(k int) (q *pool.Queue, err error) {
	if q = w.ends.queues[k]; q == nil {
		q, err = w.p.Queue(fmt.Sprintf("r/q%d", k), pool.RingOptions{Entries: 20})
		w.ends.queues[k] = q
	}
	return q, err
}

// shut tells whether a queue was shut down, and is empty; then it is left, and removed for all.
func (w *worker) wasShut(k int, err error) error {
	if !errors.Is(err, pool.ErrShut) {
		return err
	}
	q := w.ends.queues[k]
	w.ends.queues[k] = nil
	if q.Len() == 0 {
		err = w.p.Remove(q.Path())
	}
	return errors.Join(err, q.Close())
}

func (w *worker) put(ctx context.Context, k int) error {
	q, err := w.queue(k)
	if err != nil {
		return err
	}
	var attached []*pool.Array
	for range k * w.rng.IntN(4) {
		attached = append(attached, w.held[w.rng.IntN(len(w.held))])
	}
	return w.wasShut(k, q.Put(ctx, w.held[w.rng.IntN(len(w.held))], attached...))
}

// get checks all arrays of some items, and keeps them, or puts an item back.
func (w *worker) get(ctx context.Context, k int) error {
	q, err := w.queue(k)
	if err != nil {
		return err
	}
	its, err := q.GetBatch(ctx, 1+w.rng.IntN(3))
	for _, it := range its {
		all := it.Attached
		if it.Kind == pool.ItemArray {
			all = append([]*pool.Array{it.Array}, all...)
		}
		for _, a := range all {
			if wrong := check(a); wrong != nil {
				return fmt.Errorf("queue %d: %w", k, wrong)
			}
		}
		if w.rng.IntN(4) == 0 && q.PutBack(ctx, it) == nil {
			continue
		}
		it.Release()
	}
	return w.wasShut(k, err)
}

// closeRings ends a worker's ends.
func (w *worker) closeRings() (err error) {
	for k := range streams {
		if x := w.ends.writers[k]; x != nil {
			err = errors.Join(err, x.Close())
		}
		if x := w.ends.readers[k]; x != nil {
			err = errors.Join(err, x.Close())
		}
	}
	for _, x := range w.ends.queues {
		if x != nil {
			err = errors.Join(err, x.Close())
		}
	}
	return err
}

// settleRings wants that what is left in streams and queues is whole.
func (s *storm) settleRings() error {
	for k := range queues {
		q, err := s.p.Queue(fmt.Sprintf("r/q%d", k), pool.RingOptions{Entries: 20})
		if err != nil {
			return err
		}
		for {
			it, ok, err := q.TryGet()
			if err != nil && !errors.Is(err, pool.ErrShut) {
				return err
			}
			if !ok {
				break
			}
			s.items++
			for _, a := range it.Attached {
				err = errors.Join(err, check(a))
			}
			if it.Kind == pool.ItemArray {
				err = errors.Join(err, check(it.Array))
			}
			it.Release()
			if err != nil {
				return fmt.Errorf("left in queue %d: %w", k, err)
			}
		}
		if err := q.Close(); err != nil {
			return err
		}
	}
	for k := range streams {
		if err := s.lastFrame(fmt.Sprintf("r/s%d", k)); err != nil {
			return err
		}
	}
	return nil
}

func (s *storm) lastFrame(path string) error {
	r, err := s.p.StreamReader(path)
	if err != nil {
		return err
	}
	f, err := r.Newest()
	if err == nil {
		err = check(f.Array)
		f.Release()
	}
	if errors.Is(err, pool.ErrNoFrame) {
		err = nil
	}
	return errors.Join(err, r.Close())
}
