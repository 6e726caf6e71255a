package main

import (
	"bufio"
	_ "embed" // worker.py
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"sync"
	"syscall"
	"time"
)

// place is where a worker runs; when it dies the next one takes its place.
type place struct {
	job
	now  *child
	done sync.WaitGroup
}

// child is a running worker, as this process sees it.
type child struct {
	job
	cmd    *exec.Cmd
	in     io.WriteCloser
	python bool
	ready  bool // it has opened its ring; guarded by flow.mu
	mu     sync.Mutex
	killed bool
	dead   bool
}

//go:embed worker.py
var pythonWorker string

// start puts a new worker in a place.
func (f *flow) start(x *place) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.over {
		return
	}
	f.next++
	c, out, err := f.spawn(x, f.next)
	if err != nil {
		f.fault = errors.Join(f.fault, err)
		return
	}
	x.now = c
	x.done.Go(func() { f.watch(x, c, out) })
}

func (f *flow) spawn(x *place, who uint64) (*child, io.Reader, error) {
	c := &child{job: x.job, python: f.python != "" && who%2 == 0}
	c.Dir, c.Who, c.Seed, c.Canary = f.dir, who, f.seed, f.canary
	c.Most = most(who)
	text, err := json.Marshal(c.job)
	if err != nil {
		return nil, nil, err
	}
	if c.python {
		c.cmd = exec.Command(f.python, "-c", pythonWorker)
	} else {
		self, err := os.Executable()
		if err != nil {
			return nil, nil, err
		}
		c.cmd = exec.Command(self)
	}
	c.cmd.Env = append(os.Environ(), fmt.Sprintf("%s=%s", workerEnv, text))
	if !f.quiet {
		c.cmd.Stderr = os.Stderr
	}
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

// watch hears what a worker says until it ends, and puts the next one in its place.
func (f *flow) watch(x *place, c *child, out io.Reader) {
	lines := bufio.NewScanner(out)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		if err := f.hear(c, lines.Text()); err != nil {
			f.fail(fmt.Errorf("line %q of %s %d: %w", lines.Text(), c.Role, c.Who, err))
		}
	}
	err := c.cmd.Wait()
	c.mu.Lock()
	c.dead = true
	killed := c.killed
	c.mu.Unlock()
	code := c.cmd.ProcessState.ExitCode()
	switch {
	case code == codeFound:
		f.fail(fmt.Errorf("%w by %s %d", errFound, c.Role, c.Who))
	case err != nil && !(killed && wasKilled(err)):
		f.fail(fmt.Errorf("%s %d of %s, process %d: %w", c.Role, c.Who, c.Ring, c.cmd.Process.Pid, err))
	case err == nil && c.Calm && !f.isOver():
		f.fail(fmt.Errorf("%s %d of %s has left", c.Role, c.Who, c.Ring))
	}
	f.gone(c, err != nil)
	f.mu.Lock()
	x.now = nil
	f.mu.Unlock()
	if !c.Calm {
		f.start(x)
	}
}

func wasKilled(err error) bool {
	var ee *exec.ExitError
	return errors.As(err, &ee) && ee.Sys().(syscall.WaitStatus).Signal() == syscall.SIGKILL
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

// endTeam lets the workers of some roles go on, asks them to end, and waits. Who does not end in time is a failure.
func (f *flow) endTeam(team []*place, roles ...string) {
	is := map[string]bool{}
	for _, r := range roles {
		is[r] = true
	}
	f.mu.Lock()
	f.over = true
	var left []*child
	for _, x := range team {
		if x.now != nil && is[x.Role] {
			left = append(left, x.now)
		}
	}
	f.mu.Unlock()
	for _, c := range left {
		c.resume()
		c.in.Close()
	}
	timer := time.AfterFunc(2*stuck, func() {
		for _, c := range left {
			if c.mu.Lock(); !c.dead {
				f.fail(found("%s %d of %s did not end within %v", c.Role, c.Who, c.Ring, 2*stuck))
			}
			c.mu.Unlock()
			c.kill()
		}
	})
	defer timer.Stop()
	for _, x := range team {
		if is[x.Role] {
			x.done.Wait()
		}
	}
}
