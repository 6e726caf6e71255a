//go:build linux

package arena

import (
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/ndpool/ndpool/internal/shm"
)

// Futex operations between processes: never FUTEX_PRIVATE_FLAG.
const (
	opWait = 0
	opWake = 1
)

// futexWait sleeps while the word is val, for at most d. It returns for any reason; the caller looks again.
// Syscall, not RawSyscall: the scheduler must know that this thread sleeps.
func futexWait(w *shm.U32, val uint32, d time.Duration) {
	ts := unix.NsecToTimespec(int64(d))
	unix.Syscall6(unix.SYS_FUTEX, uintptr(unsafe.Pointer(w)), opWait, uintptr(val), uintptr(unsafe.Pointer(&ts)), 0, 0)
}

// futexWake wakes at most n sleepers.
func futexWake(w *shm.U32, n int) {
	unix.Syscall6(unix.SYS_FUTEX, uintptr(unsafe.Pointer(w)), opWake, uintptr(n), 0, 0, 0)
}
