package main

import (
	"context"
	"errors"
)

// hands is how many work in rounds: as many as sleep when what they wait for comes.
const hands = 3

// roundOf is the stream that ends the rounds of a queue.
var roundOf = map[string]string{"q/deal": "s/deal-round", "q/fill": "s/fill-round"}

// dealer deals so many items, or makes so much room, as there are hands. Each hand takes one and then nothing until the round is
// over: so each must be woken, though a queue wakes as few as it can.
func (w *worker) dealer() error {
	to, from, err := w.begin(roundOf[w.Ring], w.Back)
	if err != nil {
		return err
	}
	deal, err := w.dealing()
	if err != nil {
		return err
	}
	w.ready()
	for !w.ended.Load() {
		w.number++
		w.breathe()
		for range hands {
			if err := w.answered("dealing", deal); err != nil {
				return err
			}
		}
		for range hands {
			if err := w.answered("a hand", func(ctx context.Context) error {
				_, err := from.take(ctx)
				return err
			}); err != nil {
				return err
			}
		}
		if err := w.answered("ending a round", func(ctx context.Context) error { return to.send(ctx, w.number) }); err != nil {
			return err
		}
		w.did(1)
	}
	q, err := w.p.Queue(w.Ring)
	if err != nil {
		return err
	}
	return errors.Join(q.Shut(), q.Close(), to.shut(), from.shut())
}

// dealing returns what the dealer does for each hand: puts an item, or gets one from a queue that is full.
func (w *worker) dealing() (func(context.Context) error, error) {
	q, err := w.p.Queue(w.Ring, ringOptions[w.Ring])
	if err != nil || w.Mode == modeGet {
		return func(ctx context.Context) error { return w.putNumber(ctx, q, w.number) }, err
	}
	for range hands {
		if err := w.putNumber(context.Background(), q, 0); err != nil {
			return nil, err
		}
	}
	return func(ctx context.Context) error {
		it, err := q.Get(ctx)
		if err == nil {
			it.Release()
		}
		return err
	}, nil
}

// hand gets or puts one item in each round.
func (w *worker) hand() error {
	to, from, err := w.begin(w.Back, roundOf[w.Ring])
	if err != nil {
		return err
	}
	q, err := w.p.Queue(w.Ring, ringOptions[w.Ring])
	if err != nil {
		return err
	}
	act := func(ctx context.Context) error { return w.putNumber(ctx, q, w.number) }
	if w.Mode == modeGet {
		act = func(ctx context.Context) error {
			it, err := q.Get(ctx)
			if err == nil {
				it.Release()
			}
			return err
		}
	}
	say := func(ctx context.Context) error { return to.send(ctx, w.number) }
	hear := func(ctx context.Context) error {
		_, err := from.take(ctx)
		return err
	}
	w.ready()
	for {
		for _, step := range []func(context.Context) error{act, say, hear} {
			err := w.answered("a step of a round", step)
			if over(err) {
				return errors.Join(q.Close(), from.shut())
			}
			if err != nil {
				return err
			}
			w.did(1)
		}
		w.breathe()
	}
}
