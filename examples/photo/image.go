package main

import (
	"context"
	"fmt"
	"image"
	"image/color"
	"image/draw"
	_ "image/gif"
	_ "image/jpeg"
	"image/png"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/ndpool/ndpool/dtype"
	"github.com/ndpool/ndpool/pool"
)

// sourceReport tells which photograph it was, and what was made of it.
type sourceReport struct {
	Path       string  `json:"path"`
	Width      int     `json:"width"`
	Height     int     `json:"height"`
	UsedWidth  int     `json:"used_width"`
	UsedHeight int     `json:"used_height"`
	Megapixels float64 `json:"megapixels"` // used
}

// testPhoto is a photograph that comes with every Go toolchain, below GOROOT.
const testPhoto = "src/image/testdata/video-001.png"

// findPhoto returns the path of the toolchain's photograph.
func findPhoto() (string, error) {
	var roots []string
	if out, err := exec.Command("go", "env", "GOROOT").Output(); err == nil {
		roots = append(roots, strings.TrimSpace(string(out)))
	}
	roots = append(roots, os.Getenv("GOROOT"), "/usr/local/go", "/usr/lib/go")
	for _, root := range roots {
		path := filepath.Join(root, testPhoto)
		if _, err := os.Stat(path); root != "" && err == nil {
			return path, nil
		}
	}
	return "", fmt.Errorf("photo: no %s in GOROOT (looked in %q); name a photograph with -image", testPhoto, roots)
}

// decode reads a photograph onto an opaque background, in the decoder's own memory.
func decode(path string) (*image.RGBA, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("photo: %w", err)
	}
	defer f.Close()
	src, _, err := image.Decode(f)
	if err != nil {
		return nil, fmt.Errorf("photo: %s: %w", path, err)
	}
	if src.Bounds().Empty() {
		return nil, fmt.Errorf("photo: %s: an image without pixels", path)
	}
	flat := image.NewRGBA(image.Rectangle{Max: src.Bounds().Size()})
	draw.Draw(flat, flat.Rect, image.NewUniform(color.White), image.Point{}, draw.Src)
	draw.Draw(flat, flat.Rect, src, src.Bounds().Min, draw.Over)
	return flat, nil
}

// enlargedSize returns the size of an image that is enlarged to at least so many megapixels, or its own.
func enlargedSize(src image.Point, megapixels float64) image.Point {
	scale := math.Sqrt(megapixels * 1e6 / float64(src.X*src.Y))
	if scale <= 1 {
		return src
	}
	return image.Pt(int(math.Ceil(float64(src.X)*scale)), int(math.Ceil(float64(src.Y)*scale)))
}

// newImage allocates an array of rows, columns and four channels, and returns it with an image over its memory. Who
// called it must release the array, and not touch the image afterwards.
func newImage(p *pool.Pool, size image.Point) (*pool.Array, *image.RGBA, error) {
	a, err := p.Alloc(dtype.Uint8, size.Y, size.X, channels)
	if err != nil {
		return nil, nil, err
	}
	pix, err := pool.Slice[uint8](a)
	if err != nil {
		a.Release()
		return nil, nil, err
	}
	return a, &image.RGBA{Pix: pix, Stride: size.X * channels, Rect: image.Rectangle{Max: size}}, nil
}

// enlarge fills dst with src by Catmull-Rom interpolation, in bands on all processors.
func enlarge(dst, src *image.RGBA) {
	var next atomic.Int64
	var wg sync.WaitGroup
	const band = 64
	for range runtime.GOMAXPROCS(0) {
		wg.Go(func() {
			for {
				y0 := int(next.Add(band)) - band
				if y0 >= dst.Rect.Dy() {
					return
				}
				enlargeBand(dst, src, y0, min(y0+band, dst.Rect.Dy()))
			}
		})
	}
	wg.Wait()
}

// enlargeBand makes the rows from y0 to y1: source rows are widened one at a time, and the last four kept, since each
// row is mixed from four.
func enlargeBand(dst, src *image.RGBA, y0, y1 int) {
	w, h := dst.Rect.Dx(), src.Rect.Dy()
	columns := make([]tap, w)
	for x := range columns {
		columns[x] = tapAt(x, w, src.Rect.Dx())
	}
	var rows [4][]float32
	have := [4]int{-1, -1, -1, -1}
	for i := range rows {
		rows[i] = make([]float32, w*channels)
	}
	for y := y0; y < y1; y++ {
		t := tapAt(y, dst.Rect.Dy(), h)
		for _, sy := range t.at {
			if have[sy%4] != sy {
				have[sy%4] = sy
				widen(rows[sy%4], src.Pix[sy*src.Stride:], columns)
			}
		}
		a, b, c, d := rows[t.at[0]%4], rows[t.at[1]%4], rows[t.at[2]%4], rows[t.at[3]%4]
		for x, out := 0, dst.Pix[y*dst.Stride:][:w*channels]; x < len(out); x++ {
			v := a[x]*t.weight[0] + b[x]*t.weight[1] + c[x]*t.weight[2] + d[x]*t.weight[3]
			out[x] = uint8(min(max(v+0.5, 0), 255))
		}
	}
}

// tap tells from which four places of the source a place is mixed.
type tap struct {
	at     [4]int
	weight [4]float32
}

// tapAt returns the tap of place i of n, in a source of m. Beyond the edges the source goes on with its last place.
func tapAt(i, n, m int) (t tap) {
	f := (float64(i)+0.5)*float64(m)/float64(n) - 0.5
	first := math.Floor(f)
	u := float32(f - first)
	t.weight = [4]float32{((-u+2)*u - 1) * u / 2, ((3*u-5)*u*u + 2) / 2, ((-3*u+4)*u + 1) * u / 2, (u - 1) * u * u / 2}
	for k := range t.at {
		t.at[k] = min(max(int(first)-1+k, 0), m-1)
	}
	return t
}

func widen(dst []float32, src []uint8, columns []tap) {
	for x, t := range columns {
		for c := range channels {
			v := float32(0)
			for k, at := range t.at {
				v += float32(src[at*channels+c]) * t.weight[k]
			}
			dst[x*channels+c] = v
		}
	}
}

// save writes an image as PNG, under its name only when it is whole. An empty path writes nothing.
func save(ctx context.Context, path string, img image.Image) (err error) {
	if path == "" {
		return nil
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
		return fmt.Errorf("photo: %w", err)
	}
	f, err := os.Create(path + ".part") // whoever is killed leaves one at most
	if err != nil {
		return fmt.Errorf("photo: %w", err)
	}
	defer func() {
		f.Close()
		if err != nil {
			os.Remove(f.Name())
		}
	}()
	enc := png.Encoder{CompressionLevel: png.BestSpeed}
	if err := enc.Encode(cancellable{ctx, f}, img); err != nil {
		return fmt.Errorf("photo: %w", err)
	}
	return os.Rename(f.Name(), path)
}

// cancellable is a file that cannot be written to any more once a context has ended.
type cancellable struct {
	ctx context.Context
	f   *os.File
}

func (c cancellable) Write(b []byte) (int, error) {
	if err := c.ctx.Err(); err != nil {
		return 0, err
	}
	return c.f.Write(b)
}
