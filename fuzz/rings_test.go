package fuzz

import (
	"fmt"
	"os"
	"reflect"
	"slices"
	"testing"

	"pgregory.net/rapid"

	ops "github.com/ndpool/ndpool/internal/machine"
)

// Streams and a queue on a pool of several attachments, some of them in processes that may be killed, against lists.

// item is an item of the queue.
type item struct {
	Bytes bool
	Seeds []byte // of its arrays
}

// frame is a frame of a stream, as the oracle knows it.
type frame struct {
	seed   byte
	inRing bool
	refs   int
}

// reader is an attachment's reader of a stream.
type reader struct {
	id      int
	s       *stream
	next    int
	ends    uint32
	entered bool
}

// stream is a stream, as the oracle knows it.
type stream struct {
	path       string
	frames     []*frame // all that were published
	tail       int
	writer     *end
	ends, died uint32
	entered    []*reader
}

// held is an array, of a frame, or an item that an attachment has.
type held struct {
	id int
	f  *frame
	it item
}

// end is an attachment.
type end struct {
	actor
	mortal  bool
	readers []*reader
	refs    []held // frames
	items   []held
}

// ringMachine is several attachments to one pool.
type ringMachine struct {
	*machine
	ends    []*end
	queue   []item
	shut    bool
	streams []*stream
}

func (m *ringMachine) tell(e *end, q ask, want string) answer {
	m.Helper()
	r := e.do(q)
	if r.Err != want {
		m.Fatalf("%+v: got %q (%s), expected %q", q, r.Err, r.Text, want)
	}
	return r
}

func (m *ringMachine) end() *end { return pick(m.machine, m.ends, "process") }

func (m *ringMachine) enter(mortal bool) {
	p := &process{actor: &local{}}
	if mortal {
		p.actor = m.child()
	}
	e := &end{actor: p.actor, mortal: mortal}
	m.tell(e, ask{Verb: "open", Dir: m.dir}, "")
	m.tell(e, ask{Verb: "rings"}, "")
	m.ends = append(m.ends, e)
}

func (m *ringMachine) open(t *rapid.T) {
	if len(m.ends) < options("").Processes {
		m.enter(rapid.Bool().Draw(t, "mortal"))
	}
}

// entries returns how many entries items take.
func entries(items []item) (n int) {
	for _, it := range items {
		n += len(it.Seeds)
	}
	return n
}

func (m *ringMachine) room() int { return ringLimits["queue"].Entries - entries(m.queue) }

func (m *ringMachine) put(t *rapid.T) {
	n, seed := rapid.IntRange(1, 7).Draw(t, "arrays"), rapid.Byte().Draw(t, "seed")
	it := item{}
	for k := range n {
		it.Seeds = append(it.Seeds, seed+byte(k))
	}
	want := ""
	switch {
	case n > ringLimits["queue"].Entries:
		want = "long"
	case m.shut:
		want = "shut"
	case n > m.room():
		want = "time"
	}
	m.tell(m.end(), ask{Verb: "put", Shape: []int{n}, Seed: seed}, want)
	if want == "" {
		m.queue = append(m.queue, it)
	}
}

func (m *ringMachine) putBytes(t *rapid.T) {
	seed, want := rapid.Byte().Draw(t, "seed"), ""
	switch {
	case m.shut:
		want = "shut"
	case m.room() == 0:
		want = "time"
	}
	m.tell(m.end(), ask{Verb: "put-bytes", Seed: seed}, want)
	if want == "" {
		m.queue = append(m.queue, item{true, []byte{seed}})
	}
}

func (m *ringMachine) putBatch(t *rapid.T) {
	n, seed := rapid.IntRange(1, 8).Draw(t, "arrays"), rapid.Byte().Draw(t, "seed")
	want, fit := "", min(n, m.room())
	switch {
	case m.shut:
		want, fit = "shut", 0
	case fit < n:
		want = "time"
	}
	r := m.tell(m.end(), ask{Verb: "put-batch", Shape: []int{n}, Seed: seed}, want)
	if r.N != fit {
		m.Fatalf("%d of a batch of %d put, expected %d", r.N, n, fit)
	}
	for k := range fit {
		m.queue = append(m.queue, item{false, []byte{seed + byte(k)}})
	}
}

func (m *ringMachine) get(t *rapid.T) {
	e, most := m.end(), rapid.IntRange(1, 3).Draw(t, "most")
	fit, want := min(most, len(m.queue)), ""
	switch {
	case fit == 0 && m.shut:
		want = "shut"
	case fit == 0:
		want = "time"
	}
	id := m.names + 1
	m.names += most
	r := m.tell(e, ask{Verb: "get", Shape: []int{most}, New: id}, want)
	if !slices.EqualFunc(r.Items, m.queue[:fit], func(a, b item) bool { return reflect.DeepEqual(a, b) }) {
		m.Fatalf("got %v, expected %v of %v", r.Items, m.queue[:fit], m.queue)
	}
	for k, it := range m.queue[:fit] {
		e.items = append(e.items, held{id: id + k, it: it})
	}
	m.queue = slices.Clone(m.queue[fit:])
}

// endItem releases an item, or puts it back.
func (m *ringMachine) endItem(t *rapid.T) {
	e := m.end()
	x := pick(m.machine, e.items, "item")
	verb, want := "item", ""
	if rapid.Bool().Draw(t, "back") {
		if verb = "put-back"; len(x.it.Seeds) > m.room() {
			want = "time"
		}
	}
	m.tell(e, ask{Verb: verb, Ref: x.id}, want)
	if want != "" {
		return
	}
	e.items = slices.DeleteFunc(e.items, func(y held) bool { return y.id == x.id })
	if verb == "put-back" {
		m.queue = slices.Insert(m.queue, 0, x.it)
	}
}

func (m *ringMachine) shutDown(t *rapid.T) {
	if rapid.IntRange(0, 9).Draw(t, "seldom") == 0 {
		m.tell(m.end(), ask{Verb: "shut"}, "")
		m.shut = true
	}
}

func (m *ringMachine) write(*rapid.T) {
	e, s := m.end(), pick(m.machine, m.streams, "stream")
	switch s.writer {
	case nil:
		m.tell(e, ask{Verb: "writer", Dir: s.path}, "")
		s.writer = e
	case e:
		m.tell(e, ask{Verb: "end-writer", Dir: s.path}, "")
		s.end(0)
	default:
		m.tell(e, ask{Verb: "writer", Dir: s.path}, "writer")
	}
}

// end ends the writer.
func (s *stream) end(died uint32) {
	s.writer = nil
	s.ends++
	s.died = died
}

func (m *ringMachine) publish(t *rapid.T) {
	s := pick(m.machine, m.streams, "stream")
	if s.writer == nil {
		return
	}
	seed, want := rapid.Byte().Draw(t, "seed"), ""
	full := len(s.frames)-s.tail == ringLimits[s.path].Entries
	if full && slices.ContainsFunc(s.entered, func(r *reader) bool { return r.next <= s.tail }) {
		want = "time"
	}
	r := m.tell(s.writer, ask{Verb: "publish", Dir: s.path, Seed: seed}, want)
	if want != "" {
		return
	}
	if full {
		s.frames[s.tail].inRing = false
		s.tail++
	}
	s.frames = append(s.frames, &frame{seed: seed, inRing: true})
	if r.Sequence != uint64(len(s.frames)) {
		m.Fatalf("published as %d, expected %d", r.Sequence, len(s.frames))
	}
}

func (m *ringMachine) addReader(t *rapid.T) {
	e, s := m.end(), pick(m.machine, m.streams, "stream")
	r := &reader{id: m.name(), s: s, next: s.tail, ends: s.ends}
	every, seed, want := rapid.Bool().Draw(t, "every"), byte(0), ""
	if rapid.Bool().Draw(t, "from now") {
		seed, r.next = 1, len(s.frames)
	}
	r.entered = every && ringLimits[s.path].Lossless
	if r.entered && len(s.entered) == ringLimits[s.path].Readers {
		want = "table"
	}
	m.tell(e, ask{Verb: "reader", Dir: s.path, New: r.id, Flag: every, Seed: seed}, want)
	if want != "" {
		return
	}
	e.readers = append(e.readers, r)
	if r.entered {
		s.entered = append(s.entered, r)
	}
}

func (m *ringMachine) endReader(*rapid.T) {
	e := m.end()
	r := pick(m.machine, e.readers, "reader")
	m.tell(e, ask{Verb: "end-reader", Ref: r.id}, "")
	e.readers = slices.DeleteFunc(e.readers, func(x *reader) bool { return x == r })
	r.gone()
}

func (r *reader) gone() {
	r.s.entered = slices.DeleteFunc(r.s.entered, func(x *reader) bool { return x == r })
}

// turn returns the position that a reader reads, and what it is told if there is none.
func (r *reader) turn(how string) (at int, want string) {
	head, empty := len(r.s.frames), r.s.tail == len(r.s.frames)
	switch {
	case how == "newest" && empty:
		return 0, "none"
	case how == "newest", how == "latest" && r.next < head && !empty:
		return head - 1, ""
	case how == "next" && r.next < head && !empty:
		return max(r.next, r.s.tail), ""
	case r.ends == r.s.ends:
		return 0, "time"
	}
	r.ends = r.s.ends
	return 0, []string{"ended", "died"}[r.s.died]
}

func (m *ringMachine) read(t *rapid.T) {
	e := m.end()
	r := pick(m.machine, e.readers, "reader")
	how := rapid.SampledFrom([]string{"latest", "next", "next", "newest"}).Draw(t, "how")
	at, want := r.turn(how)
	id := m.name()
	a := m.tell(e, ask{Verb: how, Ref: r.id, New: id}, want)
	if want != "" {
		return
	}
	f, skipped := r.s.frames[at], max(at-r.next, 0)
	r.next = at + 1
	if a.Sequence != uint64(at+1) || a.Skipped != uint64(skipped) || a.N != int(f.seed) {
		m.Fatalf("%s: frame %d after %d of byte %d, expected %d after %d of %d", how, a.Sequence, a.Skipped, a.N, at+1, skipped, f.seed)
	}
	f.refs++
	e.refs = append(e.refs, held{id: id, f: f})
}

func (m *ringMachine) releaseFrame(*rapid.T) {
	e := m.end()
	x := pick(m.machine, e.refs, "frame")
	m.tell(e, ask{Verb: "release", Ref: x.id, Seed: x.f.seed}, "")
	x.f.refs--
	e.refs = slices.DeleteFunc(e.refs, func(y held) bool { return y.id == x.id })
}

// leave lets an attachment leave, or kills its process. Never the first.
func (m *ringMachine) leave(*rapid.T) {
	e := pick(m.machine, m.ends[1:], "victim")
	m.depart(e, e.mortal)
}

func (m *ringMachine) depart(e *end, dies bool) {
	died := uint32(0)
	if dies {
		died = 1
		e.actor.end()
		if r := m.tell(m.ends[0], ask{Verb: "reap"}, ""); r.Reaped.Processes != 1 {
			m.Fatalf("reaped %+v", r.Reaped)
		}
	} else {
		for _, x := range e.refs {
			m.tell(e, ask{Verb: "release", Ref: x.id, Seed: x.f.seed}, "")
		}
		m.tell(e, ask{Verb: "end-rings"}, "")
		m.tell(e, ask{Verb: "close"}, "")
		if r, ok := e.actor.(*remote); ok {
			idle = append(idle, r)
		}
	}
	for _, x := range e.refs {
		x.f.refs--
	}
	for _, r := range e.readers {
		r.gone()
	}
	for _, s := range m.streams {
		if s.writer == e {
			s.end(died)
		}
	}
	m.ends = slices.DeleteFunc(m.ends, func(x *end) bool { return x == e })
}

// invariant compares the pool's counts with the oracle's: so nothing is lost, and nothing is doubled.
func (m *ringMachine) invariant(*rapid.T) {
	m.steps++
	e := m.ends[m.steps%len(m.ends)]
	alive := 1 + len(m.streams) + entries(m.queue)
	for _, e := range m.ends {
		for _, x := range e.items {
			alive += len(x.it.Seeds)
		}
	}
	for _, s := range m.streams {
		for _, f := range s.frames {
			if f.inRing {
				alive += 2 // with its attributes
			} else if f.refs > 0 {
				alive++
			}
		}
	}
	if s := m.tell(e, ask{Verb: "stats"}, "").Stats; s.Arrays != alive || s.Processes != len(m.ends) {
		m.Fatalf("%d arrays, %d processes; expected %d, %d", s.Arrays, s.Processes, alive, len(m.ends))
	}
	if n := m.tell(e, ask{Verb: "length"}, "").N; n != len(m.queue) {
		m.Fatalf("length %d, expected %d", n, len(m.queue))
	}
	if m.steps%5 == 0 {
		m.tell(e, ask{Verb: "verify"}, "")
	}
}

func (m *ringMachine) operations() map[string]func(*rapid.T) {
	rare := map[string]func(*rapid.T){"": m.invariant, "shut": m.shutDown, "leave": m.leave, "end reader": m.endReader, "put bytes": m.putBytes, "put batch": m.putBatch, "open": m.open}
	common := map[string]func(*rapid.T){"get": m.get, "item": m.endItem, "write": m.write, "reader": m.addReader, "release": m.releaseFrame, "put": m.put}
	for n := range 6 {
		common[fmt.Sprint("read ", n)] = m.read
	}
	return ops.Operations(rare, common, m.publish, 10)
}

// ringProperty is the whole machine.
func ringProperty(t *rapid.T) {
	dir, err := os.MkdirTemp(base(), "ndpool-fuzz-")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	m := &ringMachine{machine: &machine{T: t, dir: dir}}
	defer m.clearRings()
	m.enter(false)
	for _, path := range []string{"some", "every"} {
		s := &stream{path: path}
		m.streams = append(m.streams, s)
		m.tell(m.ends[0], ask{Verb: "writer", Dir: path}, "")
		s.writer = m.ends[0]
	}
	t.Repeat(m.operations())
	m.finishRings()
}

// finishRings lets everybody go, and wants that nothing is left when the names are removed.
func (m *ringMachine) finishRings() {
	for len(m.ends) > 1 {
		m.depart(m.ends[len(m.ends)-1], false)
	}
	e := m.ends[0]
	for _, x := range e.refs {
		m.tell(e, ask{Verb: "release", Ref: x.id, Seed: x.f.seed}, "")
	}
	m.tell(e, ask{Verb: "end-rings"}, "")
	for _, path := range []string{"some", "every", "queue"} {
		m.tell(e, ask{Verb: "remove", Dir: path}, "")
	}
	m.tell(e, ask{Verb: "trim"}, "")
	m.tell(e, ask{Verb: "verify"}, "")
	if s := m.tell(e, ask{Verb: "stats"}, "").Stats; s.Free != s.Capacity || s.Arrays != 0 || s.Names != 0 {
		m.Fatalf("left: %+v", s)
	}
	m.tell(e, ask{Verb: "close"}, "")
}

func (m *ringMachine) clearRings() {
	for _, e := range m.ends {
		e.actor.end()
	}
}

func TestRingsOfProcesses(t *testing.T) {
	moreSteps()
	rapid.Check(t, ringProperty)
}

func FuzzRingsOfProcesses(f *testing.F) { f.Fuzz(rapid.MakeFuzz(ringProperty)) }
