package main

import (
	"os"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestUnlink(t *testing.T) {
	p, dir := newPool(t)
	require.Equal(t, "test: unlinked; its memory goes with the 1 process still attached\n", ok(t, dir, "unlink", "test"))
	require.NoFileExists(t, dir+"/test")
	_, err := p.Stats()
	require.NoError(t, err)
	ok(t, dir, "create", "kept", "-c", "1MiB")
	require.Equal(t, 0.0, okJSON(t, dir, "unlink", "kept")["attached"])

	require.NoError(t, os.WriteFile(dir+"/notes", []byte("no pool, but long enough"), 0o600))
	code, _, _ := try(dir, "unlink", "notes")
	require.Equal(t, exitFault, code)
	require.FileExists(t, dir+"/notes")
}
