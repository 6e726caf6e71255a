package pool

import (
	"context"
	"errors"
	"fmt"

	"github.com/ndpool/ndpool/arena/layout"
)

// got is an entry that this process has a reference to. Local.
type got struct {
	desc int
	word layout.EntryWord
}

// Get returns the oldest item, and waits for one until ctx is done. The caller must Release it. It fails with ErrShut when the
// queue was shut down and is empty.
func (q *Queue) Get(ctx context.Context) (*QueueItem, error) {
	var few [4]got
	gs, err := q.get(ctx, few[:], 1)
	if err != nil {
		return nil, q.error("get from", err)
	}
	it, _, err := q.itemOf(gs)
	return it, q.error("get from", err)
}

// GetBatch returns as many items as there are, but at most max, and at least one, for which it waits: else it is like Get.
func (q *Queue) GetBatch(ctx context.Context, max int) ([]*QueueItem, error) {
	if max < 1 {
		return nil, q.error("get from", fmt.Errorf("%w: at most %d items", ErrSpec, max))
	}
	gs, err := q.get(ctx, make([]got, min(max, 256)), max)
	if err != nil {
		return nil, q.error("get from", err)
	}
	var its []*QueueItem
	var bad error
	for len(gs) > 0 {
		var it *QueueItem
		if it, gs, err = q.itemOf(gs); err == nil {
			its = append(its, it)
		} else {
			bad = err
		}
	}
	if len(its) > 0 {
		return its, nil // what is damaged is gone
	}
	return nil, q.error("get from", bad)
}

// TryGet is Get without waiting: it reports whether there was an item.
func (q *Queue) TryGet() (it *QueueItem, ok bool, err error) {
	var few [4]got
	gs := few[:]
	if err = q.ref.enter(); err == nil {
		gs, err = q.getSome(gs, 1)
		q.ref.leave()
	}
	if err != nil || len(gs) == 0 {
		return nil, false, q.error("get from", err)
	}
	it, _, err = q.itemOf(gs)
	return it, err == nil, q.error("get from", err)
}

// get gets up to max items and at least one, into buf or a larger one.
func (q *Queue) get(ctx context.Context, buf []got, max int) (gs []got, err error) {
	r := &q.ref.ring
	err = q.ref.until(ctx, &waiting{bell: r.News(), stamp: r.NewsStamp, try: func(slept bool) (bool, error) {
		var err error
		if gs, err = q.getSome(buf, max); err != nil || len(gs) == 0 {
			return false, err
		}
		if slept && r.Items() > 0 {
			r.News().Ring(1) // who rang for this one may have meant another one, too
		}
		return true, nil
	}})
	return gs, err
}

// getSome gets as many items as there are, at most limit, and returns none if there are none. Precondition: the caller is in a
// step.
func (q *Queue) getSome(buf []got, limit int) (gs []got, err error) {
	for {
		n, want, err := q.getOnce(buf, limit)
		if err != nil || want <= len(buf) {
			return buf[:n], err
		}
		buf = make([]got, want)
	}
}

// getOnce gets items if all that are wanted fit into buf; want is how many entries they have.
func (q *Queue) getOnce(buf []got, limit int) (n, want int, err error) {
	p, r := q.ref.pool, &q.ref.ring
	if err := p.lock(); err != nil {
		return 0, 0, err
	}
	p.flushLocked()
	litter := 0
	want, litter, err = q.wantLocked(limit)
	if err == nil && want <= len(buf) {
		n = want
		q.getLocked(buf[:n])
	}
	p.unlock()
	if n+litter > 0 {
		r.RoomBell().Ring(n + litter)
	}
	return n, want, err
}

// wantLocked returns how many entries the first items have, at most limit items. If the first one is damaged it goes, with an
// error.
func (q *Queue) wantLocked(limit int) (want, litter int, err error) {
	r, b := &q.ref.ring, ringBlocks{q.ref.pool}
	tail, head, err := r.Span()
	if err != nil {
		return 0, 0, errRingTorn
	}
	for ; limit > 0 && tail != head; limit-- {
		k, bad := r.Item(tail, head, b)
		if bad != nil && want == 0 {
			r.Drop(k, b)
			return 0, k, errEntryTorn
		}
		if bad != nil {
			break // the next get's
		}
		want += k
		tail += uint64(k)
	}
	if want == 0 && r.IsShut() {
		err = ErrShut
	}
	return want, 0, err
}

// getLocked gets so many entries, of items that are whole. The getter's references come before Tail: a death before that leaves
// the items in the queue, and after it they are the dead one's.
func (q *Queue) getLocked(gs []got) {
	if len(gs) == 0 {
		return
	}
	p, r := q.ref.pool, &q.ref.ring
	tail := r.Tail()
	for k := range gs {
		e, _ := r.Look(tail + uint64(k))
		gs[k] = got{p.holdEntered(e.Array), e.Word}
	}
	r.Drop(len(gs), ringBlocks{p})
}

// itemOf returns the first item of what was got, and the rest. If one of its arrays cannot be read all of them are released.
func (q *Queue) itemOf(gs []got) (it *QueueItem, rest []got, err error) {
	n := 1 + gs[0].word.More()
	it = &QueueItem{Kind: ItemKind(gs[0].word.Kind()), queue: q.ref.handle}
	if n > 1 {
		it.Attached = make([]*Array, 0, n-1)
	}
	for k, g := range gs[:n] {
		a, bad := q.ref.pool.heldArray(g.desc, false)
		switch {
		case bad != nil:
			err = errors.Join(err, bad)
		case k == 0:
			it.Array = a
		default:
			it.Attached = append(it.Attached, a)
		}
	}
	if err != nil {
		if it.Array != nil {
			it.Array.Release()
		}
		for _, a := range it.Attached {
			a.Release()
		}
		it = nil
	}
	return it, gs[n:], err
}
