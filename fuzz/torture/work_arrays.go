package main

import (
	"context"
	"errors"
	"time"

	"github.com/ndpool/ndpool/dtype"
	"github.com/ndpool/ndpool/pool"
)

// types are the element types of arrays: all kinds, both byte orders, sizes that are no power of two, and fields.
var types = parseTypes("<u8", "<u8", "<u8", "|b1", "|i1", "|u1", "<i2", "<u2", "<i4", "<u4", "<i8", "<f2", "<f4", "<f8", "<c8", "<c16", ">f4", ">i8",
	"<M8[ns]", "<m8[10ms]", "|S7", "<U3", "|V5",
	`{"itemsize":12,"fields":[["x","<f4",0],["y","<f4",4],["id","<u4",8]]}`,
	`{"itemsize":27,"fields":[["a","|u1",0],["m","<f8",1,[3]],["t",{"itemsize":2,"fields":[["p","|i1",0],["q","|b1",1]]},25]]}`)

func parseTypes(texts ...string) (ts []dtype.Type) {
	for _, text := range texts {
		t, err := dtype.Parse(text)
		if err != nil {
			panic(err)
		}
		ts = append(ts, t)
	}
	return ts
}

// spec returns what to allocate. Most arrays are small, few are large; some have very many dimensions, or no elements.
func (l *lane) spec() pool.Spec {
	s := pool.Spec{DType: types[l.rng.IntN(len(types))], Fortran: l.rng.IntN(4) == 0, Zero: l.rng.IntN(5) == 0}
	bytes := 1 << (3 + l.rng.IntN(16))
	if l.rng.IntN(300) == 0 {
		bytes = 1 << (20 + l.rng.IntN(4))
	}
	s.Shape = l.shape(1 + l.rng.IntN(max(bytes/max(s.DType.Size(), 1), 1)))
	return s
}

// shape returns one of about n elements.
func (l *lane) shape(n int) []int {
	dims := l.rng.IntN(5)
	switch l.rng.IntN(100) {
	case 0:
		return []int{l.rng.IntN(4), 0, l.rng.IntN(4)}
	case 1, 2, 3:
		dims = 9 + l.rng.IntN(4)
	case 4:
		dims = 64
	}
	if dims == 0 {
		return nil
	}
	shape := make([]int, dims)
	for k := range shape[:dims-1] {
		shape[k] = 1
		if n > 4 {
			shape[k] += l.rng.IntN(4)
		}
		n /= shape[k]
	}
	shape[dims-1] = max(n, 1)
	return shape
}

// alloc makes an array, fills it and keeps it.
func (l *lane) alloc() error {
	s := l.spec()
	var a *pool.Array
	var err error
	switch {
	case s.Fortran || s.Zero && l.rng.IntN(2) == 0:
		a, err = l.p.New(s)
	case s.Zero:
		a, err = l.p.Zeros(s.DType, s.Shape...)
	default:
		a, err = l.p.Alloc(s.DType, s.Shape...)
	}
	if err != nil {
		return err
	}
	return l.made(a, s)
}

// made checks that a new array is what was asked for, and fills it.
func (l *lane) made(a *pool.Array, s pool.Spec) error {
	n := 1
	for _, d := range s.Shape {
		n *= d
	}
	if a.Len() != n || a.NDim() != len(s.Shape) || !a.DType().Equal(s.DType) || a.IsReadOnly() || a.IsView() {
		return faultf("new array: got %v %v, expected %v %v", a.DType(), a.Shape(), s.DType, s.Shape)
	}
	if s.Zero {
		b, err := a.Bytes()
		if err != nil {
			return err
		}
		for i, x := range b {
			if x != 0 {
				return faultf("new array %v of zeros: byte %d of %d is %#x", a.Handle(), i, len(b), x)
			}
		}
	}
	if l.Plant == "nofill" && a.Size() > 100 && l.rng.IntN(10) == 0 {
		return l.hold(a)
	}
	fill(a)
	l.remark(a.Handle().String())
	return l.hold(a)
}

// allocWait allocates much, and waits for room; it does not wait for what can never be.
func (l *lane) allocWait() error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Duration(1+l.rng.IntN(20))*time.Millisecond)
	defer cancel()
	s := pool.Spec{DType: dtype.Uint8, Shape: []int{1 << (16 + l.rng.IntN(8))}}
	if l.rng.IntN(10) == 0 {
		s.Shape[0] = int(l.p.Options().Capacity) + 1
		a, err := l.p.NewContext(ctx, s)
		if err == nil {
			a.Release()
			return faultf("allocated %d bytes of %d", s.Shape[0], s.Shape[0]-1)
		}
		if !errors.Is(err, pool.ErrFull) || errors.Is(err, context.DeadlineExceeded) {
			return faultf("wait for %d bytes of %d: %v", s.Shape[0], s.Shape[0]-1, err)
		}
		return nil
	}
	a, err := l.p.NewContext(ctx, s)
	if err != nil {
		return err
	}
	if err := l.makeRoom(); err != nil {
		return err
	}
	return l.made(a, s)
}

// private works on arrays that nobody is ever told of: their handles are not asked for.
func (l *lane) private() error {
	var as []*pool.Array
	for k := range 1 + l.rng.IntN(8) {
		a, err := l.p.Alloc(dtype.Uint8, 1<<l.rng.IntN(14)+l.rng.IntN(100))
		if err != nil {
			return l.endPrivate(as, err)
		}
		b, err := a.Bytes()
		if err != nil {
			return l.endPrivate(as, err)
		}
		fillBytes(b, uint64(k))
		as = append(as, a)
	}
	l.pause()
	return l.endPrivate(as, nil)
}

func (l *lane) endPrivate(as []*pool.Array, err error) error {
	for k, a := range as {
		b, wrong := a.Bytes()
		if wrong != nil {
			return wrong
		}
		if i, ok := checkBytes(b, uint64(k), 0); !ok {
			return faultf("private array %v: byte %d of %d: got %#x, expected %#x", a.Handle(), i, len(b), b[i], patternByte(uint64(k), i))
		}
		l.tally.checked(len(b))
		a.Release()
	}
	return err
}

// block uses raw bytes, which others may get as an array.
func (l *lane) block() error {
	b, err := l.p.AllocBlock(1 + l.rng.IntN(1<<(3+l.rng.IntN(12))))
	if err != nil {
		return err
	}
	defer b.Release()
	if l.rng.IntN(2) == 0 {
		fillBytes(b.Bytes(), 7)
		l.pause()
		if i, ok := checkBytes(b.Bytes(), 7, 0); !ok {
			return faultf("block of %d bytes: byte %d is %#x", len(b.Bytes()), i, b.Bytes()[i])
		}
		return nil
	}
	h := b.Handle()
	fillBytes(b.Bytes(), uint64(h))
	t, err := b.Send()
	if err != nil {
		return err
	}
	if l.rng.IntN(2) == 0 {
		return l.say(lineTransfer, t)
	}
	c, err := l.p.AdoptBlock(t)
	if err != nil {
		return err
	}
	defer c.Release()
	if i, ok := checkBytes(c.Bytes(), uint64(h), 0); !ok || c.Handle() != h {
		return faultf("block %v adopted as %v: byte %d of %d", h, c.Handle(), i, len(c.Bytes()))
	}
	return nil
}

// flood takes all there is, so that others are short of it, and gives it back.
func (l *lane) flood() error {
	var as []*pool.Array
	defer func() {
		for _, a := range as {
			a.Release()
		}
	}()
	for range 64 {
		a, err := l.p.Alloc(dtype.Uint8, 1<<(12+l.rng.IntN(10)))
		if err != nil {
			return err
		}
		as = append(as, a)
	}
	return nil
}

// hold checks an array that the lane got, and keeps it.
func (l *lane) hold(a *pool.Array) error {
	l.held = append(l.held, a)
	return l.check(a)
}

func (l *lane) check(a *pool.Array) error {
	l.tally.checked(a.Size())
	return check(a)
}

func (l *lane) any() *pool.Array { return l.held[l.rng.IntN(len(l.held))] }

func (l *lane) checkAny() error {
	a := l.any()
	if l.Plant == "flip" && !a.IsReadOnly() && !a.IsView() && a.Size() > 0 {
		b, err := a.Bytes()
		if err != nil {
			return err
		}
		b[l.rng.IntN(len(b))] ^= 1
	}
	return l.check(a)
}

func (l *lane) releaseAny() error { return l.release(l.rng.IntN(len(l.held))) }

// release checks an array for the last time.
func (l *lane) release(k int) error {
	a := l.held[k]
	err := l.check(a)
	l.remark(a.Handle().String())
	a.Release()
	l.held[k] = l.held[len(l.held)-1]
	l.held = l.held[:len(l.held)-1]
	return err
}

// makeRoom releases some arrays until there is room for another one.
func (l *lane) makeRoom() error {
	for len(l.held) >= maxHeld {
		if err := l.releaseAny(); err != nil {
			return err
		}
	}
	return nil
}

// retainAgain takes one more reference to what it has already.
func (l *lane) retainAgain() error {
	h := l.any().Handle()
	a, err := l.p.Retain(h, pool.ReadOnly(l.rng.IntN(2) == 0))
	if err != nil {
		return faultf("retain %v, which is held: %v", h, err)
	}
	if err := l.makeRoom(); err != nil {
		return err
	}
	return l.hold(a)
}

// seal makes an array immutable. Whoever else has it, or another reference to it, is in the way.
func (l *lane) seal() error {
	a, hashed := l.any(), l.rng.IntN(2) == 0
	if err := a.Seal(hashed); err != nil {
		return err
	}
	if !a.IsSealed() || !a.IsReadOnly() {
		return faultf("array %v is not sealed", a.Handle())
	}
	if hashed {
		if err := a.CheckHash(); err != nil {
			return faultf("array %v that was just sealed: %v", a.Handle(), err)
		}
	}
	return l.check(a)
}

// checkHash compares content and hash, if there is one.
func (l *lane) checkHash() error {
	a := l.any()
	err := a.CheckHash()
	if err == nil || errors.Is(err, pool.ErrMismatch) && !errors.Is(err, pool.ErrHash) {
		return nil
	}
	return faultf("array %v: %v", a.Handle(), err)
}
