package alloc

import (
	"testing"

	"github.com/ndpool/ndpool/arena"
	"github.com/ndpool/ndpool/arena/layout"
	"github.com/ndpool/ndpool/internal/sentinels"
)

// TestEveryError provokes every error that this package documents.
func TestEveryError(t *testing.T) {
	sentinels.Require(t, map[string]sentinels.Entry{
		"ErrNoSpace": {Is: ErrNoSpace, Provoke: func(t *testing.T) error { return take(newAllocator(t), layout.MinCapacity+1) }},
		"ErrTorn": {Is: ErrTorn, Provoke: func(t *testing.T) error {
			al := newAllocator(t)
			for i := range al.pages.bits { // all in use, and the tree says that none is
				al.pages.bits[i].Store(^uint64(0))
			}
			return take(al, layout.MinCapacity)
		}},
	}, nil)
}

func take(al *Allocator, size uint64) error {
	_, err := al.Take(size)
	return err
}

func newAllocator(t *testing.T) *Allocator {
	limits := layout.Limits{Capacity: layout.MinCapacity, Arrays: 64, Processes: 4, Tickets: 8, Names: 1}
	_, a, err := arena.CreateHeap(arena.Spec{Limits: limits}, func(a *arena.Arena) error { New(a).Format(); return nil })
	if err != nil {
		t.Fatal(err)
	}
	return New(a)
}
