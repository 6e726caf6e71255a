package render

import (
	"fmt"
	"go/ast"
	"go/build"
	"go/constant"
	"go/parser"
	"go/token"
	"go/types"
	"path/filepath"
	"strings"
)

// source is what the compiler forgets: comments and constants.
type source struct {
	fset    *token.FileSet
	files   []*ast.File
	structs map[string]structSource
}

type structSource struct {
	doc    string
	fields []string // comments, one per name, in order
}

// parse reads the Go files of dir that belong to this build, without tests.
func parse(dir string) (*source, error) {
	fset := token.NewFileSet()
	files, err := parseDir(fset, dir)
	if err != nil {
		return nil, err
	}
	s := &source{fset: fset, files: files, structs: map[string]structSource{}}
	for _, f := range files {
		ast.Inspect(f, func(n ast.Node) bool {
			if d, ok := n.(*ast.GenDecl); ok && d.Tok == token.TYPE {
				s.addType(d)
			}
			return true
		})
	}
	return s, nil
}

func parseDir(fset *token.FileSet, dir string) ([]*ast.File, error) {
	pkg, err := build.ImportDir(dir, 0)
	if err != nil {
		return nil, err
	}
	var files []*ast.File
	for _, name := range pkg.GoFiles {
		f, err := parser.ParseFile(fset, filepath.Join(dir, name), nil, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			return nil, err
		}
		files = append(files, f)
	}
	return files, nil
}

// addType keeps the comments of a struct declaration.
func (s *source) addType(d *ast.GenDecl) {
	for _, spec := range d.Specs {
		ts := spec.(*ast.TypeSpec)
		st, ok := ts.Type.(*ast.StructType)
		if !ok {
			continue
		}
		out := structSource{doc: comment(d.Doc, ts.Doc)}
		for _, f := range st.Fields.List {
			for range f.Names {
				out.fields = append(out.fields, comment(f.Doc, f.Comment))
			}
		}
		s.structs[ts.Name.Name] = out
	}
}

// comment returns the first comment that is not empty, as one line.
func comment(groups ...*ast.CommentGroup) string {
	for _, g := range groups {
		if t := strings.Join(strings.Fields(g.Text()), " "); t != "" {
			return t
		}
	}
	return ""
}

// constants returns the exported constants, by declaration, but for the fingerprint, which depends on them.
func (s *source) constants(dir string) ([]ConstGroup, error) {
	pkg, err := s.check(dir)
	if err != nil {
		return nil, err
	}
	var groups []ConstGroup
	for _, f := range s.files {
		for _, d := range f.Decls {
			if g, ok := d.(*ast.GenDecl); ok && g.Tok == token.CONST {
				if group := s.constGroup(g, pkg.Scope()); len(group.Consts) > 0 {
					groups = append(groups, group)
				}
			}
		}
	}
	return groups, nil
}

func (s *source) constGroup(d *ast.GenDecl, scope *types.Scope) ConstGroup {
	group := ConstGroup{Doc: comment(d.Doc)}
	for _, spec := range d.Specs {
		vs := spec.(*ast.ValueSpec)
		for _, name := range vs.Names {
			c, ok := scope.Lookup(name.Name).(*types.Const)
			if !ok || !c.Exported() || name.Name == "Fingerprint" {
				continue
			}
			v, exact := constant.Uint64Val(constant.ToInt(c.Val()))
			if !exact {
				panic(fmt.Sprintf("render: constant %s is no unsigned number", name.Name))
			}
			group.Consts = append(group.Consts, Const{Name: name.Name, C: macro(prefix(c) + name.Name), Value: v, Doc: comment(vs.Doc, vs.Comment)})
		}
	}
	return group
}

// prefix returns what C needs before the name of a constant whose Go type says it.
func prefix(c *types.Const) string {
	if t, ok := c.Type().(*types.Named); ok && t.Obj().Name() == "Kind" {
		return "Kind"
	}
	return ""
}

// check computes the constants. Function bodies do not matter, so what only they use is imported as an empty package.
func (s *source) check(dir string) (*types.Package, error) {
	conf := types.Config{IgnoreFuncBodies: true, Sizes: types.SizesFor("gc", "amd64"), Importer: importer{s.fset, dir}}
	return conf.Check("layout", s.fset, s.files, nil)
}

type importer struct {
	fset *token.FileSet
	dir  string // of package layout
}

// Import knows unsafe, and package shm, whose words have sizes.
func (i importer) Import(path string) (*types.Package, error) {
	if path == "unsafe" {
		return types.Unsafe, nil
	}
	name := path[strings.LastIndex(path, "/")+1:]
	if name == "shm" {
		files, err := parseDir(i.fset, filepath.Join(i.dir, "../../internal/shm"))
		if err != nil {
			return nil, err
		}
		conf := types.Config{IgnoreFuncBodies: true, Sizes: types.SizesFor("gc", "amd64"), Importer: i}
		return conf.Check(path, i.fset, files, nil)
	}
	p := types.NewPackage(path, name)
	p.MarkComplete()
	return p, nil
}
