package main

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"runtime/debug"
	"strings"
	"sync"
	"time"

	"github.com/ndpool/ndpool/pool"
)

// What this process counts. Kills begin with the word.
const (
	killsPlain   = "kill"
	killsStopped = "kill while stopped"
	killsMemory  = "kill by the kernel, out of memory"
	killsKernel  = "kill that the kernel tells of"
	killsStore   = "death after a store"
	stops        = "stop"
	ballasts     = "file system filled"
	unlinks      = "name of the second pool taken away"
	squeezes     = "memory squeezed"
	execs        = "exec"
	leaves       = "worker left by itself"
)

// longLimits are the times beyond which what the pacer does counts as a stall of that length.
var longLimits = []time.Duration{10 * time.Millisecond, 100 * time.Millisecond, time.Second}

// stall is the longest time that something took.
type stall struct {
	What string        `json:"what"`
	Took time.Duration `json:"took_ns"`
	At   time.Duration `json:"at_ns"` // since the beginning
}

func (s stall) String() string {
	return fmt.Sprintf("%s %v at %v", s.What, s.Took.Round(time.Microsecond), s.At.Round(time.Millisecond))
}

// figures are what a run has done and seen. Any number of goroutines may use them.
type figures struct {
	mu sync.Mutex

	Result      string            `json:"result"`
	Note        string            `json:"note,omitempty"`
	Command     string            `json:"command"`
	Commit      string            `json:"commit"`
	Machine     string            `json:"machine"`
	Date        time.Time         `json:"date"`
	Seconds     float64           `json:"seconds"`
	Weather     map[string]int64  `json:"weather"`
	Missing     map[string]string `json:"missing"`    // kinds of weather that this machine could not make
	Operations  map[string]int64  `json:"operations"` // of workers that lived to tell
	Paced       map[string]int64  `json:"pacer_operations"`
	Errors      map[string]int64  `json:"errors"` // that operations ended with, all of them expected
	Bytes       int64             `json:"bytes_checked"`
	Verified    int64             `json:"verified"`
	Worst       stall             `json:"worst_stall"`        // of the pacer, which does one thing after the other
	Stalls      map[string]stall  `json:"worst_stalls"`       // of the pacer, by operation
	Long        map[string]int64  `json:"stalls_longer_than"` // of the pacer
	WorkerWorst stall             `json:"worker_stall"`       // of a worker, which is stopped itself at times
	LongestStop time.Duration     `json:"longest_stop_ns"`
	Survivors   int               `json:"survivors"`         // workers at the end
	Compared    int               `json:"arrays_at_the_end"` // and each is whose it should be
	Items       int               `json:"items_at_the_end"`
	Names       int               `json:"persistent_names_at_the_end"`
	Stats       pool.Stats        `json:"stats"` // when all had left
	start       time.Time
}

func newFigures(c *config, missing map[string]string) *figures {
	f := &figures{start: time.Now(), Date: time.Now().UTC().Truncate(time.Second), Command: c.command(), Missing: missing,
		Weather: map[string]int64{}, Operations: map[string]int64{}, Paced: map[string]int64{}, Errors: map[string]int64{}, Stalls: map[string]stall{},
		Long: map[string]int64{}}
	f.Commit, f.Machine = commit(), fmt.Sprintf("%s/%s, %d cores, %s", runtime.GOOS, runtime.GOARCH, runtime.NumCPU(), kernel())
	return f
}

// commit returns what this program was built from, as far as the build tells.
func commit() string {
	info, _ := debug.ReadBuildInfo()
	var revision, dirty string
	if info == nil {
		return "?"
	}
	for _, s := range info.Settings {
		switch {
		case s.Key == "vcs.revision":
			revision = s.Value[:min(12, len(s.Value))]
		case s.Key == "vcs.modified" && s.Value == "true":
			dirty = "+"
		}
	}
	if revision == "" { // built without; the program is mostly run where it was built
		out, _ := exec.Command("git", "describe", "--always", "--dirty=+", "--abbrev=12").Output()
		return strings.TrimSpace(string(out))
	}
	return revision + dirty
}

func kernel() string {
	text, _ := os.ReadFile("/proc/sys/kernel/osrelease")
	return "kernel " + strings.TrimSpace(string(text))
}

func (f *figures) count(what string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.Weather[what]++
}

// killedByKernel notes how many processes the kernel killed for want of memory, also children of workers.
func (f *figures) killedByKernel(n int64, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err == nil {
		f.Weather[killsKernel] = n
	}
}

func (f *figures) stopped(d time.Duration) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.LongestStop = max(f.LongestStop, d)
}

// took notes how long an operation of the pacer took.
func (f *figures) took(what string, d time.Duration) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.Paced[what]++
	s := stall{what, d, time.Since(f.start)}
	for _, limit := range longLimits {
		if d > limit {
			f.Long[limit.String()]++
		}
	}
	if d > f.Stalls[what].Took {
		f.Stalls[what] = s
	}
	if d > f.Worst.Took {
		f.Worst = s
	}
}

// add adds what a worker has told.
func (f *figures) add(t *tally) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for k, n := range t.Ops {
		f.Operations[k] += n
	}
	for k, n := range t.Errors {
		f.Errors[k] += n
	}
	f.Bytes += t.Bytes
	if d := time.Duration(t.StallUS) * time.Microsecond; d > f.WorkerWorst.Took {
		f.WorkerWorst = stall{t.Stall, d, time.Since(f.start)}
	}
}

// end notes how it ended.
func (f *figures) end(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.Seconds, f.Result = time.Since(f.start).Seconds(), "clean"
	if err != nil {
		f.Result = "FAILED"
	}
}

func (f *figures) verified() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.Verified++
}

// ended notes how many workers were left when all was quiet, and how many arrays were whose they should be.
func (f *figures) ended(survivors, compared int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.Survivors, f.Compared = survivors, compared
}

func (f *figures) keptName() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.Names++
}

func (f *figures) keptItem() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.Items++
}

// write writes all as JSON.
func (f *figures) write(path string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	text, err := json.MarshalIndent(f, "", " ")
	if err != nil {
		return err
	}
	return os.WriteFile(path, append(text, '\n'), 0o644)
}
