package pool

import (
	"slices"

	"pgregory.net/rapid"

	"github.com/ndpool/ndpool/handle"
	ops "github.com/ndpool/ndpool/internal/machine"
)

// operations are what the machine can do, by name, some more often than others.
func (m *machine) operations() map[string]func(*rapid.T) {
	rare := map[string]func(*rapid.T){"": m.invariant, "forge": m.opForge, "foreign": m.opForeign, "recall": m.opRecall, "recall old": m.opRecallOlder,
		"seal": m.opSeal, "trim": m.opTrim, "reap": m.opReap, "time": m.opTime, "close": m.opClose, "die": m.opDie, "takeover": m.opTakeover, "publish tree": m.opPublishTree, "remove": m.opRemove,
		"remove tree": m.opRemoveTree, "look": m.opLook}
	common := map[string]func(*rapid.T){"retain": m.opRetain, "handle": m.opHandle, "send": m.opSend, "adopt": m.opAdopt,
		"release": m.opRelease, "view": m.opView, "open": m.opOpen, "publish": m.opPublish, "lookup": m.opLookup}
	return ops.Operations(rare, common, m.opAlloc, 8)
}

func (m *machine) opAlloc(t *rapid.T) {
	p := m.proc()
	s := Spec{DType: drawDType(t), Shape: drawShape(t), Fortran: rapid.Bool().Draw(t, "fortran"), Zero: rapid.Bool().Draw(t, "zero")}
	a, err := p.p.New(s)
	if err != nil {
		want := ErrFull
		if alive, _ := m.alive(); alive == machineOptions.Arrays {
			want = ErrTableFull
		}
		m.check(err, want)
		return
	}
	for _, x := range a.mem {
		if s.Zero && x != 0 {
			m.Fatalf("zeros are %#x", x)
		}
	}
	b := &mblock{seed: rapid.Byte().Draw(t, "seed"), size: len(a.mem)}
	for off := range a.mem {
		a.mem[off] = b.at(off)
	}
	if !slices.Equal(a.Shape(), s.Shape) && len(s.Shape) > 0 || a.DType() != s.DType || !a.isOrder(s.Fortran) {
		m.Fatalf("allocated %v%v for %+v", a.DType(), a.Shape(), s)
	}
	m.blocks = append(m.blocks, b)
	m.add(p, a, b)
}

func (m *machine) opHandle(*rapid.T) {
	_, r := m.ref()
	h := r.a.Handle()
	if r.b.handle != 0 && r.b.handle != h {
		m.Fatalf("handle changed from %v to %v", r.b.handle, h)
	}
	r.b.handle = h
}

// opRetain retains a handle that was given out at any time.
func (m *machine) opRetain(t *rapid.T) {
	p, b := m.proc(), pick(m, m.blocks, "block")
	if b.handle == 0 {
		return
	}
	ro := rapid.Bool().Draw(t, "read-only")
	a, err := p.p.Retain(b.handle, ReadOnly(ro))
	if !b.alive() {
		m.check(err, ErrStale)
		return
	}
	m.check(err, nil)
	if a.IsReadOnly() != (ro || b.sealed) {
		m.Fatalf("read-only: got %v", a.IsReadOnly())
	}
	m.add(p, a, b)
}

// opSend opens a transfer, at times of a view, at times to a process, at times to one that has left.
func (m *machine) opSend(t *rapid.T) {
	p, r := m.ref()
	x := &mtransfer{b: r.b, from: p.id}
	var err error
	if rapid.Bool().Draw(t, "directed") {
		x.to = m.proc().id
		if rapid.IntRange(0, 9).Draw(t, "dead") == 0 {
			x.to += 1 << 40
		}
		var tr handle.Transfer
		tr, err = r.a.SendTo(x.to)
		x.msg = handle.Message{Segment: p.p.Segment(), Handle: tr.Handle, Ticket: tr.Ticket}
	} else {
		x.msg, err = r.a.Message()
	}
	switch {
	case x.to != 0 && r.a.IsView():
		m.check(err, ErrView)
		return
	case x.to != 0 && !slices.ContainsFunc(m.procs, func(o *mproc) bool { return o.id == x.to }):
		m.check(err, ErrDead)
		r.b.handle = r.a.Handle() // shared all the same
		return
	case m.openTransfers() == machineOptions.Tickets:
		m.check(err, ErrTableFull)
		r.b.handle = r.a.Handle()
		return
	}
	m.check(err, nil)
	m.opened(x)
}

func (m *machine) opAdopt(*rapid.T) {
	p, x := m.proc(), pick(m, m.sent, "transfer")
	want := m.refusal(x, p.id)
	a, err := p.p.Receive(x.msg)
	m.check(err, want)
	if want != nil {
		return
	}
	if a.IsView() != (x.msg.View != nil) {
		m.Fatal("a view became an array, or an array a view")
	}
	m.add(p, a, x.b)
	m.ended(x, ErrSpent)
}

// opForge adopts a transfer with one bit wrong.
func (m *machine) opForge(t *rapid.T) {
	p, x := m.proc(), pick(m, m.sent, "transfer").transfer()
	if bit := rapid.IntRange(0, 127).Draw(t, "bit"); bit < 64 {
		x.Handle ^= 1 << bit
	} else {
		x.Ticket ^= 1 << (bit - 64)
	}
	if _, err := p.p.Adopt(x); err == nil {
		m.Fatalf("adopted forged %v", x)
	}
	if err := p.p.Recall(x); err == nil {
		m.Fatalf("recalled forged %v", x)
	}
}

// opForeign comes with a message of another segment, and with handles that nobody gave out.
func (m *machine) opForeign(t *rapid.T) {
	p := m.proc()
	msg := handle.Message{Segment: p.p.Segment(), Handle: handle.Handle(rapid.Uint64().Draw(t, "handle"))}
	msg.Segment[3] ^= 1
	_, err := p.p.Receive(msg)
	m.check(err, ErrForeignHandle)
	if _, err := p.p.Retain(msg.Handle); err == nil {
		m.Fatalf("retained %v", msg.Handle)
	}
}

func (m *machine) opRecall(*rapid.T) {
	p, x := m.proc(), pick(m, m.sent, "transfer")
	want := m.refusal(x, x.to)
	if want == nil && x.from != p.id {
		want = ErrNotSender
	}
	m.check(p.p.Recall(x.transfer()), want)
	if want == nil {
		m.ended(x, ErrRecalled)
	}
}

func (m *machine) opRecallOlder(t *rapid.T) {
	if rapid.IntRange(0, 3).Draw(t, "seldom") != 0 {
		return
	}
	p, want := m.proc(), 0
	for _, x := range m.sent {
		if x.end == nil && x.from == p.id {
			m.ended(x, ErrRecalled)
			want++
		}
	}
	n, err := p.p.RecallOlder(0)
	m.check(err, nil)
	if n != want {
		m.Fatalf("%d recalled, expected %d", n, want)
	}
}

func (m *machine) opRelease(*rapid.T) { m.drop(m.ref()) }

// opView makes a view of any form.
func (m *machine) opView(t *rapid.T) {
	p, r := m.ref()
	var v *Array
	var err error
	switch rapid.IntRange(0, 2).Draw(t, "form") {
	case 0:
		v, err = r.a.Transpose()
	case 1:
		if !r.a.isOrder(false) {
			return
		}
		v, err = r.a.Reshape(1, r.a.Len())
	default:
		ranges := make([]Range, r.a.NDim())
		for k := range ranges {
			ranges[k] = Range{rapid.IntRange(-5, 5).Draw(t, "start"), rapid.IntRange(-5, 9).Draw(t, "stop"), rapid.SampledFrom([]int{1, 2, -1, 0, -3}).Draw(t, "step")}
		}
		v, err = r.a.View(ranges...)
	}
	m.check(err, nil)
	m.add(p, v, r.b)
}

func (m *machine) opSeal(t *rapid.T) {
	_, r := m.ref()
	var want error
	switch {
	case r.a.IsView():
		want = ErrView
	case r.b.sealed:
		want = ErrSealed
	case r.b.refs != 1 || r.b.open != 0 || r.b.named != 0:
		want = ErrHeld
	}
	hash := rapid.Bool().Draw(t, "hash")
	m.check(r.a.Seal(hash), want)
	if want == ErrView {
		return
	}
	r.b.handle = r.a.Handle()
	if want != nil {
		return
	}
	r.b.sealed = true
	if err := r.a.CheckHash(); (err == nil) != hash {
		m.Fatalf("hash %v: %v", hash, err)
	}
}

func (m *machine) opTrim(*rapid.T) {
	_, err := m.proc().p.Trim()
	m.check(err, nil)
}

func (m *machine) opReap(*rapid.T) {
	r, err := m.proc().p.Reap()
	m.check(err, nil)
	if r.Processes != 0 || r.Expired != 0 {
		m.Fatalf("reaped %+v", r)
	}
}

// opTime lets the grace of all transfers pass whose senders have left. Whoever is first notices.
func (m *machine) opTime(t *rapid.T) {
	m.timePasses()
	want := 0
	byAdopt := rapid.Bool().Draw(t, "by adopt")
	for _, x := range m.sent {
		if x.end != nil || !x.gone {
			continue
		}
		m.ended(x, ErrExpired)
		if byAdopt {
			_, err := m.procs[0].p.Receive(x.msg)
			m.check(err, ErrExpired)
			byAdopt = false
			continue
		}
		want++
	}
	r, err := m.proc().p.Reap()
	m.check(err, nil)
	if r.Expired != want {
		m.Fatalf("%d expired, expected %d", r.Expired, want)
	}
}

func (m *machine) opOpen(*rapid.T) {
	p, err := openHeap(m.heap)
	if len(m.procs) == machineOptions.Processes {
		m.check(err, ErrProcesses)
		return
	}
	m.check(err, nil)
	m.procs = append(m.procs, &mproc{p: p, id: p.Self()})
}

// opClose closes an attachment, before or after its arrays are released. All keep working until then.
func (m *machine) opClose(t *rapid.T) {
	p := m.victim()
	early := rapid.Bool().Draw(t, "early")
	if early && len(p.refs) > 0 {
		m.check(p.p.Close(), nil)
		_, err := p.p.Alloc(drawDType(t), 1)
		m.check(err, ErrClosed)
		m.verify(m.procs[0].p)
	}
	for len(p.refs) > 0 {
		m.drop(p, p.refs[0])
	}
	m.check(p.p.Close(), nil)
	m.left(p)
}

// victim returns any process but the first.
func (m *machine) victim() *mproc { return pick(m, m.procs[1:], "victim") }

// opDie lets a process die with all that it has.
func (m *machine) opDie(*rapid.T) {
	p := m.victim()
	p.p.arena.Abandon()
	m.left(p)
	r, err := m.proc().p.Reap()
	m.check(err, nil)
	if r.Processes != 1 {
		m.Fatalf("%d reaped", r.Processes)
	}
}

// opTakeover lets a process die inside the segment lock, with torn indexes.
func (m *machine) opTakeover(t *rapid.T) {
	p := m.victim()
	m.check(p.p.lock(), nil)
	for i := range p.p.arena.PageBits {
		p.p.arena.PageBits[i].Put(rapid.Uint64().Draw(t, "bits"))
	}
	for i := range p.p.arena.Slabs {
		p.p.arena.Slabs[i].Head.Put(uint64(i))
	}
	m.tearNames(p.p)
	p.p.arena.Abandon()
	m.left(p)
	_, err := m.proc().p.Reap()
	m.check(err, nil)
}
