package main

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ndpool/ndpool/dtype"
)

func TestTrim(t *testing.T) {
	p, dir := newPool(t)
	a, err := p.Alloc(dtype.Uint8, 3<<20)
	require.NoError(t, err)
	a.Release()
	require.Equal(t, "test: gave back 4 MiB, 0 B of 4 MiB committed\n", ok(t, dir, "trim", "test"))
	require.Equal(t, 0.0, okJSON(t, dir, "trim", "test")["freed"])
}
