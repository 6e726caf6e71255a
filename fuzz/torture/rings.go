package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/ndpool/ndpool/pool"
)

// Streams and queues of the torture. Workers in Python do the same with them.
//
//	r/sK   streams; the second one is lossless. Whoever may writes them for a while. A frame's attribute "handle" is its handle
//	r/qK   queues of held arrays, and of bytes. In the second one items have more arrays, or are pickles of some; at times it is
//	       shut down, and removed by who finds it so
const (
	streams = 2
	queues  = 2
)

// ringWait is how long a worker waits for a frame, an item or room: some others are stopped.
const ringWait = 20 * time.Millisecond

// ends are a lane's ends of streams and queues.
type ends struct {
	writers [streams]*pool.StreamWriter
	readers [streams]*pool.StreamReader
	last    [streams]uint64 // frame that was read
	queues  [queues]*pool.Queue
	extra   []*pool.Queue // without a name: see work_own.go
}

// all returns all queues.
func (e *ends) all() (qs []*pool.Queue) {
	for _, q := range e.queues {
		if q != nil {
			qs = append(qs, q)
		}
	}
	return append(qs, e.extra...)
}

// wait returns a context for waiting. In lockstep it is over after the first try: nobody else does anything meanwhile.
func (l *lane) wait() (context.Context, context.CancelFunc) {
	if l.Lockstep {
		return over{context.Background()}, func() {}
	}
	return context.WithTimeout(context.Background(), ringWait)
}

// over is a context that is done, which nobody is told: being told takes a goroutine, and that stores when it comes to it.
type over struct{ context.Context }

func (over) Err() error { return context.DeadlineExceeded }

// endRing closes what a lane has of a stream or a queue.
func (l *lane) endRing() (err error) {
	k := l.rng.IntN(streams)
	switch l.rng.IntN(3) {
	case 0:
		if x := l.ends.writers[k]; x != nil {
			l.ends.writers[k], err = nil, x.Close()
		}
	case 1:
		if x := l.ends.readers[k]; x != nil {
			l.ends.readers[k], err = nil, x.Close()
		}
	default:
		if x := l.ends.queues[k]; x != nil {
			l.ends.queues[k], err = nil, x.Close()
		}
	}
	return err
}

func (l *lane) publishFrame() (err error) {
	ctx, cancel := l.wait()
	defer cancel()
	k := l.rng.IntN(streams)
	if l.ends.writers[k] == nil {
		o := pool.RingOptions{Entries: 3, Lossless: k == 1}
		if l.ends.writers[k], err = l.p.StreamWriter(fmt.Sprintf("r/s%d", k), o); err != nil {
			l.ends.writers[k] = nil
			return err
		}
	}
	if k == 1 && l.rng.IntN(10) == 0 {
		if err := l.ends.writers[k].AwaitReaders(ctx, 1); err != nil {
			return err
		}
	}
	a, err := l.p.New(l.spec())
	if err != nil {
		return err
	}
	defer a.Release()
	fill(a)
	n, err := l.ends.writers[k].Publish(ctx, a, pool.Attrs{"handle": a.Handle().String()})
	if err == nil && (n == 0 || !a.IsSealed()) {
		return faultf("stream %d: frame %d of %v, sealed %v", k, n, a.Handle(), a.IsSealed())
	}
	l.remark(fmt.Sprint(k, n))
	return err
}

// reader returns the lane's reader of a stream.
func (l *lane) reader(k int) (r *pool.StreamReader, err error) {
	if r = l.ends.readers[k]; r != nil {
		return r, nil
	}
	o := pool.ReadOptions{Every: l.rng.IntN(2) == 0, FromNow: l.rng.IntN(2) == 0}
	if r, err = l.p.StreamReader(fmt.Sprintf("r/s%d", k), o); err != nil {
		return nil, err
	}
	l.ends.readers[k], l.ends.last[k] = r, 0
	return r, nil
}

// readFrame wants that frames are whole and come in their order.
func (l *lane) readFrame() error {
	ctx, cancel := l.wait()
	defer cancel()
	if err := l.makeRoom(); err != nil {
		return err
	}
	k := l.rng.IntN(streams)
	r, err := l.reader(k)
	if err != nil {
		return err
	}
	read := []func(context.Context) (*pool.Frame, error){r.Latest, r.Next, func(context.Context) (*pool.Frame, error) { return r.Newest() }}
	how := l.rng.IntN(len(read))
	f, err := read[how](ctx)
	if err != nil {
		return err
	}
	l.remark(fmt.Sprint(k, f.Sequence))
	if err := l.inOrder(k, f, how < 2); err != nil {
		f.Release()
		return err
	}
	return l.hold(f.Array)
}

func (l *lane) inOrder(k int, f *pool.Frame, fresh bool) error {
	if h := f.Array.Handle().String(); f.Attrs["handle"] != h || !f.Array.IsSealed() {
		return faultf("stream %d: frame %d: array %s, sealed %v, attributes %v", k, f.Sequence, h, f.Array.IsSealed(), f.Attrs)
	}
	last := l.ends.last[k]
	if f.Sequence < last || f.Sequence == last && fresh {
		return faultf("stream %d: frame %d came after frame %d", k, f.Sequence, last)
	}
	if every := k == 1 && l.ends.readers[k].Every; every && fresh && last != 0 && f.Sequence != last+1 && l.ends.readers[k].FromNow && f.Skipped == 0 {
		return faultf("stream %d: frame %d came after frame %d, and none was skipped", k, f.Sequence, last)
	}
	l.ends.last[k] = f.Sequence
	return nil
}

// closeStreams ends a lane's ends of streams.
func (l *lane) closeStreams() (err error) {
	for k := range streams {
		if x := l.ends.writers[k]; x != nil {
			l.ends.writers[k], err = nil, errors.Join(err, x.Close())
		}
		if x := l.ends.readers[k]; x != nil {
			l.ends.readers[k], err = nil, errors.Join(err, x.Close())
		}
	}
	return err
}
