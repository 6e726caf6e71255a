// Command coverage tells what the tests have tried of what can go wrong: after which stores to shared memory the crash builds
// died, in Go and in C, and which of the statements that return an error the tests took. It runs the tests for that.
//
// A store that no test died after is a state that no recovery was tried on; a return that no test took is an error that
// nobody has seen. Both are listed, with file and line.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"math"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"
)

const usage = `usage: scripts/coverage [OPTIONS] [PART...]

Parts: crash-go, crash-c (after which stores the crash builds died), errors-go, errors-c (which statements that return an error
were taken); all, if none is given, two at a time. What is measured is kept in build/coverage. It fails if a test fails.

`

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], os.Stdout)
	interrupted := ctx.Err() != nil
	stop()
	switch {
	case err == nil || errors.Is(err, flag.ErrHelp):
	case interrupted:
		fmt.Fprintln(os.Stderr, "coverage: interrupted")
		os.Exit(130)
	default:
		fmt.Fprintln(os.Stderr, "coverage:", err)
		os.Exit(1)
	}
}

// job is what a run works with.
type job struct {
	root string // of the repository
	dir  string // of what is measured
	keep bool   // take what was measured last
	log  io.Writer
}

// part measures one thing, and returns what there is of it.
type part struct {
	name string
	do   func(context.Context, *job) (*report, error)
}

var parts = []part{
	{"crash-go", crashGo},
	{"crash-c", crashC},
	{"errors-go", errorsGo},
	{"errors-c", errorsC},
}

func run(ctx context.Context, args []string, out io.Writer) error {
	flags := flag.NewFlagSet("coverage", flag.ContinueOnError)
	flags.Usage = func() { fmt.Fprint(flags.Output(), usage); flags.PrintDefaults() }
	asJSON := flags.Bool("json", false, "print JSON")
	all := flags.Bool("all", false, "list what was taken, too, with how often")
	keep := flags.Bool("keep", false, "run no tests; read what the last run measured")
	least := flags.Float64("least", 0, "fail if a part has less than so many percent")
	if err := flags.Parse(args); err != nil {
		return err
	}
	chosen, err := choose(flags.Args())
	if err != nil {
		return err
	}
	j := &job{keep: *keep, log: os.Stderr}
	if j.root, err = os.Getwd(); err != nil {
		return err
	}
	if _, err := os.Stat(filepath.Join(j.root, "internal/shm/shm.go")); err != nil {
		return fmt.Errorf("%s is not the root of the repository: start scripts/coverage", j.root)
	}
	j.dir = filepath.Join(j.root, "build/coverage")
	if err := os.MkdirAll(j.dir, 0o755); err != nil {
		return err
	}
	reports := j.measure(ctx, chosen)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err := tell(out, reports, *asJSON, *all); err != nil {
		return err
	}
	return enough(reports, *least)
}

// atOnce is how many parts are measured at the same time. Each has a file, or a directory, of its own.
const atOnce = 2

// measure does parts, some at the same time. One that fails does not keep the others from their figures.
func (j *job) measure(ctx context.Context, chosen []part) []*report {
	reports := make([]*report, len(chosen))
	queue := make(chan int, len(chosen))
	for i := range chosen {
		queue <- i
	}
	close(queue)
	var all sync.WaitGroup
	for range min(atOnce, len(chosen)) {
		all.Go(func() {
			for i := range queue {
				reports[i] = j.report(ctx, chosen[i])
			}
		})
	}
	all.Wait()
	return reports
}

// report measures a part.
func (j *job) report(ctx context.Context, p part) *report {
	start := time.Now()
	r, err := p.do(ctx, j)
	if err != nil {
		r = &report{Error: err.Error()}
	}
	r.Part, r.Seconds = p.name, math.Round(time.Since(start).Seconds())
	r.count()
	return r
}

// tell writes the reports.
func tell(out io.Writer, reports []*report, asJSON, all bool) error {
	if asJSON {
		e := json.NewEncoder(out)
		e.SetIndent("", " ")
		return e.Encode(reports)
	}
	for _, r := range reports {
		r.print(out, all)
	}
	summary(out, reports)
	return nil
}

func choose(names []string) (chosen []part, err error) {
	if len(names) == 0 {
		return parts, nil
	}
	for _, name := range names {
		n := len(chosen)
		for _, p := range parts {
			if p.name == name {
				chosen = append(chosen, p)
			}
		}
		if len(chosen) == n {
			return nil, fmt.Errorf("no part is called %q (see --help)", name)
		}
	}
	return chosen, nil
}

// enough fails if a part has failed, or has less than what was asked for.
func enough(reports []*report, least float64) error {
	var bad, failed []string
	for _, r := range reports {
		if r.Error != "" {
			failed = append(failed, r.Part)
			continue
		}
		if got := r.All.percent(); got < least {
			bad = append(bad, fmt.Sprintf("%s has %.1f %%", r.Part, got))
		}
	}
	if len(failed) > 0 {
		return fmt.Errorf("%s failed", strings.Join(failed, ", "))
	}
	if len(bad) > 0 {
		return fmt.Errorf("%s (at least %.1f %% is asked for)", strings.Join(bad, ", "), least)
	}
	return nil
}
