package ring

import (
	"math"
	"runtime"
	"sync/atomic"
	"time"

	"github.com/ndpool/ndpool/arena"
	"github.com/ndpool/ndpool/internal/shm"
)

// Waiting needs no lock. Who waits looks a while at what must change, which costs nobody a system call; then he arms the bell,
// looks again, and sleeps. Who has changed something rings, which is a load if nobody waits.
//
// A bell of a queue wakes only as many as can have something, and the flag is down after it. So who has slept arms again before he
// looks; and he rings for one more if he leaves something behind, or gives up. A sleep is bounded for the sake of deaths alone.

// MaxSleep bounds a sleep. A test that looks for lost wake-ups makes it long; nobody changes it while somebody waits.
var MaxSleep = 50 * time.Millisecond

// spinFor is how long who waits looks before he sleeps: about what a wake-up costs.
const spinFor = 20 * time.Microsecond

// All is how many a bell wakes that is for everybody.
const All = math.MaxInt32

// Bell is where processes wait: a futex sequence, and a flag that says that somebody does.
type Bell struct{ seq, flag *shm.U32 }

// NewBell returns the bell of two words of the segment.
func NewBell(seq, flag *shm.U32) Bell { return Bell{seq, flag} }

// News is where they wait for something to come: an entry, the end of a writer, the shutdown of a queue.
func (r *Ring) News() Bell { return Bell{&r.head.News, &r.head.NewsFlag} }

// RoomBell is where they wait for room.
func (r *Ring) RoomBell() Bell { return Bell{&r.head.Room, &r.head.RoomFlag} }

// What a bell's flag says: that somebody waits; that one of them needs more than one can give, so that waking as many as have
// something would be wrong.
const (
	waits     = 1
	waitsMany = 2
)

// Arm says that somebody is about to sleep, who needs many at once or not, and returns the sequence to sleep on. The caller
// looks once more before he does: who stores something after that look sees the flag, and what was stored before it is seen.
func (b Bell) Arm(many bool) (seq uint32) {
	seq = b.seq.Load()
	if many {
		b.flag.Or(waitsMany)
	} else {
		b.flag.Or(waits)
	}
	return seq
}

// Sleep sleeps until somebody rings after Arm returned the sequence, at most d, and reports whether nobody has.
func (b Bell) Sleep(seq uint32, d time.Duration) (whole bool) {
	arena.Sleep(b.seq, seq, d)
	return b.seq.Load() == seq
}

// Ring wakes at most n, if anybody waits. The caller has stored what they wait for. A death before it leaves sleepers that wake
// up by themselves. If one of them needs many, all are woken; one that came just now may have been woken in the place of another.
func (b Bell) Ring(n int) {
	if b.flag.Load() == 0 {
		return
	}
	if b.flag.Swap(0)&waitsMany != 0 {
		n = All
	}
	b.Shake(n)
	if n != All && b.flag.Load()&waitsMany != 0 {
		b.flag.Swap(0)
		b.Shake(All)
	}
}

// Shake wakes at most n, whether or not the flag says that anybody waits.
func (b Bell) Shake(n int) {
	b.seq.Add(1)
	arena.WakeSome(b.seq, n)
}

// NewsStamp returns a number that changes when something comes.
func (r *Ring) NewsStamp() uint64 {
	return r.head.Head.Load() - r.head.Tail.Load()<<56 + uint64(r.head.Ends.Load())<<32 + uint64(r.head.State.Load())<<31
}

// RoomStamp returns a number that changes when room comes.
func (r *Ring) RoomStamp() (stamp uint64) {
	stamp = r.head.Tail.Load() + uint64(r.head.State.Load())<<31
	for k := range r.readers {
		id, pos := r.Reader(k)
		stamp += uint64(id) + pos
	}
	return stamp
}

// Spinner looks at a stamp for a while. When the other side runs on the same processor, looking only keeps it from running; so
// after a few times in vain it looks longer now and then only, until that has been of use. Local, of any number of goroutines.
type Spinner struct{ vain, turn atomic.Uint32 }

// Bounds of looking.
const (
	vainLimit = 3  // spins in a row
	vainTurns = 16 // of so many waits one spins then
)

// Spin reports whether a stamp has changed from what it was.
func (s *Spinner) Spin(stamp func() uint64, was uint64) (changed bool) {
	if s.turn.Add(1)%vainTurns != 0 && s.vain.Load() >= vainLimit {
		return stamp() != was
	}
	for start := time.Now(); time.Since(start) < spinFor; {
		for range 8 {
			if stamp() != was {
				s.vain.Store(0)
				return true
			}
		}
		runtime.Gosched() // what is waited for may have to come from a goroutine of this process
	}
	s.vain.Add(1)
	return false
}
