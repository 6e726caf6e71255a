package pool

import (
	"os"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ndpool/ndpool/arena"
	"github.com/ndpool/ndpool/arena/layout"
	"github.com/ndpool/ndpool/internal/shm"
	"github.com/ndpool/ndpool/refcount"
)

// breach is a segment that breaks one law and no other.
type breach struct {
	law  string
	rest bool // in a pool at rest; else in one with processes attached
	live bool // in a live segment with one process; else in a copy
	// reindex makes the derived indexes anew afterwards, so that they agree with the broken truth.
	reindex bool
	do      func(a *arena.Arena)
}

func flip64(w *shm.U64, bits uint64) { w.Store(w.Load() ^ bits) }

func flip32(w *shm.U32, bits uint32) { w.Store(w.Load() ^ bits) }

// state changes the state word of the first block of a kind.
func state(kind layout.Kind, bits uint64) func(*arena.Arena) {
	return func(a *arena.Arena) { flip64(&a.Descs[findBlock(a, ofKind(kind))].State, bits) }
}

// block changes the first block that is held by somebody, in no transfer and without a name, or, if it is not LIVE, the first of its kind.
func block(kind layout.Kind, change func(d *layout.Desc)) func(*arena.Arena) {
	return func(a *arena.Arena) {
		change(&a.Descs[findBlock(a, func(s layout.State, d *layout.Desc) bool {
			return s.Kind() == kind && d.Tickets.Load() == 0 && d.Names.Load() == 0 && (kind != layout.Live || d.Holders[0].Load() != 0)
		})])
	}
}

// sent changes the first block that is in a transfer.
func sent(change func(d *layout.Desc)) func(*arena.Arena) {
	return func(a *arena.Arena) {
		change(&a.Descs[findBlock(a, func(_ layout.State, d *layout.Desc) bool { return d.Tickets.Load() == 1 })])
	}
}

// openTicket changes the first open ticket, directed or not.
func openTicket(directed bool, change func(a *arena.Arena, k *layout.Ticket)) func(*arena.Arena) {
	return func(a *arena.Arena) {
		change(a, &a.Tickets[findTicket(a, func(kind layout.TicketKind, k *layout.Ticket) bool {
			return kind == layout.TicketOpen && (k.Receiver.Load() != 0) == directed && k.Deadline.Load() == 0
		})])
	}
}

// endTicket ends the first open ticket of a block without an end of the block.
func endTicket(a *arena.Arena, d *layout.Desc) {
	n := findTicket(a, func(kind layout.TicketKind, k *layout.Ticket) bool {
		i, ok := a.Geo.DescIndex(uint32(k.Handle.Load()))
		return kind == layout.TicketOpen && ok && &a.Descs[i] == d
	})
	a.Tickets[n].Word.Store(uint64(layout.MakeTicket(layout.TicketSpent, 1)))
	forgetTransit(d)
}

func forgetTransit(d *layout.Desc) {
	word, bit := refcount.TransitBit()
	d.Tickets.Store(0)
	d.Holders[word].And(^bit)
}

// breaches has one segment for every law, but for those of the catalog and of rings: see nameBreaches and ringBreaches.
var breaches = []breach{
	{law: "superblock", do: func(a *arena.Arena) { a.Image()[60] ^= 1 }},
	{law: "lock", do: func(a *arena.Arena) { a.Ctl.Lock.Store(201) }},
	{law: "descriptors", reindex: true, do: func(a *arena.Arena) { a.Ctl.Descs.Store(uint32(len(a.Descs) - 1)) }},
	{law: "slot", do: func(a *arena.Arena) { flip64(&a.Slots[5].Word, 1<<8) }},
	{law: "committed", do: func(a *arena.Arena) { flip64(&a.Committed[0], 1) }},
	{law: "committed-end", do: func(a *arena.Arena) { flip64(&a.Committed[0], 1<<a.Geo.Chunks()) }},
	{law: "state", do: state(layout.Free, 1<<5)},
	{law: "owner", do: state(layout.Busy, 7<<8)},
	{law: "generation", do: block(layout.Live, func(d *layout.Desc) { d.Gen.Store(0) })},
	{law: "extent", reindex: true, do: block(layout.Cached, func(d *layout.Desc) { d.Extent.Store(0) })},
	{law: "overlap", reindex: true, do: func(a *arena.Arena) {
		one := findBlock(a, ofKind(layout.Cached))
		two := findBlock(a, func(s layout.State, d *layout.Desc) bool { return s.Kind() == layout.Cached && d != &a.Descs[one] })
		a.Descs[two].Extent.Store(a.Descs[one].Extent.Load())
	}},
	{law: "metadata", do: block(layout.Private, func(d *layout.Desc) { flip32(&d.NDim, 1<<30) })},
	{law: "holder", do: block(layout.Live, func(d *layout.Desc) { flip64(&d.Holders[0], 1<<5) })},
	{law: "alive", rest: true, reindex: true, do: func(a *arena.Arena) { sent(func(d *layout.Desc) { endTicket(a, d) })(a) }},
	{law: "unheld", live: true, do: func(a *arena.Arena) {
		flip64(&a.Descs[findBlock(a, ofKind(layout.Private))].Holders[0], 1<<a.Self().Slot())
	}},
	{law: "transit", do: sent(func(d *layout.Desc) {
		word, bit := refcount.TransitBit()
		flip64(&d.Holders[word], bit)
	})},
	{law: "ticket-count", do: sent(func(d *layout.Desc) { d.Tickets.Store(2) })},
	{law: "named", do: block(layout.Live, func(d *layout.Desc) { flip64(&d.Holders[3], 1<<63) })},
	{law: "ticket", do: func(a *arena.Arena) {
		n := findTicket(a, func(k layout.TicketKind, _ *layout.Ticket) bool { return k == layout.TicketUnused })
		a.Tickets[n].Word.Store(uint64(layout.MakeTicket(layout.TicketUnused, 7)))
	}},
	{law: "ticket-handle", do: openTicket(false, func(a *arena.Arena, k *layout.Ticket) {
		i, _ := a.Geo.DescIndex(uint32(k.Handle.Load()))
		forgetTransit(&a.Descs[i])
		flip64(&k.Handle, 1<<63)
	})},
	{law: "sender", do: openTicket(false, func(_ *arena.Arena, k *layout.Ticket) { flip64(&k.Sender, 1<<20) })},
	{law: "receiver", do: openTicket(true, func(_ *arena.Arena, k *layout.Ticket) { flip64(&k.Receiver, 1<<40) })},
	{law: "deadline", do: openTicket(false, func(_ *arena.Arena, k *layout.Ticket) { k.Deadline.Store(5) })},
	{law: "pages", do: func(a *arena.Arena) { flip64(&a.PageBits[len(a.PageBits)/2], 1<<40) }},
	{law: "page-tree", do: func(a *arena.Arena) { flip32(&a.PageTree[1].Free, 1) }},
	{law: "slabs", do: func(a *arena.Arena) { flip64(&a.Slabs[findSlab(a)].Map[0], 1) }},
	{law: "slab-sets", do: func(a *arena.Arena) { flip64(&a.SlabSets[0], 1<<63) }},
	{law: "descriptor-set", do: func(a *arena.Arena) { flip64(&a.DescSet[7], 1<<63) }},
	{law: "ticket-set", do: func(a *arena.Arena) { flip64(&a.TicketSet[1], 1) }},
	{law: "set-summary", do: func(a *arena.Arena) { flip64(&a.DescSet[layout.SetWords(len(a.Descs))-1], 1<<63) }},
	{law: "content", do: func(a *arena.Arena) {
		i := findBlock(a, func(s layout.State, d *layout.Desc) bool {
			return s.Sealed() && d.Flags.Load()&layout.DescHashed != 0
		})
		a.Data(layout.Extent(a.Descs[i].Extent.Load()).Offset(), 1)[0] ^= 1
	}},
	{law: "reserved", do: block(layout.Live, func(d *layout.Desc) { flip64(&d.Reserved[2], 1<<63) })},
}

// findSlab returns the first slab.
func findSlab(a *arena.Arena) int {
	for i := range a.Slabs {
		if a.Slabs[i].Head.Load() != 0 {
			return i
		}
	}
	panic("no slab")
}

// TestEveryLawIsNeeded breaks each law alone, and wants that no other law would have noticed.
func TestEveryLawIsNeeded(t *testing.T) {
	busy, rest := newWorld(t).heap.Bytes(), newWorldAtRest(t).Bytes()
	unbroken := map[string]bool{}
	for _, l := range Laws {
		unbroken[l.Name] = true
	}
	for _, b := range slices.Concat(breaches, nameBreaches, ringBreaches) {
		t.Run(b.law, func(t *testing.T) {
			require.True(t, unbroken[b.law], "no such law, or broken already")
			delete(unbroken, b.law)
			segment := busy
			if b.rest {
				segment = rest
			}
			report := b.report(t, segment)
			require.NotEmpty(t, report.Faults, "nobody noticed")
			for _, f := range report.Faults {
				require.Equal(t, b.law, f.Law, f)
			}
		})
	}
	require.Empty(t, unbroken, "laws that no segment breaks")
}

// report breaks the law and verifies.
func (b *breach) report(t *testing.T, segment []byte) Report {
	if b.live {
		_, p := createHeap(t, worldOptions)
		must(p.Alloc(structured, 3))
		b.do(p.arena)
		return must(p.Verify(VerifyOptions{Content: true}))
	}
	a := openImage(t, segment)
	b.do(a)
	if b.reindex {
		reindex(a)
	}
	path := imageOf(t, a.Image())
	defer os.Remove(path)
	return must(VerifyImage(path, VerifyOptions{Content: true}))
}
