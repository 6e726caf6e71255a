package pool

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os/exec"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ndpool/ndpool/arena"
)

// Verify must never report a fault of a busy pool, also while processes come, go and die.

// verifyUntil verifies again and again.
func verifyUntil(t *testing.T, p *Pool, until time.Time) {
	n := 0
	for ; time.Now().Before(until) && !t.Failed(); n++ {
		r, err := p.Verify(VerifyOptions{})
		if err != nil {
			t.Error(err)
		}
		for _, f := range r.Faults {
			t.Error(f)
		}
	}
	t.Logf("verified %d times", n)
}

func TestVerifyWhileGoroutinesWork(t *testing.T) {
	h, p := createHeap(t, churnOptions)
	q := must(openHeap(h))
	until := time.Now().Add(churnTime())
	var wg sync.WaitGroup
	for k := range 4 {
		wg.Go(func() {
			c := newChurner([]*Pool{p, q}[k%2], uint64(k))
			if err := errors.Join(c.run(1<<30, until), c.stop()); err != nil {
				t.Error(err)
			}
		})
	}
	for k := range 3 {
		wg.Go(func() {
			for n := uint64(k); time.Now().Before(until); n += 3 {
				if err := comeAndGo(h, n); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	verifyUntil(t, p, until)
	wg.Wait()
	requireSettled(t, p, q)
}

// comeAndGo attaches, works for a moment, and leaves: by itself, or by death, at times inside the segment lock.
func comeAndGo(h *arena.Heap, seed uint64) error {
	p, err := openHeap(h)
	if err != nil {
		return err
	}
	c := newChurner(p, seed)
	if err := c.run(50, time.Now().Add(time.Second)); err != nil {
		return err
	}
	switch seed % 4 {
	case 0:
		if err := p.lock(); err != nil {
			return err
		}
		p.arena.Abandon()
	case 1, 2:
		p.arena.Abandon()
	default:
		return errors.Join(c.stop(), p.Close())
	}
	return nil
}

func init() {
	children["churner"] = func(args []string) {
		p := must(Open("test", Options{Dir: args[0]}))
		c := newChurner(p, must(strconv.ParseUint(args[1], 10, 64)))
		if err := c.run(1<<30, time.Now().Add(must(time.ParseDuration(args[2])))); err != nil {
			panic(err)
		}
		if err := errors.Join(c.stop(), p.Close()); err != nil {
			panic(err)
		}
	}
}

// TestVerifyWhileProcessesWork has real processes; some end by themselves, others are killed.
func TestVerifyWhileProcessesWork(t *testing.T) {
	p, dir := newTestPool(t, churnOptions)
	until := time.Now().Add(churnTime())
	var wg sync.WaitGroup
	for k := range 4 {
		wg.Go(func() {
			for n := uint64(k); time.Now().Before(until); n += 4 {
				if err := shortLife(dir, n); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	verifyUntil(t, p, until)
	wg.Wait()
	_, err := p.Reap()
	require.NoError(t, err)
	requireSettled(t, p)
}

// shortLife runs a child for a moment.
func shortLife(dir string, n uint64) error {
	cmd := child("churner", dir, fmt.Sprint(n), "150ms")
	if err := cmd.Start(); err != nil {
		return err
	}
	if n%3 == 0 {
		return cmd.Wait()
	}
	time.Sleep(20*time.Millisecond + time.Duration(rand.IntN(130))*time.Millisecond)
	if err := cmd.Process.Kill(); err != nil && n%3 == 0 {
		return err
	}
	err := cmd.Wait()
	if ee := (*exec.ExitError)(nil); errors.As(err, &ee) && ee.ExitCode() < 0 {
		return nil
	}
	return err
}
