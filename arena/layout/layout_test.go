package layout_test

import (
	"reflect"
	"testing"

	"github.com/ndpool/ndpool/arena/layout"
	"github.com/ndpool/ndpool/internal/shm"
)

// sizes is written by hand on purpose: it changes only when somebody means to change the format.
var sizes = map[reflect.Type]uintptr{
	reflect.TypeFor[layout.Region]():     24,
	reflect.TypeFor[layout.Superblock](): 4096,
	reflect.TypeFor[layout.Control]():    4096,
	reflect.TypeFor[layout.Slot]():       128,
	reflect.TypeFor[layout.Dim]():        16,
	reflect.TypeFor[layout.Desc]():       256,
	reflect.TypeFor[layout.Ticket]():     64,
	reflect.TypeFor[layout.PageNode]():   16,
	reflect.TypeFor[layout.Slab]():       40,
	reflect.TypeFor[layout.NameValue]():  32,
	reflect.TypeFor[layout.Name]():       448,
	reflect.TypeFor[layout.Ring]():       256,
	reflect.TypeFor[layout.RingReader](): 16,
	reflect.TypeFor[layout.RingEntry]():  64,
}

func TestSizes(t *testing.T) {
	for typ, want := range sizes {
		if got := typ.Size(); got != want {
			t.Errorf("%s: got %d bytes, want %d", typ.Name(), got, want)
		}
	}
}

// TestOffsets fixes the places that matter for speed and for other implementations: each group of words that one party
// changes has cache lines of its own.
func TestOffsets(t *testing.T) {
	var (
		sb layout.Superblock
		c  layout.Control
		d  layout.Desc
		s  layout.Slot
		k  layout.Ticket
		n  layout.Name
		r  layout.Ring
		e  layout.RingEntry
	)
	for _, x := range []struct {
		of    any
		field string
		want  uintptr
	}{
		{sb, "Magic", 0}, {sb, "Version", 8}, {sb, "ByteOrder", 12}, {sb, "Fingerprint", 16}, {sb, "Checksum", 24},
		{sb, "Segment", 32}, {sb, "FileSize", 56}, {sb, "Regions", 112}, {sb, "Reserved", 496},
		{c, "Lock", 0}, {c, "SpaceSeq", 64}, {c, "Descs", 128}, {c, "Boot", 144}, {c, "Next", 192}, {c, "Takeovers", 256}, {c, "NamesSeq", 312}, {c, "Names", 320}, {c, "Change", 328}, {c, "Root", 336}, {c, "Reserved", 344},
		{d, "State", 0}, {d, "Gen", 8}, {d, "Extent", 16}, {d, "Holders", 24}, {d, "Tickets", 56}, {d, "Header", 60},
		{d, "DType", 64}, {d, "Hash", 88}, {d, "Dims", 96}, {d, "Names", 224}, {d, "Reserved", 232},
		{s, "Word", 0}, {s, "Pid", 8}, {s, "Comm", 32},
		{k, "Word", 0}, {k, "Handle", 8}, {k, "Sender", 16}, {k, "Receiver", 24}, {k, "Birth", 32}, {k, "Deadline", 40},
		{n, "Word", 0}, {n, "Values", 16}, {n, "Next", 80}, {n, "Lock", 96}, {n, "Turn", 100}, {n, "Readers", 112}, {n, "Text", 144}, {n, "Reserved", 400},
		{r, "Kind", 0}, {r, "Entries", 8}, {r, "Head", 64}, {r, "Tail", 72}, {r, "Writer", 88}, {r, "Ends", 96}, {r, "News", 128}, {r, "Room", 192},
		{e, "Number", 0}, {e, "Array", 8}, {e, "Word", 24}, {e, "Monotonic", 32}, {e, "Reserved", 56},
	} {
		f, ok := reflect.TypeOf(x.of).FieldByName(x.field)
		if !ok || f.Offset != x.want {
			t.Errorf("%T.%s: got %d (found %v), want %d", x.of, x.field, f.Offset, ok, x.want)
		}
	}
}

// TestNoPointersNoPadding looks at every member of every struct: fixed size, aligned to its size, beside the one before.
func TestNoPointersNoPadding(t *testing.T) {
	for typ := range sizes {
		at := uintptr(0)
		for i := range typ.NumField() {
			f := typ.Field(i)
			if f.Offset != at {
				t.Errorf("%s.%s: %d bytes of padding before it", typ.Name(), f.Name, f.Offset-at)
			}
			at = f.Offset + f.Type.Size()
			unit := plain(t, typ.Name()+"."+f.Name, f.Type)
			if unit > 0 && f.Offset%unit != 0 {
				t.Errorf("%s.%s: offset %d is not a multiple of %d", typ.Name(), f.Name, f.Offset, unit)
			}
		}
		if at != typ.Size() {
			t.Errorf("%s: %d bytes of padding at the end", typ.Name(), typ.Size()-at)
		}
	}
}

// plain checks that a type is made of numbers of fixed size, and returns the size of the largest.
func plain(t *testing.T, name string, typ reflect.Type) uintptr {
	t.Helper()
	switch typ {
	case reflect.TypeFor[shm.U64](), reflect.TypeFor[shm.U32]():
		return typ.Size()
	}
	switch typ.Kind() {
	case reflect.Uint8, reflect.Uint32, reflect.Uint64, reflect.Int64:
		return typ.Size()
	case reflect.Array:
		return plain(t, name, typ.Elem())
	case reflect.Struct:
		if _, known := sizes[typ]; known {
			return 8
		}
	}
	t.Errorf("%s: %v is no number of fixed size", name, typ)
	return 0
}
