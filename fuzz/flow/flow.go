package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/ndpool/ndpool/pool"
)

const poolName = "flow"

// spared is how much more seldom a Python process is struck: else most of them would die before they have done anything.
const spared = 4

// flow is the process that starts the others, and strikes them.
type flow struct {
	config
	dir    string
	p      *pool.Pool
	rng    *rand.Rand
	ledger *ledger

	mu    sync.Mutex
	next  uint64 // number of the next worker
	over  bool   // no worker is started any more
	fault error  // what went wrong
	team  []*place
	tell  map[*child]bool // readers that have not been told yet of a death

	kills, stops, left, verified       int
	frames, items, rounds, sleeps      int
	diedTold, endedTold, awaited, lost int
}

func run(ctx context.Context, c config) error {
	dir, err := os.MkdirTemp(c.dir, "ndpool-flow-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	f := &flow{config: c, dir: dir, rng: rand.New(rand.NewPCG(c.seed, 0)), ledger: newLedger(), tell: map[*child]bool{}}
	f.p, err = pool.Create(poolName, pool.Options{Dir: dir, Capacity: c.capacity, Processes: 200, LockWait: time.Minute})
	if err != nil {
		return err
	}
	defer f.p.Close()
	start := time.Now()
	if !c.quiet {
		fmt.Printf("flow: seed %d\n", c.seed)
	}
	f.part(ctx, 0.25, calmTeam(), f.calm)
	f.part(ctx, 0.75, weatherTeam(), f.weather)
	if f.failure() == nil {
		f.fail(f.settle())
	}
	err = f.failure()
	if !c.quiet {
		fmt.Printf("flow: %.1f s, seed %d: %s: %s\n", time.Since(start).Seconds(), c.seed, f.counts(), verdict(err))
	}
	return err
}

func verdict(err error) string {
	if err != nil {
		return "FAILED"
	}
	return "clean"
}

func (f *flow) counts() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return fmt.Sprintf("%d frames, %d items (%d lost with their consumers), %d rounds of the calm part, %d sleeps, %d kills, "+
		"%d stops, %d left, readers told of %d deaths and %d ends (%d deaths waited for), verified %d times",
		f.frames, f.items, f.lost, f.rounds, f.sleeps, f.kills, f.stops, f.left, f.diedTold, f.endedTold, f.awaited, f.verified)
}

// part starts a team, waits until all have opened their rings, and lets do go on for a share of the time.
func (f *flow) part(ctx context.Context, share float64, team []job, do func(context.Context)) {
	if f.failure() != nil || ctx.Err() != nil {
		return
	}
	f.mu.Lock()
	f.over, f.team = false, nil
	for _, j := range team {
		f.team = append(f.team, &place{job: j})
	}
	f.mu.Unlock()
	for _, x := range f.team {
		f.start(x)
	}
	for !f.allReady() && f.failure() == nil && ctx.Err() == nil {
		time.Sleep(10 * time.Millisecond)
	}
	ctx, cancel := context.WithTimeout(ctx, time.Duration(share*f.minutes*float64(time.Minute)))
	defer cancel()
	do(ctx)
}

// calm lets all go on, and ends them: those that begin first, since the others wait for them.
func (f *flow) calm(ctx context.Context) {
	for _, x := range f.team {
		if c := f.at(x); c != nil {
			_, _ = c.In.Write([]byte("go\n"))
		}
	}
	f.watchOver(ctx, time.Second, func() {})
	f.endTeam(f.team, "ping", "hub", "fast", "crowd-put", "dealer")
	f.shut("q/crowd")
	f.endTeam(f.team, "pong", "spoke", "slow", "crowd-get", "hand")
}

// weather strikes workers, and ends them: those that give before those that take.
func (f *flow) weather(ctx context.Context) {
	f.watchOver(ctx, 60*time.Millisecond, f.strike)
	f.endTeam(f.team, "writer", "producer")
	f.shut(fifoQueue)
	if f.rng.IntN(2) == 0 { // what is left is got by this process
		for _, x := range f.team {
			if c := f.at(x); c != nil && x.Role == "consumer" {
				c.Kill()
			}
		}
	}
	f.shut(backQueue)
	f.endTeam(f.team, "consumer", "reader")
}

// watchOver does something now and then until the context ends or something is wrong, verifies the pool, and tells how it goes.
func (f *flow) watchOver(ctx context.Context, every time.Duration, do func()) {
	verified, told := time.Now(), time.Now()
	for ctx.Err() == nil && f.failure() == nil {
		do()
		select {
		case <-ctx.Done():
		case <-time.After(every/8 + time.Duration(f.rng.Int64N(int64(every)))):
		}
		if time.Since(verified) > 400*time.Millisecond {
			verified = time.Now()
			f.fail(f.look())
		}
		if !f.quiet && time.Since(told) > 5*time.Second {
			told = time.Now()
			fmt.Printf("flow: %s\n", f.counts())
		}
	}
}

// strike does something to a worker: kills it, stops it for a moment, or both.
func (f *flow) strike() {
	x := f.team[f.rng.IntN(len(f.team))]
	c := f.at(x)
	if c == nil || c.python && f.rng.IntN(spared) > 0 {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	switch f.rng.IntN(4) {
	case 0, 1:
		f.kills++
		c.Kill()
	case 2:
		f.stops++
		c.Pause(time.Duration(5+f.rng.IntN(300)) * time.Millisecond)
	case 3:
		f.stops++
		f.kills++
		c.Pause(0)
		time.AfterFunc(time.Duration(f.rng.IntN(50))*time.Millisecond, c.Kill)
	}
}

// hear notes what a worker says.
func (f *flow) hear(c *child, line string) error {
	kind, rest, _ := strings.Cut(line, " ")
	switch kind {
	case lineReady:
		f.mu.Lock()
		defer f.mu.Unlock()
		c.ready = true
		return nil
	case linePut:
		return f.ledger.put(c.Ring, c.Who, rest)
	case lineGot:
		return f.ledger.take(c.Ring, rest)
	case lineTold:
		f.told(c, rest)
		return nil
	case lineCount:
		return f.count(c, rest)
	}
	return errors.New("unknown")
}

func (f *flow) count(c *child, line string) error {
	var n, sleeps int
	if _, err := fmt.Sscan(line, &n, &sleeps); err != nil {
		return err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.sleeps += sleeps
	switch {
	case c.Calm:
		f.rounds += n
	case c.Role == "reader":
		f.frames += n
	case c.Role == "consumer":
		f.items += n
	}
	return nil
}

// told notes that a reader knows that its writer has come to an end.
func (f *flow) told(c *child, how string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if how == "died" {
		f.diedTold++
	} else {
		f.endedTold++
	}
	delete(f.tell, c)
}

// gone notes that a worker has ended. After a writer was killed the next one is not started, at times, until all readers of the
// stream have been told: they must find it out by themselves.
func (f *flow) gone(c *child, killed bool) {
	f.mu.Lock()
	delete(f.tell, c)
	if !killed {
		f.left++
	}
	wait := killed && c.Role == "writer" && c.ready && len(f.tell) == 0 && !f.over && c.Who%3 != 0
	if wait {
		for _, x := range f.team {
			if x.now != nil && x.Role == "reader" && x.Ring == c.Ring && x.now.ready {
				f.tell[x.now] = true
			}
		}
		f.awaited += len(f.tell)
	}
	f.mu.Unlock()
	if killed && c.Role == "consumer" {
		f.ledger.killed(c.Ring, atRisk[c.Mode])
	}
	if !wait {
		return
	}
	for start := time.Now(); !f.allTold() && f.failure() == nil; time.Sleep(5 * time.Millisecond) {
		if time.Since(start) > stuck {
			f.fail(found("readers of %s were not told within %v that writer %d died", c.Ring, stuck, c.Who))
		}
	}
}

func (f *flow) allTold() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.over {
		clear(f.tell)
	}
	return len(f.tell) == 0
}

func (f *flow) allReady() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, x := range f.team {
		if x.now == nil || !x.now.ready {
			return false
		}
	}
	return true
}

// at returns the worker of a place, nil if it is being replaced.
func (f *flow) at(x *place) *child {
	f.mu.Lock()
	defer f.mu.Unlock()
	return x.now
}

func (f *flow) isOver() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.over
}

// most is how large a worker's messages may be: large ones are rare, since they take long to make.
func most(who uint64) int { return maxBytes >> (2 * (who % 6)) }

// shut shuts a queue down, and gets what is left in it if nobody else is there to get it.
func (f *flow) shut(path string) {
	q, err := f.p.Queue(path)
	if err != nil {
		f.fail(err)
		return
	}
	f.fail(errors.Join(q.Shut(), q.Close()))
}

// drain gets what the consumers have left in a queue.
func (f *flow) drain(path string) error {
	q, err := f.p.Queue(path)
	if err != nil {
		return err
	}
	for {
		it, ok, err := q.TryGet()
		if errors.Is(err, pool.ErrShut) || err == nil && !ok {
			break
		}
		if err != nil {
			return err
		}
		m, err := checkItem(it, path)
		it.Release()
		if err == nil {
			err = f.ledger.takeOne(path, m.Who, m.Number)
		}
		if err != nil {
			return err
		}
		f.items++
	}
	if n := q.Len(); n != 0 {
		return found("queue %s: %d items left after all were got", path, n)
	}
	return q.Close()
}

// look verifies the pool. A busy pool must never seem to have a fault.
func (f *flow) look() error {
	r, err := f.p.Verify(pool.VerifyOptions{})
	if err != nil {
		return err
	}
	if !r.Clean() {
		return found("%d faults, first: %v", len(r.Faults), r.Faults[0])
	}
	f.verified++
	return nil
}

// settle wants that the books balance, and that nothing is left in the pool once its names are removed.
func (f *flow) settle() error {
	for _, path := range []string{fifoQueue, backQueue} {
		if err := f.drain(path); err != nil {
			return err
		}
	}
	var err error
	if f.lost, err = f.ledger.balance(); err != nil {
		return err
	}
	if _, err := f.p.Reap(); err != nil {
		return err
	}
	for _, tree := range []string{"s", "q"} {
		if _, err := f.p.RemoveTree(tree); err != nil {
			return err
		}
	}
	if _, err := f.p.Trim(); err != nil {
		return err
	}
	stats, err := f.p.Stats()
	if err != nil {
		return err
	}
	if stats.Arrays != 0 || stats.Names != 0 || stats.Transfers != 0 || stats.Free != stats.Capacity || stats.Processes != 1 {
		return found("left: %d arrays, %d names, %d transfers, %d bytes, %d processes", stats.Arrays, stats.Names, stats.Transfers,
			stats.Capacity-stats.Free, stats.Processes)
	}
	r, err := f.p.Verify(pool.VerifyOptions{Content: true})
	if err == nil && !r.Clean() {
		err = found("%d faults at rest, first: %v", len(r.Faults), r.Faults[0])
	}
	return err
}

func (f *flow) failure() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.fault
}

// fail notes a failure, if err is one.
func (f *flow) fail(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.fault = errors.Join(f.fault, err)
}

func firstLine(err error) string {
	line, _, _ := strings.Cut(err.Error(), "\n")
	return line
}
