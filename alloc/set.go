package alloc

import (
	"math/bits"

	"github.com/ndpool/ndpool/internal/shm"
)

// Set is a set of numbers below n in shared memory: a bitmap, and above it one bit per word that is not zero, up to a
// single word. The lowest member is found in as many steps as there are levels. Derived; guarded by the segment lock.
type Set struct {
	levels [][]shm.U64 // levels[0] has a bit per member
	n      int
}

// newSet lays a set of n numbers over layout.SetWords(n) words.
func newSet(words []shm.U64, n int) Set {
	s := Set{n: n}
	for size := n; ; {
		size = (size + 63) / 64
		s.levels = append(s.levels, words[:size])
		words = words[size:]
		if size <= 1 {
			return s
		}
	}
}

// Has tells whether i is a member.
func (s *Set) Has(i int) bool { return s.levels[0][i/64].Get()&(1<<(i%64)) != 0 }

// Add makes i a member.
func (s *Set) Add(i int) {
	for _, level := range s.levels {
		w := &level[i/64]
		old := w.Get()
		w.Put(old | 1<<(i%64))
		if old != 0 {
			return
		}
		i /= 64
	}
}

// AddRange makes the numbers from lo up to but not including hi members.
func (s *Set) AddRange(lo, hi int) {
	if lo >= hi {
		return
	}
	for _, level := range s.levels {
		for i := lo; i < hi; {
			end := min(hi, i/64*64+64)
			mask := ^uint64(0) << (i % 64) & (^uint64(0) >> (63 - (end-1)%64))
			level[i/64].Put(level[i/64].Get() | mask)
			i = end
		}
		lo, hi = lo/64, (hi+63)/64
	}
}

// Remove makes i no member.
func (s *Set) Remove(i int) {
	for _, level := range s.levels {
		w := &level[i/64]
		v := w.Get() &^ (1 << (i % 64))
		w.Put(v)
		if v != 0 {
			return
		}
		i /= 64
	}
}

// Clear removes all members.
func (s *Set) Clear() {
	for _, level := range s.levels {
		for i := range level {
			if level[i].Get() != 0 {
				level[i].Put(0)
			}
		}
	}
}

// Next returns the lowest member from i on, and whether there is one. A torn summary makes it miss members, never
// leave its bounds.
func (s *Set) Next(i int) (int, bool) {
	for l := 0; l < len(s.levels); l++ {
		if i/64 >= len(s.levels[l]) {
			return 0, false
		}
		if w := s.levels[l][i/64].Get() >> (i % 64); w != 0 {
			return s.descend(l, i+bits.TrailingZeros64(w))
		}
		i = i/64 + 1
	}
	return 0, false
}

// descend follows the lowest bits from bit i of level l down to a member.
func (s *Set) descend(l, i int) (int, bool) {
	for ; l > 0; l-- {
		if i >= len(s.levels[l-1]) {
			return 0, false
		}
		w := s.levels[l-1][i].Get()
		if w == 0 {
			return 0, false
		}
		i = i*64 + bits.TrailingZeros64(w)
	}
	return i, i < s.n
}

// Len counts the members.
func (s *Set) Len() int {
	n := 0
	for i := range s.levels[0] {
		n += bits.OnesCount64(s.levels[0][i].Get())
	}
	return n
}
