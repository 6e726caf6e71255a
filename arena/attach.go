package arena

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/ndpool/ndpool/arena/layout"
	"github.com/ndpool/ndpool/internal/shm"
)

// Location says where a segment's file is, and whom it may belong to.
type Location struct {
	Dir  string // directory of the file
	Name string // the file's name in it
	FD   int    // an open file instead of a name, if positive; the caller keeps and closes it
	UIDs []int  // owners allowed beside this process's own user
	GIDs []int  // groups whose files are allowed

	Anonymous bool // create a memfd instead of a named file
	Prefault  bool // touch all committed memory at attach
}

// Path returns where the file is, for messages.
func (l Location) Path() string {
	switch {
	case l.FD > 0:
		return fmt.Sprintf("<fd %d>", l.FD)
	case l.Anonymous:
		return "<memfd " + l.Name + ">"
	}
	return filepath.Join(l.Dir, l.Name)
}

func (l Location) named() bool { return l.FD <= 0 && !l.Anonymous }

// CheckName tells whether a name can be a segment's: not empty, no path, not hidden, at most 200 bytes.
func CheckName(name string) error {
	if name == "" || len(name) > 200 || strings.ContainsAny(name, "/\x00") || name[0] == '.' {
		return fmt.Errorf("%w: %q (want 1 to 200 bytes, no slash, no leading dot)", ErrName, name)
	}
	return nil
}

// Create makes a segment and attaches to it. The file has no name until format has written the derived indexes and the
// creator has claimed a slot, so that nobody ever attaches to a half-made segment, and a death in between leaves nothing.
func Create(loc Location, spec Spec, format func(*Arena) error) (*Arena, error) {
	if loc.FD <= 0 {
		if err := CheckName(loc.Name); err != nil {
			return nil, err
		}
	}
	sb, g, err := newSuper(spec)
	if err != nil {
		return nil, fmt.Errorf("create %s: %w", loc.Path(), err)
	}
	a := &Arena{Super: sb, Geo: g, path: loc.Path()}
	err = create(loc, a, func() error { return a.start(format) })
	if err != nil {
		return nil, fmt.Errorf("create %s: %w", loc.Path(), err)
	}
	return a, nil
}

// start fills a new segment and claims a slot in it.
func (a *Arena) start(format func(*Arena) error) error {
	shm.Copy(a.mem[:layout.SuperblockSize], superBytes(&a.Super))
	a.stampBoot()
	if _, err := a.join(false); err != nil {
		return err
	}
	if _, err := a.Claim(); err != nil {
		return err
	}
	return format(a)
}

// restarts bounds how often Open starts again while a segment is being removed, with pauses that grow to half a second in
// all: the last one out decides without delay, but may lose its processor meanwhile.
const restarts = 32

// Open maps an existing segment and joins it; Claim comes next. With replace, a segment that killed processes left
// behind, and that nobody wants to keep, is removed, and Open says ErrNotExist.
func Open(loc Location, replace bool, orphaned func(*Arena) bool) (*Arena, error) {
	if loc.FD <= 0 {
		if err := CheckName(loc.Name); err != nil {
			return nil, err
		}
	}
	for n := range restarts {
		time.Sleep(time.Duration(n) * time.Millisecond)
		a := &Arena{path: loc.Path()}
		if err := open(loc, a); err != nil {
			return nil, err
		}
		err := a.enter(loc, replace, orphaned)
		if err == nil {
			return a, nil
		}
		a.Close()
		if !errors.Is(err, errRestart) {
			return nil, err
		}
	}
	return nil, fmt.Errorf("open %s: %w", loc.Path(), errRestart)
}

// enter joins the segment and refuses one that must not be used.
func (a *Arena) enter(loc Location, replace bool, orphaned func(*Arena) bool) error {
	alone, err := a.join(replace)
	if err != nil {
		return err
	}
	if alone && orphaned(a) {
		if err := a.back.unlink(); err != nil {
			return err
		}
		return fmt.Errorf("open %s: %w", a.path, ErrNotExist)
	}
	if alone {
		if _, err := a.member.lock(layout.PoolByte, false); err != nil {
			return err
		}
	}
	if loc.named() && !a.back.linked() {
		return errRestart
	}
	return a.renewBoot()
}

// join takes the pool's byte: shared, or exclusively if first and nobody is attached. It then asks the kernel whether
// the lock shows, from a description that holds none: where it does not, liveness cannot be known.
func (a *Arena) join(first bool) (alone bool, err error) {
	if a.member, err = a.back.description(); err != nil {
		return false, err
	}
	if first {
		alone, err = a.member.lock(layout.PoolByte, true)
	}
	if err == nil && !alone {
		var ok bool
		if ok, err = a.member.lock(layout.PoolByte, false); err == nil && !ok {
			return false, errRestart
		}
	}
	if err != nil {
		return false, fmt.Errorf("lock %s: %w: %w", a.path, ErrFilesystem, err)
	}
	if held, err := a.back.held(layout.PoolByte); err != nil || !held {
		return false, fmt.Errorf("lock %s: %w: a lock of this process does not show", a.path, ErrFilesystem)
	}
	return alone, nil
}

// renewBoot makes the deadlines of a clean segment of another boot count in this one. It comes before the claim, and one at
// a time: nobody ever has a slot in a segment of another boot, so whoever dies, what was clean stays clean.
func (a *Arena) renewBoot() error {
	if a.SameBoot() {
		return nil
	}
	got, err := a.member.lock(layout.BootByte, true)
	if err != nil {
		return fmt.Errorf("open %s: lock the boot: %w", a.path, err)
	}
	if !got {
		return errRestart
	}
	defer a.member.unlock(layout.BootByte)
	if a.SameBoot() {
		return nil
	}
	if err := a.checkClean(); err != nil {
		return err
	}
	for n := range a.Tickets {
		if k := &a.Tickets[n]; layout.TicketWord(k.Word.Load()).Kind() == layout.TicketOpen {
			k.Deadline.Store(uint64(BootTime() + a.Super.Grace))
		}
	}
	a.stampBoot()
	return nil
}

// checkClean refuses the unclean image of another boot: its locks mean nothing any more.
func (a *Arena) checkClean() error {
	for i := range a.Slots {
		if id, used := a.Ident(i); used && !a.Alive(id) {
			return fmt.Errorf("open %s: %w: slot %d is in use", a.path, ErrUnclean, i)
		}
	}
	return nil
}

// SameBoot tells whether the deadlines in the segment count in this boot.
func (a *Arena) SameBoot() bool {
	id := bootID()
	return a.Ctl.Boot[0].Load() == id[0] && a.Ctl.Boot[1].Load() == id[1]
}

// stampBoot says that the deadlines in the segment count in this boot.
func (a *Arena) stampBoot() {
	for i, w := range bootID() {
		a.Ctl.Boot[i].Store(w)
	}
}

// Unlink removes the segment's name if it still leads to this segment.
func (a *Arena) Unlink() error { return a.back.unlink() }

// Linked tells whether the segment's name still leads to it.
func (a *Arena) Linked() bool { return a.back.linked() }

// File returns a new descriptor of the segment's file, which the caller closes. Its locks are nobody's: whoever opens
// the segment by it gets a description of his own.
func (a *Arena) File() (*os.File, error) { return a.back.file() }

// CreateHeap makes a segment on the Go heap and attaches to it.
func CreateHeap(spec Spec, format func(*Arena) error) (*Heap, *Arena, error) {
	sb, g, err := newSuper(spec)
	if err != nil {
		return nil, nil, err
	}
	h := newHeap(g.FileSize)
	a := &Arena{Super: sb, Geo: g, path: "<heap>", back: &heapBacking{heap: h}}
	a.lay(h.Bytes())
	return h, a, a.start(format)
}

// OpenHeap attaches to a segment on the Go heap; Claim comes next.
func OpenHeap(h *Heap) (*Arena, error) {
	a := &Arena{path: "<heap>", back: &heapBacking{heap: h}}
	copy(superBytes(&a.Super), h.Bytes())
	g, err := CheckSuper(&a.Super, a.path, uint64(len(h.Bytes())))
	if err != nil {
		return nil, err
	}
	a.Geo = g
	a.lay(h.Bytes())
	_, err = a.join(false)
	return a, err
}

// OpenImage reads a copy of a segment's file into private memory, for looking at: nothing is attached, no slot is taken
// and nothing is written.
func OpenImage(path string) (*Arena, error) {
	a := &Arena{path: path}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if _, err := io.ReadFull(f, superBytes(&a.Super)); err != nil {
		return nil, &FormatError{Path: path, What: "file size", Got: st.Size(), Want: "at least 4096 bytes"}
	}
	if a.Geo, err = CheckSuper(&a.Super, path, uint64(st.Size())); err != nil {
		return nil, err
	}
	h := newHeap(a.Geo.FileSize)
	if _, err := f.ReadAt(h.Bytes(), 0); err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	a.back = &heapBacking{heap: h}
	a.lay(h.Bytes())
	return a, nil
}

// Image returns all bytes of the segment.
func (a *Arena) Image() []byte { return a.mem }
