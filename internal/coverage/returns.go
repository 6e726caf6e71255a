package main

import (
	"context"
	"fmt"
	"go/ast"
	"go/types"
	"os"
	"path/filepath"
	"strings"
)

// errorsGo runs the tests of the product, and finds which statements that return an error were taken.
//
// Such a statement is a return whose last value is of type error and is not nil; one that passes on what a function has
// returned counts only where it stands in a block of its own, as "if err != nil { return err }", since else it may be nil.
func errorsGo(ctx context.Context, j *job) (*report, error) {
	profile := filepath.Join(j.dir, "errors-go")
	if !j.keep {
		args := []string{"test", "-count=1", "-coverprofile=" + profile, "-coverpkg=" + strings.Join(core, ",")}
		if err := j.command(ctx, nil, "go", append(args, core...)...); err != nil {
			return nil, err
		}
	}
	b, err := os.ReadFile(profile)
	if err != nil {
		return nil, err
	}
	blocks, err := parseProfile(string(b))
	if err != nil {
		return nil, err
	}
	packages, err := load(ctx, j, "")
	if err != nil {
		return nil, err
	}
	r := &report{What: "statements that return an error, and that the tests took"}
	for _, k := range packages {
		for _, f := range k.files {
			for _, n := range k.errorReturns(f) {
				s := k.site(j, n)
				col := k.fset.Position(n.Pos()).Column
				if s.Count, err = blocks.count(s.File, s.Line, col); err != nil {
					return nil, err
				}
				r.Sites = append(r.Sites, s)
			}
		}
	}
	return r, nil
}

// errorReturns finds the statements of a file that return an error.
func (k *checked) errorReturns(f *ast.File) (found []*ast.ReturnStmt) {
	var inspect func(n ast.Node, results *types.Tuple)
	inspect = func(n ast.Node, results *types.Tuple) {
		ast.Inspect(n, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.FuncDecl:
				if n.Body != nil {
					inspect(n.Body, k.info.Defs[n.Name].Type().(*types.Signature).Results())
				}
				return false
			case *ast.FuncLit:
				inspect(n.Body, k.info.Types[n].Type.(*types.Signature).Results())
				return false
			case *ast.IfStmt:
				for _, s := range n.Body.List {
					if r, ok := s.(*ast.ReturnStmt); ok && k.isNotNil(n.Cond) && len(r.Results) > 0 && k.passesOn(r.Results[len(r.Results)-1]) {
						found = append(found, r)
					}
				}
			case *ast.ReturnStmt:
				if k.isError(n, results) {
					found = append(found, n)
				}
			}
			return true
		})
	}
	inspect(f, nil)
	return found
}

// isError tells whether a return surely gives an error.
func (k *checked) isError(n *ast.ReturnStmt, results *types.Tuple) bool {
	if results == nil || results.Len() == 0 || len(n.Results) != results.Len() || !isErrorType(results.At(results.Len()-1).Type()) {
		return false
	}
	last := n.Results[len(n.Results)-1]
	switch e := ast.Unparen(last).(type) {
	case *ast.UnaryExpr, *ast.CompositeLit: // &SomeError{...}
		return true
	case *ast.SelectorExpr:
		return strings.HasPrefix(e.Sel.Name, "Err") || isErrno(k.info.Types[e].Type)
	case *ast.Ident:
		return strings.HasPrefix(e.Name, "Err") || strings.HasPrefix(e.Name, "err") && len(e.Name) > len("err") && isGlobal(k.info.Uses[e])
	case *ast.CallExpr:
		return makesError(e)
	}
	return false
}

// passesOn tells whether a value is an error that was found before.
func (k *checked) passesOn(e ast.Expr) bool {
	id, ok := ast.Unparen(e).(*ast.Ident)
	return ok && isErrorType(k.info.Types[e].Type) && !isGlobal(k.info.Uses[id])
}

// isNotNil tells whether a condition asks, first of all, whether an error is not nil.
func (k *checked) isNotNil(cond ast.Expr) bool {
	e, ok := ast.Unparen(cond).(*ast.BinaryExpr)
	if !ok {
		return false
	}
	if e.Op.String() == "&&" {
		return k.isNotNil(e.X) || k.isNotNil(e.Y)
	}
	id, isNil := e.Y.(*ast.Ident)
	return e.Op.String() == "!=" && isNil && id.Name == "nil" && isErrorType(k.info.Types[e.X].Type)
}

// makesError tells whether a call makes an error: fmt.Errorf, errors.New, and functions that are called so.
func makesError(call *ast.CallExpr) bool {
	name := ""
	switch f := ast.Unparen(call.Fun).(type) {
	case *ast.Ident:
		name = f.Name
	case *ast.SelectorExpr:
		name = f.Sel.Name
		if x, ok := f.X.(*ast.Ident); ok && x.Name == "errors" {
			return name == "New"
		}
	}
	name = strings.ToLower(name)
	return strings.HasSuffix(name, "error") || strings.HasSuffix(name, "errorf") || strings.HasPrefix(name, "refuse") || strings.HasPrefix(name, "corrupt")
}

func isGlobal(o types.Object) bool {
	return o != nil && o.Pkg() != nil && o.Parent() == o.Pkg().Scope()
}

func isErrorType(t types.Type) bool {
	return t != nil && types.Identical(t, types.Universe.Lookup("error").Type())
}

func isErrno(t types.Type) bool { return t != nil && strings.HasSuffix(t.String(), "syscall.Errno") }

// profile is what go test has counted: blocks of statements, by file.
type profile map[string][]block

type block struct {
	fromLine, fromCol, toLine, toCol int
	count                            int
}

// parseProfile reads the text of -coverprofile. A block stands there once for each package whose tests ran.
func parseProfile(text string) (profile, error) {
	p := profile{}
	seen := map[string]int{}
	for n, line := range strings.Split(strings.TrimSpace(text), "\n") {
		if n == 0 {
			continue // the mode
		}
		place, rest, _ := strings.Cut(line, " ")
		file, at, _ := strings.Cut(place, ":")
		var b block
		var statements int
		if _, err := fmt.Sscanf(at, "%d.%d,%d.%d", &b.fromLine, &b.fromCol, &b.toLine, &b.toCol); err != nil {
			return nil, fmt.Errorf("line %d of the profile: %w", n+1, err)
		}
		if _, err := fmt.Sscanf(rest, "%d %d", &statements, &b.count); err != nil {
			return nil, fmt.Errorf("line %d of the profile: %w", n+1, err)
		}
		file = strings.TrimPrefix(file, "github.com/ndpool/ndpool/")
		if i, ok := seen[place]; ok {
			p[file][i].count += b.count
			continue
		}
		seen[place] = len(p[file])
		p[file] = append(p[file], b)
	}
	return p, nil
}

// count tells how often the block of a statement was entered.
func (p profile) count(file string, line, col int) (int, error) {
	best, n := block{}, -1
	for _, b := range p[file] {
		from := b.fromLine < line || b.fromLine == line && b.fromCol <= col
		to := line < b.toLine || line == b.toLine && col < b.toCol
		inner := n < 0 || b.fromLine > best.fromLine || b.fromLine == best.fromLine && b.fromCol > best.fromCol
		if from && to && inner {
			best, n = b, b.count
		}
	}
	if n < 0 {
		return 0, fmt.Errorf("%s:%d is in no block of the profile; was it changed meanwhile?", file, line)
	}
	return n, nil
}
