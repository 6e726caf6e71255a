package pool

import (
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/ndpool/ndpool/arena"
	"github.com/ndpool/ndpool/arena/layout"
	"github.com/ndpool/ndpool/dtype"
	"github.com/ndpool/ndpool/handle"
	"github.com/ndpool/ndpool/refcount"
)

// Bad input: each its own error, with the numbers that a person needs, and nothing is lost by it.

// unchanged runs bad input against a pool, and wants that no array, transfer or byte came or went.
func unchanged(t *testing.T, p *Pool, name string, f func(t *testing.T)) {
	t.Run(name, func(t *testing.T) {
		before := must(p.Stats())
		f(t)
		after := must(p.Stats())
		require.Equal(t, before.Arrays, after.Arrays, "arrays")
		require.Equal(t, before.Transfers, after.Transfers, "transfers")
		require.Equal(t, before.Live, after.Live, "bytes")
		requireClean(t, p)
	})
}

func TestForeignHandles(t *testing.T) {
	h, q := createHeap(t, worldOptions)
	p := must(openHeap(h))
	_, other := createHeap(t, worldOptions)
	a := must(q.Alloc(dtype.Int32, 10))
	foreign := must(other.Alloc(dtype.Int32, 10)).Handle()
	private := handle.New(p.arena.Geo.DescGranule(int(a.desc)), a.gen)
	free := handle.New(p.arena.Geo.DescGranule(200), 1)
	granule := p.arena.Geo.DescGranule(0)
	for _, c := range []struct {
		name string
		h    handle.Handle
		want error
		text string
	}{
		{"zero", 0, ErrForeignHandle, "0000000000000000"},
		{"another segment", foreign, ErrStale, fmt.Sprint(foreign.Generation())},
		{"private", private, ErrPrivate, "private"},
		{"never used", free, ErrStale, "generation 1 asked, 0 found"},
		{"generation 0", handle.New(granule, 0), ErrStale, "generation 0 asked"},
		{"wrong generation", handle.New(private.Granule(), a.gen+1), ErrStale, fmt.Sprintf("generation %d asked, %d found", a.gen+1, a.gen)},
		{"within a descriptor", handle.New(granule+1, 1), ErrForeignHandle, p.segment.String()},
		{"before the table", handle.New(granule-4, 1), ErrForeignHandle, p.segment.String()},
		{"behind the table", handle.New(granule+uint32(len(p.arena.Descs))*4, 1), ErrForeignHandle, p.segment.String()},
		{"far away", handle.New(math.MaxUint32, math.MaxUint32), ErrForeignHandle, "ffffffffffffffff"},
	} {
		unchanged(t, p, c.name, func(t *testing.T) {
			_, err := p.Retain(c.h)
			require.ErrorIs(t, err, c.want)
			require.ErrorContains(t, err, c.text)
			_, err = p.Adopt(handle.Transfer{Handle: c.h, Ticket: handle.NewTicket(0, 1)})
			require.Error(t, err)
			require.Error(t, p.Recall(handle.Transfer{Handle: c.h, Ticket: handle.NewTicket(0, 1)}))
		})
	}
	a.Release()
	requireEmpty(t, p)
}

func TestForeignMessages(t *testing.T) {
	_, p := createHeap(t, worldOptions)
	a := must(p.Alloc(dtype.Int32, 10, 10))
	v := must(a.View(Range{2, 8, 2}))
	good := must(v.Message())
	for name, change := range map[string]func(m *handle.Message){
		"segment":         func(m *handle.Message) { m.Segment[15] ^= 1 },
		"handle":          func(m *handle.Message) { m.Handle ^= 1 },
		"view too long":   func(m *handle.Message) { m.View.Shape[0] = 30 },
		"view too far":    func(m *handle.Message) { m.View.Offset = 400 },
		"view before":     func(m *handle.Message) { m.View.Strides[0] = -80 },
		"view overflows":  func(m *handle.Message) { m.View.Shape[0], m.View.Strides[0] = math.MaxInt64, math.MaxInt64 },
		"view negative":   func(m *handle.Message) { m.View.Shape[0] = -1 },
		"view of nothing": func(m *handle.Message) { m.View.DType = dtype.Type{} },
		"view 65 dims":    func(m *handle.Message) { m.View.Shape, m.View.Strides = make([]int, 65), make([]int, 65) },
		"strides missing": func(m *handle.Message) { m.View.Strides = nil },
	} {
		unchanged(t, p, name, func(t *testing.T) {
			m, view := good, *good.View
			view.Shape, view.Strides = append([]int{}, view.Shape...), append([]int{}, view.Strides...)
			m.View = &view
			change(&m)
			_, err := p.Receive(m)
			require.Error(t, err)
		})
	}
	must(p.Receive(good)).Release() // none of them has spent it
	v.Release()
	a.Release()
	requireEmpty(t, p)
}

// TestMutatedTransfers flips each of the 128 bits of an open and of a spent transfer.
func TestMutatedTransfers(t *testing.T) {
	_, p := createHeap(t, worldOptions)
	a := must(p.Alloc(dtype.Int32, 10))
	open, spent := must(a.Send()), must(a.Send())
	must(p.Adopt(spent)).Release()
	for bit := range 128 {
		for _, x := range []handle.Transfer{open, spent} {
			if bit < 64 {
				x.Handle ^= 1 << bit
			} else {
				x.Ticket ^= 1 << (bit - 64)
			}
			_, err := p.Adopt(x)
			require.Error(t, err, "bit %d", bit)
			var te *refcount.TicketError
			var he *HandleError
			require.True(t, errors.As(err, &te) || errors.As(err, &he), "bit %d: %v", bit, err)
			require.Error(t, p.Recall(x), "bit %d", bit)
		}
	}
	requireClean(t, p)
	_, err := p.Adopt(handle.Transfer{Handle: open.Handle, Ticket: handle.NewTicket(uint32(len(p.arena.Tickets)), 1)})
	require.ErrorIs(t, err, ErrForged)
	must(p.Adopt(open)).Release()
	a.Release()
	requireEmpty(t, p)
}

func TestBadSpecs(t *testing.T) {
	_, p := createHeap(t, worldOptions)
	huge := make([]int, 65)
	for name, s := range map[string]Spec{
		"no dtype":    {Shape: []int{1}},
		"negative":    {DType: dtype.Uint8, Shape: []int{3, -1}},
		"least":       {DType: dtype.Uint8, Shape: []int{math.MinInt64}},
		"overflow":    {DType: dtype.Float64, Shape: []int{1 << 30, 1 << 30, 1 << 30}},
		"overflow 63": {DType: dtype.Float64, Shape: []int{1 << 60}},
		"overflow 64": {DType: dtype.Uint8, Shape: []int{1 << 32, 1 << 32}},
		"empty":       {DType: dtype.Float64, Shape: []int{1 << 62, 1 << 62, 0}},
		"65 dims":     {DType: dtype.Uint8, Shape: huge},
	} {
		unchanged(t, p, name, func(t *testing.T) {
			_, err := p.New(s)
			require.ErrorIs(t, err, ErrSpec)
			if s.DType.IsValid() {
				require.ErrorContains(t, err, fmt.Sprint(s.Shape[0]))
			}
		})
	}
	unchanged(t, p, "too large", func(t *testing.T) {
		for _, n := range []int{6 << 20, 1 << 40, math.MaxInt64} {
			_, err := p.Alloc(dtype.Uint8, n)
			var se *SpaceError
			require.ErrorAs(t, err, &se, n)
			require.EqualValues(t, n, se.Asked)
			_, err = p.AllocBlock(n)
			require.ErrorIs(t, err, ErrFull)
		}
		_, err := p.Alloc(structured, math.MaxInt64/16)
		require.ErrorIs(t, err, ErrFull)
		_, err = p.AllocBlock(-1)
		require.ErrorIs(t, err, ErrSpec)
	})
	requireEmpty(t, p)
}

func TestWrongUseOfAnArray(t *testing.T) {
	_, p := createHeap(t, worldOptions)
	a := must(p.Alloc(dtype.Int32, 6, 10))
	unchanged(t, p, "slice", func(t *testing.T) {
		_, err := Slice[float32](a)
		require.ErrorIs(t, err, ErrMismatch)
		_, err = Slice[int64](a)
		require.ErrorIs(t, err, ErrMismatch)
		_, err = Element[uint32](a, 1, 1)
		require.ErrorIs(t, err, ErrMismatch)
	})
	unchanged(t, p, "gaps", func(t *testing.T) {
		v := must(a.View(All, Range{0, 5, 1}))
		defer v.Release()
		_, err := Slice[int32](v)
		require.ErrorIs(t, err, ErrMismatch)
		require.ErrorContains(t, err, "40")
		_, err = v.Reshape(30)
		require.ErrorIs(t, err, ErrMismatch)
		_, err = v.Send()
		require.ErrorIs(t, err, ErrView)
		require.ErrorIs(t, v.Seal(true), ErrView)
		require.Equal(t, must(Element[int32](a, 3, 4)), must(Element[int32](v, 3, 4)))
	})
	unchanged(t, p, "alignment", func(t *testing.T) {
		b := must(p.Alloc(dtype.Uint8, 100))
		defer b.Release()
		m := must(b.Message())
		m.View = &handle.View{Offset: 2, DType: dtype.Int32, Shape: []int{3}, Strides: []int{4}}
		v := must(p.Receive(m))
		defer v.Release()
		_, err := Slice[int32](v)
		require.ErrorIs(t, err, ErrMismatch)
		require.ErrorContains(t, err, "alignment: got 2")
		_, err = Element[int32](v, 0)
		require.ErrorIs(t, err, ErrMismatch)
	})
	unchanged(t, p, "byte order", func(t *testing.T) {
		b := must(p.Alloc(must(dtype.Parse(">i4")), 3))
		defer b.Release()
		_, err := Slice[int32](b)
		require.ErrorIs(t, err, ErrMismatch)
	})
	unchanged(t, p, "views", func(t *testing.T) {
		_, err := a.View(All, All, All)
		require.ErrorIs(t, err, ErrMismatch)
		_, err = a.View(Range{0, 1, math.MinInt64})
		require.ErrorIs(t, err, ErrMismatch)
		_, err = a.Transpose(0, 0)
		require.ErrorIs(t, err, ErrMismatch)
		_, err = a.Transpose(0, 2)
		require.ErrorIs(t, err, ErrMismatch)
		_, err = a.Reshape(-6, -10)
		require.ErrorIs(t, err, ErrMismatch)
		_, err = a.Reshape(math.MaxInt64, 4)
		require.ErrorIs(t, err, ErrMismatch)
		for _, step := range []int{math.MaxInt64, -math.MaxInt64} {
			must(a.View(Range{-math.MaxInt64, math.MaxInt64, step}, Range{math.MaxInt64, math.MinInt64, step})).Release()
		}
	})
	a.Release()
	requireEmpty(t, p)
}

func TestFullTables(t *testing.T) {
	o := smallPool
	o.Grace = time.Hour
	h, p := createHeap(t, o)
	a := must(p.Alloc(dtype.Uint8, 100))
	unchanged(t, p, "tickets", func(t *testing.T) {
		var sent []handle.Transfer
		for range o.Tickets {
			sent = append(sent, must(a.Send()))
		}
		_, err := a.Send()
		var te *TableError
		require.ErrorAs(t, err, &te)
		require.Equal(t, TableError{Table: "tickets", Limit: o.Tickets, Holder: p.slotName(0), Held: o.Tickets}, *te)
		for _, x := range sent {
			require.NoError(t, p.Recall(x))
		}
		require.NoError(t, p.Recall(must(a.Send())))
	})
	unchanged(t, p, "arrays", func(t *testing.T) {
		var as []*Array
		for range o.Arrays - 1 {
			as = append(as, must(p.Alloc(dtype.Uint8, 200)))
		}
		_, err := p.Alloc(dtype.Uint8, 200)
		var te *TableError
		require.ErrorAs(t, err, &te)
		require.Equal(t, TableError{Table: "arrays", Limit: o.Arrays, Holder: p.slotName(0), Held: o.Arrays}, *te)
		for _, b := range as {
			b.Release()
		}
	})
	unchanged(t, p, "processes", func(t *testing.T) {
		var qs []*Pool
		for range o.Processes - 1 {
			qs = append(qs, must(openHeap(h)))
		}
		_, err := openHeap(h)
		require.ErrorIs(t, err, ErrProcesses)
		require.ErrorContains(t, err, fmt.Sprint(o.Processes))
		for _, q := range qs {
			require.NoError(t, q.Close())
		}
	})
	a.Release()
	requireEmpty(t, p)
}

// TestFullFilesystem has a tmpfs that is smaller than the pool.
func TestFullFilesystem(t *testing.T) {
	dir := t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size=6m"); err != nil {
		t.Skipf("SKIPPED: CANNOT MOUNT A SMALL TMPFS (%v): a full file system is not tested", err)
	}
	defer unix.Unmount(dir, unix.MNT_DETACH)
	p := must(Create("full", Options{Dir: dir, Capacity: 64 << 20, Arrays: 1000, Tickets: 64}))
	var as []*Array
	var err error
	for err == nil {
		var a *Array
		if a, err = p.Alloc(dtype.Uint8, 1<<20); err == nil {
			clear(must(a.Bytes())) // a SIGBUS here would be the end
			as = append(as, a)
		}
	}
	require.NotEmpty(t, as)
	var me *arena.MemoryError
	require.ErrorAs(t, err, &me)
	require.EqualValues(t, layout.ChunkSize, me.Asked)
	require.EqualValues(t, 6<<20, me.Total)
	require.Less(t, me.Free, me.Asked)
	require.ErrorContains(t, err, filepath.Join(dir, "full"))
	requireClean(t, p)
	as[0].Release()
	as[0] = must(p.Alloc(dtype.Uint8, 100)) // what is committed serves on
	require.NoError(t, os.WriteFile(filepath.Join(dir, "other"), make([]byte, me.Free), 0o600))
	for _, a := range as {
		a.Release()
	}
	_, err = Create("second", Options{Dir: dir, Capacity: 64 << 20})
	require.ErrorIs(t, err, ErrNoMemory)
	requireClean(t, p)
	requireEmpty(t, p)
	must(p.Trim())
	require.NoError(t, os.WriteFile(filepath.Join(dir, "room"), make([]byte, 1<<20), 0o600))
	require.NoError(t, p.Close())
}
