//go:build !linux

package arena

// Peek is not supported here.
func Peek(Location) (*Arena, error) { return nil, ErrUnsupported }

// Fetch is not supported here.
func (a *Arena) Fetch(off, n uint64) error { return ErrUnsupported }

// FetchDesc is not supported here.
func (a *Arena) FetchDesc(i int) error { return ErrUnsupported }

// Attended is not supported here.
func (a *Arena) Attended() (bool, error) { return false, ErrUnsupported }
