package main

import (
	"errors"
	"fmt"
	"io"

	"github.com/ndpool/ndpool/pool"
)

// rmCmd removes names.
type rmCmd struct {
	Name      string   `arg:"" help:"Name of the pool."`
	Paths     []string `arg:"" name:"path" help:"Names to remove; / is all of the pool's."`
	Recursive bool     `short:"r" help:"Groups too, with all that is in them."`
}

// Help tells what --help tells beyond the flags.
func (rmCmd) Help() string {
	return `Each name goes at once with all that is in it, one after the other. An array, stream or queue lives on while a process holds it. A pool that
is not persistent, and that nobody is attached to, goes with its last persistent name.

Examples:

    ndpool rm lab camera/mask
    ndpool rm lab -r run6 run7`
}

// removedJSON is what became of one name, as JSON.
type removedJSON struct {
	Path  string `json:"path"`
	Names int    `json:"names"` // that are gone
	Error string `json:"error,omitempty"`
}

// Run removes the names. What fails is told, and the others go all the same.
func (c *rmCmd) Run(e *env) error {
	o := e.options()
	o.Observer = false // else a pool that is kept by nothing any more would stay
	p, err := pool.Open(c.Name, o)
	if err != nil {
		return err
	}
	defer p.Close()
	v := struct {
		Name    string        `json:"name"`
		Removed []removedJSON `json:"removed"`
	}{c.Name, []removedJSON{}}
	var failed error
	for _, name := range c.Paths {
		r := removedJSON{Path: root(name)}
		if r.Names, err = c.remove(p, r.Path); err != nil {
			e.note("%s%s", oneLine(err.Error()), c.hint(err))
			r.Error, failed = err.Error(), errFaults
		}
		v.Removed = append(v.Removed, r)
	}
	err = e.emit(v, func(w io.Writer) {
		for _, r := range v.Removed {
			if r.Error == "" {
				fmt.Fprintf(w, "%s: %s removed\n", shown(r.Path), plural(r.Names, "name", "names"))
			}
		}
	})
	if failed != nil {
		return failed
	}
	return err
}

func (c *rmCmd) hint(err error) string {
	if errors.Is(err, pool.ErrGroup) {
		return " (-r removes all)"
	}
	return hint(err)
}

func (c *rmCmd) remove(p *pool.Pool, name string) (int, error) {
	switch {
	case c.Recursive:
		return p.RemoveTree(name)
	case name == "":
		return 0, &pool.NameError{Verb: "remove", Path: "/", Err: pool.ErrGroup}
	}
	if err := p.Remove(name); err != nil {
		return 0, err
	}
	return 1, nil
}
