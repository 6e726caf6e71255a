// Command storm lets many processes work on one pool while it kills, stops and continues them at random.
//
// Workers allocate arrays, fill them with a pattern that follows from the handle, hand them to each other through this
// process or publish them under names, and check every array that they get and every array that they hold. The storm's
// own process holds arrays all the while, verifies the pool again and again, and starts new workers for those it killed. At
// the end nothing may be left but persistent names, and nothing when those are removed.
//
// The choices follow from the seed; what they meet depends on the scheduler, so a run cannot be repeated exactly.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
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
	python   string
	verbose  bool
}

func main() {
	if args := os.Getenv(workerEnv); args != "" {
		os.Exit(work(strings.Fields(args)))
	}
	var c config
	flag.Float64Var(&c.minutes, "minutes", 1, "how long")
	flag.IntVar(&c.workers, "workers", 8, "worker processes")
	flag.Uint64Var(&c.capacity, "capacity", 64<<20, "bytes of the pool")
	flag.Uint64Var(&c.seed, "seed", uint64(time.Now().UnixNano()), "of all random choices")
	flag.StringVar(&c.dir, "dir", "/dev/shm", "directory of the pool's file")
	flag.StringVar(&c.python, "python", "", "interpreter that has the package ndpool: every other worker is a Python process then")
	flag.BoolVar(&c.verbose, "v", false, "print a line per second")
	flag.Parse()
	if flag.NArg() > 0 || c.workers < 1 || c.workers > 200 {
		flag.Usage()
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, c); err != nil {
		fmt.Fprintf(os.Stderr, "storm: seed %d: %v\n", c.seed, err)
		os.Exit(1)
	}
}
