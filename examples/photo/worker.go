package main

import (
	"encoding/binary"
	"errors"
	"fmt"
	"image"
	"io"
	"os"
	"os/signal"
	"slices"
	"strconv"

	"github.com/ndpool/ndpool/dtype"
	"github.com/ndpool/ndpool/handle"
	"github.com/ndpool/ndpool/pool"
)

// workerEnv is set in worker processes, to the number that the parent has in the pool.
const workerEnv = "NDPOOL_PHOTO_WORKER"

// poolFD is the descriptor under which a worker finds the pool.
const poolFD = 3

// transport is how tiles travel.
type transport uint32

const (
	byHandle     transport = iota // a job is followed by a message, a result is a transfer
	throughPipes                  // a job is followed by the pixels of the halo, a result is pixels
)

func (t transport) String() string { return [...]string{"by handle", "through pipes"}[t] }

// job is what a worker reads first: all that there is to know about a tile but its pixels. The weights follow, then a
// message or pixels. Workers in Go and in Python get the same bytes.
type job struct {
	How           transport
	Width, Height uint32 // of the halo
	X0, Y0        uint32 // of the area, in the halo
	X1, Y1        uint32
	Amount        int32  // of the filter
	Weights       uint32 // how many there are, of 4 bytes each
}

func (j *job) area() image.Rectangle {
	return image.Rect(int(j.X0), int(j.Y0), int(j.X1), int(j.Y1))
}

// workerMain serves the parent until it closes the pipe or dies, which looks the same: then what this process holds is
// let go by Close or, if it is killed, by whoever sweeps next.
func workerMain() error {
	signal.Ignore(os.Interrupt) // Ctrl-C goes to all processes of a terminal; the parent decides what it means
	parent, err := strconv.ParseUint(os.Getenv(workerEnv), 10, 64)
	if err != nil {
		return err
	}
	p, err := pool.Open("", pool.Options{File: os.NewFile(poolFD, "pool")})
	if err != nil {
		return err
	}
	defer p.Close()
	hello := binary.LittleEndian.AppendUint64(nil, uint64(p.Self()))
	if _, err := os.Stdout.Write(hello); err != nil {
		return err
	}
	w := workbench{pool: p, parent: pool.ProcessID(parent), in: handle.NewDecoder(os.Stdin)}
	for {
		j, err := w.next()
		if err == nil && j.How == byHandle {
			err = w.byHandle(j)
		} else if err == nil {
			err = w.throughPipes(j)
		}
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("photo worker: %w", err)
		}
	}
}

// workbench is what a worker has. Local.
type workbench struct {
	pool   *pool.Pool
	parent pool.ProcessID
	in     *handle.Decoder // reads from standard input exactly one message at a time
	filter filter          // of the present job
	pixels []uint8         // for pixels from pipes, reused
	result []uint8
}

// next reads a job and its filter.
func (w *workbench) next() (*job, error) {
	var j job
	if err := binary.Read(os.Stdin, binary.LittleEndian, &j); err != nil {
		return nil, err
	}
	half := make([]uint32, j.Weights)
	if err := binary.Read(os.Stdin, binary.LittleEndian, half); err != nil {
		return nil, err
	}
	w.filter = filterOf(half, j.Amount)
	return &j, nil
}

// byHandle filters a view of the photograph into a new array, and sends that.
//
// The result is directed at the parent. If this process dies before it has told the parent, the transfer stays, and the
// parent finds it when it buries us; if the parent dies, the transfer dies with it.
func (w *workbench) byHandle(j *job) error {
	m, err := w.in.Decode()
	if err != nil {
		return err
	}
	photo, rows, err := w.receive(m)
	if err != nil {
		return err
	}
	defer photo.Release()
	area := j.area()
	result, err := w.pool.Alloc(dtype.Uint8, area.Dy(), area.Dx(), channels)
	if err != nil {
		return err
	}
	defer result.Release() // from SendTo on, the transfer keeps it alive
	pixels, err := pool.Slice[uint8](result)
	if err != nil {
		return err
	}
	w.filter.apply(pixels, rows, area)
	t, err := result.SendTo(w.parent)
	if err != nil {
		return err
	}
	b, _ := t.MarshalBinary() // never fails
	_, err = os.Stdout.Write(b)
	return err
}

// receive takes the tile of a message, and returns its rows, which may be used until the tile is released.
func (w *workbench) receive(m handle.Message) (tile *pool.Array, rows [][]uint8, err error) {
	tile, err = w.pool.Receive(m, pool.ReadOnly(true)) // a defect in the filter faults here, and harms nobody
	if err != nil {
		return nil, nil, err
	}
	each, err := pool.Rows[uint8](tile, 2)
	if err != nil {
		tile.Release()
		return nil, nil, err
	}
	return tile, slices.Collect(each), nil
}

// throughPipes does the same with the pixels in pipes, for comparison: they are read into memory of this process, and
// the result is written from there.
func (w *workbench) throughPipes(j *job) error {
	stride, area := int(j.Width)*channels, j.area()
	w.pixels = sized(w.pixels, stride*int(j.Height))
	w.result = sized(w.result, area.Dx()*area.Dy()*channels)
	if _, err := io.ReadFull(os.Stdin, w.pixels); err != nil {
		return err
	}
	rows := make([][]uint8, j.Height)
	for y := range rows {
		rows[y] = w.pixels[y*stride:][:stride]
	}
	w.filter.apply(w.result, rows, area)
	_, err := os.Stdout.Write(w.result)
	return err
}

// sized returns a buffer of n bytes, the same one if it is large enough.
func sized(b []uint8, n int) []uint8 {
	if cap(b) < n {
		b = make([]uint8, n)
	}
	return b[:n]
}
