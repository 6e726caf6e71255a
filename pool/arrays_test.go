package pool

import (
	"fmt"
	"os"
	"runtime"
	"testing"
	"time"
	"unsafe"

	"github.com/stretchr/testify/require"

	"github.com/ndpool/ndpool/arena/layout"
	"github.com/ndpool/ndpool/dtype"
)

func TestEveryDType(t *testing.T) {
	p, dir := newTestPool(t, Options{Capacity: 4 << 20})
	q, err := Open("test", Options{Dir: dir})
	require.NoError(t, err)
	defer q.Close()
	st := must(dtype.StructAligned(dtype.Field{Name: "x", Type: dtype.Float32}, dtype.Field{Name: "y", Type: dtype.Int16, Shape: []int{3}}))
	for _, dt := range []dtype.Type{dtype.Bool, dtype.Int8, dtype.Int16, dtype.Int32, dtype.Int64, dtype.Uint8, dtype.Uint16,
		dtype.Uint32, dtype.Uint64, dtype.Float16, dtype.Float32, dtype.Float64, dtype.Complex64, dtype.Complex128,
		dtype.Datetime64(dtype.Millisecond, 10), dtype.Timedelta64(dtype.Generic, 1), dtype.Bytes(5), dtype.Unicode(7),
		dtype.Void(3), dtype.Float32.WithOrder(dtype.Big), st} {
		for _, shape := range [][]int{{}, {0}, {3, 0, 2}, {1}, {5, 7}, {2, 3, 4, 5, 6}, {1, 1, 1, 1, 1, 1, 1, 2, 3}} {
			for _, fortran := range []bool{false, true} {
				t.Run(fmt.Sprint(dt, shape, fortran), func(t *testing.T) {
					a := must(p.New(Spec{DType: dt, Shape: shape, Fortran: fortran}))
					b := must(q.Adopt(must(a.Send())))
					require.True(t, b.DType().Equal(dt))
					require.Equal(t, shape, append([]int{}, b.Shape()...))
					require.Equal(t, a.Strides(), b.Strides())
					n := dt.Size()
					for _, d := range shape {
						n *= d
					}
					require.Len(t, must(b.Bytes()), n)
					a.Release()
					b.Release()
				})
			}
		}
	}
	requireEmpty(t, p)
}

func TestAlignment(t *testing.T) {
	p, _ := newTestPool(t, Options{Capacity: 16 << 20})
	st := must(dtype.Struct(dtype.Field{Name: "x", Type: dtype.Float32}))
	for _, n := range []int{0, 1, 63, 64, 65, 1000, 3584, 3585, 4096, 5000, 65536, 100_000, 1 << 20} {
		for _, s := range []Spec{{DType: dtype.Uint8, Shape: []int{n}}, {DType: st, Shape: []int{n / 4}},
			{DType: dtype.Uint8, Shape: []int{n, 1, 1, 1, 1, 1, 1, 1, 1, 1}}} {
			a := must(p.New(s))
			at := uintptr(unsafe.Pointer(unsafe.SliceData(a.mem)))
			want := uintptr(layout.Granule)
			if n >= layout.PageSize {
				want = layout.PageSize
			}
			require.Zerof(t, at%want, "%v %v: address %#x", s.DType, s.Shape, at)
			a.Release()
		}
	}
}

func TestViews(t *testing.T) {
	p, _ := newTestPool(t, Options{Capacity: 1 << 20})
	a := must(p.Zeros(dtype.Int32, 4, 6))
	for i, xs := 0, must(Slice[int32](a)); i < len(xs); i++ {
		xs[i] = int32(i)
	}
	v := must(a.View(Range{Start: 3, Stop: -maxInt, Step: -1}, Range{Start: 1, Stop: -1, Step: 2}))
	require.Equal(t, []int{4, 2}, v.Shape())
	require.Equal(t, []int{-24, 8}, v.Strides())
	require.EqualValues(t, 19, *must(Element[int32](v, 0, 0)))
	require.EqualValues(t, 3, *must(Element[int32](v, 3, 1)))
	_, err := v.Bytes()
	require.ErrorIs(t, err, ErrMismatch)
	_, err = v.Send()
	require.ErrorIs(t, err, ErrView)
	require.Panics(t, func() { _, _ = Element[int32](v, 4, 0) })
	a.Release() // the view keeps the block
	require.EqualValues(t, 19, *must(Element[int32](v, 0, 0)))
	w := must(v.Transpose())
	v.Release()
	require.EqualValues(t, 3, *must(Element[int32](w, 1, 3)))
	_, err = w.Reshape(8)
	require.ErrorIs(t, err, ErrMismatch)
	_, err = w.View(All, All, All)
	require.ErrorIs(t, err, ErrMismatch)
	w.Release()
	requireEmpty(t, p)
}

func TestLostArraysAreReported(t *testing.T) {
	dir := testDir(t)
	p := must(Create("test", Options{Dir: dir, Capacity: 1 << 20, TrackLost: true}))
	kept := must(p.Alloc(dtype.Uint8, 100))
	func() { must(p.Alloc(dtype.Uint8, 1234)) }() // forgotten
	must(p.Alloc(dtype.Uint8, 5)).Release()
	for range 100 {
		runtime.GC()
		if len(p.Lost()) > 0 {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	lost := p.Lost()
	require.Len(t, lost, 1)
	require.Equal(t, 1234, lost[0].Bytes)
	require.Contains(t, lost[0].Site, "arrays_test.go")
	s := must(p.Stats())
	require.EqualValues(t, 1, s.Lost)
	require.Equal(t, 2, s.Arrays, "a lost array is never released")
	kept.Release()
	requireClean(t, p)
	p.Close()
	require.NoError(t, os.RemoveAll(dir))
}

func TestWatcherSweepsByItself(t *testing.T) {
	p, dir := newTestPool(t, Options{Capacity: 1 << 20, Watch: 5 * time.Millisecond})
	q := must(Open("test", Options{Dir: dir}))
	must(q.Alloc(dtype.Uint8, 1000))
	q.arena.Abandon()
	require.Eventually(t, func() bool { return must(p.Stats()).Sweeps == 1 }, 5*time.Second, 5*time.Millisecond)
	requireEmpty(t, p)
}

func TestReleaseTwicePanics(t *testing.T) {
	p, dir := newTestPool(t, Options{Capacity: 1 << 20})
	q := must(Open("test", Options{Dir: dir}))
	defer q.Close()
	b := must(p.AllocBlock(10))
	held := must(q.Retain(b.Handle()))
	b.Release()
	require.Panics(t, b.Release, "others hold the block, this process does not")
	held.Release()
	require.Panics(t, b.Release, "another generation")
	a := must(p.Alloc(dtype.Uint8, 3))
	a.Release()
	require.Panics(t, a.Release)
	require.Panics(t, func() { a.Handle() })
	requireEmpty(t, p)
}

func TestLeftBehindPoolsAreReplaced(t *testing.T) {
	dir := testDir(t)
	o := Options{Dir: dir, Capacity: 1 << 20}
	p := must(OpenOrCreate("test", o))
	must(p.Alloc(dtype.Uint8, 1000))
	p.arena.Abandon() // killed
	q := must(OpenOrCreate("test", o))
	require.NotEqual(t, p.Segment(), q.Segment())
	require.NoError(t, q.Close())

	o.Persistent = true
	p = must(OpenOrCreate("test", o))
	must(p.Alloc(dtype.Uint8, 1000))
	p.arena.Abandon()
	q = must(OpenOrCreate("test", o))
	require.Equal(t, p.Segment(), q.Segment(), "a persistent pool is swept and kept")
	requireEmpty(t, q)
	require.NoError(t, q.Close())
	_, err := os.Stat(dir + "/test")
	require.NoError(t, err)
}

func TestPoolOutlivesItsProcessesWhileATransferWaits(t *testing.T) {
	dir := testDir(t)
	o := Options{Dir: dir, Capacity: 1 << 20}
	p := must(Create("test", o))
	a := must(p.Alloc(dtype.Uint8, 3))
	copy(must(a.Bytes()), "abc")
	tr := must(a.Send())
	a.Release()
	require.NoError(t, p.Close())
	q := must(OpenOrCreate("test", o))
	b := must(q.Adopt(tr))
	require.Equal(t, "abc", string(must(b.Bytes())))
	b.Release()
	require.NoError(t, q.Close())
	_, err := os.Stat(dir + "/test")
	require.ErrorIs(t, err, os.ErrNotExist)
}
