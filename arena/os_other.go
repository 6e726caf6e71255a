//go:build !linux

package arena

import (
	"time"

	"github.com/ndpool/ndpool/arena/layout"
	"github.com/ndpool/ndpool/internal/shm"
)

// Elsewhere the package compiles, and every way in says ErrUnsupported. Segments on the Go heap work, for tests.

func futexWait(w *shm.U32, val uint32, d time.Duration) { time.Sleep(min(d, time.Millisecond)) }

func futexWake(w *shm.U32, n int) {}

func describe(s *layout.Slot) {}

// BootTime returns nanoseconds of a clock that no process can set.
func BootTime() int64 { return time.Now().UnixNano() }

func bootID() [2]uint64 { return [2]uint64{1, 1} }

func create(Location, *Arena, func() error) error { return ErrUnsupported }

func open(Location, *Arena) error { return ErrUnsupported }

// Unlink is not supported here.
func Unlink(Location) error { return ErrUnsupported }
