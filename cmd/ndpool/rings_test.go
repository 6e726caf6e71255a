package main

import (
	"context"
	"fmt"
	"os"
	"regexp"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ndpool/ndpool/dtype"
	"github.com/ndpool/ndpool/npy"
	"github.com/ndpool/ndpool/pool"
)

// newWriter becomes the writer of a stream until the test ends.
func newWriter(t *testing.T, p *pool.Pool, path string, o ...pool.RingOptions) *pool.StreamWriter {
	t.Helper()
	w, err := p.StreamWriter(path, o...)
	require.NoError(t, err)
	t.Cleanup(func() { w.Close() })
	return w
}

// frame publishes an array of n numbers.
func frame(t *testing.T, p *pool.Pool, w *pool.StreamWriter, n int, attrs ...pool.Attrs) {
	t.Helper()
	a, err := p.Zeros(dtype.Float32, n)
	require.NoError(t, err)
	defer a.Release()
	_, err = w.Publish(context.Background(), a, attrs...)
	require.NoError(t, err)
}

// newQueue opens a queue until the test ends, and puts arrays of n numbers each.
func newQueue(t *testing.T, p *pool.Pool, path string, n ...int) *pool.Queue {
	t.Helper()
	q, err := p.Queue(path, pool.RingOptions{Entries: 8})
	require.NoError(t, err)
	t.Cleanup(func() { q.Close() })
	for _, n := range n {
		a, err := p.Zeros(dtype.Float32, n)
		require.NoError(t, err)
		require.NoError(t, q.Put(context.Background(), a))
		a.Release()
	}
	return q
}

// ringNamed returns what rings tells of one name.
func ringNamed(t *testing.T, dir, name string) map[string]any {
	t.Helper()
	for _, r := range okJSON(t, dir, "rings", "test")["rings"].([]any) {
		if r := r.(map[string]any); len(r["names"].([]any)) > 0 && r["names"].([]any)[0] == name {
			return r
		}
	}
	t.Fatalf("no ring %q", name)
	return nil
}

func TestRings(t *testing.T) {
	p, dir := newPool(t)
	require.Equal(t, "no streams or queues in test\n", ok(t, dir, "rings", "test"))
	require.Empty(t, okJSON(t, dir, "rings", "test")["rings"])

	w := newWriter(t, p, "camera/left")
	require.Regexp(t, `\ncamera/left  stream +0 +2 +0  \d+ \S+ +- +-  +0 B  -\n$`, ok(t, dir, "rings", "test"))
	for n := range 3 {
		frame(t, p, w, 256*(n+1))
	}
	every := newWriter(t, p, "all", pool.RingOptions{Entries: 4, Lossless: true})
	r, err := p.StreamReader("all", pool.ReadOptions{Every: true})
	require.NoError(t, err)
	defer r.Close()
	frame(t, p, every, 1)
	f, err := r.Next(context.Background())
	require.NoError(t, err)
	f.Release()
	frame(t, p, every, 1)
	frame(t, p, every, 1)
	q := newQueue(t, p, "jobs", 256, 512)
	newQueue(t, p, "")

	who := fmt.Sprintf(`%d %s`, os.Getpid(), regexp.QuoteMeta(comm(t)))
	out := ok(t, dir, "rings", "test")
	require.Regexp(t, `^NAME +KIND +ITEMS +LIMIT +PUT +WRITER +READERS +NEWEST +BYTES +FLAGS
all +stream +3 +4 +3  `+who+` +1, 2 behind +\d+ms +12 B  lossless
camera/left +stream +2 +2 +3  `+who+` +- +\d+ms +5 KiB  -
jobs +queue +2 +8 +2  - +- +\d+ms +3 KiB  -
[0-9a-f]{16} +queue +0 +8 +0  - +- +- +0 B  -
$`, out)

	v := ringNamed(t, dir, "all")
	require.Equal(t, []any{"stream", 3.0, 4.0, 3.0, 12.0, true, "alive", 1.0, 2.0, 0.0}, []any{v["kind"], v["items"], v["limit"], v["put"], v["bytes"],
		v["lossless"], v["writer_state"], v["readers"], v["behind"], v["writers_ended"]})
	require.EqualValues(t, os.Getpid(), v["writer"].(map[string]any)["pid"])
	require.Less(t, v["age_seconds"].(float64), 60.0)
	v = ringNamed(t, dir, "jobs")
	require.Equal(t, []any{"queue", 2.0, 2.0, 8.0, false, nil, nil}, []any{v["kind"], v["items"], v["entries"], v["limit"], v["shut"], v["writer"], v["writer_state"]})

	require.NoError(t, q.Shut())
	require.NoError(t, w.Close())
	out = ok(t, dir, "rings", "test")
	require.Regexp(t, `\njobs .*  shut\n`, out)
	require.Regexp(t, `\ncamera/left .*  ended  `, out)
	require.Equal(t, "ended", ringNamed(t, dir, "camera/left")["writer_state"])
	require.Regexp(t, `\ncamera/left +stream +2 `, ok(t, dir, "top", "test", "--once"))
	require.Contains(t, ok(t, dir, "stat", "test"), "\nrings        2 streams, 2 queues (ndpool rings)\n")
	require.Equal(t, []any{2.0, 2.0}, []any{okJSON(t, dir, "stat", "test")["streams"], okJSON(t, dir, "stat", "test")["queues"]})
}

// TestRingsOfTheDead wants that looking sweeps nobody, and that a death is told before and after the sweep.
func TestRingsOfTheDead(t *testing.T) {
	dir := testDir(t)
	ok(t, dir, "create", "test", "-c", "4MiB")
	startChild(t, "write", dir)()
	for range 2 {
		require.Regexp(t, `\nlive +stream +1 +2 +1  \d+ \S+ died  `, ok(t, dir, "rings", "test"))
	}
	require.Equal(t, false, ringNamed(t, dir, "live")["writer"].(map[string]any)["alive"])
	ok(t, dir, "reap", "test")
	v := ringNamed(t, dir, "live")
	require.Equal(t, []any{"died", nil, 1.0, 1.0}, []any{v["writer_state"], v["writer"], v["writers_ended"], v["items"]})
	require.Regexp(t, `\nlive +stream +1 +2 +1  died  `, ok(t, dir, "rings", "test"))
}

// TestRingsAreNoArrays wants that every verb knows a ring from an array.
func TestRingsAreNoArrays(t *testing.T) {
	p, dir := newPool(t)
	t.Chdir(t.TempDir())
	w := newWriter(t, p, "run/live")
	newQueue(t, p, "run/jobs", 3)
	publish(t, p, "run/x", pool.Publish{}, 2)
	require.NoError(t, npy.Save("x.npy", must(p.Lookup("run/x"))(t)))

	names := ok(t, dir, "names", "test")
	require.Regexp(t, `\nrun/jobs  queue +768 B +\d+  the pool +0\n`, names)
	require.Regexp(t, `\nrun/live  stream +384 B +\d+  the pool +0\nrun/x     array   <i2    \(2,\) +4 B `, names)
	live := okJSON(t, dir, "names", "test", "run/live")["names"].([]any)[0].(map[string]any)
	require.Equal(t, []any{"stream", false, nil, nil, nil}, []any{live["kind"], live["persistent"], live["keeper"], live["dtype"], live["shape"]})

	show := ok(t, dir, "show", "test")
	require.Regexp(t, `\n[0-9a-f]{16}  stream +384 B +\d+\(0\) +0  named\n`, show)
	require.NotContains(t, show, "|u1")
	out := ok(t, dir, "show", "test", live["handle"].(string))
	require.Contains(t, out, "\nkind        stream\nname        run/live\nitems       0, of at most 2; 0 put so far\n")
	require.Equal(t, "stream", okJSON(t, dir, "show", "test", live["handle"].(string))["kind"])
	for _, a := range okJSON(t, dir, "show", "test")["arrays"].([]any) {
		if a := a.(map[string]any); a["kind"] != "array" {
			require.Equal(t, []any{nil, nil}, []any{a["dtype"], a["shape"]})
		}
	}

	code, _, stderr := try(dir, "get", "test", "run", "-o", "run.npz")
	require.Equal(t, exitOK, code)
	require.Equal(t, "ndpool: run/jobs is left out: it is a queue\nndpool: run/live is left out: it is a stream\n", stderr)
	for _, args := range [][]string{{"get", "test", "run/jobs"}, {"put", "test", "run/live", "x.npy"}, {"put", "test", "run/live", "x.npy", "--overwrite"},
		{"put", "test", "run/jobs", "x.npy", "--merge"}, {"follow", "test", "run/jobs"}, {"follow", "test", "run/x"}, {"get", "test", "run/live"}} {
		code, out, stderr := try(dir, args...)
		require.Equal(t, exitFault, code, args)
		require.Empty(t, out, args)
		require.Regexp(t, `^ndpool: [^\n]+\n$`, stderr, args)
	}

	frame(t, p, w, 5)
	frame(t, p, w, 7)
	require.Equal(t, "run/live: frame 2, <f4 (7,), 28 B written to live.npy\n", ok(t, dir, "get", "test", "run/live"))
	require.Equal(t, 2.0, okJSON(t, dir, "get", "test", "run/live", "-f")["sequence"])
	a, err := npy.Load(p, "live.npy")
	require.NoError(t, err)
	require.Equal(t, []int{7}, a.Shape())
	a.Release()

	require.Equal(t, "run/live: 1 name removed\n", ok(t, dir, "rm", "test", "run/live"))
	require.Equal(t, "run: 2 names removed\n", ok(t, dir, "rm", "test", "-r", "run"))
	require.Equal(t, "no names in test\n", ok(t, dir, "names", "test"))
}

func must(a *pool.Array, err error) func(t *testing.T) *pool.Array {
	return func(t *testing.T) *pool.Array {
		require.NoError(t, err)
		t.Cleanup(a.Release)
		return a
	}
}

// TestGetWaits wants that get can wait for a stream that is not there yet.
func TestGetWaits(t *testing.T) {
	p, dir := newPool(t)
	t.Chdir(t.TempDir())
	code, _, stderr := try(dir, "get", "test", "live", "--wait", "50ms")
	require.Equal(t, exitFault, code)
	require.Equal(t, "ndpool: get live: no frame came for 50ms\n", stderr)
	done := make(chan string)
	go func() {
		_, out, stderr := try(dir, "get", "test", "live", "--wait", "60s")
		done <- out + stderr
	}()
	frame(t, p, newWriter(t, p, "live"), 7)
	require.Equal(t, "live: frame 1, <f4 (7,), 28 B written to live.npy\n", <-done)
}
