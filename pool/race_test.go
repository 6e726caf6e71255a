package pool

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ndpool/ndpool/dtype"
	"github.com/ndpool/ndpool/internal/invariants"
)

// churner does what a busy process does, at random, as fast as it can. It takes the arrays and the transfers of others
// from the tables, so that churners of any attachment and process meet without a channel between them.
//
// All words of an array are the same number, which only its creator writes, before anybody else can know the array. So
// whoever has an array can tell whether its bytes were touched.
type churner struct {
	p      *Pool
	rng    *rand.Rand
	held   []*Array
	plain  bool // no arrays with a header, whose bytes are read without a lock: the race detector would rightly see that
	failed error
}

const churnHolds = 12 // arrays of one churner

func newChurner(p *Pool, seed uint64) *churner {
	return &churner{p: p, rng: rand.New(rand.NewPCG(seed, seed)), plain: invariants.Enabled}
}

// expected tells whether an error is one that a busy pool may answer with.
func expected(err error) bool {
	for _, e := range []error{nil, ErrFull, ErrTableFull, ErrStale, ErrPrivate, ErrHeld, ErrSealed, ErrSpent, ErrExpired, ErrRecalled, ErrForged,
		ErrNotReceiver, ErrNotSender, ErrDead, ErrView} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

// step does one operation.
func (c *churner) step() error {
	if len(c.held) == churnHolds {
		c.release(c.rng.IntN(len(c.held)))
	}
	switch n := c.rng.IntN(100); {
	case n < 35 || len(c.held) == 0:
		return c.alloc()
	case n < 60:
		c.release(c.rng.IntN(len(c.held)))
		return nil
	case n < 80:
		return c.give(c.any())
	case n < 95:
		return c.get()
	case n < 97:
		return c.any().Seal(c.rng.IntN(2) == 0)
	case n < 98:
		v, err := c.any().View(Range{0, 1, 1})
		return c.got(v, err)
	}
	return c.tidy()
}

func (c *churner) any() *Array { return c.held[c.rng.IntN(len(c.held))] }

func (c *churner) alloc() error {
	shape := []int{1 + c.rng.IntN(1<<c.rng.IntN(13))}
	if !c.plain && c.rng.IntN(8) == 0 {
		shape = append(shape, 1, 1, 1, 1, 1, 1, 1, 1, 1)
	}
	a, err := c.p.Alloc(dtype.Uint64, shape...)
	if err != nil {
		return err
	}
	xs, word := must(Slice[uint64](a)), c.rng.Uint64()
	for i := range xs {
		xs[i] = word
	}
	return c.got(a, nil)
}

// got keeps an array and checks its bytes.
func (c *churner) got(a *Array, err error) error {
	if err != nil {
		return err
	}
	c.held = append(c.held, a)
	return c.check(a)
}

func (c *churner) check(a *Array) error {
	xs, err := Slice[uint64](a)
	if err != nil {
		return err
	}
	for i := range xs {
		if xs[i] != xs[0] {
			return fmt.Errorf("bytes of array %v changed: word %d is %#x, the first one %#x", a.name(), i, xs[i], xs[0])
		}
	}
	return nil
}

func (c *churner) release(k int) {
	a := c.held[k]
	if err := c.check(a); err != nil && c.failed == nil {
		c.failed = err
	}
	a.Release()
	c.held[k] = c.held[len(c.held)-1]
	c.held = c.held[:len(c.held)-1]
}

// give lets others have an array.
func (c *churner) give(a *Array) error {
	var err error
	switch c.rng.IntN(3) {
	case 0:
		a.Handle()
	case 1:
		_, err = a.Send()
	default:
		to := c.p.Self()
		for info := range c.p.Processes() {
			if c.rng.IntN(2) == 0 {
				to = info.ID
			}
		}
		_, err = a.SendTo(to)
	}
	return err
}

// get takes an array or a transfer that is in the tables.
func (c *churner) get() error {
	skip := c.rng.IntN(20)
	if c.rng.IntN(3) == 0 {
		for info := range c.p.Arrays() {
			if skip--; skip < 0 && !info.Private {
				return c.got(c.p.Retain(info.Handle))
			}
		}
		return nil
	}
	for info := range c.p.Transfers() {
		if skip--; skip >= 0 {
			continue
		}
		if c.rng.IntN(8) == 0 {
			return c.p.Recall(info.Transfer)
		}
		return c.got(c.p.Adopt(info.Transfer))
	}
	return nil
}

func (c *churner) tidy() (err error) {
	switch c.rng.IntN(3) {
	case 0:
		_, err = c.p.Trim()
	case 1:
		_, err = c.p.Reap()
	default:
		_, err = c.p.RecallOlder(time.Millisecond)
	}
	return err
}

// run does operations until the deadline, or as many as asked for, and returns the first error that nobody expects.
func (c *churner) run(steps int, until time.Time) error {
	for n := 0; n < steps && (n%16 != 0 || time.Now().Before(until)); n++ {
		if err := c.step(); !expected(err) {
			return err
		}
		if c.failed != nil {
			return c.failed
		}
	}
	return nil
}

// stop releases everything.
func (c *churner) stop() error {
	for len(c.held) > 0 {
		c.release(len(c.held) - 1)
	}
	return c.failed
}

// churnOptions are of a pool that is always nearly full: of bytes, tickets and descriptors.
var churnOptions = Options{Capacity: 3 << 20, Arrays: 300, Processes: 8, Tickets: 40, Names: 1, Grace: time.Millisecond}

// long tells whether tests should take long.
func long() bool { return os.Getenv("NDPOOL_LONG") != "" }

// churnTime is how long a test churns.
func churnTime() time.Duration {
	switch {
	case long():
		return 5 * time.Minute
	case testing.Short():
		return time.Second
	}
	return 2 * time.Second
}

// TestManyGoroutines lets goroutines of several attachments work at once. The race detector sees every word of the segment.
func TestManyGoroutines(t *testing.T) {
	h, p := createHeap(t, churnOptions)
	pools := []*Pool{p, must(openHeap(h)), must(openHeap(h))}
	var wg sync.WaitGroup
	until := time.Now().Add(churnTime())
	for k := range 12 {
		wg.Go(func() {
			c := newChurner(pools[k%3], uint64(k))
			if err := errors.Join(c.run(1<<30, until), c.stop()); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	requireClean(t, p)
	requireSettled(t, pools...)
}

// requireSettled closes all pools but the first and wants that nothing is left, once transfers have expired.
func requireSettled(t testing.TB, pools ...*Pool) {
	t.Helper()
	for _, q := range pools {
		_, err := q.RecallOlder(0)
		require.NoError(t, err)
	}
	for _, q := range pools[1:] {
		require.NoError(t, q.Close())
	}
	p := pools[0]
	for x := range p.Transfers() {
		if x.Receiver == p.Self() {
			must(p.Adopt(x.Transfer)).Release()
		}
	}
	for range 2 { // transfers of the dead begin their grace at the first time
		_, err := p.Reap()
		require.NoError(t, err)
		time.Sleep(2 * p.grace)
	}
	_, err := p.Reap()
	require.NoError(t, err)
	requireClean(t, p)
	requireEmpty(t, p)
}
