package main

import (
	"bytes"
	"context"
	"encoding/json"
	"image"
	"image/png"
	"io"
	"os"
	"path/filepath"
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

func small(t *testing.T, args ...string) options {
	t.Helper()
	flags := []string{"-megapixels", "3", "-tile", "96", "-rounds", "1", "-o", filepath.Join(t.TempDir(), "out", "photo.png")}
	if testing.Short() { // under the race detector
		flags = append(flags, "-megapixels", "0.2", "-tile", "48")
	}
	o, err := parse(append(flags, args...))
	require.NoError(t, err)
	return o
}

func TestPhoto(t *testing.T) {
	o := small(t)
	rep, err := photo(t.Context(), o, io.Discard)
	require.NoError(t, err)
	require.Empty(t, rep.Wrong)
	require.Equal(t, 3, rep.Compared)

	require.Len(t, rep.First.Kills, 1)
	k := rep.First.Kills[0]
	require.GreaterOrEqual(t, k.Done, 1)
	require.NotEmpty(t, k.Redone)
	require.Equal(t, map[kind]int{inGo: rep.Job.Tiles}, rep.First.Tiles)
	require.GreaterOrEqual(t, rep.First.Arrays, int64(2*rep.Job.Tiles))
	require.True(t, rep.Pool.Clean)
	require.Equal(t, uint64(1), rep.Pool.Sweeps)

	// Everything that pixels in pipes carry, and the headers, is what handles need not.
	require.Greater(t, rep.Pipes.PipeBytes, rep.First.ArrayBytes*9/10)
	require.Less(t, rep.Handle.PipeBytes, rep.Pipes.PipeBytes/10)

	f, err := os.Open(o.out)
	require.NoError(t, err)
	defer f.Close()
	img, err := png.Decode(f)
	require.NoError(t, err)
	require.Equal(t, image.Pt(rep.Source.UsedWidth, rep.Source.UsedHeight), img.Bounds().Size())

	var text, js bytes.Buffer
	require.NoError(t, rep.print(&text, false))
	require.Contains(t, text.String(), "nothing lost, nothing leaked")
	require.NoError(t, rep.print(&js, true))
	var back report
	require.NoError(t, json.Unmarshal(js.Bytes(), &back))
	require.Equal(t, rep, back)
}

func TestPhotoWithoutKill(t *testing.T) {
	rep, err := photo(t.Context(), small(t, "-kill", "none", "-rounds", "0", "-workers", "1", "-o", ""), io.Discard)
	require.NoError(t, err)
	require.Empty(t, rep.Wrong)
	require.Empty(t, rep.First.Kills)
	require.Equal(t, int64(2*rep.Job.Tiles), rep.First.Arrays)
}

// python returns an interpreter that has the package ndpool.
func python(t *testing.T) string {
	t.Helper()
	exe := os.Getenv("NDPOOL_PYTHON")
	if exe == "" {
		t.Skip("NDPOOL_PYTHON names no interpreter that has the package ndpool")
	}
	return exe
}

// TestPhotoPython wants the same from workers in both languages, for several filters, at all edges.
func TestPhotoPython(t *testing.T) {
	exe := python(t)
	for _, args := range [][]string{{}, {"-sigma", "0.3", "-amount", "10"}, {"-sigma", "6", "-amount", "0.7"}} {
		rep, err := photo(t.Context(), small(t, append(args, "-python", exe, "-o", "", "-megapixels", "8")...), io.Discard)
		require.NoError(t, err)
		require.Empty(t, rep.Wrong, "%v", args)
		require.Equal(t, 3, rep.Compared)
		require.Len(t, rep.First.Kills, 2)
		require.NotEqual(t, rep.First.Kills[0].Kind, rep.First.Kills[1].Kind)
		require.Positive(t, rep.First.Tiles[inPython])
		require.Equal(t, rep.Job.Tiles, rep.First.Tiles[inGo]+rep.First.Tiles[inPython])
		require.Equal(t, map[kind]int{inGo: 2, inPython: 2}, rep.Job.Kinds)
		require.Equal(t, uint64(2), rep.Pool.Sweeps)
	}
}

// TestPhotoPythonAlone kills workers in Python only.
func TestPhotoPythonAlone(t *testing.T) {
	rep, err := photo(t.Context(), small(t, "-python", python(t), "-kill", "python", "-workers", "3", "-rounds", "0", "-o", "", "-megapixels", "8"), io.Discard)
	require.NoError(t, err)
	require.Empty(t, rep.Wrong)
	require.Equal(t, inPython, rep.First.Kills[0].Kind)
	require.Equal(t, 1, rep.Job.Kinds[inPython])
}

// TestPhotoPythonWithoutPackage has an interpreter that is none.
func TestPhotoPythonWithoutPackage(t *testing.T) {
	_, err := photo(t.Context(), small(t, "-python", "/bin/false", "-o", ""), io.Discard)
	require.ErrorContains(t, err, "start worker in python")
}

// TestPhotoNoMomentToKill has one tile only: it cannot be killed after one and before another.
func TestPhotoNoMomentToKill(t *testing.T) {
	rep, err := photo(t.Context(), small(t, "-tile", "4096", "-megapixels", "0.1", "-rounds", "0"), io.Discard)
	require.NoError(t, err)
	require.Error(t, rep.verdict())
}

func TestPhotoInterrupted(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	_, err := photo(ctx, small(t, "-rounds", "1000"), cancelAt{"round 2", cancel})
	require.ErrorIs(t, err, context.Canceled)
}

// cancelAt cancels when a word is written.
type cancelAt struct {
	word   string
	cancel func()
}

func (c cancelAt) Write(b []byte) (int, error) {
	if bytes.Contains(b, []byte(c.word)) {
		c.cancel()
	}
	return len(b), nil
}

func TestPhotoBadArguments(t *testing.T) {
	for _, args := range [][]string{{"-tile", "1"}, {"-workers", "0"}, {"-sigma", "NaN"}, {"-megapixels", "0"}, {"stray"},
		{"-kill", "all"}, {"-kill", "python"}, {"-python", "python3", "-workers", "1"}} {
		_, err := parse(args)
		require.Error(t, err, args)
	}
	_, err := photo(t.Context(), small(t, "-image", filepath.Join(t.TempDir(), "none")), io.Discard)
	require.ErrorIs(t, err, os.ErrNotExist)
}

// TestFilterDoesNotSeeTiles wants that a result does not depend on how tiles are cut, also at the edges.
func TestFilterDoesNotSeeTiles(t *testing.T) {
	img := image.NewRGBA(image.Rect(0, 0, 61, 47))
	for i := range img.Pix {
		img.Pix[i] = uint8(i * i >> 3)
	}
	for _, sigma := range []float64{0.3, 1, 5} {
		f := newFilter(sigma, 2)
		whole := make([]uint8, len(img.Pix))
		f.apply(whole, rowsOf(img, img.Rect), img.Rect)
		for _, size := range []int{1, 7, 16, 100} {
			out := image.NewRGBA(img.Rect)
			for _, c := range cut(img.Rect, size, f.radius()) {
				pixels := make([]uint8, c.area.Dx()*c.area.Dy()*channels)
				f.apply(pixels, rowsOf(img, c.halo), c.inner())
				place(out, c.area, pixels)
			}
			require.Equal(t, whole, out.Pix, "sigma %v, tiles of %d", sigma, size)
		}
	}
}

// TestFilter compares with the definition, in floating point.
func TestFilter(t *testing.T) {
	img := image.NewRGBA(image.Rect(0, 0, 20, 20))
	for i := range img.Pix {
		img.Pix[i] = uint8(i * 7919 >> 3)
	}
	f := newFilter(1, 1.5)
	got := make([]uint8, channels)
	for _, at := range []image.Point{{0, 0}, {10, 10}, {19, 3}} {
		f.apply(got, rowsOf(img, img.Rect), image.Rectangle{at, at.Add(image.Pt(1, 1))})
		for c := range 3 {
			mean := 0.0
			for i, wy := range f.weights {
				for j, wx := range f.weights {
					x, y := min(max(at.X+j-f.radius(), 0), 19), min(max(at.Y+i-f.radius(), 0), 19)
					mean += float64(wx*wy) / one / one * float64(img.Pix[img.PixOffset(x, y)+c])
				}
			}
			v := float64(img.Pix[img.PixOffset(at.X, at.Y)+c])
			require.InDelta(t, min(max(v+1.5*(v-mean), 0), 255), float64(got[c]), 1)
		}
	}
}

func TestEnlargeKeepsFlatAreas(t *testing.T) {
	src := image.NewRGBA(image.Rect(0, 0, 3, 2))
	for i := range src.Pix {
		src.Pix[i] = 77
	}
	dst := image.NewRGBA(image.Rect(0, 0, 200, 131))
	enlarge(dst, src)
	for _, v := range dst.Pix {
		require.Equal(t, uint8(77), v)
	}
}
