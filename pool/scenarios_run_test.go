package pool

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// TestScenarios runs each operation of the crash tests to its end, and lets all but the bystander die afterwards.
func TestScenarios(t *testing.T) {
	for _, sc := range scenarios {
		t.Run(sc.name, func(t *testing.T) {
			g := groundOf(sc.name)
			h, bystander := createHeap(t, g.options)
			kept := g.keep(bystander)
			peer, victim := must(openHeap(h)), must(openHeap(h))
			op, err := sc.prepare(victim, peer)
			require.NoError(t, err)
			require.NoError(t, op())
			outlive(t, bystander, victim, peer)
			for _, a := range kept {
				a.Release()
			}
			requireEmpty(t, bystander)
		})
	}
}

// outlive lets the victim and the peer die, and the bystander clean up after them.
func outlive(t *testing.T, bystander, victim, peer *Pool) {
	t.Helper()
	requireClean(t, bystander)
	if victim.arena.Self() != 0 {
		victim.arena.Abandon()
	}
	peer.arena.Abandon()
	for range 2 { // transfers of the dead expire at the second
		_, err := bystander.Reap()
		require.NoError(t, err)
	}
	requireClean(t, bystander)
	_, err := forgetNames(bystander)
	require.NoError(t, err)
}
