package bench

import (
	"context"
	"fmt"
	"testing"

	"github.com/ndpool/ndpool/dtype"
	"github.com/ndpool/ndpool/pool"
)

// BenchmarkStream publishes a frame and takes it in the same process, so that nobody sleeps: what the verbs cost. Between
// processes see scripts/bench-streams.
func BenchmarkStream(b *testing.B) {
	ctx := context.Background()
	for _, size := range []int{64, 1 << 20} {
		for _, o := range []pool.RingOptions{{}, {Entries: 8}, {Entries: 8, Lossless: true}} {
			b.Run(fmt.Sprintf("size=%d/entries=%d/lossless=%v", size, max(1, o.Entries), o.Lossless), func(b *testing.B) {
				p := newPool(b, pool.Options{Capacity: 256 << 20})
				w := must(p.StreamWriter("s", o))
				r := must(p.StreamReader("s", pool.ReadOptions{Every: o.Lossless}))
				for b.Loop() {
					a := must(p.Alloc(dtype.Uint8, size))
					must(w.Publish(ctx, a))
					a.Release()
					must(r.Next(ctx)).Release()
				}
				_, _ = r.Close(), w.Close()
			})
		}
	}
}

// BenchmarkStreamAttrs is BenchmarkStream with attributes, which are stored as text and parsed.
func BenchmarkStreamAttrs(b *testing.B) {
	ctx := context.Background()
	p := newPool(b, pool.Options{Capacity: 64 << 20})
	w := must(p.StreamWriter("s"))
	r := must(p.StreamReader("s"))
	for b.Loop() {
		a := must(p.Alloc(dtype.Uint8, 64))
		must(w.Publish(ctx, a, pool.Attrs{"exposure": 0.01, "gain": int64(3)}))
		a.Release()
		must(r.Latest(ctx)).Release()
	}
	_, _ = r.Close(), w.Close()
}

// BenchmarkNewest looks at a frame that is there: what a reader does without the lock.
func BenchmarkNewest(b *testing.B) {
	p := newPool(b, pool.Options{Capacity: 64 << 20})
	w := must(p.StreamWriter("s"))
	a := must(p.Alloc(dtype.Uint8, 64))
	must(w.Publish(context.Background(), a))
	a.Release()
	r := must(p.StreamReader("s"))
	for b.Loop() {
		must(r.Newest()).Release()
	}
	_, _ = r.Close(), w.Close()
}

// BenchmarkQueue puts arrays and gets them, one at a time and in batches; figures are per array.
func BenchmarkQueue(b *testing.B) {
	ctx := context.Background()
	b.Run("one", func(b *testing.B) {
		p := newPool(b, pool.Options{Capacity: 64 << 20})
		q := must(p.Queue("", pool.RingOptions{Entries: 64}))
		for b.Loop() {
			a := must(p.Alloc(dtype.Uint8, 64))
			if err := q.Put(ctx, a); err != nil {
				b.Fatal(err)
			}
			a.Release()
			must(q.Get(ctx)).Release()
		}
		_ = q.Close()
	})
	b.Run("bytes", func(b *testing.B) {
		p := newPool(b, pool.Options{Capacity: 64 << 20})
		q := must(p.Queue("", pool.RingOptions{Entries: 64}))
		text := make([]byte, 64)
		for b.Loop() {
			if err := q.PutBytes(ctx, text); err != nil {
				b.Fatal(err)
			}
			must(q.Get(ctx)).Release()
		}
		_ = q.Close()
	})
	b.Run("batch=32", func(b *testing.B) { benchmarkBatch(b, 32) })
}

func benchmarkBatch(b *testing.B, n int) {
	ctx := context.Background()
	p := newPool(b, pool.Options{Capacity: 64 << 20})
	q := must(p.Queue("", pool.RingOptions{Entries: 64}))
	as := make([]*pool.Array, n)
	for k := 0; b.Loop(); k++ {
		as[k%n] = must(p.Alloc(dtype.Uint8, 64))
		if k%n < n-1 {
			continue
		}
		must(q.PutBatch(ctx, as))
		for _, a := range as {
			a.Release()
		}
		for _, it := range must(q.GetBatch(ctx, n)) {
			it.Release()
		}
	}
	_ = q.Close()
}
