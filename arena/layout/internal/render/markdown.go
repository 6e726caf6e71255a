package render

import (
	"bytes"
	"fmt"
	"math/bits"
	"strings"

	"github.com/ndpool/ndpool/arena/layout"
)

// Tables returns the generated parts of docs/FORMAT.md by name, each between its markers there.
func (m *Model) Tables() map[string]string {
	t := map[string]string{
		"fingerprint": fmt.Sprintf("The fingerprint of the format described here is `0x%016x`.\n", m.Fingerprint()),
		"constants":   m.constTables(),
		"regions":     m.regionTable(),
		"classes":     classesTable(),
		"free":        m.freeTable(),
	}
	for _, s := range m.Structs {
		t[s.C] = s.table()
	}
	for _, w := range m.Words {
		t[w.marker()] = w.table()
	}
	return t
}

// Splice replaces the text between the markers of doc by the tables.
func Splice(doc []byte, tables map[string]string) ([]byte, error) {
	var missing []string
	for name, table := range tables {
		begin, end := markers(name)
		i := bytes.Index(doc, []byte(begin))
		j := bytes.Index(doc, []byte(end))
		if i < 0 || j < i {
			missing = append(missing, name)
			continue
		}
		i += len(begin)
		doc = bytes.Join([][]byte{doc[:i], []byte("\n" + table), doc[j:]}, nil)
	}
	if len(missing) > 0 {
		return nil, fmt.Errorf("render: docs/FORMAT.md has no markers for %s", strings.Join(missing, ", "))
	}
	return doc, nil
}

func markers(name string) (begin, end string) {
	return "<!-- generated: begin " + name + " -->", "<!-- generated: end " + name + " -->"
}

// Skeleton returns a document that has a heading and markers for every table, to start from.
func Skeleton(tables map[string]string) []byte {
	var b strings.Builder
	b.WriteString("# The format of a segment\n")
	for _, name := range sortedKeys(tables) {
		begin, end := markers(name)
		fmt.Fprintf(&b, "\n## %s\n\n%s\n%s\n", name, begin, end)
	}
	return []byte(b.String())
}

func (s Struct) table() string {
	var b strings.Builder
	fmt.Fprintf(&b, "\n%s %d bytes.\n\n", s.Doc, s.Size)
	b.WriteString("| offset | bytes | type | Go | C | role | meaning |\n|--:|--:|---|---|---|---|---|\n")
	for _, f := range s.Fields {
		role, doc := f.Role, f.Doc
		if f.Free != "" {
			doc = strings.TrimPrefix(doc+"; free: "+f.Free, "; ")
		}
		fmt.Fprintf(&b, "| %d | %d | `%s` | `%s` | `%s` | %s | %s |\n", f.Offset, f.Type.Size(), typeName(f.Type), f.Name, f.C, role, escape(doc))
	}
	return b.String() + "\n"
}

func (w Word) marker() string { return strings.ReplaceAll(strings.ToLower(w.Name), " ", "-") }

func (w Word) table() string {
	var b strings.Builder
	fmt.Fprintf(&b, "\nIn %s, %d bits.\n\n| bits | part | C | meaning |\n|--:|---|---|---|\n", w.Where, w.Width)
	at := 0
	gap := func(to int) {
		if at < to {
			fmt.Fprintf(&b, "| %s | | | zero |\n", bitRange(at, to-1))
		}
	}
	for _, p := range w.Parts {
		gap(p.Shift)
		at = p.Shift + p.Bits
		fmt.Fprintf(&b, "| %s | %s | `%s_SHIFT`, `_MASK` | %s |\n", bitRange(p.Shift, at-1), p.Name, w.cName(p), escape(p.Doc))
	}
	gap(w.Width)
	return b.String() + "\n"
}

func bitRange(lo, hi int) string {
	if lo == hi {
		return fmt.Sprint(lo)
	}
	return fmt.Sprintf("%d-%d", lo, hi)
}

func (m *Model) constTables() string {
	var b strings.Builder
	for _, g := range m.Consts {
		fmt.Fprintf(&b, "\n%s\n\n| Go | C | value | meaning |\n|---|---|--:|---|\n", g.Doc)
		for _, c := range g.Consts {
			fmt.Fprintf(&b, "| `%s` | `%s` | %s | %s |\n", c.Name, c.C, number(c.Value), escape(c.Doc))
		}
	}
	return b.String() + "\n"
}

// number writes large numbers with the power of two they are near to.
func number(v uint64) string {
	switch {
	case v < 1<<17:
		return fmt.Sprint(v)
	case v&(v-1) == 0:
		return fmt.Sprintf("2^%d", bits.TrailingZeros64(v))
	case v>>62 == 1:
		return fmt.Sprintf("2^62 + %d", v-1<<62)
	}
	return fmt.Sprintf("%#x", v)
}

// regionTable shows the directory with an example of the geometry.
func (m *Model) regionTable() string {
	l := layout.Limits{Capacity: 1 << 30, Arrays: 65536, Processes: 254, Tickets: 4096, Names: 1024}
	g, err := layout.Compute(l)
	if err != nil {
		panic(fmt.Sprintf("render: example limits: %v", err))
	}
	var b strings.Builder
	fmt.Fprintf(&b, "\nExample: capacity %d, %d arrays, %d processes, %d tickets, %d names. The file has %d bytes.\n\n",
		l.Capacity, l.Arrays, l.Processes, l.Tickets, l.Names, g.FileSize)
	b.WriteString("| kind | region | version | offset | bytes |\n|--:|---|--:|--:|--:|\n")
	for k := 1; k <= layout.RegionCount; k++ {
		r := g.Regions[k]
		fmt.Fprintf(&b, "| %d | %s | %d | %d | %d |\n", k, layout.RegionTitles[k], r.Version, r.Offset, r.Size)
	}
	return b.String() + "\n"
}

// classesTable shows the classes and what they waste, over all sizes that each one serves.
func classesTable() string {
	var b strings.Builder
	b.WriteString("\n| class | bytes | pages of a slab | blocks of a slab | tail of the slab | worst waste | mean waste |\n|--:|--:|--:|--:|--:|--:|--:|\n")
	from := 1
	for c := 1; c <= layout.NumClasses; c++ {
		k := layout.Classes[c]
		slab := float64(k.Pages) * layout.PageSize
		worst, mean := 0.0, 0.0
		for n := from; n <= int(k.Size); n++ {
			w := 1 - float64(n)*float64(k.Blocks)/slab
			worst, mean = max(worst, w), mean+w
		}
		mean /= float64(int(k.Size) - from + 1)
		tail := 1 - float64(k.Size)*float64(k.Blocks)/slab
		fmt.Fprintf(&b, "| %d | %d | %d | %d | %.1f%% | %.1f%% | %.1f%% |\n", c, k.Size, k.Pages, k.Blocks, tail*100, worst*100, mean*100)
		from = int(k.Size) + 1
	}
	return b.String() + "\n"
}

// freeTable lists the bytes whose change cannot be noticed.
func (m *Model) freeTable() string {
	var b strings.Builder
	b.WriteString("\n| struct | field | bytes | why |\n|---|---|--:|---|\n")
	for _, s := range m.Structs {
		for _, f := range s.Fields {
			if f.Free != "" {
				fmt.Fprintf(&b, "| %s | %s | %d-%d | %s |\n", s.Name, f.Name, f.Offset, f.Offset+f.Type.Size()-1, escape(f.Free))
			}
		}
	}
	return b.String() + "\n"
}

func escape(s string) string { return strings.ReplaceAll(s, "|", "\\|") }
