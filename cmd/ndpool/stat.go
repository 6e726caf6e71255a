package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/ndpool/ndpool/pool"
)

// statCmd shows how full a pool is.
type statCmd struct {
	Name string `arg:"" help:"Name of the pool."`
}

// Help tells what --help tells beyond the flags.
func (statCmd) Help() string {
	return `Waste is what rounding adds to the arrays. Fragmentation is the share of the free space that lies outside of the largest
free extent. Committed space has memory behind it; what of it is free goes back to the system by ndpool trim.

Example:

    ndpool stat frames`
}

// statJSON is a summary, as JSON. All sizes are bytes.
type statJSON struct {
	poolJSON
	State         pool.Condition `json:"state"`
	Stats         pool.Stats     `json:"stats"`
	Waste         float64        `json:"waste"`         // share of held
	Fragmentation float64        `json:"fragmentation"` // share of free
	Memory        uint64         `json:"memory"`        // that the file takes, tables included
	Dead          int            `json:"dead"`
	Streams       int            `json:"streams"`
	Queues        int            `json:"queues"`
}

// Run shows the summary.
func (c *statCmd) Run(e *env) error {
	s, err := pool.Peek(c.Name, e.options())
	if err != nil {
		return err
	}
	defer s.Close()
	v, err := statOf(s, c.Name)
	if err != nil {
		return err
	}
	return e.emit(v, func(w io.Writer) { writeStat(w, v) })
}

func statOf(s *pool.Snapshot, name string) (statJSON, error) {
	l, err := summarize(s, name)
	if err != nil {
		return statJSON{}, err
	}
	st := s.Stats()
	v := statJSON{poolJSON: describe(name, s.Path(), s.Segment().String(), s.Options()), State: l.State, Stats: st,
		Waste: share(st.Held-st.Live, st.Held), Fragmentation: share(st.Free-st.Largest, st.Free), Memory: l.Memory, Dead: l.Dead}
	for x := range s.Arrays() {
		switch x.Ring {
		case pool.StreamRing:
			v.Streams++
		case pool.QueueRing:
			v.Queues++
		}
	}
	return v, nil
}

func writeStat(w io.Writer, v statJSON) {
	s := v.Stats
	line := func(what, format string, args ...any) {
		fmt.Fprintf(w, "%-12s "+format+"\n", append([]any{what}, args...)...)
	}
	keeps := "ends with its last process"
	switch {
	case v.Persistent:
		keeps = "persistent"
	case s.Names > 0:
		keeps += " and its last persistent name"
	}
	line("pool", "%s, %s, %s", clean(v.Path), v.State, keeps)
	line("segment", "%s", v.Segment)
	line("capacity", "%s, and %s of tables", human(s.Capacity), human(s.Tables))
	line("committed", "%s (%s); with tables the file takes %s of memory", human(s.Committed), percent(s.Committed, s.Capacity), human(v.Memory))
	line("held", "%s (%s) by arrays, of it %s (%s) wasted by rounding", human(s.Held), percent(s.Held, s.Capacity), human(s.Held-s.Live), percent(s.Held-s.Live, s.Held))
	line("cached", "%s kept by processes for reuse", human(s.Cached))
	line("free", "%s, largest extent %s (fragmentation %s)", human(s.Free), human(s.Largest), percent(s.Free-s.Largest, s.Free))
	line("arrays", "%d of %d%s", s.Arrays, s.ArrayLimit, ifAny(s.Retired, ", %d descriptors used up"))
	line("processes", "%d of %d%s", s.Processes, s.SlotLimit, ifAny(v.Dead, ", of them %d dead (ndpool reap)"))
	line("rings", "%s, %s (ndpool rings)", plural(v.Streams, "stream", "streams"), plural(v.Queues, "queue", "queues"))
	line("names", "%d of %d entries, groups included (ndpool names)", s.Names, s.NameLimit)
	line("transfers", "%d of %d in flight", s.Transfers, s.TicketLimit)
	line("so far", "%s", soFar(s))
}

// soFar tells what happened since the pool was created.
func soFar(s pool.Stats) string {
	var text []string
	for _, c := range []struct {
		n         uint64
		one, many string
	}{{s.Sweeps, "dead process swept", "dead processes swept"}, {s.Takeovers, "lock of a dead process taken over", "locks of dead processes taken over"},
		{s.Expired, "transfer expired", "transfers expired"}, {s.Stolen, "block stolen from a cache", "blocks stolen from caches"},
		{s.Lost, "array lost", "arrays lost"}, {s.Trimmed, "chunk trimmed", "chunks trimmed"}} {
		if c.n > 0 {
			text = append(text, plural(int(c.n), c.one, c.many))
		}
	}
	if len(text) == 0 {
		return "nobody died, nothing expired"
	}
	return strings.Join(text, ", ")
}

func ifAny(n int, format string) string {
	if n == 0 {
		return ""
	}
	return fmt.Sprintf(format, n)
}
