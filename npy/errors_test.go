package npy_test

import (
	"bytes"
	"io"
	"path/filepath"
	"testing"

	"github.com/ndpool/ndpool/dtype"
	"github.com/ndpool/ndpool/internal/sentinels"
	"github.com/ndpool/ndpool/npy"
	"github.com/ndpool/ndpool/pool"
)

// TestEveryError provokes every error that this package documents.
func TestEveryError(t *testing.T) {
	good := file(head("'<i2'", "(3,)"), 6)
	read := func(b []byte) func(t *testing.T) error {
		return func(t *testing.T) error { return readAll(t, newPool(t), b) }
	}
	later := bytes.Clone(good)
	later[6] = 9
	sentinels.Require(t, map[string]sentinels.Entry{
		"ErrFormat":    {Is: npy.ErrFormat, Provoke: read(make([]byte, 100))},
		"ErrVersion":   {Is: npy.ErrVersion, Says: "got 9.0, expected 1.0, 2.0 or 3.0", Provoke: read(later)},
		"ErrTruncated": {Is: npy.ErrTruncated, Provoke: read(good[:len(good)-1])},
		"Error":        {Is: npy.ErrTruncated, As: new(*npy.Error), Says: `check bytes of the elements: got 5, expected 6: file is truncated$`, Provoke: read(good[:len(good)-1])},
		"ErrTrailing":  {Is: npy.ErrTrailing, Provoke: read(append(bytes.Clone(good), 0))},
		"ErrTitle":     {Is: npy.ErrTitle, Provoke: read(file(head("[(('t', 'x'), '<i2')]", "(3,)"), 6))},
		"ErrLayout": {Is: npy.ErrLayout, Says: "byte 4", Provoke: func(t *testing.T) error {
			dt, err := dtype.StructAt(8, dtype.Field{Name: "a", Type: dtype.Int32}, dtype.Field{Name: "b", Type: dtype.Int32, Offset: 2})
			if err != nil {
				t.Fatal(err)
			}
			a, err := newPool(t).Alloc(dt, 1)
			if err != nil {
				t.Fatal(err)
			}
			defer a.Release()
			return npy.Write(io.Discard, a)
		}},
		"ErrMember": {Is: npy.ErrMember, Provoke: func(t *testing.T) error {
			a, err := newPool(t).Alloc(dtype.Int32, 1)
			if err != nil {
				t.Fatal(err)
			}
			defer a.Release()
			return npy.SaveZip(filepath.Join(t.TempDir(), "x"), pool.Tree{"a/b": a, "a": pool.Tree{"b": a}})
		}},
	}, nil)
}
