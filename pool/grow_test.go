package pool

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// Two find at once that a table needs more memory, and one of them is first to commit the last step: the other must go on, and
// not ask the file system for nothing.
func TestGrowAfterAnother(t *testing.T) {
	p, err := Create("grow", Options{Capacity: 1 << 20, Arrays: 1024, Names: 1024, Anonymous: true})
	require.NoError(t, err)
	defer func() { require.NoError(t, p.Close()) }()
	for range 2 {
		require.NoError(t, p.growDescs(0))
		require.NoError(t, p.growNames(0, 1000))
	}
	require.Equal(t, len(p.arena.Descs), p.descs())
	require.Equal(t, len(p.arena.Names), p.names.Committed())
	require.ErrorIs(t, p.growNames(len(p.arena.Names), 1), errNoEntry)
}
