package main

import (
	"encoding/binary"
	"image"
	"math"
)

// channels of a pixel: red, green, blue and an alpha that is always 255, one byte each.
const channels = 4

// filter is an unsharp mask: it moves each value away from the mean of its neighbourhood, which is a Gaussian blur done
// in two passes. It computes with integers, so that the result does not depend on who computes it, in which language, and
// how tiles are cut.
type filter struct {
	weights []uint64 // of the blur, 2*radius+1 and symmetric, in 1/4096; their sum is 4096
	amount  int32    // in 1/256
}

const one = 4096 // the largest sum, 255*one*one, just fits 32 bits

func newFilter(sigma, amount float64) filter {
	radius := int(math.Ceil(2 * sigma))
	gauss := make([]float64, 2*radius+1)
	sum := 0.0
	for i := range gauss {
		x := float64(i-radius) / sigma
		gauss[i] = math.Exp(-x * x / 2)
		sum += gauss[i]
	}
	f := filter{weights: make([]uint64, len(gauss)), amount: int32(math.Round(amount * 256))}
	rest := uint64(one)
	for i, g := range gauss {
		f.weights[i] = uint64(g / sum * one)
		rest -= f.weights[i]
	}
	f.weights[radius] += rest
	return f
}

// half returns the weights of one side and the one in the middle, which are all there is to know of them. Workers are told
// them and compute none: the last bit of an exponential is each language's own.
func (f filter) half() []uint32 {
	half := make([]uint32, f.radius()+1)
	for i := range half {
		half[i] = uint32(f.weights[i])
	}
	return half
}

// filterOf returns the filter with these weights of one side and the middle.
func filterOf(half []uint32, amount int32) filter {
	f := filter{weights: make([]uint64, 2*len(half)-1), amount: amount}
	for i, weight := range half {
		f.weights[i], f.weights[len(f.weights)-1-i] = uint64(weight), uint64(weight)
	}
	return f
}

// radius returns how many pixels around a tile the filter looks at.
func (f filter) radius() int { return len(f.weights) / 2 }

// apply writes the filtered pixels of one area of src to dst, row after row without gaps. Where the area's neighbourhood
// reaches out of src, src goes on with its last pixel: tiles must come with a halo, except at the edges of the image.
//
// Each source row is blurred from left to right once, and kept while rows above and below are mixed from it.
func (f filter) apply(dst []uint8, src [][]uint8, area image.Rectangle) {
	r, width := f.radius(), area.Dx()
	wide := make([]uint64, 2*(width+2*r))
	blurred := make([]uint64, 2*width)
	shifted, kept, window := make([][]uint64, 2*r+1), make([][]uint64, 2*r+1), make([][]uint64, 2*r+1)
	for i := range kept {
		shifted[i] = wide[2*i:]
		kept[i] = make([]uint64, 2*width)
	}
	for n := range area.Dy() + 2*r {
		y := area.Min.Y - r + n
		spread(wide, src[min(max(y, 0), len(src)-1)], area.Min.X-r)
		f.mix(kept[n%len(kept)], shifted)
		if n < 2*r {
			continue
		}
		for i := range window {
			window[i] = kept[(n+1+i)%len(kept)] // the oldest is the one above all others
		}
		f.mix(blurred, window)
		row := n - 2*r
		f.sharpen(dst[row*width*channels:][:width*channels], src[y-r][area.Min.X*channels:], blurred)
	}
}

// spread lays pixels out so that there is room to compute with two channels at once: each pixel becomes two words, red and
// blue, green and alpha, a channel in the lower half of a word and one in the upper. x0 is the first pixel.
func spread(dst []uint64, row []uint8, x0 int) {
	last := len(row)/channels - 1
	for x := range len(dst) / 2 {
		v := uint64(binary.LittleEndian.Uint32(row[min(max(x0+x, 0), last)*channels:]))
		dst[2*x] = v&0xff | v>>16&0xff<<32
		dst[2*x+1] = v>>8&0xff | v>>24&0xff<<32
	}
}

// mix writes the weighted sum of its sources. No half of a word overflows into the other.
func (f filter) mix(dst []uint64, src [][]uint64) {
	r := f.radius()
	weight := f.weights[r]
	for x, v := range src[r][:len(dst)] {
		dst[x] = weight * v
	}
	for i, weight := range f.weights[:r] {
		before, after := src[i][:len(dst)], src[2*r-i][:len(dst)]
		for x := range dst {
			dst[x] += weight * (before[x] + after[x])
		}
	}
}

func (f filter) sharpen(dst, src []uint8, blurred []uint64) {
	for x := 0; x+channels <= len(dst); x += channels {
		rb, g := blurred[x/2], blurred[x/2+1]
		d, s := dst[x:][:channels], src[x:][:channels]
		d[0] = f.away(s[0], uint32(rb))
		d[1] = f.away(s[1], uint32(g))
		d[2] = f.away(s[2], uint32(rb>>32))
		d[3] = 255
	}
}

// away moves a value away from a blurred one, which is in 1/(one*one).
func (f filter) away(v uint8, blurred uint32) uint8 {
	diff := int32(v)<<8 - int32(blurred>>16) // in 1/256
	return uint8(min(max(int32(v)+(diff*f.amount+1<<15)>>16, 0), 255))
}

// tile is one piece of the image.
type tile struct {
	number int
	area   image.Rectangle // what is to be filtered
	halo   image.Rectangle // what must be seen for that: the area and what is around it, as far as there is any
}

// inner returns the area as it lies in the halo.
func (t tile) inner() image.Rectangle { return t.area.Sub(t.halo.Min) }

// cut cuts an image into tiles.
func cut(img image.Rectangle, size, radius int) (tiles []tile) {
	for y := img.Min.Y; y < img.Max.Y; y += size {
		for x := img.Min.X; x < img.Max.X; x += size {
			area := image.Rect(x, y, x+size, y+size).Intersect(img)
			tiles = append(tiles, tile{number: len(tiles), area: area, halo: area.Inset(-radius).Intersect(img)})
		}
	}
	return tiles
}

// rowsOf returns the rows of a part of an image, without a copy.
func rowsOf(img *image.RGBA, r image.Rectangle) [][]uint8 {
	rows := make([][]uint8, r.Dy())
	for y := range rows {
		rows[y] = img.Pix[img.PixOffset(r.Min.X, r.Min.Y+y):][:r.Dx()*channels]
	}
	return rows
}

// place copies a filtered tile to its place in an image.
func place(img *image.RGBA, area image.Rectangle, pixels []uint8) {
	for y, row := range rowsOf(img, area) {
		copy(row, pixels[y*len(row):])
	}
}
