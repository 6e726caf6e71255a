package arena

import (
	"errors"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/ndpool/ndpool/arena/layout"
)

// tinyFilesystem mounts a tmpfs of a megabyte.
func tinyFilesystem(t *testing.T) Location {
	t.Helper()
	dir := t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size=1m"); err != nil {
		t.Skipf("CANNOT MOUNT A TMPFS: %v", err)
	}
	t.Cleanup(func() { _ = unix.Unmount(dir, unix.MNT_DETACH) })
	return Location{Dir: dir, Name: "seg"}
}

// TestFullFilesystem gets an error with numbers instead of SIGBUS, and what was tried is undone.
func TestFullFilesystem(t *testing.T) {
	loc := tinyFilesystem(t)
	spec := testSpec()
	spec.Limits.Capacity = layout.ChunkSize + 128<<10 // a chunk that does not fit, and a short one that does
	a := mustCreate(t, loc, spec)
	before, total := a.Space()
	err := a.CommitPages(0, 1)
	var m *MemoryError
	if !errors.As(err, &m) || !errors.Is(err, ErrNoMemory) || !errors.Is(err, unix.ENOSPC) {
		t.Fatalf("CommitPages: %v", err)
	}
	if m.Asked != layout.ChunkSize || m.Total != 1<<20 || m.Total != total || m.Free > before || !strings.Contains(err.Error(), "remount") {
		t.Errorf("got %v", err)
	}
	if after, _ := a.Space(); a.IsCommitted(0) || after != before {
		t.Errorf("committed %v, free before %d and after %d", a.IsCommitted(0), before, after)
	}
	if err := a.CommitPages(layout.ChunkPages, 1); err != nil {
		t.Fatal(err)
	}
	if free, _ := a.Space(); free != before-128<<10 {
		t.Errorf("the short chunk took %d bytes", before-free)
	}
	a.Data(layout.ChunkSize, 128<<10)[128<<10-1] = 1 // no SIGBUS
	if err := a.PunchChunk(1); err != nil {
		t.Fatal(err)
	}
	if free, _ := a.Space(); free != before {
		t.Errorf("punching gave back %d bytes too few", before-free)
	}
}

// TestFullAtCreation leaves nothing behind.
func TestFullAtCreation(t *testing.T) {
	loc := tinyFilesystem(t)
	for name, change := range map[string]func(*Spec){
		"tables":   func(s *Spec) { s.Limits.Tickets = layout.MaxTickets },
		"reserved": func(s *Spec) { s.Flags = layout.FlagReserved; s.Limits.Capacity = 1 << 20 },
	} {
		spec := testSpec()
		change(&spec)
		if _, err := Create(loc, spec, noFormat); !errors.Is(err, ErrNoMemory) {
			t.Errorf("%s: %v", name, err)
		}
		if got := names(t, loc); len(got) != 0 {
			t.Errorf("%s: left behind: %v", name, got)
		}
	}
	var st unix.Statfs_t
	if err := unix.Statfs(loc.Dir, &st); err != nil || st.Bfree != st.Blocks {
		t.Errorf("%d of %d blocks are free: %v", st.Bfree, st.Blocks, err)
	}
}

// TestReserved has all of its memory from the start.
func TestReserved(t *testing.T) {
	loc := tinyFilesystem(t)
	spec := testSpec()
	spec.Flags = layout.FlagReserved
	a := mustCreate(t, loc, spec)
	before, _ := a.Space()
	if err := a.CommitPages(0, 64); err != nil {
		t.Fatal(err)
	}
	if after, _ := a.Space(); after != before {
		t.Errorf("committing took %d bytes more", before-after)
	}
}

func TestReadOnlyFaults(t *testing.T) {
	eachDir(t, func(t *testing.T, loc Location) {
		a := mustCreate(t, loc, testSpec())
		if err := a.CommitPages(0, 1); err != nil {
			t.Fatal(err)
		}
		ro, err := a.ReadOnly(0, 64)
		if err != nil {
			t.Fatal(err)
		}
		a.Data(0, 64)[5] = 77
		if ro[5] != 77 {
			t.Error("the second mapping shows something else")
		}
		child := startChild(t, "store-read-only", loc)
		child.expect(t, "storing")
		if err := child.wait(); err == nil {
			t.Error("a store through the read-only mapping went through")
		}
	})
}

func TestPrefault(t *testing.T) {
	loc := Location{Dir: t.TempDir(), Name: "seg", Prefault: true}
	a := mustCreate(t, loc, testSpec())
	if err := a.CommitPages(0, 64); err != nil {
		t.Fatal(err)
	}
	b := mustOpen(t, loc)
	b.Close()
}
