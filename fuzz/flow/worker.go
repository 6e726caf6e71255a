package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"sync/atomic"
	"time"

	"github.com/ndpool/ndpool/pool"
)

// A worker is this program again, or worker.py, with its job in the environment. It tells what it has done on its standard output,
// a line each; when its standard input ends it comes to an end.

const workerEnv = "NDPOOL_FLOW_WORKER"

// job is what a worker shall do.
type job struct {
	Dir    string `json:"dir"`
	Role   string `json:"role"`
	Ring   string `json:"ring"`
	Back   string `json:"back"`   // the ring on which it answers
	Mode   string `json:"mode"`   // of a reader or a consumer
	Who    uint64 `json:"who"`    // its number
	Seed   uint64 `json:"seed"`   //
	Most   int    `json:"most"`   // bytes of a message
	Calm   bool   `json:"calm"`   // nobody is killed, and nobody leaves by himself
	Canary string `json:"canary"` // what to do wrong
}

// Words that begin a line of a worker.
const (
	lineReady = "ready" // it has opened its ring
	lineCount = "n"     // frames or items, and waits that slept, since the last such line
	lineTold  = "told"  // a reader was told how the writer ended: died or ended
	linePut   = "p"     // so many items a producer has put, in all
	lineGot   = "g"     // a consumer has got these items: pairs of who and number
)

const (
	stuck   = 30 * time.Second      // what takes longer while others are killed does not come to an end
	slept   = 50 * time.Microsecond // a wait that took longer was a sleep
	holdMax = 4                     // frames that a reader holds at most
)

type worker struct {
	job
	p     *pool.Pool
	rng   *rand.Rand
	ended atomic.Bool   // standard input has ended
	start chan struct{} // closed when all others are ready

	done, sleeps int // since the last line
	number       uint64
	slip         bool // the canary has sung
}

var roles = map[string]func(*worker) error{
	"writer": (*worker).writer, "reader": (*worker).reader, "producer": (*worker).producer, "consumer": (*worker).consumer,
	"ping": (*worker).ping, "pong": (*worker).pong, "hub": (*worker).hub, "spoke": (*worker).spoke,
	"crowd-put": (*worker).crowdPut, "crowd-get": (*worker).crowdGet, "fast": (*worker).fast, "slow": (*worker).slow,
	"dealer": (*worker).dealer, "hand": (*worker).hand,
}

// work is the main function of a worker. It returns the exit code.
func work(args string) int {
	w := &worker{}
	err := json.Unmarshal([]byte(args), &w.job)
	if err == nil {
		err = w.run()
	}
	if err == nil {
		return 0
	}
	fmt.Fprintf(os.Stderr, "flow: %s %d of %s, process %d: %v\n", w.Role, w.Who, w.Ring, os.Getpid(), err)
	if errors.Is(err, errFound) {
		return codeFound
	}
	return 3
}

// codeFound is the exit code of a worker that has found what flow looks for.
const codeFound = 4

func (w *worker) run() (err error) {
	w.rng = rand.New(rand.NewPCG(w.Seed, w.Who))
	if w.Calm {
		longSleeps()
	}
	if w.p, err = pool.Open(poolName, pool.Options{Dir: w.Dir}); err != nil {
		return err
	}
	w.start = make(chan struct{})
	go w.listen()
	err = roles[w.Role](w)
	w.count()
	return errors.Join(err, w.p.Close())
}

// listen waits for the line that all are ready, and for the end.
func (w *worker) listen() {
	s := bufio.NewScanner(os.Stdin)
	if s.Scan() {
		close(w.start)
	}
	for s.Scan() {
	}
	w.ended.Store(true)
}

// ready says that the worker has opened its rings, and in the calm part waits until all others have: only then nobody waits for
// one who is not there yet.
func (w *worker) ready() {
	w.say(lineReady)
	if w.Calm {
		<-w.start
	}
}

// say writes a line at once, in one system call: what was said stays said if the worker is killed.
func (w *worker) say(words ...any) {
	_, _ = os.Stdout.WriteString(fmt.Sprintln(words...))
}

// did counts a frame or an item.
func (w *worker) did(n int) {
	if w.done += n; w.done >= 50 {
		w.count()
	}
}

func (w *worker) count() {
	w.say(lineCount, w.done, w.sleeps)
	w.done, w.sleeps = 0, 0
}

// within calls what may wait, with a context that ends after d, and counts it as a sleep if it took long.
func (w *worker) within(d time.Duration, f func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(context.Background(), d)
	defer cancel()
	start := time.Now()
	err := f(ctx)
	if time.Since(start) > slept {
		w.sleeps++
	}
	return err
}

// unstuck calls what others must let go on, whoever of them dies.
func (w *worker) unstuck(what string, f func(context.Context) error) error {
	err := w.within(stuck, f)
	if errors.Is(err, context.DeadlineExceeded) {
		return found("%s of %s did not come to an end within %v", what, w.Ring, stuck)
	}
	return err
}

// pause does nothing, or sleeps for a moment: often long enough that others sleep, too.
func (w *worker) pause(most time.Duration) {
	if w.rng.IntN(3) == 0 {
		time.Sleep(time.Duration(w.rng.Int64N(int64(most))))
	}
}

// message returns the next message of this worker.
func (w *worker) message() message {
	w.number++
	return message{Who: w.Who, Number: w.number, Ring: ringHash(w.Ring)}
}

// alloc makes an array with a message, of a random type and shape, and smaller if there is no space.
func (w *worker) alloc(m message) (a *pool.Array, hash uint64, err error) {
	for most := w.Most; ; most /= 4 {
		t, shape := form(w.rng, max(most, headSize))
		a, err = w.p.Alloc(t, shape...)
		if err == nil {
			break
		}
		if !errors.Is(err, pool.ErrFull) && !errors.Is(err, pool.ErrTableFull) {
			return nil, 0, err
		}
		time.Sleep(time.Millisecond)
		if w.ended.Load() {
			return nil, 0, err
		}
	}
	b, err := a.Bytes()
	if err != nil {
		return nil, 0, err
	}
	return a, m.write(b), nil
}

// sings tells whether it is time for the canary to sing: once in each worker.
func (w *worker) sings(canary string, after uint64) bool {
	if w.Canary != canary || w.slip || w.number < after {
		return false
	}
	w.slip = true
	return true
}
