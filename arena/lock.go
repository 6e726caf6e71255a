package arena

import (
	"runtime"
	"time"

	"github.com/ndpool/ndpool/arena/layout"
)

// Bounds of waiting for the segment lock. A sleeper wakes up by itself, which heals any lost wake-up, and then asks
// whether the owner lives.
const (
	lockSpins    = 100
	lockSleepMin = 500 * time.Microsecond
	lockSleepMax = 50 * time.Millisecond
	queueSpins   = 20 * time.Microsecond // naps shorter than this only yield
	queueNapMax  = 200 * time.Microsecond
)

// Lock takes the segment lock. It reports taken when the last owner died inside: the derived indexes may be torn then,
// and the caller must rebuild them before anything else. If the caller dies while it does, the next one is told the same.
//
// A living owner is never robbed: after wait the caller gets a *LockError. Every Lock names its release as Unlock.
// Preconditions: Claim was called; the goroutine holds no stripe.
func (a *Arena) Lock(wait time.Duration) (taken bool, err error) {
	if !a.front.TryLock() {
		if err := a.queue(wait); err != nil {
			return false, err
		}
	}
	if a.Ctl.Lock.CAS(0, uint32(a.word)) {
		return false, nil
	}
	taken, err = a.lockSlow(wait)
	if err != nil {
		a.front.Unlock()
	}
	return taken, err
}

// Unlock releases the segment lock and wakes one sleeper. A process that dies before the wake-up leaves a sleeper that
// wakes up by itself.
func (a *Arena) Unlock() {
	old := layout.LockWord(a.Ctl.Lock.Swap(0))
	a.front.Unlock()
	if old.Contended() {
		futexWake(&a.Ctl.Lock, 1)
	}
}

// queue waits for the mutex that stands before the lock. Its owner is a goroutine of this process, which may itself wait
// for a stopped process; so this wait is bounded too.
func (a *Arena) queue(wait time.Duration) error {
	start := time.Now()
	for nap := time.Duration(0); ; nap = min(nap+time.Microsecond, queueNapMax) {
		if nap < queueSpins {
			runtime.Gosched()
		} else {
			time.Sleep(nap)
		}
		if a.front.TryLock() {
			return nil
		}
		if waited := time.Since(start); waited >= wait {
			return a.lockError(layout.LockWord(a.Ctl.Lock.Load()), waited)
		}
	}
}

// lockError names the process that keeps the lock.
func (a *Arena) lockError(w layout.LockWord, waited time.Duration) error {
	return &LockError{Slot: w.Owner(), Pid: a.pid(w.Owner()), Waited: waited}
}

func (a *Arena) lockSlow(wait time.Duration) (taken bool, err error) {
	for range lockSpins {
		if a.Ctl.Lock.Load() == 0 && a.Ctl.Lock.CAS(0, uint32(a.word)) {
			return false, nil
		}
	}
	start := time.Now()
	for sleep := lockSleepMin; ; sleep = min(2*sleep, lockSleepMax) {
		w := layout.LockWord(a.Ctl.Lock.Load())
		if w == 0 {
			// Others may sleep on the word; the bit stays, so that our Unlock wakes the next one.
			if a.Ctl.Lock.CAS(0, uint32(a.word.WithWaiters())) {
				return false, nil
			}
			continue
		}
		if !w.Contended() && !a.Ctl.Lock.CAS(uint32(w), uint32(w.WithWaiters())) {
			continue
		}
		futexWait(&a.Ctl.Lock, uint32(w.WithWaiters()), sleep)
		if w = layout.LockWord(a.Ctl.Lock.Load()); w == 0 {
			continue
		}
		if !a.lockOwnerLives(w) {
			// From the exact dead word: whoever else saw the same death loses this exchange.
			if a.Ctl.Lock.CAS(uint32(w), uint32(a.word.WithWaiters())) {
				a.Ctl.Takeovers.Add(1)
				return true, nil
			}
			continue
		}
		if waited := time.Since(start); waited >= wait {
			return false, a.lockError(w, waited)
		}
	}
}

// lockOwnerLives tells whether the process that the word names still has that incarnation of its slot. A word that
// names no slot is damage, and nobody's; so is one that names this process, whose front mutex the caller holds.
func (a *Arena) lockOwnerLives(w layout.LockWord) bool {
	slot := w.Owner()
	if slot < 0 || slot >= len(a.Slots) || slot == a.self.Slot() {
		return false
	}
	inc := layout.SlotWord(a.Slots[slot].Word.Load()).Incarnation()
	return w.Names(inc) && a.Alive(layout.MakeIdent(slot, inc))
}

func (a *Arena) pid(slot int) int {
	if slot < 0 || slot >= len(a.Slots) {
		return 0
	}
	return int(a.Slots[slot].Pid.Load())
}
