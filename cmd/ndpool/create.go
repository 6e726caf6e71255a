package main

import (
	"fmt"
	"io"
	"io/fs"
	"strconv"
	"time"

	"github.com/ndpool/ndpool/pool"
)

// createCmd creates a pool.
type createCmd struct {
	Name       string        `arg:"" help:"Name of the new pool."`
	Capacity   size          `short:"c" default:"1GiB" help:"Bytes for arrays, such as 64MiB or 1.5GiB."`
	Arrays     int           `placeholder:"N" help:"Arrays that can be alive at once (default: one per 16 KiB, at least 1024)."`
	Processes  int           `placeholder:"N" help:"Processes that can be attached at once (default 254, the most)."`
	Tickets    int           `placeholder:"N" help:"Transfers that can be in flight at once (default 8192)."`
	Names      int           `placeholder:"N" help:"Entries of the catalog: names and the groups they are in (default 16384)."`
	Mode       fileMode      `default:"0600" help:"Permission bits of the file, whatever the umask."`
	Grace      time.Duration `default:"10m" help:"How long a transfer outlives its sender."`
	LockWait   time.Duration `default:"10s" help:"How long a process waits for the lock of one that is stopped."`
	Persistent bool          `default:"true" negatable:"" help:"Keep the pool when nobody is attached. Always so here: without it the pool would end with this command."`
	Reserve    bool          `help:"Commit all memory now, instead of when it is first used."`
	HugePages  bool          `help:"Advise the kernel to use huge pages."`
}

// Help tells what --help tells beyond the flags.
func (createCmd) Help() string {
	return `Programs usually create pools themselves (pool.OpenOrCreate). Such a pool ends with its last process. A pool that this
command creates must outlive the command, so it is persistent: it stays, also empty, until ndpool unlink or a reboot.
Memory is taken when it is first used, unless --reserve.

Example:

    ndpool create frames --capacity 4GiB --grace 1m`
}

// fileMode is permission bits on the command line.
type fileMode fs.FileMode

// UnmarshalText reads an octal number.
func (m *fileMode) UnmarshalText(text []byte) error {
	n, err := strconv.ParseUint(string(text), 8, 32)
	if err != nil || n == 0 || n > 0o777 {
		return fmt.Errorf("mode %q: want an octal number, such as 0600 or 0660", text)
	}
	*m = fileMode(n)
	return nil
}

// Run creates the pool.
func (c *createCmd) Run(e *env) error {
	if !c.Persistent {
		return usageError("--no-persistent: the pool would end with this command; create it in the program that uses it (pool.OpenOrCreate)")
	}
	for flag, n := range map[string]int{"arrays": c.Arrays, "processes": c.Processes, "tickets": c.Tickets, "names": c.Names,
		"grace": int(c.Grace), "lock-wait": int(c.LockWait)} {
		if n < 0 {
			return usageError(fmt.Sprintf("--%s: must not be negative", flag))
		}
	}
	p, err := pool.Create(c.Name, pool.Options{Dir: e.Dir, Capacity: uint64(c.Capacity), Arrays: c.Arrays, Processes: c.Processes,
		Tickets: c.Tickets, Names: c.Names, Mode: fs.FileMode(c.Mode), Grace: c.Grace, LockWait: c.LockWait, Persistent: true,
		Reserve: c.Reserve, HugePages: c.HugePages})
	if err != nil {
		return err
	}
	defer p.Close()
	o := p.Options()
	return e.emit(describe(c.Name, p.Path(), p.Segment().String(), o), func(w io.Writer) {
		fmt.Fprintf(w, "created %s: %s, %d arrays, %d names, %d processes, %d transfers\n", clean(p.Path()), human(o.Capacity), o.Arrays, o.Names, o.Processes, o.Tickets)
	})
}

// poolJSON is what a pool was created with, as JSON.
type poolJSON struct {
	Name       string  `json:"name"`
	Path       string  `json:"path"`
	Segment    string  `json:"segment"`
	Capacity   uint64  `json:"capacity"`
	Arrays     int     `json:"array_limit"`
	Processes  int     `json:"process_limit"`
	Tickets    int     `json:"transfer_limit"`
	Names      int     `json:"name_limit"`
	Mode       string  `json:"mode"`
	Grace      float64 `json:"grace_seconds"`
	LockWait   float64 `json:"lock_wait_seconds"`
	Persistent bool    `json:"persistent"`
	Reserve    bool    `json:"reserve"`
	HugePages  bool    `json:"huge_pages"`
}

func describe(name, path, segment string, o pool.Options) poolJSON {
	return poolJSON{Name: name, Path: path, Segment: segment, Capacity: o.Capacity, Arrays: o.Arrays, Processes: o.Processes,
		Tickets: o.Tickets, Names: o.Names, Mode: fmt.Sprintf("%04o", o.Mode), Grace: seconds(o.Grace), LockWait: seconds(o.LockWait),
		Persistent: o.Persistent, Reserve: o.Reserve, HugePages: o.HugePages}
}
