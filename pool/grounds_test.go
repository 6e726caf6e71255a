package pool

import (
	"github.com/ndpool/ndpool/arena/layout"
	"github.com/ndpool/ndpool/dtype"
)

// ground is what a scenario happens on: the pool, and what the bystander makes of it before anybody else comes.
type ground struct {
	options Options
	lay     func(bystander *Pool) (held []*Array)
}

// tableStep is how many descriptors get memory at a time.
const tableStep = layout.TableStep / int(layout.DescSize)

func withPool(change func(o *Options)) Options {
	o := smallPool
	change(&o)
	return o
}

// grounds are those of scenarios that are not on the small pool as it is. Each has one step more of what has memory than the
// bystander leaves.
var grounds = map[string]ground{
	"alloc-chunk": secondChunk,
	"trim-chunk":  secondChunk,
	"alloc-grows-table": {withPool(func(o *Options) { o.Capacity, o.Arrays = 1<<20, tableStep+48 }),
		func(b *Pool) (held []*Array) {
			for free := true; free; _, free = b.alloc.Descs.Next(0) {
				held = append(held, must(b.Alloc(dtype.Uint8, 8)))
			}
			return held
		}},
}

// secondChunk has a second, short chunk, and room for nothing large in the first one.
var secondChunk = ground{withPool(func(o *Options) { o.Capacity = layout.ChunkSize + 64<<10 }),
	func(b *Pool) []*Array { return allocN(b, 1, layout.ChunkSize-64<<10) }}

func groundOf(name string) ground {
	if g, ok := grounds[name]; ok {
		return g
	}
	return ground{options: smallPool}
}

// keep has the bystander hold what the ground wants, beside an array of each size, of which each byte tells which it is.
func (g ground) keep(b *Pool, sizes ...int) (kept []*Array) {
	for _, n := range sizes {
		kept = append(kept, must(b.Alloc(dtype.Uint8, n)))
	}
	if g.lay != nil {
		kept = append(kept, g.lay(b)...)
	}
	for i, a := range kept {
		fill(a, mark(i))
	}
	return kept
}

// mark is the byte of kept array i.
func mark(i int) byte { return byte(i%250 + 1) }

func fill(a *Array, v byte) {
	b := must(a.Bytes())
	for i := range b {
		b[i] = v
	}
}
