package npy_test

import (
	"bytes"
	"testing"

	"github.com/ndpool/ndpool/npy"
)

// FuzzRead wants of any bytes: an error and nothing left, or an array that is written as bytes which are read as the same
// array again.
func FuzzRead(f *testing.F) {
	all := loadVectors(f)
	for _, v := range all.Vectors {
		f.Add(decode(f, v.File))
	}
	for _, v := range all.Refused {
		f.Add(decode(f, v.File))
	}
	f.Add(file(head("[('x', '<i2'), ('', '|V3'), ('y', '|S4', (2, 3))]", "(3, 0)"), 0))
	p := newPool(f)
	f.Fuzz(func(t *testing.T, b []byte) {
		a, err := npy.Read(bytes.NewReader(b), p)
		if err != nil {
			return
		}
		defer a.Release()
		var w bytes.Buffer
		if err := npy.Write(&w, a); err != nil {
			t.Fatal(err)
		}
		again, err := npy.Read(bytes.NewReader(w.Bytes()), p)
		if err != nil {
			t.Fatalf("%v: %q", err, w.Bytes())
		}
		defer again.Release()
		x, _ := a.Bytes()
		y, _ := again.Bytes()
		if !a.DType().Equal(again.DType()) || !bytes.Equal(x, y) {
			t.Fatalf("%v became %v", a.DType(), again.DType())
		}
	})
}

// FuzzReadZip wants of any bytes: an error and nothing left, or a tree that is written as an archive of the same arrays.
func FuzzReadZip(f *testing.F) {
	all := loadVectors(f)
	for _, text := range all.Archives {
		f.Add(decode(f, text))
	}
	p := newPool(f)
	f.Fuzz(func(t *testing.T, b []byte) {
		tree, err := npy.ReadZip(bytes.NewReader(b), int64(len(b)), p)
		if err != nil {
			return
		}
		defer tree.Release()
		var w bytes.Buffer
		if err := npy.WriteZip(&w, tree); err != nil {
			t.Fatal(err)
		}
		again, err := npy.ReadZip(bytes.NewReader(w.Bytes()), int64(w.Len()), p)
		if err != nil {
			t.Fatal(err)
		}
		defer again.Release()
		var v bytes.Buffer
		if err := npy.WriteZip(&v, again); err != nil || !bytes.Equal(v.Bytes(), w.Bytes()) {
			t.Fatalf("%v: an archive of %d bytes became one of %d", err, w.Len(), v.Len())
		}
	})
}
