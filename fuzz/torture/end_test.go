package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ndpool/ndpool/dtype"
	"github.com/ndpool/ndpool/pool"
)

// newTestTorture is a torture without workers and weather, for what comes at the end.
func newTestTorture(t *testing.T) *torture {
	c, h := testConfig(t)
	c.workers = 0
	x, err := newTorture(c, h)
	require.NoError(t, err)
	t.Cleanup(x.close)
	require.NoError(t, x.prepare())
	return x
}

// openOther attaches once more, as somebody else.
func openOther(t *testing.T, x *torture) *pool.Pool {
	p, err := pool.Open(poolName, pool.Options{Dir: x.dir})
	require.NoError(t, err)
	t.Cleanup(func() { p.Close() })
	return p
}

func newArray(t *testing.T, p *pool.Pool) *pool.Array {
	a, err := p.Alloc(dtype.Uint64, 100)
	require.NoError(t, err)
	fill(a)
	return a
}

// TestBooks wants the books to balance when they should, and each kind of difference to be found.
func TestBooks(t *testing.T) {
	x := newTestTorture(t)
	p := openOther(t, x)
	a := newArray(t, p)
	defer a.Release()
	h := a.Handle().String()

	b := newBooks(x)
	b.enter(p.Self(), "other", []string{h})
	require.NoError(t, b.compare())
	require.Equal(t, 20+1+lockedNames, b.compared)

	b = newBooks(x)
	b.enter(p.Self(), "other", nil)
	require.ErrorContains(t, b.compare(), "array "+h+": held by other, who did not tell")

	b = newBooks(x)
	b.enter(p.Self(), "other", []string{h, x.own[0].Handle().String()})
	require.ErrorContains(t, b.compare(), "told of by other, who does not hold it")

	_, err := a.Send() // to nobody in particular: it is on its way, and known to be
	require.NoError(t, err)
	b = newBooks(x)
	b.enter(p.Self(), "other", []string{h})
	require.NoError(t, b.compare())
}

// TestSettle wants nothing to be left, and whatever is left to be found.
func TestSettle(t *testing.T) {
	for _, c := range []struct {
		name  string
		plant func(*testing.T, *torture)
		want  string
	}{
		{"nothing", func(*testing.T, *torture) {}, ""},
		{"an array", func(t *testing.T, x *torture) { newArray(t, x.p) }, "left: 1 arrays"},
		{"a process", func(t *testing.T, x *torture) { openOther(t, x) }, "2 processes"},
		{"a process's name", func(t *testing.T, x *torture) {
			p := openOther(t, x)
			a := newArray(t, p)
			defer a.Release()
			_, err := p.Publish("s/1", a)
			require.NoError(t, err)
		}, "left: name s/1"},
		{"a persistent name of an array that has changed", func(t *testing.T, x *torture) {
			a := newArray(t, x.p)
			defer a.Release()
			_, err := x.p.Publish("s/1", a, pool.Publish{Persistent: true})
			require.NoError(t, err)
			flip(t, a)
		}, "name s/1: array"},
		{"a queue with an array that has changed", func(t *testing.T, x *torture) {
			q, err := x.p.Queue("r/q0")
			require.NoError(t, err)
			a := newArray(t, x.p)
			defer a.Release()
			require.NoError(t, q.Put(t.Context(), a))
			require.NoError(t, q.Close())
			flip(t, a)
		}, "left in queue r/q0"},
		{"an array of this process that has changed", func(t *testing.T, x *torture) { flip(t, x.own[5]) }, "own array"},
		{"no name that nobody removes", func(t *testing.T, x *torture) { require.NoError(t, x.p.Remove("l/1")) }, "2 of 3 names"},
		{"a file", func(t *testing.T, x *torture) {
			require.NoError(t, os.WriteFile(filepath.Join(x.dir, "file"), nil, 0o600))
		}, "left in the directory"},
		{"the other pool", func(t *testing.T, x *torture) {
			p, err := pool.Create(secondName, pool.Options{Dir: x.dir, Capacity: 1 << 20})
			require.NoError(t, err)
			t.Cleanup(func() { p.Close() })
		}, "left in the directory"},
	} {
		t.Run(c.name, func(t *testing.T) {
			x := newTestTorture(t)
			c.plant(t, x)
			err := x.settle()
			if c.want == "" {
				require.NoError(t, err)
				return
			}
			require.ErrorContains(t, err, c.want)
		})
	}
}

func flip(t *testing.T, a *pool.Array) {
	b, err := a.Bytes()
	require.NoError(t, err)
	b[0] ^= 1
}
