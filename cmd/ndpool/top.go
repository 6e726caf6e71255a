package main

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/ndpool/ndpool/pool"
)

// topCmd watches pools.
type topCmd struct {
	Name     string        `arg:"" optional:"" help:"Name of the pool; without it all of the directory."`
	Interval time.Duration `short:"i" default:"1s" help:"Time between two frames, at least 50ms."`
	Once     bool          `help:"Write one frame and end."`
}

// Help tells what --help tells beyond the flags.
func (topCmd) Help() string {
	return `Ctrl-C ends it, with exit code 0. On a terminal the frames replace each other; elsewhere they follow each other, with
--json as one document per line.

Examples:

    ndpool top frames --interval 500ms
    ndpool top --once`
}

// What a terminal is told.
const (
	altScreen  = "\x1b[?1049h\x1b[?25l"
	mainScreen = "\x1b[?25h\x1b[?1049l"
	home       = "\x1b[H"
	clearLine  = "\x1b[K"
	clearRest  = "\x1b[J"
)

// Run writes frames until it is told to end.
func (c *topCmd) Run(e *env) error {
	if c.Interval < 50*time.Millisecond {
		return usageError(fmt.Sprintf("--interval: got %v, want at least 50ms", c.Interval))
	}
	ctx, stop := interruptible()
	defer stop()
	_, _, live := terminal(e.out)
	live = live && !e.JSON && !c.Once
	if live {
		io.WriteString(e.out, altScreen)
		defer io.WriteString(e.out, mainScreen)
	}
	tick := time.NewTicker(c.Interval)
	defer tick.Stop()
	for first := true; ; first = false {
		v, err := c.look(e)
		if !first && errors.Is(err, pool.ErrNotExist) {
			e.note("%s is gone", clean(c.Name))
			return nil
		}
		if err != nil {
			return err
		}
		if err := c.frame(e, v, live, first); err != nil || c.Once {
			return err
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// topJSON is a frame, as JSON.
type topJSON struct {
	Time      time.Time     `json:"time"`
	Pools     []listed      `json:"pools,omitempty"` // without a name
	Pool      *statJSON     `json:"pool,omitempty"`  // with one
	Processes []processJSON `json:"processes,omitempty"`
	Rings     []ringJSON    `json:"rings,omitempty"`
}

func (c *topCmd) look(e *env) (topJSON, error) {
	v := topJSON{Time: time.Now()}
	if c.Name == "" {
		l, err := list(e.Dir)
		v.Pools = l.Pools
		slices.SortStableFunc(v.Pools, func(a, b listed) int { return cmp.Compare(b.Held, a.Held) })
		return v, err
	}
	s, err := pool.Peek(c.Name, e.options())
	if err != nil {
		return v, err
	}
	defer s.Close()
	st, err := statOf(s, c.Name)
	v.Pool, v.Processes = &st, processesOf(s)
	v.Rings, _ = ringsOf(s) // without names that cannot be read at the moment
	slices.SortStableFunc(v.Processes, func(a, b processJSON) int { return cmp.Compare(b.Bytes, a.Bytes) })
	return v, err
}

// frame writes one frame.
func (c *topCmd) frame(e *env, v topJSON, live, first bool) error {
	if e.JSON {
		return writeJSON(e.out, v, "")
	}
	var b bytes.Buffer
	fmt.Fprintf(&b, "ndpool top  %s\n\n", v.Time.Format("15:04:05"))
	if v.Pool != nil {
		writeStat(&b, *v.Pool)
		fmt.Fprintln(&b)
		writeProcesses(&b, v.Processes)
		if len(v.Rings) > 0 {
			fmt.Fprintln(&b)
			writeRings(&b, v.Rings)
		}
	} else {
		writeList(&b, lsJSON{Dir: e.Dir, Pools: v.Pools})
	}
	text := b.String()
	switch rows, columns, _ := terminal(e.out); {
	case live:
		text = home + fit(text, rows, columns) + clearRest
	case !first:
		text = "\n" + text
	}
	_, err := io.WriteString(e.out, text)
	return err
}

// fit cuts a frame to the size of the terminal, so that it never scrolls.
func fit(text string, rows, columns int) string {
	lines := strings.Split(strings.TrimRight(text, "\n"), "\n")
	if rows > 1 && len(lines) > rows {
		lines = append(lines[:rows-1], fmt.Sprintf("... %d more lines", len(lines)-rows+1))
	}
	for k := range lines {
		if columns > 1 {
			lines[k] = cut(lines[k], columns)
		}
		lines[k] += clearLine
	}
	return strings.Join(lines, "\r\n")
}
