package pool

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"sync/atomic"
	"time"

	"github.com/ndpool/ndpool/dtype"
	"github.com/ndpool/ndpool/handle"
)

// Array is one reference of this process to an array in the pool, or to a view of one.
//
// Who got it must Release it, once; uses after that panic. Several goroutines may use an Array, if Release comes after
// all of them. The element type, shape and strides never change.
type Array struct {
	pool  *Pool
	dt    dtype.Type
	mem   []byte // users' bytes of the whole block
	desc  uint32
	gen   uint32
	state atomic.Uint32 // held or released
	ndim  uint8
	flags uint8
	dims  [4]int // shape, if more is nil
	more  *frame // for views, and for many dimensions
}

// frame is a view's place in its block. Local.
type frame struct {
	offset  int // bytes from the block's first
	shape   []int
	strides []int // bytes
}

const (
	arrayHeld = iota + 1
	arrayReleased
)

const (
	arrayFortran = 1 << iota
	arrayReadOnly
	arrayView
)

// Spec says what to allocate.
type Spec struct {
	DType   dtype.Type
	Shape   []int // at most 64 dimensions; none is a single element
	Fortran bool  // first index fastest; default: last index fastest
	Zero    bool  // fill with zeros; default: whatever was there
}

// Alloc returns a new array in C order with undefined content. The caller must Release it. It fails with a *SpaceError
// if the pool is full, after dead processes were swept.
func (p *Pool) Alloc(dt dtype.Type, shape ...int) (*Array, error) {
	m, err := makeMeta(dt, shape, false)
	if err != nil {
		return nil, err
	}
	return p.allocMeta(&m, shape)
}

// Zeros is like Alloc, and fills the array with zeros.
func (p *Pool) Zeros(dt dtype.Type, shape ...int) (*Array, error) {
	a, err := p.Alloc(dt, shape...)
	if err == nil {
		clear(a.mem)
	}
	return a, err
}

// New returns a new array as specified. The caller must Release it. It fails as Alloc does.
func (p *Pool) New(s Spec) (*Array, error) {
	m, err := makeMeta(s.DType, s.Shape, s.Fortran)
	if err != nil {
		return nil, err
	}
	a, err := p.allocMeta(&m, s.Shape)
	if err == nil && s.Zero {
		clear(a.mem)
	}
	return a, err
}

// NewContext is like New, and waits for room until ctx is done. The error then wraps both ctx's and what was missing.
// It does not wait for what is larger than the pool.
func (p *Pool) NewContext(ctx context.Context, s Spec) (*Array, error) {
	a, err := p.New(s)
	for err != nil && p.mayCome(err, s) {
		seq := p.arena.SpaceWanted()
		if a, err = p.New(s); err == nil {
			break
		}
		if ctx.Err() != nil {
			return nil, fmt.Errorf("%w while waiting for room: %w", ctx.Err(), err)
		}
		p.awaitSpace(seq)
	}
	return a, err
}

// awaitSpace sleeps for a moment or until space is freed. It is a verb of its own, so that Close never waits for long.
func (p *Pool) awaitSpace(seq uint32) {
	if p.enter() == nil {
		p.arena.AwaitSpace(seq, 20*time.Millisecond)
		p.leave()
	}
}

// mayCome tells whether there may be room later.
func (p *Pool) mayCome(err error, s Spec) bool {
	m, bad := makeMeta(s.DType, s.Shape, s.Fortran)
	short := errors.Is(err, ErrFull) || errors.Is(err, ErrTableFull) || errors.Is(err, ErrNoMemory)
	return short && bad == nil && m.size() <= p.arena.Geo.Capacity
}

func (p *Pool) allocMeta(m *meta, shape []int) (*Array, error) {
	i, err := p.take(m, shape)
	if err != nil {
		return nil, err
	}
	return p.newArray(i, m, shape, false)
}

// newArray returns the value of a reference that this process has. It ends the reference if it fails.
func (p *Pool) newArray(i int, m *meta, shape []int, readOnly bool) (*Array, error) {
	e, ok := p.extent(i)
	if !ok || m.size() > e.Size() {
		p.drop(i)
		return nil, p.corrupt(i, "extent", uint64(e), m.size())
	}
	a := &Array{pool: p, dt: m.dt, desc: uint32(i), gen: p.gen(i), ndim: uint8(m.ndim)}
	a.state.Store(arrayHeld)
	if m.fortran() {
		a.flags |= arrayFortran
	}
	if readOnly || p.state(i).Sealed() {
		a.flags |= arrayReadOnly
		mem, err := p.arena.ReadOnly(e.Offset()+m.header, m.bytes)
		if err != nil {
			p.drop(i)
			return nil, err
		}
		a.mem = mem
	} else {
		a.mem = p.arena.Data(e.Offset()+m.header, m.bytes)
	}
	if n := len(shape); n > len(a.dims) {
		a.more = &frame{shape: slices.Clone(shape), strides: stridesOf(make([]int, n), shape, m.dt.Size(), m.fortran())}
	} else {
		copy(a.dims[:], shape)
	}
	if p.lost != nil {
		p.lost.follow(p, a)
	}
	return a, nil
}

// Release ends this reference. When it was the last one anywhere, the block is free for reuse at once. Slices made from
// the array must not be used afterwards. Releasing twice panics.
func (a *Array) Release() {
	if !a.state.CompareAndSwap(arrayHeld, arrayReleased) {
		panic("pool: Release of a released array " + a.name())
	}
	if a.pool.lost != nil {
		a.pool.lost.forget(a)
	}
	a.pool.drop(int(a.desc))
}

// name tells which array it is, for messages.
func (a *Array) name() string {
	return handle.New(a.pool.arena.Geo.DescGranule(int(a.desc)), a.gen).String()
}

// mustHold panics if the array was released.
func (a *Array) mustHold() {
	if a.state.Load() != arrayHeld {
		panic("pool: use of a released array " + a.name())
	}
}

// Pool returns the pool that the array is in.
func (a *Array) Pool() *Pool { return a.pool }

// DType returns the element type.
func (a *Array) DType() dtype.Type { return a.dt }

// NDim returns the number of dimensions.
func (a *Array) NDim() int { return int(a.ndim) }

// shapeOf returns the shape; the caller does not keep or change it.
func (a *Array) shapeOf() []int {
	if a.more != nil {
		return a.more.shape
	}
	return a.dims[:a.ndim]
}

// Shape returns a copy of the shape, in elements.
func (a *Array) Shape() []int { return slices.Clone(a.shapeOf()) }

// Strides returns a copy of the strides, in bytes.
func (a *Array) Strides() []int {
	if a.more != nil {
		return slices.Clone(a.more.strides)
	}
	return stridesOf(make([]int, a.ndim), a.shapeOf(), a.dt.Size(), a.flags&arrayFortran != 0)
}

// offset returns the place of the first element in the block's bytes.
func (a *Array) offset() int {
	if a.more != nil {
		return a.more.offset
	}
	return 0
}

// Len returns the number of elements.
func (a *Array) Len() int {
	n := 1
	for _, d := range a.shapeOf() {
		n *= d
	}
	return n
}

// Size returns the bytes of all elements.
func (a *Array) Size() int { return a.Len() * a.dt.Size() }

// IsView tells whether the array is a part of a block, made by View.
func (a *Array) IsView() bool { return a.flags&arrayView != 0 }

// IsReadOnly tells whether a store to the array's memory would fault: it is sealed, or was taken read-only.
func (a *Array) IsReadOnly() bool { return a.flags&arrayReadOnly != 0 }

// IsContiguous tells whether the elements lie without gaps in C order or in Fortran order.
func (a *Array) IsContiguous() bool { return a.isOrder(false) || a.isOrder(true) }

func (a *Array) isOrder(fortran bool) bool {
	if a.more == nil {
		return a.ndim < 2 || (a.flags&arrayFortran != 0) == fortran
	}
	if a.Len() == 0 {
		return true
	}
	stride := a.dt.Size()
	for n, dims := 0, len(a.more.shape); n < dims; n++ {
		k := axis(n, dims, fortran)
		if a.more.shape[k] != 1 && a.more.strides[k] != stride {
			return false
		}
		stride *= max(a.more.shape[k], 1)
	}
	return true
}

// Bytes returns the array's memory, without a copy. It fails with ErrMismatch if the elements do not lie without gaps.
// A store to a read-only array's bytes faults.
func (a *Array) Bytes() ([]byte, error) {
	a.mustHold()
	if !a.IsContiguous() {
		return nil, &MismatchError{What: "strides", Got: a.Strides(), Want: "elements without gaps"}
	}
	off, n := a.offset(), a.Size()
	return a.mem[off : off+n : off+n], nil
}

// Handle returns the array's handle, 8 bytes that any attached process can Retain while somebody holds the array. A
// view's handle is that of its block.
func (a *Array) Handle() handle.Handle {
	a.mustHold()
	return a.pool.share(int(a.desc))
}

// Send opens a transfer of the array, 16 bytes to be adopted once by any process. The transfer keeps the block alive, so
// that the array may be released right away. It fails with ErrView for a view: see Message.
func (a *Array) Send() (handle.Transfer, error) { return a.sendWhole(0) }

// SendTo is like Send, and only that process can adopt the transfer, which ends when the process does. A transfer whose
// sender died before the 16 bytes were on their way stays open as long as the receiver lives: see Pool.Refuse.
func (a *Array) SendTo(to ProcessID) (handle.Transfer, error) { return a.sendWhole(to) }

func (a *Array) sendWhole(to ProcessID) (handle.Transfer, error) {
	a.mustHold()
	if a.IsView() {
		return handle.Transfer{}, fmt.Errorf("send: %w: a transfer of 16 bytes names a whole array; use Message", ErrView)
	}
	return a.pool.send(int(a.desc), to)
}

// Message opens a transfer in its long form, which carries the segment's id and, for a view, the view's place. Encoders
// of package handle write it; Receive takes it.
func (a *Array) Message() (handle.Message, error) { return a.MessageTo(0) }

// MessageTo is like Message, and only that process can receive it: see SendTo.
func (a *Array) MessageTo(to ProcessID) (handle.Message, error) {
	a.mustHold()
	t, err := a.pool.send(int(a.desc), to)
	if err != nil {
		return handle.Message{}, err
	}
	m := handle.Message{Segment: a.pool.segment, Handle: t.Handle, Ticket: t.Ticket}
	if a.IsView() {
		m.View = &handle.View{Offset: uint64(a.offset()), DType: a.dt, Shape: a.Shape(), Strides: a.Strides()}
	}
	return m, nil
}

// Receive takes a message: it adopts its transfer, or retains its bare handle, and makes its view. The caller must
// Release the array. A view that does not fit is refused before the transfer is spent.
func (p *Pool) Receive(m handle.Message, ro ...ReadOnly) (*Array, error) {
	if m.Segment != p.segment {
		return nil, &HandleError{Handle: m.Handle, Segment: p.segment, Err: fmt.Errorf("%w: the message is of segment %v", ErrForeignHandle, m.Segment)}
	}
	if m.View != nil {
		if err := p.checkView(m.Handle, m.View); err != nil {
			return nil, err
		}
	}
	a, err := p.receiveWhole(m, ro)
	if err != nil || m.View == nil {
		return a, err
	}
	v, err := a.place(m.View)
	a.Release()
	return v, err
}

func (p *Pool) receiveWhole(m handle.Message, ro []ReadOnly) (*Array, error) {
	if m.Ticket == 0 {
		return p.Retain(m.Handle, ro...)
	}
	return p.Adopt(handle.Transfer{Handle: m.Handle, Ticket: m.Ticket}, ro...)
}

// checkView tells whether a view fits the block that a handle names, as far as can be told without holding it.
func (p *Pool) checkView(h handle.Handle, v *handle.View) error {
	i, err := p.resolve(h)
	if err != nil {
		return err
	}
	n := p.desc(i).Bytes.Load()
	if p.gen(i) != h.Generation() {
		return nil // Adopt and Retain tell better what is wrong
	}
	return fits(v, n)
}

// fits tells whether all elements of a view lie within n bytes.
func fits(v *handle.View, n uint64) error {
	lo, hi, err := v.Bounds()
	if err != nil {
		return fmt.Errorf("view: %w", err)
	}
	if lo < 0 || n > math.MaxInt64 || hi > int64(n) {
		return &MismatchError{What: "view", Got: fmt.Sprintf("bytes %d to %d", lo, hi), Want: fmt.Sprintf("within %d bytes", n)}
	}
	return nil
}
