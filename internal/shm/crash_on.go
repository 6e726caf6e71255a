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
	dead   bool   // after a death in process: stores of the unwinding goroutine vanish
	vain   int    // stores that vanished since
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

// Disarm ends the counting and returns how many stores there were since Arm.
func Disarm() int {
	armed.Lock()
	defer armed.Unlock()
	armed.active, armed.dead, armed.vain = false, false, 0
	return armed.count
}

// Kill ends this process as the kernel's SIGKILL does: no deferred call, no exit handler.
func Kill() {
	_ = syscall.Kill(syscall.Getpid(), syscall.SIGKILL)
	select {}
}

// Vanish ends the calling goroutine and swallows the stores of its deferred calls until Disarm: death within one
// process, for harnesses that enumerate many crash points quickly.
func Vanish() {
	armed.Lock()
	armed.dead = true
	armed.Unlock()
	runtime.Goexit()
}

// vainLimit is how many stores of the dead may vanish. A deferred call that wants the lock would try for ever; it is ended, too.
const vainLimit = 10_000

func swallow() bool {
	armed.Lock()
	defer armed.Unlock()
	if armed.dead {
		armed.vain++
	}
	if armed.vain > vainLimit {
		runtime.Goexit()
	}
	return armed.dead
}

func point() {
	armed.Lock()
	if !armed.active || armed.dead {
		armed.Unlock()
		return
	}
	armed.count++
	die := armed.die
	hit := armed.count == armed.left
	armed.Unlock()
	if hit {
		tellSite()
		die()
	}
}
