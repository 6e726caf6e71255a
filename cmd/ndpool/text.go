package main

import (
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/ndpool/ndpool/dtype"
)

// size is a number of bytes on the command line: 1GiB, 64KiB, 1.5G, 100MB, 4096.
type size uint64

var units = []struct {
	name  string
	bytes float64
}{{"KiB", 1 << 10}, {"MiB", 1 << 20}, {"GiB", 1 << 30}, {"TiB", 1 << 40}, {"KB", 1e3}, {"MB", 1e6}, {"GB", 1e9}, {"TB", 1e12},
	{"K", 1 << 10}, {"M", 1 << 20}, {"G", 1 << 30}, {"T", 1 << 40}, {"B", 1}}

// UnmarshalText reads a size. Units of two letters count in thousands, the others in 1024.
func (s *size) UnmarshalText(text []byte) error {
	number, factor := string(text), 1.0
	for _, u := range units {
		if n := len(number) - len(u.name); n > 0 && strings.EqualFold(number[n:], u.name) {
			number, factor = strings.TrimSpace(number[:n]), u.bytes
			break
		}
	}
	if n, err := strconv.ParseUint(number, 10, 64); err == nil && factor == 1 {
		*s = size(n)
		return nil
	}
	f, err := strconv.ParseFloat(number, 64)
	if err != nil || !(f > 0 && f*factor < math.MaxInt64) {
		return fmt.Errorf("size %q: want a number and a unit, such as 1GiB, 64KiB or 100MB", text)
	}
	*s = size(f * factor)
	return nil
}

// human writes bytes for people.
func human(n uint64) string {
	if n < 1<<10 {
		return fmt.Sprintf("%d B", n)
	}
	f, k := float64(n), -1
	for f >= 1024 && k < 3 {
		f, k = f/1024, k+1
	}
	if f >= 999.95 && k < 3 {
		f, k = f/1024, k+1
	}
	return strings.TrimSuffix(strconv.FormatFloat(f, 'f', 1, 64), ".0") + " " + units[k].name
}

// exactly writes bytes for people, all of them.
func exactly(n uint64) string {
	if n < 1<<10 {
		return human(n)
	}
	return fmt.Sprintf("%d B (%s)", n, human(n))
}

// age writes a length of time for people.
func age(d time.Duration) string {
	switch {
	case d < 0:
		return "0s"
	case d < time.Second:
		return d.Round(time.Millisecond).String()
	case d < time.Minute:
		return d.Round(100 * time.Millisecond).String()
	case d < time.Hour:
		return fmt.Sprintf("%dm%02ds", int(d.Minutes()), int(d.Seconds())%60)
	case d < 48*time.Hour:
		return fmt.Sprintf("%dh%02dm", int(d.Hours()), int(d.Minutes())%60)
	}
	return fmt.Sprintf("%dd%02dh", int(d.Hours())/24, int(d.Hours())%24)
}

func fromSeconds(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }

func seconds(d time.Duration) float64 { return math.Round(d.Seconds()*1000) / 1000 }

// percent writes a share for people.
func percent(part, whole uint64) string {
	if whole == 0 {
		return "0 %"
	}
	return strconv.FormatFloat(math.Round(1000*float64(part)/float64(whole))/10, 'f', -1, 64) + " %"
}

func share(part, whole uint64) float64 {
	if whole == 0 {
		return 0
	}
	return math.Round(1e6*float64(part)/float64(whole)) / 1e6
}

// plural writes a number of things.
func plural(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}

func yes(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}

// clean writes a text of foreign origin so that it cannot steer a terminal.
func clean(s string) string {
	if !utf8.ValidString(s) || strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) && r != '\n' }) {
		q := strconv.Quote(s)
		return q[1 : len(q)-1]
	}
	return s
}

// oneLine is like clean, and leaves no newline either.
func oneLine(s string) string { return strings.ReplaceAll(clean(s), "\n", `\n`) }

// shapeText writes a shape as numpy does, without spaces.
func shapeText(shape []int) string {
	s := make([]string, len(shape))
	for k, d := range shape {
		s[k] = strconv.Itoa(d)
	}
	if len(s) == 1 {
		return "(" + s[0] + ",)"
	}
	return "(" + strings.Join(s, ",") + ")"
}

// typeText writes an element type in one short word: of a structured type its fields.
func typeText(t dtype.Type) string {
	if !t.IsStructured() {
		return t.String()
	}
	var names []string
	for _, f := range t.Fields() {
		text := clean(f.Name) + ":" + typeText(f.Type)
		if len(f.Shape) > 0 {
			text += strings.TrimSuffix(shapeText(f.Shape), ",)") + strings.Repeat(")", strings.Count(shapeText(f.Shape), ",)"))
		}
		names = append(names, text)
	}
	return "{" + strings.Join(names, ",") + "}"
}

// cut shortens a text for a column.
func cut(s string, n int) string {
	if utf8.RuneCountInString(s) <= n {
		return s
	}
	return string([]rune(s)[:n-1]) + "…"
}

// table is lines of columns. A title that begins with ">" belongs to a column of numbers, which stand right.
type table struct {
	titles []string
	rows   [][]string
}

func newTable(titles ...string) *table { return &table{titles: titles} }

func (t *table) row(cells ...any) {
	r := make([]string, len(cells))
	for k, c := range cells {
		r[k] = oneLine(fmt.Sprint(c))
	}
	t.rows = append(t.rows, r)
}

func (t *table) write(w io.Writer) {
	width, right := make([]int, len(t.titles)), make([]bool, len(t.titles))
	head := make([]string, len(t.titles))
	for k, title := range t.titles {
		head[k], right[k] = strings.TrimPrefix(title, ">"), title[0] == '>'
	}
	rows := append([][]string{head}, t.rows...)
	for _, r := range rows {
		for k, c := range r {
			width[k] = max(width[k], utf8.RuneCountInString(c))
		}
	}
	for _, r := range rows {
		var line strings.Builder
		for k, c := range r {
			pad := strings.Repeat(" ", width[k]-utf8.RuneCountInString(c))
			if k > 0 {
				line.WriteString("  ")
			}
			if right[k] {
				line.WriteString(pad + c)
			} else {
				line.WriteString(c + pad)
			}
		}
		fmt.Fprintln(w, strings.TrimRight(line.String(), " "))
	}
}
