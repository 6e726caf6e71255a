package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/ndpool/ndpool/fuzz/victim"
	"github.com/ndpool/ndpool/internal/shm"
	"github.com/ndpool/ndpool/pool"
)

// In lockstep workers act one at a time, one operation each time this process says "go", in an order that follows from the
// seed. They die between two operations, and in the crash build (tag ndpool_crash) right after a store to shared memory
// within one. So the same seed gives the same run, and a failure can be had again; what only comes of two that act at once
// is not met.

// Of so many operations one is a death instead, and in the crash build one ends by a death after at most so many stores.
const (
	killEvery  = 60
	crashEvery = 12
	maxStores  = 60
)

// lookEvery is after how many operations all is verified.
const lookEvery = 50

// march is a run in lockstep.
type march struct {
	*torture
	trace *trace
	post  [][]string // by place: lines that its worker has not got yet
}

// runLockstep is a whole run in lockstep.
func runLockstep(ctx context.Context, c config, h *house) error {
	_, err := lockstep(ctx, c, h)
	return err
}

// lockstep returns the digest of the run's trace.
func lockstep(ctx context.Context, c config, h *house) (digest string, err error) {
	t, err := newTorture(c, h)
	if err != nil {
		return "", err
	}
	defer t.close()
	m := &march{torture: t, trace: newTrace()}
	t.fail(m.prepare())
	t.fail(m.steps(ctx))
	m.handOver()
	t.finish()
	t.fail(m.trace.write(c.trace))
	if !c.quiet {
		fmt.Printf("torture: %d operations in lockstep, trace %s\n", c.lockstep, m.trace.digest())
	}
	return m.trace.digest(), t.report()
}

// prepare starts the workers, one after the other.
func (m *march) prepare() error {
	if err := errors.Join(m.allocOwn(), m.publishLocked()); err != nil {
		return err
	}
	m.post = make([][]string, m.workers)
	for k := range m.workers {
		m.places = append(m.places, &place{})
		if err := m.enlist(k); err != nil {
			return err
		}
	}
	return nil
}

// enlist puts a new worker in a place, and lets it come to the pool.
func (m *march) enlist(k int) (err error) {
	m.next++
	m.post[k] = nil
	if m.places[k].now, err = m.spawn(m.next, m.places[k]); err != nil {
		return err
	}
	return m.step(k, 0)
}

// steps lets workers act until there were so many operations as asked for.
func (m *march) steps(ctx context.Context) error {
	for n := range m.lockstep {
		if ctx.Err() != nil {
			m.figures.Note = ", and ended early"
			return nil
		}
		if m.failure() != nil {
			return nil
		}
		if err := m.act(); err != nil {
			return err
		}
		if n%lookEvery == 0 {
			if err := m.look(pool.VerifyOptions{}); err != nil {
				return err
			}
		}
	}
	return nil
}

// act lets one worker act, or die.
func (m *march) act() error {
	k := m.rng.IntN(m.workers)
	c := m.places[k].now
	die, crash, after := m.rng.IntN(killEvery) == 0, m.rng.IntN(crashEvery) == 0, 1+m.rng.IntN(maxStores)
	switch {
	case die && m.has(kindKill):
		m.figures.count(killsPlain)
		c.Kill()
		return m.buried(k, "killed")
	case crash && m.has(kindKill) && shm.Crash && !c.slow:
		return m.step(k, after)
	}
	return m.step(k, 0)
}

// step lets the worker of a place do one operation, and hears what it says. After stores that are not 0 it dies in it.
func (m *march) step(k, stores int) error {
	c := m.places[k].now
	text := strings.Join(append(m.post[k], fmt.Sprint(lineGo, " ", stores)), "\n") + "\n"
	m.post[k] = nil
	late := time.AfterFunc(patience, func() {
		m.fail(fmt.Errorf("%v took more than %v for one operation", c, patience))
		c.Kill()
	})
	defer late.Stop()
	if _, err := io.WriteString(c.In, text); err != nil {
		return m.buried(k, "gone")
	}
	for c.says.Scan() {
		line := c.says.Text()
		word, rest, _ := strings.Cut(line, " ")
		switch word {
		case lineDone:
			m.trace.add("w%d go %d: %s", k, stores, rest)
			return nil
		case lineTransfer, lineDirected, lineHandle:
			m.trace.add("w%d says %s", k, line)
			m.deliver(word, rest)
		default:
			if err := m.hear(nil, c, line); err != nil {
				return fmt.Errorf("line %q of %v: %w", line, c, err)
			}
		}
	}
	if stores == 0 {
		return m.buried(k, "ended by itself")
	}
	m.figures.count(killsStore)
	return m.buried(k, fmt.Sprint("dead after store ", stores))
}

// deliver keeps a line for the worker that gets it. A transfer to one process all get.
func (m *march) deliver(word, rest string) {
	if word == lineDirected {
		_, transfer, _ := strings.Cut(rest, " ")
		for k := range m.post {
			m.post[k] = append(m.post[k], lineTransfer+" "+transfer)
		}
		return
	}
	k := m.rng.IntN(m.workers)
	m.post[k] = append(m.post[k], word+" "+rest)
}

// buried waits for the end of a place's worker, sweeps what it has left, and puts the next one in its place.
func (m *march) buried(k int, how string) error {
	c := m.places[k].now
	m.trace.add("w%d %s", k, how)
	for c.says.Scan() { // what it has said before it died
	}
	_, err := c.Wait()
	close(c.gone)
	m.bury(c)
	m.places[k].now = nil
	if !victim.WasKilled(err) {
		return fmt.Errorf("%v ended by itself: %v: %s", c, err, strings.TrimSpace(c.words.String()))
	}
	if err := m.sweep(c.process()); err != nil {
		return err
	}
	if err := m.look(pool.VerifyOptions{}); err != nil {
		return fmt.Errorf("%s: %w", how, err)
	}
	return m.enlist(k)
}

// sweep sweeps the dead until one process is gone, and expires what they have sent.
func (m *march) sweep(id pool.ProcessID) error {
	for start := time.Now(); ; time.Sleep(time.Millisecond) {
		if _, err := m.p.Reap(); err != nil {
			return err
		}
		there := false
		for x := range m.p.Processes() {
			there = there || x.ID == id
		}
		if !there {
			_, err := m.p.Reap() // transfers of the dead expire at the second
			return err
		}
		if time.Since(start) > patience {
			return fmt.Errorf("process %v is dead, and still there", id)
		}
	}
}

// handOver lets the workers be heard as in a run that is not in lockstep, until the end.
func (m *march) handOver() {
	m.calmDown()
	for k, x := range m.places {
		if c := x.now; c != nil {
			x.done.Go(func() { m.watch(k, c) })
			go c.write()
		}
	}
}
