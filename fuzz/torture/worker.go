package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/ndpool/ndpool/pool"
)

// A worker is this program again, or the package worker in Python. It works on the pool at random, checks every array that it meets, and
// tells its parent about those that it gives away: see work_lines.go for what the two say to each other. When its input
// ends it releases everything and leaves.

const (
	workerEnv = "NDPOOL_TORTURE_WORKER"
	poolName  = "torture"
)

// workerConfig is what a worker is told when it starts, as JSON in its environment.
type workerConfig struct {
	Dir      string   `json:"dir"`
	Seed     uint64   `json:"seed"`
	Lanes    int      `json:"lanes,omitempty"`    // goroutines or threads over one pool; 0: as the seed says
	Lockstep bool     `json:"lockstep,omitempty"` // one operation for each line "go"
	No       []string `json:"no,omitempty"`       // classes of operations that are left out: exec, fork, second, clone, files
	Plant    string   `json:"plant,omitempty"`    // a fault to be found: nofill, flip, extra
	Events   string   `json:"events,omitempty"`   // file of the last operations: see work_events.go
	FD       int      `json:"fd,omitempty"`       // open the pool by this file instead of by its name

	// From the life before an exec.
	Again bool   `json:"again,omitempty"`
	Rest  string `json:"rest,omitempty"` // input that was read and not used
}

// worker is the process; its lanes do the work.
type worker struct {
	workerConfig
	p       *pool.Pool
	in      *input
	out     sync.Mutex // over standard output
	tally   *tally
	events  *events
	lanes   []*lane
	stop    chan struct{} // closed when the lanes are to end
	stopped sync.Once
}

// lane is one goroutine of a worker. What it holds is its own.
type lane struct {
	*worker
	number int
	rng    *rand.Rand
	held   []*pool.Array
	sent   []sent // transfers of this lane, the newest last
	ends   ends
	others others
	note   string // what the operation met, for the trace
}

// work is the main function of a worker. It returns the exit code.
func work(text string) int {
	w := &worker{tally: newTally(), stop: make(chan struct{})}
	err := json.Unmarshal([]byte(text), &w.workerConfig)
	if err == nil {
		err = w.run()
	}
	if err != nil {
		fmt.Fprintf(os.Stderr, "torture: worker of seed %d, process %d: %v\n", w.Seed, os.Getpid(), err)
		return 3
	}
	return 0
}

func (w *worker) run() (err error) {
	if w.events, err = openEvents(w.Events); err != nil {
		return err
	}
	w.in = newInput(w.Rest)
	go w.in.read()
	if w.Lockstep {
		return w.march()
	}
	if err := w.attach(); err != nil || w.p == nil {
		return err
	}
	for k := range w.laneCount() {
		w.lanes = append(w.lanes, w.newLane(k))
	}
	if err := w.rage(); err != nil {
		return err
	}
	select {
	case <-w.in.frozen:
		if err := w.freeze(); err != nil {
			return err
		}
	default:
	}
	return w.leave()
}

// attach opens the pool. There may be no room for this process, or no pool any more: then it waits a little, and p stays nil.
func (w *worker) attach() (err error) {
	o := pool.Options{Dir: w.Dir}
	if !w.Lockstep && w.Seed%5 == 0 {
		o.Watch = 50 * time.Millisecond
	}
	if w.Seed%7 == 0 {
		o.Prefault = true
	}
	if w.FD > 0 {
		o.File = os.NewFile(uintptr(w.FD), poolName)
	}
	for range 100 {
		w.p, err = pool.Open(poolName, o)
		if err == nil {
			return w.say(lineIdentity, w.p.Self())
		}
		w.p = nil
		if !anyOf(err, pool.ErrNotExist, pool.ErrProcesses, pool.ErrNoMemory, pool.ErrFull, pool.ErrTableFull) {
			return err
		}
		w.tally.fail(err)
		time.Sleep(20 * time.Millisecond)
	}
	return w.count()
}

func (w *worker) laneCount() int {
	if w.Lanes > 0 {
		return w.Lanes
	}
	if w.Seed%3 == 0 {
		return 3
	}
	return 1
}

func (w *worker) newLane(k int) *lane {
	return &lane{worker: w, number: k, rng: rand.New(rand.NewPCG(w.Seed, uint64(k)+1))}
}

// end lets all lanes come to their end.
func (w *worker) end() { w.stopped.Do(func() { close(w.stop) }) }

// rage lets the lanes work until the first one has enough, the input ends, or all is to freeze.
func (w *worker) rage() error {
	errs := make([]error, len(w.lanes))
	var done sync.WaitGroup
	for k, l := range w.lanes {
		done.Go(func() {
			defer w.end()
			errs[k] = l.live()
		})
	}
	done.Wait()
	return errors.Join(errs...)
}

// live works. Some workers leave by themselves after a while.
func (l *lane) live() error {
	for left := 100 + l.rng.IntN(20_000); left > 0; left-- {
		select {
		case <-l.stop:
			return nil
		case <-l.in.frozen:
			return nil
		case <-l.in.ended:
			return nil
		default:
		}
		if err := l.turn(); err != nil {
			return err
		}
	}
	return nil
}

// turn does one operation: what a line says, or one of the worker's own choice. It tells only of faults.
func (l *lane) turn() error {
	var name string
	var err error
	start, waits := time.Now(), false
	select {
	case line := <-l.in.lines:
		name = "take"
		l.events.add(l.number, "take", line)
		err = l.take(line)
	default:
		o := l.choose()
		name, waits = o.name, o.waits
		l.events.add(l.number, name, "")
		err = o.do(l)
	}
	if !waits {
		l.tally.stall(name, time.Since(start))
	}
	l.tally.add(name)
	if err != nil {
		word, ok := expected(err)
		if !ok {
			l.events.add(l.number, "FAULT", err.Error())
			return fmt.Errorf("%s: %w", name, err)
		}
		l.tally.fail(err)
		l.note += " " + word
	}
	if l.Lockstep || l.tally.due() {
		return l.count()
	}
	return nil
}

// march does one operation for each line "go", and nothing by itself: its choices follow from the seed alone.
func (w *worker) march() error {
	l := w.newLane(0)
	w.lanes = []*lane{l}
	if w.Again {
		if err := w.begin("exec"); err != nil || w.p == nil {
			return err
		}
	}
	for {
		select {
		case <-w.in.frozen:
			if err := w.freeze(); err != nil {
				return err
			}
			return w.leave()
		case <-w.in.ended:
			return w.leave()
		case at := <-w.in.steps:
			if w.p == nil {
				if err := w.begin("open"); err != nil || w.p == nil {
					return err
				}
				continue
			}
			l.note = ""
			arm(at)
			err := l.turn()
			disarm()
			if err != nil {
				return err
			}
			if err := w.say(lineDone, l.note); err != nil {
				return err
			}
		}
	}
}

// begin opens the pool in lockstep.
func (w *worker) begin(how string) error {
	if err := w.attach(); err != nil || w.p == nil {
		return err
	}
	return w.say(lineDone, how)
}

// freeze tells what this process holds, and keeps it until the input ends.
func (w *worker) freeze() error {
	if err := w.count(); err != nil {
		return err
	}
	var held []any
	for _, l := range w.lanes {
		if err := l.thaw(); err != nil {
			return err
		}
		for _, h := range l.handles() {
			if !slices.Contains(held, any(h)) {
				held = append(held, h)
			}
		}
	}
	if w.Plant == "extra" && len(held) > 0 {
		held = held[1:]
	}
	if err := w.say(lineHeld, held...); err != nil {
		return err
	}
	<-w.in.ended
	return nil
}

// thaw closes what holds blocks that nobody can name.
func (l *lane) thaw() error { return errors.Join(l.closeStreams(), l.closeOthers()) }

// handles are those of all blocks of the pool that the lane holds.
func (l *lane) handles() (hs []string) {
	for _, a := range l.held {
		hs = append(hs, a.Handle().String())
	}
	for _, q := range l.ends.all() {
		hs = append(hs, q.Handle().String())
	}
	return hs
}

// leave checks and releases everything.
func (w *worker) leave() error {
	if w.p == nil {
		return nil
	}
	var err error
	for _, l := range w.lanes {
		err = errors.Join(err, l.closeStreams(), l.closeQueues(), l.closeOthers())
		for len(l.held) > 0 {
			err = errors.Join(err, l.release(len(l.held)-1))
		}
	}
	if err != nil {
		return err
	}
	if _, err := w.p.RecallOlder(0); err != nil {
		return err
	}
	if err := w.count(); err != nil {
		return err
	}
	return w.p.Close()
}
