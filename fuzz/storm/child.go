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
	"syscall"
	"time"
)

// place is where a worker runs; when it dies the next one takes its place.
type place struct {
	now  *child
	done sync.WaitGroup
}

// child is a running worker, as the storm sees it.
type child struct {
	cmd    *exec.Cmd
	in     io.WriteCloser
	lines  chan string
	gone   chan struct{} // closed when it has ended
	slow   bool          // a Python process, which takes its time to begin
	mu     sync.Mutex
	killed bool
	dead   bool
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
	c, out, err := s.spawn(s.next)
	if err != nil {
		s.fault = errors.Join(s.fault, err)
		return
	}
	s.places[k].now = c
	s.places[k].done.Go(func() { s.watch(k, c, out) })
	go c.write()
}

func (s *storm) spawn(seed uint64) (*child, io.Reader, error) {
	cmd, err := s.command(seed)
	if err != nil {
		return nil, nil, err
	}
	c := &child{cmd: cmd, slow: s.isPython(seed), lines: make(chan string, 64), gone: make(chan struct{})}
	c.cmd.Env = append(os.Environ(), fmt.Sprintf("%s=%s %d", workerEnv, s.dir, seed))
	c.cmd.Stderr = os.Stderr
	c.cmd.SysProcAttr = apart()
	if c.in, err = c.cmd.StdinPipe(); err != nil {
		return nil, nil, err
	}
	out, err := c.cmd.StdoutPipe()
	if err != nil {
		return nil, nil, err
	}
	return c, out, c.cmd.Start()
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
func (s *storm) watch(k int, c *child, out io.Reader) {
	rng := rand.New(rand.NewPCG(s.seed, uint64(c.cmd.Process.Pid)))
	for lines := bufio.NewScanner(out); lines.Scan(); {
		s.pass(rng, lines.Text())
	}
	err := c.cmd.Wait()
	close(c.gone)
	c.mu.Lock()
	c.dead = true
	killed := c.killed
	c.mu.Unlock()
	if err != nil && !(killed && wasKilled(err)) {
		s.fail(fmt.Errorf("worker %d: %w", c.cmd.Process.Pid, err))
	}
	s.mu.Lock()
	if err == nil {
		s.left++
	}
	s.places[k].now = nil
	s.mu.Unlock()
	s.start(k)
}

func wasKilled(err error) bool {
	var ee *exec.ExitError
	return errors.As(err, &ee) && ee.Sys().(syscall.WaitStatus).Signal() == syscall.SIGKILL
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
			if _, err := io.WriteString(c.in, line+"\n"); err != nil {
				return
			}
		}
	}
}

func (c *child) signal(sig syscall.Signal) {
	if !c.dead {
		_ = c.cmd.Process.Signal(sig)
	}
}

func (c *child) kill() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.killed = true
	c.signal(syscall.SIGKILL)
}

// pause stops the worker, and lets it go on after d if d is not 0.
func (c *child) pause(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.signal(syscall.SIGSTOP)
	if d > 0 {
		time.AfterFunc(d, c.resume)
	}
}

func (c *child) resume() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.signal(syscall.SIGCONT)
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
		c.resume()
		c.in.Close()
	}
	timer := time.AfterFunc(30*time.Second, func() {
		s.fail(errors.New("workers did not end within 30 s"))
		for _, c := range left {
			c.kill()
		}
	})
	defer timer.Stop()
	for _, p := range s.places {
		p.done.Wait()
	}
}
