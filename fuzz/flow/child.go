package main

import (
	"bufio"
	_ "embed" // worker.py
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"sync"
	"time"

	"github.com/ndpool/ndpool/fuzz/victim"
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
	*victim.Victim
	python bool
	ready  bool // it has opened its ring; guarded by flow.mu
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
	c, err := f.spawn(x, f.next)
	if err != nil {
		f.fault = errors.Join(f.fault, err)
		return
	}
	x.now = c
	x.done.Go(func() { f.watch(x, c) })
}

func (f *flow) spawn(x *place, who uint64) (*child, error) {
	c := &child{job: x.job, python: f.python != "" && who%2 == 0}
	c.Dir, c.Who, c.Seed, c.Canary = f.dir, who, f.seed, f.canary
	c.Most = most(who)
	text, err := json.Marshal(c.job)
	if err != nil {
		return nil, err
	}
	cmd, err := f.command(c.python)
	if err != nil {
		return nil, err
	}
	cmd.Env = append(os.Environ(), fmt.Sprintf("%s=%s", workerEnv, text))
	if !f.quiet {
		cmd.Stderr = os.Stderr
	}
	c.Victim, err = victim.Start(cmd)
	return c, err
}

// command returns what runs a worker: this program again, or the one in Python.
func (f *flow) command(python bool) (*exec.Cmd, error) {
	if python {
		return exec.Command(f.python, "-c", pythonWorker), nil
	}
	self, err := os.Executable()
	return exec.Command(self), err
}

// watch hears what a worker says until it ends, and puts the next one in its place.
func (f *flow) watch(x *place, c *child) {
	lines := bufio.NewScanner(c.Out)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		if err := f.hear(c, lines.Text()); err != nil {
			f.fail(fmt.Errorf("line %q of %s %d: %w", lines.Text(), c.Role, c.Who, err))
		}
	}
	killed, err := c.Wait()
	switch {
	case c.ExitCode() == codeFound:
		f.fail(fmt.Errorf("%w by %s %d", errFound, c.Role, c.Who))
	case err != nil && !killed:
		f.fail(fmt.Errorf("%s %d of %s, process %d: %w", c.Role, c.Who, c.Ring, c.Pid(), err))
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
		c.Resume()
		c.In.Close()
	}
	timer := time.AfterFunc(2*stuck, func() {
		for _, c := range left {
			if !c.IsDead() {
				f.fail(found("%s %d of %s did not end within %v", c.Role, c.Who, c.Ring, 2*stuck))
			}
			c.Kill()
		}
	})
	defer timer.Stop()
	for _, x := range team {
		if is[x.Role] {
			x.done.Wait()
		}
	}
}
