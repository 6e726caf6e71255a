package main

import (
	"errors"
	"fmt"
	"time"

	"github.com/ndpool/ndpool/dtype"
	"github.com/ndpool/ndpool/handle"
	"github.com/ndpool/ndpool/pool"
)

// secondOptions are those of the second pool, which workers open or create, use and leave.
func secondOptions(dir string) pool.Options {
	return pool.Options{Dir: dir, Capacity: 4 << 20, Arrays: 1024, Processes: 64, Tickets: 256, Names: 1024, Grace: 200 * time.Millisecond, LockWait: time.Minute}
}

// others are the lane's attachments beside the worker's own.
type others struct {
	clone  *pool.Pool // of the same pool: another slot of the same process
	second *pool.Pool
	known  handle.Segment // of the second pool, as it was last seen
	held   []*pool.Array  // in the second pool
}

// closeOthers leaves them.
func (l *lane) closeOthers() error { return errors.Join(l.closeClone(), l.closeSecond()) }

// clone opens the pool once more, hands arrays to that and back, or leaves it.
func (l *lane) clone() error {
	if l.others.clone == nil {
		return l.openClone()
	}
	c := l.others.clone
	if l.rng.IntN(10) == 0 {
		return l.closeClone()
	}
	a := l.whole()
	t, err := a.SendTo(c.Self())
	if err != nil {
		return err
	}
	if b, err := l.p.Adopt(t); !errors.Is(err, pool.ErrNotReceiver) {
		if err == nil {
			b.Release()
		}
		return faultf("adopt %v, which is for %v: %v", t, c.Self(), err)
	}
	b, err := c.Adopt(t)
	if errors.Is(err, pool.ErrRecalled) { // by another lane's recall of what is old
		return err
	}
	if err != nil {
		return faultf("adopt %v to %v: %v", t, c.Self(), err)
	}
	defer b.Release()
	if err := l.check(b); err != nil {
		return err
	}
	if err := a.Seal(false); !anyOf(err, pool.ErrHeld, pool.ErrSealed) {
		return faultf("seal %v, which slot %v holds, too: %v", a.Handle(), c.Self(), err)
	}
	n, err := c.Alloc(dtype.Uint64, 1+l.rng.IntN(500))
	if err != nil {
		return err
	}
	defer n.Release()
	fill(n)
	if t, err = n.Send(); err != nil {
		return err
	}
	return l.say(lineTransfer, t)
}

func (l *lane) openClone() (err error) {
	o := pool.Options{Dir: l.Dir}
	if l.rng.IntN(2) == 0 {
		if o.File, err = l.p.File(); err != nil {
			return err
		}
		defer o.File.Close()
	}
	c, err := pool.Open(poolName, o)
	if errors.Is(err, pool.ErrNotExist) {
		return nil // somebody has unlinked it
	}
	if err != nil {
		return err
	}
	l.others.clone = c
	if c.Self() == l.p.Self() || c.Segment() != l.p.Segment() {
		return faultf("clone: got process %v of %v, beside %v of %v", c.Self(), c.Segment(), l.p.Self(), l.p.Segment())
	}
	return nil
}

func (l *lane) closeClone() error {
	c := l.others.clone
	l.others.clone = nil
	if c == nil {
		return nil
	}
	return c.Close()
}

// second opens or creates the second pool, uses it, or leaves it. Its name is unlinked now and then; who is attached goes on.
func (l *lane) second() error {
	o := &l.others
	if o.second == nil {
		p, err := pool.OpenOrCreate(secondName, secondOptions(l.Dir))
		if err != nil {
			return err
		}
		if o.second = p; p.Segment() != o.known {
			o.known = p.Segment()
			l.tally.add("second_new")
		}
		return nil
	}
	switch n := l.rng.IntN(20); {
	case n < 1:
		return l.closeSecond()
	case n < 8:
		return l.secondAlloc()
	case n < 12:
		return l.secondNames()
	case n < 14:
		return l.mixed()
	case n < 15:
		if _, err := o.second.Reap(); err != nil {
			return err
		}
		if _, err := pool.Reap(secondName, pool.Options{Dir: l.Dir}); !errors.Is(err, pool.ErrNotExist) {
			return err
		}
		return nil // somebody has unlinked it
	case len(o.held) > 0:
		k := l.rng.IntN(len(o.held))
		a := o.held[k]
		defer a.Release()
		o.held = append(o.held[:k:k], o.held[k+1:]...)
		return l.check(a)
	}
	return nil
}

func (l *lane) secondAlloc() error {
	o := &l.others
	if len(o.held) > 10 {
		return nil
	}
	a, err := o.second.Alloc(dtype.Uint64, 1+l.rng.IntN(4000))
	if err != nil {
		return err
	}
	fill(a)
	o.held = append(o.held, a)
	t, err := a.Send()
	if err != nil {
		return err
	}
	b, err := o.second.Adopt(t)
	if err != nil {
		return faultf("adopt %v in the second pool: %v", t, err)
	}
	defer b.Release()
	return l.check(b)
}

// secondName publishes an array in the second pool, or looks one up that somebody has.
func (l *lane) secondNames() error {
	o := &l.others
	path := fmt.Sprintf("x/%d", l.rng.IntN(sharedNames))
	if len(o.held) > 0 && l.rng.IntN(2) == 0 {
		_, err := o.second.Publish(path, o.held[l.rng.IntN(len(o.held))], pool.Publish{Mode: pool.PublishMerge})
		return err
	}
	a, err := o.second.Lookup(path)
	if err != nil {
		return err
	}
	defer a.Release()
	return l.check(a)
}

// mixed brings things of the one pool to the other, which must refuse them.
func (l *lane) mixed() error {
	if len(l.held) == 0 {
		return nil
	}
	m := handle.Message{Segment: l.p.Segment(), Handle: l.any().Handle()}
	if a, err := l.others.second.Receive(m); !errors.Is(err, pool.ErrForeignHandle) {
		if err == nil {
			a.Release()
		}
		return faultf("receive %v in the second pool: %v", m, err)
	}
	a := l.whole()
	if a.IsView() {
		return nil
	}
	if _, err := l.others.second.Publish("x/wrong", a); !errors.Is(err, pool.ErrForeignHandle) {
		return faultf("publish %v in the second pool: %v", a.Handle(), err)
	}
	return nil
}

func (l *lane) closeSecond() (err error) {
	o := &l.others
	for _, a := range o.held {
		err = errors.Join(err, l.check(a))
		a.Release()
	}
	o.held = nil
	if o.second != nil {
		err = errors.Join(err, o.second.Close())
	}
	o.second = nil
	return err
}
