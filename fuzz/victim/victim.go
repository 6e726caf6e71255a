// Package victim runs worker processes that the program which started them kills, stops and continues at any moment.
package victim

import (
	"errors"
	"io"
	"os/exec"
	"sync"
	"syscall"
	"time"
)

// Victim is a running worker, as the process that has started it sees it. Any number of goroutines may use it.
type Victim struct {
	In     io.WriteCloser // what the worker reads; closing it asks the worker to end
	Out    io.Reader      // what it says; to be read to its end before Wait
	cmd    *exec.Cmd
	mu     sync.Mutex
	killed bool
	dead   bool
}

// Start starts a worker, which dies with this process. Wait must be called.
func Start(cmd *exec.Cmd) (*Victim, error) {
	v := &Victim{cmd: cmd}
	apart(cmd)
	var err error
	if v.In, err = cmd.StdinPipe(); err != nil {
		return nil, err
	}
	if v.Out, err = cmd.StdoutPipe(); err != nil {
		return nil, err
	}
	return v, cmd.Start()
}

// Wait waits for the end of the worker, and tells what it ended with, and whether that is because of Kill.
func (v *Victim) Wait() (killed bool, err error) {
	err = v.cmd.Wait()
	v.mu.Lock()
	defer v.mu.Unlock()
	v.dead = true
	return v.killed && WasKilled(err), err
}

// WasKilled tells whether an end that Wait has told of is due to SIGKILL, whoever has sent it.
func WasKilled(err error) bool { return Signal(err) == syscall.SIGKILL }

// Signal returns the signal that ended a worker, given what Wait has told; -1 if none did.
func Signal(err error) syscall.Signal {
	var ee *exec.ExitError
	if !errors.As(err, &ee) {
		return -1
	}
	return ee.Sys().(syscall.WaitStatus).Signal()
}

// Pid returns the worker's process id.
func (v *Victim) Pid() int { return v.cmd.Process.Pid }

// ExitCode returns what the worker ended with, after Wait; -1 if it was killed.
func (v *Victim) ExitCode() int { return v.cmd.ProcessState.ExitCode() }

// IsDead tells whether Wait has returned.
func (v *Victim) IsDead() bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.dead
}

// signal sends a signal, unless the process id may be another process's by now. Precondition: the mutex is held.
func (v *Victim) signal(sig syscall.Signal) {
	if !v.dead {
		_ = v.cmd.Process.Signal(sig)
	}
}

// Kill kills the worker.
func (v *Victim) Kill() {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.killed = true
	v.signal(syscall.SIGKILL)
}

// Pause stops the worker, and lets it go on after d if d is not 0.
func (v *Victim) Pause(d time.Duration) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.signal(syscall.SIGSTOP)
	if d > 0 {
		time.AfterFunc(d, v.Resume)
	}
}

// Resume lets the worker go on.
func (v *Victim) Resume() {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.signal(syscall.SIGCONT)
}
