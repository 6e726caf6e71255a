package main

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"time"

	"github.com/ndpool/ndpool/dtype"
	"github.com/ndpool/ndpool/handle"
	"github.com/ndpool/ndpool/pool"
)

// A worker is this program again. It reads transfers and handles from its standard input, a line each, and writes those
// that it gives away to its standard output. When the input ends it releases everything and leaves.

const workerEnv = "NDPOOL_STORM_WORKER"

// Words that begin a line between the storm and a worker.
const (
	lineTransfer = "t" // a transfer, to be adopted by anybody
	lineDirected = "d" // a process and a transfer to it
	lineHandle   = "h" // a bare handle, which may be stale when it arrives
	lineCount    = "n" // arrays, transfers adopted, operations with names, and with rings since the last such line
)

// maxHeld is how many arrays a worker holds at most.
const maxHeld = 40

type worker struct {
	p       *pool.Pool
	rng     *rand.Rand
	in      chan string
	out     *bufio.Writer
	held    []*pool.Array
	arrays  int
	adopted int
	names   int
	rings   int
	ends    ends
}

// work is the main function of a worker: directory and seed are its arguments. It returns the exit code.
func work(args []string) int {
	seed, err := strconv.ParseUint(args[1], 10, 64)
	if err == nil {
		err = newWorker(seed).run(args[0])
	}
	if err != nil {
		fmt.Fprintf(os.Stderr, "storm: worker of seed %d, process %d: %v\n", seed, os.Getpid(), err)
		return 3
	}
	return 0
}

func newWorker(seed uint64) *worker {
	return &worker{rng: rand.New(rand.NewPCG(seed, 1)), in: make(chan string, 256), out: bufio.NewWriter(os.Stdout)}
}

func (w *worker) run(dir string) (err error) {
	if w.p, err = pool.Open(poolName, pool.Options{Dir: dir}); err != nil {
		return err
	}
	ended := make(chan struct{})
	go w.read(ended)
	// Some workers leave by themselves after a while.
	for left := w.rng.IntN(20_000); left > 0; left-- {
		select {
		case <-ended:
			return w.leave()
		case line := <-w.in:
			err = w.take(line)
		default:
			err = w.step()
		}
		if err != nil && !expected(err) {
			return err
		}
	}
	return w.leave()
}

// read passes lines on. What does not fit is dropped: a receiver may always fail to adopt.
func (w *worker) read(ended chan<- struct{}) {
	defer close(ended)
	for s := bufio.NewScanner(os.Stdin); s.Scan(); {
		select {
		case w.in <- s.Text():
		default:
		}
	}
}

// expected tells whether an error is one that a storm brings with it.
func expected(err error) bool {
	for _, e := range []error{pool.ErrFull, pool.ErrTableFull, pool.ErrStale, pool.ErrHeld, pool.ErrSealed, pool.ErrSpent, pool.ErrExpired, pool.ErrRecalled,
		pool.ErrNotReceiver, pool.ErrDead, pool.ErrPrivate, pool.ErrNoName, pool.ErrNameTaken, pool.ErrVersion, context.DeadlineExceeded,
		pool.ErrWriter, pool.ErrEnded, pool.ErrWriterDied, pool.ErrNoFrame, pool.ErrShut} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

// step does one operation.
func (w *worker) step() error {
	switch n := w.rng.IntN(1000); {
	case len(w.held) == 0 || n < 300 && len(w.held) < maxHeld:
		return w.alloc()
	case n < 550:
		return w.release(w.rng.IntN(len(w.held)))
	case n < 800:
		return w.give(w.held[w.rng.IntN(len(w.held))])
	case n < 850:
		return check(w.held[w.rng.IntN(len(w.held))])
	case n < 900:
		return w.ring()
	case n < 980:
		return w.name()
	case n < 985:
		return w.held[w.rng.IntN(len(w.held))].Seal(n%2 == 0)
	case n < 990:
		_, err := w.p.RecallOlder(300 * time.Millisecond)
		return err
	case n < 992:
		_, err := w.p.Trim()
		return err
	case n < 994:
		_, err := w.p.Reap()
		return err
	}
	time.Sleep(time.Duration(w.rng.IntN(2000)) * time.Microsecond)
	return w.count()
}

// alloc makes an array and fills it. Most are small, few are large.
func (w *worker) alloc() error {
	n := 1 + w.rng.IntN(1<<(3+w.rng.IntN(13)))
	shape := []int{n}
	if w.rng.IntN(20) == 0 {
		shape = []int{n, 1, 1, 1, 1, 1, 1, 1, 1, 1}
	}
	a, err := w.p.Alloc(dtype.Uint64, shape...)
	if err != nil {
		return err
	}
	w.arrays++
	fill(a)
	return w.hold(a)
}

func (w *worker) hold(a *pool.Array) error {
	w.held = append(w.held, a)
	return check(a)
}

func (w *worker) release(k int) error {
	a := w.held[k]
	err := check(a)
	a.Release()
	w.held[k] = w.held[len(w.held)-1]
	w.held = w.held[:len(w.held)-1]
	return err
}

// give tells the storm about an array: by a transfer, by a transfer to one process, or by its handle.
func (w *worker) give(a *pool.Array) error {
	switch w.rng.IntN(3) {
	case 0:
		return w.say(lineHandle, a.Handle())
	case 1:
		t, err := a.Send()
		if err != nil {
			return err
		}
		return w.say(lineTransfer, t)
	}
	to := w.p.Self()
	for x := range w.p.Processes() {
		if w.rng.IntN(3) == 0 {
			to = x.ID
		}
	}
	t, err := a.SendTo(to)
	if err != nil {
		return err
	}
	return w.say(lineDirected, to, t)
}

// say writes a line at once: what stands in the buffer at death is lost.
func (w *worker) say(words ...any) error {
	fmt.Fprintln(w.out, words...)
	return w.out.Flush()
}

func (w *worker) count() error {
	err := w.say(lineCount, w.arrays, w.adopted, w.names, w.rings)
	w.arrays, w.adopted, w.names, w.rings = 0, 0, 0, 0
	return err
}

// take does what a line says.
func (w *worker) take(line string) error {
	var kind, text string
	if _, err := fmt.Sscan(line, &kind, &text); err != nil {
		return fmt.Errorf("line %q: %w", line, err)
	}
	for len(w.held) >= maxHeld {
		if err := w.release(w.rng.IntN(len(w.held))); err != nil {
			return err
		}
	}
	if kind == lineHandle {
		h, err := handle.ParseHandle(text)
		if err != nil {
			return err
		}
		return w.got(w.p.Retain(h))
	}
	t, err := handle.ParseTransfer(text)
	if err != nil {
		return err
	}
	if w.rng.IntN(20) == 0 {
		return nil // lost on the way
	}
	a, err := w.p.Adopt(t)
	if err == nil {
		w.adopted++
	}
	return w.got(a, err)
}

func (w *worker) got(a *pool.Array, err error) error {
	if err != nil {
		return err
	}
	return w.hold(a)
}

// leave checks and releases everything.
func (w *worker) leave() error {
	if err := w.closeRings(); err != nil {
		return err
	}
	for len(w.held) > 0 {
		if err := w.release(len(w.held) - 1); err != nil {
			return err
		}
	}
	if _, err := w.p.RecallOlder(0); err != nil {
		return err
	}
	if err := w.count(); err != nil && !errors.Is(err, os.ErrClosed) {
		return err
	}
	return w.p.Close()
}

// fill writes the pattern that follows from the array's handle.
func fill(a *pool.Array) {
	seed := uint64(a.Handle())
	b, err := a.Bytes()
	if err != nil {
		panic(err)
	}
	for i := 0; i < len(b); i += 8 {
		binary.LittleEndian.PutUint64(b[i:], seed+uint64(i)*0x9e3779b97f4a7c15)
	}
}

// check compares an array with the pattern that follows from its handle.
func check(a *pool.Array) error {
	seed := uint64(a.Handle())
	b, err := a.Bytes()
	if err != nil {
		return err
	}
	for i := 0; i < len(b); i += 8 {
		if got, want := binary.LittleEndian.Uint64(b[i:]), seed+uint64(i)*0x9e3779b97f4a7c15; got != want {
			return fmt.Errorf("array %v: byte %d of %d: got %#x, expected %#x", a.Handle(), i, len(b), got, want)
		}
	}
	return nil
}
