package main

import (
	"fmt"
	"io"
	"os"
	"syscall"

	"github.com/ndpool/ndpool/pool"
)

// psCmd shows the processes of a pool.
type psCmd struct {
	Name string `arg:"" help:"Name of the pool."`
}

// Help tells what --help tells beyond the flags.
func (psCmd) Help() string {
	return `ALIVE is what the kernel says of the process's lock, not a guess by its pid; a dead process is swept by the next one that
needs room, or by ndpool reap. A star at a pid means that it counts in another PID namespace, such as a container's.

Example:

    ndpool ps frames`
}

// processJSON is a process, as JSON.
type processJSON struct {
	ID       string  `json:"id"` // slot.incarnation
	Slot     int     `json:"slot"`
	Pid      int     `json:"pid"`
	PidNS    uint64  `json:"pid_namespace"`
	UID      int     `json:"uid"`
	Command  string  `json:"command"`
	Alive    bool    `json:"alive"`
	Attached float64 `json:"attached_seconds"`
	Arrays   int     `json:"arrays"`
	Bytes    uint64  `json:"bytes"`
	Cached   uint64  `json:"cached"`
}

func processesOf(s *pool.Snapshot) (found []processJSON) {
	found = []processJSON{}
	for x := range s.Processes() {
		found = append(found, processJSON{ID: x.ID.String(), Slot: x.Slot, Pid: x.Pid, PidNS: x.PidNS, UID: x.Uid, Command: x.Command,
			Alive: x.Alive, Attached: seconds(x.Attached), Arrays: x.Arrays, Bytes: x.Bytes, Cached: x.Cached})
	}
	return found
}

// Run shows the processes.
func (c *psCmd) Run(e *env) error {
	s, err := pool.Peek(c.Name, e.options())
	if err != nil {
		return err
	}
	defer s.Close()
	found := processesOf(s)
	v := struct {
		Name      string        `json:"name"`
		Processes []processJSON `json:"processes"`
	}{c.Name, found}
	return e.emit(v, func(w io.Writer) {
		if len(found) == 0 {
			fmt.Fprintf(w, "no processes are attached to %s\n", clean(c.Name))
			return
		}
		writeProcesses(w, found)
	})
}

func writeProcesses(w io.Writer, found []processJSON) {
	t := newTable(">SLOT", "ID", ">PID", ">UID", "COMMAND", "ALIVE", ">ATTACHED", ">ARRAYS", ">BYTES", ">CACHED")
	ns := namespace()
	for _, x := range found {
		alive, pid := "yes", fmt.Sprint(x.Pid)
		if !x.Alive {
			alive = "dead"
		}
		if x.PidNS != ns {
			pid += "*"
		}
		t.row(x.Slot, x.ID, pid, x.UID, clean(x.Command), alive, age(fromSeconds(x.Attached)), x.Arrays, human(x.Bytes), human(x.Cached))
	}
	t.write(w)
}

// namespace returns the PID namespace of this process.
func namespace() uint64 {
	st, err := os.Stat("/proc/self/ns/pid")
	if err != nil {
		return 0
	}
	if sys, ok := st.Sys().(*syscall.Stat_t); ok {
		return sys.Ino
	}
	return 0
}
