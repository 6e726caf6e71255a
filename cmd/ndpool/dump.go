package main

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"github.com/ndpool/ndpool/arena"
	"github.com/ndpool/ndpool/arena/layout"
	"github.com/ndpool/ndpool/pool"
)

// dumpCmd copies a pool's file.
type dumpCmd struct {
	Name  string `arg:"" help:"Name of the pool."`
	File  string `arg:"" help:"File to write; it has holes where the pool has no memory."`
	Force bool   `short:"f" help:"Replace the file if it exists."`
}

// Help tells what --help tells beyond the flags.
func (dumpCmd) Help() string {
	return `The copy takes as much room as the pool has memory. While processes are attached the tables are copied under the pool's
lock, so that they agree with each other; the content of arrays is copied afterwards, as it changes. If the lock is not to
be had, because its owner is stopped, all is copied without it, and a note says so.

Example:

    ndpool dump frames frames.img && ndpool verify --image frames.img`
}

// Run copies the file.
func (c *dumpCmd) Run(e *env) error {
	p, err := look(e.Dir, c.Name)
	if err != nil {
		return err
	}
	src, err := os.OpenFile(filepath.Join(e.Dir, c.Name), os.O_RDONLY|unix.O_NOFOLLOW, 0)
	if err != nil {
		return err
	}
	defer src.Close()
	flags := os.O_WRONLY | os.O_CREATE | os.O_EXCL
	if c.Force {
		flags = os.O_WRONLY | os.O_CREATE
	}
	dst, err := os.OpenFile(c.File, flags, 0o600)
	if err != nil {
		return err
	}
	if same(src, dst) {
		dst.Close()
		return usageError("dump: the file is the pool itself")
	}
	size, data, frozen, err := e.dump(dst, src, p)
	if err = errors.Join(err, dst.Close()); err != nil {
		os.Remove(c.File)
		return fmt.Errorf("dump: %w", err)
	}
	v := struct {
		Name  string `json:"name"`
		File  string `json:"file"`
		Bytes int64  `json:"bytes"`
		Data  int64  `json:"data_bytes"`
		Live  bool   `json:"live"`
		Whole bool   `json:"consistent"` // the tables agree with each other
	}{c.Name, c.File, size, data, p.State == pool.Live, frozen}
	return e.emit(v, func(w io.Writer) {
		fmt.Fprintf(w, "%s: %s written to %s, of %s with holes\n", clean(c.Name), human(uint64(data)), clean(c.File), human(uint64(size)))
	})
}

func same(a, b *os.File) bool {
	x, err := a.Stat()
	y, err2 := b.Stat()
	return err == nil && err2 == nil && os.SameFile(x, y)
}

// dump copies the tables, under the lock if anybody is attached, and then the data. It reports the bytes of the file, those
// copied, and whether the tables agree with each other.
func (e *env) dump(dst, src *os.File, p listed) (size, data int64, frozen bool, err error) {
	g, st, err := geometry(src)
	if err != nil {
		return 0, 0, false, err
	}
	size = st.Size()
	if err = dst.Truncate(0); err == nil {
		err = dst.Truncate(size)
	}
	if err != nil {
		return 0, 0, false, err
	}
	ctx, stop := interruptible()
	defer stop()
	defer e.working("dumping " + src.Name())()
	tables := int64(g.Regions[layout.RegionData].Offset)
	copyTables := func() (err error) {
		data, err = copySparse(ctx, dst, src, 0, tables)
		return err
	}
	if p.State != pool.Live {
		frozen, err = true, copyTables()
	} else if frozen, err = e.freeze(p.Name, copyTables); err == nil && frozen {
		_, err = dst.WriteAt(make([]byte, 4), int64(g.Regions[layout.RegionControl].Offset)) // the lock, which was ours
	}
	if err != nil {
		return size, data, frozen, err
	}
	n, err := copySparse(ctx, dst, src, tables, size)
	return size, data + n, frozen, err
}

// freeze runs f under the pool's lock, or without it if it is not to be had.
func (e *env) freeze(name string, f func() error) (frozen bool, err error) {
	p, err := pool.Open(name, e.options())
	if err == nil {
		defer p.Close()
		err = p.Freeze(func() error {
			frozen = true
			return f()
		})
		if frozen {
			return true, err
		}
	}
	e.note("copying without the pool's lock, so that verify may name faults that the pool does not have: %s", clean(err.Error()))
	return false, f()
}

// geometry returns where the regions of the pool lie.
func geometry(f *os.File) (layout.Geometry, os.FileInfo, error) {
	st, err := f.Stat()
	if err != nil {
		return layout.Geometry{}, nil, err
	}
	var sb layout.Superblock
	if err := binary.Read(io.NewSectionReader(f, 0, layout.SuperblockSize), binary.LittleEndian, &sb); err != nil {
		return layout.Geometry{}, nil, err
	}
	g, err := arena.CheckSuper(&sb, f.Name(), uint64(st.Size()))
	return g, st, err
}

// copySparse copies what of bytes [from, to) has data, and leaves holes elsewhere.
func copySparse(ctx context.Context, dst, src *os.File, from, to int64) (data int64, err error) {
	for end := from; end < to; {
		start, err := src.Seek(end, unix.SEEK_DATA)
		if errors.Is(err, unix.ENXIO) {
			break // a hole up to the end
		}
		if err != nil {
			return data, err
		}
		if end, err = src.Seek(start, unix.SEEK_HOLE); err != nil {
			return data, err
		}
		end = min(end, to)
		for n := start; n < end; n += 1 << 20 {
			if ctx.Err() != nil {
				return data, errors.New("interrupted")
			}
			k, err := io.Copy(io.NewOffsetWriter(dst, n), io.NewSectionReader(src, n, min(1<<20, end-n)))
			data += k
			if err != nil {
				return data, err
			}
		}
	}
	return data, nil
}
