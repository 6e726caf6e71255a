package pool

import (
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/ndpool/ndpool/dtype"
)

// A spent transfer is refused without a look at what its array had before the users' bytes: nobody holds them any more, and where
// they lay there may be no memory. To touch that would give it some, or, on a full file system, kill.
func TestSpentTransferTouchesNoMemory(t *testing.T) {
	p, dir := newTestPool(t, Options{Capacity: 16 << 20})
	stays := must(p.Alloc(dtype.Uint8, 4<<20))
	defer stays.Release()
	a := must(p.Alloc(dtype.Uint8, 5<<20, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1)) // more dimensions than a descriptor has room for
	sent := must(a.Send())
	a.Release()
	must(p.Adopt(sent)).Release()
	_, err := p.Trim()
	require.NoError(t, err)
	before := memoryOf(t, filepath.Join(dir, "test"))
	_, err = p.Adopt(sent)
	require.ErrorIs(t, err, ErrSpent)
	require.Equal(t, before, memoryOf(t, filepath.Join(dir, "test")))
}

// memoryOf returns how many bytes of memory a file has.
func memoryOf(t *testing.T, path string) int64 {
	t.Helper()
	var st unix.Stat_t
	require.NoError(t, unix.Stat(path, &st))
	return st.Blocks * 512
}
