// Mosaic is the worker of main.py, which lies beside it: a Python program gives tiles of a photograph to Go processes.
//
// It reads messages of package handle from its standard input, each of a view of the photograph; makes each block of 16 x
// 16 pixels one colour, in a new array; and writes the transfer of that, 16 bytes, to its standard output. The first that
// it writes are 8 bytes, its number in the pool. It leaves when its input ends.
package main

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strconv"

	"github.com/ndpool/ndpool/dtype"
	"github.com/ndpool/ndpool/handle"
	"github.com/ndpool/ndpool/pool"
)

// What main.py sets: the descriptor of the pool, and the parent's number in it.
const (
	poolEnv   = "NDPOOL_MOSAIC_POOL"
	parentEnv = "NDPOOL_MOSAIC_PARENT"
)

const (
	block    = 16 // pixels in width and height
	channels = 3
)

func main() {
	signal.Ignore(os.Interrupt) // Ctrl-C goes to all processes of a terminal; the parent decides what it means
	if err := work(os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "mosaic:", err)
		os.Exit(1)
	}
	os.Exit(0)
}

func work(in io.Reader, out io.Writer) error {
	fd, err := strconv.Atoi(os.Getenv(poolEnv))
	if err != nil {
		return errors.New("this is a worker: start examples/mosaic/main.py")
	}
	parent, err := strconv.ParseUint(os.Getenv(parentEnv), 10, 64)
	if err != nil {
		return err
	}
	p, err := pool.Open("", pool.Options{File: os.NewFile(uintptr(fd), "pool")})
	if err != nil {
		return err
	}
	defer p.Close()
	if _, err := out.Write(binary.LittleEndian.AppendUint64(nil, uint64(p.Self()))); err != nil {
		return err
	}
	messages := handle.NewDecoder(in)
	for {
		m, err := messages.Decode()
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			return nil
		} else if err != nil {
			return err
		}
		t, err := answer(p, m, pool.ProcessID(parent))
		if err != nil {
			return err
		}
		b, _ := t.MarshalBinary() // never fails
		if _, err := out.Write(b); err != nil {
			return err
		}
	}
}

// answer makes the mosaic of one tile. Only the parent can adopt it; should this process die before it has told the
// parent, the parent refuses it.
func answer(p *pool.Pool, m handle.Message, parent pool.ProcessID) (t handle.Transfer, err error) {
	tile, err := p.Receive(m, pool.ReadOnly(true))
	if err != nil {
		return t, err
	}
	defer tile.Release()
	shape := tile.Shape()
	if len(shape) != 3 || shape[0]%block != 0 || shape[1]%block != 0 || shape[2] != channels {
		return t, fmt.Errorf("tile of shape %v, expected multiples of %d and %d channels", shape, block, channels)
	}
	src, err := rows(tile)
	if err != nil {
		return t, err
	}
	result, err := p.Alloc(dtype.Uint8, shape...)
	if err != nil {
		return t, err
	}
	defer result.Release() // from SendTo on, the transfer keeps it alive
	dst, err := rows(result)
	if err != nil {
		return t, err
	}
	mosaic(dst, src)
	return result.SendTo(parent)
}

// rows returns the rows of an array, which may be used until it is released.
func rows(a *pool.Array) ([][]uint8, error) {
	each, err := pool.Rows[uint8](a, 2)
	if err != nil {
		return nil, err
	}
	return slices.Collect(each), nil
}

// mosaic gives all pixels of each block their mean.
func mosaic(dst, src [][]uint8) {
	for y := 0; y < len(src); y += block {
		for x := 0; x < len(src[y]); x += block * channels {
			mean := meanOf(src[y:][:block], x)
			for _, row := range dst[y:][:block] {
				for i := range block {
					copy(row[x+i*channels:], mean[:])
				}
			}
		}
	}
}

// meanOf returns the mean of the block that begins at a byte of some rows, rounded half up.
func meanOf(rows [][]uint8, x int) (mean [channels]uint8) {
	var sum [channels]uint32
	for _, row := range rows {
		for pixels := row[x:][:block*channels]; len(pixels) > 0; pixels = pixels[channels:] {
			sum[0] += uint32(pixels[0])
			sum[1] += uint32(pixels[1])
			sum[2] += uint32(pixels[2])
		}
	}
	for c, s := range sum {
		mean[c] = uint8((s + block*block/2) / (block * block))
	}
	return mean
}
