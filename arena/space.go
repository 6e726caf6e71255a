package arena

import (
	"math"
	"time"

	"github.com/ndpool/ndpool/internal/shm"
)

// Waiting for space. Who waits raises the flag, tries again, and sleeps on the sequence; who frees looks at the flag.
// The flag may be missed by a hair's breadth, and whoever raised it may die: the sleep is short and the flag is lowered by the
// first who wakes, so that neither hurts for long.

// SpaceWanted raises the flag and returns the sequence to wait on. The caller tries once more before it waits.
func (a *Arena) SpaceWanted() uint32 {
	seq := a.Ctl.SpaceSeq.Load()
	a.Ctl.SpaceFlag.Store(1)
	return seq
}

// AwaitSpace sleeps until space was freed since the sequence was read, at most d.
func (a *Arena) AwaitSpace(seq uint32, d time.Duration) { futexWait(&a.Ctl.SpaceSeq, seq, d) }

// SpaceFreed wakes those who wait for space, if there are any.
func (a *Arena) SpaceFreed() {
	if a.Ctl.SpaceFlag.Load() != 0 {
		a.wakeSpace()
	}
}

func (a *Arena) wakeSpace() {
	a.Ctl.SpaceFlag.Store(0)
	a.Ctl.SpaceSeq.Add(1)
	futexWake(&a.Ctl.SpaceSeq, math.MaxInt32)
}

// Sleep sleeps while a word of the segment is what it was, at most d. It returns for any reason; the caller looks again.
// Preconditions: the caller keeps the mapping, and holds no lock.
func Sleep(w *shm.U32, value uint32, d time.Duration) { futexWait(w, value, d) }

// Wake wakes all who sleep on a word of the segment.
func Wake(w *shm.U32) { futexWake(w, math.MaxInt32) }

// WakeSome wakes at most n who sleep on a word of the segment.
func WakeSome(w *shm.U32, n int) { futexWake(w, n) }
