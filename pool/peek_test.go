package pool

import (
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ndpool/ndpool/alloc"
	"github.com/ndpool/ndpool/arena"
	"github.com/ndpool/ndpool/dtype"
)

// blocks returns the bytes that a file takes.
func blocks(t *testing.T, path string) int64 {
	t.Helper()
	st, err := os.Stat(path)
	require.NoError(t, err)
	return st.Sys().(*syscall.Stat_t).Blocks * 512
}

func TestPeekLeavesNoTrace(t *testing.T) {
	p, dir := newTestPool(t, Options{Capacity: 8 << 20})
	rec, err := dtype.Struct(dtype.Field{Name: "x", Type: dtype.Float32}, dtype.Field{Name: "y", Type: dtype.Int16})
	require.NoError(t, err)
	a, err := p.Zeros(rec, 7)
	require.NoError(t, err)
	defer a.Release()
	b, err := p.Alloc(dtype.Float64, 1000, 100)
	require.NoError(t, err)
	_, err = b.Send()
	require.NoError(t, err)
	file := filepath.Join(dir, "test")
	before, size := requireFile(t, file), blocks(t, file)

	s, err := Peek("test", Options{Dir: dir})
	require.NoError(t, err)
	defer s.Close()
	require.Equal(t, before, requireFile(t, file), "bytes changed")
	require.Equal(t, size, blocks(t, file), "memory was committed")

	require.Equal(t, slices.Collect(p.Arrays()), slices.Collect(s.Arrays()))
	require.Len(t, slices.Collect(s.Transfers()), 1)
	procs := slices.Collect(s.Processes())
	require.Len(t, procs, 1)
	require.True(t, procs[0].Alive)
	want, err := p.Stats()
	require.NoError(t, err)
	require.Equal(t, want, s.Stats())
	c, err := s.Condition()
	require.NoError(t, err)
	require.Equal(t, Live, c)

	content, _ := a.Bytes()
	content[5] = 42
	got, err := s.Read(a.Handle(), 0, len(content))
	require.NoError(t, err)
	require.Equal(t, content, got)
	_, err = s.Read(a.Handle(), 40, 3)
	require.ErrorIs(t, err, ErrMismatch)
	h := b.Handle()
	for x := range s.Transfers() {
		require.NoError(t, p.Recall(x.Transfer))
	}
	b.Release()
	_, err = s.Read(h, 0, 8)
	require.ErrorIs(t, err, ErrStale)
}

func requireFile(t *testing.T, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(path)
	require.NoError(t, err)
	return b
}

// leaveBehind makes a pool whose only process was killed.
func leaveBehind(t *testing.T, dir string, persistent bool) {
	t.Helper()
	p, err := Create("test", Options{Dir: dir, Capacity: 4 << 20, Persistent: persistent})
	require.NoError(t, err)
	_, err = p.Alloc(dtype.Uint8, 100)
	require.NoError(t, err)
	p.arena.Abandon()
}

func TestObserverLeavesAsItCame(t *testing.T) {
	dir := testDir(t)
	leaveBehind(t, dir, false)
	q, err := Open("test", Options{Dir: dir, Observer: true})
	require.NoError(t, err)
	require.Len(t, slices.Collect(q.Processes()), 2, "the dead process is still there")
	requireClean(t, q)
	require.NoError(t, q.Close())
	require.FileExists(t, filepath.Join(dir, "test"))

	r, err := Reap("test", Options{Dir: dir})
	require.NoError(t, err)
	require.Equal(t, Reaped{Processes: 1, Removed: true}, r)
	require.NoFileExists(t, filepath.Join(dir, "test"))

	p, err := Create("test", Options{Dir: dir, Capacity: 4 << 20})
	require.NoError(t, err)
	q, err = Open("test", Options{Dir: dir, Observer: true})
	require.NoError(t, err)
	require.NoError(t, p.Close())
	require.NoError(t, q.Close())
	require.NoFileExists(t, filepath.Join(dir, "test"), "who was there left it to the observer")
}

func TestReapKeepsWhatIsPersistent(t *testing.T) {
	dir := testDir(t)
	leaveBehind(t, dir, true)
	s, err := Peek("test", Options{Dir: dir})
	require.NoError(t, err)
	c, err := s.Condition()
	require.NoError(t, err)
	require.Equal(t, Idle, c)
	require.Len(t, slices.Collect(s.Processes()), 1)
	s.Close()
	r, err := Reap("test", Options{Dir: dir})
	require.NoError(t, err)
	require.Equal(t, Reaped{Processes: 1}, r)
	require.FileExists(t, filepath.Join(dir, "test"))
}

// What becomes another block between the copy of the tables and that of its bytes is left out; the bytes of something else are
// never taken for a text of attributes, or for an element type.
func TestPeekLeavesOutWhatChanged(t *testing.T) {
	p, dir := newTestPool(t, Options{Capacity: 1 << 20})
	rec, err := dtype.Struct(dtype.Field{Name: "x", Type: dtype.Float32}, dtype.Field{Name: "y", Type: dtype.Int16})
	require.NoError(t, err)
	for _, path := range []string{"attributes", "record", "stays"} {
		dt := map[bool]dtype.Type{true: rec, false: dtype.Uint8}[path == "record"]
		a := must(p.Alloc(dt, 10))
		_, err := p.Publish(path, a, Publish{Attrs: Attrs{"path": path}})
		require.NoError(t, err)
		a.Release()
	}
	a, err := arena.Peek(Options{Dir: dir}.location("test"))
	require.NoError(t, err)
	s := &Snapshot{newPool(a, alloc.New(a))}
	defer s.Close()

	_, err = p.SetAttrs("attributes", nil)
	require.NoError(t, err)
	require.NoError(t, p.Remove("record"))
	for _, size := range []int{1 << 10, 1 << 8, 1 << 7, 1 << 6} { // all memory that is free
		for {
			b, err := p.AllocBlock(size)
			if err != nil {
				break
			}
			clear(b.Bytes())
			defer b.Release()
		}
	}
	s.pool.peek()
	var found []string
	for x, err := range s.List("") {
		require.NoError(t, err)
		found = append(found, x.Path+string(x.Attrs))
	}
	require.Equal(t, []string{`stays{"path":"stays"}`}, found)
	_, err = s.Rings()
	require.NoError(t, err)
}
