package arena

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// ofd is an open file description of its own, for the kernel's open-file-description locks (F_OFD_SETLK, l_pid 0).
// They belong to the description, not to the process: two of them in one process exclude each other, closing another
// descriptor of the file does not drop them, and they work across PID namespaces and on unlinked files.
type ofd struct {
	fd   int    // -1 once pinned
	page []byte // the page that keeps the description open
}

// description opens the file anew through /proc, which works without a name and gives a passed descriptor a description
// of its own.
func (f *file) description() (description, error) {
	fd, err := unix.Open(fmt.Sprintf("/proc/self/fd/%d", f.fd), unix.O_RDWR|unix.O_CLOEXEC, 0)
	fd, _, err = raise(fd, wrapPath("open again", f.path, err), "")
	if err != nil {
		return nil, err
	}
	if err := f.isOurs(fd); err != nil {
		unix.Close(fd)
		return nil, err
	}
	return &ofd{fd: fd}, nil
}

// held asks from the descriptor that holds no locks. Somebody may have closed it, and opened another file under its
// number, in which nobody holds anything: before a no is believed the descriptor is looked at. A yes is one system call.
func (f *file) held(off int64) (bool, error) {
	lk := flock(off, unix.F_WRLCK)
	if err := unix.FcntlFlock(uintptr(f.fd), unix.F_OFD_GETLK, &lk); err != nil {
		return false, wrapPath("query lock", f.path, err)
	}
	if lk.Type != unix.F_UNLCK {
		return true, nil
	}
	return false, f.isOurs(f.fd)
}

func (d *ofd) lock(off int64, exclusive bool) (bool, error) {
	typ := unix.F_RDLCK
	if exclusive {
		typ = unix.F_WRLCK
	}
	lk := flock(off, typ)
	err := unix.FcntlFlock(uintptr(d.fd), unix.F_OFD_SETLK, &lk)
	if errors.Is(err, unix.EAGAIN) || errors.Is(err, unix.EACCES) {
		return false, nil
	}
	return err == nil, err
}

func (d *ofd) unlock(off int64) {
	lk := flock(off, unix.F_UNLCK)
	_ = unix.FcntlFlock(uintptr(d.fd), unix.F_OFD_SETLK, &lk)
}

// pin maps one page that nobody can touch through the description, and closes the descriptor. The locks now live exactly as
// long as the address space: a stray close cannot drop them, a fork does not inherit them, and exec, unmapping and
// death end them.
func (d *ofd) pin() error {
	page, err := unix.Mmap(d.fd, 0, os.Getpagesize(), unix.PROT_NONE, unix.MAP_SHARED)
	if err != nil {
		return fmt.Errorf("pin lock: %w", err)
	}
	if err := unix.Madvise(page, unix.MADV_DONTFORK); err != nil {
		return fmt.Errorf("pin lock: %w", err)
	}
	d.page = page
	unix.Close(d.fd)
	d.fd = -1
	return nil
}

func (d *ofd) drop() {
	if d.page != nil {
		_ = unix.Munmap(d.page)
	}
	if d.fd >= 0 {
		_ = unix.Close(d.fd)
	}
	d.page, d.fd = nil, -1
}

func flock(off int64, typ int) unix.Flock_t {
	return unix.Flock_t{Type: int16(typ), Whence: unix.SEEK_SET, Start: off, Len: 1}
}
