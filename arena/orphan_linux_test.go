package arena

import (
	"errors"
	"testing"
	"time"

	"github.com/ndpool/ndpool/arena/layout"
)

// TestReplace removes what killed processes left behind, and only that.
func TestReplace(t *testing.T) {
	eachDir(t, func(t *testing.T, loc Location) {
		a := mustCreate(t, loc, testSpec())
		asked := 0
		ask := func(answer bool) func(*Arena) bool {
			return func(x *Arena) bool {
				asked++
				return answer
			}
		}
		b, err := Open(loc, true, ask(true))
		if err != nil || asked != 0 {
			t.Fatalf("a living process's segment: %v, asked %d times", err, asked)
		}
		b.Close()
		a.Abandon()
		b, err = Open(loc, true, ask(false))
		if err != nil || asked != 1 {
			t.Fatalf("an orphan that somebody wants: %v, asked %d times", err, asked)
		}
		if c, err := Open(loc, true, ask(true)); err != nil || asked != 1 {
			t.Fatalf("b did not go on with a shared lock: %v, asked %d times", err, asked)
		} else {
			c.Close()
		}
		b.Close()
		if _, err := Open(loc, true, ask(true)); !errors.Is(err, ErrNotExist) || asked != 2 {
			t.Errorf("an orphan that nobody wants: %v, asked %d times", err, asked)
		}
		if got := names(t, loc); len(got) != 0 {
			t.Errorf("left behind: %v", got)
		}
	})
}

// TestLastOut opens while the last one decides: whoever opens waits, and does not get the segment that goes away.
func TestLastOut(t *testing.T) {
	eachDir(t, func(t *testing.T, loc Location) {
		a := mustCreate(t, loc, testSpec())
		got := make(chan error)
		a.Leave(func() {
			go func() {
				_, err := Open(loc, false, never)
				got <- err
			}()
			select {
			case err := <-got:
				t.Errorf("Open did not wait: %v", err)
				go func() { got <- err }()
			case <-time.After(20 * time.Millisecond):
			}
			if err := a.Unlink(); err != nil {
				t.Error(err)
			}
		})
		if err := <-got; !errors.Is(err, ErrNotExist) {
			t.Errorf("Open during the decision: %v", err)
		}
	})
}

// TestBoot refuses what another boot left unclean.
func TestBoot(t *testing.T) {
	eachDir(t, func(t *testing.T, loc Location) {
		a := mustCreate(t, loc, testSpec())
		a.Ctl.Boot[0].Store(1)
		b := mustOpen(t, loc) // a lives: it cannot be another boot's
		if !b.SameBoot() {
			t.Error("another boot")
		}
		b.Close()
		a.Ctl.Boot[0].Store(1)
		a.Abandon()
		if _, err := Open(loc, false, never); !errors.Is(err, ErrUnclean) {
			t.Errorf("unclean: %v", err)
		}
		a.Slots[0].Word.Store(uint64(layout.MakeSlot(layout.SlotFree, 1)))
		c := mustOpen(t, loc)
		defer c.Close()
		if !c.SameBoot() {
			t.Error("another boot still")
		}
	})
}

// TestBootRace has many open a segment of another boot at once: nobody is refused, and it is this boot's for all.
func TestBootRace(t *testing.T) {
	eachDir(t, func(t *testing.T, loc Location) {
		a := mustCreate(t, loc, testSpec())
		for range 20 {
			a.Ctl.Boot[0].Store(1)
			got := make(chan error)
			for range 8 {
				go func() { got <- openRenewed(loc) }()
			}
			for range 8 {
				if err := <-got; err != nil {
					t.Error(err)
				}
			}
		}
	})
}

func openRenewed(loc Location) error {
	a, err := Open(loc, false, never)
	if err != nil {
		return err
	}
	defer a.Close()
	if !a.SameBoot() {
		return errors.New("another boot")
	}
	return nil
}
