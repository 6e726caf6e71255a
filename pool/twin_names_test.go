package pool

import (
	"fmt"
	"strings"
)

// The operations on names of the twin test: see twin_test.go.

// name plays one operation on names.
func (w *twin) name(k int, p *Pool) {
	switch n := w.pick(30); {
	case n < 6:
		w.publish(k, p)
	case n < 12:
		w.publishTree(k, p)
	case n < 15:
		w.setAttrs(k, p)
	case n < 19:
		path := w.known()
		w.line("remove", k, path, 0)
		err := p.Remove(path)
		w.note(err, 1)
	case n < 21:
		path := w.known()
		w.line("remove", k, path, 1)
		removed, err := p.RemoveTree(path)
		w.note(err, removed)
	case n < 27:
		w.lookup(k, p)
	default:
		w.list(k, p)
	}
}

// path returns one of some hundred paths; short ones come more often.
func (w *twin) path() string {
	path := w.component()
	for w.pick(3) != 0 && len(path) < 20 {
		path += "/" + w.component()
	}
	return path
}

// known returns a path, more often than not one that was published.
func (w *twin) known() string {
	if len(w.paths) == 0 || w.pick(4) == 0 {
		return w.path()
	}
	return w.paths[max(0, len(w.paths)-1-w.pick(30))]
}

func (w *twin) component() string {
	return []string{"a", "b", "c.d", "left-and-right", "\u00e9t\u00e9", "x0123456789012345678901234567890123456789"}[w.pick(6)]
}

// attrs returns attributes, or none, and their text.
func (w *twin) attrs() (Attrs, string) {
	switch w.pick(6) {
	case 0:
		n := w.pick(1000)
		return Attrs{"k": n}, fmt.Sprintf(`{"k":%d}`, n)
	case 1:
		s := strings.Repeat("s", w.pick(1<<w.pick(12))+1)
		return Attrs{"s": s}, fmt.Sprintf(`{"s":"%s"}`, s)
	}
	return nil, "-"
}

// whole returns an array of an attachment that a name can stand for, and the number of it.
func (w *twin) whole(k int) (*Array, int) {
	for range 20 {
		if r, ok := w.some(); ok && r.k == k && !r.a.IsView() {
			return r.a, r.id
		}
	}
	return nil, 0
}

func (w *twin) options() Publish {
	o := Publish{Mode: PublishMode(w.pick(3)), Persistent: w.pick(4) == 0}
	if w.pick(8) == 0 {
		o.Version = uint64(w.pick(100))
	}
	return o
}

func (o Publish) words() string {
	n := 0
	if o.Persistent {
		n = 1
	}
	return fmt.Sprint(int(o.Mode), " ", n, " ", o.Version)
}

func (w *twin) publish(k int, p *Pool) {
	a, id := w.whole(k)
	if a == nil {
		return
	}
	o, path, text := w.options(), w.path(), ""
	o.Attrs, text = w.attrs()
	w.line("publish", k, path, o.words(), 1, "-", id, text)
	version, err := p.Publish(path, a, o)
	w.note(err, version)
	if err == nil {
		w.paths = append(w.paths, path)
	}
}

func (w *twin) publishTree(k int, p *Pool) {
	o, prefix, t, n := w.options(), "-", Tree{}, 0
	var items strings.Builder
	top := ""
	if w.pick(3) != 0 {
		prefix = w.path()
		top = prefix
		var text string
		if o.Attrs, text = w.attrs(); o.Attrs != nil {
			fmt.Fprint(&items, " - -1 ", text)
			n++
		}
	} else {
		o.Version = 0
	}
	most := 1 << w.pick(4)
	if w.pick(12) == 0 {
		most = 200
	}
	for i := range most {
		path := w.path()
		if most == 200 {
			path += fmt.Sprint("/", i)
		}
		if _, twice := t[path]; twice {
			continue
		}
		at, text := w.attrs()
		it, number := Item{Attrs: at}, -1
		if a, id := w.whole(k); a != nil && w.pick(4) != 0 {
			it.Array, number = a, id
		}
		t[path] = it
		fmt.Fprint(&items, " ", path, " ", number, " ", text)
		n++
	}
	w.line("publish", k, prefix, o.words(), fmt.Sprint(n)+items.String())
	version, err := p.PublishTree(top, t, o)
	w.note(err, version)
	if err == nil && top != "" {
		w.paths = append(w.paths, top)
	}
}

func (w *twin) setAttrs(k int, p *Pool) {
	o, path := w.options(), w.known()
	at, text := w.attrs()
	persistent, _, _ := strings.Cut(o.words()[2:], " ")
	w.line("set-attrs", k, path, text, persistent, o.Version)
	version, err := p.SetAttrs(path, at, o)
	w.note(err, version)
}

func (w *twin) lookup(k int, p *Pool) {
	path, ro := w.known(), w.pick(2)
	a, err := p.Lookup(path, ReadOnly(ro == 1))
	w.line("lookup", k, path, w.things, ro)
	w.got(k, a, err)
}

func (w *twin) list(k int, p *Pool) {
	prefix, from := "-", ""
	if w.pick(2) == 0 {
		prefix = w.known()
		from = prefix
	}
	w.line("list", k, prefix)
	var came []any
	for info, err := range p.List(from) {
		if err != nil {
			w.note(err)
			return
		}
		came = append(came, nameText(info))
	}
	w.note(nil, came...)
}

// nameText describes a name as twin.c does.
func nameText(n NameInfo) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s,%d,%x,%016x,", n.Path, n.Version, uint64(n.Owner), uint64(n.Handle))
	for _, flag := range []bool{n.Group, n.Persistent, n.Implicit, n.Fortran, n.Sealed} {
		if flag {
			b.WriteByte('1')
		} else {
			b.WriteByte('0')
		}
	}
	attrs := string(n.Attrs)
	if attrs == "" {
		attrs = "-"
	}
	if n.Ring != "" {
		fmt.Fprintf(&b, ",ring,%s", attrs)
		return b.String()
	}
	fmt.Fprintf(&b, ",%d,%s", n.Bytes, attrs)
	for _, d := range n.Shape {
		fmt.Fprint(&b, ",", d)
	}
	return b.String()
}
