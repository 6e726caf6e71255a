package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"time"

	"github.com/ndpool/ndpool/npy"
	"github.com/ndpool/ndpool/pool"
)

// getCmd writes what a name stands for into a file: of a stream the newest frame.
type getCmd struct {
	Name  string        `arg:"" help:"Name of the pool."`
	Path  string        `arg:"" help:"Name of an array, of a stream or of a group; / is all of the pool."`
	Out   string        `short:"o" placeholder:"FILE" help:"File to write; - is stdout (default: the last part of the name, with .npy or .npz)."`
	Force bool          `short:"f" help:"Replace the file if it exists."`
	Wait  time.Duration `short:"w" placeholder:"TIME" help:"Wait so long for a frame, if the stream has none or is not there yet."`
}

// Help tells what --help tells beyond the flags.
func (getCmd) Help() string {
	return `An array becomes NumPy's .npy, a group .npz: an archive with a member for each array. Of a stream it is the newest frame; what
is in a queue can only be taken. Attributes are not in it, and of a group no streams and queues, which a note tells.
The file is there whole or not at all; the arrays are those of one moment, but processes may write to them meanwhile.

Examples:

    ndpool get lab camera/left
    ndpool get lab run7 -o results.npz
    ndpool get lab camera/live -o now.npy --wait 5s
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
	Frame   uint64 `json:"sequence,omitempty"` // of a frame
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
	if v.array == nil {
		c.noteLeftOut(e, p, v.Path)
	}
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
		switch {
		case errors.Is(err, pool.ErrKind) || c.Wait > 0 && errors.Is(err, pool.ErrNoName):
			return c.newest(p, v)
		case err != nil:
			return nil, v, err
		case it.Array != nil:
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

// newest returns the newest frame of a stream. It waits for one if it may.
func (c *getCmd) newest(p *pool.Pool, v movedJSON) (pool.Tree, movedJSON, error) {
	r, err := p.StreamReader(v.Path)
	if err != nil {
		return nil, v, err
	}
	defer r.Close()
	f, err := r.Newest()
	if c.Wait > 0 && (errors.Is(err, pool.ErrNoFrame) || errors.Is(err, pool.ErrNoName)) {
		f, err = c.first(r)
	}
	if err != nil {
		return nil, v, err
	}
	v.Format, v.array, v.Frame = "npy", f.Array, f.Sequence
	v.add(f.Array)
	return pool.Tree{"": f.Array}, v, nil
}

// first waits for a frame, also across the ends of writers.
func (c *getCmd) first(r *pool.StreamReader) (f *pool.Frame, err error) {
	ctx, stop := interruptible()
	defer stop()
	ctx, cancel := context.WithTimeout(ctx, c.Wait)
	defer cancel()
	for {
		f, err = r.Latest(ctx)
		if errors.Is(err, pool.ErrEnded) || errors.Is(err, pool.ErrWriterDied) {
			continue
		}
		if errors.Is(err, context.DeadlineExceeded) {
			err = fmt.Errorf("get %s: no frame came for %v", oneLine(c.Path), c.Wait)
		}
		return f, err
	}
}

// noteLeftOut tells which streams and queues of a group are not in the file.
func (c *getCmd) noteLeftOut(e *env, p *pool.Pool, prefix string) {
	for x, err := range p.List(prefix) {
		if err == nil && x.Ring != "" {
			e.note("%s is left out: it is a %s", oneLine(x.Path), x.Ring)
		}
	}
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
		s := fmt.Sprintf("%s %s, %s", cut(typeText(v.array.DType()), 48), cut(shapeText(v.Shape), 48), human(v.Bytes))
		if v.Frame != 0 {
			s = fmt.Sprintf("frame %d, %s", v.Frame, s)
		}
		return s
	}
	return fmt.Sprintf("%s, %s", plural(v.Arrays, "array", "arrays"), human(v.Bytes))
}

func (v *movedJSON) write(w io.Writer, format string, args ...any) {
	fmt.Fprintf(w, "%s: "+format, append([]any{shown(v.Path)}, args...)...)
}
