package main

import (
	"bufio"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

const mib = 1 << 20

// bench is one measurement: its options and its samples.
type bench struct {
	name string

	size, live, readers, producers, consumers, holds, count int
	capacity                                                uint64 // 0: what the workload needs
	what, place                                             string // place: an empty directory on tmpfs
	budget                                                  time.Duration

	made    string // the directory, if it was made here
	child   bool
	samples []float64
}

func newBench(name string, args []string) (*bench, error) {
	b := &bench{name: name, size: 4096, live: 10_000, readers: 1, producers: 1, consumers: 1, holds: 100, count: 100_000}
	b.budget = 300 * time.Millisecond
	b.samples = make([]float64, 0, mostSamples)
	for _, a := range args {
		key, value, ok := strings.Cut(a, "=")
		if !ok {
			return nil, fmt.Errorf("%s: not key=value", a)
		}
		if err := b.set(key, value); err != nil {
			return nil, fmt.Errorf("%s=%s: %w", key, value, err)
		}
	}
	return b, nil
}

func (b *bench) set(key, value string) error {
	ints := map[string]*int{"size": &b.size, "live": &b.live, "readers": &b.readers, "producers": &b.producers,
		"consumers": &b.consumers, "holds": &b.holds, "count": &b.count}
	words := map[string]*string{"what": &b.what, "place": &b.place}
	if p := words[key]; p != nil {
		*p = value
		return nil
	}
	if p := ints[key]; p != nil {
		n, err := strconv.ParseUint(value, 10, 48)
		*p = int(n)
		return err
	}
	switch key {
	case "capacity":
		n, err := strconv.ParseUint(value, 10, 64)
		b.capacity = n
		return err
	case "seconds":
		s, err := strconv.ParseFloat(value, 64)
		b.budget = time.Duration(s * float64(time.Second))
		return err
	}
	return errors.New("no such key")
}

func (b *bench) do(table []workload) error {
	for _, w := range table {
		if w.name != b.name {
			continue
		}
		if err := w.run(b); err != nil {
			return err
		}
		return b.print()
	}
	return errors.New("no such workload")
}

// findPlace makes a directory if none was given.
func (b *bench) findPlace() error {
	if b.place != "" {
		return nil
	}
	dir, err := os.MkdirTemp("/dev/shm", "peers-")
	b.made, b.place = dir, dir
	return err
}

// removeAll removes what was made in place: the pool removes its file when it is closed, but not after Ctrl-C.
func (b *bench) removeAll() {
	if b.place == "" || b.child {
		return
	}
	os.Remove(filepath.Join(b.place, "peers"))
	os.Remove(filepath.Join(b.place, "control"))
	if b.made != "" {
		os.Remove(b.made)
	}
}

// ---- samples, printed when all is measured

const mostSamples = 20_000

func (b *bench) sample(v float64) {
	if len(b.samples) < mostSamples {
		b.samples = append(b.samples, v)
	}
}

// more tells whether to go on: the time is not up and there is room, or there are too few.
func (b *bench) more(until time.Time, atLeast int) bool {
	n := len(b.samples)
	return n < atLeast || n < mostSamples && time.Now().Before(until)
}

// until is the end of a share of the seconds, from now.
func (b *bench) until(share float64) time.Time {
	return time.Now().Add(time.Duration(float64(b.budget) * share))
}

func (b *bench) print() error {
	w := bufio.NewWriter(os.Stdout)
	for _, v := range b.samples {
		fmt.Fprintf(w, "{\"value\": %.6g}\n", v)
	}
	return w.Flush()
}

// batches samples ns per step, each the mean of a batch that takes a hundredth of the time. run does n steps; finding the
// length is the warm-up.
func (b *bench) batches(run func(n int) error) error {
	n := 1
	for {
		best, err := bestOf(3, n, run)
		if err != nil {
			return err
		}
		if best >= b.budget/100 {
			break
		}
		n *= 2
	}
	for until := b.until(1); b.more(until, 5); {
		took, err := bestOf(1, n, run)
		if err != nil {
			return err
		}
		b.sample(float64(took.Nanoseconds()) / float64(n))
	}
	return nil
}

// bestOf is the shortest of some batches: another process may have disturbed one of them.
func bestOf(times, n int, run func(n int) error) (best time.Duration, err error) {
	best = math.MaxInt64
	for range times {
		began := time.Now()
		if err = run(n); err != nil {
			return
		}
		best = min(best, time.Since(began))
	}
	return
}

// rounds warms up for a fifth of the time, and samples the us of a round.
func (b *bench) rounds(warm, atLeast int, round func(k uint64) error) error {
	var k uint64
	for _, phase := range []struct {
		share   float64
		atLeast int
	}{{0.2, warm}, {1, atLeast}} {
		b.samples = b.samples[:0]
		for until := b.until(phase.share); b.more(until, phase.atLeast); {
			k++
			began := time.Now()
			if err := round(k); err != nil {
				return err
			}
			b.sample(us(began))
		}
	}
	return nil
}

func us(began time.Time) float64 { return float64(time.Since(began).Nanoseconds()) / 1e3 }
func ms(began time.Time) float64 { return float64(time.Since(began).Nanoseconds()) / 1e6 }

// random is xorshift64*, the same in all languages.
type random uint64

func (r *random) next() uint64 {
	x := *r
	x ^= x >> 12
	x ^= x << 25
	x ^= x >> 27
	*r = x
	return uint64(x) * 0x2545F4914F6CDD1D
}

// size is 64 bytes to 4 KiB, log-uniform.
func (r *random) size() int {
	return int(64 * math.Exp2(6*float64(r.next()>>11)*0x1p-53))
}
