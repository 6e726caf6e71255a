package ring

import (
	"time"

	"golang.org/x/sys/unix"
)

// Go's own monotonic clock is CLOCK_MONOTONIC, but does not tell its number. So it is asked for once, and counted on from there
// without a system call.

var clockStart, clockOffset = startClock()

// startClock asks both clocks a few times, and takes the pair that lies closest together: in between the process may lose the
// processor, and all its times would be wrong by as much.
func startClock() (start time.Time, offset int64) {
	start = time.Now()
	for best, n := time.Hour, 0; n < 10; n++ {
		var ts unix.Timespec
		now := time.Now()
		if unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts) != nil {
			return start, 0
		}
		if d := time.Since(now); d < best {
			best, start, offset = d, now, ts.Nano()-int64(d)/2
		}
	}
	return start, offset
}

// Now returns the time in nanoseconds: CLOCK_MONOTONIC, and since 1970.
func Now() (monotonic, wall uint64) {
	now := time.Now()
	return uint64(clockOffset + int64(now.Sub(clockStart))), uint64(now.UnixNano())
}
