package layout_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/ndpool/ndpool/arena/layout"
)

var update = flag.Bool("update", false, "write the vectors anew")

// hex is a number as text, because not every reader of JSON has 64 bits.
type hex uint64

func (h hex) MarshalText() ([]byte, error) { return fmt.Appendf(nil, "%#x", uint64(h)), nil }

// golden compares v with the vectors in testdata, which the C twin reads too.
func golden(t *testing.T, name string, v any) {
	t.Helper()
	got, err := json.MarshalIndent(v, "", "\t")
	if err != nil {
		t.Fatal(err)
	}
	got = append(got, '\n')
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.MkdirAll("testdata", 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s differs; if that is meant, run go test ./arena/layout -update", path)
	}
}

// wordVectors are packed words with what they are packed of.
type wordVectors struct {
	State    []stateVector
	Gen      []genVector
	Slot     []pairVector // phase, incarnation
	Ident    []pairVector // slot, incarnation
	Lock     []pairVector // slot, incarnation
	Ticket   []pairVector // kind, nonce
	Name     []nameVector
	NameLock []nameLockVector
	Run      []extentVector
	Block    []extentVector
	Slab     []slabVector
	First    []firstVector
}

type stateVector struct {
	From, To, Bumped, Sealed hex
	Kind, Owner              int
	Epoch                    hex // of To
	Valid                    bool
}

type genVector struct {
	Word  hex
	First uint32
	Next  hex
}

type pairVector struct {
	A, B uint32
	Word hex
}

type nameVector struct {
	Kind, Current int
	Nonce         uint32
	Entry         hex
	Left, Flipped hex // the same use LEAVING, and LIVE with the other value
	Valid         bool
}

type nameLockVector struct {
	Holder, Incarnation         uint32
	Writer, Waited, Torn, Freed hex // Freed: of Torn
}

type extentVector struct {
	Class, First, Number int // Number: pages or block
	Word                 hex
	Offset, Size         uint64
	Bin                  int
	ValidFrom            int // pages of the smallest data region that it lies in; 0: none
}

type slabVector struct {
	Class, Free, First int
	Word               hex
}

type firstVector struct {
	Segment string
	Desc    uint32
	First   uint32
}

func TestWordVectors(t *testing.T) {
	var v wordVectors
	for _, from := range []layout.State{0, 0xffff_ffff_ffff_0002, 0x0123_4567_89ab_0703, 0x10012} {
		for _, k := range kinds {
			for _, owner := range []int{0, 1, 253} {
				if owner != 0 && !k.Owned() {
					continue
				}
				to := from.To(k, owner)
				v.State = append(v.State, stateVector{hex(from), hex(to), hex(to.Bump()), hex(to.Seal()), int(k), owner, hex(to.Epoch()), to.Valid()})
			}
		}
	}
	for _, first := range []uint32{1, 2, 0x80000000, 0xffffffff} {
		for _, g := range []layout.Gen{0, 1, layout.Gen(first), layout.Gen(first - 1), 0xfffffffe, 0xffffffff, layout.Gen(first) | 1<<32} {
			v.Gen = append(v.Gen, genVector{hex(g), first, hex(g.Next(first))})
		}
	}
	for _, inc := range []uint32{0, 1, 0x7fffff, 0x800000, 0xdeadbeef, 0xffffffff} {
		for p := range uint32(3) {
			v.Slot = append(v.Slot, pairVector{p, inc, hex(layout.MakeSlot(layout.Phase(p), inc))})
		}
		for _, slot := range []uint32{0, 63, 64, 253} {
			i := layout.MakeIdent(int(slot), inc)
			v.Ident = append(v.Ident, pairVector{slot, inc, hex(i)})
			v.Lock = append(v.Lock, pairVector{slot, inc, hex(layout.MakeLock(i))})
		}
		for k := range uint32(5) {
			v.Ticket = append(v.Ticket, pairVector{k, inc, hex(layout.MakeTicket(layout.TicketKind(k), inc))})
		}
	}
	nameVectors(&v)
	extentVectors(&v)
	for _, h := range [][3]int{{0, 0, 0}, {1, 256, 0}, {19, 8, 1<<29 - 7}, {7, 0, 77}} {
		v.Slab = append(v.Slab, slabVector{h[0], h[1], h[2], hex(layout.MakeSlab(h[0], h[1], h[2]))})
	}
	for _, s := range [][16]byte{{}, {1}, {15: 1}, {3, 1, 4, 1, 5, 9, 2, 6, 5, 3, 5, 8, 9, 7, 9, 3}} {
		for _, d := range []uint32{0, 1, 2, 65535, layout.MaxArrays - 1} {
			v.First = append(v.First, firstVector{fmt.Sprintf("%x", s), d, layout.FirstGen(s, d)})
		}
	}
	golden(t, "words.json", v)
}

func nameVectors(v *wordVectors) {
	for _, n := range []uint32{0, 1, 0x3fffff, 0x400000, 0xdeadbeef, 0xffffffff} {
		for k := range layout.NameKind(6) {
			for current := range 2 {
				w := layout.MakeName(k, current, n)
				v.Name = append(v.Name, nameVector{int(k), current, n, hex(w), hex(w.To(layout.NameLeaving)), hex(w.Flip()), w.Valid()})
			}
		}
		for _, slot := range []uint32{0, 63, 64, 253} {
			w := layout.MakeNameLock(layout.MakeIdent(int(slot), n))
			torn := w.WithWaiters().WithTorn()
			v.NameLock = append(v.NameLock, nameLockVector{slot, n, hex(w), hex(w.WithWaiters()), hex(torn), hex(torn.Free())})
		}
	}
}

func extentVectors(v *wordVectors) {
	add := func(list *[]extentVector, e layout.Extent, class, first, number int) {
		x := extentVector{Class: class, First: first, Number: number, Word: hex(e), Offset: e.Offset(), Size: e.Size(), Bin: e.Bin()}
		if end := e.First() + e.Pages(); e.Valid(end) {
			x.ValidFrom = end
		}
		*list = append(*list, x)
	}
	for _, first := range []int{0, 1, 511, 1<<29 - 1} {
		for _, n := range []int{0, 1, 16, 17, 512, layout.MaxRunPages} {
			add(&v.Run, layout.PageRun(first, n), 0, first, n)
		}
	}
	for c := 1; c <= layout.NumClasses; c++ {
		blocks := int(layout.Classes[c].Blocks)
		for _, b := range []int{0, blocks - 1, min(blocks, 255)} {
			add(&v.Block, layout.SlabBlock(c, 4*c, b), c, 4*c, b)
		}
	}
}

// geometryVector is what follows from limits.
type geometryVector struct {
	Capacity                          uint64
	Arrays, Processes, Tickets, Names int
	Pages, Chunks, Slabs, Leaves      int
	FileSize, Eager                   uint64
	LastDesc                          uint32 // granule of the last descriptor
	Regions                           []layout.Region
}

func TestGeometryVectors(t *testing.T) {
	var v []geometryVector
	for _, l := range []layout.Limits{
		{Capacity: layout.MinCapacity, Arrays: 1, Processes: 1, Tickets: 1, Names: 1},
		{Capacity: 2 << 20, Arrays: 64, Processes: 4, Tickets: 64, Names: 4},
		{Capacity: 2<<20 + 4096, Arrays: 65, Processes: 254, Tickets: 65, Names: 5},
		{Capacity: 64 << 20, Arrays: 4096, Processes: 254, Tickets: 4096, Names: 1024},
		{Capacity: 1 << 30, Arrays: 65536, Processes: 254, Tickets: 4096, Names: 1024},
		{Capacity: 33<<30 + 12288, Arrays: 1_000_003, Processes: 100, Tickets: 70_001, Names: 3},
		{Capacity: layout.MaxCapacity, Arrays: layout.MaxArrays, Processes: 254, Tickets: layout.MaxTickets, Names: layout.MaxNames},
	} {
		g, err := layout.Compute(l)
		if err != nil {
			t.Fatal(err)
		}
		v = append(v, geometryVector{Capacity: l.Capacity, Arrays: l.Arrays, Processes: l.Processes, Tickets: l.Tickets, Names: l.Names,
			Pages: l.Pages(), Chunks: l.Chunks(), Slabs: l.Slabs(), Leaves: l.TreeLeaves(),
			FileSize: g.FileSize, Eager: g.Eager(), LastDesc: g.DescGranule(l.Arrays - 1), Regions: g.Regions[1:]})
	}
	golden(t, "geometry.json", v)
}
