package pool

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/ndpool/ndpool/arena"
	"github.com/ndpool/ndpool/arena/layout"
	"github.com/ndpool/ndpool/handle"
	"github.com/ndpool/ndpool/refcount"
)

// ProcessID names an attached process for as long as it lives: its slot and the incarnation of it. Processes tell it to
// each other as a number, or as the text "slot.incarnation".
type ProcessID uint64

func (id ProcessID) ident() layout.Ident { return layout.Ident(id) }

// String returns "slot.incarnation".
func (id ProcessID) String() string {
	return fmt.Sprintf("%d.%d", id.ident().Slot(), id.ident().Incarnation())
}

// ParseProcessID reads what String wrote.
func ParseProcessID(s string) (ProcessID, error) {
	slot, inc, ok := strings.Cut(s, ".")
	n, err := strconv.ParseUint(slot, 10, 8)
	m, err2 := strconv.ParseUint(inc, 10, 32)
	if !ok || err != nil || err2 != nil || n >= layout.MaxProcesses {
		return 0, fmt.Errorf("parse process %q: want slot.incarnation", s)
	}
	return ProcessID(layout.MakeIdent(int(n), uint32(m))), nil
}

// Self returns this attachment's name, for others who want to send to it.
func (p *Pool) Self() ProcessID { return ProcessID(p.arena.Self()) }

// ReadOnly asks Adopt and Retain for an array that cannot be written: its memory is mapped read-only.
type ReadOnly bool

// send opens a transfer of block i. Precondition: the caller has a reference.
func (p *Pool) send(i int, to ProcessID) (handle.Transfer, error) {
	if err := p.enter(); err != nil {
		return handle.Transfer{}, err
	}
	defer p.leave()
	h := p.share(i)
	n, nonce, err := p.mint(i, h, to.ident())
	if err != nil {
		return handle.Transfer{}, p.explain(err, 0)
	}
	return handle.Transfer{Handle: h, Ticket: handle.NewTicket(uint32(n), nonce)}, nil
}

// share makes a private block of this process one that others can be told about, and returns its handle.
func (p *Pool) share(i int) handle.Handle {
	st := p.refs.Lock(i)
	p.refs.ShareLocked(i)
	st.Unlock()
	return p.handleOf(i)
}

// mint takes a free ticket and opens it.
func (p *Pool) mint(i int, h handle.Handle, to layout.Ident) (n int, nonce uint32, err error) {
	if err := p.lock(); err != nil {
		return 0, 0, err
	}
	defer p.unlock()
	p.flushLocked()
	if to != 0 && !p.arena.Receives(to) {
		return 0, 0, fmt.Errorf("send to process %v: %w", ProcessID(to), ErrDead)
	}
	n, ok := p.freeTicketLocked()
	if !ok {
		return 0, 0, errNoTicket
	}
	p.alloc.Tickets.Remove(n)
	p.arena.Ctl.Next.Put(uint32(n) + 1)
	return n, p.refs.Send(n, i, uint64(h), to), nil
}

// freeTicketLocked returns the next free ticket after the last one used, so that a spent ticket stays recognisable for
// as long as possible. A set that has an open one is torn, and made anew.
func (p *Pool) freeTicketLocked() (int, bool) {
	for range 2 {
		n, ok := p.alloc.Tickets.Next(int(p.arena.Ctl.Next.Get()) % len(p.arena.Tickets))
		if !ok {
			n, ok = p.alloc.Tickets.Next(0)
		}
		if !ok || !p.ticketOpen(n) {
			return n, ok
		}
		p.rebuildLocked()
	}
	return 0, false
}

// Adopt takes a transfer: its array is this process's too, and the transfer is spent. The caller must Release the array.
//
// It fails with ErrSpent, ErrExpired, ErrRecalled, ErrNotReceiver, ErrForged or ErrForeignHandle, each for its own reason; nothing changes then.
func (p *Pool) Adopt(t handle.Transfer, ro ...ReadOnly) (*Array, error) {
	var buf shapeBuf
	i, m, shape, err := p.adopt(t, &buf)
	if err != nil {
		return nil, err
	}
	return p.newArray(i, &m, shape, wantReadOnly(ro))
}

func wantReadOnly(ro []ReadOnly) bool { return len(ro) > 0 && bool(ro[0]) }

// adopt reads the array's metadata when this process holds the block: before, nobody may hold it any more, and there may be no
// memory behind its bytes. A transfer of what the segment's damage makes unreadable is spent.
func (p *Pool) adopt(t handle.Transfer, buf *shapeBuf) (i int, m meta, shape []int, err error) {
	if err := p.enter(); err != nil {
		return 0, m, nil, err
	}
	defer p.leave()
	if i, err = p.resolve(t.Handle); err != nil {
		return 0, m, nil, err
	}
	if err = p.spend(t, i, p.refuseRing); err != nil {
		return 0, m, nil, err
	}
	if m, shape, err = p.read(i, buf); err != nil {
		p.drop(i)
		return 0, m, nil, err
	}
	return i, m, shape, nil
}

func (p *Pool) refuseRing(i int) error {
	if p.isRing(i) {
		return errRing
	}
	return nil
}

// spend adopts a transfer of block i, unless it is none, or refuse says that the block is not what the caller wants; nothing changes
// then. refuse is asked while the ticket keeps the block alive, under the lock.
func (p *Pool) spend(t handle.Transfer, i int, refuse func(i int) error) error {
	n := int(t.Ticket.Index())
	if n >= len(p.arena.Tickets) {
		return &refcount.TicketError{Ticket: n, Nonce: t.Ticket.Nonce(), Err: ErrForged}
	}
	if err := p.lock(); err != nil {
		return err
	}
	defer p.unlock()
	p.flushLocked()
	if err := p.refs.Look(n, t.Ticket.Nonce(), uint64(t.Handle)); err != nil {
		return err
	}
	if p.expiredAt(n, uint64(arena.BootTime())) {
		p.expireLocked(n)
		return p.refs.Look(n, t.Ticket.Nonce(), uint64(t.Handle))
	}
	if err := refuse(i); err != nil {
		return err
	}
	freed, err := p.refs.Adopt(n, i, t.Handle.Generation())
	if err != nil {
		return err
	}
	p.alloc.Tickets.Add(n)
	if freed {
		p.endLocked(i) // cannot be: this process holds it
	}
	return nil
}

// Retain adds a reference to the array of a bare handle, while somebody holds it. It can be done any number of times.
// The caller must Release the array. It fails with ErrStale if the block was freed meanwhile.
func (p *Pool) Retain(h handle.Handle, ro ...ReadOnly) (*Array, error) {
	if err := p.enter(); err != nil {
		return nil, err
	}
	defer p.leave()
	i, err := p.resolve(h)
	if err != nil {
		return nil, err
	}
	if err := p.retain(i, h.Generation()); err != nil {
		return nil, fmt.Errorf("handle %v: %w", h, err)
	}
	var buf shapeBuf
	m, shape, err := p.read(i, &buf)
	if err != nil {
		p.drop(i)
		return nil, err
	}
	return p.newArray(i, &m, shape, wantReadOnly(ro))
}

// retain adds a reference to a block; a failed attempt may have been the last to hold it.
func (p *Pool) retain(i int, gen uint32) error {
	st := p.refs.Lock(i)
	freed, err := p.refs.RetainLocked(i, gen)
	if err == nil {
		st.Live++
	}
	ended := freed && p.lastLocked(i)
	st.Unlock()
	if ended {
		p.postpone(i)
		p.endRings()
	}
	if freed {
		p.arena.SpaceFreed()
	}
	return err
}

// Recall takes a transfer of this process back, if nobody has adopted it yet. It fails as Adopt does.
func (p *Pool) Recall(t handle.Transfer) error {
	if err := p.enter(); err != nil {
		return err
	}
	defer p.leave()
	i, err := p.resolve(t.Handle)
	if err != nil {
		return err
	}
	n := int(t.Ticket.Index())
	if n >= len(p.arena.Tickets) {
		return &refcount.TicketError{Ticket: n, Nonce: t.Ticket.Nonce(), Err: ErrForged}
	}
	if err := p.lock(); err != nil {
		return err
	}
	defer p.unlock()
	if err := p.refs.Look(n, t.Ticket.Nonce(), uint64(t.Handle)); err != nil {
		return err
	}
	return p.recallLocked(n, i)
}

func (p *Pool) recallLocked(n, i int) error {
	freed, err := p.refs.Recall(n, i)
	if err != nil {
		return err
	}
	p.alloc.Tickets.Add(n)
	if freed {
		p.endLocked(i)
	}
	return nil
}

// RecallOlder takes all transfers of this process back that are older than an age, and returns how many there were: it
// bounds what a long-lived sender has outstanding.
func (p *Pool) RecallOlder(age time.Duration) (int, error) {
	if err := p.enter(); err != nil {
		return 0, err
	}
	defer p.leave()
	if err := p.lock(); err != nil {
		return 0, err
	}
	defer p.unlock()
	n, before := 0, uint64(arena.BootTime()-int64(age))
	for t := range p.arena.Tickets {
		k := &p.arena.Tickets[t]
		if !p.ticketOpen(t) || layout.Ident(k.Sender.Load()) != p.arena.Self() || k.Birth.Load() > before {
			continue
		}
		if i, ok := p.ticketBlock(t); ok && p.recallLocked(t, i) == nil {
			n++
		}
	}
	return n, nil
}

// Refuse ends the transfers that sender has directed at this process and that it has not adopted, and returns how many
// there were: after the death of a worker, those whose 16 bytes never arrived.
func (p *Pool) Refuse(sender ProcessID) (int, error) {
	if err := p.enter(); err != nil {
		return 0, err
	}
	defer p.leave()
	if err := p.lock(); err != nil {
		return 0, err
	}
	defer p.unlock()
	n := 0
	for t := range p.arena.Tickets {
		k := &p.arena.Tickets[t]
		if p.ticketOpen(t) && layout.Ident(k.Sender.Load()) == sender.ident() && layout.Ident(k.Receiver.Load()) == p.arena.Self() {
			p.expireLocked(t)
			n++
		}
	}
	return n, nil
}

// Alive tells whether a process is attached and lives.
func (p *Pool) Alive(id ProcessID) bool {
	alive := false
	p.inside(func() { alive = p.arena.Alive(id.ident()) })
	return alive
}

// ticketBlock returns the block that ticket n carries, and whether it is alive in that generation.
func (p *Pool) ticketBlock(n int) (int, bool) {
	return p.liveBlock(handle.Handle(p.arena.Tickets[n].Handle.Load()))
}

// liveBlock returns the block of a handle, and whether it is alive in that generation and not private. It allocates nothing,
// so it may be asked under the lock.
func (p *Pool) liveBlock(h handle.Handle) (int, bool) {
	i, ok := p.arena.Geo.DescIndex(h.Granule())
	if !ok || i >= p.descs() || p.gen(i) != h.Generation() || p.state(i).Kind() != layout.Live {
		return 0, false
	}
	return i, true
}
