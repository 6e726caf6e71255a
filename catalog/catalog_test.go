package catalog

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ndpool/ndpool/arena"
	"github.com/ndpool/ndpool/arena/layout"
	"github.com/ndpool/ndpool/handle"
)

// freeSet and counts stand in for the packages beside this one.
type freeSet map[int]bool

func (s freeSet) Next(int) (int, bool) {
	best := -1
	for i := range s {
		if best < 0 || i < best {
			best = i
		}
	}
	return best, best >= 0
}
func (s freeSet) Add(i int)    { s[i] = true }
func (s freeSet) Remove(i int) { delete(s, i) }

type counts map[handle.Handle]int

func (c counts) Name(h handle.Handle)        { c[h]++ }
func (c counts) Unname(h handle.Handle)      { c[h]-- }
func (c counts) Exists(h handle.Handle) bool { return h < 1000 }
func (c counts) CountName(h handle.Handle)   { c[h]++ }

// newTable returns a catalog of 64 entries on the heap, whose lock needs nobody.
func newTable(t *testing.T) (*Table, freeSet, counts) {
	h, a, err := arena.CreateHeap(arena.Spec{Limits: layout.Limits{Capacity: 1 << 20, Arrays: 1024, Processes: 4, Tickets: 8, Names: 64}}, func(*arena.Arena) error { return nil })
	require.NoError(t, err)
	require.NotNil(t, h)
	free, blocks := freeSet{}, counts{}
	a.Ctl.Names.Store(64)
	for i := range 64 {
		free.Add(i)
	}
	return New(a, free, blocks), free, blocks
}

func refuse(_, _ Value) (Value, error) { return Value{}, ErrTaken }

func replace(_, v Value) (Value, error) { return v, nil }

func put(t *testing.T, tab *Table, paths ...string) {
	t.Helper()
	c := tab.Begin()
	for i, path := range paths {
		require.NoError(t, c.Put(path, Value{Array: handle.Handle(i + 1)}, refuse))
	}
	require.NoError(t, c.Commit())
}

// dump returns all paths with the handles of their arrays.
func dump(t *testing.T, tab *Table) (all []string) {
	t.Helper()
	var path [layout.MaxNameDepth + 1]string
	require.NoError(t, tab.Walk(0, func(e, depth int) bool {
		text, err := tab.Text(nil, e)
		require.NoError(t, err)
		path[depth] = path[depth-1] + "/" + string(text)
		all = append(all, fmt.Sprint(path[depth][1:], "=", uint64(tab.Value(e).Array)))
		found, err := tab.Find(path[depth][1:])
		require.NoError(t, err)
		require.Equal(t, e, found)
		return true
	}))
	slices.Sort(all)
	return all
}

func TestPutFindRemove(t *testing.T) {
	tab, free, blocks := newTable(t)
	put(t, tab, "a/b", "a/c", "d")
	require.Equal(t, []string{"a/b=1", "a/c=2", "a=0", "d=3"}, dump(t, tab))
	_, err := tab.Find("a/x")
	require.ErrorIs(t, err, ErrNoName)
	_, err = tab.Find("d/x")
	require.ErrorIs(t, err, ErrNoName)
	e, err := tab.Find("a/b")
	require.NoError(t, err)
	nonce := tab.Nonce(e)
	c := tab.Begin()
	c.Leave(e)
	require.NoError(t, c.Commit())
	require.Equal(t, []string{"a/c=2", "a=0", "d=3"}, dump(t, tab))
	require.Zero(t, blocks[1])
	put(t, tab, "again")
	e2, err := tab.Find("again")
	require.NoError(t, err)
	require.Equal(t, e, e2)
	require.Equal(t, nonce+1, tab.Nonce(e2))
	for _, path := range []string{"a", "d", "again"} {
		e, err := tab.Find(path)
		require.NoError(t, err)
		c := tab.Begin()
		_, err = c.LeaveTree(e)
		require.NoError(t, err)
		require.NoError(t, c.Commit())
	}
	require.Len(t, free, 64)
	require.Equal(t, counts{1: 0, 2: 0, 3: 0}, blocks)
}

// A change may touch an entry again: what leaves and comes back keeps its entry, its nonce, and so its lock.
func TestTouchedAgain(t *testing.T) {
	tab, _, blocks := newTable(t)
	put(t, tab, "t/a", "t/b/c")
	e, err := tab.Find("t/b/c")
	require.NoError(t, err)
	top, err := tab.Find("t")
	require.NoError(t, err)
	nonce := tab.Nonce(e)
	c := tab.Begin()
	n, err := c.LeaveTree(top)
	require.NoError(t, err)
	require.Equal(t, 2, n)
	require.NoError(t, c.Put("t/b/c", Value{Array: 9}, refuse))
	require.NoError(t, c.Put("t/n/m", Value{Array: 8}, refuse))
	require.NoError(t, c.Put("t/n", Value{Attributes: 7}, refuse), "made by the way, then given a value")
	require.ErrorIs(t, c.Put("t/n", Value{}, refuse), ErrTaken)
	require.ErrorIs(t, c.Put("t/b", Value{Array: 1}, refuse), ErrGroup)
	require.NoError(t, c.Commit())
	require.Equal(t, []string{"t/b/c=9", "t/b=0", "t/n/m=8", "t/n=0", "t=0"}, dump(t, tab))
	again, err := tab.Find("t/b/c")
	require.NoError(t, err)
	require.Equal(t, []any{e, nonce, c.Version()}, []any{again, tab.Nonce(again), tab.Value(again).Version})
	require.Equal(t, counts{1: 0, 2: 0, 7: 1, 8: 1, 9: 1}, blocks)
}

func TestAbandon(t *testing.T) {
	tab, free, blocks := newTable(t)
	put(t, tab, "a/b", "c")
	before, entries, version := dump(t, tab), len(free), tab.arena.Ctl.Change.Load()
	c := tab.Begin()
	top, err := tab.Find("a")
	require.NoError(t, err)
	_, err = c.LeaveTree(top)
	require.NoError(t, err)
	require.NoError(t, c.Put("a/b/d", Value{Array: 5}, refuse))
	require.NoError(t, c.Put("c", Value{Array: 6}, replace))
	require.NoError(t, c.Put("new/x", Value{Array: 7, Attributes: 8}, refuse))
	require.ErrorIs(t, c.Put("c/x", Value{Array: 7}, refuse), ErrGroup)
	require.NoError(t, c.Abandon())
	require.Equal(t, before, dump(t, tab))
	require.Len(t, free, entries)
	require.Equal(t, version, tab.arena.Ctl.Change.Load())
	require.Equal(t, counts{1: 1, 2: 1, 5: 0, 6: 0, 7: 0, 8: 0}, blocks)
}

// An entry is found by its whole component, whatever the last word of it looks like.
func TestComponents(t *testing.T) {
	tab, _, _ := newTable(t)
	var want []string
	for n := 1; n <= layout.MaxComponent; n += 5 {
		want = append(want, strings.Repeat("x", n))
	}
	put(t, tab, want...)
	for i, path := range want {
		e, err := tab.Find(path)
		require.NoError(t, err)
		require.EqualValues(t, i+1, tab.Value(e).Array)
	}
}

func TestRoll(t *testing.T) {
	for decided := range 2 {
		tab, free, blocks := newTable(t)
		put(t, tab, "a/b", "c", "d")
		c := tab.Begin()
		for _, path := range []string{"a/b", "c"} {
			e, err := tab.Find(path)
			require.NoError(t, err)
			c.Leave(e)
		}
		require.NoError(t, c.Put("c", Value{Array: 5}, refuse))
		require.NoError(t, c.Put("e/f", Value{Array: 6}, refuse))
		tab.arena.Ctl.Commit.Store(uint32(decided)) // and then the process dies
		clear(free)
		clear(blocks)
		tab.Roll()
		tab.Rebuild()
		want := [...][]string{{"a/b=1", "a=0", "c=2", "d=3"}, {"c=5", "d=3", "e/f=6", "e=0"}}[decided]
		require.Equal(t, want, dump(t, tab))
		require.Len(t, free, 64-len(want))
		require.Zero(t, tab.arena.Ctl.Commit.Load())
		require.Equal(t, [...]counts{{1: 1, 2: 1, 3: 1}, {5: 1, 3: 1, 6: 1}}[decided], blocks)
	}
}

// Rebuild frees what cannot be a name, and keeps the rest.
func TestRebuildDamage(t *testing.T) {
	damage := map[string]func(tab *Table, n *layout.Name, e int){
		"a component of no bytes":    func(_ *Table, n *layout.Name, _ int) { n.Bytes.Store(0) },
		"a component that is longer": func(_ *Table, n *layout.Name, _ int) { n.Bytes.Store(1 << 30) },
		"a component with a slash":   func(_ *Table, n *layout.Name, _ int) { n.Text[0].Store('/') },
		"a component of dots":        func(_ *Table, n *layout.Name, _ int) { n.Text[0].Store('.') },
		"no UTF-8":                   func(_ *Table, n *layout.Name, _ int) { n.Text[0].Store(0xff) },
		"a long text":                func(_ *Table, n *layout.Name, _ int) { n.Text[31].Store(1) },
		"a parent that is nowhere":   func(_ *Table, n *layout.Name, _ int) { n.Parent.Store(1 << 31) },
		"a parent that is free":      func(_ *Table, n *layout.Name, _ int) { n.Parent.Store(60) },
		"a parent that is an array":  func(tab *Table, n *layout.Name, _ int) { e, _ := tab.Find("z"); n.Parent.Store(uint32(e) + 1) },
		"itself as a parent":         func(_ *Table, n *layout.Name, e int) { n.Parent.Store(uint32(e) + 1) },
		"a handle that leads nowhere": func(_ *Table, n *layout.Name, _ int) {
			n.Values[0].Array.Store(5000)
		},
		"attributes that are nowhere": func(_ *Table, n *layout.Name, _ int) { n.Values[0].Attributes.Store(5000) },
		"an array's name that is implicit": func(_ *Table, n *layout.Name, _ int) {
			n.Values[0].Owner.Store(layout.NameImplicit)
		},
		"a word without a meaning": func(_ *Table, n *layout.Name, _ int) { n.Word.Store(n.Word.Load() | 1<<20) },
		"the name of another":      func(_ *Table, n *layout.Name, _ int) { n.Text[0].Store('n') },
	}
	for what, do := range damage {
		t.Run(what, func(t *testing.T) {
			tab, free, blocks := newTable(t)
			put(t, tab, "g/n", "g/h/x", "z", "g/d")
			e, err := tab.Find("g/d")
			require.NoError(t, err)
			do(tab, &tab.names[e], e)
			clear(free)
			clear(blocks)
			tab.Roll()
			tab.Rebuild()
			require.Equal(t, []string{"g/h/x=2", "g/h=0", "g/n=1", "g=0", "z=3"}, dump(t, tab))
			require.Len(t, free, 64-5)
		})
	}
}

// Two groups in each other are reached from nowhere, and go with all that is in them.
func TestRebuildCycle(t *testing.T) {
	tab, free, _ := newTable(t)
	put(t, tab, "g/h/x", "z")
	g, _ := tab.Find("g")
	h, _ := tab.Find("g/h")
	tab.names[g].Parent.Store(uint32(h) + 1)
	clear(free)
	tab.Rebuild()
	require.Equal(t, []string{"z=2"}, dump(t, tab))
	require.Len(t, free, 63)
}

// Torn links are told, and never followed out of bounds or for ever.
func TestTornLinks(t *testing.T) {
	tab, _, _ := newTable(t)
	put(t, tab, "g/a", "g/b", "g/c")
	g, _ := tab.Find("g")
	for _, bad := range []uint32{uint32(g) + 1, 64, 65, 1 << 31, ^uint32(0)} {
		for what, tear := range map[string]func(e int){
			"next":  func(e int) { tab.names[e].Next.Put(bad) },
			"child": func(e int) { tab.names[e].Child.Put(bad) },
			"after": func(e int) { tab.names[e].After.Put(bad) },
		} {
			for e := range 4 {
				tear(e)
			}
			err := tab.Walk(0, func(int, int) bool { return true })
			if what != "next" {
				require.ErrorIs(t, err, ErrTorn, "%s %d", what, bad)
			}
			for _, path := range []string{"g/a", "g/zz", "g/c"} {
				if _, err := tab.Find(path); err != nil && err != ErrNoName {
					require.ErrorIs(t, err, ErrTorn)
				}
			}
			tab.Rebuild()
			require.Len(t, dump(t, tab), 4)
		}
	}
}

func TestDisown(t *testing.T) {
	tab, free, _ := newTable(t)
	me, other := layout.MakeIdent(1, 5), layout.MakeIdent(2, 5)
	c := tab.Begin()
	for path, owner := range map[string]layout.Ident{"mine/x": me, "mixed/x": me, "mixed/y": other, "stays": 0} {
		require.NoError(t, c.Put(path, Value{Array: 1, Owner: owner}, refuse))
	}
	for _, path := range []string{"mine", "mixed", "empty"} {
		require.NoError(t, c.Put(path, Value{Attributes: 2, Owner: me}, replace))
	}
	require.NoError(t, c.Commit())
	require.True(t, Stays(tab.arena, nil))
	c = tab.Begin()
	c.Disown(1)
	require.NoError(t, c.Commit())
	require.Equal(t, []string{"mixed/y=1", "mixed=0", "stays=1"}, dump(t, tab))
	e, _ := tab.Find("mixed")
	require.Equal(t, Value{Version: c.Version(), Owner: Implicit}, tab.Value(e))
	require.Len(t, free, 61)
	e, _ = tab.Find("stays")
	c = tab.Begin()
	c.Leave(e)
	require.True(t, Stays(tab.arena, nil), "not yet decided")
	tab.arena.Ctl.Commit.Store(1)
	require.False(t, Stays(tab.arena, nil))
	require.NoError(t, c.Commit())
	require.False(t, Stays(tab.arena, nil))
}

func TestPaths(t *testing.T) {
	paths := []string{"b", "a-b", "a/b/c", "a", "a/b", "a/b-/x", "a/b/d"}
	slices.SortFunc(paths, ComparePaths)
	require.Equal(t, []string{"a", "a/b", "a/b/c", "a/b/d", "a/b-/x", "a-b", "b"}, paths)
	require.Equal(t, 8, Nodes(paths))
	require.Equal(t, 6, Nodes([]string{"a/b/c", "a/bc", "b/b"}))
	require.NoError(t, CheckPath("ä/..."))
	for _, bad := range []string{"", "/", "a/", "a//b", "..", "a/.", "\x00"} {
		require.ErrorIs(t, CheckPath(bad), ErrPath)
	}
}
