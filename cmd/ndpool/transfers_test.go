package main

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ndpool/ndpool/dtype"
)

func TestTransfers(t *testing.T) {
	p, dir := newPool(t)
	require.Equal(t, "no transfers are in flight in test\n", ok(t, dir, "transfers", "test"))
	a, err := p.Alloc(dtype.Int16, 3)
	require.NoError(t, err)
	_, err = a.SendTo(p.Self())
	require.NoError(t, err)
	a.Release()
	require.Regexp(t, `^HANDLE .*\n[0-9a-f]{16} +0  \d+ \S+ +\d+ \S+ +\S+  with receiver +<i2 +\(3,\) +6 B\n$`, ok(t, dir, "transfers", "test"))

	startHolder(t, dir)() // dead, and its transfer waits
	found := okJSON(t, dir, "transfers", "test")["transfers"].([]any)
	require.Len(t, found, 2)
	x := found[1].(map[string]any)
	require.Nil(t, x["receiver"])
	require.Nil(t, x["expires_seconds"], "not swept yet")
	require.Equal(t, false, x["sender"].(map[string]any)["alive"])
	ok(t, dir, "reap", "test")
	require.Regexp(t, `\d+\.\d+ \(gone\) +anybody +\S+  in 9m5\ds `, ok(t, dir, "transfers", "test"))
}
