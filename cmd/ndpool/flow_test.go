package main

import (
	"bytes"
	"context"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ndpool/ndpool/npy"
	"github.com/ndpool/ndpool/pool"
)

// TestFlowInterrupted wants that a command which is told to end while bytes flow leaves no file and no array.
func TestFlowInterrupted(t *testing.T) {
	p, _ := newPool(t)
	publish(t, p, "x", pool.Publish{}, 3<<19)
	a, err := p.Lookup("x")
	require.NoError(t, err)
	defer a.Release()
	var file bytes.Buffer
	require.NoError(t, npy.Write(&file, a))

	ctx, cancel := context.WithCancel(context.Background())
	f := &flow{ctx: ctx, total: uint64(file.Len())}
	path := filepath.Join(t.TempDir(), "x.npy")
	err = npy.Replace(path, func(w io.Writer) error {
		cancel()
		return npy.Write(writer{f, w}, a)
	})
	require.ErrorIs(t, err, errInterrupted)
	require.Less(t, f.done.Load(), f.total)
	left, err := os.ReadDir(filepath.Dir(path))
	require.NoError(t, err)
	require.Empty(t, left)

	_, err = npy.Read(reader{f, bytes.NewReader(file.Bytes())}, p)
	require.ErrorIs(t, err, errInterrupted)
	_, err = npy.ReadZip(readerAt{f, strings.NewReader(strings.Repeat("PK", 1000))}, 2000, p)
	require.ErrorIs(t, err, errInterrupted)
	s, err := p.Stats()
	require.NoError(t, err)
	require.Equal(t, 1, s.Arrays)
}

func TestFlowText(t *testing.T) {
	f := &flow{ctx: context.Background(), total: 4 << 20}
	n, err := writer{f, io.Discard}.Write(make([]byte, 3<<20))
	require.NoError(t, err)
	require.Equal(t, 3<<20, n)
	require.Equal(t, ": 3 MiB of 4 MiB (75 %)", f.text())
	f.total = 0
	require.Equal(t, ": 3 MiB", f.text())
}
