package bench

import (
	"context"
	"testing"

	"github.com/ndpool/ndpool/dtype"
	"github.com/ndpool/ndpool/pool"
)

// What the verbs of streams and queues cost by themselves: one process, one goroutine, nobody who waits.

func BenchmarkPublishLatest(b *testing.B) {
	p := newPool(b, pool.Options{Capacity: 64 << 20})
	defer p.Close()
	w := must(p.StreamWriter("s"))
	defer w.Close()
	r := must(p.StreamReader("s"))
	defer r.Close()
	ctx := context.Background()
	b.ReportAllocs()
	for b.Loop() {
		a := must(p.Alloc(dtype.Uint8, 64))
		must(w.Publish(ctx, a))
		a.Release()
		must(r.Latest(ctx)).Release()
	}
}

func BenchmarkPutGet(b *testing.B) {
	p := newPool(b, pool.Options{Capacity: 64 << 20})
	defer p.Close()
	q := must(p.Queue("q"))
	defer q.Close()
	ctx := context.Background()
	a := must(p.Alloc(dtype.Uint8, 64))
	defer a.Release()
	b.ReportAllocs()
	for b.Loop() {
		if err := q.Put(ctx, a); err != nil {
			b.Fatal(err)
		}
		must(q.Get(ctx)).Release()
	}
}

// BenchmarkNewestAlone is reading alone, which takes no lock.
func BenchmarkNewestAlone(b *testing.B) {
	p := newPool(b, pool.Options{Capacity: 64 << 20})
	defer p.Close()
	w := must(p.StreamWriter("s"))
	defer w.Close()
	r := must(p.StreamReader("s"))
	defer r.Close()
	must(pool.PublishValue(context.Background(), w, new(float64)))
	b.ReportAllocs()
	for b.Loop() {
		must(r.Newest()).Release()
	}
}
