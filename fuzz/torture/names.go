package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/ndpool/ndpool/pool"
)

// Names of the torture, by their first component. Workers in Python do the same with them.
//
//	s/K         one array each, published, replaced and removed by everybody; its attribute "handle" is its handle
//	wS-I-L/K    the same, of one lane alone (slot, incarnation, lane), and never persistent
//	t/K         trees of the arrays a, b and g/c, published and removed as a whole: so all three have one version, or none is
//	            there
//	l/K         two equal numbers, which change under the name's lock; the parent publishes them, and nobody removes them
//	r/…         streams and queues: see rings.go
const (
	sharedNames = 8
	lockedNames = 3
)

// lockWait is how long a worker waits for the lock of a name: some holders are stopped.
const lockWait = 20 * time.Millisecond

// treeNames are the arrays of a tree, by path.
var treeNames = []string{"a", "b", "g/c"}

// own is the first component of the lane's own names.
func (l *lane) own() string {
	return fmt.Sprintf("w%s-%d", strings.ReplaceAll(l.p.Self().String(), ".", "-"), l.number)
}

// single returns a name of an array, at times one of its own.
func (l *lane) single() string {
	top := "s"
	if l.rng.IntN(4) == 0 {
		top = l.own()
	}
	path := fmt.Sprintf("%s/%d", top, l.rng.IntN(sharedNames))
	l.remark(path)
	return path
}

func (l *lane) tree() string { return fmt.Sprintf("t/%d", l.rng.IntN(sharedNames)) }

// whole returns an array that is no view, if there is one.
func (l *lane) whole() *pool.Array {
	first := l.rng.IntN(len(l.held))
	for k := range l.held {
		if a := l.held[(first+k)%len(l.held)]; !a.IsView() {
			return a
		}
	}
	return l.held[first]
}

// how returns a way to publish.
func (l *lane) how(path string) pool.Publish {
	return pool.Publish{Mode: pool.PublishMode(l.rng.IntN(3)), Persistent: path[0] != 'w' && l.rng.IntN(8) == 0}
}

func (l *lane) publishOne() error {
	a, path := l.whole(), l.single()
	o := l.how(path)
	o.Attrs = l.attrs(a)
	_, err := l.p.Publish(path, a, o)
	return err
}

// attrs are those of a name in s or w: short ones, or a text that takes some KiB.
func (l *lane) attrs(a *pool.Array) pool.Attrs {
	at := pool.Attrs{"handle": a.Handle().String(), "shape": a.Shape(), "nested": map[string]any{"pi": 3.25, "none": nil, "ok": true}}
	if l.rng.IntN(10) == 0 {
		at["long"] = fmt.Sprintf("%*d", 1<<l.rng.IntN(14), 1)
	}
	return at
}

func (l *lane) publishTree() error {
	path := l.tree()
	t := pool.Tree{}
	for _, name := range treeNames {
		t[name] = l.whole()
	}
	_, err := l.p.PublishTree(path, t, l.how(path))
	return err
}

// lookup wants that array and attributes are of one moment, and keeps the array for a while.
func (l *lane) lookup() error {
	if err := l.makeRoom(); err != nil {
		return err
	}
	path, ro := l.single(), pool.ReadOnly(l.rng.IntN(3) == 0)
	if l.rng.IntN(3) == 0 {
		a, err := l.p.Lookup(path, ro)
		if err != nil {
			return err
		}
		return l.hold(a)
	}
	it, err := l.p.LookupItem(path, ro)
	if err != nil {
		return err
	}
	h := it.Array.Handle().String()
	if pi, _ := it.Attrs["nested"].(map[string]any); it.Attrs["handle"] != h || pi["pi"] != 3.25 {
		it.Array.Release()
		return faultf("name %s: version %d: array %s, attributes %v", path, it.Version, h, it.Attrs)
	}
	return l.hold(it.Array)
}

// lookupTree wants that the tree is whole.
func (l *lane) lookupTree() error {
	path := l.tree()
	t, err := l.p.LookupTree(path)
	if err != nil {
		return err
	}
	defer t.Release()
	g, _ := t["g"].(pool.Tree)
	a, b, c := array(t["a"]), array(t["b"]), array(g["c"])
	if a == nil || b == nil || c == nil || len(t) != 3 || len(g) != 1 {
		return faultf("tree %s: got %v", path, t)
	}
	return errors.Join(l.check(a), l.check(b), l.check(c))
}

func array(x any) *pool.Array {
	a, _ := x.(*pool.Array)
	return a
}

// list wants that all of a tree is of one change; at times it goes through all names there are.
func (l *lane) list() error {
	if l.rng.IntN(4) == 0 {
		for _, err := range l.p.List("") {
			if err != nil {
				return err
			}
		}
		return nil
	}
	path, n, version := l.tree(), 0, uint64(0)
	for x, err := range l.p.List(path) {
		if err != nil {
			return err
		}
		if x.Group {
			continue
		}
		if n++; n > 1 && x.Version != version {
			return faultf("tree %s: %s has version %d, others have %d", path, x.Path, x.Version, version)
		}
		version = x.Version
	}
	if n != len(treeNames) {
		return faultf("tree %s: %d names", path, n)
	}
	return nil
}

// setAttrs adds to the attributes what others must keep, unless somebody was faster.
func (l *lane) setAttrs() error {
	path := l.single()
	it, err := l.p.LookupItem(path)
	if err != nil {
		return err
	}
	defer it.Array.Release()
	n, _ := it.Attrs["n"].(int64)
	it.Attrs["n"] = n + 1
	_, err = l.p.SetAttrs(path, it.Attrs, pool.Publish{Version: it.Version})
	return err
}

func (l *lane) removeName() error {
	if l.rng.IntN(2) == 0 {
		return l.p.Remove(l.single())
	}
	path := l.tree()
	n, err := l.p.RemoveTree(path)
	if err == nil && n != len(treeNames) {
		return faultf("tree %s: removed %d names", path, n)
	}
	return err
}

// locked changes two numbers one after the other, or looks at both. They differ only if a writer died in between, which the
// lock tells.
func (l *lane) locked() error {
	k, xs, done, err := l.pair()
	if err != nil {
		return err
	}
	defer done()
	ctx, cancel := context.WithTimeout(context.Background(), lockWait)
	defer cancel()
	if l.rng.IntN(2) == 0 {
		torn, err := k.Lock(ctx)
		if err != nil {
			return err
		}
		return l.change(k, xs, torn)
	}
	torn, err := k.RLock(ctx)
	if err != nil {
		return err
	}
	return l.compare(k, xs, torn)
}

// tryLocked does the same without waiting.
func (l *lane) tryLocked() error {
	k, xs, done, err := l.pair()
	if err != nil {
		return err
	}
	defer done()
	if l.rng.IntN(2) == 0 {
		ok, torn, err := k.TryLock()
		if err != nil || !ok {
			return err
		}
		return l.change(k, xs, torn)
	}
	ok, torn, err := k.TryRLock()
	if err != nil || !ok {
		return err
	}
	return l.compare(k, xs, torn)
}

// pair returns two numbers and their lock.
func (l *lane) pair() (k *pool.NameLock, xs []uint64, done func(), err error) {
	path := fmt.Sprintf("l/%d", l.rng.IntN(lockedNames))
	if k, err = l.p.LockOf(path); err != nil {
		return nil, nil, nil, faultf("lock of %s, which nobody removes: %v", path, err)
	}
	a, err := l.p.Lookup(path)
	if err != nil {
		return nil, nil, nil, err
	}
	if xs, err = pool.Slice[uint64](a); err != nil {
		a.Release()
		return nil, nil, nil, err
	}
	return k, xs, a.Release, nil
}

func (l *lane) change(k *pool.NameLock, xs []uint64, torn bool) error {
	wrong := same(k, xs, torn, "")
	if torn {
		l.tally.add("torn")
	}
	xs[0]++
	l.pause()
	xs[1] = xs[0]
	return errors.Join(wrong, k.Unlock())
}

func (l *lane) compare(k *pool.NameLock, xs []uint64, torn bool) error {
	wrong := same(k, xs, torn, "")
	l.pause()
	return errors.Join(wrong, same(k, xs, torn, " while it is held to read"), k.RUnlock())
}

func same(k *pool.NameLock, xs []uint64, torn bool, when string) error {
	if !torn && xs[0] != xs[1] {
		return faultf("lock of %s: %d and %d%s, and nobody told", k.Path(), xs[0], xs[1], when)
	}
	return nil
}
