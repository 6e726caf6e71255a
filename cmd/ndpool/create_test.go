package main

import (
	"os"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestCreate(t *testing.T) {
	dir := testDir(t)
	require.Equal(t, "created "+dir+"/a: 64 MiB, 4096 arrays, 16384 names, 254 processes, 8192 transfers\n", ok(t, dir, "create", "a", "-c", "64MiB"))
	v := okJSON(t, dir, "create", "b", "--capacity=1.5MiB", "--arrays=2000", "--processes=3", "--tickets=10", "--names=5", "--mode=0640",
		"--grace=1m", "--lock-wait=500ms", "--reserve", "--huge-pages", "--persistent")
	delete(v, "segment")
	require.Equal(t, map[string]any{"name": "b", "path": dir + "/b", "capacity": 1.5 * (1 << 20), "array_limit": 2000.0, "process_limit": 3.0,
		"transfer_limit": 10.0, "name_limit": 5.0, "mode": "0640", "grace_seconds": 60.0, "lock_wait_seconds": 0.5, "persistent": true,
		"reserve": true, "huge_pages": true}, v)
	st, err := os.Stat(dir + "/b")
	require.NoError(t, err)
	require.EqualValues(t, 0o640, st.Mode().Perm())
	require.Equal(t, 1.5*(1<<20), okJSON(t, dir, "stat", "b")["stats"].(map[string]any)["committed"])

	code, _, stderr := try(dir, "create", "a")
	require.Equal(t, exitFault, code)
	require.Contains(t, stderr, "segment exists")
}
