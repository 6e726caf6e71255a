package pool

import (
	"time"

	"github.com/ndpool/ndpool/arena/layout"
	"github.com/ndpool/ndpool/handle"
	"github.com/ndpool/ndpool/ring"
)

// RingKind is what a ring is.
type RingKind string

// Kinds of a ring.
const (
	StreamRing RingKind = "stream" // one process writes, any number read, each for itself
	QueueRing  RingKind = "queue"  // each item goes to one who gets it
)

// RingInfo describes a stream or a queue.
type RingInfo struct {
	Handle      handle.Handle `json:"handle"`
	Kind        RingKind      `json:"kind"`
	Names       []string      `json:"names"` // that lead to it, sorted
	Lossless    bool          `json:"lossless"`
	Limit       int           `json:"limit"`            // entries
	ReaderLimit int           `json:"reader_limit"`     // readers that the writer can wait for
	Head        uint64        `json:"head"`             // entries that were ever put
	Tail        uint64        `json:"tail"`             // of those, how many went again
	Items       uint64        `json:"items"`            // in it: frames, or items of a queue, which may take several entries
	Bytes       uint64        `json:"bytes"`            // of the arrays in it
	Writer      ProcessID     `json:"writer,omitempty"` // 0: none
	Ended       int           `json:"ended"`            // writers that have come to an end
	Died        bool          `json:"died"`             // the last of them died
	Shut        bool          `json:"shut"`             // nothing is put into the queue any more
	Entered     int           `json:"entered"`          // readers that the writer waits for
	Behind      uint64        `json:"behind"`           // frames that the slowest of them has not read
	Newest      time.Time     `json:"newest,omitzero"`  // when the newest entry was put; zero: there is none
	Holders     []int         `json:"holders"`          // slots
}

// Rings returns the streams and queues that are alive, by descriptor. Streams are written and read without the lock that it
// takes for each, so numbers of a busy one are of slightly different moments. A ring that cannot be read is left out; Verify
// names it.
func (p *Pool) Rings() ([]RingInfo, error) {
	if err := p.enter(); err != nil {
		return nil, err
	}
	defer p.leave()
	infos, err := p.list("")
	return p.ringInfos(infos), p.nameError("list", "", err)
}

// Rings returns the streams and queues: see Pool.Rings.
func (s *Snapshot) Rings() ([]RingInfo, error) {
	var infos []NameInfo
	var bad error
	for info, err := range s.List("") {
		if err != nil {
			bad = err
			break
		}
		infos = append(infos, info)
	}
	return s.pool.ringInfos(infos), bad
}

// ringInfos describes all rings, with those of the names that lead to one.
func (p *Pool) ringInfos(named []NameInfo) []RingInfo {
	paths := map[handle.Handle][]string{}
	for _, n := range named {
		if n.Ring != "" {
			paths[n.Handle] = append(paths[n.Handle], n.Path)
		}
	}
	rings := []RingInfo{}
	for i := range p.descs() {
		if r, ok := p.ringInfo(i); ok {
			r.Names = append([]string{}, paths[r.Handle]...)
			rings = append(rings, r)
		}
	}
	return rings
}

// ringInfo describes block i if it is a ring that is alive.
func (p *Pool) ringInfo(i int) (info RingInfo, ok bool) {
	if p.isRing(i) {
		_ = p.beside(func() { info, ok = p.lookRing(i) })
	}
	return info, ok
}

// lookRing looks again if the block changed hands meanwhile. Precondition: as for readBlock.
func (p *Pool) lookRing(i int) (RingInfo, bool) {
	for range 10 {
		before := p.state(i)
		if k := before.Kind(); k != layout.Live && k != layout.Private || !p.isRing(i) {
			return RingInfo{}, false
		}
		r, err := p.ringAt(i)
		if err != nil {
			continue
		}
		if info := p.describeRing(i, before, &r); p.state(i) == before {
			return info, true
		}
	}
	return RingInfo{}, false
}

// ringKind returns what ring block i is, if its flags say that it is one; else "". Precondition: as for read.
func (p *Pool) ringKind(i int, m *meta) (RingKind, error) {
	if m.flags&layout.DescRing == 0 {
		return "", nil
	}
	r, err := p.ringAt(i)
	if err != nil {
		return "", p.corrupt(i, "ring", m.bytes, "the bytes of a ring")
	}
	return RingKind(r.Kind().String()), nil
}

// describeRing tells what a ring is at the moment. Who puts and gets goes on meanwhile.
func (p *Pool) describeRing(i int, s layout.State, r *ring.Ring) RingInfo {
	ends := r.Ends()
	info := RingInfo{Handle: p.handleOf(i), Kind: RingKind(r.Kind().String()), Lossless: r.Lossless(), Limit: r.Entries(), ReaderLimit: r.Readers(),
		Tail: r.Tail(), Head: r.Head(), Items: r.Items(), Writer: ProcessID(r.Writer()), Ended: int(ends / 2), Died: ends%2 != 0,
		Shut: r.IsShut(), Holders: p.holders(i, s)}
	for k := range r.Readers() {
		if id, next := r.Reader(k); id != 0 {
			info.Entered++
			info.Behind = max(info.Behind, min(since(info.Head, next), uint64(info.Limit)))
		}
	}
	p.sumEntries(&info, r)
	return info
}

// since returns how far one position is beyond another one.
func since(a, b uint64) uint64 {
	if a < b {
		return 0
	}
	return a - b
}

// sumEntries adds up what is in a ring. Of an array that came after a snapshot was taken the size is that of the one before it in
// the same block, which is mostly the same.
func (p *Pool) sumEntries(info *RingInfo, r *ring.Ring) {
	n := min(since(info.Head, info.Tail), uint64(info.Limit))
	for pos := info.Head - n; pos != info.Head; pos++ {
		e, ok := r.Look(pos)
		if !ok {
			continue // it went meanwhile
		}
		if pos == info.Head-1 {
			info.Newest = time.Unix(0, int64(e.Wall))
		}
		if b, err := p.resolve(e.Array); err == nil {
			if x, ok := p.extent(b); ok {
				info.Bytes += min(p.desc(b).Bytes.Load(), x.Size())
			}
		}
	}
}
