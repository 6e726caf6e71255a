package pool

import (
	"context"
	"fmt"

	"github.com/ndpool/ndpool/arena/layout"
	"github.com/ndpool/ndpool/dtype"
	"github.com/ndpool/ndpool/ring"
)

// Put puts an array, and arrays that are attached to it, as one item, and waits for room until ctx is done. The caller keeps his
// references. It fails with ErrShut, ErrView and ErrTooLong.
func (q *Queue) Put(ctx context.Context, a *Array, attached ...*Array) error {
	var few [4]ring.Entry
	es, err := q.item(few[:0], ItemArray, a, attached)
	if err == nil {
		_, err = q.put(ctx, es)
	}
	return q.error("put into", err)
}

// PutBytes puts a copy of bytes as one item, and waits for room, for the bytes in the pool too, until ctx is done.
func (q *Queue) PutBytes(ctx context.Context, b []byte) error {
	a, err := q.ref.pool.NewContext(ctx, Spec{DType: dtype.Uint8, Shape: []int{len(b)}})
	if err != nil {
		return q.error("put into", err)
	}
	copy(a.mem, b)
	var few [1]ring.Entry
	es, err := q.item(few[:0], ItemBytes, a, nil)
	if err == nil {
		_, err = q.put(ctx, es)
	}
	a.Release()
	return q.error("put into", err)
}

// PutBatch puts arrays as one item each, in their order, and waits for room until ctx is done. It returns how many were put,
// also if it fails.
func (q *Queue) PutBatch(ctx context.Context, as []*Array) (n int, err error) {
	es := make([]ring.Entry, 0, len(as))
	for _, a := range as {
		if es, err = q.item(es, ItemArray, a, nil); err != nil {
			return 0, q.error("put into", err)
		}
	}
	n, err = q.put(ctx, es)
	return n, q.error("put into", err)
}

// TryPut is Put of one array without waiting: it reports whether there was room.
func (q *Queue) TryPut(a *Array) (ok bool, err error) {
	var few [1]ring.Entry
	es, err := q.item(few[:0], ItemArray, a, nil)
	if err != nil {
		return false, q.error("put into", err)
	}
	if err = q.ref.enter(); err == nil {
		var n int
		n, err = q.putSome(es)
		ok = n > 0
		q.ref.leave()
	}
	return ok, q.error("put into", err)
}

// item appends the entries of an item.
func (q *Queue) item(es []ring.Entry, kind ItemKind, a *Array, attached []*Array) ([]ring.Entry, error) {
	if n := 1 + len(attached); n > q.Limit() {
		return nil, fmt.Errorf("%w: %d entries (at most %d)", ErrTooLong, n, q.Limit())
	}
	word := layout.MakeEntry(layout.EntryKind(kind), len(attached))
	es, err := q.entry(es, word, a)
	for _, b := range attached {
		if err == nil {
			es, err = q.entry(es, layout.MakeEntry(layout.EntryArray, 0).Attached(), b)
		}
	}
	return es, err
}

// entry appends the entry of an array.
func (q *Queue) entry(es []ring.Entry, word layout.EntryWord, a *Array) ([]ring.Entry, error) {
	p := q.ref.pool
	if err := p.mayEnter(a); err != nil {
		return nil, err
	}
	return append(es, ring.Entry{Array: a.Handle(), Word: word, Sender: p.arena.Self()}), nil
}

// put puts items, whose blocks the caller holds, each whole, and returns how many entries it put.
func (q *Queue) put(ctx context.Context, es []ring.Entry) (n int, err error) {
	if len(es) == 0 {
		return 0, nil
	}
	r := &q.ref.ring
	w := waiting{bell: r.RoomBell(), stamp: r.RoomStamp, many: es[0].Word.More() > 0}
	w.try = func(slept bool) (bool, error) {
		k, err := q.putSome(es[n:])
		if n += k; n < len(es) {
			w.many = es[n].Word.More() > 0
			return false, err
		}
		if slept && r.Room() > 0 {
			w.bell.Ring(1) // who rang for this one may have meant another one, too
		}
		return true, nil
	}
	return n, q.ref.until(ctx, &w)
}

// putSome puts as many items as there is room for, each whole, and returns how many entries they take. Precondition: the caller
// is in a step.
func (q *Queue) putSome(es []ring.Entry) (n int, err error) {
	p, r := q.ref.pool, &q.ref.ring
	mono, wall := ring.Now()
	if err := p.lock(); err != nil {
		return 0, err
	}
	p.flushLocked()
	count := 0
	switch _, _, bad := r.Span(); {
	case r.IsShut():
		err = ErrShut
	case bad != nil:
		err = errRingTorn
	default:
		room := r.Room()
		for n < len(es) && n+1+es[n].Word.More() <= room {
			n += 1 + es[n].Word.More()
			count++
		}
		for k := range es[:n] {
			es[k].Monotonic, es[k].Wall = mono, wall
		}
		if n > 0 {
			r.Put(es[:n], ringBlocks{p})
		}
	}
	p.unlock()
	if n > 0 {
		r.News().Ring(count)
	}
	return n, err
}

// PutBack puts an item back that was got from this queue, before all others, also into one that was shut down, and waits for room
// until ctx is done. It takes the item over, unless it fails.
func (q *Queue) PutBack(ctx context.Context, it *QueueItem) error {
	if it.queue != q.ref.handle {
		return q.error("put back into", &MismatchError{What: "queue of the item", Got: it.queue, Want: q.ref.handle})
	}
	es, err := q.item(nil, it.Kind, it.Array, it.Attached)
	if err == nil {
		err = q.putBack(ctx, es)
	}
	if err == nil {
		it.Release()
	}
	return q.error("put back into", err)
}

func (q *Queue) putBack(ctx context.Context, es []ring.Entry) error {
	p, r := q.ref.pool, &q.ref.ring
	return q.ref.until(ctx, &waiting{bell: r.RoomBell(), many: len(es) > 1, stamp: r.RoomStamp, try: func(slept bool) (bool, error) {
		mono, wall := ring.Now()
		for k := range es {
			es[k].Monotonic, es[k].Wall = mono, wall
		}
		if err := p.lock(); err != nil {
			return false, err
		}
		p.flushLocked()
		tail, _, err := r.Span()
		done := err == nil && r.Room() >= len(es) && tail >= uint64(len(es))
		if done {
			r.PutBack(es, ringBlocks{p})
		}
		p.unlock()
		if err != nil || tail < uint64(len(es)) {
			return false, errRingTorn
		}
		if done {
			r.News().Ring(1)
		}
		if done && slept && r.Room() > 0 {
			r.RoomBell().Ring(1)
		}
		return done, nil
	}})
}
