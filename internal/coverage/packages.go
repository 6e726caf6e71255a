package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"go/ast"
	"go/importer"
	"go/parser"
	"go/token"
	"go/types"
	"io"
	"os"
	"os/exec"
	"path/filepath"
)

// core are the packages of the product.
var core = []string{"./arena", "./arena/layout", "./alloc", "./refcount", "./catalog", "./ring", "./handle", "./dtype", "./pool", "./npy", "./cmd/ndpool",
	"./internal/shm", "./internal/lazy", "./internal/spin"}

// checked is a package with the types of its expressions.
type checked struct {
	fset  *token.FileSet
	files []*ast.File
	info  *types.Info
	lines map[string][]string // by file
}

// load parses and checks the core with a build tag or none, against the export data that the go command makes of it.
func load(ctx context.Context, j *job, tags string) (found []*checked, err error) {
	c := exec.CommandContext(ctx, "go", append([]string{"list", "-export", "-deps", "-json=ImportPath,Export,Dir,GoFiles,DepOnly", "-tags", tags}, core...)...)
	c.Dir, c.Stderr = j.root, os.Stderr
	out, err := c.Output()
	if err != nil {
		return nil, err
	}
	type listed struct {
		ImportPath, Export, Dir string
		GoFiles                 []string
		DepOnly                 bool
	}
	var all []listed
	exports := map[string]string{}
	for in := json.NewDecoder(bytes.NewReader(out)); ; {
		var p listed
		if err := in.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return nil, err
		}
		all = append(all, p)
		exports[p.ImportPath] = p.Export
	}
	for _, p := range all {
		if p.DepOnly {
			continue
		}
		k, err := check(p.ImportPath, p.Dir, p.GoFiles, exports)
		if err != nil {
			return nil, err
		}
		found = append(found, k)
	}
	return found, nil
}

func check(path, dir string, names []string, exports map[string]string) (*checked, error) {
	k := &checked{fset: token.NewFileSet(), lines: map[string][]string{},
		info: &types.Info{Types: map[ast.Expr]types.TypeAndValue{}, Uses: map[*ast.Ident]types.Object{}, Defs: map[*ast.Ident]types.Object{}}}
	for _, name := range names {
		name = filepath.Join(dir, name)
		f, err := parser.ParseFile(k.fset, name, nil, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			return nil, err
		}
		k.files = append(k.files, f)
		if k.lines[name], err = source(name); err != nil {
			return nil, err
		}
	}
	conf := types.Config{Importer: importer.ForCompiler(k.fset, "gc", func(path string) (io.ReadCloser, error) { return os.Open(exports[path]) })}
	_, err := conf.Check(path, k.fset, k.files, k.info)
	return k, err
}

// site returns the place of a node, with the text of its first line.
func (k *checked) site(j *job, n ast.Node) site {
	from, to := k.fset.Position(n.Pos()), k.fset.Position(n.End())
	file, err := filepath.Rel(j.root, from.Filename)
	if err != nil {
		file = from.Filename
	}
	return site{File: file, Line: from.Line, End: to.Line, Text: k.lines[from.Filename][from.Line]}
}
