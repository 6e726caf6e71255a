package pool

import (
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ndpool/ndpool/arena/layout"
	"github.com/ndpool/ndpool/dtype"
)

// number returns an array with one number in it, to tell arrays apart.
func numbered(t testing.TB, p *Pool, n int64) *Array {
	t.Helper()
	a, err := p.Alloc(dtype.Int64)
	require.NoError(t, err)
	xs, err := Slice[int64](a)
	require.NoError(t, err)
	xs[0] = n
	return a
}

func numberOf(t testing.TB, a *Array) int64 {
	t.Helper()
	xs, err := Slice[int64](a)
	require.NoError(t, err)
	return xs[0]
}

// put publishes an array with a number and lets go of it.
func put(t testing.TB, p *Pool, path string, n int64, o ...Publish) uint64 {
	t.Helper()
	a := numbered(t, p, n)
	defer a.Release()
	v, err := p.Publish(path, a, o...)
	require.NoError(t, err)
	return v
}

// get looks a name up and returns its number.
func get(t testing.TB, p *Pool, path string) int64 {
	t.Helper()
	a, err := p.Lookup(path)
	require.NoError(t, err)
	defer a.Release()
	return numberOf(t, a)
}

// paths returns the names of a pool: those of groups end in a slash, those of implicit ones in two.
func paths(t testing.TB, p *Pool, prefix string) (all []string) {
	t.Helper()
	for info, err := range p.List(prefix) {
		require.NoError(t, err)
		s := info.Path
		if info.Group {
			s += "/"
		}
		if info.Implicit {
			s += "/"
		}
		all = append(all, s)
	}
	return all
}

func TestPublishLookup(t *testing.T) {
	p, dir := newTestPool(t, Options{Capacity: 4 << 20})
	q, err := Open("test", Options{Dir: dir})
	require.NoError(t, err)
	defer q.Close()
	v := put(t, p, "camera/left/depth", 7)
	require.EqualValues(t, 7, get(t, q, "camera/left/depth"))
	require.EqualValues(t, 7, get(t, p, "camera/left/depth"))
	require.Equal(t, []string{"camera//", "camera/left//", "camera/left/depth"}, paths(t, q, ""))
	requireClean(t, q)

	a, err := q.Lookup("camera/left/depth", ReadOnly(true))
	require.NoError(t, err)
	require.True(t, a.IsReadOnly())
	require.NoError(t, q.Remove("camera/left/depth"))
	require.EqualValues(t, 7, numberOf(t, a), "who holds it keeps it")
	a.Release()
	require.Empty(t, paths(t, p, ""))
	require.Greater(t, put(t, p, "camera/left/depth", 8), v, "a version never comes back")
	require.NoError(t, p.Remove("camera/left/depth"))
	requireEmpty(t, p)
}

func TestPublishModes(t *testing.T) {
	p, _ := newTestPool(t, Options{Capacity: 4 << 20})
	v := put(t, p, "a/x", 1)
	a := numbered(t, p, 2)
	defer a.Release()
	_, err := p.Publish("a/x", a)
	require.ErrorIs(t, err, ErrNameTaken)
	require.ErrorContains(t, err, `publish "a/x": name is taken`)
	_, err = p.Publish("a", a)
	require.ErrorIs(t, err, ErrNameTaken)
	_, err = p.Publish("a/x/y", a)
	require.ErrorIs(t, err, ErrGroup)
	_, err = p.Publish("a", a, Publish{Mode: PublishMerge})
	require.ErrorIs(t, err, ErrGroup)
	require.Equal(t, []string{"a//", "a/x"}, paths(t, p, ""))

	w, err := p.Publish("a/x", a, Publish{Mode: PublishMerge})
	require.NoError(t, err)
	require.Greater(t, w, v)
	require.EqualValues(t, 2, get(t, p, "a/x"))
	w2, err := p.Publish("a/x", a, Publish{Mode: PublishOverwrite}) // by itself
	require.NoError(t, err)
	require.Greater(t, w2, w)
	_, err = p.Publish("a/x", a, Publish{Mode: PublishOverwrite, Version: w})
	require.ErrorIs(t, err, ErrVersion)
	require.ErrorContains(t, err, fmt.Sprintf("%d found (%d expected)", w2, w))
	_, err = p.Publish("a/x", a, Publish{Mode: PublishOverwrite, Version: w2})
	require.NoError(t, err)
	_, err = p.Publish("nothing", a, Publish{Mode: PublishOverwrite, Version: w2})
	require.ErrorIs(t, err, ErrVersion)

	_, err = p.Publish("a", a, Publish{Mode: PublishOverwrite}) // an array in the place of a group
	require.NoError(t, err)
	require.Equal(t, []string{"a"}, paths(t, p, ""))
	_, err = p.PublishTree("a", Tree{"u": a, "v/w": a}, Publish{Mode: PublishOverwrite}) // and a group again
	require.NoError(t, err)
	require.Equal(t, []string{"a//", "a/u", "a/v//", "a/v/w"}, paths(t, p, ""))
	require.EqualValues(t, 2, get(t, p, "a/v/w"))
	n, err := p.RemoveTree("a")
	require.NoError(t, err)
	require.Equal(t, 2, n)
}

func TestPublishTree(t *testing.T) {
	p, _ := newTestPool(t, Options{Capacity: 4 << 20})
	a, b := numbered(t, p, 1), numbered(t, p, 2)
	v, err := p.PublishTree("", Tree{"run/1": a, "run": map[string]any{"2": Item{Array: b, Attrs: Attrs{"k": 1}}}, "empty": Tree{}})
	require.NoError(t, err)
	b.Release()
	require.Equal(t, []string{"empty/", "run//", "run/1", "run/2"}, paths(t, p, ""))
	for info, err := range p.List("") {
		require.NoError(t, err)
		require.Equal(t, v, info.Version, info.Path)
	}
	_, err = p.PublishTree("", Tree{"run/3": a})
	require.ErrorIs(t, err, ErrNameTaken, "run is there")
	_, err = p.PublishTree("", Tree{"run/3": a, "other": a}, Publish{Mode: PublishMerge})
	require.NoError(t, err)
	require.Equal(t, []string{"run//", "run/1", "run/2", "run/3"}, paths(t, p, "run"))

	tree, err := p.LookupTree("")
	require.NoError(t, err)
	require.Equal(t, []string{"empty", "other", "run"}, sortedKeys(tree))
	require.Empty(t, tree["empty"])
	require.EqualValues(t, 2, numberOf(t, tree["run"].(Tree)["2"].(*Array)))
	tree.Release()
	tree, err = p.LookupTree("run")
	require.NoError(t, err)
	require.Equal(t, []string{"1", "2", "3"}, sortedKeys(tree))
	tree.Release()
	_, err = p.LookupTree("run/1")
	require.ErrorIs(t, err, ErrGroup)
	_, err = p.LookupTree("walk")
	require.ErrorIs(t, err, ErrNoName)

	_, err = p.PublishTree("", Tree{"twice/x": a, "twice": Tree{"x": a}})
	require.ErrorIs(t, err, ErrNameTaken)
	require.ErrorContains(t, err, "twice/x")
	_, err = p.PublishTree("", Tree{"both": a, "both/x": a})
	require.ErrorIs(t, err, ErrGroup)
	_, err = p.PublishTree("x", Tree{"n": 5})
	require.ErrorIs(t, err, ErrSpec)
	_, err = p.PublishTree("", Tree{"x": a}, Publish{Attrs: Attrs{"a": 1}})
	require.ErrorIs(t, err, ErrPath)
	loop := Tree{}
	loop["x"] = loop
	_, err = p.PublishTree("", loop)
	require.ErrorIs(t, err, ErrPath)
	require.Equal(t, []string{"empty/", "other", "run//", "run/1", "run/2", "run/3"}, paths(t, p, ""), "nothing changed")

	_, err = p.PublishTree("run", Tree{"2": Tree{"deep": a}, "9": a}, Publish{Mode: PublishOverwrite, Attrs: Attrs{"of": "run"}})
	require.NoError(t, err)
	require.Equal(t, []string{"run/", "run/2//", "run/2/deep", "run/9"}, paths(t, p, "run"))
	requireClean(t, p)
	require.ErrorIs(t, p.Remove("run"), ErrGroup)
	for _, top := range []string{"run", "other", "empty"} {
		_, err = p.RemoveTree(top)
		require.NoError(t, err)
	}
	a.Release()
	requireEmpty(t, p)
}

func sortedKeys(t Tree) (keys []string) {
	for k := range t {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

func TestPublishRefused(t *testing.T) {
	p, _ := newTestPool(t, Options{Capacity: 4 << 20})
	other, _ := newTestPool(t, Options{Capacity: 1 << 20})
	a, foreign := numbered(t, p, 1), numbered(t, other, 1)
	defer foreign.Release()
	for _, path := range []string{"", "/", "a/", "/a", "a//b", ".", "a/../b", "a\x00b", "\xff", strings.Repeat("x", 256),
		strings.Repeat("a/", layout.MaxNameDepth) + "a"} {
		_, err := p.Publish(path, a)
		require.ErrorIs(t, err, ErrPath, "%q", path)
		require.ErrorIs(t, p.Remove(path), ErrPath)
		_, err = p.Lookup(path)
		require.ErrorIs(t, err, ErrPath)
	}
	deep := strings.Repeat("a/", layout.MaxNameDepth-1) + strings.Repeat("ü", 127)
	put(t, p, deep, 3)
	require.EqualValues(t, 3, get(t, p, deep))
	n, err := p.RemoveTree("a")
	require.NoError(t, err)
	require.Equal(t, 1, n)

	w, err := a.View()
	require.NoError(t, err)
	_, err = p.Publish("view", w)
	require.ErrorIs(t, err, ErrView)
	w.Release()
	_, err = p.Publish("foreign", foreign)
	require.ErrorIs(t, err, ErrForeignHandle)
	a.Release()
	require.Panics(t, func() { _, _ = p.Publish("released", a) })
	require.ErrorIs(t, p.Remove("nothing"), ErrNoName)
	_, err = p.Lookup("nothing")
	require.ErrorIs(t, err, ErrNoName)
	requireEmpty(t, p)
}

func TestAttributes(t *testing.T) {
	p, _ := newTestPool(t, Options{Capacity: 8 << 20})
	a := numbered(t, p, 1)
	at := Attrs{"s": "ä<&>", "i": int8(-3), "u": uint64(math.MaxUint64), "big": int64(math.MaxInt64), "f": float32(0.1), "whole": 2.0, "nan": math.NaN(),
		"inf": math.Inf(-1), "b": true, "none": nil, "list": []int{1, 2}, "map": map[string][2]float64{"x": {1, math.Inf(1)}}}
	v, err := p.Publish("a", a, Publish{Attrs: at})
	require.NoError(t, err)
	it, err := p.LookupItem("a")
	require.NoError(t, err)
	it.Array.Release()
	require.Equal(t, v, it.Version)
	require.Equal(t, Attrs{"s": "ä<&>", "i": int64(-3), "u": float64(math.MaxUint64), "big": int64(math.MaxInt64), "f": 0.1, "whole": 2.0, "nan": "NaN", "inf": "-Infinity",
		"b": true, "none": nil, "list": []any{int64(1), int64(2)}, "map": map[string]any{"x": []any{1.0, "Infinity"}}}, it.Attrs)

	w, err := p.SetAttrs("a", Attrs{"only": 1}, Publish{Version: v})
	require.NoError(t, err)
	_, err = p.SetAttrs("a", Attrs{"only": 2}, Publish{Version: v})
	require.ErrorIs(t, err, ErrVersion)
	it, err = p.LookupItem("a")
	require.NoError(t, err)
	require.EqualValues(t, 1, numberOf(t, it.Array))
	it.Array.Release()
	require.Equal(t, w, it.Version)
	require.Equal(t, Attrs{"only": int64(1)}, it.Attrs)
	_, err = p.SetAttrs("a", nil)
	require.NoError(t, err)
	it, err = p.LookupItem("a")
	require.NoError(t, err)
	it.Array.Release()
	require.Nil(t, it.Attrs)

	put(t, p, "g/x", 1)
	_, err = p.SetAttrs("g", Attrs{"k": "v"})
	require.NoError(t, err)
	it, err = p.LookupItem("g")
	require.NoError(t, err)
	require.Nil(t, it.Array)
	require.Equal(t, Attrs{"k": "v"}, it.Attrs)
	_, err = p.Lookup("g")
	require.ErrorIs(t, err, ErrGroup)
	require.NoError(t, p.Remove("g/x"))
	require.Equal(t, []string{"a", "g/"}, paths(t, p, ""), "attributes make a group stay")

	for key, bad := range map[string]any{"chan": make(chan int), "utf": "\xff", "keys": map[int]int{1: 1}, "struct": struct{}{}, "long": strings.Repeat("x", layout.MaxAttributes)} {
		_, err = p.SetAttrs("a", Attrs{key: bad})
		require.ErrorIs(t, err, ErrAttributes, key)
	}
	_, err = p.SetAttrs("a", Attrs{"deep": map[string]any{"in": []any{1, func() {}}}})
	require.ErrorContains(t, err, `"deep.in[1]"`)
	_, err = p.SetAttrs("a", Attrs{"x": strings.Repeat("x", layout.MaxAttributes-len(`{"x":""}`))})
	require.NoError(t, err)
	for info, err := range p.List("g") {
		require.NoError(t, err)
		require.JSONEq(t, `{"k":"v"}`, string(info.Attrs))
		js, err := json.Marshal(info)
		require.NoError(t, err)
		require.JSONEq(t, fmt.Sprintf(`{"path":"g","version":%d,"group":true,"persistent":false,"implicit":false,"owner":%d,"attrs":{"k":"v"}}`,
			info.Version, p.Self()), string(js))
	}
	a.Release()
	require.NoError(t, p.Remove("a"))
	require.NoError(t, p.Remove("g"))
	requireEmpty(t, p)
}

// Counts are per value, so that a block with several names goes with the last.
func TestSameArrayTwice(t *testing.T) {
	p, _ := newTestPool(t, Options{Capacity: 4 << 20})
	a := numbered(t, p, 5)
	_, err := p.PublishTree("", Tree{"x": a, "y": a, "g/z": a})
	require.NoError(t, err)
	a.Release()
	requireClean(t, p)
	put(t, p, "x", 6, Publish{Mode: PublishOverwrite})
	require.NoError(t, p.Remove("y"))
	require.EqualValues(t, 5, get(t, p, "g/z"))
	requireClean(t, p)
	require.NoError(t, p.Remove("g/z"))
	s, err := p.Stats()
	require.NoError(t, err)
	require.Equal(t, 1, s.Arrays)
	require.Equal(t, 1, s.Names)
}

func TestTableOfNamesFull(t *testing.T) {
	p, _ := newTestPool(t, Options{Capacity: 4 << 20, Names: 600})
	a := numbered(t, p, 1)
	for i := range 599 {
		_, err := p.Publish(fmt.Sprint("n", i), a)
		require.NoError(t, err)
	}
	_, err := p.PublishTree("t", Tree{"x": a})
	var full *TableError
	require.ErrorAs(t, err, &full)
	require.Equal(t, "names", full.Table)
	require.Equal(t, 600, full.Limit)
	require.Equal(t, 599, full.Held)
	require.Len(t, paths(t, p, ""), 599)
	requireClean(t, p)
	_, err = p.Publish("one", a)
	require.NoError(t, err)
	_, err = p.Publish("one", a, Publish{Mode: PublishOverwrite})
	require.NoError(t, err, "replacing takes no entry")
	a.Release()
}

func TestNamesGoWithTheirProcess(t *testing.T) {
	p, dir := newTestPool(t, Options{Capacity: 4 << 20})
	q, err := Open("test", Options{Dir: dir})
	require.NoError(t, err)
	put(t, q, "mine/x", 1)
	put(t, q, "shared/x", 2)
	_, err = q.SetAttrs("shared", Attrs{"k": 1})
	require.NoError(t, err)
	put(t, p, "shared/y", 3)
	put(t, q, "stays/x", 4, Publish{Persistent: true})
	require.Equal(t, []string{"mine//", "mine/x", "shared/", "shared/x", "shared/y", "stays//", "stays/x"}, paths(t, p, ""))
	require.NoError(t, q.Close())
	require.Equal(t, []string{"shared//", "shared/y", "stays//", "stays/x"}, paths(t, p, ""))
	require.EqualValues(t, 4, get(t, p, "stays/x"))
	it, err := p.LookupItem("shared")
	require.NoError(t, err)
	require.Nil(t, it.Attrs)
	requireClean(t, p)
}

func TestPersistentNameKeepsThePool(t *testing.T) {
	dir := testDir(t)
	o := Options{Dir: dir, Capacity: 4 << 20}
	p, err := Create("test", o)
	require.NoError(t, err)
	put(t, p, "x", 1)
	put(t, p, "y", 2, Publish{Persistent: true, Attrs: Attrs{"k": 1}})
	require.NoError(t, p.Close())
	s, err := Peek("test", o)
	require.NoError(t, err)
	c, err := s.Condition()
	require.NoError(t, err)
	require.Equal(t, Idle, c)
	require.Equal(t, 1, s.Stats().Names)
	for info, err := range s.List("") {
		require.NoError(t, err)
		require.Equal(t, "y", info.Path)
		require.JSONEq(t, `{"k":1}`, string(info.Attrs))
		require.Equal(t, dtype.Int64, info.DType)
	}
	for info := range s.Arrays() {
		require.Empty(t, info.Holders, "peeking leaves the copy as it is")
	}
	s.Close()
	r, err := Reap("test", o)
	require.NoError(t, err)
	require.False(t, r.Removed)
	p, err = OpenOrCreate("test", o)
	require.NoError(t, err)
	require.Equal(t, []string{"y"}, paths(t, p, ""))
	require.EqualValues(t, 2, get(t, p, "y"))
	require.NoError(t, p.Remove("y"))
	requireEmpty(t, p)
	require.NoError(t, p.Close())
	_, err = Open("test", o)
	require.ErrorIs(t, err, ErrNotExist)
}

// Readers of a tree get all of one publishing, while it is replaced, and their arrays stay theirs.
func TestRemoveEverything(t *testing.T) {
	p, _ := newTestPool(t, Options{Capacity: 4 << 20})
	put(t, p, "run/1", 1)
	put(t, p, "run/2", 2)
	put(t, p, "x", 3)
	_, err := p.PublishTree("empty", Tree{})
	require.NoError(t, err)
	n, err := p.RemoveTree("")
	require.NoError(t, err)
	require.Equal(t, 4, n, "three arrays' names and a group of its own; run is there for the sake of its names")
	require.Empty(t, paths(t, p, ""))
	n, err = p.RemoveTree("")
	require.NoError(t, err)
	require.Zero(t, n)
}

func TestTreeOfOneMoment(t *testing.T) {
	h, p := createHeap(t, Options{Capacity: 4 << 20})
	publish := func(n int64) {
		a, b := numbered(t, p, n), numbered(t, p, n)
		_, err := p.PublishTree("t", Tree{"x": a, "g/y": b}, Publish{Mode: PublishOverwrite})
		require.NoError(t, err)
		a.Release()
		b.Release()
	}
	publish(0)
	done := make(chan error, 2)
	for range cap(done) {
		q := must(openHeap(h))
		go func() { done <- readTrees(q, 200) }()
	}
	for n := int64(1); len(done) < cap(done); n++ {
		publish(n)
	}
	for range cap(done) {
		require.NoError(t, <-done)
	}
	_, err := p.RemoveTree("t")
	require.NoError(t, err)
	requireClean(t, p)
	requireEmpty(t, p)
}

// readTrees takes the tree until it has seen it at the number that is asked for.
func readTrees(q *Pool, until int64) error {
	for last := int64(0); last < until; {
		tree, err := q.LookupTree("t")
		if err != nil {
			return err
		}
		x, y := must(Slice[int64](tree["x"].(*Array)))[0], must(Slice[int64](tree["g"].(Tree)["y"].(*Array)))[0]
		tree.Release()
		if x != y || x < last {
			return fmt.Errorf("x of %d, y of %d, after %d", x, y, last)
		}
		last = x
	}
	return q.Close()
}
