package layout

// Packed words: each is made by one function and split by methods of its type. None of them touches shared memory.

// Kind is what a block is at the moment.
type Kind uint8

// Kinds of a block. A block is alive while PRIVATE, or LIVE with a bit in its holder set.
const (
	Free    Kind = iota // belongs to nobody; has no extent
	Busy                // being filled, freed, committed or trimmed by its owner
	Live                // shared: alive while any holder bit is set
	Cached              // empty, kept for reuse by its owner; anybody may steal it
	Private             // allocated and not yet shared: alive as long as its owner
	Retired             // the descriptor has used all its generations; has no extent
	kindEnd
)

var kindNames = [...]string{"free", "busy", "live", "cached", "private", "retired"}

// String returns the kind's name in lower case.
func (k Kind) String() string {
	if int(k) < len(kindNames) {
		return kindNames[k]
	}
	return "invalid"
}

// Owned tells whether a word of this kind names an owner.
func (k Kind) Owned() bool { return k == Busy || k == Cached || k == Private }

// State is a descriptor's state word: kind (bits 0-3), sealed (bit 4), owner slot (bits 8-15), epoch (bits 16-63).
// Every change bumps the epoch, so that a compare-and-swap never succeeds on a word that was away in between.
type State uint64

const (
	sealedBit  = 1 << 4
	ownerShift = 8
	epochUnit  = 1 << 16
)

// Kind returns the kind.
func (s State) Kind() Kind { return Kind(s & 0xf) }

// Owner returns the owner's slot; it means something for the kinds BUSY, CACHED and PRIVATE only.
func (s State) Owner() int { return int(uint8(s >> ownerShift)) }

// Sealed tells whether a LIVE block is immutable from now on.
func (s State) Sealed() bool { return s&sealedBit != 0 }

// Epoch returns the number of changes of this word, modulo 2^48.
func (s State) Epoch() uint64 { return uint64(s) / epochUnit }

// To returns the word of the next epoch with the given kind and owner, not sealed.
func (s State) To(k Kind, owner int) State {
	return (s&^(epochUnit-1) + epochUnit) | State(k) | State(owner)<<ownerShift
}

// Bump returns the same word in the next epoch.
func (s State) Bump() State { return s + epochUnit }

// Seal returns the word of the next epoch, sealed.
func (s State) Seal() State { return s.Bump() | sealedBit }

// Valid tells whether every bit of the word has a meaning.
func (s State) Valid() bool {
	return s.Kind() < kindEnd && s&0xe0 == 0 && (!s.Sealed() || s.Kind() == Live) && (s.Kind().Owned() || s.Owner() == 0)
}

// Gen is a descriptor's generation word: the generation (bits 0-31), 0 before its first use, and whether all
// generations are used up (bit 32).
type Gen uint64

const exhaustedBit = 1 << 32

// Number returns the generation, 0 if the descriptor was never used.
func (g Gen) Number() uint32 { return uint32(g) }

// Exhausted tells whether all generations of the descriptor are used up.
func (g Gen) Exhausted() bool { return g&exhaustedBit != 0 }

// Valid tells whether every bit of the word has a meaning.
func (g Gen) Valid() bool { return g>>33 == 0 }

// Next returns the word after g for a descriptor whose first generation is first: first itself after 0. Later on 0 is
// skipped. When the generations have gone round, the word is exhausted, and stays so: a sweeper may end a generation
// twice.
func (g Gen) Next(first uint32) Gen {
	if g.Exhausted() {
		return g
	}
	if g.Number() == 0 {
		return Gen(first)
	}
	n := g.Number() + 1
	if n == 0 {
		n = 1
	}
	if n == first {
		return Gen(n) | exhaustedBit
	}
	return Gen(n)
}

// FirstGen returns the first generation of a descriptor: random per segment and descriptor, never 0, so that handles of
// another segment, or of an earlier one of the same name, do not fit. The mixing is the finalizer of SplitMix64
// (Steele, Lea, Flood, OOPSLA 2014).
func FirstGen(segment [16]byte, desc uint32) uint32 {
	var seed uint64
	for i := range 8 {
		seed |= uint64(segment[i]^segment[i+8]) << (8 * i)
	}
	z := seed + uint64(desc+1)*0x9e3779b97f4a7c15
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	if g := uint32(z ^ z>>31); g != 0 {
		return g
	}
	return 1
}

// Phase is what a slot is at the moment.
type Phase uint8

// Phases of a slot.
const (
	SlotFree     Phase = iota // nobody's, and nothing in the segment names it as alive
	SlotClaimed               // a process's, which holds the slot's byte as long as it lives
	SlotSweeping              // being cleaned of a dead process's holds by whoever holds its byte
	phaseEnd
)

var phaseNames = [...]string{"free", "claimed", "sweeping"}

// String returns the phase's name in lower case.
func (p Phase) String() string {
	if int(p) < len(phaseNames) {
		return phaseNames[p]
	}
	return "invalid"
}

// SlotWord is a slot's word: phase (bits 0-7) and incarnation (bits 32-63).
type SlotWord uint64

// MakeSlot packs a slot's word.
func MakeSlot(p Phase, incarnation uint32) SlotWord { return SlotWord(p) | SlotWord(incarnation)<<32 }

// Phase returns the phase.
func (w SlotWord) Phase() Phase { return Phase(w) }

// Incarnation returns the number of this use of the slot.
func (w SlotWord) Incarnation() uint32 { return uint32(w >> 32) }

// Valid tells whether every bit of the word has a meaning.
func (w SlotWord) Valid() bool { return w.Phase() < phaseEnd && uint32(w)>>8 == 0 }

// Ident names a process for as long as records may speak of it: slot+1 (bits 0-31) and incarnation (bits 32-63); 0 is nobody.
type Ident uint64

// MakeIdent packs an ident.
func MakeIdent(slot int, incarnation uint32) Ident { return Ident(slot+1) | Ident(incarnation)<<32 }

// Slot returns the slot, -1 for nobody.
func (i Ident) Slot() int { return int(uint32(i)) - 1 }

// Incarnation returns the incarnation of the slot.
func (i Ident) Incarnation() uint32 { return uint32(i >> 32) }

// LockWord is the segment lock: slot+1 of the owner (bits 0-7, 0 is unlocked), waiters (bit 8), low 23 bits of the
// owner's incarnation (bits 9-31).
type LockWord uint32

const (
	lockWaiters      = 1 << 8
	lockIncarnations = 1<<23 - 1
)

// MakeLock packs the word of a lock that the process holds.
func MakeLock(i Ident) LockWord {
	return LockWord(i.Slot()+1) | LockWord(i.Incarnation()&lockIncarnations)<<9
}

// Owner returns the owner's slot, -1 if nobody holds the lock.
func (l LockWord) Owner() int { return int(uint8(l)) - 1 }

// Contended tells whether somebody sleeps on the word.
func (l LockWord) Contended() bool { return l&lockWaiters != 0 }

// WithWaiters returns the word with the waiters bit.
func (l LockWord) WithWaiters() LockWord { return l | lockWaiters }

// Incarnation returns the low 23 bits of the owner's incarnation.
func (l LockWord) Incarnation() uint32 { return uint32(l >> 9) }

// Names tells whether the word names that incarnation of its slot as owner.
func (l LockWord) Names(incarnation uint32) bool {
	return l.Incarnation() == incarnation&lockIncarnations
}

// TicketKind is what a ticket is at the moment.
type TicketKind uint8

// Kinds of a ticket. All but TicketOpen are free for reuse; they remember how the last transfer ended.
const (
	TicketUnused   TicketKind = iota
	TicketOpen                // in flight
	TicketSpent               // adopted
	TicketRecalled            // taken back by its sender
	TicketExpired             // not adopted before its deadline, or before its receiver died
	ticketEnd
)

var ticketNames = [...]string{"unused", "open", "spent", "recalled", "expired"}

// String returns the kind's name in lower case.
func (k TicketKind) String() string {
	if int(k) < len(ticketNames) {
		return ticketNames[k]
	}
	return "invalid"
}

// TicketWord is a ticket's word: kind (bits 0-7) and nonce (bits 32-63). The nonce grows with every transfer.
type TicketWord uint64

// MakeTicket packs a ticket's word.
func MakeTicket(k TicketKind, nonce uint32) TicketWord { return TicketWord(k) | TicketWord(nonce)<<32 }

// Kind returns the kind.
func (w TicketWord) Kind() TicketKind { return TicketKind(w) }

// Nonce returns the number of this use of the ticket, never 0 for an open one.
func (w TicketWord) Nonce() uint32 { return uint32(w >> 32) }

// Valid tells whether every bit of the word has a meaning.
func (w TicketWord) Valid() bool { return w.Kind() < ticketEnd && uint32(w)>>8 == 0 }

// NameKind is what an entry of the catalog is at the moment. While nobody holds the lock, and nobody died in it, all are
// FREE or LIVE.
type NameKind uint8

// Kinds of an entry of the catalog.
const (
	NameFree      NameKind = iota // nobody's
	NameLive                      // a name
	NameStaged                    // will be a name when the change is decided
	NameReplacing                 // a name; the other value counts when the change is decided
	NameLeaving                   // a name until the change is decided
	nameEnd
)

var nameKinds = [...]string{"free", "live", "staged", "replacing", "leaving"}

// String returns the kind's name in lower case.
func (k NameKind) String() string {
	if int(k) < len(nameKinds) {
		return nameKinds[k]
	}
	return "invalid"
}

// NameWord is an entry's word: kind (bits 0-7), which of the two values counts (bit 8), nonce (bits 32-63), which grows
// with each use of the entry.
type NameWord uint64

// MakeName packs an entry's word.
func MakeName(k NameKind, current int, nonce uint32) NameWord {
	return NameWord(k) | NameWord(current&1)<<8 | NameWord(nonce)<<32
}

// Kind returns the kind.
func (w NameWord) Kind() NameKind { return NameKind(w) }

// Current returns which of the two values counts.
func (w NameWord) Current() int { return int(w >> 8 & 1) }

// Nonce returns the number of this use of the entry.
func (w NameWord) Nonce() uint32 { return uint32(w >> 32) }

// To returns the word of the same use with another kind.
func (w NameWord) To(k NameKind) NameWord { return w&^0xff | NameWord(k) }

// Flip returns the word of the same use, LIVE, with the other value.
func (w NameWord) Flip() NameWord { return w.To(NameLive) ^ 1<<8 }

// Valid tells whether every bit of the word has a meaning.
func (w NameWord) Valid() bool { return w.Kind() < nameEnd && uint32(w)>>9 == 0 }

// NameLockWord is the lock of a name: slot+1 of the writer (bits 0-7, 0: none), waiters (bit 8), torn (bit 9), low 22
// bits of the writer's incarnation (bits 10-31).
type NameLockWord uint32

const (
	nameLockWaiters      = 1 << 8
	nameLockTorn         = 1 << 9
	nameLockIncarnations = 1<<22 - 1
)

// MakeNameLock packs the word of a lock that a process of that ident has as the writer.
func MakeNameLock(i Ident) NameLockWord {
	return NameLockWord(i.Slot()+1) | NameLockWord(i.Incarnation()&nameLockIncarnations)<<10
}

// Owner returns the writer's slot, -1 if there is none.
func (l NameLockWord) Owner() int { return int(uint8(l)) - 1 }

// Contended tells whether somebody sleeps on the word.
func (l NameLockWord) Contended() bool { return l&nameLockWaiters != 0 }

// WithWaiters returns the word with the waiters bit.
func (l NameLockWord) WithWaiters() NameLockWord { return l | nameLockWaiters }

// Torn tells whether a writer died, and no writer has let go since: the data may be half-changed.
func (l NameLockWord) Torn() bool { return l&nameLockTorn != 0 }

// WithTorn returns the word with the torn bit.
func (l NameLockWord) WithTorn() NameLockWord { return l | nameLockTorn }

// Free returns the word without a writer, as torn as before, without waiters.
func (l NameLockWord) Free() NameLockWord { return l & nameLockTorn }

// Incarnation returns the low 22 bits of the writer's incarnation.
func (l NameLockWord) Incarnation() uint32 { return uint32(l >> 10) }

// Names tells whether the word names that incarnation of its slot as the writer.
func (l NameLockWord) Names(incarnation uint32) bool {
	return l.Incarnation() == incarnation&nameLockIncarnations
}

// RingKind is what a ring is.
type RingKind uint32

// Kinds of a ring.
const (
	RingStream RingKind = iota + 1 // one process writes, any number read, each for itself
	RingQueue                      // each entry goes to one who gets it
	ringKindEnd
)

var ringKinds = [...]string{"invalid", "stream", "queue"}

// String returns the kind's name in lower case.
func (k RingKind) String() string {
	if !k.Valid() {
		return ringKinds[0]
	}
	return ringKinds[k]
}

// Valid tells whether there is such a kind.
func (k RingKind) Valid() bool { return k > 0 && k < ringKindEnd }

// EntryKind is what an entry of a ring carries.
type EntryKind uint8

// Kinds of an entry of a ring.
const (
	EntryArray  EntryKind = iota + 1 // an array
	EntryBytes                       // an array of bytes that is a message
	EntryPickle                      // an array of bytes that is a Python pickle
	entryKindEnd
)

var entryKinds = [...]string{"invalid", "array", "bytes", "pickle"}

// String returns the kind's name in lower case.
func (k EntryKind) String() string {
	if k < 1 || k >= entryKindEnd {
		return entryKinds[0]
	}
	return entryKinds[k]
}

// EntryWord is what an entry of a ring is: kind (bits 0-7), whether it belongs to the one before (bit 8), how many entries behind
// it belong to it (bits 32-63).
type EntryWord uint64

const entryAttached = 1 << 8

// MakeEntry packs the word of an entry to which so many of those behind it belong.
func MakeEntry(k EntryKind, more int) EntryWord { return EntryWord(k) | EntryWord(uint32(more))<<32 }

// Attached returns the word of an entry that belongs to the one before.
func (w EntryWord) Attached() EntryWord { return w | entryAttached }

// Kind returns the kind.
func (w EntryWord) Kind() EntryKind { return EntryKind(w) }

// IsAttached tells whether the entry belongs to the one before.
func (w EntryWord) IsAttached() bool { return w&entryAttached != 0 }

// More returns how many entries behind it belong to it.
func (w EntryWord) More() int { return int(w >> 32) }

// Valid tells whether every bit of the word has a meaning.
func (w EntryWord) Valid() bool {
	k := w.Kind()
	return k > 0 && k < entryKindEnd && uint32(w)>>9 == 0 && w.More() < MaxRingEntries && !(w.IsAttached() && w.More() != 0)
}

// Extent says where a block's bytes are, in one word.
//
//	a run of pages:      first page (bits 0-28), pages (bits 29-57), 0 (bits 58-63)
//	a block of a slab:   first page of the slab (bits 0-28), block (bits 29-36), 0 (bits 37-57), class (bits 58-63)
//
// Pages count from the start of the data region. The zero Extent is no bytes.
type Extent uint64

// MaxRunPages is the longest run of pages that an extent can tell. In a data region of MaxCapacity it is one page less
// than all.
const MaxRunPages = 1<<29 - 1

// PageRun returns the extent of a run of 1 to MaxRunPages pages.
func PageRun(first, pages int) Extent { return Extent(first) | Extent(pages)<<29 }

// SlabBlock returns the extent of a block of the slab that starts at page first; class counts from 1.
func SlabBlock(class, first, block int) Extent {
	return Extent(first) | Extent(block)<<29 | Extent(class)<<58
}

// Class returns the size class of a slab's block, 0 for a run of pages.
func (e Extent) Class() int { return int(e >> 58) }

// First returns the first page of the run or of the slab.
func (e Extent) First() int { return int(e & MaxRunPages) }

// Pages returns the number of pages of a run of pages, and of the whole slab for a slab's block.
func (e Extent) Pages() int {
	if c := e.Class(); c != 0 {
		return int(Classes[c].Pages)
	}
	return int(e >> 29 & MaxRunPages)
}

// Block returns the number of a slab's block.
func (e Extent) Block() int { return int(e >> 29 & 0xff) }

// Offset returns the first byte, counted from the start of the data region.
func (e Extent) Offset() uint64 {
	off := uint64(e.First()) * PageSize
	if c := e.Class(); c != 0 {
		off += uint64(e.Block()) * uint64(Classes[c].Size)
	}
	return off
}

// Size returns the length in bytes.
func (e Extent) Size() uint64 {
	if c := e.Class(); c != 0 {
		return uint64(Classes[c].Size)
	}
	return uint64(e.Pages()) * PageSize
}

// Bin returns the number of the cache list for blocks of this extent's size; LargeBin for those that are not cached.
func (e Extent) Bin() int {
	if c := e.Class(); c != 0 {
		return c - 1
	}
	if n := e.Pages(); n <= RunBins {
		return NumClasses + n - 1
	}
	return LargeBin
}

// Valid tells whether the extent lies within a data region of that many pages, and is made as SlabBlock or PageRun make it.
func (e Extent) Valid(pages int) bool {
	c := e.Class()
	if c > NumClasses {
		return false
	}
	if c != 0 && (e>>37&(1<<21-1) != 0 || e.Block() >= int(Classes[c].Blocks)) {
		return false
	}
	return e.Pages() > 0 && e.First()+e.Pages() <= pages
}

// Bins of a process's cache: one per slab class, one per short run of pages, and one for all that is larger.
const (
	LargeBin = NumClasses + RunBins
	NumBins  = LargeBin + 1
)

// SlabHead is the head of a slab's record: class (bits 0-7, 0: no slab), free blocks (bits 8-23), first page (bits 32-63).
type SlabHead uint64

// MakeSlab packs a slab's head.
func MakeSlab(class, free, first int) SlabHead {
	return SlabHead(class) | SlabHead(free)<<8 | SlabHead(first)<<32
}

// Class returns the size class, 0 if there is no slab.
func (h SlabHead) Class() int { return int(uint8(h)) }

// Free returns the number of free blocks.
func (h SlabHead) Free() int { return int(uint16(h >> 8)) }

// First returns the first page.
func (h SlabHead) First() int { return int(h >> 32) }
