package arena

import "os"

// backing is where the bytes of a segment live, and the kernel's locks on it. There are two: a file, and the Go heap for
// tests within one process, which the race detector can watch.
type backing interface {
	// commit puts memory behind n bytes from off on. It may block; never call it under the segment lock.
	commit(off, n uint64) error
	// punch gives the memory behind n bytes from off on back to the system. It may block.
	punch(off, n uint64) error
	// space returns the bytes that are free, and all, where the segment lives.
	space() (free, total uint64)
	// held tells whether any other process, or attachment, holds the byte. On an error nobody knows.
	held(off int64) (bool, error)
	// description returns a new holder of locks.
	description() (description, error)
	// readOnly returns a second mapping that cannot be written.
	readOnly() ([]byte, error)
	// linked tells whether the segment's name still leads to it; unlink removes the name if so.
	linked() bool
	unlink() error
	// file returns a new descriptor of the segment's file.
	file() (*os.File, error)
	// close drops mapping and descriptors.
	close()
}

// description holds kernel locks on bytes. Locks of two descriptions exclude each other, also within a process.
type description interface {
	// lock takes the byte, shared or exclusively, without waiting, and reports whether it could.
	lock(off int64, exclusive bool) (bool, error)
	// unlock gives the byte back.
	unlock(off int64)
	// pin ties the locks to the life of the address space.
	pin() error
	// drop gives all locks back.
	drop()
}
