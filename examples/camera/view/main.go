// View writes frames of a stream as PNG files: the Go side of the camera example, whose writer.py has OpenCV.
//
// It may be started before the writer, and goes on when that ends or is killed and another one comes. A frame is the
// writer's memory, which stays as it is while this program looks at it.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"image"
	"image/png"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/ndpool/ndpool/pool"
)

type settings struct {
	pool, dir, stream, png string
	every, frames          int
	seconds                float64
}

func main() {
	var s settings
	flag.StringVar(&s.pool, "pool", "ndpool-camera", "name of the pool")
	flag.StringVar(&s.dir, "dir", "", "directory of its file (/dev/shm)")
	flag.StringVar(&s.stream, "stream", "camera", "name of the stream in it")
	flag.StringVar(&s.png, "png", "", "directory to write PNG files to")
	flag.IntVar(&s.every, "every", 30, "write every nth of the frames seen")
	flag.IntVar(&s.frames, "frames", 0, "end after that many frames")
	flag.Float64Var(&s.seconds, "seconds", 0, "end after that time (0: until Ctrl-C)")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := view(ctx, s, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "view:", err)
		os.Exit(1)
	}
}

// view looks at the newest frames until there were enough, the time is over, or ctx is done, which are no errors.
func view(ctx context.Context, s settings, out io.Writer) error {
	if s.every < 1 || s.frames < 0 || s.seconds < 0 {
		return errors.New("want no negative numbers")
	}
	if s.png != "" {
		if err := os.MkdirAll(s.png, 0o777); err != nil {
			return err
		}
	}
	if s.seconds > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, time.Duration(s.seconds*float64(time.Second)))
		defer cancel()
	}
	p, err := pool.OpenOrCreate(s.pool, pool.Options{Dir: s.dir})
	if err != nil {
		return err
	}
	defer p.Close()
	r, err := p.StreamReader(s.stream)
	if err != nil {
		return err
	}
	defer r.Close()
	fmt.Fprintf(out, "waiting for %s in %s\n", s.stream, p.Path())
	seen, skipped := 0, uint64(0)
	for s.frames == 0 || seen < s.frames {
		f, err := r.Latest(ctx)
		switch {
		case ctx.Err() != nil:
			if f != nil {
				f.Release()
			}
			return summary(out, seen, skipped)
		case errors.Is(err, pool.ErrWriterDied):
			fmt.Fprintln(out, "the writer was killed: waiting for another")
			continue
		case errors.Is(err, pool.ErrEnded):
			fmt.Fprintln(out, "the writer has ended: waiting for another")
			continue
		case err != nil:
			return err
		}
		skipped += f.Skipped
		if seen%s.every == 0 {
			err = show(f, s.png, out)
		}
		f.Release() // the writer may have its memory again
		if err != nil {
			return err
		}
		seen++
	}
	return summary(out, seen, skipped)
}

func summary(out io.Writer, seen int, skipped uint64) error {
	_, err := fmt.Fprintf(out, "%d frames, %d skipped\n", seen, skipped)
	return err
}

// show tells about a frame, and writes it if there is a directory to write to.
func show(f *pool.Frame, dir string, out io.Writer) error {
	fmt.Fprintf(out, "frame %d: %v %v, %v old, %v\n", f.Sequence, f.Array.Shape(), f.Array.DType(), time.Since(f.Wall).Round(time.Microsecond), f.Attrs)
	if dir == "" {
		return nil
	}
	return write(filepath.Join(dir, fmt.Sprintf("frame-%06d.png", f.Sequence)), f.Array)
}

func write(path string, a *pool.Array) error {
	img, err := picture(a)
	if err != nil {
		return err
	}
	file, err := os.Create(path)
	if err != nil {
		return err
	}
	if err := png.Encode(file, img); err != nil {
		file.Close()
		return err
	}
	return file.Close()
}

// picture returns an image of an array of pixels, which OpenCV has in the order blue, green, red; or of grey ones.
func picture(a *pool.Array) (image.Image, error) {
	shape := a.Shape()
	grey := len(shape) == 2
	if !grey && (len(shape) != 3 || shape[2] != 3) {
		return nil, fmt.Errorf("a frame of shape %v, expected height, width and 3 colours", shape)
	}
	pixels, err := pool.Slice[uint8](a)
	if err != nil {
		return nil, err
	}
	bounds := image.Rect(0, 0, shape[1], shape[0])
	if grey {
		return &image.Gray{Pix: pixels, Stride: shape[1], Rect: bounds}, nil
	}
	img := image.NewNRGBA(bounds)
	for from, to := pixels, img.Pix; len(to) > 0; from, to = from[3:], to[4:] {
		to[0], to[1], to[2], to[3] = from[2], from[1], from[0], 255
	}
	return img, nil
}
