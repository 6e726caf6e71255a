package npy_test

import (
	"archive/zip"
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ndpool/ndpool/dtype"
	"github.com/ndpool/ndpool/npy"
	"github.com/ndpool/ndpool/pool"
)

// member is a file of an archive that a test makes.
type member struct {
	name   string
	data   []byte
	method uint16
}

func archive(t *testing.T, members ...member) []byte {
	t.Helper()
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	for _, m := range members {
		w, err := z.CreateHeader(&zip.FileHeader{Name: m.name, Method: m.method})
		require.NoError(t, err)
		_, err = w.Write(m.data)
		require.NoError(t, err)
	}
	require.NoError(t, z.Close())
	return b.Bytes()
}

func readArchive(p *pool.Pool, b []byte) (pool.Tree, error) {
	return npy.ReadZip(bytes.NewReader(b), int64(len(b)), p)
}

func TestZip(t *testing.T) {
	p := newPool(t)
	a := patterned(t, p, pool.Spec{DType: dtype.Int16, Shape: []int{2, 3}, Fortran: true})
	b := patterned(t, p, pool.Spec{DType: dtype.Unicode(3), Shape: []int{4}})
	defer a.Release()
	defer b.Release()
	tree := pool.Tree{"x": a, "g": pool.Tree{"y": pool.Item{Array: b}, "deep/er": map[string]any{"z": a}}, "empty": pool.Tree{}}
	path := filepath.Join(t.TempDir(), "tree.npz")
	require.NoError(t, npy.SaveZip(path, tree))

	z, err := zip.OpenReader(path)
	require.NoError(t, err)
	var names []string
	for _, f := range z.File {
		names = append(names, f.Name)
		require.Equal(t, zip.Store, f.Method)
	}
	require.NoError(t, z.Close())
	require.Equal(t, []string{"g/deep/er/z.npy", "g/y.npy", "x.npy"}, names)

	back, err := npy.LoadZip(p, path)
	require.NoError(t, err)
	defer back.Release()
	require.Len(t, back, 2)
	got := back["g"].(pool.Tree)["y"].(*pool.Array)
	require.Equal(t, b.DType(), got.DType())
	x, _ := b.Bytes()
	y, _ := got.Bytes()
	require.Equal(t, x, y)
	deep := back["g"].(pool.Tree)["deep"].(pool.Tree)["er"].(pool.Tree)["z"].(*pool.Array)
	require.Equal(t, a.Strides(), deep.Strides())
	require.Len(t, back["g"].(pool.Tree), 2)
	require.IsType(t, (*pool.Array)(nil), back["x"])

	_, err = npy.LoadZip(p, path+"x")
	require.ErrorIs(t, err, os.ErrNotExist)
	require.ErrorIs(t, npy.SaveZip(path, pool.Tree{"a/b": a, "a": pool.Tree{"b": a}}), npy.ErrMember)
}

// TestZipOfNumpy reads what numpy.savez and numpy.savez_compressed wrote: see testdata/generate.py.
func TestZipOfNumpy(t *testing.T) {
	p := newPool(t)
	for _, text := range loadVectors(t).Archives {
		tree, err := readArchive(p, decode(t, text))
		require.NoError(t, err)
		for name, x := range map[string]any{"x": tree["x"], "y": tree["g"].(pool.Tree)["y"]} {
			s, err := pool.Slice[int16](x.(*pool.Array))
			require.NoError(t, err)
			require.Equal(t, []int16{0, 1, 2, 3, 4, 5}, s[:6], name)
		}
		require.Equal(t, []int{2, 3}, tree["x"].(*pool.Array).Shape())
		require.Equal(t, []int{1000}, tree["g"].(pool.Tree)["y"].(*pool.Array).Shape())
		tree.Release()
	}
	require.Len(t, loadVectors(t).Archives, 2)
}

func TestRefusedZip(t *testing.T) {
	p := newPool(t)
	good := file(head("'<i2'", "(3,)"), 6)
	for what, c := range map[string]struct {
		members []member
		want    error
	}{
		"twice":           {[]member{{"a.npy", good, zip.Store}, {"a.npy", good, zip.Store}}, npy.ErrMember},
		"array and group": {[]member{{"a.npy", good, zip.Store}, {"a/b.npy", good, zip.Store}}, npy.ErrMember},
		"group and array": {[]member{{"a/b.npy", good, zip.Store}, {"a.npy", good, zip.Store}}, npy.ErrMember},
		"no array":        {[]member{{"a.npy", good, zip.Store}, {"readme.txt", good, zip.Store}}, npy.ErrMember},
		"no array in it":  {[]member{{"a.npy", []byte("something else"), zip.Store}}, npy.ErrFormat},
		"truncated":       {[]member{{"a.npy", good[:len(good)-1], zip.Store}}, npy.ErrTruncated},
		"trailing":        {[]member{{"b.npy", good, zip.Store}, {"a.npy", append(good, 0), zip.Deflate}}, npy.ErrTrailing},
		"claims too much": {[]member{{"a.npy", file(head("'<i2'", "(1048576, 1048576)"), 6), zip.Deflate}}, npy.ErrTruncated},
		"bomb":            {[]member{{"a.npy", file(head("'<i2'", "(3,)"), 1<<20), zip.Deflate}}, npy.ErrTrailing},
		"too large":       {[]member{{"a.npy", good, zip.Store}, {"b.npy", file(head("'|u1'", "(5242880,)"), 5<<20), zip.Deflate}}, pool.ErrFull},
	} {
		_, err := readArchive(p, archive(t, c.members...))
		require.ErrorIs(t, err, c.want, what)
		requireEmpty(t, p)
	}
	whole := archive(t, member{"a.npy", good, zip.Store}, member{"folder/", nil, zip.Store})
	tree, err := readArchive(p, whole)
	require.NoError(t, err)
	require.Len(t, tree, 1)
	tree.Release()
	for n := range len(whole) {
		_, err := readArchive(p, whole[:n])
		require.Error(t, err, n)
		b := bytes.Clone(whole)
		b[n] ^= 0x40
		if tree, err := readArchive(p, b); err == nil {
			tree.Release()
		}
		requireEmpty(t, p)
	}
}

// TestZipChecksum wants that a changed element is found.
func TestZipChecksum(t *testing.T) {
	p := newPool(t)
	for _, method := range []uint16{zip.Store, zip.Deflate} {
		good := file(head("'<i2'", "(3,)"), 6)
		b := archive(t, member{"a.npy", good, method})
		at := bytes.Index(b, []byte("PK\x01\x02")) + 16 // the sum, in the directory
		b[at] ^= 1
		_, err := readArchive(p, b)
		require.ErrorIs(t, err, zip.ErrChecksum)
		requireEmpty(t, p)
	}
}
