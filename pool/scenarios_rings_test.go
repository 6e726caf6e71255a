package pool

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/ndpool/ndpool/arena/layout"
	"github.com/ndpool/ndpool/handle"
)

// What is left of a ring when a process has died shows whether an item was put or got as a whole. All rings here have names that
// go with the pool, but where they say so.

var ever = context.Background()

// ringText tells all of a ring that a crash must leave whole: what is in it, and that the bytes of each array are of one kind.
func ringText(p *Pool, h handle.Handle) (text string, ok bool, err error) {
	if err := p.lock(); err != nil {
		return "", false, err
	}
	defer p.unlock()
	i, ok := p.liveBlock(h)
	if !ok || p.desc(i).Flags.Load()&layout.DescRing == 0 {
		return "", false, nil
	}
	var b strings.Builder
	r := overRing(p.arena, i)
	fmt.Fprintf(&b, "%v of %d, state %d, from %d:", layout.RingKind(r.ring.Kind.Load()), len(r.entries), r.ring.State.Load(), r.ring.Tail.Load())
	for s := r.ring.Tail.Load(); s != r.ring.Head.Load(); s++ {
		e := r.entry(s)
		what, err := bytesOf(p, handle.Handle(e.Array.Load()))
		if err != nil {
			return "", false, fmt.Errorf("position %d: %w", s, err)
		}
		fmt.Fprintf(&b, " %#x:%s", e.Word.Load(), what)
		if at := handle.Handle(e.Attributes.Load()); at != 0 {
			j, _ := p.liveBlock(at)
			text, err := p.attrText(j)
			fmt.Fprint(&b, string(text))
			if err != nil {
				return "", false, err
			}
		}
	}
	return b.String(), true, nil
}

// bytesOf tells the byte of which all bytes of an array are.
func bytesOf(p *Pool, h handle.Handle) (string, error) {
	i, ok := p.liveBlock(h)
	if !ok {
		return "", fmt.Errorf("%v is gone", h)
	}
	e, _ := p.extent(i)
	b := p.arena.Data(e.Offset(), p.desc(i).Bytes.Load())
	for k := range b {
		if b[k] != b[0] {
			return "", fmt.Errorf("%v: byte %d is %d, others are %d", h, k, b[k], b[0])
		}
	}
	return fmt.Sprint(b[0]), nil
}

// stream has the peer make a stream and publish so many frames, and ends the writer.
func stream(peer *Pool, o RingOptions, frames int) {
	w := must(peer.StreamWriter("s", o))
	for k := range frames {
		publishOne(w, byte(k+1))
	}
	if err := w.Close(); err != nil {
		panic(err)
	}
}

func publishOne(w *StreamWriter, n byte, at ...Attrs) {
	a := marked(w.ref.pool, n)
	must(w.Publish(ever, a, at...))
	a.Release()
}

// queue has the peer make a queue of four entries with so many items.
func queue(peer *Pool, path string, items int) *Queue {
	q := must(peer.Queue(path, RingOptions{Entries: 4}))
	for k := range items {
		a := marked(peer, byte(k+1))
		if err := q.Put(ever, a); err != nil {
			panic(err)
		}
		a.Release()
	}
	return q
}

// writeOp is a scenario in which the victim writes a stream of the peer's, and publishes a frame.
func writeOp(o RingOptions, frames int, at ...Attrs) func(v, peer *Pool) (func() error, error) {
	return func(v, peer *Pool) (func() error, error) {
		stream(peer, o, frames)
		w, err := v.StreamWriter("s")
		warm(v)
		a := marked(v, 99)
		return func() error {
			_, err := w.Publish(ever, a, at...)
			a.Release()
			return err
		}, err
	}
}

// readOp is a scenario in which the victim reads a stream of two frames.
func readOp(o RingOptions, how ReadOptions, op func(r *StreamReader) error) func(v, peer *Pool) (func() error, error) {
	return func(v, peer *Pool) (func() error, error) {
		stream(peer, o, 2)
		r, err := v.StreamReader("s", how)
		return func() error { return op(r) }, err
	}
}

func release(f *Frame, err error) error {
	if err == nil {
		f.Release()
	}
	return err
}

// queueOp is a scenario in which the victim does something with a queue of the peer's.
func queueOp(items int, op func(q *Queue) error) func(v, peer *Pool) (func() error, error) {
	return func(v, peer *Pool) (func() error, error) {
		queue(peer, "q", items)
		warm(v)
		q, err := v.Queue("q")
		return func() error { return op(q) }, err
	}
}

// putOp is a queueOp that puts n arrays, and releases them.
func putOp(n int, op func(q *Queue, as []*Array) error) func(v, peer *Pool) (func() error, error) {
	return func(v, peer *Pool) (func() error, error) {
		queue(peer, "q", 1)
		q, err := v.Queue("q")
		var as []*Array
		for k := range n {
			as = append(as, marked(v, byte(90+k)))
		}
		return func() error {
			err := op(q, as)
			for _, a := range as {
				a.Release()
			}
			return err
		}, err
	}
}

var (
	lossless  = RingOptions{Entries: 3, Readers: 2, Lossless: true}
	lossless1 = RingOptions{Entries: 1, Readers: 2, Lossless: true}
	two       = RingOptions{Entries: 2}
)

// ringScenarios are the operations on streams and queues.
var ringScenarios = []scenario{
	{"stream-make", func(v, _ *Pool) (func() error, error) {
		return func() error { _, err := v.StreamWriter("g/s", lossless); return err }, nil
	}},
	{"stream-begin", func(v, peer *Pool) (func() error, error) {
		stream(peer, two, 1)
		return func() error { _, err := v.StreamWriter("s"); return err }, nil
	}},
	{"stream-end", func(v, peer *Pool) (func() error, error) {
		stream(peer, two, 1)
		w := must(v.StreamWriter("s"))
		return w.Close, nil
	}},
	{"stream-publish", writeOp(two, 1)},
	{"stream-publish-attributes", writeOp(two, 0, Attrs{"k": 1})},
	{"stream-publish-evict", writeOp(RingOptions{Entries: 1}, 1)},
	{"stream-publish-lossless", func(v, peer *Pool) (func() error, error) {
		w := must(v.StreamWriter("s", lossless1))
		r := must(peer.StreamReader("s", ReadOptions{Every: true}))
		publishOne(w, 1)
		must(r.Next(ever)).Release()
		a := marked(v, 99)
		return func() error { _, err := w.Publish(ever, a); return err }, nil
	}},
	{"stream-enter", func(v, peer *Pool) (func() error, error) {
		stream(peer, lossless, 1)
		return func() error { _, err := v.StreamReader("s", ReadOptions{Every: true}); return err }, nil
	}},
	{"stream-next", readOp(lossless, ReadOptions{Every: true}, func(r *StreamReader) error { _, err := r.Next(ever); return err })},
	{"stream-latest", readOp(two, ReadOptions{}, func(r *StreamReader) error { return release(r.Latest(ever)) })},
	{"stream-leave", readOp(lossless, ReadOptions{Every: true}, (*StreamReader).Close)},
	{"stream-remove", func(v, peer *Pool) (func() error, error) {
		stream(peer, two, 2)
		return func() error { return v.Remove("s") }, nil
	}},
	{"queue-make", func(v, _ *Pool) (func() error, error) {
		return func() error { _, err := v.Queue("g/q", RingOptions{Entries: 4, Persistent: true}); return err }, nil
	}},
	{"queue-put", putOp(1, func(q *Queue, as []*Array) error { return q.Put(ever, as[0]) })},
	{"queue-put-bytes", queueOp(1, func(q *Queue) error { return q.PutBytes(ever, []byte("bytes")[:1]) })},
	{"queue-put-attached", putOp(3, func(q *Queue, as []*Array) error { return q.Put(ever, as[0], as[1:]...) })},
	{"queue-put-batch", putOp(2, func(q *Queue, as []*Array) error { _, err := q.PutBatch(ever, as); return err })},
	{"queue-get", queueOp(2, func(q *Queue) error { _, err := q.Get(ever); return err })},
	{"queue-get-release", queueOp(1, func(q *Queue) error {
		it, err := q.Get(ever)
		if err == nil {
			it.Release()
		}
		return err
	})},
	{"queue-get-batch", queueOp(3, func(q *Queue) error { _, err := q.GetBatch(ever, 2); return err })},
	{"queue-get-attached", func(v, peer *Pool) (func() error, error) {
		q := queue(peer, "q", 0)
		a, b := marked(peer, 1), marked(peer, 2)
		if err := q.Put(ever, a, b, b); err != nil {
			return nil, err
		}
		a.Release()
		b.Release()
		q = must(v.Queue("q"))
		return func() error { _, err := q.Get(ever); return err }, nil
	}},
	{"queue-put-back", func(v, peer *Pool) (func() error, error) {
		queue(peer, "q", 2)
		q := must(v.Queue("q"))
		it := must(q.Get(ever))
		return func() error { return q.PutBack(ever, it) }, nil
	}},
	{"queue-shut", queueOp(1, (*Queue).Shut)},
	{"queue-remove", func(v, peer *Pool) (func() error, error) {
		queue(peer, "q", 2)
		return func() error { return v.Remove("q") }, nil
	}},
	{"queue-drain", func(v, _ *Pool) (func() error, error) { return queue(v, "", 3).Close, nil }},
	{"queue-adopt", func(v, peer *Pool) (func() error, error) {
		q := queue(peer, "", 2)
		t, err := q.Send()
		if err := errors.Join(err, q.Close()); err != nil {
			return nil, err
		}
		return func() error { _, err := v.AdoptQueue(t); return err }, nil
	}},
	{"rings-close", func(v, peer *Pool) (func() error, error) {
		w := must(v.StreamWriter("s", lossless))
		publishOne(w, 1)
		must(v.StreamReader("s", ReadOptions{Every: true}))
		queue(v, "q", 2)
		must(v.Queue("kept", RingOptions{Entries: 2, Persistent: true}))
		_ = peer
		return v.Close, nil
	}},
}
