package main

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"syscall"

	"github.com/ndpool/ndpool/arena"
	"github.com/ndpool/ndpool/pool"
)

// lsCmd lists the pools of a directory.
type lsCmd struct {
	Quiet bool `short:"q" help:"Names alone, one per line."`
}

// Help tells what --help tells beyond the flags.
func (lsCmd) Help() string {
	return `States: live (processes are attached), idle (nobody is, and the pool waits: it is persistent, a transfer is in flight, or a
persistent name or a queue with items in it keeps it), left behind (nobody is, and nobody wants to keep it: ndpool reap
removes it). DEAD counts processes that died and were not swept yet. Files that are no pools are left out; what cannot be read is told on stderr.

Examples:

    ndpool ls
    ndpool --json ls | jq '.pools[] | select(.state == "left behind").name'`
}

// lsJSON is the list, as JSON.
type lsJSON struct {
	Dir        string           `json:"dir"`
	Pools      []listed         `json:"pools"`
	Unreadable []unreadableJSON `json:"unreadable"`
}

type listed struct {
	Name       string         `json:"name"`
	State      pool.Condition `json:"state"`
	Capacity   uint64         `json:"capacity"`
	Committed  uint64         `json:"committed"`
	Held       uint64         `json:"held"`
	Memory     uint64         `json:"memory"` // that the file takes, tables included
	Arrays     int            `json:"arrays"`
	Processes  int            `json:"processes"` // alive
	Dead       int            `json:"dead"`
	Transfers  int            `json:"transfers"`
	Expired    int            `json:"expired"` // of the transfers, those whose time is up
	Persistent bool           `json:"persistent"`
	UID        int            `json:"uid"`
	Segment    string         `json:"segment"`
}

type unreadableJSON struct {
	Name  string `json:"name"`
	Error string `json:"error"`
}

// Run lists the pools.
func (c *lsCmd) Run(e *env) error {
	l, err := list(e.Dir)
	if err != nil {
		return err
	}
	err = e.emit(l, func(w io.Writer) {
		if c.Quiet {
			for _, p := range l.Pools {
				fmt.Fprintln(w, oneLine(p.Name))
			}
			return
		}
		writeList(w, l)
	})
	for _, u := range l.Unreadable {
		e.note("%s: %s", oneLine(u.Name), oneLine(u.Error))
	}
	return err
}

func writeList(w io.Writer, l lsJSON) {
	if len(l.Pools) == 0 {
		fmt.Fprintf(w, "no pools in %s\n", clean(l.Dir))
		return
	}
	t := newTable("NAME", "STATE", ">CAPACITY", ">COMMITTED", ">ARRAYS", ">TRANSFERS", ">PROCESSES", ">DEAD", "PERSISTENT", ">UID")
	for _, p := range l.Pools {
		t.row(clean(p.Name), p.State, human(p.Capacity), human(p.Committed), p.Arrays, p.Transfers, p.Processes, p.Dead, yes(p.Persistent), p.UID)
	}
	t.write(w)
}

// list looks at all files of a directory.
func list(dir string) (lsJSON, error) {
	l := lsJSON{Dir: dir, Pools: []listed{}, Unreadable: []unreadableJSON{}}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return l, err
	}
	for _, f := range entries {
		if !f.Type().IsRegular() || arena.CheckName(f.Name()) != nil {
			continue
		}
		p, err := look(dir, f.Name())
		switch {
		case err == nil:
			l.Pools = append(l.Pools, p)
		case errors.Is(err, pool.ErrNotExist), isForeign(err): // gone meanwhile, or never one
		default:
			l.Unreadable = append(l.Unreadable, unreadableJSON{f.Name(), err.Error()})
		}
	}
	slices.SortFunc(l.Pools, func(a, b listed) int { return cmp.Compare(a.Name, b.Name) })
	return l, nil
}

// isForeign tells whether a file is no pool at all, rather than one that cannot be read.
func isForeign(err error) bool {
	var fe *arena.FormatError
	return errors.As(err, &fe) && (fe.What == "magic" || fe.What == "file type" || fe.Want == "at least 4096 bytes")
}

// look describes a pool.
func look(dir, name string) (listed, error) {
	s, err := pool.Peek(name, pool.Options{Dir: dir})
	if err != nil {
		return listed{}, err
	}
	defer s.Close()
	return summarize(s, name)
}

func summarize(s *pool.Snapshot, name string) (listed, error) {
	state, err := s.Condition()
	if err != nil {
		return listed{}, err
	}
	st := s.Stats()
	p := listed{Name: name, State: state, Capacity: st.Capacity, Committed: st.Committed, Held: st.Held, Arrays: st.Arrays,
		Transfers: st.Transfers, Persistent: s.Options().Persistent, Segment: s.Segment().String()}
	p.UID, p.Memory = inode(s.Path())
	for x := range s.Processes() {
		if x.Alive {
			p.Processes++
		} else {
			p.Dead++
		}
	}
	for x := range s.Transfers() {
		if x.Expires < 0 {
			p.Expired++
		}
	}
	return p, nil
}

// inode returns the user that a file belongs to, and the bytes of memory that it takes; -1 if it is gone.
func inode(path string) (uid int, memory uint64) {
	st, err := os.Lstat(path)
	if err != nil {
		return -1, 0
	}
	if sys, ok := st.Sys().(*syscall.Stat_t); ok {
		return int(sys.Uid), uint64(sys.Blocks) * 512
	}
	return -1, 0
}
