package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"runtime"
	"slices"
	"strings"
	"text/tabwriter"
)

// report is everything that is printed.
type report struct {
	Machine  machineReport `json:"machine"`
	Source   sourceReport  `json:"source"`
	Job      jobReport     `json:"job"`
	First    runReport     `json:"first_run"`
	Handle   timedReport   `json:"by_handle"`
	Pipes    timedReport   `json:"through_pipes"`
	Alone    timedReport   `json:"one_process"`
	Compared int           `json:"compared"` // results, with that of one process
	Pool     poolReport    `json:"pool"`
	Result   string        `json:"result"` // path
	Wrong    []string      `json:"wrong"`
}

type machineReport struct {
	OS     string `json:"os"`
	CPU    string `json:"cpu"`
	Cores  int    `json:"cores"`
	GoArch string `json:"goarch"`
	Go     string `json:"go"`
}

type jobReport struct {
	Tiles      int          `json:"tiles"`
	TilePixels int          `json:"tile_pixels"` // width and height
	Workers    int          `json:"workers"`
	Kinds      map[kind]int `json:"kinds"` // of those
	Sigma      float64      `json:"sigma"`
	Amount     float64      `json:"amount"`
}

// runReport is what one run over all tiles took.
type runReport struct {
	Seconds    float64      `json:"seconds"`
	CPUSeconds float64      `json:"cpu_seconds,omitempty"` // of all processes
	Tiles      map[kind]int `json:"tiles,omitempty"`       // done, by the language of the worker
	Arrays     int64        `json:"arrays"`                // passed by handle, in both directions
	ArrayBytes int64        `json:"array_bytes"`           // of those: bytes that went through no pipe
	PipeBytes  int64        `json:"pipe_bytes"`
	Kills      []killReport `json:"kills,omitempty"`
}

// timedReport is what several runs took.
type timedReport struct {
	Seconds   []float64 `json:"seconds"`
	CPU       []float64 `json:"cpu_seconds"` // of all processes
	Median    float64   `json:"median"`
	MedianCPU float64   `json:"median_cpu"`
	PipeBytes int64     `json:"pipe_bytes"` // of one run
}

// add adds a timed run.
func (t *timedReport) add(r runReport) {
	t.Seconds, t.CPU = append(t.Seconds, r.Seconds), append(t.CPU, r.CPUSeconds)
	t.Median, t.MedianCPU = median(t.Seconds), median(t.CPU)
	t.PipeBytes = r.PipeBytes
}

func median(xs []float64) float64 {
	sorted := slices.Sorted(slices.Values(xs))
	return (sorted[(len(sorted)-1)/2] + sorted[len(sorted)/2]) / 2
}

// timed returns the report of one way.
func (rep *report) timed(how transport) *timedReport {
	if how == byHandle {
		return &rep.Handle
	}
	return &rep.Pipes
}

// thisMachine tells where the times were measured, as far as the system says.
func thisMachine() machineReport {
	m := machineReport{OS: runtime.GOOS, CPU: "unknown processor", Cores: runtime.NumCPU(), GoArch: runtime.GOARCH, Go: runtime.Version()}
	if b, err := os.ReadFile("/proc/sys/kernel/osrelease"); err == nil {
		m.OS += " " + strings.TrimSpace(string(b))
	}
	b, _ := os.ReadFile("/proc/cpuinfo")
	for line := range strings.Lines(string(b)) {
		if key, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(key) == "model name" {
			m.CPU = strings.TrimSpace(value)
			break
		}
	}
	return m
}

// print writes the report, if the work came so far that there is one.
func (rep *report) print(w io.Writer, asJSON bool) error {
	if rep.Pool.Capacity == 0 {
		return nil
	}
	if asJSON {
		enc := json.NewEncoder(w)
		enc.SetIndent("", "  ")
		return enc.Encode(rep)
	}
	var buf bytes.Buffer
	tw := tabwriter.NewWriter(&buf, 0, 8, 2, ' ', 0)
	line := func(what, format string, args ...any) {
		fmt.Fprintf(tw, "%s\t%s\n", what, fmt.Sprintf(format, args...))
	}
	m, s, j := rep.Machine, rep.Source, rep.Job
	line("machine", "%s, %d cores, %s/%s, %s", m.CPU, m.Cores, m.OS, m.GoArch, m.Go)
	line("source", "%s, %d x %d", s.Path, s.Width, s.Height)
	line("used", "%s, %.1f megapixels, %s in the pool", s.used(), s.Megapixels, size(int64(s.UsedWidth)*int64(s.UsedHeight)*channels))
	line("job", "%d tiles of %d x %d; unsharp mask, sigma %g, amount %g", j.Tiles, j.TilePixels, j.TilePixels, j.Sigma, j.Amount)
	line("workers", "%d, %s", j.Workers, kinds(j.Kinds))
	rep.printFirst(line)
	rep.printTimes(line)
	rep.printEnd(line)
	tw.Flush()
	_, err := w.Write(buf.Bytes())
	return err
}

func (s *sourceReport) used() string {
	if s.Width == s.UsedWidth && s.Height == s.UsedHeight {
		return "as it is"
	}
	return fmt.Sprintf("enlarged to %d x %d", s.UsedWidth, s.UsedHeight)
}

func (rep *report) printFirst(line func(what, format string, args ...any)) {
	r := rep.First
	for _, k := range r.Kills {
		line("killed", "worker %d in %s by SIGKILL when %d tiles were done; it held %d arrays, others did its tiles %v", k.Pid,
			map[kind]string{inGo: "Go", inPython: "Python"}[k.Kind], k.Done, k.Arrays, k.Redone)
	}
	line("tiles", "%s", kinds(r.Tiles))
	line("passed", "%d arrays by handle, both ways; %s went through pipes", r.Arrays, size(r.PipeBytes))
	line("not copied", "%d bytes (%s): the tiles with their halos, and the results", r.ArrayBytes, size(r.ArrayBytes))
	line("copied", "the decoded photograph into the pool, enlarged on the way; each result into the whole image,")
	line("", "since the PNG encoder wants it in one piece (%s)", size(int64(rep.Source.UsedWidth)*int64(rep.Source.UsedHeight)*channels))
	line("first run", "%.3f s%s", r.Seconds, map[bool]string{true: ", with what was killed and started anew, on fresh memory"}[len(r.Kills) > 0])
}

func (rep *report) printTimes(line func(what, format string, args ...any)) {
	if len(rep.Handle.Seconds) == 0 {
		return
	}
	line("filter phase", "medians of %d rounds by turns; same workers, tiles and pipes (as the system makes them), nobody killed, warm memory", len(rep.Handle.Seconds))
	h, p, a := rep.Handle, rep.Pipes, rep.Alone
	line("  by handle", "%.3f s, %.3f s of processor time, %s through pipes", h.Median, h.MedianCPU, size(h.PipeBytes))
	line("  as pixels", "%.3f s, %.3f s of processor time, %s through pipes", p.Median, p.MedianCPU, size(p.PipeBytes))
	line("  so pipes take", "%.2f times the time, %.2f times the processor time", p.Median/h.Median, p.MedianCPU/h.MedianCPU)
	line("  for scale", "%.3f s, %.3f s of processor time: the filter alone, in one process", a.Median, a.MedianCPU)
}

func (rep *report) printEnd(line func(what, format string, args ...any)) {
	p := rep.Pool
	if rep.Result != "" {
		line("result", "%s", rep.Result)
	}
	line("compared", "%d results with that of one process, bit by bit", rep.Compared)
	line("pool", "verified, clean: %v; %d arrays, %d transfers, %d of %d bytes free", p.Clean, p.Arrays, p.Transfers, p.Free, p.Capacity)
	for _, w := range rep.Wrong {
		line("WRONG", "%s", w)
	}
	if len(rep.Wrong) == 0 {
		line("verdict", "all identical, nothing lost, nothing leaked")
	}
}

// size returns a number of bytes for people.
func size(n int64) string {
	switch {
	case n >= 1e6:
		return fmt.Sprintf("%.1f MB", float64(n)/1e6)
	case n >= 1e3:
		return fmt.Sprintf("%.1f kB", float64(n)/1e3)
	}
	return fmt.Sprintf("%d bytes", n)
}
