package pool

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"os"
	"runtime"
	"runtime/debug"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/ndpool/ndpool/arena/layout"
	"github.com/ndpool/ndpool/internal/invariants"
)

// Another process's bytes never panic, hang or lead out of bounds, whatever they are. Here somebody scribbles over the
// bookkeeping of a living pool, and its processes go on.

// scribbleOptions let nobody wait for long for a lock whose word was scribbled over.
var scribbleOptions = func() Options {
	o := worldOptions
	o.LockWait, o.Grace = 3*time.Millisecond, time.Millisecond
	return o
}()

// scribbler damages a segment on the heap.
type scribbler struct {
	rng   *rand.Rand
	bytes []byte
	geo   *layout.Geometry
	rings [][2]uint64 // where the rings of the world lie, from and to
}

func newScribbler(w *world, rng *rand.Rand) *scribbler {
	s := &scribbler{rng: rng, bytes: w.heap.Bytes(), geo: &w.p.arena.Geo}
	for _, r := range w.hand {
		at := s.geo.Regions[layout.RegionData].Offset + layout.Extent(w.p.desc(int(r.array.desc)).Extent.Load()).Offset()
		s.rings = append(s.rings, [2]uint64{at, at + uint64(len(r.words)*8)})
	}
	return s
}

// place returns a place in the bookkeeping, the headers of arrays or the rings, about the same chance for each region, and mostly
// near the start of a region, where the records are in use.
func (s *scribbler) place() uint64 {
	r := s.geo.Regions[1+s.rng.IntN(layout.RegionDescs)]
	switch s.rng.IntN(9) {
	case 8:
		ring := s.rings[s.rng.IntN(len(s.rings))]
		return ring[0] + s.rng.Uint64N(ring[1]-ring[0]-16)
	case 0, 1:
		r = s.geo.Regions[layout.RegionDescs] // most rests on these
	case 2:
		return s.geo.Regions[layout.RegionData].Offset + s.rng.Uint64N(32*layout.PageSize) // headers of arrays
	}
	n := r.Size
	if s.rng.IntN(3) > 0 {
		n = min(n, 32*layout.DescSize)
	}
	return r.Offset + s.rng.Uint64N(n)
}

// interesting are numbers that are wrong in a way that hurts.
var interesting = []uint64{0, 1, 2, 3, 4, 63, 64, 255, 256, 511, 512, 1279, 1280, 4096, 1 << 29, 1<<29 - 1, 1 << 31, 1<<32 - 1, 1 << 32, 1 << 48, 1 << 58, 1 << 63,
	1<<63 - 1, ^uint64(0), ^uint64(0) - 1}

// scribble flips a bit, or writes up to 16 bytes of garbage, or a number.
func (s *scribbler) scribble() string {
	at := s.place()
	switch s.rng.IntN(3) {
	case 0:
		s.bytes[at] ^= 1 << s.rng.IntN(8)
	case 1:
		for k := range s.rng.IntN(16) + 1 {
			s.bytes[at+uint64(k)] = byte(s.rng.Uint32())
		}
	default:
		at &^= 7
		if n := interesting[s.rng.IntN(len(interesting))]; s.rng.IntN(2) == 0 {
			binary.LittleEndian.PutUint64(s.bytes[at:], n)
		} else {
			binary.LittleEndian.PutUint32(s.bytes[at:], uint32(n))
		}
	}
	return fmt.Sprint(at)
}

// scribbled is a world whose processes go on after its bookkeeping was scribbled over. Any error is right, but no
// panic, and no end that never comes.
type scribbled struct {
	*world
	*scribbler
	rng   *rand.Rand // its own: scribbles may go on meanwhile
	alive []*churner
	doing string // for the message
}

func newScribbled(t testing.TB, seed uint64) *scribbled {
	w := newWorldOf(t, scribbleOptions)
	s := &scribbled{world: w, scribbler: newScribbler(w, rand.New(rand.NewPCG(seed, 1))), rng: rand.New(rand.NewPCG(seed, 2))}
	for k, p := range []*Pool{w.p, w.q, w.r} {
		s.alive = append(s.alive, newChurner(p, seed*3+uint64(k)))
	}
	return s
}

// step does something in one of the processes.
func (s *scribbled) step() {
	k := s.rng.IntN(len(s.alive))
	c := s.alive[k]
	n := s.rng.IntN(44)
	s.doing = fmt.Sprintf("operation %d of process %d", n, k)
	switch n {
	case 0:
		_, _ = c.p.Verify(VerifyOptions{Content: true})
	case 1:
		_, _ = c.p.Stats()
	case 2:
		_, _ = c.p.Trim()
	case 3:
		_, _ = c.p.Reap()
	case 4:
		s.look(c.p)
	case 5:
		s.use()
	case 6:
		if c.p.lock() == nil {
			c.p.rebuildLocked()
			c.p.unlock()
		}
	case 7:
		s.die(k)
	case 8:
		s.enter()
	case 9:
		_, _ = c.p.AllocBlock(s.rng.IntN(1 << s.rng.IntN(20)))
	case 10:
		a, err := c.p.Alloc(structured, s.rng.IntN(40), 2)
		if err == nil {
			s.arrays = append(s.arrays, a)
		}
	case 11, 12, 13, 14:
		s.name(c.p)
	default:
		_ = c.step()
	}
}

// name does something with the catalog.
func (s *scribbled) name(p *Pool) {
	path := []string{"camera/left", "camera", "kept/a", "kept", "gone", "new", "new/er"}[s.rng.IntN(7)]
	switch s.rng.IntN(8) {
	case 0, 1:
		s.publish(p, path)
	case 2:
		if it, err := p.LookupItem(path); err == nil && it.Array != nil {
			s.arrays = append(s.arrays, it.Array)
		}
	case 3:
		if t, err := p.LookupTree(""); err == nil {
			t.Release()
		}
	case 4:
		for range p.List(path) {
		}
	case 5:
		_, _ = p.SetAttrs(path, Attrs{"n": s.rng.IntN(100)})
	case 6:
		s.lockName(p, path)
	default:
		_, _ = p.RemoveTree(path)
	}
}

// lockName takes the lock of a name if it can be had at once, and lets it go.
func (s *scribbled) lockName(p *Pool, path string) {
	l, err := p.LockOf(path)
	if err != nil {
		return
	}
	if ok, _, err := l.TryLock(); ok && err == nil {
		_ = l.Unlock()
	}
	if ok, _, err := l.TryRLock(); ok && err == nil {
		_ = l.RUnlock()
	}
}

// publish gives an array that the process has one name, or several.
func (s *scribbled) publish(p *Pool, path string) {
	for _, a := range s.arrays {
		if a.pool != p || s.rng.IntN(4) > 0 {
			continue
		}
		o := Publish{Mode: []PublishMode{PublishNew, PublishOverwrite, PublishMerge}[s.rng.IntN(3)], Persistent: s.rng.IntN(2) == 0}
		_, _ = p.PublishTree(path, Tree{"x": a, "y/z": Item{Array: a, Attrs: Attrs{"k": "v"}}, "e": Tree{}}, o)
		return
	}
}

// die ends a process, at times inside the lock, but never the last.
func (s *scribbled) die(k int) {
	if len(s.alive) < 2 {
		return
	}
	c := s.alive[k]
	if s.rng.IntN(2) == 0 {
		_ = c.p.lock()
	}
	c.p.arena.Abandon()
	s.alive = append(s.alive[:k], s.alive[k+1:]...)
	kept := s.arrays[:0]
	for _, a := range s.arrays {
		if a.pool != c.p {
			kept = append(kept, a)
		}
	}
	s.arrays = kept
}

// enter attaches one more process.
func (s *scribbled) enter() {
	if p, err := openHeap(s.heap); err == nil {
		s.alive = append(s.alive, newChurner(p, s.rng.Uint64()))
	}
}

// look reads all tables.
func (s *scribbled) look(p *Pool) {
	for range p.Arrays() {
	}
	for range p.Transfers() {
	}
	for range p.Processes() {
	}
}

// use does what can be done with an array that was made before the damage.
func (s *scribbled) use() {
	if len(s.arrays) == 0 {
		return
	}
	a := s.arrays[s.rng.IntN(len(s.arrays))]
	a.Handle()
	if b, err := a.Bytes(); err == nil && !a.IsReadOnly() {
		clear(b)
	}
	_, _ = a.Send()
	_ = a.Seal(true)
	_ = a.CheckHash()
	if m, err := a.Message(); err == nil {
		for _, c := range s.alive {
			if b, err := c.p.Receive(m); err == nil {
				b.Release()
			}
		}
	}
	if v, err := a.Transpose(); err == nil {
		v.Release()
	}
}

// leave releases everything and closes all processes.
func (s *scribbled) leave() {
	for _, a := range s.arrays {
		a.Release()
	}
	for _, c := range s.alive {
		_ = c.stop()
		_ = c.p.Close()
	}
}

// guarded runs f and tells how it failed: by a panic, or by not coming back.
func guarded(f func()) (failure string) {
	done := make(chan string, 1)
	go func() {
		defer func() {
			if r := recover(); r != nil {
				done <- fmt.Sprintf("panic: %v\n%s", r, debug.Stack())
			}
		}()
		f()
		done <- ""
	}()
	select {
	case failure = <-done:
	case <-time.After(time.Minute):
		buf := make([]byte, 1<<20)
		failure = "hang:\n" + string(buf[:runtime.Stack(buf, true)])
	}
	return failure
}

// scribbles returns how often to do it, and the seed to begin with: NDPOOL_SEED=n repeats one case.
func scribbles(t *testing.T, n int) (from, to uint64) {
	if v := os.Getenv("NDPOOL_SEED"); v != "" {
		seed := must(strconv.ParseUint(v, 10, 64))
		return seed, seed + 1
	}
	switch {
	case long():
		n *= 100
	case testing.Short():
		n /= 10
	}
	from = rand.Uint64N(1 << 40)
	t.Logf("seeds from %d", from)
	return from, from + uint64(n)
}

func TestScribbledBookkeeping(t *testing.T) {
	if invariants.Enabled {
		t.Skip("invariants take a scribble for a defect of this module")
	}
	from, to := scribbles(t, 300)
	for seed := from; seed < to; seed++ {
		s := newScribbled(t, seed)
		var at []string
		failure := guarded(func() {
			for range 1 + s.rng.IntN(4) {
				at = append(at, s.scribble())
				for range 30 {
					s.step()
				}
			}
			s.doing = "leaving"
			s.leave()
		})
		if failure != "" {
			t.Fatalf("seed %d, scribbles at %v, %s: %s", seed, at, s.doing, failure)
		}
	}
}

// TestScribblesMeanwhile scribbles without an end while processes work, so that no value stays the same from one look
// to the next. Only without the race detector, which would rightly complain.
func TestScribblesMeanwhile(t *testing.T) {
	if invariants.Enabled {
		t.Skip("scribbles are data races")
	}
	from, to := scribbles(t, 30)
	for seed := from; seed < to; seed++ {
		s := newScribbled(t, seed)
		stop := make(chan struct{})
		var wg sync.WaitGroup
		wg.Go(func() { scribbleOn(s.scribbler, stop) })
		failure := guarded(func() {
			for range 150 {
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
