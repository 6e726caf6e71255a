package pool

import (
	"fmt"
	"slices"
	"strings"

	"github.com/ndpool/ndpool/arena/layout"
	"github.com/ndpool/ndpool/catalog"
)

// Tree is names and what they stand for: by component, or by path, an *Array, an Item, or a Tree of what is in a group. A
// map[string]any will do for a Tree. An Item without an array, and a Tree with nothing in it, is a group that stays when the last
// name in it goes.
type Tree map[string]any

// Release releases all arrays of a tree.
func (t Tree) Release() {
	for _, v := range t {
		switch v := v.(type) {
		case *Array:
			v.Release()
		case Item:
			if v.Array != nil {
				v.Array.Release()
			}
		case Tree:
			v.Release()
		case map[string]any:
			Tree(v).Release()
		}
	}
}

// treeItem is a name of a tree, with its whole path.
type treeItem struct {
	path string
	item Item
}

// items appends what is in a tree below a prefix.
func (t Tree) items(to []treeItem, prefix string) ([]treeItem, error) {
	for k, v := range t {
		path := join(prefix, k)
		var sub Tree
		switch v := v.(type) {
		case *Array:
			to = append(to, treeItem{path, Item{Array: v}})
			continue
		case Item:
			to = append(to, treeItem{path, v})
			continue
		case Tree:
			sub = v
		case map[string]any:
			sub = v
		default:
			return nil, fmt.Errorf("publish %q: %w: a tree has no %T", path, ErrSpec, v)
		}
		if strings.Count(path, "/") >= layout.MaxNameDepth {
			return nil, fmt.Errorf("publish %q: %w", path, catalog.CheckPath(path)) // a tree that has itself in it ends here
		}
		if len(sub) == 0 {
			to = append(to, treeItem{path: path})
		}
		var err error
		if to, err = sub.items(to, path); err != nil {
			return nil, err
		}
	}
	return to, nil
}

func join(prefix, path string) string {
	if prefix == "" {
		return path
	}
	return prefix + "/" + path
}

// PublishTree gives all arrays of a tree their names, below a prefix if it is not empty, all at once or, when it fails or the
// process is killed, not at all. It returns the version that all of them have. A name that comes twice is ErrNameTaken. Else
// it is like Publish.
func (p *Pool) PublishTree(prefix string, t Tree, o ...Publish) (version uint64, err error) {
	opt := publishOptions(o)
	if prefix == "" && (len(opt.Attrs) != 0 || opt.Version != 0) {
		return 0, p.nameError("publish", prefix, errNoPrefix)
	}
	items, err := t.items(nil, prefix)
	if err != nil {
		return 0, err
	}
	if prefix != "" && (len(t) == 0 || len(opt.Attrs) != 0) {
		items = append(items, treeItem{prefix, Item{Attrs: opt.Attrs}})
	}
	slices.SortFunc(items, func(a, b treeItem) int { return catalog.ComparePaths(a.path, b.path) })
	return p.publish(prefix, items, opt)
}
