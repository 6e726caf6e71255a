package main

import (
	"github.com/ndpool/ndpool/dtype"
	"github.com/ndpool/ndpool/pool"
)

// view looks at a part of an array, or at all of it in another way, and at times keeps that instead.
func (l *lane) view() error {
	a := l.any()
	v, err := l.viewOf(a)
	if err != nil {
		return err
	}
	for range l.rng.IntN(3) {
		next, err := l.viewOf(v)
		v.Release()
		if err != nil {
			return err
		}
		v = next
	}
	if l.rng.IntN(4) == 0 && len(l.held) < maxHeld {
		return l.hold(v)
	}
	defer v.Release()
	if err := l.checkTyped(v); err != nil {
		return err
	}
	return l.check(v)
}

// viewOf returns a view of an array or a view.
func (l *lane) viewOf(a *pool.Array) (*pool.Array, error) {
	switch l.rng.IntN(4) {
	case 0:
		return a.Transpose()
	case 1:
		return a.Transpose(l.rng.Perm(a.NDim())...)
	case 2:
		if !a.IsView() {
			if v, err := a.Reshape(a.Len(), 1); err == nil {
				return v, nil
			}
		}
	}
	var ranges []pool.Range
	for _, n := range a.Shape() {
		ranges = append(ranges, l.rangeOf(n))
	}
	return a.View(ranges[:l.rng.IntN(len(ranges)+1)]...)
}

// rangeOf selects some of n elements, also backwards, or none.
func (l *lane) rangeOf(n int) pool.Range {
	switch k := l.rng.IntN(6); {
	case k == 0 || n == 0:
		return pool.All
	case k == 1:
		return pool.At(l.rng.IntN(n))
	case k == 2:
		return pool.Range{Start: n - 1, Stop: -n - 1, Step: -1 - l.rng.IntN(3)}
	case k == 3:
		return pool.Range{Start: -1 - l.rng.IntN(n), Stop: n}
	}
	start := l.rng.IntN(n)
	return pool.Range{Start: start, Stop: start + l.rng.IntN(n-start+1), Step: 1 + l.rng.IntN(3)}
}

// checkTyped reads elements as numbers of Go.
func (l *lane) checkTyped(a *pool.Array) error {
	if a.DType() != dtype.Uint64 || a.Len() == 0 {
		return nil
	}
	index := unravel(l.rng.IntN(a.Len()), a.Shape())
	x, err := pool.Element[uint64](a, index...)
	if err != nil {
		return faultf("element %v of %v %v: %v", index, a.Handle(), a.Shape(), err)
	}
	if want := patternWord(uint64(a.Handle()), a.Index(index...)); *x != want {
		return faultf("element %v of %v %v: got %#x, expected %#x", index, a.Handle(), a.Shape(), *x, want)
	}
	if !a.IsContiguous() {
		return nil
	}
	xs, err := pool.Slice[uint64](a)
	if err != nil || len(xs) != a.Len() {
		return faultf("slice of %v %v: %d elements, %v", a.Handle(), a.Shape(), len(xs), err)
	}
	return nil
}
