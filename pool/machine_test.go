package pool

import (
	"errors"
	"flag"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/ndpool/ndpool/alloc"
	"github.com/ndpool/ndpool/arena"
	"github.com/ndpool/ndpool/dtype"
	"github.com/ndpool/ndpool/handle"
	ops "github.com/ndpool/ndpool/internal/machine"
)

// The state machine: random operations of several attachments of one segment on the Go heap, beside an oracle that knows
// who holds what, which transfers are open, what has which name, and what every byte must be. After each step the pool's counts are the oracle's, and
// at the end nothing is left. operations are in machine_ops_test.go.

var machineOptions = Options{Capacity: 5 << 19, Arrays: 200, Processes: 5, Tickets: 7, Names: 24, Grace: time.Hour, LockWait: time.Second}

// mblock is a block as the oracle knows it. It is alive while it has a reference, an open transfer or a name.
type mblock struct {
	handle handle.Handle // 0 while nobody asked for it
	seed   byte
	size   int
	refs   int
	open   int
	named  int
	sealed bool
}

func (b *mblock) alive() bool { return b.refs+b.open+b.named > 0 }

// at returns what the byte at an offset of the users' bytes must be.
func (b *mblock) at(off int) byte { return b.seed + byte(off*7) + byte(off>>8) }

// mref is one *Array.
type mref struct {
	a *Array
	b *mblock
}

// mproc is an attachment.
type mproc struct {
	p    *Pool
	id   ProcessID
	refs []*mref
}

// mtransfer is a transfer. end is why it can be adopted no more, nil while it is open.
type mtransfer struct {
	msg  handle.Message
	b    *mblock
	from ProcessID
	to   ProcessID // 0: anybody
	end  error
	gone bool // the sender has left: it has a deadline
}

func (x *mtransfer) transfer() handle.Transfer {
	return handle.Transfer{Handle: x.msg.Handle, Ticket: x.msg.Ticket}
}

type machine struct {
	*rapid.T
	heap   *arena.Heap
	procs  []*mproc
	blocks []*mblock
	sent   []*mtransfer
	slots  map[uint32]*mtransfer // the last transfer of each ticket
	names  mnames
	steps  int
}

func newMachine(t *rapid.T) *machine {
	h, a, err := arena.CreateHeap(must(machineOptions.spec()), format)
	if err != nil {
		t.Fatal(err)
	}
	p := newPool(a, alloc.New(a))
	return &machine{T: t, heap: h, slots: map[uint32]*mtransfer{}, names: mnames{}, procs: []*mproc{{p: p, id: p.Self()}}}
}

// check fails the run if err is not what the oracle expects; nil expects success.
func (m *machine) check(err, want error) {
	m.Helper()
	if !errors.Is(err, want) || want == nil && err != nil {
		m.Fatalf("got error %v, expected %v", err, want)
	}
}

func pick[E any](m *machine, from []E, label string) E {
	if len(from) == 0 {
		ops.None()
	}
	return from[rapid.IntRange(0, len(from)-1).Draw(m.T, label)]
}

func (m *machine) proc() *mproc { return pick(m, m.procs, "process") }

func (m *machine) ref() (*mproc, *mref) {
	p := m.proc()
	return p, pick(m, p.refs, "array")
}

// add notes a new reference, and looks at its bytes.
func (m *machine) add(p *mproc, a *Array, b *mblock) {
	p.refs = append(p.refs, &mref{a, b})
	b.refs++
	m.checkBytes(p.refs[len(p.refs)-1])
}

func (m *machine) drop(p *mproc, r *mref) {
	m.checkBytes(r)
	r.a.Release()
	p.refs = slices.DeleteFunc(p.refs, func(o *mref) bool { return o == r })
	r.b.refs--
}

// checkBytes compares some bytes of an array with what they must be: all of a whole one, the corners of a view.
func (m *machine) checkBytes(r *mref) {
	if !r.a.IsView() {
		for off, x := range r.a.mem {
			if x != r.b.at(off) {
				m.Fatalf("byte %d of %v is %#x, expected %#x", off, r.a.name(), x, r.b.at(off))
			}
		}
		return
	}
	if r.a.Len() == 0 || r.a.DType().Size() == 0 {
		return
	}
	index := make([]int, r.a.NDim())
	for range 2 {
		off := r.a.Index(index...)
		if x := r.a.mem[off]; x != r.b.at(off) {
			m.Fatalf("view %v%v: byte %d is %#x, expected %#x", r.a.name(), index, off, x, r.b.at(off))
		}
		for k, n := range r.a.shapeOf() {
			index[k] = n - 1
		}
	}
}

// opened notes a transfer.
func (m *machine) opened(x *mtransfer) {
	x.b.handle = x.msg.Handle
	x.b.open++
	m.sent = append(m.sent, x)
	m.slots[x.msg.Ticket.Index()] = x
}

func (m *machine) ended(x *mtransfer, why error) {
	x.end = why
	x.b.open--
}

// refusal returns why a transfer cannot be adopted by a process, nil if it can. Once its ticket is used again, all that is known
// is that it was spent.
func (m *machine) refusal(x *mtransfer, by ProcessID) error {
	switch {
	case m.slots[x.msg.Ticket.Index()] != x:
		return ErrSpent
	case x.end != nil:
		return x.end
	case x.to != 0 && x.to != by:
		return ErrNotReceiver
	}
	return nil
}

func (m *machine) openTransfers() (n int) {
	for _, x := range m.sent {
		if x.end == nil {
			n++
		}
	}
	return n
}

// left brings the oracle up to date after a process has left: transfers to it expire, its own wait for their deadline.
func (m *machine) left(p *mproc) {
	for _, r := range p.refs {
		r.b.refs--
	}
	for _, x := range m.sent {
		switch {
		case x.end != nil:
		case x.to == p.id:
			m.ended(x, ErrExpired)
		case x.from == p.id && x.to == 0:
			x.gone = true
		}
	}
	m.setNames(m.names.without(p.id))
	m.procs = slices.DeleteFunc(m.procs, func(o *mproc) bool { return o == p })
}

// invariant compares the pool's counts with the oracle's after every step, and verifies now and then.
func (m *machine) invariant(*rapid.T) {
	m.steps++
	p := m.procs[m.steps%len(m.procs)].p
	s, err := p.Stats()
	m.check(err, nil)
	alive, bytes := m.alive()
	if s.Arrays != alive || s.Live != bytes || s.Transfers != m.openTransfers() || s.Processes != len(m.procs) ||
		s.Names != len(m.names.entries()) {
		m.Fatalf("%d arrays of %d bytes, %d transfers, %d processes, %d names; expected %d, %d, %d, %d, %d",
			s.Arrays, s.Live, s.Transfers, s.Processes, s.Names, alive, bytes, m.openTransfers(), len(m.procs), len(m.names.entries()))
	}
	if m.steps%4 == 0 {
		m.verify(p)
	}
}

// alive returns the number of blocks that are alive, and their users' bytes.
func (m *machine) alive() (n int, bytes uint64) {
	for _, b := range m.blocks {
		if b.alive() {
			n++
			bytes += uint64(b.size)
		}
	}
	return n, bytes
}

func (m *machine) verify(p *Pool) {
	r, err := p.Verify(VerifyOptions{Content: true})
	m.check(err, nil)
	for _, f := range r.Faults {
		m.Errorf("%v", f)
	}
}

// finish releases everything and wants that nothing is left.
func (m *machine) finish() {
	for _, p := range m.procs {
		for len(p.refs) > 0 {
			m.drop(p, p.refs[0])
		}
	}
	for _, p := range slices.Clone(m.procs[1:]) {
		m.check(p.p.Close(), nil)
		m.left(p)
	}
	p := m.procs[0].p
	for path := range m.names.entries() {
		if !strings.Contains(path, "/") {
			_, err := p.RemoveTree(path)
			m.check(err, nil)
		}
	}
	m.setNames(nil)
	_, err := p.RecallOlder(0)
	m.check(err, nil)
	for _, x := range m.sent {
		if x.end == nil && x.to == p.Self() && x.from != p.Self() {
			a, err := p.Adopt(x.transfer())
			m.check(err, nil)
			a.Release()
		}
	}
	m.timePasses()
	_, err = p.Reap()
	m.check(err, nil)
	_, err = p.Trim() // takes what is cached
	m.check(err, nil)
	s, err := p.Stats()
	m.check(err, nil)
	if s.Free != s.Capacity || s.Arrays != 0 || s.Transfers != 0 || s.Names != 0 || s.Processes != 1 {
		m.Fatalf("left: %+v", s)
	}
	m.verify(p)
	m.check(p.Close(), nil)
}

// timePasses brings all deadlines into the past.
func (m *machine) timePasses() {
	for n := range m.procs[0].p.arena.Tickets {
		if k := &m.procs[0].p.arena.Tickets[n]; k.Deadline.Load() != 0 {
			k.Deadline.Store(1)
		}
	}
}

// poolProperty is the whole machine.
func poolProperty(t *rapid.T) {
	m := newMachine(t)
	t.Repeat(m.operations())
	m.finish()
}

func TestPoolMachine(t *testing.T) {
	n := 1
	if long() {
		n = 200
	}
	if f := flag.Lookup("rapid.steps"); f.Value.String() == f.DefValue {
		_ = f.Value.Set("150")
		defer func() { _ = f.Value.Set(f.DefValue) }()
	}
	for range n {
		rapid.Check(t, poolProperty)
	}
}

func FuzzPoolMachine(f *testing.F) { f.Fuzz(rapid.MakeFuzz(poolProperty)) }

// drawDType returns an element type of any form.
func drawDType(t *rapid.T) dtype.Type {
	return rapid.SampledFrom([]dtype.Type{dtype.Uint8, dtype.Int16, dtype.Float32, dtype.Complex128, dtype.Bool, dtype.Bytes(3), dtype.Bytes(0),
		must(dtype.Parse(">i4")), must(dtype.Parse("<M8[us]")), structured}).Draw(t, "dtype")
}

// drawShape returns a shape: mostly small, at times of many dimensions, at times large.
func drawShape(t *rapid.T) []int {
	switch rapid.IntRange(0, 9).Draw(t, "form") {
	case 0:
		return tenDims
	case 1:
		return []int{rapid.IntRange(0, 200_000).Draw(t, "length")}
	}
	return rapid.SliceOfN(rapid.IntRange(0, 9), 0, 5).Draw(t, "shape")
}
