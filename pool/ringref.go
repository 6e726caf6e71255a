package pool

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ndpool/ndpool/arena"
	"github.com/ndpool/ndpool/arena/layout"
	"github.com/ndpool/ndpool/handle"
	"github.com/ndpool/ndpool/ring"
)

// ringRef is the reference of one object of this process to a ring. Local.
type ringRef struct {
	pool    *Pool
	ring    ring.Ring
	desc    int
	handle  handle.Handle
	closing *atomic.Bool // the object is being closed
	spinner ring.Spinner
	looked  atomic.Int64 // when it was looked last who is dead: nanoseconds, CLOCK_BOOTTIME
	steps   sync.RWMutex // held shared in each step, and by who wakes the object's goroutines; exclusively to end the reference
	ended   bool         // guarded by steps
}

// enter begins a step: a verb of its own, so that neither the pool's Close nor the object's waits for long. Released by leave.
func (r *ringRef) enter() error {
	r.steps.RLock()
	err := ErrClosed
	if !r.ended && !r.closing.Load() {
		err = r.pool.enter()
	}
	if err != nil {
		r.steps.RUnlock()
	}
	return err
}

func (r *ringRef) leave() {
	r.pool.leave()
	r.steps.RUnlock()
}

// end ends the reference, after what its object was to the ring, if that is anything. It waits until no goroutine is in a step. It
// may be called on a closed pool, which the reference keeps attached.
func (r *ringRef) end(role func()) {
	r.steps.Lock()
	if r.ended {
		r.steps.Unlock()
		return
	}
	if role != nil {
		role()
	}
	r.ended = true
	r.steps.Unlock()
	r.pool.drop(r.desc)
}

// shake wakes all who sleep on a ring's bells, for the sake of one of them in this process: he is to be asked whether to go on.
func (r *ringRef) shake() {
	r.steps.RLock()
	if !r.ended {
		r.ring.News().Shake(ring.All)
		r.ring.RoomBell().Shake(ring.All)
	}
	r.steps.RUnlock()
}

// waiting is what a goroutine waits for in a ring. Local.
type waiting struct {
	bell  ring.Bell
	many  bool                           // that one who rings for one thing gives too little
	stamp func() uint64                  // changes when it comes
	try   func(slept bool) (bool, error) // takes it, inside a verb, and tells whether it has
	idle  func() error                   // sees, inside a verb, if nothing came for a while, whether somebody is dead; nil: nothing
}

// until waits until try has succeeded or failed, or ctx is done: then it returns ctx's error. The order is that of package ring.
func (r *ringRef) until(ctx context.Context, w *waiting) error {
	done, err := r.tryOnce(w)
	if done || err != nil {
		return err
	}
	if ctx.Done() != nil {
		defer context.AfterFunc(ctx, r.shake)()
	}
	for slept := false; ; slept = true {
		if done, err = r.armed(ctx, w, slept); done || err != nil {
			return err
		}
	}
}

// looks is how often who waits tries again at most before it arms the bell, which costs who brings something a system call. What it looks
// at changes more than once for each thing that comes, and others may be faster.
const looks = 16

// tryOnce tries, and looks for a while whether it should again.
func (r *ringRef) tryOnce(w *waiting) (done bool, err error) {
	if err := r.enter(); err != nil {
		return false, err
	}
	defer r.leave()
	for range looks {
		was := w.stamp()
		if done, err = w.try(false); done || err != nil || !r.spinner.Spin(w.stamp, was) {
			break
		}
	}
	return done, err
}

// armed arms the bell, tries, and sleeps if that was in vain. So what comes between the try and the sleep rings. If ctx is done
// it gives up instead: who rang may have meant this one, who passes it on.
func (r *ringRef) armed(ctx context.Context, w *waiting, slept bool) (done bool, err error) {
	if err := r.enter(); err != nil {
		return false, err
	}
	defer r.leave()
	seq := w.bell.Arm(w.many)
	if done, err = w.try(slept); done || err != nil {
		return done, err
	}
	if w.idle != nil && r.isIdle() {
		if err := w.idle(); err != nil {
			return false, err
		}
	}
	if err := ctx.Err(); err != nil {
		if slept && r.ring.Kind() == layout.RingQueue { // of a stream all are woken
			w.bell.Ring(1)
		}
		return false, err
	}
	w.bell.Sleep(seq, sleepTime(ctx))
	return false, nil
}

// isIdle tells, once in a while, that it is time to look whether somebody is dead. It goes by the time, so that who waits for
// moments only looks, too.
func (r *ringRef) isIdle() bool {
	now, last := arena.BootTime(), r.looked.Load()
	return now-last > int64(ring.MaxSleep) && r.looked.CompareAndSwap(last, now)
}

// sleepTime returns how long to sleep at most. Whoever is to be told of ctx's end is woken, but a deadline that is near is not
// worth a wake-up.
func sleepTime(ctx context.Context) time.Duration {
	d := ring.MaxSleep
	if end, ok := ctx.Deadline(); ok {
		d = min(d, max(time.Until(end), time.Microsecond))
	}
	return d
}

// bury ends the roles of the dead in a ring. Those are dead beyond doubt who do not live under the lock: who comes to a slot
// later sweeps it first.
func (r *ringRef) bury() error {
	p := r.pool
	if r.ring.AllAlive(p.arena.Alive) {
		return nil
	}
	if err := p.lock(); err != nil {
		return err
	}
	r.ring.SweepDead(p.arena.Alive)
	p.unlock()
	p.sweepSometimes()
	return nil
}

// waitError says that waiting for something of a stream or queue ended with ctx.
func waitError(verb, path, what string, err error) error {
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		err = fmt.Errorf("%w while waiting for %s", err, what)
	}
	return &NameError{Verb: verb, Path: path, Err: err}
}
