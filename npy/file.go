package npy

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"

	"github.com/ndpool/ndpool/pool"
)

// Load reads an array from a file: see Read. What the file claims to hold is compared with its size before memory is
// taken for it.
func Load(p *pool.Pool, path string) (*pool.Array, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("npy: %w", err)
	}
	defer f.Close()
	size, err := sizeOf(f)
	if err != nil {
		return nil, fmt.Errorf("npy: %w", err)
	}
	a, err := read(f, p, size)
	if err != nil {
		return nil, fmt.Errorf("npy: load %s: %w", path, err)
	}
	return a, nil
}

// sizeOf returns the bytes of a regular file, unknown of any other.
func sizeOf(f *os.File) (int64, error) {
	st, err := f.Stat()
	if err != nil || !st.Mode().IsRegular() {
		return unknown, err
	}
	return st.Size(), nil
}

// Save writes an array to a file: see Write. The file is there whole or not at all: see Replace.
func Save(path string, a *pool.Array) error {
	return Replace(path, func(w io.Writer) error { return Write(w, a) })
}

// Replace makes a file of what write writes, or replaces one by it, in one step: nobody sees a part of it, and if write
// fails, or the process dies, what was there before stays. A death leaves a hidden file named .npy-* beside it. What is no
// regular file, such as a pipe, is written to as it is.
func Replace(path string, write func(w io.Writer) error) error {
	if real, err := filepath.EvalSymlinks(path); err == nil {
		path = real
	}
	if st, err := os.Stat(path); err == nil && !st.Mode().IsRegular() {
		return writeTo(path, os.O_WRONLY, write)
	}
	draft := filepath.Join(filepath.Dir(path), fmt.Sprintf(".npy-%016x", rand.Uint64()))
	err := writeTo(draft, os.O_WRONLY|os.O_CREATE|os.O_EXCL, write)
	if err == nil {
		err = os.Rename(draft, path)
	}
	if err != nil {
		os.Remove(draft)
	}
	return err
}

// writeTo opens a file, writes it and closes it. A full disk shows in any of the three.
func writeTo(path string, flags int, write func(w io.Writer) error) error {
	f, err := os.OpenFile(path, flags, 0o666)
	if err != nil {
		return err
	}
	b := bufio.NewWriter(f)
	err = write(b)
	if err == nil {
		err = b.Flush()
	}
	return errors.Join(err, f.Close())
}
