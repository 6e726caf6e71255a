package pool

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ndpool/ndpool/arena/layout"
	"github.com/ndpool/ndpool/dtype"
)

// newTestPool creates a pool in a directory of its own, and verifies it when the test ends.
func newTestPool(t testing.TB, o Options) (*Pool, string) {
	t.Helper()
	if o.Dir == "" {
		o.Dir = testDir(t)
	}
	p, err := Create("test", o)
	require.NoError(t, err)
	t.Cleanup(func() {
		requireClean(t, p)
		p.Close()
	})
	return p, o.Dir
}

// testDir returns a directory of the test's own on tmpfs if there is one.
func testDir(t testing.TB) string {
	base := DefaultDir
	if st, err := os.Stat(base); err != nil || !st.IsDir() {
		return t.TempDir()
	}
	dir, err := os.MkdirTemp(base, "ndpool-test-")
	require.NoError(t, err)
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// requireClean verifies a pool, if it is still open.
func requireClean(t testing.TB, p *Pool) {
	t.Helper()
	r, err := p.Verify(VerifyOptions{Content: true})
	if errors.Is(err, ErrClosed) {
		return
	}
	require.NoError(t, err)
	for _, f := range r.Faults {
		t.Error(f)
	}
}

// requireEmpty wants that nobody holds anything: all arrays are gone, all bytes free or cached.
func requireEmpty(t testing.TB, p *Pool) {
	t.Helper()
	s, err := p.Stats()
	require.NoError(t, err)
	require.Zero(t, s.Arrays, "arrays alive")
	require.Zero(t, s.Transfers, "transfers in flight")
	require.NoError(t, p.steal())
	s, err = p.Stats()
	require.NoError(t, err)
	require.Equal(t, s.Capacity, s.Free, "bytes leaked")
}

func TestAllocReleaseReuse(t *testing.T) {
	p, _ := newTestPool(t, Options{Capacity: 4 << 20})
	a, err := p.Alloc(dtype.Float32, 3, 5)
	require.NoError(t, err)
	require.Equal(t, []int{3, 5}, a.Shape())
	require.Equal(t, []int{20, 4}, a.Strides())
	xs, err := Slice[float32](a)
	require.NoError(t, err)
	require.Len(t, xs, 15)
	a.Release()
	require.Panics(t, a.Release)
	requireEmpty(t, p)
}

// TestLargeReuse has a released run of pages serve an array of exactly its length, without the segment lock, until this process
// takes that for something else. Whoever is short of memory takes it before.
func TestLargeReuse(t *testing.T) {
	p, _ := newTestPool(t, Options{Capacity: 4 << 20, LockWait: time.Millisecond})
	locked := func(size int) (*Array, error) {
		p.arena.Lock(time.Second)
		defer p.arena.Unlock()
		return p.Alloc(dtype.Uint8, size)
	}
	for _, size := range []int{68 << 10, 128 << 10, 132 << 10, 300_000, 1 << 20, 3 << 20} {
		a, err := p.Alloc(dtype.Uint8, size)
		require.NoError(t, err)
		at := a.desc
		a.Release()
		for _, other := range []int{size - 4096, size + 4096, size + 1<<44} {
			_, err = locked(other)
			require.ErrorIs(t, err, ErrLockTimeout, "%d bytes in a run of %d", other, size)
		}
		a, err = locked(size - 5)
		require.NoError(t, err)
		require.Equal(t, at, a.desc)
		a.Release()
		requireClean(t, p)
	}
	q, err := Open("test", Options{Dir: filepath.Dir(p.Path())})
	require.NoError(t, err)
	defer q.Close()
	a, err := q.Alloc(dtype.Uint8, 4<<20)
	require.NoError(t, err, "a kept run is in the way")
	a.Release()
	requireEmpty(t, q)
}

func TestSendAdoptBetweenAttachments(t *testing.T) {
	p, dir := newTestPool(t, Options{Capacity: 4 << 20})
	q, err := Open("test", Options{Dir: dir})
	require.NoError(t, err)
	defer q.Close()
	a, err := p.Alloc(dtype.Int64, 100)
	require.NoError(t, err)
	xs, _ := Slice[int64](a)
	for i := range xs {
		xs[i] = int64(i)
	}
	tr, err := a.Send()
	require.NoError(t, err)
	a.Release()
	requireClean(t, p)
	b, err := q.Adopt(tr)
	require.NoError(t, err)
	ys, err := Slice[int64](b)
	require.NoError(t, err)
	require.EqualValues(t, 99, ys[99])
	_, err = q.Adopt(tr)
	require.ErrorIs(t, err, ErrSpent)
	requireClean(t, q)
	h := b.Handle()
	c, err := p.Retain(h)
	require.NoError(t, err)
	b.Release()
	c.Release()
	_, err = p.Retain(h)
	require.ErrorIs(t, err, ErrStale)
	requireEmpty(t, p)
}

func TestDeathIsSwept(t *testing.T) {
	p, dir := newTestPool(t, Options{Capacity: 4 << 20, Grace: time.Millisecond})
	q, err := Open("test", Options{Dir: dir})
	require.NoError(t, err)
	for n := range 10 {
		a, err := q.Alloc(dtype.Uint8, 1000*n)
		require.NoError(t, err)
		if n%2 == 0 {
			_, err = a.Send()
			require.NoError(t, err)
		}
	}
	q.arena.Abandon()
	r, err := p.Reap()
	require.NoError(t, err)
	require.Equal(t, 1, r.Processes)
	requireClean(t, p)
	time.Sleep(5 * time.Millisecond)
	again, err := p.Reap()
	require.NoError(t, err)
	require.Equal(t, 5, r.Expired+again.Expired, "on a busy machine some expire at once")
	requireEmpty(t, p)
}

func TestLockOfDeadOwnerIsTakenOver(t *testing.T) {
	p, dir := newTestPool(t, Options{Capacity: 4 << 20})
	q, err := Open("test", Options{Dir: dir})
	require.NoError(t, err)
	a, err := q.Alloc(dtype.Uint8, 5000)
	require.NoError(t, err)
	h := a.Handle()
	b, err := p.Retain(h)
	require.NoError(t, err)
	require.NoError(t, q.lock())
	for i := range p.arena.PageBits {
		p.arena.PageBits[i].Put(0xdeadbeef) // torn
	}
	q.arena.Abandon()
	r, err := p.Reap()
	require.NoError(t, err)
	require.Equal(t, 1, r.Processes)
	requireClean(t, p)
	b.Release()
	requireEmpty(t, p)
}

func TestFullPoolTellsNumbers(t *testing.T) {
	p, _ := newTestPool(t, Options{Capacity: 1 << 20})
	var as []*Array
	for {
		a, err := p.Alloc(dtype.Uint8, 100_000)
		if err != nil {
			var se *SpaceError
			require.ErrorAs(t, err, &se)
			require.EqualValues(t, 100_000, se.Asked)
			require.EqualValues(t, 1<<20, se.Capacity)
			require.Contains(t, se.Holder, fmt.Sprint(os.Getpid()))
			break
		}
		as = append(as, a)
	}
	require.Len(t, as, 10)
	done := make(chan error, 1)
	go func() {
		a, err := p.NewContext(context.Background(), Spec{DType: dtype.Uint8, Shape: []int{200_000}})
		if err == nil {
			a.Release()
		}
		done <- err
	}()
	time.Sleep(30 * time.Millisecond)
	as[4].Release()
	as[5].Release()
	require.NoError(t, <-done)
	for i, a := range as {
		if i != 4 && i != 5 {
			a.Release()
		}
	}
	requireEmpty(t, p)
}

func TestCloseUnderLiveArrays(t *testing.T) {
	dir := testDir(t)
	p, err := Create("test", Options{Dir: dir, Capacity: 1 << 20})
	require.NoError(t, err)
	a, err := p.Alloc(dtype.Uint8, 10)
	require.NoError(t, err)
	require.NoError(t, p.Close())
	_, err = p.Alloc(dtype.Uint8, 10)
	require.ErrorIs(t, err, ErrClosed)
	b, err := a.Bytes()
	require.NoError(t, err)
	b[0] = 7
	_, err = os.Stat(filepath.Join(dir, "test"))
	require.NoError(t, err, "the pool lives as long as the array")
	a.Release()
	_, err = os.Stat(filepath.Join(dir, "test"))
	require.ErrorIs(t, err, os.ErrNotExist, "the last one out removes it")
}

func TestManyDimsAndStructured(t *testing.T) {
	p, dir := newTestPool(t, Options{Capacity: 4 << 20})
	q, err := Open("test", Options{Dir: dir})
	require.NoError(t, err)
	defer q.Close()
	shape := []int{1, 2, 1, 2, 1, 2, 1, 2, 1, 3, 1}
	st, err := dtype.Parse(`{"itemsize":16,"fields":[["x","<f4",0],["y","<i2",4,[2,3]]]}`)
	require.NoError(t, err)
	for _, dt := range []dtype.Type{dtype.Float64, st} {
		a, err := p.New(Spec{DType: dt, Shape: shape, Fortran: true, Zero: true})
		require.NoError(t, err)
		tr, err := a.Send()
		require.NoError(t, err)
		b, err := q.Adopt(tr)
		require.NoError(t, err)
		require.Equal(t, shape, b.Shape())
		require.Equal(t, a.Strides(), b.Strides())
		require.True(t, dt.Equal(b.DType()))
		requireClean(t, p)
		a.Release()
		b.Release()
	}
	requireEmpty(t, p)
}

func TestSealed(t *testing.T) {
	p, dir := newTestPool(t, Options{Capacity: 4 << 20})
	q, err := Open("test", Options{Dir: dir})
	require.NoError(t, err)
	defer q.Close()
	a, err := p.Zeros(dtype.Uint8, 100)
	require.NoError(t, err)
	b, err := q.Retain(a.Handle())
	require.NoError(t, err)
	require.ErrorIs(t, a.Seal(true), ErrHeld)
	b.Release()
	require.NoError(t, a.Seal(true))
	require.True(t, a.IsReadOnly())
	b, err = q.Retain(a.Handle())
	require.NoError(t, err)
	require.True(t, b.IsReadOnly())
	require.NoError(t, b.CheckHash())
	q.arena.Data(0, layout.PageSize)[0] ^= 1
	b.Release()
	a.Release()
}

func BenchmarkBlockPair(b *testing.B) {
	p, _ := newTestPool(b, Options{Capacity: 64 << 20})
	b.ReportAllocs()
	for b.Loop() {
		x, err := p.AllocBlock(1024)
		if err != nil {
			b.Fatal(err)
		}
		x.Release()
	}
}

func BenchmarkArrayPair(b *testing.B) {
	p, _ := newTestPool(b, Options{Capacity: 64 << 20})
	b.ReportAllocs()
	for b.Loop() {
		x, err := p.Alloc(dtype.Float32, 16, 16)
		if err != nil {
			b.Fatal(err)
		}
		x.Release()
	}
}
