package main

import (
	"errors"

	"github.com/ndpool/ndpool/dtype"
	"github.com/ndpool/ndpool/handle"
	"github.com/ndpool/ndpool/pool"
)

// forge does something that must be refused, and with the error that says why.
func (l *lane) forge() error {
	all := []func(*lane) (string, error, error){
		wrongNonce, wrongTicket, wrongHandle, twice, foreignSegment, foreignGranule, otherGeneration, viewBeyond, deadReceiver, secondReference,
		sendView, publishView, wrongType, tooManyDims, tooLarge, wrongPath, group, notLocked, badAttrs, badName, otherOptions, queueAsArray,
	}
	what, got, want := all[l.rng.IntN(len(all))](l)
	l.remark(what)
	if errors.Is(got, want) {
		return nil
	}
	if _, ok := expected(got); ok {
		return got // for a reason of its own, before it came to that
	}
	return faultf("%s: got %v, expected %v", what, got, want)
}

// refused tells what came of it; an array that should not have been got is released.
func refused(what string, a *pool.Array, err, want error) (string, error, error) {
	if err == nil {
		a.Release()
	}
	return what, never(err), want
}

// errDone stands for success where there must be none.
var errDone = errors.New("nobody has refused it")

func never(err error) error {
	if err == nil {
		return errDone
	}
	return err
}

// transfer opens one of an array of the lane, not of a view, that must be recalled.
func (l *lane) transfer() (handle.Transfer, error) {
	m, err := l.any().Message()
	return m.Transfer(), err
}

// back recalls a transfer that nobody knows of. That must succeed, unless the pool is in need of something.
func (l *lane) back(what string, t handle.Transfer, got, want error) (string, error, error) {
	if err := l.p.Recall(t); err != nil && !errors.Is(err, pool.ErrRecalled) { // by another lane's recall of what is old
		return what + ", recall", faultf("%v", err), nil
	}
	return what, got, want
}

func wrongNonce(l *lane) (string, error, error) {
	t, err := l.transfer()
	if err != nil {
		return "send", err, nil
	}
	f := t
	f.Ticket = handle.NewTicket(t.Ticket.Index(), t.Ticket.Nonce()+1<<20)
	a, err := l.p.Adopt(f)
	what, got, want := refused("adopt a ticket of the future", a, err, pool.ErrForged)
	return l.back(what, t, got, want)
}

func wrongTicket(l *lane) (string, error, error) {
	a, err := l.p.Adopt(handle.Transfer{Handle: l.any().Handle(), Ticket: handle.NewTicket(1<<31, 1)})
	return refused("adopt a ticket beyond the table", a, err, pool.ErrForged)
}

func wrongHandle(l *lane) (string, error, error) {
	t, err := l.transfer()
	if err != nil {
		return "send", err, nil
	}
	f := t
	f.Handle = handle.New(t.Handle.Granule(), t.Handle.Generation()+1<<30)
	a, err := l.p.Adopt(f)
	what, got, want := refused("adopt a ticket for another handle", a, err, pool.ErrForged)
	return l.back(what, t, got, want)
}

// twice adopts its own transfer, and once more.
func twice(l *lane) (string, error, error) {
	t, err := l.transfer()
	if err != nil {
		return "send", err, nil
	}
	a, err := l.p.Adopt(t)
	if errors.Is(err, pool.ErrRecalled) { // by another lane's recall of what is old
		return "adopt", err, nil
	}
	if err != nil {
		return "adopt what nobody else knows of", faultf("%v", err), nil
	}
	defer a.Release()
	if err := l.check(a); err != nil {
		return "adopt", err, nil
	}
	b, err := l.p.Adopt(t)
	return refused("adopt twice", b, err, pool.ErrSpent)
}

func foreignSegment(l *lane) (string, error, error) {
	m := handle.Message{Segment: l.p.Segment(), Handle: l.any().Handle()}
	m.Segment[l.rng.IntN(len(m.Segment))] ^= 1
	a, err := l.p.Receive(m)
	return refused("receive a message of another segment", a, err, pool.ErrForeignHandle)
}

func foreignGranule(l *lane) (string, error, error) {
	a, err := l.p.Retain(handle.New([]uint32{0, 1<<32 - 1, 1, l.any().Handle().Granule() ^ 1}[l.rng.IntN(4)], 1))
	return refused("retain a handle that leads to no descriptor", a, err, pool.ErrForeignHandle)
}

// otherGeneration asks for what is no more, or not yet. The next generation may be there by the time it is asked for, and need
// not be filled yet.
func otherGeneration(l *lane) (string, error, error) {
	h := l.any().Handle()
	a, err := l.p.Retain(handle.New(h.Granule(), h.Generation()-1))
	if err == nil || l.rng.IntN(2) == 0 {
		return refused("retain the generation before", a, err, pool.ErrStale)
	}
	a, err = l.p.Retain(handle.New(h.Granule(), h.Generation()+1<<30))
	return refused("retain a generation that never was", a, err, pool.ErrStale)
}

// viewBeyond asks for bytes behind the block. The transfer is not spent by that.
func viewBeyond(l *lane) (string, error, error) {
	m, err := l.any().Message()
	if err != nil {
		return "message", err, nil
	}
	f := m
	f.View = &handle.View{Offset: 1 << 40, DType: dtype.Uint8, Shape: []int{1}, Strides: []int{1}}
	a, err := l.p.Receive(f)
	what, got, want := refused("receive a view behind the block", a, err, pool.ErrMismatch)
	return l.back(what, m.Transfer(), got, want)
}

func deadReceiver(l *lane) (string, error, error) {
	self := l.p.Self()
	_, err := l.any().MessageTo(self + 1<<40)
	return "send to a process that never was", never(err), pool.ErrDead
}

func secondReference(l *lane) (string, error, error) {
	a := l.any()
	b, err := l.p.Retain(a.Handle())
	if err != nil {
		return "retain what is held", faultf("%v", err), nil
	}
	defer b.Release()
	if a.IsView() || a.IsSealed() {
		err := a.Seal(false)
		return "seal a view, or what is sealed", never(err), map[bool]error{true: pool.ErrView, false: pool.ErrSealed}[a.IsView()]
	}
	return "seal with two references", never(a.Seal(false)), pool.ErrHeld
}

func sendView(l *lane) (string, error, error) {
	v, err := l.any().Transpose()
	if err != nil {
		return "transpose", err, nil
	}
	defer v.Release()
	_, err = v.Send()
	return "send a view", never(err), pool.ErrView
}

func publishView(l *lane) (string, error, error) {
	v, err := l.any().Transpose()
	if err != nil {
		return "transpose", err, nil
	}
	defer v.Release()
	_, err = l.p.Publish("s/0", v, pool.Publish{Mode: pool.PublishMerge})
	return "publish a view", never(err), pool.ErrView
}

func wrongType(l *lane) (string, error, error) {
	_, err := pool.Slice[struct{ A, B int32 }](l.any())
	return "slice of another type", never(err), pool.ErrMismatch
}

func tooManyDims(l *lane) (string, error, error) {
	shape := make([]int, 65)
	if l.rng.IntN(2) == 0 {
		shape = []int{3, -1}
	}
	a, err := l.p.Alloc(dtype.Uint8, shape...)
	return refused("allocate what no array can be", a, err, pool.ErrSpec)
}

func tooLarge(l *lane) (string, error, error) {
	a, err := l.p.Alloc(dtype.Uint8, 1<<40)
	return refused("allocate more than the pool has", a, err, pool.ErrFull)
}

func wrongPath(l *lane) (string, error, error) {
	a, err := l.p.Lookup([]string{"", "a//b", "../x", "a/./b", "/s", "s/"}[l.rng.IntN(6)])
	return refused("look up what is no path", a, err, pool.ErrPath)
}

func group(l *lane) (string, error, error) {
	a, err := l.p.Lookup("l")
	return refused("look up a group", a, err, pool.ErrGroup)
}

func notLocked(l *lane) (string, error, error) {
	path := l.own() + "/locked"
	if _, err := l.p.Publish(path, l.whole(), pool.Publish{Mode: pool.PublishOverwrite}); err != nil {
		return "publish", err, nil
	}
	k, err := l.p.LockOf(path)
	if err != nil {
		return "lock of an own name", faultf("%v", err), nil
	}
	got := never(k.Unlock())
	if err := l.p.Remove(path); err != nil {
		return "remove an own name", faultf("%v", err), nil
	}
	return "unlock what is not locked", got, pool.ErrNotLocked
}

func badAttrs(l *lane) (string, error, error) {
	_, err := l.p.SetAttrs("l/0", pool.Attrs{"x": func() {}})
	return "attributes that are none", never(err), pool.ErrAttributes
}

func badName(l *lane) (string, error, error) {
	p, err := pool.Open("a/b", pool.Options{Dir: l.Dir})
	if err == nil {
		err = errors.Join(errDone, p.Close())
	}
	return "open what no file can be named", err, pool.ErrName
}

func otherOptions(l *lane) (string, error, error) {
	p, err := pool.Open(poolName, pool.Options{Dir: l.Dir, Capacity: 4096})
	if err == nil {
		err = errors.Join(errDone, p.Close())
	}
	if errors.Is(err, pool.ErrNotExist) { // somebody has unlinked it
		err = pool.ErrOptions
	}
	return "open with another capacity", err, pool.ErrOptions
}

// queueAsArray adopts and retains a queue as what it is not. Its transfer is not spent by that.
func queueAsArray(l *lane) (string, error, error) {
	q, err := l.p.Queue("", pool.RingOptions{Entries: 4})
	if err != nil {
		return "queue", err, nil
	}
	defer q.Close()
	t, err := q.Send()
	if err != nil {
		return "send a queue", err, nil
	}
	a, err := l.p.Adopt(t)
	if what, got, want := refused("adopt a queue as an array", a, err, pool.ErrKind); !errors.Is(got, want) {
		return what, got, want
	}
	again, err := l.p.AdoptQueue(t)
	if err != nil {
		return "adopt a queue", faultf("%v", err), nil
	}
	if err := again.Close(); err != nil {
		return "close a queue", err, nil
	}
	a, err = l.p.Retain(q.Handle())
	return refused("retain a queue as an array", a, err, pool.ErrKind)
}
