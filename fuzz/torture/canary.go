package main

import (
	"context"
	"fmt"
	"strings"
)

// A canary is a fault that a run makes itself, so that one can see that it would be found.
const (
	canaryNoFill = "nofill" // a worker forgets to fill an array
	canaryFlip   = "flip"   // a worker flips a byte of an array that it holds
	canaryKeep   = "extra"  // a worker keeps one more array than it tells
	canaryExtra  = "own"    // so does this process

	untold = "did not tell"
)

var (
	canaries     = []string{canaryNoFill, canaryFlip, canaryKeep, canaryExtra}
	workerPlants = []string{canaryNoFill, canaryFlip, canaryKeep}
	foundBy      = map[string]string{canaryNoFill: "exit status 3", canaryFlip: "exit status 3", canaryKeep: untold, canaryExtra: untold}
)

// canaryMinutes are how long a run may take to meet its canary: a moment, and longer where that was not enough. Workers of a
// busy machine may hold nothing yet by then.
var canaryMinutes = []float64{2. / 60, 6. / 60, 20. / 60}

// tryCanaries runs for a moment with each canary, and wants that each run fails for the sake of it.
func tryCanaries(ctx context.Context, c config, h *house) error {
	for _, name := range canaries {
		c.canary, c.quiet = name, true
		err := untilFound(ctx, c, h)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err == nil {
			return fmt.Errorf("canary %s: not found", name)
		}
		if !strings.Contains(err.Error(), foundBy[name]) {
			return fmt.Errorf("canary %s: something else was found: %w", name, err)
		}
		if c.canaries {
			fmt.Printf("torture: canary %s found: %s\n", name, strings.ReplaceAll(err.Error(), "\n", " "))
		}
	}
	return nil
}

// untilFound returns what a run failed with.
func untilFound(ctx context.Context, c config, h *house) (err error) {
	for _, c.minutes = range canaryMinutes {
		if err = run(ctx, c, h); err != nil || ctx.Err() != nil {
			break
		}
	}
	return err
}
