package npy

import (
	"archive/zip"
	"fmt"
	"io"
	"maps"
	"math"
	"os"
	"slices"
	"strings"

	"github.com/ndpool/ndpool/pool"
)

const suffix = ".npy" // of a member's name; not of the array's

// ReadZip reads an archive of size bytes as a tree: the member "a/b.npy" becomes the array b in the group a. The caller must
// Release the tree. Each member must be an array, and must be as long as its header says. If anything is wrong, all blocks
// are free again when ReadZip returns.
func ReadZip(r io.ReaderAt, size int64, p *pool.Pool) (pool.Tree, error) {
	t, err := readZip(r, size, p)
	if err != nil {
		return nil, fmt.Errorf("npy: read archive: %w", err)
	}
	return t, nil
}

func readZip(r io.ReaderAt, size int64, p *pool.Pool) (pool.Tree, error) {
	z, err := zip.NewReader(r, size)
	if err != nil {
		return nil, err
	}
	t := pool.Tree{}
	for _, f := range z.File {
		if strings.HasSuffix(f.Name, "/") {
			continue // a folder: those of arrays need none
		}
		if err := readMember(f, p, t); err != nil {
			t.Release()
			return nil, fmt.Errorf("member %s: %w", quoted(f.Name), err)
		}
	}
	return t, nil
}

// readMember reads a member into its place in the tree, which must be free.
func readMember(f *zip.File, p *pool.Pool, t pool.Tree) error {
	path, ok := strings.CutSuffix(f.Name, suffix)
	if !ok {
		return refuse("no array", "a name that ends with "+suffix)
	}
	if f.UncompressedSize64 > math.MaxInt64 {
		return refuse(f.UncompressedSize64, "a size")
	}
	group, name, err := place(t, path)
	if err != nil {
		return err
	}
	r, err := f.Open()
	if err != nil {
		return err
	}
	defer r.Close()
	a, err := read(r, p, int64(f.UncompressedSize64))
	if err != nil {
		return err
	}
	group[name] = a
	return nil
}

func refuse(got, want any) error {
	return &Error{What: "member of the archive", Got: got, Want: want, Err: ErrMember}
}

// place returns the group that a path leads to, and the name in it, which is free. It makes the groups on the way.
func place(t pool.Tree, path string) (pool.Tree, string, error) {
	for {
		name, rest, more := strings.Cut(path, "/")
		inside, taken := t[name]
		switch g, ok := inside.(pool.Tree); {
		case !more && taken:
			return nil, "", refuse("a name that is taken", "each name once")
		case !more:
			return t, name, nil
		case taken && !ok:
			return nil, "", refuse(quoted(name)+" as an array and as a group", "one of them")
		case !taken:
			g = pool.Tree{}
			t[name] = g
			fallthrough
		default:
			t, path = g, rest
		}
	}
}

// WriteZip writes the arrays of a tree as an archive, not compressed, in the order of their paths: see ReadZip. Attributes
// are not written, nor are groups without arrays.
func WriteZip(w io.Writer, t pool.Tree) error {
	if err := writeZip(w, t); err != nil {
		return fmt.Errorf("npy: write archive: %w", err)
	}
	return nil
}

func writeZip(w io.Writer, t pool.Tree) error {
	arrays := map[string]*pool.Array{}
	if err := gather(arrays, "", t); err != nil {
		return err
	}
	z := zip.NewWriter(w)
	for _, path := range slices.Sorted(maps.Keys(arrays)) {
		m, err := z.CreateHeader(&zip.FileHeader{Name: path + suffix, Method: zip.Store})
		if err == nil {
			err = write(m, arrays[path])
		}
		if err != nil {
			return fmt.Errorf("member %s: %w", quoted(path), err)
		}
	}
	return z.Close()
}

// gather collects the arrays of a tree by their paths.
func gather(arrays map[string]*pool.Array, path string, t map[string]any) error {
	for name, x := range t {
		if path != "" {
			name = path + "/" + name
		}
		a, _ := x.(*pool.Array)
		switch x := x.(type) {
		case pool.Item:
			a = x.Array
		case pool.Tree:
			if err := gather(arrays, name, x); err != nil {
				return err
			}
		case map[string]any:
			if err := gather(arrays, name, x); err != nil {
				return err
			}
		}
		if a == nil {
			continue
		}
		if arrays[name] != nil {
			return fmt.Errorf("member %s: %w", quoted(name), refuse("a name that is taken", "each name once"))
		}
		arrays[name] = a
	}
	return nil
}

// LoadZip reads a tree from an archive: see ReadZip.
func LoadZip(p *pool.Pool, path string) (pool.Tree, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("npy: %w", err)
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return nil, fmt.Errorf("npy: %w", err)
	}
	t, err := readZip(f, st.Size(), p)
	if err != nil {
		return nil, fmt.Errorf("npy: load %s: %w", path, err)
	}
	return t, nil
}

// SaveZip writes the arrays of a tree to an archive: see WriteZip. The file is there whole or not at all: see Replace.
func SaveZip(path string, t pool.Tree) error {
	return Replace(path, func(w io.Writer) error { return WriteZip(w, t) })
}
