//go:build linux

package arena

import (
	"bufio"
	"errors"
	"net"
	"os"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/ndpool/ndpool/arena/layout"
)

// What docs/SECURITY.md says of files, locks and mappings.

// readLocks takes shared locks of bytes [from, from+n), each by itself, by a descriptor that can only read, and returns
// how many it got.
func readLocks(t *testing.T, fd int, from, n int64) (got int) {
	t.Helper()
	for k := range n {
		lk := flock(from+k, unix.F_RDLCK)
		switch err := unix.FcntlFlock(uintptr(fd), unix.F_OFD_SETLK, &lk); {
		case err == nil:
			got++
		case !errors.Is(err, unix.EAGAIN):
			t.Fatal(err)
		}
	}
	return got
}

// TestReaderHoldsBytes: whoever may read the file can take shared locks in it. That keeps others from attaching, dead
// processes from being swept, and the last one out from removing the name; it neither stops nor harms those that are
// attached.
func TestReaderHoldsBytes(t *testing.T) {
	eachDir(t, func(t *testing.T, loc Location) {
		a := mustCreate(t, loc, testSpec())
		b := mustOpen(t, loc)
		claim(t, b)
		dead := b.Self()
		fd, err := unix.Open(loc.Path(), unix.O_RDONLY, 0)
		if err != nil {
			t.Fatal(err)
		}
		bytes := int64(len(a.Slots))
		if got := readLocks(t, fd, layout.SlotByte, bytes); got != int(bytes)-2 {
			t.Errorf("got %d locks of %d, and two are in use", got, bytes)
		}
		c := mustOpen(t, loc)
		if _, err := c.Claim(); !errors.Is(err, ErrProcesses) {
			t.Errorf("attach while all bytes are held: %v", err)
		}
		c.Close()
		b.Abandon()
		if readLocks(t, fd, layout.SlotByte+int64(dead.Slot()), 1) != 1 || !a.Alive(dead) {
			t.Error("a dead process whose byte is held does not pass for a living one")
		}
		if g, err := a.Bury(dead.Slot()); g != nil || err != nil {
			t.Errorf("it was buried: %v %v", g, err)
		}
		if taken, err := a.Lock(testSpec().LockWait); taken || err != nil {
			t.Errorf("those that are attached: %v %v", taken, err)
		}
		a.Unlock()
		if readLocks(t, fd, layout.PoolByte, 1) != 1 {
			t.Error("the pool's byte cannot be held")
		}
		decided := false
		a.Leave(func() { decided = true })
		if decided {
			t.Error("the last one out decided while a reader held the pool's byte")
		}
		unix.Close(fd)
		d := mustOpen(t, loc)
		defer d.Close()
		if d.Alive(dead) {
			t.Error("it still lives when the reader has gone")
		}
	})
}

// TestNothingIsInherited: a program that is executed gets no descriptor of the segment, no mapping can be executed, and
// none is in a core dump.
func TestNothingIsInherited(t *testing.T) {
	eachDir(t, func(t *testing.T, loc Location) {
		a := mustCreate(t, loc, testSpec())
		claimed := mustOpen(t, loc)
		claim(t, claimed)
		defer claimed.Leave(func() {})
		if _, err := a.back.readOnly(); err != nil {
			t.Fatal(err)
		}
		fds, err := os.ReadDir("/proc/self/fd")
		if err != nil {
			t.Fatal(err)
		}
		found := 0
		for _, e := range fds {
			to, err := os.Readlink("/proc/self/fd/" + e.Name())
			if err != nil || !strings.HasPrefix(to, loc.Dir) {
				continue
			}
			n, _ := strconv.Atoi(e.Name())
			if flags, err := unix.FcntlInt(uintptr(n), unix.F_GETFD, 0); err != nil || flags&unix.FD_CLOEXEC == 0 {
				t.Errorf("descriptor %d would be inherited: %#x %v", n, flags, err)
			}
			found++
		}
		if found == 0 {
			t.Error("no descriptor was found")
		}
		needMappings(t, loc.Dir)
	})
}

// needMappings looks at all mappings of files in a directory.
func needMappings(t *testing.T, dir string) {
	t.Helper()
	f, err := os.Open("/proc/self/smaps")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	found, mine, dumped := 0, "", true
	for s := bufio.NewScanner(f); s.Scan(); {
		line := s.Text()
		fields := strings.Fields(line)
		switch {
		case len(fields) > 4 && strings.Contains(fields[0], "-"):
			mine, dumped = "", true
			if len(fields) > 5 && strings.HasPrefix(fields[5], dir) {
				mine = line
				found++
				if strings.Contains(fields[1], "x") || !strings.HasSuffix(fields[1], "s") {
					t.Errorf("mapping: %s", line)
				}
			}
		case mine != "" && fields[0] == "VmFlags:":
			dumped = !strings.Contains(line, " dd")
			if dumped && !strings.Contains(mine, " ---s ") { // a pin has no content
				t.Errorf("in a core dump: %s", mine)
			}
		}
	}
	if found < 2 {
		t.Errorf("%d mappings were found", found)
	}
}

// TestSpecialFiles in place of a pool are refused, at once.
func TestSpecialFiles(t *testing.T) {
	loc := Location{Dir: t.TempDir(), Name: "socket"}
	l, err := net.Listen("unix", loc.Path())
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if _, err := Open(loc, false, never); !errors.Is(err, unix.ENXIO) {
		t.Errorf("a socket: %v", err)
	}
	if _, err := Peek(loc); !errors.Is(err, unix.ENXIO) {
		t.Errorf("a look at a socket: %v", err)
	}
	loc.Name = "pipe"
	if err := unix.Mkfifo(loc.Path(), 0o600); err != nil {
		t.Fatal(err)
	}
	var f *FormatError
	if _, err := Peek(loc); !errors.As(err, &f) || f.What != "file type" {
		t.Errorf("a look at a pipe: %v", err)
	}
	if err := Unlink(loc); !errors.As(err, &f) || f.What != "file type" {
		t.Errorf("Unlink of a pipe: %v", err)
	}
	if _, err := Create(loc, testSpec(), noFormat); !errors.Is(err, ErrExist) {
		t.Errorf("Create over a pipe: %v", err)
	}
	loc.Name = "device"
	if err := unix.Mknod(loc.Path(), unix.S_IFCHR|0o600, int(unix.Mkdev(1, 3))); err != nil {
		t.Skipf("SKIPPED: CANNOT MAKE A DEVICE (%v): one in place of a pool is not tested", err)
	}
	if _, err := Open(loc, false, never); err == nil || errors.As(err, &f) && f.What != "file type" {
		t.Errorf("a device: %v", err)
	}
}

// TestAbsurdSuperblocks have the largest limits of the format in a file of 2 TiB without memory: what comes of it is a
// segment or an error, and the memory that the tables in use take.
func TestAbsurdSuperblocks(t *testing.T) {
	spec := testSpec()
	spec.Limits = layout.Limits{Capacity: layout.MaxCapacity, Arrays: layout.MaxArrays, Processes: layout.MaxProcesses, Tickets: layout.MaxTickets, Names: layout.MaxNames}
	sb, g, err := newSuper(spec)
	if err != nil {
		t.Fatal(err)
	}
	eachDir(t, func(t *testing.T, loc Location) {
		writeSparse(t, loc.Path(), superBytes(&sb), 4096)
		if err := os.Truncate(loc.Path(), int64(g.FileSize)); err != nil {
			t.Skipf("SKIPPED: NO FILE OF %d BYTES HERE: %v", g.FileSize, err)
		}
		if p, err := Peek(loc); err == nil {
			p.Close()
		}
		if a, err := Open(loc, false, never); err == nil {
			a.Close()
		}
	})
}
