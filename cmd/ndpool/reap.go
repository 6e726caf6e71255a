package main

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/ndpool/ndpool/pool"
)

// reapCmd cleans up after dead processes.
type reapCmd struct {
	Name   string `arg:"" optional:"" help:"Name of the pool; without it all of the directory."`
	DryRun bool   `short:"n" help:"Tell what would be done, and do nothing."`
}

// Help tells what --help tells beyond the flags.
func (reapCmd) Help() string {
	return `Sweeps dead processes, so that what they alone held is free; ends transfers whose time is up; removes pools that are not
persistent, that nobody is attached to and that nothing waits in. Pools that are in use go on undisturbed.

Examples:

    ndpool reap -n
    ndpool reap frames`
}

// reapedJSON is what was, or would be, done to a pool, as JSON.
type reapedJSON struct {
	Name      string `json:"name"`
	Processes int    `json:"processes"` // swept
	Expired   int    `json:"expired"`   // transfers
	Removed   bool   `json:"removed"`
	Error     string `json:"error,omitempty"`
}

func (r reapedJSON) String() string {
	var s []string
	if r.Processes > 0 {
		s = append(s, plural(r.Processes, "dead process swept", "dead processes swept"))
	}
	if r.Expired > 0 {
		s = append(s, plural(r.Expired, "transfer expired", "transfers expired"))
	}
	if r.Removed {
		s = append(s, "removed")
	}
	if len(s) == 0 {
		return "nothing to do"
	}
	return strings.Join(s, ", ")
}

// Run reaps one pool or all.
func (c *reapCmd) Run(e *env) error {
	found, err := c.pools(e)
	if err != nil {
		return err
	}
	v := struct {
		Dir    string       `json:"dir"`
		DryRun bool         `json:"dry_run"`
		Pools  []reapedJSON `json:"pools"`
	}{e.Dir, c.DryRun, []reapedJSON{}}
	failed := false
	for _, p := range found {
		r := reapedJSON{Name: p.Name, Processes: p.Dead, Expired: p.Expired, Removed: p.State == pool.LeftBehind}
		if !c.DryRun {
			if r, err = reap(e, p.Name); errors.Is(err, pool.ErrNotExist) {
				continue // ended by itself meanwhile
			}
			if err != nil {
				r.Error, failed = err.Error(), true
				report(e.err, err)
			}
		}
		v.Pools = append(v.Pools, r)
	}
	err = e.emit(v, func(w io.Writer) {
		for _, r := range v.Pools {
			if would := map[bool]string{true: " (dry run)"}[c.DryRun]; r.Error == "" {
				fmt.Fprintf(w, "%s: %s%s\n", clean(r.Name), r, would)
			}
		}
		if len(v.Pools) == 0 {
			fmt.Fprintf(w, "no pools in %s\n", clean(e.Dir))
		}
	})
	if err == nil && failed {
		err = errFaults
	}
	return err
}

// pools returns the pools to reap.
func (c *reapCmd) pools(e *env) ([]listed, error) {
	if c.Name != "" {
		p, err := look(e.Dir, c.Name)
		return []listed{p}, err
	}
	l, err := list(e.Dir)
	for _, u := range l.Unreadable {
		e.note("%s: %s", clean(u.Name), clean(u.Error))
	}
	return l.Pools, err
}

func reap(e *env, name string) (reapedJSON, error) {
	r, err := pool.Reap(name, e.options())
	return reapedJSON{Name: name, Processes: r.Processes, Expired: r.Expired, Removed: r.Removed}, err
}
