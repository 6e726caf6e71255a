package main

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/ndpool/ndpool/handle"
	"github.com/ndpool/ndpool/pool"
)

// ringsCmd shows the streams and queues of a pool.
type ringsCmd struct {
	Name string `arg:"" help:"Name of the pool."`
}

// Help tells what --help tells beyond the flags.
func (ringsCmd) Help() string {
	return `ITEMS are the frames of a stream, or the items of a queue, that are there now, and LIMIT how many there can be: an item of a
queue takes one place more for each array that belongs to it. PUT counts the places that were ever filled. WRITER is the
process that writes a stream; "ended" and "died" tell what became of the last one. READERS are those that the writer of
a lossless stream waits for, and how many frames the slowest of them is behind. BYTES are those of the arrays in it. One
without a name is told by its handle.

Examples:

    ndpool rings lab
    ndpool --json rings lab | jq '.rings[] | select(.kind == "queue") | [.names[0], .items]'`
}

// ringJSON is a stream or a queue, as JSON.
type ringJSON struct {
	Handle      handle.Handle `json:"handle"`
	Kind        pool.RingKind `json:"kind"`
	Names       []string      `json:"names"`
	Items       uint64        `json:"items"`
	Entries     uint64        `json:"entries"`
	Limit       int           `json:"limit"` // entries
	Put         uint64        `json:"put"`   // entries, ever
	Bytes       uint64        `json:"bytes"`
	Lossless    bool          `json:"lossless"`
	Shut        bool          `json:"shut"`
	Writer      *partyJSON    `json:"writer"`                 // null: nobody writes
	WriterState string        `json:"writer_state,omitempty"` // of a stream: none, alive, ended, died
	Ended       int           `json:"writers_ended"`
	Readers     int           `json:"readers"` // that the writer waits for
	ReaderLimit int           `json:"reader_limit"`
	Behind      uint64        `json:"behind"`
	Newest      *time.Time    `json:"newest"` // null: there is none
	Age         *float64      `json:"age_seconds"`
	Holders     []holderJSON  `json:"holders"`
}

// ringsOf returns the streams and queues, also those that could be read if not all names could.
func ringsOf(s *pool.Snapshot) ([]ringJSON, error) {
	people := map[pool.ProcessID]partyJSON{}
	holders := map[int]holderJSON{}
	for x := range s.Processes() {
		people[x.ID] = partyJSON{ID: x.ID.String(), Pid: x.Pid, Command: x.Command, Alive: x.Alive}
		holders[x.Slot] = holderJSON{x.Slot, x.Pid, x.Command, x.Alive}
	}
	infos, err := s.Rings()
	now, found := time.Now(), []ringJSON{}
	for _, x := range infos {
		r := ringJSON{Handle: x.Handle, Kind: x.Kind, Names: x.Names, Items: x.Items, Entries: x.Head - min(x.Head, x.Tail), Limit: x.Limit, Put: x.Head,
			Bytes: x.Bytes, Lossless: x.Lossless, Shut: x.Shut, Ended: x.Ended, Readers: x.Entered, ReaderLimit: x.ReaderLimit, Behind: x.Behind,
			Holders: holdersOf(x.Holders, holders)}
		if x.Writer != 0 {
			w, ok := people[x.Writer]
			if !ok {
				w = partyJSON{ID: x.Writer.String()}
			}
			r.Writer = &w
		}
		if x.Kind == pool.StreamRing {
			r.WriterState = writerState(r.Writer, x)
		}
		if !x.Newest.IsZero() {
			age := seconds(max(now.Sub(x.Newest), 0))
			r.Newest, r.Age = &x.Newest, &age
		}
		found = append(found, r)
	}
	slices.SortStableFunc(found, func(a, b ringJSON) int { return cmp.Compare(a.place(), b.place()) })
	return found, err
}

// writerState tells in one word what is with the writer of a stream. One that died and was not swept yet is still its writer.
func writerState(w *partyJSON, x pool.RingInfo) string {
	switch {
	case w != nil && w.Alive:
		return "alive"
	case w != nil || x.Died:
		return "died"
	case x.Ended > 0:
		return "ended"
	}
	return "none"
}

// Run shows the streams and queues.
func (c *ringsCmd) Run(e *env) error {
	s, err := pool.Peek(c.Name, e.options())
	if err != nil {
		return err
	}
	defer s.Close()
	found, bad := ringsOf(s)
	v := struct {
		Name  string     `json:"name"`
		Rings []ringJSON `json:"rings"`
	}{c.Name, found}
	err = e.emit(v, func(w io.Writer) {
		if len(found) == 0 {
			fmt.Fprintf(w, "no streams or queues in %s\n", clean(c.Name))
			return
		}
		writeRings(w, found)
	})
	return cmp.Or(bad, err)
}

func writeRings(w io.Writer, found []ringJSON) {
	t := newTable("NAME", "KIND", ">ITEMS", ">LIMIT", ">PUT", "WRITER", "READERS", ">NEWEST", ">BYTES", "FLAGS")
	for _, r := range found {
		t.row(cut(r.title(), 48), r.Kind, r.Items, r.Limit, r.Put, r.writer(), r.readers(), r.newest(), human(r.Bytes), r.flags())
	}
	t.write(w)
}

// title returns the names, or the handle of what has none.
func (r *ringJSON) title() string {
	if len(r.Names) == 0 {
		return r.Handle.String()
	}
	names := make([]string, len(r.Names))
	for k, name := range r.Names {
		names[k] = oneLine(name)
	}
	return strings.Join(names, ",")
}

// place is what the table is sorted by: those without a name come last.
func (r *ringJSON) place() string {
	if len(r.Names) == 0 {
		return "\U0010ffff" + r.Handle.String()
	}
	return r.Names[0]
}

func (r *ringJSON) writer() string {
	switch {
	case r.WriterState == "" || r.WriterState == "none":
		return "-"
	case r.Writer != nil && r.WriterState == "died":
		return fmt.Sprintf("%d %s died", r.Writer.Pid, clean(r.Writer.Command))
	case r.Writer != nil:
		return fmt.Sprintf("%d %s", r.Writer.Pid, clean(r.Writer.Command))
	}
	return r.WriterState
}

func (r *ringJSON) readers() string {
	switch {
	case !r.Lossless:
		return "-"
	case r.Readers == 0:
		return "0"
	}
	return fmt.Sprintf("%d, %d behind", r.Readers, r.Behind)
}

func (r *ringJSON) newest() string {
	if r.Age == nil {
		return "-"
	}
	return age(fromSeconds(*r.Age))
}

func (r *ringJSON) flags() string {
	switch {
	case r.Lossless:
		return "lossless"
	case r.Shut:
		return "shut"
	}
	return "-"
}

// writeRing writes all of one.
func writeRing(w io.Writer, r *ringJSON) {
	line := func(what string, text any) { fmt.Fprintf(w, "%-11s %v\n", what, text) }
	line("handle", r.Handle)
	line("kind", r.Kind)
	if len(r.Names) > 0 {
		line("name", r.title())
	}
	line("items", fmt.Sprintf("%d, of at most %d; %d put so far", r.Items, r.Limit, r.Put))
	line("bytes", fmt.Sprintf("%s, of the arrays in it", exactly(r.Bytes)))
	if r.Kind == pool.StreamRing {
		line("writer", fmt.Sprintf("%s; %s before", r.writer(), plural(r.Ended, "writer", "writers")))
		line("readers", r.readers())
	}
	line("newest", r.newest())
	line("holders", holdersText(r.Holders))
	line("flags", r.flags())
}
