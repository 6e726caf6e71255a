package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ndpool/ndpool/dtype"
	"github.com/ndpool/ndpool/pool"
)

const poolName = "storm"

// grace is how long transfers of killed workers wait.
const grace = 200 * time.Millisecond

// spared is how much more seldom a Python process is struck: else most of them would die before they have done anything.
const spared = 5

// storm is the process that makes the weather.
type storm struct {
	config
	dir  string
	p    *pool.Pool
	rng  *rand.Rand
	own  []*pool.Array // must never change
	next uint64        // seed of the next worker

	mu     sync.Mutex
	places []*place // one per worker; what is in it changes when the worker dies
	calm   bool     // no worker is started any more
	fault  error    // the first thing that went wrong

	kills, stops, left, verified int
	persistent, locked           int // names that were left at the end
	items                        int // that were left in queues
	arrays, adopted              atomic.Int64
	names, rings                 atomic.Int64 // operations
}

func run(ctx context.Context, c config) error {
	dir, err := os.MkdirTemp(c.dir, "ndpool-storm-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	s := &storm{config: c, dir: dir, rng: rand.New(rand.NewPCG(c.seed, 0)), next: c.seed}
	s.p, err = pool.Create(poolName, pool.Options{Dir: dir, Capacity: c.capacity, Processes: c.workers + 8, Tickets: 64 * c.workers,
		Arrays: 2000 * c.workers, Grace: grace, LockWait: time.Minute})
	if err != nil {
		return err
	}
	defer s.p.Close()
	start := time.Now()
	ctx, cancel := context.WithTimeout(ctx, time.Duration(c.minutes*float64(time.Minute)))
	defer cancel()
	err = s.rage(ctx)
	s.endWorkers()
	if err == nil {
		err = s.fault
	}
	stats, settled := s.settle()
	if err == nil {
		err = settled
	}
	word := "clean"
	if err != nil {
		word = "FAILED"
	}
	fmt.Printf("storm: %.1f s, %d workers, seed %d: %d kills, %d stops, %d left, %d arrays, %d transfers adopted, %d operations with names (%d persistent ones left), %d with rings (%d items left), %d takeovers, %d sweeps, %d stolen, %d expired, verified %d times: %s\n",
		time.Since(start).Seconds(), c.workers, c.seed, s.kills, s.stops, s.left, s.arrays.Load(), s.adopted.Load(), s.names.Load(), s.persistent, s.rings.Load(), s.items, stats.Takeovers, stats.Sweeps, stats.Stolen,
		stats.Expired, s.verified, word)
	return err
}

// rage makes weather until the context ends or something is wrong.
func (s *storm) rage(ctx context.Context) error {
	if err := s.allocOwn(); err != nil {
		return err
	}
	if err := s.publishLocked(); err != nil {
		return err
	}
	for range s.workers {
		s.places = append(s.places, &place{})
	}
	for k := range s.places {
		s.start(k)
	}
	last := time.Now()
	for ctx.Err() == nil && s.failure() == nil {
		s.gust()
		select {
		case <-ctx.Done():
		case <-time.After(time.Duration(5+s.rng.IntN(60)) * time.Millisecond):
		}
		if time.Since(last) < 300*time.Millisecond {
			continue
		}
		last = time.Now()
		if err := s.look(); err != nil {
			return err
		}
	}
	return nil
}

// gust does something to a worker: kills it, or stops it for a moment, at times only to kill it then.
func (s *storm) gust() {
	w := s.at(s.rng.IntN(s.workers))
	if w == nil || w.slow && s.rng.IntN(spared) > 0 {
		return
	}
	switch s.rng.IntN(3) {
	case 0:
		s.kills++
		w.Kill()
	case 1:
		s.stops++
		w.Pause(time.Duration(5+s.rng.IntN(300)) * time.Millisecond)
	default:
		s.stops++
		s.kills++
		w.Pause(0)
		time.AfterFunc(time.Duration(s.rng.IntN(50))*time.Millisecond, w.Kill)
	}
}

// allocOwn makes the arrays that this process keeps all the while: private and shared ones, small and large.
func (s *storm) allocOwn() error {
	for n := range 20 {
		a, err := s.p.Alloc(dtype.Uint64, 1<<n%4096+n)
		if err != nil {
			return err
		}
		fill(a)
		s.own = append(s.own, a)
	}
	return nil
}

// look checks this process's arrays, and the whole pool. A busy pool must never seem to have a fault.
func (s *storm) look() error {
	for _, a := range s.own {
		if err := check(a); err != nil {
			return fmt.Errorf("own %w", err)
		}
	}
	r, err := s.p.Verify(pool.VerifyOptions{})
	if err != nil {
		return err
	}
	if !r.Clean() {
		return fmt.Errorf("%d faults, first: %v", len(r.Faults), r.Faults[0])
	}
	s.verified++
	if s.verbose {
		st, err := s.p.Stats()
		if err != nil {
			return err
		}
		fmt.Printf("%d kills, %d stops; %d arrays, %d transfers, %d processes, %d MiB free\n", s.kills, s.stops, st.Arrays, st.Transfers, st.Processes, st.Free>>20)
	}
	return nil
}

// settle waits until all transfers of the dead have expired, and wants that nothing is left.
func (s *storm) settle() (stats pool.Stats, err error) {
	for range 3 {
		if _, err := s.p.Reap(); err != nil {
			return stats, err
		}
		time.Sleep(grace + grace/2)
	}
	if err := s.look(); err != nil {
		return stats, err
	}
	if err := s.settleRings(); err != nil {
		return stats, err
	}
	if err := s.settleNames(); err != nil {
		return stats, err
	}
	for _, a := range s.own {
		a.Release()
	}
	for x := range s.p.Transfers() { // those to this process
		if x.Receiver == s.p.Self() {
			a, err := s.p.Adopt(x.Transfer)
			if err != nil {
				return stats, err
			}
			a.Release()
		}
	}
	if _, err := s.p.Trim(); err != nil {
		return stats, err
	}
	if stats, err = s.p.Stats(); err != nil {
		return stats, err
	}
	if stats.Arrays != 0 || stats.Names != 0 || stats.Transfers != 0 || stats.Free != stats.Capacity || stats.Processes != 1 {
		return stats, fmt.Errorf("left: %d arrays, %d names, %d transfers, %d bytes, %d processes", stats.Arrays, stats.Names, stats.Transfers, stats.Capacity-stats.Free, stats.Processes)
	}
	r, err := s.p.Verify(pool.VerifyOptions{Content: true})
	if err == nil && !r.Clean() {
		err = fmt.Errorf("%d faults at rest, first: %v", len(r.Faults), r.Faults[0])
	}
	return stats, err
}

func (s *storm) failure() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.fault
}

func (s *storm) fail(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fault = errors.Join(s.fault, err)
}
