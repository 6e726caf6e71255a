package ring

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ndpool/ndpool/arena/layout"
	"github.com/ndpool/ndpool/handle"
)

// counts stands in for the blocks: how often each is named. Handles from 1000 on lead nowhere.
type counts map[handle.Handle]int

func (c counts) Enter(h handle.Handle)        { c[h]++ }
func (c counts) Exit(h handle.Handle)         { c[h]-- }
func (c counts) Carried(h handle.Handle) bool { return h != 0 && h < 1000 }
func (c counts) Count(h handle.Handle)        { c[h]++ }

func (c counts) sum() (n int) {
	for _, k := range c {
		n += k
	}
	return n
}

// newBytes returns the zero bytes of a ring's block, aligned as blocks are.
func newBytes(entries, readers int) []byte {
	return heapBytes(layout.RingBytes(entries, readers))
}

func newRing(t *testing.T, kind layout.RingKind, entries, readers int) Ring {
	t.Helper()
	flags := uint32(0)
	if readers > 0 {
		flags = layout.RingLossless
	}
	r, err := Make(newBytes(entries, readers), kind, flags, entries, readers)
	require.NoError(t, err)
	return r
}

// arrays returns entries of an array each.
func arrays(hs ...handle.Handle) (es []Entry) {
	for _, h := range hs {
		es = append(es, Entry{Array: h, Word: layout.MakeEntry(layout.EntryArray, 0)})
	}
	return es
}

// item returns the entries of one item.
func item(hs ...handle.Handle) []Entry {
	es := arrays(hs...)
	es[0].Word = layout.MakeEntry(layout.EntryBytes, len(hs)-1)
	for k := range es[1:] {
		es[k+1].Word = es[k+1].Word.Attached()
	}
	return es
}

func span(t *testing.T, r *Ring) (tail, head uint64) {
	t.Helper()
	tail, head, err := r.Span()
	require.NoError(t, err)
	return tail, head
}

func TestLayChecksEveryNumber(t *testing.T) {
	good := func() (*layout.Ring, []byte) {
		mem := newBytes(3, 2)
		_, err := Make(mem, layout.RingStream, layout.RingLossless, 3, 2)
		require.NoError(t, err)
		return &overlay[layout.Ring](mem, 0, 1)[0], mem
	}
	_, mem := good()
	r, err := Lay(mem)
	require.NoError(t, err)
	require.Equal(t, layout.RingStream, r.Kind())
	require.True(t, r.Lossless())
	require.Equal(t, []int{3, 2}, []int{r.Entries(), r.Readers()})
	for name, spoil := range map[string]func(h *layout.Ring, mem []byte) []byte{
		"no bytes":         func(*layout.Ring, []byte) []byte { return nil },
		"half a head":      func(_ *layout.Ring, mem []byte) []byte { return mem[:layout.RingSize/2] },
		"too few bytes":    func(_ *layout.Ring, mem []byte) []byte { return mem[:len(mem)-8] },
		"no kind":          func(h *layout.Ring, mem []byte) []byte { h.Kind.Store(0); return mem },
		"unknown kind":     func(h *layout.Ring, mem []byte) []byte { h.Kind.Store(3); return mem },
		"unknown flags":    func(h *layout.Ring, mem []byte) []byte { h.Flags.Store(1 << 31); return mem },
		"no entries":       func(h *layout.Ring, mem []byte) []byte { h.Entries.Store(0); return mem },
		"more entries":     func(h *layout.Ring, mem []byte) []byte { h.Entries.Store(4); return mem },
		"far more entries": func(h *layout.Ring, mem []byte) []byte { h.Entries.Store(1<<32 - 1); return mem },
		"more readers":     func(h *layout.Ring, mem []byte) []byte { h.Readers.Store(5); return mem },
		"far more readers": func(h *layout.Ring, mem []byte) []byte { h.Readers.Store(1<<32 - 1); return mem },
	} {
		h, mem := good()
		_, err := Lay(spoil(h, mem))
		require.ErrorIs(t, err, ErrTorn, name)
	}
}

func TestPutDropGoesRound(t *testing.T) {
	r, b := newRing(t, layout.RingQueue, 3, 0), counts{}
	for n := range uint64(10) {
		require.Equal(t, 3, r.Room())
		r.Put(arrays(1, 2, 1), b)
		require.Zero(t, r.Room())
		require.Equal(t, counts{1: 2, 2: 1}, b)
		require.EqualValues(t, 3, r.Items())
		e, ok := r.Look(3*n + 1)
		require.True(t, ok)
		require.EqualValues(t, 2, e.Array)
		require.True(t, r.Still(3*n+1))
		r.Drop(3, b)
		require.Zero(t, b.sum())
		require.Zero(t, r.Items())
		clear(b)
	}
	_, ok := r.Look(2)
	require.False(t, ok, "the place is another position's")
}

func TestAttributesAreBlocksToo(t *testing.T) {
	r, b := newRing(t, layout.RingStream, 2, 0), counts{}
	r.Put([]Entry{{Array: 1, Attributes: 2, Word: layout.MakeEntry(layout.EntryArray, 0), Monotonic: 3, Wall: 4, Sender: 5}}, b)
	require.Equal(t, counts{1: 1, 2: 1}, b)
	e, ok := r.Look(0)
	require.True(t, ok)
	require.Equal(t, Entry{Array: 1, Attributes: 2, Word: layout.MakeEntry(layout.EntryArray, 0), Monotonic: 3, Wall: 4, Sender: 5}, e)
	r.Empty(b)
	require.Zero(t, b.sum())
}

func TestPutBackComesFirst(t *testing.T) {
	r, b := newRing(t, layout.RingQueue, 4, 0), counts{}
	r.Put(item(1, 2), b)
	r.Put(arrays(3), b)
	require.EqualValues(t, 2, r.Items())
	tail, head := span(t, &r)
	n, err := r.Item(tail, head, b)
	require.NoError(t, err)
	require.Equal(t, 2, n)
	r.Drop(n, b)
	r.Put(arrays(4), b)
	r.PutBack(item(1, 2), b)
	require.EqualValues(t, 3, r.Items())
	var got []handle.Handle
	for tail, head = span(t, &r); tail != head; tail++ {
		e, ok := r.Sound(tail, b)
		require.True(t, ok)
		got = append(got, e.Array)
	}
	require.Equal(t, []handle.Handle{1, 2, 3, 4}, got)
}

// TestDamageDoesNotCount spoils entries in the ways that a scribble may.
func TestDamageDoesNotCount(t *testing.T) {
	for name, spoil := range map[string]func(d *layout.RingEntry){
		"another number":     func(d *layout.RingEntry) { d.Number.Store(77) },
		"no number":          func(d *layout.RingEntry) { d.Number.Store(0) },
		"a dead handle":      func(d *layout.RingEntry) { d.Array.Store(5000) },
		"dead attributes":    func(d *layout.RingEntry) { d.Attributes.Store(5000) },
		"no such kind":       func(d *layout.RingEntry) { d.Word.Store(0) },
		"more than there is": func(d *layout.RingEntry) { d.Word.Store(uint64(layout.MakeEntry(layout.EntryBytes, 5))) },
		"far more":           func(d *layout.RingEntry) { d.Word.Store(1<<64 - 1) },
		"one less":           func(d *layout.RingEntry) { d.Word.Store(uint64(layout.MakeEntry(layout.EntryBytes, 3))) },
		"belongs to nothing": func(d *layout.RingEntry) { d.Word.Store(uint64(layout.MakeEntry(layout.EntryArray, 0).Attached())) },
	} {
		t.Run(name, func(t *testing.T) {
			r, b := newRing(t, layout.RingQueue, 5, 0), counts{}
			r.Put(item(1, 2, 3), b)
			r.Put(arrays(4), b)
			spoil(r.at(0))
			tail, head := span(t, &r)
			n, err := r.Item(tail, head, b)
			require.ErrorIs(t, err, ErrTorn)
			require.Equal(t, 3, n, "what was attached goes with it")
			clear(b)
			r.Recount(b)
			r.Drop(n, b)
			n, err = r.Item(3, head, b)
			require.NoError(t, err)
			require.Equal(t, 1, n)
			r.Empty(b)
			require.Zero(t, b.sum(), "what does not count is not uncounted")
			require.Zero(t, r.Items())
		})
	}
}

func TestHeadThatCannotBe(t *testing.T) {
	for _, head := range []uint64{0, 1 << 63, 7} {
		r, b := newRing(t, layout.RingQueue, 2, 0), counts{}
		r.Put(arrays(1, 2), b)
		r.Drop(1, b)
		r.head.Head.Store(head)
		_, _, err := r.Span()
		require.ErrorIs(t, err, ErrTorn)
		require.Zero(t, r.Room())
		was := b.sum()
		r.Empty(b)
		require.Equal(t, was, b.sum())
		clear(b)
		r.Recount(b)
		require.Zero(t, b.sum())
		require.Zero(t, r.Items())
	}
}

func TestRoles(t *testing.T) {
	r := newRing(t, layout.RingStream, 2, 2)
	a, b, c := layout.MakeIdent(3, 1), layout.MakeIdent(4, 9), layout.MakeIdent(5, 2)
	r.Begin(a)
	require.Equal(t, a, r.Writer())
	r.End(false)
	require.Zero(t, r.Writer())
	require.EqualValues(t, 2, r.Ends())
	r.Begin(a)
	k, ok := r.Enter(b, 7)
	require.True(t, ok)
	l, ok := r.Enter(c, 9)
	require.True(t, ok)
	_, ok = r.Enter(a, 0)
	require.False(t, ok)
	require.True(t, r.Blocked(7))
	require.False(t, r.Blocked(6))
	r.Advance(k, 8)
	require.False(t, r.Blocked(7))
	r.SweepSlot(5, true)
	id, _ := r.Reader(l)
	require.Zero(t, id)
	require.EqualValues(t, 2, r.Ends(), "another one's slot")
	require.True(t, r.AllAlive(func(layout.Ident) bool { return true }))
	dead := func(id layout.Ident) bool { return id != a && id != b }
	require.False(t, r.AllAlive(dead))
	require.True(t, r.SweepDead(dead))
	require.False(t, r.SweepDead(dead))
	require.Zero(t, r.Writer())
	require.EqualValues(t, 5, r.Ends(), "two have ended, and the last one died")
	require.False(t, r.Blocked(100))
	r.Begin(c)
	r.SweepSlot(5, false)
	require.EqualValues(t, 6, r.Ends())
}

func TestBell(t *testing.T) {
	r := newRing(t, layout.RingQueue, 2, 0)
	b := r.News()
	seq := b.Arm(false)
	require.True(t, b.Sleep(seq, time.Millisecond))
	b.Ring(1)
	require.False(t, b.Sleep(seq, time.Hour), "it has rung since")
	require.Zero(t, r.head.NewsFlag.Load())
	now := r.head.News.Load()
	b.Ring(1)
	require.Equal(t, now, r.head.News.Load(), "nobody waits")
	b = r.RoomBell()
	b.Arm(true)
	b.Arm(false)
	require.EqualValues(t, waits|waitsMany, r.head.RoomFlag.Load())
	b.Ring(1)
	require.Zero(t, r.head.RoomFlag.Load())
	seq = b.Arm(false)
	time.AfterFunc(5*time.Millisecond, func() { b.Ring(1) })
	for r.head.Room.Load() == seq {
		b.Sleep(seq, time.Minute)
	}
}

func TestSpinner(t *testing.T) {
	r := newRing(t, layout.RingQueue, 2, 0)
	var s Spinner
	require.True(t, s.Spin(r.NewsStamp, r.NewsStamp()-1))
	for range 5 {
		require.False(t, s.Spin(r.NewsStamp, r.NewsStamp()))
	}
	start, n := time.Now(), 10
	for range n {
		s.Spin(r.NewsStamp, r.NewsStamp())
	}
	require.Less(t, time.Since(start), time.Duration(n)*spinFor, "it does not look for long any more")
	before := r.NewsStamp()
	r.Put(arrays(1), counts{})
	require.NotEqual(t, before, r.NewsStamp())
	room := r.RoomStamp()
	r.Drop(1, counts{})
	require.NotEqual(t, room, r.RoomStamp())
}

func TestNowIsTheClocks(t *testing.T) {
	m, w := Now()
	require.InDelta(t, float64(time.Now().UnixNano()), float64(w), 1e9)
	time.Sleep(time.Millisecond)
	m2, w2 := Now()
	require.Greater(t, m2, m)
	require.Greater(t, w2, w)
}
