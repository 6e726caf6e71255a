package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"

	"github.com/ndpool/ndpool/pool"
)

const poolName = "peers"

// create makes the pool, with a table for so many arrays if the default is too small.
func (b *bench) create(capacity uint64, arrays int) (*pool.Pool, error) {
	if err := b.findPlace(); err != nil {
		return nil, err
	}
	if b.capacity != 0 {
		capacity = b.capacity
	}
	o := pool.Options{Dir: b.place, Capacity: capacity}
	if uint64(arrays) > capacity>>14 {
		o.Arrays = arrays
	}
	return pool.Create(poolName, o)
}

// createFor makes a pool for count arrays of that size. Rough: one costs an eighth more than its bytes, and bookkeeping.
func (b *bench) createFor(count, size int) (*pool.Pool, error) {
	return b.create(uint64(count)*uint64(size+size/4+128)+64*mib, count+count/8+8192)
}

func pair(b *bench) error {
	p, err := b.createFor(1, b.size)
	if err != nil {
		return err
	}
	defer p.Close()
	size := b.size
	return b.batches(func(n int) error {
		for range n {
			x, err := p.AllocBlock(size)
			if err != nil {
				return err
			}
			x.Release()
		}
		return nil
	})
}

// draw is one step of a churn. The random numbers are made before, and are not measured.
type draw struct{ index, size uint32 }

const draws = 1 << 20

func churn(b *bench) error {
	p, err := b.createFor(b.live, 1024)
	if err != nil {
		return err
	}
	defer p.Close()
	r := random(1)
	items := make([]pool.Block, b.live)
	for k := range items {
		if items[k], err = p.AllocBlock(r.size()); err != nil {
			return err
		}
	}
	table := make([]draw, draws)
	for k := range table {
		table[k].index = uint32(r.next() % uint64(b.live))
		table[k].size = uint32(r.size())
	}
	at := 0
	step := func(n int) error {
		for range n {
			d := table[at%draws]
			at++
			items[d.index].Release()
			x, err := p.AllocBlock(int(d.size))
			if err != nil {
				return err
			}
			items[d.index] = x
			words(x)[0] = uint64(d.size)
		}
		return nil
	}
	if err := step(1 << 17); err != nil {
		return err
	}
	defer release(items)
	return b.batches(step)
}

func release(items []pool.Block) {
	for _, x := range items {
		x.Release()
	}
}

const touches = 16

// touch samples the ms to allocate and fill 64 MiB. Memory is fresh while nothing is freed.
func touch(b *bench) error {
	if b.what != "fresh" && b.what != "warm" {
		return errors.New("what=fresh or what=warm")
	}
	const size = 64 * mib
	p, err := b.createFor(touches+1, size)
	if err != nil {
		return err
	}
	defer p.Close()
	var items []pool.Block
	defer func() { release(items) }()
	if b.what == "warm" {
		x, err := p.AllocBlock(size)
		if err != nil {
			return err
		}
		clear(x.Bytes())
		x.Release()
	}
	for until := b.until(1); b.more(until, 3) && len(items) < touches; {
		began := time.Now()
		x, err := p.AllocBlock(size)
		if err != nil {
			return err
		}
		clear(x.Bytes())
		b.sample(ms(began))
		if b.what == "fresh" {
			items = append(items, x)
		} else {
			x.Release()
		}
	}
	return nil
}

// taken says what count arrays cost, and what holds them, from before there was a pool.
type taken struct {
	reached           int
	why               error
	took              time.Duration
	private, shared   int64
	descriptors, maps int
}

// take makes a pool and count arrays in it, every byte written, and measures.
func (b *bench) take(count, size int) (taken, error) {
	var t taken
	items := make([]pool.Block, count)
	for k := range items {
		items[k] = pool.Block{} // so that the slice's memory is no part of what is measured
	}
	before, err := usageNow()
	if err != nil {
		return t, err
	}
	p, err := b.createFor(count, size)
	if err != nil {
		return t, err
	}
	defer p.Close()
	began := time.Now()
	for ; t.reached < count; t.reached++ {
		if items[t.reached], t.why = p.AllocBlock(size); t.why != nil {
			break
		}
		clear(items[t.reached].Bytes())
	}
	defer func() { release(items[:t.reached]) }()
	t.took = time.Since(began)
	after, err := usageNow()
	if err != nil {
		return t, err
	}
	t.private, t.descriptors, t.maps = after.private-before.private, after.descriptors-before.descriptors, after.maps-before.maps
	var s syscall.Stat_t
	if err := syscall.Stat(filepath.Join(b.place, poolName), &s); err != nil {
		return t, err
	}
	t.shared = s.Blocks * 512
	return t, nil
}

func memory(b *bench) error {
	t, err := b.take(b.count, b.size)
	if err == nil {
		err = t.why
	}
	if err != nil {
		return err
	}
	fmt.Printf("{\"value\": %.6g, \"shared_bytes\": %d, \"private_bytes\": %d}\n",
		float64(t.shared+t.private)/float64(b.count*b.size), t.shared, t.private)
	return nil
}

func many(b *bench) error {
	t, err := b.take(b.count, 100)
	if err != nil {
		return err
	}
	each := float64(t.shared+t.private) / float64(max(t.reached, 1))
	fmt.Printf("{\"value\": %.6g, \"reached\": %d, \"seconds\": %.4g, ", each, t.reached, t.took.Seconds())
	fmt.Printf("\"fds\": %d, \"maps\": %d, \"shared_bytes\": %d, \"private_bytes\": %d", t.descriptors, t.maps, t.shared, t.private)
	if t.why != nil {
		fmt.Printf(", \"why\": %q", t.why)
	}
	fmt.Println("}")
	return nil
}

// own is what this process uses.
type own struct {
	private           int64 // bytes
	descriptors, maps int
}

func usageNow() (own, error) {
	var u own
	runtime.GC() // so that garbage is not counted
	rollup, err := os.ReadFile("/proc/self/smaps_rollup")
	if err != nil {
		return u, err
	}
	_, rest, ok := strings.Cut(string(rollup), "\nAnonymous:")
	if _, err := fmt.Sscan(rest, &u.private); err != nil || !ok {
		return u, fmt.Errorf("smaps_rollup says nothing of anonymous memory: %v", err)
	}
	u.private *= 1024
	maps, err := os.ReadFile("/proc/self/maps")
	if err != nil {
		return u, err
	}
	u.maps = strings.Count(string(maps), "\n")
	fds, err := os.ReadDir("/proc/self/fd")
	u.descriptors = len(fds)
	return u, err
}
