package catalog

import (
	"testing"

	"github.com/ndpool/ndpool/arena/layout"
	"github.com/ndpool/ndpool/internal/sentinels"
)

// TestEveryError provokes every error that this package documents.
func TestEveryError(t *testing.T) {
	sentinels.Require(t, map[string]sentinels.Entry{
		"ErrPath": {Is: ErrPath, Says: "256 bytes \\(at most 255\\)", Provoke: func(*testing.T) error { return CheckPath("a/" + string(make([]byte, 256))) }},
		"ErrNoName": {Is: ErrNoName, Provoke: func(t *testing.T) error {
			tab, _, _ := newTable(t)
			_, err := tab.Find("none")
			return err
		}},
		"ErrTaken": {Is: ErrTaken, Provoke: func(t *testing.T) error {
			tab, _, _ := newTable(t)
			put(t, tab, "x")
			return change(tab, "x", refuse)
		}},
		"ErrGroup": {Is: ErrGroup, Provoke: func(t *testing.T) error {
			tab, _, _ := newTable(t)
			put(t, tab, "x")
			return change(tab, "x/y", replace)
		}},
		"ErrFull": {Is: ErrFull, Provoke: func(t *testing.T) error {
			tab, free, _ := newTable(t)
			clear(free)
			return change(tab, "x", replace)
		}},
		"ErrTorn": {Is: ErrTorn, Provoke: func(t *testing.T) error {
			tab, _, _ := newTable(t)
			put(t, tab, "x")
			e, err := tab.Find("x")
			if err != nil {
				return err
			}
			tab.names[e].Bytes.Store(layout.MaxComponent + 1)
			_, err = tab.Text(nil, e)
			return err
		}},
	}, nil)
}

// change puts a name in a change that is given up.
func change(tab *Table, path string, give func(old, new Value) (Value, error)) error {
	c := tab.Begin()
	err := c.Put(path, Value{Array: 1}, give)
	if e := c.Abandon(); e != nil {
		return e
	}
	return err
}
