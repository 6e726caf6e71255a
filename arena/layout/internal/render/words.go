package render

import (
	"fmt"
	"math/bits"
	"strings"

	"github.com/ndpool/ndpool/arena/layout"
)

// Word is a packed word: one number with several parts.
type Word struct {
	Name  string // of the Go type, with the form if there are several
	C     string // prefix of the macros
	Width int    // bits
	Where string // the fields that hold such a word
	Parts []Part
}

// Part is a group of neighbouring bits.
type Part struct {
	Name  string
	Doc   string
	Shift int
	Bits  int

	get func(uint64) uint64
}

// Mask returns the part's bits in place.
func (p Part) Mask() uint64 { return (1<<p.Bits - 1) << p.Shift }

// words returns the packed words with the places of their parts.
func words() []Word {
	ws := []Word{stateWord(), genWord(), slotWord(), identWord(), lockWord(), ticketWord(), runWord(), blockWord(), slabWord(),
		nameWord(), nameLockWord(), entryWord()}
	for i := range ws {
		for j := range ws[i].Parts {
			ws[i].Parts[j].probe(ws[i])
		}
	}
	return ws
}

// probe finds the part's place: it asks the accessor about each bit alone. Panics if the answer is not a group of
// neighbouring bits in order: then layout has a word that this package cannot describe.
func (p *Part) probe(w Word) {
	mask := uint64(0)
	for b := range w.Width {
		if p.get(1<<b) != 0 {
			mask |= 1 << b
		}
	}
	p.Shift, p.Bits = bits.TrailingZeros64(mask), bits.OnesCount64(mask)
	for b := range w.Width {
		if want := mask & (1 << b) >> p.Shift; p.get(1<<b) != want || mask != p.Mask() {
			panic(fmt.Sprintf("render: %s of %s is no group of neighbouring bits: %#x", p.Name, w.Name, mask))
		}
	}
}

// Reserved returns the bits that belong to no part; they are zero.
func (w Word) Reserved() uint64 {
	all := ^uint64(0) >> (64 - w.Width)
	for _, p := range w.Parts {
		all &^= p.Mask()
	}
	return all
}

func bit(set bool) uint64 {
	if set {
		return 1
	}
	return 0
}

func stateWord() Word {
	s := func(w uint64) layout.State { return layout.State(w) }
	return Word{Name: "State", C: "STATE", Width: 64, Where: "Desc.State", Parts: []Part{
		{Name: "kind", Doc: "what the block is, see the kinds of a block", get: func(w uint64) uint64 { return uint64(s(w).Kind()) }},
		{Name: "sealed", Doc: "the content is immutable from now on; LIVE blocks only", get: func(w uint64) uint64 { return bit(s(w).Sealed()) }},
		{Name: "owner", Doc: "slot of the owner of a BUSY, CACHED or PRIVATE block; 0 for the other kinds", get: func(w uint64) uint64 { return uint64(s(w).Owner()) }},
		{Name: "epoch", Doc: "number of changes of this word, modulo 2^48", get: func(w uint64) uint64 { return s(w).Epoch() }},
	}}
}

func genWord() Word {
	g := func(w uint64) layout.Gen { return layout.Gen(w) }
	return Word{Name: "Gen", C: "GEN", Width: 64, Where: "Desc.Gen", Parts: []Part{
		{Name: "number", Doc: "the generation; 0: the descriptor was never used", get: func(w uint64) uint64 { return uint64(g(w).Number()) }},
		{Name: "exhausted", Doc: "all generations are used up", get: func(w uint64) uint64 { return bit(g(w).Exhausted()) }},
	}}
}

func slotWord() Word {
	s := func(w uint64) layout.SlotWord { return layout.SlotWord(w) }
	return Word{Name: "SlotWord", C: "SLOT_WORD", Width: 64, Where: "Slot.Word", Parts: []Part{
		{Name: "phase", Doc: "what the slot is, see the phases of a slot", get: func(w uint64) uint64 { return uint64(s(w).Phase()) }},
		{Name: "incarnation", Doc: "number of this use of the slot", get: func(w uint64) uint64 { return uint64(s(w).Incarnation()) }},
	}}
}

func identWord() Word {
	i := func(w uint64) layout.Ident { return layout.Ident(w) }
	return Word{Name: "Ident", C: "IDENT", Width: 64, Where: "Ticket.Sender, Ticket.Receiver, NameValue.Owner, Ring.Writer, RingReader.Reader, RingEntry.Sender", Parts: []Part{
		{Name: "slot", Doc: "slot + 1; 0: nobody", get: func(w uint64) uint64 { return uint64(uint32(i(w).Slot() + 1)) }},
		{Name: "incarnation", Doc: "of the slot", get: func(w uint64) uint64 { return uint64(i(w).Incarnation()) }},
	}}
}

func lockWord() Word {
	l := func(w uint64) layout.LockWord { return layout.LockWord(w) }
	return Word{Name: "LockWord", C: "LOCK", Width: 32, Where: "Control.Lock", Parts: []Part{
		{Name: "owner", Doc: "slot of the owner + 1; 0: unlocked", get: func(w uint64) uint64 { return uint64(l(w).Owner() + 1) }},
		{Name: "waiters", Doc: "somebody sleeps on the word", get: func(w uint64) uint64 { return bit(l(w).Contended()) }},
		{Name: "incarnation", Doc: "low bits of the owner's incarnation", get: func(w uint64) uint64 { return uint64(l(w).Incarnation()) }},
	}}
}

func ticketWord() Word {
	t := func(w uint64) layout.TicketWord { return layout.TicketWord(w) }
	return Word{Name: "TicketWord", C: "TICKET_WORD", Width: 64, Where: "Ticket.Word", Parts: []Part{
		{Name: "kind", Doc: "what the ticket is, see the kinds of a ticket", get: func(w uint64) uint64 { return uint64(t(w).Kind()) }},
		{Name: "nonce", Doc: "number of this use of the ticket; grows with every transfer, never 0 for an open one", get: func(w uint64) uint64 { return uint64(t(w).Nonce()) }},
	}}
}

// extentFirst and extentClass are in both forms of an extent.
func extentFirst() Part {
	return Part{Name: "first", Doc: "first page of the run or of the slab, counted from the start of the data region", get: func(w uint64) uint64 { return uint64(layout.Extent(w).First()) }}
}

func extentClass() Part {
	return Part{Name: "class", Doc: "size class of the slab, from 1; 0: a run of pages", get: func(w uint64) uint64 { return uint64(layout.Extent(w).Class()) }}
}

func runWord() Word {
	pages := func(w uint64) uint64 {
		if layout.Extent(w).Class() != 0 {
			return 0 // the other form
		}
		return uint64(layout.Extent(w).Pages())
	}
	return Word{Name: "Extent of a run of pages", C: "EXTENT", Width: 64, Where: "Desc.Extent", Parts: []Part{
		extentFirst(),
		{Name: "pages", Doc: "number of pages, not 0", get: pages},
		extentClass(),
	}}
}

func blockWord() Word {
	return Word{Name: "Extent of a slab block", C: "EXTENT", Width: 64, Where: "Desc.Extent", Parts: []Part{
		extentFirst(),
		{Name: "block", Doc: "number of the block in the slab", get: func(w uint64) uint64 { return uint64(layout.Extent(w).Block()) }},
		extentClass(),
	}}
}

func slabWord() Word {
	h := func(w uint64) layout.SlabHead { return layout.SlabHead(w) }
	return Word{Name: "SlabHead", C: "SLAB", Width: 64, Where: "Slab.Head", Parts: []Part{
		{Name: "class", Doc: "size class, from 1; 0: there is no slab", get: func(w uint64) uint64 { return uint64(h(w).Class()) }},
		{Name: "free", Doc: "free blocks", get: func(w uint64) uint64 { return uint64(h(w).Free()) }},
		{Name: "first", Doc: "first page of the slab", get: func(w uint64) uint64 { return uint64(h(w).First()) }},
	}}
}

// cName returns the macro prefix of a part.
func (w Word) cName(p Part) string { return "NDPOOL_" + w.C + "_" + strings.ToUpper(p.Name) }

func nameWord() Word {
	n := func(w uint64) layout.NameWord { return layout.NameWord(w) }
	return Word{Name: "NameWord", C: "NAME_WORD", Width: 64, Where: "Name.Word", Parts: []Part{
		{Name: "kind", Doc: "what the entry is, see the kinds of an entry of the catalog", get: func(w uint64) uint64 { return uint64(n(w).Kind()) }},
		{Name: "current", Doc: "which of the two values counts", get: func(w uint64) uint64 { return uint64(n(w).Current()) }},
		{Name: "nonce", Doc: "number of this use of the entry", get: func(w uint64) uint64 { return uint64(n(w).Nonce()) }},
	}}
}

func nameLockWord() Word {
	l := func(w uint64) layout.NameLockWord { return layout.NameLockWord(w) }
	return Word{Name: "NameLockWord", C: "NAME_LOCK", Width: 32, Where: "Name.Lock", Parts: []Part{
		{Name: "owner", Doc: "slot of the writer + 1; 0: none", get: func(w uint64) uint64 { return uint64(l(w).Owner() + 1) }},
		{Name: "waiters", Doc: "somebody sleeps on the word", get: func(w uint64) uint64 { return bit(l(w).Contended()) }},
		{Name: "torn", Doc: "a writer died, and none has let go since", get: func(w uint64) uint64 { return bit(l(w).Torn()) }},
		{Name: "incarnation", Doc: "low bits of the writer's incarnation", get: func(w uint64) uint64 { return uint64(l(w).Incarnation()) }},
	}}
}

func entryWord() Word {
	e := func(w uint64) layout.EntryWord { return layout.EntryWord(w) }
	return Word{Name: "EntryWord", C: "ENTRY_WORD", Width: 64, Where: "RingEntry.Word", Parts: []Part{
		{Name: "kind", Doc: "what the entry carries, see the kinds of an entry of a ring", get: func(w uint64) uint64 { return uint64(e(w).Kind()) }},
		{Name: "attached", Doc: "the entry belongs to the one before", get: func(w uint64) uint64 { return bit(e(w).IsAttached()) }},
		{Name: "more", Doc: "how many entries behind it belong to it", get: func(w uint64) uint64 { return uint64(e(w).More()) }},
	}}
}
