package pool

import (
	"fmt"
	"sync/atomic"

	"github.com/ndpool/ndpool/arena/layout"
	"github.com/ndpool/ndpool/handle"
	"github.com/ndpool/ndpool/ring"
)

// Queue is a bounded queue of items in the segment: any process puts, and each item goes to one that gets it, first in, first
// out. What was put is there until a get returns it, whoever dies: the queue holds the arrays, so they may be released right
// away.
//
// An item is an array, or bytes, with any number of arrays that are attached to it; it takes an entry for each. A queue with a
// name is found by it, and the name goes with the pool, unless RingOptions.Persistent says that it keeps it; a named queue with
// entries keeps the pool, too. A queue without a name lives as long as somebody holds it, or it is on its way: see Send.
//
// Any number of goroutines may use it. It keeps the attachment, as an array does: close it before Close of the pool has an
// effect.
type Queue struct {
	ref     *ringRef
	path    string
	closing atomic.Bool
}

// ItemKind is what an item is.
type ItemKind int

// Kinds of an item.
const (
	ItemArray  = ItemKind(layout.EntryArray)
	ItemBytes  = ItemKind(layout.EntryBytes)  // bytes, which are a message
	ItemPickle = ItemKind(layout.EntryPickle) // bytes, which are a Python pickle
)

// String returns the kind's name in lower case.
func (k ItemKind) String() string { return layout.EntryKind(k).String() }

// QueueItem is what a get returned: references to its arrays. Release it once, or put it back.
type QueueItem struct {
	Kind     ItemKind
	Array    *Array   // of bytes, unless the kind is ItemArray
	Attached []*Array // that belong to it
	queue    handle.Handle
}

// Bytes returns the memory of the item's array, without a copy. It fails as Array.Bytes does.
func (it *QueueItem) Bytes() ([]byte, error) { return it.Array.Bytes() }

// Release ends the references to the item's arrays.
func (it *QueueItem) Release() {
	it.Array.Release()
	for _, a := range it.Attached {
		a.Release()
	}
}

// Queue opens the queue of a name, which is made if it is not there; without a path it makes one that has no name. The caller
// must Close it. It fails with ErrKind if the name is not a queue's, and with ErrOptions.
func (p *Pool) Queue(path string, o ...RingOptions) (*Queue, error) {
	opt, err := ringOptions(layout.RingQueue, o)
	q := &Queue{path: path}
	if err == nil {
		q.ref, err = p.openRing(path, layout.RingQueue, &opt, &q.closing)
	}
	if err != nil {
		return nil, p.nameError("queue", path, err)
	}
	return q, nil
}

// RetainQueue opens the queue of a bare handle, while somebody holds it: see Retain. The caller must Close it.
func (p *Pool) RetainQueue(h handle.Handle) (*Queue, error) {
	if err := p.enter(); err != nil {
		return nil, err
	}
	defer p.leave()
	i, err := p.resolve(h)
	if err == nil {
		err = p.retain(i, h.Generation())
	}
	if err != nil {
		return nil, fmt.Errorf("handle %v: %w", h, err)
	}
	return p.heldQueue(i)
}

// AdoptQueue takes a transfer of a queue: see Adopt. The caller must Close it. One of an array is refused, and not spent.
func (p *Pool) AdoptQueue(t handle.Transfer) (*Queue, error) {
	if err := p.enter(); err != nil {
		return nil, err
	}
	defer p.leave()
	i, err := p.resolve(t.Handle)
	if err != nil {
		return nil, err
	}
	if err := p.spend(t, i, p.refuseNoQueue); err != nil {
		return nil, err
	}
	return p.heldQueue(i)
}

// refuseNoQueue reads the block's bytes. Precondition: something keeps it alive.
func (p *Pool) refuseNoQueue(i int) error {
	r, err := p.ringAt(i)
	switch {
	case err != nil:
		return errNoRing
	case r.Kind() != layout.RingQueue:
		return errIsStream
	}
	return nil
}

// heldQueue returns the queue in a block that this process has a reference to, which it ends if that is none.
func (p *Pool) heldQueue(i int) (*Queue, error) {
	q := &Queue{}
	ref, err := p.ref(i, layout.RingQueue, &q.closing)
	if err != nil {
		return nil, err
	}
	q.ref = ref
	return q, nil
}

// Path returns the name that the queue was opened by, "" if by none.
func (q *Queue) Path() string { return q.path }

// Handle returns the queue's handle, by which any attached process can RetainQueue it while somebody holds it.
func (q *Queue) Handle() handle.Handle { return q.ref.handle }

// Send opens a transfer of the queue, to be taken by AdoptQueue: see Array.Send.
func (q *Queue) Send() (handle.Transfer, error) { return q.SendTo(0) }

// SendTo opens a transfer to one process: see Array.SendTo.
func (q *Queue) SendTo(to ProcessID) (t handle.Transfer, err error) {
	q.ref.steps.RLock()
	defer q.ref.steps.RUnlock()
	if q.ref.ended {
		return t, ErrClosed
	}
	return q.ref.pool.send(q.ref.desc, to)
}

// Close ends the use of the queue by this object. Closing twice is harmless.
func (q *Queue) Close() error {
	if !q.closing.Swap(true) {
		q.ref.shake()
		q.ref.end(nil)
	}
	return nil
}

// Len returns how many items are in the queue; 0 if it is closed.
func (q *Queue) Len() (n int) {
	if q.ref.enter() == nil {
		n = int(min(q.ref.ring.Items(), uint64(q.ref.ring.Entries())))
		q.ref.leave()
	}
	return n
}

// Limit returns how many entries the queue has at most. An item takes one, and one more for each array that is attached to it.
func (q *Queue) Limit() int { return q.ref.ring.Entries() }

// Shut says that nothing is put into the queue from now on, by anybody. What is in it can be got.
func (q *Queue) Shut() error {
	if err := q.ref.enter(); err != nil {
		return q.error("shut", err)
	}
	defer q.ref.leave()
	p, r := q.ref.pool, &q.ref.ring
	if err := p.lock(); err != nil {
		return q.error("shut", err)
	}
	r.Shut()
	p.unlock()
	r.News().Shake(ring.All) // whatever the flags say: they may be down while somebody sleeps
	r.RoomBell().Shake(ring.All)
	return nil
}

func (q *Queue) error(verb string, err error) error {
	if err == nil {
		return nil
	}
	what := "an item"
	if verb != "get from" {
		what = "room"
	}
	return waitError(verb+" queue", q.path, what, err)
}
