package main

import (
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestMain lets this test binary be a worker, too.
func TestMain(m *testing.M) {
	if text := os.Getenv(workerEnv); text != "" {
		os.Exit(work(text))
	}
	os.Exit(m.Run())
}

// testConfig is a small run without what not every machine can do.
func testConfig(t *testing.T) (config, *house) {
	dir, err := os.MkdirTemp("/dev/shm", "ndpool-torture-test-")
	require.NoError(t, err)
	t.Cleanup(func() { os.RemoveAll(dir) })
	c := config{workers: 4, capacity: 16 << 20, seed: 1, dir: dir, evidence: t.TempDir(), quiet: true,
		no: strings.Join([]string{kindFull, kindMemory, kindPids}, ","), python: os.Getenv("NDPOOL_PYTHON")}
	h, err := newHouse(c, dir)
	require.NoError(t, err)
	return c, h
}

// TestLockstepRepeats wants the same trace of the same seed, and another one of another seed. In the crash build workers die
// within operations, too.
func TestLockstepRepeats(t *testing.T) {
	if testing.Short() {
		t.Skip("starts processes, which the race detector does not see into")
	}
	c, h := testConfig(t)
	var digests []string
	for _, seed := range []uint64{1, 1, 2} {
		c.seed, c.lockstep = seed, 300
		digest, err := lockstep(t.Context(), c, h)
		require.NoError(t, err)
		digests = append(digests, digest)
	}
	require.Equal(t, digests[0], digests[1])
	require.NotEqual(t, digests[0], digests[2])
}

// TestCanaries wants that each planted fault is found.
func TestCanaries(t *testing.T) {
	if testing.Short() {
		t.Skip("takes 10 s")
	}
	c, h := testConfig(t)
	require.NoError(t, tryCanaries(t.Context(), c, h))
}

// TestTrace wants handles and messages to have the same words in the traces of two pools.
func TestTrace(t *testing.T) {
	a, b := newTrace(), newTrace()
	a.add("w1 says t %s:%s", "27f572550001e1f8", "afa841e6000000e9")
	a.add("w2 done take %s", "27f572550001e1f8")
	b.add("w1 says t %s:%s", "a8844c030001df38", "260b0001d444aaaa")
	b.add("w2 done take %s", "a8844c030001df38")
	require.Equal(t, a.digest(), b.digest())
	require.Equal(t, "w1 says t #1:#2\nw2 done take #1\n", b.text.String())
	b.add("w2 done take %s", "a8844c030001df39")
	require.NotEqual(t, a.digest(), b.digest())
}

// TestFiguresText wants numbers as people read them.
func TestFiguresText(t *testing.T) {
	require.Equal(t, "1,234,567", thousands(1234567))
	require.Equal(t, "12", thousands(12))
	require.Equal(t, "300", thousands(300))
	require.Equal(t, "1,200 b, 5 a, 5 c", list(map[string]int64{"a": 5, "b": 1200, "c": 5}))
}
