package npy_test

import (
	"bytes"
	"fmt"
	"log"
	"os"
	"path/filepath"

	"github.com/ndpool/ndpool/dtype"
	"github.com/ndpool/ndpool/npy"
	"github.com/ndpool/ndpool/pool"
)

func examplePool() *pool.Pool {
	p, err := pool.Create("example", pool.Options{Anonymous: true, Capacity: 4 << 20})
	if err != nil {
		log.Fatal(err)
	}
	return p
}

func Example() {
	p := examplePool()
	defer p.Close()
	a, err := p.Zeros(dtype.Float32, 480, 640)
	if err != nil {
		log.Fatal(err)
	}
	defer a.Release()
	path := filepath.Join(os.TempDir(), "example.npy")
	defer os.Remove(path)
	if err := npy.Save(path, a); err != nil {
		log.Fatal(err)
	}
	b, err := npy.Load(p, path)
	if err != nil {
		log.Fatal(err)
	}
	defer b.Release()
	fmt.Println(b.DType(), b.Shape())
	// Output:
	// <f4 [480 640]
}

func ExampleRead() {
	p := examplePool()
	defer p.Close()
	_, err := npy.Read(bytes.NewReader([]byte("col1,col2\n1,2\n")), p)
	fmt.Println(err)
	// Output:
	// npy: read: check magic: got "col1,c", expected "\x93NUMPY": not a .npy file
}

func ExampleWriteZip() {
	p := examplePool()
	defer p.Close()
	x, err := p.Zeros(dtype.Int16, 3)
	if err != nil {
		log.Fatal(err)
	}
	defer x.Release()
	var b bytes.Buffer
	if err := npy.WriteZip(&b, pool.Tree{"run7": pool.Tree{"x": x}}); err != nil {
		log.Fatal(err)
	}
	t, err := npy.ReadZip(bytes.NewReader(b.Bytes()), int64(b.Len()), p)
	if err != nil {
		log.Fatal(err)
	}
	defer t.Release()
	fmt.Println(t["run7"].(pool.Tree)["x"].(*pool.Array).Shape())
	// Output:
	// [3]
}
