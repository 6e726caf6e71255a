package fuzz

import (
	"slices"
	"time"

	"pgregory.net/rapid"

	"github.com/ndpool/ndpool/handle"
	ops "github.com/ndpool/ndpool/internal/machine"
	"github.com/ndpool/ndpool/pool"
)

// grace is short, for the machine waits for it whenever a sender has left.
const grace = 5 * time.Millisecond

func options(dir string) pool.Options {
	return pool.Options{Dir: dir, Capacity: 3 << 20, Arrays: 256, Processes: 5, Tickets: 8, Names: 8, Grace: grace, Persistent: true}
}

// block is a block as the oracle knows it.
type block struct {
	seed   byte
	handle handle.Handle // 0 while unknown
	refs   int
	open   int
	sealed bool
}

type ref struct {
	name int
	b    *block
	view bool
}

// process is an attachment.
type process struct {
	actor
	id     pool.ProcessID
	refs   []ref
	mortal bool
}

// transfer is open while end is empty.
type transfer struct {
	msg    []byte
	ticket handle.Ticket
	b      *block
	from   pool.ProcessID
	to     pool.ProcessID
	end    string
}

type machine struct {
	*rapid.T
	dir    string
	procs  []*process
	blocks []*block
	sent   []*transfer
	last   map[uint32]*transfer // by ticket
	names  int
	steps  int
}

// idle are children without an attachment, for the next machine.
var idle []*remote

func (m *machine) ask(p *process, q ask, want string) answer {
	m.Helper()
	r := p.do(q)
	if r.Err != want {
		m.Fatalf("%s: got %q (%s), expected %q", q.Verb, r.Err, r.Text, want)
	}
	return r
}

func pick[E any](m *machine, from []E, label string) E {
	if len(from) == 0 {
		ops.None()
	}
	return from[rapid.IntRange(0, len(from)-1).Draw(m.T, label)]
}

func (m *machine) proc() *process { return pick(m, m.procs, "process") }

func (m *machine) name() int { m.names++; return m.names }

func (m *machine) attach(mortal bool) {
	p := &process{actor: &local{}, mortal: mortal}
	if mortal {
		p.actor = m.child()
	}
	p.id = m.ask(p, ask{Verb: "open", Dir: m.dir}, "").Self
	m.procs = append(m.procs, p)
}

// child returns a child without an attachment.
func (m *machine) child() actor {
	if n := len(idle); n > 0 {
		r := idle[n-1]
		idle = idle[:n-1]
		return r
	}
	r, err := startRemote()
	if err != nil {
		m.Fatal(err)
	}
	return r
}

func (m *machine) open(t *rapid.T) {
	if len(m.procs) < options("").Processes {
		m.attach(rapid.Bool().Draw(t, "mortal"))
	}
}

func (m *machine) alloc(t *rapid.T) {
	p, b := m.proc(), &block{seed: rapid.Byte().Draw(t, "seed"), refs: 1}
	q := ask{Verb: "alloc", New: m.name(), Seed: b.seed, Flag: rapid.Bool().Draw(t, "fortran"),
		DType: rapid.SampledFrom([]string{"<f4", "|u1", ">i8", `{"itemsize":8,"fields":[["x","<f4",0],["y","<i2",4]]}`}).Draw(t, "dtype"),
		Shape: rapid.SliceOfN(rapid.IntRange(0, 6), 0, 4).Draw(t, "shape")}
	if rapid.IntRange(0, 5).Draw(t, "large") == 0 {
		q.Shape = []int{rapid.IntRange(0, 60_000).Draw(t, "length")}
	}
	r := p.do(q)
	if r.Err == "full" || r.Err == "table" {
		return
	}
	if r.Err != "" {
		m.Fatalf("alloc: %s", r.Text)
	}
	m.blocks = append(m.blocks, b)
	p.refs = append(p.refs, ref{q.New, b, false})
}

func (m *machine) retain(*rapid.T) {
	p, b := m.proc(), pick(m, m.blocks, "block")
	if b.handle == 0 {
		return
	}
	q, want := ask{Verb: "retain", New: m.name(), Handle: b.handle, Seed: b.seed}, ""
	if b.refs+b.open == 0 {
		want = "stale"
	}
	m.ask(p, q, want)
	if want == "" {
		p.refs = append(p.refs, ref{q.New, b, false})
		b.refs++
	}
}

func (m *machine) handle(*rapid.T) {
	p := m.proc()
	r := pick(m, p.refs, "array")
	r.b.handle = m.ask(p, ask{Verb: "handle", Ref: r.name}, "").Handle
}

func (m *machine) send(t *rapid.T) {
	p := m.proc()
	r := pick(m, p.refs, "array")
	x, q, want := &transfer{b: r.b, from: p.id}, ask{Verb: "message", Ref: r.name}, ""
	if rapid.Bool().Draw(t, "directed") {
		q.Verb, x.to = "send", m.proc().id
		q.To = x.to
		if r.view {
			want = "view"
		}
	}
	if want == "" && m.inFlight() == options("").Tickets {
		want = "table"
	}
	a := m.ask(p, q, want)
	if want != "" {
		return
	}
	var msg handle.Message
	if err := msg.UnmarshalBinary(a.Message); err != nil {
		m.Fatal(err)
	}
	x.msg, x.ticket, r.b.handle = a.Message, msg.Ticket, a.Handle
	r.b.open++
	m.sent = append(m.sent, x)
	m.last[x.ticket.Index()] = x
}

func (m *machine) inFlight() (n int) {
	for _, x := range m.sent {
		if x.end == "" {
			n++
		}
	}
	return n
}

// refusal tells why a process cannot adopt a transfer, "" if it can.
func (m *machine) refusal(x *transfer, by pool.ProcessID) string {
	switch {
	case m.last[x.ticket.Index()] != x:
		return "spent"
	case x.end != "":
		return x.end
	case x.to != 0 && x.to != by:
		return "receiver"
	}
	return ""
}

func (m *machine) adopt(*rapid.T) {
	p, x := m.proc(), pick(m, m.sent, "transfer")
	q, want := ask{Verb: "receive", New: m.name(), Message: x.msg, Seed: x.b.seed}, m.refusal(x, p.id)
	m.ask(p, q, want)
	if want != "" {
		return
	}
	var msg handle.Message
	_ = msg.UnmarshalBinary(x.msg)
	p.refs = append(p.refs, ref{q.New, x.b, msg.View != nil})
	x.b.refs++
	m.over(x, "spent")
}

func (m *machine) over(x *transfer, why string) {
	x.end = why
	x.b.open--
}

func (m *machine) recall(*rapid.T) {
	p, x := m.proc(), pick(m, m.sent, "transfer")
	want := m.refusal(x, x.to)
	if want == "" && x.from != p.id {
		want = "sender"
	}
	m.ask(p, ask{Verb: "recall", Message: x.msg}, want)
	if want == "" {
		m.over(x, "recalled")
	}
}

func (m *machine) view(t *rapid.T) {
	p := m.proc()
	r := pick(m, p.refs, "array")
	q := ask{Verb: "view", Ref: r.name, New: m.name(), Seed: r.b.seed, Shape: []int{rapid.IntRange(-3, 3).Draw(t, "start"), rapid.IntRange(-3, 5).Draw(t, "stop"), 1}}
	a := p.do(q)
	if a.Err != "" { // no dimension to take a part of
		return
	}
	p.refs = append(p.refs, ref{q.New, r.b, true})
	r.b.refs++
}

func (m *machine) seal(t *rapid.T) {
	p := m.proc()
	r := pick(m, p.refs, "array")
	want := ""
	switch {
	case r.view:
		want = "view"
	case r.b.sealed:
		want = "sealed"
	case r.b.refs != 1 || r.b.open != 0:
		want = "held"
	}
	m.ask(p, ask{Verb: "seal", Ref: r.name, Flag: rapid.Bool().Draw(t, "hash")}, want)
	r.b.sealed = r.b.sealed || want == ""
}

func (m *machine) release(*rapid.T) {
	p := m.proc()
	m.drop(p, pick(m, p.refs, "array"))
}

func (m *machine) drop(p *process, r ref) {
	m.ask(p, ask{Verb: "release", Ref: r.name, Seed: r.b.seed}, "")
	p.refs = slices.DeleteFunc(p.refs, func(o ref) bool { return o == r })
	r.b.refs--
}

func (m *machine) trim(*rapid.T) { m.ask(m.proc(), ask{Verb: "trim"}, "") }

// close closes an attachment; die kills its process. Never the first.
func (m *machine) close(*rapid.T) { m.leave(pick(m, m.procs[1:], "victim")) }

func (m *machine) leave(p *process) {
	for len(p.refs) > 0 {
		m.drop(p, p.refs[0])
	}
	m.ask(p, ask{Verb: "close"}, "")
	m.left(p)
	if r, ok := p.actor.(*remote); ok {
		idle = append(idle, r)
	}
}

func (m *machine) die(*rapid.T) {
	p := pick(m, m.procs[1:], "victim")
	if !p.mortal {
		return
	}
	p.end()
	for _, r := range p.refs {
		r.b.refs--
	}
	if r := m.ask(m.procs[0], ask{Verb: "reap"}, ""); r.Reaped.Processes != 1 {
		m.Fatalf("reaped %+v", r.Reaped)
	}
	m.left(p)
}

// left ends the transfers to a process that has left, and lets those that it sent pass their grace.
func (m *machine) left(p *process) {
	m.procs = slices.DeleteFunc(m.procs, func(o *process) bool { return o == p })
	orphans := false
	for _, x := range m.sent {
		switch {
		case x.end != "":
		case x.to == p.id:
			m.over(x, "expired")
		case x.from == p.id && x.to == 0:
			m.over(x, "expired")
			orphans = true
		}
	}
	if orphans {
		time.Sleep(grace + time.Millisecond)
		m.ask(m.procs[0], ask{Verb: "reap"}, "")
	}
}

// invariant compares the pool's counts with the oracle's.
func (m *machine) invariant(*rapid.T) {
	m.steps++
	p := m.procs[m.steps%len(m.procs)]
	s, alive := m.ask(p, ask{Verb: "stats"}, "").Stats, 0
	for _, b := range m.blocks {
		if b.refs+b.open > 0 {
			alive++
		}
	}
	if s.Arrays != alive || s.Transfers != m.inFlight() || s.Processes != len(m.procs) {
		m.Fatalf("%d arrays, %d transfers, %d processes; expected %d, %d, %d", s.Arrays, s.Transfers, s.Processes, alive, m.inFlight(), len(m.procs))
	}
	if m.steps%5 == 0 {
		m.ask(p, ask{Verb: "verify"}, "")
	}
}

// finish lets everybody go, and wants that nothing is left.
func (m *machine) finish() {
	for len(m.procs) > 1 {
		m.leave(m.procs[len(m.procs)-1])
	}
	p := m.procs[0]
	for len(p.refs) > 0 {
		m.drop(p, p.refs[0])
	}
	for _, x := range m.sent {
		if x.end == "" && x.from == p.id {
			m.ask(p, ask{Verb: "recall", Message: x.msg}, "")
		} else if x.end == "" {
			name := m.name()
			m.ask(p, ask{Verb: "receive", New: name, Message: x.msg, Seed: x.b.seed}, "")
			m.ask(p, ask{Verb: "release", Ref: name, Seed: x.b.seed}, "")
		}
	}
	m.ask(p, ask{Verb: "trim"}, "")
	m.ask(p, ask{Verb: "verify"}, "")
	if s := m.ask(p, ask{Verb: "stats"}, "").Stats; s.Free != s.Capacity || s.Arrays != 0 || s.Transfers != 0 || s.Committed != 0 {
		m.Fatalf("left: %+v", s)
	}
	m.ask(p, ask{Verb: "close"}, "")
}
