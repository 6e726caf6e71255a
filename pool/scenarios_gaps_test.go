package pool

import (
	"context"
	"errors"
	"time"
	"weak"

	"github.com/ndpool/ndpool/arena/layout"
	"github.com/ndpool/ndpool/dtype"
	"github.com/ndpool/ndpool/ring"
)

// soon runs an operation that waits for what does not come.
func soon(f func(ctx context.Context) error) error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Millisecond)
	defer cancel()
	return wantErr(f(ctx), context.DeadlineExceeded)
}

// armed has somebody sleep on the bell of what comes into the peer's queue, or on the one of its room.
func armed(items int, bell func(r *ring.Ring) ring.Bell, many bool, op func(q *Queue, a *Array) error) func(v, peer *Pool) (func() error, error) {
	return func(v, peer *Pool) (func() error, error) {
		r := &queue(peer, "q", items).ref.ring
		warm(v)
		q, a := must(v.Queue("q")), marked(v, 99)
		bell(r).Arm(many)
		return func() error {
			err := op(q, a)
			a.Release()
			return err
		}, nil
	}
}

// gapScenarios are those that scripts/coverage asked for: stores that none of the others reaches.
var gapScenarios = []scenario{
	{"alloc-wait", func(v, peer *Pool) (func() error, error) {
		must(peer.Alloc(dtype.Uint8, 60_000))
		return func() error {
			return soon(func(ctx context.Context) error {
				_, err := v.NewContext(ctx, Spec{DType: dtype.Uint8, Shape: []int{250_000}})
				return err
			})
		}, nil
	}},
	{"release-wakes", func(v, peer *Pool) (func() error, error) {
		a := must(v.Alloc(dtype.Uint8, 100_000))
		peer.arena.SpaceWanted()
		return func() error { a.Release(); return nil }, nil
	}},
	{"release-last-generation", func(v, _ *Pool) (func() error, error) {
		a := must(v.Alloc(dtype.Uint8, 100_000))
		i, _ := v.liveBlock(a.Handle())
		last := v.refs.FirstGen(i) - 1
		if last == 0 {
			last--
		}
		v.desc(i).Gen.Store(uint64(layout.Gen(last)))
		return func() error { a.Release(); return second(v.Trim()) }, nil // which empties the cache
	}},
	{"seal-shared", func(v, _ *Pool) (func() error, error) {
		a := marked(v, 9)
		a.Handle()
		return func() error { return a.Seal(false) }, nil
	}},
	{"runlock-before-writer", lockOp(func(v, peer *NameLock) {
		must(v.RLock(context.Background()))
		peer.pool.names.TakeWriter(peer.entry) // which waits for the reader
	}, (*NameLock).RUnlock)},
	{"queue-get-waits", queueOp(0, func(q *Queue) error {
		return soon(func(ctx context.Context) error { return second(q.Get(ctx)) })
	})},
	{"queue-put-waits", putOp(5, func(q *Queue, as []*Array) error {
		if _, err := q.PutBatch(ever, as[:3]); err != nil {
			return err
		}
		return soon(func(ctx context.Context) error { return q.Put(ctx, as[3], as[4]) })
	})},
	{"queue-put-wakes", armed(1, (*ring.Ring).News, false, func(q *Queue, a *Array) error { return q.Put(ever, a) })},
	{"queue-put-wakes-all", armed(1, (*ring.Ring).News, true, func(q *Queue, a *Array) error { return q.Put(ever, a) })},
	{"queue-get-wakes", armed(4, (*ring.Ring).RoomBell, false, func(q *Queue, _ *Array) error { return second(q.Get(ever)) })},
	{"alloc-chunk", allocOp(dtype.Uint8, 60_000)},
	{"trim-chunk", func(v, _ *Pool) (func() error, error) {
		must(v.Alloc(dtype.Uint8, 60_000)).Release()
		return func() error {
			freed, err := v.Trim()
			if err == nil && freed == 0 {
				err = errors.New("nothing was trimmed")
			}
			return err
		}, nil
	}},
	{"alloc-grows-table", allocOp(dtype.Uint8, 60_000)},
	{"lost", func(v, _ *Pool) (func() error, error) {
		v.lost = &lostArrays{}
		a := marked(v, 9)
		return func() error { // as the collector does
			v.lost.report(v, weak.Make(a), LostArray{Handle: a.Handle()})
			return nil
		}, nil
	}},
}
