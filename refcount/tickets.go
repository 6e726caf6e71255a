package refcount

import (
	"errors"
	"fmt"
	"time"

	"github.com/ndpool/ndpool/arena"
	"github.com/ndpool/ndpool/arena/layout"
)

// Tickets are records of transfers in flight. All of this file wants the segment lock. A ticket's fields are written
// before its word, and its word is what counts: a death in between leaves the ticket as it was.

var (
	// ErrSpent is returned for a ticket that was adopted already.
	ErrSpent = errors.New("ticket is spent")
	// ErrExpired is returned for a ticket that was not adopted in time.
	ErrExpired = errors.New("ticket has expired")
	// ErrRecalled is returned for a ticket that its sender took back.
	ErrRecalled = errors.New("ticket was recalled")
	// ErrForged is returned for a ticket that was never given out, or that does not fit its handle.
	ErrForged = errors.New("no such ticket")
	// ErrNotReceiver is returned for a ticket that is directed at another process.
	ErrNotReceiver = errors.New("ticket is directed at another process")
	// ErrNotSender is returned by a recall of another process's ticket.
	ErrNotSender = errors.New("ticket is another process's")
)

// TicketError tells which ticket was refused, and why. It wraps one of the ticket errors.
type TicketError struct {
	Ticket int
	Nonce  uint32 // asked for
	Found  uint32 // in the table
	Kind   layout.TicketKind
	Err    error
}

func (e *TicketError) Error() string {
	return fmt.Sprintf("ticket %d: %v: nonce %d asked, %d found (%v)", e.Ticket, e.Err, e.Nonce, e.Found, e.Kind)
}

func (e *TicketError) Unwrap() error { return e.Err }

const transitWord, transitBit = layout.InTransit / 64, uint64(1) << (layout.InTransit % 64)

// TransitBit is the word and the bit of the pseudo-holder IN TRANSIT.
func TransitBit() (word int, bit uint64) { return transitWord, transitBit }

func (t *Table) ticketWord(n int) layout.TicketWord {
	return layout.TicketWord(t.tickets[n].Word.Load())
}

// Send opens ticket n for block i and returns its nonce. Preconditions: the segment lock is held, the ticket is free,
// and the caller has a reference to the block, which is LIVE.
//
// The bit and the bump come before the record that justifies them, so that the block outlives the sender's own release
// from the moment the ticket counts. A death before the last store leaves a bit without a record, which the taker of the lock clears.
func (t *Table) Send(n, i int, handle uint64, receiver layout.Ident) (nonce uint32) {
	k := &t.tickets[n]
	t.Enter(i)
	k.Handle.Publish(handle)
	k.Sender.Publish(uint64(t.arena.Self()))
	k.Receiver.Publish(uint64(receiver))
	k.Birth.Publish(uint64(arena.BootTime()))
	k.Deadline.Publish(0)
	nonce = t.nextNonce(n)
	k.Word.Store(uint64(layout.MakeTicket(layout.TicketOpen, nonce)))
	return nonce
}

// nextNonce returns the nonce of the ticket's next use: random at first, so that a ticket of another segment does not fit.
func (t *Table) nextNonce(n int) uint32 {
	w := t.ticketWord(n)
	if w == 0 {
		return layout.FirstGen(t.arena.Super.Segment, ^uint32(n))
	}
	if next := w.Nonce() + 1; next != 0 {
		return next
	}
	return 1
}

// Look returns the block that open ticket n carries, if the ticket's nonce and handle are the ones asked for.
func (t *Table) Look(n int, nonce uint32, handle uint64) error {
	k := &t.tickets[n]
	w := t.ticketWord(n)
	var err error
	switch {
	case nonce == 0 || int32(w.Nonce()-nonce) < 0 || w.Kind() == layout.TicketUnused:
		err = ErrForged
	case w.Nonce() != nonce, w.Kind() == layout.TicketSpent:
		err = ErrSpent
	case w.Kind() == layout.TicketRecalled:
		err = ErrRecalled
	case w.Kind() == layout.TicketExpired:
		err = ErrExpired
	case k.Handle.Load() != handle:
		err = ErrForged
	default:
		return nil
	}
	return t.refuse(n, nonce, err)
}

func (t *Table) refuse(n int, nonce uint32, err error) error {
	w := t.ticketWord(n)
	return &TicketError{Ticket: n, Nonce: nonce, Found: w.Nonce(), Kind: w.Kind(), Err: err}
}

// Adopt adds a reference of this process to block i, which ticket n carries, and spends the ticket. It reports freed as
// DropLocked does. Preconditions: Look agreed, the segment lock is held, no stripe is held.
//
// The adopter's bit and bump come before the ticket goes. A death after the bit leaves a holder that the sweep clears
// and an open ticket that somebody may still adopt.
func (t *Table) Adopt(n, i int, gen uint32) (freed bool, err error) {
	if r := layout.Ident(t.tickets[n].Receiver.Load()); r != 0 && r != t.arena.Self() {
		return false, t.refuse(n, t.ticketWord(n).Nonce(), ErrNotReceiver)
	}
	if t.state(i).Kind() != layout.Live || t.gen(i).Number() != gen {
		return false, t.stale(i, gen)
	}
	t.Hold(i)
	return t.closeTicket(n, i, layout.TicketSpent), nil
}

// Recall takes ticket n back. It reports freed as DropLocked does. Preconditions: as for Adopt.
func (t *Table) Recall(n, i int) (freed bool, err error) {
	if layout.Ident(t.tickets[n].Sender.Load()) != t.arena.Self() {
		return false, t.refuse(n, t.ticketWord(n).Nonce(), ErrNotSender)
	}
	return t.closeTicket(n, i, layout.TicketRecalled), nil
}

// Expire ends ticket n because nobody adopted it in time. It reports freed as DropLocked does.
func (t *Table) Expire(n, i int) (freed bool) {
	t.arena.Ctl.Expired.Add(1)
	return t.closeTicket(n, i, layout.TicketExpired)
}

// closeTicket ends a ticket: first the record, then what it did to its block.
func (t *Table) closeTicket(n, i int, kind layout.TicketKind) (freed bool) {
	t.tickets[n].Word.Store(uint64(layout.MakeTicket(kind, t.ticketWord(n).Nonce())))
	return t.Exit(i)
}

// Enter counts a ticket, or an entry of a ring, that is about to carry block i. Precondition: the caller has a reference to the
// block, which is LIVE. The bit and the bump come before the record that justifies them; a death in between leaves a bit
// without a record, which the taker of the lock clears.
func (t *Table) Enter(i int) {
	if t.set(i, transitWord, transitBit) {
		t.Bump(i)
	}
	d := &t.descs[i]
	d.Tickets.Publish(d.Tickets.Get() + 1)
}

// Exit uncounts a ticket, or an entry of a ring, that carries block i no more. It reports freed as DropLocked does. The record has
// gone before; then the bit goes if it was the last, then tryFree. A death in between leaves a bit without a record.
func (t *Table) Exit(i int) (freed bool) {
	d := &t.descs[i]
	if left := d.Tickets.Get(); left > 1 {
		d.Tickets.Publish(left - 1)
		return false
	}
	d.Tickets.Publish(0)
	t.clear(i, transitWord, transitBit)
	return t.TryFree(i)
}

// DropTicket marks an open ticket as expired that carries no block: a scribble.
func (t *Table) DropTicket(n int) {
	t.tickets[n].Word.Store(uint64(layout.MakeTicket(layout.TicketExpired, t.ticketWord(n).Nonce())))
}

// Orphan gives an open, undirected ticket of a sender who is gone its deadline.
func (t *Table) Orphan(n int, now int64, grace time.Duration) {
	t.tickets[n].Deadline.Store(uint64(now + int64(grace)))
}
