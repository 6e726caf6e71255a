package pool

import (
	"bytes"
	"errors"
	"fmt"
	"slices"

	"github.com/cespare/xxhash/v2"

	"github.com/ndpool/ndpool/arena"
	"github.com/ndpool/ndpool/arena/layout"
	"github.com/ndpool/ndpool/catalog"
)

// hash checks the content of a sealed array.
func (c *checker) hash(i int, place string, m *meta) {
	e, ok := c.pool.extent(i)
	if !ok || m.size() > e.Size() {
		return // another one than a moment ago; said already, or looked at again
	}
	got, want := xxhash.Sum64(c.a.Data(e.Offset()+m.header, m.bytes)), c.pool.desc(i).Hash.Load()
	if got != want {
		c.fault("content", place, fmt.Sprintf("%#x", want), fmt.Sprintf("%#x", got))
	}
}

// unused checks in a copy that nothing was written where nothing belongs: between the tables, and in the entries of
// the catalog and the descriptors that have no memory yet. In a live segment reading these places would put memory behind them.
func (c *checker) unused() {
	g, end := &c.a.Geo, uint64(layout.SuperblockSize)
	for kind := layout.RegionControl; kind <= layout.RegionCount; kind++ {
		r := g.Regions[kind]
		c.zeroBytes(end, r.Offset)
		end = r.Offset + r.Size
		switch kind {
		case layout.RegionNames:
			end = r.Offset + uint64(catalog.New(c.a, nil, nil).Committed())*layout.NameSize
		case layout.RegionDescs:
			end = r.Offset + uint64(c.pool.descs())*layout.DescSize
		}
	}
}

// zeroBytes tells the first byte of a range of the file that is not zero.
func (c *checker) zeroBytes(from, to uint64) {
	var zero [layout.PageSize]byte
	for b := c.a.Image()[from:to]; len(b) > 0; {
		n := min(len(b), len(zero))
		if !bytes.Equal(b[:n], zero[:n]) {
			off := slices.IndexFunc(b[:n], func(x byte) bool { return x != 0 })
			c.fault("reserved", fmt.Sprintf("byte %d of the file", to-uint64(len(b)-off)), 0, b[off])
			return
		}
		b = b[n:]
	}
}

func asFormat(err error, to **arena.FormatError) bool { return errors.As(err, to) }
