//go:build linux

package arena

import (
	"errors"
	"io/fs"
	"os"
	"strconv"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ndpool/ndpool/arena/layout"
	"github.com/ndpool/ndpool/internal/sentinels"
)

// TestEveryError provokes every error that this package documents.
func TestEveryError(t *testing.T) {
	sentinels.Require(t, everyError, map[string]string{"ErrUnsupported": "file_other_test.go, on other systems"})
}

// in returns a provocation beside a segment in a file.
func in(f func(t *testing.T, a *Arena, loc Location) error) func(t *testing.T) error {
	return func(t *testing.T) error {
		loc := Location{Dir: t.TempDir(), Name: "seg"}
		return f(t, mustCreate(t, loc, testSpec()), loc)
	}
}

func tryOpen(loc Location) error {
	a, err := Open(loc, false, never)
	if err == nil {
		a.Close()
	}
	return err
}

func tryCreate(loc Location, spec Spec) error {
	a, err := Create(loc, spec, noFormat)
	if err == nil {
		a.Close()
	}
	return err
}

var everyError = map[string]sentinels.Entry{
	"ErrExist": {Is: ErrExist, Says: "seg", Provoke: in(func(_ *testing.T, _ *Arena, loc Location) error { return tryCreate(loc, testSpec()) })},
	"ErrNotExist": {Is: ErrNotExist, Says: "other", Provoke: in(func(_ *testing.T, _ *Arena, loc Location) error {
		loc.Name = "other"
		return tryOpen(loc)
	})},
	"ErrName":     {Is: ErrName, Says: `"\.\."`, Provoke: func(t *testing.T) error { return tryOpen(Location{Dir: t.TempDir(), Name: ".."}) }},
	"ErrFormat":   {Is: ErrFormat, Provoke: in(junk)},
	"FormatError": {Is: ErrFormat, As: new(*FormatError), Says: `^open .*/junk: .+: got .+, expected .+`, Provoke: in(junk)},
	"ErrUnclean": {Is: ErrUnclean, Says: `slot 0 is in use`, Provoke: in(func(_ *testing.T, a *Arena, loc Location) error {
		a.Ctl.Boot[0].Store(1)
		a.Abandon()
		return tryOpen(loc)
	})},
	"ErrPermission": {Is: ErrPermission, Says: "link", Provoke: in(func(t *testing.T, _ *Arena, loc Location) error {
		link := Location{Dir: loc.Dir, Name: "link"}
		if err := os.Symlink(loc.Path(), link.Path()); err != nil {
			t.Fatal(err)
		}
		err := tryOpen(link)
		if !errors.Is(err, fs.ErrPermission) {
			t.Errorf("got %v", err)
		}
		return err
	})},
	"ErrFilesystem": {Is: ErrFilesystem, Says: "fallocate", Provoke: func(t *testing.T) error {
		return tryCreate(Location{Dir: mounted(t, "ramfs", ""), Name: "seg"}, testSpec()) // which has no fallocate
	}},
	"ErrProcesses": {Is: ErrProcesses, Says: "all 4 slots", Provoke: func(t *testing.T) error {
		h, _, err := CreateHeap(testSpec(), noFormat)
		for err == nil {
			var b *Arena
			if b, err = OpenHeap(h); err == nil {
				_, err = b.Claim()
			}
		}
		return err
	}},
	"ErrLockTimeout": {Is: ErrLockTimeout, Provoke: locked},
	"LockError": {Is: ErrLockTimeout, As: new(*LockError), Says: `^lock segment: process ` + strconv.Itoa(os.Getpid()) + ` \(slot 0\) has kept the lock for [\d.]+ms and lives; is it stopped\?$`,
		Provoke: locked},
	"ErrNoMemory": {Is: ErrNoMemory, Provoke: full},
	"MemoryError": {Is: unix.ENOSPC, As: new(*MemoryError), Says: `: commit \d+ bytes at .*: file system has \d+ bytes free of 65536 \(no space left on device\); raise`, Provoke: full},
	"ErrDescriptor": {Is: ErrDescriptor, Says: `descriptor \d+, and it is another file's now$`, Provoke: in(func(t *testing.T, a *Arena, _ Location) error {
		f := a.back.(*file)
		kept := f.fd
		defer func() { f.fd = kept }()
		f.fd = 1 << 20 // closed
		if err := a.CommitPages(0, 1); !errors.Is(err, ErrDescriptor) {
			t.Errorf("closed: %v", err)
		}
		other, err := os.Open(os.DevNull)
		if err != nil {
			t.Fatal(err)
		}
		defer other.Close()
		f.fd = int(other.Fd())
		return a.CommitPages(0, 1)
	})},
}

func junk(t *testing.T, _ *Arena, loc Location) error {
	loc.Name = "junk"
	if err := os.WriteFile(loc.Path(), make([]byte, 100_000), 0o600); err != nil {
		t.Fatal(err)
	}
	return tryOpen(loc)
}

func locked(t *testing.T) error {
	h, a, err := CreateHeap(testSpec(), noFormat)
	if err != nil {
		t.Fatal(err)
	}
	b, err := OpenHeap(h)
	if err != nil {
		t.Fatal(err)
	}
	claim(t, b)
	if _, err := a.Lock(time.Second); err != nil {
		t.Fatal(err)
	}
	defer a.Unlock()
	_, err = b.Lock(20 * time.Millisecond)
	return err
}

func full(t *testing.T) error {
	spec := testSpec()
	spec.Flags = layout.FlagReserved
	return tryCreate(Location{Dir: mounted(t, "tmpfs", "size=64k"), Name: "seg"}, spec)
}

// mounted returns a directory with a file system of its own.
func mounted(t *testing.T, kind, options string) string {
	t.Helper()
	dir := t.TempDir()
	if err := unix.Mount(kind, dir, kind, 0, options); err != nil {
		t.Skipf("SKIPPED: CANNOT MOUNT %s (%v): an error is not provoked", kind, err)
	}
	t.Cleanup(func() { _ = unix.Unmount(dir, unix.MNT_DETACH) })
	return dir
}
