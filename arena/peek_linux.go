package arena

import (
	"errors"
	"fmt"
	"io"

	"golang.org/x/sys/unix"

	"github.com/ndpool/ndpool/arena/layout"
)

// Peek copies the truth of a segment into private memory: nothing is attached, no slot is taken, nothing of the segment
// is written, mapped or given memory, and whoever may read the file may look. The derived indexes are left zero, and the
// lock is nobody's. Each descriptor is whole; the whole is of slightly different moments. Call Close.
func Peek(loc Location) (*Arena, error) {
	if err := CheckName(loc.Name); err != nil {
		return nil, err
	}
	a := &Arena{path: loc.Path(), self: layout.MakeIdent(0, 0)} // a process that never was: incarnations count from 1
	if err := peek(loc, a); err != nil {
		if a.back != nil {
			a.Close()
		}
		return nil, err
	}
	return a, nil
}

// peek opens the file and copies it. What it leaves open at an error is the arena's.
func peek(loc Location, a *Arena) (err error) {
	f := &file{loc: loc, path: loc.Path()}
	if f.fd, err = openPath(loc.Path(), unix.O_RDONLY); err != nil {
		return err
	}
	a.back = f
	st, err := f.regular()
	if err != nil {
		return err
	}
	if err := readSuper(f.fd, f.path, &a.Super); err != nil {
		return err
	}
	if a.Geo, err = CheckSuper(&a.Super, f.path, uint64(st.Size)); err != nil {
		return err
	}
	f.mem, err = unix.Mmap(-1, 0, int(a.Geo.FileSize), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANON|unix.MAP_NORESERVE)
	if err != nil {
		return fmt.Errorf("peek %s: map %d bytes: %w", f.path, a.Geo.FileSize, err)
	}
	a.lay(f.mem)
	return f.copyTruth(a)
}

// copyTruth copies the tables that are truth, of the descriptors those that have memory.
func (f *file) copyTruth(a *Arena) error {
	for _, kind := range []int{layout.RegionControl, layout.RegionSlots, layout.RegionCommitted, layout.RegionTickets} {
		r := a.Geo.Regions[kind]
		if err := f.copyIn(f.mem[r.Offset:r.Offset+r.Size], r.Offset); err != nil {
			return err
		}
	}
	names := f.mem[a.Geo.Regions[layout.RegionNames].Offset:][:uint64(min(int(a.Ctl.Names.Load()), len(a.Names)))*layout.NameSize]
	if err := f.copyIn(names, a.Geo.Regions[layout.RegionNames].Offset); err != nil {
		return err
	}
	a.Ctl.Lock.Store(0)
	const batch = 1024
	again := make([]uint64, batch*layout.DescSize/8)
	for lo, n := 0, min(int(a.Ctl.Descs.Load()), len(a.Descs)); lo < n; lo += batch {
		if err := f.copyDescs(a, lo, min(lo+batch, n), again); err != nil {
			return err
		}
	}
	return nil
}

// copyDescs copies descriptors [lo, hi). A state word never comes back, so what lies between two looks at the same one is whole.
// The others are looked at again, a few times.
func (f *file) copyDescs(a *Arena, lo, hi int, again []uint64) error {
	off := a.Geo.Regions[layout.RegionDescs].Offset + uint64(lo)*layout.DescSize
	mine := f.mem[off:][:uint64(hi-lo)*layout.DescSize]
	if err := f.copyIn(mine, off); err != nil {
		return err
	}
	const words = int(layout.DescSize / 8)
	whole := make([]bool, hi-lo)
	for range 4 {
		if err := f.copyIn(heapBytes(again)[:len(mine)], off); err != nil {
			return err
		}
		changed := false
		for k := range whole {
			if whole[k] = whole[k] || a.Descs[lo+k].State.Load() == again[k*words]; !whole[k] {
				copy(mine[k*int(layout.DescSize):][:layout.DescSize], heapBytes(again[k*words:][:words]))
				changed = true
			}
		}
		if !changed {
			return nil
		}
	}
	return nil
}

// copyIn reads len(b) bytes of the file from off on. A read, unlike a mapping, puts no memory behind a hole.
func (f *file) copyIn(b []byte, off uint64) error {
	for len(b) > 0 {
		n, err := unix.Pread(f.fd, b, int64(off))
		switch {
		case errors.Is(err, unix.EINTR):
			continue
		case err != nil:
			return wrapPath("read", f.path, err)
		case n == 0:
			return wrapPath("read", f.path, io.ErrUnexpectedEOF)
		}
		b, off = b[n:], off+uint64(n)
	}
	return nil
}

// Fetch copies n bytes from byte off of the data region into private memory, where Data finds them.
// Precondition: the arena is that of a Peek.
func (a *Arena) Fetch(off, n uint64) error {
	return a.back.(*file).copyIn(a.Data(off, n), a.Geo.Regions[layout.RegionData].Offset+off)
}

// FetchDesc copies a descriptor's first words anew: state, generation, extent.
// Precondition: the arena is that of a Peek.
func (a *Arena) FetchDesc(i int) error {
	off := a.Geo.Regions[layout.RegionDescs].Offset + uint64(i)*layout.DescSize
	f := a.back.(*file)
	return f.copyIn(f.mem[off:off+24], off)
}

// Attended tells whether anybody is attached.
func (a *Arena) Attended() (bool, error) { return a.back.held(layout.PoolByte) }
