package arena

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"github.com/ndpool/ndpool/arena/layout"
)

// file is a segment in a file, on tmpfs or elsewhere. Its descriptor holds no locks: it asks, commits and punches.
type file struct {
	loc  Location
	path string
	temp string // temporary name, where the file system needs one
	fd   int
	dev  uint64 // of the file, to know it again
	ino  uint64
	mem  []byte
	ro   []byte
}

// know remembers which file the descriptor is of.
func (f *file) know(st *unix.Stat_t) { f.dev, f.ino = uint64(st.Dev), st.Ino }

// isOurs tells whether a descriptor still leads to the segment. A program that closes descriptors it did not open may
// have closed this one, and its number may be another file's now.
func (f *file) isOurs(fd int) error {
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); errors.Is(err, unix.EBADF) {
		return fmt.Errorf("%s: %w: somebody closed the segment's descriptor %d", f.path, ErrDescriptor, fd)
	} else if err != nil {
		return wrapPath("stat", f.path, err)
	}
	if uint64(st.Dev) != f.dev || st.Ino != f.ino {
		return fmt.Errorf("%s: %w: somebody closed the segment's descriptor %d, and it is another file's now", f.path, ErrDescriptor, fd)
	}
	return nil
}

// mapInto maps the whole file. MADV_DONTDUMP: a core dump of a large segment would keep a dead process's locks for
// seconds per GiB, and nobody could recover meanwhile.
func (f *file) mapInto(a *Arena) error {
	mem, err := unix.Mmap(f.fd, 0, int(a.Geo.FileSize), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED|unix.MAP_NORESERVE)
	if err != nil {
		return fmt.Errorf("map %s (%d bytes): %w", f.path, a.Geo.FileSize, err)
	}
	f.mem = mem
	if err := unix.Madvise(mem, unix.MADV_DONTDUMP); err != nil {
		return fmt.Errorf("madvise %s: %w", f.path, err)
	}
	a.lay(mem)
	if a.Has(layout.FlagHugePages) {
		_ = unix.Madvise(a.data, unix.MADV_HUGEPAGE) // advice; kernels without shmem huge pages say EINVAL
	}
	if f.loc.Prefault {
		f.prefault(a)
	}
	return nil
}

// prefault maps the pages of all committed chunks now. Advice too: a kernel before 5.14 does not know it.
func (f *file) prefault(a *Arena) {
	for c := range a.Geo.Chunks() {
		if a.Has(layout.FlagReserved) || a.IsCommitted(c) {
			off, size := a.chunk(c)
			_ = unix.Madvise(f.mem[off:off+size], unix.MADV_POPULATE_WRITE)
		}
	}
}

func (f *file) commit(off, n uint64) error {
	if err := f.isOurs(f.fd); err != nil {
		return err
	}
	for {
		err := unix.Fallocate(f.fd, 0, int64(off), int64(n))
		switch {
		case err == nil:
			return nil
		case errors.Is(err, unix.EINTR):
		case errors.Is(err, unix.ENOSPC), errors.Is(err, unix.ENOMEM):
			free, total := f.space()
			return &MemoryError{Path: f.path, Asked: n, Free: free, Total: total, Err: err}
		case errors.Is(err, unix.EOPNOTSUPP):
			return fmt.Errorf("%w: fallocate %s: %w", ErrFilesystem, f.path, err)
		default:
			return fmt.Errorf("fallocate %s: %w", f.path, err)
		}
	}
}

func (f *file) punch(off, n uint64) error {
	if err := f.isOurs(f.fd); err != nil {
		return err
	}
	for {
		err := unix.Fallocate(f.fd, unix.FALLOC_FL_PUNCH_HOLE|unix.FALLOC_FL_KEEP_SIZE, int64(off), int64(n))
		if !errors.Is(err, unix.EINTR) {
			return wrapPath("punch", f.path, err)
		}
	}
}

func (f *file) space() (free, total uint64) {
	var st unix.Statfs_t
	if unix.Fstatfs(f.fd, &st) != nil {
		return 0, 0
	}
	return st.Bavail * uint64(st.Bsize), st.Blocks * uint64(st.Bsize)
}

func (f *file) readOnly() ([]byte, error) {
	if err := f.isOurs(f.fd); err != nil {
		return nil, err
	}
	ro, err := unix.Mmap(f.fd, 0, len(f.mem), unix.PROT_READ, unix.MAP_SHARED|unix.MAP_NORESERVE)
	if err != nil {
		return nil, err
	}
	f.ro = ro
	return ro, unix.Madvise(ro, unix.MADV_DONTDUMP)
}

func (f *file) linked() bool {
	if !f.loc.named() {
		return true
	}
	var there unix.Stat_t
	if unix.Lstat(f.path, &there) != nil {
		return false
	}
	return f.dev == uint64(there.Dev) && f.ino == there.Ino
}

func (f *file) unlink() error {
	if !f.loc.named() || !f.linked() {
		return nil
	}
	return wrapPath("unlink", f.path, unix.Unlink(f.path))
}

func (f *file) file() (*os.File, error) {
	if err := f.isOurs(f.fd); err != nil {
		return nil, err
	}
	fd, err := unix.FcntlInt(uintptr(f.fd), unix.F_DUPFD_CLOEXEC, 3)
	if err != nil {
		return nil, wrapPath("dup", f.path, err)
	}
	return os.NewFile(uintptr(fd), f.path), nil
}

func (f *file) close() {
	if f.mem != nil {
		_ = unix.Munmap(f.mem)
	}
	if f.ro != nil {
		_ = unix.Munmap(f.ro)
	}
	if f.fd > 0 && f.isOurs(f.fd) == nil {
		_ = unix.Close(f.fd)
	}
	f.mem, f.ro, f.fd = nil, nil, -1
}
