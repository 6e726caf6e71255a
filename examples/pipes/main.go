// Pipes is a worker pool of processes: messages go through pipes, arrays stay where they are.
//
// The parent makes a pool without a name and starts itself several times; the workers inherit the pool's descriptor. A
// message is 40 bytes, whatever the size of its array. It carries a transfer, which keeps the array alive until somebody
// receives it, so that the sender releases its own reference right away, and does not touch the array any more.
//
// Example photo does the same with views and new arrays, and with a worker that is killed.
package main

import (
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"os/exec"

	"github.com/ndpool/ndpool/dtype"
	"github.com/ndpool/ndpool/handle"
	"github.com/ndpool/ndpool/pool"
)

const (
	workers   = 3
	jobs      = 12
	length    = 1 << 18 // elements of an array, 2 MiB
	workerEnv = "NDPOOL_PIPES_WORKER"
)

func main() {
	work := func() error { return parent(os.Stdout) }
	if os.Getenv(workerEnv) != "" {
		work = worker
	}
	if err := work(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

// parent gives the workers their jobs by turns, and then reads the results in the same order. Messages are so short that
// all of them fit into the pipes.
func parent(w io.Writer) error {
	p, err := pool.Create("pipes", pool.Options{Anonymous: true, Capacity: 64 << 20})
	if err != nil {
		return err
	}
	defer p.Close()
	var to [workers]*handle.Encoder
	var from [workers]*handle.Decoder
	for i := range workers {
		stdin, stdout, stop, err := start(p)
		if err != nil {
			return err
		}
		defer stop()
		to[i], from[i] = handle.NewEncoder(stdin), handle.NewDecoder(stdout)
	}
	for n := range jobs {
		a, err := p.Alloc(dtype.Float64, length)
		if err != nil {
			return err
		}
		if err := pass(a, to[n%workers], func(float64) float64 { return float64(n * n) }); err != nil {
			return err
		}
	}
	total := 0.0
	for n := range jobs {
		m, err := from[n%workers].Decode()
		if err != nil {
			return fmt.Errorf("worker %d: %w", n%workers, err) // io.EOF: it died
		}
		a, err := p.Receive(m)
		if err != nil {
			return err
		}
		xs, err := pool.Slice[float64](a)
		for _, x := range xs {
			total += x
		}
		a.Release() // the last reference: its memory is free
		if err != nil {
			return err
		}
	}
	_, err = fmt.Fprintf(w, "%d arrays of %d elements through %d workers, sum %.0f\n", jobs, length, workers, total)
	return err
}

// worker takes the square root of each element of each array, and sends the array back, until the parent closes the pipe,
// by will or by death. If this process is killed, whoever sweeps the pool next lets go what it held.
func worker() error {
	p, err := pool.Open("", pool.Options{File: os.NewFile(3, "pool")})
	if err != nil {
		return err
	}
	defer p.Close()
	in, out := handle.NewDecoder(os.Stdin), handle.NewEncoder(os.Stdout)
	for {
		m, err := in.Decode()
		if errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		a, err := p.Receive(m)
		if err != nil {
			return err
		}
		if err := pass(a, out, math.Sqrt); err != nil {
			return err
		}
	}
}

// pass changes each element of an array and hands the array over; it releases the caller's reference.
func pass(a *pool.Array, to *handle.Encoder, change func(float64) float64) error {
	defer a.Release()
	xs, err := pool.Slice[float64](a)
	if err != nil {
		return err
	}
	for i, x := range xs {
		xs[i] = change(x)
	}
	m, err := a.Message()
	if err != nil {
		return err
	}
	return to.Encode(m)
}

// start starts a worker. stop closes its input, on which it leaves, and waits for that.
func start(p *pool.Pool) (stdin io.Writer, stdout io.Reader, stop func(), err error) {
	file, err := p.File()
	if err != nil {
		return nil, nil, nil, err
	}
	defer file.Close()
	self, err := os.Executable()
	if err != nil {
		return nil, nil, nil, err
	}
	cmd := exec.Command(self)
	cmd.Env = append(os.Environ(), workerEnv+"=1")
	cmd.Stderr = os.Stderr
	cmd.ExtraFiles = []*os.File{file} // descriptor 3
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, nil, nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, nil, nil, err
	}
	return in, out, func() { in.Close(); cmd.Wait() }, cmd.Start()
}
