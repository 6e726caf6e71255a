package pool

import (
	"fmt"
	"math/bits"
	"strconv"

	"github.com/ndpool/ndpool/arena/layout"
	"github.com/ndpool/ndpool/handle"
	"github.com/ndpool/ndpool/internal/shm"
	"github.com/ndpool/ndpool/refcount"
)

// Law is a law of the format, as Verify checks it.
type Law struct {
	Name string `json:"name"`
	Text string `json:"text"`
	Rest bool   `json:"rest"` // holds only while no other process is attached
}

// Laws are all laws of the format.
var Laws = []Law{
	{"superblock", "magic, version, byte order, fingerprint, checksum, limits, region directory and file size are those of this format", false},
	{"lock", "the lock word is zero or names a process that is attached", false},
	{"descriptors", "the number of descriptors that have memory is within the table, in whole steps", false},
	{"slot", "every bit of a slot's word has a meaning", false},
	{"committed", "what is cached or allocated has memory behind it", false},
	{"committed-end", "no chunk behind the end is recorded as having memory", false},
	{"state", "every bit of a state word has a meaning", false},
	{"owner", "the owner of a block is a slot in use", false},
	{"generation", "a block in use has a generation; a retired one, and only such, has come back to its first", false},
	{"extent", "the extent of a block in use lies within the data region", false},
	{"overlap", "no byte belongs to two blocks, and a slab has blocks of one class", false},
	{"metadata", "dtype, shape, strides, header and bytes of an array agree and fit the extent", false},
	{"holder", "only slots in use hold blocks", false},
	{"alive", "a LIVE block has a holder", true},
	{"unheld", "a block that is not LIVE has no holder", true},
	{"transit", "a block has the pseudo-holder IN TRANSIT if and only if a transfer of it is in flight, or an entry of a ring names it", false},
	{"ticket-count", "a block's count of tickets is the number of open tickets and of entries of rings that name it", false},
	{"named", "a block has the pseudo-holder NAMED if and only if a value of the catalog names it", false},
	{"name-count", "a block's count of names is the number of values of the catalog that name it", false},
	{"ticket", "every bit of a ticket's word has a meaning, and a ticket that was used has a nonce", false},
	{"ticket-handle", "an open ticket names a LIVE block in its present generation", false},
	{"sender", "an open ticket names a sender that has been", false},
	{"receiver", "an open directed ticket names a receiver that is attached, and has no deadline", false},
	{"deadline", "an open undirected ticket has a deadline if and only if its sender is gone", false},
	{"names", "the number of entries of the catalog that have memory is within the table, in whole steps", false},
	{"commit", "the decide word is 0 or 1, and 0 while nobody died in the lock", false},
	{"name", "every bit of an entry's word has a meaning; while nobody died in the lock it is FREE, or LIVE with a nonce", false},
	{"name-text", "a name's component is 1 to 255 bytes of UTF-8 without a slash or a zero byte, neither . nor .., NUL padded", false},
	{"name-parent", "groups lead from the root to every name, not more than 64 deep", false},
	{"name-unique", "no two names of a group have the same component", false},
	{"name-value", "the handles of a name's value lead to LIVE blocks in their present generation", false},
	{"name-version", "the version of a name is the number of a change that has been", false},
	{"name-owner", "a name goes with nobody, with a process that is attached or, a ring's, with the pool; an implicit group has names in it, and no attributes", false},
	{"attributes", "attributes are an array of at most 1 MiB bytes in one dimension, with the text of a JSON object", false},
	{"name-lock", "the lock of a name names no writer or one that is attached, and only readers that are attached", false},
	{"ring-flag", "a ring is PRIVATE, or LIVE and not sealed, or BUSY", false},
	{"ring", "the head of a ring is one of this format and fits its block; only a lossless stream has readers, and a queue no writer", false},
	{"ring-entry", "an entry of a ring that counts says its position and what it is, and leads to LIVE blocks that are no rings; in a stream to a sealed array", false},
	{"ring-count", "a ring's count of items is the number of its entries that are not attached", false},
	{"ring-writer", "the writer of a stream is attached", false},
	{"ring-reader", "a reader that a writer waits for is attached, and its position is from Tail to Head", false},
	{"pages", "the page bitmap is the union of the extents", false},
	{"page-tree", "the page tree is the summary of the page bitmap", false},
	{"slabs", "the slab records follow from the extents", false},
	{"slab-sets", "the sets of slabs hold the slabs with free blocks", false},
	{"descriptor-set", "the set of free descriptors holds those that are FREE", false},
	{"ticket-set", "the set of free tickets holds those that are not open", false},
	{"name-set", "the set of free entries of the catalog holds those that are FREE", false},
	{"name-chains", "the chains of the catalog hold the names, each that of its hash", false},
	{"name-lists", "the list of a group holds the names in it, and leads back the same way", false},
	{"set-summary", "the upper words of a set are the summary of its bitmap", false},
	{"content", "the content of a sealed array has the hash that was stored", false},
	{"reserved", "reserved words, and bytes between and behind the tables, are zero", false},
}

// control checks the control words.
func (c *checker) control() {
	if w := layout.LockWord(c.a.Ctl.Lock.Load()); w != 0 && !c.lockNames(w) {
		c.fault("lock", "control", "0 or a process that is attached", fmt.Sprintf("%#x", uint32(w)))
	}
	const step = layout.TableStep / int(layout.DescSize)
	if n := int(c.a.Ctl.Descs.Load()); n > len(c.a.Descs) || n%step != 0 && n != len(c.a.Descs) {
		c.fault("descriptors", "control", fmt.Sprintf("a multiple of %d, at most %d", step, len(c.a.Descs)), n)
	}
	if n := int(c.a.Ctl.Names.Load()); n > len(c.a.Names) || n%layout.NameStep != 0 && n != len(c.a.Names) {
		c.fault("names", "control", fmt.Sprintf("a multiple of %d, at most %d", layout.NameStep, len(c.a.Names)), n)
	}
	if w := c.a.Ctl.Commit.Load(); w > 1 || w != 0 && c.report.Indexes {
		c.fault("commit", "control", "0, or 1 in a change that is under way", w)
	}
	start := c.a.Geo.Regions[layout.RegionControl].Offset
	for _, gap := range controlGaps {
		c.zeroBytes(start+gap[0], start+gap[1])
	}
}

// lockNames tells whether the lock word names an attached process; in a live segment, whose lock is held now, this one.
func (c *checker) lockNames(w layout.LockWord) bool {
	slot := w.Owner()
	if slot < 0 || slot >= len(c.a.Slots) {
		return false
	}
	id, used := c.a.Ident(slot)
	return used && w.Names(id.Incarnation()) && (c.image || id == c.a.Self())
}

// controlGaps are the bytes of the control page between its fields.
var controlGaps = [][2]uint64{{4, 64}, {72, 128}, {132, 144}, {160, 192}, {196, 256}, {344, layout.ControlSize}}

func (c *checker) zero(place string, words []shm.U64) {
	for k := range words {
		if w := words[k].Load(); w != 0 {
			c.fault("reserved", fmt.Sprintf("%s, reserved word %d", place, k), 0, fmt.Sprintf("%#x", w))
		}
	}
}

// slots checks the process table.
func (c *checker) slots() {
	for i := range c.a.Slots {
		if w := layout.SlotWord(c.a.Slots[i].Word.Load()); !w.Valid() {
			c.fault("slot", fmt.Sprintf("slot %d", i), "a phase and an incarnation", fmt.Sprintf("%#x", uint64(w)))
		}
		c.zero(fmt.Sprintf("slot %d", i), c.a.Slots[i].Reserved[:])
	}
}

// committed checks that no bit is set behind the last chunk.
func (c *checker) committed() {
	n := c.a.Geo.Chunks()
	for k := n; k < len(c.a.Committed)*64; k++ {
		if c.a.IsCommitted(k) {
			c.fault("committed-end", fmt.Sprintf("chunk %d", k), fmt.Sprintf("%d chunks", n), "a bit")
		}
	}
}

// ticket checks a ticket, and counts it if it is open. The lock is held, so tickets stand still.
func (c *checker) ticket(n int) {
	k, place := &c.a.Tickets[n], fmt.Sprintf("ticket %d", n)
	w := layout.TicketWord(k.Word.Load())
	if !w.Valid() || (w.Kind() == layout.TicketUnused) != (w.Nonce() == 0) {
		c.fault("ticket", place, "a kind and a nonce", fmt.Sprintf("%#x", uint64(w)))
	}
	c.zero(place, k.Reserved[:])
	if w.Kind() != layout.TicketOpen {
		c.want.Tickets.Add(n)
		return
	}
	h := handle.Handle(k.Handle.Load())
	i, ok := c.pool.ticketBlock(n)
	if !ok {
		c.fault("ticket-handle", place, "the handle of a LIVE block", h)
	} else {
		c.tickets[i]++
	}
	c.parties(k, place)
}

// parties checks the sender, the receiver and the deadline of an open ticket. While a slot is being swept its tickets
// may be either way.
func (c *checker) parties(k *layout.Ticket, place string) {
	sender, receiver, deadline := layout.Ident(k.Sender.Load()), layout.Ident(k.Receiver.Load()), k.Deadline.Load()
	slot := sender.Slot()
	if slot < 0 || slot >= len(c.a.Slots) || sender.Incarnation() > layout.SlotWord(c.a.Slots[slot].Word.Load()).Incarnation() {
		c.fault("sender", place, "a process that has been", ProcessID(sender))
		return
	}
	if receiver != 0 {
		if gone := !c.used(receiver) && !c.sweeping(receiver.Slot()); gone || deadline != 0 {
			c.fault("receiver", place, "an attached process and no deadline", fmt.Sprintf("%v, %d", ProcessID(receiver), deadline))
		}
		return
	}
	if c.used(sender) != (deadline == 0) && !c.sweeping(slot) {
		c.fault("deadline", place, fmt.Sprintf("a deadline only if sender %v is gone", ProcessID(sender)), deadline)
	}
}

func (c *checker) sweeping(slot int) bool {
	return slot >= 0 && slot < len(c.a.Slots) && layout.SlotWord(c.a.Slots[slot].Word.Load()).Phase() == layout.SlotSweeping
}

// block checks a descriptor. Others go on with lock-free steps: faults count only if the state word stayed the same
// while they were found; otherwise the block is looked at again, and after many changes left alone.
func (c *checker) block(i int) {
	c.count(i)
	for range 100 {
		before := c.pool.state(i)
		faults, arrays := len(c.report.Faults), c.report.Arrays
		c.blockOnce(i, before)
		if c.pool.state(i) == before {
			return
		}
		c.report.Faults, c.report.Arrays = c.report.Faults[:faults], arrays
	}
}

// count enters a block into the indexes as they should be, and checks what only the lock's holder changes: extents,
// ticket counts, pseudo-holders.
func (c *checker) count(i int) {
	place, kind := "descriptor "+strconv.Itoa(i), c.pool.state(i).Kind()
	word, bit := refcount.TransitBit()
	d := c.pool.desc(i)
	if inTransit := d.Holders[word].Load()&bit != 0; inTransit != (c.tickets[i] > 0) && c.report.Indexes {
		c.fault("transit", place, c.tickets[i] > 0, inTransit)
	}
	if n := d.Tickets.Load(); n != c.tickets[i] && c.report.Indexes {
		c.fault("ticket-count", place, c.tickets[i], n)
	}
	if c.report.Indexes {
		c.nameCount(i, place)
	}
	switch kind {
	case layout.Free:
		c.want.Descs.Add(i)
	case layout.Busy, layout.Live, layout.Cached, layout.Private:
		e, ok := c.pool.extent(i)
		if !ok {
			c.fault("extent", place, fmt.Sprintf("within %d pages", c.a.Geo.Pages()), fmt.Sprintf("%#x", uint64(e)))
			return
		}
		if c.claim(i, e, place) {
			c.want.Mark(e)
		}
	}
}

// claim enters an extent into the map of owners and tells whether its bytes were nobody's.
func (c *checker) claim(i int, e layout.Extent, place string) bool {
	if e.Class() != 0 {
		if class, seen := c.slabs[e.First()]; seen {
			if other, taken := c.blocks[e]; taken || class != uint32(e.Class()) {
				c.fault("overlap", place, "bytes of its own", fmt.Sprintf("extent %#x beside descriptor %d", uint64(e), other))
				return false
			}
			c.blocks[e] = i
			return true
		}
	}
	for pg := e.First(); pg < e.First()+e.Pages(); pg++ {
		if c.pages[pg] != 0 {
			c.fault("overlap", place, "bytes of its own", fmt.Sprintf("page %d of descriptor %d", pg, c.pages[pg]-1))
			return false
		}
	}
	for pg := e.First(); pg < e.First()+e.Pages(); pg++ {
		c.pages[pg] = uint32(i) + 1
	}
	if e.Class() != 0 {
		c.slabs[e.First()] = uint32(e.Class())
		c.blocks[e] = i
	}
	return true
}

// blockOnce checks what may change without the lock.
func (c *checker) blockOnce(i int, s layout.State) {
	d, place := c.pool.desc(i), "descriptor "+strconv.Itoa(i)
	if !s.Valid() {
		c.fault("state", place, "a state", fmt.Sprintf("%#x", uint64(s)))
		return
	}
	c.zero(place, d.Reserved[:])
	if s.Kind().Owned() {
		if slot := s.Owner(); slot >= len(c.a.Slots) || !c.inUse(slot) {
			c.fault("owner", place, "a slot in use", slot)
		}
	}
	c.generation(i, place, s, layout.Gen(d.Gen.Load()))
	c.ringFlag(place, d, s)
	c.holders(place, d, s)
	if k := s.Kind(); k == layout.Live || k == layout.Private || k == layout.Cached {
		c.backed(i, place)
	}
	if k := s.Kind(); k == layout.Live || k == layout.Private {
		c.report.Arrays++
		c.array(i, place, s)
	}
}

func (c *checker) inUse(slot int) bool {
	_, used := c.a.Ident(slot)
	return used
}

func (c *checker) generation(i int, place string, s layout.State, g layout.Gen) {
	kind := s.Kind()
	ok := g.Valid() && (g.Number() != 0 || g == 0 && kind == layout.Free)
	ok = ok && (!g.Exhausted() || g.Number() == layout.FirstGen(c.a.Super.Segment, uint32(i)))
	switch kind {
	case layout.Retired:
		ok = ok && g.Exhausted()
	case layout.Free, layout.Live, layout.Private:
		ok = ok && !g.Exhausted()
	}
	if !ok {
		c.fault("generation", place, fmt.Sprintf("one that fits %v", kind), fmt.Sprintf("%#x", uint64(g)))
	}
}

// holders checks the holder set. A bit of a slot that is free is looked at twice: its process may have left in between.
func (c *checker) holders(place string, d *layout.Desc, s layout.State) {
	any := false
	for w := range d.Holders {
		v := d.Holders[w].Load()
		any = any || v != 0
		for ; v != 0; v &= v - 1 {
			b := bits.TrailingZeros64(v)
			slot := w*64 + b
			if slot == layout.InTransit || slot == layout.Named {
				continue
			}
			if slot >= len(c.a.Slots) || !c.inUse(slot) && d.Holders[w].Load()&(1<<b) != 0 && !c.inUse(slot) {
				c.fault("holder", place, "slots in use", fmt.Sprintf("slot %d", slot))
			}
		}
	}
	if !c.report.Quiet {
		return
	}
	if s.Kind() == layout.Live && !any {
		c.fault("alive", place, "a holder", "none")
	}
	if s.Kind() != layout.Live && any {
		c.fault("unheld", place, fmt.Sprintf("no holder while %v", s.Kind()), "a holder")
	}
}

// backed checks that a block's chunks have memory.
func (c *checker) backed(i int, place string) {
	e, ok := c.pool.extent(i)
	if !ok || c.a.Has(layout.FlagReserved) {
		return
	}
	for k := e.First() / layout.ChunkPages; k <= (e.First()+e.Pages()-1)/layout.ChunkPages; k++ {
		if !c.a.IsCommitted(k) {
			c.fault("committed", place, fmt.Sprintf("memory behind chunk %d", k), "none recorded")
		}
	}
}

// array checks the metadata, and the content if asked to.
func (c *checker) array(i int, place string, s layout.State) {
	if _, ok := c.pool.extent(i); !ok {
		return // said already
	}
	var buf shapeBuf
	m, _, err := c.pool.readBlock(i, &buf)
	if err != nil {
		c.fault("metadata", place, "an array", err)
		return
	}
	if c.content && s.Sealed() && m.flags&layout.DescHashed != 0 {
		c.hash(i, place, &m)
	}
}
