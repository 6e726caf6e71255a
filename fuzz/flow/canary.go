package main

import (
	"context"
	"errors"
	"fmt"
)

// A canary is a fault that flow makes itself, so that one can see that it would be found.
const (
	canaryTorn  = "torn"  // a writer changes a frame after it was published
	canarySwap  = "swap"  // a writer gives a frame another one's attributes
	canaryDrop  = "drop"  // a consumer throws an item away
	canaryTwice = "twice" // a consumer counts an item twice
	canaryLate  = "late"  // a wait takes too long
)

var canaryNames = []string{canaryTorn, canarySwap, canaryDrop, canaryTwice, canaryLate}

func isCanary(name string) bool {
	for _, n := range canaryNames {
		if n == name {
			return true
		}
	}
	return false
}

// tryCanaries runs for a moment with each canary, and wants that each run fails for the sake of it.
func tryCanaries(ctx context.Context, c config) error {
	for _, name := range canaryNames {
		c.canary, c.minutes, c.quiet = name, 4./60, true
		err := run(ctx, c)
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case err == nil:
			return fmt.Errorf("canary %s: not found", name)
		case !errors.Is(err, errFound):
			return fmt.Errorf("canary %s: something else was found: %w", name, err)
		}
		fmt.Printf("flow: canary %s found: %v\n", name, firstLine(err))
	}
	return nil
}
