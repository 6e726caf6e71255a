package main

import (
	"bufio"
	"encoding/json"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ndpool/ndpool/pool"
)

func TestFollow(t *testing.T) {
	p, dir := newPool(t)
	w := newWriter(t, p, "live", pool.RingOptions{Entries: 3})
	for n := range 4 {
		frame(t, p, w, n+1, pool.Attrs{"n": n, "evil": "\x1b[2J"})
	}
	require.Regexp(t, `^  SEQUENCE   SKIPPED       AGE  DTYPE         SHAPE                 BYTES  ATTRIBUTES
         4         2 +[0-9.]+(µs|ms|s)  <f4           \(4,\) +16 B  \{"evil":"\\u001b\[2J","n":3\}
$`, ok(t, dir, "follow", "test", "live", "-n", "1"))
	out := ok(t, dir, "follow", "test", "live", "-n", "3", "--every")
	require.Equal(t, 4, strings.Count(out, "\n"))
	require.Regexp(t, `\n         2         0 .*\n         3         0 .*\n         4         0 `, out)
	v := okJSON(t, dir, "follow", "test", "live", "-n", "1")
	require.Equal(t, []any{4.0, 2.0, "<f4", []any{4.0}, 16.0, 3.0}, []any{v["sequence"], v["skipped"], v["dtype"], v["shape"], v["bytes"],
		v["attributes"].(map[string]any)["n"]})
	require.Less(t, v["age_seconds"].(float64), 60.0)

	code, _, stderr := try(dir, "follow", "test", "live", "-n", "2", "--timeout", "50ms")
	require.Equal(t, exitFault, code)
	require.Equal(t, "ndpool: follow live: no frame came for 50ms\n", stderr)
	code, _, stderr = try(dir, "follow", "test", "not/yet", "--timeout", "50ms")
	require.Equal(t, exitFault, code)
	require.Equal(t, "ndpool: there is no stream not/yet yet\nndpool: follow not/yet: no frame came for 50ms\n", stderr)
	for _, bad := range [][]string{{"follow", "test", "live", "-n=-1"}, {"follow", "test", "live", "--timeout=-1s"}, {"follow", "test", "a//b"}} {
		code, _, _ := try(dir, bad...)
		require.Equal(t, exitUsage, code, bad)
	}
}

// TestFollowAcrossWriters wants that it starts before the stream, tells of ends and deaths, goes on, and ends well by Ctrl-C.
func TestFollowAcrossWriters(t *testing.T) {
	p, dir := newPool(t)
	cmd := child("main", "--dir", dir, "--json", "follow", "test", "live", "--every")
	lines, notes := pipes(t, cmd)
	require.Equal(t, "ndpool: there is no stream live yet", next(t, notes))
	sequence := func(want float64) {
		t.Helper()
		var v map[string]any
		require.NoError(t, json.Unmarshal([]byte(next(t, lines)), &v))
		require.Equal(t, want, v["sequence"])
	}
	w := newWriter(t, p, "live")
	frame(t, p, w, 1)
	sequence(1)
	require.NoError(t, w.Close())
	require.Equal(t, "ndpool: the writer of live has ended; waiting for another one", next(t, notes))
	kill := startChild(t, "write", dir)
	sequence(2)
	kill()
	require.Equal(t, "ndpool: the writer of live died; waiting for another one", next(t, notes))
	frame(t, p, newWriter(t, p, "live"), 1)
	sequence(3)
	require.NoError(t, cmd.Process.Signal(syscall.SIGINT))
	require.False(t, lines.Scan())
	require.NoError(t, cmd.Wait(), "exit code 0")
}

// pipes starts a command and returns its lines and its notes.
func pipes(t *testing.T, cmd *exec.Cmd) (lines, notes *bufio.Scanner) {
	t.Helper()
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	errs, err := cmd.StderrPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	t.Cleanup(func() { _ = cmd.Process.Kill() })
	return bufio.NewScanner(out), bufio.NewScanner(errs)
}

func next(t *testing.T, s *bufio.Scanner) string {
	t.Helper()
	require.True(t, s.Scan(), s.Err())
	return s.Text()
}
