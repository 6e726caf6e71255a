package pool

import (
	"fmt"
	"io/fs"
	"os"
	"time"

	"github.com/ndpool/ndpool/arena"
	"github.com/ndpool/ndpool/arena/layout"
)

// Defaults of a pool.
const (
	DefaultDir       = "/dev/shm"
	DefaultCapacity  = 1 << 30 // bytes
	DefaultProcesses = layout.MaxProcesses
	DefaultTickets   = 8192
	DefaultNames     = 16384
	DefaultMode      = 0o600
	DefaultGrace     = 10 * time.Minute
	DefaultLockWait  = 10 * time.Second
)

// Options say how a pool is created and opened. The zero value is the defaults.
//
// The first group is stored in the segment at creation. An opener that leaves a field zero takes what is there; one that
// asks for something else gets ErrOptions. The second group concerns this attachment alone.
type Options struct {
	Capacity   uint64        // bytes for arrays, rounded up to a page; default 1 GiB
	Arrays     int           // arrays that can be alive at once; default: one per 16 KiB of capacity, at least 1024
	Processes  int           // processes that can be attached at once, at most 254, the default
	Tickets    int           // transfers that can be in flight at once; default 8192
	Names      int           // entries of the catalog: names and the groups they are in; default 16384
	Mode       fs.FileMode   // permission bits of the file, set whatever the umask; default 0600
	Grace      time.Duration // how long an undirected transfer outlives its sender; default 10 minutes
	LockWait   time.Duration // how long to wait for the lock while its owner lives but is stopped; default 10 seconds
	Persistent bool          // keep the pool when the last process leaves
	Reserve    bool          // commit all memory at creation, instead of when it is first used
	HugePages  bool          // advise the kernel to use huge pages

	Dir       string   // directory of the file; default /dev/shm
	File      *os.File // an open file instead of a name, for example a memfd passed by a parent; the caller keeps it
	Anonymous bool     // create a memfd, which has no name and cannot be truncated; pass File() on
	UIDs      []int    // users whose pools may be opened, beside this process's own
	GIDs      []int    // groups whose pools may be opened
	Prefault  bool     // map all committed memory now, so that no later access faults

	Watch     time.Duration // sweep dead processes in the background at this interval; 0: only when there is a reason
	Observer  bool          // look on: attaching sweeps nobody, and leaving removes no pool that had nobody attached before
	TrackLost bool          // report arrays that the garbage collector finds unreleased: see Pool.Lost
}

func (o Options) location(name string) arena.Location {
	l := arena.Location{Dir: o.Dir, Name: name, Anonymous: o.Anonymous, UIDs: o.UIDs, GIDs: o.GIDs, Prefault: o.Prefault}
	if l.Dir == "" {
		l.Dir = DefaultDir
	}
	if o.File != nil {
		l.FD = int(o.File.Fd())
	}
	return l
}

// spec returns what is stored in the segment, with the defaults filled in.
func (o Options) spec() (arena.Spec, error) {
	if o.Capacity > layout.MaxCapacity || o.Arrays < 0 || o.Processes < 0 || o.Tickets < 0 || o.Names < 0 || o.Grace < 0 || o.LockWait < 0 {
		return arena.Spec{}, fmt.Errorf("create pool: %w: negative or beyond the format: %+v", ErrOptions, o.stored())
	}
	s := arena.Spec{Flags: o.flags(), Mode: uint32(orDefault(o.Mode.Perm(), DefaultMode)),
		Grace: orDefault(o.Grace, DefaultGrace), LockWait: orDefault(o.LockWait, DefaultLockWait)}
	s.Limits.Capacity = (max(orDefault(o.Capacity, DefaultCapacity), layout.MinCapacity) + layout.PageSize - 1) / layout.PageSize * layout.PageSize
	s.Limits.Arrays = orDefault(o.Arrays, int(min(max(s.Limits.Capacity/(16<<10), 1024), layout.MaxArrays)))
	s.Limits.Processes = orDefault(o.Processes, DefaultProcesses)
	s.Limits.Tickets = orDefault(o.Tickets, DefaultTickets)
	s.Limits.Names = orDefault(o.Names, DefaultNames)
	return s, nil
}

func (o Options) flags() uint32 {
	var f uint32
	for _, x := range []struct {
		on  bool
		bit uint32
	}{{o.Persistent, layout.FlagPersistent}, {o.Reserve, layout.FlagReserved}, {o.HugePages, layout.FlagHugePages}, {o.Anonymous, layout.FlagAnonymous}} {
		if x.on {
			f |= x.bit
		}
	}
	return f
}

// stored returns the options that are stored in the segment, for messages.
func (o Options) stored() Options {
	return Options{Capacity: o.Capacity, Arrays: o.Arrays, Processes: o.Processes, Tickets: o.Tickets, Names: o.Names,
		Mode: o.Mode, Grace: o.Grace, LockWait: o.LockWait, Persistent: o.Persistent, Reserve: o.Reserve, HugePages: o.HugePages}
}

// Options returns what the pool was created with.
func (p *Pool) Options() Options { return storedOptions(p.arena) }

func storedOptions(a *arena.Arena) Options {
	s := &a.Super
	return Options{Capacity: s.Capacity, Arrays: int(s.Arrays), Processes: int(s.Processes), Tickets: int(s.Tickets),
		Names: int(s.Names), Mode: fs.FileMode(s.Mode), Grace: time.Duration(s.Grace), LockWait: time.Duration(s.LockWait),
		Persistent: a.Has(layout.FlagPersistent), Reserve: a.Has(layout.FlagReserved), HugePages: a.Has(layout.FlagHugePages),
		Anonymous: a.Has(layout.FlagAnonymous)}
}

// agree tells whether what an opener asks for is what the pool was created with.
func (o Options) agree(a *arena.Arena) error {
	has := storedOptions(a)
	if o.Capacity != 0 {
		o.Capacity = (max(o.Capacity, layout.MinCapacity) + layout.PageSize - 1) / layout.PageSize * layout.PageSize
	}
	for _, c := range []struct {
		what string
		bad  bool
		got  any
		want any
	}{
		{"capacity", o.Capacity != 0 && o.Capacity != has.Capacity, has.Capacity, o.Capacity},
		{"arrays", o.Arrays != 0 && o.Arrays != has.Arrays, has.Arrays, o.Arrays},
		{"processes", o.Processes != 0 && o.Processes != has.Processes, has.Processes, o.Processes},
		{"tickets", o.Tickets != 0 && o.Tickets != has.Tickets, has.Tickets, o.Tickets},
		{"names", o.Names != 0 && o.Names != has.Names, has.Names, o.Names},
		{"mode", o.Mode != 0 && o.Mode.Perm() != has.Mode, has.Mode, o.Mode.Perm()},
		{"grace", o.Grace != 0 && o.Grace != has.Grace, has.Grace, o.Grace},
		{"lock wait", o.LockWait != 0 && o.LockWait != has.LockWait, has.LockWait, o.LockWait},
		{"persistent", o.Persistent && !has.Persistent, has.Persistent, true},
		{"reserve", o.Reserve && !has.Reserve, has.Reserve, true},
		{"huge pages", o.HugePages && !has.HugePages, has.HugePages, true},
	} {
		if c.bad {
			return fmt.Errorf("open %s: %w: %s: got %v, expected %v", a.Path(), ErrOptions, c.what, c.got, c.want)
		}
	}
	return nil
}

func orDefault[T comparable](v, def T) T {
	var zero T
	if v == zero {
		return def
	}
	return v
}
