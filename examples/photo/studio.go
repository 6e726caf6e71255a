package main

import (
	"context"
	"image"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ndpool/ndpool/pool"
)

// studio is what the parent works with. Local; close releases it.
type studio struct {
	pool   *pool.Pool
	array  *pool.Array // the photograph
	in     *image.RGBA // over its memory
	result *pool.Array // the filtered photograph
	out    *image.RGBA // over its memory
	tiles  []tile
	filter filter
}

// openStudio makes the pool and puts the photograph into it.
//
// The pool is anonymous, since only children of this process use it: they inherit its descriptor. It has no name that a
// killed parent could leave behind, and needs no room in /dev/shm, which is small in containers.
func openStudio(o options, rep *sourceReport) (s *studio, err error) {
	if o.image == "" {
		if o.image, err = findPhoto(); err != nil {
			return nil, err
		}
	}
	src, err := decode(o.image)
	if err != nil {
		return nil, err
	}
	size := enlargedSize(src.Rect.Size(), o.megapixels)
	*rep = sourceReport{Path: o.image, Width: src.Rect.Dx(), Height: src.Rect.Dy(), UsedWidth: size.X, UsedHeight: size.Y,
		Megapixels: float64(size.X) * float64(size.Y) / 1e6}

	// Room for both images, and for two results per worker, one being read and one being made, with some more for pages
	// that do not fit together. What is not used costs nothing.
	img, tile := uint64(size.X*size.Y*channels), uint64(o.tile*o.tile*channels)
	p, err := pool.Create("photo", pool.Options{Anonymous: true, Capacity: 2*img + uint64(4*o.workers)*tile + 64<<20})
	if err != nil {
		return nil, err
	}
	s = &studio{pool: p, filter: newFilter(o.sigma, o.amount)}
	if err := s.load(src, size); err != nil {
		s.close()
		return nil, err
	}
	s.tiles = cut(s.in.Rect, o.tile, s.filter.radius())
	return s, nil
}

// load enlarges the photograph into the pool. From there on nobody copies it.
func (s *studio) load(src *image.RGBA, size image.Point) (err error) {
	if s.array, s.in, err = newImage(s.pool, size); err != nil {
		return err
	}
	if s.result, s.out, err = newImage(s.pool, size); err != nil {
		return err
	}
	enlarge(s.in, src)
	return nil
}

// release gives both images back; workers may still hold the photograph.
func (s *studio) release() {
	for _, a := range []**pool.Array{&s.array, &s.result} {
		if *a != nil {
			(*a).Release()
			*a = nil
		}
	}
	s.in, s.out = nil, nil
}

func (s *studio) close() {
	s.release()
	s.pool.Close()
}

// reference filters all tiles in this process, on all processors and into memory of its own: what the result must be, and
// how long it takes when nothing has to be passed.
func (s *studio) reference(ctx context.Context, ref *image.RGBA) (seconds float64, err error) {
	clear(ref.Pix)
	start := time.Now()
	var next atomic.Int64
	var wg sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		wg.Go(func() {
			var pixels []uint8
			for n := int(next.Add(1)) - 1; n < len(s.tiles) && ctx.Err() == nil; n = int(next.Add(1)) - 1 {
				t := s.tiles[n]
				pixels = sized(pixels, t.area.Dx()*t.area.Dy()*channels)
				s.filter.apply(pixels, rowsOf(s.in, t.halo), t.inner())
				place(ref, t.area, pixels)
			}
		})
	}
	wg.Wait()
	return time.Since(start).Seconds(), ctx.Err()
}
