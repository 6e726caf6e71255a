package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
)

// house is where a run takes place: a directory that is removed with all that is in it.
type house struct {
	dir     string            // of the pools
	own     bool              // dir is a tmpfs of its own, which resize changes
	cgroups string            // name for control groups of this run
	aside   string            // directory on another file system: what is in it must never meet a full one
	events  string            // directory aside of the workers' events
	missing map[string]string // kinds of weather that this machine cannot make, and why
}

// houseEnv tells the program that it has been started again inside the namespaces, and in which directory.
const houseEnv = "NDPOOL_TORTURE_HOUSE"

// housed calls f in a house. To have a file system of its own the program starts itself again in a mount namespace of its
// own, and of users unless it may do without; the first process waits for the second and cleans up after it, also if that is
// killed.
func housed(ctx context.Context, c config, f func(context.Context, config, *house) error) error {
	if dir := os.Getenv(houseEnv); dir != "" {
		h, err := newHouse(c, dir)
		if err != nil {
			return err
		}
		h.own = true
		if err := mountTmpfs(h.dir); err != nil {
			h.own = false
			h.cannot(kindFull, err)
		}
		return f(ctx, c, h)
	}
	dir, err := os.MkdirTemp(c.dir, "ndpool-torture-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	defer removeCgroup(filepath.Base(dir))
	defer os.RemoveAll(asideDir(c, dir))
	var missing error
	if c.lockstep == 0 && c.has(kindFull) {
		entered, err := enter(ctx, dir)
		if entered {
			return err
		}
		missing = err
	}
	h, err := newHouse(c, dir)
	if err != nil {
		return err
	}
	if missing != nil {
		h.cannot(kindFull, missing)
	}
	return f(ctx, c, h)
}

func newHouse(c config, dir string) (*house, error) {
	aside := asideDir(c, dir)
	h := &house{dir: dir, cgroups: filepath.Base(dir), aside: aside, events: filepath.Join(aside, "events"), missing: map[string]string{}}
	if err := os.MkdirAll(h.events, 0o700); err != nil {
		return nil, err
	}
	if c.python == "" {
		return h, nil
	}
	return h, h.unpackPython()
}

func asideDir(c config, dir string) string {
	return filepath.Join(c.evidence, filepath.Base(dir)+"-aside")
}

// cannot notes that this machine cannot make a kind of weather.
func (h *house) cannot(kind string, err error) {
	if _, said := h.missing[kind]; !said {
		h.missing[kind] = err.Error()
		loudly(kind, err)
	}
}

func loudly(kind string, err error) {
	fmt.Fprintf(os.Stderr, "torture: SKIPPED: no %s on this machine: %v\n", kind, err)
}

// exitError is the exit code of the program that was started again, which has said why.
type exitError int

func (e exitError) Error() string { return fmt.Sprintf("exit code %d", int(e)) }
