package main

import (
	"bytes"
	"context"
	"fmt"
	"image/color"
	"image/png"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ndpool/ndpool/dtype"
	"github.com/ndpool/ndpool/pool"
)

func onPool(t *testing.T) (*pool.Pool, settings) {
	s := settings{pool: fmt.Sprintf("ndpool-view-%d-%s", os.Getpid(), t.Name()), stream: "camera", every: 1}
	p, err := pool.Create(s.pool, pool.Options{Capacity: 64 << 20})
	require.NoError(t, err)
	t.Cleanup(func() {
		report, err := p.Verify(pool.VerifyOptions{})
		require.NoError(t, err)
		require.Empty(t, report.Faults)
		require.NoError(t, p.Close())
		require.NoFileExists(t, "/dev/shm/"+s.pool)
	})
	return p, s
}

// publish publishes an array in which each byte is its index.
func publish(t *testing.T, p *pool.Pool, shape ...int) {
	w, err := p.StreamWriter("camera")
	require.NoError(t, err)
	defer w.Close()
	a, err := p.Alloc(dtype.Uint8, shape...)
	require.NoError(t, err)
	defer a.Release()
	b, err := a.Bytes()
	require.NoError(t, err)
	for i := range b {
		b[i] = byte(i)
	}
	_, err = w.Publish(t.Context(), a, pool.Attrs{"source": "test"})
	require.NoError(t, err)
}

func TestView(t *testing.T) {
	p, s := onPool(t)
	s.frames, s.png = 1, filepath.Join(t.TempDir(), "out")
	for n, shape := range [][]int{{2, 3, 3}, {2, 3}} {
		publish(t, p, shape...)
		var out bytes.Buffer
		require.NoError(t, view(t.Context(), s, &out))
		require.Contains(t, out.String(), "map[source:test]")
		file, err := os.Open(filepath.Join(s.png, fmt.Sprintf("frame-%06d.png", n+1)))
		require.NoError(t, err)
		img, err := png.Decode(file)
		file.Close()
		require.NoError(t, err)
		require.Equal(t, 3, img.Bounds().Dx())
		require.Equal(t, 2, img.Bounds().Dy())
		want := map[int]color.Color{0: color.RGBA{11, 10, 9, 255}, 1: color.Gray{3}}[n]
		require.Equal(t, color.RGBAModel.Convert(want), color.RGBAModel.Convert(img.At(0, 1)))
	}
}

func TestNoPicture(t *testing.T) {
	p, s := onPool(t)
	s.png = t.TempDir()
	publish(t, p, 7)
	require.ErrorContains(t, view(t.Context(), s, &bytes.Buffer{}), "[7]")
}

func TestInterrupted(t *testing.T) {
	_, s := onPool(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	var out bytes.Buffer
	require.NoError(t, view(ctx, s, &out))
	require.Contains(t, out.String(), "0 frames, 0 skipped")
	s.seconds = 0.01
	require.NoError(t, view(t.Context(), s, &out))
}

// TestCamera looks at what the Python program writes, which is killed, and at what the next one writes.
func TestCamera(t *testing.T) {
	python := os.Getenv("NDPOOL_PYTHON")
	if python == "" {
		t.Skip("NDPOOL_PYTHON names no interpreter that has the package ndpool")
	}
	if exec.Command(python, "-c", "import cv2").Run() != nil {
		t.Skip("the interpreter of NDPOOL_PYTHON has no OpenCV")
	}
	_, s := onPool(t)
	s.png, s.every, s.frames = t.TempDir(), 10, 60
	start := func(frames string) *exec.Cmd {
		cmd := exec.Command(python, "../writer.py", "--pool", s.pool, "--generate", "--fps", "200", "--frames", frames)
		cmd.Stderr = os.Stderr
		require.NoError(t, cmd.Start())
		t.Cleanup(func() {
			cmd.Process.Kill()
			cmd.Wait()
		})
		return cmd
	}
	writer := start("1000000")
	var out bytes.Buffer
	require.NoError(t, view(t.Context(), s, &out))
	names, err := os.ReadDir(s.png)
	require.NoError(t, err)
	require.Len(t, names, 6, out.String())
	require.Contains(t, out.String(), "[480 640 3] |u1")
	require.NoError(t, writer.Process.Kill())
	require.Error(t, writer.Wait())

	s.frames = 20
	out.Reset()
	writer = start("200")
	require.NoError(t, view(t.Context(), s, &out))
	require.True(t, strings.HasSuffix(strings.TrimSpace(out.String()), "skipped"), out.String())
	require.NoError(t, writer.Wait())
}
