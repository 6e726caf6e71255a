package pool

import (
	"encoding/binary"
	"fmt"
	"math"
	"math/bits"
	"slices"

	"github.com/ndpool/ndpool/arena/layout"
	"github.com/ndpool/ndpool/dtype"
	"github.com/ndpool/ndpool/internal/shm"
)

// meta is what an array is: a private copy, checked, of what a descriptor says. Local.
type meta struct {
	dt     dtype.Type
	bytes  uint64 // users' bytes
	header uint64 // bytes of the extent before them
	ndim   int
	flags  uint32
	dims   [layout.InlineDims]int // shape, if ndim is small
	more   []int                  // shape, if it is not
}

// shape returns the shape; the caller does not keep it.
func (m *meta) shape() []int {
	if m.more != nil {
		return m.more
	}
	return m.dims[:m.ndim]
}

func (m *meta) fortran() bool { return m.flags&layout.DescFortran != 0 }

// makeMeta checks a dtype and a shape and returns what an array of them is.
func makeMeta(m *meta, dt dtype.Type, shape []int, fortran bool) error {
	if !dt.IsValid() || len(shape) > layout.MaxDims {
		return specError(dt, shape)
	}
	n := uint64(dt.Size())
	for _, d := range shape {
		hi, lo := bits.Mul64(n, uint64(d))
		if d < 0 || hi != 0 || lo > math.MaxInt64 {
			return specError(dt, shape)
		}
		n = lo
	}
	m.dt, m.bytes, m.ndim = dt, n, len(shape)
	if fortran {
		m.flags = layout.DescFortran
	}
	if len(shape) > layout.InlineDims {
		m.more = slices.Clone(shape)
	} else {
		copy(m.dims[:], shape)
	}
	m.header = m.headerSize()
	return nil
}

//go:noinline
func specError(dt dtype.Type, shape []int) error {
	if !dt.IsValid() {
		return fmt.Errorf("allocate array: %w: the zero dtype is none", ErrSpec)
	}
	return fmt.Errorf("allocate array: %w: dtype %v, shape %v (dimensions are not negative, at most %d, and all bytes at most %d)",
		ErrSpec, dt, slices.Clone(shape), layout.MaxDims, math.MaxInt64)
}

// size returns the bytes that the block must have.
func (m *meta) size() uint64 { return m.header + m.bytes }

// headerSize returns the bytes before the users' ones: for the dimensions and the record that do not fit the descriptor.
// The users' bytes stay aligned: to a granule, and to a page where the block is large.
func (m *meta) headerSize() uint64 {
	if m.more == nil && !m.dt.IsStructured() {
		return 0
	}
	n := 8 + 16*uint64(m.ndim) + uint64(len(m.dt.Record()))
	if n+m.bytes > layout.MaxClassSize {
		return (n + layout.PageSize - 1) / layout.PageSize * layout.PageSize
	}
	return (n + layout.Granule - 1) / layout.Granule * layout.Granule
}

// write stores the metadata of a BUSY block of this process. Publishing the state comes later, so a death in between
// leaves metadata that nobody reads.
func (p *Pool) write(i int, m *meta) {
	d := p.desc(i)
	d.Header.Publish(uint32(m.header))
	d.DType.Publish(m.dt.Code())
	d.Bytes.Publish(m.bytes)
	d.NDim.Publish(uint32(m.ndim))
	d.Flags.Publish(m.flags)
	if m.header != 0 {
		p.writeHeader(i, m)
		return
	}
	if m.ndim == 1 {
		d.Shape[0].Publish(uint64(m.dims[0]))
		d.Strides[0].Publish(uint64(m.dt.Size()))
		return
	}
	strides(m.shape(), m.dt.Size(), m.fortran(), func(k, stride int) {
		d.Shape[k].Publish(uint64(m.dims[k]))
		d.Strides[k].Publish(uint64(stride))
	})
}

// strides tells each dimension's stride in bytes, for an array without gaps.
func strides(shape []int, size int, fortran bool, tell func(k, stride int)) {
	for n := range shape {
		k := n
		if !fortran {
			k = len(shape) - 1 - n
		}
		tell(k, size)
		size *= max(shape[k], 1)
	}
}

// writeHeader stores what does not fit the descriptor before the users' bytes: dimensions and bytes of the record (two
// 32-bit numbers), shape, strides (64-bit numbers), record.
func (p *Pool) writeHeader(i int, m *meta) {
	e, ok := p.extent(i)
	if !ok || m.header > e.Size() {
		return // a scribble; reading the array will say so
	}
	rec := m.dt.Record()
	b := make([]byte, 8+16*m.ndim, m.header)
	binary.LittleEndian.PutUint32(b, uint32(m.ndim))
	binary.LittleEndian.PutUint32(b[4:], uint32(len(rec)))
	strides(m.shape(), m.dt.Size(), m.fortran(), func(k, stride int) {
		binary.LittleEndian.PutUint64(b[8+8*k:], uint64(m.shape()[k]))
		binary.LittleEndian.PutUint64(b[8+8*(m.ndim+k):], uint64(stride))
	})
	shm.Copy(p.arena.Data(e.Offset(), m.header), append(b, rec...))
}

// read returns what block i is, with every number checked. Precondition: the caller holds the block, or looks again at
// its generation afterwards.
func (p *Pool) read(i int, m *meta) error {
	d := p.desc(i)
	e, ok := p.extent(i)
	if !ok {
		return p.corrupt(i, "extent", uint64(e), "within the data region")
	}
	code, ndim, flags := d.DType.Load(), d.NDim.Load(), d.Flags.Load()
	header, n := uint64(d.Header.Load()), d.Bytes.Load()
	switch {
	case flags&^layout.DescFlagsKnown != 0:
		return p.corrupt(i, "flags", flags, layout.DescFlagsKnown)
	case ndim > layout.MaxDims:
		return p.corrupt(i, "dimensions", ndim, layout.MaxDims)
	case header%layout.Granule != 0 || header > e.Size() || n > e.Size()-header:
		return p.corrupt(i, "header and bytes", fmt.Sprint(header, "+", n), e.Size())
	case header == 0 && ndim > layout.InlineDims:
		return p.corrupt(i, "dimensions without a header", ndim, layout.InlineDims)
	}
	*m = meta{bytes: n, header: header, ndim: int(ndim), flags: flags}
	if header != 0 {
		return p.readHeader(i, m, e, code)
	}
	dt, err := dtype.FromCode(code)
	if err != nil || dt.IsStructured() {
		return p.corrupt(i, "dtype", fmt.Sprintf("%#x", code), "a plain dtype")
	}
	m.dt = dt
	var st [layout.InlineDims]int
	for k := range m.ndim {
		m.dims[k], st[k] = int(d.Shape[k].Load()), int(d.Strides[k].Load())
	}
	return p.checkShape(i, m, st[:ndim])
}

// readHeader reads what lies before the users' bytes, from a private copy.
func (p *Pool) readHeader(i int, m *meta, e layout.Extent, code uint64) error {
	b := slices.Clone(p.arena.Data(e.Offset(), m.header))
	ndim, rec := binary.LittleEndian.Uint32(b), uint64(binary.LittleEndian.Uint32(b[4:]))
	if int(ndim) != m.ndim {
		return p.corrupt(i, "dimensions in the header", ndim, m.ndim)
	}
	at := 8 + 16*uint64(ndim)
	if at > m.header || rec > m.header-at || rec > layout.MaxRecord {
		return p.corrupt(i, "bytes of the record", rec, m.header)
	}
	var err error
	if rec != 0 {
		m.dt, err = dtype.FromRecord(b[at : at+rec])
	} else {
		m.dt, err = dtype.FromCode(code)
	}
	if err != nil || m.dt.Code() != code {
		return p.corrupt(i, "dtype", fmt.Sprintf("%#x, record %q", code, b[at:at+rec]), "a dtype that agrees")
	}
	words := make([]int, 2*ndim)
	for k := range words {
		words[k] = int(binary.LittleEndian.Uint64(b[8+8*k:]))
	}
	if ndim > layout.InlineDims {
		m.more = words[:ndim:ndim]
	} else {
		copy(m.dims[:], words[:ndim])
	}
	return p.checkShape(i, m, words[ndim:])
}

// checkShape tells whether shape and strides are those of an array without gaps that fills the users' bytes.
func (p *Pool) checkShape(i int, m *meta, got []int) error {
	want := meta{}
	if makeMeta(&want, m.dt, m.shape(), m.fortran()) != nil || want.bytes != m.bytes || want.header != m.header {
		return p.corrupt(i, "shape", fmt.Sprint(m.dt, m.shape(), " in ", m.bytes, " bytes, header ", m.header), "an array of so many bytes")
	}
	var err error
	strides(m.shape(), m.dt.Size(), m.fortran(), func(k, stride int) {
		if got[k] != stride && err == nil {
			err = p.corrupt(i, fmt.Sprint("stride ", k), got[k], stride)
		}
	})
	return err
}

//go:noinline
func (p *Pool) corrupt(i int, what string, got, want any) error {
	return &CorruptError{Desc: i, What: what, Got: got, Want: want}
}
