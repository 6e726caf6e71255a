package pool

import (
	"errors"
	"fmt"
	"strings"

	"github.com/ndpool/ndpool/catalog"
)

// PublishMode says what publishing does with names that are there already.
type PublishMode int

// Modes of publishing. The target is the path of Publish and the prefix of PublishTree; without a prefix, each name in the root
// that the tree has.
const (
	PublishNew       PublishMode = iota // the target must not exist: else ErrNameTaken
	PublishOverwrite                    // what the target names is replaced wholly, with all that is in it
	PublishMerge                        // names are added; an array's name gets the new array, a group stays
)

// Publish says how names are published. The zero value publishes new ones, which go with this process.
type Publish struct {
	Mode       PublishMode
	Persistent bool   // the names stay until somebody removes them, and keep the pool
	Attrs      Attrs  // of the array's name, or of the prefix
	Version    uint64 // that the target must have: else ErrVersion; 0: any
}

func publishOptions(o []Publish) Publish {
	if len(o) == 0 {
		return Publish{}
	}
	return o[0]
}

var (
	errIsGroup  = fmt.Errorf("%w: it is a group", ErrGroup)
	errIsArray  = fmt.Errorf("%w: it is an array's", ErrGroup)
	errNoPrefix = fmt.Errorf("%w: the root has no attributes and no version", ErrPath)
)

// Publish gives an array a name, and returns the version of it. The name keeps the array alive, so that the array may be
// released right away. Groups on the way are made, and go with the last name in them. Whoever looks meanwhile gets the old array or the
// new one. It fails with ErrPath, ErrNameTaken, ErrVersion, ErrView, with ErrGroup if an array's name is on the way, or if a
// group is to be merged with an array, and with a *TableError; nothing has changed then.
func (p *Pool) Publish(path string, a *Array, o ...Publish) (version uint64, err error) {
	opt := publishOptions(o)
	return p.publish(path, []treeItem{{path, Item{Array: a, Attrs: opt.Attrs}}}, opt)
}

// publication is one publishing under way. Local.
type publication struct {
	Publish
	target string // "": the first component of each path
	paths  []string
	values []catalog.Value
	texts  []Block // of attributes, held until the names hold them
	merge  func(old, v catalog.Value) (catalog.Value, error)
	at     int    // the name that is being staged
	found  uint64 // version of the target
}

// publish makes names of items, which are sorted by component. The arrays are shared and the attributes stored before the
// change, and what the names do not hold then is released after it.
func (p *Pool) publish(target string, items []treeItem, o Publish) (version uint64, err error) {
	b := &publication{Publish: o, target: target}
	for _, it := range items {
		if err = p.prepare(b, it); err != nil {
			err = p.nameError("publish", it.path, err)
			break
		}
	}
	if err == nil {
		version, err = p.changeNames(b)
	}
	b.release()
	return version, err
}

// changeNames makes the change that publishes.
func (p *Pool) changeNames(b *publication) (version uint64, err error) {
	b.merge = p.merge
	if err := p.enter(); err != nil {
		return 0, err
	}
	defer p.leave()
	version, err = p.change(catalog.Nodes(b.paths), func(c *catalog.Change) error { return b.stage(c, p.names) })
	if err == nil {
		return version, nil
	}
	if err == ErrVersion {
		return 0, &NameError{Verb: "publish", Path: b.target, Err: err, Asked: b.Version, Found: b.found}
	}
	path := b.target
	if b.at >= 0 && b.at < len(b.paths) {
		path = b.paths[b.at]
	}
	return 0, p.nameError("publish", path, err)
}

// release lets go of the texts, which by now the names hold, or nobody does.
func (b *publication) release() {
	for _, t := range b.texts {
		t.end()
	}
}

// prepare makes of an item what its name will stand for.
func (p *Pool) prepare(b *publication, it treeItem) error {
	if err := catalog.CheckPath(it.path); err != nil {
		return err
	}
	v := catalog.Value{}
	if !b.Persistent {
		v.Owner = p.arena.Self()
	}
	if a := it.item.Array; a != nil {
		if a.pool.segment != p.segment {
			return &HandleError{Handle: a.Handle(), Segment: p.segment, Err: ErrForeignHandle}
		}
		if a.IsView() {
			return fmt.Errorf("%w: a name stands for a whole array", ErrView)
		}
		v.Array = a.Handle()
	}
	if len(it.item.Attrs) != 0 {
		text, err := p.storeAttrs(it.item.Attrs)
		if err != nil {
			return err
		}
		b.texts = append(b.texts, text)
		v.Attributes = text.Handle()
	}
	b.paths, b.values = append(b.paths, it.path), append(b.values, v)
	return nil
}

// stage makes way for the names, then puts them.
func (b *publication) stage(c *catalog.Change, t *catalog.Table) error {
	b.at = -1
	if b.target != "" {
		if err := b.clear(c, t, b.target); err != nil {
			return err
		}
	}
	for last := ""; b.target == "" && b.at < len(b.paths)-1; {
		b.at++
		if first, _, _ := strings.Cut(b.paths[b.at], "/"); first != last {
			if err := b.clear(c, t, first); err != nil {
				return err
			}
			last = first
		}
	}
	for b.at = range b.paths {
		if err := c.Put(b.paths[b.at], b.values[b.at], b.merge); err != nil {
			return err
		}
	}
	return nil
}

// clear looks at what a target names now: it must not be there, goes, or stays.
func (b *publication) clear(c *catalog.Change, t *catalog.Table, target string) error {
	e, err := t.Find(target)
	switch {
	case err == nil:
		b.found = t.Value(e).Version
	case errors.Is(err, ErrNoName):
		b.found = 0
	default:
		return err
	}
	switch {
	case b.Version != 0 && b.found != b.Version:
		return ErrVersion
	case err != nil || b.Mode == PublishMerge:
		return nil
	case b.Mode == PublishNew:
		return ErrNameTaken
	}
	_, err = c.LeaveTree(e)
	return err
}

// merge returns what a name will stand for that is there and gets another value: a group stays as it is, unless it was
// made by the way, or gets attributes. The name of a ring stays one.
func (p *Pool) merge(old, v catalog.Value) (catalog.Value, error) {
	switch i, ok := p.liveBlock(old.Array); {
	case ok && p.isRing(i):
		return v, errRing
	case old.IsGroup() && !v.IsGroup():
		return v, errIsGroup
	case !old.IsGroup() && v.IsGroup():
		return v, errIsArray
	case v.IsGroup() && v.Attributes == 0 && old.Owner != catalog.Implicit:
		return old, nil
	}
	return v, nil
}
