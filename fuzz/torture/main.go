// Command torture lets many processes in Go and Python work on one pool while it does to them what can happen to processes:
// it kills them, stops them, lets them fork and exec, fills the file system, squeezes their memory, and takes names away.
//
// Workers do all that a pool can do, check every array that they get and every one that they hold, and hand them to each
// other through this process. This process holds arrays all the while, verifies the pool again and again, and starts a new
// worker for each that it killed. At the end all workers freeze and tell what they hold: the arrays of the pool must be
// these, those of names, of transfers and of rings, and no other. Then all leave, and nothing may be left.
//
// All choices follow from the seed. What they meet depends on the scheduler, so a run cannot be repeated exactly; with
// -lockstep it can: see lockstep.go.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"
)

// config is what the flags say.
type config struct {
	minutes  float64
	workers  int
	capacity uint64
	seed     uint64
	dir      string
	evidence string
	python   string
	no       string
	json     string
	trace    string
	canary   string
	canaries bool
	lockstep int
	verbose  bool
	quiet    bool // neither workers nor the summary say anything
}

func main() {
	if text := os.Getenv(workerEnv); text != "" {
		os.Exit(work(text))
	}
	c := flags()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	err := housed(ctx, c, start)
	var inner exitError
	if errors.As(err, &inner) { // which has said already what is wrong
		os.Exit(int(inner))
	}
	if err != nil {
		fmt.Fprintf(os.Stderr, "torture: seed %d: %v\n", c.seed, err)
		os.Exit(1)
	}
}

// start does what the flags ask for, in the house that it is given.
func start(ctx context.Context, c config, h *house) error {
	switch {
	case c.canaries:
		return tryCanaries(ctx, c, h)
	case c.lockstep > 0:
		return runLockstep(ctx, c, h)
	}
	return run(ctx, c, h)
}

func flags() (c config) {
	flag.Float64Var(&c.minutes, "minutes", 1, "how long")
	flag.IntVar(&c.workers, "workers", 8, "worker processes")
	flag.Uint64Var(&c.capacity, "capacity", 64<<20, "bytes of the pool")
	flag.Uint64Var(&c.seed, "seed", uint64(time.Now().UnixNano()), "of all choices")
	flag.StringVar(&c.dir, "dir", "/dev/shm", "directory in which the tmpfs of the run is mounted; the pool lies in it where that cannot be")
	flag.StringVar(&c.evidence, "evidence", os.TempDir(), "directory in which a failed run leaves what it can be understood from")
	flag.StringVar(&c.python, "python", "", "interpreter that has the package ndpool: every other worker is a Python process then")
	flag.StringVar(&c.no, "no", "", "kinds of weather to leave out, with commas: "+strings.Join(kinds, ","))
	flag.StringVar(&c.json, "json", "", "file for the figures")
	flag.StringVar(&c.trace, "trace", "", "file for all events of a run in lockstep")
	flag.StringVar(&c.canary, "canary", "", "do one thing wrong, to see that it is found: "+strings.Join(canaries, ","))
	flag.BoolVar(&c.canaries, "canaries", false, "try each canary, and fail if one is not found")
	flag.IntVar(&c.lockstep, "lockstep", 0, "so many operations one at a time, in an order that follows from the seed, instead of minutes")
	flag.BoolVar(&c.verbose, "v", false, "print a line per second")
	flag.Parse()
	if err := c.check(); err != nil {
		fmt.Fprintf(os.Stderr, "torture: %v\n", err)
		flag.Usage()
		os.Exit(2)
	}
	return c
}

func (c *config) check() error {
	if flag.NArg() > 0 {
		return fmt.Errorf("unknown argument %q", flag.Arg(0))
	}
	if c.workers < 1 || c.workers > 200 {
		return fmt.Errorf("%d workers (from 1 to 200)", c.workers)
	}
	if c.canary != "" && !slices.Contains(canaries, c.canary) {
		return fmt.Errorf("no canary %q", c.canary)
	}
	for _, kind := range c.left() {
		if !slices.Contains(kinds, kind) {
			return fmt.Errorf("no kind of weather %q", kind)
		}
	}
	return nil
}

// left returns the kinds of weather that are left out.
func (c *config) left() []string {
	return strings.FieldsFunc(c.no, func(r rune) bool { return r == ',' || r == ' ' })
}

// has tells whether a kind of weather is asked for.
func (c *config) has(kind string) bool { return !slices.Contains(c.left(), kind) }

// command returns what repeats this run.
func (c *config) command() string {
	s := fmt.Sprintf("torture -seed %d -workers %d -capacity %d", c.seed, c.workers, c.capacity)
	if c.lockstep > 0 {
		s += fmt.Sprintf(" -lockstep %d", c.lockstep)
	} else {
		s += fmt.Sprintf(" -minutes %g", c.minutes)
	}
	for _, x := range [][2]string{{"python", c.python}, {"no", c.no}, {"canary", c.canary}} {
		if x[1] != "" {
			s += fmt.Sprintf(" -%s %s", x[0], x[1])
		}
	}
	return s
}
