package handle

import (
	"errors"
	"fmt"
	"strconv"
)

// Errors of this package. Test for them with errors.Is; an *Error that wraps them carries the numbers.
var (
	// ErrInvalid is returned when bytes, text or fields are no handle, ticket, segment, view or message.
	ErrInvalid = errors.New("invalid encoding")
	// ErrFrame is returned when the head of a message is wrong: another magic, version, kind or length. A stream in which
	// it occurs is out of step.
	ErrFrame = errors.New("invalid frame")
	// ErrBounds is returned when a view reaches out of its array, or further than 64 bits can tell.
	ErrBounds = errors.New("view out of bounds")
)

// Error tells what was found where something else was expected.
type Error struct {
	What string // what was looked at
	Got  string
	Want string
	Err  error // ErrInvalid, ErrFrame or ErrBounds
}

// Error returns one line with everything in it.
func (e *Error) Error() string {
	return fmt.Sprintf("handle: check %s: got %s, expected %s", e.What, e.Got, e.Want)
}

// Unwrap returns the sentinel.
func (e *Error) Unwrap() error { return e.Err }

func invalid(what, got, want string) error {
	return &Error{What: what, Got: got, Want: want, Err: ErrInvalid}
}

// invalidLen tells that a number, of bytes for example, is not what it should be.
func invalidLen(what string, got, want int) error {
	return invalid(what, strconv.Itoa(got), strconv.Itoa(want))
}

const shortMax = 48 // bytes of foreign text that an error shows

// quoted returns foreign text as it may be shown in an error: quoted, and not long.
func quoted(s string) string {
	if len(s) > shortMax {
		return strconv.Quote(s[:shortMax]) + "..."
	}
	return strconv.Quote(s)
}
