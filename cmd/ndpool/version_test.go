package main

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestVersion(t *testing.T) {
	require.Regexp(t, `^ndpool \S+, format 1, fingerprint [0-9a-f]{16}, go\S+ \w+/\w+\n$`, ok(t, ".", "version"))
	require.Equal(t, 1.0, okJSON(t, ".", "version")["format"])
}
