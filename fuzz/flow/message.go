package main

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"math/rand/v2"

	"golang.org/x/sys/unix"

	"github.com/ndpool/ndpool/dtype"
)

// errFound is wrapped by what flow looks for: a torn frame, a lost item, a wait that does not end.
var errFound = errors.New("found")

func found(format string, args ...any) error {
	return fmt.Errorf("%w: %s", errFound, fmt.Sprintf(format, args...))
}

// message is the head of each frame and each item: 64 bytes, little-endian. What follows is words that count up from a number
// that depends on the maker, so that two messages never have the same bytes at the same place. worker.py makes the same.
type message struct {
	Magic  uint64
	Who    uint64 // number of the process that made it
	Number uint64 // counts from 1 for each maker
	Bytes  uint64 // of all of it
	Stamp  uint64 // CLOCK_MONOTONIC when it was made, nanoseconds
	Flags  uint64
	Ring   uint64 // hash of the ring's path
	Hash   uint64 // crc32 of all other bytes
}

const (
	magic    = 0x31776f6c6670646e // "ndpflow1"
	headSize = 64
	hashAt   = headSize - 8
	maxBytes = 8 << 20

	flagAttributed = 1 // the frame has attributes
)

// write fills b, whose length is a multiple of 8, with the message and its body. It returns the hash.
func (m message) write(b []byte) uint64 {
	m.Magic, m.Bytes, m.Stamp = magic, uint64(len(b)), uint64(now())
	first := m.Who<<40 + m.Number<<20
	for i := headSize; i < len(b); i += 8 {
		binary.LittleEndian.PutUint64(b[i:], first+uint64(i))
	}
	for i, x := range []uint64{m.Magic, m.Who, m.Number, m.Bytes, m.Stamp, m.Flags, m.Ring} {
		binary.LittleEndian.PutUint64(b[8*i:], x)
	}
	h := hashOf(b)
	binary.LittleEndian.PutUint64(b[hashAt:], h)
	return h
}

// read checks all bytes of a message.
func read(b []byte, ring string) (m message, err error) {
	if len(b) < headSize {
		return m, found("message of %d bytes", len(b))
	}
	if _, err := binary.Decode(b, binary.LittleEndian, &m); err != nil {
		return m, err
	}
	h := hashOf(b)
	switch {
	case m.Magic != magic || m.Bytes != uint64(len(b)):
		return m, found("message of %d bytes: its head says %+v", len(b), m)
	case m.Hash != h:
		return m, found("torn: process %d, number %d, %d bytes: hash %#x, expected %#x", m.Who, m.Number, m.Bytes, h, m.Hash)
	case m.Ring != ringHash(ring):
		return m, found("message of another ring than %s: %+v", ring, m)
	}
	return m, nil
}

func hashOf(b []byte) uint64 {
	return uint64(crc32.Update(crc32.ChecksumIEEE(b[:hashAt]), crc32.IEEETable, b[headSize:]))
}

func ringHash(path string) uint64 { return uint64(crc32.ChecksumIEEE([]byte(path))) }

// now is CLOCK_MONOTONIC, which all processes share, in nanoseconds.
func now() int64 {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts); err != nil {
		panic(err)
	}
	return ts.Nano()
}

var types = []dtype.Type{dtype.Uint8, dtype.Int16, dtype.Float32, dtype.Float64, dtype.Uint64, dtype.Complex128}

// form returns a random element type and a shape for it: from 64 bytes to 8 MiB, small ones more often.
func form(rng *rand.Rand, most int) (dtype.Type, []int) {
	t := types[rng.IntN(len(types))]
	size := headSize << min(rng.IntN(18), rng.IntN(18))
	rows := (1 + rng.IntN(min(size, most)/headSize))
	cols := headSize / t.Size()
	switch rng.IntN(4) {
	case 0:
		return t, []int{rows * cols}
	case 1:
		return t, []int{rows, cols}
	case 2:
		return t, []int{1, rows, 2, cols / 2}
	}
	return t, []int{rows, 1, cols}
}

// decode lays a message's bytes out as a structure.
func decode(b []byte, x any) {
	if _, err := binary.Decode(b, binary.LittleEndian, x); err != nil {
		panic(err)
	}
}
