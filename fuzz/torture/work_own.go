package main

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/ndpool/ndpool/handle"
	"github.com/ndpool/ndpool/pool"
)

// Queues without a name, and streams that a lane both writes and reads.

// maxExtra is how many queues without a name a lane has at most.
const maxExtra = 3

// ownQueue makes a queue without a name, uses it, and gives it to others, or one that it has is used; or it works on a stream
// of its own.
func (l *lane) ownQueue() error {
	ctx, cancel := l.wait()
	defer cancel()
	if l.rng.IntN(3) == 0 {
		return l.ownStream(ctx)
	}
	if n := len(l.ends.extra); n > 0 && l.rng.IntN(2) == 0 {
		return l.useQueue(ctx, l.rng.IntN(n))
	}
	q, err := l.p.Queue("", pool.RingOptions{Entries: 8})
	if err != nil {
		return err
	}
	if err := l.keepQueue(q); err != nil {
		return err
	}
	if err := l.firstIn(ctx, q); err != nil {
		return err
	}
	t, err := q.Send()
	if err != nil {
		return err
	}
	if l.rng.IntN(4) == 0 {
		return l.say(lineHandle, q.Handle())
	}
	return l.say(lineTransfer, t)
}

// firstIn puts two arrays into a queue that nobody else knows, and gets the first one first.
func (l *lane) firstIn(ctx context.Context, q *pool.Queue) error {
	a, b := l.whole(), l.whole()
	if a.IsView() || b.IsView() {
		return nil
	}
	n, err := q.PutBatch(ctx, []*pool.Array{a, b})
	if err != nil {
		return fmt.Errorf("put two into an empty queue: %d, %w", n, err)
	}
	if n != 2 || q.Len() != 2 {
		return faultf("put two into an empty queue: %d, and it has %d", n, q.Len())
	}
	it, ok, err := q.TryGet()
	if err != nil {
		return err
	}
	if !ok || it.Array.Handle() != a.Handle() {
		return faultf("queue: put %v and %v: got item %v", a.Handle(), b.Handle(), ok)
	}
	it.Release()
	return nil
}

// keepQueue keeps a queue, instead of another one if there are too many.
func (l *lane) keepQueue(q *pool.Queue) (err error) {
	if len(l.ends.extra) >= maxExtra {
		err = l.dropQueue(0)
	}
	l.ends.extra = append(l.ends.extra, q)
	return err
}

// dropQueue lets go of one of the queues without a name.
func (l *lane) dropQueue(k int) error {
	q := l.ends.extra[k]
	l.ends.extra = slices.Delete(l.ends.extra, k, k+1)
	return q.Close()
}

func (l *lane) useQueue(ctx context.Context, k int) error {
	q := l.ends.extra[k]
	var err error
	switch n := l.rng.IntN(10); {
	case n < 4:
		err = l.putInto(ctx, q, true)
	case n < 8:
		err = l.getFrom(ctx, q)
	case n < 9:
		err = q.Shut()
	default:
		return l.dropQueue(k)
	}
	if errors.Is(err, pool.ErrShut) {
		return errors.Join(err, l.dropQueue(k))
	}
	return err
}

// takeQueue adopts what turned out to be a queue.
func (l *lane) takeQueue(t handle.Transfer) error {
	q, err := l.p.AdoptQueue(t)
	if err != nil {
		return err
	}
	l.tally.add("adopted_queue")
	return l.keepQueue(q)
}

// retainQueue takes what turned out to be a queue.
func (l *lane) retainQueue(h handle.Handle) error {
	q, err := l.p.RetainQueue(h)
	if err != nil {
		return err
	}
	l.tally.add("retained_queue")
	return l.keepQueue(q)
}

// feed lets arrays go through a queue by channels.
func (l *lane) feed() (err error) {
	ctx, cancel := l.wait()
	defer cancel()
	q, err := l.p.Queue("", pool.RingOptions{Entries: 2})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, q.Close()) }()
	in := make(chan *pool.Array)
	fed := make(chan error, 1)
	go func() { fed <- q.Feed(ctx, in) }()
	go func() {
		defer close(in)
		for range 5 {
			a, err := l.p.Alloc(types[0], 100)
			if err != nil {
				return
			}
			fill(a)
			select {
			case in <- a:
			case <-ctx.Done():
				a.Release()
				return
			}
		}
	}()
	for it := range q.Receive(ctx) {
		err = errors.Join(err, l.checkItem(it))
		it.Release()
		if q.Len() == 0 && l.rng.IntN(4) == 0 {
			cancel()
		}
	}
	if e := <-fed; err == nil && !errors.Is(e, context.Canceled) {
		err = e
	}
	return err
}

// sample is a value of Go, which goes through a stream as an array of one element.
type sample struct {
	A uint64
	B [3]float32
	C int16
}

// valueStream is that of values; at times it is removed under its writer.
const valueStream = "r/v"

// ownStream publishes values, and reads them. If the stream was removed meanwhile, the reader may be at another one, which somebody
// else writes.
func (l *lane) ownStream(ctx context.Context) (err error) {
	w, err := l.p.StreamWriter(valueStream, pool.RingOptions{Entries: 2, Readers: 4, Lossless: true})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, w.Close()) }()
	r, err := l.p.StreamReader(valueStream, pool.ReadOptions{Every: true, FromNow: true})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, r.Close()) }()
	if l.rng.IntN(10) == 0 {
		err = l.p.Remove(valueStream)
	}
	for k := range 4 {
		v := sample{A: l.rng.Uint64(), B: [3]float32{1, 2, float32(k)}, C: -7}
		if _, err := pool.PublishValue(ctx, w, &v, pool.Attrs{"by": l.own()}); err != nil {
			return err
		}
		f, err := r.Next(ctx)
		if err != nil {
			return err
		}
		x, err := pool.Value[sample](f.Array)
		if err == nil && (x.C != v.C || f.Attrs["by"] == l.own() && *x != v) {
			err = faultf("stream %s: got %v, expected %v", valueStream, *x, v)
		}
		f.Release()
		if err != nil {
			return err
		}
	}
	return err
}
