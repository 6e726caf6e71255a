// Pipes is a worker pool of processes: messages go through pipes, arrays stay where they are.
//
// The parent makes a pool without a name and starts itself several times; the workers inherit the pool's descriptor. A
// message is 40 bytes, whatever the size of its array. It carries a transfer, which keeps the array alive until somebody
// receives it: the sender releases its own reference right away.
//
// Example photo does the same with views, and with a worker that is killed.
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
	length    = 1 << 20 // elements of an array, 8 MiB
	workerEnv = "NDPOOL_PIPES_WORKER"
)

func main() {
	work := func() error { return run(os.Stdout) }
	if os.Getenv(workerEnv) != "" {
		work = worker
	}
	if err := work(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

// worker answers each array with one of the square roots, until the parent closes the pipe, by will or by death.
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
		if m, err = roots(p, m); err != nil {
			return err
		}
		if err := out.Encode(m); err != nil {
			return err
		}
	}
}

// roots receives one array and returns the message of another. Should this process die in between, whoever sweeps the
// pool next lets go what it held.
func roots(p *pool.Pool, m handle.Message) (none handle.Message, err error) {
	a, err := p.Receive(m)
	if err != nil {
		return none, err
	}
	defer a.Release()
	b, err := p.Alloc(dtype.Float64, a.Shape()...)
	if err != nil {
		return none, err
	}
	defer b.Release() // the transfer of the message keeps it alive
	xs, err := pool.Slice[float64](a)
	if err != nil {
		return none, err
	}
	ys, err := pool.Slice[float64](b)
	if err != nil {
		return none, err
	}
	for i, x := range xs {
		ys[i] = math.Sqrt(x)
	}
	return b.Message()
}

// run is the parent: it gives each worker its jobs by turns, and then reads the results in the same order. Messages are so
// short that all of them fit into the pipes.
func run(w io.Writer) error {
	p, err := pool.Create("pipes", pool.Options{Anonymous: true, Capacity: 256 << 20})
	if err != nil {
		return err
	}
	defer p.Close()
	var in [workers]*handle.Encoder
	var out [workers]*handle.Decoder
	for i := range workers {
		stdin, stdout, stop, err := start(p)
		if err != nil {
			return err
		}
		defer stop()
		in[i], out[i] = handle.NewEncoder(stdin), handle.NewDecoder(stdout)
	}
	for n := range jobs {
		m, err := squares(p, n)
		if err == nil {
			err = in[n%workers].Encode(m)
		}
		if err != nil {
			return err
		}
	}
	total := 0.0
	for n := range jobs {
		m, err := out[n%workers].Decode()
		if err != nil {
			return fmt.Errorf("worker %d: %w", n%workers, err)
		}
		b, err := p.Receive(m)
		if err != nil {
			return err
		}
		ys, err := pool.Slice[float64](b)
		for _, y := range ys {
			total += y
		}
		b.Release()
		if err != nil {
			return err
		}
	}
	_, err = fmt.Fprintf(w, "%d arrays of %d elements through %d workers, sum %.0f\n", jobs, length, workers, total)
	return err
}

// squares returns the message of a new array that is full of n*n.
func squares(p *pool.Pool, n int) (none handle.Message, err error) {
	a, err := p.Alloc(dtype.Float64, length)
	if err != nil {
		return none, err
	}
	defer a.Release() // the transfer of the message keeps it alive
	xs, err := pool.Slice[float64](a)
	if err != nil {
		return none, err
	}
	for i := range xs {
		xs[i] = float64(n * n)
	}
	return a.Message()
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
