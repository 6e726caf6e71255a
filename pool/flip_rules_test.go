package pool

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"unsafe"

	"github.com/stretchr/testify/require"

	"github.com/ndpool/ndpool/arena"
	"github.com/ndpool/ndpool/arena/layout"
	"github.com/ndpool/ndpool/dtype"
)

// rule says that a change of a field cannot be noticed in some cases, and why. holds tells whether a flipped bit is such a case.
type rule struct {
	field string
	when  string
	why   string
	holds func(f *flips, s spot, bit int) bool
}

func (r *rule) key() string { return r.field + ", " + r.when }

// unnoticed are all changes that cannot be noticed, beside those of free words. docs/FORMAT.md lists them.
var unnoticed = []rule{
	{"committed", "of a chunk in which nothing lies", "a free chunk may have memory or not", func(f *flips, s spot, bit int) bool {
		return !usedChunk(f.was, s.at*8+bit)
	}},
	{"Control.Boot", "", "any number is some boot's; who opens the segment compares it with his own", always},
	{"Slot.Word", "phase, to SWEEPING", "a sweeper may come and die at any time", func(f *flips, s spot, _ int) bool {
		return s.at == 0 && slotWord(f.now, s).Phase() == layout.SlotSweeping
	}},
	{"Control.Change", "if no name has a greater version", "any number of changes may have been", func(f *flips, _ spot, _ int) bool {
		return !anyName(f.now, func(v *layout.NameValue) bool { return v.Version.Load() > f.now.Ctl.Change.Load() })
	}},
	{"Slot.Word", "phase, of a process that has no block, no ticket, no name and no part in a ring", "it may come or leave", func(f *flips, s spot, _ int) bool {
		return s.at == 0 && slotWord(f.now, s).Valid() && !ownsAny(f.was, s.index) && !ticketNames(f.was, s.index, allTickets) && !nameNames(f.was, s.index) && !ringNames(f.was, s.index)
	}},
	{"Slot.Word", "incarnation, if no open ticket names a later one, or this one as alive, and no name, its lock or a ring does", "a slot may have been used any number of times", func(f *flips, s spot, _ int) bool {
		inc := slotWord(f.now, s).Incarnation()
		return s.at >= 4 && !nameNames(f.was, s.index) && !ringNames(f.was, s.index) && !ticketNames(f.was, s.index, func(k *layout.Ticket, sender bool) bool {
			id := layout.Ident(k.Sender.Load())
			return !sender || id.Incarnation() > inc || k.Receiver.Load() == 0 && k.Deadline.Load() == 0
		})
	}},
	{"Ticket.Word", "kind, of a ticket that is not open", "it may have ended in any way", func(f *flips, s spot, _ int) bool {
		return s.at == 0 && ticketWord(f.now, s).Kind() > layout.TicketOpen && ticketWord(f.now, s).Valid()
	}},
	{"Ticket.Word", "nonce", "any number is one; a transfer with the old one is refused", func(f *flips, s spot, _ int) bool {
		return s.at >= 4 && ticketWord(f.now, s).Nonce() != 0 && ticketWord(f.was, s).Nonce() != 0
	}},
	{"Ticket.Handle", "of a ticket that is not open", "not read", notOpen},
	{"Ticket.Sender", "of a ticket that is not open", "not read", notOpen},
	{"Ticket.Sender", "to another process that may have sent it", "a ticket may be anybody's", func(f *flips, s spot, _ int) bool {
		id := layout.Ident(f.now.Tickets[s.index].Sender.Load())
		return id.Slot() < len(f.now.Slots)
	}},
	{"Ticket.Receiver", "of a ticket that is not open", "not read", notOpen},
	{"Ticket.Receiver", "to another process that is attached", "a ticket may be for anybody", func(f *flips, s spot, _ int) bool {
		return f.now.Tickets[s.index].Receiver.Load() != 0
	}},
	{"Ticket.Deadline", "of a ticket that is not open", "not read", notOpen},
	{"Ticket.Deadline", "of a sender who is gone", "any time is one", func(f *flips, s spot, _ int) bool {
		return f.was.Tickets[s.index].Deadline.Load() != 0 && f.now.Tickets[s.index].Deadline.Load() != 0
	}},
	{"Desc.State", "epoch", "any number is one", func(_ *flips, s spot, _ int) bool { return s.at >= 2 }},
	{"Desc.State", "sealed, of a LIVE block that is no ring and in no stream", "any array may be sealed", func(f *flips, s spot, bit int) bool {
		return s.at == 0 && bit == 4 && kindOf(f.was, s) == layout.Live && ringOf(f.was, s.index) == nil && !inStream(f.was, s.index)
	}},
	{"Desc.State", "kind, among BUSY, LIVE and CACHED, of a block in no transfer, in no ring and without a name while processes are attached", "they go through these without the lock", func(f *flips, s spot, bit int) bool {
		return s.at == 0 && bit < 4 && passing(kindOf(f.was, s)) && passing(kindOf(f.now, s)) && !recorded(f.was, s)
	}},
	{"Desc.State", "owner, to another slot in use", "a block may be anybody's", func(f *flips, s spot, _ int) bool {
		return s.at == 1 && inUse(f.now, layout.State(f.now.Descs[s.index].State.Load()).Owner())
	}},
	{"Desc.Gen", "number, of a block that is not RETIRED, in no transfer, in no ring and without a name", "any generation may have come; handles of the old one are refused", func(f *flips, s spot, _ int) bool {
		return s.at < 4 && kindOf(f.was, s) != layout.Retired && !recorded(f.was, s)
	}},
	{"Desc.Gen", "exhausted, of a BUSY or CACHED block in its first generation", "it may have gone round", func(f *flips, s spot, _ int) bool {
		d := &f.now.Descs[s.index]
		return s.at == 4 && !holdsArray(f.was, s) && kindOf(f.was, s) != layout.Free &&
			layout.Gen(d.Gen.Load()).Number() == layout.FirstGen(f.now.Super.Segment, uint32(s.index))
	}},
	{"Desc.Extent", "of a FREE or RETIRED block", "not read", free},
	{"Desc.Holders", "the bit of a slot in use", "its process may hold any block", func(f *flips, s spot, bit int) bool {
		return inUse(f.now, s.at*8+bit)
	}},
	{"Desc.Header", "of a block that holds no array", "not read", noArray},
	{"Desc.DType", "of a block that holds no array", "not read", noArray},
	{"Desc.DType", "to one with elements of the same size", "the bytes may mean anything", func(f *flips, s spot, _ int) bool {
		now, err := dtype.FromCode(f.now.Descs[s.index].DType.Load())
		was, err2 := dtype.FromCode(f.was.Descs[s.index].DType.Load())
		return err == nil && err2 == nil && now.Size() == was.Size()
	}},
	{"Desc.Bytes", "of a block that holds no array", "not read", noArray},
	{"Desc.NDim", "of a block that holds no array", "not read", noArray},
	{"Desc.NDim", "if dimensions of length 1 come or go at the end", "the same elements", func(f *flips, s spot, _ int) bool {
		d := &f.was.Descs[s.index]
		one := true
		now := f.now.Descs[s.index].NDim.Load()
		for k := min(now, d.NDim.Load()); k < max(now, d.NDim.Load()); k++ {
			one = one && k < layout.InlineDims && d.Dims[k].Len.Load() == 1
		}
		return one
	}},
	{"Desc.Flags", "of a block that holds no array", "not read", noArray},
	{"Desc.Flags", "FORTRAN, if both orders are the same", "the same elements", func(f *flips, s spot, bit int) bool {
		return s.at == 0 && 1<<bit == layout.DescFortran && longDims(&f.was.Descs[s.index]) < 2
	}},
	{"Desc.Flags", "HASHED, of a block that is not sealed, or becomes one without a hash", "a hash is no duty", func(f *flips, s spot, bit int) bool {
		d := &f.now.Descs[s.index]
		return s.at == 0 && 1<<bit == layout.DescHashed && (!layout.State(d.State.Load()).Sealed() || d.Flags.Load()&layout.DescHashed == 0)
	}},
	{"Desc.Flags", "RING, of a ring in which nothing is and that does not go with the pool", "its bytes may be any bytes", func(f *flips, s spot, bit int) bool {
		r := ringOf(f.was, s.index)
		return s.at == 0 && 1<<bit == layout.DescRing && r != nil && r.ring.Head.Load() == r.ring.Tail.Load() && !goesWithPool(f.was, s)
	}},
	{"Desc.Hash", "of a block that is not sealed with a hash", "not read", func(f *flips, s spot, _ int) bool {
		d := &f.was.Descs[s.index]
		return !layout.State(d.State.Load()).Sealed() || d.Flags.Load()&layout.DescHashed == 0
	}},
	{"Desc.Dims", "of a block that holds no array", "not read", noArray},
	{"Desc.Dims", "beyond NDim, or with a header", "not read", func(f *flips, s spot, _ int) bool {
		d := &f.was.Descs[s.index]
		return d.Header.Load() != 0 || s.at/int(unsafe.Sizeof(layout.Dim{})) >= int(d.NDim.Load())
	}},
	{"Desc.Dims", "the outermost length, if another one is 0", "no elements either way", func(f *flips, s spot, _ int) bool {
		d := &f.was.Descs[s.index]
		return s.at < 8 && d.Bytes.Load() == 0 && d.NDim.Load() > 1 && d.Dims[0].Len.Load() != 0
	}},
	{"Name.Word", "nonce", "any number is one; who waits for the lock of the old one is told that it is gone", func(f *flips, s spot, _ int) bool {
		return s.at >= 4 && (nameWord(f.now, s).Nonce() != 0 || nameWord(f.now, s).Kind() == layout.NameFree)
	}},
	{"Name.Word", "current, of an entry that is FREE", "not read", func(f *flips, s spot, bit int) bool {
		return s.at == 1 && bit == 0 && freeName(f, s, bit)
	}},
	{"Name.Parent", "of an entry that is FREE", "not read", freeName},
	{"Name.Bytes", "of an entry that is FREE", "not read", freeName},
	{"Name.Text", "of an entry that is FREE", "not read", freeName},
	{"NameValue.Array", "of an entry that is FREE, or that does not count", "not read", otherValue},
	{"NameValue.Attributes", "of an entry that is FREE, or that does not count", "not read", otherValue},
	{"NameValue.Owner", "of an entry that is FREE, or that does not count", "not read", otherValue},
	{"NameValue.Owner", "to another process that is attached", "a name may be anybody's", func(f *flips, s spot, _ int) bool {
		return inUse(f.now, layout.Ident(f.now.Names[s.index].Values[s.part].Owner.Load()).Slot())
	}},
	{"Name.Next", "of an entry that is FREE", "not read", freeName},
	{"Name.Child", "of an entry that is FREE", "not read", freeName},
	{"Name.After", "of an entry that is FREE", "not read", freeName},
	{"Name.Before", "of an entry that is FREE", "not read", freeName},
	{"Name.Lock", "of an entry that is FREE", "not read", freeName},
	{"Name.Lock", "torn", "a writer may have died", func(_ *flips, s spot, bit int) bool { return s.at == 1 && bit == 1 }},
	{"Name.Lock", "waiters, if there is a writer", "somebody may sleep", func(f *flips, s spot, bit int) bool {
		return s.at == 1 && bit == 0 && layout.NameLockWord(f.was.Names[s.index].Lock.Load()).Owner() >= 0
	}},
	{"Name.Lock", "owner, to another process that is attached", "anybody may be the writer", func(f *flips, s spot, _ int) bool {
		owner := layout.NameLockWord(f.now.Names[s.index].Lock.Load()).Owner()
		return s.at == 0 && owner >= 0 && inUse(f.now, owner)
	}},
	{"Name.Readers", "of an entry that is FREE", "not read", freeName},
	{"Name.Readers", "the bit of a slot in use", "its process may read what any name stands for", func(f *flips, s spot, bit int) bool {
		return inUse(f.now, s.at*8+bit)
	}},
	{"Slab.Map", "if Head is 0", "not read", func(f *flips, s spot, _ int) bool { return f.was.Slabs[s.index].Head.Load() == 0 }},
	{"Ring.Readers", "if it takes as many granules, and nobody is left out", "there may be any number", func(f *flips, s spot, _ int) bool {
		n := f.now.Descs[s.index].Bytes.Load()
		r := ringOf(f.now, s.index)
		return r != nil && layout.RingBytes(len(r.entries), len(r.readers)) == n
	}},
	{"Ring.Writer", "to another process that is attached", "anybody may write", func(f *flips, s spot, _ int) bool {
		return inUse(f.now, layout.Ident(ringOf(f.now, s.index).ring.Writer.Load()).Slot())
	}},
	{"Ring.State", "of a queue, to the other one", "anybody may shut it down", func(f *flips, s spot, bit int) bool {
		return s.at == 0 && bit == 0 && ringOf(f.was, s.index).ring.Kind.Load() == uint32(layout.RingQueue)
	}},
	{"RingReader.Reader", "to another process that is attached", "anybody may read", func(f *flips, s spot, _ int) bool {
		return inUse(f.now, layout.Ident(ringOf(f.now, s.index).readers[s.part].Reader.Load()).Slot())
	}},
	{"RingReader.Position", "of nobody", "not read", func(f *flips, s spot, _ int) bool {
		return ringOf(f.was, s.index).readers[s.part].Reader.Load() == 0
	}},
	{"RingReader.Position", "to another one from Tail to Head", "a reader may be anywhere", func(f *flips, s spot, _ int) bool {
		r := ringOf(f.now, s.index)
		at := r.readers[s.part].Position.Load()
		return at >= r.ring.Tail.Load() && at <= r.ring.Head.Load()
	}},
	{"RingEntry.Number", "of an entry that does not count", "not read", noEntry},
	{"RingEntry.Array", "of an entry that does not count", "not read", noEntry},
	{"RingEntry.Attributes", "of an entry that does not count", "not read", noEntry},
	{"RingEntry.Word", "of an entry that does not count", "not read", noEntry},
	{"RingEntry.Word", "kind, of an item of a queue", "any bytes may be a message or a pickle", func(f *flips, s spot, _ int) bool {
		w := layout.EntryWord(ringOf(f.now, s.index).entries[s.part].Word.Load())
		return s.at == 0 && w.Valid() && !w.IsAttached()
	}},
	{"header", "behind the dtype's text", "padding", func(f *flips, s spot, _ int) bool {
		return s.at >= textEnd(f.was, s)
	}},
	{"header", "in the dtype's text, if it still is one of the same size", "fields may have any name", func(f *flips, s spot, _ int) bool {
		from, to := 8+16*int(f.was.Descs[s.index].NDim.Load()), textEnd(f.was, s)
		now, err := dtype.FromRecord(headerBytes(f.now, s)[from:to])
		return s.at >= from && s.at < to && err == nil && now.Code() == f.now.Descs[s.index].DType.Load()
	}},
}

func always(*flips, spot, int) bool { return true }

func allTickets(*layout.Ticket, bool) bool { return true }

func slotWord(a *arena.Arena, s spot) layout.SlotWord {
	return layout.SlotWord(a.Slots[s.index].Word.Load())
}

func ticketWord(a *arena.Arena, s spot) layout.TicketWord {
	return layout.TicketWord(a.Tickets[s.index].Word.Load())
}

func nameWord(a *arena.Arena, s spot) layout.NameWord {
	return layout.NameWord(a.Names[s.index].Word.Load())
}

func freeName(f *flips, s spot, _ int) bool { return nameWord(f.was, s).Kind() == layout.NameFree }

func otherValue(f *flips, s spot, bit int) bool {
	return freeName(f, s, bit) || s.part != nameWord(f.was, s).Current()
}

// anyName tells whether the value of a name fits.
func anyName(a *arena.Arena, fits func(v *layout.NameValue) bool) bool {
	for e := range a.Names {
		if nameKind(&a.Names[e]) == layout.NameLive && fits(valueOf(&a.Names[e])) {
			return true
		}
	}
	return false
}

// nameNames tells whether a name or its lock names a slot.
func nameNames(a *arena.Arena, slot int) bool {
	for e := range a.Names {
		d := &a.Names[e]
		if nameKind(d) == layout.NameLive && (layout.NameLockWord(d.Lock.Load()).Owner() == slot || d.Readers[slot/64].Load()>>(slot%64)&1 != 0) {
			return true
		}
	}
	return anyName(a, func(v *layout.NameValue) bool { return layout.Ident(v.Owner.Load()).Slot() == slot })
}

// ringOf returns the ring that a block is, or nil.
func ringOf(a *arena.Arena, i int) *handRing {
	if d := &a.Descs[i]; d.Flags.Load()&layout.DescRing == 0 || layout.State(d.State.Load()).Kind() != layout.Live {
		return nil
	}
	r := overRing(a, i)
	return &r
}

// eachRing calls f for each ring.
func eachRing(a *arena.Arena, f func(i int, r *handRing)) {
	for i := range a.Descs {
		if r := ringOf(a, i); r != nil {
			f(i, r)
		}
	}
}

// ringNames tells whether a process in a slot is the writer of a ring, or entered as a reader.
func ringNames(a *arena.Arena, slot int) (found bool) {
	eachRing(a, func(_ int, r *handRing) {
		found = found || layout.Ident(r.ring.Writer.Load()).Slot() == slot
		for k := range r.readers {
			found = found || layout.Ident(r.readers[k].Reader.Load()).Slot() == slot
		}
	})
	return found
}

// inStream tells whether a stream has a block as a frame.
func inStream(a *arena.Arena, block int) (found bool) {
	eachRing(a, func(_ int, r *handRing) {
		for s := r.ring.Tail.Load(); s != r.ring.Head.Load() && r.ring.Kind.Load() == uint32(layout.RingStream); s++ {
			i, _ := a.Geo.DescIndex(uint32(r.entry(s).Array.Load()))
			found = found || i == block
		}
	})
	return found
}

// noEntry tells whether an entry of a ring does not count.
func noEntry(f *flips, s spot, _ int) bool {
	r := ringOf(f.was, s.index)
	for at := r.ring.Tail.Load(); at != r.ring.Head.Load(); at++ {
		if int(at%uint64(len(r.entries))) == s.part {
			return false
		}
	}
	return true
}

// goesWithPool tells whether a block has a name that goes with the pool.
func goesWithPool(a *arena.Arena, s spot) bool {
	return anyName(a, func(v *layout.NameValue) bool {
		i, _ := a.Geo.DescIndex(uint32(v.Array.Load()))
		return i == s.index && v.Owner.Load() == layout.NamePool
	})
}

// recorded tells whether a ticket, a ring or a name has the handle of a block.
func recorded(a *arena.Arena, s spot) bool {
	d := &a.Descs[s.index]
	return d.Tickets.Load() != 0 || d.Names.Load() != 0
}

func kindOf(a *arena.Arena, s spot) layout.Kind {
	return layout.State(a.Descs[s.index].State.Load()).Kind()
}

func notOpen(f *flips, s spot, _ int) bool { return ticketWord(f.was, s).Kind() != layout.TicketOpen }

func free(f *flips, s spot, _ int) bool {
	return kindOf(f.was, s) == layout.Free || kindOf(f.was, s) == layout.Retired
}

func holdsArray(a *arena.Arena, s spot) bool {
	return kindOf(a, s) == layout.Live || kindOf(a, s) == layout.Private
}

func noArray(f *flips, s spot, _ int) bool { return !holdsArray(f.was, s) }

// passing tells whether a block may be of a kind for a moment.
func passing(k layout.Kind) bool {
	return k == layout.Busy || k == layout.Live || k == layout.Cached
}

func inUse(a *arena.Arena, slot int) bool {
	if slot >= len(a.Slots) {
		return false
	}
	_, used := a.Ident(slot)
	return used
}

// usedChunk tells whether blocks lie in a chunk, or there is no such chunk.
func usedChunk(a *arena.Arena, c int) bool {
	for i := range a.Descs {
		k := layout.State(a.Descs[i].State.Load()).Kind()
		e := layout.Extent(a.Descs[i].Extent.Load())
		if (k == layout.Live || k == layout.Private || k == layout.Cached) &&
			e.First()/layout.ChunkPages <= c && c <= (e.First()+e.Pages()-1)/layout.ChunkPages {
			return true
		}
	}
	return c >= a.Geo.Chunks()
}

// ownsAny tells whether a slot owns or holds a block.
func ownsAny(a *arena.Arena, slot int) bool {
	for i := range a.Descs {
		s := layout.State(a.Descs[i].State.Load())
		if s.Kind().Owned() && s.Owner() == slot || a.Descs[i].Holders[slot/64].Load()>>(slot%64)&1 != 0 {
			return true
		}
	}
	return false
}

// ticketNames tells whether an open ticket names a slot, as sender or receiver, in a way that matters.
func ticketNames(a *arena.Arena, slot int, matters func(k *layout.Ticket, sender bool) bool) bool {
	for n := range a.Tickets {
		k := &a.Tickets[n]
		if layout.TicketWord(k.Word.Load()).Kind() != layout.TicketOpen {
			continue
		}
		if layout.Ident(k.Sender.Load()).Slot() == slot && matters(k, true) ||
			layout.Ident(k.Receiver.Load()).Slot() == slot && matters(k, false) {
			return true
		}
	}
	return false
}

// longDims returns how many dimensions are longer than one.
func longDims(d *layout.Desc) (n int) {
	for k := range min(d.NDim.Load(), layout.InlineDims) {
		if d.Dims[k].Len.Load() > 1 {
			n++
		}
	}
	return n
}

func headerBytes(a *arena.Arena, s spot) []byte {
	d := &a.Descs[s.index]
	return a.Data(layout.Extent(d.Extent.Load()).Offset(), uint64(d.Header.Load()))
}

// textEnd returns where the text of the dtype ends in a header.
func textEnd(a *arena.Arena, s spot) int {
	b := headerBytes(a, s)
	return 8 + 16*int(a.Descs[s.index].NDim.Load()) + int(uint32(b[4])|uint32(b[5])<<8)
}

// unnoticedTable is the list for docs/FORMAT.md.
func unnoticedTable() string {
	var b strings.Builder
	b.WriteString("\n| field | when | why |\n|---|---|---|\n")
	for _, r := range unnoticed {
		when := r.when
		if when == "" {
			when = "always"
		}
		fmt.Fprintf(&b, "| %s | %s | %s |\n", r.field, when, r.why)
	}
	return b.String() + "\n"
}

// TestUnnoticedBytesAreDocumented compares the list in docs/FORMAT.md; with NDPOOL_UPDATE=1 it writes it.
func TestUnnoticedBytesAreDocumented(t *testing.T) {
	const path, begin, end = "../docs/FORMAT.md", "<!-- generated by pool: begin unnoticed -->\n", "<!-- generated by pool: end unnoticed -->"
	doc, err := os.ReadFile(path)
	require.NoError(t, err)
	before, rest, ok := strings.Cut(string(doc), begin)
	require.True(t, ok, "no marker")
	list, after, ok := strings.Cut(rest, end)
	require.True(t, ok, "no marker")
	if os.Getenv("NDPOOL_UPDATE") != "" {
		require.NoError(t, os.WriteFile(path, []byte(before+begin+unnoticedTable()+end+after), 0o644))
		return
	}
	require.Equal(t, unnoticedTable(), list, "run go test -run Unnoticed ./pool with NDPOOL_UPDATE=1")
}
