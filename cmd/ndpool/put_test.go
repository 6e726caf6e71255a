package main

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ndpool/ndpool/dtype"
	"github.com/ndpool/ndpool/npy"
	"github.com/ndpool/ndpool/pool"
)

// npyFile saves an array of so many zeros, and returns the path.
func npyFile(t *testing.T, p *pool.Pool, n int) string {
	t.Helper()
	a, err := p.Zeros(dtype.Int16, n)
	require.NoError(t, err)
	defer a.Release()
	path := filepath.Join(t.TempDir(), "a.npy")
	require.NoError(t, npy.Save(path, a))
	return path
}

func shapeOf(t *testing.T, p *pool.Pool, name string) []int {
	t.Helper()
	a, err := p.Lookup(name)
	require.NoError(t, err)
	defer a.Release()
	return a.Shape()
}

func TestPut(t *testing.T) {
	p, dir := newPool(t)
	one, two := npyFile(t, p, 1), npyFile(t, p, 2)
	require.Equal(t, "g/x: <i2 (1,), 2 B, version 1\n", ok(t, dir, "put", "test", "g/x", one))
	code, _, stderr := try(dir, "put", "test", "g/x", two)
	require.Equal(t, exitFault, code)
	require.Contains(t, stderr, `publish "g/x": name is taken; --overwrite replaces it`)
	require.Equal(t, []int{1}, shapeOf(t, p, "g/x"))
	require.Equal(t, 2.0, okJSON(t, dir, "put", "test", "g/x", two, "--overwrite")["version"])
	require.Equal(t, []int{2}, shapeOf(t, p, "g/x"))
	require.Equal(t, true, first(okJSON(t, dir, "names", "test"), "names")["persistent"])

	npz := filepath.Join(t.TempDir(), "tree")
	ok(t, dir, "get", "test", "/", "-o", npz)
	require.Equal(t, "copy: 1 array, 4 B, version 3\n", ok(t, dir, "put", "test", "copy", npz))
	require.Equal(t, []int{2}, shapeOf(t, p, "copy/g/x"))
	ok(t, dir, "put", "test", "copy/g/y", one)
	ok(t, dir, "put", "test", "/", npz, "--merge")
	ok(t, dir, "put", "test", "copy", npz, "--merge")
	require.Equal(t, []int{1}, shapeOf(t, p, "copy/g/y"))
	ok(t, dir, "put", "test", "copy", npz, "--overwrite")
	require.Equal(t, "copy/g/x\n", ok(t, dir, "names", "test", "copy", "-q"))
}

func TestPutRefuses(t *testing.T) {
	p, dir := newPool(t)
	good := npyFile(t, p, 100)
	text := filepath.Join(t.TempDir(), "text")
	require.NoError(t, os.WriteFile(text, []byte("a,b\n1,2\n"), 0o600))
	whole, err := os.ReadFile(good)
	require.NoError(t, err)
	part := filepath.Join(t.TempDir(), "part")
	require.NoError(t, os.WriteFile(part, whole[:len(whole)-1], 0o600))
	for _, c := range []struct {
		args []string
		code int
		want string
	}{
		{[]string{"x", text}, exitFault, "not a .npy file"},
		{[]string{"x", part}, exitFault, "got 199, expected 200: file is truncated"},
		{[]string{"x", t.TempDir()}, exitFault, "is a directory"},
		{[]string{"x", good + "x"}, exitFault, "no such file"},
		{[]string{"/", good}, exitUsage, "needs a name of its own"},
		{[]string{"a//b", good}, exitUsage, "empty component"},
		{[]string{"x", good, "--merge", "--overwrite"}, exitUsage, "can't be used together"},
	} {
		code, out, stderr := try(dir, append([]string{"put", "test"}, c.args...)...)
		require.Equal(t, c.code, code, c.want)
		require.Empty(t, out)
		require.Contains(t, stderr, c.want)
		require.Regexp(t, `^ndpool: [^\n]+\n$`, stderr)
	}
	require.Equal(t, "no names in test\n", ok(t, dir, "names", "test"))
	s, err := p.Stats()
	require.NoError(t, err)
	require.Zero(t, s.Arrays)
}

func TestPutCreates(t *testing.T) {
	p, dir := newPool(t)
	one := npyFile(t, p, 1)
	code, _, stderr := try(dir, "put", "new", "x", one)
	require.Equal(t, exitFault, code)
	require.Contains(t, stderr, "no such segment")
	ok(t, dir, "put", "new", "x", one, "--create", "--capacity", "1MiB")
	ok(t, dir, "put", "new", "y", one, "--create")
	v := okJSON(t, dir, "stat", "new")
	require.Equal(t, []any{float64(1 << 20), true, "idle"}, []any{v["capacity"], v["persistent"], v["state"]})
	ok(t, dir, "unlink", "new")
}

// TestPutStdin gives both kinds of files through a pipe.
func TestPutStdin(t *testing.T) {
	p, dir := newPool(t)
	one := npyFile(t, p, 1)
	ok(t, dir, "put", "test", "first", one)
	npz := filepath.Join(t.TempDir(), "tree.npz")
	ok(t, dir, "get", "test", "/", "-o", npz)
	for name, file := range map[string]string{"x": one, "tree": npz} {
		b, err := os.ReadFile(file)
		require.NoError(t, err)
		cmd := child("main", "--dir", dir, "put", "test", name, "-")
		cmd.Stdin = io.MultiReader(bytes.NewReader(b)) // no file: it comes by a pipe
		out, err := cmd.CombinedOutput()
		require.NoError(t, err, string(out))
	}
	require.Equal(t, "first\ntree/first\nx\n", ok(t, dir, "names", "test", "-q"))
}

// TestPutInterrupted wants that a command that waits for its input ends when it is told to, and that no name is left.
func TestPutInterrupted(t *testing.T) {
	p, dir := newPool(t)
	b, err := os.ReadFile(npyFile(t, p, 100))
	require.NoError(t, err)
	cmd := child("main", "--dir", dir, "put", "test", "x", "-")
	in, err := cmd.StdinPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	_, err = in.Write(b[:len(b)-1])
	require.NoError(t, err)
	require.Eventually(t, func() bool {
		s, err := p.Stats()
		return err == nil && s.Arrays == 1
	}, 10*time.Second, time.Millisecond)
	require.NoError(t, cmd.Process.Signal(os.Interrupt))
	require.Error(t, cmd.Wait())
	require.Equal(t, exitFault, cmd.ProcessState.ExitCode())
	_, err = p.Reap()
	require.NoError(t, err)
	s, err := p.Stats()
	require.NoError(t, err)
	require.Zero(t, s.Arrays)
	require.Equal(t, "no names in test\n", ok(t, dir, "names", "test"))
}
