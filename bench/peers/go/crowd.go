package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/ndpool/ndpool/dtype"
	"github.com/ndpool/ndpool/pool"
)

// A crowd: producers allocate, copy in and put into a queue of the pool; consumers get, read all and let go.

const (
	unread    = 8 // entries of the queue, per producer
	windows   = 10
	queueName = "crowd"
)

func crowd(b *bench) error {
	p, err := b.createWithRoom((unread+2)*b.producers+2*b.consumers, b.size)
	if err != nil {
		return err
	}
	defer p.Close()
	q, err := p.Queue(queueName, pool.RingOptions{Entries: unread * b.producers})
	if err != nil {
		return err
	}
	defer q.Close()
	c, err := b.openControl()
	if err != nil {
		return err
	}
	consumers, err := b.startAll(b.consumers, "consumer")
	if err != nil {
		return err
	}
	producers, err := b.startAll(b.producers, "producer")
	if err != nil {
		return err
	}
	if err := errors.Join(number(consumers), number(producers)); err != nil {
		return err
	}
	failed := make(chan error, len(consumers)+len(producers))
	watch(consumers, failed)
	watch(producers, failed)
	if err := b.windows(c, failed); err != nil {
		return err
	}
	c.stop.Store(1)
	if err := await(len(producers), failed); err != nil {
		return err
	}
	if err := q.Shut(); err != nil {
		return err
	}
	if err := await(len(consumers), failed); err != nil {
		return err
	}
	if made, got := total(c.made[:]), total(c.got[:]); made != got {
		return fmt.Errorf("%d messages made, %d got", made, got)
	}
	return b.leave(p)
}

// number tells each child which of its kind it is, upon which it begins.
func number(cs []*child) error {
	for k, c := range cs {
		if err := write(c.to, []byte{byte(k)}); err != nil {
			return err
		}
	}
	return nil
}

func watch(cs []*child, ended chan<- error) {
	for _, c := range cs {
		go func() { ended <- c.cmd.Wait() }()
	}
}

func await(n int, ended <-chan error) error {
	for range n {
		if err := <-ended; err != nil {
			return fmt.Errorf("a child failed: %w", err)
		}
	}
	return nil
}

// windows samples the messages per second that were got, after a warm-up.
func (b *bench) windows(c *control, ended <-chan error) error {
	for k := range windows + 2 {
		began, before := time.Now(), total(c.got[:])
		select {
		case err := <-ended:
			return fmt.Errorf("a child has ended: %v", err)
		case <-time.After(b.budget / windows):
		}
		if k >= 2 {
			b.sample(float64(total(c.got[:])-before) / time.Since(began).Seconds())
		}
	}
	return nil
}

// joinCrowd is what all children of a crowd begin with.
func (b *bench) joinCrowd() (p *pool.Pool, q *pool.Queue, c *control, me byte, err error) {
	if p, err = b.attach(); err != nil {
		return
	}
	if q, err = p.Queue(queueName, pool.RingOptions{}); err != nil {
		return
	}
	if c, err = b.openControl(); err != nil {
		return
	}
	if err = answer(0); err != nil {
		return
	}
	var n [1]byte
	ok, err := read(in, n[:])
	if err == nil && !ok {
		err = errors.New("the parent has ended")
	}
	return p, q, c, n[0], err
}

func producer(b *bench) error {
	p, q, c, me, err := b.joinCrowd()
	if err != nil {
		return err
	}
	defer p.Close()
	defer q.Close()
	source := newSource(b.size)
	for n := uint64(1); c.stop.Load() == 0; n++ {
		source[0] = n
		if err := put(p, q, source); err != nil {
			return err
		}
		c.made[me].n.Add(1)
	}
	return nil
}

func put(p *pool.Pool, q *pool.Queue, source []uint64) error {
	a, err := p.Alloc(dtype.Uint64, len(source))
	if err != nil {
		return err
	}
	defer a.Release()
	bytes, err := a.Bytes()
	if err != nil {
		return err
	}
	copy(asWords(bytes), source)
	return q.Put(context.Background(), a)
}

func consumer(b *bench) error {
	p, q, c, me, err := b.joinCrowd()
	if err != nil {
		return err
	}
	defer p.Close()
	defer q.Close()
	for {
		it, err := q.Get(context.Background())
		if errors.Is(err, pool.ErrShut) {
			return nil
		}
		if err != nil {
			return err
		}
		if err := consume(it); err != nil {
			return err
		}
		c.got[me].n.Add(1)
	}
}

func consume(it *pool.QueueItem) error {
	defer it.Release()
	bytes, err := it.Array.Bytes()
	if err != nil {
		return err
	}
	_, err = readAll(asWords(bytes))
	return err
}
