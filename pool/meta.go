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

// meta is what an array is beside its shape: a private copy, checked, of what a descriptor says. Local. The shape goes
// beside it, not in it, because the compiler would then put every caller's shape on the heap.
type meta struct {
	dt     dtype.Type
	ndim   int
	bytes  uint64 // users' bytes
	header uint64 // bytes of the extent before them
	flags  uint32 // layout.Desc*
}

// shapeBuf is where a shape lies that was read, if it is short.
type shapeBuf [layout.InlineDims]int

func (m *meta) fortran() bool { return m.flags&layout.DescFortran != 0 }

// makeMeta checks a dtype and a shape and returns what an array of them is.
func makeMeta(dt dtype.Type, shape []int, fortran bool) (meta, error) {
	if !dt.IsValid() || len(shape) > layout.MaxDims {
		return meta{}, specError(dt, shape)
	}
	n := uint64(dt.Size())
	for _, d := range shape {
		hi, lo := bits.Mul64(n, uint64(d))
		if d < 0 || hi != 0 || lo > math.MaxInt64 {
			return meta{}, specError(dt, shape)
		}
		n = lo
	}
	m := meta{dt: dt, bytes: n, ndim: len(shape)}
	if fortran {
		m.flags = layout.DescFortran
	}
	m.header = m.headerSize()
	return m, nil
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
	if m.ndim <= layout.InlineDims && !m.dt.IsStructured() {
		return 0
	}
	n := 8 + 16*uint64(m.ndim) + uint64(m.dt.RecordSize())
	if n+m.bytes > layout.MaxClassSize {
		return (n + layout.PageSize - 1) / layout.PageSize * layout.PageSize
	}
	return (n + layout.Granule - 1) / layout.Granule * layout.Granule
}

// write stores the metadata of a BUSY block of this process. Publishing the state comes later, so a death in between
// leaves metadata that nobody reads.
func (p *Pool) write(i int, m *meta, shape []int) {
	d := p.desc(i)
	d.Header.Publish(uint32(m.header))
	d.DType.Publish(m.dt.Code())
	d.Bytes.Publish(m.bytes)
	d.NDim.Publish(uint32(m.ndim))
	d.Flags.Publish(m.flags)
	if m.header != 0 {
		p.writeHeader(i, m, shape)
		return
	}
	stride := m.dt.Size()
	for n := range shape {
		k := axis(n, len(shape), m.fortran())
		d.Dims[k].Len.Publish(uint64(shape[k]))
		d.Dims[k].Stride.Publish(uint64(stride))
		stride *= max(shape[k], 1)
	}
}

// axis returns the dimension whose elements lie n-th closest together, of dims dimensions.
func axis(n, dims int, fortran bool) int {
	if fortran {
		return n
	}
	return dims - 1 - n
}

// stridesOf fills in the strides, in bytes, of an array without gaps, and returns them.
func stridesOf(st []int, shape []int, size int, fortran bool) []int {
	for n := range shape {
		k := axis(n, len(shape), fortran)
		st[k] = size
		size *= max(shape[k], 1)
	}
	return st
}

// writeHeader stores what does not fit the descriptor before the users' bytes: dimensions and bytes of the record (two
// 32-bit numbers), shape, strides (64-bit numbers), record.
func (p *Pool) writeHeader(i int, m *meta, shape []int) {
	e, ok := p.extent(i)
	if !ok || m.header > e.Size() {
		return // a scribble; reading the array will say so
	}
	b := make([]byte, 0, m.header)
	b = binary.LittleEndian.AppendUint32(b, uint32(m.ndim))
	b = binary.LittleEndian.AppendUint32(b, uint32(m.dt.RecordSize()))
	for _, n := range shape {
		b = binary.LittleEndian.AppendUint64(b, uint64(n))
	}
	for _, n := range stridesOf(make([]int, m.ndim), shape, m.dt.Size(), m.fortran()) {
		b = binary.LittleEndian.AppendUint64(b, uint64(n))
	}
	shm.Copy(p.arena.Data(e.Offset(), m.header), m.dt.AppendRecord(b))
}

// read returns what array block i is, with every number checked; a short shape lies in buf. A ring is none: it fails with ErrKind. Precondition:
// the caller holds the block: there may be no memory behind the bytes of another one.
func (p *Pool) read(i int, buf *shapeBuf) (m meta, shape []int, err error) {
	m, shape, err = p.readBlock(i, buf)
	if err == nil && m.flags&layout.DescRing != 0 {
		err = errRing
	}
	return m, shape, err
}

// readBlock is read, and does not refuse a ring, which is bytes in one dimension.
func (p *Pool) readBlock(i int, buf *shapeBuf) (m meta, shape []int, err error) {
	d := p.desc(i)
	e, ok := p.extent(i)
	if !ok {
		return m, nil, p.corrupt(i, "extent", uint64(e), "within the data region")
	}
	code, ndim, flags := d.DType.Load(), d.NDim.Load(), d.Flags.Load()
	header, n := uint64(d.Header.Load()), d.Bytes.Load()
	switch {
	case flags&^layout.DescFlagsKnown != 0:
		return m, nil, p.corrupt(i, "flags", flags, layout.DescFlagsKnown)
	case ndim > layout.MaxDims:
		return m, nil, p.corrupt(i, "dimensions", ndim, layout.MaxDims)
	case header%layout.Granule != 0 || header > e.Size() || n > e.Size()-header:
		return m, nil, p.corrupt(i, "header and bytes", fmt.Sprint(header, "+", n), e.Size())
	case header == 0 && ndim > layout.InlineDims:
		return m, nil, p.corrupt(i, "dimensions without a header", ndim, layout.InlineDims)
	}
	m = meta{ndim: int(ndim), bytes: n, header: header, flags: flags}
	if header != 0 {
		return p.readHeader(i, m, e, code)
	}
	if m.dt, err = dtype.FromCode(code); err != nil {
		return m, nil, p.corrupt(i, "dtype", fmt.Sprintf("%#x", code), err)
	}
	shape = buf[:ndim]
	var st shapeBuf
	for k := range shape {
		shape[k], st[k] = int(d.Dims[k].Len.Load()), int(d.Dims[k].Stride.Load())
	}
	return m, shape, p.checkShape(i, &m, shape, st[:ndim])
}

// readHeader reads what lies before the users' bytes, from a private copy.
func (p *Pool) readHeader(i int, m meta, e layout.Extent, code uint64) (meta, []int, error) {
	b := slices.Clone(p.arena.Data(e.Offset(), m.header))
	ndim, rec := binary.LittleEndian.Uint32(b), uint64(binary.LittleEndian.Uint32(b[4:]))
	if int(ndim) != m.ndim {
		return m, nil, p.corrupt(i, "dimensions in the header", ndim, m.ndim)
	}
	at := 8 + 16*uint64(ndim)
	if at > m.header || rec > m.header-at || rec > layout.MaxRecord {
		return m, nil, p.corrupt(i, "bytes of the record", rec, m.header)
	}
	var err error
	if m.dt, err = dtype.FromStored(code, b[at:at+rec]); err != nil {
		return m, nil, p.corrupt(i, "dtype", fmt.Sprintf("%#x, record %q", code, b[at:at+rec]), err)
	}
	words := make([]int, 2*ndim)
	for k := range words {
		words[k] = int(binary.LittleEndian.Uint64(b[8+8*k:]))
	}
	shape := words[:ndim:ndim]
	return m, shape, p.checkShape(i, &m, shape, words[ndim:])
}

// checkShape tells whether shape and strides are those of an array without gaps that fills the users' bytes.
func (p *Pool) checkShape(i int, m *meta, shape, got []int) error {
	want, err := makeMeta(m.dt, shape, m.fortran())
	if err != nil || want.bytes != m.bytes || want.header != m.header {
		return p.corrupt(i, "shape", fmt.Sprint(m.dt, slices.Clone(shape), " in ", m.bytes, " bytes, header ", m.header), "an array of so many bytes")
	}
	stride := m.dt.Size()
	for n := range shape {
		k := axis(n, len(shape), m.fortran())
		if got[k] != stride {
			return p.corrupt(i, fmt.Sprint("stride ", k), got[k], stride)
		}
		stride *= max(shape[k], 1)
	}
	return nil
}

//go:noinline
func (p *Pool) corrupt(i int, what string, got, want any) error {
	return &CorruptError{Desc: i, What: what, Got: got, Want: want}
}
