package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"github.com/ndpool/ndpool/fuzz/victim"
	"github.com/ndpool/ndpool/pool"
)

// place is where a worker runs; when it dies the next one takes its place.
type place struct {
	now    *child
	done   sync.WaitGroup
	pids   bool // its workers are each the first process of a PID namespace
	memory bool // its workers are in the control group
}

// child is a running worker, as this process sees it.
type child struct {
	*victim.Victim
	seed   uint64
	memory bool
	slow   bool           // a Python process, which takes its time to begin
	says   *bufio.Scanner // lines
	events string
	lines  chan string
	frozen chan struct{} // closed when it has told what it holds
	gone   chan struct{} // closed when it has ended

	words bytes.Buffer // its standard error; read when it has ended

	mu   sync.Mutex
	id   pool.ProcessID // 0: it has not come to the pool yet
	held []string       // handles
}

func (c *child) String() string {
	return fmt.Sprintf("worker of seed %d, process %d, %v", c.seed, c.Pid(), c.process())
}

func (c *child) process() pool.ProcessID {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.id
}

// at returns the worker of a place, nil if it is being replaced.
func (t *torture) at(k int) *child {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.places[k].now
}

// start puts a new worker in a place.
func (t *torture) start(k int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.calm {
		return
	}
	t.next++
	c, err := t.spawn(t.next, t.places[k])
	if err != nil {
		t.fault = errors.Join(t.fault, err)
		return
	}
	t.places[k].now = c
	t.places[k].done.Go(func() { t.watch(k, c) })
	go c.write()
}

// spawn starts a worker where a place is. Precondition: the mutex is held.
func (t *torture) spawn(seed uint64, x *place) (*child, error) {
	c := &child{seed: seed, memory: x.memory, slow: t.isPython(seed), lines: make(chan string, 64), frozen: make(chan struct{}),
		gone: make(chan struct{}), events: filepath.Join(t.house.events, fmt.Sprintf("worker-%d", seed))}
	w := workerConfig{Dir: t.dir, Seed: seed, Lockstep: t.lockstep > 0, No: t.leftOut(), Events: c.events}
	if slices.Contains(workerPlants, t.canary) {
		w.Plant = t.canary
	}
	text, err := json.Marshal(w)
	if err != nil {
		return nil, err
	}
	cmd, err := t.worker(c.slow)
	if err != nil {
		return nil, err
	}
	cmd.Env = append(cmd.Environ(), workerEnv+"="+string(text), "PYTHONHASHSEED=0", "PYTHONFAULTHANDLER=1")
	cmd.WaitDelay = patience // a child of a worker that was killed may have its standard error for a while
	cmd.Stderr = &c.words
	if !t.quiet {
		cmd.Stderr = io.MultiWriter(&c.words, os.Stderr)
	}
	if x.pids {
		ownPids(cmd)
	}
	if c.Victim, err = victim.Start(cmd); err != nil {
		return nil, fmt.Errorf("start a worker: %w", err)
	}
	c.says = bufio.NewScanner(c.Out)
	c.says.Buffer(nil, 1<<20)
	if x.memory {
		err = t.group.add(c.Pid())
	}
	return c, err
}

// leftOut returns what workers must leave out. In lockstep nobody forks: parent and child would act at once.
func (t *torture) leftOut() []string {
	if t.lockstep > 0 {
		return append(t.left(), kindFork)
	}
	return t.left()
}

// worker returns what runs a worker: this program again, or, for every other one if asked for, the one in Python.
func (t *torture) worker(python bool) (*exec.Cmd, error) {
	if python {
		return t.house.pythonWorker(t.python), nil
	}
	self, err := os.Executable()
	return exec.Command(self), err
}

func (t *torture) isPython(seed uint64) bool { return t.python != "" && seed%2 == 0 }

// watch hears what a worker says, until it ends, and starts the next one.
func (t *torture) watch(k int, c *child) {
	rng := rand.New(rand.NewPCG(t.seed, c.seed))
	for c.says.Scan() {
		if err := t.hear(rng, c, c.says.Text()); err != nil {
			t.fail(fmt.Errorf("line %q of %v: %w", c.says.Text(), c, err))
		}
	}
	killed, err := c.Wait()
	close(c.gone)
	switch {
	case err == nil:
		t.figures.count(leaves)
	case killed:
	case c.memory && victim.WasKilled(err):
		t.figures.count(killsMemory)
	default:
		t.fail(fmt.Errorf("%v: %w: %s", c, err, strings.TrimSpace(c.words.String())))
	}
	t.mu.Lock()
	t.places[k].now = nil
	t.mu.Unlock()
	t.bury(c)
	t.start(k)
}

// hear does what a line of a worker asks for.
func (t *torture) hear(rng *rand.Rand, c *child, line string) error {
	word, rest, _ := strings.Cut(line, " ")
	switch word {
	case lineTransfer, lineHandle:
		t.tell(rng.IntN(t.workers), line)
		return nil
	case lineDirected:
		// Nobody knows here which worker it is for: all get it, and one can adopt it.
		_, transfer, _ := strings.Cut(rest, " ")
		for k := range t.workers {
			t.tell(k, lineTransfer+" "+transfer)
		}
		return nil
	case lineCount:
		n := newTally()
		err := json.Unmarshal([]byte(rest), n)
		t.figures.add(n)
		return err
	case lineExec:
		t.figures.count(execs)
		return nil
	}
	return c.hear(word, rest)
}

// hear notes what a worker tells about itself.
func (c *child) hear(word, rest string) (err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch word {
	case lineIdentity:
		c.id, err = pool.ParseProcessID(rest)
		return err
	case lineHeld:
		if c.held != nil {
			return errors.New("told twice")
		}
		c.held = append([]string{}, strings.Fields(rest)...)
		close(c.frozen)
		return nil
	}
	return errors.New("unknown")
}

// tell gives a worker a line unless it has too many, or all is to calm down: a stopped one must not stop this process.
func (t *torture) tell(k int, line string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	c := t.places[k].now
	if c == nil || t.calm {
		return
	}
	select {
	case c.lines <- line:
	default:
	}
}

// write brings lines to the worker until it ends.
func (c *child) write() {
	for {
		select {
		case <-c.gone:
			return
		case line := <-c.lines:
			if _, err := io.WriteString(c.In, line+"\n"); err != nil {
				return
			}
		}
	}
}
