package pool

import (
	"errors"
	"fmt"
	"strings"

	"github.com/ndpool/ndpool/dtype"
)

// The names of these scenarios stay when their process dies, but where they say so: what is left of the catalog shows whether
// a change happened as a whole.

var (
	stay    = Publish{Persistent: true}
	replace = Publish{Persistent: true, Mode: PublishOverwrite}
	add     = Publish{Persistent: true, Mode: PublishMerge}
)

// marked returns an array of bytes that are all n.
func marked(p *Pool, n byte) *Array {
	a := must(p.Alloc(dtype.Uint8, 100))
	for i := range a.mem {
		a.mem[i] = n
	}
	return a
}

// publishAll publishes a new array under each path, and releases them.
func publishAll(p *Pool, o Publish, paths ...string) {
	for k, path := range paths {
		a := marked(p, byte(k+1))
		must(p.Publish(path, a, o))
		a.Release()
	}
}

// catalogText tells all of a catalog that a crash must leave whole.
func catalogText(p *Pool) (string, error) {
	var b strings.Builder
	for info, err := range p.List("") {
		if err != nil {
			return "", err
		}
		ring, isRing, err := ringText(p, info.Handle)
		if err != nil {
			return "", err
		}
		switch {
		case info.Implicit:
			fmt.Fprintf(&b, "%s implicit\n", info.Path)
			continue
		case info.Group:
			fmt.Fprintf(&b, "%s group", info.Path)
		case isRing:
			fmt.Fprintf(&b, "%s %s", info.Path, ring)
		default:
			a, err := p.Lookup(info.Path)
			if err != nil {
				return "", err
			}
			fmt.Fprintf(&b, "%s %d", info.Path, a.mem[0])
			a.Release()
		}
		fmt.Fprintf(&b, " version %d persistent %v %s\n", info.Version, info.Persistent, info.Attrs)
	}
	return b.String(), nil
}

// forgetNames removes all names of a pool and returns what there was.
func forgetNames(p *Pool) (catalog string, err error) {
	if catalog, err = catalogText(p); err != nil {
		return "", err
	}
	for info, err := range p.List("") {
		if err != nil {
			return "", err
		}
		if _, err := p.RemoveTree(info.Path); err != nil && !errors.Is(err, ErrNoName) {
			return "", err
		}
	}
	return catalog, nil
}

// wantErr turns the refusal that is expected into a success.
func wantErr(err, want error) error {
	if errors.Is(err, want) {
		return nil
	}
	return fmt.Errorf("got %w, expected %v", err, want)
}

// warm has the victim cache blocks for attributes: taking them from the allocator is another scenario.
func warm(v *Pool) {
	must(v.AllocBlock(20)).Release()
}

// nameOp is a scenario in which the victim, after prepare, publishes an array or a tree of it, and releases it.
func nameOp(prepare func(v, peer *Pool), op func(v *Pool, a *Array) error) func(v, peer *Pool) (func() error, error) {
	return func(v, peer *Pool) (func() error, error) {
		prepare(v, peer)
		warm(v)
		a := marked(v, 99)
		return func() error {
			err := op(v, a)
			a.Release()
			return err
		}, nil
	}
}

func publishOp(path string, o Publish) func(v *Pool, a *Array) error {
	return func(v *Pool, a *Array) error { _, err := v.Publish(path, a, o); return err }
}

func nothing(_, _ *Pool) {}

// by has the peer publish names that stay.
func by(paths ...string) func(_, peer *Pool) {
	return func(_, peer *Pool) { publishAll(peer, stay, paths...) }
}

// nameScenarios are the operations that change or read the catalog.
var nameScenarios = []scenario{
	{"names-grow-publish", nameOp(nothing, publishOp("a/b", stay))},
	{"names-publish-owned", nameOp(by("x"), publishOp("a/b", Publish{}))},
	{"names-publish-in-group", nameOp(by("g/h/x", "y"), publishOp("g/h/z", stay))},
	{"names-publish-attributes", nameOp(by("x"), publishOp("g/x", Publish{Persistent: true, Attrs: Attrs{"k": []int{1, 2}}}))},
	{"names-publish-tree", nameOp(by("x"), func(v *Pool, a *Array) error {
		_, err := v.PublishTree("t", Tree{"a": a, "b": Tree{"c": a, "d": a}, "e": Tree{}}, stay)
		return err
	})},
	{"names-load", nameOp(by("x"), func(v *Pool, a *Array) error {
		b, c := must(v.Alloc(dtype.Uint8, 3000)), must(v.Alloc(dtype.Uint8, 9000))
		must(b.Bytes())[0], must(c.Bytes())[0] = 1, 2
		_, err := v.PublishTree("set", Tree{"b": Item{Array: b, Attrs: Attrs{"k": 1}}, "g": Tree{"c": c}}, stay)
		b.Release()
		c.Release()
		return err
	})},
	{"names-replace", nameOp(by("g/x"), publishOp("g/x", replace))},
	{"names-replace-by-itself", func(v, _ *Pool) (func() error, error) {
		a := marked(v, 9)
		must(v.Publish("x", a, stay))
		return func() error { _, err := v.Publish("x", a, replace); return err }, nil
	}},
	{"names-overwrite-tree", nameOp(by("t/a", "t/b/c", "t/b/d", "t/e/f"), func(v *Pool, a *Array) error {
		_, err := v.PublishTree("t", Tree{"b": Tree{"c": a, "g": a}, "a/h": a, "e": a}, Publish{Persistent: true, Mode: PublishOverwrite, Attrs: Attrs{"k": 1}})
		return err
	})},
	{"names-merge", nameOp(by("t/a", "t/b/c"), func(v *Pool, a *Array) error {
		_, err := v.PublishTree("t", Tree{"b/c": a, "b/d": a}, add)
		return err
	})},
	{"names-refused", nameOp(by("t/a", "t/z"), func(v *Pool, a *Array) error {
		_, err := v.PublishTree("", Tree{"n/o": a, "t/a": a, "t/z/y": a}, add)
		return wantErr(err, ErrGroup)
	})},
	{"names-full", nameOp(by("x"), func(v *Pool, a *Array) error {
		tree := Tree{"x": a}
		for i := range smallPool.Names {
			tree[fmt.Sprint(i)] = a
		}
		_, err := v.PublishTree("", tree, replace)
		return wantErr(err, ErrTableFull)
	})},
	{"names-remove", func(v, peer *Pool) (func() error, error) {
		publishAll(peer, stay, "g/x", "g/y")
		return func() error { return v.Remove("g/x") }, nil
	}},
	{"names-remove-last", func(v, peer *Pool) (func() error, error) {
		publishAll(peer, stay, "a/b/c", "x")
		return func() error { return v.Remove("a/b/c") }, nil
	}},
	{"names-remove-tree", func(v, peer *Pool) (func() error, error) {
		publishAll(peer, stay, "p/t/a", "p/t/b/c", "p/t/b/d")
		return func() error { _, err := v.RemoveTree("p/t"); return err }, nil
	}},
	{"names-set-attributes", func(v, peer *Pool) (func() error, error) {
		publishAll(peer, Publish{Persistent: true, Attrs: Attrs{"old": 1}}, "g/x")
		warm(v)
		return func() error {
			_, err := v.SetAttrs("g/x", Attrs{"new": 2})
			return err
		}, nil
	}},
	{"names-set-attributes-of-group", func(v, peer *Pool) (func() error, error) {
		publishAll(peer, stay, "g/x")
		warm(v)
		return func() error { _, err := v.SetAttrs("g", Attrs{"new": 2}, stay); return err }, nil
	}},
	{"names-lookup", func(v, peer *Pool) (func() error, error) {
		publishAll(peer, Publish{Persistent: true, Attrs: Attrs{"k": 1}}, "g/x")
		return func() error { _, err := v.LookupItem("g/x"); return err }, nil
	}},
	{"names-lookup-tree", func(v, peer *Pool) (func() error, error) {
		publishAll(peer, stay, "g/x", "g/y", "z")
		return func() error { _, err := v.LookupTree(""); return err }, nil
	}},
	{"names-close", func(v, peer *Pool) (func() error, error) {
		publishAll(v, Publish{Attrs: Attrs{"k": 1}}, "g/x", "own/y")
		must(v.SetAttrs("g", Attrs{"k": 2}))
		must(v.SetAttrs("own", Attrs{"k": 2}))
		publishAll(peer, stay, "g/y", "z")
		return v.Close, nil
	}},
}
