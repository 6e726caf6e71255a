package pool

import (
	"bytes"
	"encoding/binary"
	"iter"
	"slices"
	"strings"
	"time"

	"github.com/ndpool/ndpool/arena"
	"github.com/ndpool/ndpool/arena/layout"
	"github.com/ndpool/ndpool/dtype"
	"github.com/ndpool/ndpool/handle"
)

// Looking inside takes no lock but where it says so, and to read what lies before an array in its block. Numbers of a busy pool are of slightly different moments; each
// array, process and transfer is whole.

// Stats is a summary of a pool. All sizes are bytes.
type Stats struct {
	Capacity  uint64 `json:"capacity"`
	Committed uint64 `json:"committed"` // of the capacity, with memory behind it
	Live      uint64 `json:"live"`      // users' bytes of arrays
	Held      uint64 `json:"held"`      // extents of arrays: Live and what rounding wastes
	Cached    uint64 `json:"cached"`    // kept by processes for reuse
	Free      uint64 `json:"free"`
	Largest   uint64 `json:"largest_free"` // extent
	Tables    uint64 `json:"tables"`       // bookkeeping

	Arrays      int `json:"arrays"`
	ArrayLimit  int `json:"array_limit"`
	Retired     int `json:"retired"` // descriptors whose generations are used up
	Processes   int `json:"processes"`
	SlotLimit   int `json:"process_limit"`
	Transfers   int `json:"transfers"` // in flight
	TicketLimit int `json:"transfer_limit"`
	Names       int `json:"names"` // entries of the catalog: names and the groups they are in
	NameLimit   int `json:"name_limit"`

	Takeovers uint64 `json:"takeovers"` // of a dead process's lock, since creation
	Sweeps    uint64 `json:"sweeps"`    // of dead processes
	Expired   uint64 `json:"expired"`   // transfers nobody adopted in time
	Stolen    uint64 `json:"stolen"`    // cached blocks taken from other processes
	Lost      uint64 `json:"lost"`      // arrays reported lost
	Trimmed   uint64 `json:"trimmed"`   // chunks given back to the system
}

// Stats returns a summary. It takes the segment lock for a moment.
func (p *Pool) Stats() (Stats, error) {
	if err := p.enter(); err != nil {
		return Stats{}, err
	}
	defer p.leave()
	if err := p.lock(); err != nil {
		return Stats{}, err
	}
	free, largest := p.alloc.FreePages()
	p.unlock()
	return p.stats(free, largest), nil
}

// stats returns a summary, given the free pages and the longest run of them.
func (p *Pool) stats(free, largest int) Stats {
	c, g := p.arena.Ctl, &p.arena.Geo
	s := Stats{Capacity: g.Capacity, Tables: g.FileSize - g.Capacity, ArrayLimit: g.Arrays, SlotLimit: g.Processes,
		TicketLimit: g.Tickets, NameLimit: g.Limits.Names, Takeovers: c.Takeovers.Load(), Sweeps: c.Sweeps.Load(), Expired: c.Expired.Load(),
		Stolen: c.Stolen.Load(), Lost: c.Lost.Load(), Trimmed: c.Trimmed.Load()}
	s.Free, s.Largest = uint64(free)*layout.PageSize, uint64(largest)*layout.PageSize
	for k := range g.Chunks() {
		if p.arena.Has(layout.FlagReserved) || p.arena.IsCommitted(k) {
			s.Committed += min(layout.ChunkSize, g.Capacity-uint64(k)*layout.ChunkSize)
		}
	}
	p.countBlocks(&s)
	for slot := range p.arena.Slots {
		if _, used := p.arena.Ident(slot); used {
			s.Processes++
		}
	}
	for n := range p.arena.Tickets {
		if p.ticketOpen(n) {
			s.Transfers++
		}
	}
	for e := range p.names.Committed() {
		if _, ok := p.names.Named(e); ok {
			s.Names++
		}
	}
	return s
}

func (p *Pool) countBlocks(s *Stats) {
	for i := range p.descs() {
		e, ok := p.extent(i)
		switch k := p.state(i).Kind(); {
		case k == layout.Retired:
			s.Retired++
		case !ok:
		case k == layout.Cached:
			s.Cached += e.Size()
		case k == layout.Live || k == layout.Private:
			s.Arrays++
			s.Held += e.Size()
			s.Live += min(p.desc(i).Bytes.Load(), e.Size())
		}
	}
}

// ArrayInfo describes an array in the pool.
type ArrayInfo struct {
	Handle    handle.Handle `json:"handle"`
	Ring      RingKind      `json:"ring,omitempty"` // "": an array; of a ring DType and Shape say nothing
	DType     dtype.Type    `json:"dtype"`
	Shape     []int         `json:"shape"`
	Fortran   bool          `json:"fortran"`
	Bytes     uint64        `json:"bytes"`  // users'
	Extent    uint64        `json:"extent"` // bytes taken
	Offset    uint64        `json:"offset"` // of the users' bytes in the data region
	Sealed    bool          `json:"sealed"`
	Hashed    bool          `json:"hashed"`
	Private   bool          `json:"private"`    // never shared
	Holders   []int         `json:"holders"`    // slots
	InTransit int           `json:"in_transit"` // transfers, and entries of streams and queues
	Named     bool          `json:"named"`
}

// Arrays iterates over all arrays that are alive, by descriptor, and over the blocks that are no arrays: streams, queues, and
// texts of attributes. One whose metadata cannot be read is left out; Verify names it.
func (p *Pool) Arrays() iter.Seq[ArrayInfo] {
	return func(yield func(ArrayInfo) bool) {
		for i := range p.descs() {
			var info ArrayInfo
			var ok bool
			if !p.inside(func() { info, ok = p.arrayInfo(i) }) || ok && !yield(info) {
				return
			}
		}
	}
}

// arrayInfo describes block i if it is alive.
func (p *Pool) arrayInfo(i int) (info ArrayInfo, ok bool) {
	if d := p.desc(i); d.Header.Load() == 0 && d.Flags.Load()&layout.DescRing == 0 {
		return p.lookArray(i)
	}
	_ = p.beside(func() { info, ok = p.lookArray(i) })
	return info, ok
}

// beside runs look, which reads bytes of blocks that this process need not hold. While it has the lock, there is memory behind
// what is alive. A snapshot has all bytes that it needs.
func (p *Pool) beside(look func()) error {
	if p.arena.Self().Incarnation() != 0 {
		if err := p.lock(); err != nil {
			return err
		}
		defer p.unlock()
	}
	look()
	return nil
}

// lookArray looks again if the block changed hands meanwhile. Precondition: as for readBlock.
func (p *Pool) lookArray(i int) (ArrayInfo, bool) {
	for range 10 {
		before := p.state(i)
		if k := before.Kind(); k != layout.Live && k != layout.Private {
			return ArrayInfo{}, false
		}
		var buf shapeBuf
		m, shape, err := p.readBlock(i, &buf)
		e, ok := p.extent(i)
		kind, bad := p.ringKind(i, &m)
		if err != nil || bad != nil || !ok {
			continue
		}
		info := p.info(i, before, e, &m, shape)
		if info.Ring = kind; p.state(i) == before {
			return info, true
		}
	}
	return ArrayInfo{}, false
}

func (p *Pool) info(i int, s layout.State, e layout.Extent, m *meta, shape []int) ArrayInfo {
	return ArrayInfo{Handle: p.handleOf(i), DType: m.dt, Shape: slices.Clone(shape), Fortran: m.fortran(), Bytes: m.bytes,
		Extent: e.Size(), Offset: e.Offset() + m.header, Sealed: s.Sealed(), Hashed: m.flags&layout.DescHashed != 0,
		Private: s.Kind() == layout.Private, InTransit: int(p.desc(i).Tickets.Load()),
		Named: p.refs.Holds(i, layout.Named), Holders: p.holders(i, s)}
}

// holders returns the slots that hold a block.
func (p *Pool) holders(i int, s layout.State) []int {
	slots := []int{}
	if s.Kind() == layout.Private {
		slots = append(slots, s.Owner())
	}
	for slot := range p.arena.Slots {
		if p.refs.Holds(i, slot) {
			slots = append(slots, slot)
		}
	}
	return slots
}

// ProcessInfo describes a place in the process table that is in use.
type ProcessInfo struct {
	ID       ProcessID     `json:"id"`
	Slot     int           `json:"slot"`
	Pid      int           `json:"pid"` // in its own PID namespace
	Uid      int           `json:"uid"`
	Command  string        `json:"command"`
	PidNS    uint64        `json:"pid_namespace"`
	Attached time.Duration `json:"attached"` // how long ago
	Alive    bool          `json:"alive"`
	Self     bool          `json:"self"`
	Arrays   int           `json:"arrays"` // held
	Bytes    uint64        `json:"bytes"`  // extents of those
	Cached   uint64        `json:"cached"` // bytes kept for reuse
}

// Processes iterates over the process table, living and dead.
func (p *Pool) Processes() iter.Seq[ProcessInfo] {
	return func(yield func(ProcessInfo) bool) {
		var found []ProcessInfo
		p.inside(func() { found = p.processes() })
		for _, info := range found {
			if !yield(info) {
				return
			}
		}
	}
}

func (p *Pool) processes() (found []ProcessInfo) {
	holds := p.countHolds()
	for slot := range p.arena.Slots {
		id, used := p.arena.Ident(slot)
		if !used {
			continue
		}
		info := describeSlot(&p.arena.Slots[slot], slot, id)
		info.Alive = p.arena.Alive(id)
		info.Self = id == p.arena.Self()
		info.Arrays, info.Bytes, info.Cached = holds[slot].arrays, holds[slot].bytes, holds[slot].cached
		found = append(found, info)
	}
	return found
}

func describeSlot(s *layout.Slot, slot int, id layout.Ident) ProcessInfo {
	var comm [16]byte
	binary.LittleEndian.PutUint64(comm[:8], s.Comm[0].Load())
	binary.LittleEndian.PutUint64(comm[8:], s.Comm[1].Load())
	name, _, _ := bytes.Cut(comm[:], []byte{0})
	return ProcessInfo{ID: ProcessID(id), Slot: slot, Pid: int(s.Pid.Load()), Uid: int(s.Uid.Load()),
		Command: strings.ToValidUTF8(string(name), "?"), PidNS: s.PidNS.Load(),
		Attached: time.Duration(arena.BootTime() - int64(s.Attached.Load()))}
}

type holds struct {
	arrays int
	bytes  uint64
	cached uint64
}

// countHolds returns what each slot holds.
func (p *Pool) countHolds() []holds {
	h := make([]holds, len(p.arena.Slots))
	p.eachHold(func(i, slot int) {
		if e, ok := p.extent(i); ok {
			h[slot].arrays++
			h[slot].bytes += e.Size()
		}
	})
	for i := range p.descs() {
		s := p.state(i)
		if e, ok := p.extent(i); ok && s.Kind() == layout.Cached && s.Owner() < len(h) {
			h[s.Owner()].cached += e.Size()
		}
	}
	return h
}

// TransferInfo describes a transfer in flight.
type TransferInfo struct {
	Transfer handle.Transfer `json:"transfer"`
	Sender   ProcessID       `json:"sender"`
	Receiver ProcessID       `json:"receiver"` // 0: anybody
	Age      time.Duration   `json:"age"`
	Expires  time.Duration   `json:"expires"` // from now; 0 while the sender lives
}

// Transfers iterates over the transfers in flight.
func (p *Pool) Transfers() iter.Seq[TransferInfo] {
	return func(yield func(TransferInfo) bool) {
		for n := range p.arena.Geo.Tickets {
			var info TransferInfo
			var ok bool
			if !p.inside(func() { info, ok = p.transferInfo(n) }) || ok && !yield(info) {
				return
			}
		}
	}
}

// transferInfo describes ticket n if it is open.
func (p *Pool) transferInfo(n int) (TransferInfo, bool) {
	k, now := &p.arena.Tickets[n], arena.BootTime()
	w := layout.TicketWord(k.Word.Load())
	t := TransferInfo{Transfer: handle.Transfer{Handle: handle.Handle(k.Handle.Load()), Ticket: handle.NewTicket(uint32(n), w.Nonce())},
		Sender: ProcessID(k.Sender.Load()), Receiver: ProcessID(k.Receiver.Load()), Age: time.Duration(now - int64(k.Birth.Load()))}
	if d := k.Deadline.Load(); d != 0 {
		t.Expires = time.Duration(int64(d) - now)
	}
	return t, w.Kind() == layout.TicketOpen && layout.TicketWord(k.Word.Load()) == w
}

// inside runs look while the pool cannot be closed, and tells whether it could. What iterators yield to runs outside, so
// that it may use the pool.
func (p *Pool) inside(look func()) bool {
	if p.enter() != nil {
		return false
	}
	defer p.leave()
	look()
	return true
}
