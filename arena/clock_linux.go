package arena

import (
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// The clock of deadlines is CLOCK_BOOTTIME: it counts while the machine sleeps, and no process can set it. Asking the
// kernel for it is a system call, so each process asks once a second and counts on with Go's own clock, which is not one.

var (
	clockStart  = time.Now()
	clockOffset atomic.Int64 // CLOCK_BOOTTIME minus the time since clockStart
	clockAsked  atomic.Int64 // time since clockStart, plus one; 0: never
)

// BootTime returns CLOCK_BOOTTIME in nanoseconds, without a system call but once a second. After the machine slept it may be
// behind for up to a second.
func BootTime() int64 {
	now := int64(time.Since(clockStart))
	if asked := clockAsked.Load(); asked == 0 || now+1-asked > int64(time.Second) {
		askClock(now)
	}
	return now + clockOffset.Load()
}

func askClock(now int64) {
	var ts unix.Timespec
	if unix.ClockGettime(unix.CLOCK_BOOTTIME, &ts) == nil {
		clockOffset.Store(ts.Nano() - now)
		clockAsked.Store(now + 1)
	}
}
