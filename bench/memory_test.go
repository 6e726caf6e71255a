package bench

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/ndpool/ndpool/pool"
)

// How much of a segment, tables included, is live users' bytes at the first refusal after a churn of ten times the
// capacity. Sizes are log-uniform. The churn keeps the pool full (a refusal makes it release one at random and go on), or
// three quarters full, or half full; then it only allocates.
//
// The figures are the metrics mean-live-% and worst-live-% over the seeds; the time means nothing.
func BenchmarkMemory(b *testing.B) {
	for _, c := range []struct {
		name     string
		lo, hi   float64
		capacity uint64
		arrays   int
		fills    []float64
	}{
		{"4KiB-64MiB/1GiB", 4 << 10, 64 << 20, 1 << 30, 0, []float64{1, 0.75, 0.5}},
		{"4KiB-64MiB/4GiB", 4 << 10, 64 << 20, 4 << 30, 0, []float64{0.75, 0.5}},
		{"64B-4KiB/64MiB", 64, 4 << 10, 64 << 20, 64 << 20 / 768, []float64{0.75}},
	} {
		for _, fill := range c.fills {
			b.Run(fmt.Sprintf("%s/fill=%v", c.name, fill), func(b *testing.B) {
				worst, sum, n := 100.0, 0.0, 0
				for b.Loop() {
					p := newPool(b, pool.Options{Capacity: c.capacity, Arrays: c.arrays})
					live := churn(p, c.lo, c.hi, fill, rand.New(rand.NewPCG(uint64(n), 7)))
					share := 100 * float64(live) / float64(segmentSize(p))
					worst, sum, n = min(worst, share), sum+share, n+1
					p.Close()
				}
				b.ReportMetric(worst, "worst-live-%")
				b.ReportMetric(sum/float64(n), "mean-live-%")
			})
		}
	}
}

func segmentSize(p *pool.Pool) uint64 {
	s := must(p.Stats())
	return s.Capacity + s.Tables
}

// churn allocates ten times the capacity, releasing at random to keep the pool filled so far, then allocates until the
// first refusal, and returns the bytes that are live then.
func churn(p *pool.Pool, lo, hi, fill float64, r *rand.Rand) (live uint64) {
	type held struct {
		block pool.Block
		size  uint64
	}
	var blocks []held
	drop := func() {
		k := r.IntN(len(blocks))
		blocks[k].block.Release()
		live -= blocks[k].size
		blocks[k] = blocks[len(blocks)-1]
		blocks = blocks[:len(blocks)-1]
	}
	capacity := p.Options().Capacity
	for total := uint64(0); ; {
		churning := total < 10*capacity
		for churning && float64(live) > fill*float64(capacity) {
			drop()
		}
		size := uint64(math.Exp(math.Log(lo) + r.Float64()*math.Log(hi/lo)))
		x, err := p.AllocBlock(int(size))
		if err != nil && churning {
			drop()
			continue
		}
		if err != nil {
			if !errors.Is(err, pool.ErrFull) && !errors.Is(err, pool.ErrTableFull) {
				panic(fmt.Sprint("refused for another reason: ", err))
			}
			break
		}
		blocks = append(blocks, held{x, size})
		live += size
		total += size
	}
	for _, h := range blocks {
		h.block.Release()
	}
	return live
}
