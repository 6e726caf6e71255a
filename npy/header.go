package npy

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"math/bits"
	"unicode/utf8"

	"github.com/ndpool/ndpool/dtype"
	"github.com/ndpool/ndpool/pool"
)

const (
	magic     = "\x93NUMPY"
	maxHeader = 1 << 20 // bytes of a header's text that are read; the largest type takes less
	maxDims   = 64      // dimensions of an array in a pool
	alignment = 64      // of the elements in a file
	prefixV1  = 10      // bytes of magic, version and length in version 1.0; the others have 2 more
	growth    = 21      // digits that numpy keeps room for in the dimension that grows when a file is appended to
)

// header is what a file says before the elements. Local.
type header struct {
	dt      dtype.Type
	shape   []int
	fortran bool
	size    int64 // bytes of the header itself
}

func prefixSize(version byte) int {
	if version == 1 {
		return prefixV1
	}
	return prefixV1 + 2
}

// readHeader reads up to the first element.
func readHeader(r io.Reader) (h header, err error) {
	var b [12]byte
	if err := readFull(r, b[:8], "magic"); err != nil {
		return h, err
	}
	if string(b[:6]) != magic {
		return h, &Error{What: "magic", Got: fmt.Sprintf("%q", b[:6]), Want: fmt.Sprintf("%q", magic), Err: ErrFormat}
	}
	v := b[6]
	if v < 1 || v > 3 || b[7] != 0 {
		return h, &Error{What: "version", Got: fmt.Sprintf("%d.%d", v, b[7]), Want: "1.0, 2.0 or 3.0", Err: ErrVersion}
	}
	prefix := prefixSize(v)
	if err := readFull(r, b[8:prefix], "length of the header"); err != nil {
		return h, err
	}
	length := binary.LittleEndian.Uint32(b[8:])
	if length > maxHeader {
		return h, &Error{What: "length of the header", Got: length, Want: fmt.Sprint("at most ", maxHeader), Err: ErrFormat}
	}
	text := make([]byte, length)
	if err := readFull(r, text, "header"); err != nil {
		return h, err
	}
	h.size = int64(prefix + len(text))
	return h, h.parse(text, v == 3)
}

// readFull fills b. What is missing is told as a truncated file.
func readFull(r io.Reader, b []byte, what string) error {
	n, err := io.ReadFull(r, b)
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return &Error{What: "bytes of the " + what, Got: n, Want: len(b), Err: ErrTruncated}
	}
	return err
}

// parse reads the dictionary. Each of its keys comes once, in any order.
func (h *header) parse(text []byte, utf bool) (err error) {
	if utf && !utf8.Valid(text) {
		return &Error{What: "header", Got: quoted(string(text)), Want: "UTF-8", Err: ErrFormat}
	}
	s := scanner{text: string(text)}
	if !utf {
		s.text = fromLatin1(text)
	}
	if err := s.want('{'); err != nil {
		return err
	}
	seen := map[string]bool{}
	for n := 0; ; n++ {
		more, err := s.next(n, '}')
		if err != nil {
			return err
		}
		if !more {
			break
		}
		key, err := s.str()
		if err != nil {
			return err
		}
		if seen[key] {
			return s.fail("no key twice before it")
		}
		seen[key] = true
		if err := h.value(&s, key); err != nil {
			return err
		}
	}
	if len(seen) != 3 {
		return s.fail("descr, fortran_order and shape before it")
	}
	return s.end()
}

// value reads the value of a key.
func (h *header) value(s *scanner, key string) (err error) {
	at := *s
	if err := s.want(':'); err != nil {
		return err
	}
	switch key {
	case "descr":
		h.dt, err = s.descr(1)
	case "fortran_order":
		h.fortran, err = s.word("True", "False")
	case "shape":
		h.shape, err = s.shape(maxDims, math.MaxInt)
	default:
		return at.fail("descr, fortran_order or shape before it")
	}
	return err
}

// data returns the bytes of all elements, false if no machine has so many.
func (h *header) data() (int64, bool) {
	n := uint64(h.dt.Size())
	for _, d := range h.shape {
		hi, lo := bits.Mul64(n, uint64(d))
		if hi != 0 || lo > math.MaxInt64 {
			return 0, false
		}
		n = lo
	}
	return int64(n), true
}

// fits compares what the header says with the bytes of the file.
func (h *header) fits(file int64) error {
	n, ok := h.data()
	switch got := file - h.size; {
	case !ok || got < n:
		return &Error{What: "bytes of the elements", Got: got, Want: fmt.Sprintf("shape %v of %d bytes each", h.shape, h.dt.Size()), Err: ErrTruncated}
	case got > n:
		return &Error{What: "bytes of the elements", Got: got, Want: n, Err: ErrTrailing}
	}
	return nil
}

// describe returns the header of an array, and whether its elements lie in memory as in the file.
func describe(a *pool.Array) (h header, whole bool) {
	h = header{dt: a.DType(), shape: a.Shape()}
	st := a.Strides()
	c, f := dense(h.shape, st, h.dt.Size(), false), dense(h.shape, st, h.dt.Size(), true)
	h.fortran = f && !c
	return h, c || f
}

// dense tells whether elements lie without gaps in one of the two orders. Dimensions of one element have no say.
func dense(shape, strides []int, size int, fortran bool) bool {
	for _, d := range shape {
		if d == 0 {
			return true
		}
	}
	for n := range shape {
		k := n
		if !fortran {
			k = len(shape) - 1 - n
		}
		if shape[k] != 1 && strides[k] != size {
			return false
		}
		size *= shape[k]
	}
	return true
}

// encode returns the header as numpy writes it, of the oldest version that can hold it.
func (h *header) encode() ([]byte, error) {
	b, err := appendDescr([]byte("{'descr': "), h.dt)
	if err != nil {
		return nil, err
	}
	b = fmt.Appendf(b, ", 'fortran_order': %s, 'shape': ", map[bool]string{true: "True", false: "False"}[h.fortran])
	b = append(appendTuple(b, h.shape), ", }"...)
	if n := len(h.shape); n > 0 {
		grows := h.shape[0]
		if h.fortran {
			grows = h.shape[n-1]
		}
		b = fmt.Appendf(b, "%*s", growth-len(fmt.Sprint(grows)), "")
	}
	text, latin := toLatin1(b)
	switch {
	case !latin:
		return wrap(b, 3)
	case headerSize(prefixV1, len(text))-prefixV1 < 1<<16:
		return wrap(text, 1)
	}
	return wrap(text, 2)
}

// headerSize returns where the elements begin: behind at least a newline, and always behind some padding.
func headerSize(prefix, text int) int { return (prefix+text+1)/alignment*alignment + alignment }

// wrap puts magic, version and length before a header's text, and pads it.
func wrap(text []byte, version byte) ([]byte, error) {
	prefix := prefixSize(version)
	size := headerSize(prefix, len(text))
	if size-prefix > maxHeader {
		return nil, &Error{What: "length of the header", Got: size - prefix, Want: fmt.Sprint("at most ", maxHeader), Err: ErrFormat}
	}
	b := append(make([]byte, 0, size), magic...)
	b = append(b, version, 0)
	b = binary.LittleEndian.AppendUint32(b, uint32(size-prefix))[:prefix]
	b = append(b, text...)
	for len(b) < size-1 {
		b = append(b, ' ')
	}
	return append(b, '\n'), nil
}

func fromLatin1(text []byte) string {
	b := make([]byte, 0, len(text))
	for _, c := range text {
		b = utf8.AppendRune(b, rune(c))
	}
	return string(b)
}

// toLatin1 returns a text in Latin-1, false if that has no letter for one of it.
func toLatin1(text []byte) ([]byte, bool) {
	b := make([]byte, 0, len(text))
	for _, r := range string(text) {
		if r > 0xff {
			return nil, false
		}
		b = append(b, byte(r))
	}
	return b, true
}
