//go:build ndpool_crash

package pool

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ndpool/ndpool/alloc"
	"github.com/ndpool/ndpool/arena"
	"github.com/ndpool/ndpool/dtype"
	"github.com/ndpool/ndpool/internal/shm"
)

// Attaching and creating are operations that a process may die in, too. Another one must be able to attach then, and to
// clean up after all that died before it.

// attachment is a case: what there is before somebody attaches. The victim and the peer of the stage are dead by then.
type attachment struct {
	name    string
	options Options
	prepare func(s *stage)
}

var attachments = []attachment{
	{"free-slot", smallPool, func(*stage) {}},
	{"dead-slot", smallPool, func(s *stage) {
		for range smallPool.Processes - 3 {
			p := must(openHeapUnswept(s.heap))
			must(p.Alloc(dtype.Uint8, 50_000)) // a block of its own: a batch would have many stores
			defer p.arena.Abandon()
		}
		leaveHolds(s.victim, s.peer)
	}},
}

// leaveHolds has two processes hold all kinds of things, one of them the lock.
func leaveHolds(v, peer *Pool) {
	a := marked(v, 1)
	must(a.SendTo(peer.Self()))
	must(a.Send())
	must(peer.Retain(a.Handle()))
	must(v.Publish("own", a))
	must(v.Publish("kept", a, stay))
	must(peer.LockOf("kept")).Lock(ever)
	v.arena.Lock(time.Second)
}

// enter claims a slot of an arena, and brings the segment in order, as open does.
func enter(a *arena.Arena) error {
	dirty, err := a.Claim()
	if err != nil {
		return err
	}
	return newPool(a, alloc.New(a)).clean(dirty)
}

// attachDying lets somebody attach who dies after store k of it, and reports whether he did.
func attachDying(h *arena.Heap, k int) (died bool, err error) {
	a := must(arena.OpenHeap(h))
	defer a.Abandon()
	return victimRun(k, func() error { return enter(a) })
}

// attachOnce lets somebody die after store k of his attaching, and if j is not 0 another one after store j of his. A third one
// attaches.
func attachOnce(t testing.TB, c attachment, k, j int) (died, again bool, left string, err error) {
	s := newStage(t, ground{options: c.options})
	c.prepare(s)
	if s.victim.arena.Self() != 0 {
		s.victim.arena.Abandon()
	}
	s.peer.arena.Abandon()
	if died, err = attachDying(s.heap, k); err == nil && j > 0 {
		again, err = attachDying(s.heap, j)
	}
	if err != nil {
		return died, again, "", err
	}
	if s.peer, err = openHeap(s.heap); err == nil {
		err = s.onlyLiving()
	}
	if err == nil && !s.bystander.arena.Receives(s.peer.arena.Self()) {
		err = errors.New("nothing can be sent to it")
	}
	if err != nil {
		return died, again, "", fmt.Errorf("the next one: %w", err)
	}
	err = s.settle()
	return died, again, s.catalog, err
}

// onlyLiving tells whether a slot is in use by anybody but the bystander and the peer, who has swept when he came.
func (s *stage) onlyLiving() error {
	for slot := range s.bystander.arena.Slots {
		if id, used := s.bystander.arena.Ident(slot); used && id != s.bystander.arena.Self() && id != s.peer.arena.Self() {
			return fmt.Errorf("slot %d is still in use", slot)
		}
	}
	return nil
}

func TestCrashAttach(t *testing.T) {
	for _, c := range attachments {
		t.Run(c.name, func(t *testing.T) {
			_, _, want, err := attachOnce(t, c, 0, 0)
			require.NoError(t, err)
			cases, stride := 0, pairStride(997)
			try := func(k, j int) (died, again bool) {
				died, again, left, err := attachOnce(t, c, k, j)
				require.NoErrorf(t, err, "death after store %d, the next one's after %d", k, j)
				require.Equal(t, want, left)
				cases++
				return died, again
			}
			for k, died := 1, true; died; k++ {
				died, _ = try(k, 0)
				for j, again := 1+k%stride, died; again; j += stride {
					_, again = try(k, j)
				}
			}
			t.Logf("%d deaths, with those in the next one's attaching", cases)
		})
	}
}

// attempt is a way to a pool in a file, which a process dies on.
type attempt struct {
	name    string
	options Options
	before  func(o Options) // what a process leaves that is killed then
	try     func(o Options) (*Pool, error)
	waits   int // transfers that there are afterwards
}

var attempts = []attempt{
	{"create", smallPool, func(Options) {}, create, 0},
	{"create-in-place-of-an-orphan", smallPool, leaveOrphan, openOrCreate, 0},
	{"open", withPool(func(o *Options) { o.Persistent = true }), leaveOrphan, openOnly, 0},
	{"open-in-another-boot", withPool(func(o *Options) { o.Persistent, o.Grace = true, time.Hour }), leaveClean, openOnly, 1},
	{"open-dead-slot", withPool(func(o *Options) { o.Persistent, o.Processes = true, 1 }), leaveOrphan, openOnly, 0},
}

func create(o Options) (*Pool, error)       { return Create("test", o) }
func openOnly(o Options) (*Pool, error)     { return Open("test", o) }
func openOrCreate(o Options) (*Pool, error) { return OpenOrCreate("test", o) }

// leaveOrphan leaves names and holds.
func leaveOrphan(o Options) {
	p := must(create(o))
	a := marked(p, 9)
	must(p.Publish("own", a))
	if o.Persistent {
		must(p.Publish("kept", a, stay))
	}
	must(a.Send())
	must(p.Alloc(dtype.Uint8, 3000))
}

// leaveClean leaves a name and a transfer, as a process of an earlier boot that has closed the pool.
func leaveClean(o Options) {
	p := must(create(o))
	a, b, last := marked(p, 9), marked(p, 8), must(openOnly(o))
	must(p.Publish("kept", a, stay))
	must(b.Send())
	a.Release()
	b.Release()
	err := p.Close()
	for n := range last.arena.Tickets {
		last.arena.Tickets[n].Deadline.Store(1) // which that boot's clock had not come to
	}
	last.arena.Ctl.Boot[0].Store(1)
	if err := errors.Join(err, last.Close()); err != nil {
		panic(err)
	}
}

func init() {
	children["attempt"] = func(args []string) {
		c := attempts[must(strconv.Atoi(args[0]))]
		o := c.options
		o.Dir = args[1]
		if args[2] == "before" {
			c.before(o)
			shm.Kill()
		}
		shm.Arm(must(strconv.Atoi(args[2])), shm.Kill)
		must(c.try(o))
	}
}

// tryOnce kills a process after store k of its way to a pool, and goes that way then.
func tryOnce(t *testing.T, n, k int) (died bool, catalog string, err error) {
	c := attempts[n]
	o := c.options
	o.Dir = testDir(t)
	run := func(what string) bool { return runChild(t, "attempt", strconv.Itoa(n), o.Dir, what) }
	run("before")
	had := must(os.ReadDir(o.Dir))
	died = run(strconv.Itoa(k))
	if has := must(os.ReadDir(o.Dir)); died && len(has) > len(had) {
		return died, "", fmt.Errorf("%s has a name, and is half made", has[0].Name())
	}
	p, err := openOrCreate(o)
	if err != nil {
		return died, "", err
	}
	for range 2 { // transfers of the dead expire at the second
		if _, err := p.Reap(); err != nil {
			return died, "", err
		}
	}
	if err := verified(p); err != nil {
		return died, "", err
	}
	if got := must(p.Stats()).Transfers; got != c.waits {
		return died, "", fmt.Errorf("%d transfers wait, expected %d", got, c.waits)
	}
	if err := expireAll(p); err != nil {
		return died, "", err
	}
	if catalog, err = forgetNames(p); err != nil {
		return died, "", err
	}
	return died, catalog, errors.Join(empty(p), p.Close())
}

// expireAll ends all transfers.
func expireAll(p *Pool) error {
	for n := range p.arena.Tickets {
		p.arena.Tickets[n].Deadline.Store(1)
	}
	_, err := p.Reap()
	return err
}

// TestCrashAttachKill kills real processes that create and open. Of the many stores of a sweep, or of a new pool's tables,
// one in seven is tried.
func TestCrashAttachKill(t *testing.T) {
	for n, c := range attempts {
		t.Run(c.name, func(t *testing.T) {
			_, want, err := tryOnce(t, n, 0)
			require.NoError(t, err)
			for k, step, died := 1, 1, true; died; k += step {
				if k > 20 {
					step = 7
				}
				var left string
				died, left, err = tryOnce(t, n, k)
				require.NoErrorf(t, err, "killed after store %d", k)
				require.Equalf(t, want, left, "killed after store %d", k)
				if !died {
					t.Logf("less than %d stores", k)
				}
			}
		})
	}
}
