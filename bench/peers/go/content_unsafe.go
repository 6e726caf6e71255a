package main

import (
	"fmt"
	"unsafe"

	"github.com/ndpool/ndpool/pool"
)

// content is what arrays are filled with: word k is k times it, and word 0 the number of the round.
const content = 0x9E3779B97F4A7C15

func words(x pool.Block) []uint64 { return asWords(x.Bytes()) }

// asWords is a block's memory, which is aligned to 64 bytes, as words.
func asWords(b []byte) []uint64 {
	return unsafe.Slice((*uint64)(unsafe.Pointer(unsafe.SliceData(b))), len(b)/8)
}

func newSource(size int) []uint64 {
	w := make([]uint64, size/8)
	for k := range w {
		w[k] = uint64(k) * content
	}
	return w
}

// sum is that of all words; a multiple of eight of them.
func sum(w []uint64) uint64 {
	var a, b, c, d uint64
	for ; len(w) >= 4; w = w[4:] {
		a += w[0]
		b += w[1]
		c += w[2]
		d += w[3]
	}
	return a + b + c + d
}

// readAll reads all, and fails if a word is not what was sent. It returns the low byte of word 0, which is the answer.
func readAll(w []uint64) (byte, error) {
	n := uint64(len(w))
	rest := n / 2 * (n - 1)
	if n%2 == 1 {
		rest = (n - 1) / 2 * n
	}
	if got, want := sum(w)-w[0], rest*content; got != want {
		return 0, fmt.Errorf("content: sum %x (want %x)", got, want)
	}
	return byte(w[0]), nil
}
