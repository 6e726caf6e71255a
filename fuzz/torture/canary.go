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

// tryCanaries runs for a moment with each canary, and wants that each run fails for the sake of it.
func tryCanaries(ctx context.Context, c config, h *house) error {
	for _, name := range canaries {
		c.canary, c.minutes, c.quiet = name, 2./60, true
		err := run(ctx, c, h)
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
