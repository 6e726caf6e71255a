package main

import (
	"cmp"
	"fmt"
	"io"
	"path"
	"slices"
	"text/tabwriter"
)

// site is a place in the source.
type site struct {
	File   string `json:"file"`
	Line   int    `json:"line"`
	End    int    `json:"-"` // the last line of the statement
	Text   string `json:"text"`
	Count  int    `json:"count"`            // how often it was taken, or died after
	Reason string `json:"reason,omitempty"` // why it is not asked for
}

// sum is how many sites there are, and how many were taken.
type sum struct {
	Sites   int `json:"sites"`
	Taken   int `json:"taken"`
	Excused int `json:"excused,omitempty"` // not asked for, and not among the sites
}

func (s sum) percent() float64 {
	if s.Sites == 0 {
		return 100
	}
	return 100 * float64(s.Taken) / float64(s.Sites)
}

// report is what was found of one part.
type report struct {
	Part     string         `json:"part"`
	Seconds  float64        `json:"seconds"`
	Error    string         `json:"error,omitempty"` // why there are no figures
	What     string         `json:"what"`
	Total    int            `json:"total"` // sum of counts
	All      sum            `json:"all"`
	Packages map[string]sum `json:"packages"`
	Sites    []site         `json:"sites"`
	Unknown  []site         `json:"unknown,omitempty"` // counted at run time, and not found in the source: a fault of this program
}

// count sorts the sites, and sums them up by package, which is the directory.
func (r *report) count() {
	slices.SortFunc(r.Sites, func(a, b site) int { return cmp.Or(cmp.Compare(a.File, b.File), a.Line-b.Line) })
	r.Packages = map[string]sum{}
	r.All, r.Total = sum{}, 0
	for _, s := range r.Sites {
		p := r.Packages[path.Dir(s.File)]
		if s.Reason != "" {
			r.All.Excused++
			p.Excused++
		} else {
			r.All.Sites++
			p.Sites++
			if s.Count > 0 {
				r.All.Taken++
				p.Taken++
			}
		}
		r.Total += s.Count
		r.Packages[path.Dir(s.File)] = p
	}
}

// summary writes one line for each report.
func summary(out io.Writer, reports []*report) {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	for _, r := range reports {
		if r.Error != "" {
			fmt.Fprintf(w, "%s\tFAILED\t\t%.0f s\t\n", r.Part, r.Seconds)
			continue
		}
		fmt.Fprintf(w, "%s\t%d of %d\t%.1f %%\t%.0f s\t\n", r.Part, r.All.Taken, r.All.Sites, r.All.percent(), r.Seconds)
	}
	w.Flush()
}

// print writes the report as text: a table of packages, and the sites that were never taken.
func (r *report) print(out io.Writer, all bool) {
	if r.Error != "" {
		fmt.Fprintf(out, "== %s: FAILED\n%s\n\n", r.Part, r.Error)
		return
	}
	fmt.Fprintf(out, "== %s: %s\n", r.Part, r.What)
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	var names []string
	for name := range r.Packages {
		names = append(names, name)
	}
	slices.Sort(names)
	row := func(name string, s sum) {
		fmt.Fprintf(w, "%s\t%d of %d\t%.1f %%\t\n", name, s.Taken, s.Sites, s.percent())
	}
	for _, name := range names {
		row(name, r.Packages[name])
	}
	row("all", r.All)
	w.Flush()
	if all {
		fmt.Fprintln(out, "taken:")
		for _, s := range r.Sites {
			if s.Count > 0 {
				fmt.Fprintf(out, "  %s:%d: %s (%d)\n", s.File, s.Line, s.Text, s.Count)
			}
		}
	}
	if r.All.Taken < r.All.Sites {
		fmt.Fprintln(out, "never:")
	}
	for _, s := range r.Sites {
		if s.Count == 0 && s.Reason == "" {
			fmt.Fprintf(out, "  %s:%d: %s\n", s.File, s.Line, s.Text)
		}
	}
	if r.All.Excused > 0 {
		fmt.Fprintln(out, "reached only where the segment was scribbled on, and not asked for:")
	}
	for _, s := range r.Sites {
		if s.Reason != "" {
			fmt.Fprintf(out, "  %s:%d: %s\n", s.File, s.Line, s.Reason)
		}
	}
	for _, s := range r.Unknown {
		fmt.Fprintf(out, "  %s:%d: counted %d times, and not found in the source\n", s.File, s.Line, s.Count)
	}
	fmt.Fprintln(out)
}
