package main

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ndpool/ndpool/pool"
)

func TestRm(t *testing.T) {
	p, dir := newPool(t)
	for _, name := range []string{"a", "g/b", "g/h/c", "k/d", "k/e"} {
		publish(t, p, name, pool.Publish{}, 10)
	}
	require.Equal(t, "a: 1 name removed\nk/d: 1 name removed\n", ok(t, dir, "rm", "test", "a", "k/d"))
	code, out, stderr := try(dir, "rm", "test", "a", "g", "k/e")
	require.Equal(t, exitFault, code)
	require.Equal(t, "k/e: 1 name removed\n", out, "the others go all the same")
	require.Regexp(t, `^ndpool: remove "a": no such name \(ndpool names lists them\)\nndpool: remove "g": [^\n]+ \(-r removes all\)\n$`, stderr)
	require.Equal(t, "g/b\ng/h/c\n", ok(t, dir, "names", "test", "-q"))
	v := okJSON(t, dir, "rm", "test", "g", "-r")
	require.Equal(t, map[string]any{"path": "g", "names": 2.0}, first(v, "removed"))

	for _, name := range []string{"a", "g/b"} {
		publish(t, p, name, pool.Publish{}, 10)
	}
	code, _, _ = try(dir, "rm", "test", "/")
	require.Equal(t, exitFault, code)
	require.Equal(t, "/: 2 names removed\n", ok(t, dir, "rm", "test", "/", "-r"))
	require.Equal(t, "no names in test\n", ok(t, dir, "names", "test", "--all"))
	s, err := p.Stats()
	require.NoError(t, err)
	require.Zero(t, s.Arrays)
}

// TestRmTheLast wants that a pool that only its names have kept goes with the last of them.
func TestRmTheLast(t *testing.T) {
	dir := testDir(t)
	p, err := pool.Create("kept", pool.Options{Dir: dir, Capacity: 1 << 20})
	require.NoError(t, err)
	publish(t, p, "a", pool.Publish{Persistent: true}, 10)
	publish(t, p, "b", pool.Publish{Persistent: true}, 10)
	require.NoError(t, p.Close())
	require.Equal(t, "idle", first(okJSON(t, dir, "ls"), "pools")["state"])
	ok(t, dir, "rm", "kept", "a")
	require.FileExists(t, dir+"/kept")
	ok(t, dir, "rm", "kept", "b")
	require.NoFileExists(t, dir+"/kept")
}
