package arena

import (
	"errors"
	"strings"
	"testing"

	"github.com/ndpool/ndpool/arena/layout"
)

// damage is one way in which a superblock can be wrong. The first check that fails says so.
type damage struct {
	name   string
	change func(*layout.Superblock)
	resum  bool // the checksum is right: the damage was made by a program
	what   string
	got    string // part of the message
	want   string // part of the message
}

var damages = []damage{
	{"foreign", func(s *layout.Superblock) { copy(s.Magic[:], "\x7fELF\x02\x01\x01\x00") }, false, "magic", "ELF", "ndpool"},
	{"byte order", func(s *layout.Superblock) { s.ByteOrder = 0x04030201 }, false, "byte order", "67305985", "16909060"},
	{"older", func(s *layout.Superblock) { s.Version = 0 }, false, "older", "got 0", "expected 1"},
	{"newer", func(s *layout.Superblock) { s.Version = 2 }, false, "newer", "got 2", "expected 1"},
	{"fingerprint", func(s *layout.Superblock) { s.Fingerprint = 12345 }, false, "fingerprint", "12345", "expected"},
	{"bit in checksum", func(s *layout.Superblock) { s.Checksum ^= 1 }, false, "checksum", "got", "expected"},
	{"bit in id", func(s *layout.Superblock) { s.Segment[3] ^= 1 }, false, "checksum", "got", "expected"},
	{"bit in reserved", func(s *layout.Superblock) { s.Reserved[100] ^= 1 }, false, "checksum", "got", "expected"},
	{"bit in the last byte", func(s *layout.Superblock) { s.Reserved[len(s.Reserved)-1] ^= 1 }, false, "checksum", "got", "expected"},
	{"unknown flag", func(s *layout.Superblock) { s.Flags |= 1 << 31 }, true, "flags", "2147483648", "15"},
	{"no processes", func(s *layout.Superblock) { s.Processes = 0 }, true, "limits", "processes 0", "limits"},
	{"huge arrays", func(s *layout.Superblock) { s.Arrays = ^uint32(0) }, true, "limits", "arrays", "limits"},
	{"huge capacity", func(s *layout.Superblock) { s.Capacity = 1 << 63 }, true, "limits", "capacity", "limits"},
	{"more arrays", func(s *layout.Superblock) { s.Arrays++ }, true, "region directory", "got", "expected"},
	{"region moved", func(s *layout.Superblock) { s.Regions[5].Offset += 4096 }, true, "region directory", "got", "expected"},
	{"region added", func(s *layout.Superblock) { s.Regions[15].Kind = 99 }, true, "region directory", "{99", "{0"},
	{"file size", func(s *layout.Superblock) { s.FileSize += 4096 }, true, "file size", "got", "expected"},
}

// apply damages a private superblock.
func (d damage) apply(sb *layout.Superblock) {
	d.change(sb)
	if d.resum {
		sb.Checksum = checksum(*sb)
	}
}

// check looks at the error of opening a segment with this damage.
func (d damage) check(t *testing.T, err error) {
	t.Helper()
	var f *FormatError
	if !errors.As(err, &f) || !errors.Is(err, ErrFormat) {
		t.Fatalf("got %v, want a FormatError", err)
	}
	msg := err.Error()
	if !strings.Contains(f.What, d.what) || !strings.Contains(msg, d.got) || !strings.Contains(msg, d.want) || f.Got == nil || f.Want == nil {
		t.Errorf("got %q, want %q with %q and %q", msg, d.what, d.got, d.want)
	}
}

func TestCheckSuper(t *testing.T) {
	good, g, err := newSuper(testSpec())
	if err != nil {
		t.Fatal(err)
	}
	if got, err := CheckSuper(&good, "path", g.FileSize); err != nil || got != g {
		t.Fatalf("a new superblock: %v", err)
	}
	for _, d := range damages {
		t.Run(d.name, func(t *testing.T) {
			sb := good
			d.apply(&sb)
			_, err := CheckSuper(&sb, "path", g.FileSize)
			d.check(t, err)
		})
	}
	for _, size := range []uint64{0, 4096, g.FileSize - 1, g.FileSize + 1} {
		_, err := CheckSuper(&good, "path", size)
		damage{what: "file size", got: "got", want: "expected"}.check(t, err)
	}
}

// TestCheckSuperEveryBit flips each bit of a superblock: nothing passes unnoticed.
func TestCheckSuperEveryBit(t *testing.T) {
	good, g, err := newSuper(testSpec())
	if err != nil {
		t.Fatal(err)
	}
	for bit := range 8 * layout.SuperblockSize {
		sb := good
		superBytes(&sb)[bit/8] ^= 1 << (bit % 8)
		if _, err := CheckSuper(&sb, "path", g.FileSize); !errors.Is(err, ErrFormat) {
			t.Fatalf("bit %d: got %v", bit, err)
		}
	}
}

func FuzzCheckSuper(f *testing.F) {
	good, g, err := newSuper(testSpec())
	if err != nil {
		f.Fatal(err)
	}
	f.Add(superBytes(&good), g.FileSize)
	f.Fuzz(func(t *testing.T, b []byte, size uint64) {
		var sb layout.Superblock
		copy(superBytes(&sb), b)
		sb.Magic, sb.ByteOrder, sb.Version, sb.Fingerprint = layout.Magic, layout.ByteOrder, layout.Version, layout.Fingerprint
		sb.Checksum = checksum(sb)
		if g, err := CheckSuper(&sb, "path", size); err == nil && g.FileSize != size {
			t.Fatalf("passed with %d bytes, wants %d", size, g.FileSize)
		}
	})
}
