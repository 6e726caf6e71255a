package pool

import (
	"errors"

	"github.com/ndpool/ndpool/catalog"
	"github.com/ndpool/ndpool/handle"
)

// Names are looked up under the segment lock: in one hold the entry is found and what it stands for is held, so that a
// reader gets the old value or the new one, whole, and a tree of one moment. Metadata and attributes are read afterwards.

// namedBlocks is what the catalog needs to know of blocks. A handle that leads nowhere is a scribble, and nobody's.
type namedBlocks struct{ p *Pool }

func (b namedBlocks) Exists(h handle.Handle) bool {
	_, ok := b.p.liveBlock(h)
	return ok
}

func (b namedBlocks) Name(h handle.Handle) {
	if i, ok := b.p.liveBlock(h); ok {
		b.p.refs.Name(i)
	}
}

func (b namedBlocks) Unname(h handle.Handle) {
	if i, ok := b.p.liveBlock(h); ok && b.p.refs.Unname(i) {
		b.p.endLocked(i)
	}
}

func (b namedBlocks) CountName(h handle.Handle) {
	if i, ok := b.p.liveBlock(h); ok {
		b.p.refs.CountName(i)
	}
}

// Item is what a name stands for.
type Item struct {
	Array   *Array // nil: a group
	Attrs   Attrs  // nil: none
	Version uint64 // set by LookupItem: grows with each change of the name, and never comes back
}

// Lookup returns the array of a name, as one more reference. The caller must Release it. It fails with ErrNoName, and with
// ErrGroup for a group. Errors are *NameErrors.
func (p *Pool) Lookup(path string, ro ...ReadOnly) (*Array, error) {
	it, err := p.lookup("lookup", path, ro, false)
	return it.Array, err
}

// LookupItem returns the array, the attributes and the version of a name, all of one moment; a group has no array. The
// caller must Release the array.
func (p *Pool) LookupItem(path string, ro ...ReadOnly) (Item, error) {
	return p.lookup("lookup", path, ro, true)
}

func (p *Pool) lookup(verb, path string, ro []ReadOnly, whole bool) (it Item, err error) {
	if err := p.enter(); err != nil {
		return it, err
	}
	defer p.leave()
	defer func() { err = p.nameError(verb, path, err) }()
	v, h, err := p.holdName(path, whole)
	if err != nil {
		return it, err
	}
	it.Version = v.Version
	it.Attrs, err = p.takeAttrs(h.attrs)
	if h.array >= 0 && err != nil {
		p.drop(h.array)
	} else if h.array >= 0 {
		it.Array, err = p.heldArray(h.array, wantReadOnly(ro))
	}
	return it, err
}

// heldArray returns the value of a reference that this process has, and ends it if the array cannot be read.
func (p *Pool) heldArray(i int, readOnly bool) (*Array, error) {
	var buf shapeBuf
	m, shape, err := p.read(i, &buf)
	if err != nil {
		p.drop(i)
		return nil, err
	}
	return p.newArray(i, &m, shape, readOnly)
}

// heldBlocks are the blocks of a value that this process has a reference to each; -1 is none.
type heldBlocks struct{ array, attrs int }

// holdName finds a name and holds what it stands for: the array, and its attributes if whole says so, which may be a group's.
func (p *Pool) holdName(path string, whole bool) (v catalog.Value, h heldBlocks, err error) {
	if err := catalog.CheckPath(path); err != nil {
		return v, h, err
	}
	err = p.withNames(func() error {
		e, err := p.names.Find(path)
		if err != nil {
			return err
		}
		v = p.names.Value(e)
		if v.IsGroup() && !whole {
			return errIsGroup
		}
		if i, ok := p.liveBlock(v.Array); ok && p.isRing(i) {
			return errRing
		}
		h, err = p.holdLocked(v, whole)
		return err
	})
	return v, h, err
}

// holdLocked holds the blocks of a value, the attributes only if asked to. While the value counts they are NAMED, and the
// lock keeps it.
func (p *Pool) holdLocked(v catalog.Value, attrs bool) (heldBlocks, error) {
	h := heldBlocks{-1, -1}
	for _, b := range [...]struct {
		handle handle.Handle
		to     *int
	}{{v.Array, &h.array}, {v.Attributes, &h.attrs}} {
		if b.handle == 0 || b.to == &h.attrs && !attrs {
			continue
		}
		i, ok := p.liveBlock(b.handle)
		if !ok {
			p.dropHeldLocked(h)
			return heldBlocks{-1, -1}, catalog.ErrTorn
		}
		p.refs.Hold(i)
		*b.to = i
	}
	return h, nil
}

// dropHeld ends what holdLocked began.
func (p *Pool) dropHeld(h heldBlocks) {
	for _, i := range [...]int{h.array, h.attrs} {
		if i >= 0 {
			p.drop(i)
		}
	}
}

// dropHeldLocked is dropHeld under the segment lock.
func (p *Pool) dropHeldLocked(h heldBlocks) {
	for _, i := range [...]int{h.array, h.attrs} {
		if i >= 0 {
			p.dropRef(i)
		}
	}
}

// withNames runs look under the lock, and once more after a rebuild if it finds the catalog torn. look allocates nothing.
func (p *Pool) withNames(look func() error) error {
	if err := p.lock(); err != nil {
		return err
	}
	defer p.unlock()
	p.flushLocked()
	err := look()
	if errors.Is(err, catalog.ErrTorn) {
		p.rebuildLocked()
		err = look()
	}
	return err
}

// findName returns the entry of a path and the number of its use. Precondition: the caller is inside a verb.
func (p *Pool) findName(verb, path string) (entry int, nonce uint32, err error) {
	err = catalog.CheckPath(path)
	if err == nil {
		err = p.withNames(func() (err error) {
			if entry, err = p.names.Find(path); err == nil {
				nonce = p.names.Nonce(entry)
			}
			return err
		})
	}
	return entry, nonce, p.nameError(verb, path, err)
}

// nameError says which name an error is about.
func (p *Pool) nameError(verb, path string, err error) error {
	if err == nil {
		return nil
	}
	var ne *NameError
	if errors.As(err, &ne) {
		return err
	}
	return &NameError{Verb: verb, Path: path, Err: p.explain(err, 0)}
}
