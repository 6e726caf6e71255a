package main

import (
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ndpool/ndpool/dtype"
	"github.com/ndpool/ndpool/pool"
)

func TestShow(t *testing.T) {
	p, dir := newPool(t)
	require.Equal(t, "no arrays in test\n", ok(t, dir, "show", "test"))
	a, err := p.New(pool.Spec{DType: dtype.Int16, Shape: []int{2, 3}, Fortran: true})
	require.NoError(t, err)
	defer a.Release()
	xs, err := pool.Slice[int16](a)
	require.NoError(t, err)
	copy(xs, []int16{1, -20, 3, 4, 5, 600}) // columns
	require.Regexp(t, `^HANDLE +KIND +DTYPE +SHAPE +BYTES +HOLDERS +IN TRANSIT +FLAGS\n[0-9a-f]{16}  array  <i2 +\(2,3\) +12 B +\d+\(0\) +0  private,fortran\n$`, ok(t, dir, "show", "test"))
	h := a.Handle().String()
	out := ok(t, dir, "show", "test", h)
	require.Contains(t, out, "\norder       Fortran (first index fastest)\n")
	require.True(t, strings.HasSuffix(out, "\n\n[[  1   3   5]\n [-20   4 600]]\n"), out)
	v := okJSON(t, dir, "show", "test", h)
	require.Equal(t, h, v["handle"])
	require.Equal(t, "[[  1   3   5]\n [-20   4 600]]", v["preview"])
	require.Equal(t, comm(t), first(v, "holders")["command"])

	code, _, stderr := try(dir, "show", "test", "0123456789abcdef")
	require.Equal(t, exitFault, code)
	require.Contains(t, stderr, "stale or of another pool")
	code, _, _ = try(dir, "show", "test", "xyz")
	require.Equal(t, exitUsage, code)
}

// comm returns the name that the kernel has for this process.
func comm(t *testing.T) string {
	b, err := os.ReadFile("/proc/self/comm")
	require.NoError(t, err)
	return strings.TrimSpace(string(b))
}
