package main

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"image"
	"io"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ndpool/ndpool/handle"
	"github.com/ndpool/ndpool/pool"
)

// handsOf a worker: tiles that it has at a time, so that it never waits for the next one.
const handsOf = 2

// run is one pass over all tiles. Each worker has a feeder, which writes jobs to it, and a reader, which reads results
// and puts them in their place.
//
// A tile is in exactly one place: waiting in todo, handed to a worker, or done. Those that a dead worker had go back to todo.
type run struct {
	*studio
	fleet *fleet
	how   transport
	todo  chan tile // has room for all tiles, so that putting one back never blocks; closed when all are done
	left  atomic.Int64
	done  atomic.Int64

	arrays     atomic.Int64 // passed, in both directions
	arrayBytes atomic.Int64 // of those

	mu     sync.Mutex
	redone map[int][]int // tiles that dead workers had, by pid; guarded by mu
	doneIn map[kind]int  // tiles, guarded by mu

	interrupted context.Context // ended by the first error
	fail        context.CancelCauseFunc
}

// run passes all tiles to the workers, and returns when the result is whole. Victims are killed on the way.
func (s *studio) run(ctx context.Context, f *fleet, how transport, victims []*worker) (runReport, error) {
	clear(s.out.Pix) // what another run has left must not count
	r := &run{studio: s, fleet: f, how: how, todo: make(chan tile, len(s.tiles)),
		redone: map[int][]int{}, doneIn: map[kind]int{}}
	r.interrupted, r.fail = context.WithCancelCause(ctx)
	defer r.fail(nil)
	for _, t := range s.tiles {
		r.todo <- t
	}
	r.left.Store(int64(len(s.tiles)))
	traffic, buried, cpu := f.traffic.Load(), f.buried.Load(), f.cpuSeconds()

	murders := make([]*killReport, len(victims))
	var wg sync.WaitGroup
	start := time.Now()
	for i, victim := range victims {
		wg.Go(func() { murders[i] = r.murder(victim) })
	}
	for i := range f.workers {
		wg.Go(func() {
			if err := r.serve(i); err != nil {
				r.fail(err)
			}
		})
	}
	wg.Wait()
	seconds := time.Since(start).Seconds()

	cpu = f.cpuSeconds() - cpu
	if f.buried.Load() != buried {
		cpu = 0 // nobody knows: the time of who died went with him
	}

	return runReport{Seconds: seconds, CPUSeconds: cpu, Arrays: r.arrays.Load(), ArrayBytes: r.arrayBytes.Load(), Tiles: r.doneIn,
		PipeBytes: int64(f.traffic.Load() - traffic), Kills: r.kills(murders)}, context.Cause(r.interrupted)
}

// kills returns the murders that happened, with the tiles that the victims had. All workers have ended, or are idle.
func (r *run) kills(murders []*killReport) (kills []killReport) {
	for _, m := range murders {
		if m != nil {
			m.Redone = slices.Sorted(slices.Values(r.redone[m.Pid]))
			kills = append(kills, *m)
		}
	}
	return kills
}

// serve keeps the worker in place i busy until all tiles are done, and replaces it when it dies.
func (r *run) serve(i int) error {
	for {
		w := r.fleet.workers[i]
		lost, cause := r.feedAndRead(w)
		if cause == nil || r.interrupted.Err() != nil {
			return nil
		}
		if err := r.fleet.bury(w, lost); err != nil {
			return err
		}
		for _, h := range lost {
			r.mu.Lock()
			r.redone[w.cmd.Process.Pid] = append(r.redone[w.cmd.Process.Pid], h.tile.number)
			r.mu.Unlock()
			r.todo <- h.tile
		}
		if err := r.fleet.replace(i, cause); err != nil {
			return err
		}
	}
}

// feedAndRead works with one worker until there are no more tiles or it fails. Then it returns what the worker had.
func (r *run) feedAndRead(w *worker) (lost []handoff, cause error) {
	handed := make(chan handoff, handsOf) // never full
	hands := make(chan struct{}, handsOf) // empty ones; never full
	for range handsOf {
		hands <- struct{}{}
	}
	gone := make(chan struct{})
	go r.feed(w, handed, hands, gone)
	for h := range handed {
		if cause == nil {
			if cause = r.receive(w, h.tile); cause == nil {
				hands <- struct{}{}
				continue
			}
			close(gone)
			w.cmd.Process.Kill() // whatever it was: this worker is asked no more
		}
		lost = append(lost, h)
	}
	return lost, cause
}

// feed gives a worker a tile for each empty hand, until there are no more tiles or it is gone. A tile counts as handed
// before it is written: if writing fails, the reader fails too.
func (r *run) feed(w *worker, handed chan<- handoff, hands, gone <-chan struct{}) {
	defer close(handed)
	for {
		select {
		case <-gone:
			return
		case <-hands:
		}
		select {
		case <-gone:
			return
		case <-r.interrupted.Done():
			return
		case t, ok := <-r.todo:
			if !ok {
				return
			}
			h, err := r.prepare(t)
			if err != nil {
				r.fail(err)
				return
			}
			handed <- h
			if r.send(w, h) != nil {
				return
			}
		}
	}
}

// prepare opens the transfer of a job by handle: a view of the image, which the transfer keeps alive by itself. Nobody
// else than this worker will see it, but views go undirected; bury recalls those that were not taken.
func (r *run) prepare(t tile) (h handoff, err error) {
	h.tile = t
	if r.how == throughPipes {
		return h, nil
	}
	view, err := r.array.View(pool.Range{Start: t.halo.Min.Y, Stop: t.halo.Max.Y}, pool.Range{Start: t.halo.Min.X, Stop: t.halo.Max.X})
	if err != nil {
		return h, err
	}
	defer view.Release()
	r.count(view)
	h.msg, err = view.Message()
	return h, err
}

// send writes a job: in one write, whether it is followed by a message or by pixels.
func (r *run) send(w *worker, h handoff) error {
	in, halo, half := h.tile.inner(), h.tile.halo, r.filter.half()
	buf := &w.jobs
	buf.Reset()
	j := job{How: r.how, Width: uint32(halo.Dx()), Height: uint32(halo.Dy()), X0: uint32(in.Min.X), Y0: uint32(in.Min.Y),
		X1: uint32(in.Max.X), Y1: uint32(in.Max.Y), Amount: r.filter.amount, Weights: uint32(len(half))}
	if err := errors.Join(binary.Write(buf, binary.LittleEndian, j), binary.Write(buf, binary.LittleEndian, half)); err != nil {
		return err
	}
	if r.how == byHandle {
		if err := handle.NewEncoder(buf).Encode(h.msg); err != nil {
			return err
		}
	} else {
		buf.Grow(halo.Dx() * halo.Dy() * channels)
		for _, row := range rowsOf(r.in, halo) {
			buf.Write(row)
		}
	}
	_, err := w.in.Write(buf.Bytes())
	return err
}

// receive reads one result, puts it in its place, and counts it.
func (r *run) receive(w *worker, t tile) error {
	get := r.receivePixels
	if r.how == byHandle {
		get = r.receiveArray
	}
	if err := get(w, t.area); err != nil {
		return err
	}
	r.mu.Lock()
	r.doneIn[w.kind]++
	r.mu.Unlock()
	r.done.Add(1)
	if r.left.Add(-1) == 0 {
		close(r.todo)
	}
	return nil
}

// receiveArray adopts a result. The worker is not trusted to have sent the right one: what does not fit counts as its failure.
func (r *run) receiveArray(w *worker, area image.Rectangle) error {
	var b [handle.TransferSize]byte
	if _, err := io.ReadFull(w.out, b[:]); err != nil {
		return err
	}
	var t handle.Transfer
	if err := t.UnmarshalBinary(b[:]); err != nil {
		return err
	}
	a, err := r.pool.Adopt(t)
	if err != nil {
		return err
	}
	defer a.Release() // the last reference: the memory is free for the next tile
	pixels, err := pool.Slice[uint8](a)
	if err != nil {
		return err
	}
	if want := []int{area.Dy(), area.Dx(), channels}; !slices.Equal(a.Shape(), want) {
		return fmt.Errorf("result of shape %v, expected %v", a.Shape(), want)
	}
	r.count(a)
	place(r.out, area, pixels)
	return nil
}

func (r *run) receivePixels(w *worker, area image.Rectangle) error {
	w.result = sized(w.result, area.Dx()*area.Dy()*channels)
	if _, err := io.ReadFull(w.out, w.result); err != nil {
		return err
	}
	place(r.out, area, w.result)
	return nil
}

// count counts an array that is passed instead of its bytes.
func (r *run) count(a *pool.Array) {
	r.arrays.Add(1)
	r.arrayBytes.Add(int64(a.Size()))
}
