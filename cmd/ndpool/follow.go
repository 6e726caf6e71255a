package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/ndpool/ndpool/pool"
)

// followCmd shows the frames of a stream as they come.
type followCmd struct {
	Name    string        `arg:"" help:"Name of the pool."`
	Path    string        `arg:"" help:"Name of a stream, which need not be there yet."`
	Every   bool          `short:"e" help:"Every frame that is still there, instead of the newest."`
	Count   int           `short:"n" placeholder:"COUNT" help:"End after so many frames (default: never)."`
	Timeout time.Duration `short:"t" placeholder:"TIME" help:"Fail when no frame comes for so long, such as 5s (default: wait for ever)."`
}

// Help tells what --help tells beyond the flags.
func (followCmd) Help() string {
	return `A line for each frame, with --json a document: AGE is the time since it was published, SKIPPED how many came between the
frame and the one before, or were there before the first, and are not shown. It waits before the stream is there, and
when the writer has ended or died, which is told on stderr, for the next one. No writer waits for it, also that of a
lossless stream. Ctrl-C ends it, with exit code 0.

A queue cannot be followed: who gets an item takes it from the others. ndpool rings counts what is in it.

Examples:

    ndpool follow lab camera/left
    ndpool --json follow lab camera/left --every -n 100 | jq .age_seconds`
}

// frameJSON is a frame, as JSON.
type frameJSON struct {
	Sequence   uint64     `json:"sequence"`
	Skipped    uint64     `json:"skipped"`
	Age        float64    `json:"age_seconds"`
	Wall       time.Time  `json:"wall"` // when it was published
	Monotonic  float64    `json:"monotonic_seconds"`
	DType      string     `json:"dtype"`
	Shape      []int      `json:"shape"`
	Bytes      uint64     `json:"bytes"`
	Attributes pool.Attrs `json:"attributes"`
	short      string     // of the dtype
}

// Run writes a line for each frame until it is told to end.
func (c *followCmd) Run(e *env) error {
	if c.Count < 0 || c.Timeout < 0 {
		return usageError("follow: --count and --timeout are not negative")
	}
	p, err := pool.Open(c.Name, e.options())
	if err != nil {
		return err
	}
	defer p.Close()
	r, err := p.StreamReader(c.Path)
	if err != nil {
		return err
	}
	defer r.Close()
	ctx, stop := interruptible()
	defer stop()
	if _, err := p.LookupItem(c.Path); errors.Is(err, pool.ErrNoName) {
		e.note("there is no stream %s yet", oneLine(c.Path))
	}
	for n := 0; c.Count == 0 || n < c.Count; {
		f, err := c.next(ctx, r)
		switch {
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, pool.ErrWriterDied):
			e.note("the writer of %s died; waiting for another one", oneLine(c.Path))
			continue
		case errors.Is(err, pool.ErrEnded):
			e.note("the writer of %s has ended; waiting for another one", oneLine(c.Path))
			continue
		case errors.Is(err, context.DeadlineExceeded):
			return fmt.Errorf("follow %s: no frame came for %v", oneLine(c.Path), c.Timeout)
		case err != nil:
			return err
		}
		v := frameOf(f)
		f.Release()
		if err := v.write(e, n == 0); err != nil {
			return err
		}
		n++
	}
	return nil
}

// next returns the next frame to show.
func (c *followCmd) next(ctx context.Context, r *pool.StreamReader) (*pool.Frame, error) {
	if c.Timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, c.Timeout)
		defer cancel()
	}
	if c.Every {
		return r.Next(ctx)
	}
	return r.Latest(ctx)
}

func frameOf(f *pool.Frame) frameJSON {
	a := f.Array
	v := frameJSON{Sequence: f.Sequence, Skipped: f.Skipped, Age: max(time.Since(f.Wall).Seconds(), 0), Wall: f.Wall, Monotonic: f.Monotonic.Seconds(),
		DType: a.DType().String(), Shape: append([]int{}, a.Shape()...), Bytes: uint64(a.Size()), Attributes: f.Attrs, short: typeText(a.DType())}
	if v.Attributes == nil {
		v.Attributes = pool.Attrs{}
	}
	return v
}

// write writes a frame as a line, with titles above the first.
func (v *frameJSON) write(e *env, first bool) error {
	if e.JSON {
		return writeJSON(e.out, v, "")
	}
	const line = "%10v  %8v  %8v  %-12v  %-16v  %9v  %v\n"
	text := ""
	if first {
		text = fmt.Sprintf(line, "SEQUENCE", "SKIPPED", "AGE", "DTYPE", "SHAPE", "BYTES", "ATTRIBUTES")
	}
	attrs := "-"
	if len(v.Attributes) > 0 {
		attrs = cut(encode(v.Attributes, ""), 96)
	}
	text += fmt.Sprintf(line, v.Sequence, v.Skipped, short(fromSeconds(v.Age)), cut(v.short, 32), shapeText(v.Shape), human(v.Bytes), attrs)
	_, err := io.WriteString(e.out, text)
	return err
}

// short writes the age of a frame, which may be less than a millisecond.
func short(d time.Duration) string {
	if d < time.Millisecond {
		return d.Round(time.Microsecond).String()
	}
	return age(d)
}
