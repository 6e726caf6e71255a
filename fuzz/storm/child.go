package main

import (
	"bufio"
	_ "embed" // worker.py
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"strings"
	"sync"
	"time"

	"github.com/ndpool/ndpool/fuzz/victim"
)

// place is where a worker runs; when it dies the next one takes its place.
type place struct {
	now  *child
	done sync.WaitGroup
}

// child is a running worker, as the storm sees it.
type child struct {
	*victim.Victim
	lines chan string
	gone  chan struct{} // closed when it has ended
	slow  bool          // a Python process, which takes its time to begin
}

// at returns the worker of a place, nil if it is being replaced.
func (s *storm) at(k int) *child {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.places[k].now
}

// start puts a new worker in a place.
func (s *storm) start(k int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.calm {
		return
	}
	s.next++
	c, err := s.spawn(s.next)
	if err != nil {
		s.fault = errors.Join(s.fault, err)
		return
	}
	s.places[k].now = c
	s.places[k].done.Go(func() { s.watch(k, c) })
	go c.write()
}

func (s *storm) spawn(seed uint64) (*child, error) {
	cmd, err := s.command(seed)
	if err != nil {
		return nil, err
	}
	cmd.Env = append(os.Environ(), fmt.Sprintf("%s=%s %d", workerEnv, s.dir, seed))
	cmd.Stderr = os.Stderr
	v, err := victim.Start(cmd)
	return &child{Victim: v, slow: s.isPython(seed), lines: make(chan string, 64), gone: make(chan struct{})}, err
}

//go:embed worker.py
var pythonWorker string

// command returns what runs a worker: this program again, or, for every other one if asked for, the one in Python.
func (s *storm) command(seed uint64) (*exec.Cmd, error) {
	if s.isPython(seed) {
		return exec.Command(s.python, "-c", pythonWorker), nil
	}
	self, err := os.Executable()
	return exec.Command(self), err
}

func (s *storm) isPython(seed uint64) bool { return s.python != "" && seed%2 == 0 }

// watch passes on what a worker says, until it ends, and starts the next one.
func (s *storm) watch(k int, c *child) {
	rng := rand.New(rand.NewPCG(s.seed, uint64(c.Pid())))
	for lines := bufio.NewScanner(c.Out); lines.Scan(); {
		s.pass(rng, lines.Text())
	}
	killed, err := c.Wait()
	close(c.gone)
	if err != nil && !killed {
		s.fail(fmt.Errorf("worker %d: %w", c.Pid(), err))
	}
	s.mu.Lock()
	if err == nil {
		s.left++
	}
	s.places[k].now = nil
	s.mu.Unlock()
	s.start(k)
}

// pass hands a line to some worker, which is not always the one that it is meant for.
func (s *storm) pass(rng *rand.Rand, line string) {
	kind, rest, _ := strings.Cut(line, " ")
	if kind == lineCount {
		var arrays, adopted, names, rings int64
		if _, err := fmt.Sscan(rest, &arrays, &adopted, &names, &rings); err != nil {
			s.fail(fmt.Errorf("line %q: %w", line, err))
		}
		s.arrays.Add(arrays)
		s.adopted.Add(adopted)
		s.names.Add(names)
		s.rings.Add(rings)
		return
	}
	if kind == lineDirected {
		_, transfer, _ := strings.Cut(rest, " ")
		line = lineTransfer + " " + transfer
		// Nobody knows here which worker it is for: all get it, and one can adopt it.
		for k := range s.workers {
			s.tell(k, line)
		}
		return
	}
	s.tell(rng.IntN(s.workers), line)
}

// tell gives a worker a line unless it has too many: a stopped one must not stop the storm.
func (s *storm) tell(k int, line string) {
	c := s.at(k)
	if c == nil {
		return
	}
	select {
	case c.lines <- line:
	default:
	}
}

// write brings lines to the worker until the storm closes its input or it ends.
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

// endWorkers lets all workers go on, asks them to end, and waits. Who does not end in time is a failure.
func (s *storm) endWorkers() {
	s.mu.Lock()
	s.calm = true
	var left []*child
	for _, p := range s.places {
		if p.now != nil {
			left = append(left, p.now)
		}
	}
	s.mu.Unlock()
	for _, c := range left {
		c.Resume()
		c.In.Close()
	}
	timer := time.AfterFunc(30*time.Second, func() {
		s.fail(errors.New("workers did not end within 30 s"))
		for _, c := range left {
			c.Kill()
		}
	})
	defer timer.Stop()
	for _, p := range s.places {
		p.done.Wait()
	}
}
