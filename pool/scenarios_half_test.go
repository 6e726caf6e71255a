//go:build ndpool_crash

package pool

import "github.com/ndpool/ndpool/handle"

// halfDone are scenarios that leave what a death may leave in the middle of another one that is not all or nothing: a part of a
// batch; the oldest frame dropped, and the new one not there yet.
var halfDone = map[string]scenario{
	"queue-put-batch": {"", putOp(2, func(q *Queue, as []*Array) error { return q.Put(ever, as[0]) })},
	"queue-get-batch": {"", queueOp(3, func(q *Queue) error { _, err := q.Get(ever); return err })},
	"stream-publish-evict": {"", func(v, peer *Pool) (func() error, error) {
		stream(peer, RingOptions{Entries: 1}, 1)
		return dropOp(v), nil
	}},
	"stream-publish-lossless": {"", func(v, _ *Pool) (func() error, error) {
		publishOne(must(v.StreamWriter("s", lossless1)), 1)
		return dropOp(v), nil
	}},
}

// dropOp drops the oldest frame of the stream.
func dropOp(v *Pool) func() error {
	i, _ := v.liveBlock(valueHandle(v, "s"))
	r := overRing(v.arena, i)
	r.p = v
	return func() error {
		r.drop()
		return nil
	}
}

// valueHandle returns the handle that a name stands for.
func valueHandle(p *Pool, path string) handle.Handle {
	return handle.Handle(valueOf(&p.arena.Names[must(p.names.Find(path))]).Array.Load())
}
