// Package spin is a mutex for critical sections of some ten instructions.
//
// Unlocking is a release store instead of the exchange of a sync.Mutex, which is a third of what an allocation costs.
// The price: a waiter cannot be woken. It spins, then yields, then sleeps for moments, until the holder is done; so never
// hold one across anything that can block.
package spin

import (
	"runtime"
	"sync/atomic"
	"time"
)

// Mutex is a mutual exclusion lock; the zero value is unlocked.
type Mutex struct{ word uint32 }

// Bounds of waiting.
const (
	spins  = 30
	yields = 100
	nap    = 50 * time.Microsecond
)

// TryLock locks the mutex if it is free, and reports whether it did.
func (m *Mutex) TryLock() bool { return atomic.CompareAndSwapUint32(&m.word, 0, 1) }

// Lock locks the mutex.
func (m *Mutex) Lock() {
	if !m.TryLock() {
		m.wait()
	}
}

// Unlock unlocks the mutex. Precondition: the caller has locked it.
func (m *Mutex) Unlock() { release(&m.word) }

func (m *Mutex) wait() {
	for n := 0; ; n++ {
		if atomic.LoadUint32(&m.word) == 0 && m.TryLock() {
			return
		}
		switch {
		case n < spins:
		case n < spins+yields:
			runtime.Gosched()
		default:
			time.Sleep(nap)
		}
	}
}
