package catalog

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/ndpool/ndpool/arena/layout"
)

// ErrPath is returned for what no name can be.
var ErrPath = errors.New("not a name of the catalog")

// CheckPath tells whether a name can be that: 1 to 64 components with a slash between them, each 1 to 255 bytes of UTF-8
// without a zero byte, and neither "." nor "..".
func CheckPath(path string) error {
	depth := 0
	for s, rest, more := "", path, true; more; {
		s, rest, more = strings.Cut(rest, "/")
		if err := checkComponent(s); err != nil {
			return err
		}
		if depth++; depth > layout.MaxNameDepth {
			return fmt.Errorf("%w: more than %d components", ErrPath, layout.MaxNameDepth)
		}
	}
	return nil
}

func checkComponent(s string) error {
	switch {
	case s == "":
		return fmt.Errorf("%w: an empty component", ErrPath)
	case s == "." || s == "..":
		return fmt.Errorf("%w: component %q", ErrPath, s)
	case len(s) > layout.MaxComponent:
		return fmt.Errorf("%w: component of %d bytes (at most %d)", ErrPath, len(s), layout.MaxComponent)
	case strings.IndexByte(s, 0) >= 0:
		return fmt.Errorf("%w: a zero byte in %q", ErrPath, s)
	case !utf8.ValidString(s):
		return fmt.Errorf("%w: %q is not UTF-8", ErrPath, s)
	}
	return nil
}

// IsComponent tells whether bytes that another process wrote can be a component: as CheckPath has it, and without a slash.
func IsComponent(text []byte) bool {
	return len(text) > 0 && len(text) <= layout.MaxComponent && utf8.Valid(text) && bytes.IndexByte(text, 0) < 0 &&
		bytes.IndexByte(text, '/') < 0 && string(text) != "." && string(text) != ".."
}

// Find returns the entry of a path. Precondition, beside the lock: CheckPath agreed.
func (t *Table) Find(path string) (e int, err error) {
	node := uint32(0)
	for s, rest, more := "", path, true; more; {
		s, rest, more = strings.Cut(rest, "/")
		found := false
		if e, found, err = t.child(node, s); err != nil {
			return 0, err
		}
		if !found {
			return 0, ErrNoName
		}
		node = uint32(e) + 1
	}
	return e, nil
}

// ComparePaths orders paths by component, so that a group comes right before what is in it.
func ComparePaths(a, b string) int {
	for i := range min(len(a), len(b)) {
		if a[i] == b[i] {
			continue
		}
		switch {
		case a[i] == '/':
			return -1
		case b[i] == '/':
			return 1
		}
		return cmp.Compare(a[i], b[i])
	}
	return cmp.Compare(len(a), len(b))
}

// Nodes returns how many entries a tree of these paths has. Precondition: they are sorted by component. It needs no lock.
func Nodes(paths []string) (n int) {
	last := ""
	for _, p := range paths {
		n += strings.Count(p[same(last, p):], "/") + 1
		last = p
	}
	return n
}

// same returns the length of the components that a path begins with as another one does, with their slashes.
func same(last, path string) (n int) {
	for i := range min(len(last), len(path)) {
		if last[i] != path[i] {
			return n
		}
		if path[i] == '/' {
			n = i + 1
		}
	}
	if len(path) > len(last) && path[len(last)] == '/' {
		return len(last) + 1
	}
	return n
}
