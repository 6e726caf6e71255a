package main

import (
	"context"
	"errors"
	"fmt"

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

// atQueue does something with one of the named queues.
func (l *lane) atQueue(do func(ctx context.Context, q *pool.Queue, k int) error) error {
	ctx, cancel := l.wait()
	defer cancel()
	k := l.rng.IntN(queues)
	q, err := l.queue(k)
	if err != nil {
		return err
	}
	return l.wasShut(k, do(ctx, q, k))
}

func (l *lane) put() error {
	return l.atQueue(func(ctx context.Context, q *pool.Queue, k int) error { return l.putInto(ctx, q, k > 0) })
}

func (l *lane) get() error {
	return l.atQueue(func(ctx context.Context, q *pool.Queue, _ int) error { return l.getFrom(ctx, q) })
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

// closeQueues ends a lane's use of all queues.
func (l *lane) closeQueues() (err error) {
	for _, q := range l.ends.all() {
		err = errors.Join(err, q.Close())
	}
	l.ends.queues, l.ends.extra = [queues]*pool.Queue{}, nil
	return err
}
