//go:build ndpool_crash

package pool

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ndpool/ndpool/alloc"
	"github.com/ndpool/ndpool/arena"
	"github.com/ndpool/ndpool/internal/shm"
)

// The crash tests let a process die right after the k-th store of an operation, for every k, and another one right after
// the j-th store of the recovery that follows. Survivors must go on, find the segment clean, and find their bytes intact;
// and the catalog must be as if the operation had not begun, or as if it had ended.
//
// TestCrashEverywhere lets "processes" of one program die, which is fast enough for every pair (k, j); TestCrashKill
// kills real ones. NDPOOL_LONG=1 takes all pairs, and pairs of real processes.

// victimRun lets op die after its k-th store and reports whether it did; otherwise op ended, with err.
func victimRun(k int, op func() error) (died bool, err error) {
	done := make(chan struct{})
	shm.Arm(k, shm.Vanish)
	go func() {
		defer close(done)
		err = op()
	}()
	<-done
	if n := shm.Disarm(); k > 0 && n >= k {
		return true, nil // if another goroutine has died, op may have gone on in vain
	}
	return false, err
}

// stage is one case: a segment with a victim, a peer, and a bystander whose arrays must survive.
type stage struct {
	heap      *arena.Heap
	victim    *Pool
	peer      *Pool
	bystander *Pool
	kept      []*Array
	catalog   string // what was left of it; set by settle
}

func newStage(t testing.TB, g ground) *stage {
	s := &stage{}
	s.heap, s.bystander = createHeap(t, g.options)
	s.kept = g.keep(s.bystander, 500, 5000)
	s.kept[0].Handle()
	s.peer = must(openHeap(s.heap))
	s.victim = must(openHeap(s.heap))
	return s
}

// settle lets the peer leave and the bystander recover, and tells what is wrong then.
func (s *stage) settle() error {
	s.peer.arena.Abandon()
	if _, err := s.bystander.Reap(); err != nil {
		return fmt.Errorf("reap: %w", err)
	}
	if _, err := s.bystander.Reap(); err != nil { // transfers of the dead expire at once
		return fmt.Errorf("second reap: %w", err)
	}
	for i, a := range s.kept {
		if b := must(a.Bytes()); bytes.Count(b, []byte{mark(i)}) != len(b) {
			return fmt.Errorf("bytes of a survivor's array %d changed", i)
		}
	}
	if err := verified(s.bystander); err != nil {
		return err
	}
	for _, a := range s.kept {
		a.Release()
	}
	var err error
	if s.catalog, err = forgetNames(s.bystander); err != nil {
		return err
	}
	return empty(s.bystander)
}

// verified tells the faults that Verify finds.
func verified(p *Pool) error {
	r, err := p.Verify(VerifyOptions{Content: true})
	if err == nil && !r.Clean() {
		err = fmt.Errorf("%d faults, first: %v", len(r.Faults), r.Faults[0])
	}
	return err
}

// empty tells whether anything is left in a pool whose processes have let go of everything.
func empty(p *Pool) error {
	if err := p.steal(); err != nil {
		return err
	}
	s, err := p.Stats()
	if err == nil && (s.Arrays != 0 || s.Transfers != 0 || s.Names != 0 || s.Free != s.Capacity) {
		err = fmt.Errorf("leaked: %d arrays, %d transfers, %d names, %d bytes", s.Arrays, s.Transfers, s.Names, s.Capacity-s.Free)
	}
	return err
}

// outcomes are what may be left of the catalog, and of rings, when all but the bystander of a scenario have died: before the
// operation, after it, and, of some, in the middle.
type outcomes []string

func outcomesOf(t testing.TB, sc scenario) (o outcomes, err error) {
	before := scenario{sc.name, func(v, peer *Pool) (func() error, error) {
		_, err := sc.prepare(v, peer)
		return func() error { return nil }, err
	}}
	name := sc.name // of the half, too
	all := []scenario{before, sc}
	if half, ok := halfDone[sc.name]; ok {
		all = append(all, half)
	}
	for _, sc := range all {
		s := newStage(t, groundOf(name))
		op, err := sc.prepare(s.victim, s.peer)
		if err == nil {
			_, err = victimRun(0, op)
		}
		if err != nil {
			return o, err
		}
		if s.victim.arena.Self() != 0 {
			s.victim.arena.Abandon()
		}
		if err := s.settle(); err != nil {
			return o, err
		}
		o = append(o, s.catalog)
	}
	return o, nil
}

// allow tells whether a catalog may be left.
func (o outcomes) allow(catalog string) error {
	if slices.Contains(o, catalog) {
		return nil
	}
	return fmt.Errorf("half a change: the catalog is\n%s\nexpected\n%s", catalog, strings.Join(o, "\nor\n"))
}

// crashOnce runs one case: the victim dies after store k, and, if j is not 0, a recoverer dies after store j of the
// recovery. It reports whether each did.
func crashOnce(t testing.TB, sc scenario, may outcomes, k, j int) (died, recovererDied bool, err error) {
	s := newStage(t, groundOf(sc.name))
	op, err := sc.prepare(s.victim, s.peer)
	if err != nil {
		return false, false, err
	}
	if died, err = victimRun(k, op); err != nil {
		return died, false, fmt.Errorf("operation: %w", err)
	}
	if s.victim.arena.Self() != 0 {
		s.victim.arena.Abandon()
	}
	if j > 0 {
		var second *Pool
		if second, err = openHeapUnswept(s.heap); err != nil {
			return died, false, err
		}
		recovererDied, err = victimRun(j, func() error { _, err := second.Reap(); return err })
		if err != nil {
			return died, recovererDied, fmt.Errorf("recovery: %w", err)
		}
		second.arena.Abandon()
	}
	if err := s.settle(); err != nil {
		return died, recovererDied, err
	}
	return died, recovererDied, may.allow(s.catalog)
}

// openHeapUnswept attaches without sweeping, so that the sweep can be watched.
func openHeapUnswept(h *arena.Heap) (*Pool, error) {
	a, err := arena.OpenHeap(h)
	if err != nil {
		return nil, err
	}
	if _, err := a.Claim(); err != nil {
		return nil, err
	}
	return attachHeap(a), nil
}

// pairStride tells of how many deaths in a recovery one is tried: few, or all.
func pairStride(few int) int {
	if os.Getenv("NDPOOL_LONG") != "" {
		return 1
	}
	return few
}

func TestCrashEverywhere(t *testing.T) {
	cases, stride := 0, pairStride(211)
	for _, sc := range scenarios {
		t.Run(sc.name, func(t *testing.T) {
			stores, pairs := 0, 0
			may, err := outcomesOf(t, sc)
			require.NoError(t, err)
			for k := 1; ; k++ {
				died, _, err := crashOnce(t, sc, may, k, 0)
				require.NoErrorf(t, err, "death after store %d", k)
				cases++
				if !died {
					break
				}
				stores = k
				for j := 1 + k%stride; ; j += stride {
					_, again, err := crashOnce(t, sc, may, k, j)
					require.NoErrorf(t, err, "death after store %d, and after store %d of the recovery", k, j)
					if !again {
						break
					}
					pairs++
				}
			}
			t.Logf("%d stores, %d pairs with a death in the recovery", stores, pairs)
			cases += pairs
		})
	}
	t.Logf("%d deaths in all", cases)
}

func TestCrashCanary(t *testing.T) {
	for wrong, in := range map[string][]scenario{"sweep": scenarios, "rebuild": scenarios, "transit": scenarios, "names": scenarios, "rings": ringScenarios} {
		t.Run(wrong, func(t *testing.T) {
			canary = wrong
			defer func() { canary = "" }()
			require.True(t, noticed(t, in), "a wrong recovery was not noticed")
		})
	}
}

// noticed tells whether any death in any scenario leaves what a check finds.
func noticed(t *testing.T, in []scenario) bool {
	for _, sc := range in {
		may, err := outcomesOf(t, sc)
		require.NoError(t, err)
		for k, died := 1, true; died; k++ {
			if died, _, err = crashOnce(t, sc, may, k, 0); err != nil {
				return true
			}
		}
	}
	return false
}

// TestCrashKill kills real processes.
func TestCrashKill(t *testing.T) {
	for _, sc := range scenarios {
		t.Run(sc.name, func(t *testing.T) {
			stores := 0
			may, err := outcomesOf(t, sc)
			require.NoError(t, err)
			for k := 1; ; k++ {
				died, err := killOnce(t, sc, may, k)
				require.NoErrorf(t, err, "killed after store %d", k)
				if !died {
					break
				}
				stores = k
			}
			t.Logf("killed %d times", stores)
		})
	}
}

func killOnce(t *testing.T, sc scenario, may outcomes, k int) (died bool, err error) {
	dir := testDir(t)
	g := groundOf(sc.name)
	o := g.options
	o.Dir = dir
	p, err := Create("test", o)
	if err != nil {
		return false, err
	}
	defer p.Close()
	kept := g.keep(p, 5000)
	died = runChild(t, "victim", dir, sc.name, strconv.Itoa(k))
	start := time.Now()
	if _, err := p.Reap(); err != nil {
		return died, err
	}
	if _, err := p.Reap(); err != nil {
		return died, err
	}
	if took := time.Since(start); took > o.LockWait {
		return died, fmt.Errorf("recovery took %v", took)
	}
	for i, a := range kept {
		if b := must(a.Bytes()); bytes.Count(b, []byte{mark(i)}) != len(b) {
			return died, fmt.Errorf("bytes of a survivor's array %d changed", i)
		}
	}
	if err := verified(p); err != nil {
		return died, err
	}
	for _, a := range kept {
		a.Release()
	}
	catalog, err := forgetNames(p)
	if err == nil {
		err = may.allow(catalog)
	}
	if err != nil {
		return died, err
	}
	return died, empty(p)
}

func init() {
	children["victim"] = func(args []string) {
		o := Options{Dir: args[0]}
		peer := must(Open("test", o))
		victim := must(Open("test", o))
		k := must(strconv.Atoi(args[2]))
		for _, sc := range scenarios {
			if sc.name == args[1] {
				op := must(sc.prepare(victim, peer))
				shm.Arm(k, shm.Kill)
				if err := op(); err != nil {
					panic(err)
				}
				shm.Disarm()
			}
		}
	}
}

// attachHeap makes the pool of a claimed arena without sweeping.
func attachHeap(a *arena.Arena) *Pool { return newPool(a, alloc.New(a)) }

// runChild runs a child to its end and reports whether it was killed. Any other failure fails the test.
func runChild(t testing.TB, name string, args ...string) (killed bool) {
	t.Helper()
	err := child(name, args...).Run()
	if err == nil {
		return false
	}
	var ee *exec.ExitError
	require.True(t, errors.As(err, &ee), err)
	require.Equal(t, syscall.SIGKILL, ee.Sys().(syscall.WaitStatus).Signal(), err)
	return true
}
