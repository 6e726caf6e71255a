package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ndpool/ndpool/pool"
)

// TestMain lets the test binary be its own worker.
func TestMain(m *testing.M) {
	if os.Getenv(workerEnv) != "" {
		main()
		os.Exit(0)
	}
	os.Setenv("GORACE", "atexit_sleep_ms=0") // else workers under the race detector take a second to end
	os.Exit(m.Run())
}

func TestQueue(t *testing.T) {
	var out bytes.Buffer
	require.NoError(t, parent(t.Context(), &out))
	require.Equal(t, "60 arrays of 65536 elements through 3 workers, sum 115998720\n", out.String())
}

func TestQueueInterrupted(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.ErrorIs(t, parent(ctx, &bytes.Buffer{}), context.Canceled)
}

// pythonWorker does what worker does, and puts a dict beside each array, which Go gets as a pickle.
const pythonWorker = `
import queue, sys
import numpy as np
import ndpool

with ndpool.Pool.open(sys.argv[1]) as pool:
    todo, done = pool.queue("todo"), pool.queue("done")
    while True:
        try:
            a = todo.get()
        except ndpool.errors.ShutDown:
            break
        np.sqrt(a, out=a)
        done.put(a)
        done.put({"n": int(a[0])})
        del a
    todo.close()
    done.close()
`

// TestPythonWorker has a producer and consumer in Go, and a worker in Python.
func TestPythonWorker(t *testing.T) {
	python := os.Getenv("NDPOOL_PYTHON")
	if python == "" {
		t.Skip("NDPOOL_PYTHON names no interpreter that has the package ndpool")
	}
	name := fmt.Sprintf("ndpool-queue-%d", os.Getpid())
	p, err := pool.Create(name, pool.Options{Capacity: 64 << 20})
	require.NoError(t, err)
	todo, done, err := open(p)
	require.NoError(t, err)
	cmd := exec.CommandContext(t.Context(), python, "-c", pythonWorker, name)
	cmd.Stderr = os.Stderr
	require.NoError(t, cmd.Start())
	fed := make(chan error, 1)
	go func() { fed <- feed(t.Context(), p, todo) }()
	for n := range jobs {
		item, err := done.Get(t.Context())
		require.NoError(t, err)
		require.Equal(t, pool.ItemArray, item.Kind)
		sum, err := reduce(item.Array)
		require.NoError(t, err)
		require.Equal(t, float64(n*length), sum)
		item.Release()
		item, err = done.Get(t.Context())
		require.NoError(t, err)
		require.Equal(t, pool.ItemPickle, item.Kind)
		item.Release()
	}
	require.NoError(t, <-fed)
	require.NoError(t, cmd.Wait())
	require.NoError(t, todo.Close())
	require.NoError(t, done.Close())
	report, err := p.Verify(pool.VerifyOptions{})
	require.NoError(t, err)
	require.Empty(t, report.Faults)
	require.NoError(t, p.Close())
	require.NoFileExists(t, "/dev/shm/"+name)
}
