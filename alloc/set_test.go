package alloc

import (
	"maps"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/ndpool/ndpool/arena/layout"
	"github.com/ndpool/ndpool/internal/shm"
)

// setModel runs a Set beside a map.
type setModel struct {
	set  Set
	want map[int]bool
}

func (m *setModel) next(from int) (int, bool) {
	for _, i := range slices.Sorted(maps.Keys(m.want)) {
		if i >= from {
			return i, true
		}
	}
	return 0, false
}

// check compares members, and the upper levels with what the level below says.
func (m *setModel) check(t *rapid.T) {
	if got := m.set.Len(); got != len(m.want) {
		t.Fatalf("Len: got %d, want %d", got, len(m.want))
	}
	for i := range m.want {
		if !m.set.Has(i) {
			t.Fatalf("Has(%d): got false", i)
		}
	}
	for l := 1; l < len(m.set.levels); l++ {
		for i := range m.set.levels[l-1] {
			bit := m.set.levels[l][i/64].Get()&(1<<(i%64)) != 0
			if want := m.set.levels[l-1][i].Get() != 0; bit != want {
				t.Fatalf("level %d, bit %d: got %v, want %v", l, i, bit, want)
			}
		}
	}
}

func setProperty(t *rapid.T) {
	n := rapid.OneOf(rapid.IntRange(1, 200), rapid.IntRange(4000, 4200), rapid.IntRange(262_000, 262_300)).Draw(t, "n")
	m := &setModel{set: newSet(make([]shm.U64, layout.SetWords(n)), n), want: map[int]bool{}}
	member := rapid.OneOf(rapid.IntRange(0, n-1), rapid.IntRange(0, min(n, 3)-1), rapid.IntRange(max(0, n-3), n-1))
	t.Repeat(map[string]func(*rapid.T){
		"Add": func(t *rapid.T) {
			i := member.Draw(t, "i")
			m.set.Add(i)
			m.want[i] = true
		},
		"AddRange": func(t *rapid.T) {
			lo := member.Draw(t, "lo")
			hi := min(n, lo+rapid.IntRange(0, 300).Draw(t, "more"))
			m.set.AddRange(lo, hi)
			for i := lo; i < hi; i++ {
				m.want[i] = true
			}
		},
		"Remove": func(t *rapid.T) {
			i := member.Draw(t, "i")
			m.set.Remove(i)
			delete(m.want, i)
		},
		"Next": func(t *rapid.T) {
			from := rapid.IntRange(0, n+100).Draw(t, "from")
			got, ok := m.set.Next(from)
			want, wantOK := m.next(from)
			if got != want || ok != wantOK {
				t.Fatalf("Next(%d): got %d %v, want %d %v", from, got, ok, want, wantOK)
			}
		},
		"Clear": func(t *rapid.T) {
			if rapid.IntRange(0, 9).Draw(t, "one in ten") == 0 {
				m.set.Clear()
				clear(m.want)
			}
		},
		"": m.check,
	})
}

func TestSet(t *testing.T) { rapid.Check(t, setProperty) }

func FuzzSet(f *testing.F) { f.Fuzz(rapid.MakeFuzz(setProperty)) }

// TestSetTorn scribbles over all levels: Next may miss members, but stays in bounds and ends.
func TestSetTorn(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, 10_000).Draw(t, "n")
		words := make([]shm.U64, layout.SetWords(n))
		for range rapid.IntRange(1, 20).Draw(t, "scribbles") {
			words[rapid.IntRange(0, len(words)-1).Draw(t, "word")].Put(rapid.Uint64().Draw(t, "value"))
		}
		s := newSet(words, n)
		for range 20 {
			i := rapid.IntRange(0, n-1).Draw(t, "i")
			if got, ok := s.Next(i); ok && (got < 0 || got >= n) {
				t.Fatalf("Next(%d): got %d of %d", i, got, n)
			}
			if rapid.Bool().Draw(t, "add") {
				s.Add(i)
			} else {
				s.Remove(i)
			}
		}
	})
}

// TestSetWords lays sets of all small sizes over exactly the words that the layout counts for them.
func TestSetWords(t *testing.T) {
	for n := 1; n < 9000; n++ {
		s := newSet(make([]shm.U64, layout.SetWords(n)), n)
		total := 0
		for _, l := range s.levels {
			total += len(l)
		}
		if want := int(layout.SetWords(n)); total != want {
			t.Fatalf("set of %d: levels have %d words, want %d", n, total, want)
		}
		s.Add(n - 1)
		if got, ok := s.Next(0); !ok || got != n-1 {
			t.Fatalf("set of %d: Next(0): got %d %v", n, got, ok)
		}
	}
}
