package pool

import (
	"fmt"
	"iter"
	"slices"

	"github.com/ndpool/ndpool/handle"
)

// Range selects elements of one dimension: from Start up to but not including Stop, every Step-th. Negative Start and
// Stop count from the end, as in numpy. A zero Step is 1; with a negative one Start is the first element and Stop the one
// after the last, going down.
type Range struct{ Start, Stop, Step int }

// All selects every element of a dimension.
var All = Range{0, maxInt, 1}

// At selects one element of a dimension; the dimension stays, with length 1.
func At(i int) Range {
	if i == -1 {
		return Range{-1, maxInt, 1}
	}
	return Range{i, i + 1, 1}
}

const maxInt = int(^uint(0) >> 1)

// View returns a part of the array that shares its memory: one Range per dimension, All for those left out at the end.
// The view is a reference of its own, which keeps the block alive and must be released.
func (a *Array) View(ranges ...Range) (*Array, error) {
	a.mustHold()
	if len(ranges) > a.NDim() {
		return nil, &MismatchError{What: "ranges", Got: len(ranges), Want: fmt.Sprintf("at most %d dimensions", a.NDim())}
	}
	v := handle.View{Offset: uint64(a.offset()), DType: a.dt, Shape: a.Shape(), Strides: a.Strides()}
	off := a.offset()
	for k, r := range ranges {
		start, n, step, err := r.resolve(v.Shape[k])
		if err != nil {
			return nil, fmt.Errorf("dimension %d: %w", k, err)
		}
		off += start * v.Strides[k]
		v.Shape[k], v.Strides[k] = n, v.Strides[k]*step
	}
	if !slices.Contains(v.Shape, 0) {
		v.Offset = uint64(off) // else there is no first element, and its place may be behind the array
	}
	return a.place(&v)
}

// resolve returns the first element, the number of elements and the step that a range selects of n.
func (r Range) resolve(n int) (start, count, step int, err error) {
	step = r.Step
	if step == 0 {
		step = 1
	}
	clamp := func(i, lo, hi int) int {
		if i < 0 && i != -maxInt {
			i += n
		}
		return min(max(i, lo), hi)
	}
	if step > 0 {
		start, stop := clamp(r.Start, 0, n), clamp(r.Stop, 0, n)
		return start, max(0, (stop-start+step-1)/step), step, nil
	}
	if step == -maxInt-1 {
		return 0, 0, 0, &MismatchError{What: "step", Got: step, Want: "a step that can be negated"}
	}
	start, stop := clamp(r.Start, -1, n-1), clamp(r.Stop, -1, n-1)
	return max(start, 0), max(0, (start-stop-step-1)/-step), step, nil
}

// Transpose returns a view with the dimensions in the order of axes, or reversed if there are none.
func (a *Array) Transpose(axes ...int) (*Array, error) {
	a.mustHold()
	v := handle.View{Offset: uint64(a.offset()), DType: a.dt, Shape: a.Shape(), Strides: a.Strides()}
	if len(axes) == 0 {
		slices.Reverse(v.Shape)
		slices.Reverse(v.Strides)
		return a.place(&v)
	}
	seen := make([]bool, a.NDim())
	if len(axes) != a.NDim() {
		return nil, &MismatchError{What: "axes", Got: axes, Want: fmt.Sprintf("%d axes", a.NDim())}
	}
	shape, st := a.Shape(), a.Strides()
	for k, ax := range axes {
		if ax < 0 || ax >= len(seen) || seen[ax] {
			return nil, &MismatchError{What: "axes", Got: axes, Want: "each dimension once"}
		}
		seen[ax] = true
		v.Shape[k], v.Strides[k] = shape[ax], st[ax]
	}
	return a.place(&v)
}

// Reshape returns a view of a contiguous array in C order with another shape of as many elements.
func (a *Array) Reshape(shape ...int) (*Array, error) {
	a.mustHold()
	n := 1
	for _, d := range shape {
		if d < 0 || d != 0 && n > maxInt/d {
			return nil, &MismatchError{What: "shape", Got: slices.Clone(shape), Want: "no negative dimension"}
		}
		n *= d
	}
	if n != a.Len() || !a.isOrder(false) {
		return nil, &MismatchError{What: "shape", Got: slices.Clone(shape), Want: fmt.Sprintf("%d elements, of an array in C order", a.Len())}
	}
	v := handle.View{Offset: uint64(a.offset()), DType: a.dt, Shape: slices.Clone(shape),
		Strides: stridesOf(make([]int, len(shape)), shape, a.dt.Size(), false)}
	return a.place(&v)
}

// place returns a new reference to the array's block that shows the elements of v.
func (a *Array) place(v *handle.View) (*Array, error) {
	if err := fits(v, uint64(len(a.mem))); err != nil {
		return nil, err
	}
	p, i := a.pool, int(a.desc)
	st := p.refs.Lock(i)
	p.refs.AddLocked(i)
	st.Live++
	st.Unlock()
	b := &Array{pool: p, dt: v.DType, mem: a.mem, desc: a.desc, gen: a.gen, ndim: uint8(len(v.Shape)),
		flags: a.flags&arrayReadOnly | arrayView,
		more:  &frame{offset: int(v.Offset), shape: slices.Clone(v.Shape), strides: slices.Clone(v.Strides)}}
	b.state.Store(arrayHeld)
	if p.lost != nil {
		p.lost.follow(p, b)
	}
	return b, nil
}

// Index returns the place of an element in bytes from the start of the block's users' bytes. It panics if an index is
// out of range, as a slice does.
func (a *Array) Index(index ...int) int {
	shape := a.shapeOf()
	if len(index) != len(shape) {
		panic(fmt.Sprintf("pool: %d indexes for %d dimensions", len(index), len(shape)))
	}
	off := a.offset()
	if a.more != nil {
		for k, x := range index {
			checkIndex(k, x, shape[k])
			off += x * a.more.strides[k]
		}
		return off
	}
	stride := a.dt.Size()
	for n := range shape {
		k := axis(n, len(shape), a.flags&arrayFortran != 0)
		checkIndex(k, index[k], shape[k])
		off += index[k] * stride
		stride *= shape[k]
	}
	return off
}

func checkIndex(k, x, n int) {
	if x < 0 || x >= n {
		panic(fmt.Sprintf("pool: index %d of dimension %d is out of range: %d", x, k, n))
	}
}

// Runs iterates over the bytes of the elements in C order, without a copy, in runs as long as they lie without gaps. It
// works on views too. The bytes must not be used after Release; a store to those of a read-only array faults.
func (a *Array) Runs() iter.Seq[[]byte] {
	a.mustHold()
	shape, st := a.Shape(), a.Strides()
	n, outer := a.dt.Size(), len(shape)
	for outer > 0 && (shape[outer-1] == 1 || st[outer-1] == n) {
		outer--
		n *= shape[outer]
	}
	return func(yield func([]byte) bool) {
		if a.Size() > 0 {
			eachIndex(shape[:outer], st[:outer], a.offset(), func(off int) bool { return yield(a.mem[off : off+n : off+n]) })
		}
	}
}
