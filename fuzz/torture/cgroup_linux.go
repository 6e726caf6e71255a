package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// cgroup is a control group of this run, with a limit of its memory. What its workers first touch is counted in it, also
// what is in the pool, until it is punched.
type cgroup struct {
	dir   string
	limit string // file of the limit
	usage string
	kills string // file that counts what the kernel killed
}

// roomy is a limit that workers hardly meet; the pool's memory counts, too.
const roomy = 512 << 20

// newCgroup makes a group of that name below this process's own.
func newCgroup(name string) (*cgroup, error) {
	base, v2, err := ownCgroup()
	if err != nil {
		return nil, err
	}
	g := &cgroup{dir: filepath.Join(base, name)}
	g.limit, g.usage, g.kills = "memory.limit_in_bytes", "memory.usage_in_bytes", "memory.oom_control"
	if v2 {
		g.limit, g.usage, g.kills = "memory.max", "memory.current", "memory.events"
	}
	if err := os.Mkdir(g.dir, 0o755); err != nil {
		return nil, err
	}
	if err := g.set(roomy); err != nil {
		return nil, errors.Join(err, os.Remove(g.dir))
	}
	return g, nil
}

// ownCgroup returns the directory of the group that this process is in and that can count memory, and whether it is one of
// the second version.
func ownCgroup() (dir string, v2 bool, err error) {
	text, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		return "", false, err
	}
	for line := range strings.Lines(string(text)) {
		part := strings.SplitN(strings.TrimSpace(line), ":", 3)
		if len(part) != 3 {
			continue
		}
		if slices.Contains(strings.Split(part[1], ","), "memory") {
			return filepath.Join("/sys/fs/cgroup/memory", part[2]), false, nil
		}
		if part[0] == "0" {
			dir = filepath.Join("/sys/fs/cgroup", part[2])
		}
	}
	control, err := os.ReadFile(filepath.Join(dir, "cgroup.subtree_control"))
	if err == nil && !slices.Contains(strings.Fields(string(control)), "memory") {
		err = fmt.Errorf("%s does not pass the memory controller on", dir)
	}
	return dir, true, err
}

// add moves a process into the group.
func (g *cgroup) add(pid int) error {
	return os.WriteFile(filepath.Join(g.dir, "cgroup.procs"), strconv.AppendInt(nil, int64(pid), 10), 0)
}

func (g *cgroup) set(bytes uint64) error {
	return os.WriteFile(filepath.Join(g.dir, g.limit), strconv.AppendUint(nil, bytes, 10), 0)
}

// used returns how many bytes count in the group.
func (g *cgroup) used() (uint64, error) {
	text, err := os.ReadFile(filepath.Join(g.dir, g.usage))
	if err != nil {
		return 0, err
	}
	return strconv.ParseUint(strings.TrimSpace(string(text)), 10, 64)
}

// killed returns how many processes of the group the kernel has killed for want of memory.
func (g *cgroup) killed() (n int64, err error) {
	f, err := os.Open(filepath.Join(g.dir, g.kills))
	if err != nil {
		return 0, err
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		if text, ok := strings.CutPrefix(lines.Text(), "oom_kill "); ok {
			return strconv.ParseInt(text, 10, 64)
		}
	}
	return 0, fmt.Errorf("%s: no line oom_kill", f.Name())
}

// remove removes the group. Processes that are just ending keep it for a moment.
func (g *cgroup) remove() error {
	for range 100 {
		err := os.Remove(g.dir)
		if err == nil || errors.Is(err, os.ErrNotExist) {
			return nil
		}
		if !errors.Is(err, syscall.EBUSY) {
			return err
		}
		time.Sleep(20 * time.Millisecond)
	}
	return fmt.Errorf("%s: still has processes", g.dir)
}

// removeCgroup removes what a run that was killed has left.
func removeCgroup(name string) {
	if base, _, err := ownCgroup(); err == nil {
		_ = (&cgroup{dir: filepath.Join(base, name)}).remove()
	}
}

// squeeze gives the group hardly more memory than it has, for a moment. Where the kernel finds nothing to take back it
// kills.
func (t *torture) squeeze(ctx context.Context, rng *rand.Rand) {
	used, err := t.group.used()
	if err != nil {
		t.fail(err)
		return
	}
	more := uint64(rng.IntN(4 << 20))
	if err := t.group.set(used + more); err == nil { // busy: it has grown meanwhile, and cannot be made smaller
		t.figures.count(squeezes)
		wait(ctx, time.Duration(20+rng.IntN(300))*time.Millisecond)
	}
	if err := t.group.set(roomy); err != nil {
		t.fail(err)
	}
}
