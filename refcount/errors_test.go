package refcount

import (
	"testing"

	"github.com/ndpool/ndpool/arena/layout"
	"github.com/ndpool/ndpool/internal/sentinels"
)

// TestEveryError provokes every error that this package documents.
func TestEveryError(t *testing.T) {
	sentinels.Require(t, map[string]sentinels.Entry{
		"ErrStale":   {Is: ErrStale, Provoke: stale},
		"StaleError": {Is: ErrStale, As: new(*StaleError), Says: `^retain block 3: stale handle: generation 77 asked, \d+ found \(.+\)$`, Provoke: stale},
		"ErrPrivate": {Is: ErrPrivate, Says: "block 3", Provoke: func(t *testing.T) error {
			ts := newTables(t, 2)
			return retain(ts[1], ts[0].fresh(3))
		}},
		"ErrHeld": {Is: ErrHeld, Provoke: func(t *testing.T) error {
			ts := newTables(t, 2)
			g := ts[0].fresh(3)
			ts[0].ShareLocked(3)
			if err := retain(ts[1], g); err != nil {
				return err
			}
			return ts[0].SealLocked(3)
		}},
		"ErrSealed": {Is: ErrSealed, Provoke: func(t *testing.T) error {
			ts := newTables(t, 1)
			ts[0].fresh(3)
			if err := ts[0].SealLocked(3); err != nil {
				t.Fatal(err)
			}
			return ts[0].SealLocked(3)
		}},
		"ErrSpent":    {Is: ErrSpent, Provoke: ended(func(ts []*Table, n, i int, g uint32) error { _, err := ts[1].Adopt(n, i, g); return err })},
		"ErrExpired":  {Is: ErrExpired, Provoke: ended(func(ts []*Table, n, i int, _ uint32) error { ts[1].Expire(n, i); return nil })},
		"ErrRecalled": {Is: ErrRecalled, Provoke: ended(func(ts []*Table, n, i int, _ uint32) error { _, err := ts[0].Recall(n, i); return err })},
		"ErrForged":   {Is: ErrForged, Provoke: forged},
		"TicketError": {Is: ErrForged, As: new(*TicketError), Says: `^ticket 5: no such ticket: nonce 9 asked, \d+ found \(.+\)$`, Provoke: forged},
		"ErrNotReceiver": {Is: ErrNotReceiver, Provoke: func(t *testing.T) error {
			ts := newTables(t, 2)
			g := ts[0].fresh(3)
			ts[0].ShareLocked(3)
			ts[0].Send(5, 3, 0, ts[0].arena.Self())
			_, err := ts[1].Adopt(5, 3, g)
			return err
		}},
		"ErrNotSender": {Is: ErrNotSender, Provoke: func(t *testing.T) error {
			ts := newTables(t, 2)
			ts[0].fresh(3)
			ts[0].ShareLocked(3)
			ts[0].Send(5, 3, 0, layout.Ident(0))
			_, err := ts[1].Recall(5, 3)
			return err
		}},
	}, nil)
}

func retain(t *Table, gen uint32) error {
	_, err := t.RetainLocked(3, gen)
	return err
}

func stale(t *testing.T) error {
	ts := newTables(t, 2)
	ts[0].fresh(3)
	ts[0].ShareLocked(3)
	return retain(ts[1], 77)
}

func forged(t *testing.T) error { return newTables(t, 1)[0].Look(5, 9, 1) }

// ended looks at a ticket that was ended.
func ended(end func(ts []*Table, n, i int, gen uint32) error) func(t *testing.T) error {
	return func(t *testing.T) error {
		ts := newTables(t, 2)
		g := ts[0].fresh(3)
		ts[0].ShareLocked(3)
		nonce := ts[0].Send(5, 3, 42, 0)
		if err := end(ts, 5, 3, g); err != nil {
			t.Fatal(err)
		}
		return ts[1].Look(5, nonce, 42)
	}
}
