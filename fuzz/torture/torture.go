package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"sync"
	"time"

	"github.com/ndpool/ndpool/dtype"
	"github.com/ndpool/ndpool/pool"
)

// grace is how long transfers of killed workers wait.
const grace = 200 * time.Millisecond

// torture is the process that makes the weather.
type torture struct {
	config
	house   *house
	dir     string
	p       *pool.Pool
	rng     *rand.Rand
	own     []*pool.Array // must never change
	group   *cgroup       // nil: none
	figures *figures
	winds   sync.WaitGroup // what makes weather

	mu     sync.Mutex
	places []*place      // one per worker; what is in it changes when the worker dies
	dead   []*child      // the last ones, for the sake of their events
	next   uint64        // seed of the next worker
	calm   bool          // no worker is started any more
	fault  error         // what went wrong
	wrong  chan struct{} // closed with the first fault
	kept   bool          // the evidence
}

// run is a whole run: weather, the end, and its figures.
func run(ctx context.Context, c config, h *house) error {
	t, err := newTorture(c, h)
	if err != nil {
		return err
	}
	defer t.close()
	t.fail(t.prepare())
	if t.failure() == nil {
		t.weather(ctx)
	}
	if ctx.Err() != nil {
		t.figures.Note = ", and ended early"
	}
	t.finish()
	return t.report()
}

func newTorture(c config, h *house) (*torture, error) {
	if h.own { // as large as it may be, until the pool is there
		if err := resizeTmpfs(h.dir, 1<<40); err != nil {
			return nil, err
		}
	}
	dir, err := os.MkdirTemp(h.dir, "pools-")
	if err != nil {
		return nil, err
	}
	t := &torture{config: c, house: h, dir: dir, rng: rand.New(rand.NewPCG(c.seed, 0)), next: c.seed, wrong: make(chan struct{}),
		figures: newFigures(&c, h.missing)}
	t.p, err = pool.Create(poolName, t.options())
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	return t, nil
}

func (t *torture) options() pool.Options {
	o := pool.Options{Dir: t.dir, Capacity: t.capacity, Processes: min(3*t.workers+8, 254), Tickets: 256 * t.workers,
		Arrays: 2000 * t.workers, Grace: grace, LockWait: time.Minute}
	if t.lockstep > 0 {
		o.Grace = 1 // over at the next look, so that nothing depends on time
	}
	return o
}

// close removes what the run has made, but for what a failed one leaves to be looked at.
func (t *torture) close() {
	if t.p != nil {
		t.p.Close()
	}
	if t.group != nil {
		t.fail(t.group.remove())
	}
	os.RemoveAll(t.dir)
}

// prepare makes what is there before any weather.
func (t *torture) prepare() error {
	if err := errors.Join(t.allocOwn(), t.publishLocked()); err != nil {
		return err
	}
	if err := t.limit(); err != nil {
		return err
	}
	if t.has(kindMemory) {
		var err error
		if t.group, err = newCgroup(t.house.cgroups); err != nil {
			t.house.cannot(kindMemory, err)
		}
	}
	for k := range t.workers {
		t.places = append(t.places, &place{pids: k%4 == 1 && t.canPids(), memory: k%4 == 2 && t.group != nil})
	}
	for k := range t.places {
		t.start(k)
	}
	return nil
}

// limit makes the file system smaller than the pool would be.
func (t *torture) limit() error {
	if !t.house.own {
		return nil
	}
	s, err := t.p.Stats()
	if err != nil {
		return err
	}
	return resizeTmpfs(t.house.dir, s.Tables+s.Capacity*5/8+16<<20)
}

// canPids tells whether a worker can have a PID namespace of its own.
func (t *torture) canPids() bool {
	if !t.has(kindPids) || t.house.missing[kindPids] != "" {
		return false
	}
	cmd, err := t.worker(false)
	if err != nil {
		return false
	}
	cmd.Args = append(cmd.Args, "-h") // which does nothing
	ownPids(cmd)
	if err := cmd.Start(); err != nil {
		t.house.cannot(kindPids, err)
		return false
	}
	_ = cmd.Wait()
	return true
}

// weather makes weather until the context ends, time is over, or something is wrong.
func (t *torture) weather(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, time.Duration(t.minutes*float64(time.Minute)))
	defer cancel()
	go func() {
		select {
		case <-t.wrong:
			cancel()
		case <-ctx.Done():
		}
	}()
	t.rage(ctx)
	t.winds.Go(func() { t.pace(ctx) })
	told, every := time.Now(), 30*time.Second
	if t.verbose {
		every = time.Second
	}
	for wait(ctx, 300*time.Millisecond) {
		t.fail(errors.Join(t.look(pool.VerifyOptions{}), accept(t.p)))
		if !t.quiet && time.Since(told) > every {
			told = time.Now()
			fmt.Printf("torture: %s\n", t.figures.line())
		}
	}
	t.winds.Wait()
}

// allocOwn makes the arrays that this process keeps all the while: private and shared ones, small and large.
func (t *torture) allocOwn() error {
	for n := range 20 {
		a, err := t.p.Alloc(dtype.Uint64, 1<<n%4096+n)
		if err != nil {
			return err
		}
		fill(a)
		t.own = append(t.own, a)
	}
	return nil
}

// look checks this process's arrays, and the whole pool. A busy pool must never seem to have a fault.
func (t *torture) look(o pool.VerifyOptions) error {
	for _, a := range t.own {
		if err := check(a); err != nil {
			return fmt.Errorf("own %w", err)
		}
	}
	r, err := t.p.Verify(o)
	if err != nil {
		return err
	}
	if !r.Clean() {
		return fmt.Errorf("%d faults, first: %v", len(r.Faults), r.Faults[0])
	}
	t.figures.verified()
	return nil
}

// accept takes what was sent to an attachment that nobody strikes: it would keep its ticket as long as that lives, and in an
// hour all of them.
func accept(p *pool.Pool) error {
	for x := range p.Transfers() {
		if x.Receiver != p.Self() {
			continue
		}
		a, err := p.Adopt(x.Transfer)
		switch {
		case err == nil:
			a.Release()
		case !errors.Is(err, pool.ErrSpent) && !errors.Is(err, pool.ErrRecalled) && !errors.Is(err, pool.ErrExpired):
			return err
		}
	}
	return nil
}

func (t *torture) failure() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.fault
}

// fail notes what is wrong, if err is something, and ends the weather.
func (t *torture) fail(err error) {
	if err == nil {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.fault == nil {
		close(t.wrong)
	}
	t.fault = errors.Join(t.fault, err)
}
