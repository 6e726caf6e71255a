package pool_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/ndpool/ndpool/dtype"
	"github.com/ndpool/ndpool/handle"
	"github.com/ndpool/ndpool/pool"
)

// examplePool creates a small pool in a directory of the example's own. The other attachment stands for another process.
func examplePool() (p, other *pool.Pool, end func()) {
	dir, err := os.MkdirTemp("", "ndpool-example-")
	check(err)
	o := pool.Options{Dir: dir, Capacity: 8 << 20}
	p, err = pool.Create("frames", o)
	check(err)
	other, err = pool.Open("frames", o)
	check(err)
	return p, other, func() {
		other.Close()
		p.Close()
		os.RemoveAll(dir)
	}
}

func check(err error) {
	if err != nil {
		panic(err)
	}
}

func Example() {
	p, other, end := examplePool()
	defer end()

	a, err := p.Alloc(dtype.Float32, 2, 3)
	check(err)
	xs, err := pool.Slice[float32](a)
	check(err)
	for i := range xs {
		xs[i] = float32(i)
	}
	t, err := a.Send() // 16 bytes for another process
	check(err)
	a.Release() // the transfer keeps the array alive

	b, err := other.Adopt(t)
	check(err)
	defer b.Release()
	ys, err := pool.Slice[float32](b)
	check(err)
	fmt.Println(b.DType(), b.Shape(), ys)
	// Output: <f4 [2 3] [0 1 2 3 4 5]
}

func ExampleCreate() {
	dir, _ := os.MkdirTemp("", "ndpool-example-")
	defer os.RemoveAll(dir)
	p, err := pool.Create("frames", pool.Options{Dir: dir, Capacity: 16 << 20, Persistent: true})
	check(err)
	defer p.Close()
	_, err = pool.Create("frames", pool.Options{Dir: dir})
	fmt.Println(errors.Is(err, pool.ErrExist))
	// Output: true
}

func ExampleOpen() {
	_, err := pool.Open("no-such-pool", pool.Options{Dir: os.TempDir()})
	fmt.Println(errors.Is(err, pool.ErrNotExist))
	// Output: true
}

func ExampleOpenOrCreate() {
	dir, _ := os.MkdirTemp("", "ndpool-example-")
	defer os.RemoveAll(dir)
	for range 2 { // the first creates, the second opens
		p, err := pool.OpenOrCreate("frames", pool.Options{Dir: dir, Capacity: 16 << 20})
		check(err)
		defer p.Close()
		fmt.Println(p.Options().Capacity)
	}
	// Output:
	// 16777216
	// 16777216
}

func ExampleUnlink() {
	dir, _ := os.MkdirTemp("", "ndpool-example-")
	defer os.RemoveAll(dir)
	p, err := pool.Create("frames", pool.Options{Dir: dir, Capacity: 1 << 20})
	check(err)
	check(pool.Unlink("frames", pool.Options{Dir: dir}))
	a, err := p.Alloc(dtype.Uint8, 10) // whoever is attached goes on
	check(err)
	a.Release()
	p.Close()
	// Output:
}

func ExamplePool_NewContext() {
	p, _, end := examplePool()
	defer end()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Millisecond)
	defer cancel()
	big, err := p.NewContext(ctx, pool.Spec{DType: dtype.Uint8, Shape: []int{6 << 20}, Zero: true})
	check(err)
	defer big.Release()
	_, err = p.NewContext(ctx, pool.Spec{DType: dtype.Uint8, Shape: []int{6 << 20}}) // waits, in vain
	fmt.Println(errors.Is(err, pool.ErrFull), errors.Is(err, context.DeadlineExceeded))
	// Output: true true
}

func ExamplePool_New() {
	p, _, end := examplePool()
	defer end()
	a, err := p.New(pool.Spec{DType: dtype.Float64, Shape: []int{2, 3}, Fortran: true, Zero: true})
	check(err)
	defer a.Release()
	fmt.Println(a.Shape(), a.Strides())
	// Output: [2 3] [8 16]
}

func ExamplePool_Zeros() {
	p, _, end := examplePool()
	defer end()
	a, err := p.Zeros(dtype.Int16, 4)
	check(err)
	defer a.Release()
	xs, err := pool.Slice[int16](a)
	check(err)
	fmt.Println(xs)
	// Output: [0 0 0 0]
}

func ExamplePool_AllocBlock() {
	p, other, end := examplePool()
	defer end()
	b, err := p.AllocBlock(5)
	check(err)
	copy(b.Bytes(), "hello")
	t, err := b.Send()
	check(err)
	b.Release()
	c, err := other.AdoptBlock(t)
	check(err)
	fmt.Printf("%s\n", c.Bytes())
	c.Release()
	// Output: hello
}

func ExamplePool_Retain() {
	p, other, end := examplePool()
	defer end()
	a, err := p.Zeros(dtype.Uint8, 3)
	check(err)
	h := a.Handle() // 8 bytes, for any number of processes
	b, err := other.Retain(h)
	check(err)
	b.Release()
	a.Release()
	_, err = other.Retain(h)
	fmt.Println(errors.Is(err, pool.ErrStale))
	// Output: true
}

func ExampleArray_SendTo() {
	p, other, end := examplePool()
	defer end()
	a, err := p.Zeros(dtype.Uint8, 3)
	check(err)
	t, err := a.SendTo(other.Self())
	check(err)
	a.Release()
	_, err = p.Adopt(t)
	fmt.Println(errors.Is(err, pool.ErrNotReceiver))
	b, err := other.Adopt(t)
	check(err)
	b.Release()
	// Output: true
}

func ExamplePool_Receive() {
	p, other, end := examplePool()
	defer end()
	a, err := p.Zeros(dtype.Int32, 4, 6)
	check(err)
	row, err := a.View(pool.At(2), pool.Range{Start: 0, Stop: 6, Step: 2})
	check(err)
	x, err := pool.Element[int32](row, 0, 1)
	check(err)
	*x = 7

	var pipe bytes.Buffer // or any pipe or socket
	m, err := row.Message()
	check(err)
	check(handle.NewEncoder(&pipe).Encode(m))
	row.Release()
	a.Release()

	m, err = handle.NewDecoder(&pipe).Decode()
	check(err)
	b, err := other.Receive(m)
	check(err)
	defer b.Release()
	y, err := pool.Element[int32](b, 0, 1)
	check(err)
	fmt.Println(b.Shape(), b.Strides(), *y)
	// Output: [1 3] [24 8] 7
}

func ExamplePool_Recall() {
	p, other, end := examplePool()
	defer end()
	a, err := p.Zeros(dtype.Uint8, 3)
	check(err)
	t, err := a.Send()
	check(err)
	check(p.Recall(t))
	_, err = other.Adopt(t)
	fmt.Println(errors.Is(err, pool.ErrRecalled))
	a.Release()
	// Output: true
}

func ExamplePool_RecallOlder() {
	p, _, end := examplePool()
	defer end()
	a, err := p.Zeros(dtype.Uint8, 3)
	check(err)
	for range 5 {
		_, err = a.Send()
		check(err)
	}
	n, err := p.RecallOlder(0)
	check(err)
	fmt.Println(n)
	a.Release()
	// Output: 5
}

func ExampleArray_Seal() {
	p, other, end := examplePool()
	defer end()
	a, err := p.Zeros(dtype.Uint8, 1000)
	check(err)
	check(a.Seal(true))
	t, err := a.Send()
	check(err)
	a.Release()
	b, err := other.Adopt(t)
	check(err)
	defer b.Release()
	fmt.Println(b.IsSealed(), b.IsReadOnly(), b.CheckHash())
	// Output: true true <nil>
}

func ExampleArray_Transpose() {
	p, _, end := examplePool()
	defer end()
	a, err := p.Zeros(dtype.Float64, 2, 3)
	check(err)
	defer a.Release()
	v, err := a.Transpose()
	check(err)
	defer v.Release()
	fmt.Println(v.Shape(), v.Strides())
	// Output: [3 2] [8 24]
}

func ExampleArray_Reshape() {
	p, _, end := examplePool()
	defer end()
	a, err := p.Zeros(dtype.Float64, 2, 3)
	check(err)
	defer a.Release()
	v, err := a.Reshape(6)
	check(err)
	defer v.Release()
	fmt.Println(v.Shape())
	// Output: [6]
}

func ExamplePool_Reap() {
	p, _, end := examplePool()
	defer end()
	r, err := p.Reap()
	check(err)
	fmt.Println(r.Processes, r.Expired)
	// Output: 0 0
}

func ExamplePool_Trim() {
	p, _, end := examplePool()
	defer end()
	a, err := p.Alloc(dtype.Uint8, 5<<20)
	check(err)
	a.Release()
	freed, err := p.Trim()
	check(err)
	fmt.Println(freed >= 5<<20)
	// Output: true
}

func ExamplePool_Stats() {
	p, _, end := examplePool()
	defer end()
	a, err := p.Alloc(dtype.Uint8, 1000)
	check(err)
	defer a.Release()
	s, err := p.Stats()
	check(err)
	fmt.Println(s.Arrays, s.Live, s.Held, s.Processes)
	// Output: 1 1000 1024 2
}

func ExamplePool_Arrays() {
	p, _, end := examplePool()
	defer end()
	a, err := p.Alloc(dtype.Float32, 480, 640)
	check(err)
	defer a.Release()
	for info := range p.Arrays() {
		fmt.Println(info.DType, info.Shape, info.Bytes, info.Private)
	}
	// Output: <f4 [480 640] 1228800 true
}

func ExamplePool_Processes() {
	p, _, end := examplePool()
	defer end()
	for info := range p.Processes() {
		fmt.Println(info.Slot, info.Pid == os.Getpid(), info.Alive)
	}
	// Output:
	// 0 true true
	// 1 true true
}

func ExamplePool_Transfers() {
	p, _, end := examplePool()
	defer end()
	a, err := p.Alloc(dtype.Uint8, 10)
	check(err)
	defer a.Release()
	t, err := a.Send()
	check(err)
	for info := range p.Transfers() {
		fmt.Println(info.Transfer == t, info.Sender == p.Self())
	}
	check(p.Recall(t))
	// Output: true true
}

func ExamplePool_Verify() {
	p, _, end := examplePool()
	defer end()
	r, err := p.Verify(pool.VerifyOptions{})
	check(err)
	fmt.Println(r.Clean())
	// Output: true
}

func ExampleVerifyImage() {
	p, _, end := examplePool()
	defer end()
	image, err := os.ReadFile(p.Path())
	check(err)
	file := p.Path() + ".copy"
	check(os.WriteFile(file, image, 0o600))
	r, err := pool.VerifyImage(file, pool.VerifyOptions{})
	check(err)
	fmt.Println(r.Clean())
	// Output: true
}

func ExampleRows() {
	p, _, end := examplePool()
	defer end()
	a, err := p.Zeros(dtype.Uint8, 4, 6)
	check(err)
	defer a.Release()
	tile, err := a.View(pool.Range{Start: 1, Stop: 3}, pool.Range{Start: 2, Stop: 5})
	check(err)
	defer tile.Release()
	rows, err := pool.Rows[uint8](tile, 1)
	check(err)
	n := byte(0)
	for row := range rows {
		for i := range row {
			n++
			row[i] = n
		}
	}
	all, err := pool.Slice[uint8](a)
	check(err)
	fmt.Println(all)
	// Output: [0 0 0 0 0 0 0 0 1 2 3 0 0 0 4 5 6 0 0 0 0 0 0 0]
}

func ExamplePool_Refuse() {
	p, worker, end := examplePool()
	defer end()
	a, err := worker.Zeros(dtype.Uint8, 10)
	check(err)
	_, err = a.SendTo(p.Self()) // and the worker dies before the transfer is on its way
	check(err)
	a.Release()
	n, err := p.Refuse(worker.Self())
	check(err)
	fmt.Println(n)
	// Output: 1
}

func ExampleSlice() {
	p, _, end := examplePool()
	defer end()
	a, err := p.Zeros(dtype.Int32, 3)
	check(err)
	defer a.Release()
	xs, err := pool.Slice[int32](a)
	check(err)
	xs[1] = 5
	_, err = pool.Slice[float32](a)
	fmt.Println(xs, errors.Is(err, pool.ErrMismatch))
	// Output: [0 5 0] true
}

func ExampleElement() {
	p, _, end := examplePool()
	defer end()
	a, err := p.Zeros(dtype.Float64, 2, 2)
	check(err)
	defer a.Release()
	x, err := pool.Element[float64](a, 1, 0)
	check(err)
	*x = 2.5
	xs, err := pool.Slice[float64](a)
	check(err)
	fmt.Println(xs)
	// Output: [0 0 2.5 0]
}

func ExamplePool_Publish() {
	p, worker, end := examplePool()
	defer end()
	a, err := p.Zeros(dtype.Float32, 480, 640)
	check(err)
	v, err := p.Publish("camera/left/depth", a, pool.Publish{Attrs: pool.Attrs{"unit": "m"}})
	check(err)
	a.Release() // the name keeps the array

	it, err := worker.LookupItem("camera/left/depth")
	check(err)
	defer it.Array.Release()
	fmt.Println(it.Array.Shape(), it.Attrs["unit"], it.Version == v)
	_, err = worker.Publish("camera/left/depth", it.Array)
	fmt.Println(err)
	// Output:
	// [480 640] m true
	// publish "camera/left/depth": name is taken
}

func ExamplePool_Lookup() {
	p, worker, end := examplePool()
	defer end()
	a, err := p.Zeros(dtype.Int64, 3)
	check(err)
	_, err = p.Publish("counts", a)
	check(err)
	a.Release()

	b, err := worker.Lookup("counts", pool.ReadOnly(true))
	check(err)
	defer b.Release()
	_, err = worker.Lookup("accounts")
	fmt.Println(b.DType(), b.Shape(), b.IsReadOnly(), errors.Is(err, pool.ErrNoName))
	// Output: <i8 [3] true true
}

// All names of a tree appear at once, and a reader gets all of one moment.
func ExamplePool_PublishTree() {
	p, worker, end := examplePool()
	defer end()
	x, err := p.Zeros(dtype.Float64, 10)
	check(err)
	y, err := p.Zeros(dtype.Float64, 10)
	check(err)
	_, err = p.PublishTree("run/7", pool.Tree{"position": pool.Tree{"x": x, "y": y}, "speed/x": x})
	check(err)
	x.Release()
	y.Release()

	tree, err := worker.LookupTree("run/7")
	check(err)
	defer tree.Release()
	position := tree["position"].(pool.Tree)
	fmt.Println(len(tree), len(position), position["y"].(*pool.Array).Shape())
	n, err := worker.RemoveTree("run")
	check(err)
	fmt.Println(n)
	// Output:
	// 2 2 [10]
	// 3
}

func ExamplePool_List() {
	p, _, end := examplePool()
	defer end()
	a, err := p.Zeros(dtype.Uint8, 2, 3)
	check(err)
	for _, name := range []string{"b", "a/y", "a/x"} {
		_, err = p.Publish(name, a)
		check(err)
	}
	a.Release()
	for info, err := range p.List("") {
		check(err)
		fmt.Println(info.Path, info.Group, info.Shape)
	}
	// Output:
	// a true []
	// a/x false [2 3]
	// a/y false [2 3]
	// b false [2 3]
}

// With the version that was read, a change is made only if nobody else was faster.
func ExamplePool_SetAttrs() {
	p, _, end := examplePool()
	defer end()
	a, err := p.Zeros(dtype.Uint8, 4)
	check(err)
	_, err = p.Publish("mask", a)
	check(err)
	a.Release()
	it, err := p.LookupItem("mask")
	check(err)
	it.Array.Release()
	_, err = p.SetAttrs("mask", pool.Attrs{"threshold": 0.5}, pool.Publish{Version: it.Version})
	check(err)
	_, err = p.SetAttrs("mask", pool.Attrs{"threshold": 0.6}, pool.Publish{Version: it.Version})
	fmt.Println(errors.Is(err, pool.ErrVersion))
	// Output: true
}
