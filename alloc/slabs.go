package alloc

import (
	"math/bits"

	"github.com/ndpool/ndpool/arena/layout"
)

// takeBlock returns a block of a class from the lowest slab that has one, or from a new slab.
func (al *Allocator) takeBlock(class int) (layout.Extent, error) {
	i, ok := al.avail[class].Next(0)
	if !ok {
		var err error
		if i, err = al.newSlab(class); err != nil {
			return 0, err
		}
	}
	s := &al.slabs[i]
	h := layout.SlabHead(s.Head.Get())
	if h.Class() != class || h.First()/layout.MinSlabPages != i || h.Free() == 0 ||
		h.First()+int(layout.Classes[class].Pages) > al.pages.pages {
		return 0, ErrTorn
	}
	for w := range s.Map {
		v := s.Map[w].Get()
		if v == 0 {
			continue
		}
		block := w*64 + bits.TrailingZeros64(v)
		if block >= int(layout.Classes[class].Blocks) {
			return 0, ErrTorn
		}
		s.Map[w].Put(v & (v - 1))
		s.Head.Put(uint64(layout.MakeSlab(class, h.Free()-1, h.First())))
		if h.Free() == 1 {
			al.avail[class].Remove(i)
		}
		return layout.SlabBlock(class, h.First(), block), nil
	}
	return 0, ErrTorn
}

// newSlab cuts a run of pages into blocks of a class and returns the slab's number.
func (al *Allocator) newSlab(class int) (int, error) {
	c := layout.Classes[class]
	first, err := al.pages.take(int(c.Pages))
	if err != nil {
		return 0, err
	}
	i := first / layout.MinSlabPages
	al.fill(i, class, first, int(c.Blocks))
	al.avail[class].Add(i)
	return i, nil
}

// fill writes a slab's record with its first free blocks free.
func (al *Allocator) fill(i, class, first, free int) {
	s := &al.slabs[i]
	for w := range s.Map {
		s.Map[w].Put(lowBits(free - w*64))
	}
	s.Head.Put(uint64(layout.MakeSlab(class, free, first)))
}

// lowBits returns a word with the n lowest bits set, for any n.
func lowBits(n int) uint64 {
	switch {
	case n <= 0:
		return 0
	case n >= 64:
		return ^uint64(0)
	}
	return 1<<n - 1
}

// giveBlock returns a block to its slab, and an empty slab's pages to the page map.
func (al *Allocator) giveBlock(e layout.Extent) {
	i, class := e.First()/layout.MinSlabPages, e.Class()
	s := &al.slabs[i]
	h := layout.SlabHead(s.Head.Get())
	if h.Class() != class || h.First() != e.First() {
		return // torn by a scribble; a rebuild finds the block free
	}
	w := &s.Map[e.Block()/64]
	w.Put(w.Get() | 1<<(e.Block()%64))
	free := h.Free() + 1
	s.Head.Put(uint64(layout.MakeSlab(class, free, h.First())))
	if free >= int(layout.Classes[class].Blocks) {
		al.avail[class].Remove(i)
		s.Head.Put(0)
		al.pages.mark(e.First(), int(layout.Classes[class].Pages), false)
		return
	}
	if free == 1 {
		al.avail[class].Add(i)
	}
}

// markBlock says that a block is in use, and with the first one of its slab that the slab exists.
func (al *Allocator) markBlock(e layout.Extent) {
	i, class := e.First()/layout.MinSlabPages, e.Class()
	s := &al.slabs[i]
	if s.Head.Get() == 0 {
		al.fill(i, class, e.First(), int(layout.Classes[class].Blocks))
		al.pages.set(e.First(), int(layout.Classes[class].Pages), true)
	}
	h := layout.SlabHead(s.Head.Get())
	w, bit := &s.Map[e.Block()/64], uint64(1)<<(e.Block()%64)
	if w.Get()&bit != 0 {
		w.Put(w.Get() &^ bit)
		s.Head.Put(uint64(layout.MakeSlab(class, h.Free()-1, h.First())))
	}
}
