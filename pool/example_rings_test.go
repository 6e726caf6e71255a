package pool_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/ndpool/ndpool/dtype"
	"github.com/ndpool/ndpool/pool"
)

func ExamplePool_StreamWriter() {
	p, other, end := examplePool()
	defer end()
	ctx := context.Background()

	w, err := p.StreamWriter("camera/left")
	check(err)
	defer w.Close()
	for n := range 3 {
		a, err := p.Alloc(dtype.Uint8, 480, 640)
		check(err)
		pixels, err := pool.Slice[uint8](a)
		check(err)
		pixels[0] = uint8(n)
		_, err = w.Publish(ctx, a, pool.Attrs{"exposure": 0.01})
		check(err)
		a.Release() // the stream keeps its newest frames
	}
	_, err = other.StreamWriter("camera/left")
	fmt.Println(errors.Is(err, pool.ErrWriter))
	// Output: true
}

func ExamplePool_StreamReader() {
	p, other, end := examplePool()
	defer end()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()

	r, err := other.StreamReader("camera/left") // the stream need not be there yet
	check(err)
	defer r.Close()
	go func() {
		w, err := p.StreamWriter("camera/left")
		check(err)
		defer w.Close()
		for n := range uint16(1000) {
			a, err := p.Alloc(dtype.Uint16, 2, 2)
			check(err)
			pixels, err := pool.Slice[uint16](a)
			check(err)
			pixels[3] = n
			_, err = w.Publish(ctx, a)
			check(err)
			a.Release()
		}
	}()
	for {
		f, err := r.Latest(ctx) // sleeps until there is a newer one
		if errors.Is(err, pool.ErrEnded) {
			return
		}
		check(err)
		pixels, err := pool.Slice[uint16](f.Array)
		check(err)
		if last := f.Sequence == 1000; last {
			fmt.Println(f.Array.DType(), f.Array.Shape(), pixels[3])
		}
		f.Release()
	}
	// Output: <u2 [2 2] 999
}

// A lossless stream: its writer waits until every reader has read.
func ExampleStreamReader_All() {
	p, other, end := examplePool()
	defer end()
	ctx := context.Background()

	w, err := p.StreamWriter("samples", pool.RingOptions{Entries: 4, Lossless: true})
	check(err)
	r, err := other.StreamReader("samples", pool.ReadOptions{Every: true})
	check(err)
	defer r.Close()
	go func() {
		for n := range int64(100) {
			_, err := pool.PublishValue(ctx, w, &n)
			check(err)
		}
		w.Close()
	}()
	sum := int64(0)
	for f, err := range r.All(ctx) {
		check(err)
		n, err := pool.Value[int64](f.Array)
		check(err)
		sum += *n
		f.Release()
	}
	fmt.Println(sum)
	// Output: 4950
}

// A Go struct without pointers is a frame, too. Python sees a structured scalar.
func ExamplePublishValue() {
	type Pose struct {
		X, Y, Heading float64
		Lane          int32
	}
	p, other, end := examplePool()
	defer end()
	ctx := context.Background()

	w, err := p.StreamWriter("pose")
	check(err)
	defer w.Close()
	_, err = pool.PublishValue(ctx, w, &Pose{X: 1, Y: 2.5, Lane: 3})
	check(err)

	r, err := other.StreamReader("pose")
	check(err)
	defer r.Close()
	f, err := r.Newest()
	check(err)
	defer f.Release()
	pose, err := pool.Value[Pose](f.Array) // not a copy
	check(err)
	fmt.Printf("%+v\n", *pose)
	// Output: {X:1 Y:2.5 Heading:0 Lane:3}
}

func ExamplePool_Queue() {
	p, other, end := examplePool()
	defer end()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()

	jobs, err := p.Queue("jobs", pool.RingOptions{Entries: 100})
	check(err)
	defer jobs.Close()
	a, err := p.Alloc(dtype.Float32, 3)
	check(err)
	check(jobs.Put(ctx, a))
	a.Release() // the queue keeps it, whoever dies
	check(jobs.PutBytes(ctx, []byte("that was all")))

	work, err := other.Queue("jobs")
	check(err)
	defer work.Close()
	for range 2 {
		it, err := work.Get(ctx)
		check(err)
		if it.Kind == pool.ItemBytes {
			text, err := it.Bytes()
			check(err)
			fmt.Println(string(text))
		} else {
			fmt.Println(it.Array.DType(), it.Array.Shape())
		}
		it.Release()
	}
	// Output:
	// <f4 [3]
	// that was all
}

func ExampleQueue_Receive() {
	p, other, end := examplePool()
	defer end()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()

	q, err := p.Queue("jobs", pool.RingOptions{Entries: 4})
	check(err)
	defer q.Close()
	go func() {
		arrays := make(chan *pool.Array)
		go func() {
			defer close(arrays)
			for n := range int64(10) {
				a, err := p.Alloc(dtype.Int64)
				check(err)
				v, err := pool.Value[int64](a)
				check(err)
				*v = n
				arrays <- a
			}
		}()
		check(q.Feed(ctx, arrays))
		check(q.Shut())
	}()

	o, err := other.Queue("jobs")
	check(err)
	defer o.Close()
	sum := int64(0)
	for it := range o.Receive(ctx) { // until it was shut down and is empty
		v, err := pool.Value[int64](it.Array)
		check(err)
		sum += *v
		it.Release()
	}
	fmt.Println(sum)
	// Output: 45
}
