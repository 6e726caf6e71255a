package pool

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cespare/xxhash/v2"
	"github.com/stretchr/testify/require"

	"github.com/ndpool/ndpool/alloc"
	"github.com/ndpool/ndpool/arena"
	"github.com/ndpool/ndpool/arena/layout"
	"github.com/ndpool/ndpool/dtype"
)

// names publishes names of every kind: with and without attributes, of one's own and that stay, groups that were made for
// others and groups of their own, a block with two names, names that were replaced and removed, and locks in every state.
func (w *world) names() {
	a := w.keep(must(w.p.Alloc(dtype.Int16, 5, 6)))
	b := w.keep(must(w.q.Retain(a.Handle())))
	must(w.p.Publish("camera/left", a, Publish{Attrs: Attrs{"gain": 1.5}}))
	must(w.q.Publish("camera/right", b))
	must(w.p.Publish("gone", a))
	if err := w.p.Remove("gone"); err != nil {
		panic(err)
	}
	must(w.p.SetAttrs("camera/left", Attrs{"gain": 2}))
	kept := must(w.p.Alloc(dtype.Float32, 9))
	must(w.p.PublishTree("kept", Tree{"a": kept, "empty": Tree{}}, Publish{Attrs: Attrs{"unit": "m"}, Persistent: true}))
	kept.Release()
	w.p.arena.Names[entryOf(w.p.arena, "left")].Lock.Store(uint32(layout.MakeNameLock(w.p.arena.Self())))
	w.p.arena.Names[entryOf(w.p.arena, "right")].Lock.Store(uint32(layout.NameLockWord(0).WithTorn()))
	w.p.arena.Names[entryOf(w.p.arena, "a")].Readers[0].Store(1<<w.p.arena.Self().Slot() | 1<<w.q.arena.Self().Slot())
}

// entryText returns the component of an entry, whatever it is.
func entryText(d *layout.Name) string {
	var b []byte
	for k := range d.Text {
		b = binary.LittleEndian.AppendUint64(b, d.Text[k].Load())
	}
	return string(b[:min(int(d.Bytes.Load()), len(b))])
}

// setText gives an entry another component.
func setText(d *layout.Name, s string) {
	var b [8 * len(d.Text)]byte
	copy(b[:], s)
	for k := range d.Text {
		d.Text[k].Store(binary.LittleEndian.Uint64(b[8*k:]))
	}
	d.Bytes.Store(uint32(len(s)))
}

func nameKind(d *layout.Name) layout.NameKind { return layout.NameWord(d.Word.Load()).Kind() }

// entryOf returns the name with a component, of which there is one.
func entryOf(a *arena.Arena, text string) int {
	for e := range a.Names {
		if nameKind(&a.Names[e]) == layout.NameLive && entryText(&a.Names[e]) == text {
			return e
		}
	}
	panic("no such name")
}

// valueOf returns the value of a name that counts.
func valueOf(d *layout.Name) *layout.NameValue {
	return &d.Values[layout.NameWord(d.Word.Load()).Current()]
}

// relink makes the links of the catalog and the set of its free entries anew, and leaves the truth alone.
func relink(a *arena.Arena, free *alloc.Set) {
	for h := range a.NameHeads {
		a.NameHeads[h].Store(0)
	}
	a.Ctl.Root.Store(0)
	n := min(int(a.Ctl.Names.Load()), len(a.Names))
	for e := range a.Names[:n] {
		a.Names[e].Child.Store(0)
	}
	for e := range a.Names[:n] {
		d, node := &a.Names[e], uint32(e)+1
		if nameKind(d) == layout.NameFree {
			free.Add(e)
			continue
		}
		parent := d.Parent.Load()
		if int(parent) > n {
			continue // damage; in no list
		}
		head := &a.NameHeads[a.Geo.NameHead(parent, xxhash.Sum64String(entryText(d)))]
		d.Next.Store(head.Load())
		head.Store(node)
		first := uint32(a.Ctl.Root.Load())
		if parent == 0 {
			a.Ctl.Root.Store(uint64(node))
		} else {
			first = a.Names[parent-1].Child.Load()
			a.Names[parent-1].Child.Store(node)
		}
		d.Before.Store(0)
		d.After.Store(first)
		if first != 0 {
			a.Names[first-1].Before.Store(node)
		}
	}
}

// named changes a name of the world, found by its component.
func named(text string, change func(a *arena.Arena, d *layout.Name)) func(*arena.Arena) {
	return func(a *arena.Arena) { change(a, &a.Names[entryOf(a, text)]) }
}

// forgetNamed takes a value's handle from what its block is said to be named by.
func forgetNamed(a *arena.Arena, h uint64) {
	i, _ := a.Geo.DescIndex(uint32(h))
	d := &a.Descs[i]
	d.Names.Store(d.Names.Load() - 1)
	if d.Names.Load() == 0 {
		d.Holders[layout.Named/64].And(^(uint64(1) << (layout.Named % 64)))
	}
}

// attrsBlock returns the descriptor of a name's attributes, and their text.
func attrsBlock(a *arena.Arena, d *layout.Name) (*layout.Desc, []byte) {
	i, _ := a.Geo.DescIndex(uint32(valueOf(d).Attributes.Load()))
	b := &a.Descs[i]
	return b, a.Data(layout.Extent(b.Extent.Load()).Offset(), b.Bytes.Load())
}

// nameBreaches has one segment for every law of the catalog.
var nameBreaches = []breach{
	{law: "names", reindex: true, do: func(a *arena.Arena) { a.Ctl.Names.Store(uint32(len(a.Names) - 1)) }},
	{law: "commit", do: func(a *arena.Arena) { a.Ctl.Commit.Store(1) }},
	{law: "name", do: named("left", func(_ *arena.Arena, d *layout.Name) { flip64(&d.Word, 1<<9) })},
	{law: "name-text", reindex: true, do: named("empty", func(_ *arena.Arena, d *layout.Name) { setText(d, "em/ty") })},
	{law: "name-parent", reindex: true, do: named("a", func(a *arena.Arena, d *layout.Name) { d.Parent.Store(uint32(entryOf(a, "left")) + 1) })},
	{law: "name-unique", reindex: true, do: named("empty", func(_ *arena.Arena, d *layout.Name) { setText(d, "a") })},
	{law: "name-value", do: named("a", func(a *arena.Arena, d *layout.Name) {
		forgetNamed(a, valueOf(d).Array.Load())
		flip64(&valueOf(d).Array, 1<<63)
	})},
	{law: "name-version", do: named("left", func(a *arena.Arena, d *layout.Name) { valueOf(d).Version.Store(a.Ctl.Change.Load() + 1) })},
	{law: "name-owner", do: named("left", func(_ *arena.Arena, d *layout.Name) { flip64(&valueOf(d).Owner, 1<<63) })},
	{law: "attributes", do: attrsOf("kept", func(_ *layout.Desc, text []byte) { text[0] = '[' })},
	{law: "name-lock", do: named("left", func(_ *arena.Arena, d *layout.Name) {
		d.Lock.Store(uint32(layout.MakeNameLock(layout.MakeIdent(5, 1))))
	})},
	{law: "name-count", do: named("a", func(a *arena.Arena, d *layout.Name) {
		i, _ := a.Geo.DescIndex(uint32(valueOf(d).Array.Load()))
		a.Descs[i].Names.Store(2)
	})},
	{law: "name-set", do: func(a *arena.Arena) { flip64(&a.NameSet[1], 1) }},
	{law: "name-chains", do: func(a *arena.Arena) { dropChain(a, "kept") }},
	{law: "name-lists", do: named("left", func(_ *arena.Arena, d *layout.Name) { d.Before.Store(uint32(len(d.Text))) })},
}

// chainOf returns the head of the chain that a name belongs to.
func chainOf(a *arena.Arena, e int) int {
	return a.Geo.NameHead(a.Names[e].Parent.Load(), xxhash.Sum64String(entryText(&a.Names[e])))
}

func dropChain(a *arena.Arena, text string) { a.NameHeads[chainOf(a, entryOf(a, text))].Store(0) }

// implicit makes a name with a value an implicit group's, or what is said to be one.
func implicit(text string) func(*arena.Arena) {
	return named(text, func(_ *arena.Arena, d *layout.Name) { valueOf(d).Owner.Store(layout.NameImplicit) })
}

// attrsOf changes the block of a name's attributes.
func attrsOf(text string, change func(b *layout.Desc, text []byte)) func(*arena.Arena) {
	return named(text, func(a *arena.Arena, d *layout.Name) { change(attrsBlock(a, d)) })
}

// moreNameBreaches break the laws of the catalog in more ways than one, each no other law.
var moreNameBreaches = map[string]breach{
	"more entries than there are":   {law: "names", do: func(a *arena.Arena) { a.Ctl.Names.Store(1 << 31) }},
	"a word that decides otherwise": {law: "commit", do: func(a *arena.Arena) { a.Ctl.Commit.Store(2) }},
	"no nonce":                      {law: "name", do: named("empty", func(_ *arena.Arena, d *layout.Name) { d.Word.Store(d.Word.Load() & 0x1ff) })},
	"an empty component":            {law: "name-text", reindex: true, do: named("empty", func(_ *arena.Arena, d *layout.Name) { setText(d, "") })},
	"not UTF-8":                     {law: "name-text", reindex: true, do: named("empty", func(_ *arena.Arena, d *layout.Name) { setText(d, "a\xff") })},
	"two dots":                      {law: "name-text", reindex: true, do: named("empty", func(_ *arena.Arena, d *layout.Name) { setText(d, "..") })},
	"256 bytes":                     {law: "name-text", reindex: true, do: named("empty", func(_ *arena.Arena, d *layout.Name) { setText(d, strings.Repeat("x", 256)) })},
	"four billion bytes":            {law: "name-text", reindex: true, do: named("empty", func(_ *arena.Arena, d *layout.Name) { d.Bytes.Store(1<<32 - 1) })},
	"no NUL behind":                 {law: "name-text", do: named("empty", func(_ *arena.Arena, d *layout.Name) { flip64(&d.Text[31], 1<<63) })},
	"in itself":                     {law: "name-parent", reindex: true, do: named("empty", func(a *arena.Arena, d *layout.Name) { d.Parent.Store(uint32(entryOf(a, "empty")) + 1) })},
	"beyond the table":              {law: "name-parent", reindex: true, do: named("empty", func(_ *arena.Arena, d *layout.Name) { d.Parent.Store(1 << 31) })},
	"in a free entry":               {law: "name-parent", reindex: true, do: named("empty", func(_ *arena.Arena, d *layout.Name) { d.Parent.Store(70) })},
	"a foreign handle":              {law: "name-value", do: named("empty", func(_ *arena.Arena, d *layout.Name) { valueOf(d).Array.Store(77) })},
	"attributes of another generation": {law: "name-value", do: named("kept", func(a *arena.Arena, d *layout.Name) {
		forgetNamed(a, valueOf(d).Attributes.Load())
		flip64(&valueOf(d).Attributes, 1<<40)
	})},
	"version 0":                         {law: "name-version", do: named("a", func(_ *arena.Arena, d *layout.Name) { valueOf(d).Version.Store(0) })},
	"an owner who left":                 {law: "name-owner", do: named("left", func(_ *arena.Arena, d *layout.Name) { valueOf(d).Owner.Store(uint64(layout.MakeIdent(3, 1))) })},
	"an owner beyond the slots":         {law: "name-owner", do: named("left", func(_ *arena.Arena, d *layout.Name) { valueOf(d).Owner.Store(uint64(layout.MakeIdent(200, 1))) })},
	"an implicit group without names":   {law: "name-owner", do: implicit("empty")},
	"an implicit array":                 {law: "name-owner", do: implicit("a")},
	"an implicit group with attributes": {law: "name-owner", do: implicit("kept")},
	"attributes of another type":        {law: "attributes", do: attrsOf("kept", func(b *layout.Desc, _ []byte) { b.DType.Store(dtype.Int8.Code()) })},
	"attributes in two dimensions": {law: "attributes", do: attrsOf("kept", func(b *layout.Desc, _ []byte) {
		b.NDim.Store(2)
		b.Dims[1].Len.Store(1)
		b.Dims[1].Stride.Store(1)
	})},
	"attributes that are no object": {law: "attributes", do: attrsOf("kept", func(_ *layout.Desc, text []byte) {
		copy(text, "[1"+strings.Repeat(" ", len(text)-3)+"]")
	})},
	"attributes that are not UTF-8": {law: "attributes", do: attrsOf("kept", func(_ *layout.Desc, text []byte) { text[2] = 0xff })},
	"waiters for nobody":            {law: "name-lock", do: named("right", func(_ *arena.Arena, d *layout.Name) { d.Lock.Store(1 << 8) })},
	"a writer beyond the slots":     {law: "name-lock", do: named("right", func(_ *arena.Arena, d *layout.Name) { d.Lock.Store(200) })},
	"a writer of before":            {law: "name-lock", do: named("left", func(_ *arena.Arena, d *layout.Name) { flip32(&d.Lock, 1<<31) })},
	"a reader who left":             {law: "name-lock", do: named("a", func(_ *arena.Arena, d *layout.Name) { flip64(&d.Readers[0], 1<<3) })},
	"a reader beyond the slots":     {law: "name-lock", do: named("a", func(_ *arena.Arena, d *layout.Name) { flip64(&d.Readers[3], 1) })},
	"a named block that is not": {law: "named", do: named("a", func(a *arena.Arena, d *layout.Name) {
		i, _ := a.Geo.DescIndex(uint32(valueOf(d).Array.Load()))
		flip64(&a.Descs[i].Holders[3], 1<<63)
	})},
	"a chain in a circle": {law: "name-chains", do: named("left", func(a *arena.Arena, d *layout.Name) { d.Next.Store(uint32(entryOf(a, "left")) + 1) })},
	"a chain to nowhere":  {law: "name-chains", do: named("left", func(_ *arena.Arena, d *layout.Name) { d.Next.Store(1<<32 - 1) })},
	"a name in the wrong chain": {law: "name-chains", do: func(a *arena.Arena) {
		e := entryOf(a, "kept")
		from := &a.NameHeads[chainOf(a, e)]
		to := &a.NameHeads[(chainOf(a, e)+1)%len(a.NameHeads)]
		node := from.Load()
		from.Store(to.Load())
		to.Store(node)
	}},
	"a chain with a free entry": {law: "name-chains", do: named("empty", func(a *arena.Arena, d *layout.Name) {
		free, head := &a.Names[len(a.Names)-1], &a.NameHeads[chainOf(a, entryOf(a, "empty"))]
		free.Parent.Store(d.Parent.Load())
		setText(free, "empty")
		free.Next.Store(head.Load())
		head.Store(uint32(len(a.Names)))
	})},
	"the lists of two groups exchanged": {law: "name-lists", do: named("camera", func(a *arena.Arena, d *layout.Name) {
		other := &a.Names[entryOf(a, "kept")].Child
		first := other.Load()
		other.Store(d.Child.Load())
		d.Child.Store(first)
	})},
	"a list in a circle": {law: "name-lists", do: named("left", func(a *arena.Arena, d *layout.Name) { d.After.Store(uint32(entryOf(a, "right")) + 1) })},
	"a list to nowhere":  {law: "name-lists", do: named("kept", func(_ *arena.Arena, d *layout.Name) { d.Child.Store(71) })},
	"no root":            {law: "name-lists", do: func(a *arena.Arena) { a.Ctl.Root.Store(0) }},
	"a root beyond":      {law: "name-lists", do: func(a *arena.Arena) { flip64(&a.Ctl.Root, 1<<40) }},
	"names in an array":  {law: "name-lists", do: named("left", func(a *arena.Arena, d *layout.Name) { d.Child.Store(uint32(entryOf(a, "a")) + 1) })},
	"a reserved word":    {law: "reserved", do: func(a *arena.Arena) { flip64(&a.Names[69].Reserved[5], 1) }},
}

func TestBreachesOfTheCatalog(t *testing.T) {
	segment := newWorld(t).heap.Bytes()
	for name, b := range moreNameBreaches {
		t.Run(name, func(t *testing.T) {
			report := b.report(t, segment)
			require.NotEmpty(t, report.Faults, "nobody noticed")
			for _, f := range report.Faults {
				require.Equal(t, b.law, f.Law, f)
			}
		})
	}
}

// TestDeepNames has a path as deep as it may be, and then puts it into one more group.
func TestDeepNames(t *testing.T) {
	h, p := createHeap(t, worldOptions)
	must(p.Publish(strings.Repeat("d/", layout.MaxNameDepth-1)+"leaf", must(p.Alloc(dtype.Uint8, 1))))
	must(p.PublishTree("top", Tree{}))
	requireClean(t, p)
	a := openImage(t, h.Bytes())
	for e := range a.Names {
		if d := &a.Names[e]; nameKind(d) == layout.NameLive && d.Parent.Load() == 0 && entryText(d) == "d" {
			d.Parent.Store(uint32(entryOf(a, "top")) + 1)
		}
	}
	reindex(a)
	r := checkImage(a, VerifyOptions{})
	require.Len(t, r.Faults, 1)
	require.Equal(t, "name-parent", r.Faults[0].Law)
	require.Contains(t, r.Faults[0].Place, "leaf")
}

// TestFaultsNameThePath wants names in places, and reports that stay small.
func TestFaultsNameThePath(t *testing.T) {
	a := openImage(t, newWorld(t).heap.Bytes())
	e := entryOf(a, "left")
	valueOf(&a.Names[e]).Version.Store(1 << 60)
	r := checkImage(a, VerifyOptions{})
	require.Len(t, r.Faults, 1)
	require.Equal(t, fmt.Sprintf("name %d camera/left", e), r.Faults[0].Place)
	for k := range a.Names {
		setText(&a.Names[k], strings.Repeat("y", 255))
	}
	for _, f := range checkImage(a, VerifyOptions{}).Faults {
		require.Less(t, len(f.String()), 700, f)
	}
}

// TestUnusedEntriesAreZero scribbles where no entry has memory yet, and over one that has.
func TestUnusedEntriesAreZero(t *testing.T) {
	o := worldOptions
	o.Names = 2 * layout.NameStep
	h, p := createHeap(t, o)
	must(p.Publish("one", must(p.Alloc(dtype.Uint8, 1))))
	a := openImage(t, bytes.Clone(h.Bytes()))
	require.EqualValues(t, layout.NameStep, a.Ctl.Names.Load())
	require.Empty(t, checkImage(a, VerifyOptions{}).Faults)
	a.Names[layout.NameStep].Touched.Store(1)
	r := checkImage(a, VerifyOptions{})
	require.Len(t, r.Faults, 1)
	require.Equal(t, "reserved", r.Faults[0].Law)
}

// TestChangesUnderWayAreNoFault looks at copies that were made while somebody was in the lock: words of a change under way
// are as they may be.
func TestChangesUnderWayAreNoFault(t *testing.T) {
	w := newWorld(t)
	require.NoError(t, w.p.lock())
	c := w.p.names.Begin()
	e, err := w.p.names.Find("kept/a")
	require.NoError(t, err)
	c.Leave(e)
	w.p.arena.Ctl.Commit.Store(1)
	path := imageOf(t, w.heap.Bytes())
	defer os.Remove(path)
	r := must(VerifyImage(path, VerifyOptions{Content: true}))
	require.Empty(t, r.Faults)
	require.False(t, r.Indexes)
	w.p.arena.Ctl.Commit.Store(0)
	require.NoError(t, c.Abandon())
	w.p.unlock()
	requireClean(t, w.p)
}

// namer changes the catalog at random, with few names, so that others change the same ones.
type namer struct {
	p   *Pool
	rng *rand.Rand
}

func (n *namer) path() string {
	return []string{"a", "b", "a/x", "a/y", "b/c/d", "b/c", "e/f"}[n.rng.IntN(7)]
}

// step does something, and returns an error only if the segment is to blame.
func (n *namer) step() (err error) {
	switch n.rng.IntN(6) {
	case 0, 1:
		err = n.publish()
	case 2:
		_, err = n.p.RemoveTree(n.path())
	case 3:
		var t Tree
		t, err = n.p.LookupTree(n.path())
		t.Release()
	case 4:
		_, err = n.p.SetAttrs(n.path(), Attrs{"n": n.rng.IntN(100)})
	default:
		err = n.lock()
	}
	if errors.Is(err, ErrCorrupt) || errors.Is(err, ErrAttributes) {
		return err
	}
	return nil
}

func (n *namer) publish() error {
	a, err := n.p.Alloc(dtype.Uint8, 1+n.rng.IntN(3000))
	if err != nil {
		return err
	}
	o := Publish{Mode: []PublishMode{PublishOverwrite, PublishMerge}[n.rng.IntN(2)], Persistent: n.rng.IntN(4) == 0}
	_, err = n.p.PublishTree(n.path(), Tree{"u": a, "v/w": Item{Array: a, Attrs: Attrs{"k": "v"}}, "g": Tree{}}, o)
	a.Release()
	return err
}

func (n *namer) lock() error {
	l, err := n.p.LockOf(n.path())
	if err != nil {
		return err
	}
	if ok, _, err := l.TryLock(); ok && err == nil {
		return l.Unlock()
	}
	if ok, _, err := l.TryRLock(); ok && err == nil {
		return l.RUnlock()
	}
	return nil
}

// die leaves the pool without a word: at times with the lock of a name, or in the middle of a change, decided or not.
func (n *namer) die() {
	if l, err := n.p.LockOf("a"); err == nil && n.rng.IntN(2) == 0 {
		_, _, _ = l.TryLock()
	}
	if n.rng.IntN(2) == 0 && n.p.lock() == nil {
		c := n.p.names.Begin()
		if e, err := n.p.names.Find("a"); err == nil {
			_, _ = c.LeaveTree(e)
		}
		n.p.arena.Ctl.Commit.Store(uint32(n.rng.IntN(2)))
	}
	n.p.arena.Abandon()
}

// TestVerifyWhileNamesChange wants that nobody is blamed while processes change the catalog, lock names, and die in all that.
func TestVerifyWhileNamesChange(t *testing.T) {
	o := churnOptions
	o.Names, o.Processes = 300, 24
	h, p := createHeap(t, o)
	q := must(openHeap(h))
	until := time.Now().Add(churnTime())
	run := func(n *namer, steps int) error {
		for range steps {
			if err := n.step(); err != nil || time.Now().After(until) {
				return err
			}
		}
		return nil
	}
	var wg sync.WaitGroup
	for k := range uint64(4) {
		wg.Go(func() {
			n := &namer{[]*Pool{p, q}[k%2], rand.New(rand.NewPCG(k, 7))}
			if err := run(n, 1<<30); err != nil {
				t.Error(err)
			}
		})
		wg.Go(func() {
			for i := k; time.Now().Before(until); i += 4 {
				r, err := openHeap(h)
				if err != nil {
					t.Error(err)
					return
				}
				n := &namer{r, rand.New(rand.NewPCG(i, 8))}
				if err := run(n, 30); err != nil {
					t.Error(err)
				}
				if i%3 > 0 {
					n.die()
				} else if err := r.Close(); err != nil {
					t.Error(err)
				}
			}
		})
	}
	verifyUntil(t, p, until)
	wg.Wait()
	require.Greater(t, p.arena.Ctl.Change.Load(), uint64(100), "the catalog hardly changed")
	must(p.Reap())
	for _, path := range []string{"a", "b", "e"} {
		_, _ = p.RemoveTree(path)
	}
	requireSettled(t, p, q)
}

// TestLongAttributesAreAFault has attributes of one byte more than there may be.
func TestLongAttributesAreAFault(t *testing.T) {
	_, p := createHeap(t, worldOptions)
	must(p.Publish("x", must(p.Alloc(dtype.Uint8, 1))))
	long := must(p.Alloc(dtype.Uint8, layout.MaxAttributes+1))
	copy(must(long.Bytes()), "{"+strings.Repeat(" ", layout.MaxAttributes-1)+"}")
	valueOf(&p.arena.Names[entryOf(p.arena, "x")]).Attributes.Store(uint64(long.Handle()))
	p.refs.Name(int(long.desc))
	r := must(p.Verify(VerifyOptions{Content: true}))
	require.Len(t, r.Faults, 1)
	require.Equal(t, "attributes", r.Faults[0].Law)
}
