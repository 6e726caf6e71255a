package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/ndpool/ndpool/arena/layout"
	"github.com/ndpool/ndpool/handle"
	"github.com/ndpool/ndpool/pool"
)

// namesCmd lists the names of a pool: of arrays, streams and queues, and groups if asked to.
type namesCmd struct {
	Name   string `arg:"" help:"Name of the pool."`
	Prefix string `arg:"" optional:"" help:"List only this name and what is in it."`
	Short  bool   `short:"q" help:"Names alone, one per line."`
	Null   bool   `short:"0" help:"Names alone, as they are, each with a zero byte behind it: for xargs -0."`
	All    bool   `short:"a" help:"Groups too, with a slash behind them."`
}

// Help tells what --help tells beyond the flags.
func (namesCmd) Help() string {
	return `VERSION is the number of the change that published the name; it grows with each one in the pool. KEEPER is the process
that the name goes with, or "persistent": it stays until it is removed, and keeps the pool. The name of a stream or queue may
also stay for as long as "the pool" does. ATTRS counts the attributes.

Examples:

    ndpool names lab
    ndpool names lab run7 -0 | xargs -0 ndpool rm lab`
}

// nameJSON is a name, as JSON.
type nameJSON struct {
	Path       string          `json:"path"`
	Kind       string          `json:"kind"` // array, stream, queue, group
	Group      bool            `json:"group"`
	Handle     *handle.Handle  `json:"handle"` // null for a group
	DType      string          `json:"dtype,omitempty"`
	Shape      []int           `json:"shape,omitempty"`
	Fortran    bool            `json:"fortran"`
	Sealed     bool            `json:"sealed"`
	Bytes      uint64          `json:"bytes"`
	Version    uint64          `json:"version"`
	Persistent bool            `json:"persistent"`
	Implicit   bool            `json:"implicit"` // a group that goes with the last name in it
	Keeper     *holderJSON     `json:"keeper"`   // null if it goes with no process
	Attributes json.RawMessage `json:"attributes"`
	info       pool.NameInfo
}

// Run lists the names.
func (c *namesCmd) Run(e *env) error {
	p, err := pool.Open(c.Name, e.options())
	if err != nil {
		return err
	}
	defer p.Close()
	found, bad := namesOf(p, root(c.Prefix), c.All)
	if bad != nil && len(found) == 0 {
		return bad
	}
	v := struct {
		Name  string     `json:"name"`
		Names []nameJSON `json:"names"`
	}{c.Name, found}
	err = e.emit(v, func(w io.Writer) {
		b := bufio.NewWriter(w)
		defer b.Flush()
		switch {
		case c.Null:
			eachPath(b, found, "\x00", func(s string) string { return s })
		case c.Short:
			eachPath(b, found, "\n", oneLine)
		case len(found) == 0:
			fmt.Fprintf(b, "no names in %s\n", clean(c.Name))
		default:
			writeNames(b, found)
		}
	})
	return errors.Join(bad, err)
}

// root returns a name as the library has it: there the root is the empty one, which nobody can type as well.
func root(name string) string {
	if name == "/" {
		return ""
	}
	return strings.TrimSuffix(name, "/")
}

// shown is the way back, for people.
func shown(path string) string {
	if path == "" {
		return "/"
	}
	return oneLine(path)
}

// namesOf returns the names, also those that could be read if not all could.
func namesOf(p *pool.Pool, prefix string, all bool) ([]nameJSON, error) {
	found := []nameJSON{}
	keepers := map[pool.ProcessID]*holderJSON{}
	for x := range p.Processes() {
		keepers[x.ID] = &holderJSON{x.Slot, x.Pid, x.Command, x.Alive}
	}
	for x, err := range p.List(prefix) {
		if err != nil {
			return found, err
		}
		if x.Group && !all {
			continue
		}
		n := nameJSON{Path: x.Path, Kind: kindOf(x.Ring), Group: x.Group, Fortran: x.Fortran, Sealed: x.Sealed, Bytes: x.Bytes, Version: x.Version,
			Persistent: x.Persistent, Implicit: x.Implicit, Attributes: json.RawMessage("{}"), info: x}
		switch {
		case x.Group:
			n.Kind = "group"
		case x.Ring == "":
			n.DType, n.Shape = x.DType.String(), append([]int{}, x.Shape...)
			fallthrough
		default:
			n.Handle = &x.Handle
		}
		if x.Owner != 0 {
			if n.Keeper = keepers[x.Owner]; n.Keeper == nil {
				n.Keeper = &holderJSON{Slot: layout.Ident(x.Owner).Slot()} // left meanwhile
			}
		}
		if json.Valid(x.Attrs) {
			n.Attributes = x.Attrs
		}
		found = append(found, n)
	}
	return found, nil
}

func eachPath(w io.Writer, found []nameJSON, end string, show func(string) string) {
	for _, n := range found {
		if n.Group {
			n.Path += "/"
		}
		io.WriteString(w, show(n.Path)+end)
	}
}

func writeNames(w io.Writer, found []nameJSON) {
	t := newTable("NAME", "KIND", "DTYPE", "SHAPE", ">BYTES", ">VERSION", "KEEPER", ">ATTRS")
	for _, n := range found {
		switch {
		case n.Group:
			t.row(oneLine(n.Path)+"/", n.Kind, "", "", "", n.Version, n.keeper(), n.attrs())
		case n.info.Ring != "":
			t.row(oneLine(n.Path), n.Kind, "", "", human(n.Bytes), n.Version, n.keeper(), n.attrs())
		default:
			t.row(oneLine(n.Path), n.Kind, cut(typeText(n.info.DType), 32), cut(shapeText(n.Shape), 32), human(n.Bytes), n.Version, n.keeper(), n.attrs())
		}
	}
	t.write(w)
}

// kindOf tells in one word what a block is.
func kindOf(r pool.RingKind) string {
	if r == "" {
		return "array"
	}
	return string(r)
}

// keeper tells in one word what keeps a name.
func (n *nameJSON) keeper() string {
	switch {
	case n.Persistent:
		return "persistent"
	case n.Implicit:
		return "what is in it"
	case n.Keeper == nil:
		return "the pool"
	case !n.Keeper.Alive:
		return fmt.Sprintf("%d(%d) dead", n.Keeper.Pid, n.Keeper.Slot)
	}
	return fmt.Sprintf("%d(%d)", n.Keeper.Pid, n.Keeper.Slot)
}

func (n *nameJSON) attrs() int {
	var m map[string]json.RawMessage
	_ = json.Unmarshal(n.Attributes, &m)
	return len(m)
}
