package main

import (
	"fmt"
	"go/ast"
	"go/build"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// Kinds of mutants.
const (
	negated = "negated condition"
	dropped = "dropped statement"
	changed = "changed constant"
)

// A mutant is one change of one file: the bytes from start to end become text.
type mutant struct {
	file       string
	line       int
	kind       string
	start, end int
	text       string
	was        string // the first line of what is replaced
}

func (m mutant) String() string {
	what := fmt.Sprintf("%s:%d: %s: %s", m.file, m.line, m.kind, m.was)
	if m.kind == changed {
		what += " -> " + m.text
	}
	return what
}

// below is the mutant with its file's name as it is in a folder, for people.
func (m mutant) below(root string) mutant {
	if name, err := filepath.Rel(root, m.file); err == nil {
		m.file = name
	}
	return m
}

// apply returns the file's content with the change.
func (m mutant) apply(source []byte) []byte {
	return slices.Concat(source[:m.start], []byte(m.text), source[m.end:])
}

// mutantsOf are all mutants of the package in a folder, tests and files of other systems aside, in their order.
func mutantsOf(dir string) ([]mutant, error) {
	p, err := build.ImportDir(dir, 0)
	if err != nil {
		return nil, err
	}
	var out []mutant
	for _, name := range p.GoFiles {
		path := filepath.Join(dir, name)
		source, err := os.ReadFile(path)
		if err != nil {
			return nil, err
		}
		found, err := mutantsIn(path, source)
		if err != nil {
			return nil, err
		}
		out = append(out, found...)
	}
	return out, nil
}

// finder gathers the mutants of one file.
type finder struct {
	set    *token.FileSet
	path   string
	source []byte
	found  []mutant
}

func mutantsIn(path string, source []byte) ([]mutant, error) {
	f := &finder{set: token.NewFileSet(), path: path, source: source}
	file, err := parser.ParseFile(f.set, path, source, 0)
	if err != nil {
		return nil, err
	}
	for _, decl := range file.Decls {
		ast.Inspect(decl, f.visit)
	}
	return f.found, nil
}

func (f *finder) visit(n ast.Node) bool {
	switch n := n.(type) {
	case *ast.GenDecl:
		return n.Tok != token.IMPORT && n.Tok != token.TYPE
	case *ast.IfStmt:
		cond := f.text(n.Cond)
		f.add(n.Cond, negated, "!("+cond+")")
	case *ast.BlockStmt:
		f.drop(n.List)
	case *ast.CaseClause:
		f.drop(n.Body)
	case *ast.CommClause:
		f.drop(n.Body)
	case *ast.BasicLit:
		if text, ok := another(n); ok {
			f.add(n, changed, text)
		}
	case *ast.Ident:
		if text, ok := map[string]string{"true": "false", "false": "true"}[n.Name]; ok {
			f.add(n, changed, text)
		}
	}
	return true
}

// drop adds a mutant for each statement that can be missing without a name missing with it.
func (f *finder) drop(list []ast.Stmt) {
	for _, s := range list {
		switch s := s.(type) {
		case *ast.AssignStmt:
			if s.Tok == token.DEFINE {
				continue
			}
		case *ast.ExprStmt, *ast.IncDecStmt, *ast.DeferStmt, *ast.GoStmt, *ast.SendStmt, *ast.BranchStmt, *ast.IfStmt:
		default:
			continue
		}
		f.add(s, dropped, "")
	}
}

// another is a number next to a literal one; texts are messages mostly, and stay.
func another(lit *ast.BasicLit) (string, bool) {
	switch lit.Kind {
	case token.INT:
		n, err := strconv.ParseInt(lit.Value, 0, 64)
		return strconv.FormatInt(n+1, 10), err == nil
	case token.FLOAT:
		v, err := strconv.ParseFloat(lit.Value, 64)
		if v == 0 {
			return "1.0", err == nil
		}
		return "(2 * " + lit.Value + ")", err == nil
	}
	return "", false
}

func (f *finder) text(n ast.Node) string {
	return string(f.source[f.set.Position(n.Pos()).Offset:f.set.Position(n.End()).Offset])
}

func (f *finder) add(n ast.Node, kind, text string) {
	was, _, more := strings.Cut(f.text(n), "\n")
	if more {
		was += " ..."
	}
	at := f.set.Position(n.Pos())
	f.found = append(f.found, mutant{
		file: f.path, line: at.Line, kind: kind, start: at.Offset, end: f.set.Position(n.End()).Offset, text: text, was: was,
	})
}
