package layout_test

import (
	"testing"

	"pgregory.net/rapid"

	"github.com/ndpool/ndpool/arena/layout"
)

// limits draws small, odd and extreme limits.
func limits(t *rapid.T) layout.Limits {
	pages := rapid.OneOf(rapid.IntRange(16, 5000), rapid.IntRange(16, layout.MaxCapacity/layout.PageSize),
		rapid.SampledFrom([]int{16, layout.MaxCapacity / layout.PageSize})).Draw(t, "pages")
	count := func(what string, limit int) int {
		return rapid.OneOf(rapid.IntRange(1, min(limit, 300)), rapid.IntRange(1, limit), rapid.Just(limit)).Draw(t, what)
	}
	return layout.Limits{Capacity: uint64(pages) * layout.PageSize, Arrays: count("arrays", layout.MaxArrays),
		Processes: count("processes", layout.MaxProcesses), Tickets: count("tickets", layout.MaxTickets), Names: count("names", layout.MaxNames)}
}

func TestCompute(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		l := limits(t)
		g, err := layout.Compute(l)
		if err != nil {
			t.Fatal(err)
		}
		end := uint64(layout.SuperblockSize)
		for k := layout.RegionControl; k <= layout.RegionCount; k++ {
			r := g.Regions[k]
			align := uint64(layout.PageSize)
			if k == layout.RegionData {
				align = layout.ChunkSize
			}
			if int(r.Kind) != k || r.Offset < end || r.Offset%align != 0 || r.Offset-end >= align || r.Size == 0 || r.Size%8 != 0 {
				t.Fatalf("region %s: %+v behind %d", layout.RegionTitles[k], r, end)
			}
			end = r.Offset + r.Size
		}
		if g.FileSize != end || g.Regions[layout.RegionData].Size != l.Capacity || g.FileSize%layout.PageSize != 0 {
			t.Fatalf("file has %d bytes, regions end at %d", g.FileSize, end)
		}
		if descs := g.Regions[layout.RegionDescs]; (descs.Offset+descs.Size)/layout.Granule > 1<<32 {
			t.Fatalf("descriptors end at %d, beyond what a handle can name", descs.Offset+descs.Size)
		}
		if e := g.Eager(); e != g.Regions[layout.RegionNames].Offset || e < g.Regions[layout.RegionTickets].Offset+g.Regions[layout.RegionTickets].Size {
			t.Fatalf("eager bytes: %d", e)
		}
		checkDescIndex(t, &g)
	})
}

// checkDescIndex asks for descriptors, and for offsets at which none starts.
func checkDescIndex(t *rapid.T, g *layout.Geometry) {
	for _, i := range []int{0, g.Arrays - 1, rapid.IntRange(0, g.Arrays-1).Draw(t, "descriptor")} {
		at := g.DescGranule(i)
		if got, ok := g.DescIndex(at); !ok || got != i {
			t.Fatalf("descriptor %d at granule %d: got %d %v", i, at, got, ok)
		}
		for off := uint32(1); off < uint32(layout.DescSize/layout.Granule); off++ {
			if got, ok := g.DescIndex(at + off); ok {
				t.Fatalf("granule %d is inside of a descriptor, got %d", at+off, got)
			}
		}
	}
	for _, granule := range []uint32{0, g.DescGranule(0) - 1, g.DescGranule(0) - 4, g.DescGranule(g.Arrays-1) + 4, ^uint32(0), ^uint32(3)} {
		if granule >= g.DescGranule(0) && granule <= g.DescGranule(g.Arrays-1) {
			continue
		}
		if got, ok := g.DescIndex(granule); ok {
			t.Fatalf("granule %d is outside of the table, got %d", granule, got)
		}
	}
}

func TestLimitsCheck(t *testing.T) {
	good := layout.Limits{Capacity: 1 << 20, Arrays: 1, Processes: 1, Tickets: 1, Names: 1}
	if err := good.Check(); err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(*layout.Limits){
		"capacity below":     func(l *layout.Limits) { l.Capacity = layout.MinCapacity - layout.PageSize },
		"capacity above":     func(l *layout.Limits) { l.Capacity = layout.MaxCapacity + layout.PageSize },
		"capacity unaligned": func(l *layout.Limits) { l.Capacity++ },
		"capacity huge":      func(l *layout.Limits) { l.Capacity = ^uint64(0) &^ 4095 },
		"no arrays":          func(l *layout.Limits) { l.Arrays = 0 },
		"negative arrays":    func(l *layout.Limits) { l.Arrays = -1 },
		"many arrays":        func(l *layout.Limits) { l.Arrays = layout.MaxArrays + 1 },
		"many processes":     func(l *layout.Limits) { l.Processes = layout.MaxProcesses + 1 },
		"no processes":       func(l *layout.Limits) { l.Processes = 0 },
		"many tickets":       func(l *layout.Limits) { l.Tickets = layout.MaxTickets + 1 },
		"no tickets":         func(l *layout.Limits) { l.Tickets = 0 },
		"many names":         func(l *layout.Limits) { l.Names = layout.MaxNames + 1 },
		"no names":           func(l *layout.Limits) { l.Names = 0 },
	} {
		l := good
		change(&l)
		if _, err := layout.Compute(l); err == nil {
			t.Errorf("%s: %+v passed", name, l)
		}
	}
}

// TestSetWords counts the words of a set level by level.
func TestSetWords(t *testing.T) {
	check := func(n int) {
		want, level := uint64(0), n
		for {
			level = (level + 63) / 64
			want += uint64(level)
			if level == 1 {
				break
			}
		}
		if got := layout.SetWords(n); got != want {
			t.Fatalf("SetWords(%d): got %d, want %d", n, got, want)
		}
	}
	for n := 1; n < 20_000; n++ {
		check(n)
	}
	for _, n := range []int{1 << 18, 1<<18 + 1, 1 << 24, 1<<24 + 1, 1 << 27} {
		check(n)
	}
}

// TestClassOf finds the smallest class that fits, for every size.
func TestClassOf(t *testing.T) {
	for size := uint64(0); size < 3*layout.PageSize; size++ {
		want := 0
		for c := layout.NumClasses; c >= 1; c-- {
			if uint64(layout.Classes[c].Size) >= size {
				want = c
			}
		}
		if got := layout.ClassOf(size); got != want {
			t.Fatalf("ClassOf(%d): got %d, want %d", size, got, want)
		}
	}
	if got := layout.ClassOf(^uint64(0)); got != 0 {
		t.Errorf("ClassOf(2^64-1): got %d", got)
	}
	for n, want := range map[uint64]int{0: 0, 1: 1, 4096: 1, 4097: 2, 1 << 41: 1 << 29} {
		if got := layout.PagesFor(n); got != want {
			t.Errorf("PagesFor(%d): got %d, want %d", n, got, want)
		}
	}
}
