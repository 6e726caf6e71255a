package arena

import (
	"errors"
	"fmt"
	"io/fs"
	"time"
)

// Errors of opening, creating and locking a segment. Test for them with errors.Is; typed errors that wrap them carry the numbers.
var (
	// ErrExist is returned by Create when the name is taken.
	ErrExist = fmt.Errorf("segment exists: %w", fs.ErrExist)
	// ErrNotExist is returned by Open when there is no such name.
	ErrNotExist = fmt.Errorf("no such segment: %w", fs.ErrNotExist)
	// ErrName is returned for a name that cannot be a file's name.
	ErrName = errors.New("invalid segment name")
	// ErrFormat is returned when a file is not a segment of this format: foreign, short, older, newer or corrupt.
	ErrFormat = errors.New("not a segment of this format")
	// ErrUnclean is returned for a segment that processes of an earlier boot left without cleaning up.
	ErrUnclean = errors.New("segment was left unclean by another boot")
	// ErrPermission is returned when the file's owner is not allowed, or the path leads through a symlink.
	ErrPermission = fmt.Errorf("segment refused: %w", fs.ErrPermission)
	// ErrFilesystem is returned when the file system lacks what a segment needs: kernel locks between processes.
	ErrFilesystem = errors.New("file system cannot carry a segment")
	// ErrProcesses is returned when the process table is full of living processes.
	ErrProcesses = errors.New("process table is full")
	// ErrLockTimeout is returned when the segment lock's owner lives but does not let go, for example because it is stopped.
	ErrLockTimeout = errors.New("timed out waiting for the segment lock")
	// ErrNoMemory is returned when the file system has no memory left to back the segment.
	ErrNoMemory = errors.New("no memory behind the segment")
	// ErrDescriptor is returned when the segment's descriptor was closed by somebody else in this process.
	ErrDescriptor = errors.New("descriptor of the segment is lost")
	// ErrUnsupported is returned on systems other than Linux.
	ErrUnsupported = errors.New("ndpool needs Linux (futex, open-file-description locks, fallocate on tmpfs)")

	errRestart = errors.New("segment is being removed or renewed, start again")
)

// FormatError tells what was found where something else was expected. It wraps ErrFormat.
type FormatError struct {
	Path string
	What string
	Got  any
	Want any
}

func (e *FormatError) Error() string {
	return fmt.Sprintf("open %s: %s: got %v, expected %v", e.Path, e.What, e.Got, e.Want)
}

func (e *FormatError) Unwrap() error { return ErrFormat }

// LockError tells who kept the lock. It wraps ErrLockTimeout.
type LockError struct {
	Slot   int
	Pid    int
	Waited time.Duration
}

func (e *LockError) Error() string {
	return fmt.Sprintf("lock segment: process %d (slot %d) has kept the lock for %v and lives; is it stopped?", e.Pid, e.Slot, e.Waited)
}

func (e *LockError) Unwrap() error { return ErrLockTimeout }

// MemoryError tells that the file system is full. It wraps ErrNoMemory.
type MemoryError struct {
	Path  string
	Asked uint64 // bytes
	Free  uint64 // bytes of the file system
	Total uint64
	Err   error
}

func (e *MemoryError) Error() string {
	return fmt.Sprintf("commit %d bytes at %s: file system has %d bytes free of %d (%v); raise its size (mount -o remount,size=..., docker --shm-size) or choose another directory",
		e.Asked, e.Path, e.Free, e.Total, e.Err)
}

func (e *MemoryError) Unwrap() []error { return []error{ErrNoMemory, e.Err} }
