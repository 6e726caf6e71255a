package pool

import (
	"errors"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestRefusedWhileTheLockIsKept has every operation of the crash tests find the lock in the hands of a process that lives and does
// not let go. It fails or not; either way nothing is left half-done, and nothing leaks.
func TestRefusedWhileTheLockIsKept(t *testing.T) {
	refusedAll(t, func(t *testing.T, victim, bystander *Pool, op func() error) {
		victim.lockWait = time.Millisecond
		require.NoError(t, bystander.lock())
		err := op()
		bystander.unlock()
		require.True(t, err == nil || errors.Is(err, ErrLockTimeout) || errors.Is(err, ErrTableFull), "%v", err)
	})
}

// TestRefusedOnceClosed has every operation of the crash tests begin after its pool was closed.
func TestRefusedOnceClosed(t *testing.T) {
	refusedAll(t, func(t *testing.T, victim, _ *Pool, op func() error) {
		require.NoError(t, victim.Close())
		if err := op(); err != nil {
			require.ErrorIs(t, err, ErrClosed)
		}
	})
}

// refusedAll runs each scenario with something in its way, lets its processes die, and looks at what is left.
func refusedAll(t *testing.T, run func(t *testing.T, victim, bystander *Pool, op func() error)) {
	for _, sc := range scenarios {
		if strings.HasSuffix(sc.name, "takeover") {
			continue // what the operation would have cleaned up is a fault until then
		}
		t.Run(sc.name, func(t *testing.T) {
			h, bystander := createHeap(t, smallPool)
			peer, victim := must(openHeap(h)), must(openHeap(h))
			op, err := sc.prepare(victim, peer)
			require.NoError(t, err)
			run(t, victim, bystander, func() error { return recovered(op) })
			outlive(t, bystander, victim, peer)
			requireEmpty(t, bystander)
		})
	}
}

// recovered returns also the error that an operation panics with because its preparations fail.
func recovered(op func() error) (err error) {
	defer func() {
		if r := recover(); r != nil {
			var ok bool
			if err, ok = r.(error); !ok || errors.As(err, new(runtime.Error)) {
				panic(r)
			}
		}
	}()
	return op()
}
