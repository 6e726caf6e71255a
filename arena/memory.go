package arena

import (
	"github.com/ndpool/ndpool/arena/layout"
)

// IsCommitted tells whether chunk c has memory behind it. The answer stays true while the caller owns bytes in it.
func (a *Arena) IsCommitted(c int) bool { return a.Committed[c/64].Load()&(1<<(c%64)) != 0 }

// CommitPages puts memory behind pages [first, first+n) of the data region and records it.
//
// Precondition: the caller owns the bytes as BUSY, and does not hold the segment lock: fallocate may block.
// A death between fallocate and the committed bit leaves memory behind a chunk that is not recorded; the next one
// commits it again, which is harmless.
func (a *Arena) CommitPages(first, n int) error {
	for c := first / layout.ChunkPages; c <= (first+n-1)/layout.ChunkPages; c++ {
		if a.IsCommitted(c) {
			continue
		}
		off, size := a.chunk(c)
		if err := a.back.commit(off, size); err != nil {
			return err
		}
		a.Committed[c/64].Or(1 << (c % 64))
	}
	return nil
}

// PunchChunk gives the memory of chunk c back to the system.
//
// Precondition: the caller owns all pages of the chunk as BUSY, and does not hold the segment lock. The bit goes first:
// a death in between leaves memory that is not recorded, and the next owner commits it again.
func (a *Arena) PunchChunk(c int) error {
	a.Committed[c/64].And(^uint64(1 << (c % 64)))
	off, size := a.chunk(c)
	return a.back.punch(off, size)
}

// CommitDescs puts memory behind the table of the first n descriptors, rounded up to a step, and returns how many that
// are. The caller then grows Ctl.Descs under the lock. Precondition: the caller does not hold the segment lock.
func (a *Arena) CommitDescs(from, n int) (int, error) {
	r := a.Geo.Regions[layout.RegionDescs]
	start := uint64(from) * layout.DescSize
	end := min((uint64(n)*layout.DescSize+layout.TableStep-1)/layout.TableStep*layout.TableStep, r.Size)
	if err := a.back.commit(r.Offset+start, end-start); err != nil {
		return 0, err
	}
	return int(end / layout.DescSize), nil
}

// CommitNames puts memory behind the catalog from entry from on to at least n entries, rounded up to a step, and returns how
// many have memory then. The caller then grows Ctl.Names under the lock. Precondition: the caller does not hold the segment lock.
func (a *Arena) CommitNames(from, n int) (int, error) {
	end := min((n+layout.NameStep-1)/layout.NameStep*layout.NameStep, a.Geo.Limits.Names)
	r := a.Geo.Regions[layout.RegionNames]
	if err := a.back.commit(r.Offset+uint64(from)*layout.NameSize, uint64(end-from)*layout.NameSize); err != nil {
		return 0, err
	}
	return end, nil
}

// chunk returns the place in the file and the length of a chunk; the last one may be short.
func (a *Arena) chunk(c int) (off, size uint64) {
	start := uint64(c) * layout.ChunkSize
	return a.Geo.Regions[layout.RegionData].Offset + start, min(layout.ChunkSize, a.Geo.Capacity-start)
}
