package pool

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ndpool/ndpool/arena"
	"github.com/ndpool/ndpool/arena/layout"
	"github.com/ndpool/ndpool/dtype"
	"github.com/ndpool/ndpool/handle"
	"github.com/ndpool/ndpool/internal/shm"
)

// handRing is a ring that is written word by word, so that it can be in any state.
type handRing struct {
	p       *Pool
	array   *Array // as which its block was allocated
	words   []shm.U64
	ring    *layout.Ring
	readers []layout.RingReader
	entries []layout.RingEntry
}

// overRing lays a ring over its block, wherever the segment is.
func overRing(a *arena.Arena, i int) (r handRing) {
	d := &a.Descs[i]
	b := a.Data(layout.Extent(d.Extent.Load()).Offset(), d.Bytes.Load())
	r.ring = &over[layout.Ring](b, 1)[0]
	r.words = over[shm.U64](b, len(b)/8)
	n, m := int(r.ring.Entries.Load()), int(r.ring.Readers.Load())
	r.readers = over[layout.RingReader](b[layout.RingSize:], m)
	r.entries = over[layout.RingEntry](b[layout.RingBytes(0, m):], n)
	return r
}

// handMade makes a ring that has begun at a position. With a path it has a name of that owner.
func handMade(p *Pool, path string, owner uint64, kind layout.RingKind, entries, readers int, at uint64) handRing {
	a := must(p.Zeros(dtype.Uint8, int(layout.RingBytes(entries, readers))))
	if path != "" {
		must(p.Publish(path, a))
	}
	head := &over[layout.Ring](must(a.Bytes()), 1)[0]
	head.Kind.Store(uint32(kind))
	head.Entries.Store(uint32(entries))
	head.Readers.Store(uint32(readers))
	if readers > 0 {
		head.Flags.Store(layout.RingLossless)
	}
	head.Head.Store(at)
	head.Tail.Store(at)
	flip32(&p.desc(int(a.desc)).Flags, layout.DescRing)
	if path != "" {
		valueOf(&p.arena.Names[must(p.names.Find(path))]).Owner.Store(owner)
	}
	a.Handle()
	r := overRing(p.arena, int(a.desc))
	r.p, r.array = p, a
	return r
}

// put puts arrays as one item of a kind, and releases them.
func (r *handRing) put(kind layout.EntryKind, as ...*Array) {
	if err := r.p.lock(); err != nil {
		panic(err)
	}
	head := r.ring.Head.Load()
	for k, a := range as {
		r.p.refs.Enter(int(a.desc))
		e, w := r.entry(head+uint64(k)), layout.MakeEntry(kind, len(as)-1)
		if k > 0 {
			w = layout.MakeEntry(layout.EntryArray, 0).Attached()
		}
		e.Array.Store(uint64(a.Handle()))
		e.Word.Store(uint64(w))
		e.Wall.Store(5)
		e.Sender.Store(uint64(r.p.arena.Self()))
		e.Number.Store(head + uint64(k) + 1)
	}
	r.ring.Head.Store(head + uint64(len(as)))
	r.ring.Items.Add(1)
	r.p.unlock()
	for _, a := range as {
		a.Release()
	}
}

// attribute gives the newest entry attributes.
func (r *handRing) attribute(at Attrs) {
	b := must(r.p.storeAttrs(at))
	if err := r.p.lock(); err != nil {
		panic(err)
	}
	h := r.p.share(int(b.desc))
	r.p.refs.Enter(int(b.desc))
	r.entry(r.ring.Head.Load() - 1).Attributes.Store(uint64(h))
	r.p.unlock()
	b.Release()
}

// entry returns the entry of a position.
func (r *handRing) entry(position uint64) *layout.RingEntry {
	return &r.entries[position%uint64(len(r.entries))]
}

// drop drops the oldest item, which has one entry.
func (r *handRing) drop() {
	if err := r.p.lock(); err != nil {
		panic(err)
	}
	defer r.p.unlock()
	e := r.entry(r.ring.Tail.Load())
	r.ring.Tail.Add(1)
	r.ring.Items.Add(^uint64(0))
	if i, ok := r.p.liveBlock(handle.Handle(e.Array.Load())); ok && r.p.refs.Exit(i) {
		r.p.endLocked(i)
	}
}

// rings makes a lossless stream that has gone round, with a writer and two readers, a queue with items of every kind, which
// went round, too, and a queue without a name that was shut down.
func (w *world) rings() {
	frame := func() *Array {
		a := must(w.p.Zeros(dtype.Uint16, 7, 3))
		if err := a.Seal(false); err != nil {
			panic(err)
		}
		return a
	}
	s := handMade(w.p, "camera/stream", layout.NamePool, layout.RingStream, 4, 3, 3)
	s.put(layout.EntryArray, frame())
	s.drop()
	for range 3 {
		s.put(layout.EntryArray, frame())
	}
	s.attribute(Attrs{"t": 20.5})
	s.ring.Writer.Store(uint64(w.p.arena.Self()))
	s.ring.Ends.Store(3)
	s.readers[0].Position.Store(4)
	s.readers[0].Reader.Store(uint64(w.p.arena.Self()))
	s.readers[1].Position.Store(7)
	s.readers[1].Reader.Store(uint64(w.q.arena.Self()))

	q := handMade(w.q, "kept/queue", 0, layout.RingQueue, 8, 0, 5)
	bytes := func(n int) *Array { return must(w.q.Zeros(dtype.Uint8, n)) }
	q.put(layout.EntryBytes, bytes(5))
	q.drop()
	q.put(layout.EntryArray, must(w.q.Alloc(structured, 3)))
	q.put(layout.EntryPickle, bytes(9), must(w.q.Alloc(dtype.Int16, 5, 6)), must(w.q.Lookup("kept/a")))
	q.put(layout.EntryBytes, bytes(0))

	shut := handMade(w.r, "", 0, layout.RingQueue, 2, 0, 0)
	shut.ring.State.Store(layout.RingShut)
	w.hand = append(w.hand, s, q, shut)
}

// hand changes a ring of an image: 0 is the stream, 1 the queue, 2 the one that was shut down.
func hand(n int, change func(r handRing)) func(*arena.Arena) {
	return func(a *arena.Arena) {
		for i := range a.Descs {
			if a.Descs[i].Flags.Load()&layout.DescRing == 0 {
				continue
			}
			r := overRing(a, i)
			if r.is() == n {
				change(r)
				return
			}
		}
		panic("no such ring")
	}
}

// is tells which of the world's rings it is.
func (r handRing) is() int {
	return slices.Index([]uint32{4, 8, 2}, r.ring.Entries.Load())
}

// ringBreaches has one segment for every law of rings.
var ringBreaches = []breach{
	{law: "ring-flag", do: block(layout.Cached, func(d *layout.Desc) { flip32(&d.Flags, layout.DescRing) })},
	{law: "ring", do: hand(2, func(r handRing) { r.ring.State.Store(2) })},
	{law: "ring-entry", do: hand(0, func(r handRing) { r.entry(5).Word.Store(uint64(layout.MakeEntry(layout.EntryBytes, 0))) })},
	{law: "ring-count", do: hand(1, func(r handRing) { r.ring.Items.Add(1) })},
	{law: "ring-writer", do: hand(0, func(r handRing) { flip64(&r.ring.Writer, 1<<32) })},
	{law: "ring-reader", do: hand(0, func(r handRing) { r.readers[0].Position.Store(3) })},
}

// ringBlock changes the descriptor of a ring.
func ringBlock(n int, change func(d *layout.Desc)) func(*arena.Arena) {
	return func(a *arena.Arena) {
		for i := range a.Descs {
			if d := &a.Descs[i]; d.Flags.Load()&layout.DescRing != 0 {
				if r := overRing(a, i); r.is() == n {
					change(d)
					return
				}
			}
		}
		panic("no such ring")
	}
}

// lonely puts an entry with a handle that leads nowhere into an empty ring.
func lonely(handle uint64) func(r handRing) {
	return func(r handRing) {
		r.entries[0].Array.Store(handle)
		r.entries[0].Word.Store(uint64(layout.MakeEntry(layout.EntryArray, 0)))
		r.entries[0].Number.Store(1)
		r.ring.Head.Store(1)
	}
}

// moreRingBreaches break the laws of rings in more ways than one, each no other law.
var moreRingBreaches = map[string]breach{
	"a sealed ring":        {law: "ring-flag", do: ringBlock(2, func(d *layout.Desc) { flip64(&d.State, 1<<4) })},
	"a free ring":          {law: "ring-flag", do: block(layout.Free, func(d *layout.Desc) { flip32(&d.Flags, layout.DescRing) })},
	"an array as a ring":   {law: "ring", do: block(layout.Private, func(d *layout.Desc) { flip32(&d.Flags, layout.DescRing) })},
	"no kind":              {law: "ring", do: hand(2, func(r handRing) { r.ring.Kind.Store(0) })},
	"an unknown kind":      {law: "ring", do: hand(2, func(r handRing) { r.ring.Kind.Store(3) })},
	"a lossless queue":     {law: "ring", do: hand(2, func(r handRing) { r.ring.Flags.Store(layout.RingLossless) })},
	"unknown flags":        {law: "ring", do: hand(2, func(r handRing) { r.ring.Flags.Store(1 << 31) })},
	"no entries":           {law: "ring", do: hand(2, func(r handRing) { r.ring.Entries.Store(0) })},
	"too many entries":     {law: "ring", do: hand(2, func(r handRing) { r.ring.Entries.Store(3) })},
	"far too many entries": {law: "ring", do: hand(2, func(r handRing) { r.ring.Entries.Store(1<<32 - 1) })},
	"readers of a queue":   {law: "ring", do: hand(2, func(r handRing) { r.ring.Readers.Store(1) })},
	"a writer of a queue":  {law: "ring", do: hand(2, func(r handRing) { r.ring.Writer.Store(uint64(layout.MakeIdent(0, 1))) })},
	"a stream shut down":   {law: "ring", do: hand(0, func(r handRing) { r.ring.State.Store(layout.RingShut) })},
	"Tail beyond Head":     {law: "ring", do: hand(2, func(r handRing) { r.ring.Tail.Store(1) })},
	"too many at a time":   {law: "ring", do: hand(2, func(r handRing) { r.ring.Head.Store(3) })},
	"a ring of floats":     {law: "ring", do: ringBlock(2, func(d *layout.Desc) { d.DType.Store(dtype.Int8.Code()) })},
	"a block too small": {law: "ring", do: ringBlock(2, func(d *layout.Desc) {
		d.Bytes.Add(^uint64(0))
		d.Dims[0].Len.Add(^uint64(0))
	})},
	"an entry never written": {law: "ring-entry", do: hand(2, func(r handRing) { r.ring.Head.Store(1) })},
	"a handle of 0":          {law: "ring-entry", do: hand(2, lonely(0))},
	"a handle to nowhere":    {law: "ring-entry", do: hand(2, lonely(1<<40|7))},
	"attached to nothing": {law: "ring-entry", do: hand(1, func(r handRing) {
		r.entry(6).Word.Store(uint64(layout.MakeEntry(layout.EntryArray, 0).Attached()))
		r.ring.Items.Store(2)
	})},
	"more than there is":       {law: "ring-entry", do: hand(1, func(r handRing) { r.entry(10).Word.Store(uint64(layout.MakeEntry(layout.EntryBytes, 1))) })},
	"an attached message":      {law: "ring-entry", do: hand(1, func(r handRing) { flip64(&r.entry(8).Word, 3) })},
	"an unknown kind of entry": {law: "ring-entry", do: hand(1, func(r handRing) { flip64(&r.entry(6).Word, 1<<7) })},
	"unknown bits":             {law: "ring-entry", do: hand(1, func(r handRing) { flip64(&r.entry(6).Word, 1<<9) })},
	"a frame of several":       {law: "ring-entry", do: hand(0, func(r handRing) { flip64(&r.entry(5).Word, 1<<32) })},
	"a frame not sealed": {law: "ring-entry", do: func(a *arena.Arena) {
		hand(0, func(r handRing) {
			i, _ := a.Geo.DescIndex(uint32(r.entry(5).Array.Load()))
			flip64(&a.Descs[i].State, 1<<4)
		})(a)
	}},
	"a frame's attributes": {law: "attributes", do: func(a *arena.Arena) {
		hand(0, func(r handRing) {
			i, _ := a.Geo.DescIndex(uint32(r.entry(6).Attributes.Load()))
			a.Data(layout.Extent(a.Descs[i].Extent.Load()).Offset(), 1)[0] = '['
		})(a)
	}},
	"a writer who left":           {law: "ring-writer", do: hand(0, func(r handRing) { r.ring.Writer.Store(uint64(layout.MakeIdent(3, 1))) })},
	"a writer beyond the slots":   {law: "ring-writer", do: hand(0, func(r handRing) { r.ring.Writer.Store(uint64(layout.MakeIdent(200, 1))) })},
	"a reader who left":           {law: "ring-reader", do: hand(0, func(r handRing) { r.readers[1].Reader.Store(uint64(layout.MakeIdent(3, 1))) })},
	"a reader ahead":              {law: "ring-reader", do: hand(0, func(r handRing) { r.readers[1].Position.Store(8) })},
	"a word of the head":          {law: "reserved", do: hand(0, func(r handRing) { flip64(&r.words[31], 1<<63) })},
	"a word behind the readers":   {law: "reserved", do: hand(0, func(r handRing) { flip64(&r.words[32+3*2], 1) })},
	"a word of an unused entry":   {law: "reserved", do: hand(2, func(r handRing) { r.entries[1].Reserved.Store(1) })},
	"an array goes with the pool": {law: "name-owner", do: named("left", func(_ *arena.Arena, d *layout.Name) { valueOf(d).Owner.Store(layout.NamePool) })},
	"a group goes with the pool":  {law: "name-owner", do: named("kept", func(_ *arena.Arena, d *layout.Name) { valueOf(d).Owner.Store(layout.NamePool) })},
}

func TestBreachesOfRings(t *testing.T) {
	segment := newWorld(t).heap.Bytes()
	for name, b := range moreRingBreaches {
		t.Run(name, func(t *testing.T) {
			report := b.report(t, segment)
			require.NotEmpty(t, report.Faults, "nobody noticed")
			for _, f := range report.Faults {
				require.Equal(t, b.law, f.Law, f)
			}
		})
	}
}
