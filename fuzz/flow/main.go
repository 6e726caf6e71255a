// Command flow sends frames through streams and items through queues of one pool, between many processes in Go and in Python,
// some of which it kills, stops and continues at random.
//
// Each frame and each item carries a hash of its content, who made it, and a number. Readers check that no frame is torn, that
// sequences grow, that what they are told they skipped is what they skipped, that a lossless stream loses nothing, and that
// readers are told when a writer dies. A ledger in this process checks that each item that was put was got once: but for those
// that a killed consumer had just got.
//
// Before the weather comes a calm part, in which the sleep that heals lost wake-ups is 10 s long: a wait of more than 2 s is a
// lost wake-up there.
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
	capacity uint64
	seed     uint64
	dir      string
	python   string
	canary   string
	canaries bool
	quiet    bool // workers and summary say nothing
}

func main() {
	if args := os.Getenv(workerEnv); args != "" {
		os.Exit(work(args))
	}
	var c config
	flag.Float64Var(&c.minutes, "minutes", 1, "how long; a quarter of it is calm")
	flag.Uint64Var(&c.capacity, "capacity", 512<<20, "bytes of the pool")
	flag.Uint64Var(&c.seed, "seed", uint64(time.Now().UnixNano()), "of all random choices")
	flag.StringVar(&c.dir, "dir", "/dev/shm", "directory of the pool's file")
	flag.StringVar(&c.python, "python", "", "interpreter that has the package ndpool: every other worker is a Python process then")
	flag.StringVar(&c.canary, "canary", "", "do one thing wrong, to see that it is found: "+strings.Join(canaryNames, ", "))
	flag.BoolVar(&c.canaries, "canaries", false, "try each canary, and fail if one is not found")
	flag.Parse()
	if flag.NArg() > 0 || c.canary != "" && !isCanary(c.canary) {
		flag.Usage()
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	do := run
	if c.canaries {
		do = tryCanaries
	}
	if err := do(ctx, c); err != nil {
		fmt.Fprintf(os.Stderr, "flow: seed %d: %v\n", c.seed, err)
		os.Exit(1)
	}
}
