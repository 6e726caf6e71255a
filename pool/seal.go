package pool

import (
	"fmt"

	"github.com/cespare/xxhash/v2"

	"github.com/ndpool/ndpool/arena/layout"
)

// Seal makes the array immutable for everybody from now on. It wants this process to be the only holder, with this one
// reference and no transfer in flight: ErrHeld otherwise, so that nobody keeps a writable view. The array's own memory is
// mapped read-only from then on; slices made before still point to writable memory, and must not be used.
//
// With hash the content's xxhash is stored, for CheckHash by whoever gets the array.
func (a *Array) Seal(hash bool) error {
	a.mustHold()
	if a.IsView() {
		return ErrView
	}
	if err := a.pool.enter(); err != nil {
		return err
	}
	defer a.pool.leave()
	p, i := a.pool, int(a.desc)
	st := p.refs.Lock(i)
	defer st.Unlock()
	if p.refs.Sealed(i) {
		return ErrSealed
	}
	d := p.desc(i)
	e, ok := p.extent(i)
	header, n := uint64(d.Header.Load()), uint64(len(a.mem))
	if !ok || header+n > e.Size() {
		return p.corrupt(i, "extent", uint64(e), fmt.Sprintf("one of %d+%d bytes", header, n))
	}
	mem, err := p.arena.ReadOnly(e.Offset()+header, n)
	if err != nil {
		return err
	}
	flags := d.Flags.Load() &^ layout.DescHashed
	if hash {
		// Before the seal: who sees the flag sees the hash. A death in between leaves a hash of an array that lives on unsealed.
		d.Hash.Publish(xxhash.Sum64(a.mem))
		flags |= layout.DescHashed
	}
	d.Flags.Publish(flags)
	if err := p.refs.SealLocked(i); err != nil {
		return err
	}
	a.mem = mem
	a.flags |= arrayReadOnly
	return nil
}

// IsSealed tells whether the array is immutable for everybody.
func (a *Array) IsSealed() bool {
	a.mustHold()
	return a.pool.refs.Sealed(int(a.desc))
}

// CheckHash compares the content of a sealed array with the hash that was stored when it was sealed: nil if they agree,
// ErrHash if not, ErrMismatch if there is no hash.
func (a *Array) CheckHash() error {
	a.mustHold()
	d := a.pool.desc(int(a.desc))
	if !a.IsSealed() || d.Flags.Load()&layout.DescHashed == 0 {
		return &MismatchError{What: "hash", Got: "none", Want: "a sealed array with a hash"}
	}
	if xxhash.Sum64(a.mem) != d.Hash.Load() {
		return ErrHash
	}
	return nil
}
