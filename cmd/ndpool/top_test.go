package main

import (
	"bufio"
	"encoding/json"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestTop(t *testing.T) {
	dir := testDir(t)
	ok(t, dir, "create", "kept", "-c", "1MiB")
	require.Regexp(t, `^ndpool top  \d\d:\d\d:\d\d\n\nNAME .*\nkept +idle`, ok(t, dir, "top", "--once"))
	require.Equal(t, "idle", first(okJSON(t, dir, "top", "--once"), "pools")["state"])
	startHolder(t, dir)
	out := ok(t, dir, "top", "test", "--once")
	require.Contains(t, out, "\nSLOT ")
	require.NotContains(t, out, "\x1b", "no terminal")
	v := okJSON(t, dir, "top", "test", "--once")
	require.Equal(t, "live", v["pool"].(map[string]any)["state"])
	require.Equal(t, 1.0, first(v, "processes")["arrays"])
}

func TestTopEndsByCtrlC(t *testing.T) {
	dir := testDir(t)
	ok(t, dir, "create", "kept", "-c", "1MiB")
	cmd := child("main", "--dir", dir, "--json", "top", "kept", "--interval", "50ms")
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	lines := bufio.NewScanner(out)
	lines.Buffer(nil, 1<<20)
	for range 3 {
		require.True(t, lines.Scan())
		require.True(t, json.Valid(lines.Bytes()))
	}
	require.NoError(t, cmd.Process.Signal(syscall.SIGINT))
	for lines.Scan() {
		require.True(t, json.Valid(lines.Bytes()), "no frame is cut")
	}
	require.NoError(t, cmd.Wait(), "exit code 0")
}

func TestTopEndsWithItsPool(t *testing.T) {
	dir := testDir(t)
	ok(t, dir, "create", "kept", "-c", "1MiB")
	time.AfterFunc(200*time.Millisecond, func() { try(dir, "unlink", "kept") })
	code, out, stderr := try(dir, "top", "kept", "-i", "50ms")
	require.Equal(t, exitOK, code)
	require.Equal(t, "ndpool: kept is gone\n", stderr)
	require.Greater(t, strings.Count(out, "ndpool top"), 1)
}

func TestFit(t *testing.T) {
	require.Equal(t, "abcdefghijklmnopqrs…"+clearLine+"\r\n... 2 more lines"+clearLine, fit("abcdefghijklmnopqrstuvwxyz\n2\n3\n", 2, 20))
	require.Equal(t, "a"+clearLine+"\r\nb"+clearLine, fit("a\nb\n", 2, 20))
}
