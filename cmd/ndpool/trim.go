package main

import (
	"fmt"
	"io"

	"github.com/ndpool/ndpool/pool"
)

// trimCmd gives memory back.
type trimCmd struct {
	Name string `arg:"" help:"Name of the pool."`
}

// Help tells what --help tells beyond the flags.
func (trimCmd) Help() string {
	return `Works in chunks of 2 MiB. Arrays are not touched; what processes have cached is freed first. The pool takes memory again
when it needs it. A pool created with --reserve gives none back.

Example:

    ndpool trim frames`
}

// Run trims the pool.
func (c *trimCmd) Run(e *env) error {
	p, err := pool.Open(c.Name, e.options())
	if err != nil {
		return err
	}
	defer p.Close()
	freed, err := p.Trim()
	if err != nil {
		return err
	}
	s, err := p.Stats()
	if err != nil {
		return err
	}
	v := struct {
		Name      string `json:"name"`
		Freed     uint64 `json:"freed"`
		Committed uint64 `json:"committed"`
	}{c.Name, freed, s.Committed}
	return e.emit(v, func(w io.Writer) {
		fmt.Fprintf(w, "%s: gave back %s, %s of %s committed\n", clean(c.Name), human(freed), human(s.Committed), human(s.Capacity))
	})
}
