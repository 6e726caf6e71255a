package arena

import (
	"errors"
	"os"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/ndpool/ndpool/arena/layout"
)

// TestMemfd shares a segment without a name by its descriptor, within the process and with a child.
func TestMemfd(t *testing.T) {
	loc := Location{Name: "anon", Anonymous: true}
	spec := testSpec()
	spec.Flags = layout.FlagAnonymous
	a := mustCreate(t, loc, spec)
	f, err := a.File()
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for _, size := range []int64{0, int64(a.Geo.FileSize) - 4096, int64(a.Geo.FileSize) + 4096} {
		if err := f.Truncate(size); !errors.Is(err, unix.EPERM) {
			t.Errorf("a sealed memfd was cut to %d bytes: %v", size, err)
		}
	}
	if err := a.CommitPages(0, 64); err != nil {
		t.Fatal(err)
	}
	b, err := Open(Location{FD: int(f.Fd())}, false, never)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	claim(t, b)
	if !a.Alive(b.Self()) || !b.Alive(a.Self()) || !b.Linked() {
		t.Errorf("alive: %v and %v", a.Alive(b.Self()), b.Alive(a.Self()))
	}
	if err := b.Unlink(); err != nil {
		t.Errorf("Unlink without a name: %v", err)
	}
	child := startChild(t, "attach", Location{FD: 3}, f)
	id := child.ident(t)
	if !a.Alive(id) {
		t.Error("the child with the passed descriptor is not alive")
	}
	child.kill(t)
	eventually(t, "death of the child", func() bool { return !a.Alive(id) })
	b.Leave(func() {})
}

// TestCreateInPassedFile makes a segment in an empty file of the caller's, and in no other.
func TestCreateInPassedFile(t *testing.T) {
	f, err := os.CreateTemp(t.TempDir(), "passed")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	loc := Location{FD: int(f.Fd())}
	mustCreate(t, loc, testSpec())
	if _, err := Create(loc, testSpec(), noFormat); !errors.Is(err, ErrExist) {
		t.Errorf("the second Create: %v", err)
	}
	b := mustOpen(t, loc)
	b.Close()
	if _, err := f.Stat(); err != nil {
		t.Errorf("the caller's descriptor: %v", err)
	}
}
