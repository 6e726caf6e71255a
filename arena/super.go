package arena

import (
	"crypto/rand"
	"time"

	"github.com/cespare/xxhash/v2"

	"github.com/ndpool/ndpool/arena/layout"
)

// Spec is what a segment is created with. It is stored in the superblock and never changes.
type Spec struct {
	Limits   layout.Limits
	Flags    uint32 // layout.Flag*
	Mode     uint32 // permission bits
	Grace    time.Duration
	LockWait time.Duration
}

// newSuper returns the superblock of a new segment.
func newSuper(s Spec) (layout.Superblock, layout.Geometry, error) {
	g, err := layout.Compute(s.Limits)
	if err != nil {
		return layout.Superblock{}, g, err
	}
	sb := layout.Superblock{
		Magic: layout.Magic, Version: layout.Version, ByteOrder: layout.ByteOrder, Fingerprint: layout.Fingerprint,
		Created: time.Now().UnixNano(), FileSize: g.FileSize, Capacity: s.Limits.Capacity,
		Arrays: uint32(s.Limits.Arrays), Processes: uint32(s.Limits.Processes),
		Tickets: uint32(s.Limits.Tickets), Names: uint32(s.Limits.Names),
		Flags: s.Flags, Mode: s.Mode, Grace: int64(s.Grace), LockWait: int64(s.LockWait),
	}
	copy(sb.Regions[:], g.Regions[1:])
	rand.Read(sb.Segment[:])
	sb.Checksum = checksum(sb)
	return sb, g, nil
}

// checksum returns the xxhash of the superblock with its checksum zero.
func checksum(sb layout.Superblock) uint64 {
	sb.Checksum = 0
	return xxhash.Sum64(superBytes(&sb))
}

// CheckSuper validates a private copy of a superblock read from path, whose file has fileSize bytes, and returns the
// geometry. Every number that is used later comes from this copy.
func CheckSuper(sb *layout.Superblock, path string, fileSize uint64) (layout.Geometry, error) {
	bad := func(what string, got, want any) (layout.Geometry, error) {
		return layout.Geometry{}, &FormatError{Path: path, What: what, Got: got, Want: want}
	}
	switch {
	case sb.Magic != layout.Magic:
		return bad("magic", string(sb.Magic[:]), string(layout.Magic[:]))
	case sb.ByteOrder != layout.ByteOrder:
		return bad("byte order", sb.ByteOrder, uint32(layout.ByteOrder))
	case sb.Version < layout.Version:
		return bad("version (made by an older ndpool)", sb.Version, layout.Version)
	case sb.Version > layout.Version:
		return bad("version (made by a newer ndpool)", sb.Version, layout.Version)
	case sb.Fingerprint != layout.Fingerprint:
		return bad("fingerprint of the layout", sb.Fingerprint, uint64(layout.Fingerprint))
	case sb.Checksum != checksum(*sb):
		return bad("checksum of the superblock", sb.Checksum, checksum(*sb))
	case sb.Flags&^layout.FlagsKnown != 0:
		return bad("flags", sb.Flags, uint32(layout.FlagsKnown))
	}
	g, err := layout.Compute(layout.Limits{Capacity: sb.Capacity, Arrays: int(sb.Arrays), Processes: int(sb.Processes),
		Tickets: int(sb.Tickets), Names: int(sb.Names)})
	if err != nil {
		return bad("limits", err, "limits of the format")
	}
	for i, r := range sb.Regions {
		want := layout.Region{}
		if i < layout.RegionCount {
			want = g.Regions[i+1]
		}
		if r != want {
			return bad("region directory", r, want)
		}
	}
	if sb.FileSize != g.FileSize || fileSize != g.FileSize {
		return bad("file size", fileSize, g.FileSize)
	}
	return g, nil
}
