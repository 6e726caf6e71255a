package pool

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ndpool/ndpool/arena/layout"
	"github.com/ndpool/ndpool/dtype"
)

// patience is how long the tests wait for what must come.
const patience = 30 * time.Second

// brief is a wait that is meant to fail.
const brief = 20 * time.Millisecond

func within(t testing.TB, d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), d)
	t.Cleanup(cancel)
	return ctx
}

// lockPair returns two attachments and a lock of one name in each.
func lockPair(t *testing.T) (a, b *Pool, la, lb *NameLock) {
	t.Helper()
	h, a := createHeap(t, Options{Capacity: 1 << 20, Names: 8})
	b = must(openHeap(h))
	must(a.Publish("x", must(a.Alloc(dtype.Int64, 4))))
	return a, b, must(a.LockOf("x")), must(b.LockOf("x"))
}

// words returns what the segment says about a lock: the word and whether it has any reader.
func lockWords(l *NameLock) (w layout.NameLockWord, readers bool) {
	n := &l.pool.arena.Names[l.entry]
	for i := range n.Readers {
		readers = readers || n.Readers[i].Load() != 0
	}
	return layout.NameLockWord(n.Lock.Load()), readers
}

func requireFree(t *testing.T, l *NameLock) {
	t.Helper()
	w, readers := lockWords(l)
	require.Zero(t, w)
	require.False(t, readers)
}

func try(t *testing.T, f func() (bool, bool, error)) (ok, torn bool) {
	t.Helper()
	ok, torn, err := f()
	require.NoError(t, err)
	return ok, torn
}

func TestNameLockReadersShareAndWritersDoNot(t *testing.T) {
	_, b, la, lb := lockPair(t)
	lb2 := must(b.LockOf("x")) // another goroutine of the same process
	for _, tc := range []struct {
		name                     string
		has                      func() (bool, bool, error)
		drop                     func() error
		readers, writers, itself bool
	}{
		{"writer", la.TryLock, la.Unlock, false, false, false},
		{"reader", la.TryRLock, la.RUnlock, true, false, true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			ok, torn := try(t, tc.has)
			require.True(t, ok)
			require.False(t, torn)
			for _, l := range []*NameLock{la, lb, lb2} {
				ok, _ = try(t, l.TryLock)
				require.Equal(t, tc.writers, ok)
				ok, _ = try(t, l.TryRLock)
				require.Equal(t, tc.readers, ok)
				if ok {
					require.NoError(t, l.RUnlock())
				}
			}
			require.NoError(t, tc.drop())
			requireFree(t, la)
			ok, _ = try(t, lb.TryLock)
			require.True(t, ok)
			require.NoError(t, lb2.Unlock(), "any goroutine may let go")
		})
	}
	requireFree(t, la)
}

func TestNameLockUnlockWithoutHold(t *testing.T) {
	_, _, la, lb := lockPair(t)
	require.ErrorIs(t, la.Unlock(), ErrNotLocked)
	require.ErrorIs(t, la.RUnlock(), ErrNotLocked)
	must(lb.Lock(t.Context()))
	require.ErrorIs(t, la.Unlock(), ErrNotLocked)
	require.ErrorIs(t, lb.RUnlock(), ErrNotLocked)
	w, _ := lockWords(la)
	require.Equal(t, lb.pool.arena.Self().Slot(), w.Owner())
	require.NoError(t, lb.Unlock())
	requireFree(t, la)
}

// TestNameLockCounts increments a number that nothing else guards, from goroutines of two attachments, with readers between.
func TestNameLockCounts(t *testing.T) {
	const goroutines, rounds = 4, 60
	a, b, la, lb := lockPair(t)
	va := must(Slice[int64](must(a.Lookup("x"))))
	vb := must(Slice[int64](must(b.Lookup("x"))))
	var all sync.WaitGroup
	for g := range goroutines {
		for _, side := range []struct {
			l *NameLock
			v []int64
		}{{la, va}, {lb, vb}} {
			all.Go(func() {
				for i := range rounds {
					must(side.l.Lock(t.Context()))
					side.v[0]++
					side.v[1]++
					_ = side.l.Unlock()
					if (i+g)%4 == 0 {
						must(side.l.RLock(t.Context()))
						if side.v[0] != side.v[1] {
							t.Error("a reader saw half a change")
						}
						_ = side.l.RUnlock()
					}
				}
			})
		}
	}
	all.Wait()
	require.EqualValues(t, 2*goroutines*rounds, va[0])
	requireFree(t, la)
}

// TestNameLockGiveUp wants that a wait that ends leaves nothing behind, and TORN where it was.
func TestNameLockGiveUp(t *testing.T) {
	_, _, la, lb := lockPair(t)
	n := &la.pool.arena.Names[la.entry]
	n.Lock.Store(uint32(layout.NameLockWord(0).WithTorn()))
	require.True(t, must(lb.RLock(t.Context())))

	_, err := la.Lock(within(t, brief)) // waits for a reader
	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.ErrorContains(t, err, fmt.Sprintf("process %d has it", os.Getpid()))
	w, readers := lockWords(la)
	require.Equal(t, layout.NameLockWord(0).WithTorn(), w)
	require.True(t, readers)
	require.NoError(t, lb.RUnlock())

	require.True(t, must(lb.Lock(t.Context())))
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(brief, cancel)
	_, err = la.RLock(ctx) // waits for a writer
	require.ErrorIs(t, err, context.Canceled)
	_, err = la.Lock(within(t, brief))
	require.ErrorIs(t, err, context.DeadlineExceeded)
	_, err = lb.Lock(within(t, brief)) // waits for a goroutine
	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.ErrorContains(t, err, "this process has it")
	require.NoError(t, lb.Unlock()) // was told
	requireFree(t, la)
}

// TestNameLockWaitingWriterGoesFirst: new readers stay out, those of the readers' process, too.
func TestNameLockWaitingWriterGoesFirst(t *testing.T) {
	_, _, la, lb := lockPair(t)
	for _, reader := range []*NameLock{lb, la} {
		must(reader.RLock(t.Context()))
		got := make(chan error, 1)
		go func() { _, err := la.Lock(within(t, patience)); got <- err }()
		require.Eventually(t, func() bool {
			ok, _, err := reader.TryRLock()
			if ok {
				_ = reader.RUnlock()
			}
			return !ok && err == nil
		}, patience, time.Millisecond)
		require.NoError(t, reader.RUnlock())
		require.NoError(t, <-got)
		require.NoError(t, la.Unlock())
		requireFree(t, la)
	}
}

func TestNameLockGoesWithTheName(t *testing.T) {
	a, b, la, lb := lockPair(t)
	must(la.Lock(t.Context()))
	errs := make(chan error, 2)
	go func() { _, err := lb.Lock(within(t, patience)); errs <- err }()
	go func() { _, err := lb.RLock(within(t, patience)); errs <- err }()
	time.Sleep(brief)
	require.NoError(t, a.Remove("x"))
	require.ErrorIs(t, <-errs, ErrNoName)
	require.ErrorIs(t, <-errs, ErrNoName)

	must(a.Publish("x", must(a.Alloc(dtype.Int64, 4)))) // takes the same entry
	fresh := must(b.LockOf("x"))
	require.Equal(t, la.entry, fresh.entry)
	requireFree(t, fresh)
	must(fresh.Lock(t.Context()))
	require.NoError(t, la.Unlock(), "what was locked is gone, and its unlock touches nothing")
	_, err := la.Lock(t.Context())
	require.ErrorIs(t, err, ErrNoName)
	require.ErrorIs(t, la.Unlock(), ErrNoName)
	w, _ := lockWords(fresh)
	require.Equal(t, b.arena.Self().Slot(), w.Owner())
	require.NoError(t, fresh.Unlock())

	must(fresh.RLock(t.Context()))
	require.NoError(t, a.Remove("x"))
	must(a.Publish("x", must(a.Alloc(dtype.Int64, 4))))
	again := must(b.LockOf("x"))
	must(again.RLock(t.Context()))
	require.ErrorIs(t, fresh.RUnlock(), ErrNoName, "this process has the next name's lock by now")
	_, readers := lockWords(again)
	require.True(t, readers)
	require.NoError(t, again.RUnlock())
	requireFree(t, again)
}

// TestNameLockReplace: a replaced array keeps the lock of its name.
func TestNameLockReplace(t *testing.T) {
	a, _, la, lb := lockPair(t)
	must(la.Lock(t.Context()))
	must(a.Publish("x", must(a.Alloc(dtype.Int64, 9)), Publish{Mode: PublishOverwrite}))
	ok, _ := try(t, lb.TryLock)
	require.False(t, ok)
	require.NoError(t, la.Unlock())
	ok, _ = try(t, lb.TryLock)
	require.True(t, ok)
	require.NoError(t, lb.Unlock())
}

func TestNameLockClose(t *testing.T) {
	for _, write := range []bool{true, false} {
		_, b, la, lb := lockPair(t)
		must(la.RLock(t.Context()))
		if !write {
			require.NoError(t, la.RUnlock())
			must(la.Lock(t.Context()))
		}
		errs := make(chan error, 1)
		go func() { _, err := lb.acquire(within(t, patience), write); errs <- err }()
		time.Sleep(brief)
		require.NoError(t, b.Close())
		require.ErrorIs(t, <-errs, ErrClosed)
		require.ErrorIs(t, lb.Unlock(), ErrClosed)
		if write {
			require.NoError(t, la.RUnlock())
		} else {
			require.NoError(t, la.Unlock())
		}
		requireFree(t, la) // who only waited has torn nothing
	}
}

// TestNameLockCloseWithLock: who leaves with the lock counts as dead.
func TestNameLockCloseWithLock(t *testing.T) {
	_, b, la, lb := lockPair(t)
	must(lb.Lock(t.Context()))
	require.NoError(t, b.Close())
	require.True(t, must(la.Lock(t.Context())))
	require.NoError(t, la.Unlock())

	h, c := createHeap(t, Options{Capacity: 1 << 20, Names: 8})
	d := must(openHeap(h))
	must(c.Publish("x", must(c.Alloc(dtype.Int64, 4))))
	lc, ld := must(c.LockOf("x")), must(d.LockOf("x"))
	kept := must(d.Alloc(dtype.Int8, 1))
	must(ld.Lock(t.Context()))
	require.NoError(t, d.Close())
	require.NoError(t, ld.Unlock(), "an array keeps the attachment")
	kept.Release()
	require.False(t, must(lc.Lock(t.Context())))
	require.NoError(t, lc.Unlock())
}

func TestNameLockOfNothing(t *testing.T) {
	_, p := createHeap(t, smallPool)
	_, err := p.LockOf("nobody")
	require.ErrorIs(t, err, ErrNoName)
	_, err = p.LockOf("/")
	require.ErrorIs(t, err, ErrPath)
}

func init() {
	// locker DIR ROUNDS GOROUTINES: increments the named number so often in each of so many goroutines.
	children["locker"] = func(args []string) {
		p := must(Open("test", Options{Dir: args[0]}))
		rounds, n := must(strconv.Atoi(args[1])), must(strconv.Atoi(args[2]))
		v := must(Slice[int64](must(p.Lookup("x"))))
		var all sync.WaitGroup
		for range n {
			all.Go(func() {
				l := must(p.LockOf("x"))
				for range rounds {
					must(l.Lock(context.Background()))
					was := v[0]
					time.Sleep(time.Microsecond)
					v[0] = was + 1
					if err := l.Unlock(); err != nil {
						panic(err)
					}
				}
			})
		}
		all.Wait()
	}
	// holder DIR VERB: takes the lock, says so, and keeps it until it is killed.
	children["holder"] = func(args []string) {
		p := must(Open("test", Options{Dir: args[0]}))
		l := must(p.LockOf("x"))
		if args[1] == "read" {
			must(l.RLock(context.Background()))
		} else {
			must(l.Lock(context.Background()))
		}
		fmt.Println("has it")
		_, _ = io.Copy(io.Discard, os.Stdin)
	}
}

func namedNumber(t *testing.T) (p *Pool, dir string, l *NameLock) {
	p, dir = newTestPool(t, Options{Capacity: 1 << 20})
	a := must(p.Zeros(dtype.Int64, 1))
	must(p.Publish("x", a))
	a.Release()
	return p, dir, must(p.LockOf("x"))
}

func TestNameLockCountsAcrossProcesses(t *testing.T) {
	const processes, goroutines, rounds = 3, 3, 100
	p, dir, l := namedNumber(t)
	var all sync.WaitGroup
	for range processes {
		all.Go(func() {
			if err := child("locker", dir, fmt.Sprint(rounds), fmt.Sprint(goroutines)).Run(); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	a := must(p.Lookup("x"))
	defer a.Release()
	require.EqualValues(t, processes*goroutines*rounds, must(Slice[int64](a))[0])
	requireFree(t, l)
}

// startHolder starts a process that has the lock, and returns how to send it signals.
func startHolder(t *testing.T, dir, verb string) func(syscall.Signal) {
	cmd := child("holder", dir, verb)
	stdin, out := must(cmd.StdinPipe()), must(cmd.StdoutPipe())
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGKILL)
		_ = stdin.Close()
		_ = cmd.Wait()
	})
	line, err := bufio.NewReader(out).ReadString('\n')
	require.NoError(t, err)
	require.Equal(t, "has it\n", line)
	return func(s syscall.Signal) { require.NoError(t, cmd.Process.Signal(s)) }
}

func TestNameLockWriterKilled(t *testing.T) {
	_, dir, l := namedNumber(t)
	startHolder(t, dir, "write")(syscall.SIGKILL)
	require.True(t, must(l.RLock(within(t, patience))), "the first one is told")
	require.NoError(t, l.RUnlock())
	require.True(t, must(l.RLock(within(t, patience))), "a reader repairs nothing")
	require.NoError(t, l.RUnlock())
	startHolder(t, dir, "write")(syscall.SIGKILL) // was told, and died
	require.True(t, must(l.Lock(within(t, patience))))
	require.NoError(t, l.Unlock())
	require.False(t, must(l.Lock(within(t, patience))))
	require.NoError(t, l.Unlock())
	requireFree(t, l)
}

func TestNameLockReaderKilled(t *testing.T) {
	_, dir, l := namedNumber(t)
	startHolder(t, dir, "read")(syscall.SIGKILL)
	require.False(t, must(l.Lock(within(t, patience))))
	require.NoError(t, l.Unlock())
	requireFree(t, l)
}

func TestNameLockHolderStopped(t *testing.T) {
	_, dir, l := namedNumber(t)
	for _, verb := range []string{"write", "read"} {
		signal := startHolder(t, dir, verb)
		signal(syscall.SIGSTOP)
		_, err := l.Lock(within(t, 5*brief))
		require.ErrorIs(t, err, context.DeadlineExceeded)
		if verb == "read" {
			must(l.RLock(within(t, patience)))
			require.NoError(t, l.RUnlock())
		}
		signal(syscall.SIGKILL)
		require.Equal(t, verb == "write", must(l.Lock(within(t, patience))))
		require.NoError(t, l.Unlock())
	}
	requireFree(t, l)
}
