package arena

import (
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/ndpool/ndpool/arena/layout"
)

// create makes the file, maps it, lets fill write it, and only then gives it its name.
func create(loc Location, a *Arena, fill func() error) (err error) {
	f := &file{loc: loc, path: loc.Path()}
	if f.fd, f.temp, err = newFile(loc); err != nil {
		return err
	}
	a.back = f
	defer func() {
		if f.temp != "" {
			unix.Unlink(f.temp)
		}
		if err != nil {
			a.Close()
		}
	}()
	if err := f.prepare(a); err != nil {
		return err
	}
	if err := fill(); err != nil {
		return err
	}
	return f.publish()
}

// newFile returns the descriptor of a new file without a name, or of one with a temporary name where the file system
// cannot do without.
func newFile(loc Location) (fd int, temp string, err error) {
	switch {
	case loc.FD > 0:
		fd, err = unix.FcntlInt(uintptr(loc.FD), unix.F_DUPFD_CLOEXEC, 3)
		return fd, "", err
	case loc.Anonymous:
		fd, err = unix.MemfdCreate(loc.Name, unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING)
		return raise(fd, err, "")
	}
	fd, err = unix.Open(loc.Dir, unix.O_TMPFILE|unix.O_RDWR|unix.O_CLOEXEC, 0o600)
	if err == nil || !errors.Is(err, unix.EOPNOTSUPP) && !errors.Is(err, unix.EISDIR) {
		return raise(fd, wrapPath("open", loc.Dir, err), "")
	}
	temp = filepath.Join(loc.Dir, ".ndpool-"+rand.Text())
	fd, err = unix.Open(temp, unix.O_CREAT|unix.O_EXCL|unix.O_RDWR|unix.O_CLOEXEC|unix.O_NOFOLLOW, 0o600)
	return raise(fd, wrapPath("open", temp, err), temp)
}

// raise moves a descriptor to 3 or above, so that it never stands in for standard input, output or error.
func raise(fd int, err error, temp string) (int, string, error) {
	if err != nil || fd > 2 {
		return fd, temp, err
	}
	high, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 3)
	unix.Close(fd)
	return high, temp, err
}

func wrapPath(op, path string, err error) error {
	if err == nil {
		return nil
	}
	return &os.PathError{Op: op, Path: path, Err: err}
}

// prepare gives a new file its size, mode and memory, and maps it.
func (f *file) prepare(a *Arena) error {
	var st unix.Stat_t
	if err := unix.Fstat(f.fd, &st); err != nil {
		return err
	}
	f.know(&st)
	if err := f.refuseNetwork(); err != nil {
		return err
	}
	if st.Size != 0 {
		return fmt.Errorf("%w: the passed file has %d bytes already", ErrExist, st.Size)
	}
	if err := unix.Ftruncate(f.fd, int64(a.Geo.FileSize)); err != nil {
		return fmt.Errorf("ftruncate to %d bytes: %w", a.Geo.FileSize, err)
	}
	if f.loc.named() {
		if err := unix.Fchmod(f.fd, a.Super.Mode); err != nil {
			return err
		}
	}
	if f.loc.Anonymous {
		seals := unix.F_SEAL_SHRINK | unix.F_SEAL_GROW | unix.F_SEAL_SEAL
		if _, err := unix.FcntlInt(uintptr(f.fd), unix.F_ADD_SEALS, seals); err != nil {
			return fmt.Errorf("seal memfd: %w", err)
		}
	}
	if err := f.commit(0, a.Geo.Eager()); err != nil {
		return err
	}
	if a.Has(layout.FlagReserved) {
		if err := f.reserve(a); err != nil {
			return err
		}
	}
	return f.mapInto(a)
}

// reserve commits all that is not committed at creation anyway, but not the gap before the data region, which may be as
// large as a chunk.
func (f *file) reserve(a *Arena) error {
	for _, kind := range []int{layout.RegionDescs, layout.RegionData} {
		r := a.Geo.Regions[kind]
		if err := f.commit(r.Offset, r.Size); err != nil {
			return err
		}
	}
	return nil
}

// publish gives the file its name. link fails if the name is taken, so creation is exclusive.
func (f *file) publish() error {
	if !f.loc.named() {
		return nil
	}
	var err error
	if f.temp != "" {
		err = unix.Link(f.temp, f.path)
	} else {
		err = unix.Linkat(unix.AT_FDCWD, fmt.Sprintf("/proc/self/fd/%d", f.fd), unix.AT_FDCWD, f.path, unix.AT_SYMLINK_FOLLOW)
	}
	if errors.Is(err, unix.EEXIST) {
		return ErrExist
	}
	return wrapPath("link", f.path, err)
}

// open opens the file, refuses what is not ours to open, reads and validates the superblock, and maps the file.
func open(loc Location, a *Arena) (err error) {
	f := &file{loc: loc, path: loc.Path()}
	if f.fd, err = openFile(loc); err != nil {
		return err
	}
	a.back = f
	defer func() {
		if err != nil {
			a.Close()
		}
	}()
	size, err := f.check()
	if err != nil {
		return err
	}
	if err := f.refuseNetwork(); err != nil {
		return err
	}
	if err := readSuper(f.fd, f.path, &a.Super); err != nil {
		return err
	}
	if a.Geo, err = CheckSuper(&a.Super, f.path, size); err != nil {
		return err
	}
	return f.mapInto(a)
}

func openFile(loc Location) (int, error) {
	if loc.FD > 0 {
		return unix.FcntlInt(uintptr(loc.FD), unix.F_DUPFD_CLOEXEC, 3)
	}
	return openPath(loc.Path(), unix.O_RDWR)
}

// openPath opens a file that is no symlink, for reading, or for writing too.
func openPath(path string, access int) (int, error) {
	fd, err := unix.Open(path, access|unix.O_CLOEXEC|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	switch {
	case errors.Is(err, unix.ENOENT):
		err = fmt.Errorf("open %s: %w", path, ErrNotExist)
	case errors.Is(err, unix.ELOOP):
		err = fmt.Errorf("open %s: %w: it is a symlink", path, ErrPermission)
	default:
		err = wrapPath("open", path, err)
	}
	fd, _, err = raise(fd, err, "")
	return fd, err
}

// check refuses files that are not regular, or that belong to somebody who is not allowed, and returns the size.
func (f *file) check() (uint64, error) {
	st, err := f.regular()
	if err != nil {
		return 0, err
	}
	own := int(st.Uid) == unix.Geteuid() || slices.Contains(f.loc.UIDs, int(st.Uid)) || slices.Contains(f.loc.GIDs, int(st.Gid))
	if f.loc.named() && !own {
		return 0, fmt.Errorf("open %s: %w: it belongs to uid %d, gid %d, and this process is uid %d; name the uid or gid to allow it",
			f.path, ErrPermission, st.Uid, st.Gid, unix.Geteuid())
	}
	return uint64(st.Size), nil
}

// regular refuses what is no regular file.
func (f *file) regular() (unix.Stat_t, error) {
	var st unix.Stat_t
	if err := unix.Fstat(f.fd, &st); err != nil {
		return st, wrapPath("stat", f.path, err)
	}
	f.know(&st)
	if st.Mode&unix.S_IFMT != unix.S_IFREG {
		return st, &FormatError{Path: f.path, What: "file type", Got: fmt.Sprintf("%#o", st.Mode&unix.S_IFMT), Want: "a regular file"}
	}
	return st, nil
}

// readSuper reads the superblock into private memory.
func readSuper(fd int, path string, sb *layout.Superblock) error {
	n, err := unix.Pread(fd, superBytes(sb), 0)
	if err != nil {
		return wrapPath("read", path, err)
	}
	if n < layout.SuperblockSize {
		return &FormatError{Path: path, What: "file size", Got: n, Want: "at least 4096 bytes"}
	}
	return nil
}

// networkFilesystems are those whose locks and mappings do not reach all machines; numbers as in linux/magic.h.
var networkFilesystems = map[int64]string{
	unix.NFS_SUPER_MAGIC: "nfs", unix.SMB_SUPER_MAGIC: "smb", unix.CIFS_SUPER_MAGIC: "cifs", unix.SMB2_SUPER_MAGIC: "smb2",
	unix.V9FS_MAGIC: "9p", unix.AFS_SUPER_MAGIC: "afs", unix.AFS_FS_MAGIC: "afs", unix.CEPH_SUPER_MAGIC: "ceph",
	unix.CODA_SUPER_MAGIC: "coda", unix.FUSE_SUPER_MAGIC: "fuse", 0x0bd00bd0: "lustre", 0x47504653: "gpfs", 0x7461636f: "ocfs2", 0x01161970: "gfs2",
}

func (f *file) refuseNetwork() error {
	var st unix.Statfs_t
	if err := unix.Fstatfs(f.fd, &st); err != nil {
		return err
	}
	if name, bad := networkFilesystems[int64(st.Type)]; bad {
		return fmt.Errorf("%w: %s is on %s, whose locks and mappings may not reach every process", ErrFilesystem, f.path, name)
	}
	return nil
}

// Unlink removes a segment's name. Processes that are attached go on undisturbed. A file that is no segment is left alone.
func Unlink(loc Location) error {
	if err := CheckName(loc.Name); err != nil {
		return err
	}
	fd, err := openFile(loc)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	f := &file{loc: loc, path: loc.Path(), fd: fd}
	if _, err := f.check(); err != nil {
		return err
	}
	var magic [8]byte
	if n, err := unix.Pread(fd, magic[:], 0); err != nil || n < 8 || magic != layout.Magic {
		return &FormatError{Path: f.path, What: "magic", Got: string(magic[:]), Want: string(layout.Magic[:])}
	}
	return f.unlink()
}

// bootID returns the kernel's id of this boot.
func bootID() [2]uint64 {
	b, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return [2]uint64{}
	}
	var id [2]uint64
	hex := strings.ReplaceAll(strings.TrimSpace(string(b)), "-", "")
	for i := range id {
		fmt.Sscanf(hex[min(16*i, len(hex)):min(16*i+16, len(hex))], "%x", &id[i])
	}
	return id
}
