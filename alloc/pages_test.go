package alloc

import (
	"errors"
	"math/rand/v2"
	"testing"

	"pgregory.net/rapid"

	"github.com/ndpool/ndpool/arena/layout"
	"github.com/ndpool/ndpool/internal/shm"
)

// bareMap returns a page map of n free pages over plain slices, without a segment.
func bareMap(n int) *pageMap {
	l := layout.Limits{Capacity: uint64(n) * layout.PageSize}
	p := &pageMap{bits: make([]shm.U64, l.Chunks()*chunkWords), tree: make([]layout.PageNode, 2*l.TreeLeaves()), pages: n}
	p.reset()
	p.summarize(0, l.Chunks()-1)
	return p
}

// bruteSummary counts page by page.
func bruteSummary(words []shm.U64) (start, longest, end, free uint32) {
	run, whole := uint32(0), true
	for i := range 64 * len(words) {
		if words[i/64].Get()&(1<<(i%64)) != 0 {
			if whole {
				start, whole = run, false
			}
			run = 0
			continue
		}
		run++
		free++
		longest = max(longest, run)
	}
	if whole {
		start = run
	}
	return start, longest, run, free
}

func checkSummary(t *testing.T, words []shm.U64) {
	t.Helper()
	s, l, e, f := summary(words)
	ws, wl, we, wf := bruteSummary(words)
	if s != ws || l != wl || e != we || f != wf {
		for i := range words {
			t.Logf("word %d: %#016x", i, words[i].Get())
		}
		t.Fatalf("summary: got %d %d %d %d, want %d %d %d %d", s, l, e, f, ws, wl, we, wf)
	}
}

// TestSummaryOfEdges puts every pattern of 16 bits at every edge of two words, on free and on used ground.
func TestSummaryOfEdges(t *testing.T) {
	words := make([]shm.U64, 2)
	for pattern := range uint64(1 << 16) {
		for _, ground := range []uint64{0, ^uint64(0)} {
			for _, shift := range []int{0, 24, 48} {
				w := ground&^(0xffff<<shift) | pattern<<shift
				words[0].Put(w)
				words[1].Put(ground)
				checkSummary(t, words)
				words[0].Put(ground)
				words[1].Put(w)
				checkSummary(t, words)
			}
		}
	}
}

// TestSummaryOfRandomWords draws words of all densities, and of long runs.
func TestSummaryOfRandomWords(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	words := make([]shm.U64, chunkWords)
	for range 20_000 {
		for i := range words {
			w := r.Uint64()
			for range r.IntN(5) {
				w &= r.Uint64()
			}
			switch r.IntN(6) {
			case 0:
				w = 0
			case 1:
				w = ^uint64(0)
			case 2:
				w = ^w
			case 3:
				w = ^uint64(0) << r.IntN(64)
			}
			words[i].Put(w)
		}
		checkSummary(t, words[:1+r.IntN(chunkWords)])
	}
}

// TestPageRuns takes and gives runs and compares with a search page by page. The maps have chunk counts around powers
// of two, short last chunks, and runs over several chunks.
func TestPageRuns(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.OneOf(rapid.IntRange(1, 700), rapid.IntRange(1500, 5000)).Draw(t, "pages")
		p := bareMap(n)
		used := make([]bool, n)
		var runs [][2]int
		t.Repeat(map[string]func(*rapid.T){
			"take": func(t *rapid.T) {
				k := rapid.OneOf(rapid.IntRange(1, 40), rapid.IntRange(1, n)).Draw(t, "run")
				got, err := p.take(k)
				want, ok := placeOf(used, k)
				if !ok {
					if !errors.Is(err, ErrNoSpace) {
						t.Fatalf("take(%d): got %d %v, want ErrNoSpace", k, got, err)
					}
					return
				}
				if err != nil || got != want {
					t.Fatalf("take(%d): got %d %v, want %d", k, got, err, want)
				}
				fill(used, got, k, true)
				runs = append(runs, [2]int{got, k})
			},
			"give": func(t *rapid.T) {
				if len(runs) == 0 {
					return
				}
				i := rapid.IntRange(0, len(runs)-1).Draw(t, "which")
				p.mark(runs[i][0], runs[i][1], false)
				fill(used, runs[i][0], runs[i][1], false)
				runs[i] = runs[len(runs)-1]
				runs = runs[:len(runs)-1]
			},
			"": func(t *rapid.T) { checkTree(t, p, used) },
		})
	})
}

func fill(used []bool, first, n int, v bool) {
	for i := first; i < first+n; i++ {
		used[i] = v
	}
}

// placeOf tells where a run of n pages is placed, page by page.
func placeOf(used []bool, n int) (int, bool) {
	if n <= layout.RunBins {
		return lowestRun(used, n)
	}
	at, size, run := 0, len(used)+1, 0
	for i := range len(used) + 1 {
		if i < len(used) && !used[i] {
			run++
			continue
		}
		if run >= n && run < size {
			at, size = i-run, run
		}
		run = 0
	}
	return at, size <= len(used)
}

// lowestRun finds the lowest run of n free pages, page by page.
func lowestRun(used []bool, n int) (int, bool) {
	run := 0
	for i, u := range used {
		if run++; u {
			run = 0
		}
		if run == n {
			return i - n + 1, true
		}
	}
	return 0, false
}

// fataler is what testing.T and rapid.T have in common.
type fataler interface {
	Helper()
	Fatalf(format string, args ...any)
}

// checkTree compares the bits with the oracle, and every node of the tree with a count over the pages it spans.
func checkTree(t fataler, p *pageMap, used []bool) {
	t.Helper()
	for i := range len(p.bits) * 64 {
		want := i >= len(used) || used[i]
		if got := p.bits[i/64].Get()&(1<<(i%64)) != 0; got != want {
			t.Fatalf("page %d: in use: got %v, want %v", i, got, want)
		}
	}
	words, span := chunkWords, 1
	for lo := p.leaves(); lo >= 1; lo, words, span = lo/2, words*2, span*2 {
		for i := lo; i < 2*lo; i++ {
			first := (i - lo) * words
			if first >= len(p.bits) {
				break // behind the last chunk: zero
			}
			s, l, e, f := bruteSummary(p.bits[first:min(first+words, len(p.bits))])
			if first+words > len(p.bits) {
				e = 0 // what is behind the last chunk is in use
			}
			n := &p.tree[i]
			if n.Start.Get() != s || n.Max.Get() != l || n.End.Get() != e || n.Free.Get() != f {
				t.Fatalf("node %d: got %d %d %d %d, want %d %d %d %d", i, n.Start.Get(), n.Max.Get(), n.End.Get(), n.Free.Get(), s, l, e, f)
			}
		}
	}
}
