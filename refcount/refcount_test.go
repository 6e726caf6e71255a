package refcount

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/ndpool/ndpool/arena"
	"github.com/ndpool/ndpool/arena/layout"
)

// newTables returns the tables of n attachments to a segment on the Go heap.
func newTables(t require.TestingT, n int) []*Table {
	limits := layout.Limits{Capacity: layout.MinCapacity, Arrays: 64, Processes: 8, Tickets: 8, Names: 1}
	h, a, err := arena.CreateHeap(arena.Spec{Limits: limits, LockWait: time.Second}, func(*arena.Arena) error { return nil })
	require.NoError(t, err)
	ts := []*Table{New(a)}
	for len(ts) < n {
		b, err := arena.OpenHeap(h)
		require.NoError(t, err)
		_, err = b.Claim()
		require.NoError(t, err)
		ts = append(ts, New(b))
	}
	return ts
}

// fresh makes descriptor i a private block of the table's process.
func (t *Table) fresh(i int) uint32 {
	t.Begin(i)
	t.Own(i, layout.Busy)
	s := t.Lock(i)
	defer s.Unlock()
	t.PublishLocked(i)
	return t.gen(i).Number()
}

func (t *Table) kind(i int) layout.Kind { return t.state(i).Kind() }

func TestPrivateBlockIsItsOwners(t *testing.T) {
	ts := newTables(t, 2)
	g := ts[0].fresh(3)
	_, err := ts[1].RetainLocked(3, g)
	require.ErrorIs(t, err, ErrPrivate)
	require.False(t, ts[0].heldByAny(&ts[0].descs[3]))
	require.True(t, ts[0].DropLocked(3))
	require.NotEqual(t, g, ts[0].gen(3).Number(), "a new generation")
}

func TestLastReleaseFrees(t *testing.T) {
	ts := newTables(t, 3)
	g := ts[0].fresh(3)
	ts[0].ShareLocked(3)
	for _, o := range ts[1:] {
		_, err := o.RetainLocked(3, g)
		require.NoError(t, err)
	}
	require.False(t, ts[0].DropLocked(3))
	require.False(t, ts[1].DropLocked(3))
	require.True(t, ts[2].DropLocked(3))
	require.Equal(t, layout.Busy, ts[2].kind(3))
	_, err := ts[0].RetainLocked(3, g)
	var stale *StaleError
	require.ErrorAs(t, err, &stale)
	require.Equal(t, g, stale.Asked)
}

// TestBumpMakesALastReleaserLookAgain plays the protocol's races by hand, one step at a time.
func TestBumpMakesALastReleaserLookAgain(t *testing.T) {
	ts := newTables(t, 2)
	g := ts[0].fresh(3)
	ts[0].ShareLocked(3)
	before := ts[0].state(3) // a releaser has loaded the state and read the holders ...
	_, err := ts[1].RetainLocked(3, g)
	require.NoError(t, err)
	require.False(t, ts[0].descs[3].State.CAS(uint64(before), uint64(before.To(layout.Busy, 0))), "... and loses")
}

func TestSealWantsASoleHolder(t *testing.T) {
	ts := newTables(t, 2)
	g := ts[0].fresh(3)
	ts[0].ShareLocked(3)
	_, err := ts[1].RetainLocked(3, g)
	require.NoError(t, err)
	require.ErrorIs(t, ts[0].SealLocked(3), ErrHeld)
	ts[1].DropLocked(3)
	ts[0].AddLocked(3)
	require.ErrorIs(t, ts[0].SealLocked(3), ErrHeld, "another reference of this process")
	ts[0].DropLocked(3)
	require.NoError(t, ts[0].SealLocked(3))
	require.ErrorIs(t, ts[0].SealLocked(3), ErrSealed)
	_, err = ts[1].RetainLocked(3, g)
	require.NoError(t, err)
	require.True(t, ts[1].Sealed(3), "a bump keeps the flag")
}

func TestTicketKeepsTheBlock(t *testing.T) {
	ts := newTables(t, 2)
	g := ts[0].fresh(3)
	ts[0].ShareLocked(3)
	nonce := ts[0].Send(2, 3, 77, 0)
	require.False(t, ts[0].DropLocked(3))
	require.NoError(t, ts[1].Look(2, nonce, 77))
	require.ErrorIs(t, ts[1].Look(2, nonce, 78), ErrForged)
	require.ErrorIs(t, ts[1].Look(2, nonce+1, 77), ErrForged)
	_, err := ts[1].Recall(2, 3)
	require.ErrorIs(t, err, ErrNotSender)
	freed, err := ts[1].Adopt(2, 3, g)
	require.NoError(t, err)
	require.False(t, freed)
	require.ErrorIs(t, ts[1].Look(2, nonce, 77), ErrSpent)
	require.True(t, ts[1].DropLocked(3))
}

func TestDirectedTicket(t *testing.T) {
	ts := newTables(t, 3)
	g := ts[0].fresh(3)
	ts[0].ShareLocked(3)
	ts[0].Send(0, 3, 77, ts[1].arena.Self())
	_, err := ts[2].Adopt(0, 3, g)
	require.ErrorIs(t, err, ErrNotReceiver)
	_, err = ts[1].Adopt(0, 3, g)
	require.NoError(t, err)
}

func TestSweepFindsWhatNobodyNamesAnyMore(t *testing.T) {
	ts := newTables(t, 2)
	ts[0].fresh(3)
	ts[0].ShareLocked(3)
	ts[0].clear(3, ts[0].word, ts[0].bit) // and it dies before its tryFree
	require.True(t, ts[1].SweepBlock(3, ts[0].slot))
	require.Equal(t, layout.Busy, ts[1].kind(3))
}

func TestSweepTakesWhatADeadOneOwns(t *testing.T) {
	for _, k := range []layout.Kind{layout.Busy, layout.Private, layout.Cached} {
		ts := newTables(t, 2)
		g := ts[0].fresh(3)
		ts[0].Own(3, k)
		require.True(t, ts[1].SweepBlock(3, ts[0].slot))
		require.Equal(t, k != layout.Cached, ts[1].gen(3).Number() != g, "%v: a generation ends unless it has", k)
		require.False(t, ts[1].SweepBlock(3, ts[0].slot), "once")
	}
}

func TestRebuildSetsWhatIsMissingAndClearsTheSurplus(t *testing.T) {
	ts := newTables(t, 2)
	ts[0].fresh(3)
	ts[0].ShareLocked(3)
	ts[0].Send(0, 3, 77, 0)
	ts[0].clear(3, transitWord, transitBit)
	epoch := ts[0].state(3).Epoch()
	ts[1].BackTransit(3)
	require.True(t, ts[1].Holds(3, layout.InTransit))
	require.Greater(t, ts[1].state(3).Epoch(), epoch, "and bumps")
	ts[1].ForgetTickets(3)
	require.False(t, ts[1].Surplus(3), "the sender holds it")
	require.False(t, ts[1].Holds(3, layout.InTransit))
}

// TestHoldersAgainstACount lets three processes retain and release at random and compares with a plain count.
func TestHoldersAgainstACount(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		ts := newTables(t, 3)
		g := ts[0].fresh(5)
		ts[0].ShareLocked(5)
		counts, alive := []int{1, 0, 0}, true
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			n := rapid.IntRange(0, 2).Draw(t, "process")
			if rapid.Bool().Draw(t, "retain") {
				_, err := ts[n].RetainLocked(5, g)
				require.Equal(t, alive, err == nil, "retain: %v", err)
				if alive {
					counts[n]++
				}
				continue
			}
			if counts[n] == 0 {
				continue
			}
			counts[n]--
			last := ts[n].DropLocked(5)
			require.Equal(t, counts[0]+counts[1]+counts[2] == 0, last)
			alive = alive && !last
		}
	})
}
