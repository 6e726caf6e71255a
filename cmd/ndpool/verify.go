package main

import (
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/ndpool/ndpool/arena"
	"github.com/ndpool/ndpool/pool"
)

// verifyCmd checks a pool, or a copy of one.
type verifyCmd struct {
	Name    string `arg:"" optional:"" help:"Name of the pool; with --image a file."`
	Image   bool   `help:"Check a copy of a pool's file, as ndpool dump makes it, without attaching to anything."`
	Content bool   `help:"Also compare the content of sealed arrays with their hashes."`
	Laws    bool   `help:"List the laws and end."`
}

// Help tells what --help tells beyond the flags.
func (verifyCmd) Help() string {
	return `Holds the pool's lock meanwhile, so that other processes wait at their slow steps: milliseconds, but seconds for
capacities of hundreds of GiB.
Dead processes are left alone, and laws that hold only at rest are checked when no other process is attached.
The exit code is 1 if a fault was found; each is told with its law, its place, what was expected and what was found.

Examples:

    ndpool verify frames --content
    ndpool dump frames frames.img && ndpool verify --image frames.img`
}

// verifyJSON is a report, as JSON.
type verifyJSON struct {
	Name  string `json:"name"`
	Image bool   `json:"image"`
	Clean bool   `json:"clean"`
	pool.Report
}

// Run checks the pool.
func (c *verifyCmd) Run(e *env) error {
	if c.Laws {
		return e.emit(struct {
			Laws []pool.Law `json:"laws"`
		}{pool.Laws}, writeLaws)
	}
	if c.Name == "" {
		return usageError("verify: the name of a pool is missing")
	}
	r, err := c.verify(e)
	if err != nil {
		return err
	}
	if r.Faults == nil {
		r.Faults = []pool.Fault{}
	}
	v := verifyJSON{c.Name, c.Image, r.Clean(), r}
	if err := e.emit(v, func(w io.Writer) { c.write(w, r) }); err != nil || v.Clean {
		return err
	}
	return errFaults
}

func (c *verifyCmd) verify(e *env) (pool.Report, error) {
	o := pool.VerifyOptions{Content: c.Content}
	defer e.working("verifying " + c.Name)()
	if c.Image {
		return pool.VerifyImage(c.Name, o)
	}
	p, err := pool.Open(c.Name, e.options())
	var fe *arena.FormatError
	if errors.As(err, &fe) && !isForeign(err) {
		return pool.Report{Faults: []pool.Fault{{Law: "superblock", Place: fe.What, Expected: fmt.Sprint(fe.Want), Found: fmt.Sprint(fe.Got)}}}, nil
	}
	if err != nil {
		return pool.Report{}, err
	}
	defer p.Close()
	return p.Verify(o)
}

func (c *verifyCmd) write(w io.Writer, r pool.Report) {
	for _, f := range r.Faults {
		fmt.Fprintln(w, clean(f.String()))
	}
	verdict := "clean"
	if !r.Clean() {
		verdict = plural(len(r.Faults)+r.More, "fault", "faults")
		if r.More > 0 {
			verdict += fmt.Sprintf(", of which %d are not shown", r.More)
		}
	}
	fmt.Fprintf(w, "%s: %s; %s, %d laws%s\n", clean(c.Name), verdict, plural(r.Arrays, "array", "arrays"), len(pool.Laws), c.left(r))
}

// left tells what could not be checked.
func (c *verifyCmd) left(r pool.Report) string {
	s := ""
	if !r.Quiet {
		s += "; not those of a pool at rest, since slots are in use"
	}
	if !r.Indexes {
		s += "; not the indexes, since the lock was held"
	}
	return s
}

func writeLaws(w io.Writer) {
	t := newTable("LAW", "AT REST", "TEXT")
	for _, l := range pool.Laws {
		t.row(l.Name, yes(l.Rest), l.Text)
	}
	t.write(w)
}

// working tells on a terminal that something takes its time, after a second. The caller calls the function at its end.
func (e *env) working(what string) (end func()) {
	return e.progress(func() string { return what })
}

// progress is like working, and asks each time what the work is.
func (e *env) progress(what func() string) (end func()) {
	if _, _, ok := terminal(e.err); !ok {
		return func() {}
	}
	start, done, ended := time.Now(), make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		shown := false
		for {
			select {
			case <-done:
				if shown {
					io.WriteString(e.err, "\r"+clearLine)
				}
				return
			case <-time.After(time.Second):
				shown = true
				fmt.Fprintf(e.err, "\rndpool: %s, %s%s", clean(what()), age(time.Since(start).Truncate(time.Second)), clearLine)
			}
		}
	}()
	return func() { close(done); <-ended }
}
