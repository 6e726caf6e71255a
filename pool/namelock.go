package pool

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/ndpool/ndpool/arena"
	"github.com/ndpool/ndpool/catalog"
	"github.com/ndpool/ndpool/internal/lazy"
)

// NameLock is the lock of a name, an array's or a group's: for the data, which readers and writers agree to touch under it
// only. There is one writer, or any number of readers. A writer that waits keeps new readers out, so who has the lock as a
// reader must not take it again.
//
// It is a process's: any goroutine may let go, and goroutines exclude each other as processes do. If a writer dies the next
// one gets the lock and is told that it is torn: the data may be half-changed. So are all until a writer has let go who
// was told. A writer that leaves the pool with the lock counts as dead: unlock before Close.
//
// The lock goes with the name: when that is removed all say ErrNoName, also if the path is published again. A
// replaced array keeps the lock of its name.
type NameLock struct {
	pool  *Pool
	path  string
	entry int
	nonce uint32
}

// nameLocks is what this process has to do with the locks of names. Local; the mutex is held for no longer than some
// exchanges and, if somebody else has the lock, the question whether he lives. It also keeps goroutines apart at the
// words of the segment. Order: the pool's verbs, then this one; nothing is taken under it.
type nameLocks struct {
	sync.Mutex
	table   lazy.Table[nameHold] // by entry
	made    bool                 // the table, when it is first wanted
	trying  int                  // entries in state nameTrying
	changed chan struct{}        // closed when somebody lets go; nil if nobody waits for that
}

// nameHold is what this process has of one entry. Local.
type nameHold struct {
	nonce   uint32 // of the name that state and readers are about
	state   uint32
	readers uint32 // goroutines; the bit is the first's and the last's business
	writers uint32 // goroutines that wait
}

const (
	nameIdle    = iota
	nameTrying  // the word is this process's, which waits for readers
	nameWriting // so is the lock
)

// Bounds of waiting for the lock of a name. A sleeper wakes up by itself, which heals any lost wake-up.
const (
	nameSleepMin = 500 * time.Microsecond
	nameSleepMax = 50 * time.Millisecond
)

// LockOf returns the lock of a name. It fails with ErrNoName if there is none. It takes no memory in the segment and need not
// be given back.
func (p *Pool) LockOf(path string) (*NameLock, error) {
	if err := p.enter(); err != nil {
		return nil, err
	}
	defer p.leave()
	entry, nonce, err := p.findName("lock", path)
	if err != nil {
		return nil, err
	}
	return &NameLock{p, path, entry, nonce}, nil
}

// Path returns the name.
func (l *NameLock) Path() string { return l.path }

// Lock waits until this is the only process and goroutine that has the lock, or ctx is done: then the error wraps ctx's,
// some 50 ms late at most. Released by Unlock. It reports torn if a writer died and none has let go since who was told.
func (l *NameLock) Lock(ctx context.Context) (torn bool, err error) { return l.acquire(ctx, true) }

// RLock waits until no process has the lock as the writer or waits to. Released by RUnlock. It reports as Lock does.
func (l *NameLock) RLock(ctx context.Context) (torn bool, err error) { return l.acquire(ctx, false) }

// TryLock is Lock without waiting: it reports whether it has the lock. Released by Unlock.
func (l *NameLock) TryLock() (ok, torn bool, err error) { return l.try(true) }

// TryRLock is RLock without waiting: it reports whether it has the lock. Released by RUnlock.
func (l *NameLock) TryRLock() (ok, torn bool, err error) { return l.try(false) }

// Unlock lets the writer's lock go. It fails with ErrNotLocked if this process does not have it. If the name is gone
// meanwhile, there is nothing to do.
func (l *NameLock) Unlock() error { return l.release(true) }

// RUnlock lets one reader's lock go. It fails as Unlock does.
func (l *NameLock) RUnlock() error { return l.release(false) }

// lockAttempt is one goroutine on its way to a lock. Local.
type lockAttempt struct {
	*NameLock
	write bool
	mine  bool // the entry is in state nameTrying for this attempt
	waits bool // counted in nameHold.writers
}

// obstacle is what an attempt waits for: a word of the segment or, if there is none, another goroutine.
type obstacle struct {
	catalog.Wait
	changed <-chan struct{}
	dead    bool // a reader is, and keeps his bit until he is swept
}

func (l *NameLock) acquire(ctx context.Context, write bool) (torn bool, err error) {
	a := lockAttempt{NameLock: l, write: write}
	for sleep := nameSleepMin; ; sleep = min(2*sleep, nameSleepMax) {
		got, torn, in, err := a.step()
		if got || err != nil {
			return torn, err
		}
		if ctx.Err() != nil {
			return false, &NameError{Verb: "lock", Path: l.path, Err: fmt.Errorf("%w while %s", ctx.Err(), a.giveUp())}
		}
		if end, ok := ctx.Deadline(); ok {
			sleep = min(sleep, max(time.Until(end), time.Microsecond))
		}
		a.await(ctx, in, sleep)
	}
}

func (l *NameLock) try(write bool) (ok, torn bool, err error) {
	a := lockAttempt{NameLock: l, write: write}
	ok, torn, _, err = a.step()
	if !ok && err == nil {
		a.giveUp()
	}
	return ok, torn, err
}

// step tries once, and is a verb of its own, so that Close never waits for long. If it fails the attempt is over.
func (a *lockAttempt) step() (got, torn bool, in obstacle, err error) {
	p := a.pool
	if err := p.enter(); err != nil {
		a.giveUp()
		return false, false, in, err
	}
	defer p.leave()
	h := p.nameLocks.lock(p, a.entry)
	switch {
	case !p.names.Stands(a.entry, a.nonce):
		err = a.gone()
	default:
		if h.nonce != a.nonce { // what this process had was a lock of a name that is gone, and its words were cleared
			p.nameLocks.reset(h, a.nonce)
		}
		got, torn, in = a.stepLocked(h)
		// The name may have gone since the first look, and what was taken be words of the next one.
		if !p.names.Stands(a.entry, a.nonce) {
			err = a.gone()
		}
	}
	if got && err != nil {
		a.dropLocked(h)
		got = false
	}
	a.countLocked(h, !got && err == nil)
	if err != nil {
		a.retreatLocked(h)
	}
	p.nameLocks.Unlock()
	if in.dead {
		p.sweepSometimes()
	}
	return got, torn, in, err
}

// stepLocked tries once. Precondition: the mutex is held, and h is about this attempt's name.
func (a *lockAttempt) stepLocked(h *nameHold) (got, torn bool, in obstacle) {
	if a.write {
		return a.writerLocked(h)
	}
	return a.readerLocked(h)
}

// writerLocked takes the word, then waits for the readers. In between the entry is nameTrying.
func (a *lockAttempt) writerLocked(h *nameHold) (got, torn bool, in obstacle) {
	p := a.pool
	if !a.mine {
		if h.state != nameIdle || h.readers > 0 {
			return false, false, p.nameLocks.localLocked()
		}
		if a.mine, in.Wait = p.names.TakeWriter(a.entry); !a.mine {
			return false, false, in
		}
		h.state = nameTrying
		p.nameLocks.trying++
	}
	if got, in.dead, in.Wait = p.names.ReadersOut(a.entry); !got {
		return false, false, in
	}
	a.mine, h.state = false, nameWriting
	p.nameLocks.trying--
	return true, p.names.Torn(a.entry), obstacle{}
}

// readerLocked joins the readers of this process, or becomes the first of them. Writers that wait come first, those of
// this process and, since their word stands, of others.
func (a *lockAttempt) readerLocked(h *nameHold) (got, torn bool, in obstacle) {
	p := a.pool
	switch {
	case h.state != nameIdle || h.writers > 0 || h.readers > 0 && p.names.Written(a.entry):
		return false, false, p.nameLocks.localLocked()
	case h.readers > 0:
		got, torn = true, p.names.Torn(a.entry)
	default:
		got, torn, in.Wait = p.names.TakeReader(a.entry)
	}
	if got {
		h.readers++
	}
	return got, torn, in
}

// countLocked says whether this attempt is a writer that waits.
func (a *lockAttempt) countLocked(h *nameHold, waits bool) {
	waits = waits && a.write
	switch {
	case waits && !a.waits:
		h.writers++
	case !waits && a.waits:
		h.writers--
		a.pool.nameLocks.wakeLocked()
	}
	a.waits = waits
}

// dropLocked gives back what the attempt has just got.
func (a *lockAttempt) dropLocked(h *nameHold) {
	if a.write {
		h.state = nameIdle
		a.pool.names.DropWriter(a.entry, true)
		return
	}
	if h.readers--; h.readers == 0 {
		a.pool.names.DropReader(a.entry)
	}
}

// retreatLocked takes the word back that the attempt has, as torn as it was.
func (a *lockAttempt) retreatLocked(h *nameHold) {
	if a.mine && h.nonce == a.nonce {
		h.state = nameIdle
		a.pool.nameLocks.trying--
		a.pool.names.DropWriter(a.entry, true)
		a.pool.nameLocks.wakeLocked()
	}
	a.mine = false
}

// giveUp ends the attempt so that nothing of it is left, and says who has the lock. If the segment was left meanwhile,
// Close has seen to that.
func (a *lockAttempt) giveUp() (who string) {
	p := a.pool
	if p.stay() != nil {
		return "the pool was closed"
	}
	defer p.leave()
	h := p.nameLocks.lock(p, a.entry)
	defer p.nameLocks.Unlock()
	a.countLocked(h, false)
	a.retreatLocked(h)
	switch slot := p.names.Holder(a.entry); {
	case slot < 0:
		return "somebody had it just now"
	case slot == p.arena.Self().Slot():
		return "this process has it"
	default:
		return fmt.Sprintf("process %d has it", p.arena.Slots[slot].Pid.Load())
	}
}

// await sleeps until there may be something new, at most d. It is a verb of its own if it sleeps on the segment.
func (a *lockAttempt) await(ctx context.Context, in obstacle, d time.Duration) {
	if in.Word != nil {
		if a.pool.enter() == nil {
			arena.Sleep(in.Word, in.Value, d)
			a.pool.leave()
		}
		return
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-in.changed:
	case <-ctx.Done():
	case <-t.C:
	}
}

// release lets go what this process has of the name's lock. It may be called on a closed pool, as long as arrays keep the
// attachment.
func (l *NameLock) release(write bool) error {
	p := l.pool
	if err := p.stay(); err != nil {
		return err
	}
	defer p.leave()
	h := p.nameLocks.lock(p, l.entry)
	defer p.nameLocks.Unlock()
	switch {
	case h.nonce == l.nonce && write && h.state == nameWriting:
		h.state = nameIdle
		p.names.DropWriter(l.entry, false)
	case h.nonce == l.nonce && !write && h.readers > 0:
		if h.readers--; h.readers == 0 {
			p.names.DropReader(l.entry)
		}
	case !p.names.Stands(l.entry, l.nonce):
		return l.gone()
	default:
		return &NameError{Verb: "unlock", Path: l.path, Err: ErrNotLocked}
	}
	p.nameLocks.wakeLocked()
	return nil
}

func (l *NameLock) gone() error { return &NameError{Verb: "lock", Path: l.path, Err: ErrNoName} }

// lock takes the mutex and returns what this process has of an entry.
func (m *nameLocks) lock(p *Pool, entry int) *nameHold {
	m.Lock()
	if !m.made {
		m.table, m.made = lazy.New[nameHold](len(p.arena.Names)), true
	}
	return m.table.At(entry)
}

// reset makes a record about another name. Attempts at the last one will find it gone.
func (m *nameLocks) reset(h *nameHold, nonce uint32) {
	if h.state == nameTrying {
		m.trying--
	}
	h.nonce, h.state, h.readers = nonce, nameIdle, 0
}

// localLocked returns the wait for another goroutine.
func (m *nameLocks) localLocked() obstacle {
	if m.changed == nil {
		m.changed = make(chan struct{})
	}
	return obstacle{changed: m.changed}
}

// wakeLocked wakes all goroutines that wait for another one.
func (m *nameLocks) wakeLocked() {
	if m.changed != nil {
		close(m.changed)
		m.changed = nil
	}
}

// retreat takes back the words of all attempts, which will find the pool closed. What is locked is left to the sweep of this
// slot, which says TORN. Precondition: nobody is inside a verb, and nobody will be.
func (m *nameLocks) retreat(p *Pool) {
	m.Lock()
	defer m.Unlock()
	for e := 0; m.trying > 0 && e < p.names.Committed(); e++ {
		if h := m.table.At(e); h.state == nameTrying {
			h.state = nameIdle
			m.trying--
			p.names.DropWriter(e, true)
		}
	}
	m.wakeLocked()
}

// free gives the private memory back. Precondition: as for retreat.
func (m *nameLocks) free() {
	if m.made {
		m.table.Free()
	}
}

// stay begins a step that gives something back: also on a closed pool, if its segment was not left. Released by leave.
func (p *Pool) stay() error {
	p.verbs.RLock()
	if p.finished.Load() {
		p.verbs.RUnlock()
		return ErrClosed
	}
	return nil
}
