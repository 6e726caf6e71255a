package bench

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/ndpool/ndpool/pool"
)

// How much of a segment, tables included, is live users' bytes at the first refusal, after a churn of ten times the
// capacity. Sizes are log-uniform. During the churn three quarters of the capacity are live.
//
// The figure is the metric live-%; the time means nothing.
func BenchmarkMemory(b *testing.B) {
	for _, c := range []struct {
		name     string
		lo, hi   float64
		capacity uint64
		arrays   int
	}{
		{"4KiB-64MiB/1GiB", 4 << 10, 64 << 20, 1 << 30, 0},
		{"4KiB-64MiB/4GiB", 4 << 10, 64 << 20, 4 << 30, 0},
		{"64B-4KiB/64MiB", 64, 4 << 10, 64 << 20, 64 << 20 / 512},
	} {
		b.Run(c.name, func(b *testing.B) {
			worst, sum := 100.0, 0.0
			n := 0
			for b.Loop() {
				p := newPool(b, pool.Options{Capacity: c.capacity, Arrays: c.arrays})
				live := churn(p, c.lo, c.hi, rand.New(rand.NewPCG(uint64(n), 7)))
				share := 100 * float64(live) / float64(segmentSize(p))
				worst, sum = min(worst, share), sum+share
				n++
				p.Close()
			}
			b.ReportMetric(worst, "worst-live-%")
			b.ReportMetric(sum/float64(n), "mean-live-%")
		})
	}
}

func segmentSize(p *pool.Pool) uint64 {
	s := must(p.Stats())
	return s.Capacity + s.Tables
}

// churn allocates ten times the capacity, releasing at random to keep three quarters live, then allocates until the first
// refusal, and returns the bytes that are live then.
func churn(p *pool.Pool, lo, hi float64, r *rand.Rand) (live uint64) {
	type held struct {
		block pool.Block
		size  int
	}
	var blocks []held
	capacity := p.Options().Capacity
	for total := uint64(0); ; {
		for total < 10*capacity && live > capacity*3/4 {
			k := r.IntN(len(blocks))
			blocks[k].block.Release()
			live -= uint64(blocks[k].size)
			blocks[k] = blocks[len(blocks)-1]
			blocks = blocks[:len(blocks)-1]
		}
		size := int(math.Exp(math.Log(lo) + r.Float64()*math.Log(hi/lo)))
		x, err := p.AllocBlock(size)
		if err != nil && total < 10*capacity {
			// A refusal during the churn: make room and go on.
			if len(blocks) == 0 {
				panic(err)
			}
			blocks[len(blocks)-1].block.Release()
			live -= uint64(blocks[len(blocks)-1].size)
			blocks = blocks[:len(blocks)-1]
			continue
		}
		if err != nil {
			if !errors.Is(err, pool.ErrFull) && !errors.Is(err, pool.ErrTableFull) {
				panic(fmt.Sprint("refused for another reason: ", err))
			}
			break
		}
		blocks = append(blocks, held{x, size})
		live += uint64(size)
		total += uint64(size)
	}
	for _, h := range blocks {
		h.block.Release()
	}
	return live
}
