package pool

import (
	"errors"
	"maps"
	"slices"
	"strings"

	"pgregory.net/rapid"

	"github.com/ndpool/ndpool/catalog"
	"github.com/ndpool/ndpool/handle"
)

// mname is a name as the oracle knows it.
type mname struct {
	b       *mblock // nil: a group
	owner   ProcessID
	version uint64
}

// mnames are the arrays' names and the groups that stay, by path. Groups made for their sake are the paths that these begin with.
type mnames map[string]mname

// entries returns all paths that the catalog has: those of names, and of the groups on their ways.
func (n mnames) entries() map[string]bool {
	all := map[string]bool{}
	for path := range n {
		for all[path] = true; ; all[path] = true {
			i := strings.LastIndexByte(path, '/')
			if i < 0 {
				break
			}
			path = path[:i]
		}
	}
	return all
}

// without returns the names that are left when a process goes.
func (n mnames) without(owner ProcessID) mnames {
	left := maps.Clone(n)
	maps.DeleteFunc(left, func(_ string, x mname) bool { return x.owner == owner })
	return left
}

// below tells whether a path is that of a target or of something in it.
func below(path, target string) bool { return path == target || strings.HasPrefix(path, target+"/") }

// cut removes a name and all that is in it, and returns how many names that were.
func (n mnames) cut(target string) int {
	before := len(n)
	maps.DeleteFunc(n, func(path string, _ mname) bool { return below(path, target) })
	return before - len(n)
}

// put adds one name of a publishing, or tells why not.
func (n mnames) put(path string, x mname) error {
	for i := range path {
		if up, ok := n[path[:i]]; path[i] == '/' && ok && up.b != nil {
			return ErrGroup
		}
	}
	old, ok := n[path]
	switch {
	case !ok && x.b != nil && n.entries()[path], ok && (old.b == nil) != (x.b == nil):
		return ErrGroup
	case ok && x.b == nil:
		return nil // the group stays as it is
	}
	n[path] = x
	return nil
}

// setNames replaces what the oracle knows.
func (m *machine) setNames(to mnames) {
	for _, x := range m.names {
		if x.b != nil {
			x.b.named--
		}
	}
	m.names = mnames{}
	for path, x := range to {
		if m.names[path] = x; x.b != nil {
			x.b.named++
		}
	}
}

func drawPath(t *rapid.T) string {
	return strings.Join(rapid.SliceOfN(rapid.SampledFrom([]string{"a", "b", "c", "a-b"}), 1, 4).Draw(t, "path"), "/")
}

// published tells the oracle of a publishing of names below a target, or at the first components without one, and checks what came of it.
func (m *machine) published(target string, items mnames, mode PublishMode, version uint64, got error) {
	after, had := maps.Clone(m.names), m.names.entries()
	var want error
	for _, path := range slices.SortedFunc(maps.Keys(items), catalog.ComparePaths) {
		top := target
		if top == "" {
			top, _, _ = strings.Cut(path, "/")
		}
		if mode == PublishNew && had[top] {
			want = ErrNameTaken
		}
		if mode == PublishOverwrite {
			after.cut(top)
		}
	}
	for _, path := range slices.SortedFunc(maps.Keys(items), catalog.ComparePaths) {
		if want == nil {
			x := items[path]
			x.version = version
			want = after.put(path, x)
		}
	}
	maps.Copy(had, after.entries())
	if want == nil && len(had) > machineOptions.Names {
		want = ErrTableFull // what leaves frees its entry afterwards
	}
	if errors.Is(got, ErrTableFull) && want != nil {
		return // the table was full before what is wrong was met
	}
	m.check(got, want)
	if want == nil {
		m.setNames(after)
	}
}

func drawPublish(t *rapid.T) Publish {
	return Publish{Mode: rapid.SampledFrom([]PublishMode{PublishNew, PublishOverwrite, PublishMerge}).Draw(t, "mode"), Persistent: rapid.Bool().Draw(t, "persistent")}
}

func (m *machine) owner(p *mproc, o Publish) ProcessID {
	if o.Persistent {
		return 0
	}
	return p.id
}

func (m *machine) opPublish(t *rapid.T) {
	p, r := m.ref()
	path, o := drawPath(t), drawPublish(t)
	v, err := p.p.Publish(path, r.a, o)
	if r.a.IsView() {
		m.check(err, ErrView)
		return
	}
	r.b.handle = r.a.Handle()
	m.published(path, mnames{path: {b: r.b, owner: m.owner(p, o)}}, o.Mode, v, err)
}

// opPublishTree publishes some whole arrays, and groups, of one process.
func (m *machine) opPublishTree(t *rapid.T) {
	p := m.proc()
	target, o := "", drawPublish(t)
	if rapid.Bool().Draw(t, "prefixed") {
		target = drawPath(t)
	}
	tree, items := Tree{}, mnames{}
	for range rapid.IntRange(0, 4).Draw(t, "names") {
		path := drawPath(t)
		x := mname{owner: m.owner(p, o)}
		tree[path] = Item{}
		if len(p.refs) > 0 && rapid.IntRange(0, 4).Draw(t, "group") != 0 {
			if r := pick(m, p.refs, "array"); !r.a.IsView() {
				tree[path], x.b, r.b.handle = r.a, r.b, r.a.Handle()
			}
		}
		items[join(target, path)] = x
	}
	if len(tree) == 0 && target != "" {
		items[target] = mname{owner: m.owner(p, o)}
	}
	v, err := p.p.PublishTree(target, tree, o)
	m.published(target, items, o.Mode, v, err)
}

func (m *machine) opRemove(t *rapid.T) {
	path := drawPath(t)
	after := maps.Clone(m.names)
	var want error
	switch had := m.names.entries(); {
	case !had[path]:
		want = ErrNoName
	case after.cut(path) != 1 || m.names[path] == (mname{}):
		want = ErrGroup
	}
	m.check(m.proc().p.Remove(path), want)
	if want == nil {
		m.setNames(after)
	}
}

func (m *machine) opRemoveTree(t *rapid.T) {
	path := drawPath(t)
	after := maps.Clone(m.names)
	var want error
	if !m.names.entries()[path] {
		want = ErrNoName
	}
	n := after.cut(path)
	got, err := m.proc().p.RemoveTree(path)
	m.check(err, want)
	if got != n {
		m.Fatalf("%d names removed, expected %d", got, n)
	}
	m.setNames(after)
}

func (m *machine) opLookup(t *rapid.T) {
	p := m.proc()
	path := drawPath(t)
	x, named := m.names[path]
	it, err := p.p.LookupItem(path)
	if !m.names.entries()[path] {
		m.check(err, ErrNoName)
		return
	}
	m.check(err, nil)
	if (it.Array != nil) != (x.b != nil) || named && it.Version != x.version {
		m.Fatalf("%q: got %v version %d, expected version %d", path, it.Array, it.Version, x.version)
	}
	if it.Array != nil {
		m.add(p, it.Array, x.b)
	}
}

// opLook compares the whole catalog, and takes a tree.
func (m *machine) opLook(*rapid.T) {
	p := m.proc().p
	had := m.names.entries()
	for info, err := range p.List("") {
		m.check(err, nil)
		x, named := m.names[info.Path]
		if !had[info.Path] || info.Implicit == named || info.Owner != x.owner || info.Persistent != (named && x.owner == 0) ||
			info.Handle != x.handle() || named && info.Version != x.version {
			m.Fatalf("listed %+v, expected %+v, %v", info, x, named)
		}
		delete(had, info.Path)
	}
	if len(had) != 0 {
		m.Fatalf("not listed: %v", had)
	}
	tree, err := p.LookupTree("")
	m.check(err, nil)
	for path, x := range m.names {
		at := any(tree)
		for _, s := range strings.Split(path, "/") {
			at = at.(Tree)[s]
		}
		if a, ok := at.(*Array); ok != (x.b != nil) || ok && a.Handle() != x.b.handle {
			m.Fatalf("%q: got %v", path, at)
		}
	}
	tree.Release()
}

func (x mname) handle() handle.Handle {
	if x.b == nil {
		return 0
	}
	return x.b.handle
}

// tearNames leaves a change half-staged, and all links torn. Precondition: the lock is held, by one who is about to die.
func (m *machine) tearNames(p *Pool) {
	c := p.names.Begin()
	for path := range m.names {
		if e, err := p.names.Find(path); err == nil {
			if _, err := c.LeaveTree(e); err != nil {
				m.Fatal(err)
			}
			break
		}
	}
	_ = c.Put("torn/apart", catalog.Value{}, nil) // the table may be full, and that may be there
	for e := range p.names.Committed() {
		n := &p.arena.Names[e]
		n.Next.Put(uint32(e + 1))
		n.Child.Put(uint32(e))
		n.After.Put(^uint32(0))
	}
	p.arena.Ctl.Root.Put(1 << 40)
}
