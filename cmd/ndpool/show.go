package main

import (
	"bufio"
	"cmp"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/ndpool/ndpool/handle"
	"github.com/ndpool/ndpool/pool"
)

// showCmd shows the arrays of a pool, or one of them.
type showCmd struct {
	Name   string `arg:"" help:"Name of the pool."`
	Handle string `arg:"" optional:"" help:"Handle of an array, a stream or a queue, as the table shows it."`
}

// Help tells what --help tells beyond the flags.
func (showCmd) Help() string {
	return `Without a handle: a table of all arrays. HOLDERS are pid(slot); IN TRANSIT counts transfers in flight, and places in streams
and queues. Those are in the table too: BYTES are what they take themselves; ndpool rings tells what is in them.
With one: what the array is, and its content as numpy prints it; of more than 1000 elements the corners. The content
is read while others may write it.

Examples:

    ndpool show frames
    ndpool show frames 6f2d1c0a00004100`
}

// arrayJSON is an array, as JSON.
type arrayJSON struct {
	Handle    handle.Handle `json:"handle"`
	Kind      string        `json:"kind"` // array, stream, queue
	DType     string        `json:"dtype,omitempty"`
	Shape     []int         `json:"shape"` // null of what is no array
	Fortran   bool          `json:"fortran"`
	Bytes     uint64        `json:"bytes"`
	Extent    uint64        `json:"extent"`
	Offset    uint64        `json:"offset"`
	Sealed    bool          `json:"sealed"`
	Hashed    bool          `json:"hashed"`
	Private   bool          `json:"private"`
	Named     bool          `json:"named"`
	InTransit int           `json:"in_transit"`
	Holders   []holderJSON  `json:"holders"`
	Preview   string        `json:"preview,omitempty"` // with a handle only
	info      pool.ArrayInfo
}

type holderJSON struct {
	Slot    int    `json:"slot"`
	Pid     int    `json:"pid"`
	Command string `json:"command"`
	Alive   bool   `json:"alive"`
}

func arraysOf(s *pool.Snapshot) []arrayJSON {
	holders := map[int]holderJSON{}
	for x := range s.Processes() {
		holders[x.Slot] = holderJSON{x.Slot, x.Pid, x.Command, x.Alive}
	}
	found := []arrayJSON{}
	for x := range s.Arrays() {
		a := arrayJSON{Handle: x.Handle, Kind: kindOf(x.Ring), DType: x.DType.String(), Shape: append([]int{}, x.Shape...), Fortran: x.Fortran,
			Bytes: x.Bytes, Extent: x.Extent, Offset: x.Offset, Sealed: x.Sealed, Hashed: x.Hashed, Private: x.Private, Named: x.Named,
			InTransit: x.InTransit, Holders: holdersOf(x.Holders, holders), info: x}
		if x.Ring != "" {
			a.DType, a.Shape = "", nil
		}
		found = append(found, a)
	}
	return found
}

// holdersOf returns the processes that have these slots.
func holdersOf(slots []int, known map[int]holderJSON) []holderJSON {
	found := []holderJSON{}
	for _, slot := range slots {
		h, ok := known[slot]
		if !ok {
			h = holderJSON{Slot: slot} // left meanwhile
		}
		found = append(found, h)
	}
	return found
}

// Run shows the arrays, or one.
func (c *showCmd) Run(e *env) error {
	s, err := pool.Peek(c.Name, e.options())
	if err != nil {
		return err
	}
	defer s.Close()
	found := arraysOf(s)
	if c.Handle != "" {
		return c.one(e, s, found)
	}
	v := struct {
		Name   string      `json:"name"`
		Arrays []arrayJSON `json:"arrays"`
	}{c.Name, found}
	return e.emit(v, func(w io.Writer) {
		if len(found) == 0 {
			fmt.Fprintf(w, "no arrays in %s\n", clean(c.Name))
			return
		}
		t := newTable("HANDLE", "KIND", "DTYPE", "SHAPE", ">BYTES", "HOLDERS", ">IN TRANSIT", "FLAGS")
		for _, a := range found {
			dtype, shape := "", ""
			if a.info.Ring == "" {
				dtype, shape = cut(typeText(a.info.DType), 32), cut(shapeText(a.Shape), 32)
			}
			t.row(a.Handle, a.Kind, dtype, shape, human(a.Bytes), cut(holdersText(a.Holders), 48), a.InTransit, a.flags())
		}
		b := bufio.NewWriter(w)
		t.write(b)
		b.Flush()
	})
}

func holdersText(holders []holderJSON) string {
	var s []string
	for _, h := range holders {
		text := fmt.Sprintf("%d(%d)", h.Pid, h.Slot)
		if !h.Alive {
			text += " dead"
		}
		s = append(s, text)
	}
	if len(s) == 0 {
		return "-"
	}
	return strings.Join(s, ",")
}

func (a *arrayJSON) flags() string {
	var s []string
	for _, f := range []struct {
		on   bool
		name string
	}{{a.Private, "private"}, {a.Sealed, "sealed"}, {a.Hashed, "hashed"}, {a.Named, "named"}, {a.Fortran, "fortran"}} {
		if f.on {
			s = append(s, f.name)
		}
	}
	if len(s) == 0 {
		return "-"
	}
	return strings.Join(s, ",")
}

// one shows one array and its content.
func (c *showCmd) one(e *env, s *pool.Snapshot, found []arrayJSON) error {
	h, err := handle.ParseHandle(strings.ToLower(c.Handle))
	if err != nil {
		return usageError(err.Error())
	}
	for _, a := range found {
		if a.Handle != h {
			continue
		}
		if a.info.Ring != "" {
			return c.ring(e, s, h)
		}
		read := func(off, n int) ([]byte, error) { return s.Read(h, off, n) }
		if a.Preview, err = preview(a.info, read); err != nil {
			return err
		}
		return e.emit(a, func(w io.Writer) { writeArray(w, a) })
	}
	return fmt.Errorf("no array %v in %s: %w", h, clean(c.Name), errNoArray)
}

// ring shows one stream or queue.
func (c *showCmd) ring(e *env, s *pool.Snapshot, h handle.Handle) error {
	found, err := ringsOf(s)
	for _, r := range found {
		if r.Handle == h {
			return e.emit(r, func(w io.Writer) { writeRing(w, &r) })
		}
	}
	return cmp.Or(err, fmt.Errorf("no stream or queue %v in %s: %w", h, clean(c.Name), errNoArray))
}

var errNoArray = errors.New("the handle is stale or of another pool")

func writeArray(w io.Writer, a arrayJSON) {
	line := func(what string, text any) { fmt.Fprintf(w, "%-11s %v\n", what, text) }
	line("handle", a.Handle)
	line("dtype", clean(a.DType))
	line("shape", shapeText(a.Shape))
	line("order", map[bool]string{false: "C (last index fastest)", true: "Fortran (first index fastest)"}[a.Fortran])
	line("bytes", fmt.Sprintf("%s, in an extent of %s at byte %d of the data", exactly(a.Bytes), human(a.Extent), a.Offset))
	line("holders", holdersText(a.Holders))
	line("in transit", a.InTransit)
	line("flags", a.flags())
	fmt.Fprintf(w, "\n%s\n", a.Preview)
}
