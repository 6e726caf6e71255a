package main

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/ndpool/ndpool/dtype"
	"github.com/ndpool/ndpool/pool"
)

// Bounds of a preview, as numpy's: beyond threshold elements each dimension shows its first and last few. budget bounds
// what many dimensions can still make of that.
const (
	threshold = 1000
	edge      = 3
	budget    = 4000
)

// printer writes an array's elements the way numpy does. It goes over the array twice: first it collects the elements'
// texts, then it writes them, numbers as wide as the widest.
type printer struct {
	info    pool.ArrayInfo
	strides []int
	cut     bool
	read    func(off, n int) ([]byte, error)
	element func(b []byte) string
	texts   []string
	next    int
	out     strings.Builder
	err     error
}

// preview returns an array's content, or its corners, as text. read returns bytes of the array.
func preview(info pool.ArrayInfo, read func(off, n int) ([]byte, error)) (string, error) {
	n := 1
	for _, d := range info.Shape {
		n *= d
	}
	if n == 0 {
		return "[] (no elements)", nil
	}
	p := &printer{info: info, cut: n > threshold, read: read, element: formatter(info.DType), strides: make([]int, len(info.Shape))}
	step := info.DType.Size()
	for i := range info.Shape {
		k := i
		if !info.Fortran {
			k = len(info.Shape) - 1 - i
		}
		p.strides[k] = step
		step *= info.Shape[k]
	}
	p.collect(0, 0)
	if p.err != nil {
		return "", p.err
	}
	width := 0
	if k := info.DType.Kind(); k != dtype.KindBytes && k != dtype.KindUnicode && k != dtype.KindVoid {
		for _, t := range p.texts {
			width = max(width, len(t))
		}
	}
	p.write(0, width, "")
	return p.out.String(), nil
}

// each calls f for every index of dimension k that is shown, and gap where others are left out.
func (p *printer) each(k int, f func(i int), gap func()) {
	n := p.info.Shape[k]
	if !p.cut || n <= 2*edge {
		for i := range n {
			f(i)
		}
		return
	}
	for i := range edge {
		f(i)
	}
	gap()
	for i := n - edge; i < n; i++ {
		f(i)
	}
}

// collect gathers the texts of the elements from dimension k on, at byte off, until the budget is used.
func (p *printer) collect(k, off int) {
	if p.err != nil || len(p.texts) >= budget {
		return
	}
	if k == len(p.strides) {
		b, err := p.read(off, p.info.DType.Size())
		if err != nil {
			p.err = err
			return
		}
		p.texts = append(p.texts, p.element(b))
		return
	}
	p.each(k, func(i int) { p.collect(k+1, off+i*p.strides[k]) }, func() {})
}

// write writes the elements from dimension k on. Lines are broken at 100 columns.
func (p *printer) write(k, width int, indent string) {
	if k == len(p.strides) {
		fmt.Fprintf(&p.out, "%*s", width, p.texts[p.next])
		p.next++
		return
	}
	last := k == len(p.strides)-1
	sep := strings.Repeat("\n", max(1, len(p.strides)-1-k)) + indent + " "
	column, first := len(indent), true
	between := func(n int) {
		switch {
		case first:
		case !last, p.info.DType.IsStructured():
			p.out.WriteString(sep)
		case column+1+n > 100:
			p.out.WriteString("\n" + indent + " ")
			column = len(indent)
		default:
			p.out.WriteString(" ")
			column++
		}
		first = false
		column += n
	}
	p.out.WriteString("[")
	done := false
	p.each(k, func(int) {
		if done {
			return
		}
		if p.next >= len(p.texts) {
			between(3)
			p.out.WriteString("...")
			done = true
			return
		}
		n := width
		if last {
			n = utf8.RuneCountInString(p.texts[p.next])
		}
		between(max(n, width))
		p.write(k+1, width, indent+" ")
	}, func() {
		if !done {
			between(3)
			p.out.WriteString("...")
		}
	})
	p.out.WriteString("]")
}
