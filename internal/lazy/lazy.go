// Package lazy has tables that take memory as they are used: a process's private records, one per descriptor, of which
// most are never touched. A table is one slice, so that looking up an entry is one instruction; its memory comes from
// the system untouched, which Go's make does not promise.
package lazy

// Table is a table of zero values. Entries do not move. They are guarded by whoever uses them. T holds no pointers.
type Table[T any] struct {
	entries []T
	mem     []byte
}

// At returns entry i, which lives until Free.
func (t *Table[T]) At(i int) *T { return &t.entries[i] }

// New returns a table of n entries.
func New[T any](n int) Table[T] { return newTable[T](n) }
