package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path"

	"github.com/ndpool/ndpool/npy"
	"github.com/ndpool/ndpool/pool"
)

// getCmd writes what a name stands for into a file.
type getCmd struct {
	Name  string `arg:"" help:"Name of the pool."`
	Path  string `arg:"" help:"Name of an array or of a group; / is all of the pool."`
	Out   string `short:"o" placeholder:"FILE" help:"File to write; - is stdout (default: the last part of the name, with .npy or .npz)."`
	Force bool   `short:"f" help:"Replace the file if it exists."`
}

// Help tells what --help tells beyond the flags.
func (getCmd) Help() string {
	return `An array becomes NumPy's .npy, a group .npz: an archive with a member for each array. Attributes are not in it.
The file is there whole or not at all; the arrays are those of one moment, but processes may write to them meanwhile.

Examples:

    ndpool get lab camera/left
    ndpool get lab run7 -o results.npz
    ndpool get lab camera/left -o - | python -c 'import sys, io, numpy; print(numpy.load(io.BytesIO(sys.stdin.buffer.read())).mean())'`
}

// movedJSON is what get and put moved, as JSON.
type movedJSON struct {
	Name    string `json:"name"`
	Path    string `json:"path"`
	File    string `json:"file"`
	Format  string `json:"format"` // npy or npz
	DType   string `json:"dtype,omitempty"`
	Shape   []int  `json:"shape,omitempty"`
	Arrays  int    `json:"arrays"`
	Bytes   uint64 `json:"bytes"`
	Version uint64 `json:"version,omitempty"`
	array   *pool.Array
}

// Run writes the file.
func (c *getCmd) Run(e *env) error {
	if c.Out == "-" {
		if _, _, ok := terminal(e.out); ok {
			return usageError("get: not writing bytes to a terminal; use -o FILE or a pipe")
		}
		if e.JSON {
			return usageError("get: --json and -o - both want stdout")
		}
	}
	p, err := pool.Open(c.Name, e.options())
	if err != nil {
		return err
	}
	defer p.Close()
	t, v, err := c.lookup(p)
	if err != nil {
		return err
	}
	defer t.Release()
	f, end := e.begin("getting "+shown(v.Path), v.Bytes)
	defer end()
	write := func(w io.Writer) error {
		if v.array != nil {
			return npy.Write(writer{f, w}, v.array)
		}
		return npy.WriteZip(writer{f, w}, t)
	}
	if c.Out == "-" {
		return write(e.out)
	}
	if v.File = c.file(v); !c.Force {
		if st, err := os.Stat(v.File); err == nil && st.Mode().IsRegular() {
			return fmt.Errorf("get: %s exists (--force replaces it)", v.File)
		}
	}
	if err := npy.Replace(v.File, write); err != nil {
		return err
	}
	return e.emit(v, func(w io.Writer) { v.write(w, "%s written to %s\n", v.what(), oneLine(v.File)) })
}

// lookup returns a tree that holds the array, or all arrays of the group.
func (c *getCmd) lookup(p *pool.Pool) (pool.Tree, movedJSON, error) {
	v := movedJSON{Name: c.Name, Path: root(c.Path), Format: "npz"}
	if v.Path != "" {
		it, err := p.LookupItem(v.Path, true)
		if err != nil {
			return nil, v, err
		}
		if it.Array != nil {
			v.Format, v.array, v.Version = "npy", it.Array, it.Version
			v.add(it.Array)
			return pool.Tree{"": it.Array}, v, nil
		}
	}
	t, err := p.LookupTree(v.Path, true)
	v.addAll(t)
	if err == nil && v.Arrays == 0 {
		err = fmt.Errorf("get: %w: %s has none", errNoArrays, oneLine(c.Path))
	}
	return t, v, err
}

var errNoArrays = errors.New("no arrays")

// file returns where to write to.
func (c *getCmd) file(v movedJSON) string {
	switch {
	case c.Out != "":
		return c.Out
	case v.Path == "":
		return c.Name + "." + v.Format
	}
	return path.Base(v.Path) + "." + v.Format
}

// add counts an array in.
func (v *movedJSON) add(a *pool.Array) {
	v.Arrays++
	v.Bytes += uint64(a.Size())
	if v.array == a {
		v.DType, v.Shape = a.DType().String(), append([]int{}, a.Shape()...)
	}
}

// addAll counts the arrays of a tree in.
func (v *movedJSON) addAll(t pool.Tree) {
	for _, x := range t {
		switch x := x.(type) {
		case *pool.Array:
			v.add(x)
		case pool.Tree:
			v.addAll(x)
		}
	}
}

// what tells in a few words what was moved.
func (v *movedJSON) what() string {
	if v.array != nil {
		return fmt.Sprintf("%s %s, %s", cut(typeText(v.array.DType()), 48), cut(shapeText(v.Shape), 48), human(v.Bytes))
	}
	return fmt.Sprintf("%s, %s", plural(v.Arrays, "array", "arrays"), human(v.Bytes))
}

func (v *movedJSON) write(w io.Writer, format string, args ...any) {
	fmt.Fprintf(w, "%s: "+format, append([]any{shown(v.Path)}, args...)...)
}
