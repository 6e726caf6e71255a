package pool

import (
	"context"
	"errors"

	"github.com/ndpool/ndpool/ring"
)

// Channels for who would rather have them: a goroutine between a channel and the queue.

// Receive returns a channel on which the items of the queue arrive. The receiver owns each. The channel is closed when the
// queue was shut down and is empty, when it is closed or damaged, or when ctx is done; what the goroutine has in hand then is
// put back, as soon as there is room, unless somebody receives it meanwhile.
func (q *Queue) Receive(ctx context.Context) <-chan *QueueItem {
	c := make(chan *QueueItem)
	go func() {
		defer close(c)
		for {
			it, err := q.Get(ctx)
			if err != nil {
				return
			}
			select {
			case c <- it:
			case <-ctx.Done():
				q.handBack(c, it)
				return
			}
		}
	}()
	return c
}

// handBack puts an item back that nobody has received. The queue may be full, so it offers it again now and then.
func (q *Queue) handBack(c chan<- *QueueItem, it *QueueItem) {
	for {
		ctx, cancel := context.WithTimeout(context.Background(), ring.MaxSleep)
		err := q.PutBack(ctx, it)
		cancel()
		if err == nil {
			return
		}
		if !errors.Is(err, context.DeadlineExceeded) {
			it.Release()
			return
		}
		select {
		case c <- it:
			return
		default:
		}
	}
}

// Feed puts what arrives on a channel, and releases it, until the channel is closed, which is no error, or ctx is done. An
// array that could not be put is released, too.
func (q *Queue) Feed(ctx context.Context, c <-chan *Array) error {
	for {
		select {
		case a, ok := <-c:
			if !ok {
				return nil
			}
			err := q.Put(ctx, a)
			a.Release()
			if err != nil {
				return err
			}
		case <-ctx.Done():
			return q.error("put into", ctx.Err())
		}
	}
}
