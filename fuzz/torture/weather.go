package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"time"

	"github.com/ndpool/ndpool/pool"
)

// Kinds of weather. Workers make those of their own in their own time; this process makes the others.
const (
	kindKill    = "kill"    // SIGKILL, at any moment
	kindStop    = "stop"    // SIGSTOP for a moment; with kindKill at times SIGKILL while stopped
	kindFork    = "fork"    // workers in Python fork, and the child works on
	kindExec    = "exec"    // workers become another program: the same process, another life
	kindFull    = "full"    // the file system is smaller than the pool
	kindBallast = "ballast" // a file takes all that is left of it, and goes again
	kindSecond  = "second"  // workers come to another pool and leave it, of which the last one takes the name away
	kindUnlink  = "unlink"  // its name is taken away while they work
	kindMemory  = "memory"  // some workers are in a control group that has hardly enough memory
	kindPids    = "pids"    // some workers are in a PID namespace of their own
)

var kinds = []string{kindKill, kindStop, kindFork, kindExec, kindFull, kindBallast, kindSecond, kindUnlink, kindMemory, kindPids}

// secondName is the name of the other pool.
const secondName = "second"

// spared is how much more seldom a Python process is struck: else most of them would die before they have done anything.
const spared = 5

// rage makes weather until the context ends. Each kind goes by a clock and a sequence of choices of its own.
func (t *torture) rage(ctx context.Context) {
	t.often(ctx, 1, 5*time.Millisecond, 65*time.Millisecond, t.strike)
	if t.has(kindBallast) && t.house.own {
		t.often(ctx, 2, 500*time.Millisecond, 5*time.Second, t.load)
	}
	if t.has(kindUnlink) && t.has(kindSecond) {
		t.often(ctx, 3, 100*time.Millisecond, 3*time.Second, t.unlink)
	}
	if t.group != nil {
		t.often(ctx, 4, 200*time.Millisecond, 3*time.Second, t.squeeze)
	}
}

// often does something again and again, after a time between the two, until the context ends.
func (t *torture) often(ctx context.Context, stream uint64, least, most time.Duration, do func(context.Context, *rand.Rand)) {
	rng := rand.New(rand.NewPCG(t.seed, stream))
	t.winds.Go(func() {
		for wait(ctx, least+time.Duration(rng.Int64N(int64(most-least)))) {
			do(ctx, rng)
		}
	})
}

// wait waits, and tells whether the context goes on.
func wait(ctx context.Context, d time.Duration) bool {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
	return ctx.Err() == nil
}

// strike does something to a worker: kills it, or stops it for a moment, at times only to kill it then.
func (t *torture) strike(_ context.Context, rng *rand.Rand) {
	c, how := t.at(rng.IntN(t.workers)), rng.IntN(3)
	pause, later := time.Duration(5+rng.IntN(300))*time.Millisecond, time.Duration(rng.IntN(50))*time.Millisecond
	if lucky := rng.IntN(spared) > 0; c == nil || c.slow && lucky {
		return
	}
	switch {
	case how == 0 && t.has(kindKill):
		t.figures.count(killsPlain)
		c.Kill()
	case how == 1 && t.has(kindStop):
		t.figures.count(stops)
		t.figures.stopped(pause)
		c.Pause(pause)
	case how == 2 && t.has(kindKill) && t.has(kindStop):
		t.figures.count(stops)
		t.figures.count(killsStopped)
		c.Pause(0)
		time.AfterFunc(later, c.Kill)
	}
}

// load fills the file system to the last page for a moment.
func (t *torture) load(ctx context.Context, rng *rand.Rand) {
	f, err := os.Create(filepath.Join(t.dir, "ballast"))
	if isFull(err) {
		return
	}
	if err != nil {
		t.fail(err)
		return
	}
	defer os.Remove(f.Name())
	defer f.Close()
	for step, off := int64(1<<20), int64(0); step >= 4096; {
		if err := reserve(f, off, step); err == nil {
			off += step
		} else if step /= 2; !isFull(err) {
			t.fail(fmt.Errorf("ballast: %w", err))
			return
		}
	}
	t.figures.count(ballasts)
	wait(ctx, time.Duration(50+rng.IntN(500))*time.Millisecond)
}

// unlink takes the other pool's name away. Who is attached goes on; who comes next makes a new pool.
func (t *torture) unlink(context.Context, *rand.Rand) {
	if err := pool.Unlink(secondName, pool.Options{Dir: t.dir}); err == nil {
		t.figures.count(unlinks)
	}
}
