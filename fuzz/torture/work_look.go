package main

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"time"

	"github.com/ndpool/ndpool/npy"
	"github.com/ndpool/ndpool/pool"
)

// look goes through all that there is to be seen.
func (l *lane) look() error {
	st, err := l.p.Stats()
	if err != nil {
		return err
	}
	if st.Free > st.Capacity || st.Held > st.Capacity || st.Arrays > st.ArrayLimit || st.Processes > st.SlotLimit || st.Transfers > st.TicketLimit {
		return faultf("stats: %+v", st)
	}
	n := 0
	for a := range l.p.Arrays() {
		if n++; a.Bytes > a.Extent || a.Extent > st.Capacity {
			return faultf("array info: %+v", a)
		}
	}
	for x := range l.p.Transfers() {
		if x.Sender == 0 || x.Age < -time.Second {
			return faultf("transfer info: %+v", x)
		}
	}
	self := false
	for x := range l.p.Processes() {
		self = self || x.Self && x.ID == l.p.Self()
	}
	if !self {
		return faultf("process %v is not in the process table", l.p.Self())
	}
	if _, err := l.p.Rings(); err != nil {
		return err
	}
	return nil
}

// verify checks all laws. A busy pool must never seem to have a fault.
func (l *lane) verify() error {
	r, err := l.p.Verify(pool.VerifyOptions{Content: l.rng.IntN(8) == 0})
	if err != nil {
		return err
	}
	if !r.Clean() {
		return faultf("%d faults, first: %v", len(r.Faults), r.Faults[0])
	}
	return nil
}

// holdLock has the segment lock for a moment, so that others wait for it, or this process dies or is stopped with it.
func (l *lane) holdLock() error {
	return l.p.Freeze(func() error {
		l.pause()
		return nil
	})
}

func (l *lane) trim() error {
	_, err := l.p.Trim()
	return err
}

func (l *lane) reap() error {
	_, err := l.p.Reap()
	return err
}

// peek looks at the pool without a slot, and reads an array's bytes.
func (l *lane) peek() error {
	s, err := pool.Peek(poolName, pool.Options{Dir: l.Dir})
	if errors.Is(err, pool.ErrNotExist) {
		return nil // somebody has unlinked it
	}
	if err != nil {
		return err
	}
	defer s.Close()
	c, err := s.Condition()
	if err != nil {
		return err
	}
	if s.Segment() == l.p.Segment() && c != pool.Live {
		return faultf("peek: pool is %v, and this process is attached", c)
	}
	for range s.Arrays() {
	}
	for range s.Processes() {
	}
	for range s.Transfers() {
	}
	for _, err := range s.List("") {
		if err != nil {
			return err
		}
	}
	if _, err := s.Rings(); err != nil {
		return err
	}
	a := l.whole()
	if a.IsView() || s.Segment() != l.p.Segment() {
		return nil
	}
	n := min(a.Size(), 1<<16)
	b, err := s.Read(a.Handle(), 0, n)
	if err != nil {
		return faultf("peek at %v, which is held: %v", a.Handle(), err)
	}
	return checkRun(a, b, a.Handle(), 0)
}

// file writes an array as NumPy's files, in memory or to the disk, and reads it again.
func (l *lane) file() (err error) {
	a := l.whole()
	if a.IsView() {
		return nil
	}
	if l.rng.IntN(2) == 0 {
		var buf bytes.Buffer
		if err := npy.Write(&buf, a); err != nil {
			return err
		}
		b, err := npy.Read(&buf, l.p)
		return l.readBack(a, b, err)
	}
	dir, err := os.MkdirTemp(l.Dir, "npy-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	if l.rng.IntN(2) == 0 {
		path := filepath.Join(dir, "a.npy")
		if err := npy.Save(path, a); err != nil {
			return err
		}
		b, err := npy.Load(l.p, path)
		return l.readBack(a, b, err)
	}
	path := filepath.Join(dir, "a.npz")
	if err := npy.SaveZip(path, pool.Tree{"x": a, "g": pool.Tree{"y": a}}); err != nil {
		return err
	}
	t, err := npy.LoadZip(l.p, path)
	if err != nil {
		return err
	}
	g, _ := t["g"].(pool.Tree)
	err = errors.Join(l.sameAs(a, array(t["x"])), l.sameAs(a, array(g["y"])))
	t.Release()
	return err
}

func (l *lane) readBack(a, b *pool.Array, err error) error {
	if err != nil {
		return err
	}
	defer b.Release()
	return l.sameAs(a, b)
}

// sameAs wants that b is a copy of a.
func (l *lane) sameAs(a, b *pool.Array) error {
	if b == nil || !b.DType().Equal(a.DType()) || b.Size() != a.Size() || b.NDim() != a.NDim() {
		return faultf("copy of %v %v: got %v", a.DType(), a.Shape(), b)
	}
	l.tally.checked(b.Size())
	return checkAs(b, a.Handle())
}
