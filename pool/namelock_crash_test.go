//go:build ndpool_crash

package pool

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestCrashNameLock lets the victim die after every store of every operation on a lock: a survivor gets the lock, is told
// if the victim's word stood, and once it has let go, nobody is told any more, and nothing is left.
func TestCrashNameLock(t *testing.T) {
	for _, sc := range lockScenarios {
		t.Run(sc.name, func(t *testing.T) {
			for k := 1; ; k++ {
				s := newStage(t, groundOf(sc.name))
				op := must(sc.prepare(s.victim, s.peer))
				died, err := victimRun(k, op)
				require.NoError(t, err)
				l := must(s.bystander.LockOf("x"))
				w, _ := lockWords(l)
				slot := s.victim.arena.Self().Slot()
				torn := w.Torn() || w.Owner() >= 0
				s.victim.arena.Abandon()
				s.peer.arena.Abandon()
				told := must(l.Lock(within(t, patience)))
				require.Equal(t, torn, told, fmt.Sprintf("death after store %d, word %#x, victim's slot %d", k, w, slot))
				require.NoError(t, l.Unlock())
				requireFree(t, l)
				require.False(t, must(l.RLock(within(t, patience))))
				require.NoError(t, l.RUnlock())
				if !died {
					break
				}
			}
		})
	}
}
