package main

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// sitesEnv names the file that the crash builds tell their deaths to.
const sitesEnv = "NDPOOL_CRASH_SITES"

func crashGo(ctx context.Context, j *job) (*report, error) {
	told := filepath.Join(j.dir, "crash-go")
	if err := j.deaths(told, func(env []string) error {
		return j.command(ctx, env, "go", "test", "-count=1", "-tags", "ndpool_crash", "-run", "Crash", "./internal/shm", "./pool")
	}); err != nil {
		return nil, err
	}
	sites, err := goStores(ctx, j)
	if err != nil {
		return nil, err
	}
	return j.died(&report{What: "stores that a process of the crash build died after", Sites: sites}, told, "go")
}

func crashC(ctx context.Context, j *job) (*report, error) {
	told := filepath.Join(j.dir, "crash-c")
	test := filepath.Join(j.root, "build/c/crash/crash_test")
	if err := j.deaths(told, func(env []string) error {
		if err := j.command(ctx, nil, "make", "-s", "-j", "-C", "python/csrc", "VARIANT=crash", test); err != nil {
			return err
		}
		return j.command(ctx, env, test, j.root)
	}); err != nil {
		return nil, err
	}
	sites, err := cStores(j)
	if err != nil {
		return nil, err
	}
	return j.died(&report{What: "stores of the C core that a process of the crash build died after", Sites: sites}, told, "c")
}

// deaths runs a crash build, which tells each death to the file.
func (j *job) deaths(told string, run func(env []string) error) error {
	if j.keep {
		return nil
	}
	if err := os.RemoveAll(told); err != nil {
		return err
	}
	return run([]string{sitesEnv + "=" + told})
}

// died counts the deaths at each site. A crash build that has told nothing is an error, not a coverage of 0.
func (j *job) died(r *report, told, language string) (*report, error) {
	f, err := os.Open(told)
	if err != nil {
		return nil, fmt.Errorf("no death was told: %w", err)
	}
	defer f.Close()
	counts := map[site]int{}
	for in := bufio.NewScanner(f); in.Scan(); {
		s, err := j.parseSite(in.Text())
		if err != nil {
			return nil, fmt.Errorf("%s: %w", told, err)
		}
		counts[s]++
	}
	for s, n := range counts {
		s.Count = n
		if at := find(r.Sites, s); at >= 0 {
			r.Sites[at].Count += n
		} else {
			r.Unknown = append(r.Unknown, s)
		}
	}
	if len(r.Unknown) > 0 {
		return nil, fmt.Errorf("%d places were died at that are no store in the source, as %s:%d; was it changed meanwhile?", len(r.Unknown), r.Unknown[0].File, r.Unknown[0].Line)
	}
	return r, r.excused(language)
}

func (j *job) parseSite(text string) (site, error) {
	colon := strings.LastIndexByte(text, ':')
	if colon < 0 {
		return site{}, fmt.Errorf("%q is not file:line", text)
	}
	line, err := strconv.Atoi(text[colon+1:])
	if err != nil {
		return site{}, fmt.Errorf("%q is not file:line", text)
	}
	file, err := filepath.Rel(j.root, text[:colon])
	return site{File: file, Line: line}, err
}

// find returns the site whose lines another one is among.
func find(sites []site, s site) int {
	for i, t := range sites {
		if t.File == s.File && t.Line <= s.Line && s.Line <= t.End {
			return i
		}
	}
	return -1
}
