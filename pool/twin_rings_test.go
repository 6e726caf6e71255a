package pool

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"strings"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ndpool/ndpool/arena/layout"
	"github.com/ndpool/ndpool/handle"
)

// The operations on streams and queues of the twin test: see twin_test.go. Who would wait does so for a moment only.

// twinRole is a writer, a reader, a queue or an item of an attachment.
type twinRole struct {
	k, id int
	w     *StreamWriter
	r     *StreamReader
	q     *Queue
	it    *QueueItem
}

// moment is how long who waits does.
const moment = time.Millisecond

func shortly() context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), moment)
	context.AfterFunc(ctx, cancel)
	return ctx
}

// ring plays one operation on streams and queues.
func (w *twin) ring(k int, p *Pool) {
	switch n := w.pick(40); {
	case n < 3:
		w.openWriter(k, p)
	case n < 10:
		w.publishFrame()
	case n < 12:
		w.openReader(k, p)
	case n < 19:
		w.readFrame()
	case n < 22:
		w.openQueue(k, p)
	case n < 28:
		w.put()
	case n < 29:
		w.putBytes()
	case n < 34:
		w.get()
	case n < 36:
		w.endItem()
	case n < 38:
		w.endRole()
	case n < 39:
		w.passQueue(k, p)
	default:
		w.shut()
	}
}

// ringPath returns one of a few paths, or, at times, one of which something else has the name.
func (w *twin) ringPath() string {
	if w.pick(6) == 0 {
		return w.known()
	}
	path := []string{"r0", "r1", "a/r2", "r3", "b/r4"}[w.pick(5)]
	w.paths = append(w.paths, path)
	return path
}

// lastingPath returns a path of a stream that nobody removes: when a reader finds that the name is another one's depends on the time.
func (w *twin) lastingPath() string { return []string{"s0", "s1", "s/2"}[w.pick(3)] }

// role returns a random role that fits and whose attachment takes new work.
func (w *twin) role(fits func(r *twinRole) bool) *twinRole {
	return w.anyRole(func(r *twinRole) bool { return w.open[r.k] && fits(r) })
}

// anyRole returns a random role that fits.
func (w *twin) anyRole(fits func(r *twinRole) bool) *twinRole {
	for range 20 {
		if len(w.roles) == 0 {
			return nil
		}
		if r := &w.roles[w.pick(len(w.roles))]; fits(r) {
			return r
		}
	}
	return nil
}

func (r *twinRole) isWriter() bool { return r.w != nil }
func (r *twinRole) isReader() bool { return r.r != nil }
func (r *twinRole) isQueue() bool  { return r.q != nil }
func (r *twinRole) isItem() bool   { return r.it != nil }

// plays adds a role.
func (w *twin) plays(r twinRole, err error) {
	w.note(err)
	if err == nil {
		w.roles = append(w.roles, r)
	}
	w.things++
}

// forget removes a role.
func (w *twin) forget(r *twinRole) {
	*r = w.roles[len(w.roles)-1]
	w.roles = w.roles[:len(w.roles)-1]
}

// carried describes an array that came out of a ring.
func carried(a *Array) string {
	return fmt.Sprintf("%016x %d", uint64(handle.New(p32(a), a.gen)), len(a.mem))
}

func bit(b bool) int {
	if b {
		return 1
	}
	return 0
}

func (w *twin) openWriter(k int, p *Pool) {
	o := RingOptions{}
	if w.pick(2) == 0 {
		o = RingOptions{Entries: w.pick(6), Lossless: w.pick(2) == 0, Persistent: w.pick(4) == 0}
		if o.Lossless {
			o.Readers = w.pick(4)
		}
	}
	path := w.ringPath()
	if w.pick(3) != 0 {
		path = w.lastingPath()
	}
	w.line("writer", k, w.things, path, o.Entries, o.Readers, bit(o.Lossless), bit(o.Persistent))
	x, err := p.StreamWriter(path, o)
	w.plays(twinRole{k: k, id: w.things, w: x}, err)
}

// own returns an array of an attachment: see whole.
func (w *twin) own(k int) *twinRef {
	a, id := w.whole(k)
	if a == nil {
		return nil
	}
	return &twinRef{k, id, a}
}

func (w *twin) publishFrame() {
	r := w.role((*twinRole).isWriter)
	if r == nil {
		return
	}
	a := w.own(r.k)
	if a == nil {
		return
	}
	at, text := w.attrs()
	w.line("frame", r.k, r.id, a.id, text)
	var sequence uint64
	var err error
	if at != nil {
		sequence, err = r.w.Publish(shortly(), a.a, at)
	} else {
		sequence, err = r.w.Publish(shortly(), a.a)
	}
	w.note(err, sequence)
}

func (w *twin) openReader(k int, p *Pool) {
	o, path := ReadOptions{Every: w.pick(2) == 0, FromNow: w.pick(2) == 0}, w.lastingPath()
	w.line("reader", k, w.things, path, bit(o.Every), bit(o.FromNow))
	x, err := p.StreamReader(path, o)
	w.plays(twinRole{k: k, id: w.things, r: x}, err)
}

func (w *twin) readFrame() {
	r := w.role((*twinRole).isReader)
	if r == nil {
		return
	}
	how := w.pick(3)
	w.line("read", r.k, r.id, how, w.things)
	var f *Frame
	var err error
	switch how {
	case 0:
		f, err = r.r.Latest(shortly())
	case 1:
		f, err = r.r.Next(shortly())
	default:
		f, err = r.r.Newest()
	}
	if err != nil {
		w.note(err)
		return
	}
	text := "-"
	if f.Attrs != nil {
		b, err := f.Attrs.text()
		text = string(b)
		require.NoError(w.t, err)
	}
	w.note(nil, f.Sequence, f.Skipped, text, carried(f.Array))
	w.refs = append(w.refs, twinRef{r.k, w.things, f.Array})
	w.things++
}

func (w *twin) openQueue(k int, p *Pool) {
	o, path := RingOptions{Persistent: w.pick(4) == 0}, w.ringPath()
	o.Entries = []int{0, 4, 9, 9, 9}[w.pick(5)]
	word := path
	if w.pick(4) == 0 {
		path, word, o = "", "-", RingOptions{Entries: 1 + w.pick(9)}
	}
	w.line("queue", k, w.things, word, o.Entries, bit(o.Persistent))
	x, err := p.Queue(path, o)
	w.plays(twinRole{k: k, id: w.things, q: x}, err)
}

// passQueue gives a queue to another attachment, which retains or adopts it.
func (w *twin) passQueue(k int, p *Pool) {
	r := w.role((*twinRole).isQueue)
	if r == nil {
		return
	}
	adopt := w.pick(2) == 0
	w.line("queue-pass", k, w.things, r.k, r.id, bit(adopt))
	var x *Queue
	var err error
	if adopt {
		t, e := r.q.Send()
		if err = e; err == nil {
			x, err = p.AdoptQueue(t)
		}
	} else {
		x, err = p.RetainQueue(r.q.Handle())
	}
	w.plays(twinRole{k: k, id: w.things, q: x}, err)
}

// put puts an item with up to three arrays that are attached, or a batch.
func (w *twin) put() {
	r := w.role((*twinRole).isQueue)
	if r == nil {
		return
	}
	var as []*Array
	var words strings.Builder
	for range 1 + w.pick(4) {
		if a := w.own(r.k); a != nil {
			as = append(as, a.a)
			fmt.Fprint(&words, " ", a.id)
		}
	}
	if len(as) == 0 {
		return
	}
	batch := w.pick(3) == 0
	w.line("put", r.k, r.id, bit(batch), fmt.Sprint(len(as))+words.String())
	if !batch {
		w.note(r.q.Put(shortly(), as[0], as[1:]...))
		return
	}
	n, err := r.q.PutBatch(shortly(), as)
	w.note(err, n)
}

func (w *twin) putBytes() {
	r := w.role((*twinRole).isQueue)
	if r == nil {
		return
	}
	b := []byte(strings.Repeat("m", w.pick(300)))
	w.line("put-bytes", r.k, r.id, len(b))
	w.note(r.q.PutBytes(shortly(), b))
}

func (w *twin) get() {
	r := w.role((*twinRole).isQueue)
	if r == nil {
		return
	}
	k, q, most := r.k, r.q, 1+w.pick(3)
	w.line("get", k, r.id, most, w.things)
	its, err := q.GetBatch(shortly(), most)
	var came []any
	for _, it := range its {
		came = append(came, fmt.Sprintf("%d,%d", int(it.Kind), len(it.Attached)))
		for _, a := range append([]*Array{it.Array}, it.Attached...) {
			came = append(came, carried(a))
		}
		w.roles = append(w.roles, twinRole{k: k, id: w.things, it: it})
		w.things++
	}
	w.note(err, came...)
}

// endItem releases an item, or puts it back.
func (w *twin) endItem() {
	it := w.anyRole((*twinRole).isItem)
	if it == nil {
		return
	}
	q := w.role(func(q *twinRole) bool { return q.isQueue() && q.k == it.k && q.q.Handle() == it.it.queue })
	if w.pick(3) != 0 || q == nil {
		w.line("item-release", it.k, it.id)
		it.it.Release()
		w.note(nil)
		w.forget(it)
		return
	}
	w.line("put-back", it.k, q.id, it.id)
	err := q.q.PutBack(shortly(), it.it)
	w.note(err)
	if err == nil {
		w.forget(it)
	}
}

// endRole closes a writer, a reader or a queue.
func (w *twin) endRole() {
	r := w.anyRole(func(r *twinRole) bool { return !r.isItem() })
	if r == nil {
		return
	}
	w.line("end", r.k, r.id)
	switch {
	case r.isWriter():
		w.note(r.w.Close())
	case r.isReader():
		w.note(r.r.Close())
	default:
		w.note(r.q.Close())
	}
	w.forget(r)
}

func (w *twin) shut() {
	r := w.role((*twinRole).isQueue)
	if r == nil || w.pick(4) != 0 {
		return
	}
	w.line("shut", r.k, r.id)
	w.note(r.q.Shut())
}

// deleteRoles returns the roles that are not of attachment k.
func deleteRoles(roles []twinRole, k int) (left []twinRole) {
	for _, r := range roles {
		if r.k != k {
			left = append(left, r)
		}
	}
	return left
}

// maskRings makes the words of rings zero that differ by nature, times and how often somebody slept, and all bytes of the data region
// that have no meaning now, but may have been a ring's.
func maskRings(image []byte, sb *layout.Superblock) {
	descs, data := sb.Regions[layout.RegionDescs-1], sb.Regions[layout.RegionData-1]
	all := image[data.Offset : data.Offset+data.Size]
	was := bytes.Clone(all)
	clear(all)
	for off := descs.Offset; off < descs.Offset+descs.Size; off += layout.DescSize {
		d := &over[layout.Desc](image[off:], 1)[0]
		at, header := layout.Extent(d.Extent.Load()).Offset(), uint64(d.Header.Load())
		switch k := layout.State(d.State.Load()).Kind(); {
		case k != layout.Private && k != layout.Live:
		case d.Flags.Load()&layout.DescRing != 0:
			n := d.Bytes.Load()
			maskRing(all[at:at+n], was[at:at+n])
		default:
			if header > 0 { // without the padding behind the record
				header = 8 + 16*uint64(d.NDim.Load()) + uint64(binary.LittleEndian.Uint32(was[at+4:]))
			}
			copy(all[at:at+header], was[at:])
		}
	}
}

// maskRing copies a ring but for what differs by nature.
func maskRing(to, from []byte) {
	copy(to, from)
	clear(to[128:136]) // News
	clear(to[192:200]) // Room
	entries := len(to) - int(binary.LittleEndian.Uint32(to[8:]))*int(layout.RingEntrySize)
	for off := entries; off < len(to); off += int(layout.RingEntrySize) {
		clear(to[off+32 : off+48])
	}
}
