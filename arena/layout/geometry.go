package layout

import (
	"fmt"
	"unsafe"
)

// Limits are the fixed limits of a segment, chosen at creation.
type Limits struct {
	Capacity  uint64 // bytes of the data region, a multiple of PageSize
	Arrays    int
	Processes int
	Tickets   int
	Names     int
}

// Check tells whether the limits lie within what the format can express.
func (l Limits) Check() error {
	if l.Capacity < MinCapacity || l.Capacity > MaxCapacity || l.Capacity%PageSize != 0 {
		return fmt.Errorf("capacity %d: must be a multiple of %d from %d to %d", l.Capacity, PageSize, MinCapacity, MaxCapacity)
	}
	for _, c := range []struct {
		what     string
		n, limit int
	}{{"arrays", l.Arrays, MaxArrays}, {"processes", l.Processes, MaxProcesses}, {"tickets", l.Tickets, MaxTickets}, {"names", l.Names, MaxNames}} {
		if c.n < 1 || c.n > c.limit {
			return fmt.Errorf("%s %d: must be from 1 to %d", c.what, c.n, c.limit)
		}
	}
	return nil
}

// Pages returns the number of pages of the data region.
func (l Limits) Pages() int { return int(l.Capacity / PageSize) }

// Chunks returns the number of chunks of the data region; the last one may be short.
func (l Limits) Chunks() int { return (l.Pages() + ChunkPages - 1) / ChunkPages }

// Slabs returns the number of slab records.
func (l Limits) Slabs() int { return (l.Pages() + MinSlabPages - 1) / MinSlabPages }

// TreeLeaves returns the number of leaves of the page tree, a power of two.
func (l Limits) TreeLeaves() int {
	n := 1
	for n < l.Chunks() {
		n *= 2
	}
	return n
}

// NameHeads returns the number of heads of the catalog's chains, a power of two.
func (l Limits) NameHeads() int {
	n := 2
	for n < l.Names {
		n *= 2
	}
	return n
}

// Geometry says where everything lies. It follows from the limits alone.
type Geometry struct {
	Limits
	Regions  [RegionCount + 1]Region // by kind
	FileSize uint64
}

// Sizes of the structs, in bytes.
const (
	ControlSize  = uint64(unsafe.Sizeof(Control{}))
	SlotSize     = uint64(unsafe.Sizeof(Slot{}))
	DescSize     = uint64(unsafe.Sizeof(Desc{}))
	TicketSize   = uint64(unsafe.Sizeof(Ticket{}))
	PageNodeSize = uint64(unsafe.Sizeof(PageNode{}))
	SlabSize     = uint64(unsafe.Sizeof(Slab{}))
	NameSize     = uint64(unsafe.Sizeof(Name{}))

	RingSize       = uint64(unsafe.Sizeof(Ring{}))
	RingReaderSize = uint64(unsafe.Sizeof(RingReader{}))
	RingEntrySize  = uint64(unsafe.Sizeof(RingEntry{}))
)

// Compute returns the geometry of a segment with these limits. Regions start at page boundaries, the data region at a
// chunk boundary.
func Compute(l Limits) (Geometry, error) {
	if err := l.Check(); err != nil {
		return Geometry{}, err
	}
	g := Geometry{Limits: l}
	sizes := [RegionCount + 1]uint64{
		RegionControl:   ControlSize,
		RegionSlots:     uint64(l.Processes) * SlotSize,
		RegionCommitted: words(uint64(l.Chunks())) * 8,
		RegionPages:     uint64(l.Chunks()) * ChunkPages / 8,
		RegionPageTree:  uint64(l.TreeLeaves()) * 2 * PageNodeSize,
		RegionSlabs:     uint64(l.Slabs()) * SlabSize,
		RegionSlabSets:  NumClasses * SetWords(l.Slabs()) * 8,
		RegionDescSet:   SetWords(l.Arrays) * 8,
		RegionTicketSet: SetWords(l.Tickets) * 8,
		RegionTickets:   uint64(l.Tickets) * TicketSize,
		RegionNameSet:   SetWords(l.Names) * 8,
		RegionNameHeads: uint64(l.NameHeads()) * 4,
		RegionNames:     uint64(l.Names) * NameSize,
		RegionDescs:     uint64(l.Arrays) * DescSize,
		RegionData:      l.Capacity,
	}
	at := uint64(SuperblockSize)
	for kind := RegionControl; kind <= RegionCount; kind++ {
		if kind == RegionData {
			at = roundUp(at, ChunkSize)
		}
		g.Regions[kind] = Region{Kind: uint32(kind), Version: 1, Offset: at, Size: sizes[kind]}
		at = roundUp(at+sizes[kind], PageSize)
	}
	g.FileSize = at
	return g, nil
}

// Eager returns the bytes from the start of the file that are committed at creation: all tables but the entries of the
// catalog and the descriptors.
func (g *Geometry) Eager() uint64 { return g.Regions[RegionNames].Offset }

// DescGranule returns the handle's offset part of a descriptor: its place in the file in granules.
func (g *Geometry) DescGranule(i int) uint32 {
	return uint32((g.Regions[RegionDescs].Offset + uint64(i)*DescSize) / Granule)
}

// DescIndex returns the descriptor that starts at an offset in granules, and whether one does.
func (g *Geometry) DescIndex(granule uint32) (int, bool) {
	off := uint64(granule) * Granule
	start := g.Regions[RegionDescs].Offset
	if off < start || (off-start)%DescSize != 0 {
		return 0, false
	}
	i := (off - start) / DescSize
	return int(i), i < uint64(g.Arrays)
}

// NameHead returns the chain of a name in the group of entry + 1 parent; 0 is the root. hash is the xxhash64, seed 0, of the
// component.
func (l Limits) NameHead(parent uint32, hash uint64) int {
	h := hash + uint64(parent)*0x9e3779b97f4a7c15
	return int((h ^ h>>32) & uint64(l.NameHeads()-1))
}

// SetWords returns the 64-bit words of an index set of n members: a bitmap, and above it one bit per word that is not
// zero, up to a single word.
func SetWords(n int) uint64 {
	total := uint64(0)
	for w := words(uint64(n)); ; w = words(w) {
		total += w
		if w <= 1 {
			return total
		}
	}
}

// RingBytes returns the bytes of a ring's block.
func RingBytes(entries, readers int) uint64 {
	return RingSize + roundUp(uint64(readers)*RingReaderSize, Granule) + uint64(entries)*RingEntrySize
}

// ClassOf returns the slab class for a size in bytes, from 1; 0 if a slab does not serve it.
func ClassOf(size uint64) int {
	if size > MaxClassSize {
		return 0
	}
	return int(classOf[(size+Granule-1)/Granule])
}

// PagesFor returns the number of pages for a size in bytes.
func PagesFor(size uint64) int { return int((size + PageSize - 1) / PageSize) }

func words(bits uint64) uint64 { return (bits + 63) / 64 }

func roundUp(n, to uint64) uint64 { return (n + to - 1) / to * to }
