package pool

import (
	"bytes"
	"fmt"
	"os"
	"reflect"
	"strings"
	"sync"
	"testing"
	"unsafe"

	"github.com/stretchr/testify/require"

	"github.com/ndpool/ndpool/arena"
	"github.com/ndpool/ndpool/arena/layout"
)

// Every bit of the bookkeeping that changes by itself must be noticed by a verification, unless it is in the list of
// those that cannot be: the words with a `free` tag in package layout, and the table unnoticed in flip_rules_test.go.
// docs/FORMAT.md has both lists.

// spot is a byte of the bookkeeping: of which field of which record.
type spot struct {
	off    uint64 // in the file
	region int
	index  int    // of the record in its region
	part   int    // of the struct in its record, where there are some: which value of a name, which reader or entry of a ring
	field  string // "Desc.Gen"; for regions of words, their title
	at     int    // byte within the field
	free   bool   // nothing rests on it at any time
}

// records are the regions that consist of structs.
var records = map[int]reflect.Type{
	layout.RegionControl:  reflect.TypeFor[layout.Control](),
	layout.RegionSlots:    reflect.TypeFor[layout.Slot](),
	layout.RegionPageTree: reflect.TypeFor[layout.PageNode](),
	layout.RegionSlabs:    reflect.TypeFor[layout.Slab](),
	layout.RegionTickets:  reflect.TypeFor[layout.Ticket](),
	layout.RegionNames:    reflect.TypeFor[layout.Name](),
	layout.RegionDescs:    reflect.TypeFor[layout.Desc](),
}

// nested are the fields that consist of structs themselves.
var nested = map[string]reflect.Type{"Name.Values": reflect.TypeFor[layout.NameValue]()}

// locate tells what a byte of a region belongs to.
func locate(region int, start, off uint64) spot {
	s := spot{off: off, region: region, field: layout.RegionTitles[region], at: int(off - start)}
	typ, ok := records[region]
	if !ok {
		return s
	}
	s.index, s.at = s.at/int(typ.Size()), s.at%int(typ.Size())
	s = s.within(typ)
	if typ, ok := nested[s.field]; ok {
		s.part, s.at = s.at/int(typ.Size()), s.at%int(typ.Size())
		s = s.within(typ)
	}
	return s
}

// within tells which field of a struct the byte is in.
func (s spot) within(typ reflect.Type) spot {
	for k := range typ.NumField() {
		f := typ.Field(k)
		if n := s.at - int(f.Offset); n >= 0 && n < int(f.Type.Size()) {
			s.field, s.at = typ.Name()+"."+f.Name, n
			why := f.Tag.Get("free")
			s.free = why != "" && !strings.HasPrefix(why, "not read") // those that are read at times have rules
			return s
		}
	}
	panic(fmt.Sprintf("no field at %d", s.off))
}

func (s spot) String() string { return fmt.Sprintf("%s %d, byte %d", s.field, s.index, s.at) }

// bookkeeping returns all bytes of a segment's tables, of the headers of its arrays, and of its rings.
func bookkeeping(a *arena.Arena) (spots []spot) {
	for region := layout.RegionControl; region < layout.RegionData; region++ {
		r := a.Geo.Regions[region]
		for off := r.Offset; off < r.Offset+r.Size; off++ {
			spots = append(spots, locate(region, r.Offset, off))
		}
		// Bytes between the tables; before the data they may be a chunk.
		end := a.Geo.Regions[region+1].Offset
		for off := r.Offset + r.Size; off < end; off += (end-r.Offset-r.Size)/16 + 1 {
			spots = append(spots, spot{off: off, region: region, field: "gap"})
		}
	}
	for i := range a.Descs {
		d := &a.Descs[i]
		if k := layout.State(d.State.Load()).Kind(); k != layout.Live && k != layout.Private {
			continue
		}
		start := a.Geo.Regions[layout.RegionData].Offset + layout.Extent(d.Extent.Load()).Offset()
		if d.Flags.Load()&layout.DescRing != 0 {
			spots = append(spots, ringSpots(overRing(a, i), i, start)...)
		}
		for at := range int(d.Header.Load()) {
			spots = append(spots, spot{off: start + uint64(at), region: layout.RegionData, index: i, field: "header", at: at})
		}
	}
	return spots
}

// ringSpots returns all bytes of a ring.
func ringSpots(r handRing, i int, start uint64) (spots []spot) {
	entries := uint64(len(r.words)*8) - uint64(len(r.entries))*layout.RingEntrySize
	readers := layout.RingSize + uint64(len(r.readers))*layout.RingReaderSize
	for at := range uint64(len(r.words) * 8) {
		s := spot{off: start + at, region: layout.RegionData, index: i}
		switch {
		case at < layout.RingSize:
			s.at = int(at)
			s = s.within(reflect.TypeFor[layout.Ring]())
		case at < readers:
			s.part, s.at = int((at-layout.RingSize)/layout.RingReaderSize), int((at-layout.RingSize)%layout.RingReaderSize)
			s = s.within(reflect.TypeFor[layout.RingReader]())
		case at < entries:
			s.field = "gap"
		default:
			s.part, s.at = int((at-entries)/layout.RingEntrySize), int((at-entries)%layout.RingEntrySize)
			s = s.within(reflect.TypeFor[layout.RingEntry]())
		}
		spots = append(spots, s)
	}
	return spots
}

// bits returns which bits of a byte are flipped: all of them in a long run; else one, or all where every bit has a meaning of
// its own. Most bytes of records of which there are many are left out.
func (s spot) bits(was *arena.Arena) (bits []int) {
	all := []int{0, 1, 2, 3, 4, 5, 6, 7}
	if s.off%29 != 0 && s.common(was) {
		return nil
	}
	if long() {
		return all
	}
	switch s.field {
	case "committed", "Slot.Word", "Ticket.Word", "Desc.State", "Desc.Gen", "Name.Word", "Name.Lock", "RingEntry.Word":
		return all
	case "Ticket.Sender", "Ticket.Receiver", "NameValue.Owner", "Control.Change", "Desc.Header", "Desc.DType", "Desc.NDim", "Desc.Flags",
		"Ring.Kind", "Ring.Flags", "Ring.Entries", "Ring.Readers", "Ring.Head", "Ring.Tail", "Ring.Items", "Ring.Writer", "Ring.State", "RingReader.Reader", "RingReader.Position":
		if s.at == 0 {
			return all
		}
	}
	return all[s.off%8:][:1]
}

// common tells whether a byte is of a record like many others.
func (s spot) common(was *arena.Arena) bool {
	switch s.region {
	case layout.RegionDescs:
		k := layout.State(was.Descs[s.index].State.Load()).Kind()
		return s.index%256 > 1 && (k == layout.Free || k == layout.Cached)
	case layout.RegionSlabs:
		return was.Slabs[s.index].Head.Load() == 0
	case layout.RegionTickets:
		return s.index > 12
	case layout.RegionNames:
		return s.index > 12
	}
	return s.field == "Control.Reserved"
}

// flips is a test of one segment, by one goroutine.
type flips struct {
	t    *testing.T
	was  *arena.Arena // never changed
	now  *arena.Arena // changed and changed back
	used map[string]int
	n    int
}

// try flips one bit and wants that it is noticed, or that a rule says why not.
func (f *flips) try(s spot, bit int) {
	img := f.now.Image()
	img[s.off] ^= 1 << bit
	defer func() { img[s.off] ^= 1 << bit }()
	f.n++
	report := checkImage(f.now, VerifyOptions{Content: true})
	if len(report.Faults) > 0 || s.free {
		return
	}
	for _, r := range unnoticed {
		if r.field == s.field && r.holds(f, s, bit) {
			f.used[r.key()]++
			return
		}
	}
	f.t.Errorf("%v, bit %d: nobody noticed", s, bit)
}

func TestFlippedBitsAreNoticed(t *testing.T) {
	const workers = 2
	used, n := map[string]int{}, 0
	for name, segment := range map[string][]byte{"busy": newWorld(t).heap.Bytes(), "rest": newWorldAtRest(t).Bytes()} {
		was := openImage(t, segment)
		spots := bookkeeping(was)
		parts := make([]*flips, workers)
		var wg sync.WaitGroup
		for k := range parts {
			parts[k] = &flips{t: t, was: was, now: openImage(t, segment), used: map[string]int{}}
			wg.Go(func() {
				step := workers
				switch {
				case testing.Short():
					step *= 37
				case name == "rest" && !long():
					step *= 3 // most is as in the other one
				}
				for i := k; i < len(spots) && !t.Failed(); i += step {
					for _, bit := range spots[i].bits(was) {
						parts[k].try(spots[i], bit)
					}
				}
			})
		}
		wg.Wait()
		for _, p := range parts {
			require.True(t, bytes.Equal(segment, p.now.Image()), name)
			n += p.n
			for rule, times := range p.used {
				used[rule] += times
			}
		}
	}
	for _, r := range unnoticed {
		if testing.Short() {
			break
		}
		require.NotZero(t, used[r.key()], "rule %s was not needed", r.key())
	}
	t.Logf("%d bits flipped", n)
}

// TestFlippedSuperblockIsRefused flips every bit of the first page; a part of it through VerifyImage.
func TestFlippedSuperblockIsRefused(t *testing.T) {
	a := openImage(t, newWorld(t).heap.Bytes())
	path := imageOf(t, a.Image())
	for off := range layout.SuperblockSize {
		sb := a.Super
		unsafe.Slice((*byte)(unsafe.Pointer(&sb)), layout.SuperblockSize)[off] ^= 1 << (off % 8)
		_, err := arena.CheckSuper(&sb, "image", a.Geo.FileSize)
		require.ErrorIs(t, err, arena.ErrFormat, "byte %d", off)
		if off%64 != 0 {
			continue
		}
		file := must(os.OpenFile(path, os.O_RDWR, 0))
		b := []byte{a.Image()[off] ^ 1}
		must(file.WriteAt(b, int64(off)))
		r, err := VerifyImage(path, VerifyOptions{})
		require.NoError(t, err)
		require.Equal(t, "superblock", r.Faults[0].Law)
		b[0] ^= 1
		must(file.WriteAt(b, int64(off)))
		file.Close()
	}
}
