package pool

import (
	"cmp"
	"encoding/json"
	"iter"
	"slices"
	"strings"

	"github.com/ndpool/ndpool/arena/layout"
	"github.com/ndpool/ndpool/catalog"
	"github.com/ndpool/ndpool/dtype"
	"github.com/ndpool/ndpool/handle"
)

// NameInfo describes a name of the catalog: an array's, a stream's or queue's, or a group's. One that is neither persistent nor
// implicit and has no owner stays until it is removed, and goes with the pool.
type NameInfo struct {
	Path       string          `json:"path"`
	Version    uint64          `json:"version"`
	Group      bool            `json:"group"`
	Persistent bool            `json:"persistent"`      // stays until removed
	Implicit   bool            `json:"implicit"`        // a group that goes with the last name in it
	Ring       RingKind        `json:"ring,omitempty"`  // "": an array or a group; a ring has no DType and no Shape
	Owner      ProcessID       `json:"owner,omitempty"` // whom it goes with
	Handle     handle.Handle   `json:"handle,omitempty"`
	DType      dtype.Type      `json:"dtype,omitzero"`
	Shape      []int           `json:"shape,omitempty"`
	Fortran    bool            `json:"fortran,omitempty"`
	Sealed     bool            `json:"sealed,omitempty"`
	Bytes      uint64          `json:"bytes,omitempty"` // users'
	Attrs      json.RawMessage `json:"attrs,omitempty"`
}

// harvest is what one walk over the catalog brought in, in memory that was there before: rows of what was found, their
// components one behind another. Local.
type harvest struct {
	rows []row
	text []byte
	lack [2]int // rows and bytes of text that there were, if there was no room
}

type row struct {
	up    int // row of its group, -1: what the walk began at
	from  int // of its component in the text
	to    int
	value catalog.Value
	held  heldBlocks
}

// add notes a name of that depth; path has the rows that it is in.
func (h *harvest) add(t *catalog.Table, e, depth int, path *[layout.MaxNameDepth + 1]int) (err error) {
	h.lack[0]++
	h.lack[1] += layout.MaxComponent
	if len(h.rows) == cap(h.rows) || cap(h.text)-len(h.text) < layout.MaxComponent {
		return nil
	}
	r := row{up: -1, from: len(h.text), value: t.Value(e), held: heldBlocks{-1, -1}}
	if depth > 0 {
		r.up = path[depth-1]
	}
	if h.text, err = t.Text(h.text, e); err != nil {
		return err
	}
	r.to = len(h.text)
	if !catalog.IsComponent(h.text[r.from:]) { // a scribble; paths are made of it, also those of files
		return catalog.ErrTorn
	}
	h.lack[1] += r.to - r.from - layout.MaxComponent
	path[depth] = len(h.rows)
	h.rows = append(h.rows, r)
	return nil
}

// short tells whether there was no room for everything, and makes some more.
func (h *harvest) short() bool {
	if h.lack[0] <= len(h.rows) {
		return false
	}
	n, bytes := h.lack[0]+h.lack[0]/4, h.lack[1]+h.lack[1]/4+layout.MaxComponent
	h.rows, h.text = make([]row, 0, n), make([]byte, 0, bytes)
	return true
}

// path returns the whole path of a row, below what the walk began at.
func (h *harvest) path(k int, paths []string) string {
	r := &h.rows[k]
	s := string(h.text[r.from:r.to])
	if r.up >= 0 {
		return paths[r.up] + "/" + s
	}
	return s
}

// gather finds a name and all names in it, or all there are, and holds what they stand for: the arrays, and attributes if
// asked to. All of it is of one moment. The caller ends what rows hold.
func (p *Pool) gather(prefix string, attrs bool) (h harvest, err error) {
	if prefix != "" {
		if err := catalog.CheckPath(prefix); err != nil {
			return h, err
		}
	}
	h.rows, h.text = make([]row, 0, 64), make([]byte, 0, 64*32)
	for {
		err = p.withNames(func() error {
			if err := p.gatherLocked(&h, prefix); err != nil || h.lack[0] > len(h.rows) {
				return err
			}
			return p.holdRows(h.rows, attrs)
		})
		if err != nil || !h.short() {
			return h, err
		}
	}
}

// gatherLocked walks once, and notes what there is room for.
func (p *Pool) gatherLocked(h *harvest, prefix string) error {
	h.rows, h.text, h.lack = h.rows[:0], h.text[:0], [2]int{}
	top, err := p.names.FindNode(prefix)
	if err != nil {
		return err
	}
	var path [layout.MaxNameDepth + 1]int
	path[0] = -1
	if top != 0 {
		if err := h.add(p.names, int(top)-1, 0, &path); err != nil {
			return err
		}
	}
	var bad error
	err = p.names.Walk(top, func(e, depth int) bool {
		bad = h.add(p.names, e, depth, &path)
		return bad == nil
	})
	return cmp.Or(err, bad)
}

// holdRows holds what rows stand for, all or nothing.
func (p *Pool) holdRows(rows []row, attrs bool) (err error) {
	for k := range rows {
		if rows[k].held, err = p.holdLocked(rows[k].value, attrs); err != nil {
			for _, r := range rows[:k] {
				p.dropHeldLocked(r.held)
			}
			return err
		}
	}
	return nil
}

// paths returns the whole paths of all rows, in their order. The first row is that of the prefix, if there is one.
func (h *harvest) paths(prefix string) []string {
	paths := make([]string, len(h.rows))
	for k := range h.rows {
		paths[k] = h.path(k, paths)
	}
	if i := strings.LastIndexByte(prefix, '/'); i >= 0 {
		for k := range paths {
			paths[k] = prefix[:i+1] + paths[k]
		}
	}
	return paths
}

// LookupTree returns the arrays of a group, or of the whole catalog, as nested Trees of *Arrays by component, all of one
// moment. Streams and queues are left out. The caller must Release the tree. It fails with ErrNoName, with ErrGroup for an array's
// name, and with ErrKind for a stream's or a queue's.
func (p *Pool) LookupTree(prefix string, ro ...ReadOnly) (Tree, error) {
	if err := p.enter(); err != nil {
		return nil, err
	}
	defer p.leave()
	h, err := p.gather(prefix, false)
	if err != nil {
		return nil, p.nameError("lookup", prefix, err)
	}
	trees := make([]Tree, len(h.rows)) // of the groups
	root := Tree{}
	for k := range h.rows {
		if err == nil {
			err = p.plant(&h, k, root, trees, prefix != "", wantReadOnly(ro))
		} else {
			p.dropHeld(h.rows[k].held)
		}
	}
	if err != nil {
		root.Release()
		return nil, p.nameError("lookup", prefix, err)
	}
	return root, nil
}

// plant enters row k into the tree of its group. The first row is the top of the tree, if there is a prefix.
func (p *Pool) plant(h *harvest, k int, root Tree, trees []Tree, prefixed, readOnly bool) error {
	r := &h.rows[k]
	into := root
	if r.up >= 0 {
		into = trees[r.up]
	}
	name := string(h.text[r.from:r.to])
	switch top := prefixed && k == 0; {
	case r.held.array >= 0 && p.isRing(r.held.array):
		p.dropHeld(r.held)
		if top {
			return errRing
		}
	case top && !r.value.IsGroup():
		p.dropHeld(r.held)
		return errIsArray
	case top:
		trees[k] = root
	case r.value.IsGroup():
		trees[k] = Tree{}
		into[name] = trees[k]
	default:
		a, err := p.heldArray(r.held.array, readOnly)
		if err != nil {
			return err
		}
		into[name] = a
	}
	return nil
}

// List iterates over a name and all names in it, or over all there are, groups too, sorted by path, all of one moment. If
// something went wrong the error comes last, once: ErrNoName, or what is wrong with the last of the names that cannot be
// told about.
func (p *Pool) List(prefix string) iter.Seq2[NameInfo, error] {
	return func(yield func(NameInfo, error) bool) {
		var infos []NameInfo
		err := ErrClosed
		p.inside(func() { infos, err = p.list(prefix) })
		for _, info := range infos {
			if !yield(info, nil) {
				return
			}
		}
		if err != nil {
			yield(NameInfo{}, p.nameError("list", prefix, err))
		}
	}
}

func (p *Pool) list(prefix string) (infos []NameInfo, bad error) {
	h, err := p.gather(prefix, true)
	if err != nil {
		return nil, err
	}
	infos, bad = p.nameInfos(&h, prefix)
	for _, r := range h.rows {
		p.dropHeld(r.held)
	}
	return infos, bad
}

// nameInfos describes what was found below a prefix, sorted by path.
func (p *Pool) nameInfos(h *harvest, prefix string) (infos []NameInfo, bad error) {
	infos = make([]NameInfo, 0, len(h.rows))
	paths := h.paths(prefix)
	for k := range h.rows {
		info, err := p.nameInfo(paths[k], &h.rows[k])
		if err == nil {
			infos = append(infos, info)
		} else {
			bad = &NameError{Verb: "list", Path: paths[k], Err: err}
		}
	}
	slices.SortFunc(infos, func(a, b NameInfo) int { return cmp.Compare(a.Path, b.Path) })
	return infos, bad
}

// nameInfo describes a name whose blocks the caller holds.
func (p *Pool) nameInfo(path string, r *row) (info NameInfo, err error) {
	v := r.value
	info = NameInfo{Path: path, Version: v.Version, Group: v.IsGroup(), Persistent: v.Owner == 0, Implicit: v.Owner == catalog.Implicit,
		Handle: v.Array}
	if !info.Implicit && v.Owner != layout.NamePool {
		info.Owner = ProcessID(v.Owner)
	}
	if i := r.held.array; i >= 0 {
		err = p.nameBlock(&info, i)
	}
	if i := r.held.attrs; i >= 0 && err == nil {
		info.Attrs, err = p.attrText(i)
	}
	return info, err
}

// nameBlock adds what the block of a name is.
func (p *Pool) nameBlock(info *NameInfo, i int) error {
	var buf shapeBuf
	m, shape, err := p.readBlock(i, &buf)
	if err != nil {
		return err
	}
	info.Bytes = m.bytes
	if info.Ring, err = p.ringKind(i, &m); err != nil || info.Ring != "" {
		return err
	}
	info.DType, info.Shape, info.Fortran, info.Sealed = m.dt, slices.Clone(shape), m.fortran(), p.state(i).Sealed()
	return nil
}
