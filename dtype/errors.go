package dtype

import (
	"errors"
	"fmt"
	"reflect"
	"strconv"
)

// Errors of this package. Test for them with errors.Is; the typed errors that wrap them carry the details.
var (
	// ErrInvalid is returned when a code, a record, a text or the argument of a constructor is no element type.
	ErrInvalid = errors.New("invalid element type")
	// ErrUnsupported is returned for types that exist in numpy or in Go but mean nothing in another process's memory:
	// whatever holds pointers, and numbers whose layout differs from machine to machine.
	ErrUnsupported = errors.New("element type cannot be shared")
	// ErrRecord is returned by FromCode for the code of a structured type: its fields lie in its record.
	ErrRecord = errors.New("element type is structured, its record is needed")
	// ErrMismatch is returned by Matches when a Go type does not fit an element type.
	ErrMismatch = errors.New("go type does not match element type")
)

// Error tells what was found where something else was expected.
type Error struct {
	What string // what was looked at
	Got  string
	Want string
	Err  error // ErrInvalid, ErrUnsupported or ErrRecord
}

// Error returns one line with everything in it.
func (e *Error) Error() string {
	return fmt.Sprintf("dtype: check %s: got %s, expected %s", e.What, e.Got, e.Want)
}

// Unwrap returns the sentinel.
func (e *Error) Unwrap() error { return e.Err }

// MismatchError tells both sides of a Go type that does not fit an element type. It wraps ErrMismatch.
type MismatchError struct {
	Go    reflect.Type
	DType Type
	Err   error // why the Go type has no element type at all, or nil
}

// Error returns one line with both sides in it.
func (e *MismatchError) Error() string {
	s := fmt.Sprintf("dtype: match []%v (%d bytes each) with %v (%d bytes each)", e.Go, e.Go.Size(), e.DType, e.DType.Size())
	if e.DType.IsValid() && !e.DType.IsNative() {
		s += fmt.Sprintf(": not in this machine's byte order %q", native.String())
	}
	if e.Err != nil {
		return s + ": " + e.Err.Error()
	}
	return s + ": " + ErrMismatch.Error()
}

// Unwrap returns ErrMismatch, and the reason if there is one.
func (e *MismatchError) Unwrap() []error {
	if e.Err != nil {
		return []error{ErrMismatch, e.Err}
	}
	return []error{ErrMismatch}
}

func invalid(what, got, want string) error {
	return &Error{What: what, Got: got, Want: want, Err: ErrInvalid}
}

func invalidInt(what string, got int, want string) error {
	return invalid(what, strconv.Itoa(got), want)
}

func unsupported(what, got, want string) error {
	return &Error{What: what, Got: got, Want: want, Err: ErrUnsupported}
}

const shortMax = 40 // bytes of foreign text that an error shows

// quoted returns foreign text as it may be shown in an error: quoted, and not long.
func quoted(s string) string {
	if len(s) > shortMax {
		return strconv.Quote(s[:shortMax]) + "..."
	}
	return strconv.Quote(s)
}
