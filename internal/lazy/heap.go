//go:build !linux || race

package lazy

// Under the race detector the table is on the Go heap, where it sees it.

func newTable[T any](n int) Table[T] { return Table[T]{entries: make([]T, n)} }

// Free gives the memory back. The table must not be used afterwards.
func (t *Table[T]) Free() { t.entries = nil }
