package pool

import (
	"context"
	"errors"
	"time"

	"github.com/ndpool/ndpool/arena/layout"
)

// lockOp is a scenario with the victim's lock of a name that stays; prepare gets the peer's.
func lockOp(prepare func(v, peer *NameLock), op func(v *NameLock) error) func(v, peer *Pool) (func() error, error) {
	return func(v, peer *Pool) (func() error, error) {
		by("x")(v, peer)
		l := must(v.LockOf("x"))
		prepare(l, must(peer.LockOf("x")))
		return func() error { return op(l) }, nil
	}
}

func freeLock(_, _ *NameLock) {}

// deadWriter leaves the word of a process that is gone, on which others sleep.
func deadWriter(_, peer *NameLock) {
	self := peer.pool.arena.Self()
	gone := layout.MakeNameLock(layout.MakeIdent(self.Slot(), self.Incarnation()-1)).WithWaiters()
	peer.pool.arena.Names[peer.entry].Lock.Store(uint32(gone))
}

func lockWait(l *NameLock, write bool, d time.Duration) error {
	ctx, cancel := context.WithTimeout(context.Background(), d)
	defer cancel()
	_, err := l.acquire(ctx, write)
	return err
}

// lockScenarios are the operations on the lock of a name.
var lockScenarios = []scenario{
	{"lock", lockOp(freeLock, func(v *NameLock) error { return lockWait(v, true, time.Minute) })},
	{"unlock", lockOp(func(v, _ *NameLock) { must(v.Lock(context.Background())) }, (*NameLock).Unlock)},
	{"rlock", lockOp(freeLock, func(v *NameLock) error { return lockWait(v, false, time.Minute) })},
	{"runlock", lockOp(func(v, _ *NameLock) { must(v.RLock(context.Background())) }, (*NameLock).RUnlock)},
	{"lock-contended-takeover", lockOp(deadWriter, func(v *NameLock) error {
		return errors.Join(lockWait(v, true, time.Minute), v.Unlock())
	})},
	{"rlock-takeover", lockOp(deadWriter, func(v *NameLock) error {
		return errors.Join(lockWait(v, false, time.Minute), v.RUnlock())
	})},
	{"lock-give-up", lockOp(func(_, peer *NameLock) { must(peer.RLock(context.Background())) }, func(v *NameLock) error {
		return wantErr(lockWait(v, true, time.Millisecond), context.DeadlineExceeded)
	})},
	{"rlock-give-up", lockOp(func(_, peer *NameLock) { must(peer.Lock(context.Background())) }, func(v *NameLock) error {
		return wantErr(lockWait(v, false, time.Millisecond), context.DeadlineExceeded)
	})},
}
