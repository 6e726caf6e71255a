package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/alecthomas/kong"

	"github.com/ndpool/ndpool/pool"
)

// Exit codes.
const (
	exitOK    = 0
	exitFault = 1 // faults were found, or the command failed
	exitUsage = 2
)

const description = `Shared-memory pools of n-dimensional arrays: make, look into, check and clean them, and bring arrays in and out.

ls, show, ps, stat, transfers, rings and top look without attaching: they take no slot, wait for no lock, and the pool lives
and ends as if nobody looked. names, get and follow attach for as long as they run, and change nothing.

Exit codes: 0 all is well; 1 faults were found, or the command failed; 2 the command line is wrong.
Results go to stdout, as one JSON document with --json; errors and notes go to stderr.`

// cli is the command line.
type cli struct {
	Dir  string `short:"d" default:"${dir}" env:"NDPOOL_DIR" placeholder:"DIR" help:"Directory of the pools (default ${dir})."`
	JSON bool   `name:"json" short:"j" help:"Write one JSON document to stdout."`
	UID  []int  `name:"uid" placeholder:"UID" help:"Also open pools of this user, besides your own; may be repeated."`
	GID  []int  `name:"gid" placeholder:"GID" help:"Also open pools of this group; may be repeated."`

	Ls        lsCmd        `cmd:"" help:"List the pools of the directory."`
	Show      showCmd      `cmd:"" help:"Show the arrays of a pool, or one array and its content."`
	Ps        psCmd        `cmd:"" help:"Show the processes of a pool."`
	Stat      statCmd      `cmd:"" help:"Show how full a pool is."`
	Transfers transfersCmd `cmd:"" help:"Show the transfers in flight: who sent what to whom."`
	Top       topCmd       `cmd:"" help:"Watch one pool, or all of the directory."`
	Names     namesCmd     `cmd:"" help:"List the names of arrays."`
	Rings     ringsCmd     `cmd:"" help:"List the streams and queues."`
	Follow    followCmd    `cmd:"" help:"Show the frames of a stream as they come."`
	Get       getCmd       `cmd:"" help:"Write a named array to .npy, the newest frame of a stream, or a group to .npz."`
	Put       putCmd       `cmd:"" help:"Publish the arrays of .npy or .npz under a name."`
	Rm        rmCmd        `cmd:"" help:"Remove names."`
	Attrs     attrsCmd     `cmd:"" help:"Show or set the attributes of a name."`
	Verify    verifyCmd    `cmd:"" help:"Check every law of the format."`
	Create    createCmd    `cmd:"" help:"Create a persistent pool."`
	Reap      reapCmd      `cmd:"" help:"Clean up after dead processes, and remove pools they left behind."`
	Trim      trimCmd      `cmd:"" help:"Give the memory behind free space back to the system."`
	Dump      dumpCmd      `cmd:"" help:"Copy a pool's file, for verify --image."`
	Unlink    unlinkCmd    `cmd:"" help:"Remove a pool's name."`
	Version   versionCmd   `cmd:"" help:"Show the versions of the command and of the format."`
}

// env is what a verb works with.
type env struct {
	*cli
	out io.Writer
	err io.Writer
}

// options returns how to open a pool for anything but looking.
func (e *env) options() pool.Options {
	return pool.Options{Dir: e.Dir, UIDs: e.UID, GIDs: e.GID, Observer: true}
}

// emit writes a result: as JSON if asked to, else by text.
func (e *env) emit(v any, text func(w io.Writer)) error {
	if !e.JSON {
		text(e.out)
		return nil
	}
	return writeJSON(e.out, v, "  ")
}

// interruptible returns a context that ends when the process is told to end. The verbs that clean up after themselves
// ask for it; the others just die.
func interruptible() (context.Context, context.CancelFunc) {
	return signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
}

// note writes a line that is no result.
func (e *env) note(format string, args ...any) { fmt.Fprintf(e.err, "ndpool: "+format+"\n", args...) }

// errFaults ends a verb that has told what is wrong already.
var errFaults = errors.New("faults found")

// usageError is a command line that the parser lets pass, and that makes no sense.
type usageError string

func (u usageError) Error() string { return string(u) }

// exit is what kong wants to end the process with; run returns it.
type exit int

// run does what the command line says, and returns the exit code.
func run(args []string, stdout, stderr io.Writer) (code int) {
	defer func() {
		switch r := recover().(type) {
		case nil:
		case exit:
			code = int(r)
		default:
			panic(r)
		}
	}()
	var c cli
	parser, err := kong.New(&c, kong.Name("ndpool"), kong.Description(description), kong.Writers(stdout, stderr),
		kong.Vars{"dir": pool.DefaultDir}, kong.Exit(func(code int) { panic(exit(code)) }),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true, WrapUpperBound: 120}))
	if err != nil {
		panic(err)
	}
	if len(args) == 0 {
		args = []string{"--help"}
	}
	k, err := parser.Parse(args)
	if err != nil {
		fmt.Fprintf(stderr, "ndpool: %v (see ndpool --help)\n", err)
		return exitUsage
	}
	return report(stderr, k.Run(&env{cli: &c, out: stdout, err: stderr}))
}

// report writes an error in one line and returns the exit code for it.
func report(stderr io.Writer, err error) int {
	var usage usageError
	switch {
	case err == nil:
		return exitOK
	case errors.Is(err, errFaults):
		return exitFault
	case errors.As(err, &usage):
		fmt.Fprintf(stderr, "ndpool: %v\n", err)
		return exitUsage
	}
	msg := strings.TrimPrefix(strings.Join(strings.Fields(clean(err.Error())), " "), "pool: ")
	fmt.Fprintf(stderr, "ndpool: %s%s\n", msg, hint(err))
	if errors.Is(err, pool.ErrName) || errors.Is(err, pool.ErrPath) {
		return exitUsage
	}
	return exitFault
}

// hint tells what to do about an error, where that is known.
func hint(err error) string {
	switch {
	case errors.Is(err, pool.ErrNotExist):
		return " (ndpool ls lists the pools)"
	case errors.Is(err, pool.ErrName):
		return "; --dir names another directory"
	case errors.Is(err, pool.ErrNoName):
		return " (ndpool names lists them)"
	case errors.Is(err, pool.ErrKind):
		return " (ndpool rings tells about streams and queues)"
	case errors.Is(err, pool.ErrNameTaken):
		return "; --overwrite replaces it, --merge adds to a group"
	case errors.Is(err, pool.ErrUnclean):
		return "; ndpool dump keeps a copy, ndpool unlink removes it"
	}
	return ""
}
