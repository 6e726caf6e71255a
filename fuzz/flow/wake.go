package main

import (
	"context"
	"errors"
	"time"

	"github.com/ndpool/ndpool/dtype"
	"github.com/ndpool/ndpool/pool"
	"github.com/ndpool/ndpool/ring"
)

// The calm part: nobody is killed, and the sleep that heals lost wake-ups is too long to heal them in time. Each side pauses at
// random, at times so short that the other spins and at times so long that it sleeps; so each order of storing, looking, sleeping
// and waking has its turn.

const (
	longSleep = 10 * time.Second // instead of 50 ms
	lostAfter = 2 * time.Second  // a wait that takes longer was not woken
)

// longSleeps makes every sleep of this process long.
func longSleeps() { ring.MaxSleep = longSleep }

// answered calls what waits for others, who will not let it wait for long.
func (w *worker) answered(what string, f func(context.Context) error) error {
	start := time.Now()
	err := w.within(lostAfter, f)
	if d := time.Since(start); d > lostAfter || errors.Is(err, context.DeadlineExceeded) {
		return found("lost wake-up: %s of %s took %v (%v)", what, w.Ring, d, err)
	}
	return err
}

// breathe pauses for nothing, for less than others spin, or for longer than they do.
func (w *worker) breathe() {
	switch w.rng.IntN(4) {
	case 0:
	case 1:
		for until := now() + w.rng.Int64N(60_000); now() < until; {
		}
	case 2:
		time.Sleep(time.Duration(w.rng.IntN(300)) * time.Microsecond)
	case 3:
		time.Sleep(time.Duration(w.rng.IntN(4000)) * time.Microsecond)
	}
	if w.sings(canaryLate, 50) {
		time.Sleep(lostAfter + time.Second)
	}
}

// channel is a stream or a queue, of which a side sends and a side takes numbers.
type channel struct {
	send func(context.Context, uint64) error
	take func(context.Context) (uint64, error)
	shut func() error
}

// sender opens the sending side of a ring, which is a stream if its path says so.
func (w *worker) sender(path string) (c channel, err error) {
	if isStream(path) {
		s, err := w.p.StreamWriter(path, ringOptions[path])
		if err != nil {
			return c, err
		}
		c.send = func(ctx context.Context, n uint64) error {
			_, err := pool.PublishValue(ctx, s, &n)
			return err
		}
		c.shut = s.Close
		return c, nil
	}
	q, err := w.p.Queue(path, ringOptions[path])
	if err != nil {
		return c, err
	}
	c.send = func(ctx context.Context, n uint64) error { return w.putNumber(ctx, q, n) }
	c.shut = func() error { return errors.Join(q.Shut(), q.Close()) }
	return c, nil
}

func (w *worker) putNumber(ctx context.Context, q *pool.Queue, n uint64) error {
	a, err := w.p.Zeros(dtype.Uint64)
	if err != nil {
		return err
	}
	defer a.Release()
	x, err := pool.Element[uint64](a)
	if err != nil {
		return err
	}
	*x = n
	return q.Put(ctx, a)
}

// taker opens the taking side.
func (w *worker) taker(path string) (c channel, err error) {
	if isStream(path) {
		r, err := w.p.StreamReader(path, pool.ReadOptions{Every: ringOptions[path].Lossless})
		if err != nil {
			return c, err
		}
		c.shut = r.Close
		c.take = func(ctx context.Context) (uint64, error) {
			next := r.Latest
			if ringOptions[path].Lossless {
				next = r.Next
			}
			f, err := next(ctx)
			if err != nil {
				return 0, err
			}
			defer f.Release()
			return number(f.Array)
		}
		return c, nil
	}
	q, err := w.p.Queue(path, ringOptions[path])
	c.shut = func() error { return q.Close() }
	c.take = func(ctx context.Context) (uint64, error) {
		it, err := q.Get(ctx)
		if err != nil {
			return 0, err
		}
		defer it.Release()
		return number(it.Array)
	}
	return c, err
}

func number(a *pool.Array) (uint64, error) {
	x, err := pool.Value[uint64](a)
	if err != nil {
		return 0, err
	}
	return *x, nil
}

// begin opens both sides of what a worker needs.
func (w *worker) begin(out, in string) (to, from channel, err error) {
	if to, err = w.sender(out); err != nil {
		return to, from, err
	}
	from, err = w.taker(in)
	return to, from, err
}

// over tells whether an error says that the other side has come to its end.
func over(err error) bool { return errors.Is(err, pool.ErrShut) || errors.Is(err, pool.ErrEnded) }

// ping sends a number and waits for it to come back.
func (w *worker) ping() error {
	to, from, err := w.begin(w.Ring, w.Back)
	if err != nil {
		return err
	}
	w.ready()
	for !w.ended.Load() {
		w.number++
		if err := w.exchange(to, from); err != nil {
			return err
		}
		w.did(1)
		w.breathe()
	}
	return errors.Join(to.shut(), from.shut())
}

// exchange is a round.
func (w *worker) exchange(to, from channel) error {
	if err := w.answered("sending", func(ctx context.Context) error { return to.send(ctx, w.number) }); err != nil {
		return err
	}
	return w.answered("an answer", func(ctx context.Context) error {
		n, err := from.take(ctx)
		if err == nil && n != w.number {
			err = found("%s: sent %d, got %d", w.Ring, w.number, n)
		}
		return err
	})
}

// pong sends back what comes.
func (w *worker) pong() error {
	to, from, err := w.begin(w.Back, w.Ring)
	if err != nil {
		return err
	}
	w.ready()
	for {
		err := w.answered("a number", func(ctx context.Context) (err error) {
			w.number, err = from.take(ctx)
			return err
		})
		if over(err) {
			return errors.Join(to.shut(), from.shut())
		}
		if err != nil {
			return err
		}
		w.breathe()
		if err := w.answered("sending", func(ctx context.Context) error { return to.send(ctx, w.number) }); err != nil {
			return err
		}
		w.did(1)
	}
}

// spokes is how many readers the hub has.
const spokes = 3

// hub publishes a frame to all spokes and waits for an answer of each, by a queue.
func (w *worker) hub() error {
	to, from, err := w.begin(w.Ring, w.Back)
	if err != nil {
		return err
	}
	w.ready()
	for !w.ended.Load() {
		w.number++
		if err := w.answered("publishing", func(ctx context.Context) error { return to.send(ctx, w.number) }); err != nil {
			return err
		}
		for range spokes {
			if err := w.answered("an answer", func(ctx context.Context) error {
				n, err := from.take(ctx)
				if err == nil && n != w.number {
					err = found("%s: published %d, got the answer %d", w.Ring, w.number, n)
				}
				return err
			}); err != nil {
				return err
			}
		}
		w.did(1)
		w.breathe()
	}
	return errors.Join(to.shut(), from.shut())
}

// spoke answers each frame. The queue of the answers is everybody's, so it does not shut it down.
func (w *worker) spoke() error {
	from, err := w.taker(w.Ring)
	if err != nil {
		return err
	}
	q, err := w.p.Queue(w.Back, ringOptions[w.Back])
	if err != nil {
		return err
	}
	w.ready()
	for {
		n := uint64(0)
		err := w.answered("a frame", func(ctx context.Context) (err error) {
			n, err = from.take(ctx)
			return err
		})
		if over(err) {
			return errors.Join(q.Close(), from.shut())
		}
		if err != nil {
			return err
		}
		w.breathe()
		if err := w.answered("putting", func(ctx context.Context) error { return w.putNumber(ctx, q, n) }); err != nil {
			return err
		}
		w.did(1)
	}
}

// fast writes a lossless stream, and waits for its readers more often than not.
func (w *worker) fast() error {
	to, err := w.sender(w.Ring)
	if err != nil {
		return err
	}
	w.ready()
	for !w.ended.Load() {
		w.number++
		if err := w.answered("publishing", func(ctx context.Context) error { return to.send(ctx, w.number) }); err != nil {
			return err
		}
		w.did(1)
		if w.rng.IntN(20) == 0 {
			w.breathe()
		}
	}
	return to.shut()
}

// slow reads all of a lossless stream.
func (w *worker) slow() error {
	from, err := w.taker(w.Ring)
	if err != nil {
		return err
	}
	w.ready()
	for last := uint64(0); ; {
		n := uint64(0)
		err := w.answered("a frame", func(ctx context.Context) (err error) {
			n, err = from.take(ctx)
			return err
		})
		if over(err) {
			return from.shut()
		}
		if err == nil && last > 0 && n != last+1 {
			err = found("%s: got %d after %d", w.Ring, n, last)
		}
		if err != nil {
			return err
		}
		last = n
		w.did(1)
		w.breathe()
	}
}

// crowdPut is one of many who put into a short queue; now and then nothing comes, so that all takers sleep.
func (w *worker) crowdPut() error {
	q, err := w.p.Queue(w.Ring, ringOptions[w.Ring])
	if err != nil {
		return err
	}
	w.ready()
	for !w.ended.Load() {
		if err := w.answered("putting", func(ctx context.Context) error { return w.putNumber(ctx, q, uint64(now())) }); err != nil {
			return err
		}
		w.did(1)
		if w.number++; w.rng.IntN(3) > 0 {
			w.breathe()
		}
	}
	return q.Close()
}

// crowdGet is one of many who get; an item that is old lay there while somebody slept.
func (w *worker) crowdGet() error {
	from, err := w.taker(w.Ring)
	if err != nil {
		return err
	}
	w.ready()
	for {
		n := uint64(0)
		err := w.answered("an item", func(ctx context.Context) (err error) {
			n, err = from.take(ctx)
			return err
		})
		if over(err) {
			return from.shut()
		}
		if age := time.Duration(now() - int64(n)); err == nil && age > lostAfter {
			err = found("lost wake-up: an item lay in %s for %v", w.Ring, age)
		}
		if err != nil {
			return err
		}
		w.did(1)
		w.breathe()
	}
}
