package pool

import (
	"fmt"
	"slices"
	"time"

	"github.com/ndpool/ndpool/dtype"
	"github.com/ndpool/ndpool/handle"
)

// scenario is an operation that a process may die in. prepare runs before and returns the operation. The victim dies;
// peer is another attachment, which the operation may need.
type scenario struct {
	name    string
	prepare func(victim, peer *Pool) (op func() error, err error)
}

// smallPool is a pool whose tables are small, so that a recovery has few stores.
var smallPool = Options{Capacity: 256 << 10, Arrays: 48, Tickets: 8, Names: 12, Processes: 6, Grace: time.Nanosecond, LockWait: 5 * time.Second}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// allocN allocates n arrays of a size.
func allocN(p *Pool, n, size int) []*Array {
	as := make([]*Array, n)
	for i := range as {
		as[i] = must(p.Alloc(dtype.Uint8, size))
	}
	return as
}

func allocOp(dt dtype.Type, shape ...int) func(v, _ *Pool) (func() error, error) {
	return func(v, _ *Pool) (func() error, error) {
		return func() error { _, err := v.Alloc(dt, shape...); return err }, nil
	}
}

// scenarios are all operations that store to shared memory.
var scenarios = slices.Concat(nameScenarios, lockScenarios, ringScenarios, gapScenarios, []scenario{
	{"alloc-refill", allocOp(dtype.Uint8, 1000)},
	{"alloc-pages", allocOp(dtype.Uint8, 9000)},
	{"alloc-large", allocOp(dtype.Uint8, 100_000)},
	{"alloc-many-dims", allocOp(dtype.Int16, 1, 2, 1, 2, 1, 2, 1, 2, 1, 3)},
	{"alloc-structured", allocOp(must(dtype.Parse(`{"itemsize":8,"fields":[["x","<f4",0],["y","<i2",4]]}`)), 7)},
	{"alloc-cached", func(v, _ *Pool) (func() error, error) {
		must(v.Alloc(dtype.Uint8, 1000)).Release()
		return func() error { _, err := v.Alloc(dtype.Uint8, 900); return err }, nil
	}},
	{"alloc-steal", func(v, peer *Pool) (func() error, error) {
		for _, a := range allocN(peer, 3, 60_000) {
			a.Release()
		}
		return func() error { _, err := v.Alloc(dtype.Uint8, 150_000); return err }, nil
	}},
	{"alloc-refused", func(v, _ *Pool) (func() error, error) {
		return func() error {
			if _, err := v.Alloc(dtype.Uint8, 300_000); err == nil {
				return fmt.Errorf("fits")
			}
			return nil
		}, nil
	}},
	{"release-private", func(v, _ *Pool) (func() error, error) {
		a := must(v.Alloc(dtype.Uint8, 1000))
		return func() error { a.Release(); return nil }, nil
	}},
	{"release-last", func(v, _ *Pool) (func() error, error) {
		a := must(v.Alloc(dtype.Uint8, 1000))
		a.Handle()
		return func() error { a.Release(); return nil }, nil
	}},
	{"release-shared", func(v, peer *Pool) (func() error, error) {
		a := must(v.Alloc(dtype.Uint8, 1000))
		must(peer.Retain(a.Handle()))
		return func() error { a.Release(); return nil }, nil
	}},
	{"release-large-then-alloc", func(v, _ *Pool) (func() error, error) {
		a := must(v.Alloc(dtype.Uint8, 100_000))
		return func() error { a.Release(); _, err := v.Alloc(dtype.Uint8, 110_000); return err }, nil
	}},
	{"share", func(v, _ *Pool) (func() error, error) {
		a := must(v.Alloc(dtype.Uint8, 1000))
		return func() error { a.Handle(); return nil }, nil
	}},
	{"retain", func(v, peer *Pool) (func() error, error) {
		h := must(peer.Alloc(dtype.Uint8, 1000)).Handle()
		return func() error { _, err := v.Retain(h); return err }, nil
	}},
	{"send", func(v, _ *Pool) (func() error, error) {
		a := must(v.Alloc(dtype.Uint8, 1000))
		return func() error { _, err := a.Send(); return err }, nil
	}},
	{"send-again-release", func(v, _ *Pool) (func() error, error) {
		a := must(v.Alloc(dtype.Uint8, 1000))
		must(a.Send())
		return func() error { _, err := a.Send(); a.Release(); return err }, nil
	}},
	{"send-to", func(v, peer *Pool) (func() error, error) {
		a := must(v.Alloc(dtype.Uint8, 1000))
		return func() error { _, err := a.SendTo(peer.Self()); a.Release(); return err }, nil
	}},
	{"adopt", func(v, peer *Pool) (func() error, error) {
		t := must(must(peer.Alloc(dtype.Uint8, 1000)).Send())
		return func() error { _, err := v.Adopt(t); return err }, nil
	}},
	{"adopt-sole", func(v, peer *Pool) (func() error, error) {
		a := must(peer.Alloc(dtype.Uint8, 1000))
		t := must(a.Send())
		a.Release()
		return func() error { _, err := v.Adopt(t); return err }, nil
	}},
	{"adopt-directed-release", func(v, peer *Pool) (func() error, error) {
		a := must(peer.Alloc(dtype.Uint8, 1000))
		t := must(a.SendTo(v.Self()))
		a.Release()
		return func() error {
			b, err := v.Adopt(t)
			if err == nil {
				b.Release()
			}
			return err
		}, nil
	}},
	{"recall", func(v, _ *Pool) (func() error, error) {
		a := must(v.Alloc(dtype.Uint8, 1000))
		t := must(a.Send())
		a.Release()
		return func() error { return v.Recall(t) }, nil
	}},
	{"recall-older", func(v, _ *Pool) (func() error, error) {
		for range 3 {
			must(must(v.Alloc(dtype.Uint8, 1000)).Send())
		}
		return func() error { _, err := v.RecallOlder(0); return err }, nil
	}},
	{"seal", func(v, _ *Pool) (func() error, error) {
		a := must(v.Zeros(dtype.Uint8, 1000))
		return func() error { return a.Seal(true) }, nil
	}},
	{"trim", func(v, _ *Pool) (func() error, error) {
		must(v.Alloc(dtype.Uint8, 100_000)).Release()
		return func() error { _, err := v.Trim(); return err }, nil
	}},
	{"close", func(v, _ *Pool) (func() error, error) {
		a := must(v.Alloc(dtype.Uint8, 1000))
		must(a.Send())
		a.Release()
		must(v.Alloc(dtype.Uint8, 100_000)).Release()
		return v.Close, nil
	}},
	{"receive-view", func(v, peer *Pool) (func() error, error) {
		a := must(peer.Alloc(dtype.Uint8, 10, 100))
		w := must(a.View(Range{2, 8, 2}))
		m := must(w.Message())
		var _ handle.Message = m
		return func() error { _, err := v.Receive(m); return err }, nil
	}},
})
