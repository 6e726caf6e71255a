package layout_test

import (
	"testing"

	"pgregory.net/rapid"

	"github.com/ndpool/ndpool/arena/layout"
)

const epochMask = 1<<48 - 1

var kinds = []layout.Kind{layout.Free, layout.Busy, layout.Live, layout.Cached, layout.Private, layout.Retired}

func TestState(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := layout.State(rapid.Uint64().Draw(t, "state"))
		k := rapid.SampledFrom(kinds).Draw(t, "kind")
		owner := 0
		if k.Owned() {
			owner = rapid.IntRange(0, layout.MaxProcesses-1).Draw(t, "owner")
		}
		next := (s.Epoch() + 1) & epochMask
		to := s.To(k, owner)
		if to.Kind() != k || to.Owner() != owner || to.Sealed() || to.Epoch() != next || !to.Valid() {
			t.Fatalf("%#x To(%v, %d): got %#x", s, k, owner, to)
		}
		if b := to.Bump(); b.Kind() != k || b.Owner() != owner || b.Sealed() || b.Epoch() != (next+1)&epochMask {
			t.Fatalf("%#x Bump: got %#x", to, b)
		}
		if z := to.Seal(); !z.Sealed() || z.Kind() != k || z.Epoch() != (next+1)&epochMask || z.Valid() != (k == layout.Live) {
			t.Fatalf("%#x Seal: got %#x", to, z)
		}
		if b := to.Seal().Bump(); !b.Sealed() {
			t.Fatalf("%#x: Bump forgot the seal", to)
		}
		if u := to.Seal().To(layout.Busy, 1); u.Sealed() {
			t.Fatalf("%#x: To kept the seal", to)
		}
	})
}

// TestStateValid goes through all low 16 bits, with and without an epoch.
func TestStateValid(t *testing.T) {
	for w := range layout.State(1 << 16) {
		kind, sealed, owner := int(w&15), w>>4&1 == 1, int(w>>8)
		want := kind < len(kinds) && w&0xe0 == 0 && (!sealed || kind == int(layout.Live)) &&
			(owner == 0 || kind == int(layout.Busy) || kind == int(layout.Cached) || kind == int(layout.Private))
		for _, epoch := range []layout.State{0, 1 << 16, epochMask << 16} {
			if got := (w | epoch).Valid(); got != want {
				t.Fatalf("%#x: Valid: got %v, want %v", w|epoch, got, want)
			}
		}
	}
}

// TestValidRejectsUnknownBits sets each bit of words that are valid, and knows from the accessors which bits mean something.
func TestValidRejectsUnknownBits(t *testing.T) {
	for _, x := range []struct {
		name  string
		word  uint64
		known uint64 // bits that any value may have
		valid func(uint64) bool
	}{
		{"Gen", 0x12345678, 1<<33 - 1, func(w uint64) bool { return layout.Gen(w).Valid() }},
		{"SlotWord", uint64(layout.MakeSlot(layout.SlotFree, 7)), 0xffffffff_00000003, func(w uint64) bool { return layout.SlotWord(w).Valid() }},
		{"TicketWord", uint64(layout.MakeTicket(layout.TicketUnused, 7)), 0xffffffff_00000007, func(w uint64) bool { return layout.TicketWord(w).Valid() }},
		{"slab extent", uint64(layout.SlabBlock(4, 3, 0)), 1<<29 - 1 | 63<<29 | 1<<58 | 1<<59 | 1<<61, func(w uint64) bool { return layout.Extent(w).Valid(1 << 29) }},
	} {
		if !x.valid(x.word) {
			t.Errorf("%s %#x: not valid", x.name, x.word)
		}
		for b := range 64 {
			if w := x.word ^ 1<<b; x.known&(1<<b) == 0 && x.valid(w) {
				t.Errorf("%s %#x: valid with unknown bit %d", x.name, w, b)
			}
		}
	}
}

func TestPhasesAndKinds(t *testing.T) {
	for p := range 256 {
		if got, want := layout.MakeSlot(layout.Phase(p), 1).Valid(), p <= int(layout.SlotSweeping); got != want {
			t.Errorf("phase %d: Valid: got %v", p, got)
		}
		if got, want := layout.MakeTicket(layout.TicketKind(p), 1).Valid(), p <= int(layout.TicketExpired); got != want {
			t.Errorf("ticket kind %d: Valid: got %v", p, got)
		}
		if got, want := layout.Kind(p).String() != "invalid", p < len(kinds); got != want {
			t.Errorf("kind %d is called %v", p, layout.Kind(p))
		}
		if got, want := layout.Phase(p).String() != "invalid", p <= int(layout.SlotSweeping); got != want {
			t.Errorf("phase %d is called %v", p, layout.Phase(p))
		}
		if got, want := layout.TicketKind(p).String() != "invalid", p <= int(layout.TicketExpired); got != want {
			t.Errorf("ticket kind %d is called %v", p, layout.TicketKind(p))
		}
	}
}

func TestRoundTrips(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		inc, slot := rapid.Uint32().Draw(t, "incarnation"), rapid.IntRange(0, layout.MaxProcesses-1).Draw(t, "slot")
		p := layout.Phase(rapid.IntRange(0, 2).Draw(t, "phase"))
		if w := layout.MakeSlot(p, inc); w.Phase() != p || w.Incarnation() != inc || !w.Valid() {
			t.Fatalf("slot word: got %#x", w)
		}
		i := layout.MakeIdent(slot, inc)
		if i == 0 || i.Slot() != slot || i.Incarnation() != inc {
			t.Fatalf("ident: got %#x", i)
		}
		l := layout.MakeLock(i)
		if l == 0 || l.Owner() != slot || l.Contended() || !l.Names(inc) || l.Names(inc+1) || l.Incarnation() != inc&(1<<23-1) {
			t.Fatalf("lock: got %#x", l)
		}
		if c := l.WithWaiters(); !c.Contended() || c.Owner() != slot || !c.Names(inc) || c.WithWaiters() != c {
			t.Fatalf("contended lock: got %#x", c)
		}
		nl := layout.MakeNameLock(i)
		if nl.Owner() != slot || nl.Contended() || nl.Torn() || !nl.Names(inc) || nl.Names(inc+1) || nl.Incarnation() != inc&(1<<22-1) {
			t.Fatalf("lock of a name: got %#x", nl)
		}
		if c := nl.WithWaiters().WithTorn(); !c.Contended() || !c.Torn() || c.Owner() != slot || !c.Names(inc) || c.Free().Owner() != -1 || !c.Free().Torn() || c.Free().Contended() {
			t.Fatalf("contended, torn lock of a name: got %#x", c)
		}
		k := layout.TicketKind(rapid.IntRange(0, 4).Draw(t, "kind"))
		if w := layout.MakeTicket(k, inc); w.Kind() != k || w.Nonce() != inc || !w.Valid() {
			t.Fatalf("ticket: got %#x", w)
		}
		class, free, first := rapid.IntRange(0, 255).Draw(t, "class"), rapid.IntRange(0, 65535).Draw(t, "free"), int(rapid.Uint32().Draw(t, "first"))
		if h := layout.MakeSlab(class, free, first); h.Class() != class || h.Free() != free || h.First() != first {
			t.Fatalf("slab head: got %#x", h)
		}
	})
	if layout.Ident(0).Slot() != -1 || layout.LockWord(0).Owner() != -1 || layout.NameLockWord(0).Owner() != -1 {
		t.Error("zero names somebody")
	}
}

// TestGenNext follows the generations around both ends of their cycle.
func TestGenNext(t *testing.T) {
	for _, first := range []uint32{1, 2, 3, 1 << 31, ^uint32(0) - 1, ^uint32(0)} {
		g := layout.Gen(0).Next(first)
		if g.Number() != first || g.Exhausted() {
			t.Fatalf("first %d: after 0: got %#x", first, g)
		}
		seen := map[uint32]bool{}
		for range 5 { // a few from the start on
			if seen[g.Number()] || g.Number() == 0 || g.Exhausted() || !g.Valid() {
				t.Fatalf("first %d: got %#x", first, g)
			}
			seen[g.Number()] = true
			g = g.Next(first)
		}
		last := first - 1
		if last == 0 {
			last = ^uint32(0)
		}
		g = layout.Gen(last)
		for range 3 { // exhausted, and so for ever
			if g = g.Next(first); g.Number() != first || !g.Exhausted() || !g.Valid() {
				t.Fatalf("first %d: after the last: got %#x", first, g)
			}
		}
	}
	if g := layout.Gen(^uint32(0)).Next(77); g.Number() != 1 || g.Exhausted() {
		t.Errorf("after 2^32-1: got %#x, want 1", g)
	}
}

// TestFirstGen looks at the first generations of many descriptors of two segments that differ in one bit: never 0, each
// bit set in half of them, hardly any twice, none the same in both.
func TestFirstGen(t *testing.T) {
	const n = 1 << 18
	a := [16]byte{3, 1, 4, 1, 5, 9, 2, 6, 5, 3, 5, 8, 9, 7, 9, 3}
	b := a
	b[15] ^= 0x80
	var ones [32]int
	seen := make(map[uint32]bool, n)
	same := 0
	for d := range uint32(n) {
		g := layout.FirstGen(a, d)
		if g == 0 {
			t.Fatalf("descriptor %d: first generation is 0", d)
		}
		if g == layout.FirstGen(b, d) {
			same++
		}
		seen[g] = true
		for i := range ones {
			ones[i] += int(g >> i & 1)
		}
	}
	for i, got := range ones {
		if got < n*49/100 || got > n*51/100 {
			t.Errorf("bit %d: set in %d of %d", i, got, n)
		}
	}
	if twice := n - len(seen); twice > 40 { // n^2 / 2^33 = 8 are to be expected
		t.Errorf("%d of %d first generations came twice", twice, n)
	}
	if same > 3 {
		t.Errorf("%d descriptors have the same first generation in another segment", same)
	}
}

// TestSlabExtents goes through all blocks of all classes: they lie in their slab, beside each other, aligned.
func TestSlabExtents(t *testing.T) {
	for c := 1; c <= layout.NumClasses; c++ {
		k := layout.Classes[c]
		for _, first := range []int{0, 1, 12345, 1<<29 - 20} {
			at := uint64(first) * layout.PageSize
			for block := range int(k.Blocks) {
				e := layout.SlabBlock(c, first, block)
				if e.Class() != c || e.First() != first || e.Block() != block || e.Pages() != int(k.Pages) ||
					e.Offset() != at || e.Size() != uint64(k.Size) || at%layout.Granule != 0 {
					t.Fatalf("class %d, page %d, block %d: got %#x at %d", c, first, block, e, e.Offset())
				}
				if end := first + int(k.Pages); !e.Valid(end) || e.Valid(end-1) {
					t.Fatalf("class %d, page %d, block %d: wrong about its last page", c, first, block)
				}
				at += e.Size()
			}
			if end := uint64(first+int(k.Pages)) * layout.PageSize; at > end {
				t.Fatalf("class %d: blocks run %d bytes over the slab", c, at-end)
			}
			for block := int(k.Blocks); block < 256; block++ {
				if layout.SlabBlock(c, first, block).Valid(1 << 29) {
					t.Fatalf("class %d: block %d of %d is valid", c, block, k.Blocks)
				}
			}
		}
		if k.Pages < layout.MinSlabPages || int(k.Blocks) > layout.MaxSlabBlocks || k.Size%layout.Granule != 0 {
			t.Errorf("class %d: %+v breaks the limits of the format", c, k)
		}
	}
	for c := layout.NumClasses + 1; c < 64; c++ {
		if layout.SlabBlock(c, 0, 0).Valid(1 << 29) {
			t.Errorf("class %d of %d is valid", c, layout.NumClasses)
		}
	}
}

func TestPageRuns(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.OneOf(rapid.IntRange(1, 40), rapid.IntRange(1, layout.MaxRunPages)).Draw(t, "pages")
		first := rapid.IntRange(0, 1<<29-1).Draw(t, "first")
		e := layout.PageRun(first, n)
		if e.Class() != 0 || e.First() != first || e.Pages() != n || e.Size() != uint64(n)*4096 || e.Offset() != uint64(first)*4096 {
			t.Fatalf("run %d+%d: got %#x", first, n, e)
		}
		if !e.Valid(first+n) || e.Valid(first+n-1) {
			t.Fatalf("run %d+%d: wrong about its last page", first, n)
		}
		want := layout.LargeBin
		if n <= layout.RunBins {
			want = layout.NumClasses + n - 1
		}
		if e.Bin() != want {
			t.Fatalf("run of %d pages: bin %d, want %d", n, e.Bin(), want)
		}
	})
	if layout.Extent(0).Valid(100) || layout.PageRun(5, 0).Valid(100) {
		t.Error("an extent without bytes is valid")
	}
}
