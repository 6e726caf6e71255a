//go:build ndpool_crash

package shm

import (
	"runtime"
	"sync"
	"syscall"
)

// Crash tells whether this is the crash build.
const Crash = true

// Local: the armed crash. One at a time per process; the harness runs one operation at a time.
var armed struct {
	sync.Mutex
	active bool
	left   int    // stores until death; negative: never, only count
	count  int    // stores since Arm
	die    func() // ends the "process"; does not return
	dead   bool   // after a death: in process, stores of the unwinding goroutine vanish
	vain   int    // stores that vanished since
	others func() // what others do after each store, and after each exchange that failed
	aside  bool   // while others are at it
}

// Arm lets die run right after the k-th store from now, k from 1. With k 0 stores are only counted.
func Arm(k int, die func()) {
	armed.Lock()
	defer armed.Unlock()
	armed.active, armed.left, armed.count, armed.die, armed.dead = true, k, 0, die, false
	if k <= 0 {
		armed.left = -1
	}
}

// Meanwhile lets others run after each store and each exchange that failed, until Disarm: what other processes do at that
// moment. Their stores do not count. They come before a death at that store.
func Meanwhile(others func()) {
	armed.Lock()
	defer armed.Unlock()
	armed.others = others
}

// Disarm ends the counting and returns how many stores there were since Arm.
func Disarm() int {
	armed.Lock()
	defer armed.Unlock()
	armed.active, armed.dead, armed.vain, armed.others = false, false, 0, nil
	return armed.count
}

// Kill ends this process as the kernel's SIGKILL does: no deferred call, no exit handler.
func Kill() {
	_ = syscall.Kill(syscall.Getpid(), syscall.SIGKILL)
	select {}
}

// Vanish ends the calling goroutine; the stores of its deferred calls, and of all other goroutines, vanish until Disarm: death
// within one process, for harnesses that enumerate many crash points quickly.
func Vanish() { runtime.Goexit() }

// Limits of what the dead do: how many of their stores vanish, and how many of their exchanges fail. A deferred call that
// wants the lock would try for ever, with pauses; it is ended, too.
const (
	vainLimit     = 10_000
	vainExchanges = 100
)

func swallow() bool { return vanish(1) }

func swallowExchange() bool { return vanish(vainLimit / vainExchanges) }

func vanish(weight int) bool {
	armed.Lock()
	defer armed.Unlock()
	if armed.dead {
		armed.vain += weight
	}
	if armed.vain > vainLimit {
		runtime.Goexit()
	}
	return armed.dead
}

func point() {
	if die := moment(1); die != nil {
		tellSite()
		die()
	}
}

// exchanged is the moment after an exchange, which may have failed.
func exchanged(ok bool) {
	if ok {
		point()
	} else {
		moment(0)
	}
}

// moment counts stores, and lets the others run. It returns how to die, if this is the store for it. From then on all of this
// process is dead: a goroutine that dies late, as one that a timer has started may, does not disturb whoever is armed next.
func moment(stores int) (die func()) {
	armed.Lock()
	defer armed.Unlock()
	if !armed.active || armed.dead || armed.aside {
		return nil
	}
	armed.count += stores
	hit := stores > 0 && armed.count == armed.left
	if others := armed.others; others != nil {
		armed.aside = true
		armed.Unlock()
		others()
		armed.Lock()
		armed.aside = false
	}
	if !hit {
		return nil
	}
	armed.dead = true
	return armed.die
}
