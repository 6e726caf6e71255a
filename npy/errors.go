package npy

import (
	"errors"
	"fmt"
	"strconv"
)

// Errors of this package, for errors.Is. A type that no pool can hold is refused with an error of package dtype, and an
// array that does not fit the pool with one of package pool.
var (
	// ErrFormat is returned for bytes that are no .npy file.
	ErrFormat = errors.New("not a .npy file")
	// ErrVersion is returned for a version of the format that is not 1.0, 2.0 or 3.0.
	ErrVersion = errors.New("version of .npy is not known")
	// ErrTruncated is returned when a file ends before its last element.
	ErrTruncated = errors.New("file is truncated")
	// ErrTrailing is returned when a file goes on after its last element.
	ErrTrailing = errors.New("file has trailing bytes")
	// ErrTitle is returned for a field that has a title besides its name.
	ErrTitle = errors.New("field has a title")
	// ErrLayout is returned by Write for a structured type that the format cannot describe.
	ErrLayout = errors.New("fields overlap or are out of order")
	// ErrMember is returned for a member of an archive that is no array, or that has no place in a tree.
	ErrMember = errors.New("member of the archive is refused")
)

// Error tells what was found where something else was expected.
type Error struct {
	What string // what was looked at
	Got  any
	Want any
	Err  error // one of those above
}

// Error returns one line with everything in it.
func (e *Error) Error() string {
	return fmt.Sprintf("check %s: got %v, expected %v: %v", e.What, e.Got, e.Want, e.Err)
}

// Unwrap returns the sentinel.
func (e *Error) Unwrap() error { return e.Err }

const shortMax = 40 // bytes of foreign text that an error shows

// quoted returns foreign text as it may be shown in an error: quoted, and not long.
func quoted(s string) string {
	if len(s) > shortMax {
		return strconv.Quote(s[:shortMax]) + "..."
	}
	return strconv.Quote(s)
}
