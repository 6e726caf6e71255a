package main

import (
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/ndpool/ndpool/handle"
	"github.com/ndpool/ndpool/pool"
)

// createWithRoom makes a pool for so many arrays and one more.
func (b *bench) createWithRoom(arrays, size int) (*pool.Pool, error) {
	if b.size <= 0 || b.size%64 != 0 {
		return nil, fmt.Errorf("size %d is not a multiple of 64", b.size)
	}
	return b.create(uint64(arrays+1)*uint64(size+size/8)+64*mib, arrays+4096)
}

// attach is a child's: it opens the pool.
func (b *bench) attach() (*pool.Pool, error) {
	b.child = true
	return pool.Open(poolName, pool.Options{Dir: b.place})
}

// leave ends the parent's end, when everybody has let go of everything.
func (b *bench) leave(p *pool.Pool) error {
	s, err := p.Stats()
	if err != nil {
		return err
	}
	if left := s.Arrays - s.Names; left != 0 { // the one name is the queue's, which is a block as well
		return fmt.Errorf("%d arrays are left", left)
	}
	return p.Close()
}

// token is a transfer's 16 bytes.
type token [16]byte

func (t *token) put(x handle.Transfer) {
	binary.LittleEndian.PutUint64(t[:], uint64(x.Handle))
	binary.LittleEndian.PutUint64(t[8:], uint64(x.Ticket))
}

func (t *token) get() handle.Transfer {
	h, ticket := binary.LittleEndian.Uint64(t[:]), binary.LittleEndian.Uint64(t[8:])
	return handle.Transfer{Handle: handle.Handle(h), Ticket: handle.Ticket(ticket)}
}

// serve reads tokens and answers each, until the parent has no more.
func (b *bench) serve(one func(*pool.Pool, *token) (byte, error)) error {
	p, err := b.attach()
	if err != nil {
		return err
	}
	defer p.Close()
	var t token
	for err = answer(0); err == nil; {
		ok, e := read(in, t[:])
		if e != nil || !ok {
			return e
		}
		a, e := one(p, &t)
		if e != nil {
			return e
		}
		err = answer(a)
	}
	return err
}

// ---- handover: allocate, copy in, hand over; the other reads all of it, lets go, answers; free

func (c *child) give(x pool.Block, t *token) error {
	transfer, err := x.Send()
	if err != nil {
		return err
	}
	t.put(transfer)
	return write(c.to, t[:])
}

func handover(b *bench) error {
	p, err := b.createWithRoom(1, b.size)
	if err != nil {
		return err
	}
	defer p.Close()
	source := newSource(b.size)
	cs, err := b.startAll(1, "reader")
	if err != nil {
		return err
	}
	var t token
	err = b.rounds(1, 3, func(k uint64) error {
		x, err := p.AllocBlock(b.size)
		if err != nil {
			return err
		}
		defer x.Release()
		source[0] = k
		copy(words(x), source)
		if err := cs[0].give(x, &t); err != nil {
			return err
		}
		return cs[0].expect(byte(k))
	})
	return errors.Join(err, finishAll(cs), b.leave(p))
}

func reader(b *bench) error {
	return b.serve(func(p *pool.Pool, t *token) (byte, error) {
		x, err := p.AdoptBlock(t.get())
		if err != nil {
			return 0, err
		}
		defer x.Release()
		return readAll(words(x))
	})
}

// ---- pass: the array is there already; the other reads the first 8 bytes

func pass(b *bench) error {
	p, err := b.createWithRoom(1, b.size)
	if err != nil {
		return err
	}
	defer p.Close()
	x, err := p.AllocBlock(b.size)
	if err != nil {
		return err
	}
	copy(words(x), newSource(b.size))
	words(x)[0] = 77
	cs, err := b.startAll(1, "looker")
	if err != nil {
		return err
	}
	var t token
	err = b.rounds(10, 10, func(uint64) error {
		if err := cs[0].give(x, &t); err != nil {
			return err
		}
		return cs[0].expect(77)
	})
	x.Release()
	return errors.Join(err, finishAll(cs), b.leave(p))
}

func looker(b *bench) error {
	return b.serve(func(p *pool.Pool, t *token) (byte, error) {
		x, err := p.AdoptBlock(t.get())
		if err != nil {
			return 0, err
		}
		defer x.Release()
		return byte(words(x)[0]), nil
	})
}

// ---- fanout: as handover, to several readers at once, by a handle that they retain while this process holds the block

func fanout(b *bench) error {
	p, err := b.createWithRoom(1, b.size)
	if err != nil {
		return err
	}
	defer p.Close()
	source := newSource(b.size)
	cs, err := b.startAll(b.readers, "sharer")
	if err != nil {
		return err
	}
	var t token
	err = b.rounds(1, 3, func(k uint64) error {
		x, err := p.AllocBlock(b.size)
		if err != nil {
			return err
		}
		defer x.Release()
		source[0] = k
		copy(words(x), source)
		t.put(handle.Transfer{Handle: x.Handle()})
		for _, c := range cs {
			if err := write(c.to, t[:]); err != nil {
				return err
			}
		}
		for _, c := range cs {
			if err := c.expect(byte(k)); err != nil {
				return err
			}
		}
		return nil
	})
	return errors.Join(err, finishAll(cs), b.leave(p))
}

func sharer(b *bench) error {
	return b.serve(func(p *pool.Pool, t *token) (byte, error) {
		a, err := p.Retain(t.get().Handle)
		if err != nil {
			return 0, err
		}
		defer a.Release()
		bytes, err := a.Bytes()
		if err != nil {
			return 0, err
		}
		return readAll(asWords(bytes))
	})
}

// ---- open

func openPool(b *bench) error {
	switch b.what {
	case "create":
		return b.times(func() (*pool.Pool, error) { return b.create(1024*mib, 0) })
	case "attach":
		p, err := b.create(1024*mib, 0)
		if err != nil {
			return err
		}
		defer p.Close()
		return b.times(func() (*pool.Pool, error) { return pool.Open(poolName, pool.Options{Dir: b.place}) })
	}
	return errors.New("what=create or what=attach")
}

func (b *bench) times(open func() (*pool.Pool, error)) error {
	for until := b.until(1); b.more(until, 3); {
		began := time.Now()
		p, err := open()
		b.sample(us(began))
		if err != nil {
			return err
		}
		if err := p.Close(); err != nil {
			return err
		}
	}
	return nil
}

// ---- recovery: a child that holds arrays of 64 bytes is killed

const heldBytes = 64

func recovery(b *bench) error {
	p, err := b.createWithRoom(b.holds, 2*heldBytes)
	if err != nil {
		return err
	}
	defer p.Close()
	for until := b.until(1); b.more(until, 3); {
		cs, err := b.startAll(1, "holder")
		if err == nil {
			err = b.recover(p, cs[0])
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// recover measures from the kill until the dead process is swept; that its arrays are gone then is checked behind the clock.
func (b *bench) recover(p *pool.Pool, c *child) error {
	before, err := p.Stats()
	if err != nil {
		return err
	}
	if before.Arrays != b.holds {
		return fmt.Errorf("%d arrays held (want %d)", before.Arrays, b.holds)
	}
	began := time.Now()
	if err := c.cmd.Process.Kill(); err != nil {
		return err
	}
	for swept := 0; swept == 0; {
		r, err := p.Reap()
		if err != nil {
			return err
		}
		if swept = r.Processes; swept == 0 && time.Since(began) > time.Minute {
			return errors.New("the dead process is not swept after a minute")
		}
	}
	b.sample(ms(began))
	after, err := p.Stats()
	if err != nil {
		return err
	}
	if after.Arrays != 0 {
		return fmt.Errorf("%d arrays left", after.Arrays)
	}
	if c.finish() == nil {
		return errors.New("the child ended by itself")
	}
	return nil
}

func holder(b *bench) error {
	p, err := b.attach()
	if err != nil {
		return err
	}
	for range b.holds {
		if _, err := p.AllocBlock(heldBytes); err != nil {
			return err
		}
	}
	if err := answer(0); err != nil {
		return err
	}
	_, err = read(in, make([]byte, 1)) // which never comes
	return err
}
