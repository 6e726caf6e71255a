package npy

import (
	"bufio"
	"fmt"
	"io"

	"github.com/ndpool/ndpool/pool"
)

// unknown is the size of a file that nobody knows.
const unknown = -1

// Read reads an array into the pool, up to the end of r, where nothing may follow it. The caller must Release it. If
// anything is wrong, the array's block is free again when Read returns.
func Read(r io.Reader, p *pool.Pool) (*pool.Array, error) {
	a, err := read(r, p, unknown)
	if err != nil {
		return nil, fmt.Errorf("npy: read: %w", err)
	}
	return a, nil
}

// read is Read of a file of so many bytes. What does not fit them is refused before memory is taken.
func read(r io.Reader, p *pool.Pool, size int64) (*pool.Array, error) {
	h, err := readHeader(r)
	if err == nil && size != unknown {
		err = h.fits(size)
	}
	if err != nil {
		return nil, err
	}
	a, err := p.New(pool.Spec{DType: h.dt, Shape: h.shape, Fortran: h.fortran})
	if err != nil {
		return nil, err
	}
	if err := fill(a, r); err != nil {
		a.Release()
		return nil, err
	}
	return a, nil
}

// fill reads the elements straight into the block.
func fill(a *pool.Array, r io.Reader) error {
	b, err := a.Bytes()
	if err != nil {
		return err
	}
	if err := readFull(r, b, "elements"); err != nil {
		return err
	}
	var one [1]byte
	switch n, err := io.ReadFull(r, one[:]); {
	case n > 0:
		return &Error{What: "bytes of the elements", Got: "more", Want: len(b), Err: ErrTrailing}
	case err != io.EOF:
		return err
	}
	return nil
}

// Write writes an array: in Fortran order, if its elements lie so, else in C order. The elements of a view with gaps are
// written one after the other. Nobody is kept from changing the array meanwhile.
func Write(w io.Writer, a *pool.Array) error {
	if err := write(w, a); err != nil {
		return fmt.Errorf("npy: write: %w", err)
	}
	return nil
}

func write(w io.Writer, a *pool.Array) error {
	h, whole := describe(a)
	text, err := h.encode()
	if err != nil {
		return err
	}
	if _, err := w.Write(text); err != nil {
		return err
	}
	if !whole {
		return writeRuns(w, a)
	}
	b, err := a.Bytes()
	if err != nil {
		return err
	}
	_, err = w.Write(b)
	return err
}

func writeRuns(w io.Writer, a *pool.Array) error {
	b := bufio.NewWriterSize(w, 1<<20)
	for run := range a.Runs() {
		if _, err := b.Write(run); err != nil {
			return err
		}
	}
	return b.Flush()
}
