package bench

import (
	"fmt"
	"math/rand/v2"
	"os"
	"testing"
	"time"

	"github.com/ndpool/ndpool/dtype"
	"github.com/ndpool/ndpool/handle"
	"github.com/ndpool/ndpool/internal/selfexec"
	"github.com/ndpool/ndpool/pool"
)

// newPool creates a pool in a directory of its own and removes both when the benchmark ends.
func newPool(b testing.TB, o pool.Options) *pool.Pool {
	b.Helper()
	dir, err := os.MkdirTemp(pool.DefaultDir, "ndpool-bench-")
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { os.RemoveAll(dir) })
	o.Dir = dir
	p, err := pool.Create("bench", o)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { p.Close() })
	return p
}

// attach opens another attachment of a pool.
func attach(b testing.TB, p *pool.Pool) *pool.Pool {
	b.Helper()
	f, err := p.File()
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	q, err := pool.Open("", pool.Options{File: f})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { q.Close() })
	return q
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// Allocate and release one block of a cached size, without the Go value.
func BenchmarkPairBlock(b *testing.B) {
	p := newPool(b, pool.Options{Capacity: 64 << 20})
	b.ReportAllocs()
	for b.Loop() {
		must(p.AllocBlock(4096)).Release()
	}
}

// The same with *Array.
func BenchmarkPairArray(b *testing.B) {
	p := newPool(b, pool.Options{Capacity: 64 << 20})
	b.ReportAllocs()
	for b.Loop() {
		must(p.Alloc(dtype.Float32, 32, 32)).Release()
	}
}

// The same for 1 MiB, of one length and of two by turns: the latter takes the segment lock.
func BenchmarkPairLarge(b *testing.B)   { pairOf(b, 1<<20, 1<<20) }
func BenchmarkPairLengths(b *testing.B) { pairOf(b, 1<<20, 1<<20+4096) }

func pairOf(b *testing.B, sizes ...int) {
	p := newPool(b, pool.Options{Capacity: 64 << 20})
	b.ReportAllocs()
	for n := 0; b.Loop(); n++ {
		must(p.AllocBlock(sizes[n%len(sizes)])).Release()
	}
}

// The pair in several goroutines of one process.
func BenchmarkPairParallel(b *testing.B) {
	p := newPool(b, pool.Options{Capacity: 64 << 20})
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			must(p.AllocBlock(4096)).Release()
		}
	})
}

// The pair, beside another process that does the same on the same pool.
func BenchmarkPairTwoProcesses(b *testing.B) {
	p := newPool(b, pool.Options{Capacity: 64 << 20})
	f := must(p.File())
	defer f.Close()
	cmd := selfexec.Command()
	cmd.Env = append(os.Environ(), "NDPOOL_BENCH_CHILD=1")
	cmd.ExtraFiles = []*os.File{f}
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	defer cmd.Wait()
	defer cmd.Process.Kill()
	time.Sleep(100 * time.Millisecond)
	for b.Loop() {
		must(p.AllocBlock(4096)).Release()
	}
}

func TestMain(m *testing.M) {
	if os.Getenv("NDPOOL_BENCH_CHILD") != "" {
		p := must(pool.Open("", pool.Options{File: os.NewFile(3, "pool")}))
		for {
			must(p.AllocBlock(4096)).Release()
		}
	}
	os.Exit(m.Run())
}

// Random churn of mixed sizes up to 64 KiB among a number of live blocks: one release and one allocation.
func BenchmarkChurn(b *testing.B) {
	for _, live := range []int{500, 5000} {
		for _, dist := range []struct {
			name string
			size func(*rand.Rand) int
		}{
			{"uniform", func(r *rand.Rand) int { return 1 + r.IntN(64<<10) }},
			{"log", func(r *rand.Rand) int { return 1 << r.IntN(16) * (16 + r.IntN(16)) / 16 }},
		} {
			b.Run(fmt.Sprintf("%s/live=%d", dist.name, live), func(b *testing.B) {
				p := newPool(b, pool.Options{Capacity: 1 << 30})
				r := rand.New(rand.NewPCG(1, 2))
				blocks := make([]pool.Block, live)
				for i := range blocks {
					blocks[i] = must(p.AllocBlock(dist.size(r)))
				}
				// The random numbers are made before, so that they are not measured.
				which, sizes := make([]int, 1<<16), make([]int, 1<<16)
				for i := range which {
					which[i], sizes[i] = r.IntN(live), dist.size(r)
				}
				for i := range 1 << 17 {
					k := i & (1<<16 - 1)
					blocks[which[k]].Release()
					blocks[which[k]] = must(p.AllocBlock(sizes[k]))
				}
				n := 0
				for b.Loop() {
					k := n & (1<<16 - 1)
					blocks[which[k]].Release()
					blocks[which[k]] = must(p.AllocBlock(sizes[k]))
					n++
				}
				for _, x := range blocks {
					x.Release()
				}
			})
		}
	}
}

// The pair, with so many other arrays alive.
func BenchmarkPairAmongLive(b *testing.B) {
	for _, live := range []int{100, 10_000, 1_000_000} {
		b.Run(fmt.Sprintf("live=%d", live), func(b *testing.B) {
			p := newPool(b, pool.Options{Capacity: 1 << 30, Arrays: 1 << 20})
			blocks := make([]pool.Block, live)
			for i := range blocks {
				blocks[i] = must(p.AllocBlock(256))
			}
			b.Run("cached", func(b *testing.B) {
				for b.Loop() {
					must(p.AllocBlock(256)).Release()
				}
			})
			b.Run("random", func(b *testing.B) {
				r := rand.New(rand.NewPCG(1, 2))
				for b.Loop() {
					k := r.IntN(live)
					blocks[k].Release()
					blocks[k] = must(p.AllocBlock(256))
				}
			})
			for _, x := range blocks {
				x.Release()
			}
		})
	}
}

// Retain and release of an array that another attachment holds.
func BenchmarkRetainRelease(b *testing.B) {
	p := newPool(b, pool.Options{Capacity: 64 << 20})
	q := attach(b, p)
	a := must(p.Alloc(dtype.Float32, 100, 100))
	defer a.Release()
	h := a.Handle()
	b.ReportAllocs()
	for b.Loop() {
		must(q.Retain(h)).Release()
	}
}

// Send by one attachment, adopt and release by another; the block stays held by the sender.
func BenchmarkSendAdoptRelease(b *testing.B) {
	p := newPool(b, pool.Options{Capacity: 64 << 20})
	q := attach(b, p)
	a := must(p.Alloc(dtype.Float32, 100, 100))
	defer a.Release()
	b.ReportAllocs()
	for b.Loop() {
		must(q.Adopt(must(a.Send()))).Release()
	}
}

// The same with blocks: nothing on the Go heap.
func BenchmarkSendAdoptReleaseBlock(b *testing.B) {
	p := newPool(b, pool.Options{Capacity: 64 << 20})
	q := attach(b, p)
	a := must(p.AllocBlock(40_000))
	defer a.Release()
	b.ReportAllocs()
	for b.Loop() {
		must(q.AdoptBlock(must(a.Send()))).Release()
	}
}

// A whole journey: allocate, send, release here; adopt, release there.
func BenchmarkJourney(b *testing.B) {
	p := newPool(b, pool.Options{Capacity: 64 << 20})
	q := attach(b, p)
	b.ReportAllocs()
	for b.Loop() {
		x := must(p.AllocBlock(40_000))
		t := must(x.Send())
		x.Release()
		must(q.AdoptBlock(t)).Release()
	}
}

// Create a pool of 1 GiB with default limits, and remove it.
func BenchmarkCreate(b *testing.B) {
	dir := must(os.MkdirTemp(pool.DefaultDir, "ndpool-bench-"))
	defer os.RemoveAll(dir)
	for b.Loop() {
		p := must(pool.Create("bench", pool.Options{Dir: dir}))
		b.StopTimer()
		p.Close()
		b.StartTimer()
	}
}

// Open a pool of 1 GiB with default limits.
func BenchmarkOpen(b *testing.B) {
	dir := must(os.MkdirTemp(pool.DefaultDir, "ndpool-bench-"))
	defer os.RemoveAll(dir)
	defer must(pool.Create("bench", pool.Options{Dir: dir})).Close()
	for b.Loop() {
		p := must(pool.Open("bench", pool.Options{Dir: dir}))
		b.StopTimer()
		p.Close()
		b.StartTimer()
	}
}

// Encode and decode a transfer for a pipe.
func BenchmarkMessageBinary(b *testing.B) {
	m := handle.Message{Segment: handle.Segment{1}, Handle: 5, Ticket: 7}
	b.ReportAllocs()
	for b.Loop() {
		buf, _ := m.MarshalBinary()
		_ = m.UnmarshalBinary(buf)
	}
}

// Take and let go the lock of a name that nobody else wants.
func BenchmarkNameLock(b *testing.B) {
	l := namedLock(b)
	b.ReportAllocs()
	for b.Loop() {
		must(l.Lock(b.Context()))
		_ = l.Unlock()
	}
}

// The same as a reader.
func BenchmarkNameRLock(b *testing.B) {
	l := namedLock(b)
	b.ReportAllocs()
	for b.Loop() {
		must(l.RLock(b.Context()))
		_ = l.RUnlock()
	}
}

func namedLock(b *testing.B) *pool.NameLock {
	p := newPool(b, pool.Options{Capacity: 64 << 20})
	a := must(p.Alloc(dtype.Uint8, 100))
	defer a.Release()
	must(p.Publish("x", a))
	return must(p.LockOf("x"))
}
