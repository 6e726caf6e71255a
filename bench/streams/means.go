package main

import (
	"context"
	"encoding/binary"
	"errors"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ndpool/ndpool/dtype"
	"github.com/ndpool/ndpool/pool"
)

// now is CLOCK_MONOTONIC in nanoseconds, which all processes share. Go's own clock is it, from another zero, and takes no system
// call.
func now() int64 { return offset + int64(time.Since(zero)) }

var zero, offset = startClock()

// startClock takes the closest of some pairs of readings.
func startClock() (zero time.Time, offset int64) {
	best := time.Hour
	for range 20 {
		var ts unix.Timespec
		before := time.Now()
		if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts); err != nil {
			panic(err)
		}
		if d := time.Since(before); d < best {
			best, zero, offset = d, before, ts.Nano()-int64(d/2)
		}
	}
	return zero, offset
}

func stamp(b []byte, last uint64) {
	binary.NativeEndian.PutUint64(b[8:], last)
	binary.NativeEndian.PutUint64(b, uint64(now()))
}

func look(b []byte, at int64) (uint64, uint64, int64, error) {
	return binary.NativeEndian.Uint64(b), binary.NativeEndian.Uint64(b[8:]), at, nil
}

// shared is what streams and queues have in common.
type shared struct{ p *pool.Pool }

func (s shared) begin(int) {}

// fill brings a message into the pool.
func (s shared) fill(source []byte, last uint64) (*pool.Array, error) {
	a, err := s.p.Alloc(dtype.Uint8, len(source))
	if err != nil {
		return nil, err
	}
	b, err := a.Bytes()
	if err != nil {
		return nil, err
	}
	copy(b, source)
	stamp(b, last)
	return a, nil
}

func openPool(c config) (shared, error) {
	p, err := pool.Open("bench", pool.Options{Dir: c.Dir})
	return shared{p}, err
}

type streams struct {
	shared
	out, lossless, backOut *pool.StreamWriter
	in, every, back        *pool.StreamReader
}

func openStreams(c config) (_ means, err error) {
	s := &streams{}
	if s.shared, err = openPool(c); err != nil {
		return nil, err
	}
	var errs [3]error
	if c.Role == "writer" {
		s.out, errs[0] = s.p.StreamWriter("idle")
		s.lossless, errs[1] = s.p.StreamWriter("every", pool.RingOptions{Entries: deep, Lossless: true})
		s.back, errs[2] = s.p.StreamReader("back")
		return s, errors.Join(errs[:]...)
	}
	s.in, errs[0] = s.p.StreamReader("idle")
	s.every, errs[1] = s.p.StreamReader("every", pool.ReadOptions{Every: true})
	if c.Index == 0 {
		s.backOut, errs[2] = s.p.StreamWriter("back")
	}
	return s, errors.Join(errs[:]...)
}

func (s *streams) publish(ctx context.Context, w *pool.StreamWriter, source []byte, last uint64) error {
	a, err := s.fill(source, last)
	if err != nil {
		return err
	}
	_, err = w.Publish(ctx, a)
	a.Release()
	return err
}

func (s *streams) send(ctx context.Context, kind string, source []byte, last uint64) error {
	if kind == "stream" {
		return s.publish(ctx, s.lossless, source, last)
	}
	return s.publish(ctx, s.out, source, last)
}

func (s *streams) take(ctx context.Context, kind string) (_, _ uint64, _ int64, err error) {
	var f *pool.Frame
	if kind == "stream" {
		f, err = s.every.Next(ctx)
	} else {
		f, err = s.in.Latest(ctx)
	}
	if err != nil {
		return 0, 0, 0, err
	}
	t := now()
	defer f.Release()
	b, err := f.Array.Bytes()
	if err != nil {
		return 0, 0, 0, err
	}
	return look(b, t)
}

func (s *streams) answer(ctx context.Context, source []byte) error {
	return s.publish(ctx, s.backOut, source, 0)
}

func (s *streams) answered(ctx context.Context) error {
	f, err := s.back.Latest(ctx)
	if err == nil {
		f.Release()
	}
	return err
}

func (s *streams) close() error {
	for _, w := range []*pool.StreamWriter{s.out, s.lossless, s.backOut} {
		if w != nil {
			_ = w.Close()
		}
	}
	for _, r := range []*pool.StreamReader{s.in, s.every, s.back} {
		if r != nil {
			_ = r.Close()
		}
	}
	return s.p.Close()
}

type queues struct {
	shared
	out, back *pool.Queue
	readers   int
}

func openQueues(c config) (_ means, err error) {
	q := &queues{readers: c.Readers}
	if q.shared, err = openPool(c); err != nil {
		return nil, err
	}
	var errs [2]error
	q.out, errs[0] = q.p.Queue("out", pool.RingOptions{Entries: deep})
	q.back, errs[1] = q.p.Queue("answers")
	return q, errors.Join(errs[:]...)
}

func (q *queues) put(ctx context.Context, to *pool.Queue, source []byte, last uint64) error {
	a, err := q.fill(source, last)
	if err != nil {
		return err
	}
	err = to.Put(ctx, a)
	a.Release()
	return err
}

// send puts a message for one reader, or the last one for each.
func (q *queues) send(ctx context.Context, _ string, source []byte, last uint64) (err error) {
	for n := max(1, int(last)*q.readers); n > 0 && err == nil; n-- {
		err = q.put(ctx, q.out, source, last)
	}
	return err
}

func (q *queues) take(ctx context.Context, _ string) (_, _ uint64, _ int64, err error) {
	it, err := q.out.Get(ctx)
	if err != nil {
		return 0, 0, 0, err
	}
	t := now()
	defer it.Release()
	b, err := it.Array.Bytes()
	if err != nil {
		return 0, 0, 0, err
	}
	return look(b, t)
}

func (q *queues) answer(ctx context.Context, source []byte) error {
	return q.put(ctx, q.back, source, 0)
}

func (q *queues) answered(ctx context.Context) error {
	it, err := q.back.Get(ctx)
	if err == nil {
		it.Release()
	}
	return err
}

func (q *queues) close() error { return errors.Join(q.out.Close(), q.back.Close(), q.p.Close()) }

// pipes are one pipe for each reader, and one back from each.
type pipes struct {
	out, back []*os.File
	into      []byte
}

func openPipes(c config) means {
	p := &pipes{}
	for _, fd := range c.Out {
		p.out = append(p.out, os.NewFile(uintptr(fd), "out"))
	}
	for _, fd := range c.Back {
		p.back = append(p.back, os.NewFile(uintptr(fd), "back"))
	}
	return p
}

func (p *pipes) begin(size int) { p.into = make([]byte, size) }

func (p *pipes) send(_ context.Context, _ string, source []byte, last uint64) error {
	for _, f := range p.out {
		stamp(source, last)
		if _, err := f.Write(source); err != nil {
			return err
		}
	}
	return nil
}

func (p *pipes) take(context.Context, string) (_, _ uint64, _ int64, err error) {
	if err := fill(p.out[0], p.into); err != nil {
		return 0, 0, 0, err
	}
	return look(p.into, now())
}

func fill(f *os.File, b []byte) error {
	for len(b) > 0 {
		n, err := f.Read(b)
		if err != nil {
			return err
		}
		b = b[n:]
	}
	return nil
}

func (p *pipes) answer(_ context.Context, source []byte) error {
	_, err := p.back[0].Write(source)
	return err
}

func (p *pipes) answered(context.Context) error { return fill(p.back[0], make([]byte, small)) }

func (p *pipes) close() error { return nil }
