package pool

import (
	"errors"
	"fmt"

	"github.com/ndpool/ndpool/arena"
	"github.com/ndpool/ndpool/catalog"
	"github.com/ndpool/ndpool/handle"
	"github.com/ndpool/ndpool/refcount"
)

// Errors of this package and of those below, for errors.Is. Typed errors that wrap them carry the numbers.
var (
	// ErrClosed is returned for new work on a closed pool.
	ErrClosed = errors.New("pool is closed")
	// ErrFull is returned when the segment has no room for an array: see SpaceError.
	ErrFull = errors.New("pool is full")
	// ErrTableFull is returned when a table of fixed size is full: see TableError.
	ErrTableFull = errors.New("table is full")
	// ErrForeignHandle is returned for a handle of another segment, or a forged one.
	ErrForeignHandle = errors.New("handle is not of this pool")
	// ErrSpec is returned for a dtype or shape that no array can have.
	ErrSpec = errors.New("invalid array specification")
	// ErrMismatch is returned where an array is not what the caller takes it for.
	ErrMismatch = errors.New("array does not match")
	// ErrView is returned for an operation that wants a whole array.
	ErrView = errors.New("array is a view")
	// ErrCorrupt is returned when the segment contradicts its own format: see CorruptError.
	ErrCorrupt = errors.New("segment is corrupt")
	// ErrOptions is returned by Open when the pool was created with other options than asked for.
	ErrOptions = errors.New("pool has other options")
	// ErrDead is returned for a process that is not attached any more.
	ErrDead = errors.New("process is not attached")
	// ErrHash is returned by CheckHash when the content is not what was sealed.
	ErrHash = errors.New("content does not match its hash")

	// ErrVersion is returned when a name has not the version that the caller expects: somebody has changed it meanwhile.
	ErrVersion = errors.New("name has another version")
	// ErrAttributes is returned for attributes that cannot be stored, and for those of a name that are damaged.
	ErrAttributes = errors.New("invalid attributes")
	// ErrNotLocked is returned when the lock of a name is not the caller's to let go.
	ErrNotLocked = errors.New("name is not locked by this process")

	// ErrKind is returned for a stream or a queue where an array is wanted, or the other way, or one of them for the other.
	ErrKind = errors.New("not that kind of block")
	// ErrWriter is returned when a living process writes the stream already: see WriterError.
	ErrWriter = errors.New("stream has a writer")
	// ErrEnded is returned to a reader, once, when the writer of the stream has come to an end.
	ErrEnded = errors.New("writer of the stream has ended")
	// ErrWriterDied is returned to a reader, once, when the writer of the stream has died. It is an ErrEnded, too.
	ErrWriterDied error = diedError{}
	// ErrNoFrame is returned by Newest when there is no frame.
	ErrNoFrame = errors.New("stream has no frame")
	// ErrShut is returned when a queue was shut down: at once to who puts, and when it is empty to who gets.
	ErrShut = errors.New("queue was shut down")
	// ErrTooLong is returned for an item that takes more entries than the queue has.
	ErrTooLong = errors.New("item is too long for the queue")

	ErrPath        = catalog.ErrPath         // not a name of the catalog
	ErrNoName      = catalog.ErrNoName       // the catalog has no such name
	ErrNameTaken   = catalog.ErrTaken        // the catalog has that name already
	ErrGroup       = catalog.ErrGroup        // a group where an array is wanted, or the other way
	ErrStale       = refcount.ErrStale       // the block of a handle was freed meanwhile
	ErrPrivate     = refcount.ErrPrivate     // the block of a handle was never shared
	ErrHeld        = refcount.ErrHeld        // Seal wants a sole holder
	ErrSealed      = refcount.ErrSealed      // the array is sealed already
	ErrSpent       = refcount.ErrSpent       // the transfer was adopted already
	ErrExpired     = refcount.ErrExpired     // the transfer was not adopted in time
	ErrRecalled    = refcount.ErrRecalled    // the transfer was taken back by its sender
	ErrForged      = refcount.ErrForged      // the transfer was never made
	ErrNotReceiver = refcount.ErrNotReceiver // the transfer is directed at another process
	ErrNotSender   = refcount.ErrNotSender   // only the sender can recall
	ErrExist       = arena.ErrExist          // the name is taken
	ErrNotExist    = arena.ErrNotExist       // no pool of that name
	ErrName        = arena.ErrName           // no file can have that name
	ErrFormat      = arena.ErrFormat         // the file is no pool of this format
	ErrUnclean     = arena.ErrUnclean        // left by another boot
	ErrPermission  = arena.ErrPermission     // the file is somebody else's, or a symlink
	ErrFilesystem  = arena.ErrFilesystem     // the file system cannot carry a pool
	ErrProcesses   = arena.ErrProcesses      // the process table is full
	ErrLockTimeout = arena.ErrLockTimeout    // a living process does not let go of the lock
	ErrNoMemory    = arena.ErrNoMemory       // the file system is full
	ErrDescriptor  = arena.ErrDescriptor     // somebody closed the segment's descriptor
	ErrUnsupported = arena.ErrUnsupported    // not Linux

	errGrow    = errors.New("descriptor table must grow")
	errNoDesc  = errors.New("no free descriptor")
	errNoEntry = errors.New("no free entry of the catalog")
)

// diedError is what ErrWriterDied is.
type diedError struct{}

func (diedError) Error() string { return "writer of the stream has died" }

func (diedError) Unwrap() error { return ErrEnded }

// WriterError tells who writes a stream. It wraps ErrWriter.
type WriterError struct {
	Path    string
	Process ProcessID
	Pid     int // in its own PID namespace
}

func (e *WriterError) Error() string {
	return fmt.Sprintf("write stream %q: process %d (slot %d) writes it", e.Path, e.Pid, e.Process.ident().Slot())
}

func (e *WriterError) Unwrap() error { return ErrWriter }

// SpaceError tells why an array did not fit. It wraps ErrFull. All sizes are bytes.
type SpaceError struct {
	Asked    uint64
	Free     uint64 // in all
	Largest  uint64 // free extent
	Capacity uint64
	Holder   string // who holds most
	Held     uint64 // by that holder
}

func (e *SpaceError) Error() string {
	s := fmt.Sprintf("allocate %d bytes: pool is full: %d of %d bytes free, largest free extent %d", e.Asked, e.Free, e.Capacity, e.Largest)
	if e.Holder != "" {
		s += fmt.Sprintf("; %s holds most, %d bytes", e.Holder, e.Held)
	}
	return s
}

func (e *SpaceError) Unwrap() error { return ErrFull }

// TableError tells which table is full. It wraps ErrTableFull.
type TableError struct {
	Table  string
	Limit  int
	Holder string // who holds most of it
	Held   int
}

func (e *TableError) Error() string {
	s := fmt.Sprintf("%s table is full: all %d in use", e.Table, e.Limit)
	if e.Holder != "" {
		s += fmt.Sprintf("; %s holds most, %d", e.Holder, e.Held)
	}
	return s + "; the limit was chosen at creation"
}

func (e *TableError) Unwrap() error { return ErrTableFull }

// HandleError tells which handle was refused. It wraps ErrForeignHandle or what refused it.
type HandleError struct {
	Handle  handle.Handle
	Segment handle.Segment // of this pool
	Err     error
}

func (e *HandleError) Error() string {
	return fmt.Sprintf("handle %v: %v (segment %v)", e.Handle, e.Err, e.Segment)
}

func (e *HandleError) Unwrap() error { return e.Err }

// CorruptError tells which word of the segment is impossible. It wraps ErrCorrupt.
type CorruptError struct {
	Desc int
	What string
	Got  any
	Want any
}

func (e *CorruptError) Error() string {
	return fmt.Sprintf("descriptor %d: %s: got %v, expected %v: segment is corrupt, run ndpool verify", e.Desc, e.What, e.Got, e.Want)
}

func (e *CorruptError) Unwrap() error { return ErrCorrupt }

// MismatchError tells what an array is and what it was taken for. It wraps ErrMismatch.
type MismatchError struct {
	What string
	Got  any
	Want any
}

func (e *MismatchError) Error() string {
	return fmt.Sprintf("array: %s: got %v, expected %v", e.What, e.Got, e.Want)
}

func (e *MismatchError) Unwrap() error { return ErrMismatch }

// NameError tells which name of the catalog was refused, and why. It wraps one of the errors of names.
type NameError struct {
	Verb  string
	Path  string
	Err   error
	Asked uint64 // version, with ErrVersion
	Found uint64 // version, with ErrVersion; 0: there is no such name
}

func (e *NameError) Error() string {
	s := fmt.Sprintf("%s %q: %v", e.Verb, e.Path, e.Err)
	if errors.Is(e.Err, ErrVersion) {
		s += fmt.Sprintf(": %d found (%d expected)", e.Found, e.Asked)
	}
	return s
}

func (e *NameError) Unwrap() error { return e.Err }
