package main

import (
	"fmt"
	"os"
	"path/filepath"
)

// cpuSeconds returns the processor time that this process and all workers have used so far, in the kernel too. Unlike the
// time on the wall it hardly depends on what else the machine does. 0 if the system does not tell.
func (f *fleet) cpuSeconds() (seconds float64) {
	seconds = cpuOf(os.Getpid())
	for _, w := range f.workers {
		seconds += cpuOf(w.cmd.Process.Pid)
	}
	return seconds
}

// cpuOf sums the threads of a process. Go keeps its threads, so that none has ended with what it used.
func cpuOf(pid int) (seconds float64) {
	threads, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/schedstat", pid))
	for _, path := range threads {
		var ns, waited, slices int64
		if b, err := os.ReadFile(path); err == nil {
			fmt.Sscan(string(b), &ns, &waited, &slices)
		}
		seconds += float64(ns) / 1e9
	}
	return seconds
}
