package main

import (
	"fmt"
	"time"
)

// patience is how long workers may take to freeze, and to end.
const patience = time.Minute

// calmDown lets no worker be started any more, and returns those that are there.
func (t *torture) calmDown() (all []*child) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.calm = true
	for _, x := range t.places {
		if x.now != nil {
			all = append(all, x.now)
		}
	}
	return all
}

// freeze lets all workers stop where they are, and returns those that are still there, and have told what they hold.
func (t *torture) freeze() (all []*child) {
	left := t.calmDown()
	late := time.After(patience)
	for _, c := range left {
		c.Resume()
		if c.askToFreeze(late) {
			all = append(all, c)
		} else if !c.isGone() {
			t.fail(fmt.Errorf("%v did not freeze within %v", c, patience))
			return all
		}
	}
	return all
}

// askToFreeze tells whether the worker has frozen. If not it has ended, or time is over.
func (c *child) askToFreeze(late <-chan time.Time) bool {
	select {
	case c.lines <- lineFreeze:
	case <-c.gone:
		return false
	case <-late:
		return false
	}
	select {
	case <-c.frozen:
		return true
	case <-c.gone:
	case <-late:
	}
	return false
}

func (c *child) isGone() bool {
	select {
	case <-c.gone:
		return true
	default:
		return false
	}
}

// endWorkers asks all workers to end, and waits. Who does not end in time is a failure.
func (t *torture) endWorkers() {
	left := t.calmDown()
	for _, c := range left {
		c.Resume()
		c.In.Close()
	}
	timer := time.AfterFunc(patience, func() {
		for _, c := range left {
			if !c.isGone() {
				t.fail(fmt.Errorf("%v did not end within %v", c, patience))
				c.Kill()
			}
		}
	})
	defer timer.Stop()
	for _, x := range t.places {
		x.done.Wait()
	}
}
