package main

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ndpool/ndpool/npy"
	"github.com/ndpool/ndpool/pool"
)

func TestGet(t *testing.T) {
	p, dir := newPool(t)
	t.Chdir(t.TempDir())
	publish(t, p, "camera/left", pool.Publish{}, 2, 3)
	publish(t, p, "camera/right", pool.Publish{}, 4)
	require.Equal(t, "camera/left: <i2 (2,3), 12 B written to left.npy\n", ok(t, dir, "get", "test", "camera/left"))
	a, err := npy.Load(p, "left.npy")
	require.NoError(t, err)
	defer a.Release()
	xs, err := pool.Slice[int16](a)
	require.NoError(t, err)
	require.Equal(t, []int16{0, 1, 2, 3, 4, 5}, xs)
	require.Equal(t, []int{2, 3}, a.Shape())

	v := okJSON(t, dir, "get", "test", "camera", "-o", "both.npz")
	require.Equal(t, map[string]any{"name": "test", "path": "camera", "file": "both.npz", "format": "npz", "arrays": 2.0, "bytes": 20.0}, v)
	require.Equal(t, "/: 2 arrays, 20 B written to test.npz\n", ok(t, dir, "get", "test", "/"))
	tree, err := npy.LoadZip(p, "test.npz")
	require.NoError(t, err)
	require.Equal(t, []int{4}, tree["camera"].(pool.Tree)["right"].(*pool.Array).Shape())
	tree.Release()

	file, err := os.ReadFile("left.npy")
	require.NoError(t, err)
	require.Equal(t, string(file), ok(t, dir, "get", "test", "camera/left", "-o", "-"))

	publish(t, p, "camera/left", pool.Publish{Mode: pool.PublishOverwrite}, 1)
	code, _, stderr := try(dir, "get", "test", "camera/left")
	require.Equal(t, exitFault, code)
	require.Equal(t, "ndpool: get: left.npy exists (--force replaces it)\n", stderr)
	ok(t, dir, "get", "test", "camera/left", "-f")
	changed, err := os.ReadFile("left.npy")
	require.NoError(t, err)
	require.NotEqual(t, file, changed)

	for want, args := range map[int][]string{
		exitUsage: {"get", "test", "camera/left", "-o", "-", "--json"},
		exitFault: {"get", "test", "camera/lost"},
	} {
		code, out, stderr := try(dir, args...)
		require.Equal(t, want, code)
		require.Empty(t, out)
		require.Regexp(t, `^ndpool: [^\n]+\n$`, stderr)
	}
	found, err := filepath.Glob("*")
	require.NoError(t, err)
	require.Equal(t, []string{"both.npz", "left.npy", "test.npz"}, found)
	hidden, err := filepath.Glob(".*")
	require.NoError(t, err)
	require.Empty(t, hidden)
}

// TestGetInterrupted wants that an interrupted command leaves no file, and that a stuck one ends.
func TestGetInterrupted(t *testing.T) {
	p, dir := newPool(t)
	publish(t, p, "big", pool.Publish{}, 1<<20)
	t.Chdir(t.TempDir())
	cmd := child("main", "--dir", dir, "get", "test", "big", "-o", "-")
	out, err := cmd.StdoutPipe() // nobody reads it, beyond the first bytes
	require.NoError(t, err)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	require.NoError(t, cmd.Start())
	_, err = out.Read(make([]byte, 1))
	require.NoError(t, err)
	require.NoError(t, cmd.Process.Signal(os.Interrupt))
	require.Error(t, cmd.Wait())
	require.Equal(t, exitFault, cmd.ProcessState.ExitCode(), stderr.String())
}
