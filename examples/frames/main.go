// Frames is a stream between two processes, every frame of it.
//
//	go run ./examples/frames                  a reader, a writer that is killed, and one that goes on
//	go run ./examples/frames write            only a writer
//	go run ./examples/frames read [-latest]   only a reader, which may be started first
//
// Frames change their shape all the time. The stream is lossless: its writer waits for readers of every frame, from the
// moment on that they have found it; who reads with -latest takes the newest one, and nobody waits for him. frames.py and frames.c, beside this directory, speak of the
// same stream: each can read what another one writes.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"strconv"

	"github.com/ndpool/ndpool/dtype"
	"github.com/ndpool/ndpool/pool"
)

const columns = 640

type settings struct {
	pool, stream string
	frames       int
	latest       bool
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "frames:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, out io.Writer) error {
	role := ""
	if len(args) > 0 && args[0][0] != '-' {
		role, args = args[0], args[1:]
	}
	flags := flag.NewFlagSet("frames", flag.ExitOnError)
	var s settings
	flags.StringVar(&s.pool, "pool", "ndpool-frames", "name of the pool")
	flags.StringVar(&s.stream, "stream", "frames", "name of the stream in it")
	flags.IntVar(&s.frames, "frames", 1000, "how many to write")
	flags.BoolVar(&s.latest, "latest", false, "read the newest frame, not every one")
	flags.Parse(args)
	do, ok := map[string]func(context.Context, *pool.Pool, settings, io.Writer) error{"": demo, "write": write, "read": read}[role]
	if !ok {
		return fmt.Errorf("no such role: %s, expected write or read", role)
	}
	p, err := pool.OpenOrCreate(s.pool, pool.Options{})
	if err != nil {
		return err
	}
	defer p.Close()
	return do(ctx, p, s, out)
}

// write publishes frames. If this process is killed the readers are told, and the next writer goes on.
func write(ctx context.Context, p *pool.Pool, s settings, out io.Writer) error {
	w, err := p.StreamWriter(s.stream, pool.RingOptions{Entries: 4, Lossless: true})
	if err != nil {
		return err
	}
	defer w.Close()
	var sequence uint64
	for n := 1; n <= s.frames; n++ {
		if sequence, err = publish(ctx, p, w, n); err != nil {
			return err
		}
	}
	_, err = fmt.Fprintf(out, "wrote %d frames, the last one is %d\n", s.frames, sequence)
	return err
}

// publish publishes one frame: an array whose elements are all n.
func publish(ctx context.Context, p *pool.Pool, w *pool.StreamWriter, n int) (sequence uint64, err error) {
	a, err := p.NewContext(ctx, pool.Spec{DType: dtype.Uint32, Shape: []int{400 + n%7, columns}})
	if err != nil {
		return 0, err
	}
	defer a.Release() // the stream holds it
	elements, err := pool.Slice[uint32](a)
	if err != nil {
		return 0, err
	}
	for i := range elements {
		elements[i] = uint32(n)
	}
	return w.Publish(ctx, a, pool.Attrs{"n": n})
}

// read reads until the writer ends, and checks that frames are whole.
func read(ctx context.Context, p *pool.Pool, s settings, out io.Writer) error {
	r, err := p.StreamReader(s.stream, pool.ReadOptions{Every: !s.latest})
	if err != nil {
		return err
	}
	defer r.Close()
	fmt.Fprintf(out, "waiting for %s in %s\n", s.stream, p.Path())
	next := r.Next
	if s.latest {
		next = r.Latest
	}
	return follow(ctx, next, out, func(uint64) {})
}

// follow reads until the writer ends, which it tells. seen is told how many frames there were.
func follow(ctx context.Context, next func(context.Context) (*pool.Frame, error), out io.Writer, seen func(count uint64)) error {
	var count, skipped, last uint64
	for {
		f, err := next(ctx)
		how := "ended"
		if errors.Is(err, pool.ErrWriterDied) {
			how = "was killed"
		}
		if errors.Is(err, pool.ErrEnded) || errors.Is(err, pool.ErrWriterDied) {
			_, err = fmt.Fprintf(out, "read %d frames, skipped %d, mixed 0, the last one is %d; the writer %s\n", count, skipped, last, how)
			return err
		}
		if err != nil {
			return err
		}
		count, skipped, last = count+1, skipped+f.Skipped, f.Sequence
		err = check(f)
		f.Release()
		if err != nil {
			return err
		}
		seen(count)
	}
}

// check fails unless all elements of a frame are the number that its attributes have.
func check(f *pool.Frame) error {
	elements, err := pool.Slice[uint32](f.Array)
	if err != nil {
		return err
	}
	want, _ := f.Attrs["n"].(int64)
	for _, x := range elements {
		if int64(x) != want {
			return fmt.Errorf("frame %d is a mixture: an element is %d, expected %d", f.Sequence, x, want)
		}
	}
	return nil
}

// demo reads what two writers write, one of which it kills.
func demo(ctx context.Context, p *pool.Pool, s settings, out io.Writer) error {
	r, err := p.StreamReader(s.stream, pool.ReadOptions{Every: true})
	if err != nil {
		return err
	}
	defer r.Close()
	first, err := start(ctx, s, 1<<30)
	if err != nil {
		return err
	}
	kill := func(count uint64) {
		if count == uint64(s.frames)/2 {
			first.Process.Kill()
		}
	}
	if err := follow(ctx, r.Next, out, kill); err != nil {
		return err
	}
	first.Wait()
	second, err := start(ctx, s, s.frames)
	if err != nil {
		return err
	}
	if err := follow(ctx, r.Next, out, func(uint64) {}); err != nil {
		return err
	}
	return second.Wait()
}

// start starts this program as a writer.
func start(ctx context.Context, s settings, frames int) (*exec.Cmd, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, self, "write", "-pool", s.pool, "-stream", s.stream, "-frames", strconv.Itoa(frames))
	cmd.Stderr = os.Stderr
	return cmd, cmd.Start()
}
