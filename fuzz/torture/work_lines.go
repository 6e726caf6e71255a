package main

import (
	"encoding/json"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// Words that begin a line between the parent and a worker. From the worker:
const (
	lineTransfer = "t"    // a transfer or a message, to be adopted by anybody
	lineDirected = "d"    // a process, and a transfer or a message to it
	lineHandle   = "h"    // a bare handle, which may be stale when it arrives
	lineCount    = "n"    // what was done since the last such line: see tally
	lineIdentity = "id"   // which process of the pool it is
	lineExec     = "x"    // the seed of the life that begins now, in the same process
	lineHeld     = "held" // handles of all that it holds
	lineDone     = "done" // in lockstep: what the operation was, and what it met; the same for the same seed
)

// From the parent, beside transfers and handles:
const (
	lineFreeze = "freeze" // stop, keep everything, and say what is held; then wait for the end of the input
	lineGo     = "go"     // in lockstep: do one operation; with a number, and in the crash build, die after so many stores of it
)

// maxLines is how many lines wait at most. What does not fit is dropped: a receiver may always fail to adopt.
const maxLines = 256

// input is what the parent says. What was read and not used is handed on over an exec, so that nothing is lost by it.
type input struct {
	mu     sync.Mutex // held while bytes are on their way from the pipe to lines; who execs keeps it
	part   []byte     // of a line
	lines  chan string
	steps  chan int
	frozen chan struct{} // closed by "freeze"
	ended  chan struct{} // closed at the end
	once   sync.Once
}

func newInput(rest string) *input {
	in := &input{lines: make(chan string, maxLines), steps: make(chan int, maxLines), frozen: make(chan struct{}), ended: make(chan struct{})}
	in.more([]byte(rest))
	return in
}

// read reads until the end. It waits without the mutex, so that an exec need not wait for it.
func (in *input) read() {
	defer close(in.ended)
	for buf := make([]byte, 4096); ; {
		if _, err := unix.Poll([]unix.PollFd{{Fd: 0, Events: unix.POLLIN}}, -1); err != nil && err != unix.EINTR {
			return
		}
		in.mu.Lock()
		n, err := syscall.Read(0, buf)
		if n > 0 {
			in.more(buf[:n])
		}
		in.mu.Unlock()
		if n == 0 || err != nil && err != syscall.EINTR {
			return
		}
	}
}

// more takes bytes, and passes whole lines on.
func (in *input) more(b []byte) {
	in.part = append(in.part, b...)
	for {
		line, rest, ok := strings.Cut(string(in.part), "\n")
		if !ok {
			return
		}
		in.part = []byte(rest)
		in.line(line)
	}
}

func (in *input) line(line string) {
	word, rest, _ := strings.Cut(line, " ")
	switch word {
	case lineFreeze:
		in.once.Do(func() { close(in.frozen) })
	case lineGo:
		at, _ := strconv.Atoi(rest)
		in.steps <- at
	default:
		select {
		case in.lines <- line:
		default:
		}
	}
}

// take gives what is left of the input to the next life. The mutex stays held: nothing is read any more.
func (in *input) take() (rest string, frozen bool) {
	in.mu.Lock()
	var b strings.Builder
	for {
		select {
		case line := <-in.lines:
			if b.Len() < 1<<15 {
				b.WriteString(line + "\n")
			}
			continue
		case <-in.frozen:
			return "", true
		default:
		}
		return b.String() + string(in.part), false
	}
}

// say writes a line by one call, so that a death leaves a whole line or none.
func (w *worker) say(word string, more ...any) error {
	w.out.Lock()
	defer w.out.Unlock()
	line := word
	for _, x := range more {
		line += " " + fmt.Sprint(x)
	}
	_, err := os.Stdout.WriteString(line + "\n")
	return err
}

// count tells what was done since the last time.
func (w *worker) count() error {
	b, err := json.Marshal(w.tally.take())
	if err != nil {
		return err
	}
	return w.say(lineCount, string(b))
}
