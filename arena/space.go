package arena

import (
	"math"
	"time"
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
