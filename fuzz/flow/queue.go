package main

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/ndpool/ndpool/dtype"
	"github.com/ndpool/ndpool/pool"
)

// batch is how many items a producer puts at once, and a consumer gets at once, at most.
const batch = 8

// producer puts items, and tells how many it has put.
func (w *worker) producer() error {
	q, err := w.p.Queue(w.Ring, ringOptions[w.Ring])
	if err != nil {
		return err
	}
	w.ready()
	put := 0
	for left := w.rng.IntN(4000); left > 0 && !w.ended.Load(); left-- {
		n, err := w.put(q)
		if put += n; n > 0 {
			w.say(linePut, put)
			w.did(n)
		}
		switch {
		case errors.Is(err, pool.ErrShut), err != nil && w.ended.Load():
			return q.Close()
		case err != nil:
			return err
		}
		w.pause(2 * time.Millisecond)
	}
	return q.Close()
}

// put puts one item or some, and returns how many.
func (w *worker) put(q *pool.Queue) (n int, err error) {
	switch w.rng.IntN(8) {
	case 0:
		return w.putBytes(q)
	case 1:
		return w.putBatch(q)
	case 2:
		return w.tryPut(q)
	}
	a, _, err := w.alloc(w.message())
	if err != nil {
		return 0, err
	}
	defer a.Release()
	attached := []*pool.Array{}
	if w.rng.IntN(4) == 0 {
		b, err := w.p.Zeros(dtype.Uint64, 8)
		if err != nil {
			return 0, err
		}
		defer b.Release()
		xs, err := pool.Slice[uint64](b)
		if err != nil {
			return 0, err
		}
		xs[0], xs[7] = w.Who, w.number
		attached = append(attached, b, a)
	}
	return one(w.unstuck("put", func(ctx context.Context) error { return q.Put(ctx, a, attached...) }))
}

func one(err error) (int, error) {
	if err != nil {
		return 0, err
	}
	return 1, nil
}

func (w *worker) putBytes(q *pool.Queue) (int, error) {
	b := make([]byte, headSize+8*w.rng.IntN(64))
	w.message().write(b)
	return one(w.unstuck("put", func(ctx context.Context) error { return q.PutBytes(ctx, b) }))
}

func (w *worker) tryPut(q *pool.Queue) (int, error) {
	a, _, err := w.alloc(w.message())
	if err != nil {
		return 0, err
	}
	defer a.Release()
	start := time.Now()
	ok, err := q.TryPut(a)
	if err == nil && time.Since(start) > stuck {
		err = found("a put that does not wait took %v", time.Since(start))
	}
	if !ok {
		w.number-- // it was not put, so the number is free
		return 0, err
	}
	return 1, err
}

func (w *worker) putBatch(q *pool.Queue) (n int, err error) {
	as := []*pool.Array{}
	defer func() {
		for _, a := range as {
			a.Release()
		}
	}()
	for range 1 + w.rng.IntN(batch) {
		a, _, err := w.alloc(w.message())
		if err != nil {
			return 0, err
		}
		as = append(as, a)
	}
	err = w.unstuck("put", func(ctx context.Context) error {
		n, err = q.PutBatch(ctx, as)
		return err
	})
	return n, err
}

// Modes of a consumer.
const (
	modeGet     = "get"
	modeBatch   = "batch"
	modeBack    = "back"    // it puts some back
	modeReceive = "receive" // by a channel
)

// atRisk is how many items are lost at most when a consumer is killed that has got them and not said so yet.
var atRisk = map[string]int{modeGet: 1, modeBatch: batch, modeBack: 1, modeReceive: 2}

// consumer gets items, and says at once which.
type consumer struct {
	*worker
	q    *pool.Queue
	last map[uint64]uint64 // of each producer: the number of its last item
}

func (w *worker) consumer() (err error) {
	c := &consumer{worker: w, last: map[uint64]uint64{}}
	if c.q, err = w.p.Queue(w.Ring, ringOptions[w.Ring]); err != nil {
		return err
	}
	w.ready()
	if w.Mode == modeReceive {
		err = c.receive()
	} else {
		err = c.get()
	}
	return errors.Join(err, c.q.Close())
}

// get gets items until the queue is shut down and empty, or it leaves by itself.
func (c *consumer) get() error {
	for left := c.rng.IntN(4000); left > 0 || c.ended.Load(); left-- {
		items, err := c.some()
		switch {
		case errors.Is(err, pool.ErrShut):
			return nil
		case errors.Is(err, context.DeadlineExceeded):
			continue
		case err != nil:
			return err
		}
		if c.Mode == modeBack && c.rng.IntN(5) == 0 {
			if err := c.unstuck("put back", func(ctx context.Context) error { return c.q.PutBack(ctx, items[0]) }); err != nil {
				return err
			}
			continue
		}
		if err := c.got(items); err != nil {
			return err
		}
		c.pause(2 * time.Millisecond)
	}
	return nil
}

func (c *consumer) some() (items []*pool.QueueItem, err error) {
	if c.rng.IntN(8) == 0 {
		it, ok, err := c.q.TryGet()
		if err == nil && !ok {
			err = context.DeadlineExceeded
		}
		return []*pool.QueueItem{it}, err
	}
	err = c.within(200*time.Millisecond, func(ctx context.Context) error {
		if c.Mode == modeBatch {
			items, err = c.q.GetBatch(ctx, batch)
			return err
		}
		it, err := c.q.Get(ctx)
		items = []*pool.QueueItem{it}
		return err
	})
	return items, err
}

// receive gets items by a channel, for a while at a time.
func (c *consumer) receive() error {
	for left := c.rng.IntN(40); left > 0; left-- {
		ctx, cancel := context.WithTimeout(context.Background(), time.Duration(c.rng.IntN(300))*time.Millisecond)
		open := true
		for items := c.q.Receive(ctx); open; {
			var it *pool.QueueItem
			if it, open = <-items; !open {
				break
			}
			if err := c.got([]*pool.QueueItem{it}); err != nil {
				cancel()
				return err
			}
			c.pause(2 * time.Millisecond)
		}
		shut := ctx.Err() == nil
		cancel()
		if shut {
			return nil
		}
	}
	return nil
}

// got says which items came, checks and releases them. In the queue into which nothing is put back the items of a producer come
// in their order.
func (c *consumer) got(items []*pool.QueueItem) (err error) {
	words := []string{}
	for _, it := range items {
		m, e := c.check(it)
		if err = errors.Join(err, e); e != nil {
			continue
		}
		if c.number++; c.Canary == canaryDrop && c.number > 10 {
			continue
		}
		words = append(words, fmt.Sprintf("%d:%d", m.Who, m.Number))
		if c.sings(canaryTwice, 10) {
			words = append(words, words[0])
		}
		if c.Ring == fifoQueue && m.Number <= c.last[m.Who] {
			err = errors.Join(err, found("queue %s: item %d of process %d after %d", c.Ring, m.Number, m.Who, c.last[m.Who]))
		}
		c.last[m.Who] = m.Number
	}
	if len(words) > 0 {
		c.say(lineGot, strings.Join(words, " "))
	}
	c.did(len(items))
	for _, it := range items {
		it.Release()
	}
	return err
}

// check checks an item, whatever it is.
func (c *consumer) check(it *pool.QueueItem) (m message, err error) {
	return checkItem(it, c.Ring)
}

func checkItem(it *pool.QueueItem, ring string) (m message, err error) {
	b, err := it.Array.Bytes() // of every kind
	if err != nil {
		return m, err
	}
	if it.Kind == pool.ItemPickle {
		if b, err = inPickle(b); err != nil {
			return m, err
		}
	}
	if m, err = read(b, ring); err != nil {
		return m, err
	}
	if it.Kind != pool.ItemArray || len(it.Attached) == 0 {
		return m, nil
	}
	xs, err := pool.Slice[uint64](it.Attached[0])
	if err != nil {
		return m, err
	}
	if len(it.Attached) != 2 || len(xs) != 8 || xs[0] != m.Who || xs[7] != m.Number || it.Attached[1].Handle() != it.Array.Handle() {
		return m, found("queue %s: item %d of process %d: attached %d arrays, first %v", ring, m.Number, m.Who, len(it.Attached), xs)
	}
	return m, nil
}

// inPickle finds the message inside a Python pickle: it lies there as it is.
func inPickle(b []byte) ([]byte, error) {
	mark := binary.LittleEndian.AppendUint64(nil, magic)
	at := bytes.Index(b, mark)
	if at < 0 || len(b)-at < headSize {
		return nil, found("a pickle of %d bytes without a message", len(b))
	}
	n := binary.LittleEndian.Uint64(b[at+3*8:])
	if n > uint64(len(b)-at) {
		return nil, found("a pickle of %d bytes with a message of %d", len(b), n)
	}
	return b[at : at+int(n)], nil
}
