package main

import (
	"bytes"
	"os"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestMain lets the test binary be its own worker.
func TestMain(m *testing.M) {
	if os.Getenv(workerEnv) != "" {
		main()
	}
	os.Setenv("GORACE", "atexit_sleep_ms=0") // else workers under the race detector take a second to end
	os.Exit(m.Run())
}

func TestPipes(t *testing.T) {
	var out bytes.Buffer
	require.NoError(t, parent(&out))
	require.Equal(t, "12 arrays of 262144 elements through 3 workers, sum 17301504\n", out.String())
}
