// Package shm is the funnel: the only place that stores to shared memory.
//
// The words of the segment are declared with the types U64 and U32, whose value no other package can reach.
// So the compiler itself forbids a store that bypasses the funnel, and the crash build (tag ndpool_crash) sees every
// one of them: it can kill the process right after the k-th store.
//
// There are three ways to store, from strong to weak:
//
//	Store, CAS, Or, And, Swap  sequentially consistent; for words that several processes change
//	Publish                    a release store; for words that only the caller may change at that moment
//	Put                        a plain store; for words guarded by the segment lock
//
// and the matching loads: Load (sequentially consistent, pairs with the first two) and Get (plain, pairs with Put).
//
// A process that is killed leaves every store before the fatal instruction visible, in order, and none after it: its
// core retires them. So the crash points of an operation are the prefixes of its stores, and nothing is ever flushed.
package shm

import "sync/atomic"

// U64 is a 64-bit word of the segment.
type U64 struct{ v uint64 }

// U32 is a 32-bit word of the segment; futexes are of this size.
type U32 struct{ v uint32 }

// Load returns the word, sequentially consistent.
func (w *U64) Load() uint64 { return atomic.LoadUint64(&w.v) }

// Get returns the word by a plain load. Precondition: the caller holds the lock that guards the word.
func (w *U64) Get() uint64 { return w.v }

// Store sets the word, sequentially consistent.
func (w *U64) Store(v uint64) {
	if Crash && swallow() {
		return
	}
	atomic.StoreUint64(&w.v, v)
	if Crash {
		point()
	}
}

// Publish sets the word by a release store: whoever loads the new value also sees all that was stored before it.
// Precondition: nobody else may change the word now.
func (w *U64) Publish(v uint64) {
	if Crash && swallow() {
		return
	}
	release64(&w.v, v)
	if Crash {
		point()
	}
}

// Put sets the word by a plain store. Precondition: the caller holds the lock that guards the word.
func (w *U64) Put(v uint64) {
	if Crash && swallow() {
		return
	}
	w.v = v
	if Crash {
		point()
	}
}

// CAS replaces old by new, and reports whether the word was old.
func (w *U64) CAS(old, new uint64) bool {
	if Crash && swallowExchange() {
		return false
	}
	ok := atomic.CompareAndSwapUint64(&w.v, old, new)
	if Crash {
		exchanged(ok)
	}
	return ok
}

// Or sets the bits of mask and returns the old word.
func (w *U64) Or(mask uint64) uint64 {
	if Crash && swallow() {
		return 0
	}
	old := atomic.OrUint64(&w.v, mask)
	if Crash {
		point()
	}
	return old
}

// And clears the bits that are not in mask and returns the old word.
func (w *U64) And(mask uint64) uint64 {
	if Crash && swallow() {
		return 0
	}
	old := atomic.AndUint64(&w.v, mask)
	if Crash {
		point()
	}
	return old
}

// Add adds n and returns the new word. For counters only: an addition is not idempotent, so no truth rests on one.
func (w *U64) Add(n uint64) uint64 {
	if Crash && swallow() {
		return 0
	}
	v := atomic.AddUint64(&w.v, n)
	if Crash {
		point()
	}
	return v
}

// Load returns the word, sequentially consistent.
func (w *U32) Load() uint32 { return atomic.LoadUint32(&w.v) }

// Get returns the word by a plain load. Precondition: the caller holds the lock that guards the word.
func (w *U32) Get() uint32 { return w.v }

// Store sets the word, sequentially consistent.
func (w *U32) Store(v uint32) {
	if Crash && swallow() {
		return
	}
	atomic.StoreUint32(&w.v, v)
	if Crash {
		point()
	}
}

// Publish sets the word by a release store. Precondition: nobody else may change the word now.
func (w *U32) Publish(v uint32) {
	if Crash && swallow() {
		return
	}
	release32(&w.v, v)
	if Crash {
		point()
	}
}

// Put sets the word by a plain store. Precondition: the caller holds the lock that guards the word.
func (w *U32) Put(v uint32) {
	if Crash && swallow() {
		return
	}
	w.v = v
	if Crash {
		point()
	}
}

// CAS replaces old by new, and reports whether the word was old.
func (w *U32) CAS(old, new uint32) bool {
	if Crash && swallowExchange() {
		return false
	}
	ok := atomic.CompareAndSwapUint32(&w.v, old, new)
	if Crash {
		exchanged(ok)
	}
	return ok
}

// Swap sets the word and returns the old one.
func (w *U32) Swap(v uint32) uint32 {
	if Crash && swallow() {
		return 0
	}
	old := atomic.SwapUint32(&w.v, v)
	if Crash {
		point()
	}
	return old
}

// Or sets the bits of mask and returns the old word.
func (w *U32) Or(mask uint32) uint32 {
	if Crash && swallow() {
		return 0
	}
	old := atomic.OrUint32(&w.v, mask)
	if Crash {
		point()
	}
	return old
}

// Add adds n and returns the new word. For counters and futex sequence words only.
func (w *U32) Add(n uint32) uint32 {
	if Crash && swallow() {
		return 0
	}
	v := atomic.AddUint32(&w.v, n)
	if Crash {
		point()
	}
	return v
}

// Copy stores src at dst: bytes that nobody else reads yet, such as a superblock before the segment has a name or a
// record in a block that the caller owns as BUSY. It counts as one store.
func Copy(dst, src []byte) {
	if Crash && swallow() {
		return
	}
	copy(dst, src)
	if Crash {
		point()
	}
}
