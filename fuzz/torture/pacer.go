package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/ndpool/ndpool/dtype"
	"github.com/ndpool/ndpool/handle"
	"github.com/ndpool/ndpool/pool"
)

// pacer is a process of the pool that nobody strikes. It does one thing after the other, without a pause, and measures how
// long each takes: what it waits for is others' doing. It lives in this program.
type pacer struct {
	*torture
	p   *pool.Pool
	q   *pool.Queue
	rng *rand.Rand
}

// Names of the pacer.
const (
	pacerArray = "p/array"
	pacerQueue = "p/queue"
)

// rounds is after how many it takes what others sent to it.
const rounds = 64

// pace lets a pacer work until the context ends.
func (t *torture) pace(ctx context.Context) {
	p, err := pool.Open(poolName, pool.Options{Dir: t.dir})
	if err != nil {
		t.fail(fmt.Errorf("pacer: %w", err))
		return
	}
	x := &pacer{torture: t, p: p, rng: rand.New(rand.NewPCG(t.seed, 5))}
	for n := 0; ctx.Err() == nil; n++ {
		err := x.round()
		if isNoRoom(err) {
			err = nil
		}
		if n%rounds == 0 {
			err = errors.Join(err, accept(p))
		}
		if err != nil {
			t.fail(fmt.Errorf("pacer: %w", err))
			break
		}
	}
	t.fail(x.leave())
}

// isNoRoom tells whether an error says that there is no room in the pool, or in the file system.
func isNoRoom(err error) bool {
	return errors.Is(err, pool.ErrFull) || errors.Is(err, pool.ErrNoMemory) || errors.Is(err, pool.ErrTableFull)
}

// timed does something, and notes how long it took.
func (x *pacer) timed(what string, do func() error) error {
	start := time.Now()
	err := do()
	x.figures.took(what, time.Since(start))
	return err
}

// round takes an array all the ways that there are.
func (x *pacer) round() (err error) {
	var a *pool.Array
	if err = x.timed("alloc", func() (err error) {
		a, err = x.p.Alloc(dtype.Uint64, 1+x.rng.IntN(1<<x.rng.IntN(14)))
		return err
	}); err != nil {
		return err
	}
	if err = x.timed("fill", func() error { fill(a); return nil }); err != nil {
		return err
	}
	if a, err = x.sent(a); err != nil {
		return err
	}
	if err = x.named(a); err == nil {
		err = x.queued(a)
	}
	return errors.Join(err, x.released(a))
}

// released checks an array and lets go of it.
func (x *pacer) released(a *pool.Array) error {
	err := check(a)
	return errors.Join(err, x.timed("release", func() error { a.Release(); return nil }))
}

// sent takes an array through a transfer: it ends one reference, and returns another one.
func (x *pacer) sent(a *pool.Array) (b *pool.Array, err error) {
	var tr handle.Transfer
	if err = x.timed("send", func() (err error) { tr, err = a.Send(); return err }); err != nil {
		return nil, errors.Join(err, x.released(a))
	}
	err = x.timed("adopt", func() (err error) { b, err = x.p.Adopt(tr); return err })
	return b, errors.Join(err, x.released(a))
}

// named takes an array through a name.
func (x *pacer) named(a *pool.Array) error {
	if err := x.timed("publish", func() error {
		_, err := x.p.Publish(pacerArray, a, pool.Publish{Mode: pool.PublishOverwrite})
		return err
	}); err != nil {
		return err
	}
	var b *pool.Array
	if err := x.timed("lookup", func() (err error) { b, err = x.p.Lookup(pacerArray); return err }); err != nil {
		return err
	}
	if b.Handle() != a.Handle() {
		return fmt.Errorf("name %s leads to %v, not to %v", pacerArray, b.Handle(), a.Handle())
	}
	return x.released(b)
}

// queued takes an array through a queue.
func (x *pacer) queued(a *pool.Array) (err error) {
	if x.q == nil {
		if x.q, err = x.p.Queue(pacerQueue, pool.RingOptions{Entries: 4}); err != nil {
			x.q = nil
			return err
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := x.timed("put", func() error { return x.q.Put(ctx, a) }); err != nil {
		return err
	}
	var it *pool.QueueItem
	if err := x.timed("get", func() (err error) { it, err = x.q.Get(ctx); return err }); err != nil {
		return err
	}
	defer it.Release()
	if it.Array.Handle() != a.Handle() {
		return fmt.Errorf("queue %s gives %v, not %v", pacerQueue, it.Array.Handle(), a.Handle())
	}
	return check(it.Array)
}

// leave removes what is the pacer's. Nobody else has touched it.
func (x *pacer) leave() error {
	var err error
	if x.q != nil {
		err = errors.Join(x.q.Close(), x.p.Remove(pacerQueue))
	}
	if e := x.p.Remove(pacerArray); !errors.Is(e, pool.ErrNoName) {
		err = errors.Join(err, e)
	}
	return errors.Join(err, x.p.Close())
}
