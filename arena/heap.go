package arena

import (
	"math"
	"os"
	"sync"
)

// Heap is a segment's memory on the Go heap: for tests within one process. Several arenas can be attached to it, as
// processes are to a file, and the race detector sees every word.
type Heap struct {
	words []uint64
	mu    sync.Mutex
	locks map[int64]map[*heapDescription]bool // byte -> holder -> exclusive
	limit uint64                              // bytes that may be committed, for tests of a full file system
	used  uint64
}

// Bytes returns the segment's memory, for tests that look at it or damage it.
func (h *Heap) Bytes() []byte { return heapBytes(h.words) }

// Limit sets how many more bytes may be committed, for tests of a full file system.
func (h *Heap) Limit(n uint64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.limit, h.used = n, 0
}

// newHeap returns zeroed memory for a segment of size bytes.
func newHeap(size uint64) *Heap {
	return &Heap{words: make([]uint64, size/8), locks: map[int64]map[*heapDescription]bool{}, limit: math.MaxUint64}
}

type heapBacking struct {
	heap   *Heap
	mu     sync.Mutex
	opened []description // all of this attachment, for abandon
}

// abandon drops every lock of this attachment, as the kernel does at death.
func (b *heapBacking) abandon() {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, d := range b.opened {
		d.drop()
	}
	b.opened = nil
}

func (b *heapBacking) commit(_, n uint64) error {
	b.heap.mu.Lock()
	defer b.heap.mu.Unlock()
	if b.heap.limit-b.heap.used < n {
		return &MemoryError{Path: "heap", Asked: n, Free: b.heap.limit - b.heap.used, Total: b.heap.limit, Err: ErrNoMemory}
	}
	if b.heap.limit != math.MaxUint64 {
		b.heap.used += n
	}
	return nil
}

func (b *heapBacking) punch(off, n uint64) error {
	clear(b.heap.Bytes()[off : off+n])
	return nil
}

func (b *heapBacking) space() (free, total uint64) {
	b.heap.mu.Lock()
	defer b.heap.mu.Unlock()
	return b.heap.limit - b.heap.used, b.heap.limit
}

func (b *heapBacking) held(off int64) (bool, error) {
	b.heap.mu.Lock()
	defer b.heap.mu.Unlock()
	return len(b.heap.locks[off]) > 0, nil
}

func (b *heapBacking) description() (description, error) {
	d := &heapDescription{heap: b.heap}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.opened = append(b.opened, d)
	return d, nil
}

func (b *heapBacking) readOnly() ([]byte, error) { return b.heap.Bytes(), nil }

func (b *heapBacking) linked() bool { return true }

func (b *heapBacking) unlink() error { return nil }

func (b *heapBacking) file() (*os.File, error) { return nil, ErrUnsupported }

func (b *heapBacking) close() {}

type heapDescription struct{ heap *Heap }

func (d *heapDescription) lock(off int64, exclusive bool) (bool, error) {
	d.heap.mu.Lock()
	defer d.heap.mu.Unlock()
	for other, ex := range d.heap.locks[off] {
		if other != d && (exclusive || ex) {
			return false, nil
		}
	}
	if d.heap.locks[off] == nil {
		d.heap.locks[off] = map[*heapDescription]bool{}
	}
	d.heap.locks[off][d] = exclusive
	return true, nil
}

func (d *heapDescription) unlock(off int64) {
	d.heap.mu.Lock()
	defer d.heap.mu.Unlock()
	delete(d.heap.locks[off], d)
}

func (d *heapDescription) pin() error { return nil }

func (d *heapDescription) drop() {
	d.heap.mu.Lock()
	defer d.heap.mu.Unlock()
	for _, holders := range d.heap.locks {
		delete(holders, d)
	}
}
