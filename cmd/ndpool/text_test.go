package main

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestSizes(t *testing.T) {
	for text, want := range map[string]uint64{"4096": 4096, "1GiB": 1 << 30, "64k": 64 << 10, "1.5 MiB": 3 << 19, "100MB": 1e8, "7B": 7, "2t": 2 << 40} {
		var s size
		require.NoError(t, s.UnmarshalText([]byte(text)), text)
		require.EqualValues(t, want, s, text)
	}
	for _, text := range []string{"", "GiB", "-1", "0", "1e30", "NaN", "inf GiB", "1Q", "0x10"} {
		var s size
		if text == "0" {
			continue // the library's default
		}
		require.Error(t, s.UnmarshalText([]byte(text)), text)
	}
	for n, want := range map[uint64]string{0: "0 B", 1023: "1023 B", 1024: "1 KiB", 1536: "1.5 KiB", 1<<20 - 1: "1 MiB", 1 << 40: "1 TiB", 1 << 50: "1024 TiB"} {
		require.Equal(t, want, human(n))
	}
}

func TestAges(t *testing.T) {
	for d, want := range map[time.Duration]string{-1: "0s", 1500 * time.Microsecond: "2ms", 61 * time.Second: "1m01s", 90 * time.Minute: "1h30m", 50 * time.Hour: "2d02h"} {
		require.Equal(t, want, age(d))
	}
}

func TestCleanKeepsTheTerminalSafe(t *testing.T) {
	require.Equal(t, `a\x1b[2Jb`, clean("a\x1b[2Jb"))
	require.Equal(t, "größe", clean("größe"))
	require.Equal(t, `\xff`, clean("\xff"))
}
