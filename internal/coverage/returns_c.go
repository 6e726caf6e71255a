package main

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
)

// cFlags compile what gcov counts.
const cFlags = "-DNDPOOL_COVERAGE -O0 -fno-inline --coverage -fprofile-update=atomic -fprofile-abs-path"

// errorsC runs the tests of the C core, counted by gcov.
func errorsC(ctx context.Context, j *job) (*report, error) {
	out := filepath.Join(j.root, "build/c/coverage")
	if !j.keep {
		if err := forget(out); err != nil {
			return nil, err
		}
		make := []string{"-s", "-C", "python/csrc", "VARIANT=coverage", "OPT=" + cFlags, "LINK=-pthread --coverage"}
		if err := j.command(ctx, nil, "make", append(make, "-j", "tests")...); err != nil {
			return nil, err
		}
		if err := j.command(ctx, nil, "make", append(make, "check")...); err != nil {
			return nil, err
		}
	}
	counts, err := gcov(ctx, out)
	if err != nil {
		return nil, err
	}
	r := &report{What: "statements of the C core that return an error, and that its tests took"}
	err = eachC(j, func(file, text string) {
		for _, s := range cReturns(file, text) {
			s.Count = counts[fmt.Sprintf("%s:%d", filepath.Join(j.root, file), s.Line)]
			r.Sites = append(r.Sites, s)
		}
	})
	return r, err
}

// forget removes the counts of the last run.
func forget(out string) error {
	return filepath.WalkDir(out, func(path string, d os.DirEntry, err error) error {
		if os.IsNotExist(err) {
			return nil
		}
		if err == nil && strings.HasSuffix(path, ".gcda") {
			err = os.Remove(path)
		}
		return err
	})
}

// cError is a return that gives an error, and cPassed one that does so after "if (...)".
var (
	cError  = regexp.MustCompile(`^return\s+(.*\b(fail|fail_errno|fail_within)\(|(STATUS|NDPOOL_ERR)_\w+;|\w*(refuse|torn|_error)\w*\(|bad_\w+\()`)
	cPassed = regexp.MustCompile(`^return (status|e|err);`)
	cAsked  = regexp.MustCompile(`^(\} )?(else )?(if|for|while) ?\(|^(\|\||&&)`)
)

// cReturns finds the statements of a file that return an error. The house puts each on a line of its own.
func cReturns(file, text string) (sites []site) {
	last := ""
	for n, line := range strings.Split(text, "\n") {
		if line == "" {
			continue
		}
		if cError.MatchString(line) || cPassed.MatchString(line) && cAsked.MatchString(last) && strings.Contains(last, "status") {
			sites = append(sites, site{File: file, Line: n + 1, End: n + 1, Text: line})
		}
		last = line
	}
	return sites
}

// gcov returns how often each line was executed, by file:line. A line of a header is counted in each file that has it.
func gcov(ctx context.Context, out string) (map[string]int, error) {
	counts, files := map[string]int{}, 0
	err := filepath.WalkDir(out, func(path string, d os.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, ".gcda") || strings.Contains(path, "/tests/") {
			return err
		}
		files++
		c := exec.CommandContext(ctx, "gcov", "--json-format", "--stdout", path)
		c.Stderr = os.Stderr
		text, err := c.Output()
		if err != nil {
			return fmt.Errorf("gcov %s: %w", path, err)
		}
		return addLines(counts, text)
	})
	if err == nil && files == 0 {
		err = fmt.Errorf("%s has no counts: did the tests run?", out)
	}
	return counts, err
}

// addLines adds what gcov has written of one object file.
func addLines(counts map[string]int, text []byte) error {
	if z, err := gzip.NewReader(bytes.NewReader(text)); err == nil { // some versions pack it even on stdout
		var b bytes.Buffer
		if _, err := b.ReadFrom(z); err != nil {
			return err
		}
		text = b.Bytes()
	}
	var doc struct {
		Files []struct {
			File  string
			Lines []struct {
				Line  int `json:"line_number"`
				Count int
			}
		}
	}
	if err := json.Unmarshal(text, &doc); err != nil {
		return fmt.Errorf("gcov: %w", err)
	}
	for _, f := range doc.Files {
		for _, l := range f.Lines {
			counts[fmt.Sprintf("%s:%d", filepath.Clean(f.File), l.Line)] += l.Count
		}
	}
	return nil
}
