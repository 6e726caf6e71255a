package main

import (
	"os"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ndpool/ndpool/dtype"
)

func TestDump(t *testing.T) {
	dir := testDir(t)
	ok(t, dir, "create", "kept", "-c", "64MiB")
	file := t.TempDir() + "/image"
	require.Regexp(t, `^kept: \d+ KiB written to \S+/image, of \d+ MiB with holes\n$`, ok(t, dir, "dump", "kept", file))
	want, err := os.ReadFile(dir + "/kept")
	require.NoError(t, err)
	got, err := os.ReadFile(file)
	require.NoError(t, err)
	require.Equal(t, want, got)
	st, err := os.Stat(file)
	require.NoError(t, err)
	require.Less(t, st.Sys().(*syscall.Stat_t).Blocks*512, int64(4<<20), "holes")
	require.Contains(t, ok(t, dir, "verify", "--image", file), "clean")

	code, _, stderr := try(dir, "dump", "kept", file)
	require.Equal(t, exitFault, code)
	require.Contains(t, stderr, "file exists")
	require.Equal(t, false, okJSON(t, dir, "dump", "kept", file, "--force")["live"])
	code, _, _ = try(dir, "dump", "kept", dir+"/kept", "--force")
	require.Equal(t, exitUsage, code)
	require.FileExists(t, dir+"/kept")
}

func TestDumpOfALivePool(t *testing.T) {
	p, dir := newPool(t)
	a, err := p.Alloc(dtype.Uint8, 100)
	require.NoError(t, err)
	defer a.Release()
	file := t.TempDir() + "/image"
	v := okJSON(t, dir, "dump", "test", file)
	require.Equal(t, true, v["live"])
	require.Equal(t, true, v["consistent"])
	require.Contains(t, ok(t, dir, "verify", "--image", file), "clean; 1 array")
	require.NotContains(t, ok(t, dir, "verify", "--image", file), "not the indexes")
}
