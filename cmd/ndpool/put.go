package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/ndpool/ndpool/npy"
	"github.com/ndpool/ndpool/pool"
)

// putCmd publishes the content of a file.
type putCmd struct {
	Name      string `arg:"" help:"Name of the pool."`
	Path      string `arg:"" help:"Name for the array, or for the group that an archive becomes; / is the root."`
	File      string `arg:"" help:"NumPy's .npy or .npz; - is stdin."`
	Overwrite bool   `xor:"mode" help:"Replace what has the name, with all that is in it."`
	Merge     bool   `xor:"mode" help:"Replace arrays of the same name, and leave the others in the group."`
	Create    bool   `help:"Create the pool, persistent, if there is none."`
	Capacity  size   `short:"c" placeholder:"SIZE" help:"With --create: bytes for arrays (default 1GiB, or twice the file if that is more)."`
}

// Help tells what --help tells beyond the flags.
func (putCmd) Help() string {
	return `The names are persistent: they stay until ndpool rm, and keep the pool. They are there when all is read, at once; a
command that is interrupted leaves none. What the file is tells its content, not its suffix.

Examples:

    ndpool put lab camera/mask mask.npy
    ndpool put lab run7 results.npz --create --capacity 4GiB
    ndpool get lab camera/left -o - | ndpool put other left -`
}

// Run publishes the file.
func (c *putCmd) Run(e *env) error {
	in, total, err := c.open()
	if err != nil {
		return err
	}
	defer in.Close()
	p, err := c.pool(e, total)
	if err != nil {
		return err
	}
	defer p.Close()
	name := root(c.Path)
	if err := c.free(p, name); err != nil {
		return err
	}
	f, end := e.begin("putting "+oneLine(c.Path), total)
	defer end()
	v := movedJSON{Name: c.Name, Path: name, File: c.File, Format: "npy"}
	t, err := read(f, in, p, &v)
	if err != nil {
		return fmt.Errorf("put %s: %w", c.File, err)
	}
	defer t.Release()
	v.addAll(t)
	o := pool.Publish{Mode: c.mode(), Persistent: true}
	switch {
	case f.ctx.Err() != nil:
		err = errInterrupted
	case v.array == nil:
		v.Version, err = p.PublishTree(name, t, o)
	case name == "":
		err = usageError("put: an array needs a name of its own, not /")
	default:
		v.Version, err = p.Publish(name, v.array, o)
	}
	if err != nil {
		return err
	}
	return e.emit(v, func(w io.Writer) { v.write(w, "%s, version %d\n", v.what(), v.Version) })
}

func (c *putCmd) mode() pool.PublishMode {
	switch {
	case c.Overwrite:
		return pool.PublishOverwrite
	case c.Merge:
		return pool.PublishMerge
	}
	return pool.PublishNew
}

// open opens the file and returns its size, 0 if it is not known.
func (c *putCmd) open() (*os.File, uint64, error) {
	if c.File == "-" {
		return os.Stdin, 0, nil
	}
	f, err := os.Open(c.File)
	if err != nil {
		return nil, 0, err
	}
	st, err := f.Stat()
	if err == nil && st.IsDir() {
		err = fmt.Errorf("put %s: is a directory", c.File)
	}
	if err != nil {
		f.Close()
		return nil, 0, err
	}
	return f, uint64(st.Size()), nil
}

// pool opens the pool, or creates it if that is asked for.
func (c *putCmd) pool(e *env, total uint64) (*pool.Pool, error) {
	for {
		p, err := pool.Open(c.Name, e.options())
		if !c.Create || !errors.Is(err, pool.ErrNotExist) {
			return p, err
		}
		o := e.options()
		o.Observer, o.Persistent = false, true
		if o.Capacity = uint64(c.Capacity); o.Capacity == 0 {
			o.Capacity = max(pool.DefaultCapacity, 2*total)
		}
		p, err = pool.Create(c.Name, o)
		if !errors.Is(err, pool.ErrExist) {
			return p, err
		}
	}
}

// free tells early whether the name can be had. Publishing tells again. That of a stream or queue cannot.
func (c *putCmd) free(p *pool.Pool, name string) error {
	if name == "" {
		return nil
	}
	it, err := p.LookupItem(name)
	switch {
	case errors.Is(err, pool.ErrNoName):
		return nil
	case errors.Is(err, pool.ErrKind):
		return fmt.Errorf("put %s: %w (ndpool rm removes it)", oneLine(name), errRing)
	case err != nil:
		return err
	case it.Array != nil:
		it.Array.Release()
	}
	if c.Overwrite || c.Merge {
		return nil
	}
	return &pool.NameError{Verb: "publish", Path: name, Err: pool.ErrNameTaken}
}

var errRing = errors.New("the name is a stream's or a queue's")

// read reads an array or an archive: its first bytes tell which.
func read(f *flow, in *os.File, p *pool.Pool, v *movedJSON) (pool.Tree, error) {
	b := bufio.NewReader(in)
	if first, _ := b.Peek(4); string(first) != "PK\x03\x04" && string(first) != "PK\x05\x06" {
		a, err := npy.Read(reader{f, b}, p)
		v.array = a
		return pool.Tree{"": a}, err
	}
	v.Format = "npz"
	st, err := in.Stat()
	if err != nil {
		return nil, err
	}
	if !st.Mode().IsRegular() {
		if in, err = spool(reader{f, b}); err != nil {
			return nil, err
		}
		defer in.Close()
		f.done.Store(0)
	}
	if st, err = in.Stat(); err != nil {
		return nil, err
	}
	return npy.ReadZip(readerAt{f, in}, st.Size(), p)
}

// spool copies a stream into a file without a name, since an archive is read from its end.
func spool(r io.Reader) (*os.File, error) {
	f, err := os.CreateTemp("", "ndpool-put-")
	if err != nil {
		return nil, err
	}
	os.Remove(f.Name())
	if _, err = io.Copy(f, r); err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}
