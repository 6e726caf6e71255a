package main

import (
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ndpool/ndpool/arena"
	"github.com/ndpool/ndpool/arena/layout"
	"github.com/ndpool/ndpool/dtype"
	"github.com/ndpool/ndpool/pool"
)

func TestVerify(t *testing.T) {
	p, dir := newPool(t)
	require.Regexp(t, `^test: clean; 0 arrays, \d+ laws; not those of a pool at rest, since slots are in use\n$`, ok(t, dir, "verify", "test"))
	require.NoError(t, p.Close())

	ok(t, dir, "create", "kept", "-c", "1MiB")
	require.Regexp(t, `^kept: clean; 0 arrays, \d+ laws\n$`, ok(t, dir, "verify", "kept", "--content"))
	v := okJSON(t, dir, "verify", "kept")
	require.Equal(t, true, v["clean"])
	require.Equal(t, []any{}, v["faults"])
	require.Contains(t, ok(t, dir, "verify", "--laws"), "\nsuperblock ")
	require.Len(t, okJSON(t, dir, "verify", "--laws")["laws"], len(pool.Laws))
}

func TestVerifyFaults(t *testing.T) {
	p, dir := newPool(t)
	a, err := p.Alloc(dtype.Uint8, 100)
	require.NoError(t, err)
	s, err := arena.Peek(arena.Location{Dir: dir, Name: "test"})
	require.NoError(t, err)
	control := s.Geo.Regions[layout.RegionControl]
	s.Close()
	file := dir + "/image"
	ok(t, dir, "reap") // no other process, nothing to do
	a.Release()
	b, err := os.ReadFile(dir + "/test")
	require.NoError(t, err)
	b[control.Offset+control.Size-1] = 1 // a reserved word
	require.NoError(t, os.WriteFile(file, b, 0o600))
	code, out, stderr := try(dir, "verify", "--image", file)
	require.Equal(t, exitFault, code)
	require.Empty(t, stderr)
	require.True(t, strings.HasPrefix(out, "reserved: byte "), out)
	require.Contains(t, out, ": 1 fault;")
	code, out, _ = try(dir, "--json", "verify", "--image", file)
	require.Equal(t, exitFault, code)
	require.Contains(t, out, `"law": "reserved"`)

	b[20]++ // the fingerprint
	require.NoError(t, os.WriteFile(file, b, 0o600))
	for _, args := range [][]string{{"--image", file}, {"image"}} {
		code, out, _ = try(dir, append([]string{"verify"}, args...)...)
		require.Equal(t, exitFault, code)
		require.True(t, strings.HasPrefix(out, "superblock: fingerprint of the layout: expected "), out)
	}
}
