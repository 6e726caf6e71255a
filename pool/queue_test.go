package pool

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ndpool/ndpool/dtype"
)

// enqueue puts a number and releases it.
func enqueue(t testing.TB, q *Queue, n int64) {
	t.Helper()
	a := newNumber(t, q.ref.pool, n)
	defer a.Release()
	require.NoError(t, q.Put(within(t, patience), a))
}

// dequeue gets a number.
func dequeue(t testing.TB, q *Queue) int64 {
	t.Helper()
	it, err := q.Get(within(t, patience))
	require.NoError(t, err)
	defer it.Release()
	require.Equal(t, ItemArray, it.Kind)
	return *must(Value[int64](it.Array))
}

func TestQueueIsFirstInFirstOut(t *testing.T) {
	a, b := twoPools(t)
	q := must(a.Queue("jobs", RingOptions{Entries: 4}))
	o := must(b.Queue("jobs"))
	require.Equal(t, 4, o.Limit())
	require.Equal(t, "jobs", o.Path())
	for n := range int64(4) {
		enqueue(t, q, n)
	}
	require.Equal(t, 4, o.Len())
	requireClean(t, a)
	x := newNumber(t, a, 4)
	defer x.Release()
	ok, err := q.TryPut(x)
	require.NoError(t, err)
	require.False(t, ok)
	require.ErrorIs(t, q.Put(within(t, brief), x), context.DeadlineExceeded)
	require.EqualValues(t, 0, dequeue(t, o))
	ok, err = q.TryPut(x)
	require.NoError(t, err)
	require.True(t, ok)
	for n := range int64(4) {
		require.EqualValues(t, n+1, dequeue(t, o))
	}
	_, ok, err = o.TryGet()
	require.NoError(t, err)
	require.False(t, ok)
	_, err = o.Get(within(t, brief))
	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.NoError(t, q.Close())
	require.NoError(t, o.Close())
	_, err = o.Get(t.Context())
	require.ErrorIs(t, err, ErrClosed)
	require.NoError(t, a.Remove("jobs"))
}

func TestQueueItems(t *testing.T) {
	a, b := twoPools(t)
	q := must(a.Queue("", RingOptions{Entries: 8}))
	o := must(b.RetainQueue(q.Handle()))
	xs := []*Array{newNumber(t, a, 1), newNumber(t, a, 2), newNumber(t, a, 3)}
	require.NoError(t, q.Put(t.Context(), xs[0], xs[1], xs[2], xs[1]))
	require.NoError(t, q.PutBytes(t.Context(), []byte("hello")))
	require.NoError(t, q.PutBytes(t.Context(), nil))
	require.Equal(t, 3, o.Len())
	for _, x := range xs {
		x.Release()
	}
	requireClean(t, a)
	its := must(o.GetBatch(t.Context(), 2))
	require.Len(t, its, 2)
	require.Equal(t, ItemArray, its[0].Kind)
	require.Len(t, its[0].Attached, 3)
	require.EqualValues(t, 3, *must(Value[int64](its[0].Attached[1])))
	require.Equal(t, ItemBytes, its[1].Kind)
	require.Equal(t, "hello", string(must(its[1].Bytes())))
	require.NoError(t, o.PutBack(t.Context(), its[0]))
	require.Panics(t, its[0].Release, "it was taken over")
	its[1].Release()
	it, ok, err := q.TryGet()
	require.NoError(t, err)
	require.True(t, ok)
	require.Len(t, it.Attached, 3)
	require.NoError(t, q.PutBack(t.Context(), it))
	many := make([]*Array, 8)
	for k := range many {
		many[k] = xs[0]
	}
	y := newNumber(t, a, 9)
	require.ErrorIs(t, q.Put(t.Context(), y, y, y, y, y, y, y, y, y), ErrTooLong)
	other := must(a.Queue(""))
	it = must(o.Get(t.Context()))
	require.ErrorIs(t, other.PutBack(t.Context(), it), ErrMismatch)
	it.Release()
	y.Release()
	require.NoError(t, other.Close())
	require.NoError(t, q.Close())
	requireClean(t, a)
	require.NoError(t, o.Close())
	requireEmpty(t, a)
}

func TestQueueShut(t *testing.T) {
	a, b := twoPools(t)
	q, o := must(a.Queue("q")), must(b.Queue("q"))
	enqueue(t, q, 1)
	waiting := make(chan error)
	r := must(b.Queue("empty"))
	go func() {
		_, err := r.Get(context.Background())
		waiting <- err
	}()
	time.Sleep(5 * time.Millisecond)
	require.NoError(t, must(a.Queue("empty")).Shut())
	require.ErrorIs(t, <-waiting, ErrShut)
	require.NoError(t, q.Shut())
	x := newNumber(t, a, 2)
	defer x.Release()
	require.ErrorIs(t, o.ref.pool.queuePut(t, o), ErrShut)
	it := must(o.Get(t.Context()))
	require.NoError(t, o.PutBack(t.Context(), it))
	require.EqualValues(t, 1, dequeue(t, o))
	_, err := o.Get(t.Context())
	require.ErrorIs(t, err, ErrShut)
	_, _, err = o.TryGet()
	require.ErrorIs(t, err, ErrShut)
}

func (p *Pool) queuePut(t testing.TB, q *Queue) error {
	a := newNumber(t, p, 0)
	defer a.Release()
	return q.Put(t.Context(), a)
}

func TestQueueBatch(t *testing.T) {
	a, b := twoPools(t)
	q, o := must(a.Queue("q", RingOptions{Entries: 4})), must(b.Queue("q"))
	xs := make([]*Array, 10)
	for k := range xs {
		xs[k] = newNumber(t, a, int64(k))
	}
	n, err := q.PutBatch(within(t, brief), xs)
	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.Equal(t, 4, n)
	done := make(chan error)
	go func() {
		_, err := q.PutBatch(context.Background(), xs[4:])
		done <- err
	}()
	for got := 0; got < len(xs); {
		for _, it := range must(o.GetBatch(within(t, patience), 3)) {
			require.EqualValues(t, got, *must(Value[int64](it.Array)))
			it.Release()
			got++
		}
	}
	require.NoError(t, <-done)
	for _, x := range xs {
		x.Release()
	}
	_, err = o.GetBatch(t.Context(), 0)
	require.Error(t, err)
}

func TestQueueChannels(t *testing.T) {
	a, b := twoPools(t)
	q, o := must(a.Queue("q", RingOptions{Entries: 2})), must(b.Queue("q"))
	in := make(chan *Array)
	fed := make(chan error)
	go func() { fed <- q.Feed(t.Context(), in) }()
	go func() {
		for n := range int64(20) {
			in <- newNumber(t, a, n)
		}
		close(in)
	}()
	ctx, cancel := context.WithCancel(t.Context())
	items := o.Receive(ctx)
	for n := range int64(10) {
		it := <-items
		require.Equal(t, n, *must(Value[int64](it.Array)))
		it.Release()
	}
	time.Sleep(5 * time.Millisecond)
	cancel()
	next := int64(10)
	for it := range items { // one that won the race
		require.Equal(t, next, *must(Value[int64](it.Array)))
		it.Release()
		next++
	}
	items = o.Receive(t.Context())
	for ; next < 20; next++ {
		it := <-items
		require.Equal(t, next, *must(Value[int64](it.Array)), "what it had in hand was put back")
		it.Release()
	}
	require.NoError(t, <-fed)
	require.NoError(t, q.Shut())
	_, more := <-items
	require.False(t, more)
}

// TestQueueKeepsThePool wants that what was put is there for the next process, when nobody is left, whoever was killed.
func TestQueueKeepsThePool(t *testing.T) {
	dir := testDir(t)
	p := must(Create("test", Options{Dir: dir, Capacity: 1 << 20}))
	q := must(p.Queue("jobs/q", RingOptions{Entries: 10}))
	enqueue(t, q, 7)
	require.NoError(t, q.Close())
	require.NoError(t, p.Close())
	p = must(OpenOrCreate("test", Options{Dir: dir}))
	q = must(p.Queue("jobs/q"))
	require.EqualValues(t, 7, dequeue(t, q))
	requireClean(t, p)
	require.NoError(t, q.Close())
	require.NoError(t, p.Close())
	_, err := Open("test", Options{Dir: dir})
	require.ErrorIs(t, err, ErrNotExist, "an empty one does not")
}

func TestPersistentRingKeepsThePool(t *testing.T) {
	dir := testDir(t)
	p := must(Create("test", Options{Dir: dir, Capacity: 1 << 20}))
	w := must(p.StreamWriter("s", RingOptions{Persistent: true}))
	publish(t, w, 1)
	require.NoError(t, w.Close())
	require.NoError(t, p.Close())
	p = must(Open("test", Options{Dir: dir}))
	r := must(p.StreamReader("s"))
	f, err := r.Latest(t.Context())
	take(t, 1, f, err)
	require.NoError(t, r.Close())
	require.NoError(t, p.Remove("s"))
	requireClean(t, p)
	require.NoError(t, p.Close())
}

func TestKilledGetterLeavesTheItem(t *testing.T) {
	p, dir := newTestPool(t, Options{Capacity: 1 << 20})
	q := must(p.Queue("q", RingOptions{Entries: 8}))
	enqueue(t, q, 1)
	kill := startChild(t, "queue-getter", dir)
	kill() // while it waits for another one
	enqueue(t, q, 2)
	require.EqualValues(t, 2, dequeue(t, q))
	require.NoError(t, q.Close())
	must(p.Reap())
	requireClean(t, p)
}

// TestQueueOfMany has producers and consumers of several attachments at one short queue. Every item arrives once. The race detector sees every word.
func TestQueueOfMany(t *testing.T) {
	const producers, each = 4, 400
	h, a := createHeap(t, Options{Capacity: 4 << 20, Names: 8, Grace: time.Millisecond})
	pools := []*Pool{a, must(openHeap(h)), must(openHeap(h))}
	qs := make([]*Queue, len(pools))
	for k, p := range pools {
		qs[k] = must(p.Queue("q", RingOptions{Entries: 5}))
	}
	var wg, puts sync.WaitGroup
	var seen [producers * each]atomic.Int32
	fail := func(err error) bool {
		if err != nil && !errors.Is(err, ErrShut) {
			t.Error(err)
		}
		return err != nil
	}
	for k := range producers {
		puts.Go(func() {
			p, q := pools[k%3], qs[k%3]
			for n := range each {
				x := must(p.Alloc(dtype.Int64, 1+n%3))
				must(Slice[int64](x))[0] = int64(k*each + n)
				var more []*Array
				if n%5 == 0 {
					more = []*Array{x, x}
				}
				err := q.Put(context.Background(), x, more...)
				x.Release()
				if fail(err) {
					return
				}
			}
		})
	}
	count := func(it *QueueItem) {
		seen[must(Slice[int64](it.Array))[0]].Add(1)
		it.Release()
	}
	for k := range 4 {
		wg.Go(func() {
			q := qs[(k+1)%3]
			for n := 0; ; n++ {
				if k%2 == 0 {
					its, err := q.GetBatch(context.Background(), 3)
					if fail(err) {
						return
					}
					for _, it := range its {
						count(it)
					}
					continue
				}
				it, err := q.Get(context.Background())
				if fail(err) {
					return
				}
				if n%7 == 0 {
					if err := q.PutBack(context.Background(), it); err != nil {
						fail(fmt.Errorf("put back: %w", err))
					}
					continue
				}
				count(it)
			}
		})
	}
	puts.Wait()
	require.NoError(t, qs[0].Shut())
	wg.Wait()
	for k := range seen {
		require.EqualValues(t, 1, seen[k].Load(), "item %d", k)
	}
	for _, q := range qs {
		require.NoError(t, q.Close())
	}
	require.NoError(t, a.Remove("q"))
	requireSettled(t, pools...)
}
