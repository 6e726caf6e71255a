package main

import (
	"encoding/binary"

	"github.com/ndpool/ndpool/handle"
	"github.com/ndpool/ndpool/pool"
)

// The content of an array follows from its handle: the word at byte i is the handle plus i times a constant, little-endian, and
// the last one may be cut off. It is that of the block, whatever the elements are, so that views can be checked, too.

const patternStep = 0x9e3779b97f4a7c15

func patternWord(seed uint64, i int) uint64 { return seed + uint64(i&^7)*patternStep }

func patternByte(seed uint64, i int) byte { return byte(patternWord(seed, i) >> (8 * (i & 7))) }

// fillBytes writes the pattern of a seed.
func fillBytes(b []byte, seed uint64) {
	i := 0
	for ; i+8 <= len(b); i += 8 {
		binary.LittleEndian.PutUint64(b[i:], patternWord(seed, i))
	}
	for ; i < len(b); i++ {
		b[i] = patternByte(seed, i)
	}
}

// checkBytes compares bytes that lie at a place of the block with the pattern of a seed, and tells the first that differs.
func checkBytes(b []byte, seed uint64, place int) (at int, ok bool) {
	i := 0
	for ; i < len(b) && (place+i)&7 != 0; i++ {
		if b[i] != patternByte(seed, place+i) {
			return i, false
		}
	}
	for ; i+8 <= len(b); i += 8 {
		if binary.LittleEndian.Uint64(b[i:]) != patternWord(seed, place+i) {
			break
		}
	}
	for ; i < len(b); i++ {
		if b[i] != patternByte(seed, place+i) {
			return i, false
		}
	}
	return 0, true
}

// fill writes the pattern that follows from the array's handle.
func fill(a *pool.Array) {
	b, err := a.Bytes()
	if err != nil {
		panic(err)
	}
	fillBytes(b, uint64(a.Handle()))
}

// check compares an array, or a view, with the pattern that follows from its handle.
func check(a *pool.Array) error { return checkAs(a, a.Handle()) }

// checkAs compares an array with the pattern of a handle, which may be another one's.
func checkAs(a *pool.Array, h handle.Handle) error {
	if a.IsView() {
		return checkView(a, h)
	}
	b, err := a.Bytes()
	if err != nil {
		return err
	}
	return checkRun(a, b, h, 0)
}

func checkRun(a *pool.Array, b []byte, h handle.Handle, place int) error {
	if i, ok := checkBytes(b, uint64(h), place); !ok {
		return faultf("array %v, %v %v: byte %d of %d at byte %d of the block: got %#x, expected %#x", a.Handle(), a.DType(), a.Shape(), i, len(b), place+i,
			b[i], patternByte(uint64(h), place+i))
	}
	return nil
}

// checkView compares the runs of a view, each at the place in the block that the index of its first element has.
func checkView(a *pool.Array, h handle.Handle) error {
	shape, size, n := a.Shape(), a.DType().Size(), 0
	for run := range a.Runs() {
		if err := checkRun(a, run, h, a.Index(unravel(n, shape)...)); err != nil {
			return err
		}
		n += len(run) / size
	}
	if n != a.Len() {
		return faultf("view %v of %v: runs have %d of %d elements", a.Shape(), a.Handle(), n, a.Len())
	}
	return nil
}

// unravel returns the index of element n of a shape, in C order.
func unravel(n int, shape []int) []int {
	index := make([]int, len(shape))
	for k := len(shape) - 1; k >= 0; k-- {
		index[k] = n % shape[k]
		n /= shape[k]
	}
	return index
}
