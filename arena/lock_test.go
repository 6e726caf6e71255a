package arena

import (
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/ndpool/ndpool/arena/layout"
)

// TestLockCounts lets goroutines of three arenas count with plain stores under the lock. No count is lost, and the race
// detector sees that the lock orders them.
func TestLockCounts(t *testing.T) {
	const each, goroutines = 2000, 2
	worlds(t, testSpec(), func(t *testing.T, w world) {
		arenas := []*Arena{w.first, w.open(t), w.open(t)}
		var wg sync.WaitGroup
		for i, a := range arenas {
			if i > 0 {
				claim(t, a)
				defer a.Close()
			}
			for range goroutines {
				wg.Go(func() {
					for range each {
						taken, err := a.Lock(10 * time.Second)
						if err != nil || taken {
							t.Errorf("Lock: taken %v, %v", taken, err)
							return
						}
						a.Ctl.Next.Put(a.Ctl.Next.Get() + 1)
						a.Unlock()
					}
				})
			}
		}
		wg.Wait()
		if got, want := w.first.Ctl.Next.Load(), uint32(len(arenas)*goroutines*each); got != want {
			t.Errorf("counted %d, want %d", got, want)
		}
		if got := w.first.Ctl.Lock.Load(); got != 0 {
			t.Errorf("lock word after all: %#x", got)
		}
	})
}

// TestLockTakeover lets a process die inside: exactly one of those who wait is told.
func TestLockTakeover(t *testing.T) {
	spec := testSpec()
	spec.Limits.Processes = 5
	worlds(t, spec, func(t *testing.T, w world) {
		dead := w.open(t)
		defer dead.Close()
		claim(t, dead)
		if _, err := dead.Lock(time.Second); err != nil {
			t.Fatal(err)
		}
		var wg sync.WaitGroup
		told := make(chan bool, 8)
		for range 3 {
			a := w.open(t)
			defer a.Close()
			claim(t, a)
			wg.Go(func() {
				taken, err := a.Lock(10 * time.Second)
				if err != nil {
					t.Error(err)
					return
				}
				told <- taken
				a.Unlock()
			})
		}
		time.Sleep(10 * time.Millisecond)
		if len(told) > 0 {
			t.Error("somebody got the lock of a living owner")
		}
		dead.Abandon()
		wg.Wait()
		close(told)
		takers := 0
		for taken := range told {
			if taken {
				takers++
			}
		}
		if takers != 1 || w.first.Ctl.Takeovers.Load() != 1 {
			t.Errorf("%d takers, %d takeovers", takers, w.first.Ctl.Takeovers.Load())
		}
	})
}

// TestLockTimeout does not rob a living owner.
func TestLockTimeout(t *testing.T) {
	worlds(t, testSpec(), func(t *testing.T, w world) {
		a, b := w.first, w.open(t)
		defer b.Close()
		claim(t, b)
		if _, err := a.Lock(time.Second); err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		_, err := b.Lock(30 * time.Millisecond)
		var e *LockError
		if !errors.As(err, &e) || !errors.Is(err, ErrLockTimeout) || e.Slot != 0 || e.Waited < 30*time.Millisecond {
			t.Fatalf("got %v", err)
		}
		if d := time.Since(start); d > 5*time.Second {
			t.Errorf("waited %v for 30ms", d)
		}
		a.Unlock()
		if taken, err := b.Lock(time.Second); err != nil || taken {
			t.Fatalf("after Unlock: taken %v, %v", taken, err)
		}
		b.Unlock()
		b.Leave(func() {})
	})
}

// TestLockDamage finds words that name nobody: they are a dead owner's, and the indexes are not trusted.
func TestLockDamage(t *testing.T) {
	worlds(t, testSpec(), func(t *testing.T, w world) {
		a := w.first
		for _, word := range []layout.LockWord{
			layout.MakeLock(layout.MakeIdent(3, 1)),                        // a slot that is free
			layout.MakeLock(layout.MakeIdent(200, 1)),                      // a slot that is not
			layout.MakeLock(layout.MakeIdent(0, a.Self().Incarnation()+1)), // another incarnation of ours
			0xffff_ffff, 1 << 8, 1 << 31,
		} {
			a.Ctl.Lock.Store(uint32(word))
			if taken, err := a.Lock(time.Second); err != nil || !taken {
				t.Errorf("word %#x: taken %v, %v", word, taken, err)
				continue
			}
			a.Unlock()
		}
	})
}

func TestFutex(t *testing.T) {
	_, a, err := CreateHeap(testSpec(), noFormat)
	if err != nil {
		t.Fatal(err)
	}
	w := &a.Ctl.SpaceSeq
	sleeps(t, func() { futexWait(w, 0, 20*time.Millisecond) })
	start := time.Now()
	futexWait(w, 1, 10*time.Second) // the word is not 1
	if d := time.Since(start); d > 5*time.Second {
		t.Errorf("slept %v on another value", d)
	}
	done := make(chan struct{})
	go func() {
		futexWait(w, 0, 10*time.Second)
		close(done)
	}()
	time.Sleep(20 * time.Millisecond)
	w.Store(1)
	futexWake(w, 1)
	select {
	case <-done:
	case <-time.After(5 * time.Second):
		t.Error("the wake-up was lost")
	}
}

// BenchmarkLock is the path without contention.
func BenchmarkLock(b *testing.B) {
	_, a, err := CreateHeap(testSpec(), noFormat)
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if _, err := a.Lock(time.Second); err != nil {
			b.Fatal(err)
		}
		a.Unlock()
	}
}
