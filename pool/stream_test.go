package pool

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ndpool/ndpool/dtype"
	"github.com/ndpool/ndpool/ring"
)

// twoPools returns two attachments to one segment on the Go heap, verified when the test ends.
func twoPools(t testing.TB) (a, b *Pool) {
	t.Helper()
	h, a := createHeap(t, Options{Capacity: 4 << 20, Names: 64, Grace: time.Millisecond})
	b = must(openHeap(h))
	t.Cleanup(func() { requireClean(t, a) })
	return a, b
}

// newNumber returns an array of one number.
func newNumber(t testing.TB, p *Pool, n int64) *Array {
	a := must(p.Alloc(dtype.Int64))
	*must(Value[int64](a)) = n
	return a
}

// publish publishes a number.
func publish(t testing.TB, w *StreamWriter, n int64, at ...Attrs) uint64 {
	t.Helper()
	a := newNumber(t, w.ref.pool, n)
	defer a.Release()
	seq, err := w.Publish(within(t, patience), a, at...)
	require.NoError(t, err)
	return seq
}

// take wants a frame of that number and releases it.
func take(t testing.TB, n int64, f *Frame, err error) *Frame {
	t.Helper()
	require.NoError(t, err)
	require.Equal(t, n, *must(Value[int64](f.Array)))
	f.Release()
	return f
}

func TestStreamLatest(t *testing.T) {
	a, b := twoPools(t)
	w := must(a.StreamWriter("camera/left"))
	r := must(b.StreamReader("camera/left"))
	_, err := r.Newest()
	require.ErrorIs(t, err, ErrNoFrame)
	require.EqualValues(t, 1, publish(t, w, 10))
	before := time.Now()
	f, err := r.Latest(t.Context())
	take(t, 10, f, err)
	require.EqualValues(t, 1, f.Sequence)
	require.Zero(t, f.Skipped)
	require.Nil(t, f.Attrs)
	require.WithinDuration(t, before, f.Wall, time.Minute)
	require.Positive(t, f.Monotonic)
	publish(t, w, 20)
	publish(t, w, 30, Attrs{"exposure": 0.5, "gain": 3})
	f, err = r.Latest(t.Context())
	take(t, 30, f, err)
	require.EqualValues(t, 1, f.Skipped)
	require.Equal(t, Attrs{"exposure": 0.5, "gain": int64(3)}, f.Attrs)
	f, err = r.Newest()
	require.Zero(t, take(t, 30, f, err).Skipped)
	_, err = r.Latest(within(t, brief))
	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.NoError(t, w.Close())
	_, err = r.Latest(t.Context())
	require.ErrorIs(t, err, ErrEnded)
	require.NotErrorIs(t, err, ErrWriterDied)
	_, err = r.Latest(within(t, brief))
	require.ErrorIs(t, err, context.DeadlineExceeded, "told once")
	requireClean(t, a)
	require.NoError(t, r.Close())
	_, err = r.Latest(t.Context())
	require.ErrorIs(t, err, ErrClosed)
	require.NoError(t, a.Remove("camera/left"))
	requireEmpty(t, a)
}

func TestStreamWakesASleeper(t *testing.T) {
	a, b := twoPools(t)
	w := must(a.StreamWriter("s"))
	defer w.Close()
	r := must(b.StreamReader("s"))
	defer r.Close()
	frames := make(chan *Frame)
	go func() {
		for f, err := range r.All(t.Context()) {
			if err != nil {
				t.Error(err)
			}
			frames <- f
		}
		close(frames)
	}()
	for n := range int64(5) {
		time.Sleep(time.Millisecond)
		publish(t, w, n)
		take(t, n, <-frames, nil)
	}
	require.NoError(t, w.Close())
	_, more := <-frames
	require.False(t, more)
}

func TestStreamEveryFrame(t *testing.T) {
	a, b := twoPools(t)
	w := must(a.StreamWriter("s", RingOptions{Entries: 3}))
	defer w.Close()
	r := must(b.StreamReader("s"))
	defer r.Close()
	late := must(b.StreamReader("s", ReadOptions{FromNow: true}))
	defer late.Close()
	for n := range int64(3) {
		publish(t, w, n)
	}
	f, err := r.Next(t.Context())
	take(t, 0, f, err)
	publish(t, w, 3)
	publish(t, w, 4)
	f, err = r.Next(t.Context())
	require.EqualValues(t, 1, take(t, 2, f, err).Skipped, "frame 1 is gone")
	from := must(b.StreamReader("s", ReadOptions{FromNow: true}))
	defer from.Close()
	f, err = from.Newest()
	take(t, 4, f, err)
	publish(t, w, 5)
	f, err = from.Next(t.Context())
	take(t, 5, f, err)
	f, err = late.Latest(t.Context())
	require.EqualValues(t, 5, take(t, 5, f, err).Skipped)
}

func TestStreamLosslessWaits(t *testing.T) {
	a, b := twoPools(t)
	w := must(a.StreamWriter("s", RingOptions{Entries: 2, Lossless: true, Readers: 2}))
	defer w.Close()
	r := must(b.StreamReader("s", ReadOptions{Every: true}))
	idle := must(b.StreamReader("s", ReadOptions{Every: true}))
	_, err := b.StreamReader("s", ReadOptions{Every: true})
	require.ErrorIs(t, err, ErrTableFull)
	publish(t, w, 0)
	publish(t, w, 1)
	x := newNumber(t, a, 2)
	defer x.Release()
	_, err = w.Publish(within(t, brief), x)
	require.ErrorIs(t, err, context.DeadlineExceeded)
	f, err := r.Next(t.Context())
	take(t, 0, f, err)
	_, err = w.Publish(within(t, brief), x)
	require.ErrorIs(t, err, context.DeadlineExceeded, "the other one has not read it")
	require.NoError(t, idle.Close())
	require.EqualValues(t, 3, must(w.Publish(within(t, patience), x)))
	require.NoError(t, r.Close())
}

func TestStreamLosslessFlows(t *testing.T) {
	const frames, readers = 500, 3
	a, b := twoPools(t)
	w := must(a.StreamWriter("s", RingOptions{Entries: 4, Lossless: true}))
	var wg sync.WaitGroup
	for range readers {
		r := must(b.StreamReader("s", ReadOptions{Every: true}))
		wg.Go(func() {
			defer r.Close()
			want := int64(0)
			for f, err := range r.All(t.Context()) {
				if err != nil || f.Skipped != 0 || *must(Value[int64](f.Array)) != want {
					t.Errorf("frame %d: %+v, %v", want, f, err)
					return
				}
				want++
				f.Release()
			}
			if want != frames {
				t.Errorf("%d frames", want)
			}
		})
	}
	for n := range int64(frames) {
		publish(t, w, n)
	}
	require.NoError(t, w.Close())
	wg.Wait()
}

func TestStreamReaderMayComeFirst(t *testing.T) {
	a, b := twoPools(t)
	r := must(b.StreamReader("s"))
	_, err := r.Newest()
	require.ErrorIs(t, err, ErrNoFrame)
	_, err = r.Latest(within(t, brief))
	require.ErrorIs(t, err, context.DeadlineExceeded)
	w := must(a.StreamWriter("s"))
	publish(t, w, 7)
	require.NoError(t, w.Close())
	f, err := r.Latest(within(t, patience))
	take(t, 7, f, err)
	_, err = r.Latest(within(t, patience))
	require.ErrorIs(t, err, ErrEnded, "the writer came and went after the reader")
	w = must(a.StreamWriter("s"))
	require.EqualValues(t, 2, publish(t, w, 8), "goes on where the last one stopped")
	f, err = r.Latest(within(t, patience))
	take(t, 8, f, err)
	old := must(b.StreamReader("s"))
	f, err = old.Latest(within(t, patience))
	take(t, 8, f, err)
	_, err = old.Latest(within(t, brief))
	require.ErrorIs(t, err, context.DeadlineExceeded, "what ended before is not told")
}

func TestStreamReaderFollowsTheName(t *testing.T) {
	a, b := twoPools(t)
	w := must(a.StreamWriter("s"))
	publish(t, w, 1)
	r := must(b.StreamReader("s"))
	f, err := r.Latest(within(t, patience))
	take(t, 1, f, err)
	require.NoError(t, a.Remove("s"))
	publish(t, w, 2)
	f, err = r.Latest(within(t, patience))
	take(t, 2, f, err)
	other := must(a.StreamWriter("s", RingOptions{Entries: 5}))
	publish(t, other, 3)
	f, err = r.Latest(within(t, patience))
	take(t, 3, f, err)
	require.EqualValues(t, 1, f.Sequence)
	require.NoError(t, other.Close())
	_, err = r.Latest(within(t, patience))
	require.ErrorIs(t, err, ErrEnded)
	must(a.Publish("s", newNumber(t, a, 1), Publish{Mode: PublishOverwrite}))
	_, err = r.Latest(within(t, patience))
	require.ErrorIs(t, err, ErrKind)
}

func TestStreamWriterIsAlone(t *testing.T) {
	a, b := twoPools(t)
	w := must(a.StreamWriter("s", RingOptions{Entries: 2}))
	_, err := b.StreamWriter("s")
	var we *WriterError
	require.ErrorAs(t, err, &we)
	require.Equal(t, a.Self(), we.Process)
	require.NotZero(t, we.Pid)
	_, err = a.StreamWriter("s")
	require.ErrorIs(t, err, ErrWriter)
	for _, o := range []RingOptions{{Entries: 3}, {Lossless: true}, {Readers: 7}, {Persistent: true}, {Entries: -1}, {Entries: 1 << 20}, {Readers: 5000}} {
		_, err = b.StreamWriter("s", o)
		require.ErrorIs(t, err, ErrOptions, "%+v", o)
	}
	require.NoError(t, w.Close())
	require.NoError(t, w.Close())
	x := newNumber(t, a, 1)
	defer x.Release()
	_, err = w.Publish(t.Context(), x)
	require.ErrorIs(t, err, ErrClosed)
	require.NoError(t, must(b.StreamWriter("s", RingOptions{Entries: 2})).Close())
}

func TestPublishRefusesWhatOthersHold(t *testing.T) {
	a, b := twoPools(t)
	w := must(a.StreamWriter("s"))
	x := must(a.Alloc(dtype.Int64, 4))
	y := must(b.Retain(x.Handle()))
	_, err := w.Publish(t.Context(), x)
	require.ErrorIs(t, err, ErrHeld)
	y.Release()
	v := must(x.View(At(1)))
	_, err = w.Publish(t.Context(), v)
	require.ErrorIs(t, err, ErrView)
	v.Release()
	must(w.Publish(t.Context(), x))
	require.EqualValues(t, 2, must(w.Publish(t.Context(), x)), "a sealed one as often as you like")
	require.True(t, x.IsReadOnly())
	x.Release()
	_, err = w.Publish(t.Context(), newNumber(t, a, 1), Attrs{"f": func() {}})
	require.ErrorIs(t, err, ErrAttributes)
}

// TestRingIsNoArray wants that no verb for arrays takes a ring, and that nothing changes by the attempt.
func TestRingIsNoArray(t *testing.T) {
	a, b := twoPools(t)
	q := must(a.Queue("q"))
	w := must(a.StreamWriter("s"))
	require.NoError(t, q.Put(t.Context(), newNumber(t, a, 5)))
	_, err := b.Retain(q.Handle())
	require.ErrorIs(t, err, ErrKind)
	for _, path := range []string{"q", "s"} {
		_, err = b.Lookup(path)
		require.ErrorIs(t, err, ErrKind)
		_, err = b.LookupItem(path)
		require.ErrorIs(t, err, ErrKind)
		_, err = b.Publish(path, newNumber(t, b, 5), Publish{Mode: PublishMerge})
		require.ErrorIs(t, err, ErrKind)
	}
	tr := must(q.Send())
	_, err = b.Adopt(tr)
	require.ErrorIs(t, err, ErrKind)
	_, err = b.AdoptBlock(tr)
	require.ErrorIs(t, err, ErrKind)
	must(b.AdoptQueue(tr)).Close()
	x := must(newNumber(t, a, 1).Send())
	_, err = b.AdoptQueue(x)
	require.ErrorIs(t, err, ErrKind)
	must(b.Adopt(x)).Release()
	_, err = b.RetainQueue(w.ref.handle)
	require.ErrorIs(t, err, ErrKind)
	_, err = b.RetainQueue(newNumber(t, a, 1).Handle())
	require.ErrorIs(t, err, ErrKind)
	_, err = b.Queue("s")
	require.ErrorIs(t, err, ErrKind)
	_, err = b.StreamWriter("q")
	require.ErrorIs(t, err, ErrKind)
	_, err = b.StreamReader("q")
	require.ErrorIs(t, err, ErrKind)
	must(a.Publish("x", newNumber(t, a, 1)))
	_, err = b.Queue("x")
	require.ErrorIs(t, err, ErrKind)
	_, err = b.Queue("x/y")
	require.ErrorIs(t, err, ErrGroup)
	requireClean(t, a)
}

// TestWriterDeathIsTold lets the writer's process end without a word.
func TestWriterDeathIsTold(t *testing.T) {
	h, a := createHeap(t, Options{Capacity: 1 << 20, Names: 8})
	b := must(openHeap(h))
	w := must(b.StreamWriter("s"))
	publish(t, w, 1)
	r := must(a.StreamReader("s"))
	f, err := r.Latest(t.Context())
	take(t, 1, f, err)
	b.arena.Abandon()
	_, err = r.Latest(within(t, patience))
	require.ErrorIs(t, err, ErrWriterDied)
	require.ErrorIs(t, err, ErrEnded)
	next := must(a.StreamWriter("s"))
	require.EqualValues(t, 2, publish(t, next, 2))
	f, err = r.Latest(t.Context())
	take(t, 2, f, err)
	requireClean(t, a)
}

// TestStreamThatLostItsFrame has what a writer leaves who died after it had dropped the only frame.
func TestStreamThatLostItsFrame(t *testing.T) {
	a, b := twoPools(t)
	w := must(a.StreamWriter("s", RingOptions{Entries: 1}))
	r := must(b.StreamReader("s"))
	publish(t, w, 1)
	require.NoError(t, a.lock())
	w.ref.ring.Drop(1, ringBlocks{a})
	a.unlock()
	_, err := r.Newest()
	require.ErrorIs(t, err, ErrNoFrame)
	_, err = r.Next(within(t, brief))
	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.NoError(t, w.Close())
	_, err = r.Latest(within(t, brief))
	require.ErrorIs(t, err, ErrEnded)
}

// TestDeadReaderDoesNotBlock lets the process of a reader end that a lossless writer waits for.
func TestDeadReaderDoesNotBlock(t *testing.T) {
	h, a := createHeap(t, Options{Capacity: 1 << 20, Names: 8})
	b := must(openHeap(h))
	w := must(a.StreamWriter("s", RingOptions{Entries: 1, Lossless: true}))
	must(b.StreamReader("s", ReadOptions{Every: true}))
	publish(t, w, 1)
	b.arena.Abandon()
	publish(t, w, 2)
	requireClean(t, a)
}

func TestCloseEndsAWait(t *testing.T) {
	a, b := twoPools(t)
	w := must(a.StreamWriter("s", RingOptions{Entries: 1, Lossless: true}))
	for _, path := range []string{"s", "not-yet"} {
		r := must(b.StreamReader(path))
		done := make(chan error)
		go func() {
			_, err := r.Latest(context.Background())
			done <- err
		}()
		time.Sleep(5 * time.Millisecond)
		require.NoError(t, r.Close())
		require.ErrorIs(t, <-done, ErrClosed)
	}
	slow := must(b.StreamReader("s", ReadOptions{Every: true}))
	publish(t, w, 1)
	done := make(chan error)
	go func() {
		_, err := w.Publish(context.Background(), newNumber(t, a, 2))
		done <- err
	}()
	time.Sleep(5 * time.Millisecond)
	require.NoError(t, w.Close())
	require.ErrorIs(t, <-done, ErrClosed)
	require.NoError(t, slow.Close())
}

// TestCancelIsPrompt wants that the end of a context is noticed long before a sleep ends by itself.
func TestCancelIsPrompt(t *testing.T) {
	defer func(d time.Duration) { ring.MaxSleep = d }(ring.MaxSleep)
	ring.MaxSleep = time.Hour
	a, b := twoPools(t)
	w := must(a.StreamWriter("s"))
	defer w.Close()
	r := must(b.StreamReader("s"))
	q := must(a.Queue("q"))
	for _, wait := range []func(ctx context.Context) error{
		func(ctx context.Context) error { _, err := r.Latest(ctx); return err },
		func(ctx context.Context) error { _, err := q.Get(ctx); return err },
	} {
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(20*time.Millisecond, cancel)
		start := time.Now()
		require.ErrorIs(t, wait(ctx), context.Canceled)
		require.Less(t, time.Since(start), 10*time.Second)
	}
}

// TestPoolStaysWhileARingIsOpen wants what arrays have: Close takes effect when the last object is closed.
func TestPoolStaysWhileARingIsOpen(t *testing.T) {
	p, dir := newTestPool(t, Options{Capacity: 1 << 20})
	q := must(Open("test", Options{Dir: dir}))
	w := must(q.StreamWriter("s"))
	publish(t, w, 1)
	r := must(p.StreamReader("s"))
	require.NoError(t, q.Close())
	x := newNumber(t, p, 1)
	defer x.Release()
	_, err := w.Publish(t.Context(), x)
	require.ErrorIs(t, err, ErrClosed)
	f, err := r.Latest(t.Context())
	take(t, 1, f, err)
	_, err = r.Latest(within(t, brief))
	require.ErrorIs(t, err, context.DeadlineExceeded, "it is still the writer")
	require.NoError(t, w.Close())
	_, err = r.Latest(t.Context())
	require.ErrorIs(t, err, ErrEnded)
	n := 0
	for range p.Processes() {
		n++
	}
	require.Equal(t, 1, n, "it has left")
}

type pose struct {
	Stamp   int64
	X, Y, Z float32
	Tag     [8]byte
}

func TestPublishValue(t *testing.T) {
	a, b := twoPools(t)
	w := must(a.StreamWriter("pose"))
	r := must(b.StreamReader("pose"))
	must(PublishValue(t.Context(), w, &pose{Stamp: 3, Y: 1.5}))
	f := must(r.Latest(t.Context()))
	require.Equal(t, pose{Stamp: 3, Y: 1.5}, *must(Value[pose](f.Array)))
	_, err := Value[int32](f.Array)
	require.ErrorIs(t, err, ErrMismatch)
	f.Release()
	_, err = PublishValue(t.Context(), w, &struct{ P *int }{})
	require.Error(t, err)
	_, err = Value[int64](must(a.Alloc(dtype.Int64, 2)))
	require.ErrorIs(t, err, ErrMismatch)
}

// TestStreamOfManyReaders has readers of several attachments beside a writer who never waits, while the frames change shape. The race
// detector sees every word.
func TestStreamOfManyReaders(t *testing.T) {
	h, a := createHeap(t, Options{Capacity: 4 << 20, Names: 8, Grace: time.Millisecond})
	pools := []*Pool{a, must(openHeap(h)), must(openHeap(h))}
	w := must(a.StreamWriter("s", RingOptions{Entries: 2}))
	var wg sync.WaitGroup
	for k := range 6 {
		r := must(pools[k%3].StreamReader("s"))
		wg.Go(func() {
			defer r.Close()
			last, bad := uint64(0), error(nil)
			for bad == nil {
				read := r.Latest
				if k%2 == 0 {
					read = r.Next
				}
				f, err := read(context.Background())
				if errors.Is(err, ErrEnded) {
					return
				}
				if bad = err; err == nil {
					if f.Sequence != last+1+f.Skipped {
						bad = fmt.Errorf("sequence %d after %d, %d skipped", f.Sequence, last, f.Skipped)
					}
					last = f.Sequence
					for _, x := range must(Slice[uint64](f.Array)) {
						if x != f.Sequence || f.Attrs["n"] != int64(f.Sequence) {
							bad = fmt.Errorf("frame %d has %d, %v", f.Sequence, x, f.Attrs)
						}
					}
					f.Release()
				}
			}
			t.Error(bad)
		})
	}
	for n, until := uint64(1), time.Now().Add(churnTime()); time.Now().Before(until); n++ {
		x := must(a.Alloc(dtype.Uint64, int(1+n%7)))
		xs := must(Slice[uint64](x))
		for k := range xs {
			xs[k] = n
		}
		must(w.Publish(context.Background(), x, Attrs{"n": n}))
		x.Release()
	}
	require.NoError(t, w.Close())
	wg.Wait()
	requireClean(t, a)
	must(a.RemoveTree(""))
	requireSettled(t, pools...)
}

func init() {
	children["stream-writer"] = func(args []string) {
		p := must(Open("test", Options{Dir: args[0]}))
		w := must(p.StreamWriter("s"))
		for n := int64(1); n <= 3; n++ {
			must(PublishValue(context.Background(), w, &n))
		}
		fmt.Println("ready")
		select {}
	}
	children["stream-reader"] = func(args []string) {
		p := must(Open("test", Options{Dir: args[0]}))
		r := must(p.StreamReader("s", ReadOptions{Every: true}))
		must(r.Next(context.Background()))
		fmt.Println("ready")
		select {}
	}
	children["queue-getter"] = func(args []string) {
		p := must(Open("test", Options{Dir: args[0]}))
		q := must(p.Queue("q"))
		must(q.Get(context.Background()))
		fmt.Println("ready")
		must(q.Get(context.Background()))
	}
}

// startChild starts a child that works on the pool in dir and waits until it says that it is ready. kill ends it with SIGKILL.
func startChild(t *testing.T, name, dir string) (kill func()) {
	t.Helper()
	cmd := child(name, dir)
	out := must(cmd.StdoutPipe())
	require.NoError(t, cmd.Start())
	kill = sync.OnceFunc(func() {
		_ = cmd.Process.Signal(syscall.SIGKILL)
		_ = cmd.Wait()
	})
	t.Cleanup(kill)
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != io.EOF {
		require.NoError(t, err)
	}
	require.Equal(t, "ready\n", line)
	return kill
}

func TestKilledWriterIsTold(t *testing.T) {
	p, dir := newTestPool(t, Options{Capacity: 1 << 20})
	r := must(p.StreamReader("s"))
	kill := startChild(t, "stream-writer", dir)
	f, err := r.Latest(within(t, patience))
	take(t, 3, f, err)
	told := make(chan error)
	go func() {
		_, err := r.Latest(within(t, patience))
		told <- err
	}()
	time.Sleep(5 * time.Millisecond)
	kill()
	require.ErrorIs(t, <-told, ErrWriterDied)
	w := must(p.StreamWriter("s"))
	require.EqualValues(t, 4, publish(t, w, 4))
	f, err = r.Latest(within(t, patience))
	take(t, 4, f, err)
	require.NoError(t, w.Close())
	require.NoError(t, r.Close())
}

func TestKilledReaderDoesNotBlock(t *testing.T) {
	p, dir := newTestPool(t, Options{Capacity: 1 << 20})
	w := must(p.StreamWriter("s", RingOptions{Entries: 1, Lossless: true}))
	publish(t, w, 1)
	kill := startChild(t, "stream-reader", dir)
	publish(t, w, 2)
	x := newNumber(t, p, 3)
	defer x.Release()
	_, err := w.Publish(within(t, brief), x)
	require.ErrorIs(t, err, context.DeadlineExceeded)
	kill()
	must(w.Publish(within(t, patience), x))
	require.NoError(t, w.Close())
}

// TestAwaitReaders lets a writer wait for readers that were there before the stream was: then they get the first frame.
func TestAwaitReaders(t *testing.T) {
	p, other := twoPools(t)
	const readers = 2
	first := make(chan uint64, readers)
	for range readers {
		r := must(other.StreamReader("s", ReadOptions{Every: true}))
		go func() {
			defer r.Close()
			f, err := r.Next(within(t, patience))
			if err != nil {
				first <- 0
				return
			}
			first <- f.Sequence
			f.Release()
		}()
	}
	w := must(p.StreamWriter("s", RingOptions{Entries: 1, Lossless: true, Readers: readers}))
	defer w.Close()
	require.ErrorIs(t, w.AwaitReaders(context.Background(), readers+1), ErrOptions)
	require.NoError(t, w.AwaitReaders(within(t, patience), readers))
	for range 5 {
		a := must(p.Alloc(dtype.Uint8, 10))
		_, err := w.Publish(within(t, patience), a)
		a.Release()
		if err != nil {
			break // the readers have left
		}
	}
	for range readers {
		require.EqualValues(t, 1, <-first)
	}
	short, cancel := context.WithTimeout(context.Background(), time.Millisecond)
	defer cancel()
	require.ErrorIs(t, w.AwaitReaders(short, readers), context.DeadlineExceeded)
}

// TestReaderIsWokenByTheName lets readers wait for a stream that is not there, with sleeps that never end by themselves: who makes
// it wakes them, in another attachment too, and so do ctx and Close.
func TestReaderIsWokenByTheName(t *testing.T) {
	p, other := twoPools(t)
	defer func(d time.Duration) { ring.MaxSleep = d }(ring.MaxSleep)
	ring.MaxSleep = time.Hour
	wait := func(ctx context.Context) (*StreamReader, chan error) {
		r, ended := must(other.StreamReader("s")), make(chan error, 1)
		go func() {
			f, err := r.Next(ctx)
			if err == nil {
				f.Release()
			}
			ended <- err
		}()
		time.Sleep(20 * time.Millisecond) // so that it sleeps
		return r, ended
	}
	ctx, cancel := context.WithCancel(t.Context())
	r, ended := wait(ctx)
	cancel()
	require.ErrorIs(t, <-ended, context.Canceled)
	require.NoError(t, r.Close())
	r, ended = wait(t.Context())
	require.NoError(t, r.Close())
	require.ErrorIs(t, <-ended, ErrClosed)
	r, ended = wait(t.Context())
	w := must(p.StreamWriter("s"))
	must(w.Publish(t.Context(), newNumber(t, p, 1)))
	require.NoError(t, <-ended)
	require.NoError(t, r.Close())
	require.NoError(t, w.Close())
}
