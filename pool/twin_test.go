package pool

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"
	"unsafe"

	"github.com/stretchr/testify/require"

	"github.com/ndpool/ndpool/arena"
	"github.com/ndpool/ndpool/arena/layout"
	"github.com/ndpool/ndpool/dtype"
	"github.com/ndpool/ndpool/handle"
)

// The twin test plays the same random trace of operations, among several attachments, on two copies of one segment:
// here, and in the C core by python/csrc/tests/twin.c. Both must give the same answers, and leave the same words. What
// differs by nature is masked: process ids, names and times.

// twinProgram names the program that plays a trace in C; `make twins` builds it and sets the variable.
const twinProgram = "NDPOOL_TWIN"

func TestTwinTraces(t *testing.T) {
	program := os.Getenv(twinProgram)
	if program == "" {
		t.Skip("no C core to compare with: make twins builds it and sets " + twinProgram)
	}
	tight := Options{Capacity: 256 << 10, Arrays: 48, Tickets: 8, Names: 20, Processes: 6}
	wide := Options{Capacity: 12 << 20, Arrays: 1500, Tickets: 64, Names: 1200, Processes: 6}
	for seed := range uint64(12) {
		t.Run(fmt.Sprintf("tight-%d", seed), func(t *testing.T) { twinTrace(t, program, tight, seed, 1200, 30_000) })
		t.Run(fmt.Sprintf("wide-%d", seed), func(t *testing.T) { twinTrace(t, program, wide, seed, 2500, 600_000) })
	}
}

func twinTrace(t *testing.T, program string, o Options, seed uint64, ops, most int) {
	mine, theirs := t.TempDir(), t.TempDir()
	o.Dir, o.Persistent, o.Grace = mine, true, time.Hour
	p := must(Create("twin", o))
	require.NoError(t, p.Close())
	image := must(os.ReadFile(filepath.Join(mine, "twin")))
	require.NoError(t, os.WriteFile(filepath.Join(theirs, "twin"), image, 0o600))

	w := &twin{t: t, dir: mine, rng: rand.New(rand.NewPCG(seed, 7)), most: most, pools: make([]*Pool, twinPools), open: make([]bool, twinPools),
		ids: make([]ProcessID, twinPools)}
	w.attach(0)
	for n := range ops {
		w.step()
		if n%(ops/10) == 0 {
			w.dump()
		}
	}
	w.dump()
	cmd := exec.Command(program, theirs, "twin")
	cmd.Stdin = strings.NewReader(strings.ReplaceAll(w.trace.String(), mine, theirs))
	out, err := cmd.Output()
	w.compareAnswers(strings.Split(strings.TrimSuffix(string(out), "\n"), "\n"))
	require.NoError(t, err)
	for n := range w.dumps {
		file := fmt.Sprintf("dump%d", n)
		compareWords(t, n, must(os.ReadFile(filepath.Join(mine, file))), must(os.ReadFile(filepath.Join(theirs, file))))
	}
	require.Greater(t, w.done, ops/4, "operations that did something")
}

const twinPools = 5

// twin plays operations in Go while it thinks them up, and writes them down for its sibling.
type twin struct {
	t       *testing.T
	dir     string
	rng     *rand.Rand
	most    int // bytes of an array
	pools   []*Pool
	open    []bool // attached, and not closed
	ids     []ProcessID
	refs    []twinRef
	sent    []handle.Transfer
	sender  []int
	frames  []handle.Message
	things  int
	paths   []string // of names
	roles   []twinRole
	trace   strings.Builder
	answers []string
	dumps   int
	done    int
}

// twinRef is one reference of an attachment.
type twinRef struct {
	k, id int
	a     *Array
}

func (w *twin) pick(n int) int { return w.rng.IntN(n) }

// attach opens the segment once more.
func (w *twin) attach(k int) {
	p, err := Open("twin", Options{Dir: w.dir})
	if err == nil {
		w.pools[k], w.open[k], w.ids[k] = p, true, p.Self()
	}
	w.line("open", k)
	w.note(err, uint64(w.ids[k]))
}

// note notes an answer: what went wrong, or what came of it.
func (w *twin) note(err error, came ...any) {
	s := statusName(err)
	if err == nil {
		w.done++
		for _, x := range came {
			s += fmt.Sprint(" ", x)
		}
	}
	w.answers = append(w.answers, s)
}

func (w *twin) dump() {
	file := filepath.Join(w.dir, fmt.Sprintf("dump%d", w.dumps))
	w.dumps++
	fmt.Fprintf(&w.trace, "dump %s\n", file)
	require.NoError(w.t, os.WriteFile(file, must(os.ReadFile(filepath.Join(w.dir, "twin"))), 0o600))
	w.note(nil)
}

// step plays one random operation.
func (w *twin) step() {
	k := w.pick(twinPools)
	if !w.open[k] {
		if w.pick(3) == 0 && !w.refersTo(k) {
			w.attach(k)
		}
		return
	}
	p := w.pools[k]
	switch n := w.pick(190); {
	case n >= 130:
		w.ring(k, p)
	case n >= 100:
		w.name(k, p)
	case n < 34:
		w.alloc(k, p)
	case n < 62:
		w.release()
	case n < 68:
		w.send(k)
	case n < 75:
		w.adopt(k, p)
	case n < 80:
		w.retain(k, p)
	case n < 83:
		w.ref()
	case n < 85:
		w.seal()
	case n < 88:
		w.recall(p, k)
	case n < 91:
		w.view()
	case n < 94:
		w.receive(k, p)
	case n < 95:
		freed, err := p.Trim()
		w.line("trim", k)
		w.note(err, freed)
	case n < 97:
		s, err := p.Stats()
		w.line("stats", k)
		w.note(err, statsText(s))
	case n < 98:
		w.depart(k, p)
	default:
		w.bulk(k, p)
	}
}

func (w *twin) line(words ...any) {
	w.trace.WriteString(strings.TrimSuffix(fmt.Sprintln(words...), "\n") + "\n")
}

func statsText(s Stats) string {
	var b strings.Builder
	v := reflect.ValueOf(s)
	for i := range v.NumField() {
		if i > 0 {
			b.WriteByte(' ')
		}
		fmt.Fprint(&b, v.Field(i).Interface())
	}
	return b.String()
}

var twinTypes = []string{"|u1", "<f4", ">i2", "<c16", "<M8[10ms]", "<U3", `{"itemsize":8,"fields":[["x","<f4",0],["y","<i2",4]]}`}

func (w *twin) alloc(k int, p *Pool) {
	dt := must(dtype.Parse(twinTypes[w.pick(len(twinTypes))]))
	ndim := w.pick(4)
	if w.pick(12) == 0 {
		ndim = 9 + w.pick(4)
	}
	n := 1
	if size := 1 << w.pick(21) / dt.Size(); size > 0 {
		n = min(w.pick(size)+1, w.most/dt.Size())
	}
	shape := make([]int, ndim)
	for d := range shape {
		shape[d] = 1
		if w.pick(3) == 0 {
			shape[d] = w.pick(4)
		}
	}
	if ndim > 0 {
		shape[w.pick(ndim)] = n
	}
	fortran := w.pick(2)
	a, err := p.New(Spec{DType: dt, Shape: shape, Fortran: fortran == 1})
	rec := "-"
	if dt.IsStructured() {
		rec = string(dt.AppendRecord(nil))
	}
	w.line("alloc", k, w.things, fmt.Sprintf("%#x", dt.Code()), fortran, rec, ndim, strings.Trim(fmt.Sprint(shape), "[]"))
	w.got(k, a, err)
}

// got notes an array that an attachment got.
func (w *twin) got(k int, a *Array, err error) {
	if err != nil {
		w.note(err)
		return
	}
	flags := "C"
	if a.flags&arrayFortran != 0 {
		flags = "F"
	}
	if a.IsReadOnly() {
		flags += "r"
	} else {
		flags += "w"
	}
	shape := ""
	for _, d := range a.Shape() {
		shape += fmt.Sprint(d, " ")
	}
	h := handle.New(p32(a), a.gen)
	w.note(nil, fmt.Sprintf("%v %d %#x %d %s%s", h, len(a.mem), a.dt.Code(), a.ndim, shape, flags))
	w.refs = append(w.refs, twinRef{k, w.things, a})
	w.things++
}

func p32(a *Array) uint32 { return a.pool.arena.Geo.DescGranule(int(a.desc)) }

// some returns a random reference of an attachment that takes new work.
func (w *twin) some() (twinRef, bool) {
	for range 20 {
		if len(w.refs) == 0 {
			return twinRef{}, false
		}
		if r := w.refs[w.pick(len(w.refs))]; w.open[r.k] {
			return r, true
		}
	}
	return twinRef{}, false
}

func (w *twin) release() {
	if len(w.refs) == 0 {
		return
	}
	x := w.pick(len(w.refs))
	r := w.refs[x]
	w.refs[x] = w.refs[len(w.refs)-1]
	w.refs = w.refs[:len(w.refs)-1]
	r.a.Release()
	w.line("release", r.k, r.id)
	w.note(nil)
}

func (w *twin) ref() {
	r, ok := w.some()
	if !ok {
		return
	}
	v, err := r.a.View()
	w.line("ref", r.k, r.id)
	w.note(err)
	w.refs = append(w.refs, twinRef{r.k, r.id, v})
}

func (w *twin) retain(k int, p *Pool) {
	r, ok := w.some()
	if !ok {
		return
	}
	if w.pick(4) != 0 {
		r.a.pool.share(int(r.a.desc))
		w.line("share", r.k, r.id)
		w.note(nil)
	}
	ro := w.pick(2)
	a, err := p.Retain(handle.New(p32(r.a), r.a.gen), ReadOnly(ro == 1))
	w.line("retain", k, r.id, w.things, ro)
	w.got(k, a, err)
}

func (w *twin) seal() {
	r, ok := w.some()
	if !ok || r.a.IsView() {
		return
	}
	hash := w.pick(2)
	w.line("seal", r.k, r.id, hash)
	w.note(r.a.Seal(hash == 1))
}

func (w *twin) send(k int) {
	r, ok := w.some()
	if !ok {
		return
	}
	to := w.pick(2*twinPools) - twinPools
	id := ProcessID(0)
	if to >= 0 && w.ids[to] != 0 {
		id = w.ids[to]
	} else {
		to = -1
	}
	t, err := r.a.pool.send(int(r.a.desc), id)
	w.line("send", r.k, r.id, len(w.sent), to)
	w.note(err, t)
	w.sent, w.sender = append(w.sent, t), append(w.sender, r.k)
}

func (w *twin) adopt(k int, p *Pool) {
	if len(w.sent) == 0 {
		return
	}
	x := max(0, len(w.sent)-1-w.pick(12))
	ro := w.pick(2)
	if w.sent[x].Handle == 0 {
		return
	}
	a, err := p.Adopt(w.sent[x], ReadOnly(ro == 1))
	w.line("adopt", k, x, w.things, ro)
	w.got(k, a, err)
}

func (w *twin) recall(p *Pool, k int) {
	if len(w.sent) == 0 {
		return
	}
	x := max(0, len(w.sent)-1-w.pick(12))
	if w.sent[x].Handle == 0 {
		return
	}
	w.line("recall", k, x)
	w.note(p.Recall(w.sent[x]))
}

// view sends a part of an array, which may not fit it.
func (w *twin) view() {
	r, ok := w.some()
	if !ok {
		return
	}
	n := len(r.a.mem)
	v := handle.View{Offset: uint64(w.pick(n/2 + 1)), DType: dtype.Uint8, Shape: []int{w.pick(n/4 + 2), 2}, Strides: []int{1, w.pick(n/4 + 1)}}
	t, err := r.a.pool.send(int(r.a.desc), 0)
	m := handle.Message{Segment: r.a.pool.segment, Handle: t.Handle, Ticket: t.Ticket, View: &v}
	w.line("view", r.k, r.id, len(w.frames), v.Offset, fmt.Sprintf("%#x", v.DType.Code()), 2, v.Shape[0], v.Shape[1], v.Strides[0], v.Strides[1])
	var b []byte
	if err == nil {
		b, err = m.MarshalBinary()
	}
	if err != nil {
		w.note(err)
		return
	}
	w.note(nil, hex.EncodeToString(b))
	w.frames = append(w.frames, m)
}

func (w *twin) receive(k int, p *Pool) {
	if len(w.frames) == 0 {
		return
	}
	x := max(0, len(w.frames)-1-w.pick(4))
	a, err := p.Receive(w.frames[x])
	w.line("receive", k, x, w.things)
	w.note(err)
	if err == nil {
		w.refs = append(w.refs, twinRef{k, w.things, a})
		w.things++
	}
}

// bulk plays what touches many things at once.
func (w *twin) bulk(k int, p *Pool) {
	if w.pick(2) == 0 {
		n, err := p.RecallOlder(0)
		w.line("recall-all", k)
		w.note(err, n)
		return
	}
	from := w.pick(twinPools)
	if w.ids[from] != 0 {
		n, err := p.Refuse(w.ids[from])
		w.line("refuse", k, from)
		w.note(err, n)
	}
}

// depart lets an attachment leave, or die and be swept by another one at once: a sweep of its own accord would depend on
// the time.
func (w *twin) depart(k int, p *Pool) {
	other := -1
	for j := range w.open {
		if j != k && w.open[j] {
			other = j
		}
	}
	if other < 0 {
		return
	}
	w.open[k] = false
	if w.pick(2) == 0 {
		w.line("close", k)
		w.note(p.Close())
		return
	}
	w.refs = deleteRefs(w.refs, k)
	w.roles = deleteRoles(w.roles, k)
	p.arena.Abandon()
	w.line("die", k)
	w.note(nil)
	r, err := w.pools[other].Reap()
	w.line("reap", other)
	w.note(err, r.Processes, r.Expired)
}

// refersTo tells whether a closed attachment still has references.
func (w *twin) refersTo(k int) bool {
	return len(deleteRefs(w.refs, k)) < len(w.refs) || len(deleteRoles(w.roles, k)) < len(w.roles)
}

// deleteRefs returns the references that are not of attachment k.
func deleteRefs(refs []twinRef, k int) (left []twinRef) {
	for _, r := range refs {
		if r.k != k {
			left = append(left, r)
		}
	}
	return left
}

func (w *twin) compareAnswers(theirs []string) {
	lines := strings.Split(strings.TrimSuffix(w.trace.String(), "\n"), "\n")
	require.Len(w.t, w.answers, len(lines))
	for n, line := range lines {
		if n >= len(theirs) {
			w.t.Fatalf("C ended at line %d: %s", n+1, line)
		}
		if strings.TrimSpace(w.answers[n]) != strings.TrimSpace(theirs[n]) {
			w.t.Fatalf("line %d: %s\nGo: %s\nC:  %s", n+1, line, w.answers[n], theirs[n])
		}
	}
}

// statusName names an error as ndpool_status_name does.
func statusName(err error) string {
	for _, s := range []struct {
		err  error
		name string
	}{{ErrClosed, "closed"}, {ErrFull, "full"}, {ErrTableFull, "table-full"}, {ErrForeignHandle, "foreign"}, {ErrSpec, "spec"}, {ErrMismatch, "mismatch"},
		{ErrCorrupt, "corrupt"}, {ErrDead, "dead"}, {ErrStale, "stale"}, {ErrPrivate, "private"}, {ErrHeld, "held"}, {ErrSealed, "sealed"}, {ErrSpent, "spent"},
		{ErrExpired, "expired"}, {ErrRecalled, "recalled"}, {ErrForged, "forged"}, {ErrNotReceiver, "not-receiver"}, {ErrNotSender, "not-sender"},
		{ErrProcesses, "processes"}, {ErrView, "view"}, {handle.ErrInvalid, "message"}, {arena.ErrNoMemory, "no-memory"}, {ErrPath, "path"},
		{ErrNoName, "no-name"}, {ErrNameTaken, "name-taken"}, {ErrGroup, "group"}, {ErrVersion, "version"}, {ErrAttributes, "attributes"},
		{ErrKind, "kind"}, {ErrWriter, "writer"}, {ErrWriterDied, "writer-died"}, {ErrEnded, "ended"}, {ErrNoFrame, "timeout"}, {ErrShut, "shut"},
		{ErrTooLong, "too-long"}, {ErrOptions, "options"}, {context.DeadlineExceeded, "timeout"}} {
		if errors.Is(err, s.err) {
			return s.name
		}
	}
	if err != nil {
		return err.Error()
	}
	return "ok"
}

// compareWords compares two images word by word.
func compareWords(t *testing.T, n int, mine, theirs []byte) {
	require.Equal(t, len(mine), len(theirs))
	mask(mine)
	mask(theirs)
	if bytes.Equal(mine, theirs) {
		return
	}
	sb := (*layout.Superblock)(unsafe.Pointer(&mine[0]))
	bad := 0
	for off := 0; off < len(mine); off += 8 {
		a, b := binary.LittleEndian.Uint64(mine[off:]), binary.LittleEndian.Uint64(theirs[off:])
		if a != b && bad < 20 {
			bad++
			t.Errorf("dump %d: %s: Go %#016x, C %#016x", n, placeOf(sb, uint64(off)), a, b)
		}
	}
	t.FailNow()
}

func placeOf(sb *layout.Superblock, off uint64) string {
	for _, r := range sb.Regions {
		if off >= r.Offset && off < r.Offset+r.Size {
			return fmt.Sprintf("region %d, byte %d", r.Kind, off-r.Offset)
		}
	}
	return fmt.Sprintf("byte %d", off)
}

// mask makes the words zero that differ by nature.
func mask(image []byte) {
	sb := *(*layout.Superblock)(unsafe.Pointer(&image[0]))
	slots, tickets := sb.Regions[layout.RegionSlots-1], sb.Regions[layout.RegionTickets-1]
	for off := slots.Offset; off < slots.Offset+slots.Size; off += layout.SlotSize {
		clear(image[off+8 : off+layout.SlotSize])
	}
	for off := tickets.Offset; off < tickets.Offset+tickets.Size; off += layout.TicketSize {
		clear(image[off+32 : off+40]) // birth
		if binary.LittleEndian.Uint64(image[off+40:]) != 0 {
			binary.LittleEndian.PutUint64(image[off+40:], 1) // deadline
		}
	}
	control := sb.Regions[layout.RegionControl-1]
	clear(image[control.Offset+64 : control.Offset+72])   // who waits for space
	clear(image[control.Offset+312 : control.Offset+320]) // and for names
	maskRings(image, &sb)
}
