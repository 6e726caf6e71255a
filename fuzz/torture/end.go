package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/ndpool/ndpool/pool"
)

// finish ends a run. First all is quiet: who is left keeps what it has and has told what that is, so that each array of the
// pool can be compared with who should hold it. Then all leave, and nothing may be left.
func (t *torture) finish() {
	all := t.freeze()
	if t.failure() == nil {
		t.fail(t.quietly(all))
	}
	if t.failure() != nil {
		t.keepEvidence() // while all is there
	}
	t.endWorkers()
	if t.failure() == nil {
		t.fail(t.settle())
	}
	if t.failure() != nil {
		t.keepEvidence()
	}
}

// quietly compares the pool with what all tell.
func (t *torture) quietly(all []*child) error {
	if err := t.reap(); err != nil {
		return err
	}
	b := newBooks(t)
	for _, c := range all {
		if c.process() != 0 { // else it never came to the pool
			b.enter(c.process(), c.String(), c.held)
		}
	}
	if t.canary == canaryExtra {
		a, err := t.p.Alloc(t.own[0].DType(), 1)
		if err != nil {
			return err
		}
		a.Handle()
		defer a.Release()
	}
	if err := b.awaitOrphans(); err != nil {
		return err
	}
	if err := b.compare(); err != nil {
		return err
	}
	t.figures.ended(len(all), b.compared)
	return t.look(pool.VerifyOptions{Content: true})
}

// reap sweeps the dead, and waits until their transfers have expired.
func (t *torture) reap() error {
	for range 3 {
		if _, err := t.p.Reap(); err != nil {
			return err
		}
		time.Sleep(grace + grace/2)
	}
	return nil
}

// settle wants that what is left is whole, removes it, and wants that nothing is left then.
func (t *torture) settle() error {
	if err := t.reap(); err != nil {
		return err
	}
	if err := errors.Join(t.look(pool.VerifyOptions{Content: true}), t.settleRings(), t.settleNames()); err != nil {
		return err
	}
	for _, a := range t.own {
		a.Release()
	}
	t.own = nil
	if err := accept(t.p); err != nil {
		return err
	}
	if _, err := t.p.Trim(); err != nil {
		return err
	}
	return errors.Join(t.isEmpty(), t.isGone())
}

// isEmpty wants nothing in the pool, and nobody but this process.
func (t *torture) isEmpty() error {
	s, err := t.p.Stats()
	if err != nil {
		return err
	}
	t.figures.Stats = s
	if s.Arrays != 0 || s.Names != 0 || s.Transfers != 0 || s.Free != s.Capacity || s.Processes != 1 || s.Committed != 0 || s.Retired != 0 {
		return fmt.Errorf("left: %d arrays, %d names, %d transfers, %d bytes, %d processes, %d bytes with memory, %d retired", s.Arrays, s.Names,
			s.Transfers, s.Capacity-s.Free, s.Processes, s.Committed, s.Retired)
	}
	r, err := t.p.Verify(pool.VerifyOptions{Content: true})
	if err == nil && !r.Clean() {
		err = fmt.Errorf("%d faults at rest, first: %v", len(r.Faults), r.Faults[0])
	}
	if err != nil {
		return err
	}
	// A lock that a dead process has left would have been taken over by now, and counted.
	after, err := t.p.Stats()
	if err == nil && after.Takeovers != s.Takeovers {
		err = errors.New("left: a lock that was held by a dead process")
	}
	if err == nil && t.house.own {
		err = t.isReturned(s.Tables)
	}
	return err
}

// isReturned wants that the file system has no more in use than the pool's tables, and what is no pool's.
func (t *torture) isReturned(tables uint64) error {
	if err := t.removeOthers(); err != nil {
		return err
	}
	used, err := usedBytes(t.house.dir)
	if err == nil && used > tables+1<<20 {
		err = fmt.Errorf("left: %d bytes of the file system are in use, of which %d are tables", used, tables)
	}
	return err
}

// removeOthers removes what is in the directory beside the pool: files that killed workers have left, and the other pool.
func (t *torture) removeOthers() error {
	_, err := pool.Reap(secondName, pool.Options{Dir: t.dir})
	if err != nil && !errors.Is(err, pool.ErrNotExist) {
		return fmt.Errorf("second pool: %w", err)
	}
	files, err := filepath.Glob(filepath.Join(t.dir, "npy-*"))
	hidden, _ := filepath.Glob(filepath.Join(t.dir, ".npy-*"))
	for _, f := range append(files, hidden...) {
		err = errors.Join(err, os.RemoveAll(f))
	}
	return err
}

// isGone closes the pool as the last one, and wants that its file is gone, and that of the other pool.
func (t *torture) isGone() error {
	if err := errors.Join(t.p.Close(), t.removeOthers()); err != nil {
		return err
	}
	t.p = nil
	left, err := os.ReadDir(t.dir)
	if err == nil && len(left) > 0 {
		err = fmt.Errorf("left in the directory of the pool: %v", left)
	}
	return err
}
