// Photo sharpens a photograph with worker processes that share it through a pool, and kills some of them on the way.
//
// The parent puts the decoded photograph into the pool. Workers get tiles of it as handles over their standard input,
// sharpen them, and hand the results back as 16 bytes on their standard output; no pixel goes through a pipe. With -python
// every other worker is a Python process, which has the same arrays as numpy arrays. A worker of each language is killed
// with SIGKILL in the middle of a tile, and its tiles are done by others. Then the same job is timed by handle and with the
// pixels sent through the pipes, everything is compared bit by bit, and the pool is looked through for leaks.
//
//	main.go    flags, and the order of events
//	studio.go  what the parent has: the pool, the image in it, the result, the tiles
//	image.go   the photograph: find, decode, enlarge, save
//	filter.go  the filter, and how an image is cut into tiles
//	worker.go  what a worker process does
//	worker.py  the same in Python
//	kind.go    the languages of workers
//	fleet.go   the worker processes as the parent sees them: start, stop, bury
//	run.go     the parent's side of one run over all tiles
//	kill.go    the murders
//	cpu.go     processor time
//	check.go   what must be true in the end
//	report.go  what is printed
//
// Beside them lies compare.py: the same job with multiprocessing and without Go.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"image"
	"io"
	"os"
	"os/signal"
	"syscall"
)

// options are the flags.
type options struct {
	image      string
	out        string
	megapixels float64
	tile       int
	workers    int
	sigma      float64
	amount     float64
	rounds     int
	kill       string
	python     string
	quiet      bool
	json       bool
}

func parse(args []string) (options, error) {
	var o options
	f := flag.NewFlagSet("photo", flag.ContinueOnError)
	f.StringVar(&o.image, "image", "", "photograph, JPEG, PNG or GIF (default: one of the Go toolchain's own)")
	f.StringVar(&o.out, "o", "out/photo.png", "where to write the result; its directory is made, \"\" writes nothing")
	f.Float64Var(&o.megapixels, "megapixels", 24, "enlarge the photograph to at least so many")
	f.IntVar(&o.tile, "tile", 512, "width and height of a tile in pixels")
	f.IntVar(&o.workers, "workers", 4, "worker processes")
	f.Float64Var(&o.sigma, "sigma", 1, "of the Gaussian blur, in pixels")
	f.Float64Var(&o.amount, "amount", 1.5, "how far to go away from the blurred image")
	f.IntVar(&o.rounds, "rounds", 5, "timed runs by handle, and as many through pipes")
	f.StringVar(&o.kill, "kill", "each", "kill a worker in the first run: go, python, each (one of each language) or none")
	f.StringVar(&o.python, "python", "", "interpreter that has the package ndpool: every other worker is a Python process")
	f.BoolVar(&o.quiet, "q", false, "print no progress")
	f.BoolVar(&o.json, "json", false, "print the report as JSON")
	f.Usage = func() {
		fmt.Fprint(f.Output(), "usage: photo [flags]\n\nSharpens a photograph with worker processes that share it through a pool, kills some of them\n"+
			"on the way, and compares with sending pixels through pipes. Exits with 1 if anything was lost,\ndiffers or leaked.\n\n")
		f.PrintDefaults()
	}
	if err := f.Parse(args); err != nil {
		return o, err
	}
	return o, o.validate(f.NArg())
}

func (o *options) validate(rest int) error {
	switch {
	case rest > 0:
		return fmt.Errorf("photo: %d arguments that are no flags; see -h", rest)
	case o.megapixels <= 0 || o.megapixels > 4096:
		return fmt.Errorf("photo: -megapixels %g (more than 0, at most 4096)", o.megapixels)
	case o.tile < 16 || o.tile > 4096:
		return fmt.Errorf("photo: -tile %d (16 to 4096)", o.tile)
	case o.workers < 1 || o.workers > 64:
		return fmt.Errorf("photo: -workers %d (1 to 64)", o.workers)
	case !(o.sigma > 0 && o.sigma <= 20):
		return fmt.Errorf("photo: -sigma %g (more than 0, at most 20)", o.sigma)
	case !(o.amount >= 0 && o.amount <= 10):
		return fmt.Errorf("photo: -amount %g (0 to 10)", o.amount)
	case o.rounds < 0 || o.rounds > 1000:
		return fmt.Errorf("photo: -rounds %d (0 to 1000)", o.rounds)
	case o.python != "" && o.workers < 2:
		return fmt.Errorf("photo: -python with -workers %d (2 at least: one of each language)", o.workers)
	case o.python == "" && o.kill == string(inPython):
		return errors.New("photo: -kill python without -python")
	}
	if _, ok := killable[o.kill]; !ok {
		return fmt.Errorf("photo: -kill %q (go, python, each or none)", o.kill)
	}
	return nil
}

func main() {
	if os.Getenv(workerEnv) != "" {
		exit(workerMain())
	}
	o, err := parse(os.Args[1:])
	if errors.Is(err, flag.ErrHelp) {
		os.Exit(0)
	} else if err != nil {
		exit(err)
	}
	// Ctrl-C ends the context, which kills the workers; the pool is a memfd and goes with its last process. A second
	// Ctrl-C ends this process at once, with the same result.
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop)
	progress := io.Writer(os.Stderr)
	if o.quiet {
		progress = io.Discard
	}
	rep, err := photo(ctx, o, progress)
	if ctx.Err() != nil {
		exit(errors.New("photo: interrupted"))
	}
	exit(errors.Join(err, rep.print(os.Stdout, o.json), rep.verdict()))
}

func exit(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

// photo does everything, and returns what it found. An error is what stopped it; what is wrong with the results is in
// the report.
func photo(ctx context.Context, o options, progress io.Writer) (rep report, err error) {
	say := func(format string, args ...any) { fmt.Fprintf(progress, "photo: "+format+"\n", args...) }
	rep.Machine = thisMachine()

	s, err := openStudio(o, &rep.Source)
	if err != nil {
		return rep, err
	}
	defer s.close()
	say("%d megapixels in the pool, %d tiles", s.in.Rect.Dx()*s.in.Rect.Dy()/1e6, len(s.tiles))
	rep.Job = jobReport{Tiles: len(s.tiles), TilePixels: o.tile, Workers: o.workers, Sigma: o.sigma, Amount: o.amount}

	reference := image.NewRGBA(s.in.Rect)
	if _, err := s.reference(ctx, reference); err != nil {
		return rep, err
	}

	f, err := newFleet(ctx, s.pool, o.workers, o.python)
	if err != nil {
		return rep, err
	}
	defer f.stop()
	rep.Job.Kinds = f.count()
	say("%d workers, %s; first run", o.workers, kinds(rep.Job.Kinds))
	victims := f.victims(killable[o.kill])
	rep.First, err = s.run(ctx, f, byHandle, victims)
	if err != nil {
		return rep, err
	}
	rep.compare("the first run", s.out, reference)
	if err := save(ctx, o.out, s.out); err != nil {
		return rep, err
	}
	rep.Result = o.out

	for n := range o.rounds {
		say("timed round %d of %d", n+1, o.rounds)
		if err := s.round(ctx, f, &rep, reference); err != nil {
			return rep, err
		}
	}
	return rep, s.check(f, &rep, len(victims))
}

// round times the job once in each way, one after the other, so that whatever else the machine does disturbs all alike.
// Nobody is killed in any of them; workers and memory are warm.
func (s *studio) round(ctx context.Context, f *fleet, rep *report, reference *image.RGBA) error {
	cpu := f.cpuSeconds()
	seconds, err := s.reference(ctx, reference)
	if err != nil {
		return err
	}
	rep.Alone.add(runReport{Seconds: seconds, CPUSeconds: f.cpuSeconds() - cpu})
	for _, how := range []transport{byHandle, throughPipes} {
		r, err := s.run(ctx, f, how, nil)
		if err != nil {
			return err
		}
		rep.timed(how).add(r)
		rep.compare(fmt.Sprintf("a timed run %v", how), s.out, reference)
	}
	return nil
}
