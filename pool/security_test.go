package pool

import (
	"bytes"
	"context"
	"errors"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/ndpool/ndpool/arena"
	"github.com/ndpool/ndpool/arena/layout"
	"github.com/ndpool/ndpool/catalog"
	"github.com/ndpool/ndpool/dtype"
	"github.com/ndpool/ndpool/internal/invariants"
)

// What docs/SECURITY.md says of hostile peers, and that each test that it names is there.

// ---- streams, queues and names after scribbles

// scribbledRings is a scribbled world whose processes had streams and queues open before, and use them.
type scribbledRings struct {
	*scribbled
	writers []*StreamWriter
	readers []*StreamReader
	queues  []*Queue
	items   []*QueueItem
	owner   map[*QueueItem]*Queue
}

// newScribbledRings opens what the world's rings have, before the damage: its stream's second writer, and some of its own.
func newScribbledRings(t testing.TB, seed uint64) *scribbledRings {
	s := &scribbledRings{scribbled: newScribbled(t, seed), owner: map[*QueueItem]*Queue{}}
	s.writers = append(s.writers, must(s.q.StreamWriter("fresh", RingOptions{Entries: 3, Readers: 2, Lossless: true})))
	s.readers = append(s.readers, must(s.p.StreamReader("fresh", ReadOptions{Every: true})), must(s.r.StreamReader("fresh")),
		must(s.q.StreamReader("camera/stream")))
	s.queues = append(s.queues, must(s.p.Queue("kept/queue")), must(s.q.Queue("kept/queue")), must(s.p.Queue("", RingOptions{Entries: 4})))
	q := must(s.r.RetainQueue(s.queues[2].Handle()))
	s.queues = append(s.queues, q)
	s.scribbler.rings = append(s.scribbler.rings, ringSpan(s.world, int(s.writers[0].ref.desc)), ringSpan(s.world, int(q.ref.desc)))
	return s
}

// ringSpan tells from which byte of the segment to which a ring lies.
func ringSpan(w *world, desc int) [2]uint64 {
	from := w.p.arena.Geo.Regions[layout.RegionData].Offset + layout.Extent(w.p.desc(desc).Extent.Load()).Offset()
	return [2]uint64{from, from + w.p.desc(desc).Bytes.Load()}
}

// briefly is how long a verb of a ring may wait.
func briefly() (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.Background(), time.Millisecond)
}

// step does something with a ring, mostly, and else what scribbled does, which may end a process and so what it had open.
func (s *scribbledRings) step() {
	if s.rng.IntN(3) == 0 {
		s.scribbled.step()
		s.forget()
		return
	}
	n := s.rng.IntN(12)
	s.doing = "ring operation " + string(rune('a'+n))
	ctx, cancel := briefly()
	defer cancel()
	switch n {
	case 0, 1:
		s.publishFrame(ctx)
	case 2, 3:
		s.readFrame(ctx)
	case 4, 5:
		s.put(ctx)
	case 6, 7:
		s.get(ctx)
	case 8:
		s.putBack(ctx)
	case 9:
		s.open()
	case 10:
		_, _ = s.pick().Rings()
	default:
		s.shut()
	}
}

func (s *scribbledRings) pick() *Pool { return s.alive[s.rng.IntN(len(s.alive))].p }

func (s *scribbledRings) lives(p *Pool) bool {
	for _, c := range s.alive {
		if c.p == p {
			return true
		}
	}
	return false
}

// forget drops what belonged to processes that have died: they close nothing.
func (s *scribbledRings) forget() {
	s.writers = kept(s.writers, func(w *StreamWriter) bool { return s.lives(w.ref.pool) })
	s.readers = kept(s.readers, func(r *StreamReader) bool { return s.lives(r.pool) })
	s.queues = kept(s.queues, func(q *Queue) bool { return s.lives(q.ref.pool) })
	s.items = kept(s.items, func(it *QueueItem) bool { return s.lives(it.Array.pool) })
}

func kept[T any](all []T, keep func(T) bool) (left []T) {
	for _, x := range all {
		if keep(x) {
			left = append(left, x)
		}
	}
	return left
}

func (s *scribbledRings) publishFrame(ctx context.Context) {
	if len(s.writers) == 0 {
		return
	}
	w := s.writers[s.rng.IntN(len(s.writers))]
	if a, err := w.ref.pool.Alloc(dtype.Uint16, s.rng.IntN(30)); err == nil {
		_, _ = w.Publish(ctx, a, Attrs{"n": 1})
		a.Release()
	}
	_ = w.AwaitReaders(ctx, 1)
}

func (s *scribbledRings) readFrame(ctx context.Context) {
	if len(s.readers) == 0 {
		return
	}
	r := s.readers[s.rng.IntN(len(s.readers))]
	for _, read := range []func() (*Frame, error){r.Newest, func() (*Frame, error) { return r.Next(ctx) }, func() (*Frame, error) { return r.Latest(ctx) }} {
		if f, err := read(); err == nil {
			f.Release()
		}
	}
}

func (s *scribbledRings) put(ctx context.Context) {
	if len(s.queues) == 0 {
		return
	}
	q := s.queues[s.rng.IntN(len(s.queues))]
	_ = q.PutBytes(ctx, []byte("bytes"))
	a, err := q.ref.pool.Alloc(dtype.Int32, 5)
	if err != nil {
		return
	}
	defer a.Release()
	if b, err := q.ref.pool.Alloc(structured, 3); err == nil {
		_ = q.Put(ctx, a, b)
		b.Release()
	}
	_, _ = q.TryPut(a)
}

func (s *scribbledRings) get(ctx context.Context) {
	if len(s.queues) == 0 {
		return
	}
	q := s.queues[s.rng.IntN(len(s.queues))]
	q.Len()
	got, _ := q.GetBatch(ctx, 1+s.rng.IntN(4))
	if it, ok, err := q.TryGet(); ok && err == nil {
		got = append(got, it)
	}
	for _, it := range got {
		if b, err := it.Bytes(); err == nil && len(b) > 0 {
			_ = b[len(b)-1]
		}
		s.owner[it] = q
	}
	s.items = append(s.items, got...)
}

func (s *scribbledRings) putBack(ctx context.Context) {
	for len(s.items) > 0 {
		it := s.items[0]
		s.items = s.items[1:]
		if s.rng.IntN(2) == 0 || s.owner[it].PutBack(ctx, it) != nil {
			it.Release()
		}
	}
}

// open opens something anew.
func (s *scribbledRings) open() {
	p, path := s.pick(), []string{"fresh", "camera/stream", "kept/queue", "another"}[s.rng.IntN(4)]
	if w, err := p.StreamWriter(path); err == nil {
		s.writers = append(s.writers, w)
	}
	if r, err := p.StreamReader(path, ReadOptions{Every: s.rng.IntN(2) == 0}); err == nil {
		s.readers = append(s.readers, r)
	}
	if q, err := p.Queue(path); err == nil {
		s.queues = append(s.queues, q)
	}
}

// shut closes something, or shuts a queue down, or sends one.
func (s *scribbledRings) shut() {
	if len(s.queues) == 0 || s.rng.IntN(3) > 0 {
		return
	}
	k := s.rng.IntN(len(s.queues))
	if t, err := s.queues[k].Send(); err == nil {
		if q, err := s.pick().AdoptQueue(t); err == nil {
			s.queues = append(s.queues, q)
		}
	}
	if s.rng.IntN(4) == 0 {
		_ = s.queues[k].Shut()
	}
}

func (s *scribbledRings) leave() {
	s.forget()
	ctx, cancel := briefly()
	defer cancel()
	s.putBack(ctx)
	for _, w := range s.writers {
		_ = w.Close()
	}
	for _, r := range s.readers {
		_ = r.Close()
	}
	for _, q := range s.queues {
		_ = q.Close()
	}
	s.scribbled.leave()
}

func TestScribbledRings(t *testing.T) {
	if invariants.Enabled {
		t.Skip("invariants take a scribble for a defect of this module")
	}
	from, to := scribbles(t, 100)
	for seed := from; seed < to; seed++ {
		s := newScribbledRings(t, seed)
		failure := guarded(func() {
			for range 1 + s.scribbled.rng.IntN(4) {
				s.scribble()
				for range 20 {
					s.step()
				}
			}
			s.doing = "leaving"
			s.leave()
		})
		if failure != "" {
			t.Fatalf("seed %d, %s: %s", seed, s.doing, failure)
		}
	}
}

// TestScribblesOverRingsMeanwhile scribbles without an end while processes read and write rings, so that no value stays
// the same from the check to the use.
func TestScribblesOverRingsMeanwhile(t *testing.T) {
	if invariants.Enabled {
		t.Skip("scribbles are data races")
	}
	from, to := scribbles(t, 20)
	for seed := from; seed < to; seed++ {
		s := newScribbledRings(t, seed)
		stop := make(chan struct{})
		var wg sync.WaitGroup
		wg.Go(func() { scribbleOn(s.scribbler, stop) })
		failure := guarded(func() {
			for range 100 {
				s.step()
			}
			s.leave()
		})
		close(stop)
		wg.Wait()
		if failure != "" {
			t.Fatalf("seed %d, %s: %s", seed, s.doing, failure)
		}
	}
}

func scribbleOn(s *scribbler, stop <-chan struct{}) {
	for {
		select {
		case <-stop:
			return
		default:
			s.scribble()
			if s.rng.IntN(20) == 0 {
				time.Sleep(20 * time.Microsecond)
			}
		}
	}
}

// ---- what a peer with write access can and cannot do

// forgeName replaces a component of the catalog by other bytes, as a hostile peer would.
func forgeName(t *testing.T, p *Pool, old, text string) {
	t.Helper()
	for e := range p.arena.Names {
		d := &p.arena.Names[e]
		if int(d.Bytes.Load()) != len(old) {
			continue
		}
		if got, err := p.names.Text(nil, e); err != nil || string(got) != old {
			continue
		}
		for k := range d.Text {
			var w uint64
			for i := 0; i < 8 && 8*k+i < len(text); i++ {
				w |= uint64(text[8*k+i]) << (8 * i)
			}
			d.Text[k].Store(w)
		}
		d.Bytes.Store(uint32(len(text)))
		return
	}
	t.Fatalf("there is no name %q", old)
}

// TestForgedNames has components in the catalog that no name can have: they are in no list and in no tree, of which files
// are made, and are taken out as damage.
func TestForgedNames(t *testing.T) {
	for _, text := range []string{"..", ".", "a/b", "/etc", "../../x", "\xff\xfe", "a\x00b", "\xed\xa0\x80"} {
		_, p := createHeap(t, worldOptions)
		a := must(p.Zeros(dtype.Uint8, 100))
		must(p.Publish("group/victim", a))
		must(p.Publish("other", a))
		forgeName(t, p, "victim", text)
		for info, err := range p.List("") {
			require.NoError(t, err)
			require.NoError(t, catalog.CheckPath(info.Path), "%q is listed", info.Path)
		}
		forgeName(t, p, "other", text)
		tree, err := p.LookupTree("")
		require.NoError(t, err, "%q", text)
		require.NotContains(t, tree, text)
		require.NotContains(t, tree, "other")
		tree.Release()
		requireClean(t, p)
		a.Release()
		requireEmpty(t, p)
	}
}

// wrong are numbers that a descriptor must not have, whatever the word.
var wrong = append([]uint64{100 << 20, math.MaxInt64, 1 << 63, 1<<63 + 64, 3 << 62}, interesting...)

// TestForgedDescriptors writes numbers over each word of an array's descriptor: whatever a verb returns lies within the
// block.
func TestForgedDescriptors(t *testing.T) {
	if invariants.Enabled {
		t.Skip("invariants take a scribble for a defect of this module")
	}
	for _, spec := range []Spec{{DType: dtype.Uint8, Shape: []int{1000}}, {DType: structured, Shape: []int{7}}, {DType: dtype.Float32, Shape: tenDims}} {
		_, p := createHeap(t, scribbleOptions)
		a := must(p.New(spec))
		h := a.Handle()
		must(p.Publish("name", a))
		whole := p.arena.Image()
		off := p.arena.Geo.Regions[layout.RegionDescs].Offset + uint64(a.desc)*layout.DescSize
		desc := whole[off : off+layout.DescSize]
		honest := bytes.Clone(desc)
		for at := 0; at+8 <= len(desc); at += 4 {
			for _, n := range wrong {
				copy(desc, honest)
				for k := range 8 {
					desc[at+k] = byte(n >> (8 * k))
				}
				if b, err := p.Retain(h); err == nil {
					requireWithin(t, b, at, n)
				}
				if b, err := p.Lookup("name"); err == nil {
					requireWithin(t, b, at, n)
				}
			}
		}
		copy(desc, honest)
		for n := uint64(1); n < 1<<62; n *= 2 { // a length and a number of bytes that agree with each other, and not with the block
			p.desc(int(a.desc)).Dims[0].Len.Store(n)
			p.desc(int(a.desc)).Bytes.Store(n)
			if b, err := p.Retain(h); err == nil {
				requireWithin(t, b, -1, n)
			}
		}
	}
}

// requireWithin wants that an array that a verb gave lies in its block: the caller may touch all of it.
func requireWithin(t *testing.T, b *Array, at int, n uint64) {
	t.Helper()
	mem, err := b.Bytes()
	if err != nil || len(mem) == 0 {
		return
	}
	p := b.pool
	e, ok := p.extent(int(b.desc))
	require.True(t, ok)
	from := uint64(uintptr(unsafe.Pointer(unsafe.SliceData(mem))) - uintptr(unsafe.Pointer(unsafe.SliceData(p.arena.Image()))))
	block := p.arena.Geo.Regions[layout.RegionData].Offset + e.Offset()
	require.GreaterOrEqual(t, from, block, "word at %d, %#x", at, n)
	require.LessOrEqual(t, from+uint64(len(mem)), block+e.Size(), "word at %d, %#x", at, n)
}

// TestHandlesAreNoSecret: whoever is attached gets every array that is shared; there are no rights within a pool.
func TestHandlesAreNoSecret(t *testing.T) {
	h, p := createHeap(t, worldOptions)
	q := must(openHeap(h))
	a := must(p.Zeros(dtype.Uint8, 100))
	sent := must(a.SendTo(p.Self())) // to nobody else
	for info := range q.Arrays() {
		b := must(q.Retain(info.Handle))
		must(b.Bytes())[0] = 42
		b.Release()
	}
	require.EqualValues(t, 42, must(a.Bytes())[0], "written by somebody to whom it was never sent")
	require.NoError(t, p.Recall(sent))
	a.Release()
	require.NoError(t, q.Close())
	requireEmpty(t, p)
}

// TestFreedMemoryIsNotCleared: what an array held can be read by who allocates next, and by who can read the file; Zeros
// clears, and so does Trim.
func TestFreedMemoryIsNotCleared(t *testing.T) {
	h, p := createHeap(t, worldOptions)
	q := must(openHeap(h))
	const n = 3 << 20
	a := must(p.Alloc(dtype.Uint8, n))
	copy(must(a.Bytes())[n/2:], "a secret of p")
	a.Release()
	b := must(q.Alloc(dtype.Uint8, n)) // more than what is left beside: q takes what p has freed
	require.Contains(t, string(must(b.Bytes())), "a secret of p")
	b.Release()
	z := must(q.Zeros(dtype.Uint8, n))
	require.NotContains(t, string(must(z.Bytes())), "a secret of p")
	copy(must(z.Bytes())[n/2:], "a secret of q")
	z.Release()
	require.Contains(t, string(h.Bytes()), "a secret of q")
	must(q.Trim())
	must(p.Trim())
	require.NotContains(t, string(h.Bytes()), "a secret of q")
	require.NoError(t, q.Close())
}

// TestSealIsNoWall: a seal and its hash find accidents. A peer that can write changes both.
func TestSealIsNoWall(t *testing.T) {
	h, p := createHeap(t, worldOptions)
	a := must(p.Zeros(dtype.Uint8, 100))
	require.NoError(t, a.Seal(true))
	e, _ := p.extent(int(a.desc))
	mem := h.Bytes()[p.arena.Geo.Regions[layout.RegionData].Offset+e.Offset():][:100]
	mem[5] = 1
	require.ErrorContains(t, a.CheckHash(), "does not match", "an accident is noticed")
	other := must(p.Zeros(dtype.Uint8, 100))
	must(other.Bytes())[5] = 1
	require.NoError(t, other.Seal(true))
	p.desc(int(a.desc)).Hash.Store(p.desc(int(other.desc)).Hash.Load())
	require.NoError(t, a.CheckHash(), "malice is not")
	other.Release()
	a.Release()
}

// TestLockKeptForEver: a peer that lives and never unlocks makes verbs that need the lock fail in time; those that do not
// need it go on.
func TestLockKeptForEver(t *testing.T) {
	h, p := createHeap(t, scribbleOptions)
	hostile := must(openHeap(h))
	a := must(p.Zeros(dtype.Uint8, 100))
	handle := a.Handle()
	require.NoError(t, hostile.lock())
	var le *arena.LockError
	_, err := p.Publish("name", a)
	require.ErrorAs(t, err, &le)
	_, err = a.Send()
	require.ErrorAs(t, err, &le)
	b := must(p.Retain(handle))
	must(b.Bytes())[0] = 1
	b.Release()
	a.Release()
	hostile.unlock()
	require.NoError(t, hostile.Close())
	requireEmpty(t, p)
}

// ---- files

// asUser runs f with the rights of another user as far as files go. The thread that did is thrown away.
func asUser(t *testing.T, uid int, f func()) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("NOT ROOT: cannot be another user")
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread() // and never unlocked
		_, _ = unix.SetfsuidRetUid(uid)
		if got, _ := unix.SetfsuidRetUid(-1); got != uid {
			t.Errorf("this thread's files are uid %d's, not %d's", got, uid)
			return
		}
		f()
	}()
	<-done
}

// TestOtherUsers: what the mode allows, and no more. A sticky directory keeps others from removing a pool.
func TestOtherUsers(t *testing.T) {
	dir := testDir(t)
	require.NoError(t, os.Chmod(dir, 0o777|os.ModeSticky))
	private := must(Create("private", Options{Dir: dir, Capacity: 1 << 20}))
	defer private.Close()
	readable := must(Create("readable", Options{Dir: dir, Capacity: 1 << 20, Mode: 0o644}))
	defer readable.Close()
	a := must(readable.Zeros(dtype.Uint8, 100))
	defer a.Release()
	copy(must(a.Bytes()), "for all to read")
	h := a.Handle()
	asUser(t, 12345, func() {
		for _, name := range []string{"private", "readable"} {
			if _, err := Open(name, Options{Dir: dir}); !errors.Is(err, unix.EACCES) {
				t.Errorf("%s was opened: %v", name, err)
			}
			if err := Unlink(name, Options{Dir: dir}); !errors.Is(err, unix.EACCES) {
				t.Errorf("%s was removed: %v", name, err)
			}
			if err := unix.Unlink(filepath.Join(dir, name)); !errors.Is(err, unix.EPERM) {
				t.Errorf("%s was removed from a sticky directory: %v", name, err)
			}
		}
		if _, err := Peek("private", Options{Dir: dir}); !errors.Is(err, unix.EACCES) {
			t.Errorf("private was looked into: %v", err)
		}
		s, err := Peek("readable", Options{Dir: dir})
		if err != nil {
			t.Errorf("readable: %v", err)
			return
		}
		defer s.Close()
		if b, err := s.Read(h, 0, 15); err != nil || string(b) != "for all to read" {
			t.Errorf("content: %q %v", b, err)
		}
	})
}

// TestSquatting: a name that another user has taken is refused, and nothing in his file is used.
func TestSquatting(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("NOT ROOT: cannot give a file to somebody else")
	}
	dir := testDir(t)
	require.NoError(t, must(Create("taken", Options{Dir: dir, Capacity: 1 << 20, Persistent: true})).Close())
	require.NoError(t, os.Chown(filepath.Join(dir, "taken"), 12345, 12345))
	_, err := OpenOrCreate("taken", Options{Dir: dir})
	require.ErrorIs(t, err, ErrPermission)
	require.ErrorContains(t, err, "12345")
	_, err = Create("taken", Options{Dir: dir})
	require.ErrorIs(t, err, ErrExist)
}

// TestHardLinks: another name of the same file is the same pool; each is removed by itself.
func TestHardLinks(t *testing.T) {
	p, dir := newTestPool(t, Options{Capacity: 1 << 20})
	require.NoError(t, os.Link(filepath.Join(dir, "test"), filepath.Join(dir, "alias")))
	q := must(Open("alias", Options{Dir: dir}))
	require.Equal(t, p.Segment(), q.Segment())
	require.NoError(t, q.Close())
	require.NoError(t, Unlink("alias", Options{Dir: dir}))
	require.True(t, p.arena.Linked())
}

func init() { children["truncated"] = truncatedChild }

// truncatedChild has the pool of a directory cut to nothing by a peer, and touches it then.
func truncatedChild(args []string) {
	p := must(Open("test", Options{Dir: args[0]}))
	if err := os.Truncate(filepath.Join(args[0], "test"), 4096); err != nil {
		panic(err)
	}
	_, _ = p.Stats()
	os.Exit(0)
}

// TestTruncated: whoever may write to a named pool may cut it, which ends those that touch it, and nobody attaches any
// more.
func TestTruncated(t *testing.T) {
	dir := testDir(t)
	require.NoError(t, must(Create("test", Options{Dir: dir, Capacity: 1 << 20, Persistent: true})).Close())
	cmd := child("truncated", dir)
	var out strings.Builder
	cmd.Stderr = &out
	require.Error(t, cmd.Run())
	require.Contains(t, out.String(), "SIGBUS")
	require.NotNil(t, cmd.ProcessState.Sys().(syscall.WaitStatus))
	_, err := Open("test", Options{Dir: dir})
	var fe *arena.FormatError
	require.ErrorAs(t, err, &fe)
	require.Equal(t, "file size", fe.What)
}

// ---- the document

// cited matches the names of tests in docs/SECURITY.md: `pool.TestX`, `test_x.py::test_y`, `x_test.c::y`, `x_fuzz.c`.
var cited = regexp.MustCompile("`([a-z/]+)\\.((?:Test|Fuzz)\\w+)`|`(test_\\w+\\.py)::(test_\\w+)`|`(\\w+_test\\.c)::(\\w+)`|`(\\w+_fuzz\\.c)`")

// TestSecurityDocument wants that each test that docs/SECURITY.md names exists, and that each claim of a table names one.
func TestSecurityDocument(t *testing.T) {
	text := string(must(os.ReadFile("../docs/SECURITY.md")))
	found := cited.FindAllStringSubmatch(text, -1)
	require.Greater(t, len(found), 30, "tests that are named")
	for _, m := range found {
		switch {
		case m[2] != "":
			require.True(t, inFiles(t, "../"+m[1]+"/*_test.go", "func "+m[2]+"("), "%s.%s", m[1], m[2])
		case m[4] != "":
			require.True(t, inFiles(t, "../python/tests/"+m[3], "def "+m[4]+"("), "%s::%s", m[3], m[4])
		case m[6] != "":
			require.True(t, inFiles(t, "../python/csrc/tests/"+m[5], " "+m[6]+"("), "%s::%s", m[5], m[6])
		default:
			require.FileExists(t, "../python/csrc/tests/"+m[7])
		}
	}
	proof := false
	for line := range strings.Lines(text) {
		cells := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), "|")
		switch last := strings.TrimSpace(cells[len(cells)-1]); {
		case !strings.HasPrefix(line, "|"):
			proof = false
		case last == "proof":
			proof = true
		case proof && !strings.HasPrefix(last, "---"):
			require.True(t, cited.MatchString(last) || strings.HasPrefix(last, "not tested: "), "no proof: %s", line)
		}
	}
}

// inFiles tells whether any of the files has that text.
func inFiles(t *testing.T, pattern, text string) bool {
	files, err := filepath.Glob(pattern)
	require.NoError(t, err)
	for _, f := range files {
		if bytes.Contains(must(os.ReadFile(f)), []byte(text)) {
			return true
		}
	}
	return false
}

// A block is a value that keeps nothing but its generation, so a forged one looks like a second release. Arrays know better.
func TestForgedGenerationOfABlock(t *testing.T) {
	p, _ := newTestPool(t, Options{Capacity: 1 << 20})
	b, a := must(p.AllocBlock(64)), must(p.Alloc(dtype.Uint8, 64))
	for _, i := range []int{int(b.desc), int(a.desc)} {
		was := p.desc(i).Gen.Load()
		p.desc(i).Gen.Store(was ^ 1)
		defer p.desc(i).Gen.Store(was)
	}
	require.PanicsWithValue(t, "pool: Release of a released block", b.Release)
	require.NotPanics(t, a.Release)
	p.drop(int(b.desc))
}
