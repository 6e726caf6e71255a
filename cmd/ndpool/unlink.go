package main

import (
	"fmt"
	"io"

	"github.com/ndpool/ndpool/pool"
)

// unlinkCmd removes a pool's name.
type unlinkCmd struct {
	Name string `arg:"" help:"Name of the pool."`
}

// Help tells what --help tells beyond the flags.
func (unlinkCmd) Help() string {
	return `Processes that are attached go on undisturbed; the memory goes with the last of them. Nobody can attach any more, and
the name is free for a new pool. A file that is no pool is left alone.

Example:

    ndpool unlink frames`
}

// Run removes the name.
func (c *unlinkCmd) Run(e *env) error {
	attached := 0
	if p, err := look(e.Dir, c.Name); err == nil {
		attached = p.Processes
	}
	if err := pool.Unlink(c.Name, e.options()); err != nil {
		return err
	}
	v := struct {
		Name     string `json:"name"`
		Unlinked bool   `json:"unlinked"`
		Attached int    `json:"attached"`
	}{c.Name, true, attached}
	return e.emit(v, func(w io.Writer) {
		fmt.Fprintf(w, "%s: unlinked", clean(c.Name))
		if attached > 0 {
			fmt.Fprintf(w, "; its memory goes with the %s still attached", plural(attached, "process", "processes"))
		}
		fmt.Fprintln(w)
	})
}
