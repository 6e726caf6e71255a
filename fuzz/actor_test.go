package fuzz

import (
	"context"
	"encoding/gob"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"testing"

	"github.com/ndpool/ndpool/dtype"
	"github.com/ndpool/ndpool/handle"
	"github.com/ndpool/ndpool/internal/selfexec"
	"github.com/ndpool/ndpool/pool"
)

// An actor is an attachment to the pool that does what it is told: in this process, or in a child process.

// ask is what an actor is told.
type ask struct {
	Verb    string
	Ref     int // names an array
	New     int // the name of an array that the verb makes
	Dir     string
	DType   string
	Shape   []int
	Seed    byte
	Flag    bool
	To      pool.ProcessID
	Handle  handle.Handle
	Message []byte
}

// answer is what it answers. Err names a sentinel error, see sentinels.
type answer struct {
	Err     string
	Text    string // of the error
	Self    pool.ProcessID
	Handle  handle.Handle
	Message []byte
	Reaped  pool.Reaped
	Stats   pool.Stats

	N                 int // a count, or the byte of a frame
	Items             []item
	Sequence, Skipped uint64
}

// sentinels are the errors that the machine tells apart.
var sentinels = map[string]error{"": nil, "full": pool.ErrFull, "table": pool.ErrTableFull, "stale": pool.ErrStale, "foreign": pool.ErrForeignHandle,
	"spent": pool.ErrSpent, "expired": pool.ErrExpired, "recalled": pool.ErrRecalled, "receiver": pool.ErrNotReceiver, "sender": pool.ErrNotSender,
	"forged": pool.ErrForged, "dead": pool.ErrDead, "held": pool.ErrHeld, "sealed": pool.ErrSealed, "view": pool.ErrView,
	"time": context.DeadlineExceeded, "shut": pool.ErrShut, "long": pool.ErrTooLong, "writer": pool.ErrWriter, "none": pool.ErrNoFrame}

func nameOf(err error) string {
	switch { // one is the other, too
	case errors.Is(err, pool.ErrWriterDied):
		return "died"
	case errors.Is(err, pool.ErrEnded):
		return "ended"
	}
	for name, e := range sentinels {
		if e != nil && errors.Is(err, e) {
			return name
		}
	}
	return "other"
}

type actor interface {
	do(ask) answer
	end() // of its process or of nothing, at once
}

// local is an actor in this process. Ending it closes it.
type local struct {
	p    *pool.Pool
	refs map[int]*pool.Array
	rings
}

func (l *local) end() {}

func (l *local) do(q ask) (r answer) {
	if err := l.try(q, &r); err != nil {
		r.Err, r.Text = nameOf(err), err.Error()
	}
	return r
}

func (l *local) try(q ask, r *answer) (err error) {
	a := l.refs[q.Ref]
	switch q.Verb {
	case "open":
		l.refs = map[int]*pool.Array{}
		if l.p, err = pool.OpenOrCreate("fuzz", options(q.Dir)); err == nil {
			r.Self = l.p.Self()
		}
	case "close":
		err = l.p.Close()
	case "alloc":
		var dt dtype.Type
		if dt, err = dtype.Parse(q.DType); err == nil {
			a, err = l.p.New(pool.Spec{DType: dt, Shape: q.Shape, Fortran: q.Flag})
			return l.made(q, a, err, func() error { return fill(a, q.Seed) })
		}
	case "handle":
		r.Handle = a.Handle()
	case "send", "message":
		return l.send(q, r, a)
	case "receive":
		var m handle.Message
		if err = m.UnmarshalBinary(q.Message); err == nil {
			a, err = l.p.Receive(m)
			return l.made(q, a, err, func() error { return compare(a, q.Seed) })
		}
	case "retain":
		a, err = l.p.Retain(q.Handle)
		return l.made(q, a, err, func() error { return compare(a, q.Seed) })
	case "recall":
		var m handle.Message
		if err = m.UnmarshalBinary(q.Message); err == nil {
			err = l.p.Recall(handle.Transfer{Handle: m.Handle, Ticket: m.Ticket})
		}
	case "view":
		v, err := a.View(pool.Range{Start: q.Shape[0], Stop: q.Shape[1], Step: q.Shape[2]})
		return l.made(q, v, err, func() error { return compare(v, q.Seed) })
	case "release":
		err = compare(a, q.Seed)
		a.Release()
		delete(l.refs, q.Ref)
	case "seal":
		err = a.Seal(q.Flag)
	default:
		return l.tend(q, r)
	}
	return err
}

// tend does what concerns the whole pool.
func (l *local) tend(q ask, r *answer) (err error) {
	switch q.Verb {
	case "reap":
		r.Reaped, err = l.p.Reap()
	case "trim":
		_, err = l.p.Trim()
	case "stats":
		r.Stats, err = l.p.Stats()
	case "verify":
		var v pool.Report
		if v, err = l.p.Verify(pool.VerifyOptions{Content: true}); err == nil && !v.Clean() {
			err = fmt.Errorf("%d faults, first: %v", len(v.Faults), v.Faults[0])
		}
	case "remove":
		err = l.p.Remove(q.Dir)
	default:
		known, err := l.ring(q, r)
		if !known {
			panic("no verb " + q.Verb)
		}
		return err
	}
	return err
}

// made keeps a new array, after a look at its bytes.
func (l *local) made(q ask, a *pool.Array, err error, look func() error) error {
	if err != nil {
		return err
	}
	l.refs[q.New] = a
	return look()
}

func (l *local) send(q ask, r *answer, a *pool.Array) error {
	m, err := handle.Message{}, error(nil)
	if q.Verb == "message" {
		m, err = a.Message()
	} else {
		var t handle.Transfer
		t, err = a.SendTo(q.To)
		m = handle.Message{Segment: l.p.Segment(), Handle: t.Handle, Ticket: t.Ticket}
	}
	if err == nil {
		r.Handle = m.Handle
		r.Message, err = m.MarshalBinary()
	}
	return err
}

// fill gives every element the bytes seed, seed, ... so that a view of any form is known by them.
func fill(a *pool.Array, seed byte) error {
	b, err := a.Bytes()
	for i := range b {
		b[i] = seed
	}
	return err
}

func compare(a *pool.Array, seed byte) error {
	if !a.IsContiguous() {
		return nil
	}
	b, err := a.Bytes()
	for i, x := range b {
		if x != seed {
			return fmt.Errorf("byte %d of %d is %#x, expected %#x", i, len(b), x, seed)
		}
	}
	return err
}

// remote is an actor in a child process. Ending it kills it.
type remote struct {
	cmd *exec.Cmd
	enc *gob.Encoder
	dec *gob.Decoder
}

const childEnv = "NDPOOL_FUZZ_CHILD"

func TestMain(m *testing.M) {
	if os.Getenv(childEnv) != "" {
		serve(os.Stdin, os.Stdout)
		return
	}
	os.Exit(m.Run())
}

// serve answers until nobody asks any more.
func serve(in io.Reader, out io.Writer) {
	enc, dec, l := gob.NewEncoder(out), gob.NewDecoder(in), &local{}
	for {
		var q ask
		if dec.Decode(&q) != nil {
			return
		}
		if enc.Encode(l.do(q)) != nil {
			return
		}
	}
}

func startRemote() (*remote, error) {
	r := &remote{cmd: selfexec.Command()}
	r.cmd.Env = append(os.Environ(), childEnv+"=1")
	r.cmd.Stderr = os.Stderr
	in, err := r.cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := r.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	r.enc, r.dec = gob.NewEncoder(in), gob.NewDecoder(out)
	return r, r.cmd.Start()
}

func (r *remote) do(q ask) (a answer) {
	err := r.enc.Encode(q)
	if err == nil {
		err = r.dec.Decode(&a)
	}
	if err != nil {
		return answer{Err: "other", Text: fmt.Sprintf("child %d: %v", r.cmd.Process.Pid, err)}
	}
	return a
}

func (r *remote) end() {
	_ = r.cmd.Process.Kill()
	_ = r.cmd.Wait()
}
