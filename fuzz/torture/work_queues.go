package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/ndpool/ndpool/handle"
	"github.com/ndpool/ndpool/pool"
)

// bytesSeed is that of the pattern of bytes in queues.
const bytesSeed = 11

// queue returns the lane's end of a named queue.
func (l *lane) queue(k int) (q *pool.Queue, err error) {
	if q = l.ends.queues[k]; q == nil {
		q, err = l.p.Queue(fmt.Sprintf("r/q%d", k), pool.RingOptions{Entries: 20})
		if err != nil {
			return nil, err
		}
		l.ends.queues[k] = q
	}
	return q, nil
}

// wasShut leaves a queue that was shut down; if it is empty it is removed for all.
func (l *lane) wasShut(k int, err error) error {
	if !errors.Is(err, pool.ErrShut) {
		return err
	}
	q := l.ends.queues[k]
	l.ends.queues[k] = nil
	if q.Len() == 0 {
		err = l.p.Remove(q.Path())
	}
	return errors.Join(err, q.Close())
}

func (l *lane) shut() error {
	q, err := l.queue(1)
	if err != nil {
		return err
	}
	return q.Shut()
}

func (l *lane) put() error {
	ctx, cancel := l.wait()
	defer cancel()
	k := l.rng.IntN(queues)
	q, err := l.queue(k)
	if err != nil {
		return err
	}
	return l.wasShut(k, l.putInto(ctx, q, k > 0))
}

// putInto puts an array, some, or bytes; with more, arrays that are attached to another one, too.
func (l *lane) putInto(ctx context.Context, q *pool.Queue, more bool) error {
	switch l.rng.IntN(6) {
	case 0:
		b := make([]byte, l.rng.IntN(3000))
		fillBytes(b, bytesSeed)
		return q.PutBytes(ctx, b)
	case 1:
		ok, err := q.TryPut(l.whole())
		l.remark(fmt.Sprint(ok))
		return err
	case 2:
		as := []*pool.Array{l.whole(), l.whole(), l.whole()}
		n, err := q.PutBatch(ctx, as)
		if n < len(as) && err == nil {
			return faultf("put %d of %d, and no error", n, len(as))
		}
		return err
	}
	var attached []*pool.Array
	if more {
		for range l.rng.IntN(4) {
			attached = append(attached, l.whole())
		}
	}
	return q.Put(ctx, l.whole(), attached...)
}

func (l *lane) get() error {
	ctx, cancel := l.wait()
	defer cancel()
	k := l.rng.IntN(queues)
	q, err := l.queue(k)
	if err != nil {
		return err
	}
	return l.wasShut(k, l.getFrom(ctx, q))
}

// getFrom checks all arrays of some items, keeps some, or puts an item back.
func (l *lane) getFrom(ctx context.Context, q *pool.Queue) error {
	var its []*pool.QueueItem
	var err error
	switch l.rng.IntN(3) {
	case 0:
		it, ok, e := q.TryGet()
		if err = e; ok {
			its = append(its, it)
		}
	case 1:
		it, e := q.Get(ctx)
		if err = e; e == nil {
			its = append(its, it)
		}
	default:
		its, err = q.GetBatch(ctx, 1+l.rng.IntN(3))
	}
	var wrong error
	for k := len(its) - 1; k >= 0; k-- { // backwards, for what is put back
		wrong = errors.Join(wrong, l.got1(ctx, q, its[k]))
	}
	if wrong != nil {
		return wrong
	}
	return err
}

// got1 does with one item what is to be done.
func (l *lane) got1(ctx context.Context, q *pool.Queue, it *pool.QueueItem) error {
	l.tally.add("item")
	if err := l.checkItem(it); err != nil {
		it.Release()
		return err
	}
	if l.rng.IntN(4) == 0 && q.PutBack(ctx, it) == nil {
		return nil
	}
	if it.Kind == pool.ItemArray && len(it.Attached) == 0 && len(l.held) < maxHeld && l.rng.IntN(2) == 0 {
		l.held = append(l.held, it.Array)
		return nil
	}
	it.Release()
	return nil
}

func (l *lane) checkItem(it *pool.QueueItem) error {
	for _, a := range it.Attached {
		if err := l.check(a); err != nil {
			return fmt.Errorf("attached to an item: %w", err)
		}
	}
	switch it.Kind {
	case pool.ItemArray:
		return l.check(it.Array)
	case pool.ItemBytes:
		b, err := it.Bytes()
		if err != nil {
			return err
		}
		if i, ok := checkBytes(b, bytesSeed, 0); !ok {
			return faultf("bytes of an item: byte %d of %d is %#x", i, len(b), b[i])
		}
	}
	return nil
}

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
	if n, err := q.PutBatch(ctx, []*pool.Array{a, b}); err != nil || n != 2 || q.Len() != 2 {
		return fmt.Errorf("put two into an empty queue: %d, %w", n, err)
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
		err = l.ends.extra[0].Close()
		l.ends.extra = append([]*pool.Queue{}, l.ends.extra[1:]...)
	}
	l.ends.extra = append(l.ends.extra, q)
	return err
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
		l.ends.extra = append(l.ends.extra[:k:k], l.ends.extra[k+1:]...)
		return q.Close()
	}
	if errors.Is(err, pool.ErrShut) {
		l.ends.extra = append(l.ends.extra[:k:k], l.ends.extra[k+1:]...)
		return errors.Join(err, q.Close())
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

// closeQueues ends a lane's use of all queues.
func (l *lane) closeQueues() (err error) {
	for _, q := range l.ends.all() {
		err = errors.Join(err, q.Close())
	}
	l.ends.queues, l.ends.extra = [queues]*pool.Queue{}, nil
	return err
}
