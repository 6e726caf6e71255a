package main

import (
	"fmt"
)

// report tells how it went.
func (t *torture) report() error {
	err := t.failure()
	t.figures.end(err)
	if t.group != nil {
		t.figures.killedByKernel(t.group.killed())
	}
	if t.p != nil { // nothing is left to be seen otherwise
		t.figures.Stats, _ = t.p.Stats()
	}
	if t.json != "" {
		t.fail(t.figures.write(t.json))
	}
	if t.quiet {
		return err
	}
	t.figures.print()
	if err != nil {
		return fmt.Errorf("%w\nagain: %s", err, t.command())
	}
	return nil
}
