package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/ndpool/ndpool/dtype"
	"github.com/ndpool/ndpool/pool"
)

// Names of the storm, by their first component. Workers in Python do the same with them.
//
//	s/K      one array each, published, replaced and removed by everybody; its attribute "handle" is its handle
//	w<PID>/K the same, of one worker alone, and never persistent
//	t/K      trees of the arrays a, b and c, published and removed as a whole: so all three have one version, or none is there
//	l/K      two equal numbers, which change under the name's lock; the storm publishes them, and nobody removes them
const (
	sharedNames = 8
	lockedNames = 3
)

// lockWait is how long a worker waits for the lock of a name: some holders are stopped.
const lockWait = 20 * time.Millisecond

var treeNames = []string{"a", "b", "c"}

// name does one operation with names.
func (w *worker) name() error {
	w.names++
	k := w.rng.IntN(sharedNames)
	single, tree := fmt.Sprintf("s/%d", k), fmt.Sprintf("t/%d", k)
	if w.rng.IntN(4) == 0 {
		single = fmt.Sprintf("w%d/%d", os.Getpid(), k)
	}
	switch w.rng.IntN(10) {
	case 0, 1:
		return w.publish(single)
	case 2:
		return w.publishTree(tree)
	case 3, 4:
		return w.lookup(single)
	case 5:
		return w.lookupTree(tree)
	case 6:
		return w.list(tree)
	case 7:
		return w.setAttrs(single)
	case 8:
		return w.removeName(single, tree)
	}
	return w.locked(fmt.Sprintf("l/%d", k%lockedNames))
}

// how returns a way to publish.
func (w *worker) how(path string) pool.Publish {
	return pool.Publish{Mode: pool.PublishMode(w.rng.IntN(3)), Persistent: path[0] != 'w' && w.rng.IntN(8) == 0}
}

func (w *worker) publish(path string) error {
	a := w.held[w.rng.IntN(len(w.held))]
	o := w.how(path)
	o.Attrs = pool.Attrs{"handle": a.Handle().String()}
	_, err := w.p.Publish(path, a, o)
	return err
}

func (w *worker) publishTree(path string) error {
	t := pool.Tree{}
	for _, name := range treeNames {
		t[name] = w.held[w.rng.IntN(len(w.held))]
	}
	_, err := w.p.PublishTree(path, t, w.how(path))
	return err
}

// lookup wants that array and attributes are of one moment, and keeps the array for a while.
func (w *worker) lookup(path string) error {
	it, err := w.p.LookupItem(path)
	if err != nil {
		return err
	}
	if h := it.Array.Handle().String(); it.Attrs["handle"] != h {
		return fmt.Errorf("name %s: version %d: array %s, attributes %v", path, it.Version, h, it.Attrs)
	}
	return w.hold(it.Array)
}

// lookupTree wants that the tree is whole.
func (w *worker) lookupTree(path string) error {
	t, err := w.p.LookupTree(path)
	if err != nil {
		return err
	}
	defer t.Release()
	for _, name := range treeNames {
		a, ok := t[name].(*pool.Array)
		if !ok || len(t) != len(treeNames) {
			return fmt.Errorf("tree %s: got %v", path, t)
		}
		if err := check(a); err != nil {
			return fmt.Errorf("tree %s: %s: %w", path, name, err)
		}
	}
	return nil
}

// list wants that all of the tree is of one change.
func (w *worker) list(path string) error {
	n, version := 0, uint64(0)
	for x, err := range w.p.List(path) {
		if err != nil {
			return err
		}
		if x.Group {
			continue
		}
		if n++; n > 1 && x.Version != version {
			return fmt.Errorf("tree %s: %s has version %d, others have %d", path, x.Path, x.Version, version)
		}
		version = x.Version
	}
	if n != len(treeNames) {
		return fmt.Errorf("tree %s: %d names", path, n)
	}
	return nil
}

// setAttrs adds to the attributes what others must keep, unless somebody was faster.
func (w *worker) setAttrs(path string) error {
	it, err := w.p.LookupItem(path)
	if err != nil {
		return err
	}
	defer it.Array.Release()
	n, _ := it.Attrs["n"].(int64)
	it.Attrs["n"] = n + 1
	_, err = w.p.SetAttrs(path, it.Attrs, pool.Publish{Version: it.Version})
	return err
}

func (w *worker) removeName(single, tree string) error {
	if w.rng.IntN(2) == 0 {
		return w.p.Remove(single)
	}
	n, err := w.p.RemoveTree(tree)
	if err == nil && n != len(treeNames) {
		return fmt.Errorf("tree %s: removed %d names", tree, n)
	}
	return err
}

// locked changes two numbers one after the other, or looks at both. They differ only if a writer died in between, which the
// lock tells.
func (w *worker) locked(path string) error {
	l, err := w.p.LockOf(path)
	if err != nil {
		return err
	}
	a, err := w.p.Lookup(path)
	if err != nil {
		return err
	}
	defer a.Release()
	xs, err := pool.Slice[uint64](a)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), lockWait)
	defer cancel()
	write := w.rng.IntN(2) == 0
	take, leave := l.RLock, l.RUnlock
	if write {
		take, leave = l.Lock, l.Unlock
	}
	torn, err := take(ctx)
	if err != nil {
		return err
	}
	var wrong error
	if !torn && xs[0] != xs[1] {
		wrong = fmt.Errorf("lock of %s: %d and %d, and nobody told", path, xs[0], xs[1])
	}
	if write {
		xs[0]++
		w.pause()
		xs[1] = xs[0]
	} else if w.pause(); !torn && xs[0] != xs[1] {
		wrong = fmt.Errorf("lock of %s: %d and %d while it is held to read", path, xs[0], xs[1])
	}
	return errors.Join(wrong, leave())
}

// pause sleeps for a moment, at times.
func (w *worker) pause() {
	if w.rng.IntN(3) == 0 {
		time.Sleep(time.Duration(w.rng.IntN(1000)) * time.Microsecond)
	}
}

// publishLocked makes the names whose data workers change in place.
func (s *storm) publishLocked() error {
	for k := range lockedNames {
		a, err := s.p.Zeros(dtype.Uint64, 2)
		if err != nil {
			return err
		}
		_, err = s.p.Publish(fmt.Sprintf("l/%d", k), a, pool.Publish{Persistent: true})
		a.Release()
		if err != nil {
			return err
		}
	}
	return nil
}

// settleNames wants that only persistent names are left and that their arrays are whole, and removes them.
func (s *storm) settleNames() error {
	tops := map[string]bool{}
	for x, err := range s.p.List("") {
		if err != nil {
			return err
		}
		if x.Path[0] == 'r' { // see rings.go
			tops["r"] = true
			continue
		}
		if !x.Persistent && !x.Implicit {
			return fmt.Errorf("left: name %s of process %v", x.Path, x.Owner)
		}
		tops[x.Path[:1]] = true
		if x.Group {
			continue
		}
		if x.Path[0] == 'l' {
			s.locked++
			continue
		}
		s.persistent++
		a, err := s.p.Lookup(x.Path)
		if err != nil {
			return err
		}
		err = check(a)
		a.Release()
		if err != nil {
			return fmt.Errorf("name %s: %w", x.Path, err)
		}
	}
	if s.locked != lockedNames {
		return fmt.Errorf("%d of %d names that nobody removes are left", s.locked, lockedNames)
	}
	for top := range tops {
		if _, err := s.p.RemoveTree(top); err != nil {
			return err
		}
	}
	return nil
}
