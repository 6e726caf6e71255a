package pool

import (
	"fmt"

	"github.com/ndpool/ndpool/arena/layout"
	"github.com/ndpool/ndpool/dtype"
	"github.com/ndpool/ndpool/handle"
)

// Block is one reference to raw bytes in the pool: a value without anything on the Go heap, for those who allocate so often
// that an *Array is too much. Others see it as an array of bytes. It must be released once.
type Block struct {
	pool *Pool
	desc uint32
	gen  uint32
}

// AllocBlock returns n bytes with undefined content.
func (p *Pool) AllocBlock(n int) (Block, error) {
	if n < 0 {
		return Block{}, fmt.Errorf("allocate block: %w: %d bytes", ErrSpec, n)
	}
	m := meta{dt: dtype.Uint8, bytes: uint64(n), ndim: 1}
	i, err := p.take(&m, []int{n})
	if err != nil {
		return Block{}, err
	}
	return Block{pool: p, desc: uint32(i), gen: p.gen(i)}, nil
}

// Bytes returns the block's memory, not to be used after Release.
func (b Block) Bytes() []byte {
	mem, err := b.bytes()
	if err != nil {
		panic(err.Error())
	}
	return mem
}

// bytes is Bytes, and fails where the segment is damaged.
func (b Block) bytes() ([]byte, error) {
	p, i := b.pool, int(b.desc)
	e := layout.Extent(p.desc(i).Extent.Load())
	n := p.desc(i).Bytes.Load()
	if !e.Valid(p.pages) || n > e.Size() {
		return nil, p.corrupt(i, "extent", uint64(e), n)
	}
	return p.arena.Data(e.Offset(), n), nil
}

// Handle returns the block's handle: see Array.Handle.
func (b Block) Handle() handle.Handle { return b.pool.share(int(b.desc)) }

// Send opens a transfer of the block: see Array.Send.
func (b Block) Send() (handle.Transfer, error) { return b.pool.send(int(b.desc), 0) }

// SendTo opens a transfer to one process: see Array.SendTo.
func (b Block) SendTo(to ProcessID) (handle.Transfer, error) { return b.pool.send(int(b.desc), to) }

// AdoptBlock takes a transfer as raw bytes: see Pool.Adopt.
func (p *Pool) AdoptBlock(t handle.Transfer) (Block, error) {
	var buf shapeBuf
	i, _, _, err := p.adopt(t, &buf)
	if err != nil {
		return Block{}, err
	}
	return Block{pool: p, desc: uint32(i), gen: t.Handle.Generation()}, nil
}

// Release ends this reference: see Array.Release. Releasing twice panics if it is noticed: when nobody in this process
// holds the block any more, or it is in another generation.
func (b Block) Release() {
	if b.pool.gen(int(b.desc)) != b.gen {
		panic("pool: Release of a released block")
	}
	b.pool.drop(int(b.desc))
}

// end is Release for the library's own blocks, which are never released twice: a forged generation is no reason to panic.
func (b Block) end() { b.pool.drop(int(b.desc)) }
