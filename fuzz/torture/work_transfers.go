package main

import (
	"errors"
	"strings"
	"time"

	"github.com/ndpool/ndpool/handle"
	"github.com/ndpool/ndpool/pool"
)

// sent is a transfer that a lane has opened.
type sent struct {
	t  handle.Transfer
	to pool.ProcessID // 0: anybody
}

// maxSent is how many of its transfers a lane remembers.
const maxSent = 16

func (l *lane) remember(s sent) {
	l.remark(s.t.Handle.String())
	l.sent = append(l.sent, s)
	if len(l.sent) > maxSent {
		l.sent = l.sent[1:]
	}
}

// giveHandle tells a bare handle: also that of a view, which is its block's.
func (l *lane) giveHandle() error {
	h := l.any().Handle()
	l.remark(h.String())
	return l.say(lineHandle, h)
}

// send opens a transfer to anybody. A view has none.
func (l *lane) send() error {
	a := l.any()
	t, err := a.Send()
	if a.IsView() != errors.Is(err, pool.ErrView) {
		return faultf("send %v, view %v: %v", a.Handle(), a.IsView(), err)
	}
	if err != nil {
		return err
	}
	l.remember(sent{t: t})
	return l.say(lineTransfer, t)
}

// someone returns a process of the pool, at times this one or a dead one.
func (l *lane) someone() pool.ProcessID {
	to := l.p.Self()
	for x := range l.p.Processes() {
		if l.rng.IntN(3) == 0 {
			to = x.ID
		}
	}
	return to
}

func (l *lane) sendTo() error {
	a, to := l.any(), l.someone()
	if a.IsView() {
		return l.messageOf(a, to)
	}
	t, err := a.SendTo(to)
	if err != nil {
		return err
	}
	l.remember(sent{t: t, to: to})
	return l.say(lineDirected, to, t)
}

// message opens a transfer in its long form, of a view too, at times to one process.
func (l *lane) message() error {
	to := pool.ProcessID(0)
	if l.rng.IntN(3) == 0 {
		to = l.someone()
	}
	return l.messageOf(l.any(), to)
}

func (l *lane) messageOf(a *pool.Array, to pool.ProcessID) error {
	m, err := a.MessageTo(to)
	if err != nil {
		return err
	}
	l.remember(sent{t: m.Transfer(), to: to})
	if m, err = l.encode(m); err != nil {
		return err
	}
	if to != 0 {
		return l.say(lineDirected, to, m)
	}
	return l.say(lineTransfer, m)
}

// encode brings a message through one of its other forms.
func (l *lane) encode(m handle.Message) (handle.Message, error) {
	var b []byte
	var err error
	var n handle.Message
	if l.rng.IntN(2) == 0 {
		if b, err = m.MarshalBinary(); err == nil {
			err = n.UnmarshalBinary(b)
		}
	} else if b, err = m.MarshalJSON(); err == nil {
		err = n.UnmarshalJSON(b)
	}
	if err != nil || !n.Equal(m) {
		return m, faultf("message %v came back as %v: %v", m, n, err)
	}
	return n, nil
}

// take does what a line says: it adopts, or retains, and keeps what it got.
func (l *lane) take(line string) error {
	kind, text, _ := strings.Cut(line, " ")
	l.note = "take"
	if err := l.makeRoom(); err != nil {
		return err
	}
	ro := pool.ReadOnly(l.rng.IntN(4) == 0)
	if kind == lineHandle {
		h, err := handle.ParseHandle(text)
		if err != nil {
			return faultf("line %q: %v", line, err)
		}
		a, err := l.p.Retain(h, ro)
		return l.got(a, err, h, ro)
	}
	if l.rng.IntN(20) == 0 {
		return nil // lost on the way
	}
	if strings.HasPrefix(text, "ndpool1:") {
		m, err := handle.ParseMessage(text)
		if err != nil {
			return faultf("line %q: %v", line, err)
		}
		a, err := l.p.Receive(m, ro)
		return l.got(a, err, m.Handle, ro)
	}
	t, err := handle.ParseTransfer(text)
	if err != nil {
		return faultf("line %q: %v", line, err)
	}
	if l.rng.IntN(10) == 0 {
		if err := l.recallForeign(t); err != nil {
			return err
		}
	}
	a, err := l.p.Adopt(t, ro)
	if errors.Is(err, pool.ErrKind) {
		return l.takeQueue(t)
	}
	return l.got(a, err, t.Handle, ro)
}

// got keeps what was asked for. Who has a queue's handle learns that it is one.
func (l *lane) got(a *pool.Array, err error, h handle.Handle, ro pool.ReadOnly) error {
	if errors.Is(err, pool.ErrKind) {
		return l.retainQueue(h)
	}
	if err != nil {
		return err
	}
	if a.Handle() != h || bool(ro) && !a.IsReadOnly() {
		a.Release()
		return faultf("asked for %v, read-only %v: got %v, read-only %v", h, ro, a.Handle(), a.IsReadOnly())
	}
	l.tally.add("adopted")
	l.remark(h.String())
	return l.hold(a)
}

// recallForeign tries to take back what somebody else has sent, in most cases.
func (l *lane) recallForeign(t handle.Transfer) error {
	err := l.p.Recall(t)
	if err == nil || anyOf(err, pool.ErrNotSender, pool.ErrSpent, pool.ErrExpired, pool.ErrRecalled) {
		return nil
	}
	return faultf("recall %v of another process: %v", t, err)
}

// recall takes one of its own transfers back. It is spent then, for everybody.
func (l *lane) recall() error {
	if len(l.sent) == 0 {
		return nil
	}
	k := l.rng.IntN(len(l.sent))
	s := l.sent[k]
	l.sent = append(l.sent[:k:k], l.sent[k+1:]...)
	err := l.p.Recall(s.t)
	if err != nil && !anyOf(err, pool.ErrSpent, pool.ErrExpired, pool.ErrRecalled) {
		return faultf("recall %v to %v: %v", s.t, s.to, err)
	}
	for range 2 {
		a, err := l.p.Adopt(s.t)
		if err == nil {
			a.Release()
		}
		if !anyOf(err, pool.ErrSpent, pool.ErrExpired, pool.ErrRecalled) {
			return faultf("adopt %v to %v, which was recalled: %v", s.t, s.to, err)
		}
	}
	return nil
}

func (l *lane) recallOlder() error {
	age := 300 * time.Millisecond
	if l.Lockstep {
		age = 0
	}
	_, err := l.p.RecallOlder(age)
	return err
}

// refuse ends what some process has directed at this one.
func (l *lane) refuse() error {
	who := l.someone()
	l.p.Alive(who)
	_, err := l.p.Refuse(who)
	return err
}
