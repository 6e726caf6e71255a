// Package arena maps a segment and keeps its processes apart: superblock, regions, the segment lock, slots, memory.
//
// It knows where the regions are, not what blocks, handles or arrays are; those are the packages above. What the words
// of the segment mean is in package layout, and the rules by which they change are in docs/PROTOCOL.md.
//
// The life of an attachment: Create or Open, Claim (a slot, tied to the life of this address space by a kernel lock),
// work, Leave. In between, Lock and Unlock guard the derived indexes, and Bury takes the slot of a dead process.
//
// An Arena may be used by several goroutines. It survives fork without exec only as far as the Go runtime does, which is
// not at all: start Go workers by exec.
package arena

import (
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/ndpool/ndpool/arena/layout"
	"github.com/ndpool/ndpool/internal/shm"
)

// Arena is one attachment to a segment. Local; the slices lie over the shared mapping.
type Arena struct {
	Super layout.Superblock // private copy, validated once; never read from the mapping again
	Geo   layout.Geometry

	Ctl       *layout.Control
	Slots     []layout.Slot
	Committed []shm.U64 // truth: bit c set: chunk c has memory behind it
	PageBits  []shm.U64
	PageTree  []layout.PageNode
	Slabs     []layout.Slab
	SlabSets  []shm.U64
	DescSet   []shm.U64
	TicketSet []shm.U64
	Tickets   []layout.Ticket
	NameSet   []shm.U64
	NameHeads []shm.U32
	Names     []layout.Name // memory is committed for the first Ctl.Names only
	Descs     []layout.Desc // memory is committed for the first Ctl.Descs only

	path string
	mem  []byte
	data []byte // the data region
	back backing

	member description  // holds the pool's byte and the slot's byte; pinned
	self   layout.Ident // 0 before Claim
	word   layout.LockWord
	front  sync.Mutex // stands before the segment lock: one goroutine per process contends at most

	roOnce sync.Once
	ro     []byte
	roErr  error
	closed atomic.Bool
}

// lay lays the typed slices over the mapping. Precondition: Super and Geo are validated against the file's size.
func (a *Arena) lay(mem []byte) {
	g := &a.Geo
	at := func(kind int) uint64 { return g.Regions[kind].Offset }
	words := func(kind int) []shm.U64 { return overlay[shm.U64](mem, at(kind), int(g.Regions[kind].Size/8)) }
	a.mem = mem
	a.Ctl = &overlay[layout.Control](mem, at(layout.RegionControl), 1)[0]
	a.Slots = overlay[layout.Slot](mem, at(layout.RegionSlots), g.Processes)
	a.Committed = words(layout.RegionCommitted)
	a.PageBits = words(layout.RegionPages)
	a.PageTree = overlay[layout.PageNode](mem, at(layout.RegionPageTree), 2*g.TreeLeaves())
	a.Slabs = overlay[layout.Slab](mem, at(layout.RegionSlabs), g.Limits.Slabs())
	a.SlabSets = words(layout.RegionSlabSets)
	a.DescSet = words(layout.RegionDescSet)
	a.TicketSet = words(layout.RegionTicketSet)
	a.Tickets = overlay[layout.Ticket](mem, at(layout.RegionTickets), g.Tickets)
	a.NameSet = words(layout.RegionNameSet)
	a.NameHeads = overlay[shm.U32](mem, at(layout.RegionNameHeads), g.NameHeads())
	a.Names = overlay[layout.Name](mem, at(layout.RegionNames), g.Limits.Names)
	a.Descs = overlay[layout.Desc](mem, at(layout.RegionDescs), g.Arrays)
	a.data = mem[at(layout.RegionData):][:g.Capacity:g.Capacity]
}

// Path returns the file's path, or a word in angle brackets for a segment without a name.
func (a *Arena) Path() string { return a.path }

// Has tells whether the segment was created with the flag.
func (a *Arena) Has(flag uint32) bool { return a.Super.Flags&flag != 0 }

// Data returns n bytes from byte off of the data region, writable, with the capacity clipped.
// Panics if they lie outside: callers validate extents first.
func (a *Arena) Data(off, n uint64) []byte { return a.data[off : off+n : off+n] }

// ReadOnly is like Data, from a second mapping that faults on a store. The mapping is made at the first call.
func (a *Arena) ReadOnly(off, n uint64) ([]byte, error) {
	a.roOnce.Do(func() { a.ro, a.roErr = a.back.readOnly() })
	if a.roErr != nil {
		return nil, fmt.Errorf("map %s read-only: %w", a.path, a.roErr)
	}
	off += a.Geo.Regions[layout.RegionData].Offset
	return a.ro[off : off+n : off+n], nil
}

// Space returns the bytes that are free, and all, on the file system that carries the segment.
func (a *Arena) Space() (free, total uint64) { return a.back.space() }

// Close unmaps the segment. Precondition: Leave was called, or there never was a slot, and nobody uses the mapping.
func (a *Arena) Close() {
	if a.closed.Swap(true) {
		return
	}
	if a.member != nil {
		a.member.drop()
	}
	a.back.close()
}
