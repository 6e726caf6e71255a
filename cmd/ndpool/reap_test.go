package main

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestReap(t *testing.T) {
	dir := testDir(t)
	require.Equal(t, "no pools in "+dir+"\n", ok(t, dir, "reap"))
	ok(t, dir, "create", "kept", "-c", "1MiB")
	startHolder(t, dir)()
	require.Equal(t, "kept: nothing to do (dry run)\ntest: 1 dead process swept, removed (dry run)\n", ok(t, dir, "reap", "-n"))
	require.FileExists(t, dir+"/test")
	v := okJSON(t, dir, "reap")
	require.Equal(t, map[string]any{"name": "test", "processes": 1.0, "expired": 0.0, "removed": true}, v["pools"].([]any)[1])
	require.NoFileExists(t, dir+"/test")
	require.FileExists(t, dir+"/kept")
}

func TestReapBesideTheLiving(t *testing.T) {
	p, dir := newPool(t)
	startHolder(t, dir)()
	require.Equal(t, "test: 1 dead process swept\n", ok(t, dir, "reap", "test"))
	s, err := p.Stats()
	require.NoError(t, err)
	require.Equal(t, 1, s.Processes)
	require.Equal(t, 1, s.Arrays, "the transfer keeps it")
}
