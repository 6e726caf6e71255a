package fuzz

import (
	"context"
	"fmt"
	"time"

	"github.com/ndpool/ndpool/dtype"
	"github.com/ndpool/ndpool/pool"
)

// What an actor does with streams and queues: see rings_test.go.

// ringLimits are those of the streams and of the queue.
var ringLimits = map[string]pool.RingOptions{"queue": {Entries: 6}, "some": {Entries: 3}, "every": {Entries: 2, Readers: 2, Lossless: true}}

// instant is how long who would wait does.
const instant = 2 * time.Millisecond

// rings are an actor's ends of the queue and of the streams.
type rings struct {
	queue   *pool.Queue
	items   map[int]*pool.QueueItem
	writers map[string]*pool.StreamWriter
	readers map[int]*pool.StreamReader
}

func (l *local) openRings() (err error) {
	l.rings = rings{items: map[int]*pool.QueueItem{}, writers: map[string]*pool.StreamWriter{}, readers: map[int]*pool.StreamReader{}}
	l.queue, err = l.p.Queue("queue", ringLimits["queue"])
	return err
}

// closeRings ends what an actor has of rings.
func (l *local) closeRings() {
	if l.queue == nil {
		return
	}
	for _, it := range l.items {
		it.Release()
	}
	for _, w := range l.writers {
		_ = w.Close()
	}
	for _, r := range l.readers {
		_ = r.Close()
	}
	_ = l.queue.Close()
	l.rings = rings{}
}

// ring does what concerns streams and queues, and reports false if it knows no such verb.
func (l *local) ring(q ask, r *answer) (known bool, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), instant)
	defer cancel()
	switch q.Verb {
	case "rings":
		return true, l.openRings()
	case "end-rings":
		l.closeRings()
	case "put", "put-bytes", "put-batch":
		err = l.put(ctx, q, r)
	case "get":
		return true, l.get(ctx, q, r)
	case "item":
		l.items[q.Ref].Release()
		delete(l.items, q.Ref)
	case "put-back":
		if err = l.queue.PutBack(ctx, l.items[q.Ref]); err == nil {
			delete(l.items, q.Ref)
		}
	case "shut":
		err = l.queue.Shut()
	case "length":
		r.N = l.queue.Len()
	default:
		return l.stream(ctx, q, r)
	}
	return true, err
}

// put puts arrays that are filled with Seed, Seed+1, ...: as one item, or each as one, or as a message.
func (l *local) put(ctx context.Context, q ask, r *answer) (err error) {
	if q.Verb == "put-bytes" {
		return l.queue.PutBytes(ctx, []byte{q.Seed, q.Seed})
	}
	var as []*pool.Array
	defer func() {
		for _, a := range as {
			a.Release()
		}
	}()
	for k := range q.Shape[0] {
		a, err := l.p.Alloc(dtype.Uint8, 1+k*1000)
		if err != nil {
			return err
		}
		as = append(as, a)
		if err := fill(a, q.Seed+byte(k)); err != nil {
			return err
		}
	}
	if q.Verb == "put" {
		return l.queue.Put(ctx, as[0], as[1:]...)
	}
	r.N, err = l.queue.PutBatch(ctx, as)
	return err
}

// get gets at most Shape[0] items, keeps them under the names from New on, and answers their bytes.
func (l *local) get(ctx context.Context, q ask, r *answer) error {
	its, err := l.queue.GetBatch(ctx, q.Shape[0])
	for k, it := range its {
		l.items[q.New+k] = it
		var seeds []byte
		for _, a := range append([]*pool.Array{it.Array}, it.Attached...) {
			b, err := a.Bytes()
			if err != nil {
				return err
			}
			if err := compare(a, b[0]); err != nil {
				return err
			}
			seeds = append(seeds, b[0])
		}
		r.Items = append(r.Items, item{Bytes: it.Kind == pool.ItemBytes, Seeds: seeds})
	}
	return err
}

// stream is ring for streams, whose path is in Dir.
func (l *local) stream(ctx context.Context, q ask, r *answer) (known bool, err error) {
	switch q.Verb {
	case "writer":
		var w *pool.StreamWriter
		if w, err = l.p.StreamWriter(q.Dir, ringLimits[q.Dir]); err == nil {
			l.writers[q.Dir] = w
		}
	case "end-writer":
		err = l.writers[q.Dir].Close()
		delete(l.writers, q.Dir)
	case "publish":
		a, err := l.p.Alloc(dtype.Uint8, 1+int(q.Seed)*10)
		if err != nil {
			return true, err
		}
		defer a.Release()
		if err := fill(a, q.Seed); err != nil {
			return true, err
		}
		r.Sequence, err = l.writers[q.Dir].Publish(ctx, a, pool.Attrs{"seed": int(q.Seed)})
		return true, err
	case "reader":
		var x *pool.StreamReader
		if x, err = l.p.StreamReader(q.Dir, pool.ReadOptions{Every: q.Flag, FromNow: q.Seed == 1}); err == nil {
			l.readers[q.New] = x
		}
	case "end-reader":
		err = l.readers[q.Ref].Close()
		delete(l.readers, q.Ref)
	case "latest", "next", "newest":
		return true, l.read(ctx, q, r)
	default:
		return false, nil
	}
	return true, err
}

// read reads a frame, keeps its array under the name New, and answers its byte.
func (l *local) read(ctx context.Context, q ask, r *answer) (err error) {
	var f *pool.Frame
	switch x := l.readers[q.Ref]; q.Verb {
	case "latest":
		f, err = x.Latest(ctx)
	case "next":
		f, err = x.Next(ctx)
	default:
		f, err = x.Newest()
	}
	if err != nil {
		return err
	}
	l.refs[q.New] = f.Array
	b, err := f.Array.Bytes()
	if err != nil {
		return err
	}
	r.Sequence, r.Skipped, r.N = f.Sequence, f.Skipped, int(b[0])
	if n, _ := f.Attrs["seed"].(int64); int(n) != r.N || !f.Array.IsReadOnly() {
		return fmt.Errorf("frame %d of %d: attributes %v, read-only %v", f.Sequence, r.N, f.Attrs, f.Array.IsReadOnly())
	}
	return compare(f.Array, b[0])
}
