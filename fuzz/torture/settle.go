package main

import (
	"errors"
	"fmt"
	"strings"

	"github.com/ndpool/ndpool/dtype"
	"github.com/ndpool/ndpool/pool"
)

// publishLocked makes the names whose data workers change in place.
func (t *torture) publishLocked() error {
	for k := range lockedNames {
		a, err := t.p.Zeros(dtype.Uint64, 2)
		if err != nil {
			return err
		}
		_, err = t.p.Publish(fmt.Sprintf("l/%d", k), a, pool.Publish{Persistent: true})
		a.Release()
		if err != nil {
			return err
		}
	}
	return nil
}

// settleNames wants that only persistent names are left and that their arrays are whole, and removes them.
func (t *torture) settleNames() error {
	tops, locked := map[string]bool{}, 0
	for x, err := range t.p.List("") {
		if err != nil {
			return err
		}
		top, _, _ := strings.Cut(x.Path, "/")
		tops[top] = true
		switch {
		case x.Ring != "" || x.Path == "r": // see rings.go
		case !x.Persistent && !x.Implicit:
			return fmt.Errorf("left: name %s of process %v", x.Path, x.Owner)
		case x.Group:
		case x.Path[0] == 'l':
			locked++
		default:
			t.figures.keptName()
			if err := t.checkName(x.Path); err != nil {
				return err
			}
		}
	}
	if locked != lockedNames {
		return fmt.Errorf("%d of %d names that nobody removes are left", locked, lockedNames)
	}
	for top := range tops {
		if _, err := t.p.RemoveTree(top); err != nil {
			return err
		}
	}
	return nil
}

func (t *torture) checkName(path string) error {
	a, err := t.p.Lookup(path)
	if err != nil {
		return err
	}
	defer a.Release()
	if err := check(a); err != nil {
		return fmt.Errorf("name %s: %w", path, err)
	}
	return nil
}

// settleRings wants that what is left in streams and queues is whole.
func (t *torture) settleRings() error {
	rings, err := t.p.Rings()
	if err != nil {
		return err
	}
	for _, r := range rings {
		if len(r.Names) == 0 {
			return fmt.Errorf("left: %s %v without a name", r.Kind, r.Handle)
		}
		settle := t.lastFrame
		if r.Kind == pool.QueueRing {
			settle = t.drain
		}
		if err := settle(r.Names[0]); err != nil {
			return err
		}
	}
	return nil
}

// drain gets and checks what is in a queue.
func (t *torture) drain(path string) error {
	q, err := t.p.Queue(path)
	if err != nil {
		return err
	}
	for {
		it, ok, err := q.TryGet()
		if err != nil && !errors.Is(err, pool.ErrShut) {
			return err
		}
		if !ok {
			return q.Close()
		}
		t.figures.keptItem()
		err = t.checkItem(it)
		it.Release()
		if err != nil {
			return fmt.Errorf("left in queue %s: %w", path, err)
		}
	}
}

func (t *torture) checkItem(it *pool.QueueItem) (err error) {
	for _, a := range it.Attached {
		err = errors.Join(err, check(a))
	}
	if it.Kind == pool.ItemArray {
		err = errors.Join(err, check(it.Array))
	}
	return err
}

func (t *torture) lastFrame(path string) error {
	r, err := t.p.StreamReader(path)
	if err != nil {
		return err
	}
	f, err := r.Newest()
	if err == nil {
		if path != valueStream { // which has values of its own
			err = check(f.Array)
		}
		f.Release()
	}
	if errors.Is(err, pool.ErrNoFrame) {
		err = nil
	}
	return errors.Join(err, r.Close())
}
