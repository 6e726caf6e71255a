package main

import (
	"encoding/json"
	"os"
	"os/exec"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestMain lets the test binary be the worker.
func TestMain(m *testing.M) {
	if os.Getenv(poolEnv) != "" {
		main()
	}
	os.Setenv("GORACE", "atexit_sleep_ms=0") // else workers under the race detector take a second to end
	os.Exit(m.Run())
}

// TestMosaic runs the Python program with this binary as its worker.
func TestMosaic(t *testing.T) {
	python := os.Getenv("NDPOOL_PYTHON")
	if python == "" {
		t.Skip("NDPOOL_PYTHON names no interpreter that has the package ndpool")
	}
	self, err := os.Executable()
	require.NoError(t, err)
	for kill, kills := range map[string]int{"--kill": 1, "--no-kill": 0} {
		cmd := exec.CommandContext(t.Context(), python, "main.py", "--worker", self, "--megapixels", "2", "--tile", "96", kill, "--json")
		cmd.Stderr = os.Stderr
		out, err := cmd.Output()
		require.NoError(t, err, "%s", out)
		var report struct {
			Tiles int
			Kills []struct {
				Done   int
				Redone []int
			}
			Arrays, Transfers, Sweeps int
			Identical, Clean          bool
			Wrong                     []string
		}
		require.NoError(t, json.Unmarshal(out, &report))
		require.Empty(t, report.Wrong)
		require.True(t, report.Identical && report.Clean)
		require.Len(t, report.Kills, kills)
		require.Equal(t, kills, report.Sweeps)
		require.Zero(t, report.Arrays+report.Transfers)
		for _, k := range report.Kills {
			require.NotEmpty(t, k.Redone)
			require.Positive(t, k.Done)
		}
	}
}

// TestWorkerAlone wants a word for who starts it by hand.
func TestWorkerAlone(t *testing.T) {
	require.ErrorContains(t, work(nil, nil), "main.py")
}

func TestMean(t *testing.T) {
	src, dst := picture(2*block, 3*block), picture(2*block, 3*block)
	mosaic(dst, src)
	for y, row := range dst {
		for x, got := range row {
			sum, x0, y0 := 0, x/channels/block*block*channels+x%channels, y/block*block
			for i := range block * block {
				sum += int(src[y0+i/block][x0+i%block*channels])
			}
			require.Equal(t, uint8(float64(sum)/(block*block)+0.5), got)
		}
	}
}

func picture(height, width int) [][]uint8 {
	rows := make([][]uint8, height)
	for y := range rows {
		rows[y] = make([]uint8, width*channels)
		for x := range rows[y] {
			rows[y][x] = uint8((y*7919 + x*x) >> 3)
		}
	}
	return rows
}
