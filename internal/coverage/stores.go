package main

import (
	"context"
	"go/ast"
	"go/types"
	"io/fs"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

const funnel = "github.com/ndpool/ndpool/internal/shm"

// loads are the functions of the funnel that store nothing, and those of the crash build.
var loads = []string{"Load", "Get", "Arm", "Disarm", "Meanwhile", "Kill", "Vanish"}

// goStores finds the calls that store to shared memory: one site per line.
func goStores(ctx context.Context, j *job) (sites []site, err error) {
	packages, err := load(ctx, j, "ndpool_crash")
	if err != nil {
		return nil, err
	}
	for _, k := range packages {
		for _, f := range k.files {
			if f.Name.Name == "shm" {
				continue
			}
			ast.Inspect(f, func(n ast.Node) bool {
				if call, ok := n.(*ast.CallExpr); ok && k.isStore(call) {
					s := k.site(j, call)
					if find(sites, s) < 0 {
						sites = append(sites, s)
					}
				}
				return true
			})
		}
	}
	return sites, nil
}

func (k *checked) isStore(call *ast.CallExpr) bool {
	sel, ok := call.Fun.(*ast.SelectorExpr)
	if !ok {
		return false
	}
	f, ok := k.info.Uses[sel.Sel].(*types.Func)
	return ok && f.Pkg() != nil && f.Pkg().Path() == funnel && !slices.Contains(loads, f.Name())
}

// cStore is a call of one of the verbs of internal/shm.h that store.
var cStore = regexp.MustCompile(`\bshm_((store|publish|put|cas|or|and|add|swap)(32|64)|copy)\s*\(`)

// cStores finds them in the C core: one site per line.
func cStores(j *job) (sites []site, err error) {
	err = eachC(j, func(file, text string) {
		lines := strings.Split(text, "\n")
		for _, at := range cStore.FindAllStringIndex(text, -1) {
			line := 1 + strings.Count(text[:at[0]], "\n")
			s := site{File: file, Line: line, Text: strings.TrimSpace(lines[line-1])}
			s.End = line + strings.Count(text[at[0]:at[1]+closing(text[at[1]:])], "\n")
			if find(sites, s) < 0 {
				sites = append(sites, s)
			}
		}
	})
	return sites, err
}

// eachC gives each file of the C core, without its comments. Not the funnel itself, and not the tests.
func eachC(j *job, tell func(file, text string)) error {
	base := filepath.Join(j.root, "python/csrc")
	return filepath.WalkDir(base, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, _ := filepath.Rel(j.root, path)
		if d.IsDir() && (d.Name() == "tests" || d.Name() == "py") {
			return fs.SkipDir
		}
		if ext := filepath.Ext(path); d.IsDir() || ext != ".c" && ext != ".h" || strings.HasSuffix(path, "/internal/shm.h") {
			return nil
		}
		lines, err := source(path)
		if err == nil {
			tell(rel, withoutComments(strings.Join(lines[1:], "\n")))
		}
		return err
	})
}

var comment = regexp.MustCompile(`(?s)/\*.*?\*/`)

// withoutComments keeps the lines.
func withoutComments(text string) string {
	return comment.ReplaceAllStringFunc(text, func(c string) string { return strings.Repeat("\n", strings.Count(c, "\n")) })
}

// closing returns where the parenthesis ends that was opened before the text.
func closing(text string) int {
	depth := 1
	for i := range len(text) {
		switch text[i] {
		case '(':
			depth++
		case ')':
			depth--
		}
		if depth == 0 {
			return i
		}
	}
	return len(text)
}
