package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"sync"
	"syscall"
	"time"

	"github.com/ndpool/ndpool/pool"
)

// tally is what a worker has done since it last told, by kind. Workers in Python tell the same.
type tally struct {
	Ops     map[string]int64 `json:"ops"`
	Errors  map[string]int64 `json:"errors,omitempty"` // that a torture brings with it
	Bytes   int64            `json:"bytes"`            // of arrays that were checked
	StallUS int64            `json:"stall_us"`         // the longest operation of those that do not wait on purpose
	Stall   string           `json:"stall,omitempty"`  // which it was

	mu   sync.Mutex
	done int
}

// tellEvery is after how many operations a worker tells.
const tellEvery = 50

func newTally() *tally { return &tally{Ops: map[string]int64{}, Errors: map[string]int64{}} }

func (t *tally) add(op string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.Ops[op]++
	t.done++
}

func (t *tally) checked(n int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.Bytes += int64(n)
}

func (t *tally) fail(err error) {
	word, _ := expected(err)
	t.mu.Lock()
	defer t.mu.Unlock()
	t.Errors[word]++
}

func (t *tally) stall(op string, d time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if us := d.Microseconds(); us > t.StallUS {
		t.StallUS, t.Stall = us, op
	}
}

func (t *tally) due() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.done >= tellEvery
}

// take returns what there is, and begins anew.
func (t *tally) take() *tally {
	t.mu.Lock()
	defer t.mu.Unlock()
	was := &tally{Ops: maps.Clone(t.Ops), Errors: maps.Clone(t.Errors), Bytes: t.Bytes, StallUS: t.StallUS, Stall: t.Stall}
	clear(t.Ops)
	clear(t.Errors)
	t.Bytes, t.StallUS, t.Stall, t.done = 0, 0, "", 0
	return was
}

// brought are the errors that a torture brings with it, wherever they come from.
var brought = []struct {
	err  error
	word string
}{
	{pool.ErrFull, "full"}, {pool.ErrNoMemory, "nomemory"}, {pool.ErrTableFull, "table"}, {pool.ErrProcesses, "processes"}, {pool.ErrStale, "stale"},
	{pool.ErrPrivate, "private"}, {pool.ErrHeld, "held"}, {pool.ErrSealed, "sealed"}, {pool.ErrSpent, "spent"}, {pool.ErrExpired, "expired"},
	{pool.ErrRecalled, "recalled"}, {pool.ErrNotReceiver, "receiver"}, {pool.ErrDead, "dead"}, {pool.ErrView, "view"}, {pool.ErrNoName, "noname"},
	{pool.ErrNameTaken, "nametaken"}, {pool.ErrVersion, "version"}, {pool.ErrWriter, "writer"}, {pool.ErrWriterDied, "writerdied"},
	{pool.ErrEnded, "ended"}, {pool.ErrNoFrame, "noframe"}, {pool.ErrShut, "shut"}, {pool.ErrTooLong, "toolong"},
	{context.DeadlineExceeded, "timeout"}, {syscall.ENOSPC, "nospace"},
}

// expected tells whether an error is one that a torture brings with it, and its word. A fault never is.
func expected(err error) (string, bool) {
	var f *fault
	if errors.As(err, &f) {
		return "fault", false
	}
	for _, x := range brought {
		if errors.Is(err, x.err) {
			return x.word, true
		}
	}
	return "other", errors.Is(err, os.ErrDeadlineExceeded)
}

func anyOf(err error, some ...error) bool {
	for _, e := range some {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

// fault is what a worker has found wrong, whatever errors are in it.
type fault struct{ what string }

func (f *fault) Error() string { return f.what }

func faultf(format string, args ...any) error { return &fault{fmt.Sprintf(format, args...)} }
