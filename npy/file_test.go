package npy_test

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ndpool/ndpool/dtype"
	"github.com/ndpool/ndpool/npy"
	"github.com/ndpool/ndpool/pool"
)

func TestSaveAndLoad(t *testing.T) {
	p := newPool(t)
	a := patterned(t, p, pool.Spec{DType: dtype.Float64, Shape: []int{30, 40}})
	defer a.Release()
	path := filepath.Join(t.TempDir(), "a.npy")
	require.NoError(t, npy.Save(path, a))
	b, err := npy.Load(p, path)
	require.NoError(t, err)
	defer b.Release()
	want, err := a.Bytes()
	require.NoError(t, err)
	got, err := b.Bytes()
	require.NoError(t, err)
	require.Equal(t, want, got)

	_, err = npy.Load(p, path+"x")
	require.ErrorIs(t, err, os.ErrNotExist)
}

// TestLoadLooksAtTheSize wants that no memory is asked for what the file cannot hold: the pool is not even full.
func TestLoadLooksAtTheSize(t *testing.T) {
	p := newPool(t)
	path := filepath.Join(t.TempDir(), "a.npy")
	for shape, want := range map[string]error{"(1048576, 1048576)": npy.ErrTruncated, "(9223372036854775807, 9)": npy.ErrTruncated,
		"(33,)": npy.ErrTruncated, "(32,)": nil, "(31,)": npy.ErrTrailing} {
		require.NoError(t, os.WriteFile(path, file(head("'<i2'", shape), 64), 0o600))
		a, err := npy.Load(p, path)
		require.ErrorIs(t, err, want, shape)
		if err == nil {
			a.Release()
		} else {
			require.ErrorContains(t, err, path)
		}
	}
}

func TestReplace(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "file")
	write := func(text string, err error) func(io.Writer) error {
		return func(w io.Writer) error {
			_, _ = io.WriteString(w, text)
			return err
		}
	}
	holds := func(path, want string) {
		t.Helper()
		b, err := os.ReadFile(path)
		require.NoError(t, err)
		require.Equal(t, want, string(b))
	}
	only := func(n int) {
		t.Helper()
		found, err := os.ReadDir(dir)
		require.NoError(t, err)
		require.Len(t, found, n)
	}
	failed := errors.New("failed")
	require.ErrorIs(t, npy.Replace(path, write("half", failed)), failed)
	only(0)
	require.NoError(t, npy.Replace(path, write("one", nil)))
	holds(path, "one")
	require.ErrorIs(t, npy.Replace(path, write("half", failed)), failed)
	holds(path, "one")
	require.NoError(t, npy.Replace(path, write("two", nil)))
	holds(path, "two")
	only(1)

	link := filepath.Join(dir, "link")
	require.NoError(t, os.Symlink("file", link))
	require.NoError(t, npy.Replace(link, write("three", nil)))
	holds(path, "three")
	st, err := os.Lstat(link)
	require.NoError(t, err)
	require.NotZero(t, st.Mode()&os.ModeSymlink, "the link stays one")

	require.NoError(t, npy.Replace(os.DevNull, write("gone", nil)))
	st, err = os.Stat(os.DevNull)
	require.NoError(t, err)
	require.NotZero(t, st.Mode()&os.ModeDevice, "a device stays one")
	require.Error(t, npy.Replace(filepath.Join(dir, "no", "file"), write("", nil)))
	require.Error(t, npy.Replace(dir, write("", nil)))
	only(2)
}
