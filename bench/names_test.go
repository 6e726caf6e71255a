package bench

import (
	"fmt"
	"testing"

	"github.com/ndpool/ndpool/dtype"
	"github.com/ndpool/ndpool/pool"
)

// manyNames are a pool with n names of 1 or 3 components, all of one array.
func manyNames(b *testing.B, n, components int) (p *pool.Pool, a *pool.Array, names []string) {
	b.Helper()
	p = newPool(b, pool.Options{Capacity: 64 << 20, Names: n + n/100 + 2048})
	a = must(p.Alloc(dtype.Float32, 16))
	b.Cleanup(a.Release)
	tree := pool.Tree{}
	for i := range n {
		name := fmt.Sprintf("name-%d", i)
		if components == 3 {
			name = fmt.Sprintf("run/%d/name-%d", i/1000, i)
		}
		tree[name] = a
		names = append(names, name)
	}
	must(p.PublishTree("", tree))
	return p, a, names
}

// BenchmarkNames looks names up, publishes and removes them, and replaces them, among many others.
func BenchmarkNames(b *testing.B) {
	for _, n := range []int{100, 10_000, 100_000} {
		for _, components := range []int{1, 3} {
			b.Run(fmt.Sprintf("names=%d/components=%d", n, components), func(b *testing.B) {
				p, a, names := manyNames(b, n, components)
				at := 0
				next := func() string { // far apart, so that no cache knows them all
					at = (at + 7919) % n
					return names[at]
				}
				b.Run("lookup", func(b *testing.B) {
					for b.Loop() {
						must(p.Lookup(next())).Release()
					}
				})
				b.Run("lookup-same", func(b *testing.B) {
					name := next()
					for b.Loop() {
						must(p.Lookup(name)).Release()
					}
				})
				b.Run("publish-remove", func(b *testing.B) {
					name := next() + "-new"
					for b.Loop() {
						must(p.Publish(name, a))
						if err := p.Remove(name); err != nil {
							b.Fatal(err)
						}
					}
				})
				b.Run("replace", func(b *testing.B) {
					for b.Loop() {
						must(p.Publish(next(), a, pool.Publish{Mode: pool.PublishOverwrite}))
					}
				})
			})
		}
	}
}

// BenchmarkNamesTree publishes, takes, lists and removes a tree of 10,000 names at once; figures are for the whole.
func BenchmarkNamesTree(b *testing.B) {
	p := newPool(b, pool.Options{Capacity: 64 << 20, Names: 20_000})
	a := must(p.Alloc(dtype.Float32, 16))
	b.Cleanup(a.Release)
	tree := pool.Tree{}
	for i := range 10_000 {
		tree[fmt.Sprintf("%d/%d", i/100, i)] = a
	}
	b.Run("replace", func(b *testing.B) {
		for b.Loop() {
			must(p.PublishTree("t", tree, pool.Publish{Mode: pool.PublishOverwrite}))
		}
	})
	b.Run("lookup", func(b *testing.B) {
		for b.Loop() {
			must(p.LookupTree("t")).Release()
		}
	})
	b.Run("list", func(b *testing.B) {
		for b.Loop() {
			for _, err := range p.List("t") {
				if err != nil {
					b.Fatal(err)
				}
			}
		}
	})
}
