package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"sync/atomic"
	"time"
)

// flow is bytes on their way from or to a file: counted for the progress line, and stopped when the process is told to end.
type flow struct {
	ctx   context.Context
	done  atomic.Uint64
	total uint64 // 0 if it is not known
}

// step bounds what is read or written between two looks at the context.
const step = 1 << 20

var errInterrupted = errors.New("interrupted")

// begin returns a flow, and what ends it. Who is stuck in a pipe when the process is told to end cannot look at the context;
// then the process just ends, which leaves as little behind as a kill does.
func (e *env) begin(what string, total uint64) (f *flow, end func()) {
	ctx, stop := interruptible()
	stuck := context.AfterFunc(ctx, func() {
		time.Sleep(time.Second)
		os.Exit(exitFault)
	})
	f = &flow{ctx: ctx, total: total}
	quiet := e.progress(func() string { return what + f.text() })
	return f, func() {
		stuck()
		stop()
		quiet()
	}
}

// text tells how far it is.
func (f *flow) text() string {
	if f.total == 0 {
		return fmt.Sprintf(": %s", human(f.done.Load()))
	}
	return fmt.Sprintf(": %s of %s (%s)", human(f.done.Load()), human(f.total), percent(min(f.done.Load(), f.total), f.total))
}

// move does one read or write, unless the process is told to end, and counts its bytes.
func (f *flow) move(do func([]byte) (int, error), b []byte) (int, error) {
	if f.ctx.Err() != nil {
		return 0, errInterrupted
	}
	n, err := do(b)
	f.done.Add(uint64(n))
	return n, err
}

// reader is a reader whose bytes count.
type reader struct {
	*flow
	r io.Reader
}

func (r reader) Read(b []byte) (int, error) { return r.move(r.r.Read, b[:min(len(b), step)]) }

// readerAt is a file whose bytes count.
type readerAt struct {
	*flow
	r io.ReaderAt
}

func (r readerAt) ReadAt(b []byte, off int64) (int, error) {
	return r.move(func(b []byte) (int, error) { return r.r.ReadAt(b, off) }, b)
}

// writer is a writer whose bytes count.
type writer struct {
	*flow
	w io.Writer
}

func (w writer) Write(b []byte) (n int, err error) {
	for n < len(b) && err == nil {
		k := 0
		k, err = w.move(w.w.Write, b[n:min(len(b), n+step)])
		n += k
	}
	return n, err
}
