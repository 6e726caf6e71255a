package main

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ndpool/ndpool/dtype"
	"github.com/ndpool/ndpool/pool"
)

func TestStat(t *testing.T) {
	p, dir := newPool(t)
	a, err := p.Alloc(dtype.Uint8, 1<<20)
	require.NoError(t, err)
	defer a.Release()
	out := ok(t, dir, "stat", "test")
	require.Contains(t, out, "held         1 MiB (25 %) by arrays, of it 0 B (0 %) wasted by rounding\n")
	require.Contains(t, out, "free         3 MiB, largest extent 3 MiB (fragmentation 0 %)\n")
	require.Contains(t, out, "so far       nobody died, nothing expired\n")
	publish(t, p, "g/x", pool.Publish{}, 1)
	require.Contains(t, ok(t, dir, "stat", "test"), "\nnames        2 of 16384 entries, groups included (ndpool names)\n")
	require.NoError(t, p.Remove("g/x"))
	v := okJSON(t, dir, "stat", "test")
	require.Equal(t, "live", v["state"])
	require.Equal(t, float64(1<<20), v["stats"].(map[string]any)["live"])
	require.Equal(t, 0.0, v["waste"])
}
