package alloc

import (
	"math/rand/v2"
	"strconv"
	"testing"

	"github.com/ndpool/ndpool/arena/layout"
)

const benchPages = 64 << 30 / layout.PageSize

// BenchmarkBlock takes and gives a block of a class.
func BenchmarkBlock(b *testing.B) {
	_, al := newArena(b, 4096)
	if _, err := al.Take(64); err != nil { // keeps the slab
		b.Fatal(err)
	}
	for b.Loop() {
		e, err := al.Take(64)
		if err != nil {
			b.Fatal(err)
		}
		al.Give(e)
	}
}

// BenchmarkFirstBlock takes and gives a block whose slab comes and goes with it.
func BenchmarkFirstBlock(b *testing.B) {
	_, al := newArena(b, 4096)
	for b.Loop() {
		e, err := al.Take(1000)
		if err != nil {
			b.Fatal(err)
		}
		al.Give(e)
	}
}

// BenchmarkRun takes and gives runs of pages in an empty map of 64 GiB.
func BenchmarkRun(b *testing.B) {
	for _, n := range []int{1, 16, 512, 100_000} {
		b.Run(bytesOf(n), func(b *testing.B) {
			p := bareMap(benchPages)
			for b.Loop() {
				first, err := p.take(n)
				if err != nil {
					b.Fatal(err)
				}
				p.mark(first, n, false)
			}
		})
	}
}

// BenchmarkFragmented searches 64 GiB of which every other page or so is in use: the run that fits is the last one.
func BenchmarkFragmented(b *testing.B) {
	p := bareMap(benchPages)
	r := rand.New(rand.NewPCG(1, 2))
	for i := range p.bits {
		p.bits[i].Put(r.Uint64() | 1<<r.IntN(64))
	}
	p.set(benchPages-200, 200, false)
	p.summarize(0, len(p.bits)/chunkWords-1)
	for _, n := range []int{1, 8, 150} {
		b.Run(bytesOf(n), func(b *testing.B) {
			for b.Loop() {
				first, err := p.take(n)
				if err != nil {
					b.Fatal(err)
				}
				p.mark(first, n, false)
			}
		})
	}
}

// BenchmarkSummarize makes all summaries of 64 GiB: the larger part of a rebuild.
func BenchmarkSummarize(b *testing.B) {
	p := bareMap(benchPages)
	for b.Loop() {
		p.summarize(0, len(p.bits)/chunkWords-1)
	}
}

// bytesOf names a number of pages by its bytes.
func bytesOf(pages int) string {
	if pages < 256 {
		return strconv.Itoa(pages*4) + "KiB"
	}
	return strconv.Itoa(pages/256) + "MiB"
}
