package main

import (
	"fmt"
	"os"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ndpool/ndpool/dtype"
	"github.com/ndpool/ndpool/pool"
)

// publish gives a new array of int16 the numbers 0, 1, 2, ... and a name.
func publish(t *testing.T, p *pool.Pool, path string, o pool.Publish, shape ...int) {
	t.Helper()
	a, err := p.Alloc(dtype.Int16, shape...)
	require.NoError(t, err)
	defer a.Release()
	xs, err := pool.Slice[int16](a)
	require.NoError(t, err)
	for k := range xs {
		xs[k] = int16(k)
	}
	_, err = p.Publish(path, a, o)
	require.NoError(t, err)
}

func TestNames(t *testing.T) {
	p, dir := newPool(t)
	require.Equal(t, "no names in test\n", ok(t, dir, "names", "test"))
	require.Empty(t, okJSON(t, dir, "names", "test")["names"])
	require.Empty(t, ok(t, dir, "names", "test", "-q"))

	publish(t, p, "camera/left", pool.Publish{Attrs: pool.Attrs{"unit": "mm", "gain": 2}}, 2, 3)
	publish(t, p, "mask", pool.Publish{Persistent: true}, 1000)
	pid := os.Getpid()
	require.Equal(t, fmt.Sprintf(`NAME         KIND   DTYPE  SHAPE    BYTES  VERSION  KEEPER      ATTRS
camera/left  array  <i2    (2,3)     12 B        1  %-10s      2
mask         array  <i2    (1000,)  2 KiB        2  persistent      0
`, fmt.Sprintf("%d(0)", pid)), ok(t, dir, "names", "test"))
	require.Contains(t, ok(t, dir, "names", "test", "--all"), "\ncamera/  ")
	require.Equal(t, "camera/left\nmask\n", ok(t, dir, "names", "test", "--short"))
	require.Equal(t, "camera/\ncamera/left\nmask\n", ok(t, dir, "names", "test", "-qa"))
	require.Equal(t, "camera/left\x00mask\x00", ok(t, dir, "names", "test", "-0"))
	for _, prefix := range []string{"camera", "camera/", "camera/left"} {
		require.Equal(t, "camera/left\n", ok(t, dir, "names", "test", prefix, "-q"), prefix)
	}
	require.Equal(t, "camera/left\nmask\n", ok(t, dir, "names", "test", "/", "-q"))

	v := okJSON(t, dir, "names", "test", "--all")["names"].([]any)
	require.Len(t, v, 3)
	group, left, mask := v[0].(map[string]any), v[1].(map[string]any), v[2].(map[string]any)
	require.Equal(t, []any{true, true, nil, nil}, []any{group["group"], group["implicit"], group["keeper"], group["handle"]})
	require.Equal(t, map[string]any{"unit": "mm", "gain": 2.0}, left["attributes"])
	require.EqualValues(t, pid, left["keeper"].(map[string]any)["pid"])
	require.Equal(t, []any{true, nil, map[string]any{}, 2.0}, []any{mask["persistent"], mask["keeper"], mask["attributes"], mask["version"]})

	code, _, stderr := try(dir, "names", "test", "nope")
	require.Equal(t, exitFault, code)
	require.Equal(t, "ndpool: list \"nope\": no such name (ndpool names lists them)\n", stderr)
}

func TestNamesThatSteerTerminals(t *testing.T) {
	p, dir := newPool(t)
	publish(t, p, "a\x1b[2J\nb", pool.Publish{}, 1)
	for _, args := range [][]string{{"names", "test"}, {"names", "test", "-q"}} {
		out := ok(t, dir, args...)
		require.Contains(t, out, `a\x1b[2J\nb`)
		require.NotContains(t, out, "\x1b")
	}
	require.Equal(t, "a\x1b[2J\nb\x00", ok(t, dir, "names", "test", "-0"), "for xargs as it is")
}

// TestNamesOfTheDead wants that looking sweeps nobody: the name is told with its dead keeper.
func TestNamesOfTheDead(t *testing.T) {
	dir := testDir(t)
	startNamer(t, dir)()
	for range 2 {
		require.Regexp(t, `\nmine +array +<f4 .* \d+\(0\) dead +0\n$`, ok(t, dir, "names", "test"))
		require.False(t, first(okJSON(t, dir, "names", "test"), "names")["keeper"].(map[string]any)["alive"].(bool))
	}
	ok(t, dir, "reap", "test")
	require.NoFileExists(t, dir+"/test", "nobody is left to keep it")
}
