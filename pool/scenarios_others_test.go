//go:build ndpool_crash

package pool

import (
	"github.com/ndpool/ndpool/arena/layout"
	"github.com/ndpool/ndpool/internal/shm"
)

// othersScenarios are those in which another process acts in the middle of the operation. Only the crash build can have it.
var othersScenarios = []scenario{
	{"lock-comes-free", besideOwner(func(layout.LockWord) bool { return true })},
	{"lock-comes-free-in-sleep", besideOwner(layout.LockWord.Contended)},
	{"queue-put-wakes-who-came-meanwhile", func(v, peer *Pool) (func() error, error) {
		bell := queue(peer, "q", 1).ref.ring.News()
		warm(v)
		q, a := must(v.Queue("q")), marked(v, 99)
		seq := bell.Arm(false)
		return func() error {
			came := false
			shm.Meanwhile(func() {
				if !came && !bell.Sleep(seq, 0) {
					came = true
					bell.Arm(true)
				}
			})
			err := q.Put(ever, a)
			a.Release()
			return err
		}, nil
	}},
}

func init() { scenarios = append(scenarios, othersScenarios...) }

// besideOwner has the peer own the segment lock when the victim comes, and let it go once its word is as wanted.
func besideOwner(wanted func(layout.LockWord) bool) func(v, peer *Pool) (func() error, error) {
	return func(v, peer *Pool) (func() error, error) {
		lock := &v.arena.Ctl.Lock
		word := layout.MakeLock(peer.arena.Self())
		lock.Store(uint32(word))
		return func() error {
			shm.Meanwhile(func() {
				if w := layout.LockWord(lock.Load()); w.Owner() == word.Owner() && wanted(w) {
					lock.Store(0)
				}
			})
			err := v.lock()
			if err == nil {
				v.unlock()
			}
			return err
		}, nil
	}
}
