package arena

import (
	"errors"
	"testing"
	"time"

	"github.com/ndpool/ndpool/arena/layout"
)

// testSpec is small: one short chunk of data, four processes.
func testSpec() Spec {
	return Spec{Limits: layout.Limits{Capacity: 256 << 10, Arrays: 64, Processes: 4, Tickets: 16, Names: 2},
		Mode: 0o600, Grace: time.Minute, LockWait: time.Second}
}

func noFormat(*Arena) error { return nil }

func never(*Arena) bool { return false }

// world is a segment that more arenas can attach to: on the heap for the race detector, in a file for the kernel.
type world struct {
	first *Arena
	open  func(testing.TB) *Arena // joined, without a slot
}

// worlds runs a test on the heap, and in a file of every directory there is.
func worlds(t *testing.T, spec Spec, test func(*testing.T, world)) {
	t.Run("heap", func(t *testing.T) {
		h, a, err := CreateHeap(spec, noFormat)
		if err != nil {
			t.Fatal(err)
		}
		test(t, world{first: a, open: func(t testing.TB) *Arena {
			t.Helper()
			b, err := OpenHeap(h)
			if err != nil {
				t.Fatal(err)
			}
			return b
		}})
	})
	fileWorlds(t, spec, test)
}

// claim takes a clean slot.
func claim(t testing.TB, a *Arena) layout.Ident {
	t.Helper()
	dirty, err := a.Claim()
	if err != nil || dirty {
		t.Fatalf("Claim: dirty %v, %v", dirty, err)
	}
	return a.Self()
}

// sleeps checks that f, which waits for 20 ms, does so. A signal may end a single wait at once, but not all of them.
func sleeps(t *testing.T, f func()) {
	t.Helper()
	longest := time.Duration(0)
	for range 5 {
		start := time.Now()
		f()
		longest = max(longest, time.Since(start))
	}
	if longest < 15*time.Millisecond || longest > 5*time.Second {
		t.Errorf("five waits of 20ms: the longest took %v", longest)
	}
}

// eventually waits for something that another process or goroutine does.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited for ever: %s", what)
		}
	}
}

func TestAccessors(t *testing.T) {
	worlds(t, testSpec(), func(t *testing.T, w world) {
		a := w.first
		d := a.Data(4096, 10)
		if len(d) != 10 || cap(d) != 10 {
			t.Errorf("Data: len %d, cap %d", len(d), cap(d))
		}
		copy(d, "0123456789")
		ro, err := a.ReadOnly(4096, 10)
		if err != nil || string(ro) != "0123456789" || cap(ro) != 10 {
			t.Errorf("ReadOnly: %q, cap %d, %v", ro, cap(ro), err)
		}
		if free, total := a.Space(); free == 0 || total < free {
			t.Errorf("Space: %d of %d", free, total)
		}
		if !a.SameBoot() || !a.Linked() {
			t.Errorf("SameBoot %v, Linked %v", a.SameBoot(), a.Linked())
		}
		b := w.open(t)
		defer b.Close()
		if b.Super != a.Super || b.Geo != a.Geo {
			t.Error("superblock or geometry differ between attachments")
		}
		if got := string(b.Data(4096, 10)); got != "0123456789" {
			t.Errorf("the other attachment sees %q", got)
		}
	})
}

func TestDataOutside(t *testing.T) {
	_, a, err := CreateHeap(testSpec(), noFormat)
	if err != nil {
		t.Fatal(err)
	}
	for _, x := range [][2]uint64{{256 << 10, 1}, {0, 256<<10 + 1}, {^uint64(0), 2}, {4096, ^uint64(0)}} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("Data(%d, %d) did not panic", x[0], x[1])
				}
			}()
			a.Data(x[0], x[1])
		}()
	}
}

func TestCreateRefusesLimits(t *testing.T) {
	spec := testSpec()
	spec.Limits.Processes = layout.MaxProcesses + 1
	if _, _, err := CreateHeap(spec, noFormat); err == nil {
		t.Error("CreateHeap took 255 processes")
	}
}

func TestFormatError(t *testing.T) {
	failed := errors.New("format failed")
	if _, _, err := CreateHeap(testSpec(), func(*Arena) error { return failed }); !errors.Is(err, failed) {
		t.Errorf("got %v", err)
	}
}

func TestCommitAndPunch(t *testing.T) {
	spec := testSpec()
	spec.Limits.Capacity = 5 << 20 // three chunks, the last one short
	worlds(t, spec, func(t *testing.T, w world) {
		a := w.first
		if err := a.CommitPages(512, 513); err != nil {
			t.Fatal(err)
		}
		for c, want := range []bool{false, true, true} {
			if got := a.IsCommitted(c); got != want {
				t.Errorf("chunk %d committed: got %v, want %v", c, got, want)
			}
		}
		copy(a.Data(4<<20, 4), "data")
		if err := a.PunchChunk(2); err != nil || a.IsCommitted(2) {
			t.Fatalf("PunchChunk: %v, committed %v", err, a.IsCommitted(2))
		}
		if got := string(a.Data(4<<20, 4)); got != "\x00\x00\x00\x00" {
			t.Errorf("after punching: %q", got)
		}
		if n, err := a.CommitDescs(0, 1); err != nil || n != 64 {
			t.Errorf("CommitDescs: got %d %v, want the whole table of 64", n, err)
		}
	})
}

func TestCommitDescsBySteps(t *testing.T) {
	spec := testSpec()
	spec.Limits.Arrays = 2500
	_, a, err := CreateHeap(spec, noFormat)
	if err != nil {
		t.Fatal(err)
	}
	const step = layout.TableStep / int(layout.DescSize)
	for from, want := range map[int]int{0: step, step: 2 * step, 2 * step: 2500} {
		if got, err := a.CommitDescs(from, from+1); err != nil || got != want {
			t.Errorf("CommitDescs(%d): got %d %v, want %d", from, got, err, want)
		}
	}
}

func TestHeapLimit(t *testing.T) {
	spec := testSpec()
	spec.Limits.Capacity = 6 << 20
	h, a, err := CreateHeap(spec, noFormat)
	if err != nil {
		t.Fatal(err)
	}
	h.Limit(3 << 20)
	if err := a.CommitPages(0, 512); err != nil {
		t.Fatal(err)
	}
	err = a.CommitPages(512, 512)
	var m *MemoryError
	if !errors.As(err, &m) || !errors.Is(err, ErrNoMemory) || m.Asked != 2<<20 || m.Free != 1<<20 || a.IsCommitted(1) {
		t.Errorf("got %v, chunk committed %v", err, a.IsCommitted(1))
	}
}

// TestSpace wakes who waits for space, and only then bumps the sequence.
func TestSpace(t *testing.T) {
	worlds(t, testSpec(), func(t *testing.T, w world) {
		a := w.first
		a.SpaceFreed()
		if a.Ctl.SpaceSeq.Load() != 0 {
			t.Error("the sequence moved though nobody waits")
		}
		seq := a.SpaceWanted()
		woken := make(chan time.Duration)
		go func() {
			start := time.Now()
			a.AwaitSpace(seq, 10*time.Second)
			woken <- time.Since(start)
		}()
		b := w.open(t)
		defer b.Close()
		time.Sleep(20 * time.Millisecond)
		b.SpaceFreed()
		if d := <-woken; d > 5*time.Second {
			t.Errorf("woke after %v", d)
		}
		if a.Ctl.SpaceSeq.Load() != seq+1 || a.Ctl.SpaceFlag.Load() != 0 {
			t.Errorf("sequence %d, flag %d", a.Ctl.SpaceSeq.Load(), a.Ctl.SpaceFlag.Load())
		}
		start := time.Now()
		a.AwaitSpace(seq, 10*time.Second) // the sequence has moved: no sleep at all
		if d := time.Since(start); d > 5*time.Second {
			t.Errorf("slept %v on an old sequence", d)
		}
		sleeps(t, func() { a.AwaitSpace(seq+1, 20*time.Millisecond) })
	})
}

func TestCheckName(t *testing.T) {
	long := make([]byte, 201)
	for i := range long {
		long[i] = 'x'
	}
	for _, name := range []string{"", ".", "..", ".hidden", "a/b", "/abs", "nul\x00", string(long)} {
		if err := CheckName(name); !errors.Is(err, ErrName) {
			t.Errorf("CheckName(%q): %v", name, err)
		}
	}
	for _, name := range []string{"a", "frames", "with space", "über", string(long[:200])} {
		if err := CheckName(name); err != nil {
			t.Errorf("CheckName(%q): %v", name, err)
		}
	}
}
