package main

import (
	"fmt"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ndpool/ndpool/pool"
)

func TestAttrs(t *testing.T) {
	p, dir := newPool(t)
	publish(t, p, "g/x", pool.Publish{}, 3)
	require.Equal(t, "{}\n", ok(t, dir, "attrs", "test", "g/x"))
	require.Equal(t, "g/x: 6 attributes, version 2\n", ok(t, dir, "attrs", "test", "g/x", "unit=mm", "gain=1.5", "roi=[0, 9007199254740993]",
		"ok=true", `quoted="1.5"`, "empty="))
	require.Equal(t, `{
  "empty": "",
  "gain": 1.5,
  "ok": true,
  "quoted": "1.5",
  "roi": [
    0,
    9007199254740993
  ],
  "unit": "mm"
}
`, ok(t, dir, "attrs", "test", "g/x"))
	for key, want := range map[string]string{"unit": "mm", "gain": "1.5", "roi": "[0,9007199254740993]", "quoted": `"1.5"`, "ok": "true"} {
		require.Equal(t, want+"\n", ok(t, dir, "attrs", "test", "g/x", key))
		ok(t, dir, "attrs", "test", "g/x", "again="+want)
		require.Equal(t, want+"\n", ok(t, dir, "attrs", "test", "g/x", "again"), "what is shown can be set")
	}
	require.Equal(t, "g/x: 3 attributes, version 8\n",
		ok(t, dir, "attrs", "test", "g/x", "--delete", "again", "--delete", "roi", "-x", "quoted", "-x", "empty", "gain=2"))
	v := okJSON(t, dir, "attrs", "test", "g/x")
	require.Equal(t, map[string]any{"name": "test", "path": "g/x", "version": 8.0,
		"attributes": map[string]any{"unit": "mm", "gain": 2.0, "ok": true}}, v)
	require.Equal(t, map[string]any{"gain": 2.0}, okJSON(t, dir, "attrs", "test", "g/x", "gain")["attributes"])
	require.Equal(t, "{\n  \"gain\": 2,\n  \"unit\": \"mm\"\n}\n", ok(t, dir, "attrs", "test", "g/x", "gain", "unit"))

	x := first(okJSON(t, dir, "names", "test"), "names")
	require.False(t, x["persistent"].(bool), "the name still goes with its process")
	ok(t, dir, "attrs", "test", "g", "is=group")
	require.Equal(t, "group\n", ok(t, dir, "attrs", "test", "g/", "is"))
}

func TestAttrsRefuses(t *testing.T) {
	p, dir := newPool(t)
	publish(t, p, "x", pool.Publish{Attrs: pool.Attrs{"a": 1}}, 3)
	for _, c := range []struct {
		args []string
		code int
		want string
	}{
		{[]string{"y"}, exitFault, "no such name"},
		{[]string{"x", "b"}, exitFault, "no such attribute: b"},
		{[]string{"x", "-x", "b", "c=1"}, exitFault, "no such attribute: b"},
		{[]string{"x", "a", "c=1"}, exitUsage, `"a" alone shows a value`},
	} {
		code, out, stderr := try(dir, append([]string{"attrs", "test"}, c.args...)...)
		require.Equal(t, c.code, code, c.args)
		require.Empty(t, out)
		require.Contains(t, stderr, c.want)
	}
	require.Equal(t, "1\n", ok(t, dir, "attrs", "test", "x", "a"))
}

func TestAttrsThatSteerTerminals(t *testing.T) {
	p, dir := newPool(t)
	publish(t, p, "x", pool.Publish{Attrs: pool.Attrs{"a": "\x1b[2J\u202e\u009b😀\U000e0001\nb"}}, 3)
	want := `"\u001b[2J\u202e\u009b😀\udb40\udc01\nb"`
	require.Equal(t, want+"\n", ok(t, dir, "attrs", "test", "x", "a"))
	require.Equal(t, "{\n  \"a\": "+want+"\n}\n", ok(t, dir, "attrs", "test", "x"))
}

// TestAttrsAtOnce wants that commands that set attributes at the same time lose nothing of each other.
func TestAttrsAtOnce(t *testing.T) {
	p, dir := newPool(t)
	publish(t, p, "x", pool.Publish{}, 3)
	var all sync.WaitGroup
	for k := range 8 {
		all.Go(func() {
			code, _, stderr := try(dir, "attrs", "test", "x", fmt.Sprintf("k%d=%d", k, k))
			if code != exitOK {
				t.Error(stderr)
			}
		})
	}
	all.Wait()
	require.Len(t, okJSON(t, dir, "attrs", "test", "x")["attributes"], 8)
}
