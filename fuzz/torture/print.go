package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// line returns the state of things in one line.
func (f *figures) line() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return fmt.Sprintf("%.0f s: %s operations, %d kills, %d stops, %s checked, verified %d times, worst stall %v", time.Since(f.start).Seconds(),
		thousands(sum(f.Operations)+sum(f.Paced)), f.Weather[killsPlain]+f.Weather[killsStopped]+f.Weather[killsMemory],
		f.Weather[stops], size(f.Bytes), f.Verified, f.Worst)
}

// print tells people all that was counted.
func (f *figures) print() {
	f.mu.Lock()
	defer f.mu.Unlock()
	fmt.Printf("torture: %s\n", f.Command)
	row := func(what, format string, args ...any) { fmt.Printf("  %-12s %s\n", what, fmt.Sprintf(format, args...)) }
	row("ran", "%.1f s at %s on %s", f.Seconds, f.Commit, f.Machine)
	row("operations", "%s of workers: %s", thousands(sum(f.Operations)), list(f.Operations))
	if len(f.Paced) > 0 {
		row("", "%s of the pacer: %s", thousands(sum(f.Paced)), list(f.Paced))
	}
	row("refused", "%s: %s", thousands(sum(f.Errors)), list(f.Errors))
	row("weather", "%s", list(f.Weather))
	for _, kind := range slices.Sorted(maps.Keys(f.Missing)) {
		row("MISSING", "%s: %s", kind, f.Missing[kind])
	}
	s := &f.Stats
	row("recoveries", "%d times the lock was taken over from a dead process, and the indexes made anew; %d processes swept; %d transfers expired; "+
		"%d cached blocks stolen", s.Takeovers, s.Sweeps, s.Expired, s.Stolen)
	row("", "%d times a name's lock was taken over, and told so; %d times a reader was told that the writer of a stream died; "+
		"%d times the second pool was made anew", f.Operations["torn"], f.Errors["writerdied"], f.Operations["second_new"])
	if len(f.Paced) > 0 {
		row("worst stall", "of the pacer: %v; the longest stop of a worker was %v", f.Worst, f.LongestStop)
		row("", "by operation: %s (fill waits for nobody but the machine)", stalls(f.Stalls))
		row("", "longer than: %s", long(f.Long))
	}
	row("", "of a worker, which may be stopped itself: %v", f.WorkerWorst)
	row("checked", "%s; verified %d times", size(f.Bytes), f.Verified)
	row("at the end", "%d survivors; each of %d arrays was whose it should be; %d items in queues, %d persistent names; %s", f.Survivors, f.Compared, f.Items, f.Names,
		map[bool]string{true: "then nothing was left", false: "see below"}[f.Result == "clean"])
	fmt.Printf("torture: %s\n", f.Result+f.Note)
}

func sum(m map[string]int64) (n int64) {
	for _, x := range m {
		n += x
	}
	return n
}

// list returns the entries of a map, the largest first.
func list(m map[string]int64) string {
	keys := slices.SortedFunc(maps.Keys(m), func(a, b string) int {
		if m[a] != m[b] {
			return int(m[b] - m[a])
		}
		return strings.Compare(a, b)
	})
	for k, key := range keys {
		keys[k] = thousands(m[key]) + " " + key
	}
	return strings.Join(keys, ", ")
}

func stalls(m map[string]stall) string {
	keys := slices.SortedFunc(maps.Keys(m), func(a, b string) int { return int(m[b].Took - m[a].Took) })
	for k, key := range keys {
		keys[k] = fmt.Sprintf("%s %v", key, m[key].Took.Round(time.Microsecond))
	}
	return strings.Join(keys, ", ")
}

// thousands returns a number with commas.
func thousands(n int64) string {
	s := fmt.Sprint(n)
	for k := len(s) - 3; k > 0; k -= 3 {
		s = s[:k] + "," + s[k:]
	}
	return s
}

func size(bytes int64) string {
	return fmt.Sprintf("%.1f GiB", float64(bytes)/(1<<30))
}

func long(m map[string]int64) string {
	var words []string
	for _, limit := range longLimits {
		words = append(words, fmt.Sprintf("%v %s times", limit, thousands(m[limit.String()])))
	}
	return strings.Join(words, ", ")
}
