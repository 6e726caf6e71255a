package catalog

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ndpool/ndpool/arena"
	"github.com/ndpool/ndpool/arena/layout"
)

// lockTable returns the table of an arena on the heap with one LIVE entry of nonce 7, and a second attachment's.
func lockTable(t *testing.T) (a, b *Table) {
	t.Helper()
	spec := arena.Spec{Limits: layout.Limits{Capacity: layout.MinCapacity, Arrays: 8, Processes: 4, Tickets: 8, Names: 4}}
	h, first, err := arena.CreateHeap(spec, func(*arena.Arena) error { return nil })
	require.NoError(t, err)
	second, err := arena.OpenHeap(h)
	require.NoError(t, err)
	_, err = second.Claim()
	require.NoError(t, err)
	first.Names[0].Word.Store(uint64(layout.MakeName(layout.NameLive, 0, 7)))
	return New(first, nil, nil), New(second, nil, nil)
}

func (t *Table) lockWord() layout.NameLockWord { return layout.NameLockWord(t.names[0].Lock.Load()) }

func TestStands(t *testing.T) {
	a, _ := lockTable(t)
	for k, want := range map[layout.NameKind]bool{layout.NameFree: false, layout.NameLive: true, layout.NameStaged: false,
		layout.NameReplacing: true, layout.NameLeaving: true} {
		a.names[0].Word.Store(uint64(layout.MakeName(k, 1, 7)))
		require.Equal(t, want, a.Stands(0, 7), k)
		require.False(t, a.Stands(0, 8), k)
	}
}

func TestLockWords(t *testing.T) {
	a, b := lockTable(t)
	ok, _ := a.TakeWriter(0)
	require.True(t, ok)
	out, _, _ := a.ReadersOut(0)
	require.True(t, out)
	ok, on := b.TakeWriter(0)
	require.False(t, ok)
	require.Equal(t, Wait{&a.names[0].Lock, uint32(a.lockWord())}, on)
	require.True(t, a.lockWord().Contended(), "who waits says so")
	ok, _, _ = b.TakeReader(0)
	require.False(t, ok)
	require.Zero(t, b.names[0].Readers[0].Load())
	b.DropWriter(0, false)
	require.Equal(t, a.arena.Self().Slot(), a.lockWord().Owner(), "another's word stays")
	a.DropWriter(0, false)
	require.Zero(t, a.lockWord())

	ok, torn, _ := b.TakeReader(0)
	require.True(t, ok)
	require.False(t, torn)
	require.Equal(t, b.arena.Self().Slot(), a.Holder(0))
	ok, _ = a.TakeWriter(0)
	require.True(t, ok)
	out, dead, on := a.ReadersOut(0)
	require.False(t, out)
	require.False(t, dead)
	b.DropReader(0)
	require.NotEqual(t, on.Value, on.Word.Load(), "who leaves bumps the word that the writer sleeps on")
	out, _, _ = a.ReadersOut(0)
	require.True(t, out)
}

func TestLockOfTheDead(t *testing.T) {
	a, b := lockTable(t)
	ok, _ := b.TakeWriter(0)
	require.True(t, ok)
	ok, _ = a.TakeWriter(0)
	require.False(t, ok)
	slot := b.arena.Self().Slot()
	b.arena.Abandon()
	ok, torn, _ := a.TakeReader(0)
	require.True(t, ok)
	require.True(t, torn)
	require.Equal(t, layout.NameLockWord(0).WithTorn(), a.lockWord())

	a.DropReader(0)
	a.names[0].Readers[0].Store(1 << slot)
	ok, _ = a.TakeWriter(0)
	require.True(t, ok)
	require.True(t, a.Torn(0), "a writer's exchange keeps it")
	out, dead, on := a.ReadersOut(0)
	require.False(t, out)
	require.True(t, dead)
	a.SweepLock(0, slot)
	require.NotEqual(t, on.Value, on.Word.Load())
	out, _, _ = a.ReadersOut(0)
	require.True(t, out)
	a.DropWriter(0, true)
	require.Equal(t, layout.NameLockWord(0).WithTorn(), a.lockWord(), "who gives up keeps it")
	ok, _ = a.TakeWriter(0)
	require.True(t, ok)
	a.DropWriter(0, false)
	require.Zero(t, a.lockWord())
}

func TestSweepLock(t *testing.T) {
	a, b := lockTable(t)
	ok, _ := b.TakeWriter(0)
	require.True(t, ok)
	a.SweepLock(0, a.arena.Self().Slot())
	require.Equal(t, b.arena.Self().Slot(), a.lockWord().Owner(), "only the slot's word goes")
	for range 2 {
		a.SweepLock(0, b.arena.Self().Slot())
		require.Equal(t, layout.NameLockWord(0).WithTorn(), a.lockWord())
	}
}

// TestLockScribbles: words that nobody has written honestly are nobody's.
func TestLockScribbles(t *testing.T) {
	a, _ := lockTable(t)
	for _, w := range []uint32{250, 0xff, 0xffffffff, uint32(layout.NameLockWord(0).WithWaiters()), 1 << 20} {
		a.names[0].Lock.Store(w)
		a.names[0].Readers[3].Store(1 << 63)
		ok, _ := a.TakeWriter(0)
		require.True(t, ok, w)
		out, _, _ := a.ReadersOut(0)
		require.True(t, out, "no process has slot 255")
		a.DropWriter(0, false)
		require.Zero(t, a.lockWord())
		a.names[0].Lock.Store(w)
		ok, _, _ = a.TakeReader(0)
		require.True(t, ok, w)
		a.DropReader(0)
		require.Less(t, a.Holder(0), len(a.arena.Slots))
	}
}
