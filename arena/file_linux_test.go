package arena

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sys/unix"
)

// dirs are where segments are tried: whatever carries temporary files, and shared memory.
func dirs(t *testing.T) map[string]string {
	t.Helper()
	d := map[string]string{"temp": t.TempDir()}
	if shm, err := os.MkdirTemp("/dev/shm", "ndpool-test-"); err == nil {
		t.Cleanup(func() { os.RemoveAll(shm) })
		d["shm"] = shm
	}
	return d
}

// eachDir runs a test in every directory.
func eachDir(t *testing.T, test func(t *testing.T, loc Location)) {
	for name, dir := range dirs(t) {
		t.Run(name, func(t *testing.T) { test(t, Location{Dir: dir, Name: "seg"}) })
	}
}

func fileWorlds(t *testing.T, spec Spec, test func(*testing.T, world)) {
	eachDir(t, func(t *testing.T, loc Location) {
		test(t, world{first: mustCreate(t, loc, spec), open: func(t testing.TB) *Arena {
			t.Helper()
			return mustOpen(t, loc)
		}})
	})
}

// mustCreate creates a segment and unmaps it at the end.
func mustCreate(t testing.TB, loc Location, spec Spec) *Arena {
	t.Helper()
	a, err := Create(loc, spec, noFormat)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(a.Close)
	return a
}

func mustOpen(t testing.TB, loc Location) *Arena {
	t.Helper()
	a, err := Open(loc, false, never)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// names returns the files in the directory of a location.
func names(t *testing.T, loc Location) []string {
	t.Helper()
	entries, err := os.ReadDir(loc.Dir)
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, e := range entries {
		out = append(out, e.Name())
	}
	return out
}

func TestCreateIsExclusive(t *testing.T) {
	eachDir(t, func(t *testing.T, loc Location) {
		mustCreate(t, loc, testSpec())
		if _, err := Create(loc, testSpec(), noFormat); !errors.Is(err, ErrExist) || !errors.Is(err, fs.ErrExist) {
			t.Errorf("the second Create: %v", err)
		}
		if got := names(t, loc); len(got) != 1 {
			t.Errorf("left behind: %v", got)
		}
	})
}

// TestCreateRace creates under one name from many goroutines: one wins.
func TestCreateRace(t *testing.T) {
	eachDir(t, func(t *testing.T, loc Location) {
		var wg sync.WaitGroup
		won := make(chan *Arena, 8)
		for range 8 {
			wg.Go(func() {
				a, err := Create(loc, testSpec(), noFormat)
				if err == nil {
					won <- a
				} else if !errors.Is(err, ErrExist) {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		close(won)
		if len(won) != 1 {
			t.Fatalf("%d winners", len(won))
		}
		winner := <-won
		defer winner.Close()
		b := mustOpen(t, loc)
		defer b.Close()
		if b.Super != winner.Super {
			t.Error("the name leads to a loser's segment")
		}
	})
}

// TestCreateFailsClean leaves no name behind when the format fails, and shows nothing before it is done.
func TestCreateFailsClean(t *testing.T) {
	eachDir(t, func(t *testing.T, loc Location) {
		failed := errors.New("failed")
		_, err := Create(loc, testSpec(), func(a *Arena) error {
			if _, err := Open(loc, false, never); !errors.Is(err, ErrNotExist) {
				t.Errorf("a half-made segment can be opened: %v", err)
			}
			return failed
		})
		if !errors.Is(err, failed) {
			t.Errorf("got %v", err)
		}
		if got := names(t, loc); len(got) != 0 {
			t.Errorf("left behind: %v", got)
		}
	})
}

func TestNames(t *testing.T) {
	loc := Location{Dir: t.TempDir()}
	for _, name := range []string{"", "..", ".x", "a/b", "x\x00y", strings.Repeat("n", 201)} {
		loc.Name = name
		if _, err := Create(loc, testSpec(), noFormat); !errors.Is(err, ErrName) {
			t.Errorf("Create %q: %v", name, err)
		}
		if _, err := Open(loc, false, never); !errors.Is(err, ErrName) {
			t.Errorf("Open %q: %v", name, err)
		}
		if err := Unlink(loc); !errors.Is(err, ErrName) {
			t.Errorf("Unlink %q: %v", name, err)
		}
	}
	loc.Name = "missing"
	if _, err := Open(loc, false, never); !errors.Is(err, ErrNotExist) || !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Open of a missing name: %v", err)
	}
	if err := Unlink(loc); !errors.Is(err, ErrNotExist) {
		t.Errorf("Unlink of a missing name: %v", err)
	}
	loc.Dir = filepath.Join(loc.Dir, "nowhere")
	if _, err := Create(loc, testSpec(), noFormat); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Create in a missing directory: %v", err)
	}
}

// TestSymlinks are refused wherever the name is.
func TestSymlinks(t *testing.T) {
	eachDir(t, func(t *testing.T, loc Location) {
		mustCreate(t, loc, testSpec())
		link := Location{Dir: loc.Dir, Name: "link"}
		if err := os.Symlink(loc.Path(), link.Path()); err != nil {
			t.Fatal(err)
		}
		if _, err := Open(link, false, never); !errors.Is(err, ErrPermission) {
			t.Errorf("Open: %v", err)
		}
		if err := Unlink(link); !errors.Is(err, ErrPermission) {
			t.Errorf("Unlink: %v", err)
		}
		if _, err := Create(link, testSpec(), noFormat); !errors.Is(err, ErrExist) {
			t.Errorf("Create: %v", err)
		}
		dangling := Location{Dir: loc.Dir, Name: "dangling"}
		if err := os.Symlink(filepath.Join(loc.Dir, "target"), dangling.Path()); err != nil {
			t.Fatal(err)
		}
		if _, err := Create(dangling, testSpec(), noFormat); !errors.Is(err, ErrExist) {
			t.Errorf("Create through a dangling link: %v", err)
		}
		if _, err := os.Stat(filepath.Join(loc.Dir, "target")); err == nil {
			t.Error("a segment was made behind the link")
		}
	})
}

// TestFileTypes opens what is no regular file: an error, not a hang.
func TestFileTypes(t *testing.T) {
	loc := Location{Dir: t.TempDir(), Name: "fifo"}
	if err := unix.Mkfifo(loc.Path(), 0o600); err != nil {
		t.Fatal(err)
	}
	var f *FormatError
	if _, err := Open(loc, false, never); !errors.As(err, &f) || f.What != "file type" {
		t.Errorf("a pipe: %v", err)
	}
	loc.Name = "dir"
	if err := os.Mkdir(loc.Path(), 0o700); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(loc, false, never); !errors.Is(err, unix.EISDIR) {
		t.Errorf("a directory: %v", err)
	}
}

func TestMode(t *testing.T) {
	old := unix.Umask(0o777)
	defer unix.Umask(old)
	eachDir(t, func(t *testing.T, loc Location) {
		for _, mode := range []uint32{0o600, 0o640, 0o666} {
			spec := testSpec()
			spec.Mode = mode
			loc.Name = fmt.Sprintf("mode%o", mode)
			mustCreate(t, loc, spec)
			st, err := os.Stat(loc.Path())
			if err != nil || uint32(st.Mode().Perm()) != mode {
				t.Errorf("mode %o: got %v %v", mode, st.Mode(), err)
			}
		}
	})
}

// TestOwner refuses files of other users unless they are named.
func TestOwner(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("NOT ROOT: cannot give a file to somebody else")
	}
	eachDir(t, func(t *testing.T, loc Location) {
		mustCreate(t, loc, testSpec())
		if err := os.Chown(loc.Path(), 12345, 54321); err != nil {
			t.Fatal(err)
		}
		_, err := Open(loc, false, never)
		if !errors.Is(err, ErrPermission) || !strings.Contains(err.Error(), "12345") {
			t.Fatalf("a stranger's file: %v", err)
		}
		if err := Unlink(loc); !errors.Is(err, ErrPermission) {
			t.Errorf("Unlink of a stranger's file: %v", err)
		}
		for name, l := range map[string]Location{
			"uid": {Dir: loc.Dir, Name: loc.Name, UIDs: []int{1, 12345}},
			"gid": {Dir: loc.Dir, Name: loc.Name, GIDs: []int{54321}},
		} {
			b, err := Open(l, false, never)
			if err != nil {
				t.Errorf("named by %s: %v", name, err)
				continue
			}
			b.Close()
		}
		if _, err := Open(Location{Dir: loc.Dir, Name: loc.Name, UIDs: []int{1}, GIDs: []int{2}}, false, never); !errors.Is(err, ErrPermission) {
			t.Errorf("others named: %v", err)
		}
	})
}

// TestDamagedFiles writes each damage into a file and opens it.
func TestDamagedFiles(t *testing.T) {
	eachDir(t, func(t *testing.T, loc Location) {
		a := mustCreate(t, loc, testSpec())
		for i, d := range damages {
			t.Run(d.name, func(t *testing.T) {
				sb := a.Super
				d.apply(&sb)
				l := Location{Dir: loc.Dir, Name: fmt.Sprint("damaged", i)}
				writeSparse(t, l.Path(), superBytes(&sb), int64(a.Geo.FileSize))
				_, err := Open(l, false, never)
				d.check(t, err)
			})
		}
		for size, what := range map[int64]string{0: "file size", 100: "file size", 4095: "file size", 4096: "file size",
			int64(a.Geo.FileSize) - 4096: "file size", int64(a.Geo.FileSize) + 4096: "file size"} {
			l := Location{Dir: loc.Dir, Name: fmt.Sprint("size", size)}
			writeSparse(t, l.Path(), superBytes(&a.Super)[:min(size, 4096)], size)
			_, err := Open(l, false, never)
			damage{what: what, got: "got", want: "expected"}.check(t, err)
		}
		text := Location{Dir: loc.Dir, Name: "text"}
		writeSparse(t, text.Path(), []byte(strings.Repeat("#!/bin/sh\n", 1000)), 10_000)
		_, err := Open(text, false, never)
		damage{what: "magic", got: "#!/bin/s", want: "ndpool"}.check(t, err)
		if err := Unlink(text); !errors.Is(err, ErrFormat) {
			t.Errorf("Unlink of a text: %v", err)
		}
	})
}

func writeSparse(t *testing.T, path string, head []byte, size int64) {
	t.Helper()
	if err := os.WriteFile(path, head, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(path, size); err != nil {
		t.Fatal(err)
	}
}

// TestUnlink removes the name under an attached process, which goes on; the name may be somebody else's afterwards.
func TestUnlink(t *testing.T) {
	eachDir(t, func(t *testing.T, loc Location) {
		a := mustCreate(t, loc, testSpec())
		b := mustOpen(t, loc)
		defer b.Close()
		if err := Unlink(loc); err != nil {
			t.Fatal(err)
		}
		if _, err := Open(loc, false, never); !errors.Is(err, ErrNotExist) || a.Linked() {
			t.Fatalf("after Unlink: %v, linked %v", err, a.Linked())
		}
		claim(t, b)
		if _, err := a.Lock(testSpec().LockWait); err != nil || !a.Alive(b.Self()) {
			t.Errorf("unlinked segment: %v, alive %v", err, a.Alive(b.Self()))
		}
		a.Unlock()
		b.Leave(func() {})
		c := mustCreate(t, loc, testSpec())
		if a.Linked() || !c.Linked() {
			t.Errorf("linked: old %v, new %v", a.Linked(), c.Linked())
		}
		if err := a.Unlink(); err != nil || !c.Linked() {
			t.Errorf("the old segment removed the new one's name: %v", err)
		}
		if err := c.Unlink(); err != nil || c.Linked() {
			t.Errorf("Unlink: %v", err)
		}
	})
}
