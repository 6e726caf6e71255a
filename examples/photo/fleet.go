package main

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"sync/atomic"

	"github.com/ndpool/ndpool/handle"
	"github.com/ndpool/ndpool/pool"
)

// fleet is the worker processes of a pool. Local. One goroutine at a time replaces the worker of one place.
type fleet struct {
	ctx     context.Context // its end kills all workers
	pool    *pool.Pool
	file    *os.File // of the pool, for new workers
	python  string   // interpreter for every other worker; empty: all are of Go
	workers []*worker
	buried  atomic.Int64  // workers that died or were put down
	refused atomic.Int64  // transfers that those had no time to tell about
	traffic atomic.Uint64 // bytes through all pipes, both ways
}

// worker is a worker process. Local; one goroutine writes to it, and another one reads from it.
type worker struct {
	kind kind
	cmd  *exec.Cmd
	id   pool.ProcessID // its name in the pool
	in   io.WriteCloser // its standard input
	out  io.Reader      // its standard output

	jobs   bytes.Buffer // the writer's, reused
	result []uint8      // the reader's, for pixels from pipes, reused
}

// newFleet starts n workers, every other one in Python if there is an interpreter. stop ends them.
func newFleet(ctx context.Context, p *pool.Pool, n int, python string) (*fleet, error) {
	file, err := p.File()
	if err != nil {
		return nil, err
	}
	f := &fleet{ctx: ctx, pool: p, file: file, python: python}
	for i := range n {
		k := inGo
		if python != "" && i%2 == 1 {
			k = inPython
		}
		w, err := f.start(k)
		if err != nil {
			f.stop()
			return nil, err
		}
		f.workers = append(f.workers, w)
	}
	return f, nil
}

// start starts a worker, which inherits the pool's descriptor, and waits until it is attached.
func (f *fleet) start(k kind) (*worker, error) {
	cmd, err := f.command(k)
	if err != nil {
		return nil, fmt.Errorf("photo: %w", err)
	}
	cmd.Env = append(os.Environ(), workerEnv+"="+strconv.FormatUint(uint64(f.pool.Self()), 10))
	cmd.Stderr = os.Stderr
	cmd.ExtraFiles = []*os.File{f.file} // becomes poolFD
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, fmt.Errorf("photo: %w", err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, fmt.Errorf("photo: %w", err)
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("photo: start worker: %w", err)
	}
	w := &worker{kind: k, cmd: cmd, in: metered{in, &f.traffic}, out: meteredReader{out, &f.traffic}}
	var hello [8]byte
	if _, err := io.ReadFull(out, hello[:]); err != nil {
		cmd.Process.Kill()
		return nil, fmt.Errorf("photo: start worker in %s: %w", k, errors.Join(err, cmd.Wait()))
	}
	w.id = pool.ProcessID(binary.LittleEndian.Uint64(hello[:]))
	return w, nil
}

// command returns what starts a worker: this program itself, or the interpreter with the program that lies beside this file.
func (f *fleet) command(k kind) (*exec.Cmd, error) {
	if k == inPython {
		return exec.CommandContext(f.ctx, f.python, "-c", pythonWorker), nil
	}
	self, err := os.Executable()
	return exec.CommandContext(f.ctx, self), err
}

// count returns how many workers there are of each kind.
func (f *fleet) count() map[kind]int {
	n := map[kind]int{}
	for _, w := range f.workers {
		n[w.kind]++
	}
	return n
}

// stop ends all workers: they leave when they find their input closed. It tells which ones did not end well.
func (f *fleet) stop() (err error) {
	for _, w := range f.workers {
		w.in.Close()
	}
	for _, w := range f.workers {
		err = errors.Join(err, w.cmd.Wait())
	}
	f.workers = nil
	f.file.Close()
	return err
}

// bury ends what a worker has to do with the pool, once its pipes are read to their end. When Wait returns, the kernel has
// dropped the lock that showed that it lived, so that Reap finds it dead. Nothing here would be lost if it were not done:
// all of it ends with this process. But the pool is wanted back now, and clean.
func (f *fleet) bury(w *worker, lost []handoff) error {
	w.cmd.Process.Kill()
	w.in.Close()
	_ = w.cmd.Wait() // how it died does not matter
	f.buried.Add(1)
	for _, h := range lost {
		// Jobs that it never took are taken back; those that it had taken are spent, and what it held of them is swept.
		if err := h.recall(f.pool); err != nil {
			return err
		}
	}
	if _, err := f.pool.Reap(); err != nil {
		return err
	}
	// A transfer that is directed at a living process is not swept, in case the news of it is still in some pipe. Here
	// there is none: what it sent and had no time to tell about is refused.
	n, err := f.pool.Refuse(w.id)
	f.refused.Add(int64(n))
	return err
}

// replace starts a worker in the place of one that was buried. Workers that die again and again end the run.
func (f *fleet) replace(i int, cause error) (err error) {
	if f.buried.Load() > int64(2*len(f.workers)) {
		return fmt.Errorf("photo: too many workers died, the last one of: %w", cause)
	}
	w, err := f.start(f.workers[i].kind)
	if err == nil {
		f.workers[i] = w
	}
	return err
}

// victims returns a worker of each kind that is asked for and there.
func (f *fleet) victims(kinds []kind) []*worker {
	found := map[kind]*worker{}
	for _, w := range f.workers {
		if slices.Contains(kinds, w.kind) {
			found[w.kind] = w
		}
	}
	return slices.Collect(maps.Values(found))
}

// handoff is a tile that a worker has, or is just being given.
type handoff struct {
	tile tile
	msg  handle.Message // of a job by handle
}

// recall takes the job's transfer back, if nobody took it.
func (h handoff) recall(p *pool.Pool) error {
	if h.msg.Ticket.IsZero() {
		return nil
	}
	if err := p.Recall(h.msg.Transfer()); !errors.Is(err, pool.ErrSpent) {
		return err
	}
	return nil
}

// metered counts the bytes that are written.
type metered struct {
	io.WriteCloser
	n *atomic.Uint64
}

func (m metered) Write(b []byte) (int, error) {
	n, err := m.WriteCloser.Write(b)
	m.n.Add(uint64(n))
	return n, err
}

// meteredReader counts the bytes that are read.
type meteredReader struct {
	io.Reader
	n *atomic.Uint64
}

func (m meteredReader) Read(b []byte) (int, error) {
	n, err := m.Reader.Read(b)
	m.n.Add(uint64(n))
	return n, err
}
