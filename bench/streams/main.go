// Command streams is one end of what scripts/bench-streams measures, in Go: a writer, or one of the readers, by an ndpool stream,
// an ndpool queue, or a pipe. peers.py is the same in Python, and tells what a run is and which lines are spoken.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"sort"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// config is what a peer is told at its start.
type config struct {
	Means   string `json:"means"`
	Role    string `json:"role"`
	Dir     string `json:"dir"`
	Index   int    `json:"index"`
	Readers int    `json:"readers"`
	Out     []int  `json:"out"`  // descriptors of pipes
	Back    []int  `json:"back"` //
}

// means is a way to bring a message to another process.
type means interface {
	begin(size int)
	send(ctx context.Context, kind string, source []byte, last uint64) error
	take(ctx context.Context, kind string) (stamp, last uint64, at int64, err error)
	answer(ctx context.Context, source []byte) error
	answered(ctx context.Context) error
	close() error
}

const (
	pause     = 2 * time.Millisecond
	longPause = 40 * time.Millisecond
	large     = 1 << 20
	deep      = 8
	small     = 64
)

func main() {
	if err := serve(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "streams:", err)
		os.Exit(1)
	}
}

func serve(args []string) error {
	var c config
	if err := json.Unmarshal([]byte(args[0]), &c); err != nil {
		return err
	}
	hear, err1 := strconv.Atoi(args[1])
	tell, err2 := strconv.Atoi(args[2])
	if err1 != nil || err2 != nil {
		return fmt.Errorf("descriptors %q", args[1:])
	}
	out := os.NewFile(uintptr(tell), "tell")
	m, err := open(c)
	if err != nil {
		return err
	}
	fmt.Fprintln(out, "open")
	for lines := bufio.NewScanner(os.NewFile(uintptr(hear), "hear")); lines.Scan(); {
		var kind string
		var size int
		var seconds float64
		if _, err := fmt.Sscanf(lines.Text(), "run %s %d %f", &kind, &size, &seconds); err != nil {
			return err
		}
		if err := perform(c, m, out, kind, size, seconds); err != nil {
			return err
		}
	}
	return m.close()
}

// perform does one run, and prints what came out.
func perform(c config, m means, out *os.File, kind string, size int, seconds float64) (err error) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	m.begin(size)
	before := switches()
	var result map[string]any
	if c.Role == "writer" {
		result, err = write(ctx, m, kind, size, seconds)
	} else {
		fmt.Fprintln(out, "ready")
		result, err = read(ctx, m, kind)
	}
	if err != nil {
		return err
	}
	result["switches"] = switches() - before
	return json.NewEncoder(out).Encode(result)
}

func open(c config) (means, error) {
	switch c.Means {
	case "stream":
		return openStreams(c)
	case "queue":
		return openQueues(c)
	case "pipe":
		return openPipes(c), nil
	}
	return nil, fmt.Errorf("means %q", c.Means)
}

func write(ctx context.Context, m means, kind string, size int, seconds float64) (map[string]any, error) {
	source, wait := make([]byte, size), pause
	if size >= large {
		wait = longPause
	}
	n, trips := 0, []int64{}
	for end := now() + int64(seconds*1e9); now() < end; n++ {
		if kind == "idle" {
			time.Sleep(wait)
		}
		start := now()
		if err := m.send(ctx, kind, source, 0); err != nil {
			return nil, err
		}
		if kind == "busy" {
			if err := m.answered(ctx); err != nil {
				return nil, err
			}
			trips = append(trips, now()-start)
		}
	}
	if kind == "idle" {
		time.Sleep(wait)
	}
	return map[string]any{"sent": n, "trip": at(trips, 50)}, m.send(ctx, kind, source, 1)
}

func read(ctx context.Context, m means, kind string) (map[string]any, error) {
	answer := make([]byte, small)
	took, first, end := make([]int64, 0, 1<<16), int64(0), int64(0)
	for {
		stamp, last, t, err := m.take(ctx, kind)
		if err != nil {
			return nil, err
		}
		if last != 0 {
			break
		}
		if took = append(took, t-int64(stamp)); first == 0 {
			first = t
		}
		end = t
		if kind == "busy" {
			if err := m.answer(ctx, answer); err != nil {
				return nil, err
			}
		}
	}
	return map[string]any{"n": len(took), "median": at(took, 50), "p99": at(took, 99), "first": first, "end": end}, nil
}

// at sorts numbers and returns one of them.
func at(xs []int64, percent int) int64 {
	if len(xs) == 0 {
		return 0
	}
	sort.Slice(xs, func(i, j int) bool { return xs[i] < xs[j] })
	return xs[len(xs)*percent/100]
}

// switches returns how often this process gave the processor away because it waited.
func switches() int64 {
	var u unix.Rusage
	if unix.Getrusage(unix.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return u.Nvcsw
}
