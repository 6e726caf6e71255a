// Queue is a worker pool of processes that share two queues of arrays in the pool itself: jobs, and results.
//
// The parent makes a pool without a name and starts itself several times; the workers inherit the pool's descriptor, and
// find the queues by name. An array that was put belongs to the queue until somebody gets it, whoever dies meanwhile. Within
// a process queues are channels: Feed puts what comes over one, Receive gives another one. Jobs are at most 4 at a time in
// the queue, so that the parent waits for the workers.
package main

import (
	"context"
	"fmt"
	"io"
	"math"
	"os"
	"os/exec"
	"os/signal"

	"github.com/ndpool/ndpool/dtype"
	"github.com/ndpool/ndpool/pool"
)

const (
	workers   = 3
	jobs      = 60
	length    = 1 << 16 // elements of an array, 512 KiB
	workerEnv = "NDPOOL_QUEUE_WORKER"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	do := parent
	if os.Getenv(workerEnv) != "" {
		do = worker
	}
	if err := do(ctx, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "queue:", err)
		os.Exit(1)
	}
}

// open opens the queues, which are made if they are not there.
func open(p *pool.Pool) (todo, done *pool.Queue, err error) {
	if todo, err = p.Queue("todo", pool.RingOptions{Entries: 4}); err != nil {
		return nil, nil, err
	}
	if done, err = p.Queue("done"); err != nil {
		todo.Close()
	}
	return todo, done, err
}

// parent gives the workers their jobs, and adds up the results as they come.
func parent(ctx context.Context, out io.Writer) error {
	p, err := pool.Create("queue", pool.Options{Anonymous: true, Capacity: 64 << 20})
	if err != nil {
		return err
	}
	defer p.Close()
	todo, done, err := open(p)
	if err != nil {
		return err
	}
	defer todo.Close()
	defer done.Close()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	for range workers {
		wait, err := start(ctx, p)
		if err != nil {
			return err
		}
		go func() {
			if err := wait(); err != nil {
				cancel(fmt.Errorf("worker: %w", err))
			}
		}()
	}
	feeding := make(chan struct{})
	defer func() { <-feeding }() // a queue is closed when nobody is inside
	go func() {
		defer close(feeding)
		if err := feed(ctx, p, todo); err != nil {
			cancel(err)
		}
	}()

	total := 0.0
	for range jobs {
		item, err := done.Get(ctx)
		if err != nil {
			return cause(ctx, err)
		}
		sum, err := reduce(item.Array)
		item.Release()
		if err != nil {
			return err
		}
		total += sum
	}
	_, err = fmt.Fprintf(out, "%d arrays of %d elements through %d workers, sum %.0f\n", jobs, length, workers, total)
	return err
}

// cause returns why a context ended, if it did.
func cause(ctx context.Context, err error) error {
	if why := context.Cause(ctx); why != nil {
		return why
	}
	return err
}

// feed makes arrays, sends them over a channel, and shuts the queue when they are in it: the workers leave when it is empty.
func feed(ctx context.Context, p *pool.Pool, todo *pool.Queue) error {
	arrays := make(chan *pool.Array)
	failed := make(chan error, 1)
	go func() {
		defer close(arrays)
		failed <- produce(ctx, p, arrays)
	}()
	if err := todo.Feed(ctx, arrays); err != nil {
		return err
	}
	if err := <-failed; err != nil {
		return err
	}
	return todo.Shut()
}

// produce makes arrays and gives each to whoever receives it.
func produce(ctx context.Context, p *pool.Pool, to chan<- *pool.Array) error {
	for n := range jobs {
		a, err := p.NewContext(ctx, pool.Spec{DType: dtype.Float64, Shape: []int{length}})
		if err != nil {
			return err
		}
		xs, err := pool.Slice[float64](a)
		if err != nil {
			a.Release()
			return err
		}
		for i := range xs {
			xs[i] = float64(n * n)
		}
		select {
		case to <- a: // Feed releases it
		case <-ctx.Done():
			a.Release()
			return ctx.Err()
		}
	}
	return nil
}

// worker takes the square root of each element of each array that it receives, until the queue was shut and is empty.
func worker(ctx context.Context, _ io.Writer) error {
	p, err := pool.Open("", pool.Options{File: os.NewFile(3, "pool")})
	if err != nil {
		return err
	}
	defer p.Close()
	todo, done, err := open(p)
	if err != nil {
		return err
	}
	defer todo.Close()
	defer done.Close()
	for item := range todo.Receive(ctx) {
		err := root(item.Array)
		if err == nil {
			err = done.Put(ctx, item.Array) // the same memory goes on
		}
		item.Release()
		if err != nil {
			return err
		}
	}
	return ctx.Err()
}

func root(a *pool.Array) error {
	xs, err := pool.Slice[float64](a)
	for i, x := range xs {
		xs[i] = math.Sqrt(x)
	}
	return err
}

func reduce(a *pool.Array) (sum float64, err error) {
	xs, err := pool.Slice[float64](a)
	for _, x := range xs {
		sum += x
	}
	return sum, err
}

// start starts a worker. wait waits for its end.
func start(ctx context.Context, p *pool.Pool) (wait func() error, err error) {
	file, err := p.File()
	if err != nil {
		return nil, err
	}
	defer file.Close()
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, self)
	cmd.Env = append(os.Environ(), workerEnv+"=1")
	cmd.Stderr = os.Stderr
	cmd.ExtraFiles = []*os.File{file} // descriptor 3
	return cmd.Wait, cmd.Start()
}
