// Channels is a worker pool within one process: arrays go over a Go channel from a producer to workers.
//
// What goes over the channel is the reference, and with it the duty to release it. The pool has room for a few arrays
// only, so that the producer waits for the workers: memory is bounded by the pool, not by the length of a queue.
package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"sync"

	"github.com/ndpool/ndpool/dtype"
	"github.com/ndpool/ndpool/pool"
)

const (
	workers = 4
	arrays  = 200
	length  = 1 << 14 // elements of an array, 128 KiB
)

func main() {
	if err := run(context.Background(), os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// run sums 25 MiB of arrays in a pool of 2 MiB.
func run(ctx context.Context, w io.Writer) error {
	p, err := pool.Create("channels", pool.Options{Anonymous: true, Capacity: 2 << 20})
	if err != nil {
		return err
	}
	defer p.Close()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)

	jobs := make(chan *pool.Array)
	sums := make(chan float64)
	go func() {
		defer close(jobs)
		if err := produce(ctx, p, jobs); err != nil {
			cancel(err)
		}
	}()
	var wg sync.WaitGroup
	for range workers {
		wg.Go(func() {
			for a := range jobs {
				sum, err := reduce(a)
				if err != nil {
					cancel(err)
				}
				sums <- sum
			}
		})
	}
	go func() { wg.Wait(); close(sums) }()

	total, n := 0.0, 0
	for sum := range sums {
		total, n = total+sum, n+1
	}
	if err := context.Cause(ctx); err != nil {
		return err
	}
	_, err = fmt.Fprintf(w, "%d arrays of %d elements, sum %.0f\n", n, length, total)
	return err
}

// produce makes arrays and gives each to whoever receives it. New waits while the pool is full.
func produce(ctx context.Context, p *pool.Pool, jobs chan<- *pool.Array) error {
	for n := range arrays {
		a, err := p.NewContext(ctx, pool.Spec{DType: dtype.Float64, Shape: []int{length}})
		if err != nil {
			return err
		}
		xs, err := pool.Slice[float64](a)
		if err != nil {
			a.Release() // nobody has got it
			return err
		}
		for i := range xs {
			xs[i] = float64(n)
		}
		select {
		case jobs <- a: // the receiver releases it; xs must not be used any more
		case <-ctx.Done():
			a.Release()
			return ctx.Err()
		}
	}
	return nil
}

// reduce returns the sum of an array's elements, and releases the array.
func reduce(a *pool.Array) (sum float64, err error) {
	defer a.Release()
	xs, err := pool.Slice[float64](a)
	for _, x := range xs {
		sum += x
	}
	return sum, err
}
