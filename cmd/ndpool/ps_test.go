package main

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestPs(t *testing.T) {
	dir := testDir(t)
	ok(t, dir, "create", "empty", "-c", "1MiB")
	require.Equal(t, "no processes are attached to empty\n", ok(t, dir, "ps", "empty"))
	kill := startHolder(t, dir)
	require.Regexp(t, `^SLOT  ID +PID +UID  COMMAND +ALIVE +ATTACHED  ARRAYS +BYTES +CACHED\n +0  0\.1 +\d+ +\d+  \S+ +yes +\S+ +1 +40 KiB +`, ok(t, dir, "ps", "test"))
	kill()
	require.Regexp(t, `\S+ +dead `, ok(t, dir, "ps", "test"))
	x := first(okJSON(t, dir, "ps", "test"), "processes")
	require.Equal(t, false, x["alive"])
	require.Equal(t, "0.1", x["id"])
	require.Equal(t, 1.0, x["arrays"])
}
