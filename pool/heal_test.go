package pool

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ndpool/ndpool/arena/layout"
	"github.com/ndpool/ndpool/dtype"
)

// Damage that the pool heals by itself: what it needs at that moment contradicts itself, and is made anew.

func TestTornTicketSetIsMadeAnew(t *testing.T) {
	_, p := createHeap(t, smallPool)
	a := must(p.Alloc(dtype.Uint8, 100))
	for n := range p.arena.Tickets { // all look open, and the set says that all are free
		p.arena.Tickets[n].Word.Store(uint64(layout.MakeTicket(layout.TicketOpen, 5)))
	}
	x, err := a.Send()
	require.NoError(t, err)
	requireClean(t, p)
	must(p.Adopt(x)).Release()
	a.Release()
	requireEmpty(t, p)
}

func TestLockWordThatNamesItsFinderIsDamage(t *testing.T) {
	_, p := createHeap(t, smallPool)
	a := must(p.Alloc(dtype.Uint8, 100))
	p.arena.Ctl.Lock.Store(uint32(layout.MakeLock(p.arena.Self())))
	_, err := a.Send()
	require.NoError(t, err)
	requireClean(t, p)
}

func TestTornSetsAreMadeAnew(t *testing.T) {
	_, p := createHeap(t, smallPool)
	a := must(p.Alloc(dtype.Uint8, 20000))
	a.Handle()
	for i := range p.arena.DescSet {
		p.arena.DescSet[i].Store(^uint64(0))
	}
	for i := range p.arena.PageTree {
		p.arena.PageTree[i].Start.Store(64)
		p.arena.PageTree[i].Max.Store(64)
	}
	b, err := p.Alloc(dtype.Uint8, 60000)
	require.NoError(t, err)
	requireClean(t, p)
	a.Release()
	b.Release()
	requireEmpty(t, p)
}
