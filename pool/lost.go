package pool

import (
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"
	"weak"

	"github.com/ndpool/ndpool/handle"
)

// LostArray is an array that the garbage collector found unreleased: a defect of the program. Its memory is not
// released, because slices made from it may still be in use.
type LostArray struct {
	Handle handle.Handle
	Bytes  int    // of the whole block
	Site   string // where the value was made: file and line
}

// lostArrays follows the arrays of one attachment, if Options.TrackLost asks for it. Local.
type lostArrays struct {
	mu       sync.Mutex
	found    []LostArray
	followed map[weak.Pointer[Array]]runtime.Cleanup
}

// follow has the collector report the array when it finds it unreachable. What is reported is a copy: a cleanup must
// not reach its array.
func (l *lostArrays) follow(p *Pool, a *Array) {
	key := weak.Make(a)
	rec := LostArray{Handle: handle.New(p.arena.Geo.DescGranule(int(a.desc)), a.gen), Bytes: len(a.mem), Site: site()}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.followed == nil {
		l.followed = map[weak.Pointer[Array]]runtime.Cleanup{}
	}
	l.followed[key] = runtime.AddCleanup(a, func(rec LostArray) { l.report(p, key, rec) }, rec)
}

// forget ends the following of an array that was released.
func (l *lostArrays) forget(a *Array) {
	key := weak.Make(a)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.followed[key].Stop()
	delete(l.followed, key)
}

func (l *lostArrays) report(p *Pool, key weak.Pointer[Array], rec LostArray) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if _, ok := l.followed[key]; !ok {
		return
	}
	delete(l.followed, key)
	l.found = append(l.found, rec)
	p.arena.Ctl.Lost.Add(1) // the array's reference keeps the mapping
}

// site returns the first caller outside of this package.
func site() string {
	var pcs [16]uintptr
	frames := runtime.CallersFrames(pcs[:runtime.Callers(3, pcs[:])])
	for {
		f, more := frames.Next()
		if !strings.Contains(f.Function, "ndpool/pool.(*") || !more {
			return fmt.Sprintf("%s:%d", f.File, f.Line)
		}
	}
}

// Lost returns the arrays of this process that the garbage collector has found unreleased so far, if Options.TrackLost
// asked for it.
func (p *Pool) Lost() []LostArray {
	if p.lost == nil {
		return nil
	}
	p.lost.mu.Lock()
	defer p.lost.mu.Unlock()
	return slices.Clone(p.lost.found)
}
