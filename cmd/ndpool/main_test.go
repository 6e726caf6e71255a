package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ndpool/ndpool/dtype"
	"github.com/ndpool/ndpool/internal/selfexec"
	"github.com/ndpool/ndpool/pool"
)

// childEnv makes the test binary another process: "main" is the command itself, "hold" holds an array and a transfer of
// the pool named "test" in the directory of its first argument until it is killed; "name" an array with the name "mine";
// "write" writes a frame of the stream "live".
const childEnv = "NDPOOL_TEST_CHILD"

func TestMain(m *testing.M) {
	switch os.Getenv(childEnv) {
	case "main":
		main()
	case "hold", "name", "write":
		hold(os.Args[1], os.Getenv(childEnv))
	}
	os.Exit(m.Run())
}

func hold(dir, what string) {
	p, err := pool.OpenOrCreate("test", pool.Options{Dir: dir, Capacity: 4 << 20})
	if err == nil {
		var a *pool.Array
		a, err = p.Zeros(dtype.Float32, 100, 100)
		switch {
		case err != nil:
		case what == "name":
			_, err = p.Publish("mine", a)
		case what == "write":
			var w *pool.StreamWriter
			if w, err = p.StreamWriter("live"); err == nil {
				_, err = w.Publish(context.Background(), a)
			}
		default:
			_, err = a.Send()
		}
	}
	fmt.Println("ready", err)
	select {}
}

func child(name string, args ...string) *exec.Cmd {
	cmd := selfexec.Command(args...)
	cmd.Env = append(os.Environ(), childEnv+"="+name)
	return cmd
}

// startHolder starts a process that holds an array; kill ends it at once.
func startHolder(t *testing.T, dir string) (kill func()) {
	t.Helper()
	return startChild(t, "hold", dir)
}

// startNamer starts a process that gives an array a name, which goes with it; kill ends it at once.
func startNamer(t *testing.T, dir string) (kill func()) {
	t.Helper()
	return startChild(t, "name", dir)
}

func startChild(t *testing.T, what, dir string) (kill func()) {
	t.Helper()
	cmd := child(what, dir)
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	line, err := bufio.NewReader(out).ReadString('\n')
	require.NoError(t, err)
	require.Equal(t, "ready <nil>\n", line)
	kill = func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	}
	t.Cleanup(kill)
	return kill
}

// testDir returns a directory of the test's own on tmpfs if there is one.
func testDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp(pool.DefaultDir, "ndpool-test-")
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// newPool creates the pool "test", and verifies it at the end.
func newPool(t *testing.T) (p *pool.Pool, dir string) {
	t.Helper()
	dir = testDir(t)
	p, err := pool.Create("test", pool.Options{Dir: dir, Capacity: 4 << 20})
	require.NoError(t, err)
	t.Cleanup(func() {
		if r, err := p.Verify(pool.VerifyOptions{Content: true}); err == nil {
			require.Empty(t, r.Faults)
		}
		p.Close()
	})
	return p, dir
}

// try runs the command in a directory.
func try(dir string, args ...string) (code int, stdout, stderr string) {
	var out, err bytes.Buffer
	code = run(append([]string{"--dir", dir}, args...), &out, &err)
	return code, out.String(), err.String()
}

// ok runs the command, wants that it succeeds without a note, and returns its output.
func ok(t *testing.T, dir string, args ...string) string {
	t.Helper()
	code, out, err := try(dir, args...)
	require.Empty(t, err)
	require.Equal(t, exitOK, code)
	return out
}

// okJSON runs the command with --json and decodes its one document.
func okJSON(t *testing.T, dir string, args ...string) map[string]any {
	t.Helper()
	dec := json.NewDecoder(strings.NewReader(ok(t, dir, append([]string{"--json"}, args...)...)))
	v := map[string]any{}
	require.NoError(t, dec.Decode(&v))
	require.False(t, dec.More(), "one document")
	requireSnake(t, v)
	return v
}

var snake = regexp.MustCompile(`^[a-z][a-z0-9_]*$`)

func requireSnake(t *testing.T, v any) {
	t.Helper()
	switch v := v.(type) {
	case map[string]any:
		for key, x := range v {
			require.Regexp(t, snake, key)
			requireSnake(t, x)
		}
	case []any:
		for _, x := range v {
			requireSnake(t, x)
		}
	}
}

func first(v map[string]any, key string) map[string]any { return v[key].([]any)[0].(map[string]any) }

func TestUsage(t *testing.T) {
	dir := testDir(t)
	code, out, _ := try(dir, "--help")
	require.Equal(t, exitOK, code)
	require.Contains(t, out, "Exit codes: 0 all is well")
	for _, verb := range []string{"create", "ls", "show", "ps", "top", "stat", "transfers", "names", "rings", "follow", "get", "put", "rm", "attrs", "verify", "reap",
		"trim", "dump", "unlink", "version"} {
		code, out, _ := try(dir, verb, "--help")
		require.Equal(t, exitOK, code, verb)
		require.Regexp(t, `(?s)Examples?:\n\n +ndpool `, out, verb)
	}
	for _, bad := range [][]string{{"nope"}, {"ls", "x"}, {"ps"}, {"create", "x", "--capacity", "1Q"}, {"create", "x", "--mode", "999"},
		{"create", "x", "--no-persistent"}, {"create", "x", "--arrays=-1"}, {"create", "a/b"}, {"verify"}, {"top", "--interval", "1ms"}} {
		code, out, err := try(dir, bad...)
		require.Equal(t, exitUsage, code, bad)
		require.Empty(t, out, bad)
		require.Regexp(t, `^ndpool: [^\n]+\n$`, err, bad)
	}
	for _, verb := range []string{"show", "ps", "stat", "transfers", "rings", "top", "verify", "trim", "unlink", "reap"} {
		code, out, err := try(dir, verb, "nope")
		require.Equal(t, exitFault, code, verb)
		require.Empty(t, out, verb)
		require.Regexp(t, `^ndpool: [^\n]+no such segment[^\n]+\n$`, err, verb)
	}
}

// TestLookingLeavesNoTrace wants that nobody who only looks changes a byte or a process of the pool.
func TestLookingLeavesNoTrace(t *testing.T) {
	dir := testDir(t)
	startHolder(t, dir)() // left behind
	before, err := os.ReadFile(dir + "/test")
	require.NoError(t, err)
	for _, args := range [][]string{{"ls"}, {"show", "test"}, {"ps", "test"}, {"stat", "test"}, {"transfers", "test"}, {"rings", "test"},
		{"top", "--once"}, {"top", "test", "--once"}, {"reap", "-n"}} {
		ok(t, dir, args...)
		after, err := os.ReadFile(dir + "/test")
		require.NoError(t, err, args)
		require.True(t, bytes.Equal(before, after), args)
	}
}
