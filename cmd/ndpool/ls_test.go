package main

import (
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestLs(t *testing.T) {
	dir := testDir(t)
	require.Equal(t, "no pools in "+dir+"\n", ok(t, dir, "ls"))
	ok(t, dir, "create", "kept", "-c", "1MiB")
	kill := startHolder(t, dir)
	require.NoError(t, os.WriteFile(dir+"/notes.txt", []byte("no pool"), 0o600))
	require.NoError(t, os.WriteFile(dir+"/zeros", make([]byte, 1<<16), 0o600))
	require.NoError(t, os.Symlink(dir+"/kept", dir+"/link"))
	require.NoError(t, os.Mkdir(dir+"/sub", 0o700))

	out := strings.Split(ok(t, dir, "ls"), "\n")
	require.Len(t, out, 4)
	require.Equal(t, strings.Fields("NAME STATE CAPACITY COMMITTED ARRAYS TRANSFERS PROCESSES DEAD PERSISTENT UID"), strings.Fields(out[0]))
	require.Regexp(t, `^kept +idle +1 MiB +0 B +0 +0 +0 +0  yes +\d+$`, out[1])
	require.Regexp(t, `^test +live +4 MiB +2 MiB +1 +1 +1 +0  no +\d+$`, out[2])
	require.Equal(t, "kept\ntest\n", ok(t, dir, "ls", "-q"))

	kill()
	v := okJSON(t, dir, "ls")
	p := v["pools"].([]any)[1].(map[string]any)
	require.Equal(t, "left behind", p["state"])
	require.Equal(t, 1.0, p["dead"])
	require.Equal(t, 0.0, p["processes"])
	require.Empty(t, v["unreadable"])

	b, err := os.ReadFile(dir + "/kept")
	require.NoError(t, err)
	b[8]++ // the version
	require.NoError(t, os.WriteFile(dir+"/newer", b, 0o600))
	code, _, stderr := try(dir, "ls")
	require.Equal(t, exitOK, code)
	require.Regexp(t, `^ndpool: newer: .*made by a newer ndpool`, stderr)
}
