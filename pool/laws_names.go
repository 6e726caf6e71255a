package pool

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math/bits"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/cespare/xxhash/v2"

	"github.com/ndpool/ndpool/arena/layout"
	"github.com/ndpool/ndpool/catalog"
	"github.com/ndpool/ndpool/dtype"
	"github.com/ndpool/ndpool/handle"
)

// The laws of the catalog. The segment lock is held, so entries and links stand still; only the words of names' locks go on. In
// an image that was made while somebody was in the lock, a change may be half done: then only what holds at any moment is checked.

// nameChecker walks the catalog. Local. A node is entry + 1, or 0 for the root.
type nameChecker struct {
	*checker
	table  *catalog.Table
	live   []bool         // by entry: it is a name
	filled []bool         // by node: names are in it
	seen   map[string]int // by parent and component: the name
}

// names checks the catalog, and counts the values that name each block.
func (c *checker) names() {
	t := catalog.New(c.a, nil, nil)
	n := &nameChecker{checker: c, table: t, live: make([]bool, t.Committed()), filled: make([]bool, t.Committed()+1), seen: map[string]int{}}
	for e := range n.live {
		n.entry(e)
	}
	if !c.report.Indexes {
		return
	}
	for e, live := range n.live {
		if live {
			n.name(e)
		}
	}
	n.chains()
	n.lists()
}

// entry checks what is not read with other entries, and notes whether it is a name.
func (n *nameChecker) entry(e int) {
	d := &n.a.Names[e]
	w := layout.NameWord(d.Word.Load())
	n.zero(fmt.Sprintf("name %d", e), d.Reserved[:])
	free := w.Kind() == layout.NameFree
	if !w.Valid() || w.Kind() > layout.NameLive && n.report.Indexes || !free && w.Nonce() == 0 {
		n.fault("name", fmt.Sprintf("name %d", e), "free, or a name and a nonce", fmt.Sprintf("%#x", uint64(w)))
	}
	if free {
		n.want.Names.Add(e)
		return
	}
	n.live[e] = w.Kind() == layout.NameLive
	if parent := d.Parent.Load(); int(parent) < len(n.filled) {
		n.filled[parent] = true
	}
	n.writer(e)
	n.readers(e)
}

// writer checks the word of a name's lock. It is looked at twice: the writer may have let go and left in between.
func (n *nameChecker) writer(e int) {
	word := &n.a.Names[e].Lock
	w := layout.NameLockWord(word.Load())
	if w.Owner() < 0 && w == w.Free() || n.writes(w) || word.Load() != uint32(w) || n.writes(w) {
		return
	}
	n.fault("name-lock", n.place(e), "no writer or one that is attached", fmt.Sprintf("%#x", uint32(w)))
}

// writes tells whether the word of a lock names a process that is attached. While a slot is being swept the word may still
// name who had it.
func (n *nameChecker) writes(w layout.NameLockWord) bool {
	slot := w.Owner()
	if slot < 0 || slot >= len(n.a.Slots) {
		return false
	}
	id, used := n.a.Ident(slot)
	return used && (w.Names(id.Incarnation()) || n.sweeping(slot))
}

// readers checks the readers of a name's lock, each of them twice as the holders of a block.
func (n *nameChecker) readers(e int) {
	d := &n.a.Names[e]
	for w := range d.Readers {
		for v := d.Readers[w].Load(); v != 0; v &= v - 1 {
			b := bits.TrailingZeros64(v)
			slot := w*64 + b
			if slot >= len(n.a.Slots) || !n.inUse(slot) && d.Readers[w].Load()&(1<<b) != 0 && !n.inUse(slot) {
				n.fault("name-lock", n.place(e), "readers that are attached", fmt.Sprintf("slot %d", slot))
			}
		}
	}
}

// name checks a name: what it is called, where it is, and what it stands for.
func (n *nameChecker) name(e int) {
	text, ok := n.text(e)
	if !ok {
		n.fault("name-text", n.place(e), "1 to 255 bytes of UTF-8, NUL padded", fmt.Sprintf("%d bytes, %q", n.a.Names[e].Bytes.Load(), text))
	}
	if !n.rooted(e) {
		n.fault("name-parent", n.place(e), fmt.Sprintf("in the root or a group, at most %d deep", layout.MaxNameDepth),
			fmt.Sprintf("in node %d", n.a.Names[e].Parent.Load()))
	}
	key := string(binary.LittleEndian.AppendUint32(nil, n.a.Names[e].Parent.Load())) + string(text)
	if other, seen := n.seen[key]; seen {
		n.fault("name-unique", n.place(e), "a component of its own", fmt.Sprintf("that of name %d", other))
	}
	n.seen[key] = e
	v := n.table.Value(e)
	n.stands(e, "array", v.Array)
	if i, ok := n.stands(e, "attributes", v.Attributes); ok {
		n.attributes(i, n.place(e))
	}
	n.owner(e, v)
	if last := n.a.Ctl.Change.Load(); v.Version == 0 || v.Version > last {
		n.fault("name-version", n.place(e), fmt.Sprintf("that of a change, at most %d", last), v.Version)
	}
}

// text returns the component of an entry, and whether it is one.
func (n *nameChecker) text(e int) (text []byte, ok bool) {
	d := &n.a.Names[e]
	all := make([]byte, 0, 8*len(d.Text))
	for k := range d.Text {
		all = binary.LittleEndian.AppendUint64(all, d.Text[k].Load())
	}
	size := min(int(d.Bytes.Load()), len(all))
	text = all[:size]
	padded := !slices.ContainsFunc(all[size:], func(b byte) bool { return b != 0 })
	return text, padded && !strings.Contains(string(text), "/") && catalog.CheckPath(string(text)) == nil
}

// rooted tells whether groups lead from the root to a name, not too many.
func (n *nameChecker) rooted(e int) bool {
	for range layout.MaxNameDepth {
		parent := int(n.a.Names[e].Parent.Load())
		if parent == 0 {
			return true
		}
		if e = parent - 1; e >= len(n.live) || !n.live[e] || !n.table.Value(e).IsGroup() {
			return false
		}
	}
	return false
}

// stands checks a handle of a value, counts it, and returns its block. 0 is none.
func (n *nameChecker) stands(e int, what string, h handle.Handle) (i int, ok bool) {
	if h == 0 {
		return 0, false
	}
	if i, ok = n.pool.liveBlock(h); !ok {
		n.fault("name-value", n.place(e), "the handle of a LIVE block", fmt.Sprintf("%s %v", what, h))
		return 0, false
	}
	n.named[i]++
	return i, true
}

// attributes checks a block of attributes, and their text if asked to. Nobody changes it, but who breaks the rules.
func (c *checker) attributes(i int, place string) {
	e, ok := c.pool.extent(i)
	if !ok {
		return // said with the block
	}
	var buf shapeBuf
	m, _, err := c.pool.readBlock(i, &buf)
	if err != nil {
		return // said with the block
	}
	if m.dt != dtype.Uint8 || m.ndim != 1 || m.flags&layout.DescRing != 0 || m.bytes > layout.MaxAttributes {
		c.fault("attributes", place, fmt.Sprintf("at most %d bytes in one dimension", layout.MaxAttributes), fmt.Sprintf("%d dimensions of %v, %d bytes", m.ndim, m.dt, m.bytes))
		return
	}
	if !c.content || m.size() > e.Size() {
		return
	}
	text := slices.Clone(c.a.Data(e.Offset()+m.header, m.bytes))
	if !utf8.Valid(text) || !json.Valid(text) || strings.TrimLeft(string(text), " \t\r\n")[0] != '{' {
		c.fault("attributes", place, "the text of a JSON object", fmt.Sprintf("%.40q", text))
	}
}

// owner checks whom a name goes with. While a slot is being swept its names may still be there.
func (n *nameChecker) owner(e int, v catalog.Value) {
	if v.Owner == catalog.Implicit {
		if !v.IsGroup() || v.Attributes != 0 || !n.filled[e+1] {
			n.fault("name-owner", n.place(e), "implicit only a group with names and without attributes", fmt.Sprintf("array %v, attributes %v, names %t", v.Array, v.Attributes, n.filled[e+1]))
		}
		return
	}
	if v.Owner == layout.NamePool {
		if i, ok := n.pool.liveBlock(v.Array); v.Array == 0 || ok && n.pool.desc(i).Flags.Load()&layout.DescRing == 0 {
			n.fault("name-owner", n.place(e), "with the pool only a ring", fmt.Sprintf("array %v", v.Array))
		}
		return
	}
	if v.Owner != 0 && !n.used(v.Owner) && !n.sweeping(v.Owner.Slot()) {
		n.fault("name-owner", n.place(e), "nobody or an attached process", ProcessID(v.Owner))
	}
}

// head returns the number of the chain that a name belongs to.
func (n *nameChecker) head(e int) int {
	text, _ := n.text(e)
	return n.a.Geo.NameHead(n.a.Names[e].Parent.Load(), xxhash.Sum64(text))
}

// visit tells whether a node that a link leads to is a name, which no link has led to before, and notes that one has.
func (n *nameChecker) visit(node uint64, been []bool) (e int, ok bool) {
	if node > uint64(len(been)) {
		return 0, false
	}
	e = int(node) - 1
	ok = n.live[e] && !been[e]
	been[e] = true
	return e, ok
}

// chains checks that the chains hold the names, each that of its hash.
func (n *nameChecker) chains() {
	been := make([]bool, len(n.live))
	for h := range n.a.NameHeads {
		for node := n.a.NameHeads[h].Load(); node != 0; {
			e, ok := n.visit(uint64(node), been)
			if !ok || n.head(e) != h {
				n.fault("name-chains", fmt.Sprintf("chain %d", h), "names of that hash, each once", fmt.Sprintf("node %d", node))
				break
			}
			node = n.a.Names[e].Next.Load()
		}
	}
	n.visited(been, "name-chains", func(e int) string { return fmt.Sprintf("in chain %d", n.head(e)) })
}

// lists checks that the list of each node holds the names in it, and leads back the same way.
func (n *nameChecker) lists() {
	been := make([]bool, len(n.live))
	n.list("root", 0, n.a.Ctl.Root.Load(), been)
	for e, live := range n.live {
		if live {
			n.list("", uint32(e)+1, uint64(n.a.Names[e].Child.Load()), been)
		}
	}
	n.visited(been, "name-lists", func(e int) string { return fmt.Sprintf("in the list of node %d", n.a.Names[e].Parent.Load()) })
}

func (n *nameChecker) list(place string, parent uint32, node uint64, been []bool) {
	for before := uint64(0); node != 0; {
		e, ok := n.visit(node, been)
		if !ok || n.a.Names[e].Parent.Load() != parent || uint64(n.a.Names[e].Before.Load()) != before {
			if parent != 0 {
				place = n.place(int(parent) - 1)
			}
			n.fault("name-lists", place, "names in it, each once, and back", fmt.Sprintf("node %d after node %d", node, before))
			return
		}
		before, node = node, uint64(n.a.Names[e].After.Load())
	}
}

// visited wants that links have led to every name, but those whose parent is damage, which was said.
func (n *nameChecker) visited(been []bool, law string, expected func(e int) string) {
	for e, live := range n.live {
		parent := int(n.a.Names[e].Parent.Load())
		if live && !been[e] && (parent == 0 || parent <= len(n.live) && n.live[parent-1]) {
			n.fault(law, n.place(e), expected(e), "not there")
		}
	}
}

// maxPlace bounds the path in a fault's place.
const maxPlace = 100

// place names an entry for people: its number, and as much of the end of its path as leads somewhere and is not too long.
func (n *nameChecker) place(e int) string {
	path, at := "", e
	for range layout.MaxNameDepth {
		text, ok := n.text(at)
		if !ok || len(path)+len(text) >= maxPlace {
			break
		}
		path = "/" + string(text) + path
		parent := int(n.a.Names[at].Parent.Load())
		if at = parent - 1; parent == 0 || parent > len(n.live) {
			break
		}
	}
	return strings.TrimSuffix(fmt.Sprintf("name %d %s", e, strings.TrimPrefix(path, "/")), " ")
}

// nameCount checks what values of the catalog have to do with a block: the pseudo-holder and the count.
func (c *checker) nameCount(i int, place string) {
	d := c.pool.desc(i)
	if named := d.Holders[layout.Named/64].Load()>>(layout.Named%64) != 0; named != (c.named[i] > 0) {
		c.fault("named", place, c.named[i] > 0, named)
	}
	if n := d.Names.Load(); n != c.named[i] {
		c.fault("name-count", place, c.named[i], n)
	}
}
