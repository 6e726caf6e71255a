//go:build !linux

package ring

import "time"

var clockStart = time.Now()

// Now returns the time in nanoseconds: since this process began, and since 1970.
func Now() (monotonic, wall uint64) {
	now := time.Now()
	return uint64(now.Sub(clockStart)), uint64(now.UnixNano())
}
