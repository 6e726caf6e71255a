// Command ndpool-go measures ndpool through its Go package: the same workloads, steps and output as the native peers.
//
//	ndpool-go WORKLOAD key=value...   measures; one line of JSON per sample
//	ndpool-go list | version | --help
//
// Arrays are blocks (pool.AllocBlock, Block.Send, AdoptBlock), which put nothing on the Go heap. Where there is no such
// verb they are *pool.Array: what readers of a fan-out retain, and what goes through the queue of a crowd.
package main

import (
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime"
	"strings"
	"syscall"
)

type workload struct {
	name string
	run  func(*bench) error
}

var workloads = []workload{
	{"pair", pair}, {"churn", churn}, {"handover", handover}, {"pass", pass}, {"fanout", fanout}, {"crowd", crowd},
	{"many", many}, {"open", openPool}, {"touch", touch}, {"recovery", recovery}, {"memory", memory},
}

// What children do: see start.
var roles = []workload{
	{"reader", reader}, {"looker", looker}, {"sharer", sharer}, {"producer", producer}, {"consumer", consumer}, {"holder", holder},
}

func usage(w io.Writer) {
	fmt.Fprint(w, "usage: ndpool-go WORKLOAD [key=value...] | list | version\nworkloads:")
	for _, x := range workloads {
		fmt.Fprint(w, " ", x.name)
	}
	fmt.Fprint(w, "\nkeys: size live readers producers consumers holds count capacity what place seconds\n"+
		"Prints one line of JSON per sample. place is an empty directory on tmpfs; without it one is made.\n")
}

func main() {
	if len(os.Args) < 2 {
		usage(os.Stderr)
		os.Exit(2)
	}
	switch os.Args[1] {
	case "-h", "--help":
		usage(os.Stdout)
	case "version":
		fmt.Println("ndpool, " + runtime.Version())
	case "list":
		for _, x := range workloads {
			fmt.Println(x.name)
		}
	default:
		os.Exit(run(os.Args[1], os.Args[2:]))
	}
}

// run does a workload, or a role of one. Ctrl-C removes what was made.
func run(name string, args []string) int {
	table := workloads
	if role, ok := strings.CutPrefix(name, "child:"); ok {
		table, name = roles, role
	}
	b, err := newBench(name, args)
	if err == nil {
		stop := make(chan os.Signal, 1)
		signal.Notify(stop, syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
		go func() {
			s := <-stop
			b.removeAll()
			os.Exit(128 + int(s.(syscall.Signal)))
		}()
		err = b.do(table)
		b.removeAll()
	}
	if err != nil {
		fmt.Fprintf(os.Stderr, "ndpool-go: %s: %v\n", name, err)
		return 1
	}
	return 0
}
