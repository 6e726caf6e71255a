// Package sentinels has tests prove that every error that a package documents can happen: a table with one entry for each
// exported sentinel and each exported type of error, which provokes it. An error without an entry fails the test.
package sentinels

import (
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// Entry is how one error comes about.
type Entry struct {
	Is      error                    // the sentinel, for errors.Is
	As      any                      // the typed error, for errors.As: new(*SpaceError)
	Says    string                   // what its text must match, numbers above all
	Provoke func(t *testing.T) error // does what fails
}

// Require provokes every exported error of the package in this directory. absent are those that this system cannot have, each
// with where it is tested instead.
func Require(t *testing.T, table map[string]Entry, absent map[string]string) {
	t.Helper()
	declared := declared(t)
	for _, name := range declared {
		_, in := table[name]
		_, out := absent[name]
		if in == out {
			t.Errorf("%s is an exported error: no test provokes it", name)
		}
	}
	is := map[error]string{}
	for _, name := range slices.Sorted(maps.Keys(table)) {
		e := table[name]
		if !slices.Contains(declared, name) {
			t.Errorf("%s is not an exported error of this package", name)
		}
		if other, ok := is[e.Is]; ok && e.As == nil {
			t.Errorf("%s and %s are looked for by the same sentinel", name, other)
		}
		if e.As == nil {
			is[e.Is] = name
		}
		t.Run(name, func(t *testing.T) { e.require(t, name) })
	}
}

func (e Entry) require(t *testing.T, name string) {
	err := e.Provoke(t)
	if err == nil {
		t.Fatalf("no error")
	}
	if e.Is == nil && e.As == nil {
		t.Fatal("the entry looks for nothing")
	}
	if e.Is != nil && !errors.Is(err, e.Is) {
		t.Errorf("got %v (%T), expected %v", err, err, e.Is)
	}
	if e.As != nil && reflect.TypeOf(e.As).Elem().Elem().Name() != name {
		t.Errorf("looked for by %T", e.As)
	}
	if e.As != nil && !errors.As(err, e.As) {
		t.Errorf("got %v (%T), expected a %T", err, err, e.As)
	}
	if e.As != nil && e.Says == "" {
		t.Error("a typed error carries numbers; say which")
	}
	if !regexp.MustCompile(e.Says).MatchString(err.Error()) {
		t.Errorf("got %q, expected %q in it", err.Error(), e.Says)
	}
}

// declared finds the exported sentinels, and the exported types that are errors.
func declared(t *testing.T) (names []string) {
	t.Helper()
	files, err := fs.Glob(os.DirFS("."), "*.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		f, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range f.Decls {
			names = append(names, declaredBy(d)...)
		}
	}
	if len(names) == 0 {
		t.Fatal("no exported error was found in this package")
	}
	return names
}

func declaredBy(d ast.Decl) (names []string) {
	switch d := d.(type) {
	case *ast.GenDecl:
		for _, s := range d.Specs {
			v, ok := s.(*ast.ValueSpec)
			if !ok || d.Tok != token.VAR {
				continue
			}
			for _, n := range v.Names {
				if strings.HasPrefix(n.Name, "Err") {
					names = append(names, n.Name)
				}
			}
		}
	case *ast.FuncDecl:
		if d.Name.Name != "Error" || d.Recv == nil {
			return nil
		}
		of := d.Recv.List[0].Type
		if star, ok := of.(*ast.StarExpr); ok {
			of = star.X
		}
		if id, ok := of.(*ast.Ident); ok && id.IsExported() {
			names = append(names, id.Name)
		}
	}
	return names
}
