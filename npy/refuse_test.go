package npy_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ndpool/ndpool/dtype"
	"github.com/ndpool/ndpool/npy"
	"github.com/ndpool/ndpool/pool"
)

// file makes a file of version 1.0 of a header and elements.
func file(header string, elements int) []byte {
	b := append([]byte("\x93NUMPY\x01\x00"), 0, 0)
	binary.LittleEndian.PutUint16(b[8:], uint16(len(header)))
	return append(append(b, header...), make([]byte, elements)...)
}

func head(descr, shape string) string {
	return fmt.Sprintf("{'descr': %s, 'fortran_order': False, 'shape': %s, }\n", descr, shape)
}

func readAll(t *testing.T, p *pool.Pool, b []byte) error {
	t.Helper()
	a, err := npy.Read(bytes.NewReader(b), p)
	if err == nil {
		a.Release()
	}
	requireEmpty(t, p)
	return err
}

// TestOldHeaders reads what Python 2 and other writers made, and numpy reads.
func TestOldHeaders(t *testing.T) {
	p := newPool(t)
	for _, h := range []string{
		head("'<i2'", "(3,)"),
		"{'shape': (3L,), 'descr': u'<i2', 'fortran_order': True}",
		"  {\n\"shape\" : ( 3 , ) , \"descr\" : '=i2' , \"fortran_order\" : False }  \n\n",
		head("[('x', '|u1'), (u'y', '|u1')]", "(3,)"),
		head(`[('', '|V1'), ("it's", '|u1'),]`, "(3L,)"),
		head("'int16'", "(1, 3)"),
	} {
		require.NoError(t, readAll(t, p, file(h, 6)), h)
	}
}

func TestRefusedByTypes(t *testing.T) {
	p := newPool(t)
	want := map[string]error{"objects": dtype.ErrUnsupported, "titles": npy.ErrTitle, "objects in a field": dtype.ErrUnsupported, "long double": dtype.ErrUnsupported}
	for _, r := range loadVectors(t).Refused {
		require.ErrorIs(t, readAll(t, p, decode(t, r.File)), want[r.What], r.What)
	}
	require.ErrorContains(t, readAll(t, p, file(head("'|O'", "(3,)"), 0)), "a type without pointers")
}

func TestRefusedHeaders(t *testing.T) {
	p := newPool(t)
	deep := strings.Repeat("[('x', ", 9) + "'|u1'" + strings.Repeat(")]", 9)
	for h, want := range map[string]error{
		"":                                       npy.ErrFormat,
		"{}":                                     npy.ErrFormat,
		"[1]":                                    npy.ErrFormat,
		"{'a'}":                                  npy.ErrFormat,
		head("'<i2'", "(3)"):                     npy.ErrFormat,
		head("'<i2'", "(-3,)"):                   npy.ErrFormat,
		head("'<i2'", "(3, 3"):                   npy.ErrFormat,
		head("'<i2'", "[3]"):                     npy.ErrFormat,
		head("'<i2'", "(0x3,)"):                  npy.ErrFormat,
		head("'<i2'", "(3,), 'more': 1"):         npy.ErrFormat,
		head("'<i2'", "(3,), 'shape': (3,)"):     npy.ErrFormat,
		head("'<i2'", "(3,)") + "{":              npy.ErrFormat,
		head("'<i2'", "(99999999999999999999,)"): npy.ErrFormat,
		head("'<i2'", "("+strings.Repeat("1, ", 65)+")"):                         npy.ErrFormat,
		head("('<i2', (2,))", "(3,)"):                                            npy.ErrFormat,
		head(`'{"itemsize":1,"fields":[]}'`, "(3,)"):                             npy.ErrFormat,
		"{'descr': '<i2":                                                         npy.ErrFormat,
		head(`'\u12'`, "(3,)"):                                                   npy.ErrFormat,
		head(`'\ud800'`, "(3,)"):                                                 npy.ErrFormat,
		head(`[('x\q', '<i2')]`, "(3,)"):                                         npy.ErrFormat,
		head(deep, "(3,)"):                                                       npy.ErrFormat,
		head("[('x', '<i2', (2147483647, 2147483647))]", "(3,)"):                 npy.ErrFormat,
		head("[('x', '|V2147483647'), ('y', '<i2')]", "(3,)"):                    npy.ErrFormat,
		head("[(('t', 'x'), '<i2')]", "(3,)"):                                    npy.ErrTitle,
		head("'<q9'", "(3,)"):                                                    dtype.ErrInvalid,
		head("[('x', '<i2'), ('x', '<i2')]", "(3,)"):                             dtype.ErrInvalid,
		head("[('', '<i2')]", "(3,)"):                                            dtype.ErrInvalid,
		head("'<f16'", "(3,)"):                                                   dtype.ErrUnsupported,
		head("'<i2'", "(1048576, 1048576)"):                                      pool.ErrFull,
		head("'<i2'", "(9223372036854775807, 2)"):                                pool.ErrSpec,
		strings.Replace(head("'<i2'", "(3,)"), "False", "Falsely", 1):            npy.ErrFormat,
		strings.Replace(head("'<i2'", "(3,)"), "'fortran_order': False,", "", 1): npy.ErrFormat,
	} {
		err := readAll(t, p, file(h, 64))
		require.ErrorIs(t, err, want, h)
		require.Less(t, len(err.Error()), 400)
	}
}

func TestRefusedBytes(t *testing.T) {
	p := newPool(t)
	good := file(head("'<i2'", "(3,)"), 6)
	require.NoError(t, readAll(t, p, good))
	for n := range len(good) {
		require.ErrorIs(t, readAll(t, p, good[:n]), npy.ErrTruncated, n)
	}
	require.EqualError(t, readAll(t, p, good[:len(good)-2]), "npy: read: check bytes of the elements: got 4, expected 6: file is truncated")
	require.ErrorIs(t, readAll(t, p, append(good, 0)), npy.ErrTrailing)

	change := func(at int, c ...byte) []byte {
		b := bytes.Clone(good)
		copy(b[at:], c)
		return b
	}
	require.ErrorIs(t, readAll(t, p, []byte("PK\x03\x04 an archive")), npy.ErrFormat)
	require.ErrorIs(t, readAll(t, p, change(6, 4)), npy.ErrVersion)
	require.ErrorIs(t, readAll(t, p, change(7, 1)), npy.ErrVersion)
	require.ErrorIs(t, readAll(t, p, change(6, 2, 0, 0xff, 0xff, 0xff, 0x7f)), npy.ErrFormat, "a header of 2 GiB")
	v3 := append([]byte("\x93NUMPY\x03\x00\x02\x00\x00\x00"), "\xff\xff"...)
	require.ErrorIs(t, readAll(t, p, v3), npy.ErrFormat, "no UTF-8")
}

// broken is a file whose disk fails after some bytes.
type broken struct {
	r io.Reader
}

var errDisk = errors.New("disk on fire")

func (b broken) Read(p []byte) (int, error) {
	n, err := b.r.Read(p)
	if err == io.EOF {
		err = errDisk
	}
	return n, err
}

// TestErrorsOfTheReader wants them as they are, and nothing left behind, wherever they come.
func TestErrorsOfTheReader(t *testing.T) {
	p := newPool(t)
	good := file(head("'<i2'", "(3,)"), 6)
	for n := range len(good) + 1 {
		_, err := npy.Read(broken{bytes.NewReader(good[:n])}, p)
		require.ErrorIs(t, err, errDisk, n)
		requireEmpty(t, p)
	}
}

// full is a disk with room for so many bytes.
type full int

func (f *full) Write(p []byte) (int, error) {
	n := min(len(p), int(*f))
	*f -= full(n)
	if n < len(p) {
		return n, errDisk
	}
	return n, nil
}

func TestErrorsOfTheWriter(t *testing.T) {
	p := newPool(t)
	a := patterned(t, p, pool.Spec{DType: dtype.Int16, Shape: []int{4, 4}})
	defer a.Release()
	v, err := a.View(pool.Range{Start: 0, Stop: 4, Step: 2}, pool.Range{Start: 0, Stop: 4, Step: 2})
	require.NoError(t, err)
	defer v.Release()
	for _, x := range []*pool.Array{a, v} {
		room := full(128 + x.Size())
		require.NoError(t, npy.Write(&room, x))
		for n := range 128 + x.Size() {
			room = full(n)
			require.ErrorIs(t, npy.Write(&room, x), errDisk, n)
		}
	}
}
